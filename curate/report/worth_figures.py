"""Figures of what the curation was worth: loss curves, multipliers, harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.cells import Cell, budget_axis, point_of, value_axis
from curate.report.charts import forest, lines
from curate.report.figure import Drawings, Figure, drawn_twice
from curate.report.numerals import count, interval, level, measured, ratio, short
from curate.report.scales import spread
from curate.report.shapes import About, Axis, ForestRow, Line, Reference

__all__ = [
    "growth_figure",
    "harm_figure",
    "multiplier_figure",
    "sets_figure",
]

_SOURCES_FOR_SAMPLE = 8  # fewer evaluation sources are no sample of sources


def multiplier_figure(multipliers: pl.DataFrame, cell: Cell) -> Figure:
    """Multiplier of every contrast at the headline's cell, with what the controls must show.

    A contrast that was not reached at this budget stands as a lower bound. The null must
    show 1 and the calibrator 2.

    >>> from curate.report.example import example_multipliers
    >>> from curate.report.cells import headline_cell
    >>> table = example_multipliers()
    >>> multiplier_figure(table, headline_cell(table, None)).title
    'Tokens that each change is worth (Kneser–Ney order 2, 200 k tokens)'
    """
    rows = _at(multipliers, cell, "multiplier").filter(pl.col("eval_set") == "all")
    title = f"Tokens that each change is worth ({cell.words()})"
    marks = [_multiplier_row(row, _budgeted(row, cell)) for row in rows.iter_rows(named=True)]
    caption = (
        "Tokens that the first arm needs for each token of the second, at equal loss; right of 1 "
        "the second arm is worth more. Diamonds: what the controls must show (null and random 1, "
        "calibrator 2); "
        "arrows: the ladder ended before equal loss, so the value is only a bound. A cell votes "
        "where the calibrator's 90 % interval of ln m / ln 2 lies in [0.8, 1.2]."
        f"{_conditions(rows, multipliers)}"
    )
    return _ratio_forest(title, marks, caption, rows)


def sets_figure(multipliers: pl.DataFrame, cell: Cell) -> Figure | None:
    """The headline contrast on each evaluation set; `None` where there is only one.

    >>> from curate.report.example import example_multipliers
    >>> from curate.report.cells import headline_cell
    >>> table = example_multipliers()
    >>> sets_figure(table, headline_cell(table, None)).table["eval_set"].to_list()
    ['all', 'manual', 'tutorial']
    """
    name = _headline_contrast(multipliers)
    rows = _at(multipliers, cell, "multiplier").filter(pl.col("contrast") == name)
    if rows.height < 3:
        return None
    marks = [_multiplier_row(row, _set_said(row["eval_set"])) for row in rows.iter_rows(named=True)]
    title = f"{name} on each evaluation set ({cell.words()})"
    scope = _conditions(rows, multipliers)
    caption = f"One row an evaluation set; right of 1 the second arm is worth more.{scope}"
    return _ratio_forest(title, marks, caption, rows)


def growth_figure(multipliers: pl.DataFrame, cell: Cell) -> Figure | None:
    """The headline multiplier against the token budget; `None` with fewer than two budgets.

    >>> from curate.report.example import example_multipliers
    >>> from curate.report.cells import headline_cell
    >>> table = example_multipliers()
    >>> growth_figure(table, headline_cell(table, None)).table.height
    2
    """
    name = _headline_contrast(multipliers)
    rows = multipliers.filter(
        pl.col("contrast") == name,
        pl.col("quantity") == "multiplier",
        pl.col("eval_set") == "all",
        pl.col("family") == cell.family,
        pl.col("size").cast(pl.String) == cell.size,
        pl.col("n_tokens").is_not_null(),
        pl.col("reached"),
    ).sort("n_tokens")
    if rows.height < 2:
        return None
    points = tuple(point_of(row, "estimate") for row in rows.iter_rows(named=True))
    title = f"The multiplier of {name} against the token budget{_slope(multipliers, name, cell)}"
    about = About(title=title, description="Multiplier with interval against token budget.")
    across = budget_axis(rows)
    up = value_axis("multiplier", points, reference=1.0)
    curve = [Line(label=name, style=1, points=points)]

    def draw(width: int) -> tuple[Markup, ...]:
        return (lines(curve, across=across, up=up, about=about, size=(width, 260)),)

    caption = (
        f"{cell.model()}; budgets that every replicate reached."
        f"{_conditions(rows, multipliers)} What larger budgets and models would show was not "
        "measured."
    )
    drawings = Drawings(wide=draw(912), narrow=draw(340))
    return Figure(title=title, caption=caption, table=_plain(rows), drawings=drawings)


def harm_figure(multipliers: pl.DataFrame, cell: Cell) -> Figure | None:
    """Harm and dilution per contrast at the headline's cell; `None` where not measured.

    >>> from curate.report.example import example_multipliers
    >>> from curate.report.cells import headline_cell
    >>> table = example_multipliers()
    >>> harm_figure(table, headline_cell(table, None)).table.height
    2
    """
    rows = pl.concat([_at(multipliers, cell, name) for name in ("harm", "dilution")])
    rows = rows.filter(pl.col("eval_set") == "all").sort("contrast", maintain_order=True)
    if rows.is_empty():
        return None
    marks = [
        _multiplier_row(row, f"{row['quantity']}: {row['contrast']}")
        for row in rows.iter_rows(named=True)
    ]
    title = f"Harm and dilution of what was removed ({cell.words()})"
    caption = (
        "Harm: 1 = what was removed was empty, above 1 it was hurting, below 1 it still taught. "
        "Dilution is the rest of the multiplier. A multiplier above 1 says remove when compute "
        "binds; harm below 1 says keep when data binds."
        f"{_conditions(rows, multipliers)}"
    )
    return _ratio_forest(title, marks, caption, rows, label="harm, dilution (log scale)")


def _at(multipliers: pl.DataFrame, cell: Cell, quantity: str) -> pl.DataFrame:
    """Rows of a quantity at the budget that speaks for each contrast, in table order.

    That is the contrast's decisive budget, or else its largest one up to the cell's. Rows
    without any estimate are left out.
    """
    chosen = multipliers.filter(
        pl.col("quantity") == quantity,
        pl.col("family") == cell.family,
        pl.col("size").cast(pl.String) == cell.size,
        pl.col("estimate").is_not_null(),
    )
    within = pl.col("n_tokens") <= cell.n_tokens if cell.n_tokens else pl.lit(value=True)
    speaking = multipliers.filter("decisive" if "decisive" in multipliers.columns else "headline")
    budgets = (
        speaking.filter(
            pl.col("family") == cell.family, pl.col("size").cast(pl.String) == cell.size
        )
        .select("contrast", "n_tokens")
        .unique("contrast", keep="first", maintain_order=True)
    )
    joined = chosen.join(budgets, on="contrast", how="left", suffix="_said", maintain_order="left")
    largest = pl.col("n_tokens").filter(within).max().over("contrast")
    wanted = pl.coalesce("n_tokens_said", largest)
    return joined.filter(pl.col("n_tokens") == wanted).drop("n_tokens_said")


def _budgeted(row: dict[str, Any], cell: Cell) -> str:
    """The contrast, with its budget where that is not the headline's."""
    same = cell.n_tokens is None or row["n_tokens"] == cell.n_tokens
    name = "calibrator" if row.get("kind") == "calibrator" else str(row["contrast"])
    return name if same else f"{name}, {short(row['n_tokens'])}"


def _set_said(name: str) -> str:
    return "all sets, equal weight" if name == "all" else name


def _headline_contrast(multipliers: pl.DataFrame) -> str:
    chosen = multipliers.filter("headline")
    source = multipliers if chosen.is_empty() else chosen
    return str(source["contrast"][0])


def _multiplier_row(row: dict[str, Any], label: str) -> ForestRow:
    bound = "" if row["reached"] else str(row.get("bound") or "≥")
    ends = (None, None) if bound else (row["low"], row["high"])
    said = measured(row | {"bound": bound})
    return ForestRow(
        label=label,
        estimate=row["estimate"],
        low=ends[0],
        high=ends[1],
        note=said + (" no vote" if row["admitted"] is False else ""),
        tone=_tone(row),
        expected=_expected(row),
        bound=bound,
    )


def _tone(row: dict[str, Any]) -> str:
    if row["admitted"] is False or _expected(row) is not None:
        return "quiet"
    words = str(row["conclusion"] or "")
    return "good" if words.startswith("worth") else "bad" if words.startswith("harms") else "plain"


def _expected(row: dict[str, Any]) -> float | None:
    """What a control of the experiment must show: the calibrator 2, null and random 1."""
    if row["quantity"] != "multiplier":
        return None
    names = f"{row.get('kind', '')} {row['contrast']} {row['arm_a']} {row['arm_b']}".lower()
    if "calibrator" in names:
        return 2.0
    return 1.0 if any(word in names for word in ("null", "random", "control")) else None


def _ratio_forest(
    title: str,
    marks: Sequence[ForestRow],
    caption: str,
    rows: pl.DataFrame,
    *,
    label: str = "ratio of tokens at equal loss (log scale)",
) -> Figure:
    ends = [(mark.estimate, mark.low, mark.high, mark.expected) for mark in marks]
    values = [value for row in ends for value in row if value is not None]
    low, high = spread([*values, 0.9, 1.2], log=True)
    axis = Axis(
        label=label,
        low=max(low, 0.1),
        high=min(high, 20.0),
        log=True,
        references=(Reference(value=1, label="equal"),),
    )
    about = About(title=title, description="One row an estimate with its interval.")
    return Figure(
        title=title,
        caption=caption,
        table=_plain(rows),
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )


def _conditions(rows: pl.DataFrame, multipliers: pl.DataFrame) -> str:
    """n, level and scope of the intervals, as every caption must state them."""
    levels = ", ".join(sorted({level(value) for value in rows["confidence"].drop_nulls()}))
    replicates = _span(rows["n_replicates"])
    sets = multipliers.filter(pl.col("eval_set") != "all")["eval_set"].n_unique()
    scope = ", conditional on these sources" if 0 < sets < _SOURCES_FOR_SAMPLE else ""
    return (
        f" Intervals: {levels} t intervals{scope}, corrected for the number of comparisons (Holm) "
        f"but for the headline and the controls; n = {replicates} draws, {sets} evaluation sets."
    )


def _span(column: pl.Series) -> str:
    least, most = (count(value) for value in (column.min(), column.max()))  # type: ignore[arg-type]
    return least if least == most else f"{least}–{most}"


def _slope(multipliers: pl.DataFrame, name: str, cell: Cell) -> str:
    rows = multipliers.filter(
        pl.col("quantity") == "slope_per_doubling",
        pl.col("contrast") == name,
        pl.col("family") == cell.family,
        pl.col("eval_set") == "all",
    )
    for row in rows.head(1).iter_rows(named=True):
        ends = interval(row["low"], row["high"], row.get("beyond"))
        return f": × {ratio(row['estimate'])} {ends} per doubling"
    return ""


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of the multiplier table that people read."""
    named = ("headline", "decisive", "quantity", "kind", "arm_a", "arm_b")
    hidden = (*named, "standard_error", "skewness")
    return rows.drop([name for name in hidden if name in rows.columns])
