"""The stages about duplicates: pairs before the verdicts, and what is known of them after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.clean import EDIT_SCHEMA, apply_edits, clean
from curate.corpus import write_atomically
from curate.duplicates import (
    PAIRS_SCHEMA,
    DuplicatesConfig,
    NearDuplicates,
    Parts,
    RepeatedUnits,
    add_to_index,
    clusters,
    compare_with_index,
    false_removal_rate,
    find_pairs,
    find_passages,
    find_repeated_units,
    index_parts,
    passage_edits,
    removal_evidence,
    seed_stability,
    side_by_side,
    texts_of,
)
from curate.run_folder import RunFolder
from curate.shards import Context, Facts, cleaned_parts, native_parts

_EVIDENCE_BYTES = 250_000_000  # of text in memory while removals are looked at again
_SHOWN_PASSAGES = 40  # of one pair in the report
_PREFIX = "duplicates."


def find_duplicate_pairs(context: Context) -> Facts:
    """Documents, edits, indexes → `duplicates/pairs.parquet`: all verified pairs.

    Pairs with documents of an index have the kind `index`; a document has at most one.
    """
    config = context.config.duplicates
    pairs = find_pairs(lambda: cleaned_parts(context.folder), config)
    pairs = pl.concat([pairs, _pairs_with_indexes(context)]).sort("id_a", "id_b")
    write_atomically(pairs, context.folder.file("duplicates/pairs.parquet"))
    kinds = pairs.group_by("kind").len().sort("kind").rows()
    return {"pairs": pairs.height, **{f"{kind}_pairs": n for kind, n in kinds}}


def indexes_of(config: DuplicatesConfig) -> list[Path]:
    """Indexes that a run compares with: those named, and its own where it is there already.

    >>> indexes_of(DuplicatesConfig(against=("a",), index="not-made-yet"))
    [PosixPath('a')]
    """
    own = [] if config.index is None else [Path(config.index)]
    there = [path for path in own if (path / "index.json").exists()]
    return [*map(Path, config.against), *there]


def batch_name(root: Path, index: Path) -> str:
    """Name of a run as a batch of an index: its folder, as seen from there.

    >>> batch_name(Path("runs/monday"), Path("indexes/news"))
    '../../runs/monday'
    """
    return os.path.relpath(root, index)


def _pairs_with_indexes(context: Context) -> pl.DataFrame:
    """For each document that a survivor of an index already is, the most similar of the first."""
    folder, config = context.folder, context.config.duplicates
    indexes = indexes_of(config)
    if not indexes:
        return PAIRS_SCHEMA.to_frame()
    ids = pl.concat([pl.read_parquet(p, columns=["id"]) for p in folder.parts("documents")])["id"]
    frames = []
    for index in indexes:
        found = compare_with_index(
            index,
            partial(cleaned_parts, folder),
            near=config.near,
            failing=ids.to_list(),  # nobody of this run may stand for a document of the index
            batch=batch_name(folder.root, index),
        )
        frames.append(found.verdicts.drop_nulls("duplicate_of"))
    known = pl.concat(frames).unique("id", keep="first", maintain_order=True)
    same = pl.col("kind") == "exact"
    return known.select(
        id_a="duplicate_of",
        id_b="id",
        kind=pl.lit("index"),
        jaccard="jaccard",
        containment=pl.when(same).then(1.0),
    ).cast(PAIRS_SCHEMA)


def add_run_to_index(context: Context) -> Facts:
    """Kept documents → the index that the config names; `duplicates/index.json` says so.

    Texts stay where they are: in `documents/`, with `edits/`, of this run folder.
    """
    folder, config = context.folder, context.config.duplicates
    if config.index is None:
        return {"added": 0}
    index = Path(config.index)
    verdicts = folder.table("verdicts").filter(pl.col("control").is_null())
    added = add_to_index(
        index,
        [(part, folder.file(f"edits/{part.name}")) for part in native_parts(folder)],
        near=config.near,
        failing=verdicts.filter(~pl.col("kept"))["id"].to_list(),
        batch=batch_name(folder.root, index),
    )
    facts = {"documents": added.height, "added": int(added["stays"].sum())}
    folder.write_json("duplicates/index.json", facts)
    return facts


def _texts_behind(context: Context, kept: pl.Series) -> Parts:
    """Texts of this run, and of those documents of its indexes that are named."""
    folder = context.folder
    indexes = indexes_of(context.config.duplicates)
    return lambda: chain(cleaned_parts(folder), *(index_parts(index, kept) for index in indexes))


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
    parts = _texts_behind(context, _of_indexes(others))
    compared = removal_evidence(parts, others, at_once=at_once)
    order = removed.select("id")
    both = pl.concat([same, compared.select(same.columns)])
    return order.join(both, on="id", how="left", maintain_order="left").drop("text_bytes")


def _of_indexes(removals: pl.DataFrame) -> pl.Series:
    return removals.filter(pl.col("kind") == "index")["kept_id"].unique()


def _clusters(context: Context, verdicts: pl.DataFrame) -> pl.DataFrame:
    """`id`, `cluster_id`, `cluster_size`, `kept` of all that have a duplicate, to weigh by."""
    pairs = context.folder.read("duplicates/pairs.parquet").filter(pl.col("kind") != "index")
    found = clusters(pairs, verdicts["id"]).with_columns(verdicts["kept"])
    return found.filter(pl.col("cluster_id").is_not_null())


def _shown(context: Context, removals: pl.DataFrame) -> pl.DataFrame:
    """Sampled near removals side by side, personal data masked: a row a passage."""
    near = removals.filter(pl.col("kind") != "exact")
    rng = np.random.default_rng(context.config.seed)
    count = min(context.config.duplicates.evidence.shown, near.height)
    sample = near[np.sort(rng.choice(near.height, count, replace=False))]
    ids = pl.concat([sample["id"], sample["kept_id"].alias("id")]).unique()
    texts = texts_of(_texts_behind(context, _of_indexes(sample)), ids)
    masked = dict(zip(texts["id"], apply_edits(texts, clean(texts, ("mask_pii",))), strict=True))
    rows = [
        (pair, id, kept_id, jaccard, *passage)
        for pair, (id, kept_id, jaccard) in enumerate(
            sample.select("id", "kept_id", "jaccard").iter_rows()
        )
        for passage in side_by_side(masked[id], masked[kept_id])[:_SHOWN_PASSAGES]
    ]
    return pl.DataFrame(rows, schema=_SHOWN_SCHEMA, orient="row")


def find_repeated_passages(context: Context) -> Facts:
    """Kept native documents → `passages/`: repeated spans, and cuts as a last cleaning step.

    `spans.parquet` has a row a span, `summary.parquet` a row a kind, `edits/` the cuts, which
    were not there when signals were measured. Edits of earlier steps win where they overlap.
    """
    folder, config = context.folder, context.config.duplicates
    found = {
        kind: spans
        for kind in ("lines", "paragraphs", "passages")
        if (spans := _spans(partial(_kept_parts, folder), kind, config)) is not None
    }
    if not found:
        return {"spans": 0}
    spans = pl.concat([f.with_columns(kind=pl.lit(kind)) for kind, f in found.items()])
    write_atomically(spans, folder.file("passages/spans.parquet"))
    write_atomically(_summary(context, spans), folder.file("passages/summary.parquet"))
    for part in native_parts(folder):
        ids = pl.read_parquet(part, columns=["id"])["id"].implode()
        cuts = pl.DataFrame(schema=EDIT_SCHEMA)
        earlier = pl.read_parquet(folder.file(f"edits/{part.name}"))
        for step in config.cuts:
            own = found[step.removeprefix("cut_")].filter(pl.col("id").is_in(ids))
            before = pl.concat([earlier, cuts])
            cuts = pl.concat([cuts, passage_edits(own, before=before, step=step)])
        write_atomically(cuts, folder.file(f"passages/edits/{part.name}"))
    return {"spans": spans.height, "words": spans["words"].sum()}


def _kept_parts(folder: RunFolder) -> Iterator[pl.DataFrame]:
    """Kept native documents with their original text, in which edits count their bytes."""
    for part in native_parts(folder):
        kept = pl.read_parquet(folder.file(f"verdicts/{part.name}"), columns=["kept"])["kept"]
        yield pl.read_parquet(part, columns=["id", "text"]).filter(kept)


def _spans(parts: Parts, kind: str, config: DuplicatesConfig) -> pl.DataFrame | None:
    if kind == "passages":
        return find_passages(parts, config.passages) if config.passages else None
    units: RepeatedUnits | None = getattr(config, kind)
    if units is None:
        return None
    unit = kind.removesuffix("s")
    return find_repeated_units(
        parts, unit=unit, documents=units.documents, min_chars=units.min_chars
    )


def _summary(context: Context, spans: pl.DataFrame) -> pl.DataFrame:
    """`kind`, `action`, then `documents`, `spans`, `words` of it, `of_documents`, `of_words`."""
    verdicts = context.folder.table("verdicts").filter(pl.col("control").is_null(), pl.col("kept"))
    config = context.config.duplicates
    kinds = {k: getattr(config, k) for k in ("lines", "paragraphs", "passages")}
    rows = []
    for kind, own in kinds.items():
        if own is not None:
            found = spans.filter(pl.col("kind") == kind)
            counts = (found["id"].n_unique(), found.height, int(found["words"].sum()))
            rows.append((kind, own.action, *counts, verdicts.height, int(verdicts["words"].sum())))
    names = ("kind", "action", "documents", "spans", "words", "of_documents", "of_words")
    types = [pl.String] * 2 + [pl.Int64] * 5
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


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
    return verdicts.with_columns(eligible=_fails_no_rule())


def _fails_no_rule() -> pl.Expr:
    others = pl.col("failed").list.eval(pl.element().str.starts_with(_PREFIX).not_())
    return ~others.list.any()


def _counts(context: Context, verdicts: pl.DataFrame, removals: pl.DataFrame) -> dict[str, Any]:
    config = context.config.duplicates
    rate = false_removal_rate(
        _texts_behind(context, _of_indexes(removals)),
        removals,
        near=config.near or NearDuplicates(),
        sample=config.evidence.sample,
        seed=context.config.seed,
    )
    native = verdicts.filter(pl.col("control").is_null())
    sizes = native.drop_nulls("cluster_id")["cluster_id"].value_counts()["count"]
    sizes = sizes.filter(sizes > 1)
    gone = removals["id"].implode()
    return {
        "documents": native.height,
        "removed": dict(removals.group_by("kind").len().sort("kind").rows()),
        "failing_a_rule": native.filter(~_fails_no_rule(), pl.col("id").is_in(gone)).height,
        "clusters": len(sizes),
        "largest_cluster": sizes.max() or 0,
        "survivor": config.survivor,
        "sources": list(config.sources),
        "false_removals": {k: v if isfinite(v) else None for k, v in asdict(rate).items()},
    }
