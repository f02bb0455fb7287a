"""How many jobs at once are really faster on this machine: tried for a few seconds at the start.

Two cores that are lent by a virtual machine may be slower together than one of them alone. What is
found decides how work is laid out, never what comes out of it: a job always runs on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curate.executors import threads
from curate.proxies import Evaluation, Gpt, ProxyFamily
from curate.subsets import Tokens

GAIN = 1.1  # less is not worth the memory of a second job
TURNS = 2
TRIALS = {"kneser_ney": 2_000_000, "gpt": 25_000}  # tokens: below a second each
LEAST_TRIAL = 10_000
STEPS = 12  # of a transformer in one trial

__all__ = ["Pace", "family_pace", "measure_pace", "threads_pace", "trial_budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What was tried and what is taken.

    Attributes:
        jobs: At once.
        tokens_per_second: Read and scored by all jobs together, the best turn, by layout.
    """

    jobs: int
    tokens_per_second: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """Plain values for `plan.json`."""
        rates = {name: round(rate) for name, rate in self.tokens_per_second.items()}
        return {"jobs_at_once": self.jobs, "tokens_per_second": rates}


def measure_pace(trial: Callable[[int], int], *, workers: int) -> Pace:
    """One job alone against `workers` jobs at once, in turns.

    Args:
        trial: Does a piece of real work and returns the tokens that it read; takes the number of
            the job.
        workers: The most that may run at once.

    >>> measure_pace(lambda job: 1_000, workers=1).jobs
    1
    """
    trial(0)  # compiles and fills caches
    best: dict[int, float] = dict.fromkeys({1, workers}, 0.0)
    for _ in range(TURNS):
        for jobs in best:
            began = time.perf_counter()
            read = sum(threads(jobs)(trial, range(jobs)))
            best[jobs] = max(best[jobs], read / max(time.perf_counter() - began, 1e-9))
    return Pace(
        jobs=workers if best[workers] > GAIN * best[1] else 1,
        tokens_per_second={_layout(jobs, 1): rate for jobs, rate in sorted(best.items())},
    )


def _layout(jobs: int, on: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'} on {on} thread{'' if on == 1 else 's'} each"


def trial_budget(family: str, rungs: Sequence[int]) -> int:
    """The largest rung that a trial can afford, or the smallest of all.

    >>> trial_budget("gpt", [10_000, 20_000, 40_000]), trial_budget("gpt", [90_000])
    (20000, 90000)
    """
    return max((r for r in rungs if r <= TRIALS.get(family, LEAST_TRIAL)), default=rungs[0])


def family_pace(
    family: ProxyFamily, size: str, tokens: Tokens, evaluation: Evaluation, *, workers: int
) -> Pace:
    """The pace of a family by one rung of one of its ladders, nothing of which is kept.

    Args:
        family: Prepared for a budget of so many tokens.
        size: To train.
        tokens: To train on.
        evaluation: To score.
        workers: The most that may run at once.
    """
    if isinstance(family, Gpt):
        family = replace(family, checkpoints=None)

    def trial(job: int) -> int:
        ladder = family.ladder(
            tokens, budgets=[len(tokens)], size=size, seed=job, evaluation=evaluation
        )
        return sum(point.n_tokens for point in ladder)

    found = measure_pace(trial, workers=workers)
    if isinstance(family, Gpt):
        alone = threads_pace(family, size, workers=workers)
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
