"""Calibration error with an interval that can reach zero, although the estimate never does."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.statistics import Estimate, t_quantile
from curate.statistics.grouped import share_between

CALIBRATION_BINS = 15
_DRAWS = 2_000
_STEPS = 24


def bin_places(score: Floats, weight: Floats) -> NDArray[np.int64]:
    """Bin of each document: bins of equal weight, by score; equal scores share a bin."""
    values, codes = np.unique(score, return_inverse=True)
    own = np.bincount(codes, weight, values.size)
    before = (np.cumsum(own) - own / 2) / weight.sum()
    place = np.minimum((before * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return np.asarray(place[codes], dtype=np.int64)


def calibration_bins(label: Bools, score: Floats, weight: Floats) -> pl.DataFrame:
    """Bins of equal weight by score: `mean_score`, `reference_share`, `n`, `weight`.

    >>> label, score = np.array([0, 1]) > 0, np.array([0.25, 0.75])
    >>> calibration_bins(label, score, np.full(2, 0.5)).select("mean_score", "n").rows()
    [(0.25, 1), (0.75, 1)]
    """
    frame = pl.DataFrame(
        {"place": bin_places(score, weight), "weight": weight, "score": score, "label": label}
    )
    share = pl.col("weight") / pl.col("weight").sum()
    return (
        frame.group_by("place")
        .agg(
            mean_score=(pl.col("score") * share).sum(),
            reference_share=(pl.col("label") * share).sum(),
            n=pl.len(),
            weight=pl.col("weight").sum(),
        )
        .sort("place")
        .drop("place")
    )


def calibration_error(
    label: Bools, score: Floats, unit: NDArray[Any], confidence: float = 0.95
) -> tuple[Estimate, float]:
    """Expected calibration error, both sides weighing one half, and what chance alone gives.

    The estimate, Σ over bins of |Σ weight · (score − label)|, is above zero even for a perfect
    score. So the interval inverts a test: gaps of λ times the found ones, plus noise with their
    jackknifed covariance over units, must reach the estimate neither too seldom nor too often.
    The same is done with the parabola through the gaps, which holds less noise; the interval
    spans both. The noise is drawn once, from a fixed seed.

    Returns:
        The estimate with its interval, and the mean estimate of a score without any error.

    >>> label, score = np.arange(400) % 4 == 0, np.full(400, 0.5)
    >>> found, chance = calibration_error(label, score, np.arange(400))
    >>> round(found.estimate, 9), found.low
    (0.0, 0.0)
    """
    weight = np.where(label, 0.5 / label.sum(), 0.5 / (~label).sum())
    place = bin_places(score, weight)
    residual = score - label
    gaps: Floats = np.bincount(place, weight * residual, CALIBRATION_BINS).astype(np.float64)
    noise, df = _noise(label, residual, place, unit)
    observed = float(np.abs(gaps).sum())
    if not df > 0:
        return share_between(observed, (0.0, 1.0), float("nan"), 0.0), float("nan")
    noise = noise * float(t_quantile(confidence, df) / t_quantile(confidence))
    tail = (1 - confidence) / 2
    ends = np.array(
        [
            [
                float(np.abs(shape).sum()) * _crossing(shape, noise, observed, q)
                for q in (1 - tail, tail)
            ]
            for shape in (gaps, _smooth(gaps))
        ]
    )
    chance = np.abs(noise).sum(1)
    estimate = share_between(
        observed,
        (float(ends[:, 0].min()), min(1.0, float(ends[:, 1].max()))),
        float(chance.std()),
        df,
    )
    return estimate, float(chance.mean())


def _noise(
    label: Bools, residual: Floats, place: NDArray[np.int64], unit: NDArray[Any]
) -> tuple[Floats, float]:
    """Draws of the error of the gaps (draws x bins), and the degrees of freedom behind them."""
    codes = np.unique(unit, return_inverse=True)[1]
    parts, groups = [], []
    for side in (label, ~label):
        size = np.bincount(codes[side], minlength=codes.max() + 1).astype(np.float64)
        cell = codes[side] * CALIBRATION_BINS + place[side]
        cells = (codes.max() + 1) * CALIBRATION_BINS
        sums = np.bincount(cell, residual[side], cells).reshape(-1, CALIBRATION_BINS)
        n = size.sum()
        influence = (sums - size[:, None] * sums.sum(0) / n) / np.where(size < n, n - size, np.nan)[
            :, None
        ]
        g = int((size > 0).sum())
        parts.append(0.5 * np.nan_to_num(influence) * np.sqrt((g - 1) / max(g, 1)))
        groups.append(g)
    moved = parts[0] + parts[1]
    draws = np.random.default_rng(0).normal(size=(_DRAWS, CALIBRATION_BINS))
    root = np.linalg.cholesky(moved.T @ moved + 1e-14 * np.eye(CALIBRATION_BINS))
    return draws @ root.T, float(min(groups) - 1)


def _crossing(shape: Floats, noise: Floats, observed: float, level: float) -> float:
    """λ at which the level's quantile of Σ|λ · shape + noise| rises through the observed sum."""
    low, high = 0.0, 30.0
    if np.quantile(np.abs(noise).sum(1), level) >= observed:
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if np.quantile(np.abs(middle * shape + noise).sum(1), level) < observed:
            low = middle
        else:
            high = middle
    return high


def _smooth(gaps: Floats) -> Floats:
    """The parabola over the bins that lies nearest to the gaps."""
    powers = np.vander(np.linspace(-1, 1, CALIBRATION_BINS), 3)
    return np.asarray(powers @ np.linalg.lstsq(powers, gaps, rcond=None)[0])
