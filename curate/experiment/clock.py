"""Whether work can still be finished in time, by what its family took for a token so far."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """A deadline, and what each family took until now.

    Args:
        deadline: By `time.monotonic()`; `None` = there is time for everything.

    >>> Clock(None).has_time_for("gpt", 10**9), Clock(0.0).is_open()
    (True, False)
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}

    def is_open(self) -> bool:
        """Whether the deadline is still to come."""
        return self.deadline is None or time.monotonic() < self.deadline

    def has_time_for(self, family: str, tokens: int) -> bool:
        """Whether so many tokens can be read until the deadline."""
        if self.deadline is None:
            return True
        expected = self.seconds.get(family, 0.0) / max(self.tokens.get(family, 0), 1) * tokens
        return time.monotonic() + expected <= self.deadline

    def note(self, family: str, tokens: int, seconds: float) -> None:
        """What a job took."""
        self.seconds[family] = self.seconds.get(family, 0.0) + seconds
        self.tokens[family] = self.tokens.get(family, 0) + tokens
