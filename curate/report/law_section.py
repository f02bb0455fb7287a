"""The scaling law of the headline's two arms, fitted to the run's own proxy models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
from markupsafe import Markup

from curate.errors import CurateError
from curate.report.cells import Cell, headline_cell
from curate.report.html import table_html
from curate.report.law_figures import law_figures
from curate.report.section import Section
from curate.report.tables import RunTables
from curate.scaling import (
    FitOptions,
    Questions,
    ScalingReport,
    best_sizes,
    run_points,
    scaling_report,
)

DRAWS = 199  # of the bootstrap; the intervals' ends move by a few per cent of their width

__all__ = ["law_section"]

_EMPTY = Section(key="laws", title="The curves as scaling laws")


def law_section(run: RunTables) -> Section:
    """Fit L = E + B / D^β to the headline's arms at its family and size, and read it.

    Beside it stand the best size at each budget, and compute-optimal sizes where a family has
    fixed numbers of parameters: those of an n-gram model grow with its data, so a run of
    Kneser–Ney alone cannot tell.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> law_section(read_run(Path(tempfile.mkdtemp()))).missing
    'No proxy models were trained, so there are no curves to fit a law to.'
    """
    cell = headline_cell(run.multipliers, run.runs)
    if run.runs is None or run.multipliers is None or cell is None:
        why = "No proxy models were trained, so there are no curves to fit a law to."
        return replace(_EMPTY, missing=why)
    headlines = run.multipliers.filter("headline").select("arm_a", "arm_b").rows()
    if not headlines:
        return replace(_EMPTY, missing="Cannot tell: the headline's contrast was not measured.")
    arms = headlines[0]
    both = run.runs.filter(pl.col("arm").is_in(arms))
    optimum, said = _optimum(both, arms)
    sizes = _sizes_table(both, arms)
    try:
        points = run_points(both, family=cell.family, size=cell.size)
        found = scaling_report(points, options=FitOptions(form="data", draws=DRAWS))
        figures = law_figures(found.laws, reference=arms[0])
    except CurateError as error:
        why = f"Cannot tell: no law could be fitted ({error})."
        return replace(_EMPTY, missing=why, tables=(*sizes, *optimum))
    return replace(
        _EMPTY,
        lead=f"{_lead(found)} {said}",
        tables=(*_tables(found, f"{cell.model()}: read from the laws"), *sizes, *optimum),
        figures=tuple(figures),
    )


def _lead(found: ScalingReport) -> str:
    said = " ".join(f"{sentence.rstrip('.')}." for sentence in found.sentences[:1])
    problems = " ".join(f"{arm}: {why}." for arm, why in sorted(found.problems.items()))
    return f"{said} {problems} A law is read inside the measured range.".strip()


def _optimum(runs: pl.DataFrame, arms: Sequence[str]) -> tuple[tuple[Markup, ...], str]:
    """Compute-optimal size and tokens of the family whose sizes are fixed, or why not."""
    fixed = runs.group_by("family", "size").agg(pl.col("n_params").n_unique() == 1)
    families = fixed.group_by("family").agg(pl.col("n_params").all()).filter("n_params")
    if families.is_empty():
        return (), (
            "Compute-optimal: cannot tell. Sizes and tokens trade off at a fixed budget of "
            "computation only where a model has a fixed number of parameters; those of an n-gram "
            "model grow with its data. The table of sizes says which order was best at each budget."
        )
    family = str(families["family"].sort()[0])
    try:
        points = run_points(runs.filter(family=family), family=family)
        found = scaling_report(
            points, options=FitOptions(draws=DRAWS), questions=Questions(reference=arms[0])
        )
    except CurateError as error:
        return (), f"Compute-optimal: cannot tell ({error})."
    if found.problems:
        return (), f"Compute-optimal: {'; '.join(found.problems.values())}."
    kept = pl.col("quantity").str.contains("compute-optimal|tokens per parameter")
    shown = replace(found, read_outs=found.read_outs.filter(kept))
    name = Cell(family=family, size="", n_tokens=None).model().strip()
    words = f"{name}: compute-optimal sizes (about 20 tokens per parameter in Hoffmann et al. 2022)"
    return _tables(shown, words), ""


def _sizes_table(runs: pl.DataFrame, arms: Sequence[str]) -> tuple[Markup, ...]:
    found = pl.concat(
        [best_sizes(runs, arm=arm).select(pl.lit(arm).alias("arm"), pl.all()) for arm in arms]
    )
    if found.is_empty():
        return ()
    caption = (
        "Best model size at each token budget, of those trained, on paired draws; intervals of "
        "how far the next is behind (bits per byte) hold together over an arm's rows at 95 %"
    )
    return (table_html(found, caption=caption),)


def _tables(found: ScalingReport, words: str) -> tuple[Markup, ...]:
    read = found.read_outs
    if read.is_empty():
        return ()
    said = [c for c in ("quantity", "arm", "at", "estimate", "low", "high", "note") if c in read]
    numbers = [pl.col(c).map_elements(_short, return_dtype=pl.String) for c in said[3:6]]
    shown = read.select(*said[:3], *numbers, *said[6:])
    return (table_html(shown, caption=f"{words}, with 95 % intervals"),)


def _short(value: float) -> str:
    return f"{value:.4g}"
