"""What clusters say about a difference of two rates: variance, degrees of freedom, design effects.

The variance is that of the clusters' influences, with what both sides of a cluster share
subtracted. Few or unequal clusters make such a sum too small, too noisy, and dependent on the
difference that it judges. All three are known under a working model (documents of a cluster
share one correlation), which is what Bell & McCaffrey (2002) correct by, and Satterthwaite's
degrees of freedom follow (Imbens & Kolesár 2016; Pustejovsky & Tipton 2018). The price: with a
dozen clusters the variance leans on that model, and less the more clusters there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from curate.arrays import Floats, floats
from curate.statistics._polynomials import Polynomial, plus, scaled, summed, times
from curate.statistics.pairs import ClusteredPair, Sides

# The working model weighs as much as clusters with so many degrees of freedom would.
_MODEL_WEIGHT = 10.0
# Where the clusters' variance exceeds the model's by what happens so rarely, it stands alone.
_REFUTED = 0.05
#: Below so many degrees of freedom, at the correlation `_PLANNED`, an audit does not tell,
LEAST_DF = 3.5
_PLANNED = 0.1
#: nor where fewer clusters make the variance, counted as so many of equal part.
LEAST_CLUSTERS = 4.0


def effective_sides(pair: ClusteredPair, *, withhold: bool = False) -> Sides:
    """Effective sizes (documents / design effect; Rao & Scott 1992), covariance, df and lean.

    Both the clusters' influences, corrected as the module says, and the working model at the
    correlation that was found give a variance; they are averaged with the weights df and 10,
    unless the clusters' is so much the larger that the model must be wrong.
    Fewer than two effective clusters on a side (1 / sum of squared shares) give df 0: nothing is
    known. So do, to `withhold` what would not hold, fewer than `LEAST_DF` degrees of freedom, or
    a variance that fewer than `LEAST_CLUSTERS` clusters make, at an intraclass correlation of .1.
    Sizes alone decide, whatever the corpus shows: who withholds by what was found keeps the
    extreme.

    >>> from curate.statistics import clustered_pair
    >>> found = clustered_pair([0, 20, 0, 20], [20] * 4, [10, 10, 11, 9], [20] * 4)
    >>> sides = effective_sides(found)
    >>> bool(sides.size < sides.size_rest), round(float(sides.df), 1)
    (True, 3.0)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _effective_sides(pair, withhold=withhold)


def _effective_sides(pair: ClusteredPair, *, withhold: bool) -> Sides:
    alike = _Alike.found(pair)
    moments = _moments(pair, alike.kept)
    by_clusters, by_model = _by_clusters(pair, moments.correction), _by_model(pair, alike.raw)
    w = moments.df / (moments.df + _MODEL_WEIGHT)
    beyond = _variance(pair, by_clusters) / _variance(pair, by_model)
    refuted = special.fdtrc(moments.df, np.fmin(moments.df_model, 1e9), beyond) < _REFUTED
    w = np.where(refuted | np.isnan(w), 1.0, w)
    effect, effect_rest, shared = (
        _blend(*pair_of, w) for pair_of in zip(by_clusters, by_model, strict=True)
    )
    df = 1 / (w**2 / moments.df + (1 - w**2) / np.fmax(moments.df_model, moments.df))
    size, size_rest = pair.size / effect, pair.size_rest / effect_rest
    # No more than the two errors allow.
    most = 0.98 / np.sqrt(size * size_rest)
    parts = np.sqrt(pair.dispersion * floats(pair.dispersion_rest))
    largest = np.maximum(pair.powers[2, 0], pair.powers[0, 2])
    known = np.asarray(2 * largest < 1 + 1e-9) & (_told(pair) if withhold else True)
    return Sides(
        rate=pair.rate,
        rate_rest=pair.rate_rest,
        size=np.asarray(size / pair.dispersion),
        size_rest=np.asarray(size_rest / pair.dispersion_rest),
        documents=pair.size,
        documents_rest=pair.size_rest,
        covariance=np.nan_to_num(np.clip(shared, -most, most)) * parts,
        df=np.where(known, np.nan_to_num(df, nan=0.0, posinf=np.inf), 0.0),
        lean=np.where(known, np.clip(np.nan_to_num(moments.lean), 0.0, 0.99), 0.0),
    )


def _told(pair: ClusteredPair) -> NDArray[np.bool_]:
    """Whether sizes are such that an audit may speak."""
    planned = np.full_like(pair.rate, _PLANNED)
    few = _moments(pair, planned).df < LEAST_DF
    return np.asarray(~few & (_counting(pair, planned) > LEAST_CLUSTERS - 1e-9))


def _counting(pair: ClusteredPair, alike: Floats) -> Floats:
    """How many clusters count: (Σ v)² / Σ v² of their parts v of the difference's variance."""
    alone = [(1 - alike) / size for size in (pair.size, pair.size_rest)]
    part: Polynomial = {(1, 0): alone[0], (0, 1): alone[1]}
    part |= {(2, 0): alike, (1, 1): -2 * alike, (0, 2): alike}
    return np.asarray(summed(part, pair.powers) ** 2 / summed(times(part, part), pair.powers))


class _Effects(NamedTuple):
    """Design effects of both sides, and the covariance of both rates."""

    own: Floats
    rest: Floats
    shared: Floats


def _by_clusters(pair: ClusteredPair, correction: Floats) -> _Effects:
    scale, scale_rest = (correction / (1 - pair.powers[k]) for k in ((2, 0), (0, 2)))
    own, rest = _spreads(pair)
    return _Effects(
        scale * pair.spread * pair.size / own,
        scale_rest * pair.spread_rest * pair.size_rest / rest,
        np.sqrt(scale * scale_rest) * pair.shared / np.sqrt(own * rest),
    )


def _by_model(pair: ClusteredPair, alike: Floats) -> _Effects:
    square, square_rest, mixed = (pair.powers[k] for k in ((2, 0), (0, 2), (1, 1)))
    return _Effects(
        1 + alike * (square * pair.size - 1),
        1 + alike * (square_rest * pair.size_rest - 1),
        alike * mixed,
    )


def _variance(pair: ClusteredPair, effects: _Effects) -> Floats:
    """Of the difference, in variances of one document."""
    return effects.own / pair.size + effects.rest / pair.size_rest - 2 * effects.shared


def _blend(by_clusters: Floats, by_model: Floats, weight: Floats) -> Floats:
    """Weighted mean; where all documents of a side met one fate, the model alone."""
    weight = np.where(np.isfinite(by_clusters), weight, 0.0)
    return weight * np.where(weight > 0, by_clusters, 0.0) + (1 - weight) * by_model


def _spreads(pair: ClusteredPair) -> tuple[Floats, Floats]:
    """Variance of one document on either side."""
    sides = ((pair.rate, pair.dispersion), (pair.rate_rest, pair.dispersion_rest))
    own, rest = (np.asarray(rate * (1 - rate) * by) for rate, by in sides)
    return own, rest


class _Alike(NamedTuple):
    """Intraclass correlation from residuals of both sides: `raw` can be negative, `kept` not."""

    raw: Floats
    kept: Floats

    @classmethod
    def found(cls, pair: ClusteredPair) -> _Alike:
        n, m = pair.size, pair.size_rest
        alone, whole = _residuals(pair)
        own, rest = _spreads(pair)
        seen = n**2 * pair.spread + m**2 * pair.spread_rest + 2 * n * m * pair.shared
        seen = seen * (n + m) / (n * own + m * rest)
        some = whole - alone > 1e-9 * alone
        raw = np.where(some, (seen - alone) / np.where(some, whole - alone, 1.0), 0.0)
        # Far below 0 the model's variance would vanish.
        least = -0.5 * alone / np.where(some, whole - alone, 1.0)
        raw = np.nan_to_num(np.clip(raw, least, 1.0))
        return cls(raw, np.maximum(raw, 0.0))


def _residuals(pair: ClusteredPair) -> tuple[Floats, Floats]:
    """Expected sum of squared residuals of clusters, in documents: correlation 0, correlation 1."""
    n, m, powers = pair.size, pair.size_rest, pair.powers
    size: Polynomial = {(1, 0): n, (0, 1): m}
    square, square_rest, mixed = powers[2, 0], powers[0, 2], powers[1, 1]
    within = n * summed(times(size, _S, _S), powers) + m * summed(times(size, _T, _T), powers)
    beyond = (n * square) ** 2 + (m * square_rest) ** 2 + 2 * n * m * mixed**2
    alone = n * (1 - square) + m * (1 - square_rest)
    return alone, summed(times(size, size), powers) - 2 * within + beyond


class _Moments(NamedTuple):
    """Of the sum of squared influences z under the working model: what it misses and its noise.

    `correction` makes its expectation the variance; `lean` is the part of it that grows with the
    difference itself; `df` are those of the rest, `df_model` those of the model's variance.
    """

    correction: Floats
    lean: Floats
    df: Floats
    df_model: Floats


def _moments(pair: ClusteredPair, alike: Floats) -> _Moments:
    powers = pair.powers
    q, q_rest = 1 / (1 - powers[2, 0]), 1 / (1 - powers[0, 2])
    alone = 1 / pair.size + 1 / pair.size_rest
    whole = powers[2, 0] + powers[0, 2] - 2 * powers[1, 1]
    true = (1 - alike) * alone + alike * whole
    traces = _traces(pair, q, q_rest)
    mean = (1 - alike) * alone + alike * traces.mean
    square = (1 - alike) ** 2 * traces.alone + 2 * alike * (1 - alike) * traces.both
    square = square + alike**2 * traces.whole
    c, c_alone, c_whole = traces.leaning
    c = alike**2 * c
    product = alike**2 * ((1 - alike) * c_alone + alike * c_whole)
    left = mean - c / true
    noise = square - 2 * product / true + (c / true) ** 2
    low, high = _residuals(pair)
    n, m = pair.size, pair.size_rest
    sizes: Polynomial = {(1, 0): n, (0, 1): m}
    cluster = plus(scaled(sizes, 1 - alike), scaled(times(sizes, sizes), alike))
    df = summed(cluster, powers) ** 2 / summed(times(cluster, cluster), powers) - 2
    slope = true / ((1 - alike) * low + alike * high) * (high - low) / (whole - alone)
    df_model = np.nan_to_num(np.maximum(df, 0.5) * slope**2, nan=np.inf, posinf=np.inf)
    return _Moments(true / mean, c / (true * mean), left**2 / noise, df_model)


class _Traces(NamedTuple):
    """Traces of the covariance K of z: (1 − ρ) K0 + ρ K1, and its products with Cov(z, rates).

    `mean` of K1 (that of K0 is 1/n + 1/m), `alone` of K0², `both` of K0 K1, `whole` of K1²;
    `leaning` c'c, c'K0 c, c'K1 c.
    """

    mean: Floats
    alone: Floats
    both: Floats
    whole: Floats
    leaning: tuple[Floats, Floats, Floats]


_S: Polynomial = {(1, 0): np.float64(1.0)}  # type: ignore[dict-item]
_T: Polynomial = {(0, 1): np.float64(1.0)}  # type: ignore[dict-item]


def _traces(pair: ClusteredPair, q: Floats, q_rest: Floats) -> _Traces:
    """Influences: z = l (Y − s ΣY) − k (Y' − t ΣY'), with l² = q, k² = q': K1 = B B, K0 below.

    B = diag(d) − l s s' + k t t', d = l s − k t; K0 = diag(e) − u s s' − v t t'.
    """
    powers, size_l, size_k = pair.powers, np.sqrt(q), np.sqrt(q_rest)
    u, v = q / pair.size, q_rest / pair.size_rest
    ss, tt, st = powers[2, 0], powers[0, 2], powers[1, 1]
    d: Polynomial = {(1, 0): size_l, (0, 1): -size_k}
    e: Polynomial = {(1, 0): u, (0, 1): v}

    def total(*factors: Polynomial) -> Floats:
        return summed(times(*factors), powers)

    def by_b(x: Polynomial) -> Polynomial:
        parts = scaled(_S, -size_l * total(_S, x)), scaled(_T, size_k * total(_T, x))
        return plus(times(d, x), *parts)

    difference: Polynomial = {(1, 0): np.ones_like(u), (0, 1): -np.ones_like(u)}
    c = by_b(difference)
    bs, bt = by_b(_S), by_b(_T)
    diagonal = plus(
        times(d, d),
        scaled(times(d, _S, _S), -2 * size_l),
        scaled(times(d, _T, _T), 2 * size_k),
        scaled(times(_S, _S), q * ss),
        scaled(times(_T, _T), q_rest * tt),
        scaled(times(_S, _T), -2 * size_l * size_k * st),
    )
    apart = total(e, e) - 2 * u * total(e, _S, _S) - 2 * v * total(e, _T, _T)
    return _Traces(
        mean=summed(diagonal, powers),
        alone=apart + (u * ss) ** 2 + (v * tt) ** 2 + 2 * u * v * st**2,
        both=total(e, diagonal) - u * total(bs, bs) - v * total(bt, bt),
        whole=_fourth(pair, d, (size_l, size_k)),
        leaning=(
            total(c, c),
            total(e, c, c) - u * total(_S, c) ** 2 - v * total(_T, c) ** 2,
            total(by_b(c), by_b(c)),
        ),
    )


def _fourth(pair: ClusteredPair, d: Polynomial, roots: tuple[Floats, Floats]) -> Floats:
    """Trace of B⁴, from B² = diag(d²) + U M U' with U = (s, t, d s, d t)."""
    powers, (a, b) = pair.powers, roots
    columns = (_S, _T, times(d, _S), times(d, _T))
    square = times(d, d)
    shape = (*np.shape(a), 4, 4)
    core, gram, middle = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    core[..., 0, 0], core[..., 1, 1] = a * a * powers[2, 0], b * b * powers[0, 2]
    core[..., 0, 1] = core[..., 1, 0] = -a * b * powers[1, 1]
    core[..., 0, 2] = core[..., 2, 0] = -a
    core[..., 1, 3] = core[..., 3, 1] = b
    for i, one in enumerate(columns):
        for j, two in enumerate(columns[: i + 1]):
            product = times(one, two)
            gram[..., i, j] = gram[..., j, i] = summed(product, powers)
            middle[..., i, j] = middle[..., j, i] = summed(times(square, product), powers)
    low = core @ gram
    ends = 2 * (core * middle).sum((-1, -2)) + (low * np.swapaxes(low, -1, -2)).sum((-1, -2))
    return np.asarray(summed(times(square, square), powers) + ends)
