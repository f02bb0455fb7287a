"""Figures of what was removed: funnel, reasons, controls."""

from __future__ import annotations

from typing import Any

import polars as pl

from curate.report.cells import treatment
from curate.report.charts import bars, forest
from curate.report.figure import MOST_ROWS, Figure, drawn_twice, left_out, total
from curate.report.numerals import count, percent, short
from curate.report.shapes import About, Axis, Bar, ForestRow

__all__ = [
    "controls_figure",
    "funnel_figure",
    "reasons_figure",
]


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
    rows = reasons.head(MOST_ROWS).to_dicts()
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
        f"several rules.{left_out(reasons.height)} Counts, no interval."
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
