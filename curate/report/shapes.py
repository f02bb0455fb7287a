"""What charts are drawn from: layouts, axes, and the data of one mark each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from curate.report.scales import Scale

__all__ = [
    "NARROW",
    "WIDE",
    "About",
    "Axis",
    "Bar",
    "Bin",
    "ForestRow",
    "Layout",
    "Line",
    "Point",
    "Reference",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Width of a drawing, of its label column (0: labels above) and its notes, in px."""

    width: int
    gutter: int
    notes: int


WIDE = Layout(width=912, gutter=300, notes=220)
NARROW = Layout(width=340, gutter=0, notes=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a screen reader says of a chart: its title and what it describes."""

    title: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A marked value on the axis, e.g. "no effect" at 1."""

    value: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Range, label with unit, words of its ticks (default: plain numbers), marked values."""

    label: str
    low: float
    high: float
    log: bool = False
    tick: Callable[[float], str] | None = None
    references: tuple[Reference, ...] = ()

    def scale(self, start: float, end: float) -> Scale:
        """The axis laid over the pixels from `start` to `end`."""
        return Scale(low=self.low, high=self.high, start=start, end=end, log=self.log)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar: its length, the solid part of it, and a thin second pair below."""

    label: str
    value: float
    part: float
    thin: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForestRow:
    """One estimate with its interval; `tone` is "plain", "good", "bad" or "quiet".

    `expected` marks what a control must show; `bound` is "≥" or "≤" where the estimate is
    only a bound and has no interval.
    """

    label: str
    estimate: float
    low: float | None
    high: float | None
    note: str = ""
    tone: str = "plain"
    expected: float | None = None
    bound: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One point of a line, with its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One curve; `style` picks colour, marker and dash."""

    label: str
    style: int
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """One bin of a histogram: its ends, what was kept in it and what was removed."""

    low: float
    high: float
    kept: float
    removed: float
