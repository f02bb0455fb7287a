"""Mantel–Haenszel ratios for steps that take parts of documents.

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

from curate.audits._adjusted import MIN_INFORMATIVE, STILL, Documents, Step, widest_way
from curate.audits._clusters import Cells
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


class _Taken:
    """What one step takes of the sorted documents, summed when a level first asks."""

    def __init__(self, documents: Documents, share: Floats, weight: Floats) -> None:
        self.documents, self.share, self.weight = documents, share, weight
        self._sums: dict[Place, list[Binned]] = {}
        self._moments: dict[Place, list[Binned]] = {}
        self._cells: dict[Place, tuple[Floats, Floats]] = {}

    def sides(self, place: Place, g: int) -> _Sides:
        level = self.documents.ways[place[0]][place[1]]
        if place not in self._sums:
            weights = self.weight, self.weight * self.share, self.weight**2
            self._sums[place] = [_binned(level, level.cell, w) for w in weights]
        parts = [_split(level, v, g) for v in self._sums[place]]
        (n, n_rest), (x, x_rest), squares = parts
        total, alike = n + n_rest, squares[0] + squares[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            above, below = np.nan_to_num(x * n_rest / total), np.nan_to_num(x_rest * n / total)
            more = np.minimum(np.nan_to_num(total**2 / (total**2 - alike), posinf=2.0), 2.0)
        return _Sides(n, x, n_rest, x_rest, float(above.sum()), float(below.sum()), more)

    def moments(self, place: Place, g: int) -> tuple[Floats, Floats]:
        """Sums of w² y^k and w⁴ y^k over documents alone in their cluster: own, rest."""
        level, first = self.documents.ways[place[0]][place[1]], self.documents.first
        start = int(first[-1]) if first.size else 0
        if place not in self._moments:
            cell, w, y = level.cell[start:], self.weight[start:], self.share[start:]
            powers = [(2, k) for k in range(3)] + [(4, k) for k in range(5)]
            self._moments[place] = [_binned(level, cell, w**p * y**k) for p, k in powers]
        found = [_split(level, v, g) for v in self._moments[place]]
        return np.stack([own for own, _ in found]), np.stack([rest for _, rest in found])

    def clustered(self, place: Place) -> tuple[Cells, Floats, Floats]:
        """Cells of documents that are not alone in their cluster, their weight and taken weight."""
        cells = self.documents.cells_of(place)
        if place not in self._cells:
            several, size = cells.of_document.size, cells.n.size
            weights = self.weight[:several], (self.weight * self.share)[:several]
            found = [np.bincount(cells.of_document, w, size).astype(float) for w in weights]
            self._cells[place] = found[0], found[1]
        return cells, *self._cells[place]


def edited_rows(
    documents: Documents, share: Floats, touched: NDArray[np.bool_], weight: Floats
) -> list[tuple[object, ...]]:
    """One row a group, in the order of `ADJUSTED`.

    Args:
        documents: As `documents_of` lays them out.
        share: What the step takes of each document, 0 to 1, in the order of the corpus.
        touched: Whether the step changed the document.
        weight: Weight of each document: 1, or the size of its text.
    """
    order = documents.order
    taken, step = _Taken(documents, share[order], weight[order]), Step(documents, touched[order])
    return [_row(taken, step, g) for g in range(documents.groups)]


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
    slopes, level = _slopes(sides), taken.documents.ways[place[0]][place[1]]
    second, fourth = _alone(taken.moments(place, g), slopes)
    if taken.documents.first.size:
        more = _in_clusters(taken.clustered(place), level, g, slopes)
        second, fourth = second + float((more**2).sum()), fourth + float((more**4).sum())
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
) -> Floats:
    """Influence of each cluster of several documents."""
    (cells, weight, taken), rows = held, level.of_group(g)
    table = np.zeros((2, 2, level.strata))
    table[:, :, level.cell_stratum[rows]] = np.stack(slopes)
    side = np.where(cells.group == g, 0, 1)
    a, b = table[side, 0, cells.stratum], table[side, 1, cells.stratum]
    return np.asarray(np.add.reduceat(a * taken + b * weight, cells.first[:-1]))


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
