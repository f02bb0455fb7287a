"""Corrections for many tests at once: false discovery rate and family-wise error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curate.arrays import Floats, floats


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """q-values of one family of tests (Benjamini & Hochberg 1995); NaN stays out of it.

    >>> benjamini_hochberg([0.001, 0.01, 0.03, 0.04, 0.5]).round(3).tolist()
    [0.005, 0.025, 0.05, 0.05, 0.5]
    >>> benjamini_hochberg([]).tolist()
    []
    """
    return _stepwise(p, lambda m: m / np.arange(1, m + 1), from_largest=True)


def holm(p: ArrayLike) -> Floats:
    """Adjusted p-values that hold the family-wise error (Holm 1979); NaN stays out of it.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    return _stepwise(p, lambda m: np.arange(m, 0, -1), from_largest=False)


def _stepwise(
    p: ArrayLike, factors: Callable[[int], NDArray[Any]], *, from_largest: bool
) -> Floats:
    p = floats(p)
    adjusted = np.full(p.shape, np.nan)
    valid = np.flatnonzero(~np.isnan(p))
    if valid.size == 0:
        return adjusted
    order = valid[np.argsort(p[valid], kind="stable")]
    scaled = p[order] * factors(valid.size)
    if from_largest:
        scaled = np.minimum.accumulate(scaled[::-1])[::-1]
    else:
        scaled = np.maximum.accumulate(scaled)
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def holm_levels(p: ArrayLike, alpha: float = 0.05) -> Floats:
    """Confidence level of each test's interval that agrees with Holm's decisions.

    The k-th smallest of m p-values gets 1 − alpha / (m − k + 1) while Holm rejects; from its
    first acceptance on all get the level of that step. An interval at its level excludes the
    null value exactly where `holm(p)` is at most alpha. A count instead of p-values gives the
    m levels in order, the first (strictest) being Bonferroni's: what a planner plans with.

    >>> holm_levels([0.001, 0.2, 0.02]).round(4).tolist()
    [0.9833, 0.95, 0.975]
    >>> holm_levels(2).tolist()
    [0.975, 0.95]
    """
    if isinstance(p, int):
        return np.asarray(1 - alpha / np.arange(p, 0, -1))
    p = floats(p)
    order = np.argsort(p, kind="stable")
    steps = alpha / np.arange(p.size, 0, -1)
    accepted = np.flatnonzero(p[order] > steps)
    if accepted.size:
        steps[accepted[0] :] = steps[accepted[0]]
    levels = np.empty(p.size)
    levels[order] = 1 - steps
    return levels
