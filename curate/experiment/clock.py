"""Whether work can still be finished in time, by what its family took for such work until now."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock"]

FADES = 0.9  # what an earlier job weighs once another one is done: a machine's load changes


class Clock:
    """A deadline, and what each family took until now.

    Work is counted in seconds that it takes by stated speeds; see `stated_seconds`.

    Args:
        deadline: By `now`; `None` = there is time for everything.
        now: Seconds of a clock.

    >>> Clock(None).has_time_for("gpt", 10**9), Clock(0.0).is_open()
    (True, False)
    >>> clock = Clock(10.0, now=lambda: 4.0)
    >>> clock.note("gpt", 1.0, seconds=3.0)
    >>> clock.has_time_for("gpt", 2.0), clock.has_time_for("gpt", 2.1)
    (True, False)
    """

    def __init__(
        self, deadline: float | None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.deadline = deadline
        self.now = now
        self.seconds: dict[str, float] = {}
        self.work: dict[str, float] = {}

    def is_open(self) -> bool:
        """Whether the deadline is still to come."""
        return self.deadline is None or self.now() < self.deadline

    def has_time_for(self, family: str, work: float) -> bool:
        """Whether so much work, one job after the other, can be done until the deadline."""
        if self.deadline is None:
            return True
        known = self.work.get(family, 0.0)
        expected = work * self.seconds[family] / known if known else 0.0
        return self.now() + expected <= self.deadline

    def note(self, family: str, work: float, *, seconds: float) -> None:
        """What a job took; later jobs weigh more."""
        self.seconds[family] = FADES * self.seconds.get(family, 0.0) + seconds
        self.work[family] = FADES * self.work.get(family, 0.0) + work
