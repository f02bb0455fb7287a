"""Fitting a law: a bounded grid for the start, Newton on the Huber loss from its best cells.

Choices that the literature paid for: the SUM of Huber losses of log residuals (a mean stops the
optimiser early), logs centred on the data, tolerances relative to the objective, exact second
derivatives, and a wide Huber loss that narrows on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.scaling import _fit_kernel as kernel
from curate.scaling import _noise_kernel as noise
from curate.scaling._fit_kernel import Law
from curate.scaling.laws import LawForm
from curate.scaling.points import PointSet

__all__ = ["HUBER_WIDTH", "Fit", "fit_form", "fit_map", "law_arrays", "outlying"]

HUBER_WIDTH = 1e-3
LADDER = np.array([0.1, 0.02, 0.005, 0.002])
CELLS = 32
STARTS = 10
EXPONENTS = (0.03, 1.5)
_BOUNDS = (0.01, 3.0)
_OUTLYING = 6.0  # robust standard deviations
_APART = 0.02  # exponents that differ by more are another basin


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A point estimate and how it was found.

    Attributes:
        phi: Free parameters in centred logs.
        objective: Sum of Huber losses (or of squared raw residuals / 2).
        second_basin: Relative gap of the objective to the next optimum elsewhere; infinite
            where every start led to the same one.
        at_bounds: Names of parameters at the end of what is allowed.
        condition: Condition number of J'J after scaling its diagonal to 1.
        steps: Newton steps over all starts.
    """

    phi: Floats
    objective: float
    second_basin: float
    at_bounds: tuple[str, ...]
    condition: float
    steps: int


def law_arrays(form: LawForm) -> Law:
    """The form's law of one arm, as the kernels take it.

    >>> from curate.scaling.laws import law_form
    >>> law_arrays(law_form("chinchilla"))[1].shape
    (1, 5, 5)
    """
    return form.offset[None].copy(), form.mapping[None].copy()


def fit_form(points: PointSet, form: LawForm, *, width: float = HUBER_WIDTH) -> Fit:
    """The best fit of one form to the points of one arm, from the ten best grid cells.

    Args:
        points: Points of one arm (all points count, whatever their arm).
        form: Form of the law.
        width: Width of the Huber loss in ln loss; below 0: squared raw residuals instead.

    Raises:
        ConfigError: Fewer points than free parameters.

    >>> import polars as pl
    >>> from curate.scaling.laws import law_form, predicted_loss
    >>> from curate.scaling.points import check_points, point_set
    >>> N, D = np.repeat([1e7, 4e7, 2e8, 9e8], 5), np.tile(np.geomspace(1e9, 1e11, 5), 4)
    >>> loss = predicted_loss({"E": 1.7, "A": 400, "B": 400, "alpha": 0.34, "beta": 0.28}, N, D)
    >>> frame = check_points(pl.DataFrame({"n_params": N, "n_tokens": D, "loss": loss}))
    >>> fit_form(point_set(frame), law_form("chinchilla")).phi[3:].round(4).tolist()
    [0.34, 0.28]
    """
    if len(points.data[0]) < form.free:
        raise ConfigError(
            f"{len(points.data[0])} points cannot carry the {form.free} parameters of "
            f"{form.formula}"
        )
    law, data = (
        law_arrays(form),
        (*points.data[:3], np.zeros_like(points.data[3]), *points.data[4:]),
    )
    starts = _grid_starts(points, form)
    found = [kernel.descend(start, law, data, width, LADDER) for start in starts]
    found.sort(key=lambda item: item[1])
    best = found[0][0]
    return Fit(
        phi=best,
        objective=float(found[0][1]),
        second_basin=_second_basin(found, law),
        at_bounds=_at_bounds(best, form, float(points.data[2].min())),
        condition=_condition(noise.jacobian(best, law, data)),
        steps=sum(item[2] for item in found),
    )


def fit_map(points: PointSet, law: Law, start: Floats) -> Floats:
    """Free parameters of any law of several arms, by descent from one start.

    >>> from curate.scaling.laws import law_form
    >>> import polars as pl
    >>> from curate.scaling.points import check_points, point_set
    >>> D = np.geomspace(1e6, 1e9, 8)
    >>> frame = check_points(pl.DataFrame({"n_params": 1.0, "n_tokens": D, "loss": 9 * D**-0.1}))
    >>> law = law_arrays(law_form("data_no_floor"))
    >>> fit_map(point_set(frame), law, np.array([0.0, 0.5])).round(4).tolist()[1]
    0.1
    """
    found, _, _ = kernel.descend(start, law, points.data, HUBER_WIDTH, LADDER)
    return np.asarray(found)


def outlying(residuals: Floats) -> NDArray[np.bool_]:
    """Residuals more than six robust standard deviations (1.4826 MAD) from their median.

    >>> outlying(np.array([0.0, 0.1, -0.1, 0.05, 9.0])).tolist()
    [False, False, False, False, True]
    """
    away = np.abs(residuals - np.median(residuals))
    scale = max(1.4826 * float(np.median(away)), 1e-9)
    return np.asarray(away > _OUTLYING * scale)


def _grid_starts(points: PointSet, form: LawForm) -> list[Floats]:
    """The best cells: first those lower than their neighbours, then the next best."""
    exponents = np.linspace(*EXPONENTS, CELLS)
    one = exponents[:1]
    alphas = exponents if form.has_size else one
    betas = exponents if form.has_data else one
    allowed = np.array([form.has_floor, form.has_size, form.has_data])
    error, coefficient = kernel.grid(points.data, alphas, betas, allowed, form.tied)
    cells = np.argsort(error, axis=None, kind="stable")[: error.size]
    first = [c for c in cells if _lowest_here(error, *divmod(int(c), len(betas)))]
    order = dict.fromkeys([*first[:STARTS], *cells[:STARTS]])
    least = 1e-3 * float(np.exp(points.data[2].min()))
    back = np.linalg.pinv(form.mapping)
    starts = []
    for cell in list(order)[:STARTS]:
        i, j = divmod(int(cell), len(betas))
        e, a, b = np.log(np.maximum(coefficient[i, j], least))
        starts.append(back @ (np.array([a, b, e, alphas[i], betas[j]]) * _present(form)))
    return starts


def _present(form: LawForm) -> Floats:
    return np.asarray((np.abs(form.mapping).sum(axis=1) > 0).astype(np.float64))


def _lowest_here(error: Floats, i: int, j: int) -> bool:
    around = error[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
    return bool(error[i, j] <= around.min() and np.isfinite(error[i, j]))


def _second_basin(found: list[tuple[Floats, float, int]], law: Law) -> float:
    best, value = found[0][0], found[0][1]
    home = kernel.theta_of(best, law)[0, 3:]
    for phi, other, _ in found[1:]:
        if np.abs(kernel.theta_of(phi, law)[0, 3:] - home).max() > _APART:
            return float((other - value) / max(value, 1e-300))
    return float("inf")


def _at_bounds(phi: Floats, form: LawForm, lowest: float) -> tuple[str, ...]:
    theta = form.offset + form.mapping @ phi
    named = [("alpha", theta[3], form.has_size), ("beta", theta[4], form.has_data)]
    hit = [name for name, value, on in named if on and not _BOUNDS[0] < value < _BOUNDS[1]]
    floor_gone = form.has_floor and theta[2] < lowest + np.log(1e-3)
    return tuple([*hit, *(["E"] if floor_gone else [])])


def _condition(rows: Floats) -> float:
    scale = np.sqrt((rows**2).sum(axis=0))
    return float(np.linalg.cond(rows / np.maximum(scale, 1e-300)) ** 2)
