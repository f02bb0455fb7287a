"""A corpus as a LazyFrame, wherever and however it lies."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from curate.corpus.fingerprints import fingerprint
from curate.corpus.ingestion import ingest
from curate.corpus.inputs import InputConfig, keys_named
from curate.corpus.storage import write_bytes_atomically

log = logging.getLogger("curate")


def scan_corpus(
    path: str | Path | Sequence[str | Path],
    *,
    text: str = "text",
    id: str | None = None,
    source: str | None = None,
    cache: Path | None = None,
) -> pl.LazyFrame:
    """Documents of files, a folder or a glob, with the columns `id, text, source, control`, ….

    The input is parsed once into a cache folder named by its content; the next call with the
    same input only opens it. Rows that cannot be used are in `quarantine/` beside the documents;
    how many there are is logged as a warning.

    Args:
        path: A file, a folder, a glob, or several.
        text: Column with the text.
        id: Column with the id; by default `id`, else made from path and row.
        source: Column with the source; by default `source`, else the path.
        cache: Where parsed inputs are kept; by default `curate` in the user's cache folder.

    Raises:
        InputError: Nothing to read, or no row with the text column.

    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "a.jsonl").write_text('{"text": "one"}')
    >>> scan_corpus(home / "a.jsonl", cache=home / "cache").select("id", "text").collect().rows()
    [('a.jsonl:1', 'one')]
    """
    paths = (path,) if isinstance(path, str | Path) else tuple(path)
    with keys_named(""):
        config = InputConfig(path=tuple(map(str, paths)), text=text, id=id, source=source)
        folder = (cache or _user_cache()) / _key(config)
        done = folder / "counts.json"
        if not done.exists():
            _fill(config, folder, done)
        _warn(json.loads(done.read_bytes()), folder)
    return pl.scan_parquet(sorted((folder / "documents").glob("part-*.parquet")))


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "curate"


def _key(config: InputConfig) -> str:
    columns = replace(config, path="")
    facts = [fingerprint(config), repr(columns)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _fill(config: InputConfig, folder: Path, done: Path) -> None:
    result = ingest(config, folder)
    broken = len(result.broken_files)
    counts = {"documents": result.documents, "reasons": result.reasons, "broken_files": broken}
    write_bytes_atomically(json.dumps(counts).encode(), done)


def _warn(counts: Mapping[str, Any], folder: Path) -> None:
    """Say at every call, not only at the first, what of the input is not in the documents."""
    broken = counts.get("broken_files", 0)
    listed = [f"{n:,} × {reason}" for reason, n in sorted(counts["reasons"].items())]
    listed += [f"{broken} broken files"] if broken else []
    if listed:
        log.warning("not usable: %s; see %s", ", ".join(listed), folder / "quarantine")
