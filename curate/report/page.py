"""The report of a run: one self-contained HTML page, and its numbers as JSON.

The page loads nothing and runs nothing: no scripts, no fonts, no images from elsewhere; its
content policy forbids them. Everything that a run did not write is escaped text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curate.corpus.storage import write_bytes_atomically
from curate.report.audit_rows import flagged, flags_said
from curate.report.findings import Sentence, Tile, sentences, tiles
from curate.report.html import table_html
from curate.report.section import Section
from curate.report.sections import sections
from curate.report.tables import RunTables, read_run

_ABOUT_DUPLICATES = ("losses", "stability", "passages", "contamination")
__all__ = ["facts", "page", "render", "write_report"]

_HOME = Path(__file__).parent
_FRAMES = (
    "funnel",
    "reasons",
    "quarantine",
    "scoreboard",
    "declared",
    "shown",
    "impact",
    "multipliers",
    "matrix",
    "shapley",
    "labelled",
    "memorisation",
)


def write_report(run_folder: Path | str) -> tuple[Path, Path]:
    """Write `report.html` and `report.json` of a run, from the tables in its folder alone.

    Stages that did not run leave their section with a sentence that says so. The JSON depends
    on the tables alone, neither on times nor on places, so equal runs give equal bytes.

    Args:
        run_folder: A run folder; every table in it may be absent.

    Returns:
        Paths of the page and of the JSON file.

    Raises:
        InputError: There is no such folder.

    >>> import tempfile
    >>> page_path, json_path = write_report(tempfile.mkdtemp())
    >>> page_path.name, json_path.name, "<script" in page_path.read_text()
    ('report.html', 'report.json', False)
    """
    folder = Path(run_folder)
    run = read_run(folder)
    html, numbers = folder / "report.html", folder / "report.json"
    write_bytes_atomically(page(run).encode(), html)
    text = json.dumps(facts(run), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes_atomically(f"{text}\n".encode(), numbers)
    return html, numbers


def page(run: RunTables) -> str:
    """The whole page as HTML text.

    >>> import tempfile
    >>> page(read_run(Path(tempfile.mkdtemp()))).count("<h1>")
    1
    """
    return render(run.name, sentences(run), sections(run), tiles(run))


def render(
    name: str,
    verdicts: Sequence[Sentence],
    found: Sequence[Section],
    figures: Sequence[Tile] = (),
) -> str:
    """The template filled in: title, verdicts, key figures, sections.

    >>> said = Sentence(name="", sentence="All is well.", conclusion="")
    >>> "<h1>All is well.</h1>" in render("mine", [said], [])
    True
    """
    environment = Environment(
        loader=FileSystemLoader(_HOME),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("template.html.j2")
    return template.render(
        name=name, verdicts=verdicts, tiles=figures, sections=found, table=table_html
    )


def facts(run: RunTables) -> dict[str, Any]:
    """The numbers of the page as plain values, without times, paths, names or texts.

    >>> import tempfile
    >>> facts(read_run(Path(tempfile.mkdtemp())))["audit"]
    'not audited'
    """
    frames = {name: _rows(getattr(run, name)) for name in _FRAMES}
    flags = None if run.impact is None else _rows(flagged(run.impact))
    return {
        "version": 1,
        "verdicts": [_plain(dict(found)) for found in run.verdicts],
        "native_documents": run.native,
        "audit": flags_said(run.impact),
        "flags": flags,
        "quality": _plain(run.quality),
        "quality_scores": _plain(list(run.quality_scores)) or None,
        "quality_agreement": _rows(run.quality_tables.get("agreement")),
        "rules": _rows(run.rules),
        "duplicates": duplicate_facts(run),
        **frames,
    }


def duplicate_facts(run: RunTables) -> dict[str, Any] | None:
    """The numbers about duplicates; None where nothing was looked at.

    >>> import tempfile
    >>> duplicate_facts(read_run(Path(tempfile.mkdtemp()))) is None
    True
    """
    found = run.duplicates
    if found.evidence is None:
        return None
    plain: dict[str, Any] = _plain(dict(found.evidence))
    frames = {name: _rows(getattr(found, name)) for name in _ABOUT_DUPLICATES}
    return plain | frames


def _rows(frame: pl.DataFrame | None) -> list[Any] | None:
    return None if frame is None else [_plain(row) for row in frame.iter_rows(named=True)]


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
