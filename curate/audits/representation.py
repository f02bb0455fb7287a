"""Who is in the corpus before and after: shares, distances, effective numbers, retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from curate.arrays import Floats
from curate.audits._moved import (
    Moved,
    Sums,
    moved_distance,
    moved_number,
    moves_of,
    retention_of,
    sums_of,
    table_of,
)
from curate.audits.lexicons import NAMED, NOT_NAMED
from curate.errors import ConfigError, check_name

_NUMBERS = (
    *("effective_raw", "effective_curated", "total_variation", "jensen_shannon"),
    *("worst_group", "worst_retention"),
)
_ROWS = (
    {"group_column": pl.String, "groups": pl.Int64}
    | dict.fromkeys(_NUMBERS, pl.Float64)
    | {"worst_group": pl.String}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """Shares of the groups of one column, raw and curated.

    Attributes:
        table: One row a group: `group`, `raw`, `curated` (documents or weight), `raw_share`,
            `curated_share`, `share_change` (curated less raw), `share_ratio`, `retention`, each
            of these three with its 95 % interval `..._low`, `..._high`; `p` (two-sided score
            test of the group's retention against the rest's; null where fewer than 10 documents
            would stay, or go, by chance, or where two or three clusters decide) and `q`
            (Benjamini–Hochberg over the groups).
        figures: One row a figure (`total_variation`, `jensen_shannon`, `effective_number`,
            `worst_retention`): `value`, its 95 % interval `low`, `high`, `by_chance` (the mean if
            all groups had kept one part of themselves: distances are never 0) and `p` of that
            (null for the worst retention, whose interval allows for the choice of the worst).
        total_variation: Half the summed differences of shares: the part that moved.
        jensen_shannon: Distance in [0, 1] (root of the divergence in bits).
        effective_raw: Effective number of groups, exp(entropy), before.
        effective_curated: The same after.
        worst_group: The group that keeps the smallest part of itself (ties: by name).
        worst_retention: What it keeps.
    """

    table: pl.DataFrame
    figures: pl.DataFrame
    total_variation: float
    jensen_shannon: float
    effective_raw: float
    effective_curated: float
    worst_group: str
    worst_retention: float


def representation(  # noqa: PLR0913 - each names columns of one role
    verdicts: pl.DataFrame,
    *,
    group: str,
    kept: str = "kept",
    weight: str | None = None,
    cluster: str | None = None,
    seed: int = 1,
) -> Representation:
    """Shares of every group in all documents and in those that were kept.

    Intervals and p take the documents as they are: chance is which of them stay.

    Args:
        verdicts: Frame with the group column, `kept` Boolean, and the weight; planted documents
            (`control` not null) do not count.
        group: Column of groups; null is the group `(missing)`.
        kept: Column that says which documents stay.
        weight: Column to weigh by, e.g. `words`; `None` counts documents.
        cluster: Column within which documents are alike, e.g. `source`; a group column is never
            its own cluster. `None` = every document by itself.
        seed: Of the draws behind `figures`.

    Raises:
        ConfigError: A column is missing, or there is no document.

    >>> verdicts = pl.DataFrame({"source": ["a"] * 4 + ["b"] * 4,
    ...                          "kept": [True] * 4 + [True] + [False] * 3})
    >>> found = representation(verdicts, group="source")
    >>> round(found.total_variation, 3), found.worst_group, found.worst_retention
    (0.3, 'b', 0.25)
    """
    within = None if cluster == group else cluster
    names = (group, kept, *([weight] if weight else []), *([within] if within else []))
    for name in names:
        check_name("column of the verdicts", name, verdicts.columns)
    if "control" in verdicts.columns:
        verdicts = verdicts.filter(pl.col("control").is_null())
    if verdicts.is_empty():
        raise ConfigError("the verdicts hold no native document: nothing to compare")
    sums = sums_of(verdicts, (group, kept), weight, within)
    table = table_of(sums)
    worst = table.drop_nulls("retention").sort("retention", "group").row(0, named=True)
    raw, curated = sums.raw, sums.kept
    return Representation(
        table=table,
        figures=_figures(sums, worst["retention"], np.random.default_rng(seed)),
        total_variation=total_variation(raw, curated),
        jensen_shannon=jensen_shannon(raw, curated),
        effective_raw=effective_number(raw),
        effective_curated=effective_number(curated),
        worst_group=worst["group"],
        worst_retention=worst["retention"],
    )


def representation_rows(verdicts: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """`representation` of several columns of groups, one row each, by documents.

    Columns of word lists are left out: those who name no group are none.

    Returns:
        `group_column`, `groups` Int64, `effective_raw`, `effective_curated`, `total_variation`,
        `jensen_shannon`, `worst_group`, `worst_retention`.

    >>> verdicts = pl.DataFrame({"source": ["a", "a", "b", "b"], "kept": [True, True, True, False]})
    >>> representation_rows(verdicts, ["source"]).select("worst_group", "worst_retention").rows()
    [('b', 0.5)]
    """
    rows = []
    for name in groups:
        if ": " in name and set(verdicts[name].unique()) <= {NAMED, NOT_NAMED}:
            continue
        found = representation(verdicts, group=name)
        numbers = {field: getattr(found, field) for field in _NUMBERS}
        rows.append({"group_column": name, "groups": found.table.height, **numbers})
    return pl.DataFrame(rows, schema=_ROWS).with_columns(pl.col(pl.Float64).fill_nan(None))


def _figures(sums: Sums, worst: float, rng: np.random.Generator) -> pl.DataFrame:
    rows: list[tuple[object, ...]] = []
    n_groups = len(sums.groups)
    if sums.kept.sum() > 0:
        moves, shares = moves_of(sums, rng), (_shares(sums.raw), _shares(sums.kept))
        rows = [
            ("total_variation", *moved_distance(total_variations, shares, moves)),
            ("jensen_shannon", *moved_distance(jensen_shannons, shares, moves)),
            ("effective_number", *moved_number(effective_numbers, shares, moves)),
        ]
    # Every group's interval at a level that all hold together, as the worst was chosen by them.
    every = retention_of(sums, level=1 - 0.05 / n_groups)
    ends = (float(np.nanmin(e)) for e in (every.low, every.high))
    rows.append(("worst_retention", worst, *ends, None, None))
    schema = {"figure": pl.String} | dict.fromkeys(Moved._fields, pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _shares(values: ArrayLike) -> Floats:
    sums = np.asarray(values, dtype=np.float64)
    whole = sums.sum(-1, keepdims=True)
    return np.asarray(np.divide(sums, whole, out=np.full(sums.shape, np.nan), where=whole > 0))


def total_variation(first: ArrayLike, second: ArrayLike) -> float:
    """Half the sum of absolute differences of two sets of shares; NaN where one is empty.

    >>> total_variation([1, 1], [1, 0])
    0.5
    """
    return float(total_variations(_shares(first), _shares(second)))


def total_variations(first: Floats, second: Floats) -> Floats:
    """Total variation of shares along the last axis.

    >>> total_variations(np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [0.5, 0.0]
    """
    return np.asarray(np.abs(first - second).sum(-1) / 2)


def jensen_shannon(first: ArrayLike, second: ArrayLike) -> float:
    """Jensen–Shannon distance of two sets of shares: root of the divergence in bits.

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([2, 2], [1, 1])
    (1.0, 0.0)
    """
    return float(jensen_shannons(_shares(first), _shares(second)))


def jensen_shannons(first: Floats, second: Floats) -> Floats:
    """Jensen–Shannon distance of shares along the last axis.

    >>> jensen_shannons(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0.0, 1.0]
    """
    middle = (first + second) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = [np.where(x > 0, x * np.log2(x / middle), 0.0 * x) for x in (first, second)]
    return np.asarray(np.sqrt(np.maximum((bits[0] + bits[1]).sum(-1) / 2, 0.0)))


def effective_number(values: ArrayLike) -> float:
    """Effective number of groups: exp of the entropy of their shares.

    >>> round(effective_number([1, 1, 1, 1]), 9), effective_number([5, 0])
    (4.0, 1.0)
    """
    return float(effective_numbers(_shares(values)))


def effective_numbers(shares: Floats) -> Floats:
    """Effective number of shares along the last axis.

    >>> effective_numbers(np.array([[0.5, 0.5], [1.0, 0.0]])).round(9).tolist()
    [2.0, 1.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(shares > 0, shares * np.log(shares), 0.0 * shares)
    return np.asarray(np.exp(-parts.sum(-1)))
