"""The section of the quality score: what it says, how well, whom it costs what, and examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.facts import facts_table
from curate.report.figure import Figure
from curate.report.findings import MISSING
from curate.report.html import table_html
from curate.report.numerals import interval, percent, precise
from curate.report.quality_figures import quality_figures
from curate.report.removal_figures import QUALITY_LABEL, calibration_figure, quality_figure
from curate.report.tables import RunTables

__all__ = ["QualityFindings", "quality_findings"]

# Shown as a chart, as a table of its own or as words, not as rows.
_DRAWN = ("calibration", "roc", "warnings", "keep_rates", "learning_curve", "sources")
_LABELS = {
    "quality": "score of your own",
    "bits_per_byte": "bits per byte (lower = more like the reference)",
    "importance": "importance: mean log ratio of term shares, in nats",
    "mean_rank": "mean of ranks (1 = best)",
}
_WORDS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityFindings:
    """What the section shows; `missing` says why something is not there."""

    lead: str = ""
    missing: str = ""
    tables: tuple[Markup, ...] = ()
    figures: tuple[Figure, ...] = ()
    folded: tuple[tuple[str, Markup], ...] = ()


def quality_findings(run: RunTables) -> QualityFindings:
    """Figures and tables of the scores of a run.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> quality_findings(read_run(Path(tempfile.mkdtemp()))).missing[:29]
    'No quality score was made: [q'
    """
    if run.quality is None and run.quality_bins is None:
        return QualityFindings(missing=MISSING["quality"])
    facts, label = run.quality or {}, axis_label(run)
    figures = [] if run.quality_bins is None else [quality_figure(run.quality_bins, label)]
    if facts.get("calibration"):
        figures.append(calibration_figure(pl.DataFrame(facts["calibration"])))
    figures += quality_figures(facts, run.quality_tables, label=label)
    unread = "The verdicts carry no score, so there is no histogram."
    return QualityFindings(
        lead=" ".join(_sentence(words) for words in facts.get("warnings", [])),
        missing="" if run.quality_bins is not None else unread,
        figures=tuple(figures),
        tables=_open_tables(run),
        folded=_folded_tables(facts, run.quality_tables),
    )


def axis_label(run: RunTables) -> str:
    """Words below an axis of the score that is shown."""
    fitted = run.quality_about.get("probability", run.quality is not None)
    score = str(run.quality_about.get("score", "quality"))
    return QUALITY_LABEL if fitted and score == "quality" else _LABELS.get(score, score)


def _open_tables(run: RunTables) -> tuple[Markup, ...]:
    tables = []
    told = {name: value for name, value in (run.quality or {}).items() if name not in _DRAWN}
    if told:
        tables.append(facts_table(told, "On documents that the scoring model had not seen"))
    if len(run.quality_scores) > 1:
        tables.append(_score_table(run.quality_scores))
    if "agreement" in run.quality_tables:
        tables.append(_agreement_table(run.quality_tables["agreement"]))
    if "group_terms" in run.quality_tables:
        tables.append(_group_table(run.quality_tables))
    return tuple(tables)


def _folded_tables(
    facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]
) -> tuple[tuple[str, Markup], ...]:
    """What is shown closed: texts at each tenth of the scores, terms and sources."""
    found = []
    if "deciles" in tables:
        title = "Texts at each tenth of the scores, lowest first"
        found.append((title, table_html(tables["deciles"])))
    if "group_terms" in tables:
        title = "Every word that lifts or costs a group its score"
        found.append((title, table_html(tables["group_terms"], limit=600)))
    if facts.get("sources"):
        title = "How far the score follows each source, length and label taken out"
        found.append((title, table_html(pl.DataFrame(facts["sources"]))))
    return tuple(found)


def _score_table(scores: tuple[Mapping[str, Any], ...]) -> Markup:
    rows = [
        {
            "score": found["score"],
            "AUC": _said(found.get("auc")),
            "average precision": _said(found.get("average_precision")),
            "correlation with length, given the label": _said(
                (found.get("length") or {}).get("partial_correlation")
            ),
            "warning": "; ".join(found.get("warnings", [])),
        }
        for found in scores
    ]
    caption = "Reference against background by each score, on the same documents, none of them seen"
    return table_html(pl.DataFrame(rows), caption=caption, numbers=tuple(rows[0])[1:4])


def _said(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "–"
    return f"{precise(found['estimate'])} {interval(found['low'], found['high'])}"


def _agreement_table(agreement: pl.DataFrame) -> Markup:
    caption = (
        "How far the scores agree on the native documents: rank correlation, and overlap of the "
        "best fifths (1 = the same documents)"
    )
    return table_html(agreement, caption=caption)


def _group_table(tables: Mapping[str, pl.DataFrame]) -> Markup:
    """One row a group: what the quality rules keep of it, and the words behind its score."""
    rates = {} if "keep_rates" not in tables else _by_group(tables["keep_rates"])
    rows = []
    for key, words in tables["group_terms"].group_by("group_column", "group", maintain_order=True):
        kept = rates.get(key, {})
        found = list(words.select("term", "difference").iter_rows())
        rows.append(
            {
                "column": key[0],
                "group": key[1],
                "documents": kept.get("documents"),
                "quality keeps": percent(kept["keep_rate"]) if kept else "–",
                "score against all others": _signed(float(words["mean_difference"][0])),
                "words that lift": _listed([pair for pair in found if pair[1] > 0]),
                "words that cost": _listed([pair for pair in found[::-1] if pair[1] < 0]),
            }
        )
    caption = (
        "Which words lift or cost each group its score, and what the quality rules keep of it. "
        "Differences of the mean decision value; named is only what five documents hold"
    )
    numbers = ("quality keeps", "score against all others")
    return table_html(pl.DataFrame(rows), caption=caption, numbers=numbers)


def _by_group(rates: pl.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(row["group_column"], row["group"]): row for row in rates.iter_rows(named=True)}


def _listed(words: list[tuple[str, float]]) -> str:
    return ", ".join(f"{term} {_signed(value)}" for term, value in words[:_WORDS])


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
