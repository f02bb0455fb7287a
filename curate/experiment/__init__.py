"""The experiment: what is curation worth, measured with small proxy models on paired draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from curate.executors import Executor, threads
from curate.experiment.arms import make_draws
from curate.experiment.calibration import Calibration
from curate.experiment.coalitions import (
    COALITION,
    STEP_SCHEMA,
    coalition_arm,
    coalition_steps,
    coalitions,
)
from curate.experiment.config import ARM_GROUPS, DEFAULT_ARMS, FORMER_DEFAULT_ARMS, MeasureConfig
from curate.experiment.contrasts import Contrast, tokens_of
from curate.experiment.encoding import evaluation_sets, measure_inputs
from curate.experiment.estimates import estimate, step_values
from curate.experiment.inputs import EvaluationSet, MeasureInputs
from curate.experiment.labelled import TASK_SCHEMA, labelled_task
from curate.experiment.matrix import MATRIX_SCHEMA, loss_matrix
from curate.experiment.memorisation import MEMORY_SCHEMA, memorisation, memory_of_arms
from curate.experiment.pace import Pace
from curate.experiment.plan import HEAD, FamilyPlan, Plan
from curate.experiment.planner import Means, make_plan
from curate.experiment.promises import done_sentences, pace_sentence, plan_sentences
from curate.experiment.repeats import unread
from curate.experiment.stored import check_plan, settled_plan
from curate.experiment.training import KEYS, RUN_SCHEMA, Course, Trained, train
from curate.experiment.transfer import predictions, score_predictions, transfer_said
from curate.scaling import MULTIPLIER_SCHEMA, NO_EVALUATION, sentences

NOTHING_LEFT = (
    "cannot tell: no curated text is left for training; curation keeps nothing, or nothing but "
    "documents that share 13 words in a row with an evaluation set"
)
NO_TIME = "cannot tell: there was no time for a single draw; give more minutes"

__all__ = [
    "ARM_GROUPS",
    "COALITION",
    "DEFAULT_ARMS",
    "FORMER_DEFAULT_ARMS",
    "MEMORY_SCHEMA",
    "NOTHING_LEFT",
    "TASK_SCHEMA",
    "Contrast",
    "Course",
    "EvaluationSet",
    "ExperimentResult",
    "FamilyPlan",
    "MeasureConfig",
    "MeasureInputs",
    "Plan",
    "check_plan",
    "coalition_arm",
    "coalition_steps",
    "coalitions",
    "done_sentences",
    "evaluation_sets",
    "labelled_task",
    "make_plan",
    "measure_inputs",
    "memorisation",
    "memory_of_arms",
    "plan_sentences",
    "predictions",
    "run_experiment",
    "score_predictions",
    "transfer_said",
    "unmeasured",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentResult:
    """Tables of an experiment.

    Attributes:
        runs: `arm, family, size` String, `n_params, n_tokens` Int64, `replicate` Int32,
            `eval_set` String, `loss` Float64 in bits per byte.
        losses: Keys of `runs` and `document_bits` List(Float64).
        evaluation: `eval_set, id` String, `bytes` Int64, in the order of `document_bits`.
        multipliers: As `curate.scaling.MULTIPLIER_SCHEMA`.
        plan: Plain values for `plan.json`.
        verdicts: Sentences, the headline first; see `curate.scaling.sentences`.
        matrix: Arms × evaluation sets, those held out of the corpus itself included; see
            `curate.experiment.matrix`.
        shapley: What each step adds, as `curate.experiment.coalitions.STEP_SCHEMA`; empty unless
            `measure.shapley` is set.
    """

    runs: pl.DataFrame
    losses: pl.DataFrame
    evaluation: pl.DataFrame
    multipliers: pl.DataFrame
    plan: dict[str, Any]
    verdicts: list[dict[str, Any]]
    matrix: pl.DataFrame
    shapley: pl.DataFrame


AS_PLANNED = Course()


def run_experiment(
    inputs: MeasureInputs,
    config: MeasureConfig,
    *,
    seed: int,
    executor: Executor | None = None,
    course: Course = AS_PLANNED,
) -> ExperimentResult:
    """Draw the arms, train the proxies, and say what curation was worth.

    Args:
        inputs: Encoded documents, masks, evaluation sets.
        config: What is compared.
        seed: Of all draws.
        executor: Map over threads; the tables do not depend on it. `None` = two threads.
        course: Deadline and listener.

    Raises:
        ConfigError: The headline cannot be measured, a family is not installed, or the pool is
            too small.

    >>> from curate.experiment.example import example_inputs
    >>> config = MeasureConfig(sizes=("order2",), arms=("calibrator",), replicates=2)
    >>> result = run_experiment(example_inputs(), config, seed=1)
    >>> result.multipliers.filter("headline")["estimate"].round(1).to_list()
    [1.4]
    """
    if not inputs.evaluation:
        return unmeasured(config, NO_EVALUATION)
    if tokens_of(inputs, "curated") == 0:
        return unmeasured(config, NOTHING_LEFT)
    executor = executor or threads(2)
    tried, course, means = _calibrated(inputs, config, executor, course)
    plan = settled_plan(inputs, config, seed=seed, means=means)
    promised = plan.to_dict() | _machine(tried)
    if course.say is not None:
        course.say("\n".join(plan_sentences(promised)))
    draws = make_draws(inputs, share=plan.share, seed=seed, pool=plan.pool_tokens)
    trained = train(draws, plan, executor=executor, course=course, paces=tried.found)
    # Text of the corpus itself favours one side: it is shown in the matrix and decides nothing.
    losses = trained.losses.filter(pl.col("eval_set").is_in(list(inputs.evaluation)))
    table = _evaluation_table(inputs)
    done = _done(plan, trained)
    if not done.families:
        nothing = unmeasured(config, NO_TIME)
        return replace(nothing, evaluation=table, plan=promised | _settled(trained))
    multipliers = estimate(draws, done, losses, table)
    return ExperimentResult(
        runs=losses.select(list(RUN_SCHEMA)),
        losses=losses.select([*KEYS, "document_bits"]),
        evaluation=table,
        multipliers=multipliers,
        plan=promised | _settled(trained),
        verdicts=sentences(multipliers, repeats=unread(config, done, inputs)),
        matrix=loss_matrix(trained.losses, neutral=list(inputs.evaluation)),
        shapley=step_values(draws, done, losses, table),
    )


def _calibrated(
    inputs: MeasureInputs, config: MeasureConfig, executor: Executor, course: Course
) -> tuple[Calibration, Course, Means | None]:
    """What the machine does, until when training must be over, and so what it may cost."""
    tried = Calibration(inputs=inputs, config=config, executor=executor, now=course.now)
    tried.told = _told(course)
    if course.deadline is None:
        return tried, course, None
    deadline = course.deadline - tried.afterwards()
    means = Means(seconds=lambda: deadline - course.now(), pace=tried.pace)
    return tried, replace(course, deadline=deadline), means


def _told(course: Course) -> Callable[[str, Pace], None]:
    def tell(name: str, pace: Pace) -> None:
        if course.say is not None:
            course.say(pace_sentence(name, pace.to_dict()))

    return tell


def _settled(trained: Trained) -> dict[str, Any]:
    """What `plan.json` holds beside the plan: how much of it was done."""
    parts = {name: dict(found) for name, found in trained.draws.items()}
    return {
        "done": {name: found.get(HEAD, 0) for name, found in parts.items()},
        "done_by_part": parts,
        "tuning": dict(trained.tuning),
    }


def _machine(tried: Calibration) -> dict[str, Any]:
    found = {name: pace.to_dict() for name, pace in tried.found.items()}
    return {"machine": found} if found else {}


def _done(plan: Plan, trained: Trained) -> Plan:
    """The plan as far as there was time for it."""
    done = {name: found.get(HEAD, 0) for name, found in trained.draws.items()}
    families = {
        name: replace(planned, replicates=done[name])
        for name, planned in plan.families.items()
        if done[name] > 0
    }
    return replace(plan, families=families)


def unmeasured(config: MeasureConfig, conclusion: str) -> ExperimentResult:
    """The result of an experiment that could not be made: no runs, one row that says why.

    >>> unmeasured(MeasureConfig(), NOTHING_LEFT).multipliers["conclusion"][0][:11]
    'cannot tell'
    """
    a, _, b = config.headline.partition(" → ")
    row = dict.fromkeys(MULTIPLIER_SCHEMA) | {
        "contrast": config.headline,
        "kind": "headline",
        "arm_a": a,
        "arm_b": b,
        "eval_set": "all",
        "quantity": "multiplier",
        "reached": False,
        "decisive": True,
        "headline": True,
        "conclusion": conclusion,
        "conclusion_without_gate": conclusion,
    }
    table = pl.DataFrame([row], schema=dict(MULTIPLIER_SCHEMA))
    empty = pl.DataFrame(schema=RUN_SCHEMA)
    bits = {k: RUN_SCHEMA[k] for k in KEYS} | {"document_bits": pl.List(pl.Float64)}
    return ExperimentResult(
        runs=empty,
        losses=pl.DataFrame(schema=bits),
        evaluation=pl.DataFrame(schema={"eval_set": pl.String, "id": pl.String, "bytes": pl.Int64}),
        multipliers=table,
        plan={},
        verdicts=sentences(table),
        matrix=pl.DataFrame(schema=dict(MATRIX_SCHEMA)),
        shapley=pl.DataFrame(schema=dict(STEP_SCHEMA)),
    )


def _evaluation_table(inputs: MeasureInputs) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"eval_set": [name] * len(each.ids), "id": each.ids, "bytes": each.bytes})
        for name, each in inputs.evaluation.items()
    ]
    return pl.concat(frames).cast({"bytes": pl.Int64})
