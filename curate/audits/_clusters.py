"""Counts of cells, and what clusters say of the heterogeneity of strata.

Documents of clusters with several are counted once a level by (cluster, stratum, group); every
step adds one count of its removals. Documents that are alone in their cluster need no cells: the
2×2 tables of them say all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.arrays import Bools, Codes, Floats
from curate.audits._kernels import clustered_scores
from curate.audits._strata import Level
from curate.statistics import Strata, common_odds

# Strata that are spread over fewer clusters, on average and were documents alike by `PLANNED`, do
# not tell whether they differ.
LEAST_PARTS = 10
PLANNED = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """Counts of documents that are not alone in their cluster, sorted by cluster and stratum."""

    first: Codes
    stratum: Codes
    group: Codes
    n: Floats
    of_document: Codes

    def hits(self, hit: Bools) -> Floats:
        """Removed documents of each cell."""
        chosen = self.of_document[hit[: self.of_document.size]]
        return np.bincount(chosen, minlength=self.n.size).astype(np.float64)


def count_cells(level: Level, group: Codes, first: Codes) -> Cells:
    """The cells of a level; documents are sorted by cluster, and `first` bounds the clusters."""
    several = int(first[-1])
    cluster = np.repeat(np.arange(first.size - 1), np.diff(first))
    keys = cluster * level.strata + level.stratum[:several]
    keys = keys * level.groups + group[:several]
    cells, place, n = np.unique(keys, return_inverse=True, return_counts=True)
    stratum = cells // level.groups
    bounds = np.searchsorted(stratum // level.strata, np.arange(first.size))
    return Cells(
        first=bounds,
        stratum=stratum % level.strata,
        group=cells % level.groups,
        n=n.astype(np.float64),
        of_document=place.astype(np.int64),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class OneGroup:
    """One group's tables at one level, all documents and those alone in their cluster."""

    tables: Strata
    alone: Strata
    stratum: Codes
    strata: int
    group: int


def one_group(level: Level, tables: Strata, alone: Strata, g: int) -> OneGroup:
    """The tables of group g as one comparison."""
    rows = level.of_group(g)
    return OneGroup(
        tables=_comparison(tables, rows),
        alone=_comparison(alone, rows),
        stratum=level.cell_stratum[rows],
        strata=level.strata,
        group=g,
    )


def _comparison(tables: Strata, rows: slice) -> Strata:
    return Strata(
        hit=tables.hit[rows],
        missed=tables.missed[rows],
        hit_rest=tables.hit_rest[rows],
        missed_rest=tables.missed_rest[rows],
        owner=np.zeros(tables.hit[rows].size, dtype=np.int64),
        comparisons=1,
    )


def _kinds(tables: Strata) -> Floats:
    """Counts by 2 · own + hit, one row a stratum."""
    kinds = (tables.missed_rest, tables.hit_rest, tables.missed, tables.hit)
    return np.stack(kinds, axis=1)


def expected_heterogeneity(
    one: OneGroup, odds: Floats, cells: Cells, x: Floats
) -> tuple[float, float]:
    """What clusters say Breslow–Day's statistic is expected to be, and the df of that.

    The statistic is the squared length of a sum of scores over clusters, its expectation the sum
    of their squared lengths: less what the strata's differences add to it (each cluster holds
    its part of them), more what the fitted rates take away. Both are as for independent
    documents. NaN where strata hold parts of fewer than `LEAST_PARTS` clusters on average.
    """
    common = common_odds(one.tables, odds)
    used = common.variance > 0
    v, total = common.variance[used], common.variance.sum()
    rates = np.stack([common.rate_rest, common.rate], axis=1)[used]
    spread = rates * (1 - rates)
    n = np.stack([one.tables.hit_rest + one.tables.missed_rest, one.tables.hit + one.tables.missed])
    weighed = n.T[used] * spread
    # The weighted mean of `own`: v = w1 w0 / (w1 + w0) with w = n p (1 - p), so v / w1 = 1 - mean.
    mean = 1 - v / weighed[:, 1]
    lean = np.stack([-mean, 1 - mean], axis=1)
    share = (1 / v - 1 / total)[:, None]
    expected = lean**2 * spread * share
    moved = lean * spread * np.sqrt(share / weighed.sum(1, keepdims=True))
    table = np.zeros((one.strata, 10))
    signed = lean * np.sqrt(spread * share)
    rows = np.column_stack([rates, mean, v, expected, moved, signed])
    table[one.stratum[used]] = rows
    is_own = cells.group == one.group
    squared, sums = clustered_scores(cells.first, cells.stratum, is_own, cells.n, x, table, PLANNED)
    parts = sums[one.stratum[used]]
    kinds = _kinds(one.alone)[used]
    misses = np.stack([rates[:, 0], 1 - rates[:, 0], rates[:, 1], 1 - rates[:, 1]], axis=1)
    squared += float((kinds * (np.repeat(lean, 2, axis=1) * misses) ** 2 * share).sum())
    alone = np.stack([kinds[:, :2].sum(1), kinds[:, 2:].sum(1)], axis=1)
    squares = expected**2
    for column, value in enumerate((expected, squares, moved**2, expected, squares)):
        parts[:, column] += (alone * value).sum(1)
    beyond = (one.tables.hit - common.expected)[used]
    return _within(squared, parts, (beyond - v * beyond.sum() / total) ** 2 / v)


def _within(squared: float, parts: Floats, differences: Floats) -> tuple[float, float]:
    """The expectation and its df, from `clustered_scores` and the strata's squared differences."""
    expected, squares, lost = parts.sum(0)[:3]
    each = parts[:, 1] / parts[:, 0] ** 2
    share = float((parts[:, 0] * each).sum() / expected)
    if float((parts[:, 4] / parts[:, 3]).sum()) * LEAST_PARTS > parts[:, 3].sum():
        return float("nan"), 0.0
    kept = squared * expected / (expected - lost) - float((differences * each).sum())
    strata = parts.shape[0]
    df = max(expected**2 / squares * (strata - 1) / strata - (strata - 1), 0.5)
    return max(kept / (1 - share), 1e-12), df
