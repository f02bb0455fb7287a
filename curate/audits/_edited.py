"""Mantel–Haenszel ratios of weighed documents, and of steps that take parts of them.

The ratio of rates needs no whole documents: with x the summed shares and n the summed weights of
a stratum it is Σ x₁ n₀ / n over Σ x₀ n₁ / n, as of removals, and its interval that of two
standardised rates. Odds of parts mean nothing, so there is no odds ratio and no heterogeneity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.audits._adjusted import MIN_INFORMATIVE, NOTHING, STILL, Documents, Step, widest_way
from curate.audits._clusters import Cells
from curate.audits._standard import (
    Design,
    Held,
    Moments,
    Sides,
    Standardised,
    design_of,
    intervals,
    standardised,
)
from curate.audits._strata import Level

Place = tuple[int, int]
Binned = tuple[Floats, Floats]


class _Terms(NamedTuple):
    """Both terms of one group's ratio."""

    above: float
    below: float


class Weighed:
    """Documents with a weight each: what all steps share, summed when a level first asks."""

    def __init__(self, documents: Documents, weight: Floats) -> None:
        """`weight` in the order of the corpus."""
        self.documents, self.weight = documents, weight[documents.order]
        first = documents.first
        self.several = int(first[-1]) if first.size else 0
        self._sums: dict[tuple[Place, int], Binned] = {}
        self._cells: dict[Place, Floats] = {}
        self._designs: dict[tuple[Place, int], Design] = {}

    def level(self, place: Place) -> Level:
        return self.documents.ways[place[0]][place[1]]

    def sums(self, place: Place, power: int, *, alone: bool = False) -> Binned:
        """Sums of w^power by cell and stratum, of all documents or of those alone."""
        key = place, -power if alone else power
        if key not in self._sums:
            level, start = self.level(place), self.several if alone else 0
            self._sums[key] = _binned(level, level.cell[start:], self.weight[start:] ** power)
        return self._sums[key]

    def of_cells(self, place: Place) -> Floats:
        """Weight of each cell of documents that are not alone in their cluster."""
        if place not in self._cells:
            cells, weight = self.documents.cells_of(place), self.weight[: self.several]
            found = np.bincount(cells.of_document, weight, cells.n.size)
            self._cells[place] = found.astype(np.float64)
        return self._cells[place]

    def design(self, place: Place, g: int, held: tuple[Sides, Sides, Held | None]) -> Design:
        """Standardised shares of a group, the same for all steps."""
        if (place, g) not in self._designs:
            self._designs[place, g] = design_of(*held)
        return self._designs[place, g]


class _Taken:
    """What one step takes of the documents: sums over those of which it takes anything."""

    def __init__(self, weighed: Weighed, share: Floats) -> None:
        self.weighed, sorted_share = weighed, share[weighed.documents.order]
        self.rows = np.flatnonzero(sorted_share)
        self.share, self.weight = sorted_share[self.rows], weighed.weight[self.rows]
        self.whole = bool((self.share == 1).all())
        self._sums: dict[Place, Binned] = {}
        self._moments: dict[tuple[Place, bool], list[Binned]] = {}
        self._cells: dict[Place, Floats] = {}

    def terms(self, place: Place, g: int) -> _Terms:
        level = self.weighed.level(place)
        if place not in self._sums:
            cell = level.cell[self.rows]
            self._sums[place] = _binned(level, cell, self.weight * self.share)
        binned = self.weighed.sums(place, 1), self._sums[place]
        (n, n_rest), (x, x_rest) = (_split(level, v, g) for v in binned)
        with np.errstate(divide="ignore", invalid="ignore"):
            above, below = (np.nan_to_num(v / (n + n_rest)) for v in (x * n_rest, x_rest * n))
        return _Terms(float(above.sum()), float(below.sum()))

    def sides(self, place: Place, g: int, *, alone: bool) -> Sides:
        """Sums by stratum of all documents, or of those alone in their cluster: group, rest."""
        level, weighed = self.weighed.level(place), self.weighed
        key = place, alone
        if key not in self._moments:
            start = int(np.searchsorted(self.rows, weighed.several)) if alone else 0
            cell, w, y = level.cell[self.rows[start:]], self.weight[start:], self.share[start:]
            found = [_binned(level, cell, v) for v in (w * y, w**2 * y)]
            # All powers of 1 are the same.
            found.append(found[1] if self.whole else _binned(level, cell, w**2 * y**2))
            self._moments[key] = found
        powers = [weighed.sums(place, k, alone=alone) for k in range(1, 7 if alone else 3)]
        sums = [
            [pair[i] for pair in (_split(level, v, g) for v in (*powers, *self._moments[key]))]
            for i in range(2)
        ]
        return _moments(sums[0], len(powers)), _moments(sums[1], len(powers))

    def clustered(self, place: Place) -> tuple[Cells, Floats, Floats]:
        """Cells of documents that are not alone in their cluster, their weight and taken weight."""
        cells = self.weighed.documents.cells_of(place)
        if place not in self._cells:
            end = int(np.searchsorted(self.rows, self.weighed.several))
            taken, rows = self.weight[:end] * self.share[:end], self.rows[:end]
            found = np.bincount(cells.of_document[rows], taken, cells.n.size)
            self._cells[place] = found.astype(np.float64)
        return cells, self.weighed.of_cells(place), self._cells[place]


def edited_rows(
    weighed: Weighed, share: Floats, step: Step, asked: NDArray[np.bool_] | None = None
) -> list[tuple[object, ...]]:
    """One row a group, in the order of `ADJUSTED`.

    Args:
        weighed: Documents as `documents_of` lays them out, each with its weight: 1, or the size
            of its text.
        share: What the step takes of each document, 0 to 1, in the order of the corpus; a step
            that removes takes all or nothing.
        step: Which documents it changes or removes.
        asked: Groups to make the row of; `None` = all.
    """
    taken, count = _Taken(weighed, share), weighed.documents.groups
    groups = [g for g in range(count) if asked is None or asked[g]]
    parts = [_part(taken, step, g) for g in groups]
    none, ends = float("nan"), intervals([p.found for p in parts], np.ones(len(parts)))
    rows: dict[int, tuple[object, ...]] = {
        g: (p.ratio, float(low), float(high), *[none] * 4, *p.rest)
        for g, p, low, high in zip(groups, parts, ends.low, ends.high, strict=True)
    }
    return [rows.get(g, NOTHING) for g in range(count)]


class _Part(NamedTuple):
    """What is known of one group before intervals are made of all at once."""

    ratio: float
    found: Standardised | None
    rest: tuple[object, ...]


def _part(taken: _Taken, step: Step, g: int) -> _Part:
    place = _still_place(taken, step, g)
    terms, fit = taken.terms(place, g), step.fit(*place)
    rows = fit.level.of_group(g)
    rest = fit.level.name, rows.stop - rows.start, round(fit.informative[g])
    return _Part(_ratio(terms), _standardised(taken, place, g), rest)


def _ratio(sides: _Terms) -> float:
    if sides.below > 0:
        return sides.above / sides.below
    return float("inf") if sides.above > 0 else float("nan")


def _still_place(taken: _Taken, step: Step, g: int) -> Place:
    """Refine until the log ratio stands still or too few documents are compared."""
    way = widest_way(step, g)
    ratio = _ratio(taken.terms((way, 0), g))
    for level in range(1, len(step.documents.ways[way])):
        if step.fit(way, level).informative[g] < MIN_INFORMATIVE:
            return way, level - 1
        finer = _ratio(taken.terms((way, level), g))
        with np.errstate(divide="ignore", invalid="ignore"):
            if abs(np.log(finer) - np.log(ratio)) < STILL:
                return way, level
        ratio = finer
    return way, len(step.documents.ways[way]) - 1


def _standardised(taken: _Taken, place: Place, g: int) -> Standardised | None:
    everyone, alone = (taken.sides(place, g, alone=only) for only in (False, True))
    weighed, held = taken.weighed, None
    if weighed.several:
        cells, weight, hits = taken.clustered(place)
        level = weighed.level(place)
        stratum = level.cell_stratum[level.of_group(g)]
        held = Held(cells, cells.group == g, weight, stratum, level.strata), hits
    design = weighed.design(place, g, (everyone, alone, held[0] if held else None))
    return standardised(design, everyone, alone, held)


def _moments(sums: list[Floats], powers: int) -> Moments:
    """Of sums of powers of the weights, then of taken weights."""
    n, nn, *higher = sums[:powers]
    x, nx, xx = sums[powers:]
    return Moments(n, x, nn, nx, xx, np.stack(higher) if higher else np.empty((0, n.size)))


def _binned(level: Level, cell: NDArray[np.int32], values: Floats) -> Binned:
    """Sums by cell, and by stratum."""
    cells: Floats = np.bincount(cell, values, level.cell_group.size).astype(np.float64)
    strata: Floats = np.bincount(level.cell_stratum, cells, level.strata).astype(np.float64)
    return cells, strata


def _split(level: Level, sums: Binned, g: int) -> Binned:
    """Sums of a group's cells, and of the rest of the same strata."""
    rows = level.of_group(g)
    own = sums[0][rows]
    return own, sums[1][level.cell_stratum[rows]] - own
