"""Whether a table can be audited: columns that are there, of a kind that serves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from curate.audits.gate import STRATA
from curate.errors import ConfigError, unknown_name

# Asked for unless others are named, and left out in silence where they are missing.
OPTIONAL = frozenset({"source", *STRATA})
VERDICT = "verdict"
# Columns that no message offers as groups.
HIDDEN = ("text", "failed", "kept", "control")
_NESTED = (pl.List, pl.Array, pl.Struct, pl.Object, pl.Binary)


def with_reasons(judged: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """The frame with `failed`, made from `kept` where it has that alone.

    Raises:
        ConfigError: `failed` holds no lists of reasons, or `kept` is no Boolean.
    """
    if "failed" in schema:
        kind = schema["failed"]
        if not (isinstance(kind, pl.List) and kind.inner in (pl.String, pl.Null)):
            raise ConfigError(
                f"column 'failed' is {kind}; it must hold lists of reasons, each as"
                " 'set.rule' (List[String]); an empty list says that the document is kept"
            )
        return judged.with_columns(pl.col("failed").cast(pl.List(pl.String)))
    if "kept" not in schema:
        return judged
    if schema["kept"] != pl.Boolean:
        raise ConfigError(f"column 'kept' is {schema['kept']}; it must be true or false")
    passed = pl.lit([], dtype=pl.List(pl.String))
    removed = pl.lit([f"{VERDICT}.removed"])
    return judged.with_columns(failed=pl.when(pl.col("kept")).then(passed).otherwise(removed))


def check_groups(names: Sequence[str], schema: pl.Schema, *, hide: Iterable[str] = ()) -> None:
    """Refuse groups that are no column, or whose values are lists and the like.

    Args:
        names: Columns of groups.
        schema: Of the documents.
        hide: Columns that a message does not list.
    """
    if not names:
        raise ConfigError("no column of groups is named: an audit compares groups of documents")
    check_names("group column", names, schema, hide=hide)
    for name in names:
        if isinstance(schema[name], _NESTED):
            raise ConfigError(
                f"group column {name!r} is {schema[name]}; a document belongs to one group:"
                " take one value of it"
            )


def check_names(
    what: str, names: Iterable[str | None], schema: pl.Schema, *, hide: Iterable[str] = ()
) -> None:
    """Refuse names that are no column."""
    hidden = set(hide)
    for name in names:
        if name is not None and name not in schema:
            known = [column for column in schema.names() if column not in hidden]
            raise ConfigError(unknown_name(what, name, known, listed="the columns of the frame"))


def check_numbers(what: str, names: Iterable[str | None], schema: pl.Schema) -> None:
    """Refuse columns that hold no numbers."""
    for name in names:
        if name is not None and not (schema[name].is_numeric() or schema[name] == pl.Boolean):
            raise ConfigError(f"{what} {name!r} is {schema[name]}; it must be a number")


def check_sizes(frame: pl.DataFrame, names: Iterable[str]) -> None:
    """Refuse columns that are as good as different in every document."""
    for name in names:
        values = frame[name].n_unique()
        if values > max(50, frame.height / 2):
            raise ConfigError(
                f"group column {name!r} has {values:,} values in {frame.height:,} documents: these"
                " are no groups. Cut numbers and dates into classes first, and addresses to their"
                " hosts"
            )
