"""What a fitted law says: tokens needed, what a token is worth, where more stops paying.

Every read-out carries an interval, or says why there is none: the points do not pin it down, or
it lies outside what was measured (then it is given only on request, and marked).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.scaling import _readout_kernel as kernel
from curate.scaling.law import ScalingLaw, few_runs, known_well
from curate.scaling.uncertainty import (
    FEWEST_TRUNKS,
    Evidence,
    Quantity,
    bootstrap_interval,
    join,
    profile_interval,
)
from curate.statistics import Interval

__all__ = [
    "ReadOut",
    "compute_optimal",
    "exponent_shifts",
    "gain_per_doubling",
    "knee",
    "law_multiplier",
    "loss_at",
    "read_off",
    "read_out_table",
    "tokens_needed",
]

_NOT_IDENTIFIED = "cannot tell: the points do not pin it down (interval wider than a factor of 4)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOut:
    """One number read off a law.

    Attributes:
        quantity: What it is, with its unit.
        arm: Of which arm, or "a → b".
        at: Where it was read, in words.
        n_params: Model size it was read at; None where it is of no one size.
        estimate: The number; None where it cannot be told.
        low: Lower end of its interval; `high` the upper one.
        method: Of the interval.
        extrapolation: How many times beyond the measured range; 1 inside.
        note: Why there is no number, or that it is an extrapolation.
    """

    quantity: str
    arm: str
    at: str
    estimate: float | None
    low: float | None
    high: float | None
    method: str
    extrapolation: float = 1.0
    note: str = ""
    n_params: float | None = None


def read_out_table(found: list[ReadOut]) -> pl.DataFrame:
    """Read-outs as a table, one row each.

    >>> read_out_table([]).columns[:3]
    ['quantity', 'arm', 'at']
    """
    kinds = {"estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    kinds |= {"extrapolation": pl.Float64, "n_params": pl.Float64}
    names = ReadOut.__dataclass_fields__
    schema = {name: kinds.get(name, pl.String) for name in names}
    return pl.DataFrame([{name: getattr(row, name) for name in names} for row in found], schema)


def read_off(
    what: Quantity, evidence: Evidence, *, confidence: float = 0.95
) -> tuple[float, Interval, str]:
    """Estimate, first interval and its method, on the kernel's (logarithmic) scale.

    >>> from curate.scaling.example import example_law
    >>> what = Quantity(code=kernel.LOG_PARAMETER, args=(0, 4))
    >>> value, interval, method = read_off(what, example_law().evidence, confidence=0.9)
    >>> interval.low < value < interval.high, method
    (True, 'trunk bootstrap')
    """
    value = float(kernel.quantity(what.kernel, evidence.phi, evidence.law))
    if evidence.fewest >= FEWEST_TRUNKS and len(evidence.draws):
        found = bootstrap_interval(what, evidence, confidence=confidence)
        return value, found, "trunk bootstrap"
    return value, profile_interval(what, evidence, confidence=confidence), "profile likelihood"


def tokens_needed(
    law: ScalingLaw, *, loss: float, n_params: float, extrapolate: bool = False
) -> ReadOut:
    """Training tokens at which a model of this size reaches a loss.

    Args:
        law: The fitted law.
        loss: The loss to reach, in the unit of the points.
        n_params: Size of the model.
        extrapolate: Also outside the measured sizes and budgets; marked then.

    >>> from curate.scaling.example import example_law
    >>> found = tokens_needed(example_law(), loss=2.5, n_params=1e9)
    >>> 1e10 < found.low < found.estimate < found.high < 1e11
    True
    >>> tokens_needed(example_law(), loss=2.05, n_params=1e9).note
    'not reached: below what this size reaches with any number of tokens'
    """
    n0, d0 = law.points.centre
    what = Quantity(code=kernel.TOKENS, args=(0, math.log(loss), math.log(n_params) - n0))
    empty = _empty(law, "tokens needed", _where(law, n_params, f"loss {loss:g}"))
    empty = replace(empty, n_params=n_params)
    value = float(kernel.quantity(what.kernel, law.evidence.phi, law.evidence.law))
    if math.isinf(value):
        return replace(empty, note=empty.note or _below_floor(law))
    beyond = _beyond(law, n_params, math.exp(min(value + d0, 700.0)))
    return _shown(what, law.evidence, replace(empty, extrapolation=beyond), (d0, extrapolate))


def law_multiplier(
    law: ScalingLaw,
    against: ScalingLaw,
    *,
    n_params: float,
    n_tokens: float,
    extrapolate: bool = False,
) -> ReadOut:
    """How many tokens of `law`'s arm do the work of one of `against`'s, at equal loss.

    The loss is the one that `against` reaches with `n_tokens` at this size.

    >>> from curate.scaling.example import example_law
    >>> found = law_multiplier(example_law("raw"), example_law(), n_params=1e9, n_tokens=1e11)
    >>> found.low < 1.5 < found.high
    True
    >>> law_multiplier(example_law("raw"), example_law(), n_params=1e9, n_tokens=1e12).note
    'not reached (would be an extrapolation of × ...; pass extrapolate=True)'
    """
    both = _common(law, against)
    n0, d0 = law.points.centre
    place = (math.log(n_params) - n0, math.log(n_tokens) - d0)
    what = Quantity(code=kernel.MULTIPLIER, args=(0, 1, *place))
    value = float(kernel.quantity(what.kernel, both.phi, both.law))
    fewer = law if law.evidence.fewest <= against.evidence.fewest else against
    at = _where(law, n_params, f"{n_tokens:.3g} tokens")
    empty = replace(_empty(fewer, "token multiplier", at), arm=f"{law.arm} → {against.arm}")
    if not math.isfinite(value):
        return replace(empty, note=f"not reached: below the floor of {law.arm}")
    beyond = max(
        _beyond(law, n_params, math.exp(min(value, 600.0)) * n_tokens),
        _beyond(against, n_params, n_tokens),
    )
    return _shown(what, both, replace(empty, extrapolation=beyond), (0.0, extrapolate))


def compute_optimal(
    law: ScalingLaw, *, flops: float, extrapolate: bool = False
) -> tuple[ReadOut, ReadOut, ReadOut]:
    """Size, tokens, and tokens per parameter that reach the lowest loss for a compute budget.

    Compute is 6 N D. About 20 tokens per parameter is the ratio of Hoffmann et al. 2022;
    models trained for cheap inference go far beyond (Llama 3 8B: 15 T tokens, 1,875).

    >>> from curate.scaling.example import example_law
    >>> size, tokens, ratio = compute_optimal(example_law(), flops=1e21)
    >>> round(6 * size.estimate * tokens.estimate / 1e21, 6)
    1.0
    """
    if not (law.form.has_size and law.form.has_data):
        raise ConfigError(f"{law.form.formula} holds one variable only: nothing to trade off")
    n0, d0 = law.points.centre
    total = math.log(flops / 6) - n0 - d0
    at, shifts = f"{flops:.3g} FLOPs", (n0, d0, d0 - n0)
    codes = (kernel.BEST_N, kernel.BEST_D, kernel.BEST_RATIO)
    names = ("compute-optimal parameters", "compute-optimal tokens", "tokens per parameter")
    why = _exponent_note(law)
    whats = [Quantity(code=code, args=(0, total)) for code in codes]
    evidence = law.evidence
    best = [
        math.exp(float(kernel.quantity(what.kernel, evidence.phi, evidence.law)) + shift)
        for what, shift in zip(whats, shifts, strict=True)
    ]
    beyond = _beyond(law, best[0], best[1])
    found = []
    for what, name, shift in zip(whats, names, shifts, strict=True):
        empty = replace(_empty(law, name, at), extrapolation=beyond)
        empty = replace(empty, note=empty.note or why)
        found.append(_shown(what, evidence, empty, (shift, extrapolate)))
    return found[0], found[1], found[2]


def _exponent_note(law: ScalingLaw) -> str:
    rows = law.table.filter(pl.col("parameter").is_in(["alpha", "beta"]) & ~pl.col("identified"))
    return "" if rows.height == 0 else f"cannot tell: {rows['parameter'][0]} is {rows['note'][0]}"


def knee(law: ScalingLaw, *, n_params: float, threshold: float = 0.005) -> ReadOut:
    """Tokens beyond which one doubling lowers the loss by less than a share of itself.

    A knee outside the measured budgets is named as a bound, not as a number.

    >>> from curate.scaling.example import example_law
    >>> 1e10 < knee(example_law(), n_params=1e9, threshold=0.02).estimate < 1e12
    True
    """
    n0, d0 = law.points.centre
    what = Quantity(code=kernel.KNEE, args=(0, math.log(n_params) - n0, threshold))
    at = _where(law, n_params, f"{100 * threshold:g} % per doubling")
    empty = _empty(law, "knee (tokens)", at)
    value = float(kernel.quantity(what.kernel, law.evidence.phi, law.evidence.law)) + d0
    ends = law.points.frame["n_tokens"].min(), law.points.frame["n_tokens"].max()
    low, high = (float(end) for end in ends if isinstance(end, float))
    if value > math.log(high):
        said = f"beyond {high:.3g} tokens, the most that was measured: a doubling still pays"
        return replace(empty, note=said, extrapolation=math.exp(min(value, 700.0)) / high)
    if value < math.log(low):
        return replace(empty, note=f"below {low:.3g} tokens, the fewest that were measured")
    return _shown(what, law.evidence, empty, (d0, True))


def gain_per_doubling(law: ScalingLaw, *, n_params: float, n_tokens: float) -> ReadOut:
    """Share of the loss that one doubling of the tokens takes away.

    >>> from curate.scaling.example import example_law
    >>> 0.01 < gain_per_doubling(example_law(), n_params=1e9, n_tokens=1e10).estimate < 0.1
    True
    """
    n0, d0 = law.points.centre
    place = (math.log(n_params) - n0, math.log(n_tokens) - d0)
    what = Quantity(code=kernel.GAIN, args=(0, *place))
    at = _where(law, n_params, f"{n_tokens:.3g} tokens")
    empty = _empty(law, "loss saved by a doubling (share)", at)
    beyond = _beyond(law, n_params, n_tokens)
    return _shown(what, law.evidence, replace(empty, extrapolation=beyond), (0.0, False))


def loss_at(law: ScalingLaw, *, n_params: float, n_tokens: float) -> ReadOut:
    """The law's loss at a size and budget; marked where that is an extrapolation.

    >>> from curate.scaling.example import example_law
    >>> 2.2 < loss_at(example_law(), n_params=1e9, n_tokens=1e11).estimate < 2.5
    True
    """
    n0, d0 = law.points.centre
    place = (math.log(n_params) - n0, math.log(n_tokens) - d0)
    what = Quantity(code=kernel.LOSS, args=(0, *place))
    empty = _empty(law, "loss", _where(law, n_params, f"{n_tokens:.3g} tokens"))
    beyond = _beyond(law, n_params, n_tokens)
    return _shown(what, law.evidence, replace(empty, extrapolation=beyond), (0.0, True))


def exponent_shifts(law: ScalingLaw, against: ScalingLaw) -> list[ReadOut]:
    """By what factor `against`'s exponents differ from `law`'s, one row an exponent of the form.

    The arms are fitted apart; the interval combines theirs on the log scale (Zou & Donner 2008,
    "Construction of confidence limits about effect measures", equation 3).

    >>> from curate.scaling.example import example_law
    >>> rows = exponent_shifts(example_law("raw"), example_law())
    >>> [row.quantity for row in rows], all(row.low < 1 < row.high for row in rows)
    (['change of alpha (factor)', 'change of beta (factor)'], True)
    """
    found = []
    for name, on in (("alpha", law.form.has_size), ("beta", law.form.has_data)):
        if on:
            found.append(_shift_of(name, law, against))
    return found


def _shift_of(name: str, law: ScalingLaw, against: ScalingLaw) -> ReadOut:
    empty = replace(
        _empty(law, f"change of {name} (factor)", "arms fitted apart"),
        arm=f"{law.arm} → {against.arm}",
    )
    rows = [one.table.filter(parameter=name).row(0, named=True) for one in (law, against)]
    vague = [row["note"] for row in rows if not row["identified"]]
    if empty.note or vague:
        return replace(empty, note=empty.note or f"cannot tell: {name} is {vague[0]}")
    a, b = ({k: math.log(row[k]) for k in ("estimate", "low", "high")} for row in rows)
    middle = b["estimate"] - a["estimate"]
    down = math.hypot(b["estimate"] - b["low"], a["high"] - a["estimate"])
    up = math.hypot(b["high"] - b["estimate"], a["estimate"] - a["low"])
    estimate, low, high = (math.exp(middle + by) for by in (0.0, -down, up))
    return replace(empty, estimate=estimate, low=low, high=high)


def _below_floor(law: ScalingLaw) -> str:
    """A loss under the fitted floor is out of reach only where the floor is known."""
    floor = law.table.filter(parameter="E")
    if floor.height and not floor["identified"][0]:
        return f"cannot tell: below the fitted floor, which is {floor['note'][0]}"
    return "not reached: below what this size reaches with any number of tokens"


def _where(law: ScalingLaw, n_params: float, rest: str) -> str:
    """A place in words; a law without sizes was read at none."""
    return f"{n_params:.3g} parameters, {rest}" if law.form.has_size else rest


def _empty(law: ScalingLaw, quantity: str, at: str) -> ReadOut:
    method = f"{100 * law.options.confidence:g} %"
    why = few_runs(law.form, law.evidence)
    return ReadOut(
        quantity=quantity,
        arm=law.arm,
        at=at,
        estimate=None,
        low=None,
        high=None,
        method=method,
        note=f"cannot tell: {why}" if why else "",
    )


def _beyond(law: ScalingLaw, n_params: float, n_tokens: float) -> float:
    """How many times outside the measured sizes or budgets a place lies; 1 inside."""
    worst = 1.0
    for name, value, on in (
        ("n_params", n_params, law.form.has_size),
        ("n_tokens", n_tokens, law.form.has_data),
    ):
        measured = law.points.frame[name].to_numpy()
        if on:
            worst = max(worst, value / measured.max(), measured.min() / value)
    return float(worst) if worst > 1 + 1e-9 else 1.0


def _shown(what: Quantity, evidence: Evidence, empty: ReadOut, how: tuple[float, bool]) -> ReadOut:
    """The read-out filled in, where it is measured (or asked for beyond) and pinned down."""
    shift, extrapolate = how
    outside = empty.extrapolation > 1
    if empty.note:
        return empty
    if outside and not extrapolate:
        times = f"{empty.extrapolation:.2g}"
        said = f"not reached (would be an extrapolation of × {times}; pass extrapolate=True)"
        return replace(empty, note=said)
    confidence = float(empty.method.removesuffix(" %")) / 100
    value, ends, method = read_off(what, evidence, confidence=confidence)
    low, estimate, high = (_exp(end + shift) for end in (ends.low, value, ends.high))
    said = f"extrapolation of × {empty.extrapolation:.2g}" if outside else ""
    method = f"{empty.method} {method}"
    if not known_well(Interval(low, high)):
        return replace(empty, method=method, note=_NOT_IDENTIFIED)
    return replace(empty, estimate=estimate, low=low, high=high, method=method, note=said)


def _exp(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


def _common(law: ScalingLaw, against: ScalingLaw) -> Evidence:
    """Both laws' evidence as one, centred alike."""
    return join([law.evidence, _recentred(against, law.points.centre)])


def _recentred(law: ScalingLaw, centre: tuple[float, float]) -> Evidence:
    """The same law with its logs centred elsewhere: a and b move by exponent x shift."""
    by = [new - old for new, old in zip(centre, law.points.centre, strict=True)]
    move = np.eye(5)
    move[0, 3], move[1, 4] = -by[0], -by[1]
    mapping = law.form.mapping
    turn: Floats = np.linalg.pinv(mapping) @ move @ mapping
    old = law.evidence
    data = (old.data[0] - by[0], old.data[1] - by[1], *old.data[2:])
    return replace(
        old,
        data=data,
        phi=turn @ old.phi,
        best=turn @ old.best,
        spread=turn @ old.spread @ turn.T,
        draws=np.ascontiguousarray(old.draws @ turn.T),
        draw_spreads=np.ascontiguousarray(turn @ old.draw_spreads @ turn.T),
    )
