"""Compiled noise model of the scaling-law fits: trunks, bootstrap draws, read-outs, profiles.

Log residuals are taken as u(trunk) + e(point), both Gaussian. Everything needs the points only
through sums over trunks: V^-1 = (I - sum over trunks of k 1 1') / sigma^2, with
k = ratio / (1 + ratio * points) and ratio = tau^2 / sigma^2.
"""

from __future__ import annotations

import numpy as np

from curate.scaling._fit_kernel import (
    Data,
    Floats,
    Law,
    compiled,
    descend,
    log_loss,
    predict,
    solve,
    theta_of,
)

#: What `quantity` reads off a law; every value but PARAMETER and FLOOR_SHIFT is a logarithm.
PARAMETER, LOG_PARAMETER, ODDS, TOKENS, MULTIPLIER, BEST_N, BEST_D, KNEE, LOSS = range(9)
FACTOR, FLOOR_SHIFT, BEST_RATIO = 9, 10, 11


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
def _trunk_sums(
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
def _weighted(
    sums: tuple[Floats, Floats, Floats, Floats, Floats], ratio: float
) -> tuple[Floats, Floats, float]:
    """J'V^-1 J, J'V^-1 r and r'V^-1 r, in units of the point variance."""
    of_rows, of_r, size, gram, right = sums
    k = gram.shape[0]
    a, b, total = gram.copy(), right[:k].copy(), right[k]
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
    a, b, total = _weighted(sums, ratio)
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
    sums = _trunk_sums(phi, law, data, trunks)
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
def _inverse(matrix: Floats) -> Floats:
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
    sums = _trunk_sums(phi, law, data, trunks)
    bread = _inverse(sums[3])
    k = phi.shape[0]
    meat = sums[3].copy()
    for t in range(trunks):
        for i in range(k):
            for j in range(k):
                meat[i, j] += noise[1] * sums[0][t, i] * sums[0][t, j]
    return noise[0] * (bread @ meat @ bread)


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
    n, m, _, arm, trunk, keep = data
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


@compiled
def _tokens(theta: Floats, log_target: float, n: float) -> float:
    """Centred ln tokens at which an arm reaches a loss; infinite where it never does."""
    left = np.exp(log_target) - np.exp(theta[2]) - np.exp(theta[0] - theta[3] * n)
    if left <= 0:
        return np.inf
    return (theta[1] - np.log(left)) / theta[4]


@compiled
def _best_n(theta: Floats, total: float) -> float:
    """Centred ln N that minimises the loss where centred ln N + ln D = total."""
    lead = theta[0] + np.log(theta[3]) - theta[1] - np.log(theta[4])
    return (lead + theta[4] * total) / (theta[3] + theta[4])


@compiled
def _knee(theta: Floats, n: float, threshold: float) -> float:
    """Centred ln tokens where one doubling lowers the loss by just `threshold` of itself."""
    per_doubling = 1 - 2.0 ** -theta[4] - threshold
    if per_doubling <= 0:
        return -np.inf
    rest = np.exp(theta[2]) + np.exp(theta[0] - theta[3] * n)
    return (theta[1] + np.log(per_doubling) - np.log(threshold) - np.log(rest)) / theta[4]


@compiled
def quantity(what: tuple[int, Floats], phi: Floats, law: Law) -> float:
    """One number read off a law; `what` is (code, arguments in centred logs)."""
    code, args = what
    theta = theta_of(phi, law)
    first = theta[int(args[0])]
    if code == PARAMETER:
        return first[int(args[1])]
    if code == LOG_PARAMETER:
        return np.log(first[int(args[1])])
    if code == ODDS:
        return np.log(first[4]) - np.log(first[3])
    if code == TOKENS:
        return _tokens(first, args[1], args[2])
    if code == MULTIPLIER:
        target = log_loss(theta[int(args[1])], args[2], args[3])[0]
        return _tokens(first, target, args[2]) - args[3]
    if code == BEST_N:
        return _best_n(first, args[1])
    if code == BEST_D:
        return args[1] - _best_n(first, args[1])
    if code == BEST_RATIO:
        return args[1] - 2 * _best_n(first, args[1])
    if code == KNEE:
        return _knee(first, args[1], args[2])
    if code == LOSS:
        return log_loss(first, args[1], args[2])[0]
    second = theta[int(args[1])]
    if code == FACTOR:
        return (first[1] - second[1]) / first[4]
    return np.exp(second[2]) - np.exp(first[2])


@compiled
def slope(what: tuple[int, Floats], phi: Floats, law: Law) -> Floats:
    """Gradient of `quantity` by central differences."""
    out, moved = np.empty(phi.shape[0]), phi.copy()
    for j in range(phi.shape[0]):
        step = 1e-5 * max(1.0, abs(phi[j]))
        moved[j] = phi[j] + step
        above = quantity(what, moved, law)
        moved[j] = phi[j] - step
        out[j] = (above - quantity(what, moved, law)) / (2 * step)
        moved[j] = phi[j]
    return out


@compiled
def read_draws(
    what: tuple[int, Floats], phis: Floats, covariances: Floats, law: Law
) -> tuple[Floats, Floats]:
    """A quantity and its delta-method standard error in every bootstrap draw."""
    draws = phis.shape[0]
    values, errors = np.empty(draws), np.empty(draws)
    for d in range(draws):
        values[d] = quantity(what, phis[d], law)
        g = slope(what, phis[d], law)
        errors[d] = np.sqrt(max(np.dot(g, covariances[d] @ g), 0.0))
    return values, errors


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
    a, b, total = _weighted(_trunk_sums(phi, law, data, trunks), ratio)
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
        sums = _weighted(_trunk_sums(proposal, law, data, trunks), ratio)
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
    gradient: Floats, phi: Floats, law: Law, data: Data, noise: tuple[float, float, int]
) -> tuple[float, float]:
    """Satterthwaite's degrees of freedom of a linear quantity, and its standard error.

    The two variances' uncertainty is the inverse of the restricted likelihood's expected
    information, as in mixed-model t tests.
    """
    variance, ratio, trunks = noise
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
    bread = _inverse(rows.T @ weighted)
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
    base = _weighted(_trunk_sums(best, law, data, trunks), ratio)[2]
    stiff = 300.0 * np.sqrt(variance) / error
    low, low_t, high, high_t = centre, 0.0, np.nan, np.nan
    at, phi, wanted = centre + critical * error, best.copy(), abs(critical)
    for _ in range(25):
        if (limit - at) * critical <= 0:
            at = limit
        phi, total = weighted_fit(phi, law, data, weights, (what[0], what[1], at, stiff))
        reached = np.sqrt(max(total - base, 0.0) / variance)
        if abs(reached - wanted) < 2e-3 * wanted:
            return at
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
    return at
