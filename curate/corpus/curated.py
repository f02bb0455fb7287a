"""The curated corpus as a folder that `datasets.load_dataset` opens, with its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curate.corpus.card import render_card
from curate.corpus.schema import CONTROL, ID, TEXT
from curate.corpus.storage import clear_parts, write_atomically, write_bytes_atomically
from curate.errors import IntegrityError

ReadPart = Callable[[Path], pl.DataFrame]

REASON_COLUMNS = ("failed", "duplicate_of")


@dataclass(kw_only=True, slots=True)
class CuratedResult:
    """What was written; controls count nowhere.

    Attributes:
        kept: Native documents in `data/`.
        removed: Native documents in `removed/`.
        kept_bytes: Bytes of their text as published.
        removed_bytes: Bytes of the removed documents' original text.
        reasons: Removed documents per failed rule; one document can fail several.
        parts: Files of both configs, in order.
    """

    kept: int = 0
    removed: int = 0
    kept_bytes: int = 0
    removed_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    parts: list[Path] = field(default_factory=list)


def write_curated(  # noqa: PLR0913 - two readers of one part
    documents: Sequence[Path],
    verdicts: Sequence[Path],
    folder: Path,
    *,
    cleaned: ReadPart | None = None,
    masked: ReadPart | None = None,
    card: Mapping[str, Any],
) -> CuratedResult:
    """Write `data/train-*.parquet`, `removed/removed-*.parquet` and the card `README.md`.

    `datasets.load_dataset(folder)` gives the kept documents (split `train`), with the name
    `"removed"` the others (split `removed`), which keep their original text, personal data masked
    where `masked` does so, and carry `failed` List[String] and `duplicate_of` String. Control
    documents are in neither. A config without a row is left out of the card, for `datasets`
    cannot open it. The same tables give the same bytes.

    Args:
        documents: Parts of the documents table.
        verdicts: The part of the verdicts table for each, with the same ids in the same order.
        folder: Where to; earlier parts there are deleted.
        cleaned: Reads a part of `documents` with its text as published; without it, the
            original text is published.
        masked: The same for the removed documents.
        card: What the card says about how the corpus was made: title → text, or a mapping or
            list of mappings shown as a table. The key `title` gives the heading.

    Raises:
        IntegrityError: A part of `verdicts` does not belong to its part of `documents`.

    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> text = pl.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "source": ["s", "s"],
    ...     "control": pl.Series([None, None], dtype=pl.String)})
    >>> write_atomically(text, home / "d.parquet")
    >>> judged = pl.DataFrame({"id": ["a", "b"], "kept": [True, False], "failed": [[], ["r.x"]],
    ...     "duplicate_of": pl.Series([None, None], dtype=pl.String)})
    >>> write_atomically(judged, home / "v.parquet")
    >>> result = write_curated([home / "d.parquet"], [home / "v.parquet"], home / "out", card={})
    >>> result.kept, result.removed, dict(result.reasons)
    (1, 1, {'r.x': 1})
    """
    if len(documents) != len(verdicts):
        raise IntegrityError(f"{len(documents)} parts of documents, {len(verdicts)} of verdicts")
    clear_parts(folder, "data/train-*.parquet")
    clear_parts(folder, "removed/removed-*.parquet")
    result = CuratedResult()
    for number, (part, verdict) in enumerate(zip(documents, verdicts, strict=True)):
        suffix = f"{number:05d}-of-{len(documents):05d}.parquet"
        original, judged = _matched(part, verdict)
        published = original if cleaned is None else _published(part, cleaned, original)
        native = original[CONTROL].is_null()
        _write_kept(published.filter(native & judged["kept"]), folder, suffix, result)
        raw = original if masked is None else _published(part, masked, original)
        gone = raw.hstack(judged.select(REASON_COLUMNS)).filter(native & ~judged["kept"])
        _write_removed(gone, folder, suffix, result)
    write_bytes_atomically(render_card(_facts(result), card).encode(), folder / "README.md")
    return result


def _matched(part: Path, verdict: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    original = pl.read_parquet(part)
    judged = pl.read_parquet(verdict, columns=[ID, "kept", *REASON_COLUMNS])
    if not original[ID].equals(judged[ID]):
        raise IntegrityError(f"'{verdict}' does not have the ids of '{part}' in the same order")
    return original, judged


def _published(part: Path, cleaned: ReadPart, original: pl.DataFrame) -> pl.DataFrame:
    published = cleaned(part)
    if not published[ID].equals(original[ID]):
        raise IntegrityError(f"the cleaned text of '{part}' has other ids than its documents")
    return original.with_columns(published[TEXT])


def _write_kept(kept: pl.DataFrame, folder: Path, suffix: str, result: CuratedResult) -> None:
    path = folder / "data" / f"train-{suffix}"
    write_atomically(kept.drop(CONTROL), path)
    result.parts.append(path)
    result.kept += kept.height
    result.kept_bytes += _text_bytes(kept)


def _write_removed(gone: pl.DataFrame, folder: Path, suffix: str, result: CuratedResult) -> None:
    path = folder / "removed" / f"removed-{suffix}"
    write_atomically(gone.drop(CONTROL), path)
    result.parts.append(path)
    result.removed += gone.height
    result.removed_bytes += _text_bytes(gone)
    counts = gone["failed"].explode(empty_as_null=False).drop_nulls().value_counts(sort=True)
    for reason, n in counts.rows():
        result.reasons[reason] += n


def _text_bytes(frame: pl.DataFrame) -> int:
    return int(frame[TEXT].str.len_bytes().sum())


def _facts(result: CuratedResult) -> dict[str, Any]:
    """The numbers that the card states."""
    reasons = sorted(result.reasons.items(), key=lambda item: (-item[1], item[0]))
    return {
        "kept": result.kept,
        "removed": result.removed,
        "kept_bytes": result.kept_bytes,
        "removed_bytes": result.removed_bytes,
        "reasons": reasons,
    }
