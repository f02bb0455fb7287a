"""Mantel–Haenszel ratios of every (step, group), stratified and refined until they stand still.

The strata that are used are the finest that still compare something, one choice a (step,
group): the finest set of variables that leaves at least `MIN_INFORMATIVE` documents in strata
where both sides and both fates occur, and at least half of the group's that the coarsest set
compares; then ever narrower bins, until the log odds ratio moves by less than `STILL`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.audits._kernels import clustered_influence
from curate.audits._strata import Level, levels_of
from curate.statistics import (
    Heterogeneity,
    Strata,
    StratifiedRatio,
    breslow_day,
    heterogeneity_p,
    stratified_odds_ratio,
    stratified_rate_ratio,
    t_quantile,
)

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]

STILL = 0.02
MIN_INFORMATIVE = 1000
ADJUSTED = (
    "adjusted_removal_ratio",
    "adjusted_removal_ratio_low",
    "adjusted_removal_ratio_high",
    "adjusted_odds_ratio",
    "adjusted_odds_ratio_low",
    "adjusted_odds_ratio_high",
    "heterogeneity_p",
    "adjusted_for",
    "strata",
    "informative_documents",
)
SCHEMA = dict.fromkeys(ADJUSTED, pl.Float64) | {
    "adjusted_for": pl.String,
    "strata": pl.Int64,
    "informative_documents": pl.Int64,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Documents:
    """Groups of the documents, sorted by cluster.

    `first` bounds the clusters of several documents, all others follow; without any `first`
    every document is by itself.
    """

    group: Codes
    groups: int
    first: Codes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """What one level says of all groups at one step."""

    tables: Strata
    alone: Strata
    odds: StratifiedRatio
    rates: StratifiedRatio
    informative: Floats
    own: Floats
    compared: Floats


_FitOf = Callable[[int, int], _Fit]


def adjusted_rows(
    frame: pl.DataFrame,
    group: Codes,
    failed: Mapping[str, Bools],
    *,
    variables: Sequence[str],
    cluster: Codes | None,
) -> pl.DataFrame:
    """The columns `ADJUSTED`, one row a (step, group), steps first; null where undefined.

    Args:
        frame: Holds the variables, one row a document.
        group: Code of each document's group.
        failed: Whether each document failed, by step.
        variables: Columns to stratify by.
        cluster: Code of each document's cluster, counted from 0; `None` = each by itself.
    """
    first = np.empty(0, dtype=np.int64)
    if cluster is not None:
        order, first = _side_by_side(cluster)
        frame, group = frame[order], group[order]
        failed = {step: hit[order] for step, hit in failed.items()}
    ways = list(levels_of(frame, group, variables))
    documents = _Documents(group=group, groups=int(group.max()) + 1, first=first)
    rows = [row for hit in failed.values() for row in _step_rows(ways, documents, hit)]
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _side_by_side(cluster: Codes) -> tuple[Codes, Codes]:
    """Order of the documents by cluster, those alone in theirs last; where clusters begin."""
    size = np.bincount(cluster)
    rank = np.where(size > 1, np.arange(size.size), size.size)
    order = np.argsort(rank[cluster], kind="stable")
    return order, np.concatenate([[0], np.cumsum(size[size > 1])])


def _step_rows(
    ways: Sequence[tuple[Level, ...]], documents: _Documents, hit: Bools
) -> list[tuple[object, ...]]:
    fits: dict[tuple[int, int], _Fit] = {}

    def fit(way: int, level: int) -> _Fit:
        if (way, level) not in fits:
            fits[way, level] = _fit(ways[way][level], documents, hit)
        return fits[way, level]

    own_best = fit(len(ways) - 1, 0).own
    rows = []
    for g in range(documents.groups):
        way = _widest_way(len(ways), [fit(w, 0) for w in range(len(ways))], own_best, g)
        place = _still_level(way, len(ways[way]), fit, g)
        chosen, level = fit(way, place), ways[way][place]
        spread = _spread(chosen, level, documents, hit, g)
        alike = _heterogeneity([fit(way, at) for at in range(place + 1)], g)
        rows.append(_row(chosen, level, spread, (alike, g)))
    return rows


def _heterogeneity(fits: Sequence[_Fit], g: int) -> Heterogeneity:
    """Breslow–Day at the finest strata of which at least half are large enough for it."""
    for fit in reversed(fits):
        found = breslow_day(_of_group(fit.tables, g), fit.odds.ratio[[g]])
        if found.df[0] + 1 >= fit.compared[g] / 2:
            break
    return found


def _widest_way(ways: int, coarse: Sequence[_Fit], own_best: Floats, g: int) -> int:
    """The way with most variables that still compares enough documents."""
    for way in range(ways - 1):
        enough = coarse[way].informative[g] >= MIN_INFORMATIVE
        if enough and coarse[way].own[g] >= own_best[g] / 2:
            return way
    return ways - 1


def _still_level(way: int, levels: int, fit: _FitOf, g: int) -> int:
    """Refine until the log odds ratio stands still or too few documents are compared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        for level in range(1, levels):
            finer = fit(way, level)
            if finer.informative[g] < MIN_INFORMATIVE:
                return level - 1
            moved = np.log(finer.odds.ratio[g]) - np.log(fit(way, level - 1).odds.ratio[g])
            if abs(moved) < STILL:
                return level
    return levels - 1


def _fit(level: Level, documents: _Documents, hit: Bools) -> _Fit:
    tables = level.tables(hit)
    own, rest = tables.hit + tables.missed, tables.hit_rest + tables.missed_rest
    both_fates = (tables.hit + tables.hit_rest > 0) & (tables.missed + tables.missed_rest > 0)
    compared = both_fates & (own > 0) & (rest > 0)
    return _Fit(
        tables=tables,
        alone=level.tables(hit, documents.first[-1]) if documents.first.size else tables,
        odds=stratified_odds_ratio(tables),
        rates=stratified_rate_ratio(tables),
        informative=tables.total(np.where(compared, own + rest, 0.0)),
        own=tables.total(np.where(compared, own, 0.0)),
        compared=tables.total(compared.astype(np.float64)),
    )


def _spread(
    fit: _Fit, level: Level, documents: _Documents, hit: Bools, g: int
) -> tuple[Floats, Floats]:
    """Variances of both log ratios and the degrees of freedom of each.

    The linearised variance over clusters, but never less than that of independent documents,
    which alone holds where strata are small.
    """
    plain = np.array([fit.rates.variance[g], fit.odds.variance[g]])
    if documents.first.size == 0 or not np.isfinite(plain).all():
        return plain, np.full(2, np.inf)
    rows = fit.tables.owner == g
    influence = _influences(fit, rows, g)
    table = np.zeros((level.strata, 8))
    table[level.cell_stratum[rows]] = influence
    own = documents.group == g
    found = clustered_influence(level.stratum, own, hit, documents.first, table)
    found += _of_documents_alone(fit.alone, rows, influence)
    with np.errstate(divide="ignore", invalid="ignore"):
        clusters = found[:, 1] ** 2 / found[:, 2]
        variance = found[:, 0] * clusters / (clusters - 1)
    alone = clusters <= 1 + 1e-9
    return np.where(alone, np.nan, np.fmax(variance, plain)), np.where(alone, 0.0, clusters - 1)


def _influences(fit: _Fit, rows: Bools, g: int) -> Floats:
    """Influence on both log ratios, one row a stratum of the group, by side and fate."""
    tables, rate, odds = fit.tables, fit.rates.ratio[g], fit.odds.ratio[g]
    a, b = tables.hit[rows], tables.missed[rows]
    c, d = tables.hit_rest[rows], tables.missed_rest[rows]
    n, own, rest = a + b + c + d, a + b, c + d
    by_rate = (a * rest - rate * c * own) / n
    by_odds = (a * d - odds * b * c) / n
    columns = [
        *(a - by_rate, a - by_odds),
        *(a - rate * own - by_rate, -odds * b - by_odds),
        *(-rate * c - by_rate, -odds * c - by_odds),
        *(rest - rate * c - by_rate, d - by_odds),
    ]
    scale = np.tile([fit.rates.numerator[g], fit.odds.numerator[g]], 4)
    return np.asarray(np.stack(columns, axis=1) / n[:, None] / scale)


def _of_documents_alone(tables: Strata, rows: Bools, influence: Floats) -> Floats:
    """What `clustered_influence` would add for documents that are alone in their cluster."""
    kinds = (tables.missed_rest, tables.hit_rest, tables.missed, tables.hit)
    counts = np.repeat(np.stack([kind[rows] for kind in kinds], axis=1), 2, axis=1)
    squares = (counts * influence**2).sum(0).reshape(4, 2).sum(0)
    fourths = (counts * influence**4).sum(0).reshape(4, 2).sum(0)
    return np.stack([squares, squares, fourths], axis=1)


def _row(
    fit: _Fit, level: Level, spread: tuple[Floats, Floats], tested: tuple[Heterogeneity, int]
) -> tuple[object, ...]:
    (variance, df), (alike, g) = spread, tested
    ratios = np.array([fit.rates.ratio[g], fit.odds.ratio[g]])
    # An end beyond all numbers is an unbounded end.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = t_quantile(0.95, np.nan_to_num(df, posinf=np.inf)) * np.sqrt(variance)
        low, high = ratios * np.exp(-reach), ratios * np.exp(reach)
        effect = np.fmax(1.0, variance[1] / fit.odds.variance[g])
    p = heterogeneity_p(alike.statistic / effect, alike.df, df[1])
    strata = int((fit.tables.owner == g).sum())
    ends = [float(v) for pair in zip(ratios, low, high, strict=True) for v in pair]
    return (*ends, float(p[0]), level.name, strata, round(fit.informative[g]))


def _of_group(tables: Strata, g: int) -> Strata:
    rows = tables.owner == g
    return Strata(
        hit=tables.hit[rows],
        missed=tables.missed[rows],
        hit_rest=tables.hit_rest[rows],
        missed_rest=tables.missed_rest[rows],
        owner=np.zeros(int(rows.sum()), dtype=np.int64),
        comparisons=1,
    )
