"""Intervals of anything read off a fitted law: trunk bootstrap, and profile likelihood.

Points of one training run (a trunk) are dependent: log residuals are a trunk effect plus a point
error, both Gaussian, their variances estimated by restricted maximum likelihood.

- **Bootstrap** (first from 8 trunks on): data drawn from the fitted law with both effects, refitted
  from the optimum, studentised: the interval inverts (estimate - truth) / standard error, so few
  trunks widen it as Student's t would.
- **Profile** (first below 8 trunks, else the second opinion): where the likelihood, weighted by
  the noise model and maximised over everything else, falls to Student's t with Satterthwaite's
  degrees of freedom and Kenward and Roger's allowance for estimated weights.

The price of the first is a seed and 0.15 ms a draw for 80 points; of the second that outliers
must be named beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curate.arrays import Floats
from curate.scaling import _fit_kernel as kernel
from curate.scaling import _noise_kernel as noise
from curate.scaling import _profile_kernel as profile
from curate.scaling import _readout_kernel as readout
from curate.scaling._fit_kernel import Data, Law
from curate.scaling.fitting import HUBER_WIDTH, LADDER, outlying
from curate.statistics import Interval, t_quantile

__all__ = [
    "FEWEST_TRUNKS",
    "Evidence",
    "Quantity",
    "bootstrap_interval",
    "evidence_of",
    "join",
    "profile_interval",
    "spread_of",
]

FEWEST_TRUNKS = 8
_NOWHERE = Interval(-math.inf, math.inf)
_FINEST = 1e-6  # noise below this many nats is rounding


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One number that a law says: the kernel's code, its arguments, and its natural limits.

    `low` and `high` bound the profile's search, on the scale of the kernel's value.
    """

    code: int
    args: tuple[float, ...]
    low: float = -60.0
    high: float = 60.0

    @property
    def kernel(self) -> tuple[int, Floats]:
        """As the kernels take it."""
        args = np.zeros(4)
        args[: len(self.args)] = self.args
        return self.code, args


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A fitted law of one or several arms with all that its intervals need.

    Attributes:
        law: (offset, mapping) over the arms.
        data: The points.
        trunks: Number of runs; `fewest` of the arm with the fewest.
        phi: The robust (Huber) estimate.
        best: The noise-weighted estimate, outliers left out; the profile's centre.
        noise: (point variance, trunk / point variance ratio) at `phi`; `best_noise` at `best`.
        spread: Covariance of `phi`.
        draws: Bootstrap refits (draws, k); `draw_spreads` their covariances.
    """

    law: Law
    data: Data
    trunks: int
    fewest: int
    phi: Floats
    best: Floats
    noise: tuple[float, float]
    best_noise: tuple[float, float]
    spread: Floats
    draws: Floats
    draw_spreads: Floats


def evidence_of(law: Law, data: Data, phi: Floats, *, draws: int = 999, seed: int = 1) -> Evidence:
    """Noise, covariance and bootstrap draws around a robust estimate.

    Args:
        law: (offset, mapping) of the arms.
        data: Points; outliers are found here and left out of the likelihood.
        phi: The robust estimate.
        draws: Bootstrap draws; 0 for none.
        seed: Of the draws.

    >>> from curate.scaling.example import example_points
    >>> from curate.scaling.fitting import fit_form, law_arrays
    >>> from curate.scaling.laws import law_form
    >>> from curate.scaling.points import point_set
    >>> points, form = point_set(example_points()), law_form("chinchilla")
    >>> found = evidence_of(law_arrays(form), points.data, fit_form(points, form).phi, draws=19)
    >>> found.trunks, found.draws.shape
    (10, (19, 5))
    """
    residuals = data[2] - kernel.predict(phi, law, data)
    data = (*data[:5], ~outlying(residuals))
    trunks = int(data[4].max()) + 1
    variance, ratio = noise.noise_of(phi, law, data, trunks)
    best, _, best_variance, best_ratio = profile.mixed_fit(phi, law, data, trunks)
    found = Evidence(
        law=law,
        data=data,
        trunks=trunks,
        fewest=_fewest_trunks(data),
        phi=phi,
        best=best,
        noise=(variance, ratio),
        best_noise=(best_variance, best_ratio),
        spread=noise.spread_of(phi, law, data, (variance, ratio), trunks),
        draws=np.empty((0, len(phi))),
        draw_spreads=np.empty((0, len(phi), len(phi))),
    )
    return _drawn(found, draws, seed) if draws and _noisy(found) else found


def _fewest_trunks(data: Data) -> int:
    arms = np.unique(data[3])
    return min(len(np.unique(data[4][data[3] == arm])) for arm in arms)


def _noisy(found: Evidence) -> bool:
    """Whether there is any noise to speak of: a perfect fit has intervals of no width."""
    return bool(np.isfinite(found.noise[0]) and math.sqrt(found.noise[0]) > _FINEST)


def _drawn(found: Evidence, draws: int, seed: int) -> Evidence:
    stream = np.random.Generator(np.random.PCG64(seed))
    normals = (
        stream.standard_normal((draws, len(found.data[0]))),
        stream.standard_normal((draws, found.trunks)),
    )
    variance, ratio = found.noise
    plan = (math.sqrt(variance), math.sqrt(variance * ratio), HUBER_WIDTH, LADDER[2:])
    phis, spreads, _ = noise.bootstrap(found.phi, found.law, found.data, plan, normals)
    return replace(found, draws=phis, draw_spreads=spreads)


def join(parts: Sequence[Evidence]) -> Evidence:
    """Separate laws as one, each part's arms after those of the part before it.

    The parts' noise is pooled for the profile; bootstrap draws are paired as they come, so the
    parts must have been drawn with different seeds. Logs must share one centre.

    >>> from curate.scaling.example import example_law
    >>> part = example_law().evidence
    >>> join([part, part]).phi.shape
    (10,)
    """
    law, data = _joined_law(parts), _joined_data(parts)
    trunks = sum(part.trunks for part in parts)
    start = np.concatenate([part.best for part in parts])
    best, _, variance, ratio = profile.mixed_fit(start, law, data, trunks)
    draws = min(len(part.draws) for part in parts)
    spreads = [_diagonal([part.draw_spreads[d] for part in parts]) for d in range(draws)]
    k = len(start)
    return Evidence(
        law=law,
        data=data,
        trunks=trunks,
        fewest=min(part.fewest for part in parts),
        phi=np.concatenate([part.phi for part in parts]),
        best=best,
        noise=(variance, ratio),
        best_noise=(variance, ratio),
        spread=_diagonal([part.spread for part in parts]),
        draws=np.concatenate([part.draws[:draws] for part in parts], axis=1),
        draw_spreads=np.array(spreads).reshape(draws, k, k),
    )


def _joined_law(parts: Sequence[Evidence]) -> Law:
    offset = np.concatenate([part.law[0] for part in parts])
    mapping, column = np.zeros((len(offset), 5, sum(len(part.phi) for part in parts))), 0
    row = 0
    for part in parts:
        arms, _, k = part.law[1].shape
        mapping[row : row + arms, :, column : column + k] = part.law[1]
        row, column = row + arms, column + k
    return offset, mapping


def _joined_data(parts: Sequence[Evidence]) -> Data:
    arms = np.cumsum([0, *(len(part.law[0]) for part in parts)])
    trunks = np.cumsum([0, *(part.trunks for part in parts)])
    numbered = [
        (*part.data[:3], part.data[3] + arms[i], part.data[4] + trunks[i], part.data[5])
        for i, part in enumerate(parts)
    ]
    n, m, y = (np.concatenate([data[i] for data in numbered]) for i in range(3))
    arm, trunk = (np.concatenate([data[i] for data in numbered]).astype(np.int64) for i in (3, 4))
    keep = np.concatenate([data[5] for data in numbered]).astype(np.bool_)
    return n.astype(np.float64), m.astype(np.float64), y.astype(np.float64), arm, trunk, keep


def _diagonal(blocks: Sequence[Floats]) -> Floats:
    size = sum(len(block) for block in blocks)
    out, at = np.zeros((size, size)), 0
    for block in blocks:
        out[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return out


def bootstrap_interval(what: Quantity, found: Evidence, *, confidence: float = 0.95) -> Interval:
    """Studentised interval from the bootstrap draws, on the scale of the kernel's value.

    Ends are order statistics chosen so that n draws have exactly the level where (n + 1) times
    the tail is whole (199, 999). Without enough draws, or where a draw says nothing, the end
    is infinite.

    >>> from curate.scaling.example import example_law
    >>> alpha = Quantity(code=readout.PARAMETER, args=(0, 3))
    >>> low, high = bootstrap_interval(alpha, example_law().evidence, confidence=0.9)
    >>> low < 0.34 < high
    True
    """
    place = round((1 - confidence) / 2 * (len(found.draws) + 1))
    centre, error = spread_of(what, found)
    if place < 1 or not np.isfinite(centre) or not error > 0:
        return Interval(centre, centre) if not _noisy(found) else _NOWHERE
    values, errors = readout.read_draws(what.kernel, found.draws, found.draw_spreads, found.law)
    pivots = (values - centre) / np.where(errors > 0, errors, np.nan)
    lost = ~np.isfinite(pivots)
    wild = np.where(values > centre, np.inf, -np.inf)
    low_pivots = np.sort(np.where(lost, np.where(np.isnan(values), -np.inf, wild), pivots))
    high_pivots = np.sort(np.where(lost, np.where(np.isnan(values), np.inf, wild), pivots))
    low = centre - high_pivots[-place] * error
    return Interval(float(low), float(centre - low_pivots[place - 1] * error))


def spread_of(what: Quantity, found: Evidence) -> tuple[float, float]:
    """Robust estimate of a quantity and its standard error, on the kernel's scale.

    >>> from curate.scaling.example import example_law
    >>> spread_of(Quantity(code=readout.PARAMETER, args=(0, 3)), example_law().evidence)[1] < 0.1
    True
    """
    phi, spread = np.ascontiguousarray(found.phi), np.ascontiguousarray(found.spread)
    values, errors = readout.read_draws(what.kernel, phi[None], spread[None], found.law)
    return float(values[0]), float(errors[0])


def profile_interval(what: Quantity, found: Evidence, *, confidence: float = 0.95) -> Interval:
    """Interval by profile likelihood under the noise model, on the kernel's scale.

    An end is infinite where even the quantity's natural limit is not rejected, or where
    nothing is left to tell the runs' noise from the law.

    >>> from curate.scaling.example import example_law
    >>> alpha = Quantity(code=readout.PARAMETER, args=(0, 3))
    >>> low, high = profile_interval(alpha, example_law().evidence)
    >>> low < 0.34 < high
    True
    """
    variance, ratio = found.best_noise
    centre = readout.quantity(what.kernel, found.best, found.law)
    if not _noisy(found):
        return Interval(centre, centre)
    gradient = readout.slope(what.kernel, found.best, found.law)
    if not np.isfinite(centre) or not np.isfinite(gradient).all():
        return _NOWHERE
    noisy = (variance, ratio)
    model = (found.best, found.law, found.data)
    df, error, inflation = profile.degrees_of_freedom(gradient, *model, noisy)
    critical = float(t_quantile(confidence, df)) * math.sqrt(inflation)
    if not np.isfinite(error) or not error > 0 or not np.isfinite(critical):
        return _NOWHERE
    plans = [
        (variance, ratio, found.trunks, error, side * critical, limit)
        for side, limit in ((-1, what.low), (1, what.high))
    ]
    low, high = (float(profile.profile_end(what.kernel, *model, plan)) for plan in plans)
    return Interval(low, high)
