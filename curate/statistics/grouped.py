"""Intervals of any share-like figure by leaving out groups of documents in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from curate.arrays import Floats, floats
from curate.statistics.intervals import Estimate, satterthwaite, t_quantile

MOST_BLOCKS = 200


def blocks(groups: NDArray[Any], *, most: int = MOST_BLOCKS) -> NDArray[np.int64]:
    """At most `most` blocks of whole groups, dealt largest first to the smallest block.

    Leaving out blocks costs less than leaving out thousands of groups, and is as valid.

    >>> blocks(np.array(["a", "a", "b", "c"]), most=2).tolist()
    [0, 0, 1, 1]
    """
    _, codes = np.unique(groups, return_inverse=True)
    sizes = np.bincount(codes)
    if sizes.size <= most:
        return np.asarray(codes, dtype=np.int64)
    held, dealt = np.zeros(most), np.empty(sizes.size, np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        dealt[group] = int(np.argmin(held))
        held[dealt[group]] += sizes[group]
    return np.asarray(dealt[codes], dtype=np.int64)


def jackknife(
    statistic: Callable[[Floats], Floats],
    sums: ArrayLike,
    sides: ArrayLike,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Figures of totals over groups, each group left out once; intervals inside [0, 1].

    The groups of each side (reference, background) are a sample of their own: variances are
    jackknifed per side and added, t on Satterthwaite's degrees of freedom (Tukey 1958; Efron &
    Stein 1981), on the logit scale. A figure of 0 or 1, or one that no group moves, has no
    variance: its open end is then the exact bound for as many independent trials as the rarer
    side has groups. A side with one group gives [0, 1].

    Args:
        statistic: From totals (k x any) to figures in [0, 1] (m x any).
        sums: k x groups: what the totals are made of.
        sides: Side of each group, as a number.
        confidence: Of the intervals.

    >>> share = lambda total: (total[0] / total[1])[None]
    >>> found, = jackknife(share, [[1, 0, 2, 1], [10, 10, 10, 10]], [0, 0, 0, 0])
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
    (0.1, 0.026, 0.32)
    """
    parts = floats(sums)
    total = parts.sum(-1, keepdims=True)
    left_out = statistic(total - parts)
    return [
        jackknife_interval(float(value), row, sides, confidence)
        for value, row in zip(statistic(total)[:, 0], left_out, strict=True)
    ]


def jackknife_interval(
    value: float, left_out: ArrayLike, sides: ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Interval of one figure in [0, 1] from its values without each group; see `jackknife`.

    >>> found = jackknife_interval(0.5, [0.4, 0.5, 0.6], [0, 0, 0])
    >>> round(found.standard_error, 3), found.degrees_of_freedom
    (0.115, 2.0)
    """
    found, side = floats(left_out), np.asarray(sides)
    variances, counts = [], []
    for name in np.unique(side):
        own = found[side == name]
        variances.append(float(((own - own.mean()) ** 2).sum()) * (own.size - 1) / own.size)
        counts.append(own.size)
    if min(counts) < 2 or not np.isfinite(value):
        return share_between(value, (0.0, 1.0), float("nan"), 0.0)
    variance, df = satterthwaite(variances, [g - 1.0 for g in counts])
    return logit_interval(value, (variance, df), rarer=min(counts), confidence=confidence)


def logit_interval(
    value: float, error: tuple[float, float], *, rarer: int, confidence: float
) -> Estimate:
    """Interval of a figure in [0, 1], built on the logit scale.

    A figure of 0 or 1, or one without variance, has as its open end the exact bound for as many
    independent trials as the rarer side has groups.

    Args:
        value: The figure.
        error: Its variance, and the degrees of freedom of that.
        rarer: Groups of the side that has fewer.
        confidence: Of the interval.

    >>> found = logit_interval(1.0, (0.0, 9.0), rarer=10, confidence=0.95)
    >>> round(found.low, 3), found.high
    (0.692, 1.0)
    """
    variance, df = error
    spread = float(np.sqrt(variance)) if variance > 0 else 0.0
    if not 0 < value < 1 or not variance > 0:
        slack = 1 - ((1 - confidence) / 2) ** (1 / rarer)
        return share_between(value, (max(0.0, value - slack), min(1.0, value + slack)), spread, df)
    half = float(t_quantile(confidence, df)) * spread / (value * (1 - value))
    ends = special.expit(special.logit(value) + np.array([-half, half]))
    return share_between(value, (float(ends[0]), float(ends[1])), spread, df)


def share_between(value: float, ends: tuple[float, float], error: float, df: float) -> Estimate:
    """An estimate whose interval is known by its ends.

    >>> share_between(0.5, (0.4, 0.7), 0.1, 9.0).high
    0.7
    """
    return Estimate(
        estimate=value, low=ends[0], high=ends[1], standard_error=error, degrees_of_freedom=df
    )
