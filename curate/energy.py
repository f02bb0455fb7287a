"""What a piece of work costs: CPU seconds always, energy where codecarbon is installed.

Energy comes from codecarbon's offline tracker: it reads the processor's own counters where the
system lets it, and estimates from the processor's rated power else. Nothing is sent anywhere.
"""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Cost", "metered"]


@dataclass(slots=True)
class Cost:
    """Filled when the work is over.

    Attributes:
        cpu_seconds: Of this process and of its finished children, all threads.
        watt_hours: Energy of the machine's processor, memory and GPU meanwhile; `None` = not asked
            for, or codecarbon is not installed.
    """

    cpu_seconds: float = 0.0
    watt_hours: float | None = None


@contextmanager
def metered(*, energy: bool = False) -> Iterator[Cost]:
    """Measure what is done inside.

    Args:
        energy: Whether to ask codecarbon, where it is installed; it takes a second to start.

    >>> with metered() as cost:
    ...     total = sum(range(100_000))
    >>> cost.cpu_seconds > 0, cost.watt_hours
    (True, None)
    """
    cost, started = Cost(), _cpu_seconds()
    tracker = _tracker() if energy else None
    try:
        yield cost
    finally:
        cost.cpu_seconds = round(_cpu_seconds() - started, 3)
        if tracker is not None:
            tracker.stop()
            data = tracker.final_emissions_data
            cost.watt_hours = round(float(data.energy_consumed) * 1000, 4)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _tracker() -> Any | None:  # noqa: ANN401 - codecarbon publishes no types
    if importlib.util.find_spec("codecarbon") is None:
        return None
    from codecarbon import OfflineEmissionsTracker

    # The country decides on emissions alone, which are not read here.
    tracker = OfflineEmissionsTracker(
        country_iso_code="USA", save_to_file=False, log_level="critical", allow_multiple_runs=True
    )
    tracker.start()
    return tracker
