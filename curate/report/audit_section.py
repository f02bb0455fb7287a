"""What the page says of the audit: whom steps hit, who is left, scores, word lists."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from markupsafe import Markup

from curate.audits import POPULATION, Audit
from curate.report.audit_figures import adjusted_figure
from curate.report.audit_rows import edited_groups, flagged, left_rows, quiet_rows, score_rows
from curate.report.findings import MISSING
from curate.report.group_figures import group_figures
from curate.report.html import table_html
from curate.report.section import Section
from curate.report.tables import RunTables

__all__ = ["audit_section"]

_TITLE = "Whom the removals hit"
_FLAG_SAID = (
    "A flag needs q < .05 (Benjamini–Hochberg over one document-weighted test per step and"
    " group), more removed than elsewhere, and the minimum effect: a ratio of 1.25 and two points."
)
_OTHERS_SAID = (
    "Where one group makes most of the others' removals, it makes innocent groups look favoured:"
    " the last column says how much."
)
_READING = (_FLAG_SAID, _OTHERS_SAID, POPULATION)
_EDITS_CAPTION = "What steps that edit do to groups: documents touched, text taken"
_QUIET_CAPTION = "No flag: of each step and column of groups the one that loses most"
_EDITS_SAID = " Steps that edit are judged by the share of each text that they take."


def audit_section(run: RunTables) -> Section:
    """Whom steps hit, who is left, scores and word lists of a run that was audited.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.example import example_impact
    >>> from curate.report.tables import read_run
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "audit").mkdir()
    >>> example_impact().write_parquet(folder / "audit" / "impact.parquet")
    >>> audit_section(read_run(folder)).lead.split(" tested")[0]
    '1 of 2'
    """
    if run.impact is None:
        return Section(key="groups", title=_TITLE, missing=MISSING["groups"])
    found = Audit(run.impact)
    flags, edits = flagged(run.impact), edited_groups(run.impact)
    columns = ("removed", "others", "removal_ratio", "q", "largest_group_in_others")
    shown: list[tuple[str, pl.DataFrame, Sequence[str]]] = [
        ("Groups from which a step removes more than from all others", flags, columns),
        (_EDITS_CAPTION, edits, edits.columns[3:]),
    ]
    if run.representation is not None:
        left = left_rows(run.representation)
        shown.append(("Who is left, raw → curated, by documents", left, left.columns[1:5]))
    tables = [
        table_html(table, caption=caption, numbers=numbers)
        for caption, table, numbers in shown
        if table.height
    ]
    lead = found.sentence + _EDITS_SAID * bool(edits.height)
    lead += f" {found.unjudged}" if found.unjudged else ""
    adjusted = adjusted_figure(run.impact)
    return Section(
        key="groups",
        title=_TITLE,
        lead=lead,
        tables=tuple(tables),
        figures=(*([adjusted] if adjusted else []), *group_figures(run.impact)),
        folded=tuple(_folded(found, run)),
    )


def _folded(found: Audit, run: RunTables) -> list[tuple[str, Markup]]:
    """Tables that only some readers want."""
    tables = {_QUIET_CAPTION: quiet_rows(found)}
    if run.group_scores is not None:
        title = "Scores: mean of a group less mean of the rest, with 95 % intervals"
        tables[title] = score_rows(run.group_scores)
    folded = [
        (title, table_html(table, numbers=table.columns[3:]))
        for title, table in tables.items()
        if table.height
    ]
    if run.word_lists:
        lists = pl.DataFrame({"word list": list(run.word_lists)})
        folded.append(("Word lists that found groups in the texts", table_html(lists)))
    said = Markup("").join(Markup("<p>{}</p>").format(text) for text in _READING)
    folded.append(("How to read flags and intervals", said))
    return folded
