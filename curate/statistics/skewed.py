"""Student's t for an estimate whose noise leans to one side: few texts carry much of it.

A mean of eight values with a long tail to the right lies below the truth more often than above it,
and then its error is small too: t's interval ends too low. Edgeworth's expansion of a studentised
mean says by how much, from the skewness of the estimate (its third cumulant over the error's cube;
for a sum of independent means the sum of theirs). That is itself estimated from few values, and
would move one end out and the other in: only the first is believed.

Source: P. Hall, The Bootstrap and Edgeworth Expansion, 1992, 2.6 and 3.5, t's quantile for z.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from curate.arrays import Floats, floats
from curate.statistics.intervals import t_quantile

_FAR = 1e100  # whose square is a number; a hundredth of a degree of freedom goes beyond

__all__ = ["leaning", "skewed_p", "skewed_quantiles", "skewness_error"]


def skewed_quantiles(confidence: float, df: float, skewness: float = 0.0) -> tuple[float, float]:
    """How many standard errors an interval reaches below and above its estimate.

    Neither is less than Student's. Degrees of freedom of 0 or less give infinity.

    Args:
        confidence: Of the interval, two-sided.
        df: Degrees of freedom.
        skewness: Of the estimate: its third cumulant over the cube of its standard error.

    >>> [round(x, 2) for x in skewed_quantiles(0.95, 7)]
    [2.36, 2.36]
    >>> [round(x, 2) for x in skewed_quantiles(0.95, 7, 0.5)]
    [2.36, 3.38]
    >>> skewed_quantiles(0.95, 7, 0.5) == skewed_quantiles(0.95, 7, -0.5)[::-1]
    True
    >>> skewed_quantiles(0.95, 0), skewed_quantiles(0.95, 0.001, 0.1)[0] > 1e100
    ((inf, inf), True)
    """
    t = float(t_quantile(confidence, df))
    return t + float(leaning(t, -skewness)), t + float(leaning(t, skewness))


def leaning(t: float, skewness: float | Floats) -> Floats:
    """What the end on the side of the tail gains, in standard errors; 0 on the other side.

    >>> leaning(2.0, np.array([-0.5, 0.0, 0.5])).tolist()
    [0.0, 0.0, 0.75]
    """
    return np.maximum(floats(skewness), 0.0) * (2 * min(t, _FAR) ** 2 + 1) / 6


def skewed_p(z: float, df: float, skewness: float = 0.0) -> float:
    """Two-sided p of an estimate z standard errors from the value it is tested against.

    At most p where, and only where, the interval of level 1 - p leaves that value out.

    >>> round(skewed_p(2.3646, 7), 3), round(skewed_p(-3.3781, 7, 0.5), 3)
    (0.05, 0.05)
    >>> skewed_p(3.0, 7, -0.5) == skewed_p(-3.0, 7, 0.5) > skewed_p(3.0, 7, 0.5)
    True
    """
    third = max(0.0, -skewness if z > 0 else skewness) / 3
    left = max(0.0, abs(z) - third / 2)
    t = 2 * left / (1 + math.sqrt(1 + 4 * third * left))  # of third t² + t = left
    return float(2 * special.stdtr(min(df, 1e12), -t))


def skewness_error(n: int) -> float:
    """Standard error of the skewness of n >= 3 normal values, by k-statistics (Fisher 1930).

    >>> round(skewness_error(8), 3)
    0.752
    """
    return math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
