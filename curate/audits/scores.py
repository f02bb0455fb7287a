"""Any score by group, raw against curated: sentiment, toxicity, quality, a length.

Means are of documents. The curated corpus is a part of the raw one, so the change of a difference
is estimated from the same clusters and not as if the two were strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from curate.arrays import Bools, Codes, Floats
from curate.audits.impact import MISSING_GROUP
from curate.errors import ConfigError, check_name
from curate.statistics import (
    cluster_influence,
    compare_means,
    difference_of_means,
    satterthwaite,
    t_quantile,
)

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
    cluster: str | None = None,
) -> pl.DataFrame:
    """Mean of each score in each group and in the rest, before and after curation.

    Args:
        frame: Columns of scores (numeric; null and NaN do not count), of groups, `kept` Boolean
            (without it all documents count as kept) and of the cluster; `control`, where
            present, takes planted documents out.
        scores: Columns to compare.
        groups: Column or columns of groups; null becomes the group `(missing)`.
        cluster: Column within which documents are alike; a group column is never its own
            cluster. `None` = every document by itself.

    Returns:
        One row per score, group column, group and `corpus`: `raw`, `curated`, and `change`
        (curated less raw, for means and differences alike). `n`, `n_rest` documents with a score
        (of `change`: those that left); `difference` = mean of the group less that of the rest,
        with a 95 % interval `low`, `high` of t over clusters, null where these are too few to
        tell (`curate.statistics.effective_sides`). Intervals are of single rows; there is no
        correction for many.

    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "tone": [1.0, 0.0] * 50, "kept": [True] * 100})
    >>> group_scores(frame, ["tone"], groups="g").select("group", "corpus", "difference").row(0)
    ('a', 'raw', 1.0)
    """
    columns = [groups] if isinstance(groups, str) else list(groups)
    frame = _checked(frame, scores, [*columns, *([cluster] if cluster else [])])
    rows: list[tuple[object, ...]] = []
    for score in scores:
        known = frame.filter(pl.col(score).cast(pl.Float64).is_finite())
        stays = known["kept"].to_numpy() if "kept" in known.columns else np.ones(known.height, bool)
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
        check_name("column", name, frame.columns)
    for name in scores:
        if not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean):
            raise ConfigError(f"score {name!r} is {frame[name].dtype}; a score is a number")
    known = "control" in frame.columns
    return frame.filter(pl.col("control").is_null()) if known else frame


def _codes(frame: pl.DataFrame, cluster: str | None) -> Codes | None:
    if cluster is None:
        return None
    ranks = frame[cluster].cast(pl.String).rank("dense").fill_null(0).to_numpy()
    return np.unique(ranks, return_inverse=True)[1]


def _compared(
    values: Floats, own: Bools, stays: Bools, cluster: Codes | None
) -> list[tuple[object, ...]]:
    """Rows of one score and group: raw, curated, change."""
    sides = {
        name: (_Side.of(values, own & part, cluster), _Side.of(values, ~own & part, cluster))
        for name, part in (("raw", np.ones_like(stays)), ("curated", stays))
    }
    rows: dict[str, tuple[object, ...]] = {
        name: (*_heads(one, other), *_ends(one, other, cluster))
        for name, (one, other) in sides.items()
    }
    raw, curated = sides["raw"], sides["curated"]
    counts = [one.documents - two.documents for one, two in zip(raw, curated, strict=True)]
    means = [two.mean - one.mean for one, two in zip(raw, curated, strict=True)]
    ends = means[0] - means[1], *_change_ends(raw, curated, cluster)
    rows["change"] = (*counts, *means, *ends)
    return [(name, *row) for name, row in rows.items()]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """Documents of one side: their mean, variance, and sums by cluster."""

    documents: int
    mean: float
    variance: float
    y: Floats
    n: Floats

    @classmethod
    def of(cls, values: Floats, chosen: Bools, cluster: Codes | None) -> _Side:
        found = values[chosen]
        codes = np.flatnonzero(chosen) if cluster is None else cluster[chosen]
        count = values.size if cluster is None else int(cluster.max(initial=-1)) + 1
        return cls(
            documents=found.size,
            mean=float(found.mean()) if found.size else float("nan"),
            variance=float(found.var(ddof=1)) if found.size > 1 else float("nan"),
            y=np.bincount(codes, found, count).astype(np.float64),
            n=np.bincount(codes, minlength=count).astype(np.float64),
        )

    @property
    def effective(self) -> float:
        """Clusters of equal size that would be as certain."""
        total = self.n.sum()
        return float(np.round(total**2 / (self.n**2).sum(), 9)) if total else 0.0


def _heads(own: _Side, rest: _Side) -> tuple[int, int, float, float]:
    return own.documents, rest.documents, own.mean, rest.mean


def _ends(own: _Side, rest: _Side, cluster: Codes | None) -> tuple[float, float, float]:
    """Difference of means and its interval."""
    difference = own.mean - rest.mean
    if min(own.documents, rest.documents) < 2:
        return difference, float("nan"), float("nan")
    if cluster is None:  # Welch's
        errors = [side.variance / side.documents for side in (own, rest)]
        variance, df = satterthwaite(errors, [side.documents - 1.0 for side in (own, rest)])
        reach = float(t_quantile(0.95, df)) * np.sqrt(variance)
        return difference, difference - reach, difference + reach
    variances = [own.variance], [rest.variance]
    found = compare_means((own.y, own.n), (rest.y, rest.n), variances, withhold=True)
    if not found.df[0] > 0:
        return difference, float("nan"), float("nan")
    return difference, float(found.low[0]), float(found.high[0])


def _change_ends(
    raw: Sequence[_Side], curated: Sequence[_Side], cluster: Codes | None
) -> tuple[float, float]:
    """Interval of the change: the curated corpus is a part of the raw one, cluster by cluster."""
    if all(one.documents == two.documents for one, two in zip(raw, curated, strict=True)):
        return 0.0, 0.0
    if min(side.documents for side in (*raw, *curated)) < 2:
        return float("nan"), float("nan")
    if cluster is not None and not np.isfinite(_ends(raw[0], raw[1], cluster)[1]):
        return float("nan"), float("nan")
    moves, effective = [], []
    for one, two in zip(raw, curated, strict=True):
        moves.append(cluster_influence(two.y, two.n) - cluster_influence(one.y, one.n))
        effective.append(min(one.effective, two.effective))
    difference = curated[0].mean - curated[1].mean - (raw[0].mean - raw[1].mean)
    found = difference_of_means(difference, moves[0], moves[1], (effective[0], effective[1]))
    return found.low, found.high
