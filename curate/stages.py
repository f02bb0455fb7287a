"""The stages of a run, each one function from a context to the files of its home.

A stage reads what earlier stages wrote in the run folder, calls one room of the library, and
writes its tables. It returns a few counts for people. No stage deletes or changes another
stage's files; the order is in `curate.pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from curate.audits import check_gate, impact
from curate.clean import apply_edits, clean
from curate.config import RunConfig, config_values
from curate.controls import plant, scoreboard
from curate.corpus import (
    InputConfig,
    ingest,
    write_atomically,
    write_curated,
)
from curate.duplicates import find_pairs
from curate.errors import ConfigError, GateError, IntegrityError
from curate.executors import Executor
from curate.progress import progress
from curate.quality import fit_quality
from curate.report import write_report
from curate.rules import Rule, judge, load_rules
from curate.run_folder import Manifest, RunFolder
from curate.signals import measure_signals
from curate.verdicts import Decision, decide, removed_only_by

Facts = dict[str, Any]

# Columns of the signals that every verdict row carries, as weights of the audit and the funnel.
WEIGHTS = ("text_bytes", "text_chars", "words")
EXAMPLES_PER_REASON = 5
EXCERPT_CHARS = 280


@dataclass(frozen=True, slots=True)
class Context:
    """All that a stage may use."""

    config: RunConfig
    folder: RunFolder
    manifest: Manifest
    executor: Executor


def read_documents(context: Context) -> Facts:
    """Input → `documents/`, `quarantine/`: parsed once, in input order."""
    result = ingest(context.config.input, context.folder.root)
    return {
        "rows_read": result.rows_read,
        "documents": result.documents,
        "quarantined": result.quarantined,
        "reasons": result.reasons,
        "broken_files": [list(map(str, f)) for f in result.broken_files],
    }


def read_evaluation(context: Context) -> Facts:
    """Evaluation sets → `evaluation/documents/`; `source` is the name of the set."""
    measure = context.config.measure
    if measure is None or not measure.evaluation:
        return {"documents": 0}
    config = InputConfig(path=tuple(measure.evaluation), source=measure.evaluation_column)
    result = ingest(config, context.folder.file("evaluation"))
    return {"documents": result.documents, "quarantined": result.quarantined}


def plant_controls(context: Context) -> Facts:
    """Native documents, evaluation texts → `documents/part-controls.parquet`, `controls/`."""
    share = context.config.controls.share
    if share == 0:
        return {"planted": 0}
    native = pl.concat([pl.read_parquet(p) for p in native_parts(context.folder)])
    canaries = evaluation_documents(context.folder)
    planted, truth = plant(native, canaries, share=share, seed=context.config.seed)
    documents = pl.DataFrame(schema=native.schema).vstack(
        planted.select(
            [
                pl.col(name) if name in planted.columns else pl.lit(None, dtype).alias(name)
                for name, dtype in native.schema.items()
            ]
        )
    )
    write_atomically(documents, context.folder.file("documents/part-controls.parquet"))
    write_atomically(truth, context.folder.file("controls/truth.parquet"))
    return {"planted": documents.height}


def clean_documents(context: Context) -> Facts:
    """`documents/` → `edits/`: what each cleaning step would change, nothing changed yet."""
    work = partial(_clean_part, steps=tuple(context.config.clean.steps))
    return map_parts(context, "clean", work, "edits")


def annotate(context: Context) -> Facts:
    """`documents/`, `edits/` → `annotations/`: one column a signal, of the cleaned text."""
    return map_parts(context, "annotate", _annotate_part, "annotations")


def find_duplicate_pairs(context: Context) -> Facts:
    """`documents/`, `edits/` → `duplicates/pairs.parquet`: all verified pairs."""
    config = context.config.duplicates
    pairs = find_pairs(lambda: cleaned_parts(context.folder), config)
    write_atomically(pairs, context.folder.file("duplicates/pairs.parquet"))
    kinds = pairs.group_by("kind").len().sort("kind").rows()
    return {"pairs": pairs.height, **{f"{kind}_pairs": n for kind, n in kinds}}


def score_quality(context: Context) -> Facts:
    """Reference, `documents/`, `duplicates/` → `quality/`: scores, model, evaluation."""
    config = context.config.quality
    if config.reference is None:
        return {"scored": 0}
    folder = context.folder
    paths = (config.reference,) if isinstance(config.reference, str) else config.reference
    ingest(InputConfig(path=tuple(paths)), folder.file("quality/reference"))
    reference = pl.concat(
        [pl.read_parquet(p) for p in sorted(folder.file("quality/reference/documents").glob("*"))]
    )
    background = pl.concat([p.filter(pl.col("control").is_null()) for p in cleaned_parts(folder)])
    model = fit_quality(reference, background, config=config, seed=context.config.seed)
    model.save(folder.file("quality/model"))
    folder.write_json("quality/evaluation.json", model.evaluate())
    for part, frame in zip(folder.parts("documents"), cleaned_parts(folder), strict=True):
        scored = frame.select("id").with_columns(quality=model.score(frame))
        write_atomically(scored, folder.file(f"quality/{part.name}"))
    return {"reference": reference.height}


def decide_verdicts(context: Context) -> Facts:
    """Columns and pairs → `verdicts/`, and the tables that people read about them."""
    folder = context.folder
    columns = signal_columns(folder)
    decision = decision_for(context.config, columns)
    pairs = folder.read("duplicates/pairs.parquet")
    judged = decide(columns, pairs, decision)
    reads = list(dict.fromkeys([r.signal for r in decision.rules]))
    carried = [c for c in (*WEIGHTS, *reads) if c in judged.columns]
    table = judged.select(
        "id",
        "source",
        "control",
        *_group_columns(context, judged),
        *dict.fromkeys(carried),
        *("failed", "kept", "cluster_id", "duplicate_of", "jaccard"),
    )
    offset = 0
    for part in folder.parts("documents"):
        height = pl.scan_parquet(part).select(pl.len()).collect().item()
        write_atomically(table.slice(offset, height), folder.file(f"verdicts/{part.name}"))
        offset += height
    _write_judgement_tables(context, table, decision)
    return reconcile(context, table)


def write_corpus(context: Context) -> Facts:
    """`documents/`, `edits/`, `verdicts/` → `curated/`, and examples of what was removed."""
    folder = context.folder
    counts = write_curated(
        list(cleaned_paths(folder, native_only=True)),
        folder.file("curated"),
        card={"rules": rule_table(folder)},
    )
    _write_examples(context)
    return counts


def audit_impact(context: Context) -> Facts:
    """`verdicts/` → `audit/impact.parquet`; the gate is checked by the run's last stage."""
    config = context.config.audit
    verdicts = context.folder.table("verdicts").filter(pl.col("control").is_null())
    steps = steps_of(context)
    tables = [
        impact(verdicts, steps=steps, group=group, tokens="words", cluster="source")
        for group in config.groups
    ]
    table = pl.concat(tables)
    write_atomically(table, context.folder.file("audit/impact.parquet"))
    return {"rows": table.height, "flags": table.filter(pl.col("state") == "flag").height}


def report(context: Context) -> Facts:
    """All tables → `report.html`, `report.json`; then the gates."""
    write_report(context.folder.root)
    verdicts = context.folder.table("verdicts").filter(pl.col("control").is_null())
    kept = verdicts.select(pl.col("kept").mean()).item() or 0.0
    if kept < context.config.output.min_yield:
        raise GateError(
            f"{kept:.2%} of the native documents were kept; "
            f"output.min_yield demands {context.config.output.min_yield:.2%}"
        )
    if context.config.audit.gate is not None:
        check_gate(context.folder.read("audit/impact.parquet"), context.config.audit.gate)
    return {"kept_share": kept}


# ── parts, texts, columns ────────────────────────────────────────────────────────────────────


def native_parts(folder: RunFolder) -> list[Path]:
    """The document shards without the one of the planted controls."""
    return [p for p in folder.parts("documents") if p.stem != "part-controls"]


def cleaned_paths(
    folder: RunFolder, *, native_only: bool = False
) -> Iterator[tuple[Path, Path, Path]]:
    """Paths of each shard's documents, edits and verdicts."""
    parts = native_parts(folder) if native_only else folder.parts("documents")
    for part in parts:
        yield part, folder.file(f"edits/{part.name}"), folder.file(f"verdicts/{part.name}")


def cleaned_parts(folder: RunFolder) -> Iterator[pl.DataFrame]:
    """Each document shard with its text as the cleaning steps leave it."""
    for part in folder.parts("documents"):
        yield cleaned(part, folder.file(f"edits/{part.name}"))


def cleaned(documents: Path, edits: Path) -> pl.DataFrame:
    """One shard of documents with all recorded edits applied."""
    frame = pl.read_parquet(documents)
    changes = pl.read_parquet(edits) if edits.exists() else None
    if changes is None or changes.is_empty():
        return frame
    return frame.with_columns(text=apply_edits(frame, changes))


def evaluation_documents(folder: RunFolder) -> pl.DataFrame | None:
    """All evaluation texts: `id`, `text`, `source` (= name of the evaluation set)."""
    parts = sorted(folder.file("evaluation/documents").glob("part-*.parquet"))
    if not parts:
        return None
    name = pl.col("source").str.split("/").list.last().str.replace(r"\.[a-z.]+$", "")
    return pl.concat([pl.read_parquet(p, columns=["id", "text", "source"]) for p in parts]).select(
        "id", "text", name.alias("source")
    )


def signal_columns(folder: RunFolder) -> pl.DataFrame:
    """All annotations in document order, with the quality score where there is one."""
    frames = []
    for part in folder.parts("annotations"):
        frame = pl.read_parquet(part)
        scores = folder.file(f"quality/{part.name}")
        if scores.exists():
            frame = frame.join(
                pl.read_parquet(scores), on="id", how="left", maintain_order="left"
            )
        frames.append(frame)
    return pl.concat(frames)


def decision_for(config: RunConfig, columns: pl.DataFrame) -> Decision:
    """The rules of a config, with thresholds from the corpus resolved, and the quality cut."""
    rules = load_rules(config.rules, columns)
    if config.quality.min is not None:
        if "quality" not in columns.columns:
            raise ConfigError("quality.min is set, but quality.reference is not: no score exists")
        source = "quality.min of the run config"
        rules = [*rules, Rule(name="quality.score", signal="quality", min=config.quality.min,
                              max=None, source=source)]
    kinds = [k for k in ("exact", "near") if getattr(config.duplicates, k)]
    return Decision(rules=tuple(rules), duplicates=config.duplicates, kinds=tuple(kinds))


def stored_decision(folder: RunFolder, config: RunConfig) -> Decision:
    """The decision of a finished run, thresholds as they were resolved then."""
    rows = folder.read("rules.parquet").filter(pl.col("applied")).drop("applied").to_dicts()
    kinds = [k for k in ("exact", "near") if getattr(config.duplicates, k)]
    rules = tuple(Rule(**row) for row in rows)
    return Decision(rules=rules, duplicates=config.duplicates, kinds=tuple(kinds))


def steps_of(context: Context) -> dict[str, list[str]]:
    """Step → rule names of the run, in order."""
    return stored_decision(context.folder, context.config).steps()


def rule_table(folder: RunFolder) -> list[dict[str, Any]]:
    """The rules that decided, as plain rows."""
    return folder.read("rules.parquet").filter(pl.col("applied")).drop("applied").to_dicts()


def map_parts(
    context: Context, stage: str, work: Callable[[tuple[Path, Path, Path]], Facts], home: str
) -> Facts:
    """Run `work` over every document shard that an interrupted run has not finished yet."""
    folder, manifest = context.folder, context.manifest
    specs = [
        (part, folder.file(f"edits/{part.name}"), folder.file(f"{home}/{part.name}"))
        for part in folder.parts("documents")
    ]
    todo = [spec for spec in specs if not manifest.has_output(stage, spec[2])]
    megabytes = sum(spec[0].stat().st_size for spec in todo) / 1e6
    totals: dict[str, float] = {}
    with progress(stage, total=megabytes, unit="MB") as advance:
        for spec, facts in zip(todo, context.executor(work, todo), strict=True):
            manifest.add_output(stage, spec[2])
            advance(spec[0].stat().st_size / 1e6)
            for name, value in facts.items():
                totals[name] = totals.get(name, 0) + value
    return {**totals, "shards": len(specs), "shards_resumed": len(specs) - len(todo)}


def _clean_part(spec: tuple[Path, Path, Path], *, steps: tuple[str, ...]) -> Facts:
    documents, _, output = spec
    edits = clean(pl.read_parquet(documents, columns=["id", "text"]), steps)
    write_atomically(edits, output)
    return {"edits": edits.height}


def _annotate_part(spec: tuple[Path, Path, Path]) -> Facts:
    documents, edits, output = spec
    frame = cleaned(documents, edits)
    measured = measure_signals(frame).drop("text")
    write_atomically(measured, output)
    return {"documents": measured.height}


# ── the tables that people read ──────────────────────────────────────────────────────────────


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


def _group_columns(context: Context, judged: pl.DataFrame) -> list[str]:
    groups = [g for g in context.config.audit.groups if g not in ("source", "control")]
    for group in groups:
        if group not in judged.columns:
            known = ", ".join(sorted(judged.columns))
            raise ConfigError(f"audit.groups names {group!r}; the documents have: {known}")
    return groups


def _write_judgement_tables(context: Context, table: pl.DataFrame, decision: Decision) -> None:
    folder = context.folder
    shown = _shown_rules(context)
    rows = [
        {"name": r.name, "signal": r.signal, "min": r.min, "max": r.max, "source": r.source,
         "applied": applied}
        for rules, applied in ((decision.rules, True), (shown, False))
        for r in rules
    ]
    schema = {"name": pl.String, "signal": pl.String, "min": pl.Float64, "max": pl.Float64,
              "source": pl.String, "applied": pl.Boolean}
    write_atomically(pl.DataFrame(rows, schema=schema), folder.file("rules.parquet"))
    native = table.filter(pl.col("control").is_null())
    write_atomically(funnel(context, native, decision.steps()), folder.file("funnel.parquet"))
    write_atomically(_shown_verdicts(folder, shown), folder.file("shown.parquet"))
    truth = folder.file("controls/truth.parquet")
    if truth.exists():
        edits = pl.concat([pl.read_parquet(p, columns=["id", "step"]) for p in folder.parts("edits")])
        board = scoreboard(pl.read_parquet(truth), table, edits)
        write_atomically(board, folder.file("controls_scoreboard.parquet"))


def _shown_rules(context: Context) -> list[Rule]:
    names = context.config.rules.shown
    if not names:
        return []
    config = replace(context.config.rules, sets=names, shown=(), override={}, add={})
    return load_rules(config, signal_columns(context.folder))


def _shown_verdicts(folder: RunFolder, rules: list[Rule]) -> pl.DataFrame:
    """Rule sets judged beside the verdict: share of native documents and words they would fail."""
    schema = {"set": pl.String, "documents_failing": pl.Int64, "share": pl.Float64,
              "tokens_share": pl.Float64}
    if not rules:
        return pl.DataFrame(schema=schema)
    columns = signal_columns(folder).filter(pl.col("control").is_null())
    rows = []
    for name in dict.fromkeys(r.name.split(".")[0] for r in rules):
        judged = judge(columns, [r for r in rules if r.name.startswith(f"{name}.")])
        lost = judged.filter(~pl.col("kept"))
        words = judged["words"].sum() or 1
        rows.append((name, lost.height, lost.height / max(judged.height, 1),
                     lost["words"].sum() / words))
    return pl.DataFrame(rows, schema=schema, orient="row")


def funnel(context: Context, native: pl.DataFrame, steps: dict[str, list[str]]) -> pl.DataFrame:
    """Documents, words and bytes into and out of each step, one step after the other.

    Rows: `read`, `quarantined`, then one a step; `documents_removed_only_here` counts what no
    other step would have removed. Words are those of the standard token view.
    """
    quarantined = _quarantined_rows(context.folder)
    only = removed_only_by(native, steps)
    zero = dict.fromkeys(("tokens_in", "tokens_out", "bytes_in", "bytes_out"))
    read = native.height + quarantined
    rows: list[dict[str, Any]] = [
        {"step": "quarantine", "documents_in": read, "documents_out": native.height,
         "documents_removed_only_here": quarantined, **zero}
    ]
    left = native
    for step, names in steps.items():
        passed = left.filter(pl.col("failed").list.set_intersection(names).list.len() == 0)
        rows.append(
            {"step": step, "documents_in": left.height, "documents_out": passed.height,
             "documents_removed_only_here": only[step],
             "tokens_in": left["words"].sum(), "tokens_out": passed["words"].sum(),
             "bytes_in": left["text_bytes"].sum(), "bytes_out": passed["text_bytes"].sum()}
        )
        left = passed
    return pl.DataFrame(rows, infer_schema_length=None)


def _write_examples(context: Context) -> None:
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


def section_values(config: RunConfig, sections: Iterable[str]) -> dict[str, Any]:
    """The values of some sections of a config, as they enter a stage's key."""
    values = config_values(config)
    return {name: values.get(name) for name in sections}
