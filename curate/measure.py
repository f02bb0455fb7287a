"""A run's verdicts turned into arms, and the experiment on them.

Every arm is a predicate over the verdict table. An arm that leaves a step out resolves its
duplicate clusters again, so that a document which only lost its place to a bad copy comes back;
an arm that leaves a cleaning step out replays the other edits.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import polars as pl

from curate.clean import apply_edits
from curate.config import RunConfig, config_values
from curate.controls import inert_filler
from curate.corpus import write_atomically
from curate.errors import ConfigError, unknown_name
from curate.experiment import (
    COALITION,
    NOTHING_LEFT,
    Course,
    ExperimentResult,
    MeasureConfig,
    MeasureInputs,
    coalition_arm,
    coalition_steps,
    coalitions,
    labelled_task,
    measure_inputs,
    memory_of_arms,
    run_experiment,
    unmeasured,
)
from curate.judgement import stored_decision
from curate.quality import SelectionConfig, selection_ranks
from curate.run_folder import RunFolder
from curate.shards import (
    Context,
    Facts,
    all_edits,
    comparison_in,
    native_parts,
    unseen_evaluation,
    unsplit_evaluation,
)
from curate.subsets import id_hashes, pool_mask
from curate.tokens import save_tokenizer
from curate.tracking import track
from curate.verdicts import Decision, decide

POOL_BYTES = 256_000_000  # hash-drawn; far more than the budgets of a proxy model can read
FILLER_DOCUMENTS = 12_000
CHECKPOINTS = "checkpoints"  # of ladders under way: only in a folder whose measuring was killed
GROUPS = {"without": "leave_one_out", "only": "only_one"}  # arm's prefix → group of arms
CURATED = "curated"
VERDICT_COLUMNS = ("failed", "kept", "cluster_id", "duplicate_of", "jaccard")


def measure_arms(context: Context) -> Facts:
    """`documents/`, `edits/`, `verdicts/`, `evaluation/` → `proxies/`, `scaling/`.

    Writes nothing where the config has no `[measure]` table.
    """
    config = context.config.measure
    if config is None:
        return {"arms": 0}
    folder = context.folder
    _say_first(context, config)
    _hint(context)
    ends = context.deadline
    if ends is None and config.stop:
        ends = time.monotonic() + config.minutes * 60
    evaluation, seen = unseen_evaluation(folder, context.config)
    pool, facts = _pool(context, config)
    facts |= {"evaluation_seen_by_score": seen.height} if seen.height else {}
    inputs = _inputs(context, config, pool, evaluation)
    # Before the plan, which has what they leave of the minutes.
    beside = _beside(context, config, inputs)
    result = unmeasured(config, NOTHING_LEFT)
    if inputs is not None:
        inputs = replace(inputs, pool_share=facts["pool_share_of_text"])
        checkpoints = folder.file(CHECKPOINTS)
        course = Course(deadline=ends, say=context.say, checkpoints=checkpoints)
        result = run_experiment(
            inputs, config, seed=context.config.seed, executor=context.executor, course=course
        )
    context.make_room()
    _write(folder, result, beside)
    if inputs is not None and inputs.tokenizer is not None:
        save_tokenizer(inputs.tokenizer, folder.file("proxies/tokenizer.json"))
    folder.write_json("proxies/plan.json", result.plan | {"pool": facts})
    shutil.rmtree(folder.file(CHECKPOINTS), ignore_errors=True)
    return facts | {"proxy_runs": result.runs.height} | _tracked(context)


def _write(folder: RunFolder, result: ExperimentResult, beside: Mapping[str, pl.DataFrame]) -> None:
    """All tables of an experiment."""
    for name in ("runs", "losses", "evaluation"):
        write_atomically(getattr(result, name), folder.file(f"proxies/{name}.parquet"))
    write_atomically(result.multipliers, folder.file("scaling/multipliers.parquet"))
    write_atomically(result.matrix, folder.file("scaling/matrix.parquet"))
    if result.shapley.height:
        write_atomically(result.shapley, folder.file("scaling/shapley.parquet"))
    for name, table in beside.items():
        write_atomically(table, folder.file(f"proxies/{name}.parquet"))
    folder.write_json("scaling/verdicts.json", result.verdicts)


def _say_first(context: Context, config: MeasureConfig) -> None:
    """What is said at once: the work before the plan takes a while, too."""
    how = "as its plan says" if config.plan is not None else "as its budgets say"
    if config.plan is None and config.budgets is None:
        how = (
            f"within {config.minutes:g} min" if config.stop else f"for about {config.minutes:g} min"
        )
    if context.say is not None:
        context.say(f"Measuring {how}: documents are read and encoded first, then comes the plan")


def _hint(context: Context) -> None:
    hint = unsplit_evaluation(context.folder, context.config)
    if hint and context.say is not None:
        context.say(hint)


def _beside(
    context: Context, config: MeasureConfig, inputs: MeasureInputs | None
) -> dict[str, pl.DataFrame]:
    """Tables that are wanted beside the verdicts."""
    found = {}
    if config.memorisation and inputs is not None and inputs.evaluation:
        found["memorisation"] = memory_of_arms(
            inputs, seed=context.config.seed, families=config.families
        )
    if config.label is not None:
        found["labelled"] = _task(context, config.label)
    return found


def _tracked(context: Context) -> Facts:
    """Copies for trackers, where there are any; the tables are written already and stand."""
    try:
        written = track(context.folder.root, settings=config_values(context.config))
    except Exception as error:
        return {"tracking": f"failed: {error}"}
    return {"tracked_by": ", ".join(written)} if written else {}


def _task(context: Context, label: str) -> pl.DataFrame:
    """How well a classifier learns a label from raw and from curated documents."""
    frames = []
    for part in native_parts(context.folder):
        columns = pl.read_parquet_schema(part)
        if label not in columns:
            raise ConfigError(unknown_name("column measure.label", label, list(columns)))
        wanted = list(dict.fromkeys(["id", "text", "source", label]))
        frames.append(pl.read_parquet(part, columns=wanted))
    documents = pl.concat(frames).with_columns(label=pl.col(label).cast(pl.Boolean))
    kept = context.folder.table("verdicts").select("id", curated="kept", cluster="cluster_id")
    documents = documents.join(kept, on="id", how="left", maintain_order="left")
    return labelled_task(documents, seed=context.config.seed)


def _inputs(
    context: Context, config: MeasureConfig, pool: pl.DataFrame, evaluation: pl.DataFrame | None
) -> MeasureInputs | None:
    """The pool encoded by the run's own tokenizer; `None` = nothing is left."""
    seed = context.config.seed
    if pool.is_empty():
        return None
    return measure_inputs(
        pool,
        evaluation=evaluation,
        filler=inert_filler(FILLER_DOCUMENTS, seed=seed),
        config=config,
        seed=seed,
    )


def _pool(context: Context, config: MeasureConfig) -> tuple[pl.DataFrame, Facts]:
    """Native documents that no evaluation text overlaps, with one column an arm."""
    folder = context.folder
    masks = arm_masks(context, config)
    sample = _sample(folder, masks, context.config.seed)
    versions = _versions(config, _cleaning(context), masks.columns)
    overlaps = _overlapping(folder)
    parts, contaminated = [], 0
    for part in native_parts(folder):
        documents = pl.read_parquet(part, columns=["id", "text"])
        documents = documents.join(sample, on="id", how="inner", maintain_order="left")
        clear = documents.filter(~pl.col("id").is_in(overlaps.implode()))
        contaminated += documents.height - clear.height
        parts.append(_with_versions(all_edits(folder, part.name), clear, versions))
    pool = pl.concat(parts)
    every = int(masks["text_bytes"].sum())
    read = int(masks.join(sample, on="id", how="semi")["text_bytes"].sum())
    return pool, {
        "pool_documents": pool.height,
        "pool_share_of_text": read / max(every, 1),
        "contaminated_documents": contaminated,
        "contaminated_kept": sample.filter("curated").height - pool.filter("curated").height,
    }


def arm_masks(context: Context, config: MeasureConfig) -> pl.DataFrame:
    """Which native documents each arm keeps, and what the experiment's own arms need.

    `id`, `source`, `cluster`, `curated`, `removed_by`, where truth is known `oracle`, and where
    wanted `without_*`, `only_*`, `steps_*` and `quality`: the lower, the sooner the arm of the
    worst documents takes it.

    Raises:
        ConfigError: The file named by `truth` lacks `id` or `kind`.
    """
    folder = context.folder
    verdicts = folder.table("verdicts")
    native = pl.col("control").is_null()
    own = verdicts.filter(native)
    steps = pl.element().str.replace(r"^(duplicates\.[^.]+|[^.]+).*$", "$1")  # as `step_of` has it
    reasons = pl.col("failed").list.eval(steps).list.unique(maintain_order=True).list.join(" ")
    table = own.select(
        "id", "source", "text_bytes", cluster="cluster_id", curated="kept", removed_by=reasons
    )
    table = table.with_columns(_order_of_the_worst(own, context.config))
    columns = verdicts.drop(VERDICT_COLUMNS)
    pairs = folder.read("duplicates/pairs.parquet")
    compare = comparison_in(folder, context.config)
    whole = stored_decision(folder, context.config)
    decisions = _decisions(whole, config) | _coalitions(context, whole, config)
    for name, decision in decisions.items():
        judged = decide(columns, pairs, decision, compare=compare).filter(native)
        table = table.with_columns(judged["kept"].alias(name))
    if context.config.truth is not None:  # whether it is an arm or not: draws are spread by it
        truth = _oracle(context.config.truth)
        table = table.join(truth, on="id", how="left", maintain_order="left")
    return table


def _order_of_the_worst(native: pl.DataFrame, config: RunConfig) -> list[pl.Series]:
    """Rank of each document in the order of choice turned round: the run's selection, or its score.

    Groups and draws of the selection stay as they are, so that the arm differs from what was
    selected in nothing but the end of the score that it takes.
    """
    select = config.quality.select or SelectionConfig(score=config.quality.main)
    if select.score not in native.columns:
        return []
    turned = replace(select, inverse=not select.inverse)
    return [selection_ranks(native, turned, seed=config.seed).alias("quality")]


def _decisions(whole: Decision, config: MeasureConfig) -> dict[str, Decision]:
    """The decision without each step, and with each step alone."""
    steps = list(whole.steps())
    found = {}
    if GROUPS["without"] in config.arms:
        found = {f"without_{step}": whole.without(step) for step in steps}
    if GROUPS["only"] in config.arms:
        for step in steps:
            others = (other for other in steps if other != step)
            found[f"only_{step}"] = reduce(Decision.without, others, whole)
    return found


def _cleaning(context: Context) -> tuple[str, ...]:
    """Steps that change texts: cleaning, then cuts of what repeats."""
    return (*context.config.clean.steps, *context.config.duplicates.cuts)


def _coalitions(context: Context, whole: Decision, config: MeasureConfig) -> dict[str, Decision]:
    """The decision with some of its steps only, for the Shapley values of steps."""
    if not config.shapley:
        return {}
    judging = list(whole.steps())
    steps = [*_cleaning(context), *judging]
    found = {}
    for chosen in coalitions(steps, seed=context.config.seed):
        left_out = (step for step in judging if step not in chosen)
        found[coalition_arm(chosen)] = reduce(Decision.without, left_out, whole)
    return found


def _oracle(path: str) -> pl.DataFrame:
    truth = pl.read_parquet(path)
    if missing := {"id", "kind"} - set(truth.columns):
        raise ConfigError(f"truth {path!r} lacks the columns {sorted(missing)}")
    return truth.select("id", oracle=pl.col("kind").is_null())


def _sample(folder: RunFolder, masks: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The documents of the pool: all of them, or a hash-drawn share of a very large corpus."""
    lengths = masks["text_bytes"].to_numpy()
    chosen = pool_mask(id_hashes(masks["id"]), lengths, limit=POOL_BYTES, seed=seed)
    return masks.filter(pl.Series(chosen)).drop("text_bytes")


def _overlapping(folder: RunFolder) -> pl.Series:
    """Ids of documents that share n-grams with any evaluation set."""
    found = folder.file("contamination/documents.parquet")
    return pl.read_parquet(found)["id"] if found.exists() else pl.Series(dtype=pl.String)


def _versions(
    config: MeasureConfig, cleaning: Sequence[str], masks: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Arms with a text of their own: which cleaning steps they do without."""
    every = frozenset(cleaning)
    found = {CURATED: frozenset[str]()}
    if GROUPS["without"] in config.arms:
        found |= {f"without_{step}": frozenset([step]) for step in cleaning}
    if GROUPS["only"] in config.arms:
        found |= {f"only_{step}": every - {step} for step in cleaning}
    coalitions = [name for name in masks if name.startswith(COALITION)] if every else []
    return found | {arm: every - set(coalition_steps(arm)) for arm in coalitions}


def _with_versions(
    paths: Sequence[Path], documents: pl.DataFrame, versions: Mapping[str, frozenset[str]]
) -> pl.DataFrame:
    """The texts of arms that have one of their own; a cleaning step alone keeps all documents."""
    edits = pl.concat([pl.read_parquet(path) for path in paths if path.exists()])
    edits = edits.filter(pl.col("id").is_in(documents["id"].implode()))
    texts: dict[frozenset[str], pl.Series] = {}
    for arm, left_out in versions.items():
        if left_out not in texts:
            kept = edits.filter(~pl.col("step").is_in(sorted(left_out)))
            texts[left_out] = apply_edits(documents, kept)
        if arm not in documents.columns and arm != CURATED:
            keeps = pl.col("curated") if arm.startswith("without_") else pl.lit(value=True)
            documents = documents.with_columns(keeps.alias(arm))
    own = {f"{arm}_text": texts[left_out] for arm, left_out in versions.items()}
    return documents.with_columns(**own)
