"""What a quality score must show before it decides anything.

Every figure is computed on out-of-fold scores: no document is judged by a model that saw it,
its source, or a duplicate of it. Both sides weigh one half in every figure, so precision and
calibration do not depend on how many documents of each side were sampled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.errors import ConfigError
from curate.quality._arguments import checked_frame
from curate.quality._calibration_error import calibration_bins, calibration_error
from curate.quality._figures import (
    average_precision_interval,
    balanced,
    figures_at_cut,
    keep_rates,
    roc,
)
from curate.quality.confounds import length_warnings, partial_correlation, source_correlations
from curate.statistics import Estimate, auc_interval


def evaluate_scores(
    scored: pl.DataFrame, *, cut: float = 0.5, probabilities: bool = True
) -> dict[str, Any]:
    """Ranking, decisions, calibration and confounds of scores, as plain values for JSON.

    Args:
        scored: `label` (Boolean, true = reference), `score` (higher = better), `unit` (String:
            what was kept together in a fold; intervals leave out whole units), `text_chars`
            (Int64) and optionally `source` (String).
        cut: Where precision, recall and F1 are taken: `score >= cut` is called reference.
        probabilities: Scores are probabilities in [0, 1] of a corpus with half of each side.
            False leaves out Brier score, calibration and the keep-rate curve.

    Returns:
        `documents`, `units` (per side); `auc`, `average_precision`, `precision`, `recall`, `f1`,
        `brier`, `calibration_error`, each with `estimate`, `low`, `high`; `cut`;
        `calibration_error_by_chance` (what a score without error shows on so many documents);
        `calibration` (bins of equal weight: mean score, share of reference); `roc` (rates, with
        pointwise `low` and `high`); `length` (AUC of length alone, partial rank correlation of
        score and characters given the label); `sources` (partial correlation each);
        `keep_rates` (shares kept at 21 cuts); `warnings` (sentences).

    Raises:
        ConfigError: One of the sides is empty, or a score is missing or no probability.

    >>> scored = pl.DataFrame({
    ...     "label": [False, False, True, True], "score": [0.1, 0.2, 0.7, 0.9],
    ...     "unit": ["a", "b", "c", "d"], "text_chars": [10, 20, 15, 12],
    ... })
    >>> found = evaluate_scores(scored)
    >>> found["auc"]["estimate"], found["f1"]["estimate"], round(found["brier"]["estimate"], 4)
    (1.0, 1.0, 0.0375)
    """
    checked_frame(scored, "scored documents", columns=["unit"], numbers=["score", "text_chars"])
    checked_frame(scored, "scored documents", columns=["label"])
    if scored["label"].dtype != pl.Boolean:
        raise ConfigError(f"column 'label' is {scored['label'].dtype}, but it must be Boolean")
    label = scored["label"].to_numpy()
    score = scored["score"].cast(pl.Float64).to_numpy()
    _check(label, score, probabilities)
    unit = scored["unit"].to_numpy()
    found = {"auc": auc_interval(label, score, unit)}
    found["average_precision"] = average_precision_interval(label, score, unit)
    found |= figures_at_cut(label, score, unit, cut=cut)
    followed = partial_correlation(score, scored["text_chars"].to_numpy(), label, unit)
    calibrated = _calibration(label, score, unit) if probabilities else {}
    if not probabilities:
        found.pop("brier")
    return {
        **_sizes(scored),
        **{name: plain(estimate) for name, estimate in found.items()},
        "cut": cut,
        **calibrated,
        **({"keep_rates": keep_rates(scored)} if probabilities else {}),
        "roc": roc(label, score, unit),
        "length": {
            "auc_of_length_alone": plain(auc_interval(label, scored["text_chars"], unit)),
            "partial_correlation": plain(followed),
        },
        "sources": source_correlations(scored).to_dicts() if "source" in scored.columns else [],
        "warnings": length_warnings(followed),
    }


def _check(label: Bools, score: Floats, probabilities: bool) -> None:
    if label.all() or not label.any():
        raise ConfigError("an evaluation needs documents of the reference and of the background")
    if not np.isfinite(score).all():
        raise ConfigError(f"{int((~np.isfinite(score)).sum())} scores are missing or not finite")
    if probabilities and not ((score >= 0) & (score <= 1)).all():
        raise ConfigError(
            f"scores reach from {score.min():.4g} to {score.max():.4g}, but probabilities lie in "
            "[0, 1]; evaluate other scores with probabilities=False"
        )


def _sizes(scored: pl.DataFrame) -> dict[str, dict[str, int]]:
    sides = {"reference": scored.filter("label"), "background": scored.filter(~pl.col("label"))}
    return {
        "documents": {name: side.height for name, side in sides.items()},
        "units": {name: int(side["unit"].n_unique()) for name, side in sides.items()},
    }


def _calibration(label: Bools, score: Floats, unit: NDArray[Any]) -> dict[str, Any]:
    error, chance = calibration_error(label, score, unit)
    return {
        "calibration_error": plain(error),
        "calibration_error_by_chance": chance if np.isfinite(chance) else None,
        "calibration": calibration_bins(label, score, balanced(label)).to_dicts(),
    }


def plain(found: Estimate) -> dict[str, float | None]:
    """Estimate and ends; JSON has no infinity, so an open end is null.

    >>> plain(auc_interval([0, 1], [0.1, 0.2]))
    {'estimate': 1.0, 'low': 0.0, 'high': 1.0}
    """
    values = {"estimate": found.estimate, "low": found.low, "high": found.high}
    return {k: v if np.isfinite(v) else None for k, v in values.items()}
