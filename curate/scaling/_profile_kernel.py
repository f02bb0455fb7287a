"""Compiled likelihood under the noise model: weighted fits, degrees of freedom, profiles."""

from __future__ import annotations

import numpy as np

from curate.arrays import Floats
from curate.scaling._fit_kernel import Data, Law, compiled, solve
from curate.scaling._noise_kernel import inverse, noise_of, trunk_sums, weighted_sums
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
    return phi, total


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
) -> tuple[float, float, float]:
    """Of a linear quantity: Satterthwaite's degrees of freedom, standard error, inflation.

    The two variances' uncertainty is the inverse of the restricted likelihood's expected
    information, as in mixed-model t tests. Inflation is by how much the variance is larger than
    the weighted fit says, because its weights are estimated (Kenward & Roger 1997).
    """
    variance, ratio = noise
    trunks = int(data[4].max()) + 1
    of_rows, _, size, gram, _ = trunk_sums(phi, law, data, trunks)
    k = phi.shape[0]
    once, twice, thrice = gram.copy(), gram.copy(), gram.copy()  # J'WJ, J'WWJ, J'WWWJ
    damped, turned = 1 / (1 + ratio * size), of_rows.copy()
    for t in range(trunks):
        if size[t] > 0:
            d, c = damped[t], size[t]
            turned[t] *= d
            for i in range(k):
                for j in range(k):
                    pair = of_rows[t, i] * of_rows[t, j] / c
                    once[i, j] += (d - 1) * pair
                    twice[i, j] += (d * d - 1) * pair
                    thrice[i, j] += (d * d * d - 1) * pair
    bread = inverse(once)
    pulled = bread @ gradient
    error = np.dot(gradient, pulled)
    free = size.sum() - k
    if size.max() < 2:
        return float(free), np.sqrt(variance * error), 1.0
    by_point, by_trunk = np.dot(pulled, twice @ pulled), ((turned @ pulled) ** 2).sum()
    inner = turned @ bread @ turned.T
    mixed = bread @ twice
    pp = size.sum() + (damped**2 - 1).sum() - 2 * np.trace(bread @ thrice) + np.trace(mixed @ mixed)
    pt = (size * damped**2).sum() - 2 * (damped * np.diag(inner)).sum()
    pt += np.trace(mixed @ bread @ (turned.T @ turned))
    between = np.diag(size * damped) - inner
    tt = (between**2).sum()
    pp, pt, tt = 0.5 * pp, 0.5 * pt, 0.5 * tt
    det = pp * tt - pt * pt
    if not det > 0:
        return 0.0, np.sqrt(variance * error), 1.0
    doubt = (tt * by_point**2 - 2 * pt * by_point * by_trunk + pp * by_trunk**2) / det
    # Kenward & Roger: 2 sum of W_ij (Q_ij - P_i C P_j) over both variances, along the gradient
    along, first = turned @ pulled, twice @ pulled
    second = turned.T @ along
    q11, q12 = np.dot(pulled, thrice @ pulled), (damped * along**2).sum()
    q22 = (size * damped * along**2).sum()
    s11, s12 = q11 - np.dot(first, bread @ first), q12 - np.dot(first, bread @ second)
    s22 = q22 - np.dot(second, bread @ second)
    extra = 2 * (tt * s11 - 2 * pt * s12 + pp * s22) / det
    return 2 * error * error / doubt, np.sqrt(variance * error), 1 + max(extra, 0.0) / error


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
    stiff = 30.0 * np.sqrt(variance) / error  # what it gives way does not matter: see `value`
    low, low_t, high, high_t = centre, 0.0, np.nan, np.nan
    at, phi, wanted = centre + critical * error, best.copy(), abs(critical)
    for _ in range(25):
        if (limit - at) * critical <= 0:
            at = limit
        phi, total = weighted_fit(phi, law, data, weights, (what[0], what[1], at, stiff))
        reached, value = np.sqrt(max(total - base, 0.0) / variance), quantity(what, phi, law)
        if abs(reached - wanted) < 2e-3 * wanted:
            return float(value)
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


@compiled
def weighted_spread(phi: Floats, law: Law, data: Data, noise: tuple[float, float, int]) -> Floats:
    """Covariance of the noise-weighted fit: variance x (J'V^-1 J)^-1."""
    sums = trunk_sums(phi, law, data, noise[2])
    out: Floats = noise[0] * inverse(weighted_sums(sums, noise[1])[0])
    return out
