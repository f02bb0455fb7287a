"""Where a comparison was measured, and the axes that charts of it share."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.report.numerals import short
from curate.report.scales import spread
from curate.report.shapes import Axis, Point, Reference

__all__ = ["Cell", "budget_axis", "headline_cell", "point_of", "treatment", "value_axis"]

_FAMILIES = {"kneser_ney": "Kneser–Ney", "gpt": "GPT"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a headline was measured with: proxy family, its size, and the token budget."""

    family: str
    size: str
    n_tokens: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Cell:
        """The cell of a row of the table of multipliers."""
        family, size = row["family"] or "", str(row["size"] or "")
        return cls(family=family, size=size, n_tokens=row["n_tokens"])

    def model(self) -> str:
        """Family and size in words.

        >>> Cell(family="kneser_ney", size="order5", n_tokens=None).model()
        'Kneser–Ney order 5'
        """
        name = _FAMILIES.get(self.family, self.family)
        return f"{name} {re.sub(r'(?<=[a-z])(?=[0-9])', ' ', self.size)}"

    def words(self) -> str:
        """The whole cell in words.

        >>> Cell(family="gpt", size="small", n_tokens=400_000).words()
        'GPT small, 400 k tokens'
        """
        budget = f", {short(self.n_tokens)} tokens" if self.n_tokens else ""
        return f"{self.model()}{budget}"


def headline_cell(multipliers: pl.DataFrame | None, runs: pl.DataFrame | None) -> Cell | None:
    """Family, size and budget of the headline; without one, of the largest budget that ran.

    >>> headline_cell(None, None) is None
    True
    """
    if multipliers is not None:
        measured = pl.col("family").is_not_null()
        chosen = multipliers.filter("headline", measured, quantity="multiplier")
        for row in chosen.head(1).iter_rows(named=True):
            return Cell.of(row)
    if runs is None:
        return None
    last = runs.sort(["n_tokens", "family", "size"], descending=[True, False, False]).row(
        0, named=True
    )
    return Cell.of(last)


def budget_axis(rows: pl.DataFrame) -> Axis:
    """Logarithmic axis over the column `n_tokens`.

    >>> budget_axis(pl.DataFrame({"n_tokens": [100, 200]})).log
    True
    """
    low, high = spread([float(value) for value in rows["n_tokens"]], log=True)
    return Axis(label="training tokens (log scale)", low=low, high=high, log=True, tick=short)


def value_axis(label: str, points: Sequence[Point], reference: float | None = None) -> Axis:
    """Axis over points and their intervals; a wide interval must not flatten the curves.

    >>> points = [Point(x=1, y=1.0, low=-80.0, high=90.0), Point(x=2, y=2.0)]
    >>> axis = value_axis("bits per byte", points)
    >>> round(axis.low, 2), round(axis.high, 2)
    (-0.18, 3.18)
    """
    marked = [reference] if reference is not None else []
    middles = [*(point.y for point in points), *marked]
    room = (max(middles) - min(middles)) or math.inf
    least, most = min(middles) - room, max(middles) + room
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    low, high = spread([*middles, *(min(max(end, least), most) for end in ends)])
    marks = (Reference(value=reference, label=""),) if reference else ()
    return Axis(label=label, low=low, high=high, references=marks)


def point_of(row: Mapping[str, Any], value: str) -> Point:
    """The point of a row: `n_tokens` against the column `value`, with `low` and `high`.

    >>> point_of({"n_tokens": 5, "loss": 2.0, "low": None, "high": None}, "loss").x
    5
    """
    return Point(x=row["n_tokens"], y=row[value], low=row["low"], high=row["high"])


def treatment(expected: str) -> str:
    """What ought to happen to documents of a kind, in words.

    Masked ones count as caught where a rule removed them altogether, too.

    >>> treatment("masked"), treatment("kept")
    ('masked or removed', 'kept')
    """
    return "masked or removed" if expected == "masked" else expected
