"""Documents that share long word sequences with an evaluation set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.corpus.schema import ID, TEXT
from curate.errors import ConfigError, check_name
from curate.text import word_ngrams

#: Words that must agree in a row (Brown et al. 2020, "Language Models are Few-Shot Learners",
#: appendix C).
NGRAM_WORDS = 13
SLICE_BYTES = 16_000_000
_FILTER_BITS = 24


#: What is done about documents that share n-grams with an evaluation set.
ACTIONS = ("flag", "remove")


@dataclass(frozen=True, kw_only=True, slots=True)
class DecontaminationConfig:
    """When a document overlaps an evaluation set, and what is done about it.

    Attributes:
        n: Words in a row that count as shared.
        most_documents: An n-gram that more documents than this hold is a common phrase and counts
            for none of them; None counts all.
        action: `flag` counts overlaps in the verdict table, `remove` takes the documents out.
            Neither arm of an experiment ever holds them.
        evaluation: Files of further evaluation sets, one a file, that no experiment reads.

    >>> DecontaminationConfig(n=0)
    Traceback (most recent call last):
    curate.errors.ConfigError: n = 0; allowed: 1 or more
    """

    n: int = NGRAM_WORDS
    most_documents: int | None = None
    action: str = "flag"
    evaluation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n = {self.n}; allowed: 1 or more")
        check_name("action", self.action, ACTIONS)
        _check_most(self.most_documents)


def _check_most(most_documents: int | None) -> None:
    if most_documents is not None and most_documents < 1:
        raise ConfigError(f"most_documents = {most_documents}; allowed: 1 or more, or nothing")


def decontaminate(
    documents: pl.DataFrame | Callable[[], Iterable[pl.DataFrame]],
    evaluation: pl.DataFrame,
    *,
    n: int = NGRAM_WORDS,
    most_documents: int | None = None,
    by: str | None = None,
) -> pl.DataFrame:
    """Documents that have a word n-gram in common with the evaluation set.

    Words are those of every duplicate decision (lower case, no punctuation). A text of fewer
    than `n` words counts as one gram of all its words: it matches only a text of exactly the
    same words, never a part of a longer one. A text without words matches nothing.

    Args:
        documents: `id` String, `text` String; or what gives such frames, whose texts are then
            never in memory together.
        evaluation: `text` String, and the column `by`; further columns are not read.
        n: Words in a row that count as shared.
        most_documents: An n-gram that more documents than this hold is a common phrase (a
            licence, a prayer, a list of months) and counts for none of them. None counts all.
        by: Column that names the evaluation set of each text; each set is then looked at alone.

    Returns:
        `id` String, the column `by` where it is given, and `shared_ngrams` Int64 (distinct shared
        n-grams, at least 1): one row for each document that shares any, in document order; with
        `by` one for each document and set, sets in the order of their first text.

    Raises:
        ConfigError: The evaluation has no column `by`, or `most_documents` is below 1.

    >>> line = "one two three four five six seven eight nine ten eleven twelve thirteen"
    >>> documents = pl.DataFrame({"id": ["a", "b"], "text": [f"So: {line.upper()}!", "one two"]})
    >>> decontaminate(documents, pl.DataFrame({"text": [line]})).rows()
    [('a', 1)]
    >>> sets = pl.DataFrame({"set": ["numbers", "words"], "text": [line, "One, two!"]})
    >>> decontaminate(documents, sets, by="set").rows()
    [('a', 'numbers', 1), ('b', 'words', 1)]
    """
    _check_most(most_documents)
    if by is not None and by not in evaluation.columns:
        raise ConfigError(f"evaluation has no column {by!r}; it has: {evaluation.columns}")
    grams = _grams_of_sets(evaluation, n, by)
    wanted = np.unique(np.concatenate([np.empty(0, np.uint64), *grams.values()]))
    parts = [documents] if isinstance(documents, pl.DataFrame) else documents()
    ids, rows, shared = _occurrences(parts, wanted, n)
    if most_documents is not None:
        counts = np.bincount(shared, minlength=len(wanted))  # documents that hold each gram
        rare = counts[shared] <= most_documents
        rows, shared = rows[rare], shared[rare]
    frames = [_HITS.to_frame()]
    for place, (name, own) in enumerate(grams.items()):
        held = np.zeros(len(wanted), np.bool_)
        held[np.searchsorted(wanted, own)] = True
        frames.append(_hits(rows[held[shared]], name, place))
    return _named(pl.concat(frames), ids, by)


_HITS = pl.Schema(
    {"row": pl.Int64(), "set": pl.String(), "place": pl.Int32(), "shared_ngrams": pl.Int64()}
)


def _hits(rows: NDArray[np.int64], name: str, place: int) -> pl.DataFrame:
    row, count = np.unique(rows, return_counts=True)
    frame = pl.DataFrame({"row": row, "shared_ngrams": count})
    return frame.select(
        "row", pl.lit(name).alias("set"), place=place, shared_ngrams="shared_ngrams"
    ).cast(_HITS)


def _named(hits: pl.DataFrame, ids: pl.Series, by: str | None) -> pl.DataFrame:
    hits = hits.sort("row", "place")
    named = hits.with_columns(ids.gather(hits["row"]).alias(ID))
    return named.select(ID, *([pl.col("set").alias(by)] if by else []), "shared_ngrams")


def _grams_of_sets(
    evaluation: pl.DataFrame, n: int, by: str | None
) -> dict[str, NDArray[np.uint64]]:
    """Distinct n-grams of each evaluation set."""
    if by is None:
        return {"": np.unique(word_ngrams(evaluation[TEXT], n=n)[0])}
    return {
        str(name): np.unique(word_ngrams(texts[TEXT], n=n)[0])
        for (name,), texts in evaluation.group_by(by, maintain_order=True)
    }


def _occurrences(
    parts: Iterable[pl.DataFrame], wanted: NDArray[np.uint64], n: int
) -> tuple[pl.Series, NDArray[np.int64], NDArray[np.int64]]:
    """Ids; and document and place in `wanted` of each distinct n-gram of each that is wanted."""
    ids, seen = [pl.Series(ID, [], pl.String)], 0
    rows, shared = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    bits = _filter(wanted)
    for part in parts:
        ids.append(part[ID].alias(ID).cast(pl.String))
        for piece in _slices(part[TEXT]):
            row, gram = _shared(piece, wanted, bits, n)
            rows.append(row + seen)
            shared.append(np.searchsorted(wanted, gram))
            seen += len(piece)
    return pl.concat(ids), np.concatenate(rows), np.concatenate(shared)


def _slices(text: pl.Series) -> list[pl.Series]:
    """Pieces of some megabytes, so that the n-grams of all never lie in memory at once."""
    if text.is_empty():
        return []
    total = text.str.len_bytes().cast(pl.Int64).cum_sum()
    groups = pl.DataFrame({"group": total // SLICE_BYTES}).with_row_index("row")
    starts = groups.group_by("group").agg(pl.col("row").min())["row"].sort().to_list()
    ends = [*starts[1:], len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _shared(
    text: pl.Series, wanted: NDArray[np.uint64], bits: NDArray[np.bool_], n: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Row and hash of the distinct n-grams of each text that are among `wanted` (sorted)."""
    grams, offsets = word_ngrams(text, n=n)
    places = np.flatnonzero(bits[grams >> np.uint64(64 - _FILTER_BITS)])
    places = places[_among(grams[places], wanted)]
    rows = np.searchsorted(offsets, places, side="right") - 1
    pairs = np.unique(np.stack([rows.astype(np.uint64), grams[places]], axis=1), axis=0)
    return pairs[:, 0].astype(np.int64), pairs[:, 1]


def _filter(wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which leading bits occur at all: spares nearly every n-gram the binary search."""
    bits = np.zeros(1 << _FILTER_BITS, dtype=bool)
    bits[wanted >> np.uint64(64 - _FILTER_BITS)] = True
    return bits


def _among(grams: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(wanted):
        return np.zeros(len(grams), dtype=bool)
    at = np.minimum(np.searchsorted(wanted, grams), len(wanted) - 1)
    found: NDArray[np.bool_] = wanted[at] == grams
    return found
