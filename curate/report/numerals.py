"""Numbers as people read them: one place decides the digits of the page and the terminal."""

from __future__ import annotations

import math

__all__ = ["count", "interval", "percent", "ratio", "short"]

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
            return f"{_three(value / size)} {prefix}{unit}"
    return f"{_three(value)} {unit}".rstrip()


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage with one decimal.

    >>> percent(0.6447), percent(1.0), percent(None)
    ('64.5 %', '100.0 %', '–')
    """
    return NOTHING if share is None or _absent(share) else f"{100 * share:.1f} %"


def ratio(value: float | None) -> str:
    """A number near one, or any plain number, with three significant digits.

    >>> ratio(1.5678), ratio(0.04), ratio(105.2), ratio(float("inf")), ratio(2)
    ('1.57', '0.04', '105', '∞', '2')
    """
    if value is None or _absent(value):
        return NOTHING
    return ("∞" if value > 0 else "−∞") if math.isinf(value) else _three(value)


def interval(low: float | None, high: float | None) -> str:
    """The two ends of an interval in brackets; empty where neither end is known.

    >>> interval(1.42, 1.749), interval(None, None)
    ('[1.42, 1.75]', '')
    """
    if (low is None or _absent(low)) and (high is None or _absent(high)):
        return ""
    return f"[{ratio(low)}, {ratio(high)}]"


def _three(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    whole = float(value).is_integer() or digits > 2
    return (text.rstrip("0").rstrip(".") if whole and "." in text else text).replace("-", "−")
