"""Reader of Parquet files, and the way of any Arrow table into a batch.

Parquet is decoded by Arrow's C++ reader, row group by row group: on corrupt files it raises
ordinary errors where a Rust reader panics, and strings arrive unchecked, so that a single
row with invalid UTF-8 can be told from a broken file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.batches import BATCH_BYTES, Batch, Reject, excerpt, one_file
from curate.corpus.inputs import InputFile
from curate.corpus.nested import split_table
from curate.corpus.schema import BROKEN_FILE, INVALID_UTF8, as_json_text

MOST_ROWS = 1 << 16
MOST_DETAIL = 2_000

# A panic in Rust is no `Exception`; it is named so that an interrupt is never swallowed.
BROKEN_TABLE_ERRORS = (
    pa.ArrowException,
    OSError,
    UnicodeError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)


def read_parquet(file: InputFile, text: str, *, paths: Sequence[str] = ()) -> Iterator[Batch]:
    """Batches of a Parquet file; a broken row group costs what could not be decoded of it.

    Structs that a dotted name of `paths` reaches into are split (`nested.py`).

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.parquet"
    >>> pl.DataFrame({"text": ["a", "b"]}).write_parquet(path)
    >>> file = InputFile(path=path, name="a.parquet", format="parquet")
    >>> [batch.rows_read for batch in read_parquet(file, "text")]  # the last names the columns
    [2, 0]
    """
    lost: list[str] = []
    columns: list[str] = []
    try:
        with pq.ParquetFile(file.path) as parquet:
            columns = parquet.schema_arrow.names
            if paths:
                columns = split_table(parquet.schema_arrow.empty_table(), paths).column_names
            first = 1
            for group in range(parquet.num_row_groups):
                yield from _row_group(parquet, group, _Place(file.name, text, first, lost, paths))
                first += parquet.metadata.row_group(group).num_rows
    except BROKEN_TABLE_ERRORS as error:
        lost.append(describe(error))
    rejects: list[Reject] = []
    if lost:
        rejects.append((file.name, None, BROKEN_FILE, "; ".join(lost)[:MOST_DETAIL], None))
    yield one_file(file.name, (), pl.DataFrame(), rejects=rejects, columns=columns)


class _Place(NamedTuple):
    """Where a row group stands: file, text column, first row; what is lost; what is split."""

    name: str
    text: str
    first: int
    lost: list[str]
    paths: Sequence[str]


def _row_group(parquet: pq.ParquetFile, group: int, place: _Place) -> Iterator[Batch]:
    facts = parquet.metadata.row_group(group)
    rows = max(1, facts.num_rows * BATCH_BYTES // max(facts.total_byte_size, 1))
    row, last = place.first, place.first + facts.num_rows - 1
    try:
        for records in parquet.iter_batches(min(rows, MOST_ROWS), row_groups=[group]):
            table = split_table(pa.Table.from_batches([records]), place.paths)
            yield arrow_batch(table, place.name, row, place.text)
            row += records.num_rows
    except BROKEN_TABLE_ERRORS as error:
        where = f"row group {group + 1} of {parquet.num_row_groups}, rows {row} to {last} lost"
        place.lost.append(f"{where}: {describe(error)}")


def describe(error: BaseException) -> str:
    r"""Kind and first line of an error, short enough for a table.

    >>> describe(ValueError("bad\nvery bad"))
    'ValueError: bad'
    """
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def arrow_batch(table: pa.Table, name: str, first_row: int, text: str) -> Batch:
    r"""An Arrow table as a batch.

    Strings, and a text column of raw bytes, are checked to be UTF-8; a row with a bad one in
    any column is rejected. Dictionary columns become plain ones; what Polars has no type for
    becomes JSON text.

    Args:
        table: Rows next to each other in one file or dataset.
        name: Its name.
        first_row: Number of the first row.
        text: Name of the text column.

    >>> batch = arrow_batch(pa.table({"text": [b"good", b"caf\xe9"]}), "a.parquet", 1, "text")
    >>> batch.frame.rows(), batch.rejects.select("row", "reason").rows()
    ([('good',)], [(2, 'invalid UTF-8')])
    """
    columns = []
    invalid = np.zeros(table.num_rows, dtype=bool)
    rejects: dict[int, Reject] = {}
    for field, values in zip(table.schema, table.columns, strict=True):
        values = _plain(values)
        if _holds_text(values.type) or (field.name == text and _holds_bytes(values.type)):
            column, bad = _decoded(field.name, values)
            for i in np.flatnonzero(bad & ~invalid):
                raw = excerpt(values[int(i)].cast(pa.large_binary()).as_py())
                detail = f"column {field.name!r} holds bytes that are no UTF-8"
                rejects[int(i)] = (name, first_row + int(i), INVALID_UTF8, detail, raw)
            invalid |= bad
        else:
            column = _carried(field.name, values)
        columns.append(column)
    rows = np.arange(first_row, first_row + table.num_rows)[~invalid]
    frame = pl.DataFrame(columns)
    return one_file(
        name,
        rows.tolist(),
        frame if not invalid.any() else frame.filter(pl.Series(~invalid)),
        rejects=[rejects[i] for i in sorted(rejects)],
    )


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    return values.cast(kind.value_type) if pa.types.is_dictionary(kind) else values


def _holds_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _decoded(name: str, values: pa.ChunkedArray) -> tuple[pl.Series, np.ndarray]:
    """A String column, and which rows are no UTF-8 (null there)."""
    raw = values.cast(pa.large_binary())
    try:
        checked = raw.cast(pa.large_string())
        return pl.Series(name, checked, dtype=pl.String), np.zeros(len(raw), dtype=bool)
    except pa.ArrowInvalid:
        decoded = [None if value is None else _utf8(value) for value in raw.to_pylist()]
        column = pl.Series(name, decoded, dtype=pl.String)
        present = np.asarray(raw.is_valid())
        return column, column.is_null().to_numpy() & present


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _carried(name: str, values: pa.ChunkedArray) -> pl.Series:
    """Any other column; `ArrowInvalid` if its buffers are not what they say."""
    values.validate(full=True)
    # Polars panics on this type, and a panic writes to standard error before it is caught.
    if "decimal256" not in str(values.type):
        column = pl.from_arrow(values)
        assert isinstance(column, pl.Series)
        return column.alias(name)
    return as_json_text(pl.Series(name, values.to_pylist(), dtype=pl.Object))
