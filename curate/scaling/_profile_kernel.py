"""Compiled likelihood under the noise model: weighted fits, degrees of freedom, profiles."""

from __future__ import annotations

import numpy as np

from curate.scaling._fit_kernel import Data, Floats, Law, compiled, solve
from curate.scaling._noise_kernel import inverse, jacobian, noise_of, trunk_sums, weighted_sums
from curate.scaling._readout_kernel import quantity, slope


@compiled
def weighted_fit(
    start: Floats,
    law: Law,
    data: Data,
    weights: tuple[float, int, float],
    tie: tuple[int, Floats, float, float],
) -> tuple[Floats, float]:
    """Least squares weighted by the noise model, by Levenberg-Marquardt: phi and r'V^-1 r.

    `weights` is (variance ratio, trunks, tolerance). `tie` (code, arguments, value, stiffness)
    holds one quantity at a value; stiffness 0 leaves it free.
    """
    ratio, trunks, tolerance = weights
    what, stiff = (tie[0], tie[1]), tie[3]
    phi, mu, k = start.copy(), 1e-3, start.shape[0]
    a, b, total = weighted_sums(trunk_sums(phi, law, data, trunks), ratio)
    miss = quantity(what, phi, law) - tie[2] if stiff > 0 else 0.0
    for _ in range(60):
        damped, side = a.copy(), b.copy()
        if stiff > 0:
            g = slope(what, phi, law)
            for i in range(k):
                side[i] -= stiff * stiff * miss * g[i]
                for j in range(k):
                    damped[i, j] += stiff * stiff * g[i] * g[j]
        for j in range(k):
            damped[j, j] += mu * max(a[j, j], 1e-12)
        good, step, _ = solve(damped, side)
        if not good or np.abs(step).max() > 6.0:
            mu *= 5.0
            if mu > 1e9:
                break
            continue
        expected = 0.0
        for j in range(k):
            expected += step[j] * (side[j] + mu * max(a[j, j], 1e-12) * step[j])
        proposal = phi + step
        sums = weighted_sums(trunk_sums(proposal, law, data, trunks), ratio)
        off = quantity(what, proposal, law) - tie[2] if stiff > 0 else 0.0
        before, after = total + (stiff * miss) ** 2, sums[2] + (stiff * off) ** 2
        if after <= before:
            phi, miss, mu = proposal, off, max(mu / 6.0, 1e-12)
            a, b, total = sums
            if expected < tolerance:
                break
        else:
            mu *= 4.0
            if expected < tolerance or mu > 1e9:
                break
    return phi, total + (stiff * miss) ** 2


@compiled
def mixed_fit(
    start: Floats, law: Law, data: Data, trunks: int
) -> tuple[Floats, float, float, float]:
    """Noise-weighted fit and its noise in turn: phi, r'V^-1 r, point variance, ratio."""
    phi = start.copy()
    variance, ratio = noise_of(phi, law, data, trunks)
    free = (0, np.zeros(4), 0.0, 0.0)
    total = 0.0
    for _ in range(4):
        phi, total = weighted_fit(phi, law, data, (ratio, trunks, 1e-9 * variance), free)
        variance, again = noise_of(phi, law, data, trunks)
        settled = abs(again - ratio) <= 1e-3 * (again + ratio)
        ratio = again
        if settled:
            break
    phi, total = weighted_fit(phi, law, data, (ratio, trunks, 1e-10 * variance), free)
    return phi, total, variance, ratio


@compiled
def degrees_of_freedom(
    gradient: Floats, phi: Floats, law: Law, data: Data, noise: tuple[float, float]
) -> tuple[float, float]:
    """Satterthwaite's degrees of freedom of a linear quantity, and its standard error.

    The two variances' uncertainty is the inverse of the restricted likelihood's expected
    information, as in mixed-model t tests.
    """
    variance, ratio = noise[0], noise[1]
    keep = np.flatnonzero(data[5])
    rows, trunk = jacobian(phi, law, data)[keep], data[4][keep]
    points, k = rows.shape
    same = np.zeros((points, points))
    for i in range(points):
        for j in range(points):
            same[i, j] = 1.0 if trunk[i] == trunk[j] else 0.0
    size = same.sum(axis=1)
    inside = np.eye(points)
    for i in range(points):
        inside[i] -= ratio / (1 + ratio * size[i]) * same[i]
    inside /= variance
    weighted = inside @ rows
    bread = inverse(rows.T @ weighted)
    error = np.dot(gradient, bread @ gradient)
    project = inside - weighted @ bread @ weighted.T
    direction = weighted @ (bread @ gradient)
    by_point = np.dot(direction, direction)
    by_trunk = np.dot(direction, same @ direction)
    if size.max() < 2 or ratio <= 0:
        return float(points - k), np.sqrt(error)
    both = project @ same
    pp, pt, tt = 0.5 * (project * project).sum(), 0.5 * (project * both.T).sum(), 0.0
    for i in range(points):
        for j in range(points):
            tt += 0.5 * both[i, j] * both[j, i]
    det = pp * tt - pt * pt
    if not det > 0:
        return 0.0, np.sqrt(error)
    noise_of_error = (tt * by_point**2 - 2 * pt * by_point * by_trunk + pp * by_trunk**2) / det
    return 2 * error * error / noise_of_error, np.sqrt(error)


@compiled
def profile_end(
    what: tuple[int, Floats],
    best: Floats,
    law: Law,
    data: Data,
    plan: tuple[float, float, int, float, float, float],
) -> float:
    """Where a quantity's profile likelihood falls to the critical value, on one side.

    `plan` is (variance, ratio, trunks, standard error, signed critical value, limit).
    Returns the limit's infinity where even the limit is not rejected.
    """
    variance, ratio, trunks, error, critical, limit = plan
    centre = quantity(what, best, law)
    weights = (ratio, trunks, 1e-5 * variance)
    base = weighted_sums(trunk_sums(best, law, data, trunks), ratio)[2]
    stiff = 300.0 * np.sqrt(variance) / error
    low, low_t, high, high_t = centre, 0.0, np.nan, np.nan
    at, phi, wanted = centre + critical * error, best.copy(), abs(critical)
    for _ in range(25):
        if (limit - at) * critical <= 0:
            at = limit
        phi, total = weighted_fit(phi, law, data, weights, (what[0], what[1], at, stiff))
        reached = np.sqrt(max(total - base, 0.0) / variance)
        if abs(reached - wanted) < 2e-3 * wanted:
            return float(at)
        if reached < wanted:
            if at == limit:
                return np.inf if critical > 0 else -np.inf
            low, low_t = at, reached
        else:
            high, high_t = at, reached
        if np.isnan(high):
            factor = min(max(wanted / max(reached, 1e-6), 1.05), 2.5)
            at = centre + (at - centre) * factor
        else:
            share = (wanted - low_t) / (high_t - low_t)
            at = low + (high - low) * min(max(share, 0.1), 0.9)
    return float(at)
