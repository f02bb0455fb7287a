"""At which budget do two arms change sides, and how sure is that.

ln m is joined by straight lines in ln(tokens) from one budget to the next, draw by draw, evaluation
source by source and document by document. At every budget between them it so has an interval as at
the budgets themselves, by `crossed_interval`: it leans with its draws, and what neighbouring
budgets share, they share. The budgets at which that interval holds 0 are the confidence set of the
crossover: a test turned round (Fieller 1954 for a straight line). It holds the budget at which the
line through the true values passes 0 as often as the interval there holds 0; what the truth bends
between two budgets, it does not know.

Where some draw does not find the loss on A's ladder, A's rungs tell who is ahead, or nothing does
(`curate.scaling.rungs`). Between it and the next one ahead is who is so at both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from curate.arrays import Floats
from curate.scaling.multiplier import Cells, combined, trials_at
from curate.scaling.rungs import Trial, rung_bounds
from curate.scaling.words import count_words

STEPS = 8  # between two budgets; what changes sides within one of them is found all the same
HALVINGS = 14
CONFIDENCE = 0.95

Side = Callable[[float], int]

__all__ = ["Crossover", "crossover_row", "crossover_words", "find_crossover"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossover:
    """Where arm B stops being ahead of arm A, or begins to be.

    Attributes:
        ladder: Smallest and largest budget, in tokens of B.
        estimate: Tokens; `None` where the point estimates do not change sides, do so more than
            once, or pass through a bound.
        low: Up to here the side is `before`; the ladder's end where that is not known.
        high: From here on the side is `after`, likewise.
        before: At the smallest budget: 1 B is surely ahead, −1 it is surely behind, 0 unknown.
        after: The same at the largest budget.
        seen: Sides of the point estimates, in the order of the budgets: 1, −1, 0 where both arms
            are level, `None` where a bound does not say.
        replicates: Draws; of a single one everything is unknown.
    """

    ladder: tuple[float, float]
    estimate: float | None
    low: float
    high: float
    before: int
    after: int
    seen: tuple[int | None, ...]
    replicates: int

    @property
    def empty(self) -> bool:
        """Whether one side is surely ahead throughout."""
        return self.before != 0 and self.low == self.high

    @property
    def open(self) -> tuple[bool, bool]:
        """Which ends are those of the ladder: the crossover may lie beyond."""
        return self.before == 0, self.after == 0


def find_crossover(cells: Cells, *, confidence: float = CONFIDENCE) -> Crossover:
    """The crossover over all evaluation sources, with its confidence set.

    Should the set have gaps, its ends are those of the whole.

    Args:
        cells: ln m of one contrast, budgets rising; at least one.
        confidence: Of the set.

    >>> log_m = np.array([[[0.2, -0.1]], [[0.3, -0.2]], [[0.25, -0.15]]])
    >>> cells = Cells(budgets=np.array([100, 400]), eval_sets=("e",), log_m=log_m,
    ...               side=np.zeros(log_m.shape, np.int8), influence=())
    >>> found = find_crossover(cells)
    >>> found.before, found.after, [round(n) for n in (found.low, found.estimate, found.high)]
    (1, -1, [223, 238, 316])
    """
    logs = np.log(cells.budgets.astype(np.float64))
    last = len(logs) - 1

    @cache
    def side(at: float) -> int:
        return _side(cells, at, confidence)

    def tokens(at: float) -> float:
        return float(np.exp(np.interp(at, np.arange(last + 1), logs)))

    marks = np.linspace(0, last, last * STEPS + 1).tolist()
    low = _reach(side, marks)
    high = _reach(side, marks[::-1])
    before, after = side(0.0), side(float(last))
    if low is None or high is None:  # surely on one side throughout
        low = high = float(last)
    crossed = _crossing(cells)
    return Crossover(
        ladder=(tokens(0.0), tokens(float(last))),
        estimate=None if crossed is None else tokens(crossed),
        low=tokens(low),
        high=tokens(high),
        before=before,
        after=after,
        seen=tuple(_seen(cells)),
        replicates=len(cells.log_m),
    )


def _side(cells: Cells, at: float, confidence: float) -> int:
    """Who is surely ahead at a place between the budgets, counted in budgets from 0."""
    k = min(int(at), len(cells.budgets) - 1)
    rungs, weights = ([k], [1.0]) if at == k else ([k, k + 1], [k + 1 - at, at - k])
    if (cells.side[:, :, rungs] != 0).any():
        if at == k:
            return _bounded(trials_at(cells, k), confidence)
        ends = {_side(cells, rung, confidence) for rung in rungs}
        return ends.pop() if len(ends) == 1 else 0  # a line that does not change sides
    line = np.zeros(len(cells.budgets))
    line[rungs] = weights
    low, high = combined(cells, line).interval(confidence)
    return 1 if low > 0 else -1 if high < 0 else 0


def _bounded(trials: Sequence[Trial], confidence: float) -> int:
    """Who is surely ahead where ln m is not reached: the rungs of A tell."""
    low, high = rung_bounds(trials, confidence)
    return 1 if low >= 0 else -1 if high <= 0 else 0


def _reach(side: Side, marks: Sequence[float]) -> float | None:
    """How far the first mark's side goes, nowhere if it has none; `None` = to the end."""
    first = side(marks[0])
    if first == 0:
        return marks[0]
    inside = marks[0]
    for mark in marks[1:]:
        if side(mark) != first:
            return _edge(side, inside, mark)
        inside = mark
    return None


def _edge(side: Side, inside: float, outside: float) -> float:
    """The last place, to a part in 100,000, that has the side of `inside`."""
    wanted = side(inside)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if side(middle) == wanted else (inside, middle)
    return inside


def _seen(cells: Cells) -> list[int | None]:
    """Sides of the point estimates; `None` for a bound that does not lie beyond 0."""
    found: list[int | None] = []
    for k, mean in enumerate(cells.log_m.mean(axis=(0, 1))):
        sides = cells.side[:, :, k]
        known = (np.sign(mean) * sides >= 0).all() and (mean != 0 or (sides == 0).all())
        found.append(int(np.sign(mean)) if known else None)
    return found


def _crossing(cells: Cells) -> float | None:
    """Where the line through the point estimates passes 0, if it does so once."""
    seen, means = _seen(cells), cells.log_m.mean(axis=(0, 1))
    sure = [k for k, sign in enumerate(seen) if sign]
    changes = [(i, j) for i, j in pairwise(sure) if seen[i] != seen[j]]
    if len(changes) != 1:
        return None
    i, j = changes[0]
    if (cells.side[:, :, i : j + 1] != 0).any():
        return None  # through a bound
    return _zero(means[i : j + 1]) + i


def _zero(values: Floats) -> float:
    """Where a line passes 0 between its first and its last value, which alone are not 0."""
    if len(values) > 2:
        return (len(values) - 1) / 2
    return float(values[0] / (values[0] - values[1]))


def crossover_row(found: Crossover) -> dict[str, Any]:
    """A row of the table of multipliers: `estimate`, `low` and `high` are tokens of B.

    `bound` is "≥" where no crossover is seen and it may lie beyond the largest budget, "≤" where it
    may lie below the smallest; `beyond` says which ends are only those of the ladder. Null ends:
    one draw, one budget, or a side that is surely ahead throughout.

    >>> found = Crossover(ladder=(100, 400), estimate=238.0, low=164.0, high=400.0, before=1,
    ...                   after=0, seen=(1, -1), replicates=5)
    >>> row = crossover_row(found)
    >>> row["estimate"], row["low"], row["high"], row["beyond"], row["bound"]
    (238.0, 164.0, 400.0, 'high', None)
    """
    told = found.replicates > 1 and found.ladder[0] < found.ladder[1] and not found.empty
    beyond = {(True, True): "both", (True, False): "low", (False, True): "high"}
    unseen = {(True, False): "≤", (False, True): "≥"} if found.estimate is None else {}
    said = crossover_words(found)
    return {
        "n_tokens": None,
        "eval_set": "all",
        "quantity": "crossover",
        "estimate": found.estimate,
        "low": found.low if told else None,
        "high": found.high if told else None,
        "beyond": beyond.get(found.open) if told else None,
        "bound": unseen.get(found.open),
        "confidence": CONFIDENCE,
        "n_replicates": found.replicates,
        "reached": found.estimate is not None,
        "decisive": False,
        "headline": False,
        "conclusion": said,
        "conclusion_without_gate": said,
    }


def crossover_words(found: Crossover, name: str = "curated text") -> str:
    """Where the sides change, in a sentence without its end.

    Args:
        found: By `find_crossover`.
        name: Of arm B.

    >>> fixed = {"ladder": (100, 400), "seen": (1, -1), "replicates": 5}
    >>> crossover_words(Crossover(estimate=238, low=164, high=364, before=1, after=-1, **fixed))
    'crossover at 238 [164, 364] tokens: curated text is ahead before it and behind after it'
    >>> crossover_words(Crossover(estimate=238, low=164, high=400, before=1, after=0, **fixed))
    'crossover at 238 [164, ≥ 400] tokens: curated text is ahead before it and behind after it'
    >>> crossover_words(Crossover(estimate=238, low=100, high=400, before=0, after=0, **fixed))
    'cannot tell where curated text changes sides between 100 and 400 tokens'
    """
    first, last = (count_words(n) for n in found.ladder)
    if set(found.seen) == {None}:
        return "no budget is reached"
    if found.replicates < 2 or first == last:
        return _without_interval(found, name)
    if found.empty:
        side = _word(found.before)
        return f"no crossover from {first} to {last} tokens: {name} is {side} throughout"
    if found.open == (True, True):
        changes = found.estimate is not None
        where = "where" if changes else "whether"
        return f"cannot tell {where} {name} changes sides between {first} and {last} tokens"
    if found.before == found.after:
        return (
            f"{name} is {_word(found.before)} at {first} and at {last} tokens; from "
            f"{count_words(found.low)} to {count_words(found.high)} it is not sure to be"
        )
    return _crossed(found, name)


def _crossed(found: Crossover, name: str) -> str:
    """One side is sure at one end at least, and not the same at both."""
    low, high = count_words(found.low), count_words(found.high)
    before = found.before or next((side for side in found.seen if side), -found.after)
    after = found.after or next((side for side in reversed(found.seen) if side), -before)
    if before == after:
        sure, unsure = (f"up to {low}", "beyond") if found.before else (f"from {high} on", "below")
        seen = "no crossover is seen: " if len({*found.seen} - {0, None}) == 1 else ""
        return f"{seen}{name} is {_word(before)} {sure} tokens; {unsure} it cannot be told"
    ends = f"[{'≤ ' * found.open[0]}{low}, {'≥ ' * found.open[1]}{high}]"
    at = "within" if found.estimate is None else f"at {count_words(found.estimate)}"
    return (
        f"crossover {at} {ends} tokens: {name} is {_word(before)} before it and {_word(after)} "
        "after it"
    )


def _without_interval(found: Crossover, name: str) -> str:
    """By point estimates, and why there is no more."""
    why = "one draw gives no interval" if found.replicates < 2 else "one budget shows no crossover"
    side = _word(next(side for side in reversed(found.seen) if side is not None))
    last = count_words(found.ladder[1])
    if found.estimate is not None:
        at = count_words(found.estimate)
        return f"{name} is {side} from {at} tokens on, but {why}"
    return f"{name} is {side} at {last} tokens; {why}"


def _word(side: int) -> str:
    return {1: "ahead", 0: "level", -1: "behind"}[side]
