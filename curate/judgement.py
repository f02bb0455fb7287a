"""From columns to the verdict tables, and to those that people read about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from curate.clean import apply_edits, clean
from curate.config import RunConfig
from curate.controls import scoreboard
from curate.corpus import write_atomically
from curate.duplicates import NearDuplicates
from curate.errors import ConfigError, IntegrityError
from curate.rules import Rule, RulesConfig, judge, load_rules
from curate.run_folder import RunFolder
from curate.shards import Context, Facts, cleaned_parts, native_parts, signal_columns
from curate.text import text_similarity
from curate.verdicts import Decision, removed_only_by

# Signals that every verdict row carries, as weights of the audit and the funnel.
WEIGHTS = ("text_bytes", "text_chars", "words")
EXAMPLES_PER_REASON = 5
EXCERPT_CHARS = 280


def decision_for(config: RunConfig, columns: pl.DataFrame) -> Decision:
    """The rules of a config, with thresholds from the corpus resolved, and the quality cut."""
    rules = load_rules(config.rules, columns)
    rules = [*rules, *_quality_rules(config, columns), *_decontamination_rules(config, columns)]
    return Decision(rules=tuple(rules), duplicates=config.duplicates, kinds=config.duplicates.kinds)


def _quality_rules(config: RunConfig, columns: pl.DataFrame) -> list[Rule]:
    """The quality cut and the selection, as intervals over columns like any other rule."""
    low, select = config.quality.min, config.quality.select
    share = None if select is None else select.share
    for name, asked in (("min", low), ("select", select)):
        column = "quality" if select is None or name == "min" else select.score
        if asked is not None and column not in columns.columns:
            raise ConfigError(
                f"quality.{name} is set, but neither quality.reference nor label, column or "
                f"scorer is, or quality.scores leaves it out: no score {column!r} exists"
            )
    rules = []
    if low is not None:
        origin = "quality.min of the run config"
        rules.append(Rule(name="quality.score", signal="quality", min=low, max=None, source=origin))
    if share is not None:
        origin, name = "quality.select of the run config", "quality.select"
        rules.append(Rule(name=name, signal="quality_rank", min=None, max=share, source=origin))
    return rules


def _decontamination_rules(config: RunConfig, columns: pl.DataFrame) -> list[Rule]:
    """No n-gram of an evaluation set, where documents with any are to go."""
    asked = config.decontamination
    if asked is None or asked.action != "remove" or "evaluation_ngrams" not in columns.columns:
        return []
    name, origin = "decontamination.evaluation_ngrams", "decontamination of the run config"
    return [Rule(name=name, signal="evaluation_ngrams", min=None, max=0, source=origin)]


def stored_decision(folder: RunFolder, config: RunConfig) -> Decision:
    """The decision of a finished run, thresholds as they were resolved then."""
    rows = _stored_rules(folder, applied=True)
    return Decision(rules=tuple(rows), duplicates=config.duplicates, kinds=config.duplicates.kinds)


def stored_shown_rules(folder: RunFolder) -> list[Rule]:
    """Rules of sets that a run judged beside its verdict."""
    return _stored_rules(folder, applied=False)


def _stored_rules(folder: RunFolder, *, applied: bool) -> list[Rule]:
    rows = folder.read("rules.parquet").filter(pl.col("applied") == applied)
    known = [f.name for f in fields(Rule) if f.name in rows.columns]
    return [Rule(**{**row, **_values_of(row)}) for row in rows.select(known).to_dicts()]


def _values_of(row: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The values that a stored rule keeps, where it names any."""
    return {} if row.get("among") is None else {"among": tuple(row["among"])}


def rule_table(folder: RunFolder) -> list[dict[str, Any]]:
    """The rules that decided, as plain rows."""
    return folder.read("rules.parquet").filter(pl.col("applied")).drop("applied").to_dicts()


def reconcile(context: Context, verdicts: pl.DataFrame) -> Facts:
    """Check that no document was lost: read + planted = kept + removed + quarantined.

    Raises:
        IntegrityError: The counts do not balance; both sides are named.
    """
    stages = context.manifest.stages
    read = stages["documents"].facts["rows_read"]
    planted = stages["controls"].facts["planted"]
    quarantined = _quarantined_rows(context.folder)
    kept = verdicts.filter("kept").height
    removed = verdicts.height - kept
    if read + planted != kept + removed + quarantined:
        raise IntegrityError(
            f"documents do not reconcile: {read:,} rows read + {planted:,} planted ≠ "
            f"{kept:,} kept + {removed:,} removed + {quarantined:,} quarantined"
        )
    native = verdicts.filter(pl.col("control").is_null())
    return {
        "rows_read": read,
        "planted": planted,
        "quarantined": quarantined,
        "native_kept": native.filter("kept").height,
        "native_removed": native.filter(~pl.col("kept")).height,
    }


def _quarantined_rows(folder: RunFolder) -> int:
    parts = folder.parts("quarantine")
    if not parts:
        return 0
    rows = pl.concat([pl.read_parquet(p) for p in parts])
    return rows.filter(pl.col("row").is_not_null()).height


def carried_columns(config: RunConfig, judged: pl.DataFrame, decision: Decision) -> list[str]:
    """Columns of the verdict table: id, groups of the audit, every column a rule reads, verdict.

    Raises:
        ConfigError: The audit names a group that no document has.
    """
    for key, names in (("groups", config.audit.groups), ("scores", config.audit.scores)):
        for name in names:
            if name not in judged.columns:
                known = ", ".join(sorted(judged.columns))
                raise ConfigError(f"audit.{key} names {name!r}; the documents have: {known}")
    reads = [rule.signal for rule in decision.rules]
    select = config.quality.select
    scores = [
        name for name in (*config.quality.columns, "evaluation_ngrams") if name in judged.columns
    ]
    scores += [select.within] if select is not None and select.within in judged.columns else []
    strata = [name for name in config.audit.strata if name in judged.columns]
    scores = [*reads, *scores, *config.audit.scores]
    wanted = ["id", "source", "control", *config.audit.groups, *strata, *WEIGHTS, *scores]
    verdict = ["failed", "kept", "cluster_id", "duplicate_of", "jaccard"]
    return list(dict.fromkeys([*wanted, *verdict]))


def write_judgement_tables(
    context: Context, table: pl.DataFrame, decision: Decision, *, idle: Sequence[str] = ()
) -> None:
    """Rules with resolved bounds, funnel, sets that are only shown, scoreboard of controls."""
    folder = context.folder
    shown = _shown_rules(context)
    write_rules(folder, decision.rules, shown=shown, idle=idle)
    native = table.filter(pl.col("control").is_null())
    write_atomically(funnel(context, native, decision.steps()), folder.file("funnel.parquet"))
    write_atomically(_shown_verdicts(folder, shown), folder.file("shown.parquet"))
    _write_scoreboards(context, table)


def write_rules(
    folder: RunFolder,
    rules: Sequence[Rule],
    *,
    shown: Sequence[Rule] = (),
    idle: Sequence[str] = (),
) -> None:
    """Write `rules.parquet`: rules with resolved bounds, whether they decided, or never fired."""
    rows = [
        {
            "name": r.name,
            "signal": r.signal,
            "min": r.min,
            "max": r.max,
            "source": r.source,
            "applied": applied,
            "idle": applied and r.name in idle,
            "among": r.among,
            "min_from": r.min_from,
            "max_from": r.max_from,
        }
        for some, applied in ((rules, True), (shown, False))
        for r in some
    ]
    schema: dict[str, Any] = {
        "name": pl.String,
        "signal": pl.String,
        "min": pl.Float64,
        "max": pl.Float64,
        "source": pl.String,
        "applied": pl.Boolean,
        "idle": pl.Boolean,
        "among": pl.List(pl.String),
        "min_from": pl.String,
        "max_from": pl.String,
    }
    table = pl.DataFrame(rows, schema=schema)
    empty = [n for n in ("among", "min_from", "max_from") if not any(row[n] for row in rows)]
    write_atomically(table.drop(empty), folder.file("rules.parquet"))


def _write_scoreboards(context: Context, table: pl.DataFrame) -> None:
    """What happened to planted controls, and to noise that the input itself declares."""
    folder = context.folder
    boards = {"scoreboard": folder.file("controls/truth.parquet")}
    if context.config.truth is not None:
        boards["declared"] = Path(context.config.truth)
    edits = [pl.read_parquet(part, columns=["id", "step"]) for part in folder.parts("edits")]
    near = (context.config.duplicates.near or NearDuplicates()).jaccard
    for name, path in boards.items():
        if path.exists():
            truth = _as_judged(folder, _complete_truth(pl.read_parquet(path), table))
            board = scoreboard(truth, table, pl.concat(edits), near=near)
            write_atomically(board, folder.file(f"controls/{name}.parquet"))


def _as_judged(folder: RunFolder, truth: pl.DataFrame) -> pl.DataFrame:
    """Truth with the similarity of copies in the cleaned texts: those are what was judged.

    Masking can make a copy less like its origin than it was made, or more.
    """
    copies = truth.filter(pl.col("similarity").is_not_null(), pl.col("origin").is_not_null())
    if copies.is_empty():
        return truth
    wanted = pl.concat([copies["id"], copies["origin"]]).unique()
    texts = pl.concat(
        part.select("id", "text").filter(pl.col("id").is_in(wanted.implode()))
        for part in cleaned_parts(folder)
    )
    both = copies.select("id", "origin").join(texts, on="id", maintain_order="left")
    both = both.join(
        texts.rename({"id": "origin", "text": "made_from"}), on="origin", maintain_order="left"
    )
    seen = text_similarity(both["text"], both["made_from"])["jaccard"]
    judged = both.select("id").with_columns(seen=seen)
    joined = truth.join(judged, on="id", how="left", maintain_order="left")
    return joined.with_columns(similarity=pl.coalesce("seen", "similarity")).drop("seen")


def _complete_truth(truth: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Truth rows of documents that have a verdict; where copies have no origin, null."""
    absent = {"origin": pl.String, "similarity": pl.Float64}
    missing = [pl.lit(None, t).alias(n) for n, t in absent.items() if n not in truth.columns]
    return truth.with_columns(missing).join(
        table.select("id"), on="id", how="semi", maintain_order="left"
    )


def _shown_rules(context: Context) -> list[Rule]:
    names = context.config.rules.shown
    if not names:
        return []
    config = RulesConfig(sets=names, dialect=context.config.rules.dialect)
    return load_rules(config, signal_columns(context.folder))


def _shown_verdicts(folder: RunFolder, rules: list[Rule]) -> pl.DataFrame:
    """Rule sets judged beside the verdict: share of native documents and words they would fail."""
    schema = {
        "set": pl.String,
        "documents_failing": pl.Int64,
        "share": pl.Float64,
        "tokens_share": pl.Float64,
    }
    if not rules:
        return pl.DataFrame(schema=schema)
    columns = signal_columns(folder).filter(pl.col("control").is_null())
    rows = []
    for name in dict.fromkeys(r.name.split(".")[0] for r in rules):
        judged = judge(columns, [r for r in rules if r.name.startswith(f"{name}.")])
        lost = judged.filter(~pl.col("kept"))
        words, lost_words = int(judged["words"].sum()), int(lost["words"].sum())
        share = lost.height / max(judged.height, 1)
        rows.append((name, lost.height, share, lost_words / max(words, 1)))
    return pl.DataFrame(rows, schema=schema, orient="row")


def funnel(context: Context, native: pl.DataFrame, steps: dict[str, list[str]]) -> pl.DataFrame:
    """Documents, words and bytes into and out of each step, one step after the other.

    Rows: `quarantine`, then one a step; `documents_removed_only_here` counts what no other step
    would have removed. Words are those of the standard token view.
    """
    quarantined = _quarantined_rows(context.folder)
    only = removed_only_by(native, steps)
    zero = dict.fromkeys(("tokens_in", "tokens_out", "bytes_in", "bytes_out"))
    read = native.height + quarantined
    rows: list[dict[str, Any]] = [
        {
            "step": "quarantine",
            "documents_in": read,
            "documents_out": native.height,
            "documents_removed_only_here": quarantined,
            **zero,
        }
    ]
    left = native
    for step, names in steps.items():
        passed = left.filter(pl.col("failed").list.set_intersection(names).list.len() == 0)
        rows.append(
            {
                "step": step,
                "documents_in": left.height,
                "documents_out": passed.height,
                "documents_removed_only_here": only[step],
                "tokens_in": left["words"].sum(),
                "tokens_out": passed["words"].sum(),
                "bytes_in": left["text_bytes"].sum(),
                "bytes_out": passed["text_bytes"].sum(),
            }
        )
        left = passed
    return pl.DataFrame(rows, infer_schema_length=None)


def write_examples(context: Context) -> None:
    """At most five removed native texts a reason, cut and with personal data masked."""
    folder = context.folder
    verdicts = folder.table("verdicts").filter(pl.col("control").is_null())
    reasons = (
        verdicts.select("id", "source", "failed")
        .explode("failed", empty_as_null=False, keep_nulls=False)
        .rename({"failed": "reason"})
    )
    chosen = reasons.group_by("reason", maintain_order=True).head(EXAMPLES_PER_REASON)
    texts = pl.concat([_excerpts(p, chosen["id"]) for p in native_parts(folder)])
    table = chosen.join(texts, on="id", how="left", maintain_order="left").sort(
        "reason", maintain_order=True
    )
    write_atomically(table, folder.file("examples.parquet"))


def _excerpts(part: Path, ids: pl.Series) -> pl.DataFrame:
    frame = pl.read_parquet(part, columns=["id", "text"])
    frame = frame.filter(pl.col("id").is_in(ids.implode()))
    masked = apply_edits(frame, clean(frame, ("mask_pii",)))
    return frame.select("id", excerpt=masked.str.slice(0, EXCERPT_CHARS))
