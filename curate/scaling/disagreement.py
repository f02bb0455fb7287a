"""Where two kinds of models say different things of one comparison: a finding, not a nuisance.

An n-gram model counts; random letters fill its tables and cost it far more than their room. A
transformer hardly minds them. Both are right about themselves, so a worth that holds for one kind
only is told with the other beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl

from curate.statistics import t_quantile

DISAGREEMENT_SCHEMA: Mapping[str, Any] = {
    "contrast": pl.String,
    "quantity": pl.String,
    "first": pl.String,
    "first_tokens": pl.Int64,
    "first_estimate": pl.Float64,
    "first_low": pl.Float64,
    "first_high": pl.Float64,
    "second": pl.String,
    "second_tokens": pl.Int64,
    "second_estimate": pl.Float64,
    "second_low": pl.Float64,
    "second_high": pl.Float64,
    "ratio": pl.Float64,
    "ratio_low": pl.Float64,
    "ratio_high": pl.Float64,
    "disagree": pl.Boolean,
}
APART = 1.1  # a ratio that surely lies beyond it, on either side, is a disagreement
CONFIDENCE = 0.95
KNOWN = "null_a → null_b"  # with the calibrator: what they measure is known beforehand

__all__ = ["APART", "DISAGREEMENT_SCHEMA", "disagreements"]


def disagreements(multipliers: pl.DataFrame) -> pl.DataFrame:
    """Every contrast that models of two families measured, and whether they surely differ.

    Compared is harm where both have it, the multiplier elsewhere, at the two budgets that lie
    nearest to each other (of equally near ones the largest). Cells take part that are reached
    and, where the calibrator was measured at all, admitted by it. The ratio's interval takes the
    two as independent, with the fewer degrees of freedom. They share documents and draws, so it
    is too wide rather than too narrow.

    Args:
        multipliers: By `curate.scaling.decide`.

    Returns:
        One row a contrast and pair of models, columns as `DISAGREEMENT_SCHEMA`: `first` and
        `second` String ("family size") with budget, estimate and interval, the 95 % interval of
        the ratio of the two, and `disagree`: it lies beyond a tenth, wholly above 1.1 or below
        1 / 1.1. Empty with a single family.

    >>> row = {"kind": "headline", "contrast": "raw → curated", "quantity": "harm",
    ...        "eval_set": "all", "n_tokens": 50_000, "reached": True, "admitted": True,
    ...        "standard_error": 0.01, "degrees_of_freedom": 7.0, "low": 1.0, "high": 2.2}
    >>> table = pl.DataFrame([row | {"family": "kneser_ney", "size": "order3", "estimate": 2.0},
    ...                       row | {"family": "gpt", "size": "width32", "estimate": 1.05}])
    >>> disagreements(table).select("first", "second", pl.col("ratio").round(2), "disagree").row(0)
    ('kneser_ney order3', 'gpt width32', 1.9, True)
    """
    needed = {"kind", "reached", "admitted", "standard_error", "degrees_of_freedom"}
    if needed - set(multipliers.columns):
        return pl.DataFrame(schema=dict(DISAGREEMENT_SCHEMA))
    gated = not multipliers.filter(kind="calibrator").is_empty()
    votes = pl.col("admitted") if gated else pl.lit(value=True)
    errors = pl.col("standard_error").is_finite() & (pl.col("degrees_of_freedom") > 0)
    rows = multipliers.filter(
        pl.col("kind") != "calibrator",
        pl.col("contrast") != KNOWN,
        pl.col("reached") & votes & errors & pl.col("n_tokens").is_not_null(),
        eval_set="all",
    )
    found = [
        row
        for _, cells in rows.group_by("contrast", maintain_order=True)
        for row in _of_contrast(cells)
    ]
    return pl.DataFrame(found, schema=dict(DISAGREEMENT_SCHEMA))


def _of_contrast(cells: pl.DataFrame) -> Iterator[dict[str, Any]]:
    models = cells.select("family", "size").unique(maintain_order=True).rows()
    for one, two in combinations(models, 2):
        if one[0] == two[0]:
            continue
        sides = [cells.filter(family=family, size=size) for family, size in (one, two)]
        both = [set(side["quantity"]) for side in sides]
        quantity = next((q for q in ("harm", "multiplier") if all(q in each for each in both)), "")
        first, second = (side.filter(quantity=quantity).to_dicts() for side in sides)
        if first and second:
            yield _pair(*_nearest(first, second))


def _nearest(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    def far(pair: tuple[dict[str, Any], dict[str, Any]]) -> tuple[float, int]:
        budgets = [row["n_tokens"] for row in pair]
        return abs(float(np.log(budgets[0] / budgets[1]))), -budgets[0]

    return min(product(first, second), key=far)


def _pair(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    variance = one["standard_error"] ** 2 + two["standard_error"] ** 2
    # Of the side that knows its noise less: with few draws Satterthwaite's promise more.
    df = min(one["degrees_of_freedom"], two["degrees_of_freedom"])
    log_ratio = float(np.log(one["estimate"] / two["estimate"]))
    half = float(t_quantile(CONFIDENCE, df)) * float(np.sqrt(variance)) if variance > 0 else 0.0
    found = {"contrast": one["contrast"], "quantity": one["quantity"]}
    for side, row in (("first", one), ("second", two)):
        found |= {
            side: f"{row['family']} {row['size']}",
            f"{side}_tokens": row["n_tokens"],
            f"{side}_estimate": row["estimate"],
            f"{side}_low": row["low"],
            f"{side}_high": row["high"],
        }
    return found | {
        "ratio": float(np.exp(log_ratio)),
        "ratio_low": float(np.exp(log_ratio - half)),
        "ratio_high": float(np.exp(log_ratio + half)),
        "disagree": abs(log_ratio) - half > np.log(APART),
    }
