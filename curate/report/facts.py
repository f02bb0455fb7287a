"""Stored facts as rows of words: nested JSON becomes a table of two columns."""

from __future__ import annotations

from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.html import table_html
from curate.report.numerals import count, interval, precise

__all__ = ["facts_table"]


def facts_table(facts: Any, caption: str) -> Markup:  # noqa: ANN401 - stored JSON
    """One row a fact, dotted names for nested ones, estimates with their intervals.

    >>> "0.5 [0.40, 0.60]" in facts_table({"auc": {"estimate": 0.5, "low": 0.4, "high": 0.6}}, "")
    True
    """
    rows = [{"measure": name.replace("_", " "), "value": words} for name, words in _flat("", facts)]
    return table_html(pl.DataFrame(rows), caption=caption, numbers=("value",))


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    """Nested facts as (dotted name, words) rows in stored order."""
    if isinstance(value, dict) and {"estimate", "low", "high"} <= value.keys():
        ends = interval(value["low"], value["high"])
        return [(name, f"{precise(value['estimate'])} {ends}")]
    if isinstance(value, dict):
        dotted = f"{name}." if name else ""
        return [row for key, inner in value.items() for row in _flat(f"{dotted}{key}", inner)]
    if isinstance(value, bool) or value is None:
        return [(name, {True: "yes", False: "no", None: "–"}[value])]
    if isinstance(value, int):
        return [(name, count(value))]
    if isinstance(value, list):
        inner = ", ".join(words for item in value for _, words in _flat("", item))
        return [(name, inner)]
    return [(name, precise(value) if isinstance(value, float) else str(value))]
