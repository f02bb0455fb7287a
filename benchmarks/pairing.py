"""What pairing the draws is worth: the same runs read in pairs, and with the partners exchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from curate.experiment import ExperimentResult
from curate.scaling import arm_curve, multiplier_cells
from curate.scaling.curves import ArmCurve

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How many times narrower intervals are when the draws are paired.

    Attributes:
        name: Of the contrast.
        log_m: Ratio of the spreads of ln m, unpaired over paired.
        loss: The same of the loss difference at equal tokens.
        paired: Spread of ln m between paired draws.
    """

    name: str
    log_m: float
    loss: float
    paired: float

    @classmethod
    def of(cls, name: str, paired: tuple[float, float], apart: tuple[float, float]) -> Self:
        """From the spreads of (ln m, loss difference), paired and apart."""
        return cls(
            name=name, log_m=apart[0] / paired[0], loss=apart[1] / paired[1], paired=paired[0]
        )


def spread_of(
    result: ExperimentResult, budget: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Spreads between draws of ln m and of the loss difference: paired, then apart.

    Draws are set apart by giving each curated draw another draw's raw curve: every shift by which
    that can be done, their variances averaged.
    """
    a, b = (
        arm_curve(result.runs, arm=arm, family="kneser_ney", size="order3")
        for arm in ("raw", "curated")
    )
    draws = b.loss.shape[0]
    paired = _spreads(a, b, budget)
    shifted = [_spreads(a, _turned(b, by), budget) for by in range(1, draws)]
    apart = np.sqrt(np.mean(np.square(shifted), axis=0))
    return paired, (float(apart[0]), float(apart[1]))


def _turned(curve: ArmCurve, by: int) -> ArmCurve:
    return replace(curve, loss=np.roll(curve.loss, by, axis=0), bits=(), bytes=())


def _spreads(a: ArmCurve, b: ArmCurve, budget: int) -> tuple[float, float]:
    log_m = multiplier_cells(a, b, [budget]).log_m[:, :, 0].mean(axis=1)
    rung_a, rung_b = (int(np.searchsorted(c.budgets, budget)) for c in (a, b))
    difference = (a.loss[:, :, rung_a] - b.loss[:, :, rung_b]).mean(axis=1)
    return float(log_m.std(ddof=1)), float(difference.std(ddof=1))


def pairing_lines(spreads: list[Spread]) -> list[str]:
    """The table, and the medians."""
    rows = [f"| {s.name} | {s.paired:.3f} | {s.log_m:.1f} × | {s.loss:.1f} × |" for s in spreads]
    log_m, loss = (
        float(np.median([getattr(s, what) for s in spreads])) for what in ("log_m", "loss")
    )
    return [
        "**Pairing.** The same draws at the larger budget, each curated draw compared with its own "
        "raw draw, and with all others: how many times narrower an interval is by pairing.",
        "",
        "| contrast | sd of ln m, paired | narrower for ln m | narrower for the loss difference |",
        "|---|---|---|---|",
        *rows,
        f"| median | | {log_m:.1f} × | {loss:.1f} × |",
    ]
