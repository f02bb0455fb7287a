"""Bytes and lines of plain, gzip and zstd files; a broken tail is told, never swallowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

PLAIN_CHUNK = 1 << 20
# Compressed text grows, and a wrong checksum costs the bite it is found in: bites are small.
COMPRESSED_CHUNK = 1 << 13
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BrokenStreamError(Exception):
    """A file cannot be read (further); everything before this was handed out."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def byte_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, decompressed if its first bytes say gzip or zstd.

    Files of several gzip members or zstd frames are read to their end. What a truncated or
    corrupt file still gives is handed out before the error.

    Raises:
        BrokenStreamError: The file cannot be opened, is cut off, or holds wrong bytes.

    >>> import gzip, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.gz"
    >>> _ = path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    >>> b"".join(byte_chunks(path))
    b'one two'
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(_GZIP):
                yield from _decompressed(file, lambda: zlib.decompressobj(wbits=31))
            elif magic == _ZSTD:
                yield from _decompressed(file, _zstd_decoder)
            else:
                yield from iter(lambda: file.read(PLAIN_CHUNK), b"")
    except (OSError, zlib.error, zstandard.ZstdError) as error:
        raise BrokenStreamError(f"{type(error).__name__}: {error}") from error


def _zstd_decoder() -> _Decoder:
    # Files made with `zstd --long` need a larger window than the default allows.
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()


def _decompressed(file: BinaryIO, new_decoder: Callable[[], _Decoder]) -> Iterator[bytes]:
    decoder = new_decoder()
    data = file.read(COMPRESSED_CHUNK)
    while data:
        out = decoder.decompress(data)
        if out:
            yield out
        data = b"" if decoder.eof else file.read(COMPRESSED_CHUNK)
        if decoder.eof and (data := _next_member(file, decoder.unused_data)):
            decoder = new_decoder()
    if not decoder.eof:
        raise BrokenStreamError("the compressed data is cut off before its end")


def _next_member(file: BinaryIO, rest: bytes) -> bytes:
    """First bytes of the next member, past the zeros that some writers pad with."""
    rest = rest.lstrip(b"\0")
    while not rest:
        chunk = file.read(COMPRESSED_CHUNK)
        if not chunk:
            return b""
        rest = chunk.lstrip(b"\0")
    return rest


def numbered_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    r"""Lines as an editor numbers them, from 1, without the line feed; no byte-order mark.

    The unfinished last line of a broken stream is not handed out.

    >>> list(numbered_lines([b"\xef\xbb\xbfon", b"e\n\ntwo\r\nthr", b"ee"]))
    [(1, b'one'), (2, b''), (3, b'two\r'), (4, b'three')]
    """
    for number, line in enumerate(_lines(chunks), start=1):
        yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # The pieces of a long line are joined once: adding them up would be quadratic.
    pieces: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        pieces.append(first)
        for line in rest:
            yield b"".join(pieces)
            pieces = [line]
    tail = b"".join(pieces)
    if tail:
        yield tail
