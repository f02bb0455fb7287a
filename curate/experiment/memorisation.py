"""What a model has learned by heart: planted canaries, and text read against text held out.

Canaries are random words that occur nowhere else, planted once, 4, 16 and 64 times. Of each the
model sees the beginning; whether it completes the rest greedily is the extraction rate, and how low
the canary ranks among random texts of its kind is its exposure (Carlini et al. 2019, "The secret
sharer", section 4): log2 of the number of texts over the canary's rank among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.experiment.inputs import MeasureInputs
from curate.ngram_model import NgramCounts, fit_discounts
from curate.statistics import t_interval, wilson
from curate.subsets import Encoded, draw_order, id_hashes

COPIES = (1, 4, 16, 64)
CANARIES = 12  # of each number of copies
LENGTH = 24  # tokens of a canary without its end
PROMPT = 8  # tokens that extraction starts from
RIVALS = 1023  # random texts that a canary is ranked against: exposure is at most 10 bits
EPOCHS = (1, 2, 4)

TOKENS = 400_000  # of an arm: enough to rank canaries, little to wait for

MEMORY_SCHEMA: Mapping[str, Any] = {
    "what": pl.String,
    "amount": pl.Int64,
    "order": pl.Int64,
    "n_tokens": pl.Int64,
    "n": pl.Int64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}

Tokens = NDArray[np.uint16]
Floats = NDArray[np.float64]

__all__ = ["MEMORY_SCHEMA", "memorisation", "memory_of_arms"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """A trained n-gram model and the discounts that it scores with."""

    counts: NgramCounts
    discounts: Floats

    def bits(self, documents: Sequence[Tokens]) -> list[Floats]:
        """Bits of every token of each document."""
        flat = np.concatenate(documents)
        offsets = np.concatenate([[0], np.cumsum([len(d) for d in documents])]).astype(np.int64)
        bits = self.counts.token_bits(flat, offsets, discounts=self.discounts)
        return np.split(bits, offsets[1:-1])

    def completes(self, canary: Tokens) -> bool:
        """Whether the likeliest token after each prefix of the canary is the one that follows."""
        size, reach = self.counts.vocabulary, self.counts.order - 1
        for end in range(PROMPT, len(canary) - 1):
            context = canary[max(0, end - reach) : end]  # no n-gram looks further back
            options = np.tile(np.append(context, np.uint16(0)), (size, 1))
            options[:, -1] = np.arange(size)
            width = options.shape[1]
            offsets = np.arange(size + 1, dtype=np.int64) * width
            bits = self.counts.token_bits(options.ravel(), offsets, discounts=self.discounts)
            if int(bits[width - 1 :: width].argmin()) != int(canary[end]):
                return False
        return True


def memorisation(
    documents: Sequence[Tokens],
    held_out: Sequence[Tokens],
    *,
    order: int = 5,
    vocabulary: int = 1024,
    seed: int = 17,
) -> pl.DataFrame:
    """Extraction, exposure, gap and epochs of an n-gram model of these documents.

    Args:
        documents: Training documents, each ended by the boundary token 0.
        held_out: Documents of the same kind that it is not trained on.
        order: Longest n-gram.
        vocabulary: Number of token ids.
        seed: Of the canaries and the order of the documents.

    Returns:
        Columns as `MEMORY_SCHEMA`. `what` is "extracted" (share of canaries, Wilson interval) or
        "exposure" (bits, t interval over canaries), by `amount` = copies, 0 for canaries that were
        not planted; or "gap": bits a token of held-out minus those of training documents (t
        interval over documents), by `amount` = times that the training text was read.

    Raises:
        ConfigError: No documents, or none held out.

    >>> rng = np.random.default_rng(1)
    >>> texts = [np.append(rng.integers(1, 30, 40), 0).astype(np.uint16) for _ in range(60)]
    >>> found = memorisation(texts[:50], texts[50:], order=3, vocabulary=64)
    >>> found.filter(what="extracted", amount=0)["estimate"].to_list()
    [0.0]
    """
    if not documents or not held_out:
        raise ConfigError("memorisation needs training documents and held-out documents")
    rng = np.random.default_rng([seed, 29])
    canaries = {copies: _canaries(rng, vocabulary) for copies in (0, *COPIES)}
    planted = [c for copies in COPIES for c in canaries[copies] for _ in range(copies)]
    model = _trained([*documents, *planted], documents, rng, order=order, vocabulary=vocabulary)
    rivals = _canaries(rng, vocabulary, RIVALS)
    fixed = {"order": order, "n_tokens": model.counts.n_tokens}
    rows = []
    for copies, texts in canaries.items():
        rows += [{"amount": copies, **fixed, **row} for row in _remembered(model, texts, rivals)]
    for epochs in EPOCHS:
        again = _trained(
            [d for _ in range(epochs) for d in documents],
            documents,
            rng,
            order=order,
            vocabulary=vocabulary,
        )
        gap = _gap(again, documents, held_out)
        rows.append({"amount": epochs, **fixed, "n_tokens": again.counts.n_tokens, **gap})
    return pl.DataFrame(rows, schema=dict(MEMORY_SCHEMA))


def memory_of_arms(inputs: MeasureInputs, *, seed: int) -> pl.DataFrame:
    """`memorisation` of raw and of curated text, at most 400,000 tokens of each.

    Held out is text of the corpus that no arm holds; where the pool was too small to hold any out,
    the first evaluation set. Returns `arm` String and the columns of `MEMORY_SCHEMA`.

    >>> from curate.experiment.example import example_inputs
    >>> found = memory_of_arms(example_inputs(300), seed=1)
    >>> found["arm"].unique(maintain_order=True).to_list()
    ['raw', 'curated']
    """
    sets = {**inputs.evaluation, **inputs.held_out}
    name = "held_out_curated" if "held_out_curated" in sets else next(iter(sets))
    held_out = _documents(sets[name].encoded, np.arange(len(sets[name].ids)))
    order = draw_order(id_hashes(inputs.ids), seed=seed, replicate=0)
    frames = []
    for arm, mask in (("raw", inputs.native), ("curated", inputs.masks["curated"])):
        text = inputs.texts[arm]
        drawn = order[mask[order]]
        drawn = drawn[np.cumsum(text.lengths[drawn]) <= TOKENS]
        found = memorisation(
            _documents(text, drawn), held_out, vocabulary=inputs.vocabulary, seed=seed
        )
        frames.append(found.select(pl.lit(arm).alias("arm"), pl.all()))
    return pl.concat(frames)


def _documents(text: Encoded, rows: NDArray[np.int64]) -> list[Tokens]:
    pieces = [text.flat[text.offsets[i] : text.offsets[i + 1]] for i in rows.tolist()]
    return [piece for piece in pieces if len(piece) > 1]


def _canaries(rng: Generator, vocabulary: int, n: int = CANARIES) -> list[Tokens]:
    drawn = rng.integers(1, vocabulary, (n, LENGTH)).astype(np.uint16)
    return [np.append(row, np.uint16(0)) for row in drawn]


def _trained(
    texts: Sequence[Tokens],
    plain: Sequence[Tokens],
    rng: Generator,
    *,
    order: int,
    vocabulary: int,
) -> _Model:
    """Counts of the texts in random order; discounts of the text without its repeats."""
    once = np.concatenate(plain)
    shuffled = np.concatenate([texts[i] for i in rng.permutation(len(texts))])
    counts = NgramCounts(order=order, vocabulary=vocabulary)
    counts.extend(shuffled, stop=len(shuffled))
    discounts = fit_discounts(once, order, [len(once)], vocabulary=vocabulary)[0]
    return _Model(counts=counts, discounts=discounts)


def _remembered(
    model: _Model, canaries: Sequence[Tokens], rivals: Sequence[Tokens]
) -> list[dict[str, Any]]:
    extracted = sum(model.completes(canary) for canary in canaries)
    low, high = wilson(extracted, len(canaries))
    own = np.array([bits.sum() for bits in model.bits(canaries)])
    others = np.array([bits.sum() for bits in model.bits(rivals)])
    ranks = 1 + (others[None, :] < own[:, None]).sum(axis=1)
    exposure = t_interval(np.log2(len(rivals) + 1) - np.log2(ranks))
    return [
        {
            "what": "extracted",
            "n": len(canaries),
            "estimate": extracted / len(canaries),
            "low": float(low),
            "high": float(high),
        },
        {
            "what": "exposure",
            "n": len(canaries),
            "estimate": exposure.estimate,
            "low": exposure.low,
            "high": exposure.high,
        },
    ]


def _gap(model: _Model, documents: Sequence[Tokens], held_out: Sequence[Tokens]) -> dict[str, Any]:
    """Welch's interval of the difference of two means of bits a token."""
    sides = [
        np.array([bits.mean() for bits in model.bits(side)])
        for side in (held_out, documents[: len(held_out)])
    ]
    error = float(np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides)))
    gap = float(sides[0].mean() - sides[1].mean())
    return {
        "what": "gap",
        "n": len(held_out),
        "estimate": gap,
        "low": gap - 1.96 * error,
        "high": gap + 1.96 * error,
    }
