"""Intervals of one share, one mean, one ratio of sums; bands and degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from curate.arrays import Floats, floats
from curate.errors import ConfigError


class Interval(NamedTuple):
    """Both ends of an interval; unpacks as `low, high`."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number, its interval, and what the interval rests on.

    `degrees_of_freedom` is NaN where the interval is not a t interval.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float


def check_confidence(confidence: float) -> float:
    """The confidence level itself, or a ConfigError where it is not inside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence!r}; it must lie between 0 and 1, e.g. 0.95")
    return confidence


def t_quantile(confidence: float, df: ArrayLike = np.inf) -> Floats:
    """Two-sided quantile of Student's t; infinite `df` means the normal distribution.

    Degrees of freedom of 0 or less give infinity: nothing is known about the spread.

    >>> [round(float(t_quantile(0.95, df)), 3) for df in (1, 10, float("inf"), 0)]
    [12.706, 2.228, 1.96, inf]
    """
    upper = 0.5 + check_confidence(confidence) / 2
    df = floats(df)
    finite = np.clip(df, 1e-3, 1e12)
    quantile = np.where(df > 1e12, special.ndtri(upper), special.stdtrit(finite, upper))
    return np.asarray(np.where(df > 0, quantile, np.inf))


def wilson(k: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a share (Wilson 1927); independent trials only.

    The ends are exact 0 at k = 0 and exact 1 at k = n. No trials give [0, 1].

    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    >>> wilson(0, 0)
    Interval(low=0.0, high=1.0)
    """
    if not 0 <= k <= n:
        raise ConfigError(f"k = {k} successes of n = {n} trials; 0 <= k <= n is needed")
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = float(t_quantile(confidence)) ** 2
    middle = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    low = 0.0 if k == 0 else float(max(0.0, middle - half))
    high = 1.0 if k == n else float(min(1.0, middle + half))
    return Interval(low, high)


def binomial_band(n: int, p: float, level: float = 0.999) -> tuple[int, int]:
    """Counts between which a Binomial(n, p) falls with at least `level`: equal tails, exact.

    Tests judge an error rate against this band, never against a chosen seed.

    >>> binomial_band(10_000, 0.05)
    (430, 573)
    >>> binomial_band(10, 0.0)
    (0, 0)
    """
    tail = (1 - check_confidence(level)) / 2
    below = special.bdtr(np.arange(n + 1, dtype=np.float64), n, p)
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    return low, min(high, n)


def t_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean of independent values with Student's interval; unit of the values.

    One value gives an infinite interval, no value NaN.

    >>> found = t_interval([1.0, 2.0, 3.0])
    >>> found.estimate, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    values = floats(values)
    if values.size == 0:
        return t_estimate(float("nan"), float("nan"), 0, confidence)
    if values.size == 1:
        return t_estimate(float(values[0]), float("nan"), 0, confidence)
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    return t_estimate(float(values.mean()), error, values.size - 1, confidence)


def t_estimate(centre: float, error: float, df: float, confidence: float) -> Estimate:
    """Estimate with Student's interval; infinite ends where df is 0."""
    quantile = float(t_quantile(confidence, df))
    half = np.inf if np.isinf(quantile) else quantile * error
    return Estimate(
        estimate=centre,
        low=float(centre - half),
        high=float(centre + half),
        standard_error=float(error),
        degrees_of_freedom=float(df),
    )


def satterthwaite(components: Sequence[float], dfs: Sequence[float]) -> tuple[float, float]:
    """Sum of independent variance components and its degrees of freedom (Satterthwaite 1946).

    A component may be negative (crossed designs subtract the interaction's mean square). The
    sum never falls below the largest single component, whose degrees of freedom then count:
    a subtraction may not make an interval shorter than its widest source of noise allows.

    >>> satterthwaite([4.0, 4.0], [9, 9])
    (8.0, 18.0)
    >>> satterthwaite([4.0, 1.0, -2.0], [3, 9, 27])
    (4.0, 3.0)
    """
    parts, freedoms = floats(components), floats(dfs)
    if parts.shape != freedoms.shape or parts.size == 0:
        raise ConfigError(
            f"{parts.size} variance components and {freedoms.size} degrees of freedom;"
            " as many of the one as of the other are needed, and at least one"
        )
    largest = int(np.argmax(parts))
    total = float(parts.sum())
    if total <= parts[largest]:
        return float(parts[largest]), float(freedoms[largest])
    used = parts != 0
    with np.errstate(divide="ignore"):
        spread = float((parts[used] ** 2 / freedoms[used]).sum())
    return total, total**2 / spread if spread > 0 else float("inf")
