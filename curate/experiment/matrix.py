"""Every arm on every evaluation set: on text of its own kind each corpus wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from curate.statistics import t_quantile

MATRIX_SCHEMA: Mapping[str, Any] = {
    "arm": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "eval_set": pl.String,
    "neutral": pl.Boolean,
    "n_replicates": pl.Int64,
    "loss": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}

__all__ = ["MATRIX_SCHEMA", "loss_matrix"]


def loss_matrix(losses: pl.DataFrame, *, neutral: Sequence[str]) -> pl.DataFrame:
    """Mean losses of arms by evaluation set: at the largest budget and on the draws that all have.

    Args:
        losses: Tidy runs on all evaluation sets.
        neutral: Sets that no side favours. The others are held out of the corpus itself.

    Returns:
        `arm, family, size` String, `n_tokens` Int64, `eval_set` String, `neutral` Boolean,
        `n_replicates` Int64, `loss` and its 95 % t interval over draws, `low`, `high`, in bits
        per byte (null where there is one draw).

    >>> losses = pl.DataFrame({"arm": "raw", "family": "f", "size": "s", "n_tokens": 8,
    ...                        "replicate": [0, 1], "eval_set": "e", "loss": [2.0, 2.2]})
    >>> loss_matrix(losses, neutral=["e"]).select("loss", "neutral").rows()
    [(2.1, True)]
    """
    cell = ["family", "size"]
    arms = losses.group_by(*cell, "n_tokens").agg(pl.col("arm").n_unique().alias("arms"))
    most = pl.col("arms").max().over(cell)
    chosen = arms.filter(pl.col("arms") == most).group_by(cell).agg(pl.col("n_tokens").max())
    rows = losses.join(chosen, on=[*cell, "n_tokens"])
    drawn = rows.group_by(*cell, "arm").agg(pl.col("replicate").max().alias("last"))
    drawn = drawn.group_by(cell).agg(pl.col("last").min())
    rows = rows.join(drawn, on=cell).filter(pl.col("replicate") <= pl.col("last"))
    keys = ["family", "size", "n_tokens", "arm", "eval_set"]
    found = rows.group_by(keys).agg(
        pl.col("loss").mean(),
        pl.len().cast(pl.Int64).alias("n_replicates"),
        pl.col("loss").std().alias("spread"),
    )
    return (
        _with_intervals(found)
        .with_columns(neutral=pl.col("eval_set").is_in(list(neutral)))
        .select(list(MATRIX_SCHEMA))
        .sort("family", "size", "eval_set", "loss", "arm")
    )


def _with_intervals(found: pl.DataFrame) -> pl.DataFrame:
    counts = found["n_replicates"].to_numpy()
    quantiles = np.array([float(t_quantile(0.95, n - 1)) if n > 1 else np.nan for n in counts])
    half = pl.Series(quantiles / np.sqrt(counts), dtype=pl.Float64).fill_nan(None)
    spread = pl.col("spread") * half
    return found.with_columns(low=pl.col("loss") - spread, high=pl.col("loss") + spread)
