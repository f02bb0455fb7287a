"""How public implementations of the Gopher rules count lines and paragraphs.

They split at other places, strip or do not, know other bullets and ellipses, and count copies in
other ways. One row a document, one column a number that one of them compares with a threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

NEMO_BULLETS = tuple("•‣⁃⁌⁍∙○●◘◦⦾⦿")
NEMO_ELLIPSES = ("...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more")
DCLM_BULLETS = ("●", "•", "*", "-")
DCLM_ELLIPSES = ("...", ". . .", "…")
REDPAJAMA_BULLETS = tuple("•‣▶◀◦■□▪▫–")
_PARTS = {
    "dolma": ("bullet_lines", "ellipsis_lines", "duplicate_lines", "duplicate_line_chars"),
    "nemo": (
        *("bullet_lines", "ellipsis_lines", "distinct_lines", "distinct_line_chars"),
        *("distinct_paragraphs", "distinct_paragraph_chars"),
    ),
    "dclm": (
        *("bullet_lines", "ellipsis_lines", "duplicate_lines", "duplicate_line_chars"),
        *("duplicate_paragraphs", "duplicate_paragraph_chars"),
    ),
    "redpajama": ("bullet_lines", "ellipsis_lines"),
}
LINE_FRACTIONS = tuple(f"{d}_{part}" for d, parts in _PARTS.items() for part in parts)
"""The columns of `line_fractions`."""


def line_fractions(text: pl.Series) -> pl.DataFrame:
    r"""The columns `LINE_FRACTIONS`, Float64 in [0, 1]; 0 where there is no line.

    - `dolma`: lines end at `\n`, blank ones count; bullets `*` and `-` and the ellipsis `…` stand
      at the very edge; all copies of a repeated line count, their characters over those that are
      no white space (which can exceed 1 there; here it ends at 1).
    - `nemo`: non-blank lines, twelve bullets without the hyphen, eight ellipses in any case; what
      is left without later copies; paragraphs between two newlines.
    - `dclm`: stripped, non-blank lines and paragraphs; all copies of a repeated one count, over
      the characters of all of them; a single one never counts as repeated.
    - `redpajama`: all lines; its own bullets, ellipses `...` and `…`.

    >>> line_fractions(pl.Series(["* one\n* two\n\n* one"])).select(
    ...     "dolma_bullet_lines", "nemo_distinct_lines", "dclm_duplicate_lines"
    ... ).row(0)
    (0.75, 0.6666666666666666, 0.6666666666666666)
    """
    rows = [_fractions(value) for value in text]
    return pl.DataFrame(rows, schema=dict.fromkeys(LINE_FRACTIONS, pl.Float64), orient="row")


def _fractions(text: str) -> tuple[float, ...]:
    lines = text.split("\n")
    return (*_dolma(text, lines), *_nemo(text, lines), *_dclm(text, lines), *_redpajama(lines))


def _dolma(text: str, lines: Sequence[str]) -> tuple[float, ...]:
    if not text:
        return (0.0,) * 4
    bullets = sum(line.startswith(("*", "-")) for line in lines)
    ellipses = sum(line.endswith("…") for line in lines)
    solid = sum(map(len, text.split()))
    copies, chars = _all_copies(lines)
    total = len(lines)
    return bullets / total, ellipses / total, copies / total, min(chars / max(solid, 1), 1.0)


def _nemo(text: str, lines: Sequence[str]) -> tuple[float, ...]:
    solid = [line for line in lines if line.strip()]
    stripped = [line.strip() for line in solid]
    total = max(len(solid), 1)
    bullets = sum(line.startswith(NEMO_BULLETS) for line in stripped)
    ellipses = sum(line.lower().endswith(NEMO_ELLIPSES) for line in stripped)
    paragraphs = text.split("\n\n")
    return bullets / total, ellipses / total, *_distinct(solid), *_distinct(paragraphs)


def _distinct(parts: Sequence[str]) -> tuple[float, float]:
    """Share of pieces, and of their characters, that is left if later copies go."""
    unique = set(parts)
    chars = sum(map(len, parts))
    return len(unique) / max(len(parts), 1), sum(map(len, unique)) / max(chars, 1)


def _dclm(text: str, lines: Sequence[str]) -> tuple[float, ...]:
    solid = [line for raw in lines if (line := raw.strip())]
    total = max(len(solid), 1)
    bullets = sum(line.startswith(DCLM_BULLETS) for line in solid)
    ellipses = sum(line.endswith(DCLM_ELLIPSES) for line in solid)
    paragraphs = [part for raw in text.split("\n\n") if (part := raw.strip())]
    return bullets / total, ellipses / total, *_repeated(solid), *_repeated(paragraphs)


def _repeated(parts: Sequence[str]) -> tuple[float, float]:
    """Share of pieces that occur twice or more, all copies counted, and of their characters."""
    copies, chars = _all_copies(parts)
    return copies / max(len(parts), 1), chars / max(sum(map(len, parts)), 1)


def _redpajama(lines: Sequence[str]) -> tuple[float, ...]:
    lines = lines[:-1] if not lines[-1] else lines  # a final newline opens no line
    total = max(len(lines), 1)
    bullets = sum(line.lstrip().startswith(REDPAJAMA_BULLETS) for line in lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    return bullets / total, ellipses / total


def _all_copies(parts: Sequence[str]) -> tuple[int, int]:
    """Number and characters of the pieces that occur twice or more."""
    if len(set(parts)) == len(parts):
        return 0, 0
    counts = [(part, n) for part, n in Counter(parts).items() if n > 1]
    return sum(n for _, n in counts), sum(n * len(part) for part, n in counts)
