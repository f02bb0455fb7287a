"""What this machine does for each family now, and what is left of the time: before the plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from curate.executors import Executor, threads_of
from curate.experiment.config import LIGHT, MeasureConfig
from curate.experiment.cost import scored_tokens, stated_seconds
from curate.experiment.inputs import MeasureInputs, merged_evaluation
from curate.experiment.pace import OTHER_TRIAL, TRIALS, Pace, Trial, family_pace
from curate.experiment.plan import CORES
from curate.experiment.planner import HEAVY_EVALUATION
from curate.proxies import FAMILIES, Gpt

__all__ = ["Calibration", "on_graphics"]

# Seconds of one free core for what no plan holds: the program's start, tables, verdicts, report.
AFTERWARDS = 5.0
FEWEST_TRIED = 1_000  # tokens: a trial of fewer times nothing but its start


def on_graphics(family: Gpt) -> bool:
    """Whether its models are trained as one stack: there is a graphics processor."""
    if not family.available():
        return False
    from curate.proxies import batched

    return batched.device() == "cuda"


@dataclass(kw_only=True, slots=True)
class Calibration:
    """Paces of families, each tried once, when it is asked for.

    Attributes:
        inputs: Whose raw text the trials read.
        config: Sizes.
        executor: Map over the threads that there are.
        now: Seconds of a clock.
        told: Takes the name and the pace of each family that was tried.
        found: The paces so far.
    """

    inputs: MeasureInputs
    config: MeasureConfig
    executor: Executor
    now: Callable[[], float] = time.monotonic
    told: Callable[[str, Pace], None] | None = None
    found: dict[str, Pace] = field(default_factory=dict)

    def pace(self, name: str) -> Pace:
        """The pace of a family; at stated speed where nothing can be tried."""
        if name not in self.found:
            pace = self._tried(name)
            if pace is None:
                return Pace(jobs=1, tokens_per_second={"1 job on 1 thread each": float(CORES)})
            self.found[name] = pace
            if self.told is not None:
                self.told(name, pace)
        return self.found[name]

    def afterwards(self) -> float:
        """Seconds by the wall that what follows training will take, as busy as the machine is."""
        first = self.pace(self.config.families[0])
        return AFTERWARDS / min(first.alone, 1.0)

    def _tried(self, name: str) -> Pace | None:
        family = FAMILIES[name]
        text = self.inputs.texts["raw"].flat[: TRIALS.get(name, OTHER_TRIAL)]
        if not family.available() or len(text) < FEWEST_TRIED:
            return None
        if isinstance(family, Gpt) and on_graphics(family):
            return None
        size = self.config.sizes_of(name)[0]
        prepared = family.prepare(
            text, budgets=[len(text)], sizes=[size], vocabulary=self.inputs.vocabulary
        )
        limit = None if name in LIGHT else HEAVY_EVALUATION
        stated = stated_seconds(name, size, [len(text)], scored_tokens(self.inputs, limit))
        trial = Trial(
            family=prepared,
            size=size,
            tokens=text,
            evaluation=merged_evaluation(self.inputs, limit),
            stated=stated,
        )
        return family_pace(trial, workers=threads_of(self.executor), now=self.now)
