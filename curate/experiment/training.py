"""From a plan to losses: which sequences are built, who climbs which ladder on them, until when.

Jobs stand in the order of their worth, so a run that ends early ends with whole draws of the arms
that matter most. Which draws were finished is all that a clock decides; what each of them says does
not depend on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.executors import Executor, threads, threads_of
from curate.experiment.arms import Draws
from curate.experiment.calibration import on_graphics
from curate.experiment.clock import Clock
from curate.experiment.inputs import EvaluationSet, MeasureInputs, merged_evaluation
from curate.experiment.jobs import Job, Sequences, make_jobs, sequences_of, whole_draws
from curate.experiment.pace import Pace
from curate.experiment.plan import HEAD, FamilyPlan, Plan
from curate.experiment.tuning import low_rate_check, tune_rates, with_precision
from curate.progress import Advance, Say, progress
from curate.proxies import FAMILIES, Gpt, KneserNey, LadderPoint, ProxyFamily
from curate.scaling.crossed import MIN_REPLICATES

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
NOT_TRIED: Mapping[str, Pace] = {}

GATE = 500  # the calibrator's seeds begin here: no chance of the verdict's may admit it

__all__ = ["KEYS", "RUN_SCHEMA", "Course", "Trained", "train"]

Points = list[LadderPoint]


class _TimeOverError(Exception):
    """The time was over while rates were still being chosen."""


class _StoppedError(Exception):
    """The experiment was interrupted; what was under way in other threads ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How an experiment is carried out; its tables depend on none of it but the deadline.

    Attributes:
        deadline: By `now`, of the whole experiment and a report after it; draws that cannot be
            finished in time are left out, and the plan says so. `None` = everything is trained.
        say: Takes the plan before anything is trained, then how far it is.
        checkpoints: Folder in which ladders of transformers are kept: an experiment that was
            killed goes on from there, with the same numbers. `None` = nowhere.
        now: Seconds of a clock.
    """

    deadline: float | None = None
    say: Say | None = None
    checkpoints: Path | None = None
    now: Callable[[], float] = time.monotonic


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What was trained, and how much of it there was time for.

    Attributes:
        losses: `RUN_SCHEMA` and `document_bits` List(Float64); whole draws only.
        draws: Finished draws of each family, by part; see `Plan.part`. Empty = none.
        tuning: By family, the precision taken, the rates tried and chosen before, and raw against
            curated text at a tenth of the rate; see `curate.experiment.tuning`.
    """

    losses: pl.DataFrame
    draws: Mapping[str, Mapping[str, int]]
    tuning: Mapping[str, Any]


def train(
    draws: Draws,
    plan: Plan,
    *,
    executor: Executor,
    course: Course,
    paces: Mapping[str, Pace] = NOT_TRIED,
) -> Trained:
    """Train and score all that is planned, or the draws that there is time for.

    Args:
        draws: Arms of every replicate.
        plan: What to train.
        executor: Map over threads.
        course: Its deadline keeps what would not be finished by then from being begun, but for
            the first draw of the headline's arms.
        paces: By family, what was tried: how many jobs run at once.
    """
    asked = {name: sequences_of(draws, plan, name) for name in plan.families}
    clock = Clock(course.deadline, now=course.now)
    run = _Run(draws=draws, executor=executor, course=course, clock=clock, paces=paces)
    trained = {name: _planned_tokens(plan.families[name], each) for name, each in asked.items()}
    tuned = {name: trained[name] * _tuning_share(plan.families[name]) for name in trained}
    with progress(
        "measure",
        total=sum(trained.values()) + sum(tuned.values()),
        unit="Mtokens",
        say=course.say,
        until=course.deadline,
    ) as advance:
        # One family after the other: trials of a slow one must not take the time of the first.
        for name, planned in plan.families.items():
            jobs = run.settled(planned, name, asked[name])
            advance(tuned[name])
            run.work_off(jobs, advance)
    jobs, results = run.jobs, run.results
    finished = whole_draws(jobs, [points is not None for points in results])
    done = [
        (job, points)
        for job, points in zip(jobs, results, strict=True)
        if points is not None and job.replicate < finished[job.place]
    ]
    return Trained(
        losses=_losses(draws.inputs, done),
        draws={
            name: {part: n for (own, part), n in finished.items() if own == name}
            for name in plan.families
        },
        tuning=run.tuning,
    )


def _planned_tokens(planned: FamilyPlan, asked: Sequence[Sequences]) -> float:
    """Millions that a family reads in all."""
    times = [planned.draws.get(each.part, planned.replicates) for each in asked]
    return sum(n * each.rungs[-1] for n, each in zip(times, asked, strict=True)) / 1e6


def _tuning_share(planned: FamilyPlan) -> float:
    """What choosing rates takes, as a share of what training takes afterwards."""
    training = planned.seconds - planned.tuning_seconds
    return planned.tuning_seconds / training if training > 0 else 0.0


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


@dataclass(kw_only=True, slots=True)
class _Run:
    """An experiment under way: jobs of the families so far, and their results in that order."""

    draws: Draws
    executor: Executor
    course: Course
    clock: Clock
    paces: Mapping[str, Pace]
    tuning: dict[str, Any] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    results: list[Points | None] = field(default_factory=list)  # `None` = there was no time
    ended: set[tuple[str, str]] = field(default_factory=set)  # parts that lack a draw
    stopped: threading.Event = field(default_factory=threading.Event)  # interrupted

    def settled(self, planned: FamilyPlan, name: str, asked: Sequence[Sequences]) -> list[Job]:
        """The jobs of a family whose precision and rates are chosen, on draws of their own."""
        if not self.worth_beginning(planned, name, asked):
            return []
        family = _prepared(self.draws, planned, name)
        if isinstance(family, Gpt):
            family = replace(family, checkpoints=self.course.checkpoints, watch=self.watch)
            family, precision = with_precision(family, planned)
            self.tuning[name] = {"precision": precision}
            if planned.tuning_seconds > 0:
                try:
                    family, tried = _tuned(family, self.draws, planned, self.while_open)
                except _TimeOverError:
                    return []
                self.tuning[name] |= tried
        limit = planned.evaluation_limit
        evaluation = merged_evaluation(self.draws.inputs, limit)
        documents = tuple(each.first(limit) for each in sets_of(self.draws.inputs).values())
        return make_jobs(planned, asked, family, evaluation, documents)

    def worth_beginning(self, planned: FamilyPlan, name: str, asked: Sequence[Sequences]) -> bool:
        """Whether there is time for more than choosing rates: the first family is always begun."""
        pace = self.paces.get(name)
        if pace is not None:
            self.clock.note(name, pace.capacity / pace.jobs, seconds=1.0)
        if not self.jobs:
            return True
        once = sum(each.seconds for each in asked if each.part == HEAD)
        work = planned.tuning_seconds + min(planned.replicates, MIN_REPLICATES) * once
        jobs = 1 if pace is None else pace.jobs
        return self.clock.is_open() and self.clock.has_time_for(name, work / jobs)

    def while_open(self, function: Callable[[Any], Any], specs: Sequence[Any], /) -> list[Any]:
        """The executor, as long as there is time."""

        def work(spec: Any) -> Any:  # noqa: ANN401
            if not self.clock.is_open():
                raise _TimeOverError
            return function(spec)

        return self.mapped()(work, specs)

    def mapped(self, workers: int | None = None) -> Executor:
        """The executor, or so many threads; an interrupt ends what threads do at the next step."""
        own = threads_of(self.executor)
        if workers is None and own == 1:
            return self.executor
        return threads(workers or own, at_stop=self.stopped.set)

    def watch(self) -> None:
        """End a job that nobody waits for any more."""
        if self.stopped.is_set():
            raise _StoppedError

    def work_off(self, jobs: Sequence[Job], advance: Advance) -> None:
        """Results in the order of the jobs, whatever finishes first."""
        first, stacked = not self.jobs, {}
        if any(isinstance(job.family, Gpt) and on_graphics(job.family) for job in jobs):
            stacked = _climb_stacked(self.draws, jobs, advance)
        name = jobs[0].family.name if jobs else ""
        workers = self.paces[name].jobs if name in self.paces else threads_of(self.executor)

        def work(place: int) -> Points | None:
            job = jobs[place]
            if place in stacked:
                return stacked[place]
            must = first and job.replicate == 0 and job.sequence.part == HEAD
            if not must and not self.has_time_for(job, workers):
                self.ended.add(job.place)
                return None
            started = self.course.now()
            points = self.climbed(job, advance)
            took = self.course.now() - started
            self.clock.note(name, job.sequence.seconds, seconds=took)
            return points

        executor = self.mapped(workers if name in self.paces else None)
        self.results += executor(work, range(len(jobs)))
        self.jobs += jobs

    def climbed(self, job: Job, advance: Advance) -> Points:
        """The points of one ladder."""
        tokens, rungs = job.tokens(self.draws), job.sequence.rungs
        ladder = job.family.ladder(
            tokens,
            budgets=[rung for rung in rungs if rung <= len(tokens)],
            size=job.sequence.size,
            seed=_seed(self.draws, job),
            evaluation=job.evaluation,
        )
        points = []
        for point in ladder:
            self.watch()
            points.append(point)
        advance(rungs[-1] / 1e6)
        return points

    def has_time_for(self, job: Job, workers: int) -> bool:
        """Whether this job's draw can still be finished, as nothing counts but whole draws."""
        if job.place in self.ended:
            return False
        # The last jobs of a draw are not shared evenly by the workers.
        work = max(job.sequence.seconds, min(job.rest, job.rest / workers + job.sequence.seconds))
        return self.clock.has_time_for(job.family.name, work)


def _climb_stacked(draws: Draws, jobs: Sequence[Job], advance: Advance) -> dict[int, Points]:
    """Points of all transformers' jobs by place: those of one size and ladder train as one."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    sequences = {
        place: job.tokens(draws) for place, job in enumerate(jobs) if isinstance(job.family, Gpt)
    }
    for place, tokens in sequences.items():
        each = jobs[place].sequence
        budgets = tuple(rung for rung in each.rungs if rung <= len(tokens))
        groups.setdefault((each.size, budgets), []).append(place)
    found: dict[int, Points] = {}
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
        found |= dict(zip(places, map(list, ladders), strict=True))
        advance(len(places) * budgets[-1] / 1e6)
    return found


def _seed(draws: Draws, job: Job) -> int:
    """Of initial weights and windows: all arms of a draw share it, but for the gate's."""
    own = GATE if job.arm.startswith("calibrator") else 0
    return draws.seed * 1_000 + own + job.replicate


def _losses(inputs: MeasureInputs, done: Sequence[tuple[Job, Points]]) -> pl.DataFrame:
    rows = []
    for job, points in done:
        ends, size = np.cumsum([0, *job.documents]), job.sequence.size
        for point in points:
            arms = [arm for arm, asked in job.sequence.asked.items() if point.n_tokens in asked]
            for s, (name, each) in enumerate(sets_of(inputs).items()):
                bits = point.document_bits[ends[s] : ends[s + 1]]
                loss = float(bits.sum() / each.bytes[: job.documents[s]].sum())
                fixed = (job.family.name, size, point.n_params, point.n_tokens, job.replicate)
                rows += [(arm, *fixed, name, loss, bits) for arm in arms]
    schema = {**RUN_SCHEMA, "document_bits": pl.List(pl.Float64)}
    losses = pl.DataFrame(rows, schema=schema, orient="row").sort(KEYS)
    # The pool was measured in whole documents; a rung that some replicate could not reach is out.
    replicates, arm = pl.col("replicate").n_unique(), ["arm", "family", "size"]
    return losses.filter(replicates.over(*arm, "n_tokens") == replicates.over(arm))
