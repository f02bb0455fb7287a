"""Figures of whom steps hit: removal ratios of groups, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from curate.audits import state_said
from curate.report.charts import forest
from curate.report.figure import MOST_ROWS, Figure, drawn_twice, left_out, total
from curate.report.numerals import count, interval, ratio
from curate.report.scales import spread
from curate.report.shapes import About, Axis, ForestRow, Reference

__all__ = ["audited", "group_figures", "removal_axis"]

GATE_RATIO = 1.25
NAMED_GROUPS = "group that texts name"
_TONES = {"flag": "bad", "not enough documents": "quiet"}


def audited(impact: pl.DataFrame) -> pl.DataFrame:
    """The rows of the audit that carry tests: marginal, weighted by documents.

    >>> rows = {"population": ["marginal", "cumulative"], "weight": ["documents", "documents"]}
    >>> audited(pl.DataFrame(rows)).height
    1
    """
    return impact.filter(pl.col("population") == "marginal", pl.col("weight") == "documents")


def group_figures(impact: pl.DataFrame) -> list[Figure]:
    """One forest of removal ratios a step and group column; the strongest step stands open.

    Reads `audit/impact.parquet`. Steps that removed nothing have no figure. Groups that word
    lists find in texts (`axis: group`, named or not) share one forest a step.

    >>> from curate.report.example import example_impact
    >>> [figure.title for figure in group_figures(example_impact())]
    ['What "gopher_quality" removes per source: 2 groups, 1 flagged']
    """
    rows = _by_word_list(audited(impact).filter(pl.col("removal_ratio").is_finite()))
    rows = _that_say_something(rows)
    keys = ["step", "group_column"]
    order = (
        rows.group_by(keys)
        .agg(
            flags=(pl.col("state") == "flag").sum(),
            removed=pl.col("removed").sum(),
            said=pl.col("removal_ratio").count(),
        )
        .filter(pl.col("removed") > 0, pl.col("said") > 0)
        .sort(["flags", "removed", *keys], descending=[True, True, False, False])
    )
    return [
        _group_figure(rows.filter(step=step, group_column=column), folded=place > 0)
        for place, (step, column) in enumerate(order.select(keys).iter_rows())
    ]


def removal_axis(values: Sequence[float]) -> Axis:
    """The axis that shows these removal ratios, equality and the gate marked on it.

    >>> axis = removal_axis([0.5, 90.0])
    >>> round(axis.low, 2), axis.high
    (0.37, 50.0)
    """
    low, high = spread([*values, 0.8, 1.5], log=True)
    return Axis(
        label="share removed: group / all others (log scale)",
        low=max(low, 0.02),
        high=min(high, 50.0),
        log=True,
        references=(Reference(value=1, label="equal"), Reference(value=GATE_RATIO, label="")),
    )


def _by_word_list(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with all word lists as one column: its groups are those that texts name."""
    column, group = pl.col("group_column"), pl.col("group").cast(pl.String)
    listed = column.str.contains(": ", literal=True) & group.is_in(["named", "not named"])
    return rows.filter(~(listed & (group == "not named"))).with_columns(
        group_column=pl.when(listed).then(pl.lit(NAMED_GROUPS)).otherwise(column),
        group=pl.when(listed).then(column).otherwise(group),
    )


def _that_say_something(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without ratios that only a correction for small counts or an empty side made."""
    seen, others = pl.col("removed") / pl.col("n"), pl.col("removed_rest") / pl.col("n_rest")
    # Corrected, none of two is more than a tenth of hundreds: what was seen says the opposite.
    turned = (pl.col("removal_ratio") > 1) & (seen < others)
    ends = [name for name in rows.columns if name.startswith("removal_ratio")]
    adjusted = {"adjusted_removal_ratio", "adjusted_odds_ratio"} & set(rows.columns)
    return rows.with_columns(
        *(pl.when(~turned).then(pl.col(name)).alias(name) for name in ends),
        *(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in adjusted),
    )


def _group_figure(rows: pl.DataFrame, *, folded: bool) -> Figure:
    step, column = rows["step"][0], rows["group_column"][0]
    flags = rows.filter(pl.col("state") == "flag").height
    said = f"{flags} flagged" if flags else "none flagged"
    title = f'What "{step}" removes per {column}: {rows.height} groups, {said}'
    shown = _worth_showing(rows.drop_nulls("removal_ratio"))
    ends = ("removal_ratio", "removal_ratio_low", "removal_ratio_high")
    axis = removal_axis([value for name in ends for value in shown[name] if value is not None])
    about = About(title=title, description="One row a group: removal ratio with interval.")
    marks = [_group_row(row) for row in shown.iter_rows(named=True)]
    return Figure(
        title=title,
        caption=_group_caption(rows),
        table=rows.with_columns(state_said())
        .drop("population", "weight", "step", "group_column")
        .rename({"four_fifths": "fails_four_fifths_rule"}, strict=False),
        folded=folded,
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )


def _worth_showing(rows: pl.DataFrame) -> pl.DataFrame:
    """All flags, then the largest groups, drawn from the most removed to the least."""
    flagged_first = rows.sort([pl.col("state") == "flag", "n"], descending=True)
    return flagged_first.head(MOST_ROWS).sort(["removal_ratio", "group"], descending=[True, False])


def _group_row(row: dict[str, Any]) -> ForestRow:
    ends = (row["removal_ratio_low"], row["removal_ratio_high"])
    return ForestRow(
        label=str(row["group"]),
        estimate=row["removal_ratio"],
        low=ends[0],
        high=ends[1],
        note=f"{ratio(row['removal_ratio'])} {interval(*ends)}",
        tone=_TONES.get(row["state"], "plain"),
    )


def _group_caption(rows: pl.DataFrame) -> str:
    thin = rows.filter(pl.col("state") == "not enough documents").height
    groups = "1 group" if thin == 1 else f"{thin} groups"
    few = f" Grey: {groups} not judged: too few documents or sources." if thin else ""
    return (
        f"n = {count(total(rows['n']))} native documents, this step alone applied to all of them. "
        "Whiskers: 95 % intervals, linearised over clusters; the second line marks the ratio of "
        f"{GATE_RATIO} below which no group is flagged.{few}{left_out(rows.height)} The intervals "
        "speak of documents to come from such sources; for this corpus the rates are a census."
    )
