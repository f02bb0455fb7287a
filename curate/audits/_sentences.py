"""What an audit's table says in words: what to worry about, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from curate.audits.lexicons import NAMED, NOT_NAMED
from curate.audits.tables import explained, lacking, strongest_first, unjudged

_KEYS = ("step", "group_column", "group")
_MOST_COLUMNS = 3
_MOST_UNJUDGED = 5


def said(table: pl.DataFrame) -> str:
    """One sentence on a table of `impact`."""
    tests = table.filter(population="marginal", weight="documents")
    states = dict(tests.group_by("state").len().rows())
    flags = states.get("flag", 0)
    tested = flags + states.get("no flag", 0)
    if not tested:
        return _nothing_tested(tests)
    return (
        f"{flags} of {tested} tested (step, group) pairs lose clearly more than the rest of the"
        f" corpus{_explanation(table)}{_worst(table)}{_untold(tests)}."
    )


def unjudged_said(table: pl.DataFrame) -> str:
    """Groups that lost far more than the rest and were not judged, in one sentence, or nothing."""
    rows = unjudged(table)
    if rows.is_empty():
        return ""
    parts = set(table.filter(weight="touched")["step"])
    named = []
    for row in rows.head(_MOST_UNJUDGED).iter_rows(named=True):
        whom = f"{row['group_column']} = {row['group']}"
        if ": " in row["group_column"] and row["group"] == NAMED:
            whom = of_group(row["group_column"], NAMED)
        share = f"{100 * row['lost']:.1f} % of its texts"
        lost = share if row["step"] in parts else f"{row['removed']:,} of {row['n']:,}"
        named.append(f"{whom}, {lost} by {row['step']} (others {100 * row['lost_rest']:.1f} %)")
    more = rows.height - len(named)
    also = f"; and {more} more" if more else ""
    few = " or ".join(sorted(set(rows["lacks"])))
    return (
        f"Not judged (too few {few} to tell chance from harm), but lost most:"
        f" {'; '.join(named)}{also}."
    )


def of_group(column: str, group: str) -> str:
    """The documents of one group, in words.

    >>> of_group("source", "forum"), of_group("gender: women", "named")
    ("source = 'forum'", "documents with a term of 'gender: women'")
    """
    if ": " in column and group in (NAMED, NOT_NAMED):
        held = "with a term of" if group == NAMED else "without any term of"
        return f"documents {held} {column!r}"
    return f"{column} = {group!r}"


def removes(row: Mapping[str, Any], *, partial: bool) -> str:
    """What one row of the audit says, in words; `partial` = its step takes parts of texts."""
    whole = "of the texts of" if partial else "of"
    shares = row["removed"] / row["n"], row["removed_rest"] / row["n_rest"]
    return (
        f"{row['step']} takes {100 * shares[0]:.1f} % {whole}"
        f" {of_group(row['group_column'], row['group'])} against {100 * shares[1]:.1f} % of the"
        " rest"
    )


def _worst(table: pl.DataFrame) -> str:
    """The strongest flag, of those that nothing explains where there are any."""
    flagged = strongest_first(table)
    left = flagged.join(explained(flagged), on=_KEYS, how="anti", maintain_order="left")
    rows = (left if left.height else flagged).head(1).to_dicts()
    parts = set(table.filter(weight="touched")["step"])
    return "".join(f", most of all {removes(row, partial=row['step'] in parts)}" for row in rows)


def _explanation(table: pl.DataFrame) -> str:
    if "adjusted_for" not in table.columns:
        return ""
    by = explained(strongest_first(table)).group_by("adjusted_for").len().sort("adjusted_for")
    return "".join(f" ({n} of them explained by {names})" for names, n in by.rows())


def _untold(tests: pl.DataFrame) -> str:
    """What cannot be told: pairs without enough documents, and losses that are too small."""
    thin = few_said(tests, more=" more")
    quiet = tests.filter(state="no flag")["smallest_detectable_ratio"]
    typical = quiet.filter(quiet.is_finite()).median()
    thin = f"{thin} to tell" if thin else ""
    unseen = (
        f"a loss below {typical:.2f} times that of the rest would mostly go unseen"
        if isinstance(typical, float)
        else ""
    )
    told = ", and ".join(part for part in (thin, unseen) if part)
    return f"; {told}" if told else ""


def few_said(tests: pl.DataFrame, *, more: str = "") -> str:
    """How many tests could not be made, and what they lack, in words; empty where none."""
    thin = tests.select(lacks=lacking()).drop_nulls().group_by("lacks").len().sort("lacks")
    words = []
    for what, many in thin.rows():
        has = "has" if many == 1 else "have"
        words.append(f"{many:,}{more} {has} not enough {what}")
    return " and ".join(words)


def _nothing_tested(tests: pl.DataFrame) -> str:
    """Why no pair could be tested."""
    if not tests["removed"].sum() and not tests["removed_rest"].sum():
        return "Nothing could be tested: no step takes anything from any document."
    sizes = tests.group_by("group_column", maintain_order=True).agg(pl.col("group").n_unique())
    single = [column for column, groups in sizes.rows() if groups == 1]
    small = [f"{column!r} ({groups:,} groups)" for column, groups in sizes.rows() if groups > 1]
    reasons = []
    if single:
        reasons.append(
            f"all documents have one value of {_listed([repr(name) for name in single])}, which"
            " leaves no rest to compare with"
        )
    if small:
        reasons.append(
            f"no group of {_listed(small)} is large enough, since a test needs ten expected"
            " removals on either side, and two clusters"
        )
    return f"Nothing could be tested: {'; '.join(reasons)}."


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_COLUMNS
    shown = ", ".join(names[:_MOST_COLUMNS])
    return f"{shown} and {more} more" if more > 0 else shown
