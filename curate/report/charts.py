"""Charts as inline SVG: small pure functions from numbers to markup, no scripts.

Every chart can be drawn for a wide and for a narrow screen, because scaled-down text is
unreadable; data, marks and axes are in `shapes` and `_marks`.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from curate.report._marks import (
    STYLES,
    axis_below,
    axis_left,
    band,
    column,
    curve_path,
    estimate_mark,
    fitted,
    marker,
    middle_of,
    pair_of_bars,
    row_frame,
    row_words,
    svg,
)
from curate.report.shapes import WIDE, About, Axis, Bar, Bin, ForestRow, Layout, Line

__all__ = ["bars", "forest", "histogram", "legend", "lines"]


def bars(rows: Sequence[Bar], *, axis: Axis, about: About, layout: Layout = WIDE) -> Markup:
    """Horizontal bars: a pale bar for the whole, a solid one for the part.

    >>> rows = [Bar(label="<rules>", value=10, part=7)]
    >>> drawn = bars(rows, axis=Axis(label="documents", low=0, high=10),
    ...              about=About(title="t", description="d"))
    >>> "&lt;rules&gt;" in drawn, drawn.count('class="bar')
    (True, 2)
    """
    layout = fitted(layout, [(row.label, row.note) for row in rows])
    scale, step, height = row_frame(axis, len(rows), layout)
    body = [axis_below(axis, scale, height)]
    for index, row in enumerate(rows):
        middle = middle_of(index, step, layout)
        body.append(row_words(row.label, row.note, middle, layout))
        body.append(pair_of_bars(scale, middle - 7, 14, (row.value, row.part)))
        if row.thin:
            body.append(pair_of_bars(scale, middle + 9, 4, row.thin))
    return svg(layout.width, height + 44, about, body)


def forest(rows: Sequence[ForestRow], *, axis: Axis, about: About, layout: Layout = WIDE) -> Markup:
    """One row an estimate: a dot, its interval, and a diamond where a value is expected.

    What lies outside the axis is drawn at its edge with an arrowhead.

    >>> rows = [ForestRow(label="curated", estimate=1.5, low=1.2, high=9.0)]
    >>> drawn = forest(rows, axis=Axis(label="ratio", low=0.5, high=4, log=True),
    ...                about=About(title="t", description="d"))
    >>> drawn.count("<circle"), drawn.count('class="arrow')
    (1, 1)
    """
    layout = fitted(layout, [(row.label, row.note) for row in rows])
    scale, step, height = row_frame(axis, len(rows), layout)
    body = [axis_below(axis, scale, height)]
    for index, row in enumerate(rows):
        middle = middle_of(index, step, layout)
        body.append(row_words(row.label, row.note, middle, layout))
        body.append(estimate_mark(row, scale, middle))
    return svg(layout.width, height + 44, about, body)


def lines(
    curves: Sequence[Line], *, across: Axis, up: Axis, about: About, size: tuple[int, int]
) -> Markup:
    """Curves with interval bands on two axes.

    >>> from curate.report.shapes import Point
    >>> curve = Line(label="raw", style=0, points=(Point(x=1, y=2), Point(x=2, y=1)))
    >>> drawn = lines([curve], across=Axis(label="tokens", low=1, high=2, log=True),
    ...               up=Axis(label="loss", low=0, high=2), size=(300, 200),
    ...               about=About(title="t", description="d"))
    >>> drawn.count("<path"), "band" in drawn
    (3, False)
    """
    width, height = size
    left, right, top, bottom = 46, width - 10, 26, height - 40
    x, y = across.scale(left, right), up.scale(bottom, top)
    body = [axis_left(up, y, (left, right)), axis_below(across, x, bottom, top=top)]
    body += [band(curve, x, y) for curve in curves]
    body += [curve_path(curve, x, y) for curve in curves]
    return svg(width, height, about, body)


def histogram(bins: Sequence[Bin], *, across: Axis, about: About, size: tuple[int, int]) -> Markup:
    """Counts per bin, what was removed stacked on what was kept.

    >>> drawn = histogram([Bin(low=0, high=1, kept=3, removed=1)],
    ...                   across=Axis(label="score", low=0, high=1), size=(300, 200),
    ...                   about=About(title="t", description="d"))
    >>> drawn.count('class="bar')
    2
    """
    width, height = size
    left, right, top, bottom = 52, width - 10, 26, height - 40
    tallest = max([bin_.kept + bin_.removed for bin_ in bins] + [1.0])
    up = Axis(label="documents", low=0, high=tallest)
    x, y = across.scale(left, right), up.scale(bottom, top)
    body = [axis_left(up, y, (left, right)), axis_below(across, x, bottom, top=top)]
    for bin_ in bins:
        body.append(column(bin_, x, y, (0, bin_.kept), "bar part"))
        body.append(column(bin_, x, y, (bin_.kept, bin_.kept + bin_.removed), "bar lost"))
    return svg(width, height, about, body)


def legend(entries: Sequence[tuple[str, int]]) -> Markup:
    """HTML key to the curves of a `lines` chart: (label, style) pairs.

    >>> legend([("raw & all", 0)]).count("raw &amp; all")
    1
    """
    items = Markup("").join(
        Markup(
            '<li><svg class="key" width="30" height="12" viewBox="0 0 30 12" aria-hidden="true">'
            '<path class="curve s{0}" d="M1 6H29"/>{1}</svg>{2}</li>'
        ).format(style % STYLES, marker(15, 6, style), label)
        for label, style in entries
    )
    return Markup('<ul class="legend">{}</ul>').format(items)
