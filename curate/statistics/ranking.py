"""Area under the ROC curve with an interval that respects groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curate.arrays import Floats, floats
from curate.statistics.grouped import logit_interval, share_between
from curate.statistics.intervals import Estimate, satterthwaite


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: NDArray[Any] | Sequence[Any] | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Area under the ROC curve with an interval that respects groups; ties count one half.

    Variance: DeLong's structural components, summed by group (Obuchowski 1997), jackknifed,
    with t on Satterthwaite's degrees of freedom, at most one fewer than there are groups; the
    interval is built on the logit scale. A group (a source, a duplicate cluster) may hold both
    labels. Without `groups` every document is its own. A perfect or void separation has no
    variance: its open end is then the exact bound for as many independent comparisons as the
    rarer label has groups. Fewer than two groups of a label give [0, 1]; a missing label gives
    NaN.

    Args:
        labels: 1 (or True) = reference, 0 = background.
        scores: Any numbers; higher = more like the reference.
        groups: One name or number a document, or None.
        confidence: Of the interval.

    >>> found = auc_interval([0, 0, 1, 1, 0, 1], [0.1, 0.4, 0.35, 0.8, 0.2, 0.7])
    >>> round(found.estimate, 3), found.low < found.estimate < found.high
    (0.889, True)
    """
    label, score = np.asarray(labels, dtype=bool), floats(scores)
    codes = np.arange(label.size) if groups is None else np.unique(groups, return_inverse=True)[1]
    m, n = int(label.sum()), int((~label).sum())
    if not m or not n:
        return share_between(float("nan"), (0.0, 1.0), float("nan"), 0.0)
    area, influence = _auc_influence(label, score)
    variance, df, rarer = _auc_variance(label, influence, codes)
    if not df > 0:
        return share_between(area, (0.0, 1.0), float("nan"), 0.0)
    return logit_interval(area, (variance, df), rarer=rarer, confidence=confidence)


def _auc_influence(label: NDArray[np.bool_], score: Floats) -> tuple[float, Floats]:
    """AUC, and each document's share of the other label that it ranks rightly, minus AUC."""
    positive, negative = np.sort(score[label]), np.sort(score[~label])
    beaten = np.searchsorted(negative, score, "left") + np.searchsorted(negative, score, "right")
    beating = np.searchsorted(positive, score, "left") + np.searchsorted(positive, score, "right")
    placed = np.where(label, beaten / (2 * negative.size), 1 - beating / (2 * positive.size))
    area = float(placed[label].mean())
    return area, placed - area


def _auc_variance(
    label: NDArray[np.bool_], influence: Floats, codes: NDArray[Any]
) -> tuple[float, float, int]:
    """Variance of the AUC, its degrees of freedom, and the rarer label's number of groups."""
    parts, groups = [], []
    for own in (label, ~label):
        size, total = np.bincount(codes[own], minlength=codes.max() + 1), int(own.sum())
        sums = np.bincount(codes[own], weights=influence[own], minlength=codes.max() + 1)
        rest = np.where(size < total, total - size, np.nan)
        parts.append(np.nan_to_num(sums / rest))
        groups.append(int((size > 0).sum()))
    variances = [
        (g - 1) / g * float((part**2).sum()) for g, part in zip(groups, parts, strict=True)
    ]
    covariance = float((parts[0] * parts[1]).sum())
    if min(groups) < 2:
        return float("nan"), 0.0, min(groups)
    total_variance, df = satterthwaite(variances, [g - 1.0 for g in groups])
    df = min(df, np.unique(codes).size - 1.0)  # groups of both labels are one sample, not two
    return max(total_variance + 2 * covariance, 0.0), df, min(groups)
