"""Which columns an input has, known before it is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import polars as pl

from curate.corpus.inputs import InputConfig, InputFile, find_files
from curate.corpus.nested import nested_names, reaches
from curate.corpus.plain import csv_header
from curate.corpus.schema import CONTROL, ID, RESERVED_COLUMNS, SOURCE, TEXT
from curate.corpus.streams import BrokenStreamError, byte_chunks, numbered_lines

_FIRST_LINES = 200  # of JSON lines; what stands in none of them is looked for in all bytes
_OVERLAP = 4096  # bytes of a piece that are searched again with the next one


def absent_columns(config: InputConfig, wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    r"""Columns that no document of an input will have, and those that are known to be there.

    Schemas of Parquet and CSV and the first lines of JSON are read; a key that stands in none of
    these lines is looked for in the bytes of the whole file. Where nothing can be known before the
    work (a dataset, a file that cannot be read), no column counts as absent.

    Args:
        config: Where the documents come from.
        wanted: Names of columns in the documents table.

    Returns:
        The wanted columns that are certainly absent, in their order; and the columns that were
        found, sorted.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"text": "good", "url": "a.org"}\n')
    >>> absent_columns(InputConfig(path=str(path)), ["url", "score", "source"])
    (['score'], ['control', 'id', 'source', 'text', 'url'])
    """
    found = {ID, TEXT, SOURCE, CONTROL}
    if config.dataset is not None:
        return [], sorted(found)
    taken = {config.text, config.id, config.source}
    files = find_files(config)
    try:
        for file in files:
            found |= {_carried(name) for name in _first_columns(file) if name not in taken}
        rare = [file.path for file in files if file.format == "jsonl"]
        split = nested_names(config)
        absent = [name for name in wanted if name not in found and not reaches(name, split)]
        return [n for n in absent if not _stands_in(rare, n)], sorted(found)
    except (BrokenStreamError, OSError, ValueError, pl.exceptions.PolarsError):
        return [], sorted(found)  # reading tells what is wrong with the file


def _carried(name: str) -> str:
    return f"input_{name}" if name in RESERVED_COLUMNS else name


def _first_columns(file: InputFile) -> Iterable[str]:
    if file.format == "parquet":
        return list(pl.read_parquet_schema(file.path))
    if file.format == "csv":
        return csv_header(file)
    return _first_keys(file) if file.format == "jsonl" else ()


def _first_keys(file: InputFile) -> set[str]:
    keys: set[str] = set()
    for _, line in islice(numbered_lines(byte_chunks(file.path)), _FIRST_LINES):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # quarantined when it is read
        rows = row if isinstance(row, list) else [row]
        keys.update(key for item in rows if isinstance(item, dict) for key in item)
    return keys


def _stands_in(paths: Iterable[Path], name: str) -> bool:
    """Whether a key of this name, or a text, stands in any of the files; true is no promise."""
    raw = name.removeprefix("input_") if name.removeprefix("input_") in RESERVED_COLUMNS else name
    written = {json.dumps(raw, ensure_ascii=ascii).encode() for ascii in (True, False)}
    for path in paths:
        rest = b""
        for chunk in byte_chunks(path):
            piece = rest + chunk
            if any(key in piece for key in written):
                return True
            rest = piece[-_OVERLAP:]
    return False
