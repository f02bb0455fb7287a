"""What is remembered of each document once its text is gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.settings import NearDuplicates
from curate.duplicates.survivors import SURVIVOR_POLICIES, preference
from curate.errors import InputError
from curate.text import sketch

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusSketch:
    """Sketches of all documents, in document order.

    Attributes:
        ids: Unique ids.
        signature: (documents, permutations) uint32; a read-only map of a file where signatures
            were spilled.
        n_shingles: Shingles of each document, repeats counted.
        words_hash: (documents, 2), a hash of the word sequence.
        preference: Smaller for a likelier survivor; None where the earlier document is.
    """

    ids: pl.Series
    signature: NDArray[np.uint32]
    n_shingles: NDArray[np.int64]
    words_hash: NDArray[np.uint64]
    preference: NDArray[np.float64] | None


def sketch_parts(
    parts: Iterable[pl.DataFrame],
    near: NearDuplicates | None,
    *,
    survivor: str = "earliest",
    sources: tuple[str, ...] = (),
    folder: Path | None = None,
) -> CorpusSketch:
    """Sketch documents part by part; only the part at hand is in memory.

    Args:
        parts: `id` String, `text` String, and `source` or `quality` where the policy reads it.
        near: Bands and permutations; None makes empty signatures.
        survivor: Policy that says who is likelier to survive.
        sources: Sources from the best to the worst, for `source_priority`.
        folder: Where signatures are spilled to; None keeps them in memory.

    Raises:
        InputError: An id occurs twice.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one two", "three"]})
    >>> sketch_parts([frame], NearDuplicates()).signature.shape
    (2, 112)
    """
    near_or_none = near or NearDuplicates()
    width = near.permutations if near else 0
    store = _Signatures(width, folder)
    ids, order = [pl.Series("id", [], pl.String)], np.empty(0)
    n_shingles, words_hash = np.empty(0, np.int64), np.empty((0, 2), np.uint64)
    for part in parts:
        piece = sketch(
            part["text"], permutations=width, seed=near_or_none.seed, scheme=near_or_none.scheme
        )
        store.append(piece.signature)
        ids.append(part["id"].alias("id"))
        _grow(n_shingles, piece.n_shingles)
        _grow(words_hash, piece.words_hash)
        if survivor != "earliest":
            _grow(order, _preference(part, survivor, sources))
    return CorpusSketch(
        ids=_unique(pl.concat(ids)),
        signature=store.finish(),
        n_shingles=n_shingles,
        words_hash=words_hash,
        preference=order if survivor != "earliest" else None,
    )


def _grow(values: NDArray[T], piece: NDArray[T]) -> None:
    """Append in place: joining a list of arrays at the end would hold all of it twice."""
    rows = len(values)
    values.resize((rows + len(piece), *values.shape[1:]), refcheck=False)
    values[rows:] = piece


class _Signatures:
    """Signatures that grow in memory, or in a file that is mapped at the end."""

    def __init__(self, width: int, folder: Path | None) -> None:
        self.values = np.empty((0, width), np.uint32)
        self.path = folder / "signatures.u32" if folder else None
        self.file: BinaryIO | None = self.path.open("wb") if self.path else None

    def append(self, piece: NDArray[np.uint32]) -> None:
        if self.file:
            piece.tofile(self.file)
            return
        _grow(self.values, piece)

    def finish(self) -> NDArray[np.uint32]:
        if not self.file or not self.path:
            return self.values
        self.file.close()
        width = self.values.shape[1]
        if self.path.stat().st_size == 0:
            return self.values
        return np.memmap(self.path, np.uint32, mode="r").reshape(-1, width)


def _preference(part: pl.DataFrame, survivor: str, sources: tuple[str, ...]) -> NDArray[np.float64]:
    """Who is likelier to survive, as far as it is known here: by length, if by nothing else."""
    known = part.with_columns(text_chars=pl.col("text").str.len_chars())
    policy = survivor if SURVIVOR_POLICIES[survivor] in known.columns else "longest"
    key = preference(policy, sources).cast(pl.Float64).fill_null(np.inf)
    return known.select(key).to_series().to_numpy()


def _unique(ids: pl.Series) -> pl.Series:
    """The ids; equal hashes, 8 bytes a document, decide whether a closer look is needed."""
    hashes = np.sort(ids.hash(seed=1).to_numpy())
    if (hashes[1:] == hashes[:-1]).any() and ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated())[0]
        raise InputError(f"id {repeated!r} occurs more than once, but ids must be unique")
    return ids
