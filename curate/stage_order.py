"""The stages of a run in their order, as data: what each does, writes, reads and depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from curate import asked, audit_stages, duplicate_stages, outside, stages
from curate.config import RunConfig
from curate.corpus import InputConfig
from curate.measure import measure_arms
from curate.scoring import score_quality
from curate.shards import Context, Facts

__all__ = ["BY_NAME", "STAGES", "Stage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One step of the way from raw text to report.

    Attributes:
        work: Function from a context to counts for people.
        homes: Folders and files of the run folder that only this stage writes.
        after: Stages whose files it reads.
        sections: Config sections that its result depends on.
        modules: Modules or packages of `curate` that its result depends on.
        inputs: The files from outside that it reads, for their fingerprint, by config table.
        state: What else from outside its result depends on.
    """

    name: str
    work: Callable[[Context], Facts]
    homes: tuple[str, ...]
    after: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    inputs: Callable[[RunConfig], Mapping[str, InputConfig]] = lambda config: {}
    state: Callable[[RunConfig], Any] = lambda config: None


STAGES = (
    Stage(
        name="documents",
        work=stages.read_documents,
        homes=("documents", "quarantine"),
        sections=("input",),
        modules=("corpus",),
        inputs=lambda config: {"input": config.input},
    ),
    Stage(
        name="evaluation",
        work=stages.read_evaluation,
        homes=("evaluation",),
        sections=("measure",),
        modules=("corpus",),
        inputs=outside.evaluation_files,
        state=lambda config: config.input.text,
    ),
    Stage(
        name="contamination",
        work=stages.find_contamination,
        homes=("contamination",),
        after=("documents", "evaluation"),
        sections=("decontamination",),
        modules=("corpus", "text"),
        inputs=outside.further_sets,
        state=lambda config: config.input.text,
    ),
    Stage(
        name="controls",
        work=stages.plant_controls,
        homes=("documents/part-controls.parquet", "controls"),
        after=("documents", "evaluation"),
        sections=("seed", "controls"),
        modules=("controls", "defects", "text"),
    ),
    Stage(
        name="clean",
        work=stages.clean_documents,
        homes=("edits",),
        after=("documents", "controls"),
        sections=("clean",),
        modules=("clean",),
    ),
    Stage(
        name="annotate",
        work=stages.annotate,
        homes=("annotations",),
        after=("documents", "controls", "clean"),
        modules=("clean", "signals", "text"),
        state=asked.measured,
    ),
    Stage(
        name="duplicates",
        work=duplicate_stages.find_duplicate_pairs,
        homes=("duplicates",),
        after=("documents", "controls", "clean"),
        sections=("duplicates",),
        modules=("clean", "duplicates", "duplicate_stages", "text"),
        state=outside.index_batches,
    ),
    Stage(
        name="quality",
        work=score_quality,
        homes=("quality",),
        after=("documents", "controls", "clean", "duplicates"),
        sections=("seed", "quality"),
        modules=("clean", "corpus", "ngram_model", "quality", "scoring", "text", "tokens"),
        inputs=outside.quality_files,
        state=lambda config: config.input.text,
    ),
    Stage(
        name="verdicts",
        work=stages.decide_verdicts,
        homes=(
            "verdicts",
            "rules.parquet",
            "funnel.parquet",
            "shown.parquet",
            "controls/scoreboard.parquet",
            "controls/declared.parquet",
        ),
        after=(
            "documents",
            "contamination",
            "controls",
            "clean",
            "annotate",
            "duplicates",
            "quality",
        ),
        sections=("rules", "duplicates", "decontamination", "quality", "audit", "truth"),
        modules=(
            *("rules", "rule_tables", "bounds", "rulesets"),
            *("duplicates", "verdicts", "judgement", "controls"),
        ),
        inputs=outside.truth_file,
    ),
    Stage(
        name="evidence",
        work=duplicate_stages.weigh_removals,
        homes=tuple(
            f"duplicates/{name}"
            for name in (
                "removals.parquet",
                "clusters.parquet",
                "shown.parquet",
                "stability.parquet",
                "evidence.json",
            )
        ),
        after=("documents", "controls", "clean", "duplicates", "verdicts"),
        sections=("seed", "duplicates"),
        modules=("clean", "duplicates", "duplicate_stages", "statistics", "text"),
    ),
    Stage(
        name="passages",
        work=duplicate_stages.find_repeated_passages,
        homes=("passages",),
        after=("documents", "clean", "verdicts"),
        sections=("duplicates",),
        modules=("clean", "duplicates", "duplicate_stages", "text"),
    ),
    Stage(
        name="audit",
        work=audit_stages.audit_impact,
        homes=("audit",),
        after=("documents", "clean", "quality", "verdicts", "passages"),
        sections=("seed", "audit"),
        modules=("audits", "audit_stages", "quality", "scoring", "statistics"),
        state=outside.lexicon_digests,
    ),
    Stage(
        name="curated",
        work=stages.write_corpus,
        homes=("curated", "examples.parquet"),
        after=("documents", "clean", "verdicts", "passages", "audit"),
        modules=("clean", "corpus", "stages", "audits"),
    ),
    Stage(
        name="measure",
        work=measure_arms,
        homes=("proxies", "scaling"),
        after=(
            "documents",
            "evaluation",
            "contamination",
            "clean",
            "annotate",
            "duplicates",
            "quality",
            "verdicts",
            "passages",
        ),
        sections=("seed", "measure", "truth"),
        inputs=outside.truth_file,
        modules=(
            "measure",
            "experiment",
            "subsets",
            "proxies",
            "scaling",
            "tokens",
            "ngram_model",
            "_ngram_kernel",
            "quality",
            "statistics",
            "verdicts",
        ),
    ),
    Stage(
        name="report",
        work=stages.report,
        homes=("report.html", "report.json"),
        after=(
            "documents",
            "verdicts",
            "evidence",
            "passages",
            "curated",
            "audit",
            "measure",
            "quality",
        ),
        sections=("audit", "duplicates", "output"),
        modules=("report",),
    ),
    Stage(
        name="index",
        work=duplicate_stages.add_run_to_index,
        homes=("duplicates/index.json",),
        after=("documents", "clean", "verdicts", "report"),
        sections=("duplicates",),
        modules=("clean", "duplicates", "duplicate_stages", "text"),
        state=outside.index_batches,
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}
