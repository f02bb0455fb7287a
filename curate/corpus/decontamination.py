"""Documents that share long word sequences with an evaluation set."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.corpus.schema import ID, TEXT
from curate.text import word_ngrams

#: Words that must agree in a row (Brown et al. 2020, "Language Models are Few-Shot Learners",
#: appendix C).
NGRAM_WORDS = 13
SLICE_BYTES = 16_000_000
_FILTER_BITS = 24


def decontaminate(
    documents: pl.DataFrame, evaluation: pl.DataFrame, *, n: int = NGRAM_WORDS
) -> pl.DataFrame:
    """Documents that have a word n-gram in common with the evaluation set.

    Words are those of every duplicate decision (lower case, no punctuation). A text of fewer
    than `n` words counts as one gram of all its words: it matches only a text of exactly the
    same words, never a part of a longer one. A text without words matches nothing.

    Args:
        documents: `id` String, `text` String.
        evaluation: `text` String; further columns are not read.
        n: Words in a row that count as shared.

    Returns:
        `id` String, `shared_ngrams` Int64 (distinct shared n-grams, at least 1), one row for
        each document that shares any, in document order.

    >>> line = "one two three four five six seven eight nine ten eleven twelve thirteen"
    >>> documents = pl.DataFrame({"id": ["a", "b"], "text": [f"So: {line.upper()}!", "one two"]})
    >>> decontaminate(documents, pl.DataFrame({"text": [line]})).rows()
    [('a', 1)]
    """
    wanted = np.unique(word_ngrams(evaluation[TEXT], n=n)[0])
    counts = [_shared(part, wanted, n) for part in _slices(documents[TEXT])]
    shared = np.concatenate([np.empty(0, np.int64), *counts])
    found = pl.DataFrame({ID: documents[ID], "shared_ngrams": shared})
    return found.filter(pl.col("shared_ngrams") > 0)


def _slices(text: pl.Series) -> list[pl.Series]:
    """Pieces of some megabytes, so that the n-grams of all never lie in memory at once."""
    if text.is_empty():
        return []
    total = text.str.len_bytes().cast(pl.Int64).cum_sum()
    groups = pl.DataFrame({"group": total // SLICE_BYTES}).with_row_index("row")
    starts = groups.group_by("group").agg(pl.col("row").min())["row"].sort().to_list()
    ends = [*starts[1:], len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _shared(text: pl.Series, wanted: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """Number of distinct n-grams of each text that are among `wanted` (sorted)."""
    grams, offsets = word_ngrams(text, n=n)
    places = np.flatnonzero(_filter(wanted)[grams >> np.uint64(64 - _FILTER_BITS)])
    places = places[_among(grams[places], wanted)]
    rows = np.searchsorted(offsets, places, side="right") - 1
    pairs = np.unique(np.stack([rows.astype(np.uint64), grams[places]], axis=1), axis=0)
    return np.bincount(pairs[:, 0].astype(np.int64), minlength=len(text))


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
