"""Batches of rows: what every reader gives, whatever the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from curate.corpus.schema import EXCERPT_CHARS, quarantine_frame

#: Bytes of input that a reader collects before it hands out a batch.
BATCH_BYTES = 16_000_000

#: A quarantine row: path, row (None = the file), reason, detail, raw excerpt.
Reject = tuple[str, int | None, str, str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rows of the input, next to each other in input order.

    Attributes:
        paths: Name of the file of each row of `frame`.
        rows: Its row number there, from 1: the line in JSONL, the record in CSV and Parquet.
        frame: The columns as the input has them.
        rejects: Quarantine rows for what could not become a row of `frame`.
        columns: Names of all columns seen, also those of rejected rows.
        folders: Whether the source of a row is its file's folder instead of the file.
    """

    paths: pl.Series
    rows: pl.Series
    frame: pl.DataFrame
    rejects: pl.DataFrame
    columns: tuple[str, ...]
    folders: bool = False

    @property
    def rows_read(self) -> int:
        """Rows of the input that this batch stands for, good or bad."""
        return len(self.rows) + self.rejects["row"].count()


def one_file(
    name: str,
    rows: Sequence[int],
    frame: pl.DataFrame,
    *,
    rejects: Sequence[Reject] = (),
    columns: Sequence[str] | None = None,
) -> Batch:
    """A batch whose rows all come from the file `name`.

    >>> one_file("a.csv", [1, 2], pl.DataFrame({"text": ["x", "y"]})).paths.to_list()
    ['a.csv', 'a.csv']
    """
    return Batch(
        paths=pl.Series("path", [name], dtype=pl.String).new_from_index(0, len(rows)),
        rows=pl.Series("row", rows, dtype=pl.Int64),
        frame=frame,
        rejects=quarantine_frame(rejects),
        columns=tuple(frame.columns if columns is None else columns),
    )


def excerpt(raw: bytes) -> str:
    r"""The beginning of raw bytes as text; what is no UTF-8 becomes a replacement character.

    >>> excerpt(b"caf\xe9")
    'caf�'
    """
    return raw[: 4 * EXCERPT_CHARS].decode("utf-8", "replace")[:EXCERPT_CHARS]


class UnusableError(Exception):
    """One row cannot be used: reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail
