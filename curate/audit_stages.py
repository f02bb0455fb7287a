"""The audit as a stage: verdicts, edits and texts → `audit/`, and what a card says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from curate.audits import (
    Audit,
    Losses,
    add_lexicon_groups,
    add_topics,
    group_scores,
    impact,
    load_lexicon,
    responsible_ai_fields,
)
from curate.corpus import write_atomically
from curate.judgement import steps_of
from curate.run_folder import RunFolder
from curate.scoring import write_group_words
from curate.shards import Context, Facts, all_edits, native_parts

_SIZE = "original_bytes"


def audit_impact(context: Context) -> Facts:
    """Verdicts, edits, texts → `audit/`: whom steps hit; the run's last stage checks the gate.

    Groups are the columns that the config names, those that its word lists find in the original
    texts, and topics. Steps are the cleaning steps, by the share of text they take, then the
    rule sets.
    """
    config, folder = context.config.audit, context.folder
    edits, steps = _edit_steps(folder), steps_of(context)
    write_group_words(context)
    if not steps and not edits:
        return {"rows": 0, "flags": 0}  # nothing takes anything away
    frame, groups = _audited(context, edits)
    table = impact(
        frame,
        steps=steps,
        group=groups,
        tokens="words",
        cluster="source",
        strata=[name for name in config.strata if name in frame.columns],
        losses=Losses(columns=edits, weight=_SIZE),
    )
    write_atomically(table, folder.file("audit/impact.parquet"))
    if config.scores:
        scores = group_scores(frame, config.scores, groups=groups, cluster="source")
        write_atomically(scores, folder.file("audit/scores.parquet"))
    return {"rows": table.height, "flags": table.filter(pl.col("state") == "flag").height}


def _edit_steps(folder: RunFolder) -> dict[str, str]:
    """Steps that edited anything → the column with the share of text that they took."""
    steps: dict[str, str] = {}
    for part in native_parts(folder):
        for path in all_edits(folder, part.name):
            if path.exists():
                found = pl.scan_parquet(path).select(pl.col("step").unique(maintain_order=True))
                steps |= {name: f"taken by {name}" for name in found.collect()["step"]}
    return steps


def _audited(context: Context, edits: dict[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """All native verdicts with shares of text taken and groups found in texts; the groups."""
    config, folder = context.config.audit, context.folder
    lexicons = [load_lexicon(name) for name in config.lexicons]
    frames = []
    for part in native_parts(folder):
        texts = pl.read_parquet(part, columns=["id", "text"])
        found = texts.hstack(_taken(folder, part, texts, edits))
        found = add_lexicon_groups(found, lexicons) if lexicons else found
        frames.append(found if config.topics else found.drop("text"))
    extra = pl.concat(frames)
    if config.topics:
        extra = add_topics(extra, topics=config.topics, seed=context.config.seed).drop("text")
    native = [pl.scan_parquet(folder.file(f"verdicts/{p.name}")) for p in native_parts(folder)]
    wanted = ["failed", "kept", "cluster_id", "words", "source", *config.groups, *config.strata]
    verdicts = pl.concat(native)
    known = verdicts.collect_schema().names()
    wanted += [name for name in config.scores if name not in extra.columns]
    chosen = [name for name in dict.fromkeys(wanted) if name in known]
    frame = verdicts.select(chosen).collect().hstack(extra.drop("id", *chosen, strict=False))
    made = {_SIZE, *edits.values(), "id"}
    return frame, [*config.groups, *(c for c in extra.columns if c not in made)]


def _taken(
    folder: RunFolder, part: Path, texts: pl.DataFrame, edits: dict[str, str]
) -> pl.DataFrame:
    """Size of each original text, and the share of it that each step takes by itself."""
    sizes = texts.select("id", pl.col("text").str.len_bytes().cast(pl.Float64).alias(_SIZE))
    tables = [pl.read_parquet(path) for path in all_edits(folder, part.name) if path.exists()]
    for step, column in edits.items():
        cut = pl.col("end") - pl.col("start") - pl.col("replacement").str.len_bytes()
        sums = [
            t.filter(pl.col("step") == step).select("id", cut=cut.clip(lower_bound=0))
            for t in tables
        ]
        total = pl.concat(sums).group_by("id").agg(pl.col("cut").sum().alias(column))
        sizes = sizes.join(total, on="id", how="left", maintain_order="left")
        share = (pl.col(column).fill_null(0) / pl.col(_SIZE)).fill_nan(0.0)
        sizes = sizes.with_columns(share.clip(0.0, 1.0).alias(column))
    return sizes.drop("id")


def audit_facts(context: Context) -> dict[str, Any]:
    """What the audit says in words: fields of Croissant's responsible-AI vocabulary."""
    path = context.folder.file("audit/impact.parquet")
    if not path.exists():
        return dict.fromkeys(
            ("rai:dataBiases", "rai:dataLimitations"), "No step took anything away."
        )
    lexicons = [load_lexicon(name) for name in context.config.audit.lexicons]
    found = Audit(pl.read_parquet(path))
    return responsible_ai_fields(found, lexicons)
