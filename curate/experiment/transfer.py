"""How far a small verdict carries: predictions written before a larger model, scored after it.

What is predicted is simple on purpose: ln m of a contrast goes on along its measured slope per
doubling of the budget, and another family or size says the same as the one that was measured.
Nobody has shown that it does; this is how a team finds out on its own machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from curate.scaling import Summary
from curate.scaling.companions import rank_correlation
from curate.scaling.multiplier import SLOPE_MOMENTS
from curate.statistics import satterthwaite, wilson

PREDICTION_SCHEMA: Mapping[str, Any] = {
    "contrast": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "log_m": pl.Float64,
    "standard_error": pl.Float64,
    "degrees_of_freedom": pl.Float64,
    "skewness": pl.Float64,
    "slope": pl.Float64,
    "slope_error": pl.Float64,
    "slope_freedom": pl.Float64,
    "slope_skewness": pl.Float64,
    **dict.fromkeys(SLOPE_MOMENTS, pl.Float64),
}
SCORE_SCHEMA: Mapping[str, Any] = {
    "contrast": pl.String,
    "from": pl.String,
    "to": pl.String,
    "n_tokens": pl.Int64,
    "predicted": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "observed": pl.Float64,
    "same_sign": pl.Boolean,
    "inside": pl.Boolean,
}
FEWEST_RANKED = 3
# Answers known beforehand: nothing is learned from whether they carry over.
KNOWN = ("calibrator_diluted → calibrator_clean", "null_a → null_b", "raw → random")

__all__ = ["PREDICTION_SCHEMA", "SCORE_SCHEMA", "predictions", "score_predictions", "transfer_said"]


def predictions(multipliers: pl.DataFrame) -> pl.DataFrame:
    """What every contrast will be worth at larger budgets, by what is measured now.

    Args:
        multipliers: By `curate.scaling.decide`.

    Returns:
        One row a contrast, family and size, columns as `PREDICTION_SCHEMA`: at D tokens ln m will
        be `log_m` + `slope` · log2(D / `n_tokens`). Without a measured slope it is 0, unknown by
        half of ln m.

    >>> row = {"contrast": "raw → curated", "family": "f", "size": "s", "n_tokens": 1000,
    ...        "eval_set": "all", "quantity": "multiplier", "estimate": 1.5, "reached": True,
    ...        "decisive": True, "standard_error": 0.05, "degrees_of_freedom": 7.0}
    >>> predictions(pl.DataFrame([row]))["slope"].to_list()
    [0.0]
    """
    if multipliers.is_empty():
        return pl.DataFrame(schema=dict(PREDICTION_SCHEMA))
    multipliers = _completed(multipliers, ("skewness", *SLOPE_MOMENTS))
    keys = ["contrast", "family", "size"]
    spoken = multipliers.filter(
        pl.col("decisive") & pl.col("reached") & ~pl.col("contrast").is_in(KNOWN),
        quantity="multiplier",
        eval_set="all",
    )
    spoken = spoken.filter(pl.col("estimate").is_not_null() & (pl.col("estimate") != 1))
    slopes = multipliers.filter(quantity="slope_per_doubling").select(
        *keys,
        slope=pl.col("estimate").log(),
        slope_error=pl.col("standard_error"),
        slope_freedom=pl.col("degrees_of_freedom"),
        slope_skewness=pl.col("skewness"),
    )
    log_m = pl.col("estimate").log()
    found = spoken.with_columns(log_m=log_m).join(
        slopes, on=keys, how="left", maintain_order="left"
    )
    unmeasured = pl.col("slope").is_null()
    guessed = {
        "slope_error": pl.col("log_m").abs() / 2,
        "slope_freedom": pl.col("degrees_of_freedom"),
        **dict.fromkeys(("slope", "slope_skewness", *SLOPE_MOMENTS), pl.lit(0.0)),
    }
    known = [
        pl.when(unmeasured).then(guess).otherwise(name).alias(name)
        for name, guess in guessed.items()
    ]
    return found.with_columns(known).select(
        pl.col(name).cast(kind) for name, kind in PREDICTION_SCHEMA.items()
    )


def _completed(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """With null columns where a table of an older run lacks them."""
    lacks = [name for name in names if name not in frame.columns]
    return frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in lacks)


def score_predictions(predicted: pl.DataFrame, multipliers: pl.DataFrame) -> pl.DataFrame:
    """Predictions against what a larger budget, or another family or size, then measured.

    Args:
        predicted: By `predictions`, written before.
        multipliers: Measured after.

    Returns:
        One row for each prediction and each decisive cell of the same contrast that is larger in
        budget, or of another family or size; columns as `SCORE_SCHEMA`. `low` and `high` hold the
        observed value, its own noise allowed for, in 95 % of cases if the prediction is right;
        they and `inside` are null where one draw tells nothing of its noise.

    >>> columns = {"contrast": ["c"], "family": ["f"], "size": ["s"], "n_tokens": [1000],
    ...            "log_m": [0.4], "standard_error": [0.05], "degrees_of_freedom": [7.0],
    ...            "slope": [0.1], "slope_error": [0.02]}
    >>> after = pl.DataFrame([{"contrast": "c", "family": "f", "size": "s", "n_tokens": 4000,
    ...     "eval_set": "all", "quantity": "multiplier", "estimate": 1.8, "reached": True,
    ...     "decisive": True, "standard_error": 0.05, "degrees_of_freedom": 7.0}])
    >>> found = score_predictions(pl.DataFrame(columns), after)
    >>> found.select(pl.col("predicted").round(2), "same_sign", "inside").rows()
    [(1.82, True, True)]
    """
    after = predictions(multipliers)
    rows = list(_matches(_completed(predicted, PREDICTION_SCHEMA), after))
    return pl.DataFrame(rows, schema=dict(SCORE_SCHEMA))


def _matches(predicted: pl.DataFrame, after: pl.DataFrame) -> Iterator[dict[str, Any]]:
    later = after.to_dicts()
    for one in predicted.iter_rows(named=True):
        for two in later:
            own = (one["family"], one["size"]) == (two["family"], two["size"])
            if one["contrast"] == two["contrast"] and (
                not own or two["n_tokens"] > one["n_tokens"]
            ):
                yield _score(one, two)


def _score(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    doublings = float(np.log2(two["n_tokens"] / one["n_tokens"]))
    difference = _difference(_carried(one, doublings), _measured(two))
    value, seen = difference.estimate, two["log_m"]
    low, high = difference.interval()
    known = bool(np.isfinite(high - low))
    return {
        "contrast": one["contrast"],
        "from": f"{one['family']} {one['size']}, {one['n_tokens']:,} tokens",
        "to": f"{two['family']} {two['size']}",
        "n_tokens": two["n_tokens"],
        "predicted": float(np.exp(value)),
        "low": float(np.exp(low)) if known else None,
        "high": float(np.exp(high)) if known else None,
        "observed": float(np.exp(seen)),
        "same_sign": bool(np.sign(value) == np.sign(seen)),
        "inside": bool(low <= seen <= high) if known else None,
    }


def _measured(row: Mapping[str, Any]) -> Summary:
    return Summary(
        estimate=row["log_m"],
        standard_error=row["standard_error"],
        degrees_of_freedom=row["degrees_of_freedom"],
        skewness=row["skewness"] or 0.0,
    )


def _carried(row: Mapping[str, Any], doublings: float) -> Summary:
    """What is predicted so many doublings on, with the noise that it and its slope have in common.

    Where an older table does not say what that is, it is taken to be as large as it can be.
    """
    start, d = _measured(row), doublings
    slope = Summary(
        estimate=row["slope"],
        standard_error=row["slope_error"],
        degrees_of_freedom=start.degrees_of_freedom
        if row["slope_freedom"] is None
        else row["slope_freedom"],
        skewness=row["slope_skewness"] or 0.0,
    )
    common = row["slope_covariance"]
    if common is None:
        common = start.standard_error * slope.standard_error * np.sign(d)
    mms, mss = row["slope_cumulant_mms"] or 0.0, row["slope_cumulant_mss"] or 0.0
    variance = start.standard_error**2 + 2 * d * common + d**2 * slope.standard_error**2
    third = start.third_cumulant + 3 * d * mms + 3 * d**2 * mss + d**3 * slope.third_cumulant
    error = float(np.sqrt(max(variance, 0.0)))
    return Summary(
        estimate=start.estimate + d * slope.estimate,
        standard_error=error,
        degrees_of_freedom=min(start.degrees_of_freedom, slope.degrees_of_freedom),
        skewness=third / error**3 if error > 0 else 0.0,
    )


def _difference(carried: Summary, seen: Summary) -> Summary:
    """The prediction with the noise of both sides: what leans up in the one leans down in it.

    NaN errors, of one draw, make it infinitely wide.
    """
    parts = [carried.standard_error**2, seen.standard_error**2]
    freedoms = [carried.degrees_of_freedom, seen.degrees_of_freedom]
    variance, df = satterthwaite(parts, freedoms)
    third = carried.third_cumulant - seen.third_cumulant
    return Summary(
        estimate=carried.estimate,
        standard_error=float(np.sqrt(variance)),
        degrees_of_freedom=df,
        skewness=third / variance**1.5 if variance > 0 else 0.0,
    )


def transfer_said(scores: pl.DataFrame) -> list[str]:
    """Sign accuracy, rank correlation and calibration of scored predictions, in sentences.

    >>> row = {"from": "f s, 1,000 tokens", "to": "f s", "n_tokens": 4000, "low": 1.0, "high": 3.0,
    ...        "same_sign": True, "inside": True}
    >>> scores = pl.DataFrame([row | {"contrast": c, "predicted": p, "observed": o}
    ...                        for c, p, o in (("a", 1.2, 1.3), ("b", 1.5, 1.4), ("c", 2, 2.2))])
    >>> for line in transfer_said(scores): print(line)
    f s, 1,000 tokens → f s: 3 contrasts; sign right in 3 of 3 [0.44, 1.00], rank correlation 1.00,
    95 % interval held in 3 of 3 [0.44, 1.00]
    """
    lines = []
    for (start, end), rows in scores.group_by("from", "to", maintain_order=True):
        signs, held = (_share(rows[name]) for name in ("same_sign", "inside"))
        ranked = ""
        if rows.height >= FEWEST_RANKED:
            ranked = (
                f", rank correlation {rank_correlation(rows['predicted'], rows['observed']):.2f}"
            )
        lines.append(
            f"{start} → {end}: {rows.height} contrast{'s' * (rows.height != 1)}; "
            f"sign right in {signs}{ranked}, 95 % interval held in {held}"
        )
    return lines


def _share(right: pl.Series) -> str:
    right = right.drop_nulls()
    if right.is_empty():
        return "none that has one"
    low, high = wilson(int(right.sum()), right.len())
    return f"{int(right.sum())} of {right.len()} [{low:.2f}, {high:.2f}]"
