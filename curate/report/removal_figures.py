"""Figures of what was removed: funnel, reasons, controls, sources, quality scores."""

from __future__ import annotations

from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.cells import treatment
from curate.report.charts import bars, forest, histogram, legend, lines
from curate.report.figure import Drawings, Figure, drawn_twice, total
from curate.report.numerals import count, interval, percent, ratio, short
from curate.report.scales import spread
from curate.report.shapes import About, Axis, Bar, Bin, ForestRow, Line, Point, Reference

__all__ = [
    "audited",
    "calibration_figure",
    "controls_figure",
    "funnel_figure",
    "group_figures",
    "quality_figure",
    "reasons_figure",
]

GATE_RATIO = 1.25
_MOST_ROWS = 18
NAMED_GROUPS = "group that texts name"
_TONES = {"flag": "bad", "not enough documents": "quiet"}


QUALITY_LABEL = "quality score (calibrated probability)"


def funnel_figure(funnel: pl.DataFrame) -> Figure:
    """Documents and tokens that enter and leave each step, as shares of what was read.

    Reads `step`, `documents_in`, `documents_out`, `tokens_in`, `tokens_out` and, where
    present, `token_unit`; the first row is what was read.

    >>> funnel_figure(pl.DataFrame({"step": ["read", "rules"], "documents_in": [10, 10],
    ...     "documents_out": [10, 7], "tokens_in": [90, 90], "tokens_out": [90, 80]})).title
    '7 of 10 documents remain; the step "rules" removed the most'
    """
    rows = funnel.to_dicts()
    read, left = rows[0]["documents_in"], rows[-1]["documents_out"]
    tokens = next((row["tokens_in"] for row in rows if row["tokens_in"]), 0)
    most = max(rows, key=lambda row: row["documents_in"] - row["documents_out"])
    title = (
        f"{count(left)} of {count(read)} documents remain; "
        f'the step "{most["step"]}" removed the most'
    )
    axis = Axis(label="share of what was read", low=0, high=1, tick=lambda share: f"{share:.0%}")
    about = About(title=title, description="One bar a step: documents in and out, words below.")
    marks = [_funnel_bar(row, read, tokens) for row in rows]
    unit = rows[0].get("token_unit") or "words"
    caption = (
        f"Wide bars are documents, thin bars {unit}; pale is what entered a step, solid what left "
        f"it. n = {count(read)} documents and {short(tokens)} {unit} "
        "read. These are counts of all documents, not estimates: they have no interval."
    )
    return Figure(
        title=title,
        caption=caption,
        table=funnel,
        drawings=drawn_twice(lambda layout: bars(marks, axis=axis, about=about, layout=layout)),
    )


def reasons_figure(reasons: pl.DataFrame, native: int) -> Figure:
    """Documents that each rule removes, and those that it alone removes.

    Reads `reason`, `documents`, `only_here`; `native` is the number of documents judged.

    >>> frame = pl.DataFrame({"reason": ["a.x"], "documents": [3], "only_here": [1]})
    >>> reasons_figure(frame, 10).title
    'a.x fails most often: 3 documents, 30.0 % of all'
    """
    rows = reasons.head(_MOST_ROWS).to_dicts()
    first = rows[0]
    title = (
        f"{first['reason']} fails most often: {count(first['documents'])} documents, "
        f"{percent(first['documents'] / max(native, 1))} of all"
    )
    axis = Axis(label="native documents", low=0, high=max(first["documents"], 1), tick=short)
    about = About(title=title, description="One bar a rule: all it fails, and what it alone fails.")
    marks = [
        Bar(
            label=row["reason"],
            value=row["documents"],
            part=row["only_here"],
            note=f"{count(row['documents'])} · {count(row['only_here'])} alone",
        )
        for row in rows
    ]
    caption = (
        f"n = {count(native)} native documents. Pale: documents that fail the rule; solid: those "
        "that fail no other rule, so that this rule alone removes them. A document may fail "
        f"several rules.{_left_out(reasons.height)} Counts, no interval."
    )
    return Figure(
        title=title,
        caption=caption,
        table=reasons,
        drawings=drawn_twice(lambda layout: bars(marks, axis=axis, about=about, layout=layout)),
    )


PLANTED = (
    "Known defects and known-good canaries were planted, judged like every other document "
    "and taken out again."
)
DECLARED = "The input's own noise is declared in a truth file that no step reads."


def controls_figure(scoreboard: pl.DataFrame, *, declared: bool = False) -> Figure:
    """Share of each kind of known document that met its expected fate or was removed.

    Reads `kind`, `planted`, `caught`, `recall`, `low`, `high`, `expected`. For kinds that
    must be kept, `recall` is the share that was wrongly removed. `declared`: the documents are
    the input's own noise, not planted controls.

    >>> controls_figure(pl.DataFrame({"kind": ["exact_copy"], "planted": [4], "caught": [4],
    ...     "recall": [1.0], "low": [.5], "high": [1.0], "expected": ["removed"]})).title
    '4 of 4 planted defects were caught'
    """
    defects = scoreboard.filter(pl.col("expected") != "kept")
    caught, planted = total(defects["caught"]), total(defects["planted"])
    what = "declared noise documents" if declared else "planted defects"
    title = f"{count(caught)} of {count(planted)} {what} were caught"
    axis = Axis(label="share caught", low=0, high=1, tick=lambda share: f"{share:.0%}")
    about = About(title=title, description="One row a kind: share caught, with its interval.")
    rows = [_control_row(row) for row in scoreboard.iter_rows(named=True)]
    caption = (
        f"{DECLARED if declared else PLANTED} "
        "Dots are the share that met its fate, or, where documents must be "
        "kept (expected 0 %), the share wrongly removed; whiskers are 95 % Wilson "
        "intervals, diamonds what a perfect run shows. "
        f"n = {count(total(scoreboard['planted']))} documents."
    )
    return Figure(
        title=title,
        caption=caption,
        table=scoreboard,
        drawings=drawn_twice(lambda layout: forest(rows, axis=axis, about=about, layout=layout)),
    )


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
    keys = ["step", "group_column"]
    order = (
        rows.group_by(keys)
        .agg(flags=(pl.col("state") == "flag").sum(), removed=pl.col("removed").sum())
        .filter(pl.col("removed") > 0)
        .sort(["flags", "removed", *keys], descending=[True, True, False, False])
    )
    return [
        _group_figure(rows.filter(step=step, group_column=column), folded=place > 0)
        for place, (step, column) in enumerate(order.select(keys).iter_rows())
    ]


def _by_word_list(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with all word lists as one column: its groups are those that texts name."""
    column, group = pl.col("group_column"), pl.col("group").cast(pl.String)
    listed = column.str.contains(": ", literal=True) & group.is_in(["named", "not named"])
    return rows.filter(~(listed & (group == "not named"))).with_columns(
        group_column=pl.when(listed).then(pl.lit(NAMED_GROUPS)).otherwise(column),
        group=pl.when(listed).then(column).otherwise(group),
    )


def quality_figure(bins: pl.DataFrame, label: str = QUALITY_LABEL) -> Figure:
    """Histogram of a score of native documents, kept and removed; `label` names its axis.

    >>> bins = pl.DataFrame({"low": [0.0], "high": [1.0], "kept": [3], "removed": [1]})
    >>> quality_figure(bins).title
    'Quality scores of 4 documents'
    """
    n = count(total(bins["kept"]) + total(bins["removed"]))
    title = f"Quality scores of {n} documents"
    low, high = (float(bins[name].to_numpy()[place]) for name, place in (("low", 0), ("high", -1)))
    across = Axis(label=label, low=low, high=high if high > low else low + 1)
    about = About(title=title, description="Documents per score, kept and removed, stacked.")
    marks = [Bin(**row) for row in bins.iter_rows(named=True)]

    def draw(width: int) -> tuple[Markup, ...]:
        return (histogram(marks, across=across, about=about, size=(width, 260)),)

    caption = (
        f"n = {n} native documents with a score. Solid: kept; pale: removed, by whatever "
        "rule. Documents used in fitting carry scores of a model that had not seen them. Counts, "
        "no interval."
    )
    drawings = Drawings(wide=draw(912), narrow=draw(340))
    return Figure(title=title, caption=caption, table=bins, drawings=drawings)


def calibration_figure(bins: pl.DataFrame) -> Figure:
    """Share of reference documents against the mean score, bin by bin.

    Reads `mean_score`, `reference_share`, `n`.

    >>> calibration_figure(pl.DataFrame({"mean_score": [0.2], "reference_share": [0.3],
    ...                                  "n": [10]})).title
    'What a quality score of p means: the share of reference documents at p'
    """
    title = "What a quality score of p means: the share of reference documents at p"
    about = About(title=title, description="Share of reference documents per mean score.")
    across = Axis(label="mean quality score of the bin", low=0, high=1)
    up = Axis(label="share of reference", low=0, high=1)
    names = ("mean_score", "reference_share")
    found = tuple(Point(x=x, y=y) for x, y in bins.select(names).iter_rows())
    ideal = Line(label="perfect", style=0, points=(Point(x=0, y=0), Point(x=1, y=1)))
    curves = [ideal, Line(label="measured", style=1, points=found)]

    def draw(width: int) -> tuple[Markup, ...]:
        return (lines(curves, across=across, up=up, about=about, size=(width, 300)),)

    caption = (
        f"n = {count(total(bins['n']))} documents in {bins.height} bins, out of fold; reference "
        "and background weigh one half each. On the diagonal the score is a probability. "
        "Points without intervals: read the shape, not single bins."
    )
    return Figure(
        title=title,
        caption=caption,
        table=bins,
        legend=legend([("perfect", 0), ("measured", 1)]),
        drawings=Drawings(wide=draw(520), narrow=draw(340)),
    )


def _funnel_bar(row: dict[str, Any], read: int, tokens: int) -> Bar:
    gone = row["documents_in"] - row["documents_out"]
    thin = None
    if tokens and row["tokens_in"] is not None and row["tokens_out"] is not None:
        thin = (row["tokens_in"] / tokens, row["tokens_out"] / tokens)
    return Bar(
        label=row["step"],
        value=row["documents_in"] / max(read, 1),
        part=row["documents_out"] / max(read, 1),
        thin=thin,
        note=count(row["documents_out"]) + (f"  (−{count(gone)})" if gone else ""),
    )


def _control_row(row: dict[str, Any]) -> ForestRow:
    kept = row["expected"] == "kept"
    expected = 0.0 if kept else 1.0
    fate = "removed" if kept else treatment(row["expected"])
    met = row["low"] <= expected <= row["high"]
    return ForestRow(
        label=row["kind"].replace("_", " "),
        estimate=row["recall"],
        low=row["low"],
        high=row["high"],
        note=f"{count(row['caught'])} of {count(row['planted'])} {fate}",
        tone="good" if met else "plain",
        expected=expected,
    )


def _group_figure(rows: pl.DataFrame, *, folded: bool) -> Figure:
    step, column = rows["step"][0], rows["group_column"][0]
    flags = rows.filter(pl.col("state") == "flag").height
    said = f"{flags} flagged" if flags else "none flagged"
    title = f'What "{step}" removes per {column}: {rows.height} groups, {said}'
    shown = _worth_showing(rows)
    ends = ("removal_ratio", "removal_ratio_low", "removal_ratio_high")
    values = [value for name in ends for value in shown[name] if value is not None]
    low, high = spread([*values, 0.8, 1.5], log=True)
    axis = Axis(
        label="share removed: group / all others (log scale)",
        low=max(low, 0.02),
        high=min(high, 50.0),
        log=True,
        references=(Reference(value=1, label="equal"), Reference(value=GATE_RATIO, label="")),
    )
    about = About(title=title, description="One row a group: removal ratio with interval.")
    marks = [_group_row(row) for row in shown.iter_rows(named=True)]
    return Figure(
        title=title,
        caption=_group_caption(rows),
        table=rows.drop("population", "weight", "step", "group_column"),
        folded=folded,
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )


def _worth_showing(rows: pl.DataFrame) -> pl.DataFrame:
    """All flags, then the largest groups, drawn from the most removed to the least."""
    flagged_first = rows.sort([pl.col("state") == "flag", "n"], descending=True)
    return flagged_first.head(_MOST_ROWS).sort(["removal_ratio", "group"], descending=[True, False])


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
    few = f" Grey: {groups} with fewer than 10 expected removals." if thin else ""
    return (
        f"n = {count(total(rows['n']))} native documents, this step alone applied to all of them. "
        "Whiskers: 95 % intervals, linearised over clusters; the second line marks the ratio of "
        f"{GATE_RATIO} below which no group is flagged.{few}{_left_out(rows.height)} The intervals "
        "speak of documents to come from such sources; for this corpus the rates are a census."
    )


def _left_out(rows: int) -> str:
    left_out = rows - _MOST_ROWS
    return f" {left_out} further rows stand in the table only." if left_out > 0 else ""
