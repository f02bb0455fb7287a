"""Figures of what the curation was worth: loss curves, multipliers, harm."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.charts import forest, legend, lines
from curate.report.figure import Drawings, Figure, drawn_twice
from curate.report.numerals import count, interval, level, precise, ratio, short
from curate.report.scales import spread
from curate.report.shapes import About, Axis, ForestRow, Line, Point, Reference
from curate.statistics import t_interval

__all__ = [
    "Cell",
    "growth_figure",
    "harm_figure",
    "headline_cell",
    "loss_figure",
    "multiplier_figure",
    "sets_figure",
]

CONFIDENCE = 0.95
_CURVES = ("raw", "curated", "oracle", "curated_oracle", "random")
_MOST_CURVES = 5
_FAMILIES = {"kneser_ney": "Kneser–Ney", "gpt": "GPT"}
_MEAN = "mean of all sets"
_SOURCES_FOR_SAMPLE = 8  # fewer evaluation sources are no sample of sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a headline was measured with: proxy family, its size, and the token budget."""

    family: str
    size: str
    n_tokens: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Cell:
        """The cell of a row of the table of multipliers."""
        family, size = row["family"] or "", str(row["size"] or "")
        return cls(family=family, size=size, n_tokens=row["n_tokens"])

    def model(self) -> str:
        """Family and size in words.

        >>> Cell(family="kneser_ney", size="order5", n_tokens=None).model()
        'Kneser–Ney order 5'
        """
        name = _FAMILIES.get(self.family, self.family)
        return f"{name} {re.sub(r'(?<=[a-z])(?=[0-9])', ' ', self.size)}"

    def words(self) -> str:
        """The whole cell in words.

        >>> Cell(family="gpt", size="small", n_tokens=400_000).words()
        'GPT small, 400 k tokens'
        """
        budget = f", {short(self.n_tokens)} tokens" if self.n_tokens else ""
        return f"{self.model()}{budget}"


def headline_cell(multipliers: pl.DataFrame | None, runs: pl.DataFrame | None) -> Cell | None:
    """Family, size and budget of the headline; without one, of the largest budget that ran.

    >>> headline_cell(None, None) is None
    True
    """
    if multipliers is not None:
        measured = pl.col("family").is_not_null()
        chosen = multipliers.filter("headline", measured, quantity="multiplier")
        for row in chosen.head(1).iter_rows(named=True):
            return Cell.of(row)
    if runs is None:
        return None
    last = runs.sort(["n_tokens", "family", "size"], descending=[True, False, False]).row(
        0, named=True
    )
    return Cell.of(last)


def loss_figure(runs: pl.DataFrame, cell: Cell) -> Figure:
    """Loss against tokens per arm, for the mean over the sets and for each set alone.

    Reads `arm, family, size, n_tokens, replicate, eval_set, loss`; bands are t intervals
    over replicates.
    """
    usable = runs.filter(pl.col("loss").is_finite())
    mine = usable.filter(
        pl.col("family") == cell.family, pl.col("size").cast(pl.String) == cell.size
    )
    keys = ["arm", "n_tokens", "replicate"]
    mean = mine.group_by(keys).agg(pl.col("loss").mean()).with_columns(eval_set=pl.lit(_MEAN))
    columns = [*keys, "eval_set", "loss"]
    table = _loss_table(pl.concat([mean.select(columns), mine.select(columns)]))
    arms = _arms_to_draw(table["arm"].unique().to_list())
    sets = [_MEAN, *sorted(set(table["eval_set"]) - {_MEAN})]
    title = _loss_title(table, cell)
    panels = [_loss_panel(table.filter(eval_set=name), arms, name) for name in sets[:9]]
    return Figure(
        title=title,
        caption=_loss_caption(mine),
        table=table,
        legend=legend([(arm, place) for place, arm in enumerate(arms)]),
        drawings=Drawings(wide=tuple(panels)),
    )


def multiplier_figure(multipliers: pl.DataFrame, cell: Cell) -> Figure:
    """Multiplier of every contrast at the headline's cell, with what the controls must show.

    A contrast that was not reached at this budget stands as a lower bound. The null must
    show 1 and the calibrator 2.
    """
    rows = _at(multipliers, cell, "multiplier").filter(pl.col("eval_set") == "all")
    title = f"Tokens that each change is worth ({cell.words()})"
    marks = [_multiplier_row(row, row["contrast"]) for row in rows.iter_rows(named=True)]
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
    """The headline contrast on each evaluation set; `None` where there is only one."""
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
    """The headline multiplier against the token budget; `None` with fewer than two budgets."""
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
    points = tuple(_point(row, "estimate") for row in rows.iter_rows(named=True))
    title = f"The multiplier of {name} changes with the budget{_slope(multipliers, name, cell)}"
    about = About(title=title, description="Multiplier with interval against token budget.")
    across = _budget_axis(rows)
    up = _value_axis("multiplier", points, reference=1.0)
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
    """Harm and dilution per contrast at the headline's cell; `None` where not measured."""
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


def _arms_to_draw(arms: Sequence[str]) -> list[str]:
    """The arms that a reader compares first; the others stand in the table only."""
    first = [arm for arm in _CURVES if arm in arms]
    return (first or sorted(arms))[:_MOST_CURVES]


def _loss_table(losses: pl.DataFrame) -> pl.DataFrame:
    grouped = losses.group_by("eval_set", "arm", "n_tokens").agg(pl.col("loss").sort())
    rows = []
    for row in grouped.sort("eval_set", "arm", "n_tokens").iter_rows(named=True):
        found = t_interval(row["loss"], CONFIDENCE)
        alone = len(row["loss"]) < 2
        ends = {"low": None if alone else found.low, "high": None if alone else found.high}
        keys = {name: row[name] for name in ("eval_set", "arm", "n_tokens")}
        rows.append({**keys, "loss": found.estimate, **ends, "replicates": len(row["loss"])})
    return pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64})


def _loss_title(table: pl.DataFrame, cell: Cell) -> str:
    """The finding where both main arms were measured at the headline's budget."""
    at = table.filter(pl.col("eval_set") == _MEAN, pl.col("n_tokens") == (cell.n_tokens or 0))
    losses = dict(at.select("arm", "loss").iter_rows())
    if not {"raw", "curated"} <= losses.keys():
        return f"Loss against training tokens, per arm ({cell.model()})"
    return (
        f"After {short(cell.n_tokens)} tokens curated stands at {precise(losses['curated'])} bits "
        f"per byte, raw at {precise(losses['raw'])} ({cell.model()})"
    )


def _loss_panel(table: pl.DataFrame, arms: Sequence[str], name: str) -> Markup:
    curves = [
        Line(label=arm, style=place, points=tuple(_point(row, "loss") for row in rows))
        for place, arm in enumerate(arms)
        if (rows := table.filter(arm=arm).sort("n_tokens").to_dicts())
    ]
    shown = table.filter(pl.col("arm").is_in(arms))
    points = [point for curve in curves for point in curve.points]
    drawn = lines(
        curves,
        across=_budget_axis(shown),
        up=_value_axis("bits per byte", points),
        about=About(title=f"Loss on {name}", description="Bits per byte against tokens per arm."),
        size=(292, 236),
    )
    return Markup('<div><p class="panel">{}</p>{}</div>').format(name, drawn)


def _loss_caption(mine: pl.DataFrame) -> str:
    replicates, sets = mine["replicate"].n_unique(), mine["eval_set"].n_unique()
    others = mine["arm"].n_unique() - len(_arms_to_draw(mine["arm"].unique().to_list()))
    more = f" Further arms stand in the table only: {others}." if others > 0 else ""
    return (
        "Bits per byte on neutral text, lower is better; the axis does not start at 0. Bands: "
        f"{level(CONFIDENCE)} t intervals over n = {replicates} replicates, each arm by itself; "
        "the arms of a replicate share their draws, so their differences are known better than "
        f"the bands suggest. {sets} evaluation sets.{more}"
    )


def _budget_axis(rows: pl.DataFrame) -> Axis:
    low, high = spread([float(value) for value in rows["n_tokens"]], log=True)
    return Axis(label="training tokens (log scale)", low=low, high=high, log=True, tick=short)


def _value_axis(label: str, points: Sequence[Point], reference: float | None = None) -> Axis:
    values = [v for point in points for v in (point.y, point.low, point.high) if v is not None]
    low, high = spread([*values, *([reference] if reference else [])])
    marks = (Reference(value=reference, label=""),) if reference else ()
    return Axis(label=label, low=low, high=high, references=marks)


def _point(row: dict[str, Any], value: str) -> Point:
    return Point(x=row["n_tokens"], y=row[value], low=row["low"], high=row["high"])


def _at(multipliers: pl.DataFrame, cell: Cell, quantity: str) -> pl.DataFrame:
    """Rows of a quantity at the budget that speaks for each contrast, in table order.

    That is the contrast's decisive budget, or else its largest one up to the cell's. Rows
    without any estimate are left out.
    """
    chosen = multipliers.filter(
        pl.col("quantity") == quantity,
        pl.col("family") == cell.family,
        pl.col("size").cast(pl.String) == cell.size,
        pl.col("n_tokens") <= cell.n_tokens if cell.n_tokens else pl.lit(True),
        pl.col("estimate").is_not_null(),
    )
    speaking = multipliers.filter("decisive" if "decisive" in multipliers.columns else "headline")
    budgets = (
        speaking.filter(
            pl.col("family") == cell.family, pl.col("size").cast(pl.String) == cell.size
        )
        .select("contrast", "n_tokens")
        .unique("contrast", keep="first", maintain_order=True)
    )
    joined = chosen.join(budgets, on="contrast", how="left", suffix="_said", maintain_order="left")
    largest = pl.col("n_tokens").max().over("contrast")
    wanted = pl.coalesce("n_tokens_said", largest)
    return joined.filter(pl.col("n_tokens") == wanted).drop("n_tokens_said")


def _set_said(name: str) -> str:
    return "all sets, equal weight" if name == "all" else name


def _headline_contrast(multipliers: pl.DataFrame) -> str:
    chosen = multipliers.filter("headline")
    source = multipliers if chosen.is_empty() else chosen
    return str(source["contrast"][0])


def _multiplier_row(row: dict[str, Any], label: str) -> ForestRow:
    bound = "" if row["reached"] else str(row.get("bound") or "≥")
    ends = (None, None) if bound else (row["low"], row["high"])
    said = f"{bound} {ratio(row['estimate'])} {interval(*ends)}".strip()
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
    levels = " and ".join(sorted({level(value) for value in rows["confidence"].drop_nulls()}))
    replicates = _span(rows["n_replicates"])
    sets = multipliers.filter(pl.col("eval_set") != "all")["eval_set"].n_unique()
    scope = ", conditional on these sources" if 0 < sets < _SOURCES_FOR_SAMPLE else ""
    return (
        f" Intervals: {levels} t intervals{scope} (Holm-adjusted for all contrasts but the "
        f"headline and the controls); n = {replicates} replicates, {sets} evaluation sets."
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
        ends = interval(row["low"], row["high"])
        return f": × {ratio(row['estimate'])} {ends} per doubling"
    return ""


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of the multiplier table that people read."""
    hidden = ("headline", "decisive", "quantity", "kind", "arm_a", "arm_b", "standard_error")
    return rows.drop([name for name in hidden if name in rows.columns])
