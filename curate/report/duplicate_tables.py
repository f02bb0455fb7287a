"""What a run folder holds about its duplicates, and about overlaps with evaluation sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

__all__ = ["DuplicateTables", "read_duplicates", "stored_table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateTables:
    """Evidence behind removals as duplicates; `None` where its stage did not run.

    Attributes:
        evidence: Counts, policy and the false-removal rate.
        losses: `kind`, `removals`, `with_new_words`, `most_new_words` Int64, `jaccard_low`,
            `jaccard_median` Float64: what native removals take along, by kind.
        shown: Sampled pairs side by side, a row a passage.
        stability: Removals under other seeds.
        contamination: Documents that share n-grams with evaluation texts, a row a set.
        passages: Repeated lines, paragraphs and passages of kept documents, a row a kind.
    """

    evidence: Mapping[str, Any] | None
    losses: pl.DataFrame | None
    shown: pl.DataFrame | None
    stability: pl.DataFrame | None
    passages: pl.DataFrame | None
    contamination: pl.DataFrame | None


def read_duplicates(folder: Path) -> DuplicateTables:
    """Read the small tables of a run folder and count over the large ones.

    >>> read_duplicates(Path("no-such-run")).evidence is None
    True
    """
    home = folder / "duplicates"
    evidence = home / "evidence.json"
    return DuplicateTables(
        evidence=json.loads(evidence.read_text("utf-8")) if evidence.exists() else None,
        losses=_losses(stored_table(home / "removals.parquet")),
        shown=stored_table(home / "shown.parquet"),
        stability=stored_table(home / "stability.parquet"),
        passages=stored_table(folder / "passages" / "summary.parquet"),
        contamination=stored_table(folder / "contamination" / "sets.parquet"),
    )


def stored_table(path: Path) -> pl.DataFrame | None:
    """A table of a run folder, or nothing where it is absent or empty.

    >>> stored_table(Path("no-such.parquet"))
    """
    frame = pl.read_parquet(path) if path.exists() else None
    return None if frame is None or frame.is_empty() else frame


def _losses(removals: pl.DataFrame | None) -> pl.DataFrame | None:
    if removals is None:
        return None
    native = removals.filter(pl.col("control").is_null())
    found = native.group_by("kind").agg(
        removals=pl.len().cast(pl.Int64),
        with_new_words=(pl.col("new_words") > 0).sum().cast(pl.Int64),
        most_new_words=pl.col("new_words").max(),
        lowest_jaccard=pl.col("jaccard").min(),
        median_jaccard=pl.col("jaccard").median(),
    )
    return found.sort("kind") if found.height else None
