"""How many jobs at once are really faster on this machine: tried for a few seconds at the start.

Two cores that are lent by a virtual machine may be slower together than one of them alone. What is
found decides how work is laid out, never what comes out of it: a job always runs on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from curate.executors import threads
from curate.proxies import Evaluation, Gpt, ProxyFamily
from curate.subsets import Tokens

GAIN = 1.1  # less is not worth the memory of a second job
TURNS = 2
TRIALS = {"kneser_ney": 1_000_000, "gpt": 25_000}  # tokens: below a second each
OTHER_TRIAL = 10_000
STEPS = 12  # of a transformer in one trial

__all__ = ["OTHER_TRIAL", "TRIALS", "Pace", "Trial", "family_pace", "measure_pace", "threads_pace"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One rung that is trained to see how long it takes.

    Attributes:
        family: Prepared for this budget and size.
        size: To train.
        tokens: To train on, all of them.
        evaluation: To score.
        stated: Seconds that this takes on one core at stated speed.
    """

    family: ProxyFamily
    size: str
    tokens: Tokens
    evaluation: Evaluation
    stated: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What was tried and what is taken.

    Attributes:
        jobs: At once.
        tokens_per_second: Read and scored by all jobs together, the best turn, by layout.
        stated: Seconds of one core that a token of the trial takes by stated speeds.
    """

    jobs: int
    tokens_per_second: Mapping[str, float]
    stated: float = 1.0

    @property
    def capacity(self) -> float:
        """Seconds of one core at stated speed that all jobs together do in a second."""
        return max(self.tokens_per_second[_layout(self.jobs, 1)] * self.stated, 1e-6)

    @property
    def alone(self) -> float:
        """The same of one job alone: above 1 on a free machine, below it on a busy one."""
        return max(self.tokens_per_second[_layout(1, 1)] * self.stated, 1e-6)

    def to_dict(self) -> dict[str, object]:
        """Plain values for `plan.json`."""
        rates = {name: round(rate) for name, rate in self.tokens_per_second.items()}
        return {
            "jobs_at_once": self.jobs,
            "tokens_per_second": rates,
            "planned_core_seconds_per_second": round(self.capacity, 3),
        }


def measure_pace(
    trial: Callable[[int], int],
    *,
    workers: int,
    turns: int = TURNS,
    now: Callable[[], float] = time.perf_counter,
) -> Pace:
    """One job alone against `workers` jobs at once, in turns.

    Args:
        trial: Does a piece of real work and returns the tokens that it read; takes the number of
            the job.
        workers: The most that may run at once.
        turns: Of each; the best one counts.
        now: Seconds of a clock.

    >>> measure_pace(lambda job: 1_000, workers=1).jobs
    1
    """
    trial(0)  # compiles and fills caches
    best: dict[int, float] = dict.fromkeys({1, workers}, 0.0)
    for _ in range(turns):
        for jobs in best:
            began = now()
            read = sum(threads(jobs)(trial, range(jobs)))
            best[jobs] = max(best[jobs], read / max(now() - began, 1e-9))
    return Pace(
        jobs=workers if best[workers] > GAIN * best[1] else 1,
        tokens_per_second={_layout(jobs, 1): rate for jobs, rate in sorted(best.items())},
    )


def _layout(jobs: int, on: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'} on {on} thread{'' if on == 1 else 's'} each"


def family_pace(trial: Trial, *, workers: int, now: Callable[[], float] | None = None) -> Pace:
    """The pace of a family by one rung of a ladder, nothing of which is kept.

    Args:
        trial: What is trained.
        workers: The most that may run at once.
        now: Seconds of a clock; `None` = the machine's.
    """
    family = trial.family
    if isinstance(family, Gpt):
        family = replace(family, checkpoints=None)

    def attempt(job: int) -> int:
        ladder = family.ladder(
            trial.tokens,
            budgets=[len(trial.tokens)],
            size=trial.size,
            seed=job,
            evaluation=trial.evaluation,
        )
        return sum(point.n_tokens for point in ladder)

    # One turn of a transformer takes seconds, and says enough.
    turns = 1 if isinstance(family, Gpt) else TURNS
    found = measure_pace(attempt, workers=workers, turns=turns, now=now or time.perf_counter)
    found = replace(found, stated=trial.stated / len(trial.tokens))
    if isinstance(family, Gpt):
        alone = threads_pace(family, trial.size, workers=workers)
        found = replace(found, tokens_per_second={**found.tokens_per_second, **alone})
    return found


def threads_pace(family: Gpt, size: str, *, workers: int) -> dict[str, float]:
    """Tokens a second of one transformer trained on one thread and on several, in turns.

    Told beside the rest and never taken: sums over several threads may round otherwise.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> list(threads_pace(Gpt(vocabulary=64), "width32", workers=2))
    ['1 job on 1 thread each, training alone', '1 job on 2 threads each, training alone']
    """
    import torch

    from curate.proxies import transformer

    settings = family.settings[size]
    model = transformer.start(settings, vocabulary=family.vocabulary, seed=0)
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, family.vocabulary, STEPS * settings.step_tokens).astype(np.uint16)
    starts = np.arange(STEPS * settings.batch_sequences) * settings.context
    best = dict.fromkeys((1, workers), 0.0)
    before = torch.get_num_threads()
    try:
        for _ in range(TURNS):
            for on in best:
                torch.set_num_threads(on)
                began = time.perf_counter()
                for step in range(STEPS):
                    places = slice(*(settings.batch_sequences * s for s in (step, step + 1)))
                    transformer.train_step(model, tokens, starts[places], share=1.0)
                best[on] = max(best[on], len(tokens) / (time.perf_counter() - began))
    finally:
        torch.set_num_threads(before)
    return {f"{_layout(1, on)}, training alone": rate for on, rate in best.items()}
