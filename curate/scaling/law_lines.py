"""Lines along a fitted law, for figures: loss with bands, iso-loss, iso-FLOP, multipliers."""

from __future__ import annotations

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.scaling import _fit_kernel as kernel
from curate.scaling.law import ScalingLaw
from curate.scaling.laws import predicted_loss
from curate.scaling.readouts import law_multiplier, loss_at

__all__ = ["iso_flop", "iso_loss", "law_curve", "multiplier_curve", "residuals"]


def _across(column: pl.Series, points: int) -> Floats:
    values = column.to_numpy()
    return np.geomspace(values.min(), values.max(), points)


def law_curve(law: ScalingLaw, *, n_params: float, points: int = 24) -> pl.DataFrame:
    """The law's loss with its interval along the measured budgets, at one size.

    Returns:
        `arm, n_params, n_tokens, loss, low, high`.

    >>> from curate.scaling.example import example_law
    >>> law_curve(example_law(), n_params=1e9, points=3).height
    3
    """
    rows = []
    for tokens in _across(law.points.frame["n_tokens"], points).tolist():
        at = loss_at(law, n_params=n_params, n_tokens=tokens)
        rows.append((law.arm, n_params, tokens, at.estimate, at.low, at.high))
    names = ["arm", "n_params", "n_tokens", "loss", "low", "high"]
    return pl.DataFrame(rows, schema=names, orient="row")


def iso_loss(law: ScalingLaw, *, loss: float, points: int = 40) -> pl.DataFrame:
    """Tokens needed for one loss, over the measured sizes; only budgets that were measured.

    Returns:
        `arm, loss, n_params, n_tokens`.

    >>> from curate.scaling.example import example_law
    >>> line = iso_loss(example_law(), loss=2.5)
    >>> line["n_tokens"].is_sorted(descending=True)
    True
    """
    frame, fitted = law.points.frame, law.coefficients
    sizes = _across(frame["n_params"], points)
    left = loss - fitted["E"] - fitted["A"] * sizes ** -fitted["alpha"]
    with np.errstate(invalid="ignore", divide="ignore"):
        tokens = (fitted["B"] / left) ** (1 / fitted["beta"])
    line = pl.DataFrame({"arm": law.arm, "loss": loss, "n_params": sizes, "n_tokens": tokens})
    inside = pl.col("n_tokens").is_between(frame["n_tokens"].min(), frame["n_tokens"].max())
    return line.filter(pl.col("n_tokens").is_finite() & inside)


def iso_flop(law: ScalingLaw, *, flops: float, points: int = 40) -> pl.DataFrame:
    """Loss at one compute budget, over sizes and budgets that were measured.

    Returns:
        `arm, flops, n_params, n_tokens, loss`.

    >>> from curate.scaling.example import example_law
    >>> iso_flop(example_law(), flops=1e21)["loss"].arg_min() > 0
    True
    """
    frame = law.points.frame
    sizes = _across(frame["n_params"], points)
    tokens = flops / 6 / sizes
    line = pl.DataFrame({"arm": law.arm, "flops": flops, "n_params": sizes, "n_tokens": tokens})
    loss = predicted_loss(law.coefficients, sizes, tokens)
    inside = pl.col("n_tokens").is_between(frame["n_tokens"].min(), frame["n_tokens"].max())
    return line.with_columns(loss=pl.Series(loss)).filter(inside)


def multiplier_curve(
    law: ScalingLaw, against: ScalingLaw, *, n_params: float, points: int = 9
) -> pl.DataFrame:
    """The token multiplier along the loss of one size, where both arms were measured.

    Returns:
        `n_tokens` (of `against`), `loss`, `multiplier, low, high`; places outside the measured
        range or not pinned down are left out.

    >>> from curate.scaling.example import example_law
    >>> line = multiplier_curve(example_law("raw"), example_law(), n_params=1e9, points=3)
    >>> line.columns
    ['n_tokens', 'loss', 'multiplier', 'low', 'high']
    """
    rows = []
    for tokens in _across(against.points.frame["n_tokens"], points).tolist():
        worth = law_multiplier(law, against, n_params=n_params, n_tokens=tokens)
        if worth.estimate is not None:
            loss = predicted_loss(against.coefficients, np.array([n_params]), np.array([tokens]))
            rows.append((tokens, float(loss[0]), worth.estimate, worth.low, worth.high))
    names = ["n_tokens", "loss", "multiplier", "low", "high"]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


def residuals(law: ScalingLaw) -> pl.DataFrame:
    """How far every point lies from the law.

    Returns:
        `arm, n_params, n_tokens, loss, run, residual` (measured / law - 1), `outlier`.

    >>> from curate.scaling.example import example_law
    >>> residuals(example_law())["residual"].abs().max() < 0.05
    True
    """
    found = law.evidence
    off = np.expm1(found.data[2] - kernel.predict(found.phi, found.law, found.data))
    named = {"residual": pl.Series(off), "outlier": pl.Series(~found.data[5])}
    return law.points.frame.with_columns(**named)
