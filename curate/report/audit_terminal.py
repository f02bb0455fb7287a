"""An audit on a terminal: the sentence, the flags, and of each step whom it hits hardest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal

import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from curate.audits import Audit
from curate.report.findings import edited_groups
from curate.report.numerals import chance, count, interval, percent, ratio

__all__ = ["print_audit"]

_MOST = 12
_WIDTH = 110
_FIGURES = ("documents", "lost", "rest", "ratio", "q", "seen from")


def print_audit(found: Audit, *, head: Sequence[str] = (), hint: Sequence[str] = ()) -> None:
    """Print what an audit found: one sentence, then at most four short tables.

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
    untested = not set(found.table["state"].drop_nulls()) & {"flag", "no flag"}
    if hint and untested and found.hardest_hit.height:
        console.print(f"Name other columns with --groups; there are: {', '.join(hint)}")
        return
    flags, quiet = flag_rows(found), quiet_rows(found)
    edits = edited_groups(found.table)
    scores = pl.DataFrame() if found.scores is None else score_rows(found.scores)
    _print(console, "Flags: groups that lose more than the rest", flags)
    _print(console, "No flag: of each step and column the group that loses most", quiet)
    _print(console, "What steps that edit take", edits)
    _print(console, "Scores: mean of the group less mean of the rest, 95 % interval", scores)


def flag_rows(found: Audit) -> pl.DataFrame:
    """The flags as people read them, strongest first.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [[], ["s.r"]] * 100})
    >>> from curate.audits import audit
    >>> flag_rows(audit(frame)).select("group", "lost", "rest").rows()
    [('b', '100.0 %', '0.0 %')]
    """
    shares = [pl.col("removed") / pl.col("n"), pl.col("removed_rest") / pl.col("n_rest")]
    return _read(found.flagged.with_columns(lost=shares[0], lost_rest=shares[1]))


def quiet_rows(found: Audit) -> pl.DataFrame:
    """Of each step and group column without a flag the group that loses most.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [["s.r"], []] * 100})
    >>> from curate.audits import audit
    >>> quiet_rows(audit(frame)).height
    0
    """
    rows = found.hardest_hit.filter(pl.col("state") != "flag")
    seen = [
        ratio(row["smallest_detectable_ratio"]) if row["state"] == "no flag" else "too few to tell"
        for row in rows.iter_rows(named=True)
    ]
    read = _read(rows)
    return read.drop("q").with_columns(pl.Series("seen from", seen)) if read.height else read


def score_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Scores of each group, those that differ most first.

    >>> from curate.audits import group_scores
    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "tone": [1.0, 0.0] * 50})
    >>> score_rows(group_scores(frame, ["tone"], groups="g")).row(0)[:4]
    ('tone', 'g', 'a', '50')
    """
    keys = ["score", "group_column", "group"]
    parts = {name: scores.filter(corpus=name) for name in ("raw", "curated", "change")}
    said = {
        name: part.select(
            *keys,
            pl.Series(
                name,
                [
                    f"{ratio(r['difference'])} {interval(r['low'], r['high'])}".strip()
                    for r in part.iter_rows(named=True)
                ],
                dtype=pl.String,
            ),
        )
        for name, part in parts.items()
    }
    raw = parts["raw"].with_columns(n=pl.Series([count(n) for n in parts["raw"]["n"]]))
    table = raw.sort(pl.col("difference").abs(), descending=True, nulls_last=True)
    table = table.select(*keys, documents="n")
    for part in said.values():
        table = table.join(part, on=keys, how="left", maintain_order="left")
    return table.rename({"group_column": "column"})


def _read(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the audit as text."""
    return pl.DataFrame(
        [
            {
                "step": row["step"],
                "column": row["group_column"],
                "group": row["group"],
                "documents": count(row["n"]),
                "lost": percent(row["lost"]),
                "rest": percent(row["lost_rest"]),
                "ratio": f"{ratio(row['removal_ratio'])} "
                f"{interval(row['removal_ratio_low'], row['removal_ratio_high'])}".strip(),
                "adjusted": _adjusted(row),
                "q": chance(row["q"]),
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def _adjusted(row: dict[str, object]) -> str:
    value = row["adjusted_removal_ratio"]
    return "" if not isinstance(value, float) else f"{ratio(value)} ({row['adjusted_for']})"


def _print(console: Console, title: str, rows: pl.DataFrame) -> None:
    if rows.is_empty():
        return
    console.print(f"\n{title}", style="bold")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in rows.columns:
        figure = name in _FIGURES
        justify: Literal["left", "right"] = "right" if figure else "left"
        whole = name not in ("column", "group")
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows.head(_MOST).iter_rows():
        table.add_row(*(str(value) for value in row))
    console.print(table)
    if rows.height > _MOST:
        more = f"… and {rows.height - _MOST:,} more: --table FILE.csv writes all"
        console.print(Padding(more, (0, 0, 0, 2)))
