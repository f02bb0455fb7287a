"""Compiled core of the scaling-law fits: losses, exact derivatives, Newton steps, grid.

Every law is the logarithm of E + A e^(-alpha n) + B e^(-beta m), with n = ln N and m = ln D
centred on the data, written as log-sum-exp of (a - alpha n, b - beta m, e). An arm's five
numbers theta = (a, b, e, alpha, beta) are linear in the free parameters phi: theta = offset +
map @ phi. Shared exponents, laws without a floor or in one variable, and arms that differ in a
single number are then the same code with another `law = (offset, map)`.

`data` is (n, m, y, arm, trunk, keep): centred logs, ln loss, arm and trunk numbers, and whether
a point counts in the Gaussian likelihood.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.arrays import Floats

Law = tuple[Floats, Floats]
Data = tuple[Floats, Floats, Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]

#: error_model="numpy": a division by zero is an infinity that the caller judges.
compiled = njit(nogil=True, cache=True, error_model="numpy")

_FAR = 700.0  # beyond this exp() overflows


@compiled
def theta_of(phi: Floats, law: Law) -> Floats:
    """The five numbers of every arm, (arms, 5)."""
    offset, mapping = law
    theta = offset.copy()
    for r in range(mapping.shape[0]):
        for i in range(5):
            for j in range(phi.shape[0]):
                theta[r, i] += mapping[r, i, j] * phi[j]
    return theta


@compiled
def log_loss(theta: Floats, n: float, m: float) -> tuple[float, float, float, float]:
    """Log loss and the shares of the N term, the D term and the floor in the loss."""
    u, v, e = theta[0] - theta[3] * n, theta[1] - theta[4] * m, theta[2]
    top = max(u, v, e)
    pu, pv, pe = np.exp(u - top), np.exp(v - top), np.exp(e - top)
    total = pu + pv + pe
    return np.log(total) + top, pu / total, pv / total, pe / total


@compiled
def predict(phi: Floats, law: Law, data: Data) -> Floats:
    """Log loss of every point."""
    theta = theta_of(phi, law)
    n, m, _, arm, _, _ = data
    out = np.empty(n.shape[0])
    for i in range(n.shape[0]):
        out[i] = log_loss(theta[arm[i]], n[i], m[i])[0]
    return out


@compiled
def huber_objective(phi: Floats, law: Law, data: Data, delta: float) -> float:
    """Sum of Huber losses of the log residuals; squared raw residuals where delta < 0."""
    theta = theta_of(phi, law)
    n, m, y, arm, _, _ = data
    total = 0.0
    for i in range(n.shape[0]):
        f = log_loss(theta[arm[i]], n[i], m[i])[0]
        if delta < 0:
            r = np.exp(min(f, _FAR)) - np.exp(y[i])
            total += 0.5 * r * r
        else:
            r = abs(f - y[i])
            total += 0.5 * r * r if r <= delta else delta * (r - 0.5 * delta)
    return total


@compiled
def _slopes(f: float, y: float, delta: float) -> tuple[float, float]:
    """First and second derivative of one point's loss in its predicted ln loss."""
    if delta < 0:
        value = np.exp(min(f, _FAR))
        r = value - np.exp(y)
        return r * value, value * value + r * value
    r = f - y
    if abs(r) <= delta:
        return r, 1.0
    return (delta if r > 0 else -delta), 0.0


@compiled
def huber_derivatives(
    phi: Floats, law: Law, data: Data, delta: float
) -> tuple[Floats, Floats, Floats]:
    """Gradient and exact Hessian of `huber_objective`, and the diagonal of J'J."""
    theta = theta_of(phi, law)
    n, m, y, arm, _, _ = data
    arms, k = law[1].shape[0], phi.shape[0]
    g5, h5, d5 = np.zeros((arms, 5)), np.zeros((arms, 5, 5)), np.zeros((arms, 5, 5))
    row = np.empty(5)
    for i in range(n.shape[0]):
        r = arm[i]
        f, pu, pv, pe = log_loss(theta[r], n[i], m[i])
        first, second = _slopes(f, y[i], delta)
        row[0], row[1], row[2], row[3], row[4] = pu, pv, pe, -pu * n[i], -pv * m[i]
        h = h5[r]
        for a in range(5):
            g5[r, a] += first * row[a]
            for b in range(a + 1):
                product = row[a] * row[b]
                h[a, b] += (second - first) * product
                d5[r, a, b] += product
        h[0, 0] += first * pu
        h[3, 0] -= first * pu * n[i]
        h[3, 3] += first * pu * n[i] * n[i]
        h[1, 1] += first * pv
        h[4, 1] -= first * pv * m[i]
        h[4, 4] += first * pv * m[i] * m[i]
        h[2, 2] += first * pe
    gradient, hessian, scale = np.zeros(k), np.zeros((k, k)), np.zeros((k, k))
    for r in range(arms):
        _symmetric(h5[r])
        _symmetric(d5[r])
        mapping = law[1][r]
        for j in range(k):
            for a in range(5):
                if mapping[a, j] != 0.0:
                    gradient[j] += mapping[a, j] * g5[r, a]
                    for o in range(k):
                        for b in range(5):
                            w = mapping[a, j] * mapping[b, o]
                            hessian[j, o] += w * h5[r, a, b]
                            scale[j, o] += w * d5[r, a, b]
    return gradient, hessian, np.diag(scale).copy()


@compiled
def _symmetric(matrix: Floats) -> None:
    for a in range(matrix.shape[0]):
        for b in range(a):
            matrix[b, a] = matrix[a, b]


@compiled
def solve(matrix: Floats, right: Floats) -> tuple[bool, Floats, float]:
    """Cholesky solution of a small system and its log determinant.

    False where the matrix is not positive definite.
    """
    k = right.shape[0]
    lower, x, log_det = np.zeros((k, k)), right.copy(), 0.0
    for i in range(k):
        for j in range(i + 1):
            total = matrix[i, j]
            for s in range(j):
                total -= lower[i, s] * lower[j, s]
            if i == j:
                if not total > 1e-13 * abs(matrix[i, i]):
                    return False, x, log_det
                lower[i, i] = np.sqrt(total)
                log_det += np.log(total)
            else:
                lower[i, j] = total / lower[j, j]
    for i in range(k):
        for s in range(i):
            x[i] -= lower[i, s] * x[s]
        x[i] /= lower[i, i]
    for i in range(k - 1, -1, -1):
        for s in range(i + 1, k):
            x[i] -= lower[s, i] * x[s]
        x[i] /= lower[i, i]
    return True, x, log_det


@compiled
def newton(
    start: Floats, law: Law, data: Data, delta: float, settings: tuple[float, int]
) -> tuple[Floats, float, int]:
    """Damped Newton descent from `start`: point, objective, steps tried.

    `settings` is (tolerance relative to the objective, most steps). Damping is scaled by the
    diagonal of J'J, so the path does not depend on the units of the parameters.
    """
    tolerance, most = settings
    phi, mu, small = start.copy(), 1e-4, 0
    value = huber_objective(phi, law, data, delta)
    gradient, hessian, scale = huber_derivatives(phi, law, data, delta)
    k, tried = phi.shape[0], 0
    while tried < most and mu < 1e10:
        tried += 1
        damped = hessian.copy()
        for j in range(k):
            damped[j, j] += mu * max(scale[j], 1e-12)
        good, step, _ = solve(damped, gradient)
        if not good:
            mu *= 6.0
            continue
        expected, largest = 0.0, 0.0
        for j in range(k):
            largest = max(largest, abs(step[j]))
            expected += 0.5 * step[j] * (gradient[j] + mu * max(scale[j], 1e-12) * step[j])
        if largest > 8.0:
            mu *= 4.0
            continue
        proposal = phi - step
        reached = huber_objective(proposal, law, data, delta)
        if not reached <= value:
            mu *= 4.0
            if expected < 1e-15 * value + 1e-300:
                break
            continue
        gain = value - reached
        phi, value = proposal, reached
        if gain <= tolerance * value + 1e-300:
            small += 1
            if small == 2:
                break
        else:
            small = 0
        mu = max(mu / 5.0, 1e-12) if gain > 0.5 * expected else mu * 1.5
        gradient, hessian, scale = huber_derivatives(phi, law, data, delta)
    return phi, value, tried


@compiled
def descend(
    start: Floats, law: Law, data: Data, delta: float, ladder: Floats
) -> tuple[Floats, float, int]:
    """Newton down a ladder of Huber widths to `delta`.

    Far from the optimum a narrow Huber loss has no curvature; a wide one leads there.
    """
    phi, tried = start.copy(), 0
    if delta > 0:
        for width in ladder:
            if width > delta:
                phi, _, count = newton(phi, law, data, width, (1e-3, 40))
                tried += count
    phi, value, count = newton(phi, law, data, delta, (1e-11, 200))
    return phi, value, tried + count


@compiled
def _three(
    gram: Floats, right: Floats, allowed: NDArray[np.bool_], total: float
) -> tuple[float, Floats]:
    """Non-negative least squares of three columns by trying all active sets."""
    best, answer = total, np.zeros(3)
    for chosen in range(1, 8):
        size, index = 0, np.zeros(3, np.int64)
        legal = True
        for j in range(3):
            if chosen >> j & 1:
                legal = legal and allowed[j]
                index[size] = j
                size += 1
        if not legal:
            continue
        small, side = np.empty((size, size)), np.empty(size)
        for i in range(size):
            side[i] = right[index[i]]
            for j in range(size):
                small[i, j] = gram[index[i], index[j]]
        good, x, _ = solve(small, side)
        if not good or x.min() < 0:
            continue
        rest = total
        for i in range(size):
            rest -= x[i] * side[i]
        if rest < best:
            best = rest
            answer[:] = 0.0
            for i in range(size):
                answer[index[i]] = x[i]
    return best, answer


@compiled
def grid(
    data: Data, alphas: Floats, betas: Floats, allowed: NDArray[np.bool_], tied: bool
) -> tuple[Floats, Floats]:
    """Variable projection: the best (E, A, B) >= 0 of every (alpha, beta) cell.

    Returns relative squared errors (alphas, betas) and coefficients (alphas, betas, 3).
    Residuals are relative to the loss. Cells off the diagonal are infinite where `tied`.
    """
    n, m, y = data[0], data[1], data[2]
    points, rows, columns = n.shape[0], alphas.shape[0], betas.shape[0]
    weight = np.exp(-y)
    x, z = np.empty((rows, points)), np.empty((columns, points))
    for i in range(rows):
        x[i] = np.exp(-alphas[i] * n) * weight
    for j in range(columns):
        z[j] = np.exp(-betas[j] * m) * weight
    error, coefficient = np.full((rows, columns), np.inf), np.zeros((rows, columns, 3))
    gram, right = np.empty((3, 3)), np.empty(3)
    gram[0, 0], right[0] = np.dot(weight, weight), weight.sum()
    for i in range(rows):
        gram[0, 1] = gram[1, 0] = np.dot(weight, x[i])
        gram[1, 1], right[1] = np.dot(x[i], x[i]), x[i].sum()
        for j in range(columns):
            if tied and i != j:
                continue
            gram[0, 2] = gram[2, 0] = np.dot(weight, z[j])
            gram[1, 2] = gram[2, 1] = np.dot(x[i], z[j])
            gram[2, 2], right[2] = np.dot(z[j], z[j]), z[j].sum()
            error[i, j], coefficient[i, j] = _three(gram, right, allowed, float(points))
    return error, coefficient
