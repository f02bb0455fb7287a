"""Ratio of two rates where documents come in clusters: design effects and the score test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from curate.statistics.intervals import (
    Estimate,
    Floats,
    floats,
    satterthwaite,
    t_estimate,
    t_quantile,
)
from curate.statistics.ratios import half_corrected_ratio, score_ratio_bounds


class Share(NamedTuple):
    """Shares of several groups (arrays): rate, effective size in documents, t's df."""

    rate: Floats
    size: Floats
    df: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusteredShare:
    """Shares of several groups and what their clusters say about their error (arrays).

    `size` is (sum of weights)² / sum of squared weights: the documents, where all weigh the
    same. `cluster_size` is in the same unit the size of a typical document's cluster.
    `variance` is the jackknife's over clusters, NaN where there are fewer than two.
    `dispersion` is the documents' variance over that of documents which are hit whole or not at
    all: 1, or less where a hit can be a part of a document.
    """

    rate: Floats
    size: Floats
    variance: Floats
    clusters: Floats
    cluster_size: Floats
    dispersion: Floats | float = 1.0


def clustered_share(hits: ArrayLike, weights: ArrayLike) -> ClusteredShare:
    """Shares from sums per cluster: last axis = cluster, every document weighing 1.

    The variance deletes one cluster at a time: var = (G − 1) / G · Σ ((x − r n) / (N − n))²,
    which does not flatter few or unequal clusters as the plain linearisation does.

    >>> found = clustered_share([1.0, 0.0, 2.0], [10.0, 10.0, 10.0])
    >>> float(found.rate), float(found.clusters), round(float(found.variance), 5)
    (0.1, 3.0, 0.00333)
    """
    x, n = floats(hits), floats(weights)
    total = n.sum(-1)
    clusters = (n > 0).sum(-1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = x.sum(-1) / total
        influence = (x - rate[..., None] * n) / (total[..., None] - n)
        variance = (clusters - 1) / clusters * (influence**2).sum(-1)
        return ClusteredShare(
            rate=rate,
            size=total,
            variance=np.where(clusters > 1, variance, np.nan),
            clusters=clusters,
            cluster_size=(n**2).sum(-1) / total,
        )


def adjust_for_design(group: ClusteredShare, rest: ClusteredShare) -> tuple[Share, Share]:
    """Effective sizes of two groups (Rao & Scott 1992): documents / design effect.

    The design effect of each is the larger of its own and the one that the intraclass
    correlation of both together predicts for its cluster sizes, and at least 1. Few clusters
    that happen to agree would otherwise pass for certainty; the price is a test that rejects
    2-5 % of nulls instead of 5 %.

    >>> one = clustered_share([0.0, 20.0, 0.0, 20.0], [20.0] * 4)
    >>> two = clustered_share([10.0, 10.0, 11.0, 9.0], [20.0] * 4)
    >>> [round(float(share.size), 2) for share in adjust_for_design(one, two)]
    [3.0, 5.97]
    """
    own, other = _design_effect(group), _design_effect(rest)
    weight, weight_rest = (np.maximum(s.clusters - 1, 0) for s in (group, rest))
    known = np.stack([_intraclass(own, group), _intraclass(other, rest)])
    parts = np.stack([weight, weight_rest]) * ~np.isnan(known)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (np.nan_to_num(known) * parts).sum(0) / parts.sum(0)
    correlation = np.clip(np.nan_to_num(pooled), 0.0, 1.0)
    return _effective(group, own, correlation), _effective(rest, other, correlation)


def _design_effect(share: ClusteredShare) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        wholes = share.rate * (1 - share.rate) * share.dispersion
        effect = share.variance * share.size / wholes
    return np.where(np.isfinite(effect), effect, np.nan)


def _intraclass(effect: Floats, share: ClusteredShare) -> Floats:
    beyond = share.cluster_size - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(beyond > 1e-9, (effect - 1) / beyond, np.nan)


def _effective(share: ClusteredShare, own: Floats, correlation: Floats) -> Share:
    predicted = 1 + np.maximum(share.cluster_size - 1, 0.0) * correlation
    effect = np.maximum(np.fmax(own, predicted), 1.0)
    return Share(share.rate, share.size / (effect * share.dispersion), share.clusters - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateComparison:
    """Rate of a group over the rate of the rest: ratio, interval and two-sided p (arrays)."""

    ratio: Floats
    low: Floats
    high: Floats
    p: Floats
    df: Floats


def compare_rates(group: Share, rest: Share, confidence: float = 0.95) -> RateComparison:
    """Ratio of two rates: score interval and the score test it inverts (Koopman 1984).

    Counts are effective counts, so that t with Satterthwaite's degrees of freedom and the
    design effects stand in for the normal where documents come in clusters. The interval
    leaves 1 out exactly where p < 1 − confidence. Where a rate is 0 the ratio's estimate is
    ½-corrected and one end is 0 or infinite; no removals at all give (0, ∞) and p = 1.

    >>> group = Share(np.array([0.4]), np.array([200.0]), np.array([np.inf]))
    >>> rest = Share(np.array([0.75]), np.array([200.0]), np.array([np.inf]))
    >>> found = compare_rates(group, rest)
    >>> [round(float(x[0]), 3) for x in (found.ratio, found.low, found.high)]
    [0.533, 0.439, 0.64]
    """
    rates, sizes = (group.rate, rest.rate), (group.size, rest.size)
    pooled = (group.rate * group.size + rest.rate * rest.size) / (group.size + rest.size)
    parts = np.stack([pooled * (1 - pooled) / group.size, pooled * (1 - pooled) / rest.size])
    df = _satterthwaite_rows(parts, np.stack([group.df, rest.df]))
    low, high = score_ratio_bounds(rates, sizes, t_quantile(confidence, df))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(group.rate - rest.rate) / np.sqrt(parts.sum(0))
    z = np.where(group.rate == rest.rate, 0.0, z)
    tail = np.where(df > 1e12, special.ndtr(-z), special.stdtr(np.clip(df, 1e-3, 1e12), -z))
    p = np.where(df > 0, np.minimum(2 * tail, 1.0), 1.0)
    return RateComparison(ratio=half_corrected_ratio(rates, sizes), low=low, high=high, p=p, df=df)


def _satterthwaite_rows(parts: Floats, dfs: Floats) -> Floats:
    """Degrees of freedom of the sum of each column's variance components."""
    with np.errstate(divide="ignore", invalid="ignore"):
        df = parts.sum(0) ** 2 / (parts**2 / dfs).sum(0)
    return np.where((dfs > 0).all(0), np.where(parts.sum(0) > 0, df, np.inf), 0.0)


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
    clusters: tuple[int, int],
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
        clusters: How many clusters each mean has documents of; below two nothing is known.
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
