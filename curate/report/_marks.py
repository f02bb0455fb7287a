"""The marks, axes and words that charts are put together from.

Colours are CSS classes, so one drawing serves light, dark and paper; what colour says,
shape or dash says too. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from curate.report.numerals import aligned, precise
from curate.report.scales import Scale
from curate.report.shapes import About, Axis, Bin, ForestRow, Layout, Line, Reference

LETTER = 7.1  # mean width of a character at 13 px, to cut labels before they collide
STYLES = 8


def svg(width: float, height: float, about: About, body: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        "<title>{title}</title><desc>{desc}</desc>{body}</svg>"
    ).format(
        w=px(width),
        h=px(height),
        title=about.title,
        desc=about.description,
        body=Markup("").join(body),
    )


def px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def words_at(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        px(x), px(y), kind, anchor, words
    )


def segment(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(
        px(start[0]), px(start[1]), px(end[0]), px(end[1]), kind
    )


def cut(words: str, room: float) -> str:
    letters = max(4, int(room / LETTER))
    return words if len(words) <= letters else f"{words[: letters - 1].rstrip()}…"


def fitted(layout: Layout, words: Sequence[tuple[str, str]]) -> Layout:
    """The layout with label and note columns no wider than their (label, note) words need."""
    if not layout.gutter:
        return layout
    longest = [max((len(pair[place]) for pair in words), default=0) for place in (0, 1)]
    gutter = min(layout.gutter, max(70, round(longest[0] * LETTER) + 10))
    notes = min(layout.notes, max(16, round(longest[1] * LETTER) + 18))
    return Layout(width=layout.width, gutter=gutter, notes=notes)


def row_frame(axis: Axis, rows: int, layout: Layout) -> tuple[Scale, float, float]:
    step = 32.0 if layout.gutter else 50.0
    scale = axis.scale(layout.gutter + 12, layout.width - layout.notes - 12)
    return scale, step, 22 + step * rows


def middle_of(index: int, step: float, layout: Layout) -> float:
    return 22 + step * index + (step / 2 if layout.gutter else 32)


def row_words(label: str, note: str, middle: float, layout: Layout) -> Markup:
    if layout.gutter:
        name = words_at(layout.gutter, middle + 4.5, cut(label, layout.gutter - 4), anchor="end")
        return name + words_at(layout.width - layout.notes + 8, middle + 4.5, note, kind="note")
    room = layout.width - LETTER * len(note) - 20
    name = words_at(12, middle - 14, cut(label, room))
    return name + words_at(layout.width - 12, middle - 14, note, kind="note", anchor="end")


def axis_below(axis: Axis, scale: Scale, bottom: float, top: float = 18) -> Markup:
    ticks = scale.ticks()
    drawn = [segment((scale(tick), top), (scale(tick), bottom), "grid") for tick in ticks]
    drawn += [
        words_at(scale(tick), bottom + 16, said, kind="tick", anchor="middle")
        for tick, said in zip(ticks, _said(axis, ticks), strict=True)
    ]
    drawn += [_reference(mark, scale, (top, bottom)) for mark in axis.references]
    middle = (scale.start + scale.end) / 2
    drawn.append(words_at(middle, bottom + 34, axis.label, kind="label", anchor="middle"))
    return Markup("").join(drawn)


def _said(axis: Axis, ticks: Sequence[float]) -> list[str]:
    """Ticks in words: as the axis says, or else plain numbers with equal decimals."""
    if axis.tick is not None:
        return [axis.tick(tick) for tick in ticks]
    return [precise(tick) for tick in ticks] if axis.log else aligned(ticks)


def _reference(mark: Reference, scale: Scale, ends: tuple[float, float]) -> Markup:
    if not scale.inside(mark.value):
        return Markup("")
    x = scale(mark.value)
    words = words_at(x, ends[0] - 5, mark.label, kind="tick strong", anchor="middle")
    return segment((x, ends[0]), (x, ends[1]), "mark") + words


def axis_left(axis: Axis, scale: Scale, sides: tuple[float, float]) -> Markup:
    drawn = [words_at(2, 12, axis.label, kind="label")]
    ticks = scale.ticks(room=40)
    for tick, words in zip(ticks, _said(axis, ticks), strict=True):
        drawn.append(segment((sides[0], scale(tick)), (sides[1], scale(tick)), "grid"))
        drawn.append(words_at(sides[0] - 6, scale(tick) + 4, words, kind="tick", anchor="end"))
    for mark in axis.references:
        if scale.inside(mark.value):
            y = scale(mark.value)
            drawn.append(segment((sides[0], y), (sides[1], y), "mark"))
            drawn.append(words_at(sides[1], y - 5, mark.label, kind="tick strong", anchor="end"))
    return Markup("").join(drawn)


def pair_of_bars(scale: Scale, top: float, thickness: float, pair: tuple[float, float]) -> Markup:
    shapes = [
        Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>').format(
            kind,
            px(scale.start),
            px(top),
            px(max(0.0, scale.clamped(value) - scale.start)),
            px(thickness),
        )
        for kind, value in zip(("whole", "part"), pair, strict=True)
    ]
    return Markup("").join(shapes)


def estimate_mark(row: ForestRow, scale: Scale, y: float) -> Markup:
    drawn = [Markup('<g class="tone-{}">').format(row.tone), _whisker(row, scale, y)]
    if scale.inside(row.estimate):
        drawn.append(
            Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>').format(
                px(scale(row.estimate)), px(y)
            )
        )
    elif row.low is None or row.high is None:
        drawn.append(_arrow(scale.clamped(row.estimate), y, 1 if row.estimate > scale.high else -1))
    drawn.append(Markup("</g>"))
    if row.expected is not None:
        drawn.append(_diamond(scale.clamped(row.expected), y, 7.5, "expected"))
    return Markup("").join(drawn)


def _whisker(row: ForestRow, scale: Scale, y: float) -> Markup:
    """The interval with its two ends; a bound reaches to the edge of the axis."""
    if row.bound in ("≥", "≤"):
        edge, way = (scale.end, 1) if row.bound == "≥" else (scale.start, -1)
        return segment((scale.clamped(row.estimate), y), (edge, y), "whisker") + _arrow(
            edge, y, way
        )
    if row.low is None or row.high is None:
        return Markup("")
    line = segment((scale.clamped(row.low), y), (scale.clamped(row.high), y), "whisker")
    return line + _end(row.low, scale, y) + _end(row.high, scale, y)


def _end(value: float, scale: Scale, y: float) -> Markup:
    x = scale.clamped(value)
    if scale.inside(value):
        return segment((x, y - 4), (x, y + 4), "whisker")
    return _arrow(x, y, 1 if value > scale.high else -1)


def _arrow(x: float, y: float, way: int) -> Markup:
    return Markup('<path class="arrow" d="M{} {}l{} -5v10z"/>').format(
        px(x + 7 * way), px(y), -7 * way
    )


def _diamond(x: float, y: float, r: float, kind: str) -> Markup:
    return Markup('<path class="{0}" d="M{1} {2}l{3} {3}l-{3} {3}l-{3} -{3}z"/>').format(
        kind, px(x), px(y - r), px(r)
    )


def band(curve: Line, x: Scale, y: Scale) -> Markup:
    known = [
        (point.x, point.low, point.high)
        for point in curve.points
        if point.low is not None and point.high is not None
    ]
    if not known:
        return Markup("")
    above = [f"{px(x(across))} {px(y.clamped(high))}" for across, _, high in known]
    below = [f"{px(x(across))} {px(y.clamped(low))}" for across, low, _ in reversed(known)]
    return Markup('<path class="band s{}" d="M{}Z"/>').format(
        curve.style % STYLES, "L".join(above + below)
    )


def curve_path(curve: Line, x: Scale, y: Scale) -> Markup:
    places = [(x(point.x), y.clamped(point.y)) for point in curve.points]
    path = "L".join(f"{px(across)} {px(up)}" for across, up in places)
    markers = Markup("").join(marker(across, up, curve.style) for across, up in places)
    return Markup('<path class="curve s{}" d="M{}"/>').format(curve.style % STYLES, path) + markers


def marker(x: float, y: float, style: int) -> Markup:
    """Circle, square, diamond and triangle in turn, so that colour is never alone."""
    place, kind = (px(x), px(y)), f"point s{style % STYLES}"
    shapes = (
        Markup("M{} {}m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z"),
        Markup("M{} {}m-3.2 -3.2h6.4v6.4h-6.4z"),
        Markup("M{} {}m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z"),
        Markup("M{} {}m0 -4.2l4.2 7.2h-8.4z"),
    )
    return Markup('<path class="{}" d="{}"/>').format(kind, shapes[style % 4].format(*place))


def column(bin_: Bin, x: Scale, y: Scale, ends: tuple[float, float], kind: str) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind,
        px(x(bin_.low) + 0.5),
        px(y(ends[1])),
        px(max(0.5, x(bin_.high) - x(bin_.low) - 1)),
        px(max(0.0, y(ends[0]) - y(ends[1]))),
    )
