"""A chart as the page shows it: title, drawing for two widths, caption, and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from curate.report.shapes import NARROW, WIDE, Layout

__all__ = ["MOST_ROWS", "Drawings", "Figure", "drawn_twice", "left_out", "total"]

MOST_ROWS = 18  # that a figure of one row a thing draws; its table holds all


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawings:
    """The same chart for wide screens and paper, and for narrow ones (empty: `wide` serves)."""

    wide: tuple[Markup, ...]
    narrow: tuple[Markup, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure of the page.

    Attributes:
        title: What the chart shows, as a sentence with its main number.
        caption: How to read it, with n and the level of the intervals.
        table: The numbers behind it.
        drawings: The chart itself.
        legend: HTML key; may be empty.
        folded: Shown closed, behind its title.
    """

    title: str
    caption: str
    table: pl.DataFrame
    drawings: Drawings
    legend: str = ""
    folded: bool = False


def drawn_twice(draw: Callable[[Layout], Markup]) -> Drawings:
    """Draw one chart for both widths.

    >>> drawn_twice(lambda layout: Markup(layout.width)).narrow
    (Markup('340'),)
    """
    return Drawings(wide=(draw(WIDE),), narrow=(draw(NARROW),))


def total(column: pl.Series) -> int:
    """Sum of a column of counts.

    >>> total(pl.Series([2, None, 3]))
    5
    """
    return int(column.sum())


def left_out(rows: int) -> str:
    """The sentence of a caption on rows beyond the `MOST_ROWS` that a figure draws.

    >>> left_out(20), left_out(3)
    (' 2 further rows stand in the table only.', '')
    """
    more = rows - MOST_ROWS
    return f" {more} further rows stand in the table only." if more > 0 else ""
