"""A small synthetic experiment for documentation and tests: words of a Markov chain, no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.experiment.inputs import EvaluationSet, MeasureInputs
from curate.subsets import Encoded

__all__ = ["example_inputs", "markov_documents"]

TYPES = 200  # word types; id 0 is the boundary, id 1 the filler's only word


def markov_documents(n: int, *, seed: int, branches: int = 8, mean: int = 60) -> Encoded:
    """Documents of a Markov chain over Zipf-distributed words: something to learn, with an end.

    The chain is the same for every seed; only the documents differ.

    Args:
        n: Number of documents.
        seed: Of the documents.
        branches: Successors of each word; more are harder to learn.
        mean: Words of a document.

    >>> text = markov_documents(3, seed=1)
    >>> text.lengths.shape, bool((text.flat[text.offsets[1:] - 1] == 0).all())
    ((3,), True)
    """
    chain = np.random.default_rng(0)
    zipf = 1 / np.arange(1, TYPES + 1)
    successors = chain.choice(TYPES, size=(TYPES, branches), p=zipf / zipf.sum())
    rng = np.random.default_rng([seed, 7])
    lengths = 10 + rng.poisson(mean - 10, size=n)
    words = _walk(successors, lengths, rng)
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int64)
    flat = np.zeros(int(offsets[-1]), np.uint16)
    inside = np.ones(flat.size, np.bool_)
    inside[offsets[1:] - 1] = False
    flat[inside] = words + 2
    return Encoded(flat=flat, offsets=offsets)


def _walk(
    successors: NDArray[np.int64], lengths: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """All documents step by step, side by side; then one after the other."""
    steps = int(lengths.max())
    state = rng.integers(0, len(successors), size=len(lengths))
    table = np.empty((len(lengths), steps), np.int64)
    for step in range(steps):
        state = successors[state, rng.integers(0, successors.shape[1], size=len(lengths))]
        table[:, step] = state
    return table[np.arange(steps) < lengths[:, None]]


def example_inputs(
    n: int = 400, *, filler_share: float = 1 / 3, sets: int = 2, seed: int = 1
) -> MeasureInputs:
    """Clean documents mixed with inert filler, curated by removing exactly that filler.

    Args:
        n: Documents in all.
        filler_share: Share of the documents that are filler.
        sets: Number of evaluation sets.
        seed: Of the documents.

    >>> inputs = example_inputs()
    >>> len(inputs.ids), float(inputs.masks["curated"].mean())
    (400, 0.6675)
    """
    clean = np.ones(n, np.bool_)
    clean[: round(n * filler_share)] = False
    clean = np.random.default_rng([seed, 3]).permutation(clean)
    text = markov_documents(n, seed=seed)
    flat = text.flat.copy()
    rows = np.repeat(np.arange(n), text.lengths)
    flat[~clean[rows] & (flat > 0)] = 1
    raw = Encoded(flat=flat, offsets=text.offsets)
    evaluation = {}
    for s in range(sets):
        encoded = markov_documents(40, seed=1000 + s)
        evaluation[f"held_out_{s}"] = EvaluationSet(
            ids=tuple(f"e{s}-{i}" for i in range(40)), encoded=encoded, bytes=encoded.lengths * 3
        )
    inert = np.ones(61, np.uint16)
    inert[-1] = 0
    return MeasureInputs(
        ids=[f"d{i}" for i in range(n)],
        texts={"raw": raw, "curated": raw},
        masks={"curated": clean, "oracle": clean},
        clusters=np.full(n, -1, np.int64),
        evaluation=evaluation,
        filler=Encoded(flat=inert, offsets=np.array([0, 61], np.int64)),
        vocabulary=TYPES + 2,
    )
