"""Scales: from data to pixels, and the round numbers worth a tick."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Scale", "spread"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A straight or logarithmic map of `[low, high]` onto the pixels `[start, end]`.

    >>> scale = Scale(low=1, high=100, start=0, end=200, log=True)
    >>> scale(10), scale.clamped(1000), scale.inside(1000)
    (100.0, 200.0, False)
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        share = (self._line(value) - self._line(self.low)) / (
            self._line(self.high) - self._line(self.low)
        )
        return self.start + share * (self.end - self.start)

    def clamped(self, value: float) -> float:
        """Pixel of the value inside the scale that is nearest to `value`."""
        return self(min(max(value, self.low), self.high))

    def inside(self, value: float) -> bool:
        """Whether the value lies on the scale."""
        return self.low <= value <= self.high

    def ticks(self, *, room: float = 56) -> list[float]:
        """Round values on the scale, at least `room` pixels apart.

        >>> Scale(low=0, high=1, start=0, end=400).ticks(room=80)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        >>> Scale(low=0.5, high=9, start=0, end=300, log=True).ticks()
        [0.5, 1.0, 2.0, 5.0]
        """
        most = max(2, int(abs(self.end - self.start) / room))
        wanted = _log_ticks(self.low, self.high, most) if self.log else []
        return self._apart(wanted or _straight_ticks(self.low, self.high, most), room * 0.6)

    def _line(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _apart(self, ticks: list[float], room: float) -> list[float]:
        chosen: list[float] = []
        for tick in ticks:
            if not chosen or abs(self(tick) - self(chosen[-1])) >= room:
                chosen.append(tick)
        return chosen


def spread(values: list[float], *, log: bool = False, margin: float = 0.06) -> tuple[float, float]:
    """Lowest and highest finite value, widened by a share of their distance on the scale.

    On a log scale values that are not positive are left out; where nothing is left the
    range is that around one.

    >>> spread([1.0, 3.0], margin=0.5)
    (0.0, 4.0)
    >>> spread([0.0, 2.0, 2.0], log=True, margin=0.0)
    (1.8, 2.2)
    """
    usable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = (min(usable), max(usable)) if usable else (0.8, 1.25)
    if low == high:
        around = abs(low) * 0.1 or 1.0
        return round(low - around, 12), round(high + around, 12)
    if log:
        factor = (high / low) ** margin
        return low / factor, high * factor
    return low - margin * (high - low), high + margin * (high - low)


def _straight_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """The densest round series that fits; none where the range is too short for one."""
    for units in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [
            round(unit * 10.0**power, 12)
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for unit in units
            if low <= unit * 10.0**power <= high
        ]
        if len(ticks) <= most:
            return ticks if len(ticks) >= 3 else []
    return ticks[:: math.ceil(len(ticks) / most)]
