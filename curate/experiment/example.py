"""A small synthetic experiment for documentation and tests: words of a Markov chain, no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.experiment.inputs import EvaluationSet, MeasureInputs
from curate.subsets import Encoded

__all__ = ["example_inputs", "markov_documents", "menu_documents"]

TYPES = 900  # word types, Zipf-distributed; the filler has words of its own after these
MENU = 60  # words of the filler
BOUNDARY = 0


def markov_documents(n: int, *, seed: int, branches: int = 40, mean: int = 80) -> Encoded:
    """Documents of a Markov chain over Zipf-distributed words: much to learn, slowly.

    The chain is the same for every seed; only the documents differ.

    Args:
        n: Number of documents.
        seed: Of the documents.
        branches: Draws that make up the successors of a word; more are harder to learn.
        mean: Words of a document.

    >>> text = markov_documents(3, seed=1)
    >>> text.lengths.shape, bool((text.flat[text.offsets[1:] - 1] == 0).all())
    ((3,), True)
    """
    chain = np.random.default_rng(0)
    zipf = 1 / np.arange(1, TYPES + 1)
    successors = chain.choice(TYPES, size=(TYPES, branches), p=zipf / zipf.sum())
    rng = np.random.default_rng([seed, 7])
    words = _walk(successors, 10 + rng.poisson(mean - 10, size=n), rng)
    return _encoded(words, 1)


def menu_documents(n: int, *, seed: int) -> Encoded:
    """Inert filler: pages of one fixed menu, each beginning at another of its words.

    >>> menu_documents(2, seed=1).lengths.tolist()
    [61, 61]
    """
    starts = np.random.default_rng([seed, 11]).integers(0, MENU, size=n)
    words = [(np.arange(MENU) + start) % MENU for start in starts]
    return _encoded(words, TYPES + 1)


def _encoded(documents: list[NDArray[np.int64]], first: int) -> Encoded:
    """Token ids from `first` on, the boundary after each document."""
    ended = [np.append(words + first, BOUNDARY) for words in documents]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in ended])])
    return Encoded(flat=np.concatenate(ended).astype(np.uint16), offsets=offsets.astype(np.int64))


def _walk(
    successors: NDArray[np.int64], lengths: NDArray[np.int64], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """All documents step by step, side by side."""
    steps = int(lengths.max())
    state = rng.integers(0, len(successors), size=len(lengths))
    table = np.empty((len(lengths), steps), np.int64)
    for step in range(steps):
        state = successors[state, rng.integers(0, successors.shape[1], size=len(lengths))]
        table[:, step] = state
    return [row[:length] for row, length in zip(table, lengths, strict=True)]


def example_inputs(
    n: int = 400, *, filler_share: float = 1 / 3, sets: int = 2, seed: int = 1
) -> MeasureInputs:
    """Clean documents mixed with inert filler, curated by removing exactly that filler.

    Args:
        n: Documents in all.
        filler_share: Share of the tokens that is filler, about.
        sets: Number of evaluation sets of 40 documents.
        seed: Of the documents.

    >>> inputs = example_inputs()
    >>> len(inputs.ids), inputs.vocabulary
    (400, 961)
    """
    clean = np.random.default_rng([seed, 3]).permutation(n) >= round(n * filler_share)
    text = markov_documents(n, seed=seed)
    menu = menu_documents(n, seed=seed)
    drawn = [
        source.flat[source.offsets[i] : source.offsets[i + 1]]
        for i, source in enumerate(text if c else menu for c in clean)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in drawn])]).astype(np.int64)
    raw = Encoded(flat=np.concatenate(drawn), offsets=offsets)
    return MeasureInputs(
        ids=[f"d{i}" for i in range(n)],
        texts={"raw": raw, "curated": raw},
        masks={"curated": clean},
        clusters=np.full(n, -1, np.int64),
        evaluation={f"held_out_{s}": _evaluation(1_000 + s) for s in range(sets)},
        filler=menu_documents(200, seed=seed + 1),
        vocabulary=TYPES + MENU + 1,
    )


def _evaluation(seed: int) -> EvaluationSet:
    encoded = markov_documents(40, seed=seed)
    ids = tuple(f"e{seed}-{i}" for i in range(40))
    return EvaluationSet(ids=ids, encoded=encoded, bytes=encoded.lengths * 5)
