"""Commands for the first hour: a config for one's own data; keys, rule sets and signals listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

if TYPE_CHECKING:
    from curate.front import Entry, Start

__all__ = ["COMMANDS", "init", "show_config", "show_rules", "show_signals"]

TablePath = Annotated[
    Path | None, typer.Option("--table", help="CSV or Parquet file for the same list.")
]


def init(
    data: Annotated[
        list[str] | None, typer.Argument(help="Files, a folder or a glob of documents.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Instead: a Hugging Face dataset.")
    ] = None,
    subset: Annotated[str | None, typer.Option("--subset", help="Its configuration.")] = None,
    output: Annotated[Path, typer.Option("--output", help="The config to write.")] = Path(
        "my.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
) -> None:
    """Look at your data and write a first config for it, with the reason of every guess."""
    from curate.front import input_of, start_config, write_start

    config = input_of(data or [], dataset=dataset, subset=subset)
    start = start_config(config, output=f"runs/{output.stem}")
    write_start(start, output, force=force)
    _console().print("\n".join(_told(start, output)), soft_wrap=True)


def _told(start: Start, output: Path) -> Iterable[str]:
    yield f"Looked at {start.looked_at}."
    for key, guess in start.guesses.items():
        named = "–" if guess.column is None else guess.column
        yield f"  {key:<7} {named}: {guess.reason}"
        if not guess.sure:
            yield f"  {'':<7} NOT SURE, please check" + (
                f"; could be instead: {', '.join(guess.others)}" if guess.others else ""
            )
    yield f"Wrote {output}, with reasons and what else could be set as comments."
    yield f"Next: curate run {output}"


def show_config(
    table: Annotated[str | None, typer.Argument(help="One table, e.g. duplicates.near.")] = None,
) -> None:
    """List the keys of a config: type, default, meaning."""
    from curate.config_reference import config_keys

    for key in config_keys(table):
        _print(f"{key.path} = {key.default or 'required'}   ({key.kind})", key.meaning)


def show_rules(
    set: Annotated[str | None, typer.Argument(help="A rule set, or a TOML file of one.")] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", help="Whose reading of the published rules is meant.")
    ] = "datatrove",
    table: TablePath = None,
) -> None:
    """List the rule sets, or the rules of one: signal, bounds, where they come from."""
    from curate.front import rule_entries, rule_set_entries
    from curate.rule_tables import set_heading

    entries = rule_set_entries() if set is None else rule_entries(set, dialect=dialect)
    if set is not None:
        title, description = set_heading(set)
        _print(title, description)
    _list(entries, table)
    if set is None:
        _console().print('\ncurate rules SET lists its rules; [rules] sets = ["SET"] applies them')


def show_signals(
    name: Annotated[str | None, typer.Argument(help="One signal.")] = None,
    table: TablePath = None,
) -> None:
    """List the signals that rules may bound: unit and meaning."""
    from curate.front import signal_entries

    _list(signal_entries(name), table)


def _list(entries: list[Entry], table: Path | None) -> None:
    from curate.file_audit import check_table, write_table
    from curate.front import table_of

    if table is not None:
        check_table(table)
    for entry in entries:
        _print(entry.head, entry.below)
    if table is not None:
        write_table(table_of(entries), table)
        _console().print(f"\n{table}: one row a line of this list")


def _print(head: str, below: str) -> None:
    console = _console()
    console.print(head, style="bold", soft_wrap=True)
    if below:
        console.print(Padding(Text(below), (0, 0, 0, 4)))


def _console() -> Console:
    return Console(highlight=False, markup=False)


COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "config": show_config,
    "rules": show_rules,
    "signals": show_signals,
}
