"""Rule sets and signals as tables, from what the library itself applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.bounds import bound_words
from curate.rule_tables import RULE_SETS, set_heading, set_tables
from curate.rules import RulesConfig
from curate.signals import DEFAULT_SIGNALS, SIGNALS, check_signals, signal_unit

__all__ = ["Entry", "rule_entries", "rule_set_entries", "signal_entries", "table_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a list, and what is said below it.

    Attributes:
        head: The line.
        below: Further words.
        values: The same as columns of a table.
    """

    head: str
    below: str
    values: Mapping[str, Any]


def rule_set_entries() -> list[Entry]:
    """The packaged rule sets: `set, rules, title, description`.

    >>> rule_set_entries()[0].values["set"]
    'c4'
    """
    return [_set_entry(name) for name in RULE_SETS]


def _set_entry(name: str) -> Entry:
    title, description = set_heading(name)
    n = len(set_tables([name], RulesConfig().dialect))
    values = {"set": name, "rules": n, "title": title, "description": description}
    return Entry(head=f"{name}   {n} rules: {title}", below="", values=values)


def rule_entries(name: str, *, dialect: str = "datatrove") -> list[Entry]:
    """Rules of one set: `rule, signal, min, max, among, unit, source`; bounds in words.

    Args:
        name: A packaged set, or the path of a TOML file of the same form.
        dialect: Whose reading of the published rules is meant.

    Raises:
        ConfigError: No such set or dialect; the nearest names are told.

    >>> rule_entries("c4")[0].head
    'c4.sentences: c4_sentence_count ≥ 5'
    """
    config = RulesConfig(sets=(name,), dialect=dialect)
    return [_rule_entry(rule, t) for rule, t in set_tables(config.sets, config.dialect).items()]


def _rule_entry(rule: str, table: Mapping[str, Any]) -> Entry:
    bounds = {side: _bound(table, side) for side in ("min", "max")}
    among = ", ".join(table.get("among", ()))
    said = [f"{sign} {bounds[side]}" for side, sign in (("min", "≥"), ("max", "≤")) if bounds[side]]
    said += [f"one of {among}"] if among else []
    signal, source = str(table.get("signal")), str(table.get("source", ""))
    unit = signal_unit(signal) if signal in SIGNALS else ""
    plain = {side: _plain(table.get(side), words) for side, words in bounds.items()}
    values = {"rule": rule, "signal": signal, **plain, "among": among or None}
    return Entry(
        head=f"{rule}: {signal} {' and '.join(said)}",
        below=source,
        values={**values, "unit": unit, "source": source},
    )


def _bound(table: Mapping[str, Any], side: str) -> str | None:
    """A bound in words; `None` = none."""
    return None if side not in table else bound_words(table[side], upper=side == "max")


def _plain(value: object, words: str | None) -> str | None:
    """A number as machines read it, or how it is drawn from a corpus."""
    return words if value is None or isinstance(value, Mapping) else str(value)


def signal_entries(name: str | None = None) -> list[Entry]:
    """Signals: `signal, unit, type, measured, meaning`; all of them, or one by name.

    Raises:
        ConfigError: No such signal; the nearest names are told.

    >>> signal_entries("words")[0].head
    'words   (count)'
    """
    names = list(SIGNALS) if name is None else check_signals([name])
    readers = _readers() if name is not None else {}
    return [_signal_entry(signal, readers.get(signal, [])) for signal in names]


def _signal_entry(name: str, readers: list[str]) -> Entry:
    signal, unit = SIGNALS[name], signal_unit(name)
    measured = "always" if name in DEFAULT_SIGNALS else "where a rule reads it"
    below = signal.meaning
    if measured != "always":
        below += " (measured only where a rule reads it)"
    if readers:
        below += f"\nread by {', '.join(readers)}"
    values = {"signal": name, "unit": unit, "type": signal.dtype.__name__}
    return Entry(
        head=f"{name}   ({unit})",
        below=below,
        values={**values, "measured": measured, "meaning": signal.meaning},
    )


def _readers() -> dict[str, list[str]]:
    """Signal → packaged rules that read it, under the default dialect."""
    found: dict[str, list[str]] = {}
    for rule, table in set_tables(RULE_SETS, RulesConfig().dialect).items():
        found.setdefault(str(table.get("signal")), []).append(rule)
    return found


def table_of(entries: list[Entry]) -> pl.DataFrame:
    """The values of entries as a table, one row each.

    >>> table_of(signal_entries("words")).columns[:2]
    ['signal', 'unit']
    """
    return pl.DataFrame([dict(entry.values) for entry in entries], infer_schema_length=None)
