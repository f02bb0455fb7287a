"""The scaling law of the headline's two arms, fitted to the run's own proxy models."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from curate.errors import CurateError
from curate.report.cells import headline_cell
from curate.report.figure import Figure
from curate.report.html import table_html
from curate.report.law_figures import law_figures
from curate.report.tables import RunTables
from curate.scaling import FitOptions, ScalingReport, run_points, scaling_report

DRAWS = 199  # of the bootstrap; the intervals' ends move by a few per cent of their width

__all__ = ["LawFindings", "law_findings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LawFindings:
    """What the fitted laws say; `missing` says why there are none."""

    lead: str = ""
    missing: str = ""
    tables: tuple[Markup, ...] = ()
    figures: tuple[Figure, ...] = ()


def law_findings(run: RunTables) -> LawFindings:
    """Fit L = E + B / D^β to the headline's arms at its family and size, and read it.

    Compute-optimal sizes need models of a fixed number of parameters; the parameters of an
    n-gram model grow with its data, so a run of Kneser–Ney alone cannot tell.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> law_findings(read_run(Path(tempfile.mkdtemp()))).missing
    'No proxy models were trained, so there are no curves to fit a law to.'
    """
    cell = headline_cell(run.multipliers, run.runs)
    if run.runs is None or run.multipliers is None or cell is None:
        return LawFindings(
            missing="No proxy models were trained, so there are no curves to fit a law to."
        )
    arms = run.multipliers.filter("headline").select("arm_a", "arm_b").rows()[0]
    try:
        points = run_points(
            run.runs.filter(pl.col("arm").is_in(arms)), family=cell.family, size=cell.size
        )
        found = scaling_report(points, options=FitOptions(form="data", draws=DRAWS))
        figures = law_figures(found.laws, reference=arms[0])
    except CurateError as error:
        return LawFindings(missing=f"Cannot tell: no law could be fitted ({error}).")
    return LawFindings(lead=_lead(found), tables=_tables(found), figures=tuple(figures))


def _lead(found: ScalingReport) -> str:
    said = " ".join(f"{sentence.rstrip('.')}." for sentence in found.sentences[:1])
    problems = " ".join(f"{arm}: {why}." for arm, why in sorted(found.problems.items()))
    return (
        f"{said} {problems} A law is read inside the measured range. Compute-optimal sizes and "
        "tokens per parameter cannot be told from n-gram models, whose parameters grow with "
        "their data."
    ).strip()


def _tables(found: ScalingReport) -> tuple[Markup, ...]:
    read = found.read_outs
    if read.is_empty():
        return ()
    said = [c for c in ("quantity", "arm", "at", "estimate", "low", "high", "note") if c in read]
    numbers = [pl.col(c).map_elements(_short, return_dtype=pl.String) for c in said[3:6]]
    caption = "Read from the laws, with 95 % intervals"
    return (table_html(read.select(*said[:3], *numbers, *said[6:]), caption=caption),)


def _short(value: float) -> str:
    return f"{value:.4g}"
