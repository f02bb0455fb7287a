"""Long documents drawn piece by piece: five novels are no sample of a library."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curate.experiment.inputs import MeasureInputs
from curate.subsets import Counts, Encoded

# No proxy looks back further than 64 tokens, so none can tell; shorter pieces gain nothing more.
PIECE_TOKENS = 2_000

__all__ = ["PIECE_TOKENS", "in_pieces"]


def in_pieces(inputs: MeasureInputs, *, tokens: int = PIECE_TOKENS) -> MeasureInputs:
    """The same text in documents of at most so many tokens, each piece drawn for itself.

    Arms keep or leave all pieces of a document. A version that is longer or shorter than raw is
    cut into as many pieces, at the same shares of its length. Pieces of copies are copies.

    Args:
        inputs: Documents, masks, texts; evaluation sets stay as they are.
        tokens: Of raw text.

    >>> from curate.experiment.example import example_inputs
    >>> inputs = example_inputs(3)
    >>> inputs.texts["raw"].lengths.tolist()
    [61, 85, 92]
    >>> in_pieces(inputs, tokens=40).texts["raw"].lengths.tolist()
    [30, 31, 28, 28, 29, 30, 31, 31]
    """
    counts = np.maximum(1, -(-inputs.texts["raw"].lengths // tokens))
    if int(counts.max(initial=1)) == 1:
        return inputs
    rows = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    cut = {id(text): _cut(text, counts, rows, number) for text in inputs.texts.values()}
    whole = counts[rows] == 1
    return replace(
        inputs,
        ids=[
            inputs.ids[row] if alone else f"{inputs.ids[row]}\x00{piece}"
            for row, piece, alone in zip(rows.tolist(), number.tolist(), whole, strict=True)
        ],
        texts={name: cut[id(text)] for name, text in inputs.texts.items()},
        masks={name: mask[rows] for name, mask in inputs.masks.items()},
        clusters=_clusters(inputs.clusters[rows], number),
        sources=None if inputs.sources is None else inputs.sources[rows],
        reasons=None if inputs.reasons is None else inputs.reasons[rows],
        text_bytes=None,
    )


def _cut(text: Encoded, counts: Counts, rows: Counts, number: Counts) -> Encoded:
    starts = text.offsets[:-1][rows] + text.lengths[rows] * number // counts[rows]
    return Encoded(flat=text.flat, offsets=np.append(starts, text.offsets[-1]).astype(np.int64))


def _clusters(clusters: Counts, number: Counts) -> Counts:
    """A cluster of its own for each place in the copies; −1 stays."""
    pairs = clusters * (int(number.max()) + 1) + number
    joined = np.unique(pairs, return_inverse=True)[1].reshape(-1)
    return np.where(clusters < 0, -1, joined).astype(np.int64)
