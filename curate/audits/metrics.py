"""Rates of a classifier per group, and what its decisions add to the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.arrays import Bools
from curate.statistics import Estimate, auc_interval, clustered_shares

Reference = tuple[ArrayLike, ArrayLike]
INTERVALS = ("label_rate", "selection_rate", "precision", "recall", "f1", "auc")


def zhao_amplification(
    label: ArrayLike,
    decision: ArrayLike,
    group: ArrayLike,
    reference: Reference | None = None,
) -> float:
    """Mean bias amplification over the groups that the label favours (Zhao et al. 2017).

    b(g) = share of the selected that are of group g; a group is favoured where its b among the
    labels exceeds 1 / groups; the result is the mean growth of b from labels to decisions.

    Args:
        label: Selected or not, by the label.
        decision: The same by the classifier.
        group: Group of each document.
        reference: (label, group) of other documents that say which groups are favoured. Without
            them the same labels say it, and the growth of what chance favoured is negative.

    >>> zhao_amplification([1, 1, 1, 1], [1, 1, 0, 0], ["m", "m", "m", "f"])
    0.25
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    names, codes = np.unique(np.asarray(group), return_inverse=True)
    groups = names.size
    with np.errstate(invalid="ignore"):
        before, after = (np.bincount(codes[v], minlength=groups) / v.sum() for v in (y, d))
    told = before
    if reference is not None:
        chosen = np.asarray(reference[1])[np.asarray(reference[0], dtype=bool)]
        told = np.array([(chosen == name).mean() if chosen.size else 0.0 for name in names])
    favoured = told > 1 / groups
    return float((after - before)[favoured].mean()) if favoured.any() else 0.0


def directional_amplification(
    label: ArrayLike,
    decision: ArrayLike,
    group: ArrayLike,
    reference: Reference | None = None,
) -> float:
    """Amplification from group to decision (Wang & Russakovsky 2021), for both outcomes.

    Mean over groups a and outcomes t of Δ where P(a, t) > P(a) P(t), of −Δ elsewhere, with
    Δ = P(decision = t | a) − P(label = t | a). `reference` as in `zhao_amplification`: it says
    where P(a, t) > P(a) P(t).

    >>> round(directional_amplification([1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]), 3)
    0.25
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    groups = np.asarray(group)
    told, told_group = (y, groups) if reference is None else map(np.asarray, reference)
    found = []
    for a in np.unique(groups):
        own, there = groups == a, told_group == a
        for outcome in (True, False):
            hit = told.astype(bool) == outcome
            more = (there & hit).mean() > there.mean() * hit.mean()
            change = (d[own] == outcome).mean() - (y[own] == outcome).mean()
            found.append(change if more else -change)
    return float(np.mean(found))


def group_metrics(
    label: ArrayLike,
    decision: ArrayLike,
    group: ArrayLike,
    score: ArrayLike | None = None,
    *,
    cluster: NDArray[Any] | Sequence[Any] | None = None,
) -> pl.DataFrame:
    """Rates of a classifier per group, sorted by group.

    Args:
        label: Selected or not, by the label.
        decision: The same by the classifier.
        group: Group of each document.
        score: What the decision was made from.
        cluster: One name a document, within which documents are alike; `None` = each by itself.

    Returns:
        `group`, `n`, `label_rate`, `selection_rate`, `precision`, `recall`,
        `false_positive_rate`, `false_negative_rate`, `false_omission_rate`,
        `false_discovery_rate`, `f1`, `auc` (null without scores); null where undefined. Then
        `..._low`, `..._high` of label and selection rate, precision, recall, F1 and AUC: 95 %
        intervals of a share of the group's documents (of all, of the selected, of those with the
        label; F1 by the share of right ones among those selected or labelled, of which it is a
        function). Of the false rates they are the complements'.

    >>> group_metrics([1, 0, 1, 0], [1, 1, 0, 0], ["a", "a", "b", "b"]).select(
    ...     "group", "selection_rate", "recall").rows()
    [('a', 1.0, 1.0), ('b', 0.0, 0.0)]
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    groups = np.asarray(group).astype(str)
    scores = None if score is None else np.asarray(score, dtype=np.float64)
    within = None if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    rows = []
    for name in np.unique(groups):
        own = groups == name
        part = None if within is None else within[own]
        found = _estimates(y[own], d[own], part)
        if scores is not None:
            found["auc"] = auc_interval(y[own], scores[own], part)
        ends = {
            f"{key}_{side}": getattr(found[key], side) if key in found else float("nan")
            for key in INTERVALS
            for side in ("low", "high")
        }
        area = found["auc"].estimate if "auc" in found else float("nan")
        rows.append({"group": str(name), **_rates(y[own], d[own]), "auc": area, **ends})
    return pl.DataFrame(rows).with_columns(pl.col(pl.Float64).fill_nan(None))


def _estimates(y: Bools, d: Bools, cluster: NDArray[Any] | None) -> dict[str, Estimate]:
    every, either = np.ones(y.size, bool), y | d
    asked = {
        "label_rate": (y, every),
        "selection_rate": (d, every),
        "precision": (y & d, d),
        "recall": (y & d, y),
        "f1": (y & d, either),
    }
    codes = np.arange(y.size) if cluster is None else np.unique(cluster, return_inverse=True)[1]
    sums = [
        np.stack([np.bincount(codes, documents[k]) for documents in asked.values()]) for k in (0, 1)
    ]
    found = dict(zip(asked, clustered_shares(*sums).estimates(), strict=True))
    return found | {"f1": _doubled(found["f1"])}


def _doubled(share: Estimate) -> Estimate:
    """F1 = 2 J / (1 + J) of the share J of right ones among those selected or labelled."""
    value, low, high = (2 * j / (1 + j) for j in (share.estimate, share.low, share.high))
    error = 2 * share.standard_error / (1 + share.estimate) ** 2
    return Estimate(
        estimate=value,
        low=low,
        high=high,
        standard_error=error,
        degrees_of_freedom=share.degrees_of_freedom,
    )


def _rates(y: Bools, d: Bools) -> dict[str, float]:
    true, false = int((y & d).sum()), int((~y & d).sum())
    missed, right = int((y & ~d).sum()), int((~y & ~d).sum())

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return {
        "n": y.size,
        "label_rate": share(true + missed, y.size),
        "selection_rate": share(true + false, y.size),
        "precision": share(true, true + false),
        "recall": share(true, true + missed),
        "false_positive_rate": share(false, false + right),
        "false_negative_rate": share(missed, true + missed),
        "false_omission_rate": share(missed, missed + right),
        "false_discovery_rate": share(false, true + false),
        "f1": share(2 * true, 2 * true + false + missed),
    }
