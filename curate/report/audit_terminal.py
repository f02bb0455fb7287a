"""An audit on a terminal: the sentence, the flags, and of each step whom it hits hardest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal

import polars as pl
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

from curate.audits import Audit
from curate.report.audit_rows import edited_groups, flag_rows, left_rows, quiet_rows, score_rows

__all__ = ["print_audit"]

_MOST = 12
_WIDTH = 110
_UNBOUND = 1_000
_GROUP = 18  # columns that a name of a group gets at least
_SHORT = {
    "touched, others": "rest",
    "adjusted ratio of touched": "adjusted",
    "taken, others": "of rest",
    "adjusted ratio of taken": "adjusted ",
}
_FIGURES = (
    *("documents", "lost", "rest", "ratio", "q", "seen from"),
    *("touched", "taken", "of rest", *_SHORT.values()),
)


def print_audit(found: Audit, *, head: Sequence[str] = (), hint: Sequence[str] = ()) -> None:
    """Print what an audit found: one sentence, then a few short tables.

    Args:
        found: The audit.
        head: Lines to print before it.
        hint: Columns to offer as groups where nothing could be tested.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [[], ["s.r"]] * 100})
    >>> from curate.audits import audit
    >>> print_audit(audit(frame), head=["200 documents"])  # doctest: +ELLIPSIS
    200 documents
    1 of 2 tested (step, group) pairs lose clearly more than the rest of the corpus...
    """
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)
    for line in head:
        console.print(line, style="dim", soft_wrap=True)
    console.print(found.sentence, style="bold", soft_wrap=False)
    if found.unjudged:
        console.print(found.unjudged, style="yellow", soft_wrap=False)
    untested = not set(found.table["state"].drop_nulls()) & {"flag", "no flag"}
    if hint and untested and found.hardest_hit.height:
        console.print(f"Name other columns with --groups; there are: {', '.join(hint)}")
        return
    flags, quiet = flag_rows(found), quiet_rows(found)
    edits = edited_groups(found.table).rename(_SHORT, strict=False)
    scores = pl.DataFrame() if found.scores is None else score_rows(found.scores)
    _print(console, "Flags: groups that lose more than the rest", flags)
    _print(console, "No flag: of each step and column the group that loses most", quiet)
    _print(console, "What steps that edit do: documents touched, share of text taken", edits)
    left = pl.DataFrame() if found.representation is None else left_rows(found.representation)
    _print(console, "Who is left: raw → curated, by documents", left)
    _print(console, "Scores: mean of the group less mean of the rest, 95 % interval", scores)


def _print(console: Console, title: str, rows: pl.DataFrame) -> None:
    if rows.is_empty():
        return
    console.print(f"\n{title}", style="bold")
    if {"column", "group"} <= set(rows.columns):
        both = pl.format("{} = {}", "column", "group").alias("group")
        names = [name for name in rows.columns if name != "column"]
        rows = rows.with_columns(both).select(names)
    table = _table(rows.head(_MOST))
    # A figure that is cut off says nothing: on a narrow terminal its own line break is better.
    unbound = console.options.update(max_width=_UNBOUND)
    needed = Measurement.get(console, unbound, table).minimum
    Console(width=max(console.width, needed), highlight=False, markup=False).print(table)
    if rows.height > _MOST:
        more = f"… and {rows.height - _MOST:,} more: --table FILE.csv writes all"
        console.print(Padding(more, (0, 0, 0, 2)))


def _table(rows: pl.DataFrame) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    cells = [[str(value) for value in row] for row in rows.iter_rows()]
    for name, column in zip(rows.columns, zip(*cells, strict=True), strict=True):
        figure = name in _FIGURES
        justify: Literal["left", "right"] = "right" if figure else "left"
        # Rich takes the longest word for the least width of a cell, also where none may wrap.
        whole = figure or name == "step"
        least = max(map(cell_len, (name, *column))) if whole else _GROUP * (name == "group")
        table.add_column(name, justify=justify, min_width=least, no_wrap=whole, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table
