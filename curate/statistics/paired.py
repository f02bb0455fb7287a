"""Tests of paired differences: sign test and equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from curate.arrays import floats
from curate.errors import ConfigError
from curate.statistics.intervals import Estimate, t_interval
from curate.statistics.share import clustered_mean


class SignTest(NamedTuple):
    """Counts of positive and negative differences and the exact two-sided p."""

    positive: int
    negative: int
    p: float


def sign_test(
    differences: ArrayLike, cluster: NDArray[Any] | Sequence[Any] | None = None
) -> SignTest:
    """Are positive and negative differences equally frequent? Exact; zeros do not count.

    Where clusters are given each has one vote, the sign that more of its documents have; the
    counts are then of clusters. No difference at all gives p = 1.

    >>> sign_test([1, 2, 3, 4, 5, 6, 7, -1])
    SignTest(positive=7, negative=1, p=0.0703125)
    """
    values = np.sign(floats(differences))
    if cluster is not None:
        values = np.bincount(np.unique(np.asarray(cluster), return_inverse=True)[1], values)
    positive, negative = int((values > 0).sum()), int((values < 0).sum())
    n, fewer = positive + negative, min(positive, negative)
    tail = float(special.bdtr(fewer, n, 0.5)) if n else 1.0
    return SignTest(positive, negative, min(1.0, 2 * tail))


def mean_shift(
    differences: ArrayLike,
    cluster: NDArray[Any] | Sequence[Any] | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Mean of paired differences with a t interval, linearised over clusters where given.

    >>> found = mean_shift([1.0, 2.0, 3.0])
    >>> found.estimate, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    values = floats(differences)
    if cluster is None:
        return t_interval(values, confidence)
    return clustered_mean(values, cluster, level=confidence)


def equivalence_p(found: Estimate, margin: float) -> float:
    """Two one-sided t tests (Schuirmann 1987): p of |true mean| >= margin.

    Small p = the mean lies inside ±margin. Not known where there is no error (NaN).

    >>> from curate.statistics import mean_shift
    >>> round(equivalence_p(mean_shift([0.1, -0.1, 0.05, -0.05]), margin=0.5), 4)
    0.0008
    """
    if not margin > 0:
        raise ConfigError(f"margin is {margin}; an equivalence margin must be positive")
    error, df = found.standard_error, found.degrees_of_freedom
    if not df > 0 or not np.isfinite(error):
        return float("nan")
    if error == 0:
        return 0.0 if abs(found.estimate) < margin else 1.0
    distance = (margin - abs(found.estimate)) / error
    return float(special.stdtr(min(df, 1e12), -distance))
