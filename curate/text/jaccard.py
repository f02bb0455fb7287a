"""Exact similarity of documents: sets of word 5-grams, compared by merging sorted runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.text.compiler import compiled
from curate.text.words import SHINGLE_WORDS, U64, word_ngrams


def shingle_sets(text: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The set of 64-bit shingle hashes of each document, sorted.

    Args:
        text: String series without nulls.

    Returns:
        All sets one after the other, and `len(text) + 1` offsets. A document without words
        has the empty set.

    >>> _, offsets = shingle_sets(pl.Series(["a b c d e a b c d e", "…"]))
    >>> offsets.tolist()
    [0, 5, 5]
    """
    flat, offsets = word_ngrams(text, n=SHINGLE_WORDS)
    for start, end in pairwise(offsets.tolist()):
        flat[start:end].sort()  # NumPy sorts with vector instructions, Numba does not
    kept = _unique_runs(flat, offsets)
    return flat[: kept[-1]].copy(), kept


def similarities(
    flat: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact Jaccard similarity and containment of pairs of sets.

    Args:
        flat: Sets one after the other, each sorted and without repeats.
        offsets: Where each set begins, and the end of the last.
        left: Numbers of the first sets of the pairs.
        right: Numbers of the second sets.

    Returns:
        |A∩B| / |A∪B| and |A∩B| / min(|A|, |B|) of each pair; 0 where a set is empty.

    >>> flat, offsets = shingle_sets(pl.Series(["a b c d e f g h", "x b c d e f g h"]))
    >>> jaccard, containment = similarities(flat, offsets, np.array([0]), np.array([1]))
    >>> jaccard.tolist(), containment.tolist()
    ([0.6], [0.75])
    """
    shared = _count_shared(flat, offsets, left, right)
    sizes = np.diff(offsets)
    smaller = np.minimum(sizes[left], sizes[right])
    union = sizes[left] + sizes[right] - shared
    # Where the smaller set is empty nothing is shared, so a divisor of 1 gives 0.
    return shared / np.maximum(union, 1), shared / np.maximum(smaller, 1)


def text_similarity(left: pl.Series, right: pl.Series) -> pl.DataFrame:
    """Exact similarity of two columns of text, row by row.

    Args:
        left: String series without nulls.
        right: Another of the same length.

    Returns:
        `jaccard` Float64 and `containment` Float64; both 0 where a text has no words.

    Raises:
        ConfigError: The lengths differ.

    >>> text_similarity(pl.Series(["a b c d e f"]), pl.Series(["A, b, c, d, e"])).row(0)
    (0.5, 1.0)
    """
    if len(left) != len(right):
        raise ConfigError(f"text columns of {len(left)} and {len(right)} rows cannot be paired")
    flat, offsets = shingle_sets(pl.concat([left.rename("text"), right.rename("text")]))
    row = np.arange(len(left))
    jaccard, containment = similarities(flat, offsets, row, row + len(left))
    return pl.DataFrame({"jaccard": jaccard, "containment": containment})


@compiled
def _unique_runs(flat: NDArray[np.uint64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move the distinct values of each sorted run to the front of `flat`; the new offsets."""
    kept = np.zeros(offsets.shape[0], np.int64)
    end, previous = 0, U64(0)
    for d in range(offsets.shape[0] - 1):
        for i in range(offsets[d], offsets[d + 1]):
            if i == offsets[d] or flat[i] != previous:
                previous = flat[i]
                flat[end] = previous
                end += 1
        kept[d + 1] = end
    return kept


@compiled
def _count_shared(
    flat: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> NDArray[np.int64]:
    shared = np.zeros(left.shape[0], np.int64)
    for pair in range(left.shape[0]):
        i, i_end = offsets[left[pair]], offsets[left[pair] + 1]
        j, j_end = offsets[right[pair]], offsets[right[pair] + 1]
        while i < i_end and j < j_end:
            a, b = flat[i], flat[j]
            shared[pair] += a == b
            i += a <= b
            j += b <= a
    return shared
