"""From a plan to losses: which sequences are built, who climbs which ladder on them, until when.

Jobs stand in the order of their draws, so a run that ends early ends with whole draws of every arm.
Which draws were finished is all that a clock decides; what each of them says does not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curate.executors import Executor, threads, threads_of
from curate.experiment.arms import Draws
from curate.experiment.clock import Clock
from curate.experiment.inputs import EvaluationSet, MeasureInputs, merged_evaluation
from curate.experiment.pace import Pace, family_pace, trial_budget
from curate.experiment.plan import FamilyPlan, Plan
from curate.experiment.promises import pace_sentence
from curate.experiment.tuning import low_rate_check, tune_rates, with_precision
from curate.progress import Advance, Say, progress
from curate.proxies import FAMILIES, Evaluation, Gpt, KneserNey, ProxyFamily
from curate.subsets import Tokens

RUN_SCHEMA: Mapping[str, Any] = {
    "arm": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_params": pl.Int64,
    "n_tokens": pl.Int64,
    "replicate": pl.Int32,
    "eval_set": pl.String,
    "loss": pl.Float64,
}
KEYS = ("arm", "family", "size", "n_tokens", "replicate", "eval_set")
LEAST_DRAWS = 2  # of the first family, whatever the clock says: one draw has no interval

__all__ = ["KEYS", "RUN_SCHEMA", "Course", "Trained", "train"]

Points = list[tuple[str, Any]]
# Of one sequence: size → rungs, and (size, arm) → the rungs that the arm asked for.
_Asked = tuple[dict[str, tuple[int, ...]], dict[tuple[str, str], tuple[int, ...]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How an experiment is carried out; its tables depend on none of it but the deadline.

    Attributes:
        deadline: By `time.monotonic()`; draws that cannot be finished by then are left out, and
            the plan says so. `None` = everything is trained.
        say: Takes the plan before anything is trained, then how far it is.
        checkpoints: Folder in which ladders of transformers are kept: an experiment that was
            killed goes on from there, with the same numbers. `None` = nowhere.
    """

    deadline: float | None = None
    say: Say | None = None
    checkpoints: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What was trained, and how much of it there was time for.

    Attributes:
        losses: `RUN_SCHEMA` and `document_bits` List(Float64); whole draws only.
        draws: Finished draws of each family; 0 = none.
        tuning: By family, the precision taken, the rates tried and chosen before, and raw against
            curated text at a tenth of the rate; see `curate.experiment.tuning`.
        machine: By family, how many jobs at once were tried and taken; empty without a deadline.
    """

    losses: pl.DataFrame
    draws: Mapping[str, int]
    tuning: Mapping[str, Any]
    machine: Mapping[str, Any]


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

    @property
    def tokens(self) -> int:
        """Read on all ladders together."""
        return sum(rungs[-1] for rungs in self.ladders.values())


def train(
    draws: Draws,
    plan: Plan,
    *,
    executor: Executor,
    course: Course,
) -> Trained:
    """Train and score all that is planned, or the draws that there is time for.

    Args:
        draws: Arms of every replicate.
        plan: What to train.
        executor: Map over threads.
        course: Its deadline keeps what would not be finished by then from being begun, but for
            the first two draws of the first family.
    """
    asked = {
        name: [_sequence_ladders(planned, arms) for arms in _twins(draws, planned)]
        for name, planned in plan.families.items()
    }
    run = _Run(draws=draws, executor=executor, course=course, clock=Clock(course.deadline))
    with progress(
        "measure",
        total=sum(_planned_tokens(plan.families[name], each) for name, each in asked.items()),
        unit="Mtokens",
        say=course.say,
        until=course.deadline,
    ) as advance:
        # One family after the other: trials of a slow one must not take the time of the first.
        for name, planned in plan.families.items():
            family = _settled(run, planned, name)
            jobs = list(_jobs(draws, planned, family, asked[name]))
            run.work_off(jobs, advance)
    jobs, results = run.jobs, run.results
    finished = {name: _whole_draws(name, jobs, results) for name in plan.families}
    done = [
        (job, points)
        for job, points in zip(jobs, results, strict=True)
        if points is not None and job.replicate < finished[job.family.name]
    ]
    return Trained(
        losses=_losses(draws.inputs, done),
        draws=finished,
        tuning=run.tuning,
        machine={name: pace.to_dict() for name, pace in run.machine.items()},
    )


def _whole_draws(name: str, jobs: Sequence[_Job], results: Sequence[Points | None]) -> int:
    """Draws of a family, from the first on, of which nothing is missing."""
    own = [(job, points) for job, points in zip(jobs, results, strict=True)]
    missing = [job.replicate for job, points in own if job.family.name == name and points is None]
    drawn = [job.replicate for job, _ in own if job.family.name == name]
    return min(missing, default=max(drawn, default=-1) + 1)


def _planned_tokens(planned: FamilyPlan, asked: Sequence[_Asked]) -> float:
    """Millions that a family reads in all."""
    once = sum(rungs[-1] for ladders, _ in asked for rungs in ladders.values())
    return planned.replicates * once / 1e6


def _settled(run: _Run, planned: FamilyPlan, name: str) -> ProxyFamily:
    """A family ready to train: its precision and its rates are chosen, on draws of their own."""
    family = _prepared(run.draws, planned, name)
    if not isinstance(family, Gpt):
        return family
    family = replace(family, checkpoints=run.course.checkpoints)
    family, precision = with_precision(family, planned)
    run.tuning[name] = {"precision": precision}
    if planned.tuning_seconds > 0 and run.clock.is_open():
        family, tried = _tuned(family, run.draws, planned, run.executor)
        run.tuning[name] |= tried
    return family


def _prepared(draws: Draws, planned: FamilyPlan, name: str) -> ProxyFamily:
    budgets = _all_budgets(planned)
    prepared = FAMILIES[name].prepare(
        draws.pooled(budgets[-1]),
        budgets=budgets,
        sizes=planned.sizes,
        vocabulary=draws.inputs.vocabulary,
    )
    return _one_for_all_budgets(prepared, budgets) if isinstance(prepared, KneserNey) else prepared


def _all_budgets(planned: FamilyPlan) -> list[int]:
    arms = [ladder for ladders in planned.ladders.values() for ladder in ladders.values()]
    return sorted({rung for ladder in arms for rung in ladder})


def _tuned(
    family: Gpt, draws: Draws, planned: FamilyPlan, executor: Executor
) -> tuple[Gpt, dict[str, Any]]:
    family, trials = tune_rates(family, draws, planned, executor)
    return family, {
        "rates": trials,
        "tenth_of_the_rate": low_rate_check(family, draws, planned, executor),
    }


def _jobs(
    draws: Draws, planned: FamilyPlan, family: ProxyFamily, asked: Sequence[_Asked]
) -> Iterator[_Job]:
    limit = planned.evaluation_limit
    evaluation = merged_evaluation(draws.inputs, limit)
    documents = tuple(each.first(limit) for each in sets_of(draws.inputs).values())
    for replicate in range(planned.replicates):
        for ladders, arms in asked:
            yield _Job(
                family=family,
                evaluation=evaluation,
                documents=documents,
                replicate=replicate,
                ladders=ladders,
                arms=arms,
            )


def sets_of(inputs: MeasureInputs) -> dict[str, EvaluationSet]:
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


def _sequence_ladders(planned: FamilyPlan, arms: Sequence[str]) -> _Asked:
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


@dataclass(kw_only=True, slots=True)
class _Run:
    """An experiment under way: jobs of the families so far, and their results in that order."""

    draws: Draws
    executor: Executor
    course: Course
    clock: Clock
    tuning: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Pace] = field(default_factory=dict)
    jobs: list[_Job] = field(default_factory=list)
    results: list[Points | None] = field(default_factory=list)  # `None` = there was no time

    def work_off(self, jobs: Sequence[_Job], advance: Advance) -> None:
        """Results in the order of the jobs, whatever finishes first."""
        first, stacked = not self.jobs, {}
        if any(isinstance(job.family, Gpt) and on_graphics(job.family) for job in jobs):
            stacked = _climb_stacked(self.draws, jobs, advance)
        executor = self.laid_out(jobs)

        def work(place: int) -> Points | None:
            job = jobs[place]
            if place in stacked:
                return stacked[place]
            must = first and job.replicate < LEAST_DRAWS
            if not must and not self.clock.has_time_for(job.family.name, job.tokens):
                return None
            started = time.monotonic()
            points = _climb(self.draws, job, advance)
            self.clock.note(job.family.name, job.tokens, time.monotonic() - started)
            return points

        self.results += executor(work, range(len(jobs)))
        self.jobs += jobs

    def laid_out(self, jobs: Sequence[_Job]) -> Executor:
        """As many jobs at once as are faster here, where the clock counts; else as was asked."""
        workers, job = threads_of(self.executor), jobs[0]
        graphics = isinstance(job.family, Gpt) and on_graphics(job.family)
        if self.course.deadline is None or workers == 1 or graphics or not self.clock.is_open():
            return self.executor
        size, rungs = next(iter(job.ladders.items()))
        name = job.family.name
        tokens = self.draws.tokens(job.arm, job.replicate, trial_budget(name, rungs))
        pace = family_pace(job.family, size, tokens, job.evaluation, workers=workers)
        self.machine[name] = pace
        if self.course.say is not None:
            self.course.say(pace_sentence(name, pace.to_dict()))
        return threads(pace.jobs)


def on_graphics(family: Gpt) -> bool:
    """Whether its models are trained as one stack: there is a graphics processor."""
    if not family.available():
        return False
    from curate.proxies import batched

    return batched.device() == "cuda"


def _climb_stacked(draws: Draws, jobs: Sequence[_Job], advance: Advance) -> dict[int, Points]:
    """Points of all transformers' jobs by place: those of one size and ladder train as one."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    sequences = {
        place: _tokens(draws, job) for place, job in enumerate(jobs) if isinstance(job.family, Gpt)
    }
    for place, tokens in sequences.items():
        for size, rungs in jobs[place].ladders.items():
            budgets = tuple(rung for rung in rungs if rung <= len(tokens))
            groups.setdefault((size, budgets), []).append(place)
    found: dict[int, Points] = {place: [] for place in sequences}
    for (size, budgets), places in groups.items():
        family, evaluation = jobs[places[0]].family, jobs[places[0]].evaluation
        assert isinstance(family, Gpt)
        ladders = family.ladders(
            [sequences[place] for place in places],
            budgets=budgets,
            size=size,
            seeds=[_seed(draws, jobs[place]) for place in places],
            evaluation=evaluation,
        )
        for place, points in zip(places, ladders, strict=True):
            found[place] += [(size, point) for point in points]
        advance(len(places) * budgets[-1] / 1e6)
    return found


def _tokens(draws: Draws, job: _Job) -> Tokens:
    return draws.tokens(job.arm, job.replicate, max(rungs[-1] for rungs in job.ladders.values()))


def _seed(draws: Draws, job: _Job) -> int:
    return draws.seed * 1_000 + job.replicate


def _climb(draws: Draws, job: _Job, advance: Advance) -> Points:
    tokens = _tokens(draws, job)
    points: Points = []
    for size, rungs in job.ladders.items():
        budgets = [rung for rung in rungs if rung <= len(tokens)]
        ladder = job.family.ladder(
            tokens,
            budgets=budgets,
            size=size,
            seed=_seed(draws, job),
            evaluation=job.evaluation,
        )
        points += [(size, point) for point in ladder]
        advance(rungs[-1] / 1e6)
    return points


def _losses(inputs: MeasureInputs, done: Sequence[tuple[_Job, Points]]) -> pl.DataFrame:
    rows = []
    for job, points in done:
        ends = np.cumsum([0, *job.documents])
        for size, point in points:
            arms = [
                arm for (s, arm), asked in job.arms.items() if s == size and point.n_tokens in asked
            ]
            for s, (name, each) in enumerate(sets_of(inputs).items()):
                bits = point.document_bits[ends[s] : ends[s + 1]]
                loss = float(bits.sum() / each.bytes[: job.documents[s]].sum())
                fixed = (job.family.name, size, point.n_params, point.n_tokens, job.replicate)
                rows += [(arm, *fixed, name, loss, bits) for arm in arms]
    schema = {**RUN_SCHEMA, "document_bits": pl.List(pl.Float64)}
    losses = pl.DataFrame(rows, schema=schema, orient="row").sort(KEYS)
    # The pool was measured in whole documents; a rung that some replicate could not reach is out.
    replicates = pl.col("replicate").n_unique()
    everywhere = replicates.over("arm", "family", "size", "n_tokens") == replicates.over("family")
    return losses.filter(everywhere)
