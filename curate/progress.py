"""Progress of long calls: a bar on a terminal or in a notebook, silence in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Advance = Callable[[float], None]
Say = Callable[[str], None]

EVERY = 15.0  # seconds between two lines where somebody reads lines
EARLY = 0.02  # of the work: what takes longer at the start would make a wild guess


class _Throughput(TextColumn):
    """Units done a second, e.g. `41.3 MB/s`; blank until the first unit is done."""

    def __init__(self, unit: str) -> None:
        super().__init__("")
        self.unit = unit

    def render(self, task: object) -> Text:
        speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
        return Text(f"{speed:,.1f} {self.unit}/s" if speed else "", style="progress.data.speed")


def is_interactive() -> bool:
    """Whether somebody watches: a terminal on standard error, or a notebook kernel.

    >>> is_interactive() in (True, False)
    True
    """
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Whether a kernel runs this code; that somebody imported one does not count."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None


@contextmanager
def progress(
    label: str, *, total: float, unit: str, say: Say | None = None, until: float | None = None
) -> Iterator[Advance]:
    """Show how far a call has come; yields `advance(units)`.

    Nothing at all is printed where nobody watches, so that pipes and logs stay clean; unless the
    caller wants lines instead.

    Args:
        label: What is being done, e.g. `"annotate"`.
        total: Number of units in all.
        unit: Name of one unit, e.g. `"MB"` or `"shard"`.
        say: Takes a line with the time left, at most four a minute, where there is no bar.
        until: By `time.monotonic()`: when it will be stopped at the latest.

    >>> with progress("nothing", total=2, unit="step") as advance:
    ...     advance(1)
    ...     advance(1)
    """
    if not is_interactive():
        yield _Lines(label, total, say, until) if say is not None else lambda units: None
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        _Throughput(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda units: bar.advance(task, units)


class _Lines:
    """Progress as lines: "measure: 40 % done, about 1 min 20 s left"."""

    def __init__(self, label: str, total: float, say: Say, until: float | None) -> None:
        self.label, self.total, self.say, self.until = label, total, say, until
        self.done, self.started = 0.0, time.monotonic()
        self.said = self.started
        self.lock = threading.Lock()

    def __call__(self, units: float) -> None:
        with self.lock:
            self.done += units
            now = time.monotonic()
            if now - self.said < EVERY or not 0 < self.done < self.total:
                return
            self.said = now
            words, share = self._left(now), self.done / self.total
        self.say(f"{self.label}: {100 * share:.0f} % done{words}")

    def _left(self, now: float) -> str:
        """How long it will still take; nothing where too little is done to tell."""
        if self.until is not None and now >= self.until:
            return ", the time is over; what was begun is finished"
        left = (now - self.started) * (self.total / self.done - 1)
        if self.until is not None and left > self.until - now:
            return f", stops in {spelled(self.until - now)}"
        return f", about {spelled(left)} left" if self.done >= EARLY * self.total else ""


def spelled(seconds: float) -> str:
    """A duration in words.

    >>> spelled(80), spelled(9.6), spelled(0.2)
    ('1 min 20 s', '10 s', '0 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
