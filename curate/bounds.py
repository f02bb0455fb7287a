"""Bounds of rules that the corpus itself gives: quantiles, fences, standard deviations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from curate.errors import ConfigError, unknown_name

__all__ = ["FEWEST_NATIVE", "Bound"]

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
        if self.scale not in _SCALES:
            raise ConfigError(unknown_name("scale", self.scale, _SCALES))
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
        low, high = self.between
        values = values.drop_nulls().cast(pl.Float64).drop_nans()
        if len(values) < FEWEST_NATIVE:
            return high if upper else low
        if self.quantile is not None:
            found = _quantile(values, self.quantile)
        elif self.sigma is not None:
            found = _sigma(values, self.sigma, scale=self.scale, upper=upper)
        else:
            assert self.fence is not None
            found = _fence(values, self.fence, scale=self.scale, upper=upper)
        return min(max(found, low), high)


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
