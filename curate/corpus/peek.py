"""The first rows of an input, before anybody has said which columns are text, id and source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.arrow import BROKEN_TABLE_ERRORS, describe
from curate.corpus.batches import UnusableError
from curate.corpus.hub import dataset_name, first_table
from curate.corpus.inputs import COMPRESSIONS, InputConfig, InputFile, find_files, format_of
from curate.corpus.jsonl import json_lines, parse_record
from curate.corpus.plain import read_csv, read_text_files
from curate.corpus.streams import BrokenStreamError, byte_chunks, numbered_lines
from curate.errors import InputError

__all__ = ["FirstRows", "first_rows"]

MOST_FILES, MOST_ROWS = 8, 2_000
PLACES = 8  # of one file: rows are often sorted by their source
MOST_BYTES = 32_000_000  # of one file
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstRows:
    """Some rows of an input, nested fields under dotted names.

    Attributes:
        config: What was looked at, with the format where the files' suffixes do not say it.
        names: All files of the input, relative to its root; or the name of the dataset.
        looked_at: How many of them were looked at.
        formats: Formats of these.
        rows: How many rows were read.
        columns: Column → its values as the reader gives them, `None` where a row has none.
        files: The file of each row.
        problems: File → why it could not be read (further); at most the first problem.
        unreadable: How many lines between the rows are none, and will go to quarantine.
    """

    config: InputConfig
    names: tuple[str, ...]
    looked_at: int
    formats: tuple[str, ...]
    rows: int
    columns: dict[str, list[Any]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    unreadable: int = 0


def first_rows(config: InputConfig, *, rows: int = MOST_ROWS) -> FirstRows:
    r"""Rows from the beginnings of some files of an input, spread over them; of all formats.

    At most eight files are opened; of a Parquet file and of plain JSON lines, rows come from eight
    places. The columns that `config` names play no part.

    Args:
        config: Where the documents come from.
        rows: About how many rows to read.

    Raises:
        InputError: Nothing is there, or no row can be read.
        ConfigError: A named file has a suffix, and a content, that no reader knows.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"doc": {"text": "good", "lang": "en"}}\n')
    >>> first_rows(InputConfig(path=str(path))).columns
    {'doc.text': ['good'], 'doc.lang': ['en']}
    """
    if config.dataset is not None:
        name = dataset_name(config)
        first = [(name, row) for row in _python_rows(first_table(config, rows))]
        return _told(config, (name,), ("dataset",), first)
    config = _with_format(config)
    files = find_files(config)
    chosen = _spread(files, MOST_FILES)
    taken: list[tuple[str, dict[str, Any]]] = []
    problems: dict[str, str] = {}
    unreadable: list[bytes] = []
    for file in chosen:
        found, problem = _tried(file, -(-rows // len(chosen)), unreadable)
        taken += [(file.name, row) for row in found]
        problems |= {file.name: problem} if problem else {}
    if not taken:
        said = "; ".join(f"{name}: {why}" for name, why in problems.items()) or "it is empty"
        raise InputError(f"no row of {config.path!r} can be read: {said}")
    formats = tuple(dict.fromkeys(file.format for file in chosen))
    told = _told(config, tuple(file.name for file in files), formats, taken)
    return replace(told, looked_at=len(chosen), problems=problems, unreadable=len(unreadable))


def _told(
    config: InputConfig,
    names: tuple[str, ...],
    formats: tuple[str, ...],
    taken: Sequence[tuple[str, dict[str, Any]]],
) -> FirstRows:
    rows = [_flat(row) for _, row in taken]
    columns = dict.fromkeys(name for row in rows for name in row)
    return FirstRows(
        config=config,
        names=names,
        looked_at=1,
        formats=formats,
        rows=len(rows),
        columns={name: [row.get(name) for row in rows] for name in columns},
        files=tuple(name for name, _ in taken),
    )


def _tried(file: InputFile, most: int, bad: list[bytes]) -> tuple[list[dict[str, Any]], str]:
    """Rows of one file, and why there are no (more) of them; empty = there was no problem."""
    found: list[dict[str, Any]] = []
    try:
        for row in _rows(file, most, bad):
            found.append(row)
    except BrokenStreamError as error:
        return found, str(error)
    except UnusableError as error:
        return found, f"{error.reason} ({error.detail})"
    except BROKEN_TABLE_ERRORS as error:
        return found, describe(error)
    return found, ""


def _with_format(config: InputConfig) -> InputConfig:
    """The config with its format where a single file's suffix does not tell it, or a wrong one."""
    path = Path(config.path).expanduser() if isinstance(config.path, str) else None
    if config.format is not None or path is None or not path.is_file():
        return config
    if format_of(path) in (None, "text"):
        found = _format_inside(path)
        return config if found is None else replace(config, format=found)
    return config


def _format_inside(path: Path) -> str | None:
    """Parquet or JSON lines, where a file's first bytes say so."""
    try:
        head = next(byte_chunks(path), b"")
        if head.startswith(PARQUET_MAGIC):
            return "parquet"
        lines = (line for _, line in numbered_lines(byte_chunks(path)))
        parse_record(next((line for line in lines if line.strip()), b""))
    except (BrokenStreamError, UnusableError):
        return None
    return "jsonl"


def _rows(file: InputFile, most: int, bad: list[bytes]) -> Iterator[dict[str, Any]]:
    """Rows of one file as its reader takes them; lines that are none go to `bad`."""
    if file.format == "parquet":
        return _parquet_rows(file, most)
    if file.format == "csv":
        return islice(_csv_rows(file), most)
    if file.format == "text":
        return (row for batch in read_text_files((file,), "text") for row in batch.frame.to_dicts())
    return _json_rows(file, most, bad)


def _parquet_rows(file: InputFile, most: int) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(file.path) as parquet:
        groups = _spread(range(parquet.num_row_groups), PLACES)
        each = -(-most // max(len(groups), 1))
        for group in groups:
            batch = next(parquet.iter_batches(each, row_groups=[group]), None)
            if batch is not None:
                yield from _python_rows(pa.Table.from_batches([batch]))


def _python_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows of a table; a column of strings that are no UTF-8 is taken as bytes."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except UnicodeDecodeError:
            columns[name] = column.cast(pa.large_binary()).to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _csv_rows(file: InputFile) -> Iterator[dict[str, Any]]:
    for batch in read_csv(file):
        yield from batch.frame.to_dicts()


def _json_rows(file: InputFile, most: int, bad: list[bytes]) -> Iterator[dict[str, Any]]:
    """Objects; a line that is none is said only where no line is one: the run quarantines it."""
    found, first = 0, None
    for line in _json_pieces(file, most):
        try:
            yield parse_record(line)
            found += 1
        except UnusableError as error:
            first = first or error
            bad.append(line)
    if not found and first is not None:
        raise first


def _json_pieces(file: InputFile, most: int) -> Iterator[bytes]:
    """Lines from the beginning; of a large plain file, from several places."""
    large = file.path.stat().st_size > PLACES * most * 200
    if not large or file.path.suffix.lower() in (*COMPRESSIONS, ".json") or _is_packed(file.path):
        return _some_lines(json_lines(file), most)
    return _lines_at(file.path, -(-most // PLACES))


def _is_packed(path: Path) -> bool:
    """Whether the bytes of a file are not those of its lines."""
    with path.open("rb") as file:
        return not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _lines_at(path: Path, most: int) -> Iterator[bytes]:
    """Lines from several places of a file, none of them twice."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for place in range(PLACES):
            file.seek(size * place // PLACES)
            if place:
                file.readline()  # the rest of a line that began before
            lines = _lines_before(file, size * (place + 1) // PLACES)
            yield from _some_lines(enumerate(lines), most)


def _lines_before(file: BinaryIO, end: int) -> Iterator[bytes]:
    while file.tell() < end and (line := file.readline()):
        yield line


def _some_lines(lines: Iterable[tuple[int, bytes]], most: int) -> Iterator[bytes]:
    taken = bytes_taken = 0
    for _, line in lines:
        if line and not line.isspace():
            yield line
            taken, bytes_taken = taken + 1, bytes_taken + len(line)
        if taken >= most or bytes_taken >= MOST_BYTES:
            return


def _flat(row: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Fields of nested objects under dotted names; bytes that are UTF-8 as text."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{head}{key}"
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = _decoded(value)
    return flat


def _decoded(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _spread(things: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, from the first to the last."""
    if len(things) <= most:
        return list(things)
    return [things[i * (len(things) - 1) // (most - 1)] for i in range(most)]
