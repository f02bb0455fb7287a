"""Compiled loops over the cells and documents of an audit; flat arrays in, sums out."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)
def cluster_powers(  # noqa: C901 - a kernel is one loop nest
    cell_group: Codes, first: Codes, n: Floats, totals: Floats, degree: int
) -> tuple[Floats, Floats]:
    """Sums over clusters of s^i t^j: a cluster's shares of a group (s) and of its rest (t).

    Args:
        cell_group: Group of each cell (group, cluster); cells are sorted by cluster.
        first: Where each cluster's cells begin, and where the last ends.
        n: Weight of each cell.
        totals: Row 0 the groups' weights, row 1 those of their rests.
        degree: Largest i + j.

    Returns:
        The sums by group, i and j; and per group the clusters it has documents in, those it
        fills alone, and (in the last row, everywhere the same) all clusters with documents.
    """
    groups = totals.shape[1]
    sums, counts = np.zeros((groups, degree + 1, degree + 1)), np.zeros((3, groups))
    whole, powers = np.zeros(degree + 1), np.zeros((2, degree + 1))
    for cluster in range(first.size - 1):
        N = 0.0
        for cell in range(first[cluster], first[cluster + 1]):
            N += n[cell]
        if N <= 0:
            continue
        counts[2] += 1
        power = 1.0
        for j in range(1, degree + 1):
            power *= N
            whole[j] += power
        for cell in range(first[cluster], first[cluster + 1]):
            if n[cell] <= 0:
                continue
            g = cell_group[cell]
            counts[0, g] += 1
            counts[1, g] += N - n[cell] <= 0
            s = n[cell] / totals[0, g]
            t = all_of_it = 0.0
            if totals[1, g] > 0:
                t, all_of_it = (N - n[cell]) / totals[1, g], N / totals[1, g]
            powers[:, 0], lost = 1.0, 1.0
            for j in range(1, degree + 1):
                powers[0, j], powers[1, j] = powers[0, j - 1] * s, powers[1, j - 1] * t
                lost *= all_of_it
                sums[g, 0, j] += powers[1, j] - lost
            for i in range(1, degree + 1):
                for j in range(degree + 1 - i):
                    sums[g, i, j] += powers[0, i] * powers[1, j]
    for g in range(groups):
        power = 1.0
        for j in range(1, degree + 1):
            if totals[1, g] > 0:
                power /= totals[1, g]
                sums[g, 0, j] = max(sums[g, 0, j] + whole[j] * power, 0.0)
    return sums, counts


@numba.njit(cache=True, nogil=True)
def cluster_influences(  # noqa: PLR0913 - a kernel takes flat arrays
    cell_group: Codes, first: Codes, n: Floats, x: Floats, rates: Floats, totals: Floats
) -> Floats:
    """Sums over clusters of the squared influences on a group's rate and on that of its rest.

    Args:
        cell_group: Group of each cell (group, cluster); cells are sorted by cluster.
        first: Where each cluster's cells begin, and where the last ends.
        n: Weight of each cell.
        x: Removed weight of each cell.
        rates: Row 0 the groups' rates, row 1 those of their rests.
        totals: Row 0 the groups' weights, row 1 those of their rests.

    Returns:
        Per group: Σ of squared influences on its own rate, on the rest's, and Σ of products.
    """
    groups = rates.shape[1]
    sums, whole = np.zeros((3, groups)), np.zeros(3)
    for cluster in range(first.size - 1):
        N = X = 0.0
        for cell in range(first[cluster], first[cluster + 1]):
            N += n[cell]
            X += x[cell]
        whole[0] += X * X
        whole[1] += X * N
        whole[2] += N * N
        for cell in range(first[cluster], first[cluster + 1]):
            if n[cell] <= 0:
                continue
            g = cell_group[cell]
            own = x[cell] - rates[0, g] * n[cell]
            together = X - rates[1, g] * N
            other = X - x[cell] - rates[1, g] * (N - n[cell])
            sums[0, g] += own * own
            sums[1, g] += other * other - together * together
            sums[2, g] += own * other
    for g in range(groups):
        r = rates[1, g]
        sums[1, g] = max(sums[1, g] + whole[0] - 2 * r * whole[1] + r * r * whole[2], 0.0)
        for k, size in enumerate((totals[0, g] ** 2, totals[1, g] ** 2)):
            sums[k, g] = sums[k, g] / size if size > 0 else 0.0
        product = totals[0, g] * totals[1, g]
        sums[2, g] = sums[2, g] / product if product > 0 else 0.0
    return sums


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
def clustered_parts(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    weight: Floats,
    taken: Floats,
    table: Floats,
) -> tuple[float, float]:
    """Sums over clusters of the second and fourth powers of their influences on one estimate.

    Args:
        first: Where each cluster's cells begin, and where the last ends.
        stratum: Stratum of each cell.
        own: Whether each cell belongs to the group.
        weight: Weight of each cell's documents.
        taken: What a step takes of it.
        table: Influence by stratum and 2 · own, per taken weight, then per weight.
    """
    second = fourth = 0.0
    for cluster in range(first.size - 1):
        z = 0.0
        for i in range(first[cluster], first[cluster + 1]):
            place, row = 2 * own[i], table[stratum[i]]
            z += row[place] * taken[i] + row[place + 1] * weight[i]
        second += z * z
        fourth += z * z * z * z
    return second, fourth


@numba.njit(cache=True, nogil=True)
def clustered_scores(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    n: Floats,
    x: Floats,
    table: Floats,
) -> tuple[float, Floats]:
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
            stratum is left out), and by side the squared score that a document is expected to
            have, and how a document moves the stratum's rate.

    Returns:
        Sum of the squared lengths; and by stratum, over its parts of clusters, the sums of
        0 expected squared scores, 1 their squares, 2 squared moves of the stratum's rate.
    """
    total, squared = table[:, 3].sum(), 0.0
    found = np.zeros((table.shape[0], 3))
    for cluster in range(first.size - 1):
        squares = together = 0.0
        i = first[cluster]
        while i < first[cluster + 1]:
            k, part, alone, moved = stratum[i], 0.0, 0.0, 0.0
            v = table[k, 3]
            while i < first[cluster + 1] and stratum[i] == k:
                side = 1 if own[i] else 0
                part += (side - table[k, 2]) * (x[i] - n[i] * table[k, side])
                alone += n[i] * table[k, 4 + side]
                moved += n[i] * table[k, 6 + side]
                i += 1
            if v > 0:
                squares += part * part / v
                together += part
                found[k, 0] += alone
                found[k, 1] += alone * alone
                found[k, 2] += moved * moved
        squared += max(squares - together * together / total, 0.0)
    return squared, found
