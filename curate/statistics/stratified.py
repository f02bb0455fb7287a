"""2×2 tables in strata: Mantel–Haenszel ratios, their variances, heterogeneity (arrays)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from curate.arrays import Floats, floats
from curate.errors import ConfigError

_LEAST_EXPECTED = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Strata:
    """One row a 2×2 table of one comparison in one stratum; `owner` says which comparison."""

    hit: Floats
    missed: Floats
    hit_rest: Floats
    missed_rest: Floats
    owner: NDArray[np.int64]
    comparisons: int

    @property
    def n(self) -> Floats:
        """Documents of each stratum."""
        return np.asarray(self.hit + self.missed + self.hit_rest + self.missed_rest)

    def total(self, values: Floats) -> Floats:
        """Sums of values over the strata of each comparison."""
        return np.bincount(self.owner, values, self.comparisons).astype(np.float64)


class StratifiedRatio(NamedTuple):
    """Ratios common to all strata (arrays, one a comparison), of independent documents.

    `variance` is that of the logarithm; `numerator` the sum that the ratio divides, by which
    influences on the estimating equation become influences on the logarithm.
    """

    ratio: Floats
    variance: Floats
    numerator: Floats


def strata_of(tables: ArrayLike) -> Strata:
    """The strata of one comparison from rows of (hit, missed, hit in the rest, missed there).

    >>> strata_of([[10, 20, 5, 30], [8, 8, 4, 9]]).n.tolist()
    [65.0, 29.0]
    """
    rows = floats(tables)
    if rows.ndim != 2 or rows.shape[1] != 4 or (rows < 0).any():
        raise ConfigError(f"tables of shape {rows.shape}: rows of four counts >= 0 are needed")
    hit, missed, hit_rest, missed_rest = rows.T
    owner = np.zeros(len(rows), dtype=np.int64)
    return Strata(
        hit=hit,
        missed=missed,
        hit_rest=hit_rest,
        missed_rest=missed_rest,
        owner=owner,
        comparisons=1,
    )


def stratified_odds_ratio(strata: Strata) -> StratifiedRatio:
    """Mantel–Haenszel odds ratios; variance of Robins, Breslow & Greenland (1986).

    The variance holds for few large strata and for many small ones. A ratio of 0, infinity or
    0 / 0 has no variance (NaN).

    >>> found = stratified_odds_ratio(strata_of([[10, 20, 5, 30], [8, 8, 4, 9]]))
    >>> round(float(found.ratio[0]), 3), round(float(found.variance[0]), 3)
    (2.687, 0.235)
    """
    a, b, c, d, n = strata.hit, strata.missed, strata.hit_rest, strata.missed_rest, strata.n
    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = np.nan_to_num(a * d / n), np.nan_to_num(b * c / n)
        same, other = np.nan_to_num((a + d) / n), np.nan_to_num((b + c) / n)
        R, S = strata.total(up), strata.total(down)
        variance = (
            strata.total(same * up) / (2 * R**2)
            + strata.total(same * down + other * up) / (2 * R * S)
            + strata.total(other * down) / (2 * S**2)
        )
        ratio = R / S
    return StratifiedRatio(ratio, np.where(np.isfinite(variance), variance, np.nan), R)


def stratified_rate_ratio(strata: Strata) -> StratifiedRatio:
    """Mantel–Haenszel ratios of rates; variance of Greenland & Robins (1985).

    >>> found = stratified_rate_ratio(strata_of([[10, 20, 5, 30], [8, 8, 4, 9]]))
    >>> round(float(found.ratio[0]), 3)
    1.987
    """
    a, c, n = strata.hit, strata.hit_rest, strata.n
    own, rest = a + strata.missed, c + strata.missed_rest
    with np.errstate(divide="ignore", invalid="ignore"):
        P, Q = strata.total(np.nan_to_num(a * rest / n)), strata.total(np.nan_to_num(c * own / n))
        spread = (own * rest * (a + c) - a * c * n) / n**2
        variance = strata.total(np.nan_to_num(spread)) / (P * Q)
        ratio = P / Q
    return StratifiedRatio(ratio, np.where(np.isfinite(variance), variance, np.nan), P)


class Heterogeneity(NamedTuple):
    """Breslow–Day statistics and their degrees of freedom (arrays)."""

    statistic: Floats
    df: Floats


def breslow_day(strata: Strata, ratio: Floats) -> Heterogeneity:
    """Do the strata share one odds ratio? Breslow & Day (1980) with Tarone's correction (1985).

    Strata with an expected count below 5 are left out; fewer than two strata give df 0.

    Args:
        strata: 2×2 tables.
        ratio: Common odds ratio of each comparison.

    >>> strata = strata_of([[10, 20, 5, 30], [8, 8, 9, 9]])
    >>> found = breslow_day(strata, stratified_odds_ratio(strata).ratio)
    >>> round(float(found.statistic[0]), 3), float(found.df[0])
    (1.423, 1.0)
    """
    found = common_odds(strata, ratio)
    used = found.variance > 0
    beyond = np.where(used, strata.hit - found.expected, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(used, beyond**2 / found.variance, 0.0)
        together = strata.total(beyond) ** 2 / strata.total(found.variance)
    df = np.maximum(strata.total(used.astype(np.float64)) - 1, 0.0)
    statistic = strata.total(each) - np.nan_to_num(together)
    return Heterogeneity(np.where(df > 0, np.maximum(statistic, 0.0), np.nan), df)


class CommonOdds(NamedTuple):
    """What one common odds ratio predicts of each stratum (arrays, one entry a stratum).

    `expected` hits of the group; their `variance`, which is also the information on the log odds
    ratio and 0 where an expected count is below 5; `rate` and `rate_rest` of hits.
    """

    expected: Floats
    variance: Floats
    rate: Floats
    rate_rest: Floats


def common_odds(strata: Strata, ratio: Floats) -> CommonOdds:
    """Expected hits of each stratum, given its margins and an odds ratio.

    >>> found = common_odds(strata_of([[30, 70, 20, 80]]), np.array([1.0]))
    >>> float(found.expected[0]), float(found.rate[0]), float(found.variance[0])
    (25.0, 0.25, 9.375)
    """
    expected = _expected_hits(strata, ratio[strata.owner])
    own, hits = strata.hit + strata.missed, strata.hit + strata.hit_rest
    cells = np.stack([expected, own - expected, hits - expected, strata.n - own - hits + expected])
    used = np.isfinite(expected) & (cells >= _LEAST_EXPECTED).all(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(used, 1 / (1 / cells).sum(0), 0.0)
        rates = expected / own, (hits - expected) / (strata.n - own)
    return CommonOdds(expected, variance, *rates)


def _expected_hits(strata: Strata, ratio: Floats) -> Floats:
    """Hits of the group that its margins and the odds ratio predict: a root of a quadratic."""
    own, hits = strata.hit + strata.missed, strata.hit + strata.hit_rest
    # A ratio of infinity predicts nothing (NaN): its strata are left out.
    with np.errstate(divide="ignore", invalid="ignore"):
        a = 1 - ratio
        b = strata.n - own - hits + ratio * (own + hits)
        c = -ratio * own * hits
        root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
        return np.asarray(-2 * c / (b + root))


def heterogeneity_p(
    statistic: Floats, df: Floats, expected: ArrayLike = 0.0, df_expected: ArrayLike = np.inf
) -> Floats:
    """Upper tail of a heterogeneity statistic: χ² of independent documents, F of clusters.

    With clusters the statistic is the squared length of a sum over them. What it is `expected`
    to be is estimated from their squared lengths; the ratio is that of F (Dempster 1958).
    NaN as an expectation says that clusters are too few to tell.

    >>> [round(float(p), 3) for p in heterogeneity_p(np.full(2, 3.84), np.ones(2))]
    [0.05, 0.05]
    >>> round(float(heterogeneity_p(np.array([3.84]), np.ones(1), 2.0, 30)[0]), 3)
    0.176
    """
    length, noise = (np.broadcast_to(floats(v), df.shape) for v in (expected, df_expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        by_chi = special.chdtrc(df, statistic)
        by_f = special.fdtrc(df, np.clip(noise, 1e-3, 1e12), statistic / length)
    p = np.where(length == 0, by_chi, by_f)
    return np.where(df > 0, p, np.nan)
