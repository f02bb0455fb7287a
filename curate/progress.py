"""Progress of long calls: a bar on a terminal or in a notebook, silence in a pipe."""

from __future__ import annotations

import sys
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
    return sys.stderr.isatty() or "ipykernel" in sys.modules


@contextmanager
def progress(label: str, *, total: float, unit: str) -> Iterator[Advance]:
    """Show how far a call has come; yields `advance(units)`.

    Nothing at all is printed where nobody watches, so that pipes and logs stay clean.

    Args:
        label: What is being done, e.g. `"annotate"`.
        total: Number of units in all.
        unit: Name of one unit, e.g. `"MB"` or `"shard"`.

    >>> with progress("nothing", total=2, unit="step") as advance:
    ...     advance(1)
    ...     advance(1)
    """
    if not is_interactive():
        yield lambda units: None
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
