"""Sums per group and cluster, and from them each group's rate against the rest of the corpus.

Everything is a few `bincount`s over documents, then one compiled pass over the cells (group,
cluster) that hold documents: the cost does not grow with groups × clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Codes, Floats
from curate.audits._kernels import cluster_influences, cluster_powers
from curate.statistics import DEGREE, ClusteredPair, Powers, exponents


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Who belongs where: one code a document, one row a cell, cells sorted by cluster."""

    group: Codes
    cell: Codes
    cell_group: Codes
    cell_cluster: Codes
    first: Codes
    groups: int
    clusters: int


def lay_out(group: Codes, cluster: Codes) -> Layout:
    """The non-empty cells of documents coded by group and cluster (codes count from 0)."""
    groups, clusters = int(group.max()) + 1, int(cluster.max()) + 1
    keys, cell = np.unique(cluster * groups + group, return_inverse=True)
    cell_cluster = keys // groups
    return Layout(
        group=group,
        cell=cell,
        cell_group=keys % groups,
        cell_cluster=cell_cluster,
        first=np.searchsorted(cell_cluster, np.arange(clusters + 1)),
        groups=groups,
        clusters=clusters,
    )


class Sums(NamedTuple):
    """Weight `n` and removed weight `x`, by group and in the rest (one entry a group).

    `largest_other_share` is what the rest's largest group makes of the rest's removals.
    """

    n: Floats
    x: Floats
    n_rest: Floats
    x_rest: Floats
    largest_other_share: Floats


class Population(NamedTuple):
    """Weight of each document (0 takes it out), its sums by cell, its squares' by group.

    `powers` are the same for all steps.
    """

    weight: Floats
    n: Floats
    squares: Floats
    powers: Powers


def population(layout: Layout, weight: Floats) -> Population:
    """What all steps share that see the same documents."""
    n = _sums(layout.cell, weight, layout.cell_group.size)
    own = _sums(layout.cell_group, n, layout.groups)
    totals = np.stack([own, own.sum() - own])
    sums = cluster_powers(layout.cell_group, layout.first, n, totals, DEGREE)
    return Population(
        weight=weight,
        n=n,
        squares=_sums(layout.group, weight**2, layout.groups),
        powers={(i, j): sums[:, i, j] for i, j in exponents()},
    )


def rates_by_group(
    layout: Layout, removed: Floats, people: Population, *, partial: bool = False
) -> tuple[Sums, ClusteredPair]:
    """Removal rate of each group and of the rest of the corpus, and what clusters say of both.

    Args:
        layout: Groups and clusters of the documents.
        removed: Removed weight of each document, 0 for most.
        people: The documents' weights.
        partial: Whether a document can be removed in part; rates then spread less than shares
            of wholes, which their `dispersion` says.
    """
    rows = np.flatnonzero(removed)
    n, x = people.n, _sums(layout.cell[rows], removed[rows], layout.cell_group.size)
    sums = _totals(*(_sums(layout.cell_group, v, layout.groups) for v in (n, x)))
    squares = people.squares
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.stack([sums.x / sums.n, sums.x_rest / sums.n_rest])
        sizes = sums.n**2 / squares, sums.n_rest**2 / (squares.sum() - squares)
    totals = np.stack([sums.n, sums.n_rest])
    spreads = cluster_influences(
        layout.cell_group, layout.first, n, x, np.nan_to_num(rates), totals
    )
    dispersions: Floats = np.ones(2)
    if partial:
        dispersions = _dispersions(layout, removed[rows], rows, people, rates)
    return sums, ClusteredPair.of_sides(
        rates,
        sizes,
        spreads=spreads,
        powers=people.powers,
        dispersions=dispersions,
    )


def _dispersions(
    layout: Layout, removed: Floats, rows: Codes, people: Population, rates: Floats
) -> Floats:
    """Variance of documents' shares over that of wholes of the same rate: groups, then rests."""
    group, weight = layout.group[rows], people.weight[rows]
    sums = [_sums(group, v, layout.groups) for v in (removed**2, removed * weight)]
    own = np.stack([*sums, people.squares])
    squares, products, weights = np.stack([own, own.sum(1, keepdims=True) - own], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares - 2 * rates * products + rates**2 * weights
        found = spread / (rates * (1 - rates) * weights)
    # A side without any loss has no spread to tell; the other side's stands in.
    found = np.where(np.isfinite(found), found, found[::-1])
    return np.clip(np.where(np.isfinite(found), found, 1.0), 1e-9, 1.0)


def _totals(n: Floats, x: Floats) -> Sums:
    rest = x.sum() - x
    largest = np.full(x.shape, np.nan)
    if x.size > 1:
        second, first = np.sort(x)[-2:]
        largest[:] = first
        largest[int(np.argmax(x))] = second
    with np.errstate(divide="ignore", invalid="ignore"):
        return Sums(n, x, n.sum() - n, rest, np.where(rest > 0, largest / rest, np.nan))


def _sums(codes: Codes, values: NDArray[Any], length: int) -> Floats:
    return np.asarray(np.bincount(codes, values, length), dtype=np.float64)
