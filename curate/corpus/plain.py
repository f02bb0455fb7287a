"""Readers of CSV files and of plain text files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from curate.corpus.batches import BATCH_BYTES, Batch, Reject, excerpt, one_file
from curate.corpus.inputs import InputFile, suffix_of
from curate.corpus.schema import BAD_LINE, BROKEN_FILE, INVALID_UTF8, quarantine_frame
from curate.corpus.streams import BYTE_ORDER_MARK, BrokenStreamError, byte_chunks, numbered_lines


class _DecodedLines:
    """Lines of a file as text, for the csv module; remembers whether one was no UTF-8."""

    def __init__(self, file: InputFile) -> None:
        self._lines = numbered_lines(byte_chunks(file.path))
        self.size = 0
        self.invalid = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        _, line = next(self._lines)
        self.size += len(line)
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError:
            self.invalid = True
            return line.decode("utf-8", "replace") + "\n"


@dataclass
class _Records:
    """CSV records collected until they make a batch."""

    name: str
    header: Sequence[str]
    records: list[list[str]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    last: int = 0

    def add(self, row: int, record: list[str], *, invalid: bool) -> None:
        if invalid:
            self.reject(row, INVALID_UTF8, "the record holds bytes that are no UTF-8", record)
        elif len(record) != len(self.header):
            detail = f"{len(record)} fields under a header of {len(self.header)}"
            self.reject(row, BAD_LINE, detail, record)
        else:
            self.records.append(record)
            self.rows.append(row)

    def reject(self, row: int | None, reason: str, detail: str, record: Sequence[str]) -> None:
        raw = excerpt(",".join(record).encode()) if record else None
        self.rejects.append((self.name, row, reason, detail, raw))

    def batch(self) -> Batch:
        columns = [
            pl.Series(name, [record[i] for record in self.records], dtype=pl.String)
            for i, name in enumerate(self.header)
        ]
        return one_file(
            self.name,
            self.rows,
            pl.DataFrame(columns),
            rejects=self.rejects,
            columns=self.header,
        )


@contextmanager
def _long_fields() -> Iterator[None]:
    # The csv module's limit of 131,072 characters a field is a global of that module.
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_csv(file: InputFile) -> Iterator[Batch]:
    r"""Batches of a CSV file with a header line; `.tsv` is split at tabs.

    A header without a comma is split at semicolons or tabs, where it has them: spreadsheets write
    such files wherever the comma stands in numbers.

    Every column is a String: CSV has no types and no null. Quotes follow RFC 4180; fields may
    hold line breaks. A record with too few or too many fields, or with wrong quotes, is a bad
    line; blank lines are no rows.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text('text,n\n"two\nlines",1\nshort\n')
    >>> batch = next(read_csv(InputFile(path=path, name="a.csv", format="csv")))
    >>> batch.frame.rows(), batch.rejects["detail"].to_list()
    ([('two\nlines', '1')], ['1 fields under a header of 2'])
    """
    lines = _DecodedLines(file)
    found = _Records(file.name, ())
    with _long_fields():
        try:
            records = csv.reader(lines, delimiter=_delimiter(file), strict=True)
            found.header = _header(records)
            yield from _csv_batches(found, records, lines)
        except (BrokenStreamError, csv.Error) as error:
            detail = f"{error}; read up to record {found.last}"
            found.reject(None, BROKEN_FILE, detail, ())
    yield found.batch()


def csv_header(file: InputFile) -> list[str]:
    r"""The columns of a CSV file.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("text,n\n")
    >>> csv_header(InputFile(path=path, name="a.csv", format="csv"))
    ['text', 'n']
    """
    try:
        return _header(csv.reader(_DecodedLines(file), delimiter=_delimiter(file), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _delimiter(file: InputFile) -> str:
    """What separates the fields of the first line that is not blank."""
    if suffix_of(file.path) == ".tsv":
        return "\t"
    lines = (line for _, line in numbered_lines(byte_chunks(file.path)))
    first = next((line for line in lines if line.strip()), b"")
    return next((mark for mark in ",;\t" if mark.encode() in first), ",")


def _header(records: Iterator[list[str]]) -> list[str]:
    header = next((record for record in records if record), [])
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise csv.Error(f"the header repeats {', '.join(sorted(twice))}")
    return header


def _csv_batches(
    found: _Records, records: Iterator[list[str]], lines: _DecodedLines
) -> Iterator[Batch]:
    """Full batches; what is left stays in `found`."""
    while True:
        lines.invalid = False
        try:
            record = next(records, None)
        except csv.Error as error:
            found.last += 1
            found.reject(found.last, BAD_LINE, str(error), ())
            continue
        if record is None:
            return
        if record:
            found.last += 1
            found.add(found.last, record, invalid=lines.invalid)
        if lines.size >= BATCH_BYTES:
            yield found.batch()
            found.records, found.rows, found.rejects, lines.size = [], [], [], 0


def read_text_files(files: Sequence[InputFile], text: str) -> Iterator[Batch]:
    """Batches of text files, one document a file (row 1).

    Args:
        files: Text files, next to each other in input order.
        text: Name that the text column gets.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_text("all of it")
    >>> files = [InputFile(path=path, name="a.txt", format="text")]
    >>> next(read_text_files(files, "body")).frame.rows(named=True)
    [{'body': 'all of it'}]
    """
    good: list[tuple[str, str]] = []
    rejects: list[Reject] = []
    size = 0
    for file in files:
        try:
            data = b"".join(byte_chunks(file.path)).removeprefix(BYTE_ORDER_MARK)
            good.append((file.name, data.decode()))
            size += len(data)
        except BrokenStreamError as error:
            rejects.append((file.name, None, BROKEN_FILE, str(error), None))
        except UnicodeDecodeError as error:
            detail = f"{error.reason} at {error.start}"
            rejects.append((file.name, 1, INVALID_UTF8, detail, excerpt(error.object)))
        if size >= BATCH_BYTES:
            yield _text_batch(good, rejects, text)
            good, rejects, size = [], [], 0
    yield _text_batch(good, rejects, text)


def _text_batch(good: Sequence[tuple[str, str]], rejects: Sequence[Reject], text: str) -> Batch:
    return Batch(
        paths=pl.Series("path", [name for name, _ in good], dtype=pl.String),
        rows=pl.Series("row", [1] * len(good), dtype=pl.Int64),
        frame=pl.DataFrame({text: [body for _, body in good]}, schema={text: pl.String}),
        rejects=quarantine_frame(rejects),
        columns=(text,),
        folders=True,
    )
