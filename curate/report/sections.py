"""The sections of the page, as data: the template only lays them out."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from curate.report.audit_section import audit_section
from curate.report.cells import headline_cell
from curate.report.duplicate_section import (
    contamination_table,
    false_removals_said,
    folded_pairs,
    passages_table,
    removals_said,
    stability_table,
)
from curate.report.facts import facts_table
from curate.report.figure import Figure
from curate.report.findings import MISSING, verdict_rows
from curate.report.html import table_html
from curate.report.law_section import law_section
from curate.report.loss_figures import loss_figure
from curate.report.numerals import percent
from curate.report.quality_section import quality_section
from curate.report.removal_figures import controls_figure, funnel_figure, reasons_figure
from curate.report.section import Example, Section
from curate.report.tables import RunTables
from curate.report.worth_figures import growth_figure, harm_figure, multiplier_figure, sets_figure
from curate.report.worth_tables import worth_tables

__all__ = ["sections"]


def sections(run: RunTables) -> list[Section]:
    """All sections in reading order; a section without tables says why.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> [section.key for section in sections(read_run(Path(tempfile.mkdtemp())))]
    ['worth', 'laws', 'removed', 'duplicates', 'controls', 'groups', 'quality', 'examples',
     'method']
    """
    return [
        _worth(run),
        law_section(run),
        _removed(run),
        _duplicates(run),
        _controls(run),
        audit_section(run),
        quality_section(run),
        _examples(run),
        _method(run),
    ]


def _worth(run: RunTables) -> Section:
    cell = headline_cell(run.multipliers, run.runs)
    figures: list[Figure | None] = []
    tables: tuple[Markup, ...] = ()
    if run.multipliers is not None and cell is not None:
        figures += [multiplier_figure(run.multipliers, cell), sets_figure(run.multipliers, cell)]
        figures += [growth_figure(run.multipliers, cell), harm_figure(run.multipliers, cell)]
        tables = (_verdict_table(run.multipliers),)
    if run.runs is not None and cell is not None:
        figures.insert(1, loss_figure(run.runs, cell))
    lead = (
        "Small models were trained on paired draws of each arm and compared by the tokens they "
        "need for the same loss on text that no arm contains. The verdict is about the family, "
        "size and budget named; whether it carries to large models was not measured."
    )
    return Section(
        key="worth",
        title="What the curation was worth",
        lead=lead if run.runs is not None else "",
        missing="" if run.multipliers is not None else MISSING["worth"],
        tables=tables,
        figures=tuple(figure for figure in figures if figure is not None),
        folded=tuple(worth_tables(run)),
    )


def _verdict_table(multipliers: pl.DataFrame) -> Markup:
    rows = verdict_rows(multipliers)
    if rows.is_empty():
        return Markup("")
    caption = "Each contrast at the budget that speaks for it"
    return table_html(rows, caption=caption, numbers=("tokens", "multiplier", "level"))


def _removed(run: RunTables) -> Section:
    figures = []
    missing = []
    if run.funnel is None:
        missing.append(MISSING["funnel"])
    else:
        figures.append(funnel_figure(run.funnel))
    if run.reasons is not None and run.reasons.height:
        figures.append(reasons_figure(run.reasons, run.native))
    else:
        missing.append("No document failed any rule." if run.native else MISSING["reasons"])
    return Section(
        key="removed",
        title="What was removed, and why",
        missing=" ".join(missing),
        figures=tuple(figures),
        below=() if run.shown is None else (_shown_table(run.shown),),
    )


def _shown_table(shown: pl.DataFrame) -> Markup:
    rows = shown.with_columns(
        pl.col(name).map_elements(percent, return_dtype=pl.String)
        for name in ("share", "tokens_share")
        if name in shown.columns
    )
    caption = "Rule sets judged beside the verdict but not applied: what they would have removed"
    return table_html(rows, caption=caption, numbers=("share", "tokens_share"))


def _duplicates(run: RunTables) -> Section:
    title, found = "What went as duplicates", run.duplicates
    if found.evidence is None:
        return Section(key="duplicates", title=title, missing=MISSING["duplicates"])
    said = (removals_said(found.evidence), false_removals_said(found.evidence))
    caption = "What removed documents take along that the document kept for them has not"
    tables = [] if found.losses is None else [table_html(found.losses, caption=caption)]
    if found.stability is not None:
        tables.append(stability_table(found.stability))
    if found.passages is not None:
        tables.append(passages_table(found.passages))
    below = [] if found.contamination is None else [contamination_table(found.contamination)]
    return Section(
        key="duplicates",
        title=title,
        below=tuple(below),
        lead=" ".join(words for words in said if words),
        tables=tuple(tables),
        folded=() if found.shown is None else tuple(folded_pairs(found.shown)),
    )


def _controls(run: RunTables) -> Section:
    boards = ((run.scoreboard, False), (run.declared, True))
    figures = tuple(
        controls_figure(board, declared=declared) for board, declared in boards if board is not None
    )
    return Section(
        key="controls",
        title="Were known defects caught?",
        missing="" if figures else MISSING["controls"],
        figures=figures,
    )


def _examples(run: RunTables) -> Section:
    title = "Examples of removed text"
    if run.examples is None:
        return Section(key="examples", title=title, missing=MISSING["examples"])
    grouped = run.examples.partition_by("reason", maintain_order=True)
    return Section(
        key="examples",
        title=title,
        lead=(
            "Up to five documents a reason, cut short; personal data was masked by the cleaning "
            "rules before it was stored here. A document may have failed other rules as well."
        ),
        examples=tuple(
            Example(
                reason=str(group["reason"][0]),
                texts=tuple(
                    (str(row["id"]), str(row["source"]), str(row["excerpt"] or ""))
                    for row in group.iter_rows(named=True)
                ),
            )
            for group in grouped
        ),
    )


def _method(run: RunTables) -> Section:
    folded = []
    if run.rules is not None:
        folded.append(("Rules and their thresholds", table_html(run.rules)))
    if run.quarantine is not None:
        folded.append(("Rows that could not be read, by reason", table_html(run.quarantine)))
    stages = [
        {"stage": name, "seconds": float(record.get("seconds", 0.0))}
        for name, record in run.manifest.get("stages", {}).items()
        if isinstance(record, dict) and record.get("done", True)
    ]
    if stages:
        folded.append(("Time per stage", table_html(pl.DataFrame(stages))))
    if run.manifest.get("header"):
        folded.append(("Versions and inputs", facts_table(run.manifest["header"], "")))
    if run.config:
        pre = Markup('<pre class="excerpt">{}</pre>').format(run.config)
        folded.append(("The resolved config", pre))
    return Section(
        key="method",
        title="How this run was made",
        missing="" if run.rules is not None else MISSING["rules"],
        folded=tuple(folded),
    )
