"""Tables as HTML, escaped, with numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Collection

import polars as pl
from markupsafe import Markup

from curate.report.numerals import NOTHING, count, precise

__all__ = ["table_html"]


_BROAD = 4  # wider tables scroll sideways on a narrow screen


def table_html(
    frame: pl.DataFrame,
    *,
    caption: str = "",
    limit: int = 200,
    numbers: Collection[str] = (),
) -> Markup:
    """A frame as an HTML table; every cell is escaped.

    Whole numbers get thousands separators, floats four significant digits, nulls a dash,
    lists commas; numbers are flush right. Underscores of the column names become spaces.

    Args:
        frame: Any frame; rows keep their order.
        caption: Words above the table; none where empty.
        numbers: Text columns that hold written numbers, to be flush right as well.
        limit: Most rows to show; what is left out is counted below the table.

    >>> shown = table_html(pl.DataFrame({"rule_name": ["<b>"], "n": [1200]}))
    >>> "<th>rule name</th>" in shown, "<td>&lt;b&gt;</td>" in shown
    (True, True)
    >>> '<td class="number">1,200</td>' in shown
    True
    """
    right = Markup(' class="number"')
    kinds = [
        right if kind.is_numeric() or name in numbers else Markup("")
        for name, kind in frame.schema.items()
    ]
    head = [
        _tag("th", name.replace("_", " "), kind)
        for name, kind in zip(frame.columns, kinds, strict=True)
    ]
    rows = [
        _wrap(
            "tr", [_tag("td", _cell(value), kind) for value, kind in zip(row, kinds, strict=True)]
        )
        for row in frame.head(limit).iter_rows()
    ]
    words = _tag("caption", caption, Markup("")) if caption else Markup("")
    broad = Markup(' class="broad"') if frame.width > _BROAD else Markup("")
    inside = words + _wrap("thead", [_wrap("tr", head)]) + _wrap("tbody", rows)
    table = Markup("<table{}>{}</table>").format(broad, inside)
    left_out = frame.height - limit
    return (
        table + Markup("<p>{} further rows are left out.</p>").format(left_out)
        if left_out > 0
        else table
    )


def _tag(name: str, words: str, kind: Markup) -> Markup:
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), kind, words)


def _wrap(name: str, parts: list[Markup]) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(name), Markup("").join(parts))


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return precise(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
