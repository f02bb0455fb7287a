"""How far a small verdict carries: predictions written before a larger model, scored after it.

What is predicted is simple on purpose: ln m of a contrast goes on along its measured slope per
doubling of the budget, and another family or size says the same as the one that was measured.
Nobody has shown that it does; this is how a team finds out on its own machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from curate.scaling.companions import rank_correlation
from curate.statistics import t_quantile, wilson

PREDICTION_SCHEMA: Mapping[str, Any] = {
    "contrast": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "log_m": pl.Float64,
    "standard_error": pl.Float64,
    "degrees_of_freedom": pl.Float64,
    "slope": pl.Float64,
    "slope_error": pl.Float64,
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
KNOWN = ("calibrator_diluted → calibrator_clean", "null_a → null_b")  # answers known beforehand

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
    keys = ["contrast", "family", "size"]
    spoken = multipliers.filter(
        pl.col("decisive") & pl.col("reached") & ~pl.col("contrast").is_in(KNOWN),
        quantity="multiplier",
        eval_set="all",
    )
    spoken = spoken.filter(pl.col("estimate").is_not_null() & (pl.col("estimate") != 1))
    slopes = multipliers.filter(quantity="slope_per_doubling").select(
        *keys, slope=pl.col("estimate").log(), slope_error=pl.col("standard_error")
    )
    log_m = pl.col("estimate").log()
    found = spoken.with_columns(log_m=log_m).join(
        slopes, on=keys, how="left", maintain_order="left"
    )
    return found.with_columns(
        slope=pl.col("slope").fill_null(0.0),
        slope_error=pl.when(pl.col("slope").is_null())
        .then(pl.col("log_m").abs() / 2)
        .otherwise("slope_error"),
    ).select(pl.col(name).cast(kind) for name, kind in PREDICTION_SCHEMA.items())


def score_predictions(predicted: pl.DataFrame, multipliers: pl.DataFrame) -> pl.DataFrame:
    """Predictions against what a larger budget, or another family or size, then measured.

    Args:
        predicted: By `predictions`, written before.
        multipliers: Measured after.

    Returns:
        One row for each prediction and each decisive cell of the same contrast that is larger in
        budget, or of another family or size; columns as `SCORE_SCHEMA`. `low` and `high` hold the
        observed value, its own noise allowed for, in 95 % of cases if the prediction is right.

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
    after = predictions(multipliers).rename({"log_m": "observed_log"})
    rows = list(_matches(predicted, after))
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
    value = one["log_m"] + one["slope"] * doublings
    parts = (one["standard_error"], one["slope_error"] * doublings, two["standard_error"])
    error = float(np.sqrt(np.nansum(np.square(parts))))
    df = max(1.0, min(one["degrees_of_freedom"], two["degrees_of_freedom"]))
    half = float(t_quantile(0.95, df)) * error
    return {
        "contrast": one["contrast"],
        "from": f"{one['family']} {one['size']}, {one['n_tokens']:,} tokens",
        "to": f"{two['family']} {two['size']}",
        "n_tokens": two["n_tokens"],
        "predicted": float(np.exp(value)),
        "low": float(np.exp(value - half)),
        "high": float(np.exp(value + half)),
        "observed": float(np.exp(two["observed_log"])),
        "same_sign": bool(np.sign(value) == np.sign(two["observed_log"])),
        "inside": bool(abs(two["observed_log"] - value) <= half),
    }


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
    low, high = wilson(int(right.sum()), right.len())
    return f"{int(right.sum())} of {right.len()} [{low:.2f}, {high:.2f}]"
