"""Input → `documents/` and `quarantine/`: everything is parsed once, in input order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from curate.corpus.arrow import read_parquet
from curate.corpus.batches import Batch
from curate.corpus.hub import read_dataset
from curate.corpus.inputs import InputConfig, InputFile, find_files
from curate.corpus.jsonl import read_jsonl
from curate.corpus.nested import nested_names
from curate.corpus.parts import DocumentParts, QuarantineParts
from curate.corpus.plain import read_csv, read_text_files
from curate.corpus.sorting import SeenIds, sort_batch
from curate.errors import InputError, IntegrityError


class MissingColumnError(InputError):
    """No row of an input has a column that is named as its text, id or source.

    >>> str(MissingColumnError("source", "kind", "id, text"))
    "no row of the input has the column 'kind' that input.source names; columns there: id, text"
    """

    def __init__(self, role: str, name: str, there: str) -> None:
        self.role, self.name, self.there = role, name, there
        super().__init__(
            f"no row of the input has the column {name!r} that input.{role} names;"
            f" columns there: {there}"
        )


class BrokenFile(NamedTuple):
    """A file that could not be read, or not to its end."""

    path: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestResult:
    """What became of an input; `rows_read == documents + quarantined`.

    Attributes:
        documents: Rows that became documents.
        quarantined: Rows that did not.
        rows_read: Rows that the readers found, good or bad; blank lines are no rows.
        parts: Files of the documents table, in order; at least one, even if it is empty.
        reasons: Quarantined rows per reason.
        broken_files: Files that could not be read (to their end), apart from the rows.
    """

    documents: int
    quarantined: int
    rows_read: int
    parts: tuple[Path, ...]
    reasons: dict[str, int] = field(default_factory=dict)
    broken_files: tuple[BrokenFile, ...] = ()


def ingest(
    config: InputConfig,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> IngestResult:
    r"""Parse an input once into `folder/documents/` and `folder/quarantine/`.

    Memory is bounded by a part and a batch, never by the input. The same input gives the same
    bytes. Rows that cannot be used are named with path, row and reason in the quarantine;
    broken files too, and what could be read of them before the break is kept. Earlier parts
    in `folder` are deleted.

    Args:
        config: What to read.
        folder: Where the two tables go.
        progress: Called after each batch with its number of rows.

    Raises:
        InputError: Nothing to read; no row has the text column, or the named id or source.
        ConfigError: A file with an unknown suffix is named; columns collide.
        IntegrityError: The counts do not add up.

    >>> import json, tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "a.jsonl").write_text('{"text": "good"}\n{"text": null}\n{oops\n')
    >>> result = ingest(InputConfig(path=str(home / "a.jsonl")), home / "run")
    >>> result.documents, result.reasons
    (1, {'bad line': 1, 'null text': 1})
    """
    documents = DocumentParts(folder / "documents", config.part_bytes)
    quarantine = QuarantineParts(folder / "quarantine")
    seen, rows_read = SeenIds(), 0
    columns: dict[str, None] = {}
    for found in read_batches(config):
        good, bad = sort_batch(found, config, seen)
        documents.add(good)
        quarantine.add(bad)
        columns |= dict.fromkeys(found.columns)
        rows_read += found.rows_read
        if progress is not None:
            progress(found.rows_read)
    if rows_read:
        _check_columns(config, list(columns), rejected=quarantine.reasons)
    result = IngestResult(
        parts=documents.close(),
        quarantined=quarantine.close(),
        documents=documents.height,
        rows_read=rows_read,
        reasons=quarantine.reasons,
        broken_files=tuple(BrokenFile(*broken) for broken in quarantine.broken),
    )
    check_counts(result)
    return result


def ingest_beside(config: InputConfig, folder: Path, *, text: str) -> IngestResult:
    """Parse texts that stand beside a corpus (evaluation, reference), given as paths alone.

    They are often cut from the same files, so their column is looked for under the corpus's own
    name first.

    Args:
        config: Where the texts are.
        folder: As for `ingest`.
        text: Column with the text of the corpus.

    Raises:
        InputError: As for `ingest`; where neither column is there, the message names the first.
        MissingColumnError: It has a text, but not the id or source that is named.
    """
    missing: list[InputError] = []
    for name in dict.fromkeys((text, config.text)):
        try:
            return ingest(replace(config, text=name), folder)
        except InputError as error:
            if isinstance(error, MissingColumnError) and error.role != "text":
                raise  # the text is there: another name for it would not help
            missing.append(error)
    raise missing[0]


def check_counts(result: IngestResult) -> None:
    """Raise `IntegrityError` unless every row read is a document or in quarantine.

    >>> check_counts(IngestResult(documents=1, quarantined=1, rows_read=3, parts=()))
    Traceback (most recent call last):
    curate.errors.IntegrityError: 3 rows were read, but 1 documents + 1 quarantined rows = 2
    """
    found = result.documents + result.quarantined
    if found != result.rows_read:
        raise IntegrityError(
            f"{result.rows_read} rows were read, but {result.documents} documents"
            f" + {result.quarantined} quarantined rows = {found}"
        )


def read_batches(config: InputConfig) -> Iterator[Batch]:
    r"""Batches of the whole input, in input order.

    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> for name in "ba":
    ...     _ = (home / f"{name}.csv").write_text(f"text\nfrom {name}\n")
    >>> [batch.frame["text"].item() for batch in read_batches(InputConfig(path=str(home)))]
    ['from a', 'from b']
    """
    if config.dataset is not None:
        yield from read_dataset(config)
        return
    files = find_files(config)
    # Text files are small and many: neighbours share a batch.
    for is_text, group in groupby(files, key=lambda file: file.format == "text"):
        if is_text:
            yield from read_text_files(tuple(group), config.text)
        else:
            yield from _read_tables(group, config)


def _read_tables(files: Iterable[InputFile], config: InputConfig) -> Iterator[Batch]:
    paths = nested_names(config)
    for file in files:
        if file.format == "parquet":
            yield from read_parquet(file, config.text, paths=paths)
        elif file.format == "csv":
            yield from read_csv(file)
        else:
            yield from read_jsonl(file, config.text, paths=paths)


def _check_columns(config: InputConfig, columns: list[str], *, rejected: Mapping[str, int]) -> None:
    """Raise unless the columns that are named were seen; rows that are no records have none."""
    counts = ", ".join(f"{n:,} × {reason}" for reason, n in sorted(rejected.items()))
    there = ", ".join(columns) or f"none, every row was rejected ({counts})"
    for role in ("text", "id", "source"):
        name = getattr(config, role)
        if name is not None and name not in columns:
            raise MissingColumnError(role, name, there)
