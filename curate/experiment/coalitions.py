"""What each step adds to the worth of curation: Shapley values of ln m over coalitions of steps.

A step's leave-one-out value misses what another step does as well; its value alone counts that
twice. The Shapley value is the mean of what a step adds over all orders in which the steps could
be switched on, so the values of all steps add up to the ln m of the whole. Dilution adds up in
ln m, not in tokens.

Up to four steps every coalition is measured. Beyond that orders are drawn, each with its reverse
(antithetic), and what the drawing leaves unsure stands apart from the noise of the draws of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.scaling import Cells, crossed_interval

COALITION = "steps_"  # prefix of an arm that holds raw text after some of the steps
JOIN = "+"
EXACT_STEPS = 4
ORDER_PAIRS = 8  # orders drawn, each with its reverse, where there are more steps

STEP_SCHEMA: Mapping[str, Any] = {
    "step": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "permutation_error": pl.Float64,
    "degrees_of_freedom": pl.Float64,
    "share_of_total": pl.Float64,
    "resolved": pl.Boolean,
    "note": pl.String,
}

__all__ = [
    "COALITION",
    "STEP_SCHEMA",
    "coalition_arm",
    "coalition_steps",
    "coalitions",
    "orders",
    "shapley_rows",
]


def coalition_arm(steps: Iterable[str]) -> str:
    """Name of the arm that applies these steps and no other.

    >>> coalition_arm(["mask_pii", "own"])
    'steps_mask_pii+own'
    """
    return COALITION + JOIN.join(steps)


def coalition_steps(arm: str) -> tuple[str, ...]:
    """The steps of such an arm.

    >>> coalition_steps("steps_mask_pii+own")
    ('mask_pii', 'own')
    """
    return tuple(arm.removeprefix(COALITION).split(JOIN))


def orders(steps: Sequence[str], *, seed: int) -> list[tuple[str, ...]]:
    """Orders in which steps are switched on: all of them up to four steps, else drawn in pairs.

    >>> len(orders(["a", "b", "c"], seed=1))
    6
    >>> drawn = orders(["a", "b", "c", "d", "e"], seed=1)
    >>> len(drawn), drawn[0] == drawn[1][::-1]
    (16, True)
    """
    if len(steps) <= EXACT_STEPS:
        return list(permutations(steps))
    rng = np.random.default_rng([seed, 17])
    drawn = [tuple(steps[i] for i in rng.permutation(len(steps))) for _ in range(ORDER_PAIRS)]
    return [order for one in drawn for order in (one, one[::-1])]


def coalitions(steps: Sequence[str], *, seed: int) -> list[tuple[str, ...]]:
    """Coalitions that those orders pass through, without none and all; steps in their own order.

    >>> coalitions(["a", "b", "c"], seed=1)
    [('a',), ('b',), ('c',), ('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    if len(steps) <= EXACT_STEPS:
        return [c for size in range(1, len(steps)) for c in combinations(steps, size)]
    passed = {
        frozenset(order[:k]) for order in orders(steps, seed=seed) for k in range(1, len(steps))
    }
    ordered = [tuple(step for step in steps if step in each) for each in passed]
    return sorted(ordered, key=lambda c: (len(c), [steps.index(step) for step in c]))


def shapley_rows(
    cells: Mapping[frozenset[str], Cells], steps: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """Values of all steps at the largest budget that every coalition reaches in all draws.

    Args:
        cells: ln m of raw against each coalition, the whole one included; same budgets, draws
            and evaluation sets.
        steps: All steps.
        seed: Of the drawn orders.

    Returns:
        One mapping a step, its keys those of `STEP_SCHEMA` but family, size and note: `value` is
        a multiplier, the factor that the step contributes; `low`, `high` its 95 % interval over
        draws, documents and orders; `share_of_total` of ln m; `resolved` false where that
        interval is wider than the whole ln m. Empty where no budget is reached by all.
    """
    whole = cells[frozenset(steps)]
    reached = np.all([(c.side == 0).all(axis=(0, 1)) for c in cells.values()], axis=0)
    if not reached.any():
        return []
    at = int(np.flatnonzero(reached)[-1])
    drawn = orders(steps, seed=seed)
    total = float(whole.log_m[:, :, at].mean())
    return [
        {"step": step, "n_tokens": int(whole.budgets[at])}
        | _value(step, drawn, cells, at=at, total=total)
        for step in steps
    ]


def _value(
    step: str,
    drawn: Sequence[tuple[str, ...]],
    cells: Mapping[frozenset[str], Cells],
    *,
    at: int,
    total: float,
) -> dict[str, Any]:
    weights: dict[frozenset[str], float] = {}
    gains = []
    for order in drawn:
        before = frozenset(order[: order.index(step)])
        after = before | {step}
        for coalition, sign in ((after, 1.0), (before, -1.0)):
            if coalition:
                weights[coalition] = weights.get(coalition, 0.0) + sign / len(drawn)
        gains.append(_mean(cells, after, at) - _mean(cells, before, at))
    values = sum(w * cells[c].log_m[:, :, at] for c, w in weights.items())
    influence = [
        sum(w * cells[c].influence[s][:, at] for c, w in weights.items())
        for s in range(len(next(iter(cells.values())).influence))
    ]
    common = [float(own[at]) for c in weights if (own := cells[c].shared) is not None]
    tables = [np.asarray(table) for table in influence]
    found = crossed_interval(np.asarray(values), tables, shared=max(common, default=0.0))
    drawing = _permutation_error(np.array(gains), exact=len(cells) == 2 ** _count(cells) - 1)
    error = float(np.hypot(found.standard_error, drawing))
    leaning = found.skewness * (found.standard_error / error) ** 3 if error > 0 else 0.0
    low, high = replace(found, standard_error=error, skewness=leaning).interval()
    whole = max(cells.values(), key=lambda each: each.log_m[:, :, at].mean())
    widest = np.log(100) if whole.ladder is None else float(np.ptp(whole.ladder[at]))
    known = bool(high - low < 2 * widest)  # beyond it there is no interval worth the name
    return {
        "value": float(np.exp(found.estimate)),
        "low": float(np.exp(low)) if known else None,
        "high": float(np.exp(high)) if known else None,
        "standard_error": error if known else None,
        "permutation_error": drawing,
        "degrees_of_freedom": found.degrees_of_freedom,
        "share_of_total": found.estimate / total if total else None,
        "resolved": known and high - low <= abs(total),
    }


def _mean(cells: Mapping[frozenset[str], Cells], coalition: frozenset[str], at: int) -> float:
    return float(cells[coalition].log_m[:, :, at].mean()) if coalition else 0.0


def _count(cells: Mapping[frozenset[str], Cells]) -> int:
    return max(len(coalition) for coalition in cells)


def _permutation_error(gains: NDArray[np.float64], *, exact: bool) -> float:
    """Standard error from having drawn the orders; an order and its reverse are one draw."""
    if exact or len(gains) < 4:
        return 0.0
    pairs = gains.reshape(-1, 2).mean(axis=1)
    return float(pairs.std(ddof=1) / np.sqrt(len(pairs)))
