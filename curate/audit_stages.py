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
    representation_rows,
    responsible_ai_fields,
)
from curate.clean import EDIT_SCHEMA
from curate.config import RunConfig
from curate.corpus import write_atomically
from curate.errors import ConfigError, unknown_name
from curate.file_audit import word_list_said
from curate.judgement import stored_decision
from curate.run_folder import RunFolder
from curate.scoring import write_group_words
from curate.shards import Context, Facts, all_edits, native_parts


def audit_impact(context: Context) -> Facts:
    """Verdicts, edits, texts → `audit/`: whom steps hit; the run's last stage checks the gate."""
    write_group_words(context)
    folder, found = context.folder, audit_of(context.folder, context.config)
    if found is None:
        return {"rows": 0, "flags": 0}
    write_atomically(found.table, folder.file("audit/impact.parquet"))
    if found.scores is not None:
        write_atomically(found.scores, folder.file("audit/scores.parquet"))
    if found.representation is not None:
        write_atomically(found.representation, folder.file("audit/representation.parquet"))
    lists = [word_list_said(load_lexicon(name)) for name in context.config.audit.lexicons]
    folder.write_json("audit/word_lists.json", lists)
    return {"rows": found.table.height, "flags": found.flagged.height}


def audit_of(folder: RunFolder, config: RunConfig) -> Audit | None:
    """Whom the steps of a run hit; `None` where nothing takes anything away.

    Groups are the columns that the config names, those that its word lists find in the original
    texts, and topics. Steps are the cleaning steps, by the share of text they take, then the
    rule sets.

    Raises:
        ConfigError: A group is no column of the documents.
    """
    edits, steps = _edit_steps(folder), stored_decision(folder, config).steps()
    if not steps and not edits:
        return None
    frame, groups = _audited(folder, config, edits)
    table = impact(
        frame,
        steps=steps,
        group=groups,
        tokens="words",
        cluster="source",
        strata=[name for name in config.audit.strata if name in frame.columns],
        losses=losses_of(edits) if edits else None,
    )
    scores = config.audit.scores
    compared = group_scores(frame, scores, groups=groups, cluster="source") if scores else None
    return Audit(table, compared, representation_rows(frame, groups))


def _edit_steps(folder: RunFolder) -> list[str]:
    """Steps that edited anything, in order."""
    steps: dict[str, None] = {}
    for part in native_parts(folder):
        for path in all_edits(folder, part.name):
            if path.exists():
                found = pl.scan_parquet(path).select(pl.col("step").unique(maintain_order=True))
                steps |= dict.fromkeys(found.collect()["step"])
    return list(steps)


def _audited(
    folder: RunFolder, config: RunConfig, edits: list[str]
) -> tuple[pl.DataFrame, list[str]]:
    """All native verdicts with shares of text taken and groups found in texts; the groups."""
    audit, parts = config.audit, native_parts(folder)
    lexicons = [load_lexicon(name) for name in audit.lexicons]
    verdicts = pl.concat([pl.scan_parquet(folder.file(f"verdicts/{p.name}")) for p in parts])
    known = verdicts.collect_schema().names()
    carried = _carried(parts[0], [name for name in audit.groups if name not in known])
    frames = []
    for part in parts:
        texts = pl.read_parquet(part, columns=["id", "text", *carried])
        found = _with_losses(folder, part, texts, edits)
        found = add_lexicon_groups(found, lexicons) if lexicons else found
        frames.append(found if audit.topics else found.drop("text"))
    extra = pl.concat(frames)
    if audit.topics:
        extra = add_topics(extra, topics=audit.topics, seed=config.seed).drop("text")
    wanted = ["failed", "kept", "cluster_id", "words", "source", *audit.groups, *audit.strata]
    wanted += [name for name in audit.scores if name not in extra.columns]
    chosen = [name for name in dict.fromkeys(wanted) if name in known]
    frame = verdicts.select(chosen).collect().hstack(extra.drop("id", *chosen, strict=False))
    made = {"id", *carried, *losses_of(edits).needed}
    return frame, [*audit.groups, *(c for c in extra.columns if c not in made)]


def _carried(part: Path, names: list[str]) -> list[str]:
    """Columns of groups that the verdicts lack, but the documents hold."""
    known = pl.scan_parquet(part).collect_schema().names() if names else []
    for name in names:
        if name not in known:
            told = [column for column in known if column not in ("text", "control")]
            raise ConfigError(unknown_name("group column", name, told))
    return names


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
