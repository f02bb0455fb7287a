"""The document table, the quarantine table, and how column types of many files meet.

**documents**: `id` String (unique) · `text` String · `source` String · `control` String
(null = native document) · further columns of the input, untouched. Row order = input order.

**quarantine**: what could not become a document, one row a rejected row of the input, plus
one row (with `row` null) a file that is broken as a whole or from some point on. `id` is the id
that the row has or would have had; null where it could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from curate.errors import ConfigError

ID, TEXT, SOURCE, CONTROL = "id", "text", "source", "control"
UNKNOWN_SOURCE = "unknown"

DOCUMENT_SCHEMA: Mapping[str, DataTypeClass] = {
    ID: pl.String,
    TEXT: pl.String,
    SOURCE: pl.String,
    CONTROL: pl.String,
}

#: Names that belong to tables of a run; an input column of that name is carried as `input_<name>`.
RESERVED_COLUMNS = (
    ID,
    TEXT,
    SOURCE,
    CONTROL,
    "failed",
    "kept",
    "cluster_id",
    "cluster_size",
    "duplicate_of",
    "jaccard",
    "quality",
)

NULL_TEXT = "null text"
MISSING_TEXT = "missing text"
TEXT_NOT_STRING = "text not a string"
EMPTY_TEXT = "empty text"
INVALID_UTF8 = "invalid UTF-8"
BAD_LINE = "bad line"
NOT_AN_OBJECT = "not an object"
NULL_ID = "null id"
REPEATED_ID = "repeated id"
BROKEN_FILE = "broken file"

QUARANTINE_SCHEMA: Mapping[str, DataTypeClass] = {
    "path": pl.String,
    "row": pl.Int64,
    "reason": pl.String,
    "detail": pl.String,
    "raw": pl.String,
    "id": pl.String,
}

#: Longest excerpt of a rejected row, in characters.
EXCERPT_CHARS = 200


def quarantine_frame(rows: Sequence[tuple[str, int | None, str, str, str | None]]) -> pl.DataFrame:
    """Rows of the quarantine table from `(path, row, reason, detail, raw)`.

    >>> quarantine_frame([("a.jsonl", 3, BAD_LINE, "no JSON", "{oops")])["row"].to_list()
    [3]
    """
    named = [name for name in QUARANTINE_SCHEMA if name != ID]
    frame = pl.DataFrame(
        rows, schema=dict.fromkeys(named, pl.String) | {"row": pl.Int64}, orient="row"
    )
    return frame.with_columns(pl.lit(None, pl.String).alias(ID))


def carried_names(columns: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """New name of every input column that is carried through.

    Args:
        columns: Column names of the input.
        taken: Which of them feed `id`, `text` and `source` (role → column); these are left out.

    Returns:
        Input name → name in the documents table. A name that a run's own tables use becomes
        `input_<name>`.

    Raises:
        ConfigError: If two columns would then have the same name.

    >>> carried_names(["id", "body", "kept", "url"], {"id": "id", "text": "body"})
    {'kept': 'input_kept', 'url': 'url'}
    """
    used = set(taken.values())
    names = {
        name: f"input_{name}" if name in RESERVED_COLUMNS else name
        for name in columns
        if name not in used
    }
    for name, new in names.items():
        if name != new and new in names:
            raise ConfigError(
                f"input column {name!r} belongs to Curate's own tables and would be carried as"
                f" {new!r}, which the input has too; rename one of them"
            )
    return names


def common_type(a: DataType, b: DataType) -> DataType:
    """The type that a column has in the documents table when its files disagree.

    Equal types stay; a column that is all null takes the other's type; two numeric types meet
    in the numeric type that holds both; everything else meets in String.

    >>> common_type(pl.Int64(), pl.Float64()), common_type(pl.Int64(), pl.String())
    (Float64, String)
    """
    if a == b or b == pl.Null():
        return a
    if a == pl.Null():
        return b
    if a.is_numeric() and b.is_numeric() and not (a.is_decimal() or b.is_decimal()):
        both = [pl.DataFrame(schema={"x": kind}) for kind in (a, b)]
        met = pl.concat(both, how="vertical_relaxed").schema["x"]
        if met != pl.Int128():  # Parquet has no 128-bit integer
            return met
    return pl.String()


def merge_schemas(schemas: Sequence[Mapping[str, DataType]]) -> dict[str, DataType]:
    """Union of schemas, columns in order of first appearance, types by `common_type`.

    >>> merge_schemas([{"a": pl.Int8()}, {"b": pl.Date(), "a": pl.Int64()}])
    {'a': Int64, 'b': Date}
    """
    merged: dict[str, DataType] = {}
    for schema in schemas:
        for name, kind in schema.items():
            merged[name] = common_type(merged[name], kind) if name in merged else kind
    return merged


def conform(frame: pl.DataFrame, schema: Mapping[str, DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns and types of `schema`; missing columns become null.

    >>> conform(pl.DataFrame({"a": [1]}), {"a": pl.String(), "b": pl.Int64()}).row(0)
    ('1', None)
    """
    columns = [
        _cast(frame[name], kind) if name in frame.columns else _nulls(name, frame.height, kind)
        for name, kind in schema.items()
    ]
    return pl.DataFrame(columns)


def _nulls(name: str, height: int, kind: DataType) -> pl.Series:
    return pl.Series(name, [], dtype=kind).extend_constant(None, height)


def _cast(column: pl.Series, kind: DataType) -> pl.Series:
    if column.dtype == kind:
        return column
    if kind == pl.String() and (column.dtype.is_nested() or column.dtype == pl.Binary):
        return as_json_text(column)
    return column.cast(kind)


def as_json_text(column: pl.Series) -> pl.Series:
    """A column of anything as String: JSON for lists and structs, `str` where JSON has no word.

    >>> as_json_text(pl.Series([[1, 2], None])).to_list()
    ['[1, 2]', None]
    """
    values = [None if value is None else _json(value) for value in column.to_list()]
    return pl.Series(column.name, values, dtype=pl.String)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
