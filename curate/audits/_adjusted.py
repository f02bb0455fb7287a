"""Mantel–Haenszel ratios of every (step, group), stratified and refined until they stand still.

The strata that are used are the finest that still compare something, one choice a (step,
group): the finest set of variables that leaves at least `MIN_INFORMATIVE` documents in strata
where both sides and both fates occur, and at least half of the group's that the coarsest set
compares; then ever narrower bins, until the log odds ratio moves by less than `STILL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from curate.arrays import Bools, Codes, Floats
from curate.audits._clusters import Cells, OneGroup, count_cells, expected_heterogeneity, one_group
from curate.audits._standard import (
    Design,
    Held,
    Standardised,
    design_of,
    intervals,
    standardised,
    whole_sides,
)
from curate.audits._strata import Level, levels_of
from curate.statistics import (
    Strata,
    StratifiedRatio,
    breslow_day,
    heterogeneity_p,
    stratified_odds_ratio,
    stratified_rate_ratio,
    t_quantile,
)

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
NOTHING = (*[float("nan")] * 7, None, None, None)
SCHEMA = dict.fromkeys(ADJUSTED, pl.Float64) | {
    "adjusted_for": pl.String,
    "strata": pl.Int64,
    "informative_documents": pl.Int64,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """Groups of the documents, sorted by cluster, and the ways to stratify them.

    `order` says which document stands where. `first` bounds the clusters of several documents,
    all others follow; without any `first` every document is by itself. `cells` are counted when
    a level first needs them, `designs` made when a group at a level does.
    """

    order: Codes
    group: Codes
    groups: int
    first: Codes
    ways: tuple[tuple[Level, ...], ...]
    cells: dict[tuple[int, int], Cells] = field(default_factory=dict)
    designs: dict[tuple[tuple[int, int], int], Design] = field(default_factory=dict)

    def cells_of(self, place: tuple[int, int]) -> Cells:
        if place not in self.cells:
            level = self.ways[place[0]][place[1]]
            self.cells[place] = count_cells(level, self.group, self.first)
        return self.cells[place]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What one level says of all groups at one step."""

    level: Level
    tables: Strata
    alone: Strata
    odds: StratifiedRatio
    rates: StratifiedRatio
    informative: Floats
    own: Floats
    compared: Floats

    def of_group(self, g: int) -> OneGroup:
        return one_group(self.level, self.tables, self.alone, g)


class Step:
    """The fits and counts of one step, made when first asked for.

    `hit` says of each document, in the order of the corpus, whether it failed or was touched.
    """

    def __init__(self, documents: Documents, hit: Bools) -> None:
        self.documents, self.hit = documents, hit[documents.order]
        self._fits: dict[tuple[int, int], Fit] = {}
        self._hits: dict[tuple[int, int], Floats] = {}

    def fit(self, way: int, level: int) -> Fit:
        if (way, level) not in self._fits:
            self._fits[way, level] = _fit(self.documents, self.documents.ways[way][level], self.hit)
        return self._fits[way, level]

    def hits(self, place: tuple[int, int]) -> Floats:
        if place not in self._hits:
            self._hits[place] = self.documents.cells_of(place).hits(self.hit)
        return self._hits[place]

    @cached_property
    def own_best(self) -> Floats:
        """Documents of each group that the coarsest way compares."""
        return self.fit(len(self.documents.ways) - 1, 0).own


def documents_of(
    frame: pl.DataFrame, group: Codes, variables: Sequence[str], cluster: Codes | None
) -> Documents:
    """The documents side by side with those of their cluster, and all ways to stratify them.

    Args:
        frame: Holds the variables, one row a document.
        group: Code of each document's group.
        variables: Columns to stratify by.
        cluster: Code of each document's cluster, counted from 0; `None` = each by itself.
    """
    order, first = np.arange(group.size), np.empty(0, dtype=np.int64)
    if cluster is not None:
        order, first = _side_by_side(cluster)
        frame, group = frame[order], group[order]
    ways = tuple(levels_of(frame, group, variables))
    return Documents(order=order, group=group, groups=int(group.max()) + 1, first=first, ways=ways)


def step_rows(step: Step, asked: Bools | None = None) -> list[tuple[object, ...]]:
    """One row a group, in the order of `ADJUSTED`; NaN where undefined or not asked for."""
    groups = [g for g in range(step.documents.groups) if asked is None or asked[g]]
    rows = dict(
        zip(groups, _finished(step.documents, [_part(step, g) for g in groups]), strict=True)
    )
    return [rows.get(g, NOTHING) for g in range(step.documents.groups)]


def adjusted_table(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Rows in the order of `ADJUSTED` as a table without NaN."""
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def _side_by_side(cluster: Codes) -> tuple[Codes, Codes]:
    """Order of the documents by cluster, those alone in theirs last; where clusters begin."""
    size = np.bincount(cluster)
    rank = np.where(size > 1, np.arange(size.size), size.size)
    order = np.argsort(rank[cluster], kind="stable")
    return order, np.concatenate([[0], np.cumsum(size[size > 1])])


def _fit(documents: Documents, level: Level, hit: Bools) -> Fit:
    tables = level.tables(hit)
    own, rest = tables.hit + tables.missed, tables.hit_rest + tables.missed_rest
    both_fates = (tables.hit + tables.hit_rest > 0) & (tables.missed + tables.missed_rest > 0)
    compared = both_fates & (own > 0) & (rest > 0)
    return Fit(
        level=level,
        tables=tables,
        alone=level.tables(hit, documents.first[-1]) if documents.first.size else tables,
        odds=stratified_odds_ratio(tables),
        rates=stratified_rate_ratio(tables),
        informative=tables.total(np.where(compared, own + rest, 0.0)),
        own=tables.total(np.where(compared, own, 0.0)),
        compared=tables.total(compared.astype(np.float64)),
    )


class _Part(NamedTuple):
    """What is known of one (step, group) before intervals are made of all at once."""

    ratios: tuple[float, float]
    variances: tuple[float, float]
    found: Standardised | None
    rest: tuple[object, ...]


def _part(step: Step, g: int) -> _Part:
    way = widest_way(step, g)
    at = _still_level(step, way, g)
    fit = step.fit(way, at)
    rows, p = fit.level.of_group(g), _heterogeneity(step, (way, at), g)
    counted = rows.stop - rows.start, round(fit.informative[g])
    return _Part(
        ratios=(float(fit.rates.ratio[g]), float(fit.odds.ratio[g])),
        variances=(float(fit.rates.variance[g]), float(fit.odds.variance[g])),
        found=_standardised(step, (way, at), g),
        rest=(p, fit.level.name, *counted),
    )


def _finished(documents: Documents, parts: Sequence[_Part]) -> list[tuple[object, ...]]:
    """Rows in the order of `ADJUSTED`: with clusters by standardised rates, else on logarithms."""
    if not parts:
        return []
    ratios, variances = (np.array([getattr(p, k) for p in parts]) for k in ("ratios", "variances"))
    if documents.first.size:
        ends = intervals([p.found for p in parts], ratios[:, 1])
        pairs = np.stack([ends.low, ends.high, ends.odds_low, ends.odds_high], axis=1)
    else:
        # An end beyond all numbers is an unbounded end.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            reach = t_quantile(0.95) * np.sqrt(variances)
            found = [ratios * np.exp(-reach), ratios * np.exp(reach)]
        pairs = np.stack(found, axis=2).reshape(-1, 4)
    return [
        (p.ratios[0], *ends[:2], p.ratios[1], *ends[2:], *p.rest)
        for p, ends in zip(parts, pairs.tolist(), strict=True)
    ]


def _standardised(step: Step, place: tuple[int, int], g: int) -> Standardised | None:
    """The two standardised rates of a comparison; None without clusters."""
    fit, documents = step.fit(*place), step.documents
    if documents.first.size == 0 or not np.isfinite(fit.odds.variance[g]):
        return None
    one = fit.of_group(g)
    everyone, alone = whole_sides(one.tables), whole_sides(one.alone)
    cells = documents.cells_of(place)
    held = Held(cells, cells.group == g, cells.n, one.stratum, one.strata)
    if (place, g) not in documents.designs:
        documents.designs[place, g] = design_of(everyone, alone, held)
    design = documents.designs[place, g]
    return standardised(design, everyone, alone, (held, step.hits(place)))


def widest_way(step: Step, g: int) -> int:
    """The way with most variables that still compares enough documents."""
    last = len(step.documents.ways) - 1
    for way in range(last):
        coarse = step.fit(way, 0)
        enough = coarse.informative[g] >= MIN_INFORMATIVE
        if enough and coarse.own[g] >= step.own_best[g] / 2:
            return way
    return last


def _still_level(step: Step, way: int, g: int) -> int:
    """Refine until the log odds ratio stands still or too few documents are compared."""
    levels = len(step.documents.ways[way])
    with np.errstate(divide="ignore", invalid="ignore"):
        for level in range(1, levels):
            finer = step.fit(way, level)
            if finer.informative[g] < MIN_INFORMATIVE:
                return level - 1
            moved = np.log(finer.odds.ratio[g]) - np.log(step.fit(way, level - 1).odds.ratio[g])
            if abs(moved) < STILL:
                return level
    return levels - 1


def _heterogeneity(step: Step, place: tuple[int, int], g: int) -> float:
    """Breslow–Day's p at the finest strata of which at least half are large enough for it."""
    way, finest = place
    for at in range(finest, -1, -1):
        fit = step.fit(way, at)
        one, odds = fit.of_group(g), fit.odds.ratio[[g]]
        found = breslow_day(one.tables, odds)
        if found.df[0] + 1 >= fit.compared[g] / 2:
            break
    if step.documents.first.size == 0 or found.df[0] <= 0:
        return float(heterogeneity_p(found.statistic, found.df)[0])
    place = (way, at)
    cells, x = step.documents.cells_of(place), step.hits(place)
    expected, noise = expected_heterogeneity(one, odds, cells, x)
    return float(heterogeneity_p(found.statistic, found.df, expected, noise)[0])
