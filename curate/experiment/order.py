"""The draw order of a replicate: a shuffle whose every prefix holds the corpus's own shares.

In a plain shuffle the share of removed text in a prefix scatters: five documents of noise where the
next draw has eight. That scatter is no property of curation, and it was most of the noise of ln m
(docs/decisions/0013). So documents are shuffled inside groups, and the groups are laid side by
side, by what curation did with a document and why.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curate.experiment.inputs import MeasureInputs
from curate.subsets import Counts, Keys, Mask, Weights, draw_keys

__all__ = ["even_order", "find_levels", "held_tokens", "spread_order"]


def find_levels(inputs: MeasureInputs) -> tuple[Counts, ...]:
    """Groups to lay side by side, the finest first: each level splits the groups of the next.

    Why each document was removed, and at last what curation keeps and what it removes. Neither
    depends on which arms are measured. Sources are no level: that was tried and gained nothing.

    >>> from curate.experiment.example import example_inputs
    >>> [len(np.unique(level)) for level in find_levels(example_inputs())]
    [2, 2]
    """
    nothing = np.zeros(len(inputs.ids), np.int64)
    kept = _joined(inputs.native, inputs.masks["curated"])
    oracle = inputs.masks.get("oracle", nothing)
    reasons = nothing if inputs.reasons is None else inputs.reasons
    return _joined(_joined(kept, oracle), reasons), kept


def _joined(first: Counts | Mask, second: Counts | Mask) -> Counts:
    """One number for each pair of numbers that occurs."""
    one, two = np.asarray(first, np.int64), np.asarray(second, np.int64)
    pairs = one * (two.max(initial=0) + 2) + two + 1  # -1 is a number too: no source is known
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def even_order(keys: Keys, lengths: Counts, levels: Sequence[Counts]) -> Counts:
    """Row numbers in an order whose every prefix has the shares of all groups of all levels.

    Args:
        keys: Draw keys of the documents: another set of keys is another draw.
        lengths: Tokens of each document; shares are of tokens.
        levels: Group of each document, the finest level first; see `find_levels`.

    >>> keys, kept = np.arange(6, dtype=np.uint64), np.array([0, 0, 0, 0, 1, 1])
    >>> even_order(keys, np.full(6, 10), [kept]).tolist()
    [2, 3, 4, 0, 1, 5]
    """
    order = np.argsort(keys, kind="stable")
    for number, groups in enumerate(levels):
        points = draw_keys(keys, seed=0, replicate=number, salt="turn") / 2.0**64
        order = spread_order(order, lengths, groups, points=points)
    return order


def spread_order(order: Counts, lengths: Counts, groups: Counts, *, points: Weights) -> Counts:
    """The same documents with every group spread evenly over the whole.

    The documents of a group lie on a circle in the order given, each as long as its tokens, and
    the circle is turned by the point of the first of them. So the middle of every document, short
    or long, in a large group or alone, stands anywhere with the same chance.

    Args:
        order: Row numbers.
        lengths: Tokens, by row.
        groups: By row.
        points: In [0, 1), by row.

    >>> rows, points = np.arange(4), np.full(4, 0.0)
    >>> spread_order(rows, np.full(4, 5), np.array([0, 0, 0, 1]), points=points).tolist()
    [0, 1, 3, 2]
    """
    by_group = order[np.argsort(groups[order], kind="stable")]
    sizes, group = lengths[by_group].astype(np.float64), groups[by_group]
    running = np.cumsum(sizes)
    first = np.concatenate([[True], np.diff(group) != 0])
    starts = np.flatnonzero(first)[np.cumsum(first) - 1]
    base = (running - sizes)[starts]
    totals = np.maximum(np.bincount(group, weights=sizes)[group], 1.0)
    place = (running - sizes / 2 - base) / totals + points[by_group[starts]]
    return np.asarray(by_group[np.argsort(place % 1.0, kind="stable")])


def held_tokens(kept: Weights, weights: Weights, *, off: float) -> float:
    """Tokens up to which `source_held_order` holds its shares: where a source ends they drift.

    Args:
        kept: Tokens of the arm, by source.
        weights: Wanted share of each source; sources of which nothing is kept do not count.
        off: Share of the tokens that may stand in the wrong source (total variation).

    >>> held_tokens(np.array([10.0, 90.0]), np.array([0.5, 0.5]), off=0.0)
    20.0
    >>> held_tokens(np.array([50.0, 50.0, 0.0]), np.array([0.4, 0.4, 0.2]), off=0.0)
    100.0
    """
    there = (kept > 0) & (weights > 0)
    kept, weights = kept[there], weights[there] / weights[there].sum()
    low, high = 0.0, float((kept / weights).max(initial=0.0))
    low = float((kept / weights).min(initial=high))  # until then all of them go on
    for _ in range(60 if high > low else 0):
        middle = (low + high) / 2
        read = np.minimum(kept, middle * weights)
        drift = np.abs(read / read.sum() - weights).sum() / 2
        low, high = (middle, high) if drift <= off else (low, middle)
    return float(np.minimum(kept, low * weights).sum())
