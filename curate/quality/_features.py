"""From texts to hashed counts of words and word pairs, in batches and compiled.

Words are those of `curate.text`: lower case, any script, single letters included. A term is a
word or two neighbouring words; its 64-bit hash is mixed into one of 2**bits buckets. Nothing is
stored but counts, so unseen terms cost nothing and two terms may share a bucket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.frames import polars_frame
from curate.text import word_ngrams

Hashes = NDArray[np.uint64]
Counts = NDArray[np.int64]
Texts = pl.DataFrame | pl.LazyFrame | pl.Series | Sequence[str]

NORMS = ("unit", "share")
SHARE_SCALE = 16.0  # puts shares of terms on the scale of unit vectors, for one regularisation
_BATCH_DOCUMENTS = 2_000
_GOLDEN = 0x9E3779B97F4A7C15


def as_texts(documents: Texts) -> pl.Series:
    """The texts of a frame (column `text`), a series or a sequence; null counts as empty."""
    if not isinstance(documents, pl.LazyFrame) and hasattr(documents, "columns"):
        documents = polars_frame(documents)
    if isinstance(documents, pl.LazyFrame):
        documents = documents.select("text").collect()
    if isinstance(documents, pl.DataFrame):
        if "text" not in documents.columns:
            raise ConfigError(f"no column 'text' to score; columns: {documents.columns}")
        documents = documents["text"]
    if not isinstance(documents, pl.Series):
        documents = _series(documents)
    if documents.dtype not in (pl.String, pl.Null):
        raise ConfigError(f"texts are {documents.dtype}, but only String has words")
    return documents.cast(pl.String).fill_null("")


def _series(documents: object) -> pl.Series:
    """Texts of a sequence; one text, a mapping or a path is no sequence of texts."""
    named = f"texts are a {type(documents).__name__}"
    if isinstance(documents, str | bytes | Mapping) or not isinstance(documents, Iterable):
        raise ConfigError(
            f"{named}; give a frame with a column 'text', a series or a list of texts"
        )
    texts = list(documents)
    for place, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise ConfigError(f"{named}, but item {place} is a {type(text).__name__}, no text")
    return pl.Series("text", texts, dtype=pl.String)


def term_hashes(texts: pl.Series) -> tuple[Hashes, Counts, Hashes, Counts]:
    """Hashes of the words and of the pairs of each text, each with offsets.

    A text of one word has no pair, though its one row of pairs holds that word's hash.
    """
    return (*word_ngrams(texts, n=1), *word_ngrams(texts, n=2))


def buckets(hashes: Hashes, bits: int) -> Counts:
    """Bucket of each term hash: the upper bits of a mixed hash.

    >>> buckets(np.array([1, 2], np.uint64), 4).tolist()
    [9, 3]
    """
    mixed = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(_GOLDEN)
    return (mixed >> np.uint64(64 - bits)).astype(np.int64)


def counted(texts: pl.Series, bits: int, norm: str = "unit") -> Any:  # noqa: ANN401 - SciPy CSR
    """Normalised counts, one row a text (SciPy CSR, n x 2**bits, float64, sorted columns).

    `unit`: each row has length 1. `share`: counts over the number of terms, times 16.
    """
    from scipy.sparse import csr_matrix

    terms = term_hashes(texts)
    offsets, columns, counts = _count(*terms, bits)
    scale = _row_scale(offsets, counts, norm == "share")
    values = counts * np.repeat(scale, np.diff(offsets))
    return csr_matrix((values, columns, offsets), shape=(texts.len(), 1 << bits))


def decisions(texts: pl.Series, weights: Floats, intercept: float, *, norm: str = "unit") -> Floats:
    """Decision value of each text under a linear model; memory stays that of one batch."""
    bits = weights.size.bit_length() - 1
    values = [
        _weigh(*term_hashes(batch), weights, bits, norm == "share") for batch in _batches(texts)
    ]
    return np.concatenate(values) + intercept if values else np.empty(0)


def weighed_terms(texts: pl.Series, weights: Floats) -> tuple[Floats, Counts]:
    """Sum of the weights of all terms of each text, and their number; not normalised."""
    bits = weights.size.bit_length() - 1
    parts = [_sum(*term_hashes(batch), weights, bits) for batch in _batches(texts)]
    if not parts:
        return np.empty(0), np.empty(0, np.int64)
    sums, numbers = zip(*parts, strict=True)
    return np.concatenate(sums), np.concatenate(numbers)


def bucket_totals(texts: pl.Series, bits: int) -> Counts:
    """How often each bucket is met over all texts."""
    totals = np.zeros(1 << bits, np.int64)
    for batch in _batches(texts):
        _add(*term_hashes(batch), totals, bits)
    return totals


def _batches(texts: pl.Series) -> Iterator[pl.Series]:
    for start in range(0, texts.len(), _BATCH_DOCUMENTS):
        yield texts.slice(start, _BATCH_DOCUMENTS)


def _row_scale(offsets: Counts, counts: Floats, share: bool) -> Floats:
    """What the counts of each row are multiplied by."""
    rows = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    if share:
        return SHARE_SCALE / np.maximum(np.bincount(rows, counts, offsets.size - 1), 1.0)
    return np.asarray(
        1.0 / np.sqrt(np.maximum(np.bincount(rows, counts**2, offsets.size - 1), 1.0))
    )


@njit(nogil=True, cache=True)
def _bucket(value: np.uint64, bits: int) -> np.int64:
    mixed = (value ^ (value >> np.uint64(32))) * np.uint64(_GOLDEN)
    return np.int64(mixed >> np.uint64(64 - bits))


@njit(nogil=True, cache=True)
def _tally(words: Hashes, pairs: Hashes, bits: int, seen: NDArray[np.int32], found: Counts) -> int:
    """Count the terms of one text into `seen`; the buckets touched, in order, and their number."""
    n = 0
    for kind in range(2):
        terms = words if kind == 0 else pairs
        for i in range(len(terms)):
            bucket = _bucket(terms[i], bits)
            if seen[bucket] == 0:
                found[n] = bucket
                n += 1
            seen[bucket] += 1
    return n


@njit(nogil=True, cache=True)
def _of_row(
    words: Hashes, word_at: Counts, pairs: Hashes, pair_at: Counts, row: int
) -> tuple[Hashes, Hashes]:
    """Words and pairs of one text; a single word has no pair."""
    own = words[word_at[row] : word_at[row + 1]]
    beside = pairs[pair_at[row] : pair_at[row + 1]]
    return own, beside[: max(0, len(own) - 1)]


@njit(nogil=True, cache=True)
def _count(
    words: Hashes, word_at: Counts, pairs: Hashes, pair_at: Counts, bits: int
) -> tuple[Counts, Counts, Floats]:
    """Compressed rows: offsets, sorted buckets, counts."""
    rows = len(word_at) - 1
    seen = np.zeros(1 << bits, np.int32)
    columns = np.empty(len(words) + len(pairs), np.int64)
    counts = np.empty(len(words) + len(pairs))
    offsets = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        own, beside = _of_row(words, word_at, pairs, pair_at, row)
        start = offsets[row]
        n = _tally(own, beside, bits, seen, columns[start:])
        columns[start : start + n].sort()
        for i in range(start, start + n):
            counts[i] = seen[columns[i]]
            seen[columns[i]] = 0
        offsets[row + 1] = start + n
    return offsets, columns[: offsets[rows]], counts[: offsets[rows]]


@njit(nogil=True, cache=True)
def _weigh(  # noqa: PLR0913 - a kernel takes flat arrays
    words: Hashes,
    word_at: Counts,
    pairs: Hashes,
    pair_at: Counts,
    weights: Floats,
    bits: int,
    share: bool,
) -> Floats:
    """Normalised weighted sum of each text."""
    rows = len(word_at) - 1
    seen = np.zeros(1 << bits, np.int32)
    found = np.empty(len(words) + len(pairs) + 1, np.int64)
    values = np.zeros(rows)
    for row in range(rows):
        own, beside = _of_row(words, word_at, pairs, pair_at, row)
        n = _tally(own, beside, bits, seen, found)
        total, square = 0.0, 0.0
        for i in range(n):
            count = float(seen[found[i]])
            seen[found[i]] = 0
            total += weights[found[i]] * count
            square += count * count
        terms = len(own) + len(beside)
        if terms > 0:
            values[row] = total * SHARE_SCALE / terms if share else total / np.sqrt(square)
    return values


@njit(nogil=True, cache=True)
def _sum(  # noqa: PLR0913 - a kernel takes flat arrays
    words: Hashes, word_at: Counts, pairs: Hashes, pair_at: Counts, weights: Floats, bits: int
) -> tuple[Floats, Counts]:
    """Sum of weights and number of terms of each text."""
    rows = len(word_at) - 1
    sums, numbers = np.zeros(rows), np.zeros(rows, np.int64)
    for row in range(rows):
        own, beside = _of_row(words, word_at, pairs, pair_at, row)
        for i in range(len(own)):
            sums[row] += weights[_bucket(own[i], bits)]
        for i in range(len(beside)):
            sums[row] += weights[_bucket(beside[i], bits)]
        numbers[row] = len(own) + len(beside)
    return sums, numbers


@njit(nogil=True, cache=True)
def _add(  # noqa: PLR0913 - a kernel takes flat arrays
    words: Hashes, word_at: Counts, pairs: Hashes, pair_at: Counts, totals: Counts, bits: int
) -> None:
    """Add one to the bucket of every term."""
    for row in range(len(word_at) - 1):
        own, beside = _of_row(words, word_at, pairs, pair_at, row)
        for i in range(len(own)):
            totals[_bucket(own[i], bits)] += 1
        for i in range(len(beside)):
            totals[_bucket(beside[i], bits)] += 1


def digests(texts: pl.Series) -> NDArray[np.uint64]:
    """64 bits of each text's BLAKE2: who was fitted on is known by content, not by id."""
    return hashed(texts.to_list(), seed=0)


def hashed(names: Sequence[str], *, seed: int) -> NDArray[np.uint64]:
    """Seeded 64-bit hash of each string, the same on every machine and in every run."""
    if not isinstance(seed, int):
        raise ConfigError(f"seed is {seed!r} ({type(seed).__name__}); allowed: a whole number")
    salt = seed.to_bytes(16, "little", signed=True)
    parts = [hashlib.blake2b(n.encode(), digest_size=8, salt=salt).digest() for n in names]
    return np.frombuffer(b"".join(parts), dtype="<u8").astype(np.uint64)


def uniforms(names: Sequence[str], *, seed: int) -> Floats:
    """A seeded uniform number in (0, 1) for each name, the same on every machine.

    >>> bool(((found := uniforms(["a", "b"], seed=1)) > 0).all() and (found < 1).all())
    True
    """
    return ((hashed(names, seed=seed) >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
