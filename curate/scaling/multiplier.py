"""How many tokens of arm A do the work of one token of arm B, and how sure is that.

m(L) = tokens that A needs / tokens that B needs for the loss L, read at the loss that B has at
each of its budgets. What is measured in one replicate on one evaluation set is ln m.

Where A contains B, m = dilution x harm: *harm* is the tokens (in B's version) of those of B's
documents that A had read when it reached the loss, over B's tokens. 1 = what was removed was
empty, above 1 = it was hurting, below 1 = it still taught. Dilution is the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.scaling.crossed import Summary, crossed_interval
from curate.scaling.curves import ArmCurve, Reading, read_curve
from curate.scaling.rungs import Leads, Trial, leads

# Of a multiplier m and the slope s: covariance and third joint cumulants of their logarithms.
SLOPE_MOMENTS = ("slope_covariance", "slope_cumulant_mms", "slope_cumulant_mss")

__all__ = ["SLOPE_MOMENTS", "Cells", "combined", "contrast_rows", "multiplier_cells", "trials_at"]

Prefixes = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]


class _Place(NamedTuple):
    """Where a row stands: number of the budget, numbers and name of its evaluation sets."""

    k: int
    sets: list[int]
    name: str = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """ln m of one contrast, family and size, cell by cell.

    Attributes:
        budgets: B's budgets, K.
        eval_sets: Names of the S evaluation sets.
        log_m: R replicates x S sets x K budgets; the ladder's end where a loss is not reached.
        side: 0 reached, 1 A's ladder ends before the loss (m is larger), −1 it begins below it.
        influence: For each set, what each document adds to ln m, R x K x n; sums to 0 over
            documents. Empty where documents are unknown.
        shared: For each budget the variance that all draws have in common, in units of that
            between them: they come from one pool, and another pool would say something else.
            `None` = they are drawn from all there is.
        ladder: K x 2, the least and the largest ln m that A's ladder can show; `None` = unknown.
        leads: For budgets whose loss some draw does not reach, what each of A's rungs shows.
    """

    budgets: NDArray[np.int64]
    eval_sets: tuple[str, ...]
    log_m: Floats
    side: NDArray[np.int8]
    influence: tuple[Floats, ...]
    shared: Floats | None = None
    ladder: Floats | None = None
    leads: Mapping[int, Leads] = field(default_factory=dict)


def multiplier_cells(curve: ArmCurve, against: ArmCurve, budgets: Sequence[int]) -> Cells:
    """Read B's losses off A's curve: ln m for each replicate, evaluation set and budget.

    Args:
        curve: Arm A's losses; its rungs should stand at D / (1 − r) and reach 1.5 / (1 − r)
            times B's top budget, where r is the share of A's tokens that B lacks.
        against: Arm B's losses, same replicates and evaluation sets.
        budgets: B's budgets to compare at; each must be one of its rungs.

    >>> a = ArmCurve(budgets=np.array([1, 2, 4]), eval_sets=("e",), loss=np.array([[[3., 2., 1.]]]))
    >>> b = ArmCurve(budgets=np.array([1, 2]), eval_sets=("e",), loss=np.array([[[2., 1.]]]))
    >>> np.exp(multiplier_cells(a, b, [1, 2]).log_m).round(6).tolist()
    [[[2.0, 2.0]]]
    """
    shape = (*against.loss.shape[:2], len(budgets))
    log_m, side = np.zeros(shape), np.zeros(shape, dtype=np.int8)
    with_documents = bool(curve.bits and against.bits)
    counts = [bits.shape[2] for bits in curve.bits] if with_documents else []
    influence = tuple(np.zeros((shape[0], shape[2], n)) for n in counts)
    for k, budget in enumerate(budgets):
        own = int(np.searchsorted(against.budgets, budget))
        for r, s in np.ndindex(shape[:2]):
            reading = _read_paired(curve, against.loss[r, s, own], budget, (r, s))
            log_m[r, s, k] = reading.position - np.log(budget)
            side[r, s, k] = reading.side
            if with_documents:
                read = _bits_at(curve.bits[s][r], reading)
                change = against.bits[s][r, own] - read
                influence[s][r, k] = reading.slope * change / curve.bytes[s]
    short = [budget for k, budget in enumerate(budgets) if side[:, :, k].any()]
    return Cells(
        budgets=np.asarray(budgets, dtype=np.int64),
        eval_sets=against.eval_sets,
        log_m=log_m,
        side=side,
        influence=influence,
        ladder=np.log(curve.budgets[[0, -1]] / np.asarray(budgets, dtype=np.float64)[:, None]),
        leads={budget: leads(curve, against, budget) for budget in short},
    )


def _read_paired(curve: ArmCurve, target: float, budget: int, cell: tuple[int, int]) -> Reading:
    losses, log_budgets = curve.loss[cell], np.log(curve.budgets.astype(np.float64))
    reading = read_curve(log_budgets, losses, target)
    twin = np.flatnonzero((curve.budgets == budget) & (losses == target))
    if twin.size == 0:
        return reading
    # Equal at this very budget: of all budgets with this loss, the nearest is the answer.
    rung, at = int(twin[0]), float(np.log(budget))
    return Reading(position=at, slope=reading.slope, side=0, rung=rung, weight=0.0)


def _bits_at(bits: Floats, reading: Reading) -> Floats:
    """Bits of each document where the curve reaches the loss, between two rungs."""
    following = min(reading.rung + 1, len(bits) - 1)
    mixed = (1 - reading.weight) * bits[reading.rung] + reading.weight * bits[following]
    return np.asarray(mixed)


def contrast_rows(cells: Cells, *, prefixes: Prefixes | None = None) -> list[dict[str, object]]:
    """Estimates of one contrast: by budget and evaluation set, over all sets, and the slope.

    Args:
        cells: By `multiplier_cells`.
        prefixes: For each replicate A's cumulative tokens and B's tokens therein, by
            `curate.subsets.prefix_tokens`; adds harm and dilution.

    Returns:
        Rows with `n_tokens` (null = slope), `eval_set`, `quantity`, `log_estimate`,
        `standard_error` (of ln), `degrees_of_freedom`, `skewness`, `n_replicates`, `reached`,
        `bound` ("≥", "≤" or null), `ladder`: the least and the largest logarithm that A's ladder
        could have shown, or null where nothing bounds it, `trials`: where not reached, what each
        of A's rungs shows (`curate.scaling.rungs`). Multipliers over all sets also have
        `SLOPE_MOMENTS` where there is a slope: what their noise has in common with its own.

    >>> cells = Cells(budgets=np.array([8]), eval_sets=("e",), log_m=np.zeros((2, 1, 1)),
    ...               side=np.zeros((2, 1, 1), np.int8), influence=())
    >>> [(row["eval_set"], row["log_estimate"]) for row in contrast_rows(cells)]
    [('all', 0.0), ('e', 0.0)]
    """
    every = list(range(len(cells.eval_sets)))
    weights = _slope_weights(cells)
    rows = []
    for k in range(len(cells.budgets)):
        rows += _budget_rows(cells, k, every, prefixes)
        rows[-1 if prefixes is None else -3] |= _with_slope(cells, k, weights)
        for s, name in enumerate(cells.eval_sets):
            rows.append(_row(cells, "multiplier", cells.log_m[:, [s], k], _Place(k, [s], name)))
    return rows if weights is None else [*rows, _slope_row(cells, weights)]


def _budget_rows(
    cells: Cells, k: int, chosen: list[int], prefixes: Prefixes | None
) -> list[dict[str, object]]:
    log_m = cells.log_m[:, chosen, k]
    rows = [_row(cells, "multiplier", log_m, _Place(k, chosen))]
    if prefixes is None:
        return rows
    harm = _log_harm(log_m, cells.budgets[k], prefixes)
    rows.append(_row(cells, "harm", harm, _Place(k, chosen)))
    rows[-1]["trials"] = _trials(cells, _Place(k, chosen), prefixes)
    if cells.ladder is not None:
        ends = np.tile(cells.ladder[k], (len(prefixes), 1))
        rows[-1]["ladder"] = tuple(_log_harm(ends, cells.budgets[k], prefixes).mean(axis=0))
    rows.append(_row(cells, "dilution", log_m - harm, _Place(k, chosen)))
    return rows


def _log_harm(log_m: Floats, budget: float, prefixes: Prefixes) -> Floats:
    """Ln of the tokens of B's documents in A's prefix, over B's, for R x n values of ln m."""
    kept = [np.interp(np.exp(m) * budget, *p) for m, p in zip(log_m, prefixes, strict=True)]
    return np.asarray(np.log(np.maximum(np.stack(kept), 1.0) / budget))


def _row(cells: Cells, quantity: str, values: Floats, place: _Place) -> dict[str, object]:
    k, sets, name = place
    # Harm moves with the loss as m does; dilution is settled by the draw alone.
    tables = (
        []
        if quantity == "dilution"
        else [cells.influence[s][:, k] for s in sets if cells.influence]
    )
    found = crossed_interval(values, tables, shared=_shared(cells, [k]))
    side = cells.side[:, sets, k]
    return {
        "n_tokens": int(cells.budgets[k]),
        "eval_set": name,
        "quantity": quantity,
        "log_estimate": found.estimate,
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees_of_freedom,
        "skewness": found.skewness,
        "n_replicates": values.shape[0],
        "reached": bool((side == 0).all()),
        "bound": _bound(side),
        "ladder": None
        if quantity == "dilution" or cells.ladder is None
        else (float(cells.ladder[k, 0]), float(cells.ladder[k, 1])),
        "trials": _trials(cells, place) if quantity == "multiplier" else (),
    }


def trials_at(cells: Cells, k: int) -> tuple[Trial, ...]:
    """What each rung of A shows of a budget that not every draw reaches, over all sets.

    >>> cells = Cells(budgets=np.array([8]), eval_sets=("e",), log_m=np.zeros((2, 1, 1)),
    ...               side=np.zeros((2, 1, 1), np.int8), influence=())
    >>> trials_at(cells, 0)
    ()
    """
    return _trials(cells, _Place(k, list(range(len(cells.eval_sets)))))


def _trials(cells: Cells, place: _Place, prefixes: Prefixes | None = None) -> tuple[Trial, ...]:
    """What each rung of A shows where not every draw is reached; with prefixes, of harm."""
    k, sets, _ = place
    budget = int(cells.budgets[k])
    if not cells.side[:, sets, k].any() or budget not in cells.leads:
        return ()
    found = cells.leads[budget]
    log_x, lead = found.log_x, found.lead[:, sets]
    if prefixes is not None:
        ends = np.tile(log_x, (len(prefixes), 1))
        harm = _log_harm(ends, budget, prefixes)
        log_x = harm.mean(axis=0)
        lead = lead + (harm - log_x)[:, None]  # draws differ in what their prefixes hold, too
    tables = [found.influence[s] for s in sets if found.influence]
    shared = _shared(cells, [k])
    return tuple(
        Trial(float(x), crossed_interval(lead[:, :, j], [t[:, j] for t in tables], shared=shared))
        for j, x in enumerate(log_x)
        if np.isfinite(lead[:, :, j]).all()
    )


def _shared(cells: Cells, budgets: Sequence[int]) -> float:
    return 0.0 if cells.shared is None else float(cells.shared[list(budgets)].max())


def _bound(side: NDArray[np.int8]) -> str | None:
    if (side == 0).all():
        return None
    if (side >= 0).all():
        return "≥"
    return "≤" if (side <= 0).all() else "?"


def combined(cells: Cells, weights: Floats) -> Summary:
    """A weighted sum of ln m over the budgets, with the noise that they share; of all sets.

    Args:
        cells: By `multiplier_cells`.
        weights: One for each budget.

    >>> log_m = np.array([[[0.1, 0.3]], [[0.2, 0.4]], [[0.3, 0.5]]])
    >>> cells = Cells(budgets=np.array([8, 16]), eval_sets=("e",), log_m=log_m,
    ...               side=np.zeros((3, 1, 2), np.int8), influence=())
    >>> growth = combined(cells, np.array([-1.0, 1.0]))
    >>> round(growth.estimate, 6), round(growth.standard_error, 6)
    (0.2, 0.0)
    """
    used = np.flatnonzero(weights)
    values = cells.log_m[:, :, used] @ weights[used]
    tables = [np.einsum("rkn,k->rn", own[:, used], weights[used]) for own in cells.influence]
    return crossed_interval(values, tables, shared=_shared(cells, used.tolist()))


def _slope_weights(cells: Cells) -> Floats | None:
    """Weights of the budgets in the slope per doubling, over those that are reached throughout."""
    used = np.flatnonzero((cells.side == 0).all(axis=(0, 1)))
    if used.size < 2:
        return None
    doublings = np.log2(cells.budgets[used])
    centred = doublings - doublings.mean()
    weights = np.zeros(len(cells.budgets))
    weights[used] = centred / (centred**2).sum()
    return weights


def _slope_row(cells: Cells, weights: Floats) -> dict[str, object]:
    """The slope of ln m per doubling of the budget."""
    found = combined(cells, weights)
    steepest = None
    if cells.ladder is not None:
        ends = np.sort(weights[:, None] * cells.ladder, axis=1).sum(axis=0)
        steepest = (float(ends[0]), float(ends[1]))
    return {
        "n_tokens": None,
        "eval_set": "all",
        "quantity": "slope_per_doubling",
        "log_estimate": found.estimate,
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees_of_freedom,
        "skewness": found.skewness,
        "n_replicates": len(cells.log_m),
        "reached": True,
        "bound": None,
        "ladder": steepest,
        "trials": (),
    }


def _with_slope(cells: Cells, k: int, weights: Floats | None) -> dict[str, float]:
    """What the noise of ln m at a budget has in common with that of the slope.

    Covariance and third joint cumulants, from those of the sum and of the difference of the two.
    """
    reached = (cells.side[:, :, k] == 0).all()
    if weights is None or not reached or len(cells.log_m) < 2:
        return {}
    place = np.zeros(len(weights))
    place[k] = 1.0
    one, two = combined(cells, place), combined(cells, weights)
    most = one.standard_error * two.standard_error
    if most == 0:
        return dict.fromkeys(SLOPE_MOMENTS, 0.0)
    scale = one.standard_error / two.standard_error
    added, less = (combined(cells, place + sign * weights) for sign in (scale, -scale))
    covariance = (added.standard_error**2 - less.standard_error**2) / (4 * scale)
    thirds = [each.third_cumulant for each in (one, two, added, less)]
    sum_of_both, difference = thirds[2] + thirds[3], thirds[2] - thirds[3]
    return {
        "slope_covariance": float(np.clip(covariance, -most, most)),
        "slope_cumulant_mms": (difference - 2 * scale**3 * thirds[1]) / (6 * scale),
        "slope_cumulant_mss": (sum_of_both - 2 * thirds[0]) / (6 * scale**2),
    }
