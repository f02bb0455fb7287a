"""Compiled noise model of the scaling-law fits: trunks, bootstrap draws, read-outs, profiles.

Log residuals are taken as u(trunk) + e(point), both Gaussian. Everything needs the points only
through sums over trunks: V^-1 = (I - sum over trunks of k 1 1') / sigma^2, with
k = ratio / (1 + ratio * points) and ratio = tau^2 / sigma^2.
"""

from __future__ import annotations

import numpy as np

from curate.arrays import Floats
from curate.scaling._fit_kernel import (
    Data,
    Law,
    compiled,
    descend,
    log_loss,
    predict,
    solve,
    theta_of,
)


@compiled
def jacobian(phi: Floats, law: Law, data: Data) -> Floats:
    """Derivatives of every point's ln loss in phi, (points, k)."""
    theta, mapping = theta_of(phi, law), law[1]
    n, m, _, arm, _, _ = data
    k, row = phi.shape[0], np.empty(5)
    out = np.zeros((n.shape[0], k))
    for i in range(n.shape[0]):
        r = arm[i]
        _, pu, pv, pe = log_loss(theta[r], n[i], m[i])
        row[0], row[1], row[2], row[3], row[4] = pu, pv, pe, -pu * n[i], -pv * m[i]
        for a in range(5):
            for j in range(k):
                out[i, j] += row[a] * mapping[r, a, j]
    return out


@compiled
def trunk_sums(
    phi: Floats, law: Law, data: Data, trunks: int
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Residuals r with J: trunk sums of J and of r, points per trunk, J'J, (J'r, r'r)."""
    rows = jacobian(phi, law, data)
    residual = data[2] - predict(phi, law, data)
    trunk, keep, k = data[4], data[5], phi.shape[0]
    of_rows, of_r, size = np.zeros((trunks, k)), np.zeros(trunks), np.zeros(trunks)
    gram, right = np.zeros((k, k)), np.zeros(k + 1)
    for i in range(residual.shape[0]):
        if keep[i]:
            t, r = trunk[i], residual[i]
            of_r[t] += r
            size[t] += 1
            right[k] += r * r
            for a in range(k):
                of_rows[t, a] += rows[i, a]
                right[a] += rows[i, a] * r
                for b in range(k):
                    gram[a, b] += rows[i, a] * rows[i, b]
    return of_rows, of_r, size, gram, right


@compiled
def weighted_sums(
    sums: tuple[Floats, Floats, Floats, Floats, Floats], ratio: float
) -> tuple[Floats, Floats, float]:
    """J'V^-1 J, J'V^-1 r and r'V^-1 r, in units of the point variance."""
    of_rows, of_r, size, gram, right = sums
    k = gram.shape[0]
    a, b, total = gram.copy(), right[:k].copy(), float(right[k])
    if ratio > 0:
        for t in range(size.shape[0]):
            w = ratio / (1 + ratio * size[t])
            total -= w * of_r[t] * of_r[t]
            for i in range(k):
                b[i] -= w * of_rows[t, i] * of_r[t]
                for j in range(k):
                    a[i, j] -= w * of_rows[t, i] * of_rows[t, j]
    return a, b, total


@compiled
def _ridged(matrix: Floats) -> Floats:
    """The matrix with a diagonal raised by 1e-10: a flat direction stays flat, but solvable."""
    out = matrix.copy()
    for j in range(out.shape[0]):
        out[j, j] += 1e-10 * out[j, j] + 1e-250
    return out


@compiled
def _restricted(
    sums: tuple[Floats, Floats, Floats, Floats, Floats], ratio: float
) -> tuple[float, float]:
    """-2 restricted log likelihood at a variance ratio, and the point variance there."""
    a, b, total = weighted_sums(sums, ratio)
    k = b.shape[0]
    good, x, log_det = solve(_ridged(a), b)
    if not good:
        return np.inf, np.nan
    free = sums[2].sum() - k
    rest = max(total - np.dot(b, x), 1e-300)
    spread = np.log(1 + ratio * sums[2]).sum()
    return free * np.log(rest) + spread + log_det, rest / free


@compiled
def noise_of(phi: Floats, law: Law, data: Data, trunks: int) -> tuple[float, float]:
    """Restricted maximum likelihood: (point variance, variance ratio trunk / point)."""
    sums = trunk_sums(phi, law, data, trunks)
    best, variance = _restricted(sums, 0.0)
    if sums[2].max() < 2:
        return variance, 0.0
    chosen, at = 0.0, -1
    for step in range(22):
        ratio = np.exp(-5.0 + 0.5 * step)
        value, spread = _restricted(sums, ratio)
        if value < best:
            best, variance, chosen, at = value, spread, ratio, step
    if at < 0:
        return variance, 0.0
    low, high = -5.5 + 0.5 * at, -4.5 + 0.5 * at
    for _ in range(14):
        left, right = low + 0.382 * (high - low), high - 0.382 * (high - low)
        if _restricted(sums, np.exp(left))[0] < _restricted(sums, np.exp(right))[0]:
            high = right
        else:
            low = left
    chosen = np.exp(0.5 * (low + high))
    return _restricted(sums, chosen)[1], chosen


@compiled
def inverse(matrix: Floats) -> Floats:
    k = matrix.shape[0]
    out, unit = np.full((k, k), np.nan), np.zeros(k)
    for j in range(k):
        unit[:] = 0.0
        unit[j] = 1.0
        good, x, _ = solve(_ridged(matrix), unit)
        if not good:
            return out
        out[:, j] = x
    return out


@compiled
def spread_of(phi: Floats, law: Law, data: Data, noise: tuple[float, float], trunks: int) -> Floats:
    """Covariance of an unweighted fit under trunk noise: (J'J)^-1 J'VJ (J'J)^-1."""
    sums = trunk_sums(phi, law, data, trunks)
    bread = inverse(sums[3])
    k = phi.shape[0]
    meat = sums[3].copy()
    for t in range(trunks):
        for i in range(k):
            for j in range(k):
                meat[i, j] += noise[1] * sums[0][t, i] * sums[0][t, j]
    out: Floats = noise[0] * (bread @ meat @ bread)
    return out


@compiled
def bootstrap(
    phi: Floats,
    law: Law,
    data: Data,
    plan: tuple[float, float, float, Floats],
    normals: tuple[Floats, Floats],
) -> tuple[Floats, Floats, Floats]:
    """Parametric bootstrap with a trunk effect, each refit started at `phi`.

    `plan` is (point sd, trunk sd, Huber width, ladder), `normals` standard normals
    (draws, points) and (draws, trunks). Returns parameters, covariances, (variance, ratio).
    """
    point_sd, trunk_sd, delta, ladder = plan
    points, trunk_draws = normals
    draws, k, trunks = points.shape[0], phi.shape[0], trunk_draws.shape[1]
    centre = predict(phi, law, data)
    n, m, _, arm, trunk, _ = data
    phis, covariances = np.empty((draws, k)), np.empty((draws, k, k))
    noises, everyone = np.empty((draws, 2)), np.ones(n.shape[0], np.bool_)
    for d in range(draws):
        y = centre + point_sd * points[d]
        for i in range(y.shape[0]):
            y[i] += trunk_sd * trunk_draws[d, trunk[i]]
        drawn = (n, m, y, arm, trunk, everyone)
        phis[d] = descend(phi, law, drawn, delta, ladder)[0]
        noise = noise_of(phis[d], law, drawn, trunks)
        covariances[d] = spread_of(phis[d], law, drawn, noise, trunks)
        noises[d, 0], noises[d, 1] = noise
    return phis, covariances, noises
