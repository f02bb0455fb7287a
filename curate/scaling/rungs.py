"""What a ladder that is too short still shows: on which side of each rung the multiplier lies.

Where one draw's loss lies beyond A's ladder, ln m cannot be read, and no clipped value may stand
for it. But at every rung of A both losses are measured, in every draw: A needs more than x times
B's tokens just where its loss at x times B's tokens is still above B's. So each rung is a paired
test, and those that are rejected one after the other, from an end of the ladder on, bound the
multiplier from that side (Lehmann & Romano, Testing Statistical Hypotheses, 3rd ed., 3.5; a bound
is wrong only where the first rung beyond the truth is rejected, so no correction is due).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from curate.arrays import Floats
from curate.scaling.crossed import Summary
from curate.scaling.curves import ArmCurve
from curate.statistics import skewed_p

__all__ = ["Leads", "Trial", "leads", "p_of_one", "rung_bounds"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Leads:
    """How far B is ahead at each of A's J rungs, for one of B's budgets.

    Attributes:
        log_x: ln(A's tokens / B's budget) of the rungs, rising, J.
        lead: A's loss less B's over what an e-fold of tokens gains A there, R replicates x S sets
            x J: about ln m less `log_x`, and of the same sign. NaN where more tokens gain A
            nothing: such a rung tells nothing.
        influence: For each set, what each document adds to `lead`, R x J x n; empty where
            documents are unknown.
    """

    log_x: Floats
    lead: Floats
    influence: tuple[Floats, ...]


class Trial(NamedTuple):
    """One rung: its ln of the multiplier, and the mean of how far the truth lies above it."""

    log_x: float
    found: Summary


def leads(curve: ArmCurve, against: ArmCurve, budget: int) -> Leads:
    """Compare B's loss at a budget with A's at every rung.

    Args:
        curve: Arm A's losses.
        against: Arm B's, same replicates and evaluation sets.
        budget: One of B's rungs.

    >>> a = ArmCurve(budgets=np.array([1, 2, 4]), eval_sets=("e",), loss=np.array([[[3., 2., 1.]]]))
    >>> b = ArmCurve(budgets=np.array([2]), eval_sets=("e",), loss=np.array([[[0.5]]]))
    >>> found = leads(a, b, 2)
    >>> np.exp(found.log_x).tolist(), (found.lead / np.log(2)).round(6).tolist()
    ([0.5, 1.0, 2.0], [[[2.5, 1.5, 0.5]]])
    """
    own = int(np.searchsorted(against.budgets, budget))
    rungs = np.log(curve.budgets.astype(np.float64))
    gain = _gain(curve, rungs)
    lead = (curve.loss - against.loss[:, :, [own]]) / gain
    influence = tuple(
        (a - b[:, [own]]) / size / gain[s][:, None]
        for s, (a, b, size) in enumerate(zip(curve.bits, against.bits, curve.bytes, strict=False))
    )
    return Leads(log_x=rungs - np.log(budget), lead=lead, influence=influence)


def _gain(curve: ArmCurve, rungs: Floats) -> Floats:
    """What an e-fold of tokens takes off A's loss around each rung, S x J, mean over replicates."""
    if len(rungs) < 2:
        return np.full(curve.loss.shape[1:], np.nan)
    gain = -np.gradient(curve.loss.mean(axis=0), rungs, axis=-1)
    return np.where(gain > 0, gain, np.nan)


def rung_bounds(trials: Sequence[Trial], confidence: float) -> tuple[float, float]:
    """Logarithms between which the multiplier lies, each end wrong in (1 − confidence) / 2.

    −inf or inf where not even the ladder's end is told from it.

    >>> def trial(x, lead):
    ...     found = Summary(estimate=lead, standard_error=0.1, degrees_of_freedom=7)
    ...     return Trial(float(np.log(x)), found)
    >>> low, high = rung_bounds([trial(1, 1.0), trial(2, 0.5), trial(4, 0.1)], 0.95)
    >>> round(float(np.exp(low)), 6), high
    (2.0, inf)
    """
    below = _last(t for t in takewhile(lambda t: t.found.interval(confidence).low > 0, trials))
    above = _last(
        t for t in takewhile(lambda t: t.found.interval(confidence).high < 0, reversed(trials))
    )
    return -np.inf if below is None else below, np.inf if above is None else above


def _last(trials: Iterable[Trial]) -> float | None:
    found = None
    for trial in trials:
        found = trial.log_x
    return found


def p_of_one(trials: Sequence[Trial]) -> float:
    """Two-sided p of "the multiplier is 1": as `rung_bounds` finds it above or below 1.

    >>> far = Trial(0.0, Summary(estimate=0.5, standard_error=0.1, degrees_of_freedom=7))
    >>> p_of_one([far]) < 0.01, p_of_one([Trial(-1.0, far.found)])
    (True, 1.0)
    """
    return min(_p_beyond(trials, 1), _p_beyond(list(reversed(trials)), -1))


def _p_beyond(trials: Sequence[Trial], side: int) -> float:
    """The largest p on the way from the ladder's end to the first rung at 1 or beyond."""
    for number, trial in enumerate(trials):
        if side * trial.log_x >= 0:
            return max(_p_values(trials[: number + 1], side))
    return 1.0


def _p_values(trials: Sequence[Trial], side: int) -> Iterator[float]:
    for _, found in trials:
        error, df = found.standard_error, found.degrees_of_freedom
        if not (side * found.estimate > 0 and error >= 0 and df > 0):
            yield 1.0  # on the other side, or one draw
        else:
            yield skewed_p(found.estimate / error, df, found.skewness) if error > 0 else 0.0
