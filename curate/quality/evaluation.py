"""What a quality score must show before it decides anything.

Every figure is computed on out-of-fold scores: no document is judged by a model that saw it,
its source, or a duplicate of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.statistics import Estimate, auc_interval, clustered_ratio

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CALIBRATION_BINS = 15
LENGTH_WARNING = 0.3


def evaluate_scores(scored: pl.DataFrame) -> dict[str, Any]:
    """Ranking, calibration and length of out-of-fold scores, as plain values for JSON.

    Args:
        scored: `label` (Boolean, true = reference), `score` (probability in [0, 1]), `unit`
            (String: what was kept together in a fold), `text_chars` (Int64).

    Returns:
        `auc` (estimate, low, high; groups = units), `average_precision` and `brier` and
        `calibration_error` with both sides weighing one half (Brier with a clustered
        interval), `calibration` (bins of equal weight: mean score, share of reference),
        `roc` (false and true positive rates), `length` (AUC of length alone; Spearman
        correlation of score and length within each side), `warnings` (sentences).

    Raises:
        ConfigError: One of the sides is empty.

    >>> scored = pl.DataFrame({
    ...     "label": [False, False, True, True], "score": [0.1, 0.2, 0.7, 0.9],
    ...     "unit": ["a", "b", "c", "d"], "text_chars": [10, 20, 15, 12],
    ... })
    >>> found = evaluate_scores(scored)
    >>> found["auc"]["estimate"], found["average_precision"], round(found["brier"]["estimate"], 4)
    (1.0, 1.0, 0.0375)
    """
    label = scored["label"].to_numpy()
    score = scored["score"].cast(pl.Float64).to_numpy()
    if label.all() or not label.any():
        raise ConfigError("an evaluation needs documents of the reference and of the background")
    weight = np.where(label, 0.5 / label.sum(), 0.5 / (~label).sum())
    unit = scored["unit"].to_numpy()
    brier = clustered_ratio(weight * (score - label) ** 2, weight, unit)
    bins = calibration_bins(label, score, weight)
    length = _length(label, score, scored["text_chars"].to_numpy())
    return {
        "documents": {"reference": int(label.sum()), "background": int((~label).sum())},
        "units": {
            "reference": int(scored.filter("label")["unit"].n_unique()),
            "background": int(scored.filter(~pl.col("label"))["unit"].n_unique()),
        },
        "auc": _plain(auc_interval(label, score, unit)),
        "average_precision": average_precision(label, score, weight),
        "brier": _plain(brier),
        "calibration_error": calibration_error(bins),
        "calibration": bins.to_dicts(),
        "roc": _roc(label, score),
        "length": length,
        "warnings": _warnings(length),
    }


def average_precision(label: Bools, score: Floats, weight: Floats) -> float:
    """Mean precision over the recalled reference weight, ties taken together.

    >>> label, score = np.array([1, 0, 1]) > 0, np.array([0.9, 0.8, 0.7])
    >>> round(average_precision(label, score, np.ones(3)), 4)
    0.8333
    """
    values, codes = np.unique(-score, return_inverse=True)
    hits = np.bincount(codes, weight * label, values.size)
    taken = np.cumsum(np.bincount(codes, weight, values.size))
    precision = np.cumsum(hits) / taken
    return float((precision * hits).sum() / hits.sum())


def calibration_bins(label: Bools, score: Floats, weight: Floats) -> pl.DataFrame:
    """Bins of equal weight by score: `mean_score`, `reference_share`, `n`, `weight`.

    >>> label, score = np.array([0, 1]) > 0, np.array([0.25, 0.75])
    >>> calibration_bins(label, score, np.full(2, 0.5)).select("mean_score", "n").rows()
    [(0.25, 1), (0.75, 1)]
    """
    order = np.argsort(score, kind="stable")
    before = np.cumsum(weight[order]) - weight[order]
    place = np.minimum((before / weight.sum() * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    frame = pl.DataFrame(
        {"place": place, "weight": weight[order], "score": score[order], "label": label[order]}
    )
    share = pl.col("weight") / pl.col("weight").sum()
    return (
        frame.group_by("place", maintain_order=True)
        .agg(
            mean_score=(pl.col("score") * share).sum(),
            reference_share=(pl.col("label") * share).sum(),
            n=pl.len(),
            weight=pl.col("weight").sum(),
        )
        .drop("place")
    )


def calibration_error(bins: pl.DataFrame) -> float:
    """Expected calibration error: mean |mean score − share of reference| over the bins.

    >>> calibration_error(pl.DataFrame({"mean_score": [0.2], "reference_share": [0.3],
    ...                                 "weight": [1.0]}))
    0.09999999999999998
    """
    gap = np.abs((bins["mean_score"] - bins["reference_share"]).to_numpy())
    return float(np.average(gap, weights=bins["weight"].to_numpy()))


def _roc(label: Bools, score: Floats) -> dict[str, list[float]]:
    """At 101 even false positive rates the true positive rate."""
    cuts = np.quantile(score[~label], np.linspace(1, 0, 101))
    reached = 1 - np.searchsorted(np.sort(score[label]), cuts, "left") / label.sum()
    return {
        "false_positive_rate": np.linspace(0, 1, 101).round(4).tolist(),
        "true_positive_rate": reached.round(6).tolist(),
    }


def _length(label: Bools, score: Floats, chars: NDArray[np.int64]) -> dict[str, float]:
    return {
        "auc_of_length_alone": auc_interval(label, chars).estimate,
        "correlation_in_reference": rank_correlation(score[label], chars[label]),
        "correlation_in_background": rank_correlation(score[~label], chars[~label]),
    }


def rank_correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Spearman's correlation; 0 where one side does not vary.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([10, 30, 20]))
    0.5
    """
    ranks = [pl.Series(side).rank().to_numpy() for side in (left, right)]
    if left.size < 2 or min(float(np.ptp(r)) for r in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _warnings(length: dict[str, float]) -> list[str]:
    follows = max(
        (length["correlation_in_reference"], length["correlation_in_background"]), key=abs
    )
    if abs(follows) < LENGTH_WARNING:
        return []
    return [f"the score follows length: rank correlation {follows:.2f} within one side"]


def _plain(found: Estimate) -> dict[str, float | None]:
    """Estimate and ends; JSON has no infinity, so an open end is null."""
    values = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {k: v if np.isfinite(v) else None for k, v in values.items()}
