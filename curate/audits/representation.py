"""Who is in the corpus before and after: shares, distances, effective numbers, retention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.errors import ConfigError, unknown_name
from curate.statistics import wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """Shares of the groups of one column, raw and curated.

    Attributes:
        table: One row a group: `group`, `raw`, `curated` (documents or weight), `raw_share`,
            `curated_share`, `share_ratio`, `retention`, and, unweighted, the Wilson interval
            `retention_low`, `retention_high` for independent documents.
        total_variation: Half the summed differences of shares: the part that moved.
        jensen_shannon: Distance in [0, 1] (root of the divergence in bits).
        effective_raw: Effective number of groups, exp(entropy), before.
        effective_curated: The same after.
        worst_group: The group that keeps the smallest part of itself (ties: by name).
        worst_retention: What it keeps.
    """

    table: pl.DataFrame
    total_variation: float
    jensen_shannon: float
    effective_raw: float
    effective_curated: float
    worst_group: str
    worst_retention: float


def representation(
    verdicts: pl.DataFrame, *, group: str, kept: str = "kept", weight: str | None = None
) -> Representation:
    """Shares of every group in all documents and in those that were kept.

    Args:
        verdicts: Frame with the group column, `kept` Boolean, and the weight; planted documents
            (`control` not null) do not count.
        group: Column of groups; null is the group `(missing)`.
        kept: Column that says which documents stay.
        weight: Column to weigh by, e.g. `words`; `None` counts documents.

    Raises:
        ConfigError: A column is missing, or there is no document.

    >>> verdicts = pl.DataFrame({"source": ["a"] * 4 + ["b"] * 4,
    ...                          "kept": [True] * 4 + [True] + [False] * 3})
    >>> found = representation(verdicts, group="source")
    >>> round(found.total_variation, 3), found.worst_group, found.worst_retention
    (0.3, 'b', 0.25)
    """
    for name in (group, kept, *([weight] if weight else [])):
        if name not in verdicts.columns:
            raise ConfigError(unknown_name("column of the verdicts", name, verdicts.columns))
    if "control" in verdicts.columns:
        verdicts = verdicts.filter(pl.col("control").is_null())
    if verdicts.is_empty():
        raise ConfigError("the verdicts hold no native document: nothing to compare")
    size = pl.col(weight).cast(pl.Float64).fill_null(0.0) if weight else pl.lit(1.0)
    sums = (
        verdicts.select(group=pl.col(group).cast(pl.String).fill_null("(missing)"), w=size, k=kept)
        .group_by("group")
        .agg(raw=pl.col("w").sum(), curated=pl.col("w").filter(pl.col("k")).sum())
        .sort("group")
    )
    raw, curated = sums["raw"].to_numpy(), sums["curated"].to_numpy()
    table = _with_shares(sums, weighted=weight is not None)
    worst = table.drop_nulls("retention").sort("retention", "group").row(0, named=True)
    return Representation(
        table=table,
        total_variation=total_variation(raw, curated),
        jensen_shannon=jensen_shannon(raw, curated),
        effective_raw=effective_number(raw),
        effective_curated=effective_number(curated),
        worst_group=worst["group"],
        worst_retention=worst["retention"],
    )


def _with_shares(sums: pl.DataFrame, *, weighted: bool) -> pl.DataFrame:
    shares = [(pl.col(c) / pl.col(c).sum()).fill_nan(None) for c in ("raw", "curated")]
    table = sums.with_columns(raw_share=shares[0], curated_share=shares[1]).with_columns(
        share_ratio=(pl.col("curated_share") / pl.col("raw_share")).fill_nan(None),
        retention=(pl.col("curated") / pl.col("raw")).fill_nan(None),
    )
    if weighted:
        return table
    ends = [wilson(k, n) for k, n in sums.select("curated", "raw").rows()]
    return table.with_columns(
        retention_low=pl.Series([e.low for e in ends], dtype=pl.Float64),
        retention_high=pl.Series([e.high for e in ends], dtype=pl.Float64),
    )


def _shares(values: ArrayLike) -> Floats:
    sums = np.asarray(values, dtype=np.float64)
    return np.asarray(sums / sums.sum()) if sums.sum() > 0 else np.full(sums.shape, np.nan)


def total_variation(first: ArrayLike, second: ArrayLike) -> float:
    """Half the sum of absolute differences of two sets of shares; NaN where one is empty.

    >>> total_variation([1, 1], [1, 0])
    0.5
    """
    return float(np.abs(_shares(first) - _shares(second)).sum() / 2)


def jensen_shannon(first: ArrayLike, second: ArrayLike) -> float:
    """Jensen–Shannon distance of two sets of shares: root of the divergence in bits.

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([2, 2], [1, 1])
    (1.0, 0.0)
    """
    p, q = _shares(first), _shares(second)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = [np.where(x > 0, x * np.log2(x / middle), 0.0 * x).sum() for x in (p, q)]
    return float(np.sqrt(max(sum(bits) / 2, 0.0))) if not np.isnan(sum(bits)) else float("nan")


def effective_number(values: ArrayLike) -> float:
    """Effective number of groups: exp of the entropy of their shares.

    >>> round(effective_number([1, 1, 1, 1]), 9), effective_number([5, 0])
    (4.0, 1.0)
    """
    p = _shares(values)
    p = p[p != 0]
    return float(np.exp(-(p * np.log(p)).sum()))
