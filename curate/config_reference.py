"""Every key of a run config with its type, default and meaning, read from the dataclasses.

python -m curate.config_reference > docs/configuration.md
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curate.clean import CLEANERS
from curate.config import RunConfig
from curate.corpus import InputConfig
from curate.errors import ConfigError, unknown_name
from curate.experiment import ARM_GROUPS
from curate.quality import SCORES
from curate.rules import DIALECTS, RULE_SETS

__all__ = ["Key", "config_keys", "configuration_page"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key of the config.

    Attributes:
        path: Dotted, as `--set` and TOML tables take it.
        kind: Its type in words, e.g. `text` or `list of text`.
        default: As TOML would write it; empty where the key is required.
        meaning: What it does.
    """

    path: str
    kind: str
    default: str
    meaning: str


# Docstrings name these constants; whoever writes a config wants what they hold.
_NAMED: Mapping[str, typing.Iterable[str]] = {
    "ARM_GROUPS": ARM_GROUPS,
    "CLEANERS": CLEANERS,
    "DIALECTS": DIALECTS,
    "RULE_SETS": RULE_SETS,
    "SCORES": SCORES,
}


def config_keys(table: str | None = None) -> list[Key]:
    """All keys in the order of the tables; or those of one table.

    Raises:
        ConfigError: No such table.

    >>> [key.path for key in config_keys("controls")]
    ['controls.share']
    """
    keys = list(_keys(RunConfig, ""))
    if table is None:
        return keys
    names = sorted({key.path.partition(".")[0] for key in keys})
    if table.partition(".")[0] not in names:
        raise ConfigError(unknown_name("table", table, names))
    return [key for key in keys if key.path == table or key.path.startswith(f"{table}.")]


def _keys(kind: type, prefix: str) -> Iterator[Key]:
    hints, meanings = typing.get_type_hints(kind), _meanings(kind)
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        inner = _dataclass_in(hints[field.name])
        path = f"{prefix}{field.name}"
        if inner is None or field.name in meanings:
            yield Key(
                path=path,
                kind=_kind(hints[field.name]),
                default=_default(field),
                meaning=meanings.get(field.name, ""),
            )
        if inner is not None and (inner is not InputConfig or not prefix):
            yield from _keys(inner, f"{path}.")  # other texts take the keys of [input]


def _meanings(kind: type) -> dict[str, str]:
    """The `Attributes:` of a docstring: name -> words."""
    words = inspect.cleandoc(kind.__doc__ or "")
    _, _, rest = words.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.startswith("        ") and name:
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return {name: _in_words(meaning) for name, meaning in found.items()}


def _in_words(meaning: str) -> str:
    """A meaning without names that only the code knows."""
    for name, holds in _NAMED.items():
        meaning = meaning.replace(f"`{name}`", ", ".join(f"`{item}`" for item in holds))
    return re.sub(r"`?\bNone\b`?", "`none`", meaning)


def _dataclass_in(hint: Any) -> type | None:  # noqa: ANN401 - type hints are any
    """The dataclass that a hint names by itself or beside None."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    found = [option for option in options if dataclasses.is_dataclass(option)]
    return found[0] if found and isinstance(found[0], type) else None


def _is_union(hint: Any) -> bool:  # noqa: ANN401 - type hints are any
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _kind(hint: Any) -> str:  # noqa: ANN401 - type hints are any
    if _is_union(hint):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return " or ".join(dict.fromkeys(_kind(option) for option in options))
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' for value in typing.get_args(hint))
    if origin is tuple:
        inside = [arg for arg in typing.get_args(hint) if arg is not Ellipsis]
        return f"list of {_kind(inside[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return "table"
    return _WORDS.get(hint, "table")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return _written(field.default)
    if field.default_factory is dataclasses.MISSING:
        return ""
    made = field.default_factory()
    return "as below" if dataclasses.is_dataclass(made) else _written(made)


def _written(value: object) -> str:
    if value is None or dataclasses.is_dataclass(value):
        return "none" if value is None else "as below"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_written(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{}" if not value else str(dict(value))
    return str(value)


def configuration_page() -> str:
    """`docs/configuration.md`: one section a table, one row a key.

    >>> configuration_page().splitlines()[0]
    '# Configuration'
    """
    lines = [
        "# Configuration",
        "",
        "Every key that a run's TOML file (or `--set key=value`, dotted) may hold. A key without",
        "default is required. `none` means that a thing is off, or its choice left to Curate;",
        "`near = false` switches off a table that is on, and naming a table that is off",
        "(`[duplicates.passages]`) switches it on. `curate config [TABLE]` prints the same.",
    ]
    section = None
    keys = config_keys()
    tables = {key.path.partition(".")[0] for key in keys if "." in key.path}
    for key in sorted(keys, key=lambda key: key.path.partition(".")[0] in tables):
        head = key.path.partition(".")[0]
        table = head if head in tables else ""
        if table != section:
            section = table
            lines += ["", f"## `[{table}]`" if table else "## Top level", ""]
            lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        default = f"`{key.default}`" if key.default else "required"
        meaning = key.meaning.replace("|", "\\|")
        lines.append(f"| `{key.path}` | {key.kind} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(configuration_page())
