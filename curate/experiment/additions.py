"""Documents and masks that an experiment makes itself: controls, worst by quality, held out.

Controls are made from curated text, so that what was done to it is known:

- `duplicated`: curated text in which every second document (by tokens) stands twice. Worth next
  to nothing at small budgets, where copies hardly meet, and a great deal near the whole pool.
- `degraded`: curated text and, for half as many tokens again, documents whose tokens stand in
  random order. It teaches which tokens are frequent and nothing else.

Both are a third added text, and no other arm holds any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from curate.experiment.inputs import EvaluationSet, MeasureInputs
from curate.subsets import Counts, Encoded, Mask, draw_keys, id_hashes, token_slice

ADDED = 0.5  # of the curated tokens
HELD_OUT_TOKENS = 20_000  # of raw, and of curated text
HELD_OUT_SHARE = 0.02  # of the pool at most; a small pool is not worth holding out from
FEWEST_HELD_OUT = 2_000

__all__ = ["hold_out", "with_controls", "worst_by_quality"]


def with_controls(inputs: MeasureInputs, groups: Sequence[str], *, seed: int) -> MeasureInputs:
    """The inputs with documents appended for the arms "degraded" and "duplicated".

    Args:
        inputs: Masks that exist already are left as they are.
        groups: Arm groups of the config.
        seed: Of the run.

    >>> from curate.experiment.example import example_inputs
    >>> inputs = with_controls(example_inputs(), ["duplicated"], seed=1)
    >>> added = inputs.masks["duplicated"] & ~inputs.native
    >>> lengths = inputs.texts["curated"].lengths
    >>> share = lengths[added].sum() / lengths[inputs.masks["duplicated"]].sum()
    >>> round(float(share), 2), bool((inputs.masks["curated"] & added).any())
    (0.33, False)
    """
    for arm in ("duplicated", "degraded"):
        if arm in groups and arm not in inputs.masks:
            inputs = _with_control(inputs, arm, seed)
    return inputs


def _with_control(inputs: MeasureInputs, arm: str, seed: int) -> MeasureInputs:
    curated = inputs.masks["curated"]
    lengths = np.where(curated, inputs.texts["curated"].lengths, 0)
    keys = draw_keys(id_hashes(inputs.ids), seed=seed, salt=arm)
    chosen = token_slice(keys, lengths, start=0, stop=ADDED * float(lengths.sum())) & curated
    rows = np.flatnonzero(chosen)
    added = _gathered(inputs.texts["curated"], rows)
    clusters = inputs.clusters
    if arm == "degraded":
        added, joined = _shuffled(added, seed), np.full(len(rows), -1, np.int64)
    else:
        clusters = _own_clusters(clusters, rows)
        joined = clusters[rows]
    longer = np.zeros(len(rows), np.bool_)
    masks = {"native": inputs.native, **inputs.masks}
    masks = {name: np.concatenate([mask, longer]) for name, mask in masks.items()}
    return replace(
        inputs,
        ids=[*inputs.ids, *(f"{inputs.ids[row]}\x00{arm}" for row in rows.tolist())],
        texts={name: _joined(text, added) for name, text in inputs.texts.items()},
        masks=masks | {arm: np.concatenate([curated, ~longer])},
        clusters=np.concatenate([clusters, joined]),
        sources=None if inputs.sources is None else _with(inputs.sources, rows),
        reasons=None if inputs.reasons is None else _with(inputs.reasons, rows),
    )


def _with(numbers: Counts, rows: Counts) -> Counts:
    return np.concatenate([numbers, numbers[rows]])


def _own_clusters(clusters: Counts, rows: Counts) -> Counts:
    """Every one of these documents in a cluster, a new one where it was in none."""
    found = clusters.copy()
    alone = rows[clusters[rows] < 0]
    found[alone] = int(clusters.max(initial=-1)) + 1 + np.arange(len(alone))
    return found


def _gathered(encoded: Encoded, rows: Counts) -> Encoded:
    lengths = encoded.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    pieces = [encoded.flat[encoded.offsets[i] : encoded.offsets[i + 1]] for i in rows]
    flat = np.concatenate(pieces) if pieces else np.zeros(0, np.uint16)
    return Encoded(flat=flat, offsets=offsets)


def _joined(one: Encoded, other: Encoded) -> Encoded:
    offsets = np.concatenate([one.offsets, one.offsets[-1] + other.offsets[1:]])
    return Encoded(flat=np.concatenate([one.flat, other.flat]), offsets=offsets)


def _shuffled(encoded: Encoded, seed: int) -> Encoded:
    """The tokens of every document in random order, its boundary still at the end."""
    keys = np.random.default_rng([seed, 5]).random(encoded.flat.size)
    keys[encoded.offsets[1:] - 1] = 1.0
    documents = np.repeat(np.arange(len(encoded.offsets) - 1), encoded.lengths)
    return Encoded(flat=encoded.flat[np.lexsort((keys, documents))], offsets=encoded.offsets)


def worst_by_quality(inputs: MeasureInputs, quality: NDArray[np.float64]) -> Mask:
    """Native documents of the lowest quality, as many tokens as curation keeps.

    Args:
        inputs: Texts, the curated mask.
        quality: Score of each document; NaN counts as the best.

    >>> from curate.experiment.example import example_inputs
    >>> inputs = example_inputs()
    >>> mask = worst_by_quality(inputs, inputs.masks["curated"].astype(float))
    >>> bool(mask[~inputs.masks["curated"]].all())
    True
    """
    lengths = np.where(inputs.native, inputs.texts["raw"].lengths, 0)
    kept = float(inputs.texts["curated"].lengths[inputs.masks["curated"]].sum())
    ties = np.argsort(id_hashes(inputs.ids), kind="stable")
    order = ties[np.argsort(np.nan_to_num(quality, nan=np.inf)[ties], kind="stable")]
    ranks = np.empty(len(order), np.uint64)
    ranks[order] = np.arange(len(order), dtype=np.uint64)
    return token_slice(ranks, lengths, start=0, stop=kept) & inputs.native


def hold_out(inputs: MeasureInputs, *, seed: int) -> MeasureInputs:
    """Take some documents out of every arm, to see each corpus win its own held-out text.

    With each document its whole duplicate cluster goes. Nothing is taken from a small pool.

    Args:
        inputs: Masks lose these documents; `held_out` gains "held_out_raw" and
            "held_out_curated".
        seed: Of the run.

    >>> from curate.experiment.example import example_inputs
    >>> inputs = hold_out(example_inputs(3_000), seed=1)
    >>> {name: len(each.ids) for name, each in inputs.held_out.items()}
    {'held_out_raw': 60, 'held_out_curated': 56}
    >>> int(inputs.native.sum())
    2926
    """
    lengths = np.where(inputs.native, inputs.texts["raw"].lengths, 0)
    limit = min(HELD_OUT_TOKENS, HELD_OUT_SHARE * float(lengths.sum()))
    if limit < FEWEST_HELD_OUT:
        return inputs
    keys = draw_keys(id_hashes(inputs.ids), seed=seed, salt="held out")
    raw = token_slice(keys, lengths, start=0, stop=limit) & inputs.native
    own = np.where(inputs.masks["curated"], inputs.texts["curated"].lengths, 0)
    curated = token_slice(keys, own, start=0, stop=limit) & inputs.masks["curated"]
    taken = _with_clusters(raw | curated, inputs.clusters)
    masks = {"native": inputs.native, **inputs.masks}
    sets = {
        "held_out_raw": _set(inputs, raw, "raw"),
        "held_out_curated": _set(inputs, curated, "curated"),
    }
    return replace(
        inputs, masks={name: mask & ~taken for name, mask in masks.items()}, held_out=sets
    )


def _with_clusters(mask: Mask, clusters: Counts) -> Mask:
    touched = np.unique(clusters[mask & (clusters >= 0)])
    return mask | np.isin(clusters, touched)


def _set(inputs: MeasureInputs, mask: Mask, version: str) -> EvaluationSet:
    rows = np.flatnonzero(mask)
    encoded = _gathered(inputs.texts[version], rows)
    sizes = inputs.text_bytes
    return EvaluationSet(
        ids=tuple(inputs.ids[row] for row in rows.tolist()),
        encoded=encoded,
        bytes=encoded.lengths * 3 if sizes is None else sizes[version][rows],
    )
