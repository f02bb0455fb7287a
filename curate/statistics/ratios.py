"""Ratio of two rates, for independent documents: score intervals that hold near 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from curate.arrays import Floats, floats

Pair = tuple[Floats, Floats]


class ScoreError(NamedTuple):
    """What the error of two rates comes from (arrays).

    `sizes` are effective documents of the group and of the rest, `documents` those that were
    counted, by which the rates are pooled; `covariance` is that of both rates as a fraction of
    the product of their documents' standard deviations.
    """

    sizes: Pair
    documents: Pair
    covariance: Floats | float = 0.0


def _rate_under(ratio: Floats, rates: Pair, sizes: Pair) -> Floats:
    """Maximum-likelihood rate of the rest if the true ratio were `ratio` (Koopman 1984)."""
    (rate, rest), (n, n_rest) = rates, sizes
    a = (n + n_rest) * ratio
    b = ratio * (n + n_rest * rest) + n_rest + n * rate
    c = n * rate + n_rest * rest
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    return np.asarray(2 * c / np.maximum(b + root, 1e-300))


def _score(ratio: Floats, rates: Pair, error: ScoreError) -> Floats:
    (rate, rest), (n, n_rest) = rates, error.sizes
    pooled = _rate_under(ratio, rates, error.documents)
    own = np.clip(ratio * pooled, 0.0, 1.0)
    spread, spread_rest = own * (1 - own), ratio**2 * pooled * (1 - pooled)
    shared = 2 * error.covariance * np.sqrt(np.maximum(spread * spread_rest, 0.0))
    variance = spread / n + spread_rest / n_rest - shared
    difference = rate - ratio * rest
    with np.errstate(divide="ignore", invalid="ignore"):
        score = difference / np.sqrt(variance)
    return np.where(difference == 0, 0.0, score)


def score_ratio_bounds(rates: Pair, error: ScoreError | Pair, quantile: ArrayLike) -> Pair:
    """Score interval of rate / rate of the rest, row by row (arrays; Koopman 1984).

    Args:
        rates: Rates of the group and of the rest, in [0, 1].
        error: Their sizes in documents, or all that their error comes from.
        quantile: How many standard errors the interval reaches, e.g. 1.96.

    A rate of 0 in the group gives the low end 0, in the rest the high end infinity.

    >>> pair = np.array([0.4]), np.array([0.75])
    >>> low, high = score_ratio_bounds(pair, (np.array([200.0]), np.array([200.0])), 1.96)
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.439, 0.64)
    """
    rate, rest = np.broadcast_arrays(*map(floats, rates))
    if not isinstance(error, ScoreError):
        sizes = floats(error[0]), floats(error[1])
        error = ScoreError(sizes, sizes)
    reach = np.broadcast_to(floats(quantile), rate.shape)
    low = np.where(rate > 0, _where_score_is(_score, reach, (rate, rest), error), 0.0)
    high = np.where(rest > 0, _where_score_is(_score, -reach, (rate, rest), error), np.inf)
    known = np.isfinite(reach)
    return np.where(known, low, 0.0), np.where(known, high, np.inf)


def score_odds_bounds(rates: Pair, error: ScoreError, quantile: ArrayLike) -> Pair:
    """Score interval of the odds ratio of two rates, row by row (arrays; Cornfield 1956).

    It leaves 1 out exactly where `score_ratio_bounds` does: both invert a test of equal rates.
    Arguments as there. A rate of 0 in the group or 1 in the rest gives the low end 0, the
    other way round the high end infinity.

    >>> sizes = np.array([200.0]), np.array([200.0])
    >>> error = ScoreError(sizes, sizes)
    >>> low, high = score_odds_bounds((np.array([0.4]), np.array([0.75])), error, 1.96)
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.145, 0.34)
    """
    rate, rest = np.broadcast_arrays(*map(floats, rates))
    reach = np.broadcast_to(floats(quantile), rate.shape)
    open_low, open_high = (rate <= 0) | (rest >= 1), (rest <= 0) | (rate >= 1)
    low = np.where(open_low, 0.0, _where_score_is(_odds_score, reach, (rate, rest), error))
    high = np.where(open_high, np.inf, _where_score_is(_odds_score, -reach, (rate, rest), error))
    known = np.isfinite(reach)
    return np.where(known, low, 0.0), np.where(known, high, np.inf)


def _odds_score(ratio: Floats, rates: Pair, error: ScoreError) -> Floats:
    """How far the logits lie from those that an odds ratio predicts, in standard errors."""
    (n, n_rest), (size, size_rest) = error.documents, error.sizes
    hits = n * rates[0] + n_rest * rates[1]
    # The root in (0, 1) of the rate of the rest: a r² + b r + c = 0.
    a = n_rest * (ratio - 1)
    b = n * ratio + n_rest - hits * (ratio - 1)
    root = np.sqrt(np.maximum(b * b + 4 * a * hits, 0.0))
    rest = np.clip(2 * hits / np.maximum(b + root, 1e-300), 0.0, 1.0)
    own = ratio * rest / (1 + rest * (ratio - 1))
    beyond = rates[0] - own
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = 1 / (own * (1 - own)), 1 / (rest * (1 - rest))
        spread = u / size + v / size_rest - 2 * error.covariance * np.sqrt(u * v)
        score = beyond * (u + v * n / n_rest) / np.sqrt(spread)
    return np.where(beyond == 0, 0.0, score)


def _where_score_is(
    score: Callable[[Floats, Pair, ScoreError], Floats],
    target: Floats,
    rates: Pair,
    error: ScoreError,
) -> Floats:
    """Ratio at which a score, which falls as the ratio grows, passes `target`."""
    below, above = np.full(target.shape, -20.0), np.full(target.shape, 20.0)
    for _ in range(52):
        middle = (below + above) / 2
        too_low = score(np.exp(middle), rates, error) > target
        below, above = np.where(too_low, middle, below), np.where(too_low, above, middle)
    return np.asarray(np.exp((below + above) / 2))


def half_corrected_ratio(rates: Pair, sizes: Pair) -> Floats:
    """Ratio of two rates (arrays); ½ is added to counts and sizes where one rate is 0.

    Both rates 0 give NaN: there is nothing to compare.

    >>> rates = np.array([0.2, 0.0, 0.0]), np.array([0.1, 0.1, 0.0])
    >>> half_corrected_ratio(rates, (np.full(3, 49.5),) * 2).round(3).tolist()
    [2.0, 0.092, nan]
    """
    (rate, rest), (n, n_rest) = rates, sizes
    corrected = (rate * n + 0.5) / (n + 0.5) / ((rest * n_rest + 0.5) / (n_rest + 0.5))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((rate > 0) & (rest > 0), rate / rest, corrected)
    return np.where((rate == 0) & (rest == 0), np.nan, ratio)


def smallest_detectable_ratio(
    rate_rest: ArrayLike, sizes: Pair, *, quantile: ArrayLike = 1.959964, power: float = 0.8
) -> Floats:
    """Smallest rate ratio above 1 that the score test finds with `power` (arrays).

    Args:
        rate_rest: Removal rate of the rest.
        sizes: (Effective) documents of the group and of the rest.
        quantile: Two-sided quantile of the test's level, e.g. `t_quantile(0.95, df)`.
        power: Probability of finding it.

    NaN where not even a group that loses every document would be found.

    >>> sizes = np.array([1000.0, 30.0]), np.array([1000.0, 30.0])
    >>> smallest_detectable_ratio([0.1, 0.6], sizes).round(2).tolist()
    [1.41, 1.51]
    """
    rest = floats(rate_rest)
    n, n_rest = map(floats, sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = np.ones(rest.shape), np.asarray(1 / rest)
        largest = above
        for _ in range(52):
            middle = (below + above) / 2
            found = _excess_power(middle * rest, rest, (n, n_rest), quantile) >= special.ndtri(
                power
            )
            below, above = np.where(found, below, middle), np.where(found, middle, above)
        reachable = _excess_power(largest * rest, rest, (n, n_rest), quantile) >= special.ndtri(
            power
        )
    return np.where(reachable & (rest > 0), above, np.nan)


def _excess_power(rate: Floats, rest: Floats, sizes: Pair, quantile: ArrayLike) -> Floats:
    """Normal quantile of the power to find `rate` against `rest`."""
    n, n_rest = sizes
    pooled = (rate * n + rest * n_rest) / (n + n_rest)
    under_null = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_rest))
    under_rate = np.sqrt(rate * (1 - rate) / n + rest * (1 - rest) / n_rest)
    return np.asarray((rate - rest - floats(quantile) * under_null) / under_rate)
