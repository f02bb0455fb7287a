"""The stages of a run, each one function from a context to the files of its home.

A stage reads what earlier stages wrote in the run folder, calls one room of the library, and
writes its tables. It returns a few counts for people. No stage deletes or changes another
stage's files; the order is in `curate.pipeline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl

from curate.asked import audited_signals, read_signals
from curate.audit_stages import audit_facts
from curate.audits import check_gate
from curate.clean import clean
from curate.controls import plant
from curate.corpus import (
    DecontaminationConfig,
    IngestResult,
    InputConfig,
    InputFile,
    MissingColumnError,
    decontaminate,
    find_files,
    ingest,
    ingest_beside,
    write_atomically,
    write_croissant,
    write_curated,
)
from curate.duplicates import check_wipe_out
from curate.errors import GateError, InputError
from curate.judgement import (
    carried_columns,
    decision_for,
    reconcile,
    rule_table,
    write_examples,
    write_judgement_tables,
)
from curate.report import write_report
from curate.shards import (
    Context,
    Facts,
    all_edits,
    cleaned,
    comparison_in,
    evaluation_documents,
    map_parts,
    masked,
    native_parts,
    signal_columns,
)
from curate.signals import DEFAULT_SIGNALS, measure_signals
from curate.sweeps import idle_rules
from curate.text.flagged_words import WordLists, load_word_lists
from curate.text.statistics import is_compiled
from curate.verdicts import decide


def read_documents(context: Context) -> Facts:
    """Input → `documents/`, `quarantine/`: parsed once, in input order."""
    result = ingest(context.config.input, context.folder.root)
    if result.documents == 0:
        raise InputError(
            f"the input holds no usable document; {result.rows_read:,} rows were read "
            f"({_why_nothing(result)}); see {context.folder.file('quarantine')}"
        )
    return {
        "rows_read": result.rows_read,
        "documents": result.documents,
        "quarantined": result.quarantined,
        "reasons": result.reasons,
        "broken_files": [list(map(str, f)) for f in result.broken_files],
    }


def _why_nothing(result: IngestResult) -> str:
    """Why an input gave no document: reasons of rows, then the first files that are broken."""
    rows = [f"{reason}: {n:,}" for reason, n in sorted(result.reasons.items())]
    files = [f"{file.path} is broken: {file.detail}" for file in result.broken_files[:3]]
    return "; ".join(rows + files) or "no row at all"


def read_evaluation(context: Context) -> Facts:
    """Evaluation files → `evaluation/<file>/`; a set is a file, or a value of a column."""
    measure = context.config.measure
    if measure is None or not measure.evaluation:
        return {"documents": 0}
    counts: Facts = {"documents": 0, "quarantined": 0, "files": list(measure.evaluation)}
    if measure.evaluation_column is not None:
        counts["column"] = measure.evaluation_column
    for file in find_files(InputConfig(path=tuple(measure.evaluation))):
        config = InputConfig(path=str(file.path), source=measure.evaluation_column)
        home = context.folder.file(f"evaluation/{file.path.stem}")
        try:
            result = _read_beside(context, config, home)
        except MissingColumnError as error:
            raise _no_such_kinds(str(file.path), error) from None
        counts["documents"] += result.documents
        counts["quarantined"] += result.quarantined
    return counts


def _no_such_kinds(path: str, error: MissingColumnError) -> InputError:
    """Told in the config's words: the column that should tell texts of several kinds apart."""
    return InputError(
        f"evaluation file {path!r} has no column {error.name!r} (measure.evaluation_column); "
        f"columns there: {error.there}"
    )


def find_contamination(context: Context) -> Facts:
    """Native documents, evaluation texts → `contamination/`: shared n-grams by document and set.

    `documents.parquet` has `id`, `set`, `shared_ngrams`; `sets.parquet` a row a set;
    `flags.parquet`, where `[decontamination]` is asked for, what verdicts and rules read.
    """
    folder, asked = context.folder, context.config.decontamination
    config = asked or DecontaminationConfig()
    further = [_read_set(context, file.path) for file in _further_sets(config)]
    own = evaluation_documents(folder, context.config)
    sets = ([] if own is None else [own.select("text", set="source")]) + further
    if not sets:
        return {"documents": 0}
    evaluation = pl.concat(sets)
    found = decontaminate(
        lambda: (pl.read_parquet(p, columns=["id", "text"]) for p in native_parts(folder)),
        evaluation,
        n=config.n,
        most_documents=config.most_documents,
        by="set",
    )
    write_atomically(found, folder.file("contamination/documents.parquet"))
    texts = evaluation.group_by("set", maintain_order=True).agg(texts=pl.len().cast(pl.Int64))
    counts = found.group_by("set").agg(
        documents=pl.len().cast(pl.Int64), most_shared=pl.col("shared_ngrams").max()
    )
    table = texts.join(counts, on="set", how="left", maintain_order="left")
    write_atomically(
        table.with_columns(pl.col("documents", "most_shared").fill_null(0)),
        folder.file("contamination/sets.parquet"),
    )
    if asked is not None:
        flags = found.group_by("id").agg(evaluation_ngrams=pl.col("shared_ngrams").max()).sort("id")
        write_atomically(flags, folder.file("contamination/flags.parquet"))
    return {"sets": texts.height, "documents": found["id"].n_unique()}


def _further_sets(config: DecontaminationConfig) -> Sequence[InputFile]:
    return find_files(InputConfig(path=config.evaluation)) if config.evaluation else ()


def _read_set(context: Context, path: Path) -> pl.DataFrame:
    """Texts of one further evaluation set, named by its file."""
    home = context.folder.file(f"contamination/texts/{path.stem}")
    _read_beside(context, InputConfig(path=str(path)), home)
    parts = sorted((home / "documents").glob("part-*.parquet"))
    frames = [pl.read_parquet(part, columns=["text"]) for part in parts]
    return pl.concat(frames).with_columns(set=pl.lit(path.stem))


def _read_beside(context: Context, config: InputConfig, home: Path) -> IngestResult:
    try:
        return ingest_beside(config, home, text=context.config.input.text)
    except InputError as error:
        if isinstance(error, MissingColumnError) and error.role != "text":
            raise
        raise InputError(f"{str(config.path)!r}: {error}") from None


def plant_controls(context: Context) -> Facts:
    """Native documents, evaluation texts → `documents/part-controls.parquet`, `controls/`."""
    share = context.config.controls.share
    if share == 0:
        return {"planted": 0}
    native = pl.concat([pl.read_parquet(p) for p in native_parts(context.folder)])
    canaries = evaluation_documents(context.folder, context.config)
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
    config = context.config
    flagged = config.signals.flagged_words
    if context.say is not None and not is_compiled():
        context.say("annotate: compiles its kernels, once on this machine, in about 10 to 20 s")
    work = partial(
        _annotate_part,
        names=(*DEFAULT_SIGNALS, *read_signals(config)),
        further=tuple(audited_signals(config)),
        lists=None if flagged is None else load_word_lists(flagged),
    )
    return map_parts(context, "annotate", work, "annotations")


def decide_verdicts(context: Context) -> Facts:
    """Columns and pairs → `verdicts/`, and the tables that people read about them."""
    folder = context.folder
    columns = signal_columns(folder)
    decision = decision_for(context.config, columns)
    pairs = folder.read("duplicates/pairs.parquet")
    compare = comparison_in(folder, context.config)
    judged = decide(columns, pairs, decision, compare=compare)
    table = judged.select(carried_columns(context.config, judged, decision))
    offset = 0
    for part in folder.parts("documents"):
        height = pl.scan_parquet(part).select(pl.len()).collect().item()
        write_atomically(table.slice(offset, height), folder.file(f"verdicts/{part.name}"))
        offset += height
    idle = idle_rules(table.filter(pl.col("control").is_null()), decision.rules)
    write_judgement_tables(context, table, decision, idle=idle)
    return reconcile(context, table) | {"idle_rules": idle}


def write_corpus(context: Context) -> Facts:
    """Documents, edits, verdicts, audit → `curated/`, and examples of what was removed."""
    folder, audited = context.folder, audit_facts(context)
    parts = native_parts(folder)
    result = write_curated(
        parts,
        [folder.file(f"verdicts/{part.name}") for part in parts],
        folder.file("curated"),
        cleaned=lambda part: cleaned(part, *all_edits(folder, part.name)),
        masked=lambda part: masked(part, folder.file(f"edits/{part.name}")),
        card={
            "Rules": rule_table(folder),
            "Bias audit": audited["rai:dataBiases"],
            "Limits of the audit": audited["rai:dataLimitations"],
        },
    )
    write_croissant(folder.file("curated"), result.parts, audited)
    write_examples(context)
    return {"kept": result.kept, "removed": result.removed}


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
    audited = context.folder.file("audit/impact.parquet")
    if context.config.audit.gate is not None and audited.exists():
        check_gate(pl.read_parquet(audited), context.config.audit.gate)
    if context.config.duplicates.guard is not None:
        # That a batch repeats what is known already is no accident.
        again = pl.col("failed").list.contains("duplicates.index")
        own = verdicts.with_columns(duplicate_of=pl.when(~again).then("duplicate_of"))
        check_wipe_out(own, context.config.duplicates.guard)
    return {"kept_share": kept}


def _clean_part(spec: tuple[Path, Path, Path], *, steps: tuple[str, ...]) -> Facts:
    documents, _, output = spec
    edits = clean(pl.read_parquet(documents, columns=["id", "text"]), steps)
    write_atomically(edits, output)
    return {"edits": edits.height}


def _annotate_part(
    spec: tuple[Path, Path, Path],
    *,
    names: tuple[str, ...],
    further: tuple[str, ...],
    lists: WordLists | None,
) -> Facts:
    documents, edits, output = spec
    frame = cleaned(documents, edits)
    asked = [*names, *(name for name in further if name not in frame.columns)]
    measured = measure_signals(frame, asked, flagged=lists).drop("text")
    write_atomically(measured, output)
    return {"documents": measured.height}
