"""The figure of loss against training tokens, arm by arm."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from markupsafe import Markup

from curate.report.cells import Cell, budget_axis, point_of, value_axis
from curate.report.charts import legend, lines
from curate.report.figure import Drawings, Figure
from curate.report.numerals import level, precise, short
from curate.report.shapes import About, Line
from curate.statistics import t_interval

__all__ = ["loss_figure"]

CONFIDENCE = 0.95
_CURVES = ("raw", "curated", "oracle", "curated_oracle", "random")
_MOST_CURVES = 5
_MEAN = "mean of all sets"


def loss_figure(runs: pl.DataFrame, cell: Cell) -> Figure:
    """Loss against tokens per arm, for the mean over the sets and for each set alone.

    Reads `arm, family, size, n_tokens, replicate, eval_set, loss`; bands are t intervals
    over replicates.

    >>> from curate.report.example import example_runs
    >>> cell = Cell(family="kneser_ney", size="order2", n_tokens=200_000)
    >>> loss_figure(example_runs(), cell).title
    'After 200 k tokens curated stands at 2.005 bits per byte, raw at 2.105 (Kneser–Ney order 2)'
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
        Line(label=arm, style=place, points=tuple(point_of(row, "loss") for row in rows))
        for place, arm in enumerate(arms)
        if (rows := table.filter(arm=arm).sort("n_tokens").to_dicts())
    ]
    shown = table.filter(pl.col("arm").is_in(arms))
    points = [point for curve in curves for point in curve.points]
    drawn = lines(
        curves,
        across=budget_axis(shown),
        up=value_axis("bits per byte", points),
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
