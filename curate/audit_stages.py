"""The audit as a stage: verdicts, edits and texts → `audit/`, and what a card says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from curate.audits import (
    Audit,
    add_lexicon_groups,
    add_losses,
    add_topics,
    group_scores,
    impact,
    load_lexicon,
    losses_of,
    responsible_ai_fields,
)
from curate.clean import EDIT_SCHEMA
from curate.corpus import write_atomically
from curate.judgement import steps_of
from curate.run_folder import RunFolder
from curate.scoring import write_group_words
from curate.shards import Context, Facts, all_edits, native_parts


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
        losses=losses_of(edits) if edits else None,
    )
    write_atomically(table, folder.file("audit/impact.parquet"))
    if config.scores:
        scores = group_scores(frame, config.scores, groups=groups, cluster="source")
        write_atomically(scores, folder.file("audit/scores.parquet"))
    return {"rows": table.height, "flags": table.filter(pl.col("state") == "flag").height}


def _edit_steps(folder: RunFolder) -> list[str]:
    """Steps that edited anything, in order."""
    steps: dict[str, None] = {}
    for part in native_parts(folder):
        for path in all_edits(folder, part.name):
            if path.exists():
                found = pl.scan_parquet(path).select(pl.col("step").unique(maintain_order=True))
                steps |= dict.fromkeys(found.collect()["step"])
    return list(steps)


def _audited(context: Context, edits: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """All native verdicts with shares of text taken and groups found in texts; the groups."""
    config, folder = context.config.audit, context.folder
    lexicons = [load_lexicon(name) for name in config.lexicons]
    frames = []
    for part in native_parts(folder):
        texts = pl.read_parquet(part, columns=["id", "text"])
        found = _with_losses(folder, part, texts, edits)
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
    made = {"id", *losses_of(edits).needed}
    return frame, [*config.groups, *(c for c in extra.columns if c not in made)]


def _with_losses(
    folder: RunFolder, part: Path, texts: pl.DataFrame, edits: list[str]
) -> pl.DataFrame:
    """The texts of a shard with what each step takes of them by itself."""
    paths = [path for path in all_edits(folder, part.name) if path.exists()]
    tables = [pl.read_parquet(path, columns=list(EDIT_SCHEMA)) for path in paths]
    return add_losses(texts, pl.concat(tables), edits) if tables else texts


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
