"""Compiled loops over the cells and documents of an audit; flat arrays in, sums out."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from curate.arrays import Codes, Floats


@numba.njit(cache=True, nogil=True)
def cluster_powers(  # noqa: C901 - a kernel is one loop nest
    cell_group: Codes, first: Codes, n: Floats, totals: Floats, degree: int
) -> Floats:
    """Sums over clusters of s^i t^j: a cluster's shares of a group (s) and of its rest (t).

    Args:
        cell_group: Group of each cell (group, cluster); cells are sorted by cluster.
        first: Where each cluster's cells begin, and where the last ends.
        n: Weight of each cell.
        totals: Row 0 the groups' weights, row 1 those of their rests.
        degree: Largest i + j.

    Returns:
        The sums by group, i and j.
    """
    groups = totals.shape[1]
    sums = np.zeros((groups, degree + 1, degree + 1))
    whole, powers = np.zeros(degree + 1), np.zeros((2, degree + 1))
    for cluster in range(first.size - 1):
        N = 0.0
        for cell in range(first[cluster], first[cluster + 1]):
            N += n[cell]
        if N <= 0:
            continue
        power = 1.0
        for j in range(1, degree + 1):
            power *= N
            whole[j] += power
        for cell in range(first[cluster], first[cluster + 1]):
            if n[cell] <= 0:
                continue
            g = cell_group[cell]
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
    return sums


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
def standard_powers(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes, stratum: Codes, own: NDArray[np.bool_], n: Floats, table: Floats, degree: int
) -> tuple[Floats, Floats]:
    """Sums over clusters of s^i t^j: a cluster's standardised shares of a group and of its rest.

    Args:
        first: Where each cluster's cells begin, and where the last ends; within a cluster the
            cells of a stratum stand together.
        stratum: Stratum of each cell.
        own: Whether each cell belongs to the group.
        n: Weight of each cell.
        table: Share of a unit of weight by stratum: in the group, in the rest.
        degree: Largest i + j.

    Returns:
        The sums by i and j; and by stratum Σ(own − rest)² over its parts of clusters.
    """
    sums, leverage = np.zeros((degree + 1, degree + 1)), np.zeros(table.shape[0])
    powers = np.ones((2, degree + 1))
    for cluster in range(first.size - 1):
        s = t = 0.0
        i = first[cluster]
        while i < first[cluster + 1]:
            k, both = stratum[i], 0.0
            while i < first[cluster + 1] and stratum[i] == k:
                if own[i]:
                    part = n[i] * table[k, 0]
                    s += part
                    both += part
                else:
                    part = n[i] * table[k, 1]
                    t += part
                    both -= part
                i += 1
            leverage[k] += both * both
        for j in range(1, degree + 1):
            powers[0, j], powers[1, j] = powers[0, j - 1] * s, powers[1, j - 1] * t
        # Most clusters hold documents of the rest alone.
        for i in range(degree + 1 if s > 0 else 1):
            for j in range(degree + 1 - i):
                sums[i, j] += powers[0, i] * powers[1, j]
    return sums, leverage


@numba.njit(cache=True, nogil=True)
def standard_influences(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    n: Floats,
    x: Floats,
    table: Floats,
) -> Floats:
    """Sums over clusters of influences on two standardised rates.

    Args:
        first: Where each cluster's cells begin, and where the last ends.
        stratum: Stratum of each cell.
        own: Whether each cell belongs to the group.
        n: Weight of each cell.
        x: Taken weight of each cell.
        table: By stratum: share of a unit of weight in the group and in the rest, the rates
            expected of both, and the variance of a document.

    Returns:
        With z, y the influences on the group's rate and the rest's, s, t the shares of both, and
        a the difference of shares in variances of documents: Σ of z, y, z², y², zy, zs, yt, zt,
        ys, a².
    """
    found = np.zeros(10)
    for cluster in range(first.size - 1):
        z = y = s = t = a = 0.0
        for i in range(first[cluster], first[cluster + 1]):
            k = stratum[i]
            if own[i]:
                z += table[k, 0] * (x[i] - table[k, 2] * n[i])
                s += table[k, 0] * n[i]
                a += table[k, 4] * table[k, 0] * n[i]
            else:
                y += table[k, 1] * (x[i] - table[k, 3] * n[i])
                t += table[k, 1] * n[i]
                a -= table[k, 4] * table[k, 1] * n[i]
        found[0] += z
        found[1] += y
        found[2] += z * z
        found[3] += y * y
        found[4] += z * y
        found[5] += z * s
        found[6] += y * t
        found[7] += z * t
        found[8] += y * s
        found[9] += a * a
    return found


@numba.njit(cache=True, nogil=True)
def clustered_scores(  # noqa: PLR0913 - a kernel takes flat arrays
    first: Codes,
    stratum: Codes,
    own: NDArray[np.bool_],
    n: Floats,
    x: Floats,
    table: Floats,
    alike: float,
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
            left out), and by side the squared score that a document is expected to have,
            how a document moves the stratum's rate, and the score's signed standard deviation.
        alike: Correlation of documents within clusters that the plan supposes.

    Returns:
        Sum of the squared lengths; and by stratum, over its parts of clusters, the sums of
        0 expected squared scores, 1 their squares, 2 squared moves of the stratum's rate, 3 squared
        scores expected were documents alike, 4 their squares.
    """
    total, squared = table[:, 3].sum(), 0.0
    found = np.zeros((table.shape[0], 5))
    for cluster in range(first.size - 1):
        squares = together = 0.0
        i = first[cluster]
        while i < first[cluster + 1]:
            k, part, alone, moved, lean = stratum[i], 0.0, 0.0, 0.0, 0.0
            v = table[k, 3]
            while i < first[cluster + 1] and stratum[i] == k:
                side = 1 if own[i] else 0
                part += (side - table[k, 2]) * (x[i] - n[i] * table[k, side])
                alone += n[i] * table[k, 4 + side]
                moved += n[i] * table[k, 6 + side]
                lean += n[i] * table[k, 8 + side]
                i += 1
            if v > 0:
                squares += part * part / v
                together += part
                found[k, 0] += alone
                found[k, 1] += alone * alone
                found[k, 2] += moved * moved
                planned = (1 - alike) * alone + alike * lean * lean
                found[k, 3] += planned
                found[k, 4] += planned * planned
        squared += max(squares - together * together / total, 0.0)
    return squared, found
