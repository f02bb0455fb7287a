"""A stream of tables, written as parts of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.datatypes import DataType

from curate.corpus.schema import (
    DOCUMENT_SCHEMA,
    ID,
    QUARANTINE_SCHEMA,
    TEXT,
    conform,
    merge_schemas,
)
from curate.corpus.storage import clear_parts, write_atomically

QUARANTINE_PART_ROWS = 100_000


class DocumentParts:
    """Writes `part-00000.parquet` … of the documents table.

    A part ends before the row that would take it over `part_bytes` of text, wherever the
    batches end. Parts whose columns or types differ are brought together when all is read.

    >>> import tempfile
    >>> parts = DocumentParts(Path(tempfile.mkdtemp()), part_bytes=4)
    >>> parts.add(pl.DataFrame({"id": ["a", "b", "c"], "text": ["12", "34", "56"]}))
    >>> [pl.read_parquet(path)["id"].to_list() for path in parts.close()]
    [['a', 'b'], ['c']]
    """

    def __init__(self, folder: Path, part_bytes: int) -> None:
        clear_parts(folder)
        self.folder, self.part_bytes = folder, part_bytes
        self.paths: list[Path] = []
        self.height = 0
        self._schemas: list[dict[str, DataType]] = []
        self._pending: list[pl.DataFrame] = []
        self._size = 0

    def add(self, documents: pl.DataFrame) -> None:
        """Append documents; every full part is written at once."""
        if documents.is_empty():
            return
        self.height += documents.height
        total = documents[TEXT].str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
        start = 0
        while start < documents.height:
            before = int(total[start - 1]) if start else 0
            room = self.part_bytes - self._size
            end = int(np.searchsorted(total, before + room, side="right"))
            if end == start and not self._pending:
                end = start + 1  # a text longer than a part has a part of its own
            if end > start:
                self._pending.append(documents[start:end])
                self._size += int(total[end - 1]) - before
            if end < documents.height:
                self._write()
            start = end

    def close(self) -> tuple[Path, ...]:
        """Write what is left, give all parts one schema, and return their paths."""
        if self._pending or not self.paths:
            self._write()
        whole = merge_schemas(self._schemas)
        whole = {n: pl.String() if kind == pl.Null() else kind for n, kind in whole.items()}
        for path, schema in zip(self.paths, self._schemas, strict=True):
            if list(schema.items()) != list(whole.items()):
                write_atomically(conform(pl.read_parquet(path), whole), path)
        return tuple(self.paths)

    def _write(self) -> None:
        pending = self._pending or [pl.DataFrame(schema=dict(DOCUMENT_SCHEMA))]
        schema = merge_schemas([frame.schema for frame in pending])
        part = pl.concat([conform(frame, schema) for frame in pending])
        path = self.folder / f"part-{len(self.paths):05d}.parquet"
        write_atomically(part, path)
        self.paths.append(path)
        self._schemas.append(schema)
        self._pending, self._size = [], 0


class QuarantineParts:
    """Writes `part-00000.parquet` … of the quarantine table, at least one.

    >>> import tempfile
    >>> quarantine = QuarantineParts(Path(tempfile.mkdtemp()))
    >>> rows = [("a", 1, "bad line", "", None, None), ("b", None, "broken file", "", None, None)]
    >>> quarantine.add(pl.DataFrame(rows, schema=dict(QUARANTINE_SCHEMA), orient="row"))
    >>> quarantine.close(), quarantine.reasons, quarantine.broken
    (1, {'bad line': 1}, [('b', '')])
    """

    def __init__(self, folder: Path) -> None:
        clear_parts(folder)
        self.folder = folder
        self.reasons: dict[str, int] = {}
        self.broken: list[tuple[str, str]] = []
        self._written = 0
        self._pending: list[pl.DataFrame] = []
        self._height = 0

    def add(self, rejects: pl.DataFrame) -> None:
        """Append quarantine rows and count their reasons; a full part is written at once."""
        if rejects.is_empty():
            return
        rows = rejects.filter(pl.col("row").is_not_null())
        for reason, n in rows["reason"].value_counts().rows():
            self.reasons[reason] = self.reasons.get(reason, 0) + n
        files = rejects.filter(pl.col("row").is_null())
        self.broken += files.select("path", "detail").rows()
        self._pending.append(rejects)
        self._height += rejects.height
        if self._height >= QUARANTINE_PART_ROWS:
            self._write()

    def close(self) -> int:
        """Write what is left; number of quarantined rows (broken files are not rows)."""
        if self._pending or not self._written:
            self._write()
        self.reasons = dict(sorted(self.reasons.items()))
        return sum(self.reasons.values())

    def _write(self) -> None:
        empty = pl.DataFrame(schema=dict(QUARANTINE_SCHEMA))
        path = self.folder / f"part-{self._written:05d}.parquet"
        write_atomically(pl.concat([empty, *self._pending]), path)
        self._written += 1
        self._pending, self._height = [], 0


def quarantined_rows(parts: Sequence[Path], id: str, *, most: int = 5) -> list[dict[str, Any]]:
    """Rows of a quarantine that have this id, or that are called so by `path:row`.

    >>> quarantined_rows([], "doc-17")
    []
    """
    called = pl.concat_str("path", pl.lit(":"), pl.col("row").cast(pl.String))
    wanted = (pl.col(ID) == id) | (called == id)
    schema = pl.Schema(dict(QUARANTINE_SCHEMA))  # older folders lack `id`
    scans = [pl.scan_parquet(part, schema=schema, missing_columns="insert") for part in parts]
    found = [scan.filter(wanted).head(most).collect() for scan in scans]
    return pl.concat(found).head(most).to_dicts() if found else []
