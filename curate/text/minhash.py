"""MinHash signatures and word-sequence hashes, one compiled pass over the text.

The permutations are datasketch 2's `affine32`: `a * fmix32(h) + b mod 2^32` with odd `a`,
so a signature can be handed to `datasketch.MinHash(hashvalues=..., scheme="affine32")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError, check_name
from curate.text.arrow import text_view
from curate.text.compiler import compiled, inlined
from curate.text.simd import load8
from curate.text.words import (
    PADDING,
    SHINGLE_WORDS,
    U32,
    U64,
    character_table,
    gram_multipliers,
    hash_grams,
    hash_words,
    longest,
    lower,
)

if TYPE_CHECKING:
    from datasketch import MinHash

#: How a signature is made of the shingles: `affine32` takes a minimum for each permutation,
#: `one_permutation` spreads the shingles of one permutation over the entries (Li, Owen, Zhang
#: 2012) and fills empty entries from others (optimal densification, Shrivastava 2017).
SCHEMES = ("affine32", "one_permutation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """What is remembered of each document once its text is gone.

    Attributes:
        signature: (documents, permutations) minima; all 2^32 - 1 for a document without words.
        n_shingles: Shingles of each document, repeats counted; 0 means no words.
        words_hash: (documents, 2), a 128-bit hash of the word sequence; of the raw bytes
            where there are no words.
    """

    signature: NDArray[np.uint32]
    n_shingles: NDArray[np.int64]
    words_hash: NDArray[np.uint64]


def permutations_of(count: int, *, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Multipliers (odd) and offsets of datasketch 2's affine32 permutations.

    NumPy keeps the stream of `RandomState` frozen, so a seed means the same for ever.

    >>> a, b = permutations_of(2, seed=1)
    >>> a.tolist(), b.tolist()
    ([3582191691, 4270784983], [3093770124, 4005303368])
    """
    if count < 0:
        raise ConfigError(f"{count} permutations do not exist; use 0 or more")
    stream = np.random.RandomState(seed)
    a = stream.randint(0, 1 << 31, count, dtype=np.uint32) * U32(2) + U32(1)
    b = stream.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


def sketch(
    text: pl.Series, *, permutations: int, seed: int = 1, scheme: str = "affine32"
) -> Sketch:
    """Signature, shingle count and word-sequence hash of each document, in one pass.

    The share of equal entries of two signatures estimates the Jaccard similarity of the two
    shingle sets with standard error sqrt(J (1 - J) / permutations) (Broder 1997). Equal word
    sequences hash equally; the hash is fast, not cryptographic: whoever removes text by it
    checks the words as well, as `curate.duplicates` does.

    Args:
        text: String series without nulls.
        permutations: Length of a signature, e.g. 112.
        seed: Chooses the permutations; signatures of different seeds cannot be compared.
        scheme: One of `SCHEMES`; signatures of different schemes cannot be compared.

    Raises:
        ConfigError: An unknown scheme.

    >>> result = sketch(pl.Series(["One two three!", "one, TWO: three", "…"]), permutations=4)
    >>> result.n_shingles.tolist()
    [1, 1, 0]
    >>> [bool((result.words_hash[0] == row).all()) for row in result.words_hash]
    [True, True, False]
    """
    check_name("scheme", scheme, SCHEMES)
    view = text_view(text)
    rows = len(view)
    result = Sketch(
        signature=np.full((rows, permutations), 0xFFFFFFFF, np.uint32),
        n_shingles=np.zeros(rows, np.int64),
        words_hash=np.zeros((rows, 2), np.uint64),
    )
    _sketch_all(
        (view.address, view.length),
        (character_table(), gram_multipliers(SHINGLE_WORDS)),
        permutations_of(permutations, seed=seed),
        (scheme == "one_permutation", U64(seed)),
        (result.signature, result.n_shingles, result.words_hash),
    )
    return result


def to_datasketch(signature: NDArray[np.uint32], *, seed: int = 1) -> MinHash:
    """One `affine32` signature as a `datasketch.MinHash`, ready for its LSH and its estimates.

    Args:
        signature: One row of `sketch(…).signature`.
        seed: The one that it was made with.

    >>> values = sketch(pl.Series(["a b c d e f"] * 2), permutations=64).signature
    >>> to_datasketch(values[0]).jaccard(to_datasketch(values[1]))
    1.0
    """
    from datasketch import MinHash

    return MinHash(hashvalues=signature, seed=seed, scheme="affine32")


@inlined
def _stir(value: np.uint64, position: int, step: np.uint64) -> np.uint64:
    """A well mixed function of a value and its position (the finaliser of SplitMix64)."""
    x = value + U64(position + 1) * step
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


_STEP_0, _STEP_1 = U64(0x9E3779B97F4A7C15), U64(0xD1342543DE82EF95)


@compiled
def _hash_sequence(words: NDArray[np.uint64], count: int, out: NDArray[np.uint64]) -> None:
    """Two 64-bit sums of stirred (word, position); a sum has no serial chain and vectorises."""
    first, second = U64(count), U64(count)
    for i in range(count):
        first += _stir(words[i], i, _STEP_0)
        second += _stir(words[i], i, _STEP_1)
    out[0], out[1] = first, second


@compiled
def _hash_raw(address: int, size: int, out: NDArray[np.uint64]) -> None:
    """The same sums over bytes, for a document without words."""
    first, second = ~U64(size), ~U64(size)
    for i in range(size):
        byte = U64(load8(address, i))
        first += _stir(byte, i, _STEP_0)
        second += _stir(byte, i, _STEP_1)
    out[0], out[1] = first, second


@compiled
def fmix32(shingles: NDArray[np.uint64], count: int, out: NDArray[np.uint32]) -> None:
    """MurmurHash3's 32-bit finaliser over the low halves of `count` shingle hashes."""
    for i in range(count):
        h = U32(shingles[i] & U64(0xFFFFFFFF))
        h = U32(U32(h ^ U32(h >> U32(16))) * U32(0x85EBCA6B))
        h = U32(U32(h ^ U32(h >> U32(13))) * U32(0xC2B2AE35))
        out[i] = U32(h ^ U32(h >> U32(16)))


@compiled
def minima(
    hashes: NDArray[np.uint32],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    signature: NDArray[np.uint32],
) -> None:
    """Lower each signature entry to the least `a * h + b mod 2^32` over all hashes.

    Every intermediate is cast back to uint32: in Numba uint32 * uint32 is uint64, and one
    missing cast makes this loop five times slower with the same results (a test reads the
    compiled code). Blocks of 2,048 hashes stay in the L1 cache for all permutations.
    """
    for start in range(0, hashes.shape[0], 2048):
        block = hashes[start : start + 2048]
        for j in range(signature.shape[0]):
            factor, offset, least = U32(a[j]), U32(b[j]), U32(signature[j])
            for i in range(block.shape[0]):
                value = U32(U32(factor * block[i]) + offset)
                least = value if value < least else least  # min() would not be vectorised
            signature[j] = least


@compiled
def _fill_bins(
    shingles: NDArray[np.uint64],
    count: int,
    seed: np.uint64,
    filled: NDArray[np.bool_],
    signature: NDArray[np.uint32],
) -> None:
    """One-permutation signature: high bits of a hash choose the entry, low bits are its value."""
    entries = U64(signature.shape[0])
    filled[:] = False
    for i in range(count):
        h = _stir(shingles[i] ^ (seed * _STEP_1), 0, _STEP_0)
        entry = ((h >> U64(32)) * entries) >> U64(32)
        value = U32(h & U64(0xFFFFFFFF))
        signature[entry] = value if value < signature[entry] else signature[entry]
        filled[entry] = True
    for empty in range(signature.shape[0]):
        if filled[empty]:
            continue
        attempt = 0
        other = U64(empty)
        while not filled[other]:  # the same attempts in every document, so copies agree
            h = _stir(U64(empty), attempt, _STEP_1)
            other = ((h >> U64(32)) * entries) >> U64(32)
            attempt += 1
        signature[empty] = signature[other]


@compiled
def _sketch_all(
    view: tuple[NDArray[np.uint64], NDArray[np.int64]],
    tables: tuple[NDArray[np.uint32], NDArray[np.uint64]],
    permutations: tuple[NDArray[np.uint32], NDArray[np.uint32]],
    one_permutation: tuple[bool, np.uint64],
    out: tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint64]],
) -> None:
    address, length = view
    table, multipliers = tables
    a, b = permutations
    signature, n_shingles, words_hash = out
    into_bins, seed = one_permutation
    filled = np.empty(signature.shape[1], np.bool_)
    most = longest(length)
    low = np.empty(2 * most + 64 + PADDING, np.uint8)
    words = np.empty(most // 2 + 1, np.uint64)
    shingles = np.empty(most // 2 + 1, np.uint64)
    hashes = np.empty(most // 2 + 1, np.uint32)
    for d in range(length.shape[0]):
        size = lower(address[d], length[d], table, low)
        count = hash_words(low, size, words)
        if count == 0:
            _hash_raw(address[d], length[d], words_hash[d])
            continue
        _hash_sequence(words, count, words_hash[d])
        grams = hash_grams(words, count, multipliers, shingles)
        n_shingles[d] = grams
        if a.shape[0] and into_bins:
            _fill_bins(shingles, grams, seed, filled, signature[d])
        elif a.shape[0]:
            fmix32(shingles, grams, hashes)
            minima(hashes[:grams], a, b, signature[d])
