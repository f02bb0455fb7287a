"""A fitted scaling law: its parameters with intervals, and when a parameter is not identified."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from html import escape

import numpy as np
import polars as pl

from curate.errors import ConfigError, check_name
from curate.scaling import _fit_kernel as kernel
from curate.scaling import _readout_kernel as readout
from curate.scaling.fitting import Fit, fit_form, law_arrays
from curate.scaling.laws import LawForm, law_form
from curate.scaling.points import Columns, PointSet, check_points, point_set
from curate.scaling.uncertainty import (
    FEWEST_TRUNKS,
    Evidence,
    Quantity,
    bootstrap_interval,
    evidence_of,
    profile_interval,
)
from curate.statistics import Interval

__all__ = [
    "FEWEST_LEVELS",
    "PARAMETERS",
    "FitOptions",
    "ScalingLaw",
    "few_runs",
    "fit_points",
    "fit_scaling_law",
    "known_well",
]

FEWEST_LEVELS = 5
_WIDEST = 4.0  # high / low of an interval that still pins a number down
_CLOSE_BASIN = 1e-3
_FLAT = math.log(0.01)
_STEEP = math.log(3.0)

_TABLE = {
    "parameter": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "second_low": pl.Float64,
    "second_high": pl.Float64,
    "identified": pl.Boolean,
    "note": pl.String,
}

#: What is reported of a law. A and B alone are not: they move with the exponents (correlation 1).
PARAMETERS = {
    "E": Quantity(code=readout.PARAMETER, args=(0, 2), low=-14.0, high=14.0),
    "alpha": Quantity(code=readout.LOG_PARAMETER, args=(0, 3), low=_FLAT, high=_STEEP),
    "beta": Quantity(code=readout.LOG_PARAMETER, args=(0, 4), low=_FLAT, high=_STEEP),
    "compute_optimal_exponent": Quantity(code=readout.ODDS, args=(0,), low=-5.0, high=5.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FitOptions:
    """How a law is fitted.

    Attributes:
        form: Name of the form, a key of `FORMS`.
        confidence: Level of the intervals.
        draws: Bootstrap draws.
        seed: Of the draws; arms are drawn apart by their names.
    """

    form: str = "chinchilla"
    confidence: float = 0.95
    draws: int = 999
    seed: int = 1

    def __post_init__(self) -> None:
        law_form(self.form)
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"confidence is {self.confidence!r}; it must lie in [0.5, 1)")
        if self.draws < 0:
            raise ConfigError(f"{self.draws} bootstrap draws do not exist; use 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalingLaw:
    """A law fitted to the points of one arm.

    Attributes:
        arm: Name of the data set or recipe.
        form: Form of the law.
        options: How it was fitted.
        table: One row a parameter: `parameter, estimate, low, high` (null where not
            identified), `method` of the interval, `second_low, second_high` by the other
            method, `identified`, `note` why not.
        outliers: Points more than six robust standard deviations off: `n_params, n_tokens,
            loss, run, log_residual`.
        fit: Objective, second basin, bound hits, condition number.
        points: The points.
        evidence: What further intervals are made of.
    """

    arm: str
    form: LawForm
    options: FitOptions
    table: pl.DataFrame
    outliers: pl.DataFrame
    fit: Fit
    points: PointSet
    evidence: Evidence

    @property
    def coefficients(self) -> dict[str, float]:
        """E, A, B, alpha, beta, as `predicted_loss` takes them; alone they mean little."""
        theta = kernel.theta_of(self.evidence.phi, self.evidence.law)[0]
        n0, d0 = self.points.centre
        a, b = theta[0] + theta[3] * n0, theta[1] + theta[4] * d0
        return {
            "E": float(np.exp(theta[2])) if self.form.has_floor else 0.0,
            "A": float(np.exp(a)) if self.form.has_size else 0.0,
            "B": float(np.exp(b)) if self.form.has_data else 0.0,
            "alpha": float(theta[3]),
            "beta": float(theta[4]),
        }

    @property
    def noise(self) -> tuple[float, float]:
        """Standard deviations of ln loss: (between points of a run, between runs)."""
        variance, ratio = self.evidence.noise
        return math.sqrt(variance), math.sqrt(variance * ratio)

    def _repr_html_(self) -> str:
        head = f"<p>{escape(self.arm)}: L = {escape(self.form.formula)}</p>"
        return head + str(self.table._repr_html_())


def fit_scaling_law(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    arm: str | None = None,
    columns: Columns | None = None,
    options: FitOptions | None = None,
) -> ScalingLaw:
    """Fit a scaling law to measured points of one arm.

    Args:
        frame: One row a point: model size, training tokens, loss > 0 (any unit), and where
            there are several, the arm; names by `columns`. Points of one training run are
            dependent: name the run's column, else all points of one size count as one run.
        arm: Which arm; needed where the frame holds several.
        columns: Names of the columns, default `n_params, n_tokens, loss, arm`.
        options: Form of the law, confidence, bootstrap draws, seed.

    Returns:
        Parameters with intervals. A parameter that the points do not pin down (interval
        wider than a factor of four, fewer than five sizes or budgets, at a bound, or another
        optimum as good) is marked `identified = False`, and its numbers are null.

    Raises:
        ConfigError: A column or the arm is missing, or there are too few points, sizes or
            budgets for the form.
        InputError: A value is missing, not finite or not positive.

    >>> from curate.scaling.example import example_points
    >>> law = fit_scaling_law(example_points(), options=FitOptions(draws=39))
    >>> law.table.filter(parameter="beta")["identified"].item()
    True
    >>> round(law.coefficients["beta"], 1)
    0.4
    """
    checked = check_points(frame, columns)
    arms = checked["arm"].unique().sort().to_list()
    if arm is None and len(arms) > 1:
        raise ConfigError(f"the points hold several arms; pass arm=, one of: {', '.join(arms)}")
    if arm is not None:
        check_name("arm", arm, arms)
    mine = checked.filter(arm=arm) if arm is not None else checked
    if mine.height == 0:
        raise ConfigError("the table of points is empty")
    return fit_points(point_set(mine), options=options or FitOptions())


def fit_points(points: PointSet, *, options: FitOptions) -> ScalingLaw:
    """Fit a law to the points of one arm that are checked already.

    Raises:
        ConfigError: Too few points, sizes or budgets for the form.

    >>> from curate.scaling.example import example_points
    >>> fit_points(point_set(example_points()), options=FitOptions(draws=0)).arm
    'curated'
    """
    form, arm = law_form(options.form), points.arms[0]
    _check_levels(points, form)
    fit = fit_form(points, form)
    law = law_arrays(form)
    data = (*points.data[:3], np.zeros_like(points.data[3]), *points.data[4:])
    seed = options.seed + zlib.crc32(arm.encode())
    evidence = evidence_of(law, data, fit.phi, draws=options.draws, seed=seed)
    return ScalingLaw(
        arm=arm,
        form=form,
        options=options,
        table=_parameter_table(points, form, fit, evidence, options),
        outliers=_outliers(points, evidence),
        fit=fit,
        points=points,
        evidence=evidence,
    )


def _levels(points: PointSet) -> dict[str, int]:
    return {name: points.frame[name].n_unique() for name in ("n_params", "n_tokens")}


def _check_levels(points: PointSet, form: LawForm) -> None:
    levels, n = _levels(points), points.frame.height
    where = f"arm {points.arms[0]!r}"
    if n < form.free + 2:
        raise ConfigError(
            f"{where}: {n} points cannot carry {form.formula}; at least {form.free + 2} are needed"
        )
    for name, word, on in (
        ("n_params", "size", form.has_size),
        ("n_tokens", "token budget", form.has_data),
    ):
        if on and levels[name] < 2 + form.has_floor:
            raise ConfigError(
                f"{where}: {levels[name]} {word}{'s' * (levels[name] > 1)} cannot tell how loss "
                f"falls with {name}; at least {2 + form.has_floor} are needed"
                + ("; with one size fit form 'data'" if name == "n_params" else "")
            )


def _outliers(points: PointSet, evidence: Evidence) -> pl.DataFrame:
    residuals = evidence.data[2] - kernel.predict(evidence.phi, evidence.law, evidence.data)
    named = points.frame.with_columns(log_residual=pl.Series(residuals)).drop("arm")
    return named.filter(pl.Series(~evidence.data[5]))


def _reported(form: LawForm) -> list[str]:
    both = form.has_size and form.has_data
    on = {
        "E": form.has_floor,
        "alpha": form.has_size,
        "beta": form.has_data,
        "compute_optimal_exponent": both and not form.tied,
    }
    return [name for name in PARAMETERS if on[name]]


def _parameter_table(
    points: PointSet, form: LawForm, fit: Fit, evidence: Evidence, options: FitOptions
) -> pl.DataFrame:
    rows = []
    for name in _reported(form):
        value, first, second, method = _both_intervals(name, evidence, options.confidence)
        why = _why_not(name, points, form, (fit, evidence)) or _too_wide(first)
        shown = None if why else value
        rows.append(
            {
                "parameter": name,
                "estimate": shown,
                "low": first.low if shown is not None else None,
                "high": first.high if shown is not None else None,
                "method": method,
                "second_low": _finite(second.low) if shown is not None else None,
                "second_high": _finite(second.high) if shown is not None else None,
                "identified": why == "",
                "note": f"not identified: {why}" if why else "",
            }
        )
    return pl.DataFrame(rows, schema=_TABLE)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _both_intervals(
    name: str, evidence: Evidence, confidence: float
) -> tuple[float, Interval, Interval, str]:
    """Estimate, first and second interval on the natural scale, and the first one's method."""
    what = PARAMETERS[name]
    drawn = bootstrap_interval(what, evidence, confidence=confidence)
    profiled = profile_interval(what, evidence, confidence=confidence)
    value = _natural(name, readout.quantity(what.kernel, evidence.phi, evidence.law))
    ends = [Interval(*(_natural(name, end) for end in found)) for found in (drawn, profiled)]
    if evidence.fewest < FEWEST_TRUNKS or not len(evidence.draws):
        return value, ends[1], ends[0], "profile likelihood"
    return value, ends[0], ends[1], "trunk bootstrap"


def _natural(name: str, value: float) -> float:
    if name != "compute_optimal_exponent":
        return float(np.exp(min(value, 700.0)))
    return float(1 / (1 + np.exp(-min(max(value, -700.0), 700.0))))


def _why_not(name: str, points: PointSet, form: LawForm, found: tuple[Fit, Evidence]) -> str:
    """Reasons of design and of the fit itself; empty where there is none."""
    levels, (fit, evidence) = _levels(points), found
    by_size = form.has_size and name != "beta"
    by_data = form.has_data and (name != "alpha")
    if by_size and levels["n_params"] < FEWEST_LEVELS:
        return f"{levels['n_params']} sizes; at least {FEWEST_LEVELS} are needed"
    if by_data and levels["n_tokens"] < FEWEST_LEVELS:
        return f"{levels['n_tokens']} token budgets; at least {FEWEST_LEVELS} are needed"
    if name != "beta" and (why := few_runs(form, evidence)):
        return why
    if name in fit.at_bounds or (name == "compute_optimal_exponent" and fit.at_bounds):
        return "the fit runs to the bound of what is allowed"
    if fit.second_basin < _CLOSE_BASIN:
        return f"another optimum is as good (objective {fit.second_basin:.1e} higher)"
    return ""


def few_runs(form: LawForm, evidence: Evidence) -> str:
    """Why runs cannot tell their own scatter from the law; empty where they can.

    A run's noise moves all its points together, as does a size's place on the law: with the
    form's numbers between runs (E, A, alpha; or a level alone) two more runs are the least.

    >>> from curate.scaling.example import example_law
    >>> few_runs(example_law().form, example_law().evidence)
    ''
    """
    needed = FEWEST_LEVELS if form.has_size else 3
    if evidence.fewest >= needed:
        return ""
    return f"{evidence.fewest} runs; at least {needed} are needed to know how runs scatter"


def _too_wide(ends: Interval) -> str:
    if known_well(ends):
        return ""
    return f"the interval spans more than a factor of {_WIDEST:g}"


def known_well(ends: Interval) -> bool:
    """Whether an interval of a positive number pins it down: bounded, ends within a factor 4.

    >>> known_well(Interval(0.2, 0.5)), known_well(Interval(0.2, math.inf))
    (True, False)
    """
    bounded = math.isfinite(ends.high) and ends.low > 0
    return bounded and ends.high <= _WIDEST * ends.low
