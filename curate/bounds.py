"""Bounds of rules that the corpus itself gives: quantiles, fences, standard deviations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from curate.errors import ConfigError, check_name

__all__ = ["FEWEST_NATIVE", "Bound", "bound_of", "bound_words"]

FEWEST_NATIVE = 100  # documents; below, a bound from the corpus takes its loosest value


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """A bound drawn from the native documents of the corpus.

    Attributes:
        between: The bound is clipped to this range, whatever the corpus says; default: no limit.
        fence: k of a Tukey fence: Q3 + k·IQR for a max, Q1 - k·IQR for a min (3 = far out).
        quantile: Or this quantile of the column, in [0, 1].
        sigma: Or so many standard deviations from the mean: above it for a max, below for a min.
        scale: Scale on which fence and deviations are built: linear, log, or logit (fractions).
    """

    between: tuple[float, float] = (-math.inf, math.inf)
    fence: float | None = None
    quantile: float | None = None
    sigma: float | None = None
    scale: str = "linear"

    def __post_init__(self) -> None:
        ways = [w for w in (self.fence, self.quantile, self.sigma) if w is not None]
        if len(ways) != 1:
            raise ConfigError("a bound from the corpus needs one of fence, quantile and sigma")
        check_name("scale", self.scale, _SCALES)
        if len(self.between) != 2 or self.between[0] > self.between[1]:
            raise ConfigError(f"between is {self.between}; allowed: [low, high]")
        if self.quantile is not None and not 0 <= self.quantile <= 1:
            raise ConfigError(f"quantile is {self.quantile}; allowed: 0 to 1")

    def resolve(self, values: pl.Series, *, upper: bool) -> float:
        """The bound as a number; with few values the loosest one that is allowed.

        >>> bound = Bound(fence=3.0, between=(0.0, 1000.0))
        >>> bound.resolve(pl.Series(range(101)), upper=True)
        225.0
        """
        return self.drawn(values, upper=upper)[0]

    def drawn(self, values: pl.Series, *, upper: bool) -> tuple[float, str]:
        """The bound as a number, and where it comes from.

        >>> Bound(quantile=0.05).drawn(pl.Series(range(101)), upper=False)
        (5.0, '5th percentile of this corpus')
        >>> Bound(quantile=0.05, between=(9, 20)).drawn(pl.Series(range(101)), upper=False)
        (9, '5th percentile of this corpus is 5, held between 9 and 20')
        """
        low, high = self.between
        values = values.drop_nulls().cast(pl.Float64).drop_nans()
        if len(values) < FEWEST_NATIVE:
            loosest = f"loosest allowed, as fewer than {FEWEST_NATIVE} documents have a value"
            return (high if upper else low), loosest
        found, words = self._found(values, upper=upper), self._way(upper=upper)
        held = min(max(found, low), high)
        if held != found:
            words = f"{words} is {found:.4g}, held {_range(low, high)}"
        return held, words

    def words(self, *, upper: bool) -> str:
        """The bound in words, before any corpus is known.

        >>> Bound(fence=3.0, between=(4.4, 4.58)).words(upper=True)
        'quartile 3 + 3 interquartile ranges of this corpus, held between 4.4 and 4.58'
        """
        free = not any(map(math.isfinite, self.between))
        return self._way(upper=upper) + ("" if free else f", held {_range(*self.between)}")

    def _way(self, *, upper: bool) -> str:
        sign, scale = "+" if upper else "−", "" if self.scale == "linear" else f" ({self.scale})"
        if self.quantile is not None:
            return f"{_ordinal(100 * self.quantile)} percentile of this corpus"
        if self.sigma is not None:
            return f"mean {sign} {self.sigma:g} standard deviations of this corpus{scale}"
        quartile = 3 if upper else 1
        ranges = f"{self.fence:g} interquartile ranges"
        return f"quartile {quartile} {sign} {ranges} of this corpus{scale}"

    def _found(self, values: pl.Series, *, upper: bool) -> float:
        if self.quantile is not None:
            return _quantile(values, self.quantile)
        if self.sigma is not None:
            return _sigma(values, self.sigma, scale=self.scale, upper=upper)
        assert self.fence is not None
        return _fence(values, self.fence, scale=self.scale, upper=upper)


def bound_of(table: Mapping[str, Any]) -> Bound:
    """A bound as a rule set or a config writes it.

    Raises:
        ConfigError: An unknown key, or not one way to draw it.

    >>> bound_of({"quantile": 0.99, "between": [0.1, 0.2]}).between
    (0.1, 0.2)
    """
    keys = [f.name for f in fields(Bound)]
    for key in table:
        check_name("key", key, keys)
    limits = {"between": tuple(table["between"])} if "between" in table else {}
    return Bound(**{**table, **limits})


def bound_words(value: object, *, upper: bool) -> str:
    """A bound of a rule set, number or table, as people read it.

    >>> bound_words(100000, upper=True), bound_words({"quantile": 0.995}, upper=True)
    ('100,000', '99.5th percentile of this corpus')
    """
    if isinstance(value, Mapping):
        return bound_of(value).words(upper=upper)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return f"{value:,.0f}" if whole else f"{value}"


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"at {low:g} or more"
    return f"at {high:g} or less" if math.isinf(low) else f"between {low:g} and {high:g}"


def _ordinal(number: float) -> str:
    """5 → 5th, 99.5 → 99.5th."""
    said = f"{number:g}"
    ends = {"1": "st", "2": "nd", "3": "rd"}
    teen = said[-2:] in ("11", "12", "13") or "." in said
    return said + ("th" if teen else ends.get(said[-1], "th"))


def _quantile(values: pl.Series, q: float) -> float:
    found = values.quantile(q, interpolation="linear")
    assert found is not None
    return float(found)


def _fence(values: pl.Series, k: float, *, scale: str, upper: bool) -> float:
    forward, backward = _SCALES[scale]
    low, high = (forward(_quantile(values, q)) for q in (0.25, 0.75))
    return backward(high + k * (high - low) if upper else low - k * (high - low))


def _sigma(values: pl.Series, k: float, *, scale: str, upper: bool) -> float:
    forward, backward = _SCALES[scale]
    scaled = pl.Series([forward(value) for value in values], dtype=pl.Float64)
    mean, spread = scaled.mean(), scaled.std()
    assert isinstance(mean, float)
    assert isinstance(spread, float)
    return backward(mean + k * spread if upper else mean - k * spread)


_TINY = 1e-6  # shares of 0 and 1 have no logit; a document of a million characters is rare


def _logit(p: float) -> float:
    p = min(max(p, _TINY), 1 - _TINY)
    return math.log(p / (1 - p))


_SCALES: Mapping[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "linear": (float, float),
    "log": (lambda x: math.log(max(x, _TINY)), math.exp),
    "logit": (_logit, lambda x: 1 / (1 + math.exp(-x))),
}
