"""UTF-8 that was read as Windows-1252 or Latin-1: how much of it there is, and its repair.

A UTF-8 sequence of n bytes becomes n characters: one of `Â…ô` (the lead byte) and n - 1 of the
64 characters that stand for the bytes 80–BF. `é` becomes `Ã©`, `’` becomes `â€™`. No language
writes such sequences as a rule; single ones occur (French `É»`), so shares are what counts.
"""

from __future__ import annotations

import re

_MAX_ROUNDS = 3  # text that was spoilt twice is repaired twice


def _windows_1252(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)  # five bytes have no character there; decoders pass them through


_BYTE_OF = {ord(_windows_1252(b)): b for b in range(0x80, 0x100)} | {
    b: b for b in range(0x80, 0x100)
}
TAIL = "".join(
    sorted({_windows_1252(b) for b in range(0x80, 0xC0)} | set(map(chr, range(0x80, 0xC0))))
)
"""The characters that stand for the bytes 80 to BF."""
MOJIBAKE = f"(?:[Â-ß][{TAIL}]|[à-ï][{TAIL}]{{2}}|[ð-ô][{TAIL}]{{3}})"
"""Pattern of one spoilt character; the same for Python and for Polars."""

# After one repair only sequences as Latin letters and typographic marks give them are taken for
# a second spoiling: any other rare pair is more likely the text itself.
_AGAIN = re.compile(f"(?:[ÂÃ][{TAIL}]|â[{TAIL}]{{2}})+")
_NON_ASCII = re.compile(rb"[\x80-\xff]+")


def repairs(text: bytes) -> list[tuple[int, int, str]]:
    r"""Spans of spoilt text with what they were, as (start, end, replacement) in bytes.

    A span is a run of non-ASCII characters that maps back to bytes which are valid UTF-8. Since
    ASCII maps to itself, repairing the spans is the same as repairing the whole document, and
    other edits can stand beside them. Nothing is repaired unless at least half of the document's
    non-ASCII runs map back: a text that quotes mojibake among sound accents is left alone.

    >>> repairs("cafÃ© â€“ no".encode())
    [(3, 7, 'é'), (8, 16, '–')]
    >>> repairs("café".encode())
    []
    """
    runs = list(_NON_ASCII.finditer(text))
    found = [(run.start(), run.end(), repaired(run.group().decode())) for run in runs]
    spans = [(start, end, new) for start, end, new in found if new is not None]
    return spans if 2 * len(spans) >= len(runs) else []


def repaired(run: str) -> str | None:
    """A run of spoilt characters as it was before, or None if it does not map back.

    >>> repaired("Ã©"), repaired("é"), repaired("ÃƒÂ©")
    ('é', None, 'é')
    """
    best = None
    for _ in range(_MAX_ROUNDS):
        values = [_BYTE_OF.get(ord(c)) for c in run]
        if None in values:
            break
        try:
            run = bytes(v for v in values if v is not None).decode("utf-8")
        except UnicodeDecodeError:
            break
        best = run
        if not _AGAIN.fullmatch(run):
            break
    return best
