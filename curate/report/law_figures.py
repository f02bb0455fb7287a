"""Figures of fitted scaling laws: loss with bands, iso lines, worth against loss, residuals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from curate.report._marks import STYLES, axis_below, axis_left, band, marker, svg
from curate.report.charts import legend
from curate.report.figure import Drawings, Figure
from curate.report.numerals import level, precise, short
from curate.report.scales import Scale, spread
from curate.report.shapes import About, Axis, Line, Point, Reference
from curate.scaling.law import ScalingLaw
from curate.scaling.law_lines import iso_flop, iso_loss, law_curve, multiplier_curve, residuals

__all__ = ["iso_figure", "law_figures", "law_loss_figure", "residual_figure", "worth_figure"]

_PANEL = (292, 236)
_MOST_PANELS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class _Marks:
    """Smooth curves with bands, and single points, in one panel."""

    curves: tuple[Line, ...] = ()
    points: tuple[Line, ...] = ()

    def values(self) -> list[float]:
        ends = [
            end
            for line in (*self.curves, *self.points)
            for point in line.points
            for end in (point.y, point.low, point.high)
        ]
        return [end for end in ends if end is not None]


def law_figures(laws: Sequence[ScalingLaw], *, reference: str | None = None) -> list[Figure]:
    """All figures of some arms' laws, those that their forms allow.

    Args:
        laws: Fitted laws, one an arm.
        reference: Arm whose tokens the others are counted in; default "raw", else the first.

    >>> from curate.scaling.example import example_law
    >>> len(law_figures([example_law("raw"), example_law()]))
    4
    """
    with_data = [law for law in laws if law.form.has_data]
    if not with_data:
        return []
    base = [law for law in with_data if law.arm == (reference or "raw")] or with_data[:1]
    found = [law_loss_figure(with_data)]
    if with_data[0].form.has_size:
        found.append(iso_figure(with_data))
    for law in with_data:
        worth = worth_figure(base[0], law) if law.arm != base[0].arm else None
        found += [worth] if worth else []
    return [*found, residual_figure(with_data)]


def law_loss_figure(laws: Sequence[ScalingLaw]) -> Figure:
    """Loss against tokens, a panel a size: measured points, law, and its interval.

    >>> from curate.scaling.example import example_law
    >>> law_loss_figure([example_law()]).table.columns
    ['arm', 'n_params', 'n_tokens', 'loss', 'low', 'high']
    """
    sizes = _few(sorted({n for law in laws for n in law.points.frame["n_params"].unique()}))
    tables, panels = [], []
    for size in sizes:
        lines = [law_curve(law, n_params=size) for law in laws]
        tables += lines
        measured = [law.points.frame.filter(n_params=size) for law in laws]
        marks = _Marks(
            curves=tuple(_line(table, ("n_tokens", "loss"), i) for i, table in enumerate(lines)),
            points=tuple(_line(table, ("n_tokens", "loss"), i) for i, table in enumerate(measured)),
        )
        name = f"{short(size)} parameters" if laws[0].form.has_size else "all sizes"
        panels.append(_panel(name, marks, (_token_axis(laws), _axis("loss", marks.values()))))
    confidence = level(laws[0].options.confidence)
    return Figure(
        title=f"Loss against tokens by the law {laws[0].form.formula}",
        caption=f"Marks: measured; lines: the fitted law with its {confidence} interval, point by "
        f"point. The axis does not start at 0; {_counted(laws)}.",
        table=pl.concat(tables),
        drawings=Drawings(wide=tuple(panels)),
        legend=legend([(law.arm, i) for i, law in enumerate(laws)]),
    )


def iso_figure(laws: Sequence[ScalingLaw]) -> Figure:
    """Equal loss over sizes and tokens, and loss at equal compute over sizes.

    >>> from curate.scaling.example import example_law
    >>> len(iso_figure([example_law()]).drawings.wide)
    2
    """
    losses, flops = _loss_levels(laws[0]), _flop_levels(laws[0])
    equal = [(i, iso_loss(law, loss=loss)) for i, law in enumerate(laws) for loss in losses]
    spent = [(i, iso_flop(law, flops=c)) for i, law in enumerate(laws) for c in flops]
    by_loss = _Marks(curves=_lines(equal, ("n_params", "n_tokens")))
    by_flop = _Marks(curves=_lines(spent, ("n_params", "loss")))
    up = _log_axis("training tokens", by_loss.values())
    said = ", ".join(precise(loss) for loss in losses)
    first = _panel(f"equal loss: {said}", by_loss, (_size_axis(laws), up))
    said = ", ".join(f"{c:.1e}" for c in flops)
    second = _panel(
        f"equal compute: {said} FLOPs", by_flop, (_size_axis(laws), _axis("loss", by_flop.values()))
    )
    return Figure(
        title="What size and tokens buy: equal loss and equal compute",
        caption="By the fitted laws, inside the measured sizes and budgets. Left: every line is "
        "one loss; lower lines need fewer tokens. Right: every line is one budget of 6 N D "
        "FLOPs; its lowest place is the compute-optimal size. Lines without interval; "
        f"{_counted(laws)}.",
        table=pl.concat([table for _, table in equal]),
        drawings=Drawings(wide=(first, second)),
        legend=legend([(law.arm, i) for i, law in enumerate(laws)]),
    )


def worth_figure(law: ScalingLaw, against: ScalingLaw) -> Figure | None:
    """The token multiplier against the loss where it was read; `None` where nothing is known.

    >>> from curate.scaling.example import example_law
    >>> worth_figure(example_law("raw"), example_law()).title
    'raw → curated: tokens per token at equal loss (16 G parameters)'
    """
    size = float(law.points.frame["n_params"].to_numpy().max())
    table = multiplier_curve(law, against, n_params=size)
    if table.height < 2:
        return None
    marks = _Marks(curves=(_line(table, ("loss", "multiplier"), 0),))
    values = [*marks.values(), 1.0]
    up = Axis(label="multiplier", low=spread(values)[0], high=spread(values)[1], references=_ONE)
    across = _axis("loss reached", table["loss"].to_list())
    pair = f"{law.arm} → {against.arm}"
    place = f" ({short(size)} parameters)" if law.form.has_size else ""
    return Figure(
        title=f"{pair}: tokens per token at equal loss{place}",
        caption=f"Tokens that {law.arm} needs for each token of {against.arm}, by two laws fitted "
        f"apart, with the {level(law.options.confidence)} interval, point by point; only losses "
        f"that both arms reach inside their measured budgets; {_counted([law, against])}.",
        table=table,
        drawings=Drawings(wide=(_panel(pair, marks, (across, up)),)),
    )


def residual_figure(laws: Sequence[ScalingLaw]) -> Figure:
    """How far the points lie from the law, against tokens.

    >>> from curate.scaling.example import example_law
    >>> residual_figure([example_law()]).table["outlier"].sum()
    0
    """
    tables = [residuals(law) for law in laws]
    marks = _Marks(
        points=tuple(_line(table, ("n_tokens", "residual"), i) for i, table in enumerate(tables))
    )
    low, high = spread(marks.values())
    up = Axis(label="residual (share of loss)", low=low, high=high, references=_ZERO)
    table = pl.concat(tables)
    named = int(table["outlier"].sum())
    most = float(table["residual"].abs().to_numpy().max())
    return Figure(
        title=f"Points lie within {100 * most:.2g} % of the law; {named} named as outliers",
        caption="Measured loss / law − 1. Outliers lie more than six robust standard deviations "
        "off; they stay in the robust fit and leave the likelihood. Single points, no interval; "
        f"{_counted(laws)}.",
        table=table,
        drawings=Drawings(wide=(_panel("residuals", marks, (_token_axis(laws), up)),)),
        legend=legend([(law.arm, i) for i, law in enumerate(laws)]),
        folded=True,
    )


_ONE = (Reference(value=1.0, label=""),)
_ZERO = (Reference(value=0.0, label=""),)


def _counted(laws: Sequence[ScalingLaw]) -> str:
    return f"n = {sum(law.points.frame.height for law in laws)} points"


def _few(values: Sequence[float]) -> list[float]:
    """At most six, spread over all, the ends among them."""
    if len(values) <= _MOST_PANELS:
        return list(values)
    last = _MOST_PANELS - 1
    return [values[round(i * (len(values) - 1) / last)] for i in range(_MOST_PANELS)]


def _line(table: pl.DataFrame, names: tuple[str, str], style: int) -> Line:
    columns = [*names, *(end for end in ("low", "high") if end in table.columns)]
    known = table.select(columns).drop_nulls(list(names))
    points = [
        Point(x=row[0], y=row[1], low=_end(row, 2), high=_end(row, 3)) for row in known.rows()
    ]
    return Line(label="", style=style, points=tuple(points))


def _end(row: tuple[float, ...], place: int) -> float | None:
    return row[place] if place < len(row) else None


def _lines(tables: Iterable[tuple[int, pl.DataFrame]], names: tuple[str, str]) -> tuple[Line, ...]:
    return tuple(_line(table, names, i) for i, table in tables if table.height > 1)


def _loss_levels(law: ScalingLaw) -> list[float]:
    low, high = (law.points.frame["loss"].quantile(q) or 0.0 for q in (0.15, 0.85))
    return [low + share * (high - low) for share in (0.0, 0.25, 0.6)]


def _flop_levels(law: ScalingLaw) -> list[float]:
    flops = law.points.frame.select(6 * pl.col("n_params") * pl.col("n_tokens")).to_series()
    return [flops.quantile(q) or 1.0 for q in (0.3, 0.5, 0.7)]


def _axis(label: str, values: Sequence[float]) -> Axis:
    low, high = spread(list(values))
    return Axis(label=label, low=low, high=high)


def _log_axis(label: str, values: Sequence[float]) -> Axis:
    low, high = spread(list(values), log=True)
    return Axis(label=f"{label} (log scale)", low=low, high=high, log=True, tick=short)


def _token_axis(laws: Sequence[ScalingLaw]) -> Axis:
    return _log_axis("training tokens", _all(laws, "n_tokens"))


def _size_axis(laws: Sequence[ScalingLaw]) -> Axis:
    return _log_axis("parameters", _all(laws, "n_params"))


def _all(laws: Sequence[ScalingLaw], name: str) -> list[float]:
    return [value for law in laws for value in law.points.frame[name].to_list()]


def _panel(name: str, marks: _Marks, axes: tuple[Axis, Axis]) -> Markup:
    (across, up), (width, height) = axes, _PANEL
    left, right, top, bottom = 52, width - 10, 26, height - 40
    x, y = across.scale(left, right), up.scale(bottom, top)
    body = [axis_left(up, y, (left, right)), axis_below(across, x, bottom, top=top)]
    body += [band(line, x, y) for line in marks.curves]
    body += [_smooth(line, x, y) for line in marks.curves if line.points]
    body += [_dots(line, x, y) for line in marks.points]
    about = About(title=name, description=f"{up.label} against {across.label}.")
    drawn = svg(width, height, about, body)
    return Markup('<div><p class="panel">{}</p>{}</div>').format(name, drawn)


def _smooth(line: Line, x: Scale, y: Scale) -> Markup:
    places = "L".join(f"{x(point.x):.1f} {y.clamped(point.y):.1f}" for point in line.points)
    return Markup('<path class="curve s{}" d="M{}"/>').format(line.style % STYLES, places)


def _dots(line: Line, x: Scale, y: Scale) -> Markup:
    return Markup("").join(
        marker(x(point.x), y.clamped(point.y), line.style) for point in line.points
    )
