"""Composition of the stage configs into one run config; TOML in, TOML out.

Each stage's frozen dataclass lives beside its code. Here they are only put together, filled
from a mapping, and written back. An unknown key names its path and the keys that are allowed.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from curate.audits import AuditConfig
from curate.clean import CleanConfig
from curate.controls import ControlsConfig
from curate.corpus import DecontaminationConfig, InputConfig, keys_named
from curate.duplicates import DuplicatesConfig
from curate.errors import ConfigError, unknown_name
from curate.experiment import MeasureConfig
from curate.quality import QualityConfig
from curate.rules import RulesConfig
from curate.signals import SignalsConfig

T = TypeVar("T")

# What `table = false` means where a table is not optional: nothing of it is done.
_OFF: Mapping[type, Mapping[str, Any]] = {
    AuditConfig: {"groups": []},
    CleanConfig: {},
    ControlsConfig: {"share": 0.0},
    DuplicatesConfig: {"exact": False, "near": False},
    QualityConfig: {},
    RulesConfig: {},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """Where a run is written, and what it must yield.

    Attributes:
        path: The run folder.
        min_yield: Smallest share of native documents that must be kept, in [0, 1]; below it
            the run ends with a failed gate. The default only forbids a wipe-out.
        energy: Whether each stage's energy is measured too, where codecarbon is installed
            (`pip install 'curate-corpus[track]'`); it takes a second a stage.
    """

    path: str
    min_yield: float = 0.01
    energy: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_yield <= 1:
            raise ConfigError(f"output.min_yield is {self.min_yield}; allowed: 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """One whole run: every table is optional but `input` and `output`.

    Attributes:
        seed: Seed of everything random; the same seed gives the same bytes.
        truth: Parquet file with `id` and `kind` (null = clean text) for raw text whose noise is
            known; it adds the oracle arm. Never read by any stage before the experiment.
        decontamination: What is done about documents that overlap evaluation sets; `None` only
            keeps them out of the experiment.
        measure: `None` leaves the experiment out.
    """

    input: InputConfig
    output: OutputConfig
    seed: int = 17
    truth: str | None = None
    clean: CleanConfig = field(default_factory=CleanConfig)
    signals: SignalsConfig = field(default_factory=SignalsConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    controls: ControlsConfig = field(default_factory=ControlsConfig)
    decontamination: DecontaminationConfig | None = None
    measure: MeasureConfig | None = None


def load_config(
    source: str | Path | Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read a run config from a TOML file or a mapping.

    Args:
        source: Path of a TOML file, or a nested mapping of the same shape.
        overrides: Dotted keys to set on top, e.g. `{"duplicates.near.jaccard": 0.7}`.

    Raises:
        ConfigError: The file is missing or no TOML; a key is unknown or missing; a value has
            the wrong type. The message names the dotted path.

    >>> config = load_config({"input": {"path": "a.jsonl"}, "output": {"path": "runs/a"}})
    >>> config.seed, config.duplicates.near.jaccard
    (17, 0.8)
    >>> load_config({"input": {"pth": "a"}, "output": {"path": "b"}})
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: unknown key 'input.pth'; did you mean 'path'? known: ...
    """
    if not isinstance(source, str | Path | Mapping):
        raise ConfigError(
            f"a config is the path of a TOML file or a mapping, not a {type(source).__name__}"
        )
    values = _read_toml(Path(source)) if isinstance(source, str | Path) else _deep_copy(source)
    for key, value in (overrides or {}).items():
        _set_dotted(values, key, value)
    return from_mapping(RunConfig, values)


def from_mapping(kind: type[T], values: Mapping[str, Any], *, path: str = "") -> T:
    """Build a config dataclass from nested mappings, checking keys and types.

    >>> from_mapping(OutputConfig, {"path": "runs/x"}).path
    'runs/x'
    """
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(
                unknown_name("key", key, fields).replace(repr(key), f"'{path}{key}'", 1)
            )
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    for name in required:
        if name not in values:
            raise ConfigError(f"missing key '{path}{name}' in the config")
    return kind(**{k: _convert(hints[k], v, f"{path}{k}") for k, v in values.items()})


def to_toml(config: RunConfig) -> str:
    """The config as TOML text that `load_config` reads back to an equal config.

    >>> config = load_config({"input": {"path": "a.jsonl"}, "output": {"path": "runs/a"}})
    >>> load_config(tomllib.loads(to_toml(config))) == config
    True
    """
    lines: list[str] = []
    _write_table(lines, "", config_values(config))
    return "\n".join(lines).strip() + "\n"


def config_values(config: object) -> dict[str, Any]:
    """A config dataclass as nested plain values; keys that are `None` are left out.

    >>> config_values(OutputConfig(path="runs/x"))
    {'path': 'runs/x', 'min_yield': 0.01, 'energy': False}
    """
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):  # type: ignore[arg-type]
        value = _plain(getattr(config, f.name))
        if value is not None:
            values[f.name] = value
        elif f.default is not None:
            values[f.name] = False  # the table is switched off although its default is on
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """One `key=value` of the command line; the value is TOML, or else a plain string.

    >>> parse_assignment("duplicates.near.jaccard=0.7")
    ('duplicates.near.jaccard', 0.7)
    >>> parse_assignment("input.path=data/a.jsonl")
    ('input.path', 'data/a.jsonl')

    A name that itself holds a dot may be quoted, as in TOML: `rules.override."c4.words".min=5`.
    """
    key, found, raw = text.partition("=")
    if not found or not key.strip():
        raise ConfigError(f"{text!r} is no assignment; write key=value, e.g. seed=3")
    try:
        return key.strip(), tomllib.loads(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        return key.strip(), raw


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no config file {str(path)!r}") from None
    except IsADirectoryError:
        raise ConfigError(f"{str(path)!r} is a folder, not the TOML file of a config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} is no TOML file: {error}") from None


def _deep_copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _deep_copy(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _set_dotted(values: dict[str, Any], key: str, value: object) -> None:
    *parents, last = _parts(key)
    for i, name in enumerate(parents):
        # A rule is named "set.rule": its dotted name is one key of the override table.
        if parents[:i] == ["rules", "override"] and len(parents) > i + 1:
            name, parents = f"{name}.{parents[i + 1]}", [*parents[: i + 1]]
            values = values.setdefault(name, {})
            break
        child = values.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"cannot set {key!r}: {name!r} is no table")
        values = child
    values[last] = value


def _parts(key: str) -> list[str]:
    """The names of a dotted key as TOML reads it: a quoted one may hold dots."""
    try:
        table: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return key.split(".")
    parts = []
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        parts.append(name)
    return parts


def _convert(hint: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - the hint decides
    options = _options(hint)
    if value is False and type(None) in options and bool not in options:
        return None  # `near = false` switches an optional table off
    if value is False and options[0] in _OFF:
        value = _OFF[options[0]]
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(value, Mapping):
            with keys_named(path) if option is InputConfig else nullcontext():
                return from_mapping(option, value, path=f"{path}.")  # type: ignore[arg-type]
    for option in options:
        converted = _simple(option, value)
        if converted is not None:
            return converted
    allowed = " or ".join(_name(o) for o in options if o is not type(None))
    raise ConfigError(f"{path} is {value!r} ({type(value).__name__}); allowed: {allowed}")


def _options(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _simple(option: Any, value: Any) -> Any:  # noqa: ANN401
    origin = typing.get_origin(option) or option
    if origin is typing.Any:
        return value
    if origin is tuple:
        return _sequence(option, value)
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return dict(value)
    if origin is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    exact = isinstance(value, origin) if isinstance(origin, type) else False
    return value if exact and (origin is bool or not isinstance(value, bool)) else None


def _sequence(option: Any, value: Any) -> tuple[Any, ...] | None:  # noqa: ANN401
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None
    item = (typing.get_args(option) or (typing.Any,))[0]
    items = tuple(_simple(item, v) for v in value)
    return None if None in items else items


_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _name(option: Any) -> str:  # noqa: ANN401
    """A type in the words of a TOML file."""
    if typing.get_origin(option) is tuple:
        inside = (typing.get_args(option) or (str,))[0]
        return 'a list, e.g. ["a", "b"]' if inside is str else "a list, e.g. [1, 2]"
    return _KINDS.get(option, "a table")


def _plain(value: Any) -> Any:  # noqa: ANN401
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return config_values(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _write_table(lines: list[str], path: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if not isinstance(value, Mapping):
            lines.append(f"{_key(key)} = {toml_value(value)}")
    for key, value in values.items():
        if isinstance(value, Mapping) and (value or path == ""):
            name = f"{path}.{_key(key)}" if path else _key(key)
            lines += ["", f"[{name}]"]
            _write_table(lines, name, value)


def _key(key: str) -> str:
    return (
        key
        if key.replace("_", "").replace("-", "").isalnum() and key.isascii()
        else toml_value(key)
    )


def toml_value(value: Any) -> str:  # noqa: ANN401
    """A plain value as TOML writes it.

    >>> toml_value({"jaccard": 0.8, "preset": "fineweb"})
    '{ jaccard = 0.8, preset = "fineweb" }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    return repr(value)
