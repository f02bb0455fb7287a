"""The section of the quality score: what it says, how well, whom it costs what, and examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.findings import MISSING
from curate.report.html import table_html
from curate.report.numerals import count, percent, precise
from curate.report.quality_figures import (
    QUALITY_LABEL,
    calibration_figure,
    quality_figure,
    quality_figures,
)
from curate.report.section import Section
from curate.report.tables import RunTables

__all__ = ["quality_section"]

_LABELS = {
    "quality": "score of your own",
    "bits_per_byte": "bits per byte (lower = more like the reference)",
    "importance": "importance: mean log ratio of term shares, in nats",
    "mean_rank": "mean of ranks (1 = best)",
}
_TITLE = "The quality score"
_WORDS = 6
_MOST_GROUPS = 8


def quality_section(run: RunTables) -> Section:
    """Figures and tables of the scores of a run.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> quality_section(read_run(Path(tempfile.mkdtemp()))).missing[:29]
    'No quality score was made: [q'
    """
    if run.quality is None and run.quality_bins is None:
        return Section(key="quality", title=_TITLE, missing=MISSING["quality"])
    facts, label = run.quality or {}, axis_label(run)
    figures = [] if run.quality_bins is None else [quality_figure(run.quality_bins, label)]
    if facts.get("calibration"):
        figures.append(calibration_figure(pl.DataFrame(facts["calibration"])))
    figures += quality_figures(facts, run.quality_tables, label=label)
    unread = "The verdicts carry no score, so there is no histogram."
    return Section(
        key="quality",
        title=_TITLE,
        lead=" ".join(_sentence(words) for words in facts.get("warnings", [])),
        missing="" if run.quality_bins is not None else unread,
        figures=tuple(figures),
        tables=_open_tables(run),
        below=_hurt_groups(run.quality_tables),
        folded=_folded_tables(facts, run.quality_tables),
    )


def axis_label(run: RunTables) -> str:
    """Words below an axis of the score that is shown."""
    fitted = run.quality_about.get("probability", run.quality is not None)
    score = str(run.quality_about.get("score", "quality"))
    return QUALITY_LABEL if fitted and score == "quality" else _LABELS.get(score, score)


def _open_tables(run: RunTables) -> tuple[Markup, ...]:
    tables = []
    if run.quality:
        caption = "On documents that the scoring model had not seen"
        tables.append(table_html(_facts(run.quality), caption=caption, numbers=("value",)))
    if len(run.quality_scores) > 1:
        tables.append(_score_table(run.quality_scores))
    if "agreement" in run.quality_tables:
        tables.append(_agreement_table(run.quality_tables["agreement"]))
    return tuple(tables)


def _facts(found: Mapping[str, Any]) -> pl.DataFrame:
    """The figures of a classifier in the words of people; those that it has."""
    whole = found.get("held_out_sources") or {}
    sources = whole.get("sources", {})
    length = found.get("length", {})
    rows = [
        ("AUC, sources and copies held out together", _said(found.get("auc"))),
        (f"AUC, no source ever split{_sides(sources, 'sources')}", _said(whole)),
        ("AUC of a plain split into train and test", _said(found.get("train_test"))),
        ("average precision", _said(found.get("average_precision"))),
        *(
            (f"{name} at a cut of {precise(found.get('cut', 0.5))}", _said(found.get(key)))
            for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
        ),
        ("Brier score", _said(found.get("brier"))),
        (
            "calibration error (noise lifts the estimate, not its interval)",
            _said(found.get("calibration_error")),
        ),
        ("calibration error by chance, of a score without any", _by_chance(found)),
        ("AUC of length alone", _said(length.get("auc_of_length_alone"))),
        ("correlation with length, given the label", _said(length.get("partial_correlation"))),
        (f"documents{_sides(found.get('units', {}), 'units kept together')}", _documents(found)),
    ]
    return pl.DataFrame([row for row in rows if row[1] != "–"], ["figure", "value"], orient="row")


def _sides(numbers: Mapping[str, int], what: str) -> str:
    if not numbers:
        return ""
    sides = [f"{count(numbers[side])} of the {side}" for side in ("reference", "background")]
    return f" ({what}: {', '.join(sides)})"


def _documents(found: Mapping[str, Any]) -> str:
    numbers = found.get("documents", {})
    return " + ".join(count(numbers[side]) for side in sorted(numbers, reverse=True)) or "–"


def _by_chance(found: Mapping[str, Any]) -> str:
    chance = found.get("calibration_error_by_chance")
    return "–" if chance is None else f"{chance:.3f}"


def _folded_tables(
    facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]
) -> tuple[tuple[str, Markup], ...]:
    """What is shown closed: texts at each tenth of the scores, words of groups, sources."""
    found = []
    if "deciles" in tables:
        title = "Texts at each tenth of the scores, lowest first"
        found.append((title, _texts(tables["deciles"])))
    if "group_terms" in tables:
        title = "Which words lift or cost each group its score"
        found.append((title, table_html(_group_rows(tables))))
    if facts.get("sources"):
        title = "How far the score follows each source, length and label taken out"
        found.append((title, table_html(pl.DataFrame(facts["sources"]))))
    return tuple(found)


def _texts(deciles: pl.DataFrame) -> Markup:
    """Excerpts under the tenth that they stand for."""
    parts = []
    for (decile,), rows in deciles.group_by("decile", maintain_order=True):
        parts.append(Markup('<p class="panel">Tenth {}</p>').format(decile))
        parts += [
            Markup(
                '<p class="origin">{} <span>·</span> {} <span>·</span> {}</p>'
                '<pre class="excerpt">{}</pre>'
            ).format(row["id"], row["source"], precise(row["quality"]), row["excerpt"])
            for row in rows.iter_rows(named=True)
        ]
    return Markup("").join(parts)


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
    table, numbers = pl.DataFrame(rows), tuple(rows[0])[1:4]
    if not any(row["warning"] for row in rows):
        table = table.drop("warning")
    return table_html(table, caption=caption, numbers=numbers)


def _said(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("estimate") is None:
        return "–"
    ends = ", ".join("?" if found[k] is None else f"{found[k]:.3f}" for k in ("low", "high"))
    return f"{found['estimate']:.3f} [{ends}]".replace("-", "−")


def _agreement_table(agreement: pl.DataFrame) -> Markup:
    caption = (
        "How far the scores agree on the native documents: rank correlation, and overlap of the "
        "best fifths (1 = the same documents)"
    )
    return table_html(agreement, caption=caption)


def _hurt_groups(tables: Mapping[str, pl.DataFrame]) -> tuple[Markup, ...]:
    """The groups that the score likes least, and by which words."""
    if "group_terms" not in tables:
        return ()
    rows = _group_rows(tables)
    least = "quality keeps" if "quality keeps" in rows.columns else "score"
    caption = (
        f"Groups that the score costs most, by {'keep-rate' if least != 'score' else 'score'}, and "
        "the words that do it. Differences of the mean decision value against all other "
        "documents: a word that the score dislikes lifts a group where it is rare. Only words "
        "that five documents hold are named"
    )
    order = pl.col(least).str.strip_chars("% ").str.replace("−", "-").cast(pl.Float64)
    shown = rows.sort(order, maintain_order=True).head(_MOST_GROUPS)
    return (table_html(shown, caption=caption, numbers=("quality keeps", "score")),)


def _group_rows(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row a group: what the quality rules keep of it, and the words behind its score."""
    rates = {} if "keep_rates" not in tables else _by_group(tables["keep_rates"])
    judged = any(row["keep_rate"] < 1 for row in rates.values())
    rows = []
    for key, words in tables["group_terms"].group_by("group_column", "group", maintain_order=True):
        kept = rates.get(key, {})
        found = list(words.select("term", "difference").iter_rows())
        rows.append(
            {"column": key[0], "group": key[1], "documents": kept.get("documents")}
            | ({"quality keeps": percent(kept["keep_rate"])} if judged and kept else {})
            | {
                "score": _signed(float(words["mean_difference"][0])),
                "words that lift": _listed([pair for pair in found if pair[1] > 0]),
                "words that cost": _listed([pair for pair in found[::-1] if pair[1] < 0]),
            }
        )
    return pl.DataFrame(rows)


def _by_group(rates: pl.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(row["group_column"], row["group"]): row for row in rates.iter_rows(named=True)}


def _listed(words: list[tuple[str, float]]) -> str:
    return ", ".join(f"{term} {_signed(value)}" for term, value in words[:_WORDS])


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
