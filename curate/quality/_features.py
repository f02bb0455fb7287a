"""From texts to hashed counts, decision values and digests, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

Floats = NDArray[np.float64]
Texts = pl.DataFrame | pl.LazyFrame | pl.Series | Sequence[str]

_BATCH_DOCUMENTS = 2_000


def vectorizer(bits: int) -> HashingVectorizer:
    """Word 1- and 2-grams, lower case, hashed into 2**bits buckets, unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        ngram_range=(1, 2), n_features=2**bits, alternate_sign=False, norm="l2"
    )


def as_texts(documents: Texts) -> pl.Series:
    """The texts of a frame (column `text`), a series or a sequence; null counts as empty."""
    if isinstance(documents, pl.LazyFrame):
        documents = documents.select("text").collect()
    if isinstance(documents, pl.DataFrame):
        if "text" not in documents.columns:
            raise ConfigError(f"no column 'text' to score; columns: {documents.columns}")
        documents = documents["text"]
    if not isinstance(documents, pl.Series):
        documents = pl.Series("text", list(documents), dtype=pl.String)
    return documents.fill_null("")


def counted(texts: pl.Series, bits: int) -> Any:  # noqa: ANN401 - a SciPy sparse matrix
    """Hashed, normalised counts: one row a text (SciPy CSR, n x 2**bits)."""
    return vectorizer(bits).transform(texts.to_list())


def decisions(texts: pl.Series, weights: Floats, intercept: float) -> Floats:
    """Decision value of each text under a linear model; memory stays that of one batch."""
    bits = weights.size.bit_length() - 1
    values = [counted(batch, bits) @ weights for batch in _batches(texts)]
    return np.concatenate(values) + intercept if values else np.empty(0)


def _batches(texts: pl.Series) -> Iterator[pl.Series]:
    for start in range(0, texts.len(), _BATCH_DOCUMENTS):
        yield texts.slice(start, _BATCH_DOCUMENTS)


def digests(texts: pl.Series) -> NDArray[np.uint64]:
    """64 bits of each text's BLAKE2: who was fitted on is known by content, not by id."""
    return hashed(texts.to_list(), seed=0)


def hashed(names: Sequence[str], *, seed: int) -> NDArray[np.uint64]:
    """Seeded 64-bit hash of each string, the same on every machine and in every run."""
    salt = seed.to_bytes(16, "little", signed=True)
    parts = [hashlib.blake2b(n.encode(), digest_size=8, salt=salt).digest() for n in names]
    return np.frombuffer(b"".join(parts), dtype="<u8").astype(np.uint64)
