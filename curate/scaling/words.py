"""Numbers of the experiment in words: intervals, budgets, arms, kinds of models."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

FAMILIES = {"kneser_ney": "Kneser–Ney", "gpt": "GPT"}
WORDS = {
    "oracle": "noise-free",
    "curated_oracle": "curated noise-free",
    "random": "randomly filtered",
    "null_a": "first-sample",
    "null_b": "second-sample",
}
NULLS = ("random", "null_b")  # arms that are worth what they are compared with
POOL = "_pool"  # how the names of arms end that read one pool again and again

__all__ = [
    "FAMILIES",
    "POOL",
    "arm_words",
    "count_words",
    "interval_words",
    "is_null",
    "model_words",
]


def is_null(row: Mapping[str, Any]) -> bool:
    """Whether two arms are compared whose multiplier is known to be 1.

    >>> is_null({"kind": "control", "arm_b": "random"})
    True
    >>> is_null({"kind": "control", "arm_b": "inverse_quality"})
    False
    """
    return row["kind"] == "control" and row["arm_b"] in NULLS


def interval_words(row: Mapping[str, Any]) -> str:
    """An estimate with its interval, a bound, or a question mark.

    An end that the ladder cannot show is only known to lie beyond the ladder.

    >>> interval_words({"estimate": 0.9, "low": 0.25, "high": 1.5, "beyond": "low"})
    '0.90 [< 0.25, 1.50]'
    >>> interval_words({"estimate": 2.5, "low": None, "high": None, "bound": "≥"})
    '≥ 2.50'
    >>> interval_words({"estimate": 1.0031, "low": 1.0012, "high": 1.0043})
    '1.003 [1.001, 1.004]'
    >>> told = {"estimate": 3.1, "low": 2.0, "high": 4.0, "beyond": "high", "bound": "≥"}
    >>> interval_words(told), interval_words(told | {"estimate": 4.0, "low": 4.0})
    ('≥ 3.10 [2.00, > 4.00]', '≥ 4.00')
    """
    bound = row.get("bound") or ""
    if row["low"] is None or (bound and isclose(row["low"], row["high"])):
        return "?" if row["estimate"] is None else f"{bound} {row['estimate']:.2f}".strip()
    return f"{bound} {_estimate_and_ends(row)}".strip()


def _estimate_and_ends(row: Mapping[str, Any]) -> str:
    beyond = row.get("beyond")
    low, high = ("< " * (beyond in ("low", "both")), "> " * (beyond in ("high", "both")))
    digits = _decimals(row["low"], row["high"])
    estimate = "?" if row["estimate"] is None else f"{row['estimate']:.{digits}f}"
    return f"{estimate} [{low}{row['low']:.{digits}f}, {high}{row['high']:.{digits}f}]"


def _decimals(low: float, high: float) -> int:
    """Two, or as many as tell the ends from each other and from 1."""
    digits = 2
    while digits < 5 and low < high and _alike(round(low, digits), round(high, digits), low, high):
        digits += 1
    return digits


def _alike(rounded_low: float, rounded_high: float, low: float, high: float) -> bool:
    return rounded_low == rounded_high or rounded_low == 1 < low or high < 1 == rounded_high


def arm_words(arm: str) -> str:
    """The arm as a plural noun.

    >>> arm_words("raw"), arm_words("without_duplicates.near"), arm_words("raw_pool")
    ('raw tokens', 'tokens curated without duplicates.near', 'raw tokens of a pool read again')
    """
    if arm.startswith("without_"):
        return f"tokens curated without {arm.removeprefix('without_')}"
    if arm.endswith(POOL):
        return f"{arm.removesuffix(POOL)} tokens of a pool read again"
    return f"{WORDS.get(arm, arm.replace('_', ' '))} tokens"


def model_words(family: str, size: str) -> str:
    """A kind of model and its size.

    >>> model_words("kneser_ney", "order3"), model_words("gpt", "width32")
    ('Kneser–Ney order 3', 'GPT width 32')
    """
    spaced = size.replace("order", "order ").replace("width", "width ")
    return f"{FAMILIES.get(family, family)} {spaced}"


def count_words(n: float) -> str:
    """Tokens for people.

    >>> count_words(800_000), count_words(1_600_000), count_words(950)
    ('800 k', '1.6 M', '950')
    """
    if n >= 1_000_000:
        return f"{n / 1e6:.3g} M"
    return f"{n / 1e3:.3g} k" if n >= 1_000 else f"{n:.0f}"
