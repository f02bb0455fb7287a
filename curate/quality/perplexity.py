"""Perplexity under a language model of the reference, in bits per byte.

As CCNet (Wenzek et al. 2020) with KenLM, but a byte-level vocabulary (no unknown words) and bits
per byte, so that neither length nor tokenisation moves the scale. Lower = more like the reference.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.corpus import file_digest, write_bytes_atomically
from curate.errors import ConfigError
from curate.ngram_model import NgramCounts, discounts_from
from curate.quality._arguments import check_digests, read_card
from curate.quality._features import Texts, as_texts, digests
from curate.tokens import Tokenizer, encode, load_tokenizer, save_tokenizer, train_tokenizer

BUCKETS = ("head", "middle", "tail")
_FILES = ("tokens.npz", "tokenizer.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class PerplexityModel:
    """A Kneser–Ney model of the reference; `fit_perplexity` makes one.

    Attributes:
        tokenizer: Byte-pair encoding learnt on the reference.
        tokens: The encoded reference; the counts are made of it.
        order: Longest n-gram.
    """

    tokenizer: Tokenizer = field(repr=False)
    tokens: NDArray[np.uint16] = field(repr=False)
    order: int
    counts: NgramCounts = field(repr=False)

    def score(self, documents: Texts) -> pl.Series:
        """Bits per byte of each text; Float64, named `bits_per_byte`; null for empty text.

        A text of the reference itself scores far too low: the model has read it.
        """
        texts = as_texts(documents)
        tokens, offsets = encode(self.tokenizer, texts)
        discounts = discounts_from(self.counts.counts_of_counts)
        bits = self.counts.token_bits(tokens, offsets, discounts=discounts)
        sums = np.add.reduceat(bits, offsets[:-1]) if texts.len() else np.empty(0)
        size = texts.str.len_bytes().cast(pl.Float64)
        found = pl.Series("bits_per_byte", sums) / size.replace(0.0, None)
        return found.alias("bits_per_byte")

    def save(self, folder: Path | str) -> None:
        """Write tokens, tokenizer and `perplexity.json` with their digests; no pickle."""
        folder, buffer = Path(folder), io.BytesIO()
        np.savez_compressed(buffer, tokens=self.tokens)
        write_bytes_atomically(buffer.getvalue(), folder / _FILES[0])
        save_tokenizer(self.tokenizer, folder / _FILES[1])
        digested = {name: file_digest(folder / name) for name in _FILES}
        card = json.dumps({"order": self.order, "sha256": digested}, sort_keys=True)
        write_bytes_atomically(card.encode(), folder / "perplexity.json")


def load_perplexity(folder: Path | str) -> PerplexityModel:
    """Read a saved model and count its tokens again; it scores bit for bit as it did.

    Raises:
        IntegrityError: A file is not the one that was saved.
    """
    folder = Path(folder)
    card = read_card(folder, "perplexity.json", "perplexity model")
    check_digests(folder, card["sha256"])
    with np.load(folder / _FILES[0], allow_pickle=False) as arrays:
        tokens = arrays["tokens"]
    return _counted(load_tokenizer(folder / _FILES[1]), tokens, card["order"])


def fit_perplexity(reference: Texts, *, order: int = 5, vocabulary: int = 1024) -> PerplexityModel:
    """Model the reference: a byte-pair encoding and interpolated modified Kneser–Ney.

    Args:
        reference: Texts of the wished quality; each text counts once.
        order: Longest n-gram, 2 to 6.
        vocabulary: Number of token ids, 257 or more.

    Raises:
        ConfigError: No text.

    >>> model = fit_perplexity(["the cat sat on the mat"] * 2 + ["the dog sat"], vocabulary=260)
    >>> plain, odd, empty = model.score(["the cat sat", "zqx zqx zqx", ""])
    >>> plain < odd, empty
    (True, None)
    """
    texts = as_texts(reference)
    _, first = np.unique(digests(texts), return_index=True)
    texts = texts.gather(np.sort(first)).filter(texts.gather(np.sort(first)).str.len_bytes() > 0)
    if texts.is_empty():
        raise ConfigError("the reference has no text: no perplexity")
    tokenizer = train_tokenizer(texts, vocabulary=vocabulary)
    return _counted(tokenizer, encode(tokenizer, texts)[0], order)


def percentile_buckets(
    bits_per_byte: pl.Series,
    *,
    edges: tuple[float, float] = (30.0, 60.0),
    native: pl.Series | None = None,
) -> pl.Series:
    """`head`, `middle` or `tail` by percentiles of the corpus itself; null where no bits.

    Edges are CCNet's: the best 30 % are head, the next 30 % middle. Where `native` (Boolean) is
    given, the percentiles are those of the native documents.

    >>> percentile_buckets(pl.Series([1.0, 2.0, 3.0, None])).to_list()
    ['head', 'middle', 'tail', None]
    """
    if not 0 <= edges[0] <= edges[1] <= 100:
        raise ConfigError(f"percentiles {edges} must rise within 0 to 100")
    if not isinstance(bits_per_byte, pl.Series) or not bits_per_byte.dtype.is_numeric():
        raise ConfigError("bits per byte must be a numeric Polars Series")
    own = bits_per_byte if native is None else bits_per_byte.filter(native)
    known = own.drop_nulls().to_numpy()
    if known.size == 0:
        return pl.Series("bucket", [None] * bits_per_byte.len(), dtype=pl.String)
    cuts = np.percentile(known, edges)
    value = pl.col("bits")
    return (
        pl.DataFrame({"bits": bits_per_byte})
        .select(
            bucket=pl.when(value.is_null())
            .then(None)
            .when(value <= cuts[0])
            .then(pl.lit(BUCKETS[0]))
            .when(value <= cuts[1])
            .then(pl.lit(BUCKETS[1]))
            .otherwise(pl.lit(BUCKETS[2]))
        )
        .to_series()
    )


def _counted(tokenizer: Tokenizer, tokens: NDArray[np.uint16], order: int) -> PerplexityModel:
    counts = NgramCounts(order=order, vocabulary=tokenizer.vocabulary)
    counts.extend(tokens, stop=len(tokens))
    return PerplexityModel(tokenizer=tokenizer, tokens=tokens, order=order, counts=counts)
