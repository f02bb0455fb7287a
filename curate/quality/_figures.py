"""Figures of a ranking at a cut, each with an interval that respects what was kept together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.statistics import Estimate, blocks, jackknife, jackknife_interval


def average_precision(label: Bools, score: Floats, weight: Floats) -> float:
    """Mean precision over the recalled reference weight, ties taken together.

    >>> label, score = np.array([1, 0, 1]) > 0, np.array([0.9, 0.8, 0.7])
    >>> round(average_precision(label, score, np.ones(3)), 4)
    0.8333
    """
    values, codes = np.unique(-score, return_inverse=True)
    hits = np.bincount(codes, weight * label, values.size)
    taken = np.cumsum(np.bincount(codes, weight, values.size))
    precision = np.cumsum(hits) / np.maximum(taken, 1e-300)
    return float((precision * hits).sum() / hits.sum())


def balanced(label: Bools) -> Floats:
    """Weights with which both sides weigh one half."""
    return np.asarray(np.where(label, 0.5 / max(1, label.sum()), 0.5 / max(1, (~label).sum())))


def figures_at_cut(
    label: Bools, score: Floats, unit: NDArray[Any], *, cut: float
) -> dict[str, Estimate]:
    """Precision, recall, F1 at `score >= cut`, and Brier score; both sides weigh one half.

    Precision is thus that of a corpus with half of each side, whatever the samples' sizes.

    >>> label, score = np.array([1, 1, 0, 0]) > 0, np.array([0.9, 0.4, 0.6, 0.1])
    >>> found = figures_at_cut(label, score, np.arange(4), cut=0.5)
    >>> {name: round(e.estimate, 3) for name, e in found.items()}
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'brier': 0.185}
    """
    codes, sides = sided_blocks(label, unit)
    above, error = (score >= cut).astype(np.float64), (score - label) ** 2
    sums = np.stack(
        [
            np.bincount(codes, values * side, sides.size)
            for side in (label, ~label)
            for values in (np.ones(label.size), above, error)
        ]
    )
    found = jackknife(_at_cut, sums, sides)
    return dict(zip(("precision", "recall", "f1", "brier"), found, strict=True))


def average_precision_interval(label: Bools, score: Floats, unit: NDArray[Any]) -> Estimate:
    """Average precision, both sides weighing one half, jackknifed over units."""
    codes, sides = sided_blocks(label, unit)
    left_out = [_without(label, score, codes == block) for block in range(sides.size)]
    value = average_precision(label, score, balanced(label))
    return jackknife_interval(value, left_out, sides)


def sided_blocks(label: Bools, unit: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Block of each document, and side of each block (0 background, 1 reference).

    Where a unit holds documents of both sides, all blocks count as one sample.
    """
    units = np.unique(unit, return_inverse=True)[1]
    held = [np.bincount(units[side], minlength=units.max() + 1) > 0 for side in (label, ~label)]
    if (held[0] & held[1]).any():
        codes = blocks(units)
        return codes, np.zeros(int(codes.max()) + 1, np.int64)
    codes = np.empty(label.size, np.int64)
    first = blocks(units[label])
    codes[label] = first
    codes[~label] = int(first.max()) + 1 + blocks(units[~label])
    side = np.zeros(int(codes.max()) + 1, np.int64)
    side[codes[label]] = 1
    return codes, side


def roc(label: Bools, score: Floats, unit: NDArray[Any]) -> dict[str, list[float]]:
    """At 101 even false positive rates the true positive rate, with pointwise intervals.

    The cut at each rate is taken as known: the interval is that of the share of the reference
    above it and, over background units, of the cut itself (jackknifed).
    """
    rates = np.linspace(0, 1, 101)
    codes, sides = sided_blocks(label, unit)
    value = _reached(label, score, rates)
    out = np.stack([_reached(label[keep], score[keep], rates) for keep in _kept(codes, sides.size)])
    ends = [jackknife_interval(float(v), out[:, i], sides) for i, v in enumerate(value)]
    return {
        "false_positive_rate": rates.round(4).tolist(),
        "true_positive_rate": value.round(6).tolist(),
        "low": [round(e.low, 6) for e in ends],
        "high": [round(e.high, 6) for e in ends],
    }


def keep_rates(scored: pl.DataFrame) -> list[dict[str, float]]:
    """At 21 even cuts: share of reference and background documents and characters kept."""
    rows = []
    for cut in np.linspace(0, 1, 21).round(2):
        above = pl.col("score") >= float(cut)
        side = scored.group_by("label").agg(
            documents=above.mean(),
            chars=(above * pl.col("text_chars")).sum()
            / pl.max_horizontal(pl.col("text_chars").sum(), 1),
        )
        shares: Mapping[bool, tuple[float, float]] = {r[0]: r[1:] for r in side.iter_rows()}
        rows.append(
            {
                "cut": float(cut),
                "reference": float(shares[True][0]),
                "background": float(shares[False][0]),
                "background_chars": float(shares[False][1]),
            }
        )
    return rows


def _at_cut(total: Floats) -> Floats:
    """Figures (4 x any) of totals: n, above, squared error of reference, then background."""
    n, hits, error, n_back, false, error_back = total
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, fall_out = hits / n, false / n_back
        precision = recall / (recall + fall_out)
        f1 = 2 * recall / (1 + recall + fall_out)
        brier = (error / n + error_back / n_back) / 2
    return np.stack([np.where(recall + fall_out > 0, precision, 0.0), recall, f1, brier])


def _without(label: Bools, score: Floats, gone: Bools) -> float:
    own = label[~gone]
    if own.all() or not own.any():
        return float("nan")
    return average_precision(own, score[~gone], balanced(own))


def _kept(codes: NDArray[np.int64], n: int) -> list[Bools]:
    return [codes != block for block in range(n)]


def _reached(label: Bools, score: Floats, rates: Floats) -> Floats:
    if label.all() or not label.any():
        return np.full(rates.size, np.nan)
    cuts = np.quantile(score[~label], 1 - rates)
    return np.asarray(1 - np.searchsorted(np.sort(score[label]), cuts, "left") / label.sum())
