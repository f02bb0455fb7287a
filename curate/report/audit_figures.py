"""Figures of the audit: crude against adjusted ratios, and a forest for a notebook."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.audits import NAMED, NOT_NAMED
from curate.report.charts import forest
from curate.report.figure import Figure, drawn_twice
from curate.report.group_figures import audited, group_figures, removal_axis
from curate.report.numerals import count, interval, ratio
from curate.report.shapes import About, ForestRow

__all__ = ["Forests", "adjusted_figure"]

_MOST_PAIRS = 9
_STYLE = (
    "<style>.audit svg{max-width:100%;font:13px sans-serif;fill:currentColor;"
    "stroke:currentColor}.audit svg text{stroke:none}</style>"
)


def adjusted_figure(impact: pl.DataFrame) -> Figure | None:
    """Removal ratios of the flagged rows, crude and once like is compared with like.

    Reads the adjusted columns of `audit/impact.parquet`. `None` where no flagged row has an
    adjusted ratio, or the table is from before there were any.

    >>> from curate.report.example import example_impact
    >>> adjusted_figure(example_impact()) is None
    True
    >>> adjusted_figure(example_impact().with_columns(adjusted_removal_ratio=pl.lit(1.1),
    ...     adjusted_removal_ratio_low=pl.lit(0.9), adjusted_removal_ratio_high=pl.lit(1.3),
    ...     adjusted_for=pl.lit("words"), informative_documents=pl.lit(900))).title
    'Of 1 flagged pair, 1 falls below a ratio of 1.25 once adjusted'
    """
    if "adjusted_removal_ratio" not in impact.columns:
        return None
    rows = audited(impact).filter(
        (pl.col("state") == "flag") & pl.col("adjusted_removal_ratio").is_not_null()
    )
    if rows.is_empty():
        return None
    fallen = rows.filter(pl.col("adjusted_removal_ratio") < 1.25).height
    pairs = "pair" if rows.height == 1 else "pairs"
    falls = {0: "none falls", 1: "1 falls"}.get(fallen, f"{fallen} fall")
    title = f"Of {rows.height} flagged {pairs}, {falls} below a ratio of 1.25 once adjusted"
    shown = rows.sort(["removal_ratio", "step", "group"], descending=[True, False, False])
    marks = [mark for row in shown.head(_MOST_PAIRS).to_dicts() for mark in _pair(row)]
    axis = removal_axis([v for m in marks for v in (m.estimate, m.low, m.high) if v])
    about = About(title=title, description="Two rows a flag: crude and adjusted removal ratio.")
    caption = (
        "Coloured: all documents. Grey: Mantel–Haenszel ratio within strata of the variables "
        "named, refined until the log odds ratio moves by less than .02. What goes away there is "
        "due to those variables: the loss is real, the group is not its reason. Whiskers: 95 % "
        "intervals, linearised over clusters. n = documents in strata where there is something "
        "to compare. A small p of heterogeneity in the numbers says that strata differ in their "
        "ratio: the one shown is then a mean."
    )
    return Figure(
        title=title,
        caption=caption,
        table=rows.select(
            "step", "group_column", "group", "removal_ratio", pl.col("^adjusted_.*$"),
            "informative_documents", pl.col("^heterogeneity_p$"),
        ),
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )  # fmt: skip


def _pair(row: dict[str, object]) -> list[ForestRow]:
    marks = []
    for name, tone in (("removal_ratio", "bad"), ("adjusted_removal_ratio", "quiet")):
        value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        crude = name == "removal_ratio"
        assert isinstance(value, float)
        ends = [float(end) if isinstance(end, int | float) else None for end in (low, high)]
        n = f", n = {count(int(str(row['informative_documents'])))}"
        named = row["group"] in (NAMED, NOT_NAMED)
        whom = f"{row['group_column']}{', not named' * (row['group'] == NOT_NAMED)}"
        whom = whom if named else str(row["group"])
        label = f"{row['step']}: {whom}" if crude else f"within {row['adjusted_for']}"
        said = interval(ends[0] or 0.0, ends[1] if ends[1] is not None else float("inf"))
        said = "(clusters cannot tell)" if ends == [None, None] else said
        marks.append(
            ForestRow(
                label=label,
                estimate=value,
                low=ends[0],
                high=ends[1],
                note=f"{ratio(value)} {said}{'' if crude else n}",
                tone=tone,
            )
        )
    return marks


@dataclass(frozen=True, slots=True)
class Forests:
    """Forest plots of an audit's table, for a notebook: the flags first, then every step.

    >>> from curate.report.example import example_impact
    >>> Forests(example_impact())._repr_html_().count("<svg")
    1
    """

    impact: pl.DataFrame

    def _repr_html_(self) -> str:
        adjusted = adjusted_figure(self.impact)
        figures = ([adjusted] if adjusted else []) + group_figures(self.impact)
        drawn = "".join(
            f"<h4>{figure.drawings.wide[0].escape(figure.title)}</h4>{figure.drawings.wide[0]}"
            f"<p>{figure.drawings.wide[0].escape(figure.caption)}</p>"
            for figure in figures
        )
        return f'{_STYLE}<div class="audit">{drawn}</div>'
