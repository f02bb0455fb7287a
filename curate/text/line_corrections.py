"""Lines that RefinedWeb's corrections take out: shouted, numeric, counters, single words."""

from __future__ import annotations

import re

import polars as pl

_COUNTED = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views "
    "followers"
)
_COUNTER = re.compile(rf"\W*\d[\d.,]*[kmb]?\s+(?:{'|'.join(_COUNTED.split())})\W*", re.IGNORECASE)


def line_correction_fraction(text: pl.Series) -> pl.Series:
    r"""Words in lines that the corrections take out, as a share of all words; 0 of none.

    A line goes if more than half of its characters are upper case, if it is all digits, if it
    counts reactions (`3 likes`), or if it is a single word. After Penedo et al. 2023 (RefinedWeb),
    table 8. Phrases that the paper cuts out of short lines (`sign-in`, `read more...`) stay.

    >>> line_correction_fraction(pl.Series(["One good line.\n3 likes\nHome", ""])).to_list()
    [0.5, 0.0]
    """
    return pl.Series("fraction", [_fraction(value) for value in text], dtype=pl.Float64)


def _fraction(text: str) -> float:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    counts = [(len(line.split()), _goes(line)) for line in lines]
    total = sum(n for n, _ in counts)
    return sum(n for n, goes in counts if goes) / total if total else 0.0


def _goes(line: str) -> bool:
    return (
        " " not in line
        or len(line.split()) == 1
        or 2 * sum(map(str.isupper, line)) > len(line)
        or line.replace(" ", "").isdigit()
        or _COUNTER.fullmatch(line) is not None
    )
