"""Compiled read-outs of a law: one number and its gradient, for an estimate or many draws."""

from __future__ import annotations

import numpy as np

from curate.arrays import Floats
from curate.scaling._fit_kernel import Law, compiled, log_loss, theta_of

#: What `quantity` reads off a law; every value but PARAMETER and FLOOR_SHIFT is a logarithm.
PARAMETER, LOG_PARAMETER, ODDS, TOKENS, MULTIPLIER, BEST_N, BEST_D, KNEE, LOSS = range(9)
FACTOR, FLOOR_SHIFT, BEST_RATIO, GAIN = 9, 10, 11, 12


@compiled
def _tokens(theta: Floats, log_target: float, n: float) -> float:
    """Centred ln tokens at which an arm reaches a loss; infinite where it never does."""
    left = np.exp(log_target) - np.exp(theta[2]) - np.exp(theta[0] - theta[3] * n)
    if left <= 0:
        return np.inf
    return float((theta[1] - np.log(left)) / theta[4])


@compiled
def _best_n(theta: Floats, total: float) -> float:
    """Centred ln N that minimises the loss where centred ln N + ln D = total."""
    lead = theta[0] + np.log(theta[3]) - theta[1] - np.log(theta[4])
    return float((lead + theta[4] * total) / (theta[3] + theta[4]))


@compiled
def _knee(theta: Floats, n: float, threshold: float) -> float:
    """Centred ln tokens where one doubling lowers the loss by just `threshold` of itself."""
    per_doubling = 1 - 2.0 ** -theta[4] - threshold
    if per_doubling <= 0:
        return -np.inf
    rest = np.exp(theta[2]) + np.exp(theta[0] - theta[3] * n)
    return float((theta[1] + np.log(per_doubling) - np.log(threshold) - np.log(rest)) / theta[4])


@compiled
def _gain(theta: Floats, n: float, m: float) -> float:
    """Log of the share of the loss that one doubling of the tokens takes away."""
    left = 1 - 2.0 ** -theta[4]
    return float(np.log(left) + theta[1] - theta[4] * m - log_loss(theta, n, m)[0])


@compiled
def quantity(what: tuple[int, Floats], phi: Floats, law: Law) -> float:
    """One number read off a law; `what` is (code, arguments in centred logs)."""
    code, args = what
    theta = theta_of(phi, law)
    first = theta[int(args[0])]
    if code == PARAMETER:
        return float(first[int(args[1])])
    if code == LOG_PARAMETER:
        return float(np.log(first[int(args[1])]))
    if code == ODDS:
        return float(np.log(first[4]) - np.log(first[3]))
    if code == TOKENS:
        return float(_tokens(first, args[1], args[2]))
    if code == MULTIPLIER:
        target = log_loss(theta[int(args[1])], args[2], args[3])[0]
        return float(_tokens(first, target, args[2]) - args[3])
    if code == BEST_N:
        return float(_best_n(first, args[1]))
    if code == BEST_D:
        return float(args[1] - _best_n(first, args[1]))
    if code == BEST_RATIO:
        return float(args[1] - 2 * _best_n(first, args[1]))
    if code == KNEE:
        return float(_knee(first, args[1], args[2]))
    if code == LOSS:
        return float(log_loss(first, args[1], args[2])[0])
    if code == GAIN:
        return float(_gain(first, args[1], args[2]))
    second = theta[int(args[1])]
    if code == FACTOR:
        return float((first[1] - second[1]) / first[4])
    return float(np.exp(second[2]) - np.exp(first[2]))


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
