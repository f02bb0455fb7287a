"""What a model has learned by heart: planted canaries, and text read against text held out.

Canaries are random words that occur nowhere else, planted once, 4, 16 and 64 times. Of each the
model sees the beginning; whether it completes the rest greedily is the extraction rate, and how low
the canary ranks among random texts of its kind is its exposure (Carlini et al. 2019, "The secret
sharer", section 4): log2 of the number of texts over the canary's rank among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.experiment.inputs import MeasureInputs
from curate.experiment.learners import Learned, Learner, NgramLearner, TransformerLearner
from curate.proxies import Gpt
from curate.statistics import t_interval, wilson
from curate.subsets import Encoded, draw_order, first_of_cluster, id_hashes

COPIES = (1, 4, 16, 64)
CANARIES = 12  # of each number of copies
LENGTH = 24  # tokens of a canary without its end
PROMPT = 8  # tokens that extraction starts from
RIVALS = 1023  # random texts that a canary is ranked against: exposure is at most 10 bits
EPOCHS = (1, 2, 4)

# Of an arm, by family: enough to rank canaries, little to wait for.
TOKENS: Mapping[str, int] = {"kneser_ney": 400_000, "gpt": 60_000}

MEMORY_SCHEMA: Mapping[str, Any] = {
    "what": pl.String,
    "amount": pl.Int64,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "n": pl.Int64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}

Tokens = NDArray[np.uint16]

__all__ = ["MEMORY_SCHEMA", "memorisation", "memory_of_arms"]


def memorisation(
    documents: Sequence[Tokens],
    held_out: Sequence[Tokens],
    *,
    learner: Learner | None = None,
    plain: Sequence[Tokens] | None = None,
    seed: int = 17,
) -> pl.DataFrame:
    """Extraction, exposure, gap and epochs of a model of these documents.

    Args:
        documents: Training documents, each ended by the boundary token 0.
        held_out: Documents of the same kind that it is not trained on.
        learner: Kind of model; `None` = Kneser–Ney of order 5 over 1,024 token ids.
        plain: Text without repeats that settings may be fitted to; `None` = the documents.
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
    >>> trigrams = NgramLearner(order=3, vocabulary=64)
    >>> found = memorisation(texts[:50], texts[50:], learner=trigrams)
    >>> found.filter(what="extracted", amount=0)["estimate"].to_list()
    [0.0]
    """
    if not documents or not held_out:
        raise ConfigError("memorisation needs training documents and held-out documents")
    asked, once = learner or NgramLearner(), documents if plain is None else plain
    rng = np.random.default_rng([seed, 29])
    canaries = {copies: _canaries(rng, asked.vocabulary) for copies in (0, *COPIES)}
    planted = [c for copies in COPIES for c in canaries[copies] for _ in range(copies)]
    texts = _shuffled([*documents, *planted], rng)
    model = asked.learn(texts, once, seed=seed)
    rivals = _canaries(rng, asked.vocabulary, RIVALS)
    fixed = {"family": asked.family, "size": asked.size, "n_tokens": _total(texts)}
    rows = []
    for copies, planted_here in canaries.items():
        found = _remembered(model, planted_here, rivals)
        rows += [{"amount": copies, **fixed, **row} for row in found]
    for epochs in EPOCHS:
        texts = _shuffled([d for _ in range(epochs) for d in documents], rng)
        again = asked.learn(texts, once, seed=seed)
        gap = _gap(again, documents, held_out)
        rows.append({"amount": epochs, **fixed, "n_tokens": _total(texts), **gap})
    return pl.DataFrame(rows, schema=dict(MEMORY_SCHEMA))


def memory_of_arms(
    inputs: MeasureInputs, *, seed: int, families: Sequence[str] = ("kneser_ney",)
) -> pl.DataFrame:
    """`memorisation` of raw and of curated text by each family that is there.

    Kneser–Ney of order 5 reads at most 400,000 tokens of each arm, a transformer of the family's
    first size at most 60,000, at its stated rate.

    Held out of raw is raw text, of curated curated text, neither in any arm; where the pool was too
    small to hold any out, the first evaluation set. Discounts are fitted once, to raw text without
    its repeats, and shared by both. Returns `arm` String and the columns of `MEMORY_SCHEMA`.

    >>> from curate.experiment.example import example_inputs
    >>> found = memory_of_arms(example_inputs(300), seed=1)
    >>> found["arm"].unique(maintain_order=True).to_list()
    ['raw', 'curated']
    """
    sets = {**inputs.evaluation, **inputs.held_out}
    order = draw_order(id_hashes(inputs.ids), seed=seed, replicate=0)
    natives = order[inputs.native[order]]
    fresh = first_of_cluster(natives, inputs.clusters)
    frames = []
    for learner in _learners(inputs.vocabulary, families):
        tokens = TOKENS[learner.family]
        once = _drawn(inputs.texts["raw"], natives[fresh[natives]], tokens)
        for arm, mask in (("raw", inputs.native), ("curated", inputs.masks["curated"])):
            name = f"held_out_{arm}" if f"held_out_{arm}" in sets else next(iter(sets))
            held_out = _documents(sets[name].encoded, np.arange(len(sets[name].ids)))
            texts = _drawn(inputs.texts[arm], order[mask[order]], tokens)
            found = memorisation(texts, held_out, learner=learner, plain=once, seed=seed)
            frames.append(found.select(pl.lit(arm).alias("arm"), pl.all()))
    return pl.concat(frames)


def _drawn(text: Encoded, order: NDArray[np.int64], tokens: int) -> list[Tokens]:
    """The first documents of an order, of at most so many tokens together."""
    return _documents(text, order[np.cumsum(text.lengths[order]) <= tokens])


def _learners(vocabulary: int, families: Sequence[str]) -> list[Learner]:
    """Those of the families that are installed; Kneser–Ney where none is."""
    gpt = Gpt(vocabulary=vocabulary)
    found: list[Learner] = []
    if "kneser_ney" in families or not gpt.available():
        found.append(NgramLearner(vocabulary=vocabulary))
    if "gpt" in families and gpt.available():
        found.append(TransformerLearner(gpt=gpt, size=gpt.sizes[0]))
    return found


def _documents(text: Encoded, rows: NDArray[np.int64]) -> list[Tokens]:
    pieces = [text.flat[text.offsets[i] : text.offsets[i + 1]] for i in rows.tolist()]
    return [piece for piece in pieces if len(piece) > 1]


def _canaries(rng: Generator, vocabulary: int, n: int = CANARIES) -> list[Tokens]:
    drawn = rng.integers(1, vocabulary, (n, LENGTH)).astype(np.uint16)
    return [np.append(row, np.uint16(0)) for row in drawn]


def _shuffled(texts: Sequence[Tokens], rng: Generator) -> list[Tokens]:
    return [texts[i] for i in rng.permutation(len(texts))]


def _total(texts: Sequence[Tokens]) -> int:
    return sum(len(text) for text in texts)


def _remembered(
    model: Learned, canaries: Sequence[Tokens], rivals: Sequence[Tokens]
) -> list[dict[str, Any]]:
    extracted = sum(model.completes(canary, PROMPT) for canary in canaries)
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


def _gap(model: Learned, documents: Sequence[Tokens], held_out: Sequence[Tokens]) -> dict[str, Any]:
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
