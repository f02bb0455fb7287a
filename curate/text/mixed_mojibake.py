r"""Mojibake of any code page, by ftfy (Speer 2019), behind the extra `repair`.

`curate.text.mojibake` undoes UTF-8 that was read as Windows-1252 or Latin-1 where every byte is
still there. ftfy also knows Mac Roman, Windows-1251, code page 437 and bytes that were lost on the
way. It is asked about lines that its own measure calls bad, and believed only where the line is
not bad any more and no character was given up: it makes other nonsense of Korean that was read as
Latin-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from curate.errors import ConfigError

__all__ = ["mixed_repairs"]

_PIECES = re.compile(r"\s+|\S+")
_MOST_PIECES = 2_000  # of a line; the comparison of longer ones would take too long
_LOST = "\ufffd"

Repair = tuple[int, int, str]


def mixed_repairs(text: str) -> list[Repair]:
    """Spans of spoilt words with what they were, as (start, end, replacement) in bytes.

    Raises:
        ConfigError: ftfy is not installed.
    """
    ftfy = _ftfy()
    if text.isascii() or not ftfy.badness.is_bad(text):
        return []
    found: list[Repair] = []
    offset = 0
    for line in text.split("\n"):
        if not line.isascii() and ftfy.badness.is_bad(line):
            fixed = ftfy.fix_encoding(line)
            sound = not ftfy.badness.is_bad(fixed) and fixed.count(_LOST) <= line.count(_LOST)
            if sound and fixed != line:
                found += [(offset + a, offset + b, new) for a, b, new in _changes(line, fixed)]
        offset += len(line.encode()) + 1
    return found


def _changes(line: str, fixed: str) -> list[Repair]:
    """The words that differ, as spans of bytes; the whole line where words come from nowhere."""
    before, after = _PIECES.findall(line), _PIECES.findall(fixed)
    if max(len(before), len(after)) > _MOST_PIECES:
        return list(_trimmed(line, fixed, 0))
    starts = [0]
    for piece in before:
        starts.append(starts[-1] + len(piece.encode()))
    spans: list[Repair] = []
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for step, a, b, c, d in steps:
        if step == "insert":
            return list(_trimmed(line, fixed, 0))
        if step != "equal":
            spans += _trimmed("".join(before[a:b]), "".join(after[c:d]), starts[a])
    return spans


def _trimmed(old: str, new: str, offset: int) -> Iterator[Repair]:
    """The span without the characters that both begin and end with; at least one is replaced."""
    shorter, head, tail = min(len(old), len(new)), 0, 0
    while head < shorter and old[head] == new[head]:
        head += 1
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if head + tail == len(old):
        head -= head > 0
        tail -= head + tail == len(old) and tail > 0
    start = offset + len(old[:head].encode())
    kept = old[head : len(old) - tail]
    if kept:
        yield start, start + len(kept.encode()), new[head : len(new) - tail]


@cache
def _ftfy() -> Any:  # noqa: ANN401 - an optional library
    try:
        import ftfy
        import ftfy.badness
    except ImportError as missing:
        raise ConfigError(
            "the cleaning step 'repair_mojibake' needs ftfy, which is not installed: "
            "pip install 'curate-corpus[repair]'"
        ) from missing
    return ftfy
