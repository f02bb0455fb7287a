"""Ratio of two rates, and difference of two means, where documents come in clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from curate.arrays import Floats, floats
from curate.statistics.intervals import Estimate, satterthwaite, t_estimate, t_quantile
from curate.statistics.pairs import Sides, clustered_pair
from curate.statistics.ratios import (
    ScoreError,
    half_corrected_ratio,
    score_odds_bounds,
    score_ratio_bounds,
)
from curate.statistics.sandwich import effective_sides


@dataclass(frozen=True, kw_only=True, slots=True)
class RateComparison:
    """Rate of a group over the rate of the rest: ratio, interval and two-sided p (arrays)."""

    ratio: Floats
    low: Floats
    high: Floats
    p: Floats
    df: Floats


def compare_rates(sides: Sides, confidence: float = 0.95) -> RateComparison:
    """Ratio of two rates: score interval and the score test it inverts (Koopman 1984).

    Counts are effective counts, with the covariance of both rates and t's degrees of freedom
    where documents come in clusters. The interval leaves 1 out exactly where p < 1 −
    confidence. Where a rate is 0 the ratio's estimate is ½-corrected and one end is 0 or
    infinite; no removals at all give (0, ∞) and p = 1.

    >>> from curate.statistics import independent
    >>> found = compare_rates(independent(([0.4], [0.75]), ([200], [200])))
    >>> [round(float(x[0]), 3) for x in (found.ratio, found.low, found.high)]
    [0.533, 0.439, 0.64]
    """
    rates, sizes = (sides.rate, sides.rate_rest), (sides.size, sides.size_rest)
    quantile = lean_quantile(confidence, sides.df, sides.lean)
    error = ScoreError(sizes, (sides.documents, sides.documents_rest), sides.covariance)
    low, high = score_ratio_bounds(rates, error, quantile)
    ratio = half_corrected_ratio(rates, sizes)
    return RateComparison(ratio=ratio, low=low, high=high, p=rates_p(sides), df=sides.df)


def rates_p(sides: Sides) -> Floats:
    """Two-sided p of the score test of two rates alone (arrays); see `compare_rates`.

    >>> from curate.statistics import independent
    >>> rates_p(independent(([0.4], [0.5]), ([200], [200]))).round(3).tolist()
    [0.044]
    """
    (rate, rest), (n, n_rest) = (
        (sides.rate, sides.rate_rest),
        (sides.documents, sides.documents_rest),
    )
    pooled = (rate * n + rest * n_rest) / (n + n_rest)
    parts = 1 / sides.size + 1 / sides.size_rest - 2 * sides.covariance
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(rate - rest) / np.sqrt(pooled * (1 - pooled) * parts)
    return lean_p(np.where(rate == rest, 0.0, z), sides.df, sides.lean)


def odds_interval(sides: Sides, confidence: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Odds ratio of two rates with the score interval, in the errors of `compare_rates` (arrays).

    The interval leaves 1 out exactly where the p of `compare_rates` is below 1 − confidence.
    ½ is added to all four effective counts of the estimate where one is 0.

    >>> from curate.statistics import independent
    >>> found = odds_interval(independent(([0.4], [0.75]), ([200], [200])))
    >>> [round(float(x[0]), 3) for x in found]
    [0.222, 0.145, 0.34]
    """
    log, _ = log_odds_ratio(sides)
    documents = sides.documents, sides.documents_rest
    error = ScoreError((sides.size, sides.size_rest), documents, sides.covariance)
    quantile = lean_quantile(confidence, sides.df, sides.lean)
    low, high = score_odds_bounds((sides.rate, sides.rate_rest), error, quantile)
    with np.errstate(over="ignore"):
        return np.exp(log), low, high


def log_odds_ratio(sides: Sides) -> tuple[Floats, Floats]:
    """Logarithm of the odds ratio of two rates and its standard error (Woolf) on effective counts.

    ½ is added to all four counts where one is 0.

    >>> from curate.statistics import independent
    >>> log, error = log_odds_ratio(independent(([0.4], [0.75]), ([200], [200])))
    >>> round(float(np.exp(log[0])), 4), round(float(error[0]), 4)
    (0.2222, 0.2179)
    """
    pairs = (sides.size, sides.rate), (sides.size_rest, sides.rate_rest)
    counts = np.stack([n * part for n, rate in pairs for part in (rate, 1 - rate)])
    a, b, c, d = counts + np.where(counts.min(0) <= 0, 0.5, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own, rest = (p * q / (p + q) ** 2 for p, q in ((a, b), (c, d)))
        shared = 2 * sides.covariance / np.sqrt(own * rest)
        error = np.sqrt(np.maximum(1 / a + 1 / b + 1 / c + 1 / d - shared, 0.0))
        return np.log(a * d / (b * c)), error


def lean_quantile(confidence: float, df: ArrayLike, lean: ArrayLike = 0.0) -> Floats:
    """How many standard errors reach a confidence, where the error grows with the difference.

    With V the squared error and D the difference, V = V' + lean · D² in expectation, and D² / V'
    is that of t: so D² / V stays below 1 / lean, and its quantile below Student's.

    >>> lean_quantile(0.95, [5.0, 5.0], [0.0, 0.1]).round(2).tolist()
    [2.57, 2.06]
    """
    t = floats(t_quantile(confidence, np.nan_to_num(floats(df), posinf=np.inf)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 1 / np.sqrt((1 - floats(lean)) / t**2 + floats(lean))
    return np.where(np.isfinite(t), found, t)


def lean_p(z: ArrayLike, df: ArrayLike, lean: ArrayLike = 0.0) -> Floats:
    """Two-sided p of a difference of z standard errors; 1 where df is 0. See `lean_quantile`.

    >>> lean_p([2.571, 2.062], [5.0, 5.0], [0.0, 0.1]).round(3).tolist()
    [0.05, 0.049]
    """
    z, df, lean = floats(z), floats(df), floats(lean)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = 1 - lean * z**2
        t = np.where(left > 0, z * np.sqrt((1 - lean) / left), np.inf)
    tail = np.where(df > 1e12, special.ndtr(-t), special.stdtr(np.clip(df, 1e-3, 1e12), -t))
    return np.where(df > 0, np.minimum(2 * tail, 1.0), 1.0)


class MeanDifference(NamedTuple):
    """Differences of two means with 95 % intervals (arrays); `df` 0 = nothing is known."""

    difference: Floats
    low: Floats
    high: Floats
    df: Floats


def compare_means(
    sums: tuple[ArrayLike, ArrayLike],
    sums_rest: tuple[ArrayLike, ArrayLike],
    variances: tuple[ArrayLike, ArrayLike],
    *,
    withhold: bool = False,
) -> MeanDifference:
    """Difference of two means of clustered documents, with t's interval (arrays).

    Few and unequal clusters are corrected for as with rates; see `effective_sides`.

    Args:
        sums: Sums of the values and documents of each cluster: last axis = cluster.
        sums_rest: The same of the rest.
        variances: Of the documents of either side.
        withhold: As of `effective_sides`.

    >>> n = [10.0] * 4
    >>> found = compare_means(([9, 11, 8, 12], n), ([19, 21, 18, 22], n), ([1.0], [1.0]))
    >>> [round(float(v), 1) for v in (found.difference[0], found.low[0], found.high[0])]
    [-1.0, -1.4, -0.6]
    """
    pair = clustered_pair(*sums, *sums_rest)
    difference = np.atleast_1d(pair.rate - pair.rate_rest)
    # A mean is the rate of documents that are hit in part: of variance `dispersion` / 4.
    spread = [4 * np.maximum(floats(v), 1e-24 * (1 + difference**2)) for v in variances]
    half = np.full(difference.shape, 0.5)
    pair = replace(pair, rate=half, rate_rest=half, dispersion=spread[0], dispersion_rest=spread[1])
    sides = effective_sides(pair, withhold=withhold)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = 1 / sides.size + 1 / sides.size_rest - 2 * sides.covariance
        reach = lean_quantile(0.95, sides.df, sides.lean) * np.sqrt(np.maximum(parts, 0.0)) / 2
    reach = np.where(sides.df > 0, reach, np.inf)
    return MeanDifference(difference, difference - reach, difference + reach, sides.df)


def cluster_influence(sums: ArrayLike, sizes: ArrayLike) -> Floats:
    """How far each cluster, left out, moves a mean: (y − m n) / (N − n), one number a cluster.

    >>> cluster_influence([1.0, 0.0, 2.0], [10.0, 10.0, 10.0]).round(3).tolist()
    [0.0, -0.05, 0.05]
    """
    y, n = floats(sums), floats(sizes)
    total = n.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (y - y.sum() / total * n) / (total - n)
    return np.where(n > 0, moved, 0.0)


def difference_of_means(
    difference: float,
    own: Floats,
    rest: Floats,
    clusters: tuple[float, float],
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Interval of a difference of two means from the influences of clusters on each.

    Clusters that hold documents of both sides count once: their parts cancel where they move both
    means alike. t with Satterthwaite's degrees of freedom of the two sides.

    Args:
        difference: The estimate.
        own: Influence of every cluster on the one mean, 0 where it has no part in it.
        rest: The same for the other mean.
        clusters: How many (effective) clusters each mean has documents of; below two nothing is
            known.
        confidence: Of the interval.

    >>> one, two = np.array([0.1, -0.1, 0.0, 0.0]), np.array([0.0, 0.0, 0.2, -0.2])
    >>> found = difference_of_means(1.0, one, two, (2, 2))
    >>> round(found.standard_error, 3), round(found.degrees_of_freedom, 2)
    (0.224, 1.47)
    """
    if min(clusters) < 2 or not np.isfinite(difference):
        return t_estimate(difference, float("nan"), 0.0, confidence)
    shrink = [(g - 1) / g for g in clusters]
    parts = [s * float((z**2).sum()) for s, z in zip(shrink, (own, rest), strict=True)]
    _, df = satterthwaite(parts, [g - 1.0 for g in clusters])
    both = (own != 0) & (rest != 0)
    together = float(np.sqrt(shrink[0] * shrink[1]) * 2 * (own * rest)[both].sum())
    df = min(df, float(((own != 0) | (rest != 0)).sum()) - 1)
    error = float(np.sqrt(max(sum(parts) - together, 0.0)))
    return t_estimate(difference, error, max(df, 1.0), confidence)
