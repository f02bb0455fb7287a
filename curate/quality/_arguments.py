"""Wrong types of arguments, named before they fail somewhere inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.corpus import file_digest
from curate.errors import ConfigError, IntegrityError


def checked_frame(
    frame: object, what: str, *, columns: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pl.DataFrame:
    """The frame, if it is one and has the columns, the last of them numeric or Boolean.

    >>> checked_frame(pl.DataFrame({"a": ["x"]}), "scores", numbers=["a"])
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: column 'a' of the scores is String, but it must hold numbers
    """
    if not isinstance(frame, pl.DataFrame):
        raise ConfigError(f"the {what} are a {type(frame).__name__}; give a Polars DataFrame")
    for name in (*columns, *numbers):
        if name not in frame.columns:
            raise ConfigError(f"the {what} have no column {name!r}; columns: {frame.columns}")
    for name in numbers:
        kind = frame[name].dtype
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            raise ConfigError(f"column {name!r} of the {what} is {kind}, but it must hold numbers")
    return frame


def check_numbers(config: object, table: str, names: Sequence[str]) -> None:
    """Fields of a config that must be numbers (or None) are.

    >>> from types import SimpleNamespace
    >>> check_numbers(SimpleNamespace(bits="18"), "quality", ["bits"])
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: quality.bits is '18' (str); allowed: a number
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            kind = type(value).__name__
            raise ConfigError(f"{table}.{name} is {value!r} ({kind}); allowed: a number")


def read_card(folder: Path, name: str, what: str) -> Any:  # noqa: ANN401 - JSON is any
    """The JSON file that says what was saved in a folder.

    >>> read_card(Path("no/such"), "model.json", "quality model")
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: no quality model in 'no/such': model.json is missing
    """
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no {what} in {str(folder)!r}: {name} is missing") from None


def check_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Refuse files of a saved model that are not those that were saved with it.

    Args:
        folder: Where the model lies.
        digests: File name → sha256.

    >>> check_digests(Path("no/such"), {"weights.npz": "0"})
    Traceback (most recent call last):
      ...
    curate.errors.IntegrityError: 'no/such/weights.npz' is not the file that was saved
    """
    for name, digest in digests.items():
        if not (folder / name).exists() or file_digest(folder / name) != digest:
            raise IntegrityError(f"{str(folder / name)!r} is not the file that was saved")
