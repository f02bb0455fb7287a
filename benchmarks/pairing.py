"""What pairing is worth: the same runs read in pairs, and with the partners exchanged.

Two things are paired in an experiment: both arms follow one order of the documents (draws), and
both are scored on the same evaluation documents. An interval without either is what independent
corpora scored on independent documents would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from curate.experiment import ExperimentResult
from curate.scaling import arm_curve, crossed_interval, multiplier_cells
from curate.scaling.curves import ArmCurve, read_curve

Floats = NDArray[np.float64]
ARMS = ("raw", "curated")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How many times narrower a 95 % interval is by pairing.

    Attributes:
        name: Of the contrast.
        draws: By pairing the draws alone: spread of (ln m, loss difference), apart over paired.
        both: By pairing draws and documents: standard errors of the same.
        limit: What pairing draws can come to at most, by the text that both arms share.
    """

    name: str
    draws: tuple[float, float]
    both: tuple[float, float]
    limit: tuple[float, float]

    @classmethod
    def of(cls, name: str, result: ExperimentResult, budget: int) -> Self:
        """From the runs of `raw → curated` at one budget."""
        a, b = (
            arm_curve(
                result.losses.join(
                    result.runs.select("arm", "n_tokens", "replicate", "eval_set", "loss"),
                    on=["arm", "n_tokens", "replicate", "eval_set"],
                ),
                arm=arm,
                family="kneser_ney",
                size="order3",
                evaluation=result.evaluation,
            )
            for arm in ARMS
        )
        draws = b.loss.shape[0]
        sizes = [
            result.evaluation.filter(eval_set=name)["bytes"].to_numpy().astype(np.float64)
            for name in b.eval_sets
        ]
        paired = _spreads(a, b, budget)
        shifted = [_spreads(a, _turned(b, by), budget) for by in range(1, draws)]
        apart = np.sqrt(np.mean(np.square(shifted), axis=0))
        together = _paired_errors(a, b, budget, sizes)
        alone = np.sqrt(apart**2 / draws + _document_variances(a, b, budget, sizes))
        return cls(
            name=name,
            draws=(float(apart[0] / paired[0]), float(apart[1] / paired[1])),
            both=(float(alone[0] / together[0]), float(alone[1] / together[1])),
            limit=_limits(result, budget),
        )


def _limits(result: ExperimentResult, budget: int) -> tuple[float, float]:
    """Of ln m and of the loss difference, were all noise that of which clean documents were drawn.

    A loss after n tokens then varies as 1 / n, and two prefixes of one sequence share the shorter.
    Where B's loss at D is read off A, A has read h D clean tokens (h is the harm); at equal tokens
    it has read (1 - f) D. With shares s : 1 the variances are 1 / s - 1 and 1 / s + 1.
    """
    table = result.multipliers.filter(n_tokens=budget, quantity="harm", eval_set="all")
    harm = float(table["estimate"][0])
    kept = 1 - result.plan["contrasts"][0]["removed_share"]
    return _limit(min(harm, 1 / harm)), _limit(kept)


def _limit(shared: float) -> float:
    return float(np.sqrt((1 + shared) / max(1 - shared, 1e-12)))


def _turned(curve: ArmCurve, by: int) -> ArmCurve:
    """Every draw of this arm in another draw's place."""
    return replace(curve, loss=np.roll(curve.loss, by, axis=0), bits=(), bytes=())


def _at(curve: ArmCurve, budget: int) -> int:
    return int(np.searchsorted(curve.budgets, budget))


def _spreads(a: ArmCurve, b: ArmCurve, budget: int) -> tuple[float, float]:
    """Standard deviations over draws of ln m and of the loss difference, means over the sets."""
    log_m = multiplier_cells(a, b, [budget]).log_m[:, :, 0].mean(axis=1)
    difference = (a.loss[:, :, _at(a, budget)] - b.loss[:, :, _at(b, budget)]).mean(axis=1)
    return float(log_m.std(ddof=1)), float(difference.std(ddof=1))


def _paired_errors(
    a: ArmCurve, b: ArmCurve, budget: int, sizes: Sequence[Floats]
) -> tuple[float, float]:
    """Standard errors as the experiment has them."""
    cells = multiplier_cells(a, b, [budget])
    log_m = crossed_interval(cells.log_m[:, :, 0], [t[:, 0] for t in cells.influence])
    i, j = _at(a, budget), _at(b, budget)
    tables = [
        _influence(a, s, i, sizes[s]) - _influence(b, s, j, sizes[s])
        for s in range(len(a.eval_sets))
    ]
    loss = crossed_interval(a.loss[:, :, i] - b.loss[:, :, j], tables)
    return log_m.standard_error, loss.standard_error


def _influence(curve: ArmCurve, s: int, rung: int, sizes: Floats) -> Floats:
    """What each document adds to the loss of a set, draw by draw; sums to 0 over documents."""
    bits = curve.bits[s][:, rung]
    loss = bits.sum(axis=1, keepdims=True) / sizes.sum()
    return np.asarray((bits - loss * sizes) / sizes.sum())


def _document_variances(a: ArmCurve, b: ArmCurve, budget: int, sizes: Sequence[Floats]) -> Floats:
    """Variance of ln m and of the loss difference from each arm having documents of its own."""
    i, j = _at(a, budget), _at(b, budget)
    log_budgets = np.log(a.budgets.astype(np.float64))
    found = np.zeros(2)
    for s in range(len(a.eval_sets)):
        loss = sum(
            _main_variance(_influence(curve, s, rung, sizes[s])) for curve, rung in ((a, i), (b, j))
        )
        reading = read_curve(log_budgets, a.loss[:, s].mean(axis=0), float(b.loss[:, s, j].mean()))
        found += np.array([reading.slope**2 * loss, loss]) / len(a.eval_sets) ** 2
    return found


def _main_variance(table: Floats) -> float:
    means = table.mean(axis=0)
    return float(len(means) / (len(means) - 1) * ((means - means.mean()) ** 2).sum())


def pairing_lines(spreads: list[Spread]) -> list[str]:
    """The table, and the medians."""
    columns = ("draws", "limit", "both")
    medians = (tuple(np.median([getattr(s, c) for s in spreads], axis=0)) for c in columns)
    rows = [_row(s.name, s.draws, s.limit, s.both) for s in spreads]
    rows.append(_row("median", *medians))
    return [
        "**Pairing.** The same runs at the larger budget, read in pairs and with the partners "
        "exchanged: how many times narrower the interval is. Draws: each curated draw against its "
        "own raw draw, or against the others. Limit: what that can come to where the only noise is "
        "which clean documents were drawn; at equal tokens raw holds 1 - f of curated's text, and "
        "no pairing of draws goes beyond √((2 - f) / f). Documents: both arms scored on the same "
        "evaluation documents, or each on its own.",
        "",
        "| contrast | ln m, by draws | loss difference, by draws | ln m, limit | loss difference, "
        "limit | ln m, by draws and documents | loss difference, by draws and documents |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _row(name: str, *pairs: tuple[float, ...]) -> str:
    return f"| {name} | {' | '.join(f'{min(x, 999):.1f} ×' for pair in pairs for x in pair)} |"
