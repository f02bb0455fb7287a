"""A page of scaling laws fitted to anyone's training runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from markupsafe import Markup

from curate.corpus.storage import write_bytes_atomically
from curate.report.findings import Sentence
from curate.report.html import table_html
from curate.report.law_figures import law_figures
from curate.report.page import render
from curate.report.section import Section
from curate.scaling import ScalingReport

__all__ = ["write_scaling_page"]


def write_scaling_page(
    found: ScalingReport, path: Path | str, *, name: str, reference: str | None = None
) -> Path:
    """Write the laws, what is read off them, costs and figures as one self-contained page.

    Args:
        found: Of `curate.scaling.scaling_report`.
        path: Where to; replaced where it exists.
        name: Title, e.g. the name of the file of points.
        reference: Arm whose tokens the others are counted in; default "raw", else the first.

    >>> import tempfile
    >>> from curate.scaling import FitOptions, scaling_report
    >>> from curate.scaling.example import example_arms
    >>> found = scaling_report(example_arms(), options=FitOptions(draws=39, confidence=0.9))
    >>> page = write_scaling_page(found, Path(tempfile.mkdtemp()) / "laws.html", name="points")
    >>> page.read_text().count("<figure>")
    4
    """
    target = Path(path)
    write_bytes_atomically(render(name, _said(found), _sections(found, reference)).encode(), target)
    return target


def _said(found: ScalingReport) -> list[Sentence]:
    return [Sentence(name="", sentence=words, conclusion="") for words in found.sentences[:1]]


def _sections(found: ScalingReport, reference: str | None) -> list[Section]:
    figures = law_figures(found.laws, reference=reference) if found.laws else []
    return [
        Section(
            key="laws",
            title="What the laws say",
            lead="A law is read inside the measured range; beyond it only on request, marked.",
            missing="" if found.laws else " ".join(found.sentences[1:]),
            tables=tuple(_tables(found)),
            figures=tuple(figures),
            below=tuple(_checks(found)),
        )
    ]


def _tables(found: ScalingReport) -> Iterator[Markup]:
    read = found.read_outs.drop("extrapolation", "n_params")
    costs = found.costs.select(
        "arm", "at", "n_tokens", *(_with_ends(kind) for kind in ("flops", "hours", "money"))
    )
    for frame, caption in (
        (read, "Read from the laws"),
        (costs, "Cost of reaching the loss, at the rates given (6 N D FLOPs), with 95 % intervals"),
        (found.parameters, "Parameters; a dash where the points do not pin one down"),
    ):
        if frame.height:
            floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
            short = frame.with_columns(pl.col(floats).map_elements(_short, return_dtype=pl.String))
            yield table_html(short, caption=caption, numbers=floats)


def _with_ends(kind: str) -> pl.Expr:
    ends = pl.struct(kind, f"{kind}_low", f"{kind}_high")
    return ends.map_elements(_interval, return_dtype=pl.String).alias(kind)


def _interval(row: dict[str, float]) -> str:
    middle, low, high = (_short(value) for value in row.values())
    return f"{middle} [{low}, {high}]"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _checks(found: ScalingReport) -> Iterator[Markup]:
    for pair in found.joint:
        caption = f"{' → '.join(pair.arms)}: models of how they differ; {pair.sentence}"
        yield table_html(pair.models, caption=caption)
    if found.prediction is not None:
        yield table_html(found.prediction.summary, caption=found.prediction.sentence)
    if found.outliers.height:
        yield table_html(found.outliers, caption="Points six robust standard deviations off")
