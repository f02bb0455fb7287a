"""Rule sets as they are written: TOML files read under a dialect, and the config's changes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.errors import ConfigError, unknown_name

__all__ = [
    "DIALECTS",
    "RULE_SETS",
    "check_keys",
    "override_of",
    "set_heading",
    "set_tables",
    "with_overrides",
]

# Whose reading of the published rules; what a set says without a dialect is datatrove's.
DIALECTS = ("datatrove", "dolma", "nemo", "dclm", "redpajama")
_FOLDER = Path(__file__).with_name("rulesets")
RULE_SETS = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))  # come with the library
_SHAPES = ("min", "max", "among")  # what a rule may ask of a value

Tables = dict[str, dict[str, Any]]


def set_tables(sets: Iterable[str], dialect: str) -> Tables:
    """Every rule of some sets as it is written under a dialect, by `set.rule`.

    >>> set_tables(["c4"], "datatrove")["c4.sentences"]["min"]
    5
    """
    tables: Tables = {}
    for name in sets:
        path = _set_path(name)
        for rule, table in _read_set(path, dialect).items():
            tables[f"{path.stem}.{rule}"] = {"path": f"{path.name}: rules.{rule}", **table}
    return tables


def set_heading(name: str) -> tuple[str, str]:
    """Title and description of a set, as its file has them.

    >>> set_heading("web_safety")[0]
    'Web safety'
    """
    values = _set_values(_set_path(name))
    return str(values.get("title", "")), str(values.get("description", ""))


def _set_path(name: str) -> Path:
    if name in RULE_SETS:
        return _FOLDER / f"{name}.toml"
    if name.endswith(".toml"):
        return Path(name)
    raise ConfigError(unknown_name("rule set", name, RULE_SETS) + "; or the path of a .toml file")


def _read_set(path: Path, dialect: str) -> dict[str, dict[str, Any]]:
    """Rules of a file as one dialect reads them; a set without that dialect keeps its own."""
    values = _set_values(path)
    check_keys(values, ("title", "description", "dialect", "rules", "dialects"), path.name)
    own = values.get("dialect", "any")
    for name in (own, *values.get("dialects", {})):
        if name not in (*DIALECTS, "any"):
            raise ConfigError(f"{path.name}: {unknown_name('dialect', name, (*DIALECTS, 'any'))}")
    rules = dict(values.get("rules", {}))
    for name, changes in values.get("dialects", {}).get(dialect, {}).items():
        rules[name] = _in_dialect(rules.get(name, {}), changes)
    return {name: table for name, table in rules.items() if table is not None}


def _set_values(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no rule set file {str(path)!r}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} is no TOML file: {error}") from None


def _in_dialect(rule: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """A rule under a dialect: another column, other bounds (all of them), or no such rule."""
    if not changes.get("enabled", True):
        return None
    bounds = _SHAPES if set(_SHAPES) & set(changes) else ()
    kept = {key: value for key, value in rule.items() if key not in bounds}
    return {**kept, **{key: value for key, value in changes.items() if key != "enabled"}}


def check_keys(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    """Refuse a key that is not allowed.

    >>> check_keys({"mim": 1}, ["min", "max"], "rules.add.a")
    Traceback (most recent call last):
    curate.errors.ConfigError: rules.add.a: unknown key 'mim'; did you mean 'min'? known: max, min
    """
    for key in table:
        if key not in allowed:
            raise ConfigError(f"{where}: {unknown_name('key', key, allowed)}")


def with_overrides(tables: Tables, override: Mapping[str, Any]) -> Tables:
    """The tables with the config's changes; a rule that is not `enabled` is left out.

    >>> tables = {"a.words": {"signal": "words", "min": 50}, "a.lines": {}}
    >>> with_overrides(tables, {"a.words": {"min": 9}, "a.lines": {"enabled": False}})["a.words"]
    {'signal': 'words', 'min': 9, 'source': 'changed by the config'}
    """
    tables = dict(tables)
    for name, values in override.items():
        changes = override_of(name, values, tables)
        if not changes.pop("enabled", True):
            del tables[name]
        elif changes:
            source = f"{tables[name].get('source', '')}; changed by the config".lstrip("; ")
            tables[name] = {**tables[name], **changes, "source": source}
    return tables


def override_of(name: str, values: object, known: Iterable[str]) -> dict[str, Any]:
    """What a config changes of one rule, if it may.

    >>> override_of("a.words", {"min": 9}, ["a.words"])
    {'min': 9}
    """
    if name not in known:
        raise ConfigError(f"rules.override: {unknown_name('rule', name, known)}")
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"rules.override.{name!r} is {values!r}; allowed: a table of min, max, among, enabled"
        )
    check_keys(values, (*_SHAPES, "enabled"), f"rules.override.{name!r}")
    return dict(values)
