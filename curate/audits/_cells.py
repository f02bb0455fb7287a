"""Sums per group and cluster, and from them each group's rate against the rest of the corpus.

Everything is a few `bincount`s over documents, then one compiled pass over the cells (group,
cluster) that hold documents: the cost does not grow with groups × clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.audits._kernels import small_cluster_sums
from curate.statistics import ClusteredShare

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# The leverage of clusters that hold more than 1 / 256 of the weight is exact, and that of all
# where there are no more than 256.
_EXACT_CLUSTERS = 256


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
    """Weight of each document (0 takes it out), its sums by cell, its squares' by group."""

    weight: Floats
    n: Floats
    squares: Floats


def population(layout: Layout, weight: Floats) -> Population:
    """What all steps share that see the same documents."""
    n = _sums(layout.cell, weight, layout.cell_group.size)
    return Population(weight, n, _sums(layout.group, weight**2, layout.groups))


def rates_by_group(
    layout: Layout, removed: Floats, people: Population, *, partial: bool = False
) -> tuple[Sums, ClusteredShare, ClusteredShare]:
    """Removal rate of each group and of the rest of the corpus, with clustered variances.

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
    kernel = np.nan_to_num(rates), np.stack([sums.n, sums.n_rest])
    parts, whole = small_cluster_sums(layout.cell_group, layout.first, n, x, *kernel)
    own = ClusteredShare(
        rate=rates[0],
        size=sums.n,
        variance=_jackknifed(parts[0], parts[1]),
        clusters=parts[1],
        cluster_size=parts[2],
    )
    spread = _spread_of_rest(layout, (n, x), sums, (parts, whole))
    clusters = whole[3] - parts[3]
    rest = ClusteredShare(
        rate=rates[1],
        size=sums.n_rest,
        variance=_jackknifed(spread, clusters),
        clusters=clusters,
        cluster_size=whole[2] - parts[4],
    )
    own = _with_size(own, sums.n, squares)
    rest = _with_size(rest, sums.n_rest, squares.sum() - squares)
    # Two copies of a text in two groups, of which one is removed, pull the groups apart. Where
    # such clusters pull them together instead, nothing is narrowed.
    variance = own.variance + rest.variance
    with np.errstate(divide="ignore", invalid="ignore"):
        widening = np.fmax(1.0, (variance - 2 * parts[5]) / variance)
    own = replace(own, variance=own.variance * widening)
    rest = replace(rest, variance=rest.variance * widening)
    if not partial:
        return sums, own, rest
    both = _dispersions(layout, removed[rows], rows, people, rates)
    return sums, replace(own, dispersion=both[0]), replace(rest, dispersion=both[1])


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


def _spread_of_rest(
    layout: Layout, cells: tuple[Floats, Floats], sums: Sums, found: tuple[Floats, Floats]
) -> Floats:
    """Squared influences on the rest's rate: all clusters, less what the group takes of them.

    The leverage of the largest clusters is exact, that of the others is left out.
    """
    parts, whole = found
    by_cluster = [_sums(layout.cell_cluster, v, layout.clusters) for v in cells]
    N = by_cluster[0]
    few = layout.clusters <= _EXACT_CLUSTERS
    large = np.flatnonzero((N.sum() / _EXACT_CLUSTERS < N) | few)
    place = np.full(layout.clusters, -1)
    place[large] = np.arange(large.size)
    chosen = place[layout.cell_cluster] >= 0
    row, column = layout.cell_group[chosen], place[layout.cell_cluster[chosen]]
    left = []
    for values, totals in zip(cells, by_cluster, strict=True):
        own = np.zeros((layout.groups, large.size))
        own[row, column] = values[chosen]
        left.append(totals[large] - own)
    rest_n = sums.n_rest[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums.x_rest / sums.n_rest
        exact = (left[1] - rate[:, None] * left[0]) / (rest_n - left[0])
        plain = ((left[1] - rate[:, None] * left[0]) / rest_n) ** 2
        spread = (
            (whole[0] - parts[6])
            - 2 * rate * (whole[1] - parts[7])
            + rate**2 * (whole[2] - parts[8])
        ) / sums.n_rest**2
    exact = np.nan_to_num(exact, posinf=0.0, neginf=0.0) ** 2
    small = np.maximum(np.nan_to_num(spread) - np.nan_to_num(plain).sum(1), 0.0)
    return np.asarray(exact.sum(1) + small)


def _sums(codes: Codes, values: NDArray[Any], length: int) -> Floats:
    return np.asarray(np.bincount(codes, values, length), dtype=np.float64)


def _jackknifed(spread: Floats, clusters: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(clusters > 1, spread * (clusters - 1) / clusters, np.nan)


def _with_size(share: ClusteredShare, total: Floats, squares: Floats) -> ClusteredShare:
    with np.errstate(divide="ignore", invalid="ignore"):
        return replace(share, size=total**2 / squares, cluster_size=share.cluster_size / squares)
