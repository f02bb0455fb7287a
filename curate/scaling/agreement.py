"""Do families and sizes of proxies agree: decision accuracy between every two of them.

A contrast asks which of two arms is better data. Two kinds of models agree on it when they name
the same arm; the share of agreement is the decision accuracy of DataDecide (arXiv 2504.11393),
with one proxy in the place of the large model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from curate.scaling.companions import rank_correlation
from curate.statistics import wilson

AGREEMENT_SCHEMA: Mapping[str, Any] = {
    "first": pl.String,
    "second": pl.String,
    "contrasts": pl.Int64,
    "same_sign": pl.Int64,
    "decision_accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rank_correlation": pl.Float64,
    "contradictions": pl.Int64,
}
FEWEST_RANKED = 3  # contrasts; two points always lie in order or against it

__all__ = ["AGREEMENT_SCHEMA", "agreement"]


def agreement(multipliers: pl.DataFrame) -> pl.DataFrame:
    """How often two (family, size) pairs call the same arm of a contrast the better one.

    Each contrast speaks with its decisive budget in each of the two. Left out are the calibrator
    and the null pair, whose answers are known beforehand, and arms that hold the same text.

    Args:
        multipliers: By `curate.scaling.decide`.

    Returns:
        One row a pair: `first`, `second` String ("family size"), `contrasts`, `same_sign` Int64,
        `decision_accuracy` Float64 = their share with its 95 % Wilson interval `low`, `high`
        (contrasts share the raw arm, so they are not independent: a rough guide), Spearman's
        `rank_correlation` of ln m (null below 3 contrasts), and `contradictions` Int64: contrasts
        that one calls "worth" and the other "harms". Empty with a single family and size.

    >>> row = {"kind": "headline", "quantity": "multiplier", "eval_set": "all", "decisive": True,
    ...        "reached": True, "contrast": "raw → curated", "conclusion_without_gate": "worth"}
    >>> table = pl.DataFrame([row | {"family": "kneser_ney", "size": s, "estimate": m}
    ...                       for s, m in (("order3", 1.5), ("order5", 1.3))])
    >>> agreement(table).select("first", "second", "contrasts", "same_sign").rows()
    [('kneser_ney order3', 'kneser_ney order5', 1, 1)]
    """
    needed = {"kind", "decisive", "reached", "conclusion_without_gate"}
    if needed - set(multipliers.columns):
        return pl.DataFrame(schema=dict(AGREEMENT_SCHEMA))
    rows = multipliers.filter(
        pl.col("decisive") & pl.col("reached"),
        quantity="multiplier",
        eval_set="all",
    ).filter((pl.col("kind") != "calibrator") & (pl.col("contrast") != "null_a → null_b"))
    rows = rows.filter(pl.col("estimate").is_not_null() & (pl.col("estimate") != 1))
    name = pl.concat_str("family", "size", separator=" ").alias("model")
    found = rows.with_columns(name).select(
        "model", "contrast", "estimate", "conclusion_without_gate"
    )
    models = found["model"].unique(maintain_order=True).to_list()
    return pl.DataFrame(list(_pairs(found, models)), schema=dict(AGREEMENT_SCHEMA), orient="row")


def _pairs(found: pl.DataFrame, models: list[str]) -> Iterator[tuple[Any, ...]]:
    for first, second in combinations(models, 2):
        one, two = (found.filter(model=model).drop("model") for model in (first, second))
        both = one.join(two, on="contrast", maintain_order="left")
        if both.is_empty():
            continue
        a, b = (np.log(both[column].to_numpy()) for column in ("estimate", "estimate_right"))
        same = int((np.sign(a) == np.sign(b)).sum())
        low, high = wilson(same, both.height)
        words = zip(
            both["conclusion_without_gate"], both["conclusion_without_gate_right"], strict=True
        )
        ranked = rank_correlation(a, b) if both.height >= FEWEST_RANKED else None
        yield (
            first,
            second,
            both.height,
            same,
            same / both.height,
            float(low),
            float(high),
            ranked,
            sum({"worth", "harms"} == set(pair) for pair in words),
        )
