"""Files written whole or not at all, and their digests."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

#: Text bytes of a row group; readers hold one at a time.
ROW_GROUP_BYTES = 32_000_000


def write_atomically(
    frame: pl.DataFrame, path: Path, *, row_group_bytes: int = ROW_GROUP_BYTES
) -> None:
    """Write a table as Parquet (zstd); after a crash `path` is the old file or the new one.

    Equal tables give equal bytes, however their memory is chunked.

    Args:
        frame: Any table.
        path: Where to; missing folders are made.
        row_group_bytes: Size in memory at which a row group ends, on average.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "table.parquet"
    >>> write_atomically(pl.DataFrame({"a": [1, 2]}), path)
    >>> pl.read_parquet(path)["a"].sum()
    3
    """
    groups = max(1, -(-int(frame.estimated_size()) // row_group_bytes))
    rows = max(1, -(-frame.height // groups))
    whole = frame.rechunk()
    _replace(
        path,
        lambda temporary: whole.write_parquet(
            temporary, compression="zstd", row_group_size=rows, statistics=True
        ),
    )


def write_bytes_atomically(data: bytes, path: Path) -> None:
    """Write a file; after a crash `path` is the old file or the new one.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.json"
    >>> write_bytes_atomically(b"{}", path)
    >>> path.read_bytes()
    b'{}'
    """
    _replace(path, lambda temporary: temporary.write_bytes(data))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
    finally:
        # Also what a writer that was killed before has left of this file.
        for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            unfinished.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> _ = path.write_bytes(b"abc")
    >>> file_digest(path)[:8]
    'ba7816bf'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 over the relative names and digests of all files below a folder.

    Hidden files (unfinished writes are hidden) do not count.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> before = folder_digest(folder)
    >>> _ = (folder / "a").write_bytes(b"abc")
    >>> folder_digest(folder) == before
    False
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).parts):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest.update(f"{relative.as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def clear_parts(folder: Path, pattern: str = "part-*.parquet") -> None:
    """Delete earlier parts, so that a shorter result never keeps a longer one's tail.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "part-00000.parquet").write_bytes(b"")
    >>> clear_parts(folder)
    >>> list(folder.iterdir())
    []
    """
    for path in folder.glob(pattern):
        path.unlink()
