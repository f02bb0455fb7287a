"""The stages about duplicates: pairs before the verdicts, and what is known of them after."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
import polars as pl

from curate.clean import apply_edits, clean
from curate.corpus import write_atomically
from curate.duplicates import (
    NearDuplicates,
    clusters,
    false_removal_rate,
    find_pairs,
    removal_evidence,
    seed_stability,
    side_by_side,
    texts_of,
)
from curate.shards import Context, Facts, cleaned_parts

_EVIDENCE_BYTES = 250_000_000  # of text in memory while removals are looked at again
_SHOWN_PASSAGES = 40  # of one pair in the report
_PREFIX = "duplicates."


def find_duplicate_pairs(context: Context) -> Facts:
    """`documents/`, `edits/` → `duplicates/pairs.parquet`: all verified pairs."""
    config = context.config.duplicates
    pairs = find_pairs(lambda: cleaned_parts(context.folder), config)
    write_atomically(pairs, context.folder.file("duplicates/pairs.parquet"))
    kinds = pairs.group_by("kind").len().sort("kind").rows()
    return {"pairs": pairs.height, **{f"{kind}_pairs": n for kind, n in kinds}}


def weigh_removals(context: Context) -> Facts:
    """Verdicts, texts → `duplicates/`: evidence of each removal, and of removals as a whole.

    `removals.parquet` has a row a removal, `clusters.parquet` one a document that has any
    duplicate, `shown.parquet` the sampled pairs side by side, `stability.parquet` a row a
    further seed, `evidence.json` the counts and the false-removal rate.
    """
    folder, config = context.folder, context.config.duplicates
    verdicts = folder.table("verdicts")
    removals = _removals(context, verdicts)
    write_atomically(removals, folder.file("duplicates/removals.parquet"))
    write_atomically(_clusters(context, verdicts), folder.file("duplicates/clusters.parquet"))
    native = removals.filter(pl.col("control").is_null())
    shown = _shown(context, native)
    write_atomically(shown, folder.file("duplicates/shown.parquet"))
    if config.near is not None and config.evidence.other_seeds:
        stability = seed_stability(
            partial(cleaned_parts, folder),
            config,
            seeds=config.evidence.other_seeds,
            eligible=_eligible(verdicts),
        )
        write_atomically(stability, folder.file("duplicates/stability.parquet"))
    found = _counts(context, verdicts, native)
    folder.write_json("duplicates/evidence.json", found)
    return {"removals": removals.height, "false_removals": found["false_removals"]["false"]}


def _removals(context: Context, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Removals with both texts compared anew; those of equal words need no second look."""
    reason = pl.col("failed").list.last().str.strip_prefix(_PREFIX)
    removed = verdicts.filter(pl.col("duplicate_of").is_not_null()).select(
        "id", "source", "control", "text_bytes", kept_id="duplicate_of", kind=reason
    )
    same = removed.filter(pl.col("kind") == "exact").with_columns(
        jaccard=pl.lit(1.0),
        containment=pl.lit(1.0),
        new_words=pl.lit(0, pl.Int64),
        new_words_shown=pl.lit([], pl.List(pl.String)),
    )
    others = removed.filter(pl.col("kind") != "exact")
    pair_bytes = 2 * int(others["text_bytes"].sum()) // max(others.height, 1) + 1
    at_once = max(1, _EVIDENCE_BYTES // pair_bytes)
    compared = removal_evidence(partial(cleaned_parts, context.folder), others, at_once=at_once)
    order = removed.select("id")
    both = pl.concat([same, compared.select(same.columns)])
    return order.join(both, on="id", how="left", maintain_order="left").drop("text_bytes")


def _clusters(context: Context, verdicts: pl.DataFrame) -> pl.DataFrame:
    """`id`, `cluster_id`, `cluster_size`, `kept` of all that have a duplicate, to weigh by."""
    pairs = context.folder.read("duplicates/pairs.parquet")
    found = clusters(pairs, verdicts["id"]).with_columns(verdicts["kept"])
    return found.filter(pl.col("cluster_id").is_not_null())


def _shown(context: Context, removals: pl.DataFrame) -> pl.DataFrame:
    """Sampled near removals side by side, personal data masked: a row a passage."""
    near = removals.filter(pl.col("kind") != "exact")
    rng = np.random.default_rng(context.config.seed)
    count = min(context.config.duplicates.evidence.shown, near.height)
    sample = near[np.sort(rng.choice(near.height, count, replace=False))]
    ids = pl.concat([sample["id"], sample["kept_id"].alias("id")]).unique()
    texts = texts_of(partial(cleaned_parts, context.folder), ids)
    masked = dict(zip(texts["id"], apply_edits(texts, clean(texts, ("mask_pii",))), strict=True))
    rows = [
        (pair, id, kept_id, jaccard, *passage)
        for pair, (id, kept_id, jaccard) in enumerate(
            sample.select("id", "kept_id", "jaccard").iter_rows()
        )
        for passage in side_by_side(masked[id], masked[kept_id])[:_SHOWN_PASSAGES]
    ]
    return pl.DataFrame(rows, schema=_SHOWN_SCHEMA, orient="row")


_SHOWN_SCHEMA = {
    "pair": pl.Int64,
    "id": pl.String,
    "kept_id": pl.String,
    "jaccard": pl.Float64,
    "differs": pl.Boolean,
    "removed_text": pl.String,
    "kept_text": pl.String,
}


def _eligible(verdicts: pl.DataFrame) -> pl.DataFrame:
    """What `resolve` is given: who fails no rule other than that of duplicates."""
    others = pl.col("failed").list.eval(pl.element().str.starts_with(_PREFIX).not_())
    return verdicts.with_columns(eligible=~others.list.any())


def _counts(context: Context, verdicts: pl.DataFrame, removals: pl.DataFrame) -> dict[str, Any]:
    config = context.config.duplicates
    rate = false_removal_rate(
        partial(cleaned_parts, context.folder),
        removals,
        near=config.near or NearDuplicates(),
        sample=config.evidence.sample,
        seed=context.config.seed,
    )
    native = verdicts.filter(pl.col("control").is_null())
    sizes = native.drop_nulls("cluster_id")["cluster_id"].value_counts()["count"]
    sizes = sizes.filter(sizes > 1)
    return {
        "documents": native.height,
        "removed": dict(removals.group_by("kind").len().sort("kind").rows()),
        "clusters": len(sizes),
        "largest_cluster": sizes.max() or 0,
        "survivor": config.survivor,
        "sources": list(config.sources),
        "false_removals": {k: v if isfinite(v) else None for k, v in asdict(rate).items()},
    }
