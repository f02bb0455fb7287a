"""Sums per group and cluster, and from them each group's rate against the rest of the corpus.

Everything is a few `bincount`s over documents, then over the cells (group, cluster) that hold
documents: the cost does not grow with groups × clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.statistics import ClusteredShare

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# The leverage of so many clusters, the largest, is exact; that of any other is below 1 / 256.
_EXACT_CLUSTERS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Who belongs where: one code a document, one row a cell."""

    group: Codes
    cell: Codes
    cell_group: Codes
    cell_cluster: Codes
    groups: int
    clusters: int


def lay_out(group: Codes, cluster: Codes) -> Layout:
    """The non-empty cells of documents coded by group and cluster (codes count from 0)."""
    groups, clusters = int(group.max()) + 1, int(cluster.max()) + 1
    keys, cell = np.unique(group * clusters + cluster, return_inverse=True)
    return Layout(
        group=group,
        cell=cell,
        cell_group=keys // clusters,
        cell_cluster=keys % clusters,
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


def rates_by_group(
    layout: Layout, removed: Floats, weight: Floats
) -> tuple[Sums, ClusteredShare, ClusteredShare]:
    """Removal rate of each group and of the rest of the corpus, with clustered variances.

    Args:
        layout: Groups and clusters of the documents.
        removed: Weight of each removed document, 0 for the others.
        weight: Weight of each document; 0 takes it out of the population.
    """
    n, x = (_sums(layout.cell, v, len(layout.cell_group)) for v in (weight, removed))
    sums = _totals(*(_sums(layout.cell_group, v, layout.groups) for v in (n, x)))
    squares = _sums(layout.group, weight**2, layout.groups)
    own = _own_share(layout, n, x, sums)
    rest = _rest_share(layout, n, x, sums)
    own = _with_size(own, sums.n, squares)
    rest = _with_size(rest, sums.n_rest, squares.sum() - squares)
    widening = _straddling(layout, n, x, sums, own.variance + rest.variance)
    own = replace(own, variance=own.variance * widening)
    return sums, own, replace(rest, variance=rest.variance * widening)


def _totals(n: Floats, x: Floats) -> Sums:
    rest = x.sum() - x
    largest = np.full(x.shape, np.nan)
    if x.size > 1:
        second, first = np.sort(x)[-2:]
        largest[:] = first
        largest[int(np.argmax(x))] = second
    with np.errstate(divide="ignore", invalid="ignore"):
        return Sums(n, x, n.sum() - n, rest, np.where(rest > 0, largest / rest, np.nan))


def _own_share(layout: Layout, n: Floats, x: Floats, sums: Sums) -> ClusteredShare:
    g = layout.cell_group
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums.x / sums.n
        influence = (x - rate[g] * n) / (sums.n[g] - n)
    clusters = _sums(g, n > 0, layout.groups)
    spread = _sums(g, np.nan_to_num(influence, posinf=0.0, neginf=0.0) ** 2, layout.groups)
    return ClusteredShare(
        rate=rate,
        size=sums.n,
        variance=_jackknifed(spread, clusters),
        clusters=clusters,
        cluster_size=_sums(g, n**2, layout.groups),
    )


def _rest_share(layout: Layout, n: Floats, x: Floats, sums: Sums) -> ClusteredShare:
    """The rest = all clusters, less those the group touches, plus what it leaves of them."""
    g, c = layout.cell_group, layout.cell_cluster
    N = _sums(c, n, layout.clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums.x_rest / sums.n_rest
    large = np.sort(np.argsort(-N, kind="stable")[:_EXACT_CLUSTERS])
    spread = _spread_of_large(layout, (n, x), sums, large)
    small = np.ones(layout.clusters, dtype=bool)
    small[large] = False
    spread += _spread_of_small(layout, (n, x), sums, small)
    gone = _sums(g, (n > 0) & (N[c] <= n), layout.groups)
    clusters = float((N > 0).sum()) - gone
    return ClusteredShare(
        rate=rate,
        size=sums.n_rest,
        variance=_jackknifed(spread, clusters),
        clusters=clusters,
        cluster_size=(N**2).sum() - _sums(g, N[c] ** 2 - (N[c] - n) ** 2, layout.groups),
    )


def _spread_of_large(
    layout: Layout, cells: tuple[Floats, Floats], sums: Sums, large: Codes
) -> Floats:
    """Squared influences of the largest clusters on the rest's rate, with their leverage."""
    place = np.full(layout.clusters, -1)
    place[large] = np.arange(large.size)
    chosen = place[layout.cell_cluster] >= 0
    row, column = layout.cell_group[chosen], place[layout.cell_cluster[chosen]]
    left = []
    for values in cells:
        own = np.zeros((layout.groups, large.size))
        own[row, column] = values[chosen]
        left.append(own.sum(0) - own)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums.x_rest / sums.n_rest
        influence = (left[1] - rate[:, None] * left[0]) / (sums.n_rest[:, None] - left[0])
    return np.asarray((np.nan_to_num(influence, posinf=0.0, neginf=0.0) ** 2).sum(1))


def _spread_of_small(
    layout: Layout, cells: tuple[Floats, Floats], sums: Sums, small: NDArray[np.bool_]
) -> Floats:
    """The same for all other clusters, from sums of squares: their leverage is negligible."""
    n, x = (np.where(small[layout.cell_cluster], v, 0.0) for v in cells)
    c = layout.cell_cluster
    N, X = _sums(c, n, layout.clusters), _sums(c, x, layout.clusters)
    left_n, left_x = N[c] - n, X[c] - x
    square, cross, size = (
        whole.sum() - _sums(layout.cell_group, whole[c] - left, layout.groups)
        for whole, left in ((X * X, left_x**2), (X * N, left_x * left_n), (N * N, left_n**2))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = sums.x_rest / sums.n_rest
        spread = (square - 2 * rate * cross + rate**2 * size) / sums.n_rest**2
    return np.asarray(np.maximum(np.nan_to_num(spread), 0.0))


def _sums(codes: Codes, values: NDArray[Any], length: int) -> Floats:
    return np.bincount(codes, values, length).astype(np.float64)


def _jackknifed(spread: Floats, clusters: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(clusters > 1, spread * (clusters - 1) / clusters, np.nan)


def _with_size(share: ClusteredShare, total: Floats, squares: Floats) -> ClusteredShare:
    with np.errstate(divide="ignore", invalid="ignore"):
        return replace(share, size=total**2 / squares, cluster_size=share.cluster_size / squares)


def _straddling(layout: Layout, n: Floats, x: Floats, sums: Sums, variance: Floats) -> Floats:
    """Factor by which clusters on both sides widen the variance of the difference.

    Two copies of a text in two groups, of which one is removed, pull the groups apart. Where
    such clusters pull them together instead, nothing is narrowed.
    """
    g, c = layout.cell_group, layout.cell_cluster
    left_n = _sums(c, n, layout.clusters)[c] - n
    left_x = _sums(c, x, layout.clusters)[c] - x
    with np.errstate(divide="ignore", invalid="ignore"):
        own = (x - (sums.x / sums.n)[g] * n) / (sums.n[g] - n)
        rest = (left_x - (sums.x_rest / sums.n_rest)[g] * left_n) / (sums.n_rest[g] - left_n)
        together = _sums(g, np.nan_to_num(own * rest, posinf=0, neginf=0), layout.groups)
        return np.fmax(1.0, (variance - 2 * together) / variance)
