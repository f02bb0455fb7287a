"""Mantel–Haenszel ratios of weighed documents, and of steps that take parts of them.

The ratio of rates needs no whole documents: with x the summed shares and n the summed weights of
a stratum it is Σ x₁ n₀ / n over Σ x₀ n₁ / n, as of removals. Its variance is the linearised one
over clusters; residuals of a stratum of n documents grow by n / (n − 1), without which strata of
two would halve it. Odds of parts mean nothing, so there is no odds ratio and no heterogeneity.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.audits._adjusted import MIN_INFORMATIVE, NOTHING, STILL, Documents, Step, widest_way
from curate.audits._clusters import Cells
from curate.audits._kernels import clustered_parts
from curate.audits._strata import Level
from curate.statistics import t_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Place = tuple[int, int]
Binned = tuple[Floats, Floats]


class _Sides(NamedTuple):
    """Sums of one group's strata: weight and taken weight, own and rest; both terms of the ratio.

    `inflation` is n / (n − 1) of each stratum, n in documents of equal weight.
    """

    n: Floats
    x: Floats
    n_rest: Floats
    x_rest: Floats
    above: float
    below: float
    inflation: Floats


class Weighed:
    """Documents with a weight each: what all steps share, summed when a level first asks."""

    def __init__(self, documents: Documents, weight: Floats) -> None:
        """`weight` in the order of the corpus."""
        self.documents, self.weight = documents, weight[documents.order]
        first = documents.first
        self.several = int(first[-1]) if first.size else 0
        self._sums: dict[tuple[Place, int], Binned] = {}
        self._cells: dict[Place, Floats] = {}

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


class _Taken:
    """What one step takes of the documents: sums over those of which it takes anything."""

    def __init__(self, weighed: Weighed, share: Floats) -> None:
        self.weighed, sorted_share = weighed, share[weighed.documents.order]
        self.rows = np.flatnonzero(sorted_share)
        self.share, self.weight = sorted_share[self.rows], weighed.weight[self.rows]
        self.whole = bool((self.share == 1).all())
        self._sums: dict[Place, Binned] = {}
        self._moments: dict[Place, list[Binned]] = {}
        self._cells: dict[Place, Floats] = {}

    def sides(self, place: Place, g: int) -> _Sides:
        level = self.weighed.level(place)
        if place not in self._sums:
            cell = level.cell[self.rows]
            self._sums[place] = _binned(level, cell, self.weight * self.share)
        binned = (self.weighed.sums(place, 1), self._sums[place], self.weighed.sums(place, 2))
        (n, n_rest), (x, x_rest), squares = (_split(level, v, g) for v in binned)
        total, alike = n + n_rest, squares[0] + squares[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            above, below = np.nan_to_num(x * n_rest / total), np.nan_to_num(x_rest * n / total)
            more = np.minimum(np.nan_to_num(total**2 / (total**2 - alike), posinf=2.0), 2.0)
        return _Sides(n, x, n_rest, x_rest, float(above.sum()), float(below.sum()), more)

    def moments(self, place: Place, g: int) -> tuple[Floats, Floats]:
        """Sums of w² y^k and w⁴ y^k over documents alone in their cluster: own, rest."""
        level = self.weighed.level(place)
        if place not in self._moments:
            start = int(np.searchsorted(self.rows, self.weighed.several))
            cell, w, y = level.cell[self.rows[start:]], self.weight[start:], self.share[start:]
            found = []
            for power in (2, 4):
                found.append(self.weighed.sums(place, power, alone=True))
                if self.whole:  # all powers of 1 are the same
                    found += [_binned(level, cell, w**power)] * power
                    continue
                found += [_binned(level, cell, w**power * y**k) for k in range(1, power + 1)]
            self._moments[place] = found
        parts = [_split(level, v, g) for v in self._moments[place]]
        return np.stack([own for own, _ in parts]), np.stack([rest for _, rest in parts])

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
    taken, groups = _Taken(weighed, share), range(weighed.documents.groups)
    return [_row(taken, step, g) if asked is None or asked[g] else NOTHING for g in groups]


def _row(taken: _Taken, step: Step, g: int) -> tuple[object, ...]:
    place = _still_place(taken, step, g)
    sides, fit = taken.sides(place, g), step.fit(*place)
    variance, df = _spread(taken, place, g, sides)
    ratio = _ratio(sides)
    with np.errstate(invalid="ignore", over="ignore"):
        reach = t_quantile(0.95, df) * np.sqrt(variance)
        low, high = float(ratio * np.exp(-reach)), float(ratio * np.exp(reach))
    rows, none = fit.level.of_group(g), float("nan")
    counted = rows.stop - rows.start, round(fit.informative[g])
    return ratio, low, high, none, none, none, none, fit.level.name, *counted


def _ratio(sides: _Sides) -> float:
    if sides.below > 0:
        return sides.above / sides.below
    return float("inf") if sides.above > 0 else float("nan")


def _still_place(taken: _Taken, step: Step, g: int) -> Place:
    """Refine until the log ratio stands still or too few documents are compared."""
    way = widest_way(step, g)
    ratio = _ratio(taken.sides((way, 0), g))
    for level in range(1, len(step.documents.ways[way])):
        if step.fit(way, level).informative[g] < MIN_INFORMATIVE:
            return way, level - 1
        finer = _ratio(taken.sides((way, level), g))
        with np.errstate(divide="ignore", invalid="ignore"):
            if abs(np.log(finer) - np.log(ratio)) < STILL:
                return way, level
        ratio = finer
    return way, len(step.documents.ways[way]) - 1


def _spread(taken: _Taken, place: Place, g: int, sides: _Sides) -> tuple[float, float]:
    """Variance of the log ratio, and its degrees of freedom."""
    if not sides.above or not sides.below:
        return float("nan"), float("inf")
    slopes, level = _slopes(sides), taken.weighed.level(place)
    second, fourth = _alone(taken.moments(place, g), slopes)
    if taken.weighed.documents.first.size:
        more = _in_clusters(taken.clustered(place), level, g, slopes)
        second, fourth = second + more[0], fourth + more[1]
    clusters = second**2 / fourth if fourth > 0 else 0.0
    if clusters <= 1 + 1e-9:
        return float("nan"), float("inf")
    return second * clusters / (clusters - 1), clusters - 1


def _slopes(sides: _Sides) -> tuple[Floats, Floats]:
    """Influence on the log ratio per taken weight (row 0) and per weight (row 1): own, rest."""
    n, x, n_rest, x_rest, above, below, inflation = sides
    with np.errstate(divide="ignore", invalid="ignore"):
        total = n + n_rest
        mixed = (x / above + x_rest / below) / total**2
        own = np.stack([n_rest / total / above, -mixed * n_rest])
        rest = np.stack([-n / total / below, mixed * n])
    grown = np.sqrt(inflation)
    return np.nan_to_num(own) * grown, np.nan_to_num(rest) * grown


def _alone(moments: tuple[Floats, Floats], slopes: tuple[Floats, Floats]) -> tuple[float, float]:
    """Sums of squared and of fourth powers of the influences of single documents."""
    second = fourth = 0.0
    for found, (a, b) in zip(moments, slopes, strict=True):
        second += sum((comb(2, k) * a**k * b ** (2 - k) * found[k]).sum() for k in range(3))
        fourth += sum((comb(4, k) * a**k * b ** (4 - k) * found[3 + k]).sum() for k in range(5))
    return float(second), float(fourth)


def _in_clusters(
    held: tuple[Cells, Floats, Floats], level: Level, g: int, slopes: tuple[Floats, Floats]
) -> tuple[float, float]:
    """The same sums of the influences of clusters of several documents."""
    (cells, weight, taken), rows = held, level.of_group(g)
    table = np.zeros((level.strata, 4))
    table[level.cell_stratum[rows]] = np.concatenate([slopes[1], slopes[0]]).T
    own = cells.group == g
    second, fourth = clustered_parts(cells.first, cells.stratum, own, weight, taken, table)
    return float(second), float(fourth)


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
