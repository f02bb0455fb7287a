"""Reader of JSON lines: strict JSON, one object a line; a bad line costs only itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from curate.corpus.batches import BATCH_BYTES, Batch, Reject, UnusableError, excerpt, one_file
from curate.corpus.inputs import InputFile, suffix_of
from curate.corpus.nested import split_record
from curate.corpus.schema import (
    BAD_LINE,
    BROKEN_FILE,
    INVALID_UTF8,
    MISSING_TEXT,
    NOT_AN_OBJECT,
    NULL_TEXT,
    TEXT_NOT_STRING,
)
from curate.corpus.streams import BYTE_ORDER_MARK, BrokenStreamError, byte_chunks, numbered_lines


def read_jsonl(file: InputFile, text: str, *, paths: Sequence[str] = ()) -> Iterator[Batch]:
    r"""Batches of a file with one JSON object a line; blank lines are no rows.

    JSON is taken strictly (RFC 8259: no NaN, no Infinity). Nested values are carried as JSON
    text; those that a dotted name of `paths` reaches into are split (`nested.py`). A `.json` file
    that holds one array gives one row an element.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"text": "good"}\n{oops\n')
    >>> batch = next(read_jsonl(InputFile(path=path, name="a.jsonl", format="jsonl"), "text"))
    >>> batch.frame.rows(), batch.rejects.select("row", "reason").rows()
    ([('good',)], [(2, 'bad line')])
    """
    found = _Records(file.name, text, paths)
    row = 0
    try:
        for row, line in json_lines(file):
            if not line or line.isspace():
                continue
            found.add(row, line)
            if found.size >= BATCH_BYTES:
                yield found.batch()
                found = _Records(file.name, text, paths)
    except BrokenStreamError as error:
        detail = f"{error}; read up to line {row}"
        found.rejects.append((file.name, None, BROKEN_FILE, detail, None))
    yield found.batch()


@dataclass
class _Records:
    """JSON objects collected until they make a batch."""

    name: str
    text: str
    paths: Sequence[str] = ()
    records: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    size: int = 0

    def add(self, row: int, line: bytes) -> None:
        self.size += len(line)
        try:
            record = split_record(parse_record(line), self.paths)
            self.columns.update(dict.fromkeys(record))
            _check_text(record, self.text)
        except UnusableError as error:
            self.rejects.append((self.name, row, error.reason, error.detail, excerpt(line)))
            return
        self.records.append(record)
        self.rows.append(row)

    def batch(self) -> Batch:
        names = dict.fromkeys(name for record in self.records for name in record)
        columns = [_column(name, [r.get(name) for r in self.records]) for name in names]
        return one_file(
            self.name,
            self.rows,
            pl.DataFrame(columns),
            rejects=self.rejects,
            columns=tuple(self.columns),
        )


def json_lines(file: InputFile) -> Iterator[tuple[int, bytes]]:
    r"""Lines of JSON with their numbers, from 1; the elements of a `.json` file that is one array.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = path.write_text('[{"text": "a"},\n {"text": "b"}]')
    >>> list(json_lines(InputFile(path=path, name="a.json", format="jsonl")))
    [(1, b'{"text": "a"}'), (2, b'{"text": "b"}')]
    """
    if suffix_of(file.path) == ".json":
        return _array_or_lines(file)
    return numbered_lines(byte_chunks(file.path))


def _array_or_lines(file: InputFile) -> Iterator[tuple[int, bytes]]:
    """Elements of a file that is one JSON array, else its lines."""
    chunks = byte_chunks(file.path)
    head = next(chunks, b"").removeprefix(BYTE_ORDER_MARK)
    if not head.lstrip().startswith(b"["):
        return numbered_lines(_chain(head, chunks))
    data = head + b"".join(chunks)
    try:
        elements = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return numbered_lines([data])
    return enumerate((json.dumps(element).encode() for element in elements), start=1)


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_record(line: bytes) -> dict[str, Any]:
    """One line as a JSON object.

    Raises:
        UnusableError: The line is no UTF-8 (or escapes half a surrogate pair, which no UTF-8
            can hold), no JSON, or not an object.

    >>> parse_record(b'{"text": "a", "n": 1}')
    {'text': 'a', 'n': 1}
    """
    try:
        text = line.decode()
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise UnusableError(INVALID_UTF8, f"{error.reason} at {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableError(BAD_LINE, str(error)) from error
    if not isinstance(value, dict):
        raise UnusableError(NOT_AN_OBJECT, f"the line holds {_json_kind(value)}")
    return value


def _check_text(record: dict[str, Any], text: str) -> None:
    if text not in record:
        raise UnusableError(MISSING_TEXT, f"no {text!r}; keys: {', '.join(record) or 'none'}")
    if record[text] is None:
        raise UnusableError(NULL_TEXT, f"{text!r} is null")
    if not isinstance(record[text], str):
        raise UnusableError(TEXT_NOT_STRING, f"{text!r} is {_json_kind(record[text])}")


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return kinds.get(type(value)) or ("an array" if isinstance(value, list) else "an object")


def _column(name: str, values: list[Any]) -> pl.Series:
    """A column of JSON values: Boolean, Int64, Float64 or String; the rest as JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {str}:
        return pl.Series(name, values, dtype=pl.String)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int, float} and not any(_beyond_64_bits(value) for value in values):
        return pl.Series(
            name, values, dtype=pl.Float64 if float in kinds else pl.Int64, strict=False
        )
    as_text = [v if v is None or isinstance(v, str) else _json_text(v) for v in values]
    return pl.Series(name, as_text, dtype=pl.String)


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _beyond_64_bits(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63
