"""Repeated data: how fast further epochs lose their worth, and whether the points can tell.

The data-constrained law of Muennighoff et al. 2023 (arXiv 2305.16264): with U unique tokens, D
tokens trained on and R_D = D / U - 1 repeats, the data term sees

    U + U R_D* (1 - exp(-R_D / R_D*))

tokens, so R_D* repeats are worth 1 - 1/e of as much fresh data; parameters beyond what U can
use (U_N) fade likewise with R_N*. E, A, B, alpha, beta come from a fit to single-epoch runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.scaling.fitting import HUBER_WIDTH
from curate.scaling.law import known_well
from curate.statistics import Interval

__all__ = ["RepeatLaw", "fit_repeats", "repeat_objective", "repeated_loss"]

_GRID = np.linspace(math.log(0.1), math.log(1e4), 64)
_NAMES = ("R_D", "R_N")


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatLaw:
    """How repeats fade.

    Attributes:
        table: One row each for `R_D` and `R_N`: `parameter, estimate, low, high` (null where
            not identified), `best` (the optimum all the same), `identified`, `note`.
        objective: Sum of Huber losses at the optimum.
        optima: Every local optimum of the grid, refined: `R_D, R_N, objective`, best first.
    """

    table: pl.DataFrame
    objective: float
    optima: pl.DataFrame

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(note)}</p>" for note in self.table["note"] if note)
        return said + str(self.table._repr_html_())


def repeated_loss(
    fixed: Mapping[str, float], points: pl.DataFrame, repeats: tuple[float, float]
) -> Floats:
    """Loss of runs that may repeat their data.

    Args:
        fixed: `E, A, B, alpha, beta` of the single-epoch law.
        points: `n_params, n_tokens, unique_tokens` Float64.
        repeats: (R_D*, R_N*).

    >>> fixed = {"E": 1.9, "A": 520.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
    >>> runs = pl.DataFrame({"n_params": 1e9, "n_tokens": [4e9, 4e10], "unique_tokens": 4e9})
    >>> once, often = repeated_loss(fixed, runs, (15.0, 5.0))
    >>> bool(often < once)
    True
    """
    return np.asarray(_loss(fixed, points, np.log(repeats[0]), np.log(repeats[1])))


def _loss(fixed: Mapping[str, float], points: pl.DataFrame, rd: object, rn: object) -> Floats:
    """Loss with ln R_D* and ln R_N* of any shape that broadcasts against the points."""
    n, d, unique = (points[c].to_numpy() for c in ("n_params", "n_tokens", "unique_tokens"))
    alpha, beta = fixed["alpha"], fixed["beta"]
    lead = ((alpha * fixed["A"]) / (beta * fixed["B"])) ** (1 / (alpha + beta))
    useful = np.minimum(n, lead * (lead * unique) ** (beta / alpha))
    data = _worth(unique, np.maximum(d / unique - 1, 0), np.exp(rd))  # type: ignore[call-overload]
    size = _worth(useful, np.maximum(n / useful - 1, 0), np.exp(rn))  # type: ignore[call-overload]
    return np.asarray(fixed["E"] + fixed["A"] / size**alpha + fixed["B"] / data**beta)


def _worth(unique: Floats, repeats: Floats, fading: Floats) -> Floats:
    return np.asarray(unique * (1 - fading * np.expm1(-repeats / fading)))


def repeat_objective(
    fixed: Mapping[str, float], points: pl.DataFrame, repeats: tuple[float, float]
) -> float:
    """Sum of Huber losses (width .001) of the log residuals at given (R_D*, R_N*).

    >>> fixed = {"E": 1.9, "A": 520.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
    >>> runs = pl.DataFrame({"n_params": 1e9, "n_tokens": [4e9, 4e10], "unique_tokens": 4e9})
    >>> exact = runs.with_columns(loss=pl.Series(repeated_loss(fixed, runs, (15.0, 5.0))))
    >>> repeat_objective(fixed, exact, (15.0, 5.0))
    0.0
    """
    log_loss = np.log(points["loss"].to_numpy())
    return float(_huber(np.log(repeated_loss(fixed, points, repeats)) - log_loss).sum())


def _huber(residual: Floats) -> Floats:
    away = np.abs(residual)
    wide = HUBER_WIDTH * (away - 0.5 * HUBER_WIDTH)
    return np.where(away <= HUBER_WIDTH, 0.5 * away * away, wide)


def fit_repeats(
    points: pl.DataFrame, fixed: Mapping[str, float], *, draws: int = 400, seed: int = 1
) -> RepeatLaw:
    """Fit R_D* and R_N* with everything else fixed; intervals by resampling runs on the grid.

    Args:
        points: `n_params, n_tokens, unique_tokens, loss` Float64, one row a run.
        fixed: `E, A, B, alpha, beta`.
        draws: Bootstrap draws of the runs.
        seed: Of the draws.

    Returns:
        Estimates with 95 % percentile intervals; "not identified" where the interval has no
        end or spans more than a factor of four.

    Raises:
        ConfigError: Fewer than 4 runs, or none that repeats its data.

    >>> fixed = {"E": 1.9, "A": 520.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
    >>> N, D = np.repeat([1e8, 1e9, 8e9], 8), np.tile(np.geomspace(1e8, 3e10, 8), 3)
    >>> runs = pl.DataFrame({"n_params": N, "n_tokens": D, "unique_tokens": 1e8})
    >>> runs = runs.with_columns(loss=pl.Series(repeated_loss(fixed, runs, (15.0, 5.0))))
    >>> fit_repeats(runs, fixed, draws=40).table["best"].round(2).to_list()
    [15.0, 5.0]
    """
    if points.height < 4 or (points["n_tokens"] <= points["unique_tokens"]).all():
        raise ConfigError(f"{points.height} runs, none or few of which repeat data, tell nothing")
    rd, rn = np.meshgrid(_GRID, _GRID, indexing="ij")
    log_loss = np.log(points["loss"].to_numpy())
    losses = _loss(fixed, points, rd[..., None], rn[..., None])
    each = _huber(np.log(losses) - log_loss)
    optima = _optima(each.sum(axis=-1), points, fixed)
    best = optima.row(0)
    intervals = _resampled(each, draws, seed)
    rows = [_row(_NAMES[i], float(best[i]), intervals[i]) for i in range(2)]
    return RepeatLaw(table=pl.DataFrame(rows), objective=float(best[2]), optima=optima)


def _optima(total: Floats, points: pl.DataFrame, fixed: Mapping[str, float]) -> pl.DataFrame:
    """Local minima of the grid, each refined by zooming in."""
    padded = np.pad(total, 1, constant_values=np.inf)
    size = len(_GRID)
    around = [
        padded[i : i + size, j : j + size] for i in range(3) for j in range(3) if (i, j) != (1, 1)
    ]
    lowest = np.argwhere(total <= np.min(around, axis=0))
    found = [_zoomed(_GRID[i], _GRID[j], points, fixed) for i, j in lowest.tolist()]
    schema = {"R_D": pl.Float64, "R_N": pl.Float64, "objective": pl.Float64}
    table = pl.DataFrame(found, schema=schema, orient="row")
    place = pl.col("R_D").log().round(2)
    return table.sort("objective", "R_D").unique(place, keep="first", maintain_order=True)


def _zoomed(
    rd: float, rn: float, points: pl.DataFrame, fixed: Mapping[str, float]
) -> tuple[float, float, float]:
    log_loss = np.log(points["loss"].to_numpy())
    span, value = float(_GRID[1] - _GRID[0]), math.inf
    for _ in range(26):
        steps = np.linspace(-span, span, 7)
        a, b = np.meshgrid(rd + steps, rn + steps, indexing="ij")
        predicted = _loss(fixed, points, a[..., None], b[..., None])
        total = _huber(np.log(predicted) - log_loss).sum(axis=-1)
        i, j = np.unravel_index(int(total.argmin()), total.shape)
        inside = 0 < i < 6 and 0 < j < 6
        rd, rn, value = float(a[i, j]), float(b[i, j]), float(total[i, j])
        span *= 0.5 if inside else 1.0
    return math.exp(rd), math.exp(rn), value


def _resampled(each: Floats, draws: int, seed: int) -> tuple[Interval, Interval]:
    """Percentile intervals of both: all draws' objectives on the grid are one product."""
    runs = each.shape[-1]
    stream = np.random.Generator(np.random.PCG64(seed))
    weights = stream.multinomial(runs, np.full(runs, 1 / runs), size=draws)
    best = (each.reshape(-1, runs) @ weights.T).argmin(axis=0)
    places = np.unravel_index(best, each.shape[:-1])
    ends = [np.quantile(place, [0.025, 0.975], method="nearest") for place in places]
    return _ends(ends[0]), _ends(ends[1])


def _ends(places: Floats) -> Interval:
    """Grid places as an interval; the edge of the grid is no end."""
    low, high = (int(place) for place in places)
    last = len(_GRID) - 1
    return Interval(
        0.0 if low == 0 else math.exp(_GRID[low] - (_GRID[1] - _GRID[0]) / 2),
        math.inf if high == last else math.exp(_GRID[high] + (_GRID[1] - _GRID[0]) / 2),
    )


def _row(name: str, best: float, ends: Interval) -> dict[str, object]:
    known = known_well(ends)
    high = "unbounded" if math.isinf(ends.high) else f"{ends.high:.3g}"
    note = f"{name}*: not identified: the 95 % interval runs from {ends.low:.2g} to {high}"
    return {
        "parameter": name,
        "estimate": best if known else None,
        "low": ends.low if known else None,
        "high": ends.high if known else None,
        "best": best,
        "identified": known,
        "note": "" if known else note,
    }
