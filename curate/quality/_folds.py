"""Folds that keep together what belongs together: sources, then duplicate clusters.

A source that holds more than one fold's share of its side is split by the first part of its
documents' ids (a file, a module), and where that is still too large, by document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools
from curate.quality._features import hashed


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """`unit` names what a document is kept together with; `fold` counts from 0."""

    unit: pl.Series
    fold: NDArray[np.int64]
    cluster: NDArray[np.int64]

    def split(self, fold: int) -> tuple[Bools, Bools]:
        """Documents to train on and to score: no duplicate cluster is in both."""
        scored = self.fold == fold
        shared = np.isin(self.cluster, self.cluster[scored])
        return ~scored & ~shared, scored


def fold_units(documents: pl.DataFrame, folds: int, *, whole: bool = False) -> pl.Series:
    """The unit of each document: `group` where given, or source, id prefix, id.

    Reads `id`, `source` (String) and optionally `group` (String). With `whole` no group or source
    is split, however large, unless there is only one.

    >>> frame = pl.DataFrame({"id": ["m/a:1", "m/a:2", "m/b:1", "x"], "source": ["s"] * 3 + ["t"]})
    >>> fold_units(frame, 2).to_list()
    ['m/a', 'm/a', 'm/b', 't']
    """
    prefix = pl.col("id").str.replace(r"[/:#.][^/:#.]*$", "")
    named = documents.with_columns(prefix=prefix)
    levels = ["source", "prefix", "id"]
    if "group" in documents.columns:
        levels.insert(0, "group")
    if whole and documents[levels[0]].n_unique() > 1:
        return documents.select(unit=levels[0])["unit"]
    largest = max(1.0, documents.height / folds)
    unit = pl.coalesce(
        *(pl.when(pl.len().over(level) <= largest).then(level) for level in levels[:-1]), "id"
    )
    return named.select(unit.alias("unit"))["unit"]


def make_folds(documents: pl.DataFrame, folds: int, *, seed: int, whole: bool = False) -> Folds:
    """Folds of about equal size on either side, units dealt largest first.

    With `whole` sources are never split; see `fold_units`. Reads `id`, `source`, `label`
    (Boolean), `digest` (UInt64), optionally `cluster_id` and `group`. Documents of one text count
    as one cluster.
    """
    unit = pl.concat(
        [
            documents.filter(pl.col("label") == side).select(
                "row", unit=fold_units(documents.filter(label=side), folds, whole=whole)
            )
            for side in (True, False)
        ]
    ).sort("row")["unit"]
    sizes = pl.DataFrame({"unit": unit, "label": documents["label"]})
    counts = sizes.group_by("unit").agg(
        pl.col("label").sum().alias("reference"), (~pl.col("label")).sum().alias("background")
    )
    counts = counts.with_columns(draw=pl.Series(hashed(counts["unit"].to_list(), seed=seed))).sort(
        pl.max_horizontal("reference", "background"), "draw", descending=[True, False]
    )
    dealt = _deal(counts.select("reference", "background").to_numpy(), folds)
    fold = unit.replace_strict(counts["unit"], dealt, return_dtype=pl.Int64).to_numpy()
    return Folds(unit=unit, fold=fold, cluster=_clusters(documents))


def _deal(sizes: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Each unit to the fold that holds least of the side the unit is made of."""
    held = np.zeros((folds, 2))
    totals = np.maximum(sizes.sum(0), 1)
    dealt = np.empty(len(sizes), dtype=np.int64)
    for i, size in enumerate(sizes / totals):
        dealt[i] = int(np.argmin(held @ size))
        held[dealt[i]] += size
    return dealt


def _clusters(documents: pl.DataFrame) -> NDArray[np.int64]:
    """Duplicate cluster of each document; without one, documents of equal text share one."""
    own = pl.col("digest").cast(pl.String)
    name = pl.coalesce("cluster_id", own) if "cluster_id" in documents.columns else own
    return documents.select(name.rank("dense").cast(pl.Int64).alias("c"))["c"].to_numpy()
