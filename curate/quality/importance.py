"""Importance weights: how much likelier a text's terms are in the reference than in the corpus.

Xie et al. (2023), "Data selection for language models via importance resampling" (DSIR): two
bags of hashed words and pairs, smoothed; a text's weight is the sum of the log ratios of its terms.
The plain weight grows with length; per term it does not.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.corpus import file_digest, write_bytes_atomically
from curate.errors import ConfigError
from curate.quality._arguments import check_digests, read_card
from curate.quality._features import (
    Texts,
    as_texts,
    bucket_totals,
    digests,
    uniforms,
    weighed_terms,
)
from curate.quality.selection import gumbel

BITS = 14  # 16,384 buckets; the paper has 10,000
_SMOOTHING = 1.0
_MOST_BITS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportanceModel:
    """Log ratio of each bucket, in nats; `fit_importance` makes one.

    Attributes:
        log_ratio: ln of reference share over background share, one a bucket (2**bits).
        per_term: Scores are means over terms (length-normalised), not sums.
    """

    log_ratio: Floats = field(repr=False)
    per_term: bool = True

    def score(self, documents: Texts) -> pl.Series:
        """Mean (or sum) of the log ratios of all terms; Float64 in nats, named `importance`.

        A text without words scores 0: it says nothing for either side.
        """
        sums, numbers = weighed_terms(as_texts(documents), self.log_ratio)
        return pl.Series("importance", sums / np.maximum(numbers, 1) if self.per_term else sums)

    def save(self, folder: Path | str) -> None:
        """Write `importance.npz` and `importance.json` with its digest; no pickle."""
        folder, buffer = Path(folder), io.BytesIO()
        np.savez(buffer, log_ratio=self.log_ratio)
        write_bytes_atomically(buffer.getvalue(), folder / "importance.npz")
        card = {"per_term": self.per_term, "sha256": file_digest(folder / "importance.npz")}
        write_bytes_atomically(json.dumps(card).encode(), folder / "importance.json")


def load_importance(folder: Path | str) -> ImportanceModel:
    """Read saved importance weights; they score bit for bit as they did.

    Raises:
        IntegrityError: The arrays are not those that were saved.

    >>> import tempfile
    >>> model = fit_importance(["good text"], ["bad text"])
    >>> folder = tempfile.mkdtemp()
    >>> model.save(folder)
    >>> load_importance(folder).score(["good"]).equals(model.score(["good"]))
    True
    """
    folder = Path(folder)
    card = read_card(folder, "importance.json", "importance weights")
    check_digests(folder, {"importance.npz": card["sha256"]})
    with np.load(folder / "importance.npz", allow_pickle=False) as arrays:
        return ImportanceModel(log_ratio=arrays["log_ratio"], per_term=card["per_term"])


def fit_importance(
    reference: Texts, background: Texts, *, bits: int = BITS, per_term: bool = True
) -> ImportanceModel:
    """Count both sides and take the log ratio of each bucket, one count added to every bucket.

    Args:
        reference: Texts of the wished distribution.
        background: Texts of the corpus; those that stand in the reference are left out.
        bits: 2**bits buckets.
        per_term: Length-normalised scores.

    Raises:
        ConfigError: A side has no words.

    >>> model = fit_importance(["a good dog"] * 3, ["a bad dog"] * 3)
    >>> model.score(["good", "bad", "…"]).sign().to_list()
    [1.0, -1.0, 0.0]
    """
    if not 1 <= bits <= _MOST_BITS:
        raise ConfigError(f"bits is {bits}; allowed: 1 to {_MOST_BITS}")
    sides = [as_texts(reference), as_texts(background)]
    known = np.isin(digests(sides[1]), digests(sides[0]))
    sides[1] = sides[1].filter(pl.Series(~known))
    totals = [bucket_totals(side, bits).astype(np.float64) for side in sides]
    for name, total in zip(("reference", "background"), totals, strict=True):
        if not total.any():
            raise ConfigError(f"the {name} has no words of its own: no importance weights")
    shares = [np.log((t + _SMOOTHING) / (t + _SMOOTHING).sum()) for t in totals]
    return ImportanceModel(log_ratio=shares[0] - shares[1], per_term=per_term)


def gumbel_top_k(log_weights: pl.Series, ids: pl.Series, k: int, *, seed: int) -> pl.Series:
    """Draw `k` documents without replacement, with probabilities in proportion to weights.

    Args:
        log_weights: Natural logs of the weights, e.g. importance; any constant may be added.
        ids: Unique ids; the draw depends on them and the seed only, not on the order.
        k: Number of documents.
        seed: Of the draw.

    Returns:
        Boolean, true = drawn.

    Raises:
        ConfigError: `k` is negative or more than there are.

    >>> gumbel_top_k(pl.Series([0.0, 99.0]), pl.Series(["a", "b"]), 1, seed=1).to_list()
    [False, True]
    """
    if log_weights.len() != ids.len():
        raise ConfigError(f"{log_weights.len()} weights for {ids.len()} ids")
    if not 0 <= k <= log_weights.len():
        raise ConfigError(f"cannot draw {k} of {log_weights.len()} documents")
    keys = log_weights.to_numpy() + gumbel(uniforms(ids.to_list(), seed=seed))
    drawn = np.zeros(keys.size, dtype=bool)
    drawn[np.argsort(-keys, kind="stable")[:k]] = True
    return pl.Series("drawn", drawn)
