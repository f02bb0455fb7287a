"""Progress of long calls: a bar on a terminal or in a notebook, silence in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[[float], None]
Say = Callable[[str], None]

EVERY = 15.0  # seconds between two lines where somebody reads lines
EARLY = 0.05  # of the work: what takes longer at the start would make a wild guess
NAMED_BEFORE = ("files", "column")  # facts that repeat what the config or the command names


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


@contextmanager
def at_work(label: str, say: Say | None) -> Iterator[None]:
    """Say after 15 s, 30 s, 1 min, … that a call that says nothing itself is still at work.

    Args:
        label: What is being done.
        say: Takes the lines; `None` = nobody waits.

    >>> with at_work("quality", print):
    ...     pass
    """
    if say is None:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_keep_saying, args=(label, say, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _keep_saying(label: str, say: Say, done: threading.Event) -> None:
    started, wait = time.monotonic(), EVERY
    while not done.wait(wait):
        passed = time.monotonic() - started
        say(f"{label}: at work for {spelled(passed)}")
        wait = passed


def facts_said(facts: Mapping[str, Any]) -> str:
    """What a stage counted, for people.

    >>> facts_said({"rows_read": 4097, "reasons": {"bad line": 43}, "kept_share": 0.92027})
    'rows read 4,097, reasons (43 × bad line), kept share 0.92'
    >>> facts_said({"broken_files": [["a.gz", "cut off"], ["b.gz", "no gzip"]]})
    'broken files (a.gz: cut off; b.gz: no gzip)'
    >>> facts_said({"documents": 9, "files": ["held/a.parquet"], "column": "domain"})
    'documents 9'
    """
    shown = {
        k: v
        for k, v in facts.items()
        if v not in ({}, []) and k not in NAMED_BEFORE and (k, v) != ("shards_resumed", 0)
    }
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in shown.items())


def worth_a_line(seconds: float, facts: Mapping[str, Any]) -> bool:
    """Whether a stage did anything: one that found nothing in no time was not asked for.

    >>> worth_a_line(0.01, {"spans": 0}), worth_a_line(0.01, {"spans": 1})
    (False, True)
    """
    return seconds >= 0.5 or any(facts.values())


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{_short(n)} × {what}" for what, n in value.items()) + ")"
    if isinstance(value, list | tuple):
        parts = [": ".join(map(str, v)) if isinstance(v, list | tuple) else v for v in value]
        return "(" + "; ".join(map(str, parts)) + ")"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def spelled(seconds: float) -> str:
    """A duration in words.

    >>> spelled(80), spelled(9.6), spelled(0.2)
    ('1 min 20 s', '10 s', '0 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
