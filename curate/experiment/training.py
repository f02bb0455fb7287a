"""From a plan to losses: which sequences are built, who climbs which ladder on them, until when.

Jobs stand in the order of their draws, so a run that ends early ends with whole draws of every arm.
Which draws were finished is all that a clock decides; what each of them says does not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from curate.executors import Executor, threads, threads_of
from curate.experiment.arms import Draws
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
    jobs: list[_Job] = []
    tuning: dict[str, Any] = {}
    for name, planned in plan.families.items():
        family = _prepared(draws, planned, name)
        if isinstance(family, Gpt):
            family = replace(family, checkpoints=course.checkpoints)
            family, precision = with_precision(family, planned)
            tuning[name] = {"precision": precision}
            if planned.tuning_seconds > 0:
                family, tried = _tuned(family, draws, planned, executor)
                tuning[name] |= tried
        jobs += _jobs(draws, planned, family)
    machine = {} if course.deadline is None else _paces(draws, jobs, executor, course.say)
    laid_out = {name: threads(pace.jobs) for name, pace in machine.items()}
    results = _run(draws, jobs, lambda name: laid_out.get(name, executor), course=course)
    finished = {name: _whole_draws(name, jobs, results) for name in plan.families}
    done = [
        (job, points)
        for job, points in zip(jobs, results, strict=True)
        if points is not None and job.replicate < finished[job.family.name]
    ]
    return Trained(
        losses=_losses(draws.inputs, done),
        draws=finished,
        tuning=tuning,
        machine={name: pace.to_dict() for name, pace in machine.items()},
    )


def _whole_draws(name: str, jobs: Sequence[_Job], results: Sequence[Points | None]) -> int:
    """Draws of a family, from the first on, of which nothing is missing."""
    own = [(job, points) for job, points in zip(jobs, results, strict=True)]
    missing = [job.replicate for job, points in own if job.family.name == name and points is None]
    drawn = [job.replicate for job, _ in own if job.family.name == name]
    return min(missing, default=max(drawn, default=-1) + 1)


class _Clock:
    """Whether a job can still be finished in time, by what its family took for a token so far."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}

    def has_time_for(self, job: _Job) -> bool:
        if self.deadline is None:
            return True
        name = job.family.name
        expected = self.seconds.get(name, 0.0) / max(self.tokens.get(name, 0), 1) * job.tokens
        return time.monotonic() + expected <= self.deadline

    def note(self, job: _Job, seconds: float) -> None:
        name = job.family.name
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.tokens[name] = self.tokens.get(name, 0) + job.tokens


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


def _jobs(draws: Draws, planned: FamilyPlan, family: ProxyFamily) -> Iterator[_Job]:
    limit = planned.evaluation_limit
    evaluation = merged_evaluation(draws.inputs, limit)
    documents = tuple(each.first(limit) for each in sets_of(draws.inputs).values())
    sequences = [_sequence_ladders(planned, arms) for arms in _twins(draws, planned)]
    for replicate in range(planned.replicates):
        for ladders, arms in sequences:
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


def _paces(
    draws: Draws, jobs: Sequence[_Job], executor: Executor, say: Say | None
) -> dict[str, Pace]:
    """How many jobs of each family at once are faster here, by a rung of its first sequence."""
    found: dict[str, Pace] = {}
    workers = threads_of(executor)
    for job in jobs:
        family, name = job.family, job.family.name
        if name in found or workers == 1 or (isinstance(family, Gpt) and on_graphics(family)):
            continue
        size, rungs = next(iter(job.ladders.items()))
        tokens = draws.tokens(job.arm, job.replicate, trial_budget(name, rungs))
        found[name] = family_pace(family, size, tokens, job.evaluation, workers=workers)
        if say is not None:
            say(pace_sentence(name, found[name].to_dict()))
    return found


def _run(
    draws: Draws, jobs: Sequence[_Job], executor_of: Callable[[str], Executor], *, course: Course
) -> list[Points | None]:
    """Results in the order of the jobs, whatever finishes first; `None` = there was no time."""
    first = jobs[0].family.name if jobs else ""
    stacked: dict[int, Points] = {}
    clock = _Clock(course.deadline)

    def work(place: int) -> Points | None:
        job = jobs[place]
        if place in stacked:
            return stacked[place]
        must = job.family.name == first and job.replicate < LEAST_DRAWS
        if not must and not clock.has_time_for(job):
            return None
        started = time.monotonic()
        points = _climb(draws, job, advance)
        clock.note(job, time.monotonic() - started)
        return points

    total = sum(job.tokens for job in jobs) / 1e6
    results: list[Points | None] = []
    with progress(
        "measure", total=total, unit="Mtokens", say=course.say, until=clock.deadline
    ) as advance:
        if any(isinstance(job.family, Gpt) and on_graphics(job.family) for job in jobs):
            stacked = _climb_stacked(draws, jobs, advance)
        for name in dict.fromkeys(job.family.name for job in jobs):
            places = [place for place, job in enumerate(jobs) if job.family.name == name]
            results += executor_of(name)(work, places)
        return results


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
