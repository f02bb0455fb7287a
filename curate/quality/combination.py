"""Several scores of the same documents: one order from all, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.quality._arguments import checked_frame
from curate.quality.confounds import rank_correlation


def mean_of_ranks(
    scores: pl.DataFrame, *, falling: Sequence[str] = (), native: pl.Series | None = None
) -> pl.Series:
    """Mean over scores of each document's rank from worst (0) to best (1); ties share a rank.

    Ranks need no common scale and no weight; the price is that a clear lead counts no more than
    a narrow one. A missing value counts as the worst rank.

    Args:
        scores: One numeric column a score.
        falling: Columns where lower is better, e.g. bits per byte.
        native: Boolean; the others (planted controls) take the rank that they would have and
            move no native document. `None` = all are native.

    Returns:
        Float64 in [0, 1], named `mean_rank`.

    >>> scores = pl.DataFrame({"quality": [0.1, 0.5, 0.9], "bits": [3.0, 2.0, None]})
    >>> mean_of_ranks(scores, falling=["bits"]).to_list()
    [0.25, 0.75, 0.5]
    """
    checked_frame(scores, "scores", numbers=getattr(scores, "columns", ()))
    unknown = [name for name in falling if name not in scores.columns]
    if unknown or not scores.columns:
        raise ConfigError(f"scores {scores.columns} do not hold the falling ones {unknown}")
    own = np.ones(scores.height, np.bool_) if native is None else native.to_numpy()
    columns = [
        (-scores[name] if name in falling else scores[name]).cast(pl.Float64).fill_null(-np.inf)
        for name in scores.columns
    ]
    ranks = np.stack([_shares_below(column.to_numpy(), own) for column in columns])
    return pl.Series("mean_rank", ranks.mean(0))


def _shares_below(values: NDArray[np.float64], native: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the other native documents that are worse; those that are equal count half."""
    known = np.sort(values[native])
    below, reached = (np.searchsorted(known, values, side) for side in ("left", "right"))
    return np.asarray((below + reached - native) / 2 / np.maximum(known.size - native, 1))


def agreement(scores: pl.DataFrame, *, top: float = 0.2) -> pl.DataFrame:
    """How far each pair of scores agrees; higher is better in every column.

    Args:
        scores: One numeric column a score, no nulls.
        top: Share that a selection would keep.

    Returns:
        `score_a`, `score_b`, `spearman`, `top_overlap` (Jaccard similarity of the two top
        shares, ties broken by order), `overlap_by_chance` (its value for unrelated scores).

    >>> scores = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 2.0, 4.0, 3.0]})
    >>> agreement(scores, top=0.5).select(pl.col("spearman").round(3), "top_overlap").row(0)
    (0.8, 1.0)
    """
    checked_frame(scores, "scores", numbers=getattr(scores, "columns", ()))
    if not 0 < top <= 1:
        raise ConfigError(f"top is {top}; allowed: above 0, up to 1")
    missing = sum(scores[name].null_count() for name in scores.columns)
    if missing:
        raise ConfigError(f"{missing} scores are missing; agreement compares documents with all")
    k = max(1, round(top * scores.height))
    chosen = {
        name: set(np.argsort(-scores[name].to_numpy(), kind="stable")[:k].tolist())
        for name in scores.columns
    }
    rows = [
        (
            a,
            b,
            rank_correlation(scores[a].to_numpy(), scores[b].to_numpy()),
            len(chosen[a] & chosen[b]) / len(chosen[a] | chosen[b]),
            top / (2 - top),
        )
        for a, b in combinations(scores.columns, 2)
    ]
    schema = {
        "score_a": pl.String,
        "score_b": pl.String,
        "spearman": pl.Float64,
        "top_overlap": pl.Float64,
        "overlap_by_chance": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
