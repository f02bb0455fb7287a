"""Exact duplicates: documents with the same words in the same order."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text import word_sequences


def first_of_class(words_hash: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first document with the same 128-bit word-sequence hash, for each document.

    Args:
        words_hash: (documents, 2), as `curate.text.sketch` gives it.

    >>> first_of_class(np.array([[1, 2], [3, 4], [1, 2], [1, 4]], np.uint64)).tolist()
    [0, 1, 0, 3]
    """
    documents = len(words_hash)
    order = np.lexsort((words_hash[:, 1], words_hash[:, 0]))  # stable: document order in a run
    begins = np.zeros(documents, np.bool_)
    begins[:1] = True
    for half in words_hash.T:  # one after the other: this is where memory is at its peak
        ordered = half[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    del ordered
    first = np.empty(documents, np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first


def word_digests(text: pl.Series) -> list[bytes]:
    """BLAKE2b of the word sequence of each document, 32 bytes: what settles equality.

    The 128-bit hash that forms the classes is fast and could be attacked; nobody can make two
    word sequences with one BLAKE2b digest. A document without words is digested raw.

    >>> a, b, c = word_digests(pl.Series(["Hello, World", "hello world", "hello, word"]))
    >>> a == b, a == c
    (True, False)
    """
    flat, offsets = word_sequences(text)
    memory, bounds = flat.data, pairwise(offsets)
    return [hashlib.blake2b(memory[a:b], digest_size=32).digest() for a, b in bounds]
