"""Numbers as people read them: one place decides the digits of the page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "aligned",
    "chance",
    "count",
    "interval",
    "level",
    "measured",
    "percent",
    "precise",
    "ratio",
    "short",
]

NOTHING = "–"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def _absent(value: float | None) -> bool:
    return value is None or math.isnan(value)


def count(value: float | None) -> str:
    """A whole number with thousands separators.

    >>> count(20118), count(None)
    ('20,118', '–')
    """
    return NOTHING if value is None or _absent(value) else f"{round(value):,}"


def short(value: float | None, unit: str = "") -> str:
    """A number with three significant digits and a decimal prefix (k, M, G, T).

    >>> short(1_234_567), short(400_000, "B"), short(12)
    ('1.23 M', '400 kB', '12')
    """
    if value is None or _absent(value):
        return NOTHING
    for size, prefix in _UNITS:
        if abs(value) >= size * 0.9995:
            return f"{_digits(value / size, 3)} {prefix}{unit}"
    return f"{_digits(value, 3)} {unit}".rstrip()


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage with one decimal.

    >>> percent(0.6447), percent(1.0), percent(None)
    ('64.5 %', '100.0 %', '–')
    """
    return NOTHING if share is None or _absent(share) else f"{100 * share:.1f} %"


def level(confidence: float | None) -> str:
    """A confidence level, without digits that say nothing.

    >>> level(0.95), level(0.9875), level(0.99166)
    ('95 %', '98.75 %', '99.17 %')
    """
    if confidence is None or _absent(confidence):
        return NOTHING
    return f"{100 * confidence:.2f}".rstrip("0").rstrip(".") + " %"


def ratio(value: float | None) -> str:
    """A number near one, with two decimals; fewer where it is large, more where it is small.

    >>> ratio(1.5678), ratio(2), ratio(0.042), ratio(105.2), ratio(float("inf"))
    ('1.57', '2.00', '0.042', '105', '∞')
    """
    if value is None or _absent(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 0.1 <= abs(value) < 9.995:
        return f"{value:.2f}".replace("-", "−")
    return _digits(value, 2 if abs(value) < 0.1 else 3)


def chance(value: float | None) -> str:
    """A p or q value; below one in ten thousand only that.

    >>> chance(0.0312), chance(4e-205), chance(None)
    ('0.031', '< 0.0001', '–')
    """
    return "< 0.0001" if value is not None and value < 1e-4 else ratio(value)


def precise(value: float | None) -> str:
    """Any number with four significant digits, as tables of numbers need them.

    >>> precise(2.34567), precise(0.5), precise(12345.6), precise(None)
    ('2.346', '0.5', '12,346', '–')
    """
    if value is None or _absent(value):
        return NOTHING
    return ratio(value) if math.isinf(value) else _digits(value, 4)


def aligned(values: Sequence[float]) -> list[str]:
    """Numbers of one axis with the same decimals, as few as tell them apart.

    >>> aligned([2.6, 2.8, 3.0]), aligned([0.25, 0.5]), aligned([1, 2])
    (['2.6', '2.8', '3.0'], ['0.25', '0.50'], ['1', '2'])
    """
    for decimals in range(7):
        if all(math.isclose(value, round(value, decimals), abs_tol=1e-9) for value in values):
            break
    return [f"{value:,.{decimals}f}".replace("-", "−") for value in values]


def interval(low: float | None, high: float | None, beyond: str | None = None) -> str:
    """The two ends of an interval in brackets; empty where neither end is known.

    `beyond` ("low", "high", "both") names ends that could not be measured, only that they lie
    further out.

    >>> interval(1.42, 1.749), interval(None, None), interval(0.25, 5.6, "both")
    ('[1.42, 1.75]', '', '[< 0.25, > 5.60]')
    """
    if (low is None or _absent(low)) and (high is None or _absent(high)):
        return ""
    below, above = "< " * (beyond in ("low", "both")), "> " * (beyond in ("high", "both"))
    return f"[{below}{ratio(low)}, {above}{ratio(high)}]"


def measured(row: Mapping[str, Any]) -> str:
    """A multiplier with its interval; with its bound, and rungs for ends, where not reached.

    >>> row = {"estimate": 3.1, "low": 2.0, "high": 4.0, "beyond": "high", "bound": "≥"}
    >>> measured(row), measured(row | {"estimate": 4.0, "low": 4.0}), measured({"estimate": None})
    ('≥ 3.10 [2.00, > 4.00]', '≥ 4.00', '–')
    """
    if row["estimate"] is None:
        return NOTHING
    bound = row.get("bound") or ""
    low, high = row["low"], row["high"]
    alone = bound and low is not None and math.isclose(low, high)
    ends = "" if alone else interval(low, high, row.get("beyond"))
    return f"{bound} {ratio(row['estimate'])} {ends}".strip()


def _digits(value: float, significant: int) -> str:
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.1e}".replace("-", "−")
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
