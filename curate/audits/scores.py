"""Any score by group, raw against curated: sentiment, toxicity, quality, a length.

Means are of documents. The curated corpus is a part of the raw one, so the change of a difference
is estimated from the same clusters and not as if the two were strangers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.audits.impact import MISSING_GROUP
from curate.errors import ConfigError, unknown_name
from curate.statistics import Estimate, cluster_influence, difference_of_means

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
SCHEMA = {
    **dict.fromkeys(("score", "group_column", "group", "corpus"), pl.String),
    **dict.fromkeys(("n", "n_rest"), pl.Int64),
    **dict.fromkeys(("mean", "mean_rest", "difference", "low", "high"), pl.Float64),
}


def group_scores(
    frame: pl.DataFrame,
    scores: Sequence[str],
    *,
    groups: str | Sequence[str],
    kept: str = "kept",
    cluster: str | None = None,
) -> pl.DataFrame:
    """Mean of each score in each group and in the rest, before and after curation.

    Args:
        frame: Columns of scores (numeric; null and NaN do not count), of groups, `kept` Boolean
            (without it all documents count as kept) and of the cluster; `control`, where
            present, takes planted documents out.
        scores: Columns to compare.
        groups: Column or columns of groups; null becomes the group `(missing)`.
        kept: Column that says which documents stay.
        cluster: Column within which documents are alike; a group column is never its own
            cluster. `None` = every document by itself.

    Returns:
        One row per score, group column, group and `corpus`: `raw`, `curated`, and `change`
        (curated less raw, for means and differences alike). `n`, `n_rest` documents with a score
        (of `change`: those that left); `difference` = mean of the group less that of the rest,
        with a 95 % interval `low`, `high`, linearised over clusters with t. Intervals are of
        single rows; there is no correction for many.

    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "tone": [1.0, 0.0] * 50, "kept": [True] * 100})
    >>> group_scores(frame, ["tone"], groups="g").select("group", "corpus", "difference").row(0)
    ('a', 'raw', 1.0)
    """
    columns = [groups] if isinstance(groups, str) else list(groups)
    frame = _checked(frame, scores, [*columns, *([cluster] if cluster else [])])
    rows: list[tuple[object, ...]] = []
    for score in scores:
        known = frame.filter(pl.col(score).cast(pl.Float64).is_finite())
        stays = known[kept].to_numpy() if kept in known.columns else np.ones(known.height, bool)
        values = known[score].cast(pl.Float64).to_numpy()
        for column in columns:
            within = _codes(known, None if cluster == column else cluster)
            labels = known[column].cast(pl.String).fill_null(MISSING_GROUP)
            for name in labels.unique().sort():
                own = (labels == name).to_numpy()
                rows += [(score, column, name, *r) for r in _compared(values, own, stays, within)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _checked(frame: pl.DataFrame, scores: Sequence[str], others: Sequence[str]) -> pl.DataFrame:
    """The native documents, if the scores are numbers and all columns are there."""
    for name in (*scores, *others):
        if name not in frame.columns:
            raise ConfigError(unknown_name("column", name, frame.columns))
    for name in scores:
        if not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean):
            raise ConfigError(f"score {name!r} is {frame[name].dtype}; a score is a number")
    known = "control" in frame.columns
    return frame.filter(pl.col("control").is_null()) if known else frame


def _codes(frame: pl.DataFrame, cluster: str | None) -> Codes:
    if cluster is None:
        return np.arange(frame.height)
    ranks = frame[cluster].cast(pl.String).rank("dense").fill_null(0).to_numpy()
    return np.unique(ranks, return_inverse=True)[1]


def _compared(
    values: Floats, own: NDArray[np.bool_], stays: NDArray[np.bool_], cluster: Codes
) -> list[tuple[object, ...]]:
    """Rows of one score and group: raw, curated, change."""
    found, count = {}, int(cluster.max()) + 1 if cluster.size else 0
    for name, part in (("raw", np.ones_like(stays)), ("curated", stays)):
        sides = []
        for side in (own & part, ~own & part):
            n = np.bincount(cluster[side], minlength=count).astype(np.float64)
            y = np.bincount(cluster[side], values[side], count)
            mean = y.sum() / n.sum() if n.sum() else np.nan
            sides.append((int(n.sum()), mean, cluster_influence(y, n), n > 0))
        found[name] = sides
    raw, curated = found["raw"], found["curated"]
    change = [
        (one[0] - two[0], two[1] - one[1], two[2] - one[2], one[3])
        for one, two in zip(raw, curated, strict=True)
    ]
    return [(name, *_row(sides)) for name, sides in (*found.items(), ("change", change))]


def _row(sides: Sequence[tuple[int, float, Floats, NDArray[np.bool_]]]) -> tuple[object, ...]:
    (n, mean, own, there), (n_rest, mean_rest, rest, there_rest) = sides
    sizes = int(there.sum()), int(there_rest.sum())
    found: Estimate = difference_of_means(mean - mean_rest, own, rest, sizes)
    return n, n_rest, mean, mean_rest, found.estimate, found.low, found.high
