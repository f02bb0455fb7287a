"""In how many documents of a draw do two arms differ: few of them carry the effect, or many?

A sum of few effects leans to one side, and eight draws of it show that side or do not. Cochran's
rule (Sampling Techniques, 1977, 2.15) wants 25 G² values for a 95 % interval of a mean of values of
skewness G; a draw that meets n documents of equal effect, by chance, has G² = 1 / n. So over all
draws there must be 25, each counted by the tokens in which it differs (Kish's effective number).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from curate.experiment.arms import Draws
from curate.experiment.contrasts import Contrast
from curate.subsets import Counts, Encoded, Weights

FEWEST = 25.0  # documents over all draws, effectively

__all__ = ["FEWEST", "documents_a_draw", "few_documents"]


def documents_a_draw(
    draws: Draws, contrast: Contrast, *, replicates: int, read: Mapping[int, float]
) -> dict[int, float]:
    """Effective number of documents, a draw, in which the arms of a contrast differ.

    Args:
        draws: Arms of every replicate.
        contrast: Two arms that follow one order.
        replicates: Number of draws.
        read: By budget of B, the tokens of A that do the same.

    Returns:
        By budget. A document that one arm lacks weighs its tokens, an edited one the tokens that
        it gained or lost, at least one. 0 where all prefixes are the same.

    >>> from types import SimpleNamespace
    >>> text = Encoded(flat=np.arange(8, dtype=np.uint16), offsets=np.arange(0, 9, 2))
    >>> masks = {"raw": np.ones(4, bool), "curated": np.array([True, False, False, True])}
    >>> draws = SimpleNamespace(order=lambda r: np.arange(4), text=lambda arm: text,
    ...                         mask=lambda arm, r: masks[arm])
    >>> pair = SimpleNamespace(arm_a="raw", arm_b="curated")
    >>> documents_a_draw(draws, pair, replicates=3, read={2: 4.0, 4: 8.0})
    {2: 1.0, 4: 2.0}
    """
    sums = {budget: np.zeros(2) for budget in read}
    most = max(read.values(), default=0.0)
    for replicate in range(replicates):
        ends, weights = _differences(draws, contrast, replicate, most)
        for budget, tokens in read.items():
            drawn = weights[: int(np.searchsorted(ends, tokens)) + 1]
            sums[budget] += [drawn.sum(), (drawn**2).sum()]
    return {
        budget: float(total**2 / squares / replicates) if squares else 0.0
        for budget, (total, squares) in sums.items()
    }


def _differences(
    draws: Draws, contrast: Contrast, replicate: int, most: float
) -> tuple[Counts, Weights]:
    """Of each document of either arm, in draw order: tokens so far, and those that differ."""
    sides = [(draws.mask(arm, replicate), draws.text(arm)) for arm in _arms(contrast)]
    order = draws.order(replicate)
    order = order[(sides[0][0] | sides[1][0])[order]]
    lengths = np.stack([text.lengths[order] * mask[order] for mask, text in sides])
    ends = np.cumsum(lengths.max(axis=0))
    used = int(np.searchsorted(ends, most)) + 1
    weights = np.abs(lengths[0] - lengths[1])[:used].astype(np.float64)
    texts = [text for _, text in sides]
    if texts[0] is not texts[1]:
        for place in np.flatnonzero(weights == 0):
            weights[place] = _edited(texts, int(order[place]))
    return ends[:used], weights


def _arms(contrast: Contrast) -> tuple[str, str]:
    return contrast.arm_a, contrast.arm_b


def _edited(texts: Sequence[Encoded], row: int) -> bool:
    """Whether two versions of one length say different things."""
    one, two = (each.flat[each.offsets[row] : each.offsets[row + 1]] for each in texts)
    return not np.array_equal(one, two)


def few_documents(number: float, replicates: int) -> str | None:
    """What is said where a contrast sits in too few documents, else `None`.

    >>> few_documents(1.1, 8)
    'cannot tell: the effect sits in about 1.1 documents a draw; 23 draws are needed'
    >>> few_documents(0.0, 8)
    'cannot tell: no draw holds a document in which the arms differ'
    >>> few_documents(4.0, 8) is None
    True
    """
    if number * replicates >= FEWEST or replicates < 2:
        return None  # a single draw has no interval anyway, and that is said
    if number == 0:
        return "cannot tell: no draw holds a document in which the arms differ"
    return (
        f"cannot tell: the effect sits in about {number:.1f} documents a draw; "
        f"{math.ceil(FEWEST / number)} draws are needed"
    )
