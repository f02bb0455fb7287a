"""Figures of the quality score: its spread, calibration, ranking, keep-rates, labels, terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.charts import forest, histogram, legend, lines
from curate.report.figure import Drawings, Figure, drawn_twice, total
from curate.report.numerals import count, interval, precise
from curate.report.scales import spread
from curate.report.shapes import About, Axis, Bin, ForestRow, Line, Point, Reference

__all__ = [
    "calibration_figure",
    "keep_rate_figure",
    "learning_figure",
    "quality_figure",
    "quality_figures",
    "roc_figure",
    "source_score_figure",
    "terms_figure",
]

QUALITY_LABEL = "quality score (calibrated probability)"
_MOST_SOURCES = 30
_SHOWN_RATES = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100)


def quality_figures(
    evaluation: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    *,
    label: str = QUALITY_LABEL,
) -> list[Figure]:
    """All figures of a score that its evaluation and tables allow; `label` names its axis.

    >>> quality_figures({}, {})
    []
    """
    figures, documents = [], sum(evaluation.get("documents", {}).values())
    if "sources" in tables:
        figures.append(source_score_figure(tables["sources"], label))
    if "low" in evaluation.get("roc", {}):
        figures.append(roc_figure(evaluation["roc"], evaluation["auc"], documents))
    if evaluation.get("keep_rates"):
        figures.append(keep_rate_figure(pl.DataFrame(evaluation["keep_rates"]), documents))
    if evaluation.get("learning_curve"):
        figures.append(learning_figure(pl.DataFrame(evaluation["learning_curve"])))
    if "terms" in tables and tables["terms"].height:
        figures.append(terms_figure(tables["terms"]))
    return figures


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
        drawings=_two_widths(curves, across, up, about),
    )


def source_score_figure(sources: pl.DataFrame, label: str = QUALITY_LABEL) -> Figure:
    """Median and middle four fifths of the score per source; `label` names the axis.

    Reads `group`, `documents`, `p10`, `median`, `p90`.

    >>> row = {"group": ["a"], "documents": [5], "p10": [0.1], "median": [0.4], "p90": [0.8]}
    >>> source_score_figure(pl.DataFrame(row)).title
    'Quality score per source: medians from 0.4 to 0.4'
    """
    ends = [precise(float(sources["median"].to_numpy()[place])) for place in (-1, 0)]
    title = f"Quality score per source: medians from {ends[0]} to {ends[1]}"
    about = About(title=title, description="One row a source: median, tenth to ninetieth per cent.")
    ends_of_all = [*sources["p10"].to_list(), *sources["p90"].to_list()]
    low, high = (0.0, 1.0) if label == QUALITY_LABEL else spread(ends_of_all)
    axis = Axis(label=label, low=low, high=high)
    largest = sources.sort("documents", "group", descending=[True, False]).head(_MOST_SOURCES)
    marks = [
        ForestRow(
            label=str(row["group"]),
            estimate=row["median"],
            low=row["p10"],
            high=row["p90"],
            note=f"{precise(row['median'])}  n = {count(row['documents'])}",
        )
        for row in largest.sort("median", "group", descending=[True, False]).iter_rows(named=True)
    ]
    caption = (
        f"n = {count(total(sources['documents']))} native documents. Dot: median; whiskers: the "
        "middle four fifths of the documents, not an interval of the median."
        f"{_more(sources.height)}"
    )
    return Figure(
        title=title,
        caption=caption,
        table=sources,
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )


def roc_figure(roc: Mapping[str, list[float]], auc: Mapping[str, float], documents: int) -> Figure:
    """True against false positive rate, out of fold, with pointwise intervals.

    >>> roc = {"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.5, 1.0],
    ...        "low": [0.3, 1.0], "high": [0.7, 1.0]}
    >>> roc_figure(roc, {"estimate": 0.75, "low": 0.6, "high": 0.9}, 40).title
    'Reference told from background: AUC 0.75 [0.60, 0.90]'
    """
    said = f"{precise(auc['estimate'])} {interval(auc['low'], auc['high'])}"
    title = f"Reference told from background: AUC {said}"
    about = About(title=title, description="True positive rate per false positive rate.")
    # Stored JSON has its keys in the order of the alphabet.
    columns = ("false_positive_rate", "true_positive_rate", "low", "high")
    table = pl.DataFrame({name: roc[name] for name in columns})
    shown = [place for place in _SHOWN_RATES if place < table.height]
    points = tuple(
        Point(x=x, y=y, low=low, high=high) for x, y, low, high in table[shown].iter_rows()
    )
    even = Line(label="no skill", style=0, points=(Point(x=0, y=0), Point(x=1, y=1)))
    curves = [even, Line(label="out of fold", style=1, points=points)]
    across = Axis(label="share of the background called reference", low=0, high=1)
    up = Axis(label="share of the reference found", low=0, high=1)
    caption = (
        f"n = {count(documents)} documents, each scored by a model that had not seen it, its "
        "source or a copy of it. Band: pointwise 95 % intervals that leave out whole sources."
    )
    return Figure(
        title=title,
        caption=caption,
        table=table,
        legend=legend([("no skill", 0), ("out of fold", 1)]),
        drawings=_two_widths(curves, across, up, about),
    )


def keep_rate_figure(rates: pl.DataFrame, documents: int) -> Figure:
    """What a cut would keep of either side.

    Reads `cut`, `reference`, `background`, `background_chars`.

    >>> rates = pl.DataFrame({"cut": [0.0, 1.0], "reference": [1.0, 0.5],
    ...                       "background": [1.0, 0.0], "background_chars": [1.0, 0.0]})
    >>> keep_rate_figure(rates, 40).title
    'What a cut keeps of the reference and of the corpus'
    """
    title = "What a cut keeps of the reference and of the corpus"
    about = About(title=title, description="Share kept per cut, for reference and background.")
    names = {
        "reference": "reference documents",
        "background": "background documents",
        "background_chars": "background characters",
    }
    curves = [
        Line(
            label=label,
            style=style,
            points=tuple(Point(x=x, y=y) for x, y in rates.select("cut", name).iter_rows()),
        )
        for style, (name, label) in enumerate(names.items())
    ]
    across = Axis(label="cut of the quality score", low=0, high=1)
    up = Axis(label="share kept", low=0, high=1)
    caption = (
        f"n = {count(documents)} documents, scored out of fold; a census of them, no interval. "
        "Where characters lie above documents the cut keeps the longer ones."
    )
    return Figure(
        title=title,
        caption=caption,
        table=rates,
        legend=legend([(label, style) for style, label in enumerate(names.values())]),
        drawings=_two_widths(curves, across, up, about),
        folded=True,
    )


def learning_figure(curve: pl.DataFrame) -> Figure:
    """AUC on held-out sources against the number of documents learnt from.

    Reads `documents`, `estimate`, `low`, `high`.

    >>> curve = pl.DataFrame({"documents": [10, 20], "estimate": [0.7, 0.8], "low": [0.6, 0.7],
    ...                       "high": [0.8, 0.9]})
    >>> learning_figure(curve).title
    'From 10 to 20 documents the AUC goes from 0.7 to 0.8'
    """
    first, last = curve.row(0, named=True), curve.row(-1, named=True)
    title = (
        f"From {count(first['documents'])} to {count(last['documents'])} documents the AUC goes "
        f"from {precise(first['estimate'])} to {precise(last['estimate'])}"
    )
    about = About(title=title, description="AUC per number of training documents.")
    points = tuple(
        Point(x=x, y=y, low=low, high=high)
        for x, y, low, high in curve.select("documents", "estimate", "low", "high").iter_rows()
    )
    low, high = spread([float(value) for value in curve["documents"]], log=True)
    across = Axis(label="documents learnt from (log scale)", low=low, high=high, log=True)
    ends = spread([value for p in points for value in (p.y, p.low, p.high) if value is not None])
    up = Axis(label="AUC", low=max(0.0, ends[0]), high=min(1.0, ends[1]))
    caption = (
        f"n = up to {count(last['documents'])} documents. One held-out fold, its "
        "sources in no training document. Band: 95 % intervals over its few "
        "sources, which are wider than that of the AUC of all folds. "
        "A curve that still rises at its end asks for more documents."
    )
    curves = [Line(label="held out", style=1, points=points)]
    drawings = _two_widths(curves, across, up, about)
    return Figure(title=title, caption=caption, table=curve, drawings=drawings, folded=True)


def terms_figure(terms: pl.DataFrame) -> Figure:
    """The terms of highest and lowest weight.

    Reads `term`, `weight`, `documents`, `terms_in_bucket`.

    >>> terms = pl.DataFrame({"term": ["good", "bad"], "weight": [2.0, -1.0], "documents": [5, 6],
    ...                       "terms_in_bucket": [1, 3]})
    >>> terms_figure(terms).title
    'Words that speak most for the reference ("good") and against it ("bad")'
    """
    best, worst = terms["term"][0], terms["term"][-1]
    title = f'Words that speak most for the reference ("{best}") and against it ("{worst}")'
    about = About(title=title, description="One row a term: its weight in the linear model.")
    low, high = spread([0.0, *(float(value) for value in terms["weight"])])
    zero = (Reference(value=0, label="no say"),)
    axis = Axis(label="weight in the decision value", low=low, high=high, references=zero)
    marks = [
        ForestRow(
            label=row["term"],
            estimate=row["weight"],
            low=min(0.0, row["weight"]),
            high=max(0.0, row["weight"]),
            note=_term_note(row),
            tone="good" if row["weight"] > 0 else "bad",
        )
        for row in terms.iter_rows(named=True)
    ]
    caption = (
        f"n = {count(terms.height)} terms: the ten highest and ten lowest weights among those of "
        "a sample that five documents hold. Terms are hashed to buckets: (+n) counts the other "
        "terms of the sample that share a weight. Weights, no intervals."
    )
    return Figure(
        title=title,
        caption=caption,
        table=terms,
        drawings=drawn_twice(lambda layout: forest(marks, axis=axis, about=about, layout=layout)),
    )


def _term_note(row: Mapping[str, Any]) -> str:
    shared = row["terms_in_bucket"] - 1
    beside = f" (+{count(shared)})" if shared else ""
    return f"in {count(row['documents'])} documents{beside}"


def _two_widths(curves: list[Line], across: Axis, up: Axis, about: About) -> Drawings:
    def draw(width: int) -> tuple[Markup, ...]:
        return (lines(curves, across=across, up=up, about=about, size=(width, 300)),)

    return Drawings(wide=draw(520), narrow=draw(340))


def _more(rows: int) -> str:
    left_out = rows - _MOST_SOURCES
    return f" {left_out} smaller sources stand in the table only." if left_out > 0 else ""
