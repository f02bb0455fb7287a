"""What is trained one after the other: every sequence of every draw, what matters most first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from curate.experiment.arms import Draws
from curate.experiment.cost import scored_tokens, stated_seconds
from curate.experiment.plan import HEAD, OTHERS, FamilyPlan, Plan
from curate.proxies import Evaluation, ProxyFamily
from curate.scaling.crossed import MIN_REPLICATES
from curate.subsets import Tokens

__all__ = ["Job", "Sequences", "make_jobs", "sequences_of", "whole_draws"]


class Sequences(NamedTuple):
    """Arms that hold the same text, and what is trained on it at one size."""

    part: str  # see `Plan.part`
    size: str
    rungs: tuple[int, ...]
    asked: dict[str, tuple[int, ...]]  # arm → the rungs of these that it asked for
    seconds: float  # of one draw, by stated speeds


class Job(NamedTuple):
    """One sequence of one draw, and the ladder to climb on it."""

    family: ProxyFamily
    evaluation: Evaluation
    documents: tuple[int, ...]  # of each evaluation set
    replicate: int
    sequence: Sequences
    rest: float  # stated seconds of this job and all that follow in its part and draw

    @property
    def arm(self) -> str:
        """Any of the arms: they all hold the same text."""
        return next(iter(self.sequence.asked))

    @property
    def place(self) -> tuple[str, str]:
        """Family and part: they end with whole draws."""
        return self.family.name, self.sequence.part

    def tokens(self, draws: Draws) -> Tokens:
        """The sequence as far as the ladder goes."""
        return draws.tokens(self.arm, self.replicate, self.sequence.rungs[-1])


def sequences_of(draws: Draws, plan: Plan, family: str) -> list[Sequences]:
    """What one draw of a family trains; a step that removes nothing costs nothing.

    Args:
        draws: Arms of every replicate.
        plan: Ladders.
        family: Its name.
    """
    planned = plan.families[family]
    scored = scored_tokens(draws.inputs, planned.evaluation_limit)
    found = []
    for arms in _twins(draws, planned):
        for size in planned.sizes:
            asked = {
                arm: planned.ladders[size][arm] for arm in arms if arm in planned.ladders[size]
            }
            if not asked:
                continue
            rungs = tuple(sorted({rung for each in asked.values() for rung in each}))
            parts = {plan.part(family, size, arm) for arm in asked}
            seconds = stated_seconds(family, size, rungs, scored)
            part = HEAD if HEAD in parts else min(parts)
            found.append(Sequences(part, size, rungs, asked, seconds))
    return found


def _twins(draws: Draws, planned: FamilyPlan) -> list[list[str]]:
    """Arms in groups that hold the same text."""
    groups: list[list[str]] = []
    for arm in dict.fromkeys(arm for ladder in planned.ladders.values() for arm in ladder):
        twin = next((group for group in groups if draws.same(group[0], arm)), None)
        if twin is None:
            groups.append([arm])
        else:
            twin.append(arm)
    return groups


def make_jobs(
    planned: FamilyPlan,
    sequences: Sequence[Sequences],
    family: ProxyFamily,
    evaluation: Evaluation,
    documents: tuple[int, ...],
) -> list[Job]:
    """All jobs of a family: five draws of each part in turn, then the other draws.

    The headline's arms and the calibrator's stand first: of whatever the clock leaves undone,
    they are the last.
    """
    jobs = []
    for part, replicate in _turns(planned, sequences):
        own = [each for each in sequences if each.part == part]
        for place, each in enumerate(own):
            rest = sum(later.seconds for later in own[place:])
            jobs.append(Job(family, evaluation, documents, replicate, each, rest))
    return jobs


def _turns(planned: FamilyPlan, sequences: Sequence[Sequences]) -> list[tuple[str, int]]:
    """Parts and replicates in the order of their worth."""
    named = dict.fromkeys(each.part for each in sequences)
    parts = [part for part in (HEAD, OTHERS, *planned.sizes[1:]) if part in named]
    few = min(MIN_REPLICATES, planned.replicates)
    turns = [(part, r) for part in parts for r in range(few)]
    turns += [(part, r) for r in range(few, planned.replicates) for part in parts]
    return [(part, r) for part, r in turns if r < planned.draws.get(part, planned.replicates)]


def whole_draws(jobs: Sequence[Job], done: Sequence[bool]) -> dict[tuple[str, str], int]:
    """By family and part: draws from the first on of which nothing is missing."""
    found: dict[tuple[str, str], int] = {}
    for job in jobs:
        found[job.place] = max(found.get(job.place, 0), job.replicate + 1)
    for job, finished in zip(jobs, done, strict=True):
        if not finished:
            found[job.place] = min(found[job.place], job.replicate)
    return found
