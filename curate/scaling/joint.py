"""Two arms, one law: does curation make each token count more, or lower the floor?

The arms share A, alpha and beta. The second may differ in a data factor m (its D counts as m D),
in the floor E, or in both. The four models are weighed by BIC under one noise model; m or E is
named only where it beats the other by 6 (strong evidence, Kass & Raftery 1995). Beside it stand
the error on runs held out and how often data drawn again would name the same cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.errors import ConfigError, check_name
from curate.scaling import _profile_kernel as profile
from curate.scaling import _readout_kernel as readout
from curate.scaling._fit_kernel import Law
from curate.scaling.comparison import bic_of, held_out_error, redrawn_causes, weighted_optimum
from curate.scaling.fitting import fit_form, fit_map
from curate.scaling.law import FEWEST_LEVELS, FitOptions
from curate.scaling.laws import LawForm, law_form
from curate.scaling.points import PointSet, point_set
from curate.scaling.uncertainty import Evidence, Quantity, evidence_of, profile_interval
from curate.statistics import Interval

__all__ = ["CLEAR", "MODELS", "JointLaw", "attribute", "fit_joint", "joint_law"]

CLEAR = 6.0
MODELS = ("same", "factor", "floor", "both")
_FACTOR = Quantity(code=readout.FACTOR, args=(0, 1), low=-7.0, high=7.0)
_REGION = 32
_FIRM = 0.9  # share of redrawn data sets below which a cause is told with care
_MOST_DRAWS = 199  # of the bootstrap of the choice: a share within 7 points


@dataclass(frozen=True, kw_only=True, slots=True)
class JointLaw:
    """How two arms differ under shared exponents.

    Attributes:
        arms: (reference, other).
        models: `model, parameters, bic, delta_bic` (0 = best), `held_out_error` (root mean square
            of ln loss on runs left out of the fit), one row each of `MODELS`.
        cause: "factor", "floor", "both", "same", or "unclear": cannot separate E from m.
        support: Share of data sets drawn again from the widest model that name each cause.
        factor: m with its interval under the model that the cause names ("both" where
            unclear, m alone where "same"): (estimate, low, high).
        floor_shift: Change of E likewise.
        region: `factor, floor_shift`: points around the joint 95 % region of both.
        sentence: What may be said.
        evidence: Of the model that the numbers come from.
    """

    arms: tuple[str, str]
    models: pl.DataFrame
    cause: str
    support: dict[str, float]
    factor: tuple[float, float, float]
    floor_shift: tuple[float, float, float]
    region: pl.DataFrame
    sentence: str
    evidence: Evidence

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{self.models._repr_html_()}"


def fit_joint(
    points: pl.DataFrame, *, reference: str, other: str, options: FitOptions | None = None
) -> JointLaw:
    """Compare two arms under one law with shared exponents.

    Args:
        points: Checked points (`check_points`) that hold both arms.
        reference: The arm whose tokens count 1.
        other: The arm whose tokens count m.
        options: Form and confidence (the intervals are profile likelihood); draws and seed of
            the bootstrap of the choice, at most 199; 0 leaves it out.

    Raises:
        ConfigError: An arm is missing, the form has no data term, or there are too few runs.

    >>> from curate.scaling.example import example_arms
    >>> from curate.scaling.points import check_points
    >>> found = fit_joint(check_points(example_arms(1.5)), reference="raw", other="curated")
    >>> round(found.factor[0], 1), found.cause
    (1.5, 'factor')
    """
    options = options or FitOptions()
    known = points["arm"].unique().to_list()
    for arm in (reference, other):
        check_name("arm", arm, known)
    form = law_form(options.form)
    if not form.has_data:
        raise ConfigError(f"{form.formula} has no data term; a data factor needs one")
    both = _two_arms(points, reference, other)
    needed = FEWEST_LEVELS + 1 if form.has_size else 4
    if both.trunks < needed:
        raise ConfigError(
            f"{both.trunks} runs of {reference} and {other} together; at least {needed} are "
            "needed to tell how runs scatter from how the arms differ"
        )
    return _compared(both, form, (reference, other), options)


def _two_arms(points: pl.DataFrame, reference: str, other: str) -> PointSet:
    """Points of two arms, the reference numbered 0."""
    names = {reference: "0", other: "1"}
    mine = points.filter(pl.col("arm").is_in([reference, other]))
    numbered = mine.with_columns(pl.col("arm").replace_strict(names))
    return point_set(numbered.sort("arm", "n_params", "n_tokens", "run", "loss"))


def joint_law(form: LawForm, model: str) -> Law:
    """The law of two arms: the form's own parameters, then ln-shifts of b (factor) and e (floor).

    >>> joint_law(law_form("chinchilla"), "both")[1].shape
    (2, 5, 7)
    """
    extra = [row for name, row in (("factor", 1), ("floor", 2)) if model in (name, "both")]
    mapping = np.zeros((2, 5, form.free + len(extra)))
    mapping[:, :, : form.free] = form.mapping
    for place, row in enumerate(extra):
        mapping[1, row, form.free + place] = 1.0
    return np.repeat(form.offset[None], 2, axis=0), mapping


def _compared(
    points: PointSet, form: LawForm, arms: tuple[str, str], options: FitOptions
) -> JointLaw:
    confidence = options.confidence
    names = MODELS if form.has_floor else ("same", "factor")
    widest = names[-1] if form.has_floor else "factor"
    pooled = fit_form(points, form).phi
    law = joint_law(form, widest)
    start = np.concatenate([pooled, np.zeros(law[1].shape[2] - len(pooled))])
    found = evidence_of(law, points.data, fit_map(points, law, start), draws=0)
    laws = {name: joint_law(form, name) for name in names}
    bic = bic_of(found, laws, start)
    cause = attribute(bic)
    support = _support(found, laws, start, options)
    by = {"factor": cause, "floor": cause}
    if cause == "same":
        by = {"factor": "factor", "floor": "floor"}
    used = {name: _under(found, form, (name, widest), start) for name in {*by.values()} & {*names}}
    factor = _factor(used.get(by["factor"], found), form, confidence)
    shift = _shift(used.get(by["floor"], found), form, confidence)
    return JointLaw(
        arms=arms,
        models=_model_table(laws, bic, held_out_error(found, laws, start)),
        cause=cause,
        support=support,
        factor=factor,
        floor_shift=shift,
        region=_region(found, form),
        sentence=_sentence(arms, cause, factor, shift) + _support_words(cause, support),
        evidence=used.get(by["factor"], found),
    )


def _support(
    found: Evidence, laws: Mapping[str, Law], start: Floats, options: FitOptions
) -> dict[str, float]:
    """How often another draw of the same noise would name each cause; empty without draws."""
    draws = min(options.draws, _MOST_DRAWS)
    if not draws or found.best_noise[0] < 1e-12:
        return {}
    return redrawn_causes(found, laws, start, name_cause=attribute, draws=(draws, options.seed))


def _support_words(cause: str, support: Mapping[str, float]) -> str:
    if not support:
        return ""
    share = support.get(cause, 0.0)
    care = ": take the cause with care" if share < _FIRM and cause != "unclear" else ""
    return f" Drawn again, {100 * share:.0f} % of data sets say the same{care}."


def _model_table(
    laws: Mapping[str, Law], bic: Mapping[str, float], errors: Mapping[str, float]
) -> pl.DataFrame:
    rows = [(name, law[1].shape[2], bic[name], errors[name]) for name, law in laws.items()]
    table = pl.DataFrame(
        rows, schema=["model", "parameters", "bic", "held_out_error"], orient="row"
    )
    delta = pl.col("bic") - pl.col("bic").min()
    return table.select("model", "parameters", "bic", delta.alias("delta_bic"), "held_out_error")


def _narrowed(found: Evidence, law: Law, start: Floats) -> Evidence:
    """The evidence of a model with fewer parameters, with its own noise."""
    begin = weighted_optimum(found, law, start[: law[1].shape[2]])[0]
    best, _, variance, ratio = profile.mixed_fit(begin, law, found.data, found.trunks)
    noisy = (variance, ratio)
    return replace(found, law=law, phi=best, best=best, noise=noisy, best_noise=noisy)


def attribute(bic: dict[str, float]) -> str:
    """Which of the models may be named as the cause, by differences of 6 in BIC.

    >>> attribute({"same": 50.0, "factor": 10.0, "floor": 30.0, "both": 14.0})
    'factor'
    >>> attribute({"same": 50.0, "factor": 10.0, "floor": 12.0, "both": 14.0})
    'unclear'
    """
    best = min(bic.values())
    if bic["same"] - best < CLEAR:
        return "same"
    if "floor" not in bic:
        return "factor"
    first, second = sorted(("factor", "floor"), key=lambda name: bic[name])
    if bic[first] - bic["both"] >= CLEAR:
        return "both"
    return first if bic[second] - bic[first] >= CLEAR else "unclear"


def _under(found: Evidence, form: LawForm, models: tuple[str, str], start: Floats) -> Evidence:
    name, widest = models
    return found if name == widest else _narrowed(found, joint_law(form, name), start)


def _moves(used: Evidence, form: LawForm, row: int) -> bool:
    """Whether the second arm has a shift of its own of b (1) or e (2)."""
    return bool(used.law[1][1, row, form.free :].any())


def _factor(used: Evidence, form: LawForm, confidence: float) -> tuple[float, float, float]:
    """The data factor with its interval; exactly 1 where the model says so."""
    if not _moves(used, form, 1):
        return 1.0, 1.0, 1.0
    middle, low, high = _with_interval(_FACTOR, used, confidence)
    return math.exp(middle), math.exp(low), math.exp(min(high, 700.0))


def _shift(used: Evidence, form: LawForm, confidence: float) -> tuple[float, float, float]:
    """The change of E with its interval; exactly 0 where the model says so."""
    if not _moves(used, form, 2):
        return 0.0, 0.0, 0.0
    what = Quantity(code=readout.FLOOR_SHIFT, args=(0, 1), low=-1e3, high=1e3)
    return _with_interval(what, used, confidence)


def _with_interval(what: Quantity, used: Evidence, confidence: float) -> tuple[float, float, float]:
    ends: Interval = profile_interval(what, used, confidence=confidence)
    return float(readout.quantity(what.kernel, used.best, used.law)), ends.low, ends.high


def _region(found: Evidence, form: LawForm) -> pl.DataFrame:
    """An ellipse in (ln m, change of E) from the covariance of the weighted fit."""
    schema = {"factor": pl.Float64, "floor_shift": pl.Float64}
    if not form.has_floor or found.best_noise[0] < 1e-12:
        return pl.DataFrame(schema=schema)
    whats = [_FACTOR, Quantity(code=readout.FLOOR_SHIFT, args=(0, 1))]
    slopes = np.array([readout.slope(what.kernel, found.best, found.law) for what in whats])
    centre = [readout.quantity(what.kernel, found.best, found.law) for what in whats]
    spread = (
        slopes
        @ profile.weighted_spread(
            found.best, found.law, found.data, (*found.best_noise, found.trunks)
        )
        @ slopes.T
    )
    if not np.isfinite(spread).all():
        return pl.DataFrame(schema=schema)
    angle = np.linspace(0, 2 * np.pi, _REGION)
    radius = math.sqrt(-2 * math.log(0.05))  # chi-square quantile, 2 degrees of freedom
    values, vectors = np.linalg.eigh(spread)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius
    edge = centre + circle * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    return pl.DataFrame({"factor": np.exp(edge[:, 0]), "floor_shift": edge[:, 1]}, schema=schema)


def _sentence(
    arms: tuple[str, str],
    cause: str,
    factor: tuple[float, float, float],
    shift: tuple[float, float, float],
) -> str:
    a, b = arms
    worth = f"m = {factor[0]:.3g} [{factor[1]:.3g}, {factor[2]:.3g}]"
    moved = f"E by {shift[0]:+.3g} [{shift[1]:+.3g}, {shift[2]:+.3g}]"
    return {
        "same": f"One law fits {a} and {b}: no difference can be told ({worth}, or {moved}).",
        "factor": f"A token of {b} counts as {worth} tokens of {a}; the floor need not differ.",
        "floor": f"{b} moves {moved} against {a}, which needs no data factor beside it.",
        "both": f"{b} differs from {a} in both: {worth}, and {moved}.",
        "unclear": f"{b} differs from {a}, but one cannot separate E from m: {worth} and {moved} "
        "hold together only; see their joint region.",
    }[cause]
