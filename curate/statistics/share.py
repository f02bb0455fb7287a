"""One share, or one mean, of documents that come in clusters.

A share has Wilson's interval with the number of documents divided by the design effect (Korn &
Graubard 1998) and t; a mean has t's. As in `curate.statistics.sandwich`, few and unequal clusters
are corrected for under a working model (documents of a cluster share one correlation), whose own
variance is averaged in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from curate.arrays import Floats, floats
from curate.errors import ConfigError
from curate.statistics.clustered import lean_quantile
from curate.statistics.intervals import Estimate, t_estimate, t_quantile

# As much as clusters with so many degrees of freedom would weigh, and where the model is wrong.
_MODEL_WEIGHT = 10.0
_REFUTED = 0.05
# The least variance of the model, in variances of documents that are each by themselves: half of
# it left the truth out in 1-3 % only of few clusters without correlation.
_LEAST_VARIANCE = 0.05
#: Below so many degrees of freedom, at the correlation `_PLANNED`, the error of a share or mean is
#: not known: `LEAST_DF` of the comparisons of two asks for more.
LEAST_DF_OF_ONE = 2.5
_PLANNED = 0.1


class Shares(NamedTuple):
    """Shares with their intervals, effective sizes and degrees of freedom (arrays)."""

    share: Floats
    low: Floats
    high: Floats
    size: Floats
    df: Floats

    def estimates(self) -> list[Estimate]:
        """One estimate a share.

        >>> clustered_shares([[1.0] * 4], [[2.0] * 4]).estimates()[0].estimate
        0.5
        """
        rows = zip(*(np.atleast_1d(v).tolist() for v in self), strict=True)
        return [_estimate(share, low, high, (size, df)) for share, low, high, size, df in rows]


def clustered_shares(
    hits: ArrayLike, sizes: ArrayLike, *, documents: ArrayLike | None = None, level: float = 0.95
) -> Shares:
    """Shares from sums per cluster: last axis = cluster, one entry of each array a cluster.

    No document gives NaN in [0, 1]; so few or unequal clusters that an error is not known
    (`LEAST_DF_OF_ONE`, by sizes alone) give [0, 1]. Where all documents met one fate no variance
    is seen: then there are as many trials as effective clusters.

    Args:
        hits: Documents (or weight) that were hit, a cluster.
        sizes: All documents (or weight), a cluster; 0 = none there.
        documents: (Sum of weights)² / sum of squared weights, where documents are weighted.
        level: Confidence of each interval.

    >>> found = clustered_shares([3.0, 5.0, 4.0, 8.0], [10.0, 10.0, 10.0, 10.0])
    >>> [round(float(x), 3) for x in (found.share, found.low, found.high)]
    [0.5, 0.217, 0.783]
    """
    x, n = np.broadcast_arrays(*map(floats, (hits, sizes)))
    if (x < 0).any() or (x > n * (1 + 1e-9)).any():
        raise ConfigError("hits of a cluster must lie between 0 and its size")
    total, clusters = n.sum(-1), (n > 0).sum(-1)
    size = total if documents is None else floats(documents)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = x.sum(-1) / total
        spread = (((x - share[..., None] * n) / total[..., None]) ** 2).sum(-1)
        powers = [((n / total[..., None]) ** k).sum(-1) for k in range(6)]
    return shares_of(share, spread, size, powers=powers, clusters=clusters, level=level)


def shares_of(  # noqa: PLR0913 - the sums that tell an error
    share: Floats,
    spread: Floats,
    size: Floats,
    *,
    powers: Sequence[Floats],
    clusters: ArrayLike,
    level: float = 0.95,
) -> Shares:
    """Shares from what `clustered_shares` sums up over clusters.

    Args:
        share: The shares.
        spread: Sums of squared influences of clusters.
        size: Documents (effective, where they are weighted).
        powers: Sums over clusters of (cluster's part of all documents)^k, k from 0 to 5.
        clusters: How many there are.
        level: Confidence of each interval.

    >>> powers = [np.array(10.0**(1 - k)) for k in range(6)]
    >>> sums = np.array(0.8), np.array(0.016), np.array(10.0)
    >>> found = shares_of(*sums, powers=powers, clusters=10)
    >>> round(float(found.low), 4), round(float(found.high), 4)
    (0.4902, 0.9433)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        alone_spread = np.where(share * (1 - share) > 0, share * (1 - share), np.nan)
        found = _effective(spread / alone_spread, size, powers)
        known = _enough(size, powers)
    # Documents each by itself: the binomial distribution itself.
    alone = (np.asarray(clusters) > 1) & (np.asarray(clusters) == size)
    size = np.where(alone, size, found[0])
    df = np.where(alone, np.inf, np.where(known, found[1], 0.0))
    reach = lean_quantile(level, df, np.where(alone, 0.0, found[2]))
    low, high = _wilson(share, size, reach)
    return Shares(share=share, low=low, high=high, size=size, df=df)


def clustered_share(
    hit: ArrayLike,
    cluster: NDArray[Any] | Sequence[Any] | None = None,
    *,
    weight: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Share of documents (or of their weight) that were hit; `cluster` = one name a document.

    Without clusters every document is by itself, and the interval is Wilson's.

    >>> found = clustered_share([1, 1, 1, 1, 0, 0, 0, 0], ["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> [round(x, 2) for x in (found.estimate, found.low, found.high)]
    [0.5, 0.07, 0.93]
    """
    x = floats(hit)
    w = np.ones(x.size) if weight is None else floats(weight)
    codes = np.arange(x.size) if cluster is None else np.asarray(cluster)
    codes = np.unique(codes, return_inverse=True)[1]
    if not codes.size or not w.sum() > 0:
        return _estimate(float("nan"), 0.0, 1.0, (0.0, 0.0))
    sums = np.bincount(codes, x * w), np.bincount(codes, w)
    found = clustered_shares(*sums, documents=w.sum() ** 2 / (w**2).sum(), level=level)
    return found.estimates()[0]


def clustered_mean(
    values: ArrayLike, cluster: NDArray[Any] | Sequence[Any], *, level: float = 0.95
) -> Estimate:
    """Mean of documents in clusters with a t interval; `cluster` = one name a document.

    Clusters that do not tell an error (`clustered_means`) give an infinite interval, no document
    gives NaN.

    >>> found = clustered_mean([1.0, 1.2, 2.0, 2.2, 3.0, 3.1, 2.0, 2.0], [*"aabbccdd"])
    >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
    (2.06, 0.92, 3.21)
    """
    x, codes = floats(values), np.unique(np.asarray(cluster), return_inverse=True)[1]
    n = np.bincount(codes)
    if n.size < 2:
        return t_estimate(float(x.mean()) if x.size else np.nan, float("nan"), 0, level)
    found = clustered_means(np.bincount(codes, x - x.mean()), n, x.var(), level=level)
    return t_estimate(float(x.mean()), float(found.error), float(found.df), level)


class Means(NamedTuple):
    """Means with the errors and degrees of freedom of their t intervals (arrays)."""

    mean: Floats
    error: Floats
    df: Floats


def clustered_means(
    sums: ArrayLike, sizes: ArrayLike, variance: ArrayLike, *, level: float = 0.95
) -> Means:
    """Means from sums per cluster: last axis = cluster; `variance` is that of the documents.

    Where clusters are too few to know (`LEAST_DF_OF_ONE`) the error is NaN and df 0.

    >>> found = clustered_means([10.0, 12.0, 14.0, 8.0], [10.0] * 4, 1.0)
    >>> round(float(found.mean), 2), round(float(found.error), 2), round(float(found.df))
    (1.1, 0.13, 3)
    """
    y, n = floats(sums), floats(sizes)
    total, alone, clusters = n.sum(-1), floats(variance), (n > 0).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = y.sum(-1) / total
        spread = (((y - mean[..., None] * n) / total[..., None]) ** 2).sum(-1)
        powers = [((n / total[..., None]) ** k).sum(-1) for k in range(6)]
        size, df, lean = _effective(np.where(alone > 0, spread / alone, np.nan), total, powers)
        # An error by which Student's t reaches as far as the quantile of the leaning variance.
        error = np.sqrt(alone / size) * lean_quantile(level, df, lean) / t_quantile(level, df)
        plain = ~(alone > 0) | (clusters == total)
        df = np.where(plain, clusters - 1.0, np.where(_enough(total, powers), df, 0.0))
        error = np.where(plain, np.sqrt(spread * clusters / (clusters - 1.0)), error)
    return Means(mean, np.where(df > 0, error, np.nan), df)


def _estimate(share: float, low: float, high: float, size: tuple[float, float]) -> Estimate:
    error = float(np.sqrt(share * (1 - share) / size[0])) if size[0] > 0 else float("nan")
    return Estimate(
        estimate=share, low=low, high=high, standard_error=error, degrees_of_freedom=size[1]
    )


def _enough(n: Floats, powers: Sequence[Floats]) -> NDArray[np.bool_]:
    """Whether clusters of these sizes would tell an error at the correlation planned for."""
    mean, noise = _expected(n, powers, floats(_PLANNED))
    return np.asarray(mean**2 / noise >= LEAST_DF_OF_ONE)


def _expected(n: Floats, powers: Sequence[Floats], alike: Floats) -> tuple[Floats, Floats]:
    """Mean, and half the variance, of a sum of squared influences at this correlation."""
    _, _, p2, p3, p4, p5 = powers
    # Traces of B, B², B³, B⁴ where influences are B times the means of clusters.
    one, two = 1 - p2, p2 - 2 * p3 + p2**2
    three = p3 - 3 * p4 + 3 * p2 * p3 - p2**3
    four = p4 - 4 * p5 + 4 * p4 * p2 + 2 * p3**2 - 4 * p3 * p2**2 + p2**4
    left = (1 - alike) / n
    noise = left**2 * two + 2 * alike * left * three + alike**2 * four
    return left * one + alike * two, noise


def _effective(seen: Floats, n: Floats, powers: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Effective size, degrees of freedom, and how far the variance grows with the error.

    `seen` is the sum of squared influences in variances of one document, NaN if nothing varies.
    """
    p2, p3, p4 = powers[2:5]
    one, two = _expected(n, powers, floats(0.0))[0] * n, _expected(n, powers, floats(1.0))[0]
    # Nothing tells clusters from documents where each cluster is one.
    apart = np.where(two > (1 + 1e-9) * one / n, two - one / n, np.inf)
    least = (_LEAST_VARIANCE - 1) * (one / n) / apart
    raw = np.clip((seen - one / n) / apart, least, 1.0)
    alike = np.maximum(raw, 0.0)
    true = (1 - alike) / n + alike * p2
    mean, noise = _expected(n, powers, alike)
    df = mean**2 / noise
    lean = alike**2 * np.maximum(p4 - 2 * p2 * p3 + p2**3, 0.0) / (true * mean)
    by_clusters = seen * true / mean
    model = np.maximum((1 - raw) / n + raw * p2, _LEAST_VARIANCE / n)
    weight = df / (df + _MODEL_WEIGHT)
    refuted = special.fdtrc(df, 1e9, by_clusters / model) < _REFUTED
    weight = np.where(refuted, 1.0, weight)
    size = 1 / (weight * by_clusters + (1 - weight) * model)
    # Both variances grow with the one sum of squares, the model's by its slope.
    slope = (p2 - 1 / n) / apart * mean / true
    df = df / (weight + (1 - weight) * slope) ** 2
    known = np.isfinite(size)
    return (
        np.where(known, size, 1 / p2),
        np.where(known, df, 1 / p2 - 1),
        np.where(known, np.clip(np.nan_to_num(lean), 0.0, 0.99), 0.0),
    )


def _wilson(share: Floats, size: Floats, reach: Floats) -> tuple[Floats, Floats]:
    with np.errstate(invalid="ignore"):
        z2 = reach**2
        middle = (share + z2 / (2 * size)) / (1 + z2 / size)
        half = np.sqrt(z2 / size * (share * (1 - share) + z2 / (4 * size))) / (1 + z2 / size)
        low, high = (
            np.clip(np.nan_to_num(end, nan=open_end), 0.0, 1.0)
            for end, open_end in ((middle - half, 0.0), (middle + half, 1.0))
        )
    return np.where(share == 0, 0.0, low), np.where(share == 1, 1.0, high)
