"""Compiled loops over the cells and documents of an audit; flat arrays in, sums out."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)
def small_cluster_sums(  # noqa: PLR0913 - a kernel takes flat arrays
    cell_group: Codes, first: Codes, n: Floats, x: Floats, rates: Floats, totals: Floats
) -> tuple[Floats, Floats]:
    """Sums over the cells (group, cluster), sorted by cluster; `first` bounds each cluster.

    Args:
        cell_group: Group of each cell.
        first: Where each cluster's cells begin, and where the last ends.
        n: Weight of each cell.
        x: Removed weight of each cell.
        rates: Row 0 the groups' rates, row 1 those of their rests.
        totals: Row 0 the groups' weights, row 1 those of their rests.

    Returns:
        Per group, one row each: 0 squared influences on its own rate, 1 clusters it has
        documents in, 2 sum of squared weights of its cells, 3 clusters it fills alone, 4 what
        it takes from the squared weights of whole clusters, 5 sum of products of its influence
        and the rest's, and, of the clusters it touches, what is lost to 6 ΣX², 7 ΣXN, 8 ΣN²
        when its own part leaves. And ΣX², ΣXN, ΣN² and the number of the whole clusters.
    """
    groups = rates.shape[1]
    sums, whole = np.zeros((9, groups)), np.zeros(4)
    for cluster in range(first.size - 1):
        N = X = 0.0
        for cell in range(first[cluster], first[cluster + 1]):
            N += n[cell]
            X += x[cell]
        whole[0] += X * X
        whole[1] += X * N
        whole[2] += N * N
        whole[3] += N > 0
        for cell in range(first[cluster], first[cluster + 1]):
            if n[cell] <= 0:
                continue
            g = cell_group[cell]
            left_n, left_x = N - n[cell], X - x[cell]
            own = other = 0.0
            if totals[0, g] > n[cell]:
                own = (x[cell] - rates[0, g] * n[cell]) / (totals[0, g] - n[cell])
            if totals[1, g] > left_n:
                other = (left_x - rates[1, g] * left_n) / (totals[1, g] - left_n)
            sums[0, g] += own * own
            sums[1, g] += 1
            sums[2, g] += n[cell] * n[cell]
            sums[3, g] += left_n <= 0
            sums[4, g] += N * N - left_n * left_n
            sums[5, g] += own * other
            sums[6, g] += X * X - left_x * left_x
            sums[7, g] += X * N - left_x * left_n
            sums[8, g] += N * N - left_n * left_n
    return sums, whole


@numba.njit(cache=True, nogil=True)
def clustered_influence(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    n: Floats,
    x: Floats,
    table: Floats,
) -> Floats:
    """Sums over clusters of the squared influences of their documents on two estimates.

    Args:
        first: Where each cluster's cells begin, and where the last ends.
        stratum: Stratum of each cell.
        own: Whether each cell belongs to the group.
        n: Documents of each cell.
        x: Removed documents of each cell.
        table: Influence of a document, by stratum and 4 · own + 2 · hit + estimate.

    Returns:
        Per estimate: Σ(cluster's influence)², Σ of the documents' squares, and the sum over
        clusters of (the documents' squares)²: their shares say how many clusters count.
    """
    found = np.zeros((2, 3))
    for cluster in range(first.size - 1):
        z0 = z1 = e0 = e1 = 0.0
        for i in range(first[cluster], first[cluster + 1]):
            place, hit, missed = 4 * own[i], x[i], n[i] - x[i]
            row = table[stratum[i]]
            z0 += missed * row[place] + hit * row[place + 2]
            z1 += missed * row[place + 1] + hit * row[place + 3]
            e0 += missed * row[place] ** 2 + hit * row[place + 2] ** 2
            e1 += missed * row[place + 1] ** 2 + hit * row[place + 3] ** 2
        found[0, 0] += z0 * z0
        found[1, 0] += z1 * z1
        found[0, 1] += e0
        found[1, 1] += e1
        found[0, 2] += e0 * e0
        found[1, 2] += e1 * e1
    return found


@numba.njit(cache=True, nogil=True)
def clustered_scores(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    n: Floats,
    x: Floats,
    table: Floats,
) -> Floats:
    """How far the strata's log odds ratios differ within each cluster, summed over clusters.

    A document's score is (own − mean) × (hit − expected rate) of its stratum. A cluster's scores
    u, one a stratum, less what one log odds ratio common to all strata explains, have the
    squared length Σ u² / v − (Σ u)² / Σ v.

    Args:
        first: Where each cluster's cells begin, and where the last ends; within a cluster the
            cells of a stratum stand together.
        stratum: Stratum of each cell.
        own: Whether each cell belongs to the group.
        n: Documents of each cell.
        x: Removed documents of each cell.
        table: By stratum: rates expected in the rest and in the group, mean of own, v (0 = the
            stratum is left out).

    Returns:
        Sum of the squared lengths, and sum and sum of squares of what the documents, each by
        itself, would give.
    """
    total = table[:, 3].sum()
    found = np.zeros(3)
    for cluster in range(first.size - 1):
        squares = together = part = alone = 0.0
        last = -1
        for i in range(first[cluster], first[cluster + 1]):
            v = table[stratum[i], 3]
            if v <= 0:
                continue
            if stratum[i] != last:
                if last >= 0:
                    squares += part * part / table[last, 3]
                part, last = 0.0, stratum[i]
            side = 1 if own[i] else 0
            rate, lean = table[last, side], side - table[last, 2]
            score = lean * (x[i] - n[i] * rate)
            part += score
            together += score
            each = x[i] * (1 - rate) ** 2 + (n[i] - x[i]) * rate**2
            alone += lean * lean * each * (1 / v - 1 / total)
        if last >= 0:
            squares += part * part / table[last, 3]
        found[0] += max(squares - together * together / total, 0.0)
        found[1] += alone
        found[2] += alone * alone
    return found
