"""Tables on a terminal."""

from __future__ import annotations

import polars as pl
from rich.console import Console
from rich.table import Table

__all__ = ["print_table"]


def print_table(frame: pl.DataFrame) -> None:
    """Print every cell whole: a table whose numbers are cut off says nothing.

    >>> print_table(pl.DataFrame())
    """
    if frame.is_empty():
        return
    table = Table(*frame.columns, box=None, header_style="bold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    Console(width=max(200, Console().width), highlight=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
