"""The experiment: what is curation worth, measured with small proxy models on paired draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curate.executors import Executor, threads
from curate.experiment.arms import Draws, make_draws
from curate.experiment.config import ARM_GROUPS, MeasureConfig
from curate.experiment.contrasts import Contrast, tokens_of
from curate.experiment.encoding import evaluation_sets, measure_inputs
from curate.experiment.estimates import estimate
from curate.experiment.inputs import EvaluationSet, MeasureInputs, merged_evaluation
from curate.experiment.matrix import MATRIX_SCHEMA, loss_matrix
from curate.experiment.plan import FamilyPlan, Plan, make_plan
from curate.progress import Advance, progress
from curate.proxies import FAMILIES, Evaluation, KneserNey, ProxyFamily
from curate.scaling import MULTIPLIER_SCHEMA, NO_EVALUATION, sentences

RUN_SCHEMA = {
    "arm": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_params": pl.Int64,
    "n_tokens": pl.Int64,
    "replicate": pl.Int32,
    "eval_set": pl.String,
    "loss": pl.Float64,
}
NOTHING_LEFT = (
    "cannot tell: no curated text is left for training once documents that share 13 words in a "
    "row with an evaluation set are taken out"
)
KEYS = ("arm", "family", "size", "n_tokens", "replicate", "eval_set")

__all__ = [
    "ARM_GROUPS",
    "NOTHING_LEFT",
    "Contrast",
    "EvaluationSet",
    "ExperimentResult",
    "FamilyPlan",
    "MeasureConfig",
    "MeasureInputs",
    "Plan",
    "evaluation_sets",
    "make_plan",
    "measure_inputs",
    "run_experiment",
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
    """

    runs: pl.DataFrame
    losses: pl.DataFrame
    evaluation: pl.DataFrame
    multipliers: pl.DataFrame
    plan: dict[str, Any]
    verdicts: list[dict[str, Any]]
    matrix: pl.DataFrame


class _Job(NamedTuple):
    """One sequence to build, the ladders to climb on it, and the arms that it stands for."""

    family: ProxyFamily
    evaluation: Evaluation
    documents: tuple[int, ...]  # of each evaluation set
    replicate: int
    ladders: dict[str, tuple[int, ...]]  # size → rungs
    arms: dict[tuple[str, str], tuple[int, ...]]  # (size, arm) → the rungs it asked for

    @property
    def arm(self) -> str:
        """Any of the arms: they all hold the same text."""
        return next(iter(self.arms))[1]


def run_experiment(
    inputs: MeasureInputs, config: MeasureConfig, *, seed: int, executor: Executor | None = None
) -> ExperimentResult:
    """Draw the arms, train the proxies, and say what curation was worth.

    Args:
        inputs: Encoded documents, masks, evaluation sets.
        config: What is compared.
        seed: Of all draws.
        executor: Map over threads; the tables do not depend on it. `None` = two threads.

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
    plan = make_plan(inputs, config, seed=seed)
    draws = make_draws(inputs, share=plan.share, seed=seed, pool=plan.pool_tokens)
    jobs = [job for name in plan.families for job in _jobs(draws, plan, name)]
    results = _train(draws, jobs, executor or threads(2))
    everything = _losses(inputs, jobs, results)
    # Text of the corpus itself favours one side: it is shown in the matrix and decides nothing.
    losses = everything.filter(pl.col("eval_set").is_in(list(inputs.evaluation)))
    table = _evaluation_table(inputs)
    multipliers = estimate(draws, plan, losses, table)
    return ExperimentResult(
        runs=losses.select(list(RUN_SCHEMA)),
        losses=losses.select([*KEYS, "document_bits"]),
        evaluation=table,
        multipliers=multipliers,
        plan=plan.to_dict(),
        verdicts=sentences(multipliers),
        matrix=loss_matrix(everything, neutral=list(inputs.evaluation)),
    )


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
    )


def _jobs(draws: Draws, plan: Plan, name: str) -> Iterator[_Job]:
    family, planned = FAMILIES[name], plan.families[name]
    limit = planned.evaluation_limit
    evaluation = merged_evaluation(draws.inputs, limit)
    documents = tuple(each.first(limit) for each in _sets(draws.inputs).values())
    rungs = [r for arms in planned.ladders.values() for ladder in arms.values() for r in ladder]
    budgets = sorted(set(rungs))
    prepared = family.prepare(
        draws.pooled(budgets[-1]),
        budgets=budgets,
        sizes=planned.sizes,
        vocabulary=draws.inputs.vocabulary,
    )
    if isinstance(prepared, KneserNey):
        prepared = _one_for_all_budgets(prepared, budgets)
    sequences = [_sequence_ladders(planned, arms) for arms in _twins(draws, planned)]
    for replicate in range(planned.replicates):
        for ladders, arms in sequences:
            yield _Job(
                family=prepared,
                evaluation=evaluation,
                documents=documents,
                replicate=replicate,
                ladders=ladders,
                arms=arms,
            )


def _sets(inputs: MeasureInputs) -> dict[str, EvaluationSet]:
    """Neutral sets, then those held out of the pool: the order of `merged_evaluation`."""
    return {**inputs.evaluation, **inputs.held_out}


def _one_for_all_budgets(family: KneserNey, budgets: Sequence[int]) -> KneserNey:
    """The discounts of the middle budget at all of them.

    A diluted arm of 2 D tokens has D tokens' worth of n-grams; discounts fitted for 2 D tokens
    call its inert half harmful (docs/decisions/0003).
    """
    middle = budgets[len(budgets) // 2]
    shared = {(size, n): family.discounts[size, middle] for size, n in family.discounts}
    return replace(family, discounts=shared)


def _twins(draws: Draws, planned: FamilyPlan) -> list[list[str]]:
    """Arms in groups that hold the same text: a step that removes nothing costs nothing."""
    groups: list[list[str]] = []
    for arm in dict.fromkeys(arm for ladder in planned.ladders.values() for arm in ladder):
        twin = next((group for group in groups if draws.same(group[0], arm)), None)
        if twin is None:
            groups.append([arm])
        else:
            twin.append(arm)
    return groups


def _sequence_ladders(
    planned: FamilyPlan, arms: Sequence[str]
) -> tuple[dict[str, tuple[int, ...]], dict[tuple[str, str], tuple[int, ...]]]:
    asked = {
        (size, arm): ladder[arm]
        for size, ladder in planned.ladders.items()
        for arm in arms
        if arm in ladder
    }
    together = {
        size: tuple(
            sorted({rung for (s, _), rungs in asked.items() if s == size for rung in rungs})
        )
        for size in planned.sizes
    }
    return {size: rungs for size, rungs in together.items() if rungs}, asked


def _train(draws: Draws, jobs: Sequence[_Job], executor: Executor) -> list[list[tuple[str, Any]]]:
    """Results in the order of the jobs, whatever finishes first."""
    total = sum(rungs[-1] for job in jobs for rungs in job.ladders.values()) / 1e6
    with progress("measure", total=total, unit="Mtokens") as advance:
        return executor(lambda job: _climb(draws, job, advance), jobs)


def _climb(draws: Draws, job: _Job, advance: Advance) -> list[tuple[str, Any]]:
    tokens = draws.tokens(job.arm, job.replicate, max(rungs[-1] for rungs in job.ladders.values()))
    points = []
    for size, rungs in job.ladders.items():
        budgets = [rung for rung in rungs if rung <= len(tokens)]
        seed = draws.seed * 1_000 + job.replicate
        ladder = job.family.ladder(
            tokens, budgets=budgets, size=size, seed=seed, evaluation=job.evaluation
        )
        points += [(size, point) for point in ladder]
        advance(rungs[-1] / 1e6)
    return points


def _losses(
    inputs: MeasureInputs, jobs: Sequence[_Job], results: Sequence[list[tuple[str, Any]]]
) -> pl.DataFrame:
    rows = []
    for job, points in zip(jobs, results, strict=True):
        ends = np.cumsum([0, *job.documents])
        for size, point in points:
            arms = [
                arm for (s, arm), asked in job.arms.items() if s == size and point.n_tokens in asked
            ]
            for s, (name, each) in enumerate(_sets(inputs).items()):
                bits = point.document_bits[ends[s] : ends[s + 1]]
                loss = float(bits.sum() / each.bytes[: job.documents[s]].sum())
                fixed = (job.family.name, size, point.n_params, point.n_tokens, job.replicate)
                rows += [(arm, *fixed, name, loss, bits) for arm in arms]
    schema = RUN_SCHEMA | {"document_bits": pl.List(pl.Float64)}
    losses = pl.DataFrame(rows, schema=schema, orient="row").sort(KEYS)
    # The pool was measured in whole documents; a rung that some replicate could not reach is out.
    replicates = pl.col("replicate").n_unique()
    everywhere = replicates.over("arm", "family", "size", "n_tokens") == replicates.over("family")
    return losses.filter(everywhere)


def _evaluation_table(inputs: MeasureInputs) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"eval_set": [name] * len(each.ids), "id": each.ids, "bytes": each.bytes})
        for name, each in inputs.evaluation.items()
    ]
    return pl.concat(frames).cast({"bytes": pl.Int64})
