"""What a score follows besides quality: length, and where a document comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.arrays import Bools, Floats
from curate.quality._figures import sided_blocks
from curate.statistics import Estimate, satterthwaite, t_quantile

LENGTH_WARNING = 0.2
_MOST_SOURCES = 30


def rank_correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Spearman's correlation; 0 where one side does not vary.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([10, 30, 20]))
    0.5
    """
    ranks = [_ranks(side) for side in (left, right)]
    if left.size < 2 or min(float(np.ptp(r)) for r in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def partial_correlation(
    score: ArrayLike, other: ArrayLike, given: Bools, unit: NDArray[Any], confidence: float = 0.95
) -> Estimate:
    """Rank correlation of two columns, what the label explains taken out of both.

    Ranks are centred within each side of the label, so a reference that is longer *and* better
    does not by itself count as a score that follows length. The interval leaves out whole units
    (ranks stay), on Fisher's z with t.

    Args:
        score: Any numbers.
        other: The column that the score may follow, e.g. characters.
        given: The label.
        unit: What was kept together in a fold.
        confidence: Of the interval.

    >>> label = np.arange(8) < 4
    >>> found = partial_correlation([9, 8, 7, 6, 4, 3, 2, 1], [8, 7, 6, 5, 40, 30, 20, 10], label,
    ...                             np.arange(8))
    >>> round(found.estimate, 3)
    1.0
    """
    columns = np.asarray(score), np.asarray(other)
    codes, sides = sided_blocks(given, unit)
    kept = [codes != block for block in range(sides.size)]
    left_out = [_within(columns[0][k], columns[1][k], given[k]) for k in kept]
    return _fisher(_within(columns[0], columns[1], given), np.array(left_out), sides, confidence)


def source_correlations(scored: pl.DataFrame) -> pl.DataFrame:
    """Partial rank correlation of the score with each source, given label and length.

    Args:
        scored: `label`, `score`, `text_chars`, `source` (String).

    Returns:
        `source`, `documents`, `mean_score`, `partial_correlation`; the 30 largest sources by
        documents, strongest correlation first. A source is one group: there is no interval.

    >>> scored = pl.DataFrame({"label": [True, True, False, False], "score": [0.9, 0.8, 0.4, 0.1],
    ...                        "text_chars": [5, 6, 7, 8], "source": ["a", "a", "b", "c"]})
    >>> source_correlations(scored).select("source", "documents").sort("source").rows()
    [('a', 2), ('b', 1), ('c', 1)]
    """
    label = scored["label"].to_numpy().astype(np.float64)
    length = _ranks(scored["text_chars"].to_numpy())
    design = np.stack([np.ones_like(label), label, length - length.mean()], axis=1)
    score = _residual(design, _ranks(scored["score"].to_numpy()))
    table = (
        scored.group_by("source")
        .agg(documents=pl.len().cast(pl.Int64), mean_score=pl.col("score").mean().cast(pl.Float64))
        .sort("documents", "source", descending=[True, False])
        .head(_MOST_SOURCES)
    )
    found = [
        _plain_correlation(score, _residual(design, (scored["source"] == name).to_numpy() * 1.0))
        for name in table["source"]
    ]
    return table.with_columns(partial_correlation=pl.Series(found, dtype=pl.Float64)).sort(
        pl.col("partial_correlation").abs(), "source", descending=[True, False]
    )


def length_warnings(found: Estimate) -> list[str]:
    """The sentence that names a score that follows length, or nothing.

    >>> found = Estimate(estimate=0.6, low=0.5, high=0.7, standard_error=0.05,
    ...                  degrees_of_freedom=9.0)
    >>> length_warnings(found)
    ['score follows length: partial correlation 0.60 [0.50, 0.70] given the label']
    """
    sure = found.low > 0 or found.high < 0
    if abs(found.estimate) < LENGTH_WARNING or not sure:
        return []
    return [
        f"score follows length: partial correlation {found.estimate:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}] given the label"
    ]


def _ranks(values: NDArray[Any]) -> Floats:
    return np.asarray(pl.Series(values).rank().to_numpy(), dtype=np.float64)


def _within(score: NDArray[Any], other: NDArray[Any], given: Bools) -> float:
    """Rank correlation of two columns within the sides."""
    return _plain_correlation(_centred(_ranks(score), given), _centred(_ranks(other), given))


def _centred(values: Floats, given: Bools) -> Floats:
    means = [values[side].mean() if side.any() else 0.0 for side in (given, ~given)]
    return values - np.where(given, means[0], means[1])


def _correlation(sums: Floats) -> Floats:
    spread = np.sqrt(sums[1] * sums[2])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-9, np.clip(sums[0] / spread, -1, 1), 0.0)


def _residual(design: Floats, values: Floats) -> Floats:
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    left = np.asarray(values - fitted)
    return np.where(left @ left > 1e-9 * (values @ values), left, 0.0)  # else: rounding


def _plain_correlation(left: Floats, right: Floats) -> float:
    return float(_correlation(np.array([[left @ right], [left @ left], [right @ right]]))[0])


def _fisher(
    value: float, left_out: Floats, sides: NDArray[np.int64], confidence: float
) -> Estimate:
    z = np.arctanh(np.clip(left_out, -1 + 1e-12, 1 - 1e-12))
    parts, counts = [], []
    for side in np.unique(sides):
        own = z[sides == side]
        parts.append(float(((own - own.mean()) ** 2).sum()) * (own.size - 1) / own.size)
        counts.append(own.size - 1.0)
    if min(counts) < 1:
        return Estimate(
            estimate=value, low=-1.0, high=1.0, standard_error=float("nan"), degrees_of_freedom=0.0
        )
    variance, df = satterthwaite(parts, counts)
    half = float(t_quantile(confidence, df)) * np.sqrt(variance)
    middle = float(np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)))
    return Estimate(
        estimate=value,
        low=float(np.tanh(middle - half)),
        high=float(np.tanh(middle + half)),
        standard_error=float(np.sqrt(variance) * (1 - value**2)),
        degrees_of_freedom=df,
    )
