"""Adjusted ratios as ratios of two standardised rates, so that clusters count as in crude ones.

Mantel–Haenszel's ratio of rates is that of two means: of the group's documents, each with the
rest's part of its stratum as weight, and of the rest's with the group's part. What is known of
few and unequal clusters for the difference of two rates (`curate.statistics.sandwich`) so holds
here too, with two changes: a document's influence is what it differs by from what the common
ratio expects in its stratum, and what rates of strata take away from clusters beyond one common
rate is given back. The common odds ratio is 1 exactly where the ratio of rates is: its interval
is that of the odds of the standardised rates, stretched to it on the logarithm's scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Codes, Floats
from curate.audits._clusters import Cells
from curate.audits._kernels import standard_influences, standard_powers
from curate.statistics import (
    DEGREE,
    ClusteredPair,
    Strata,
    compare_rates,
    effective_sides,
    exponents,
    odds_interval,
)

#: Where rates of strata take more of the clusters' variance than this, nothing is told,
MOST_TAKEN = 0.05
#: unless there are so many effective clusters on either side.
MANY = 50


class Moments(NamedTuple):
    """Sums over documents by stratum: weight w and taken weight w y.

    `n` Σ w, `x` Σ w y, `nn` Σ w², `nx` Σ w² y, `xx` Σ w² y², `higher` Σ w³ to Σ w⁶ (one row each).
    """

    n: Floats
    x: Floats
    nn: Floats
    nx: Floats
    xx: Floats
    higher: Floats

    @classmethod
    def whole(cls, hit: Floats, missed: Floats) -> Moments:
        """Of documents that are taken whole or not at all."""
        n = hit + missed
        return cls(n, hit, n, hit, hit, np.broadcast_to(n, (DEGREE - 2, n.size)))

    def around(self, rate: Floats) -> Floats:
        """Σ w² (y − rate)²."""
        return self.xx - 2 * rate * self.nx + rate**2 * self.nn


Sides = tuple[Moments, Moments]


def whole_sides(tables: Strata) -> Sides:
    """Of documents that are taken whole or not at all: the group's, the rest's."""
    return (
        Moments.whole(tables.hit, tables.missed),
        Moments.whole(tables.hit_rest, tables.missed_rest),
    )


class Held(NamedTuple):
    """Documents of clusters with several, as cells: their weight, and where their strata stand."""

    cells: Cells
    own: NDArray[np.bool_]
    n: Floats
    stratum: Codes
    strata: int

    def table(self, columns: Sequence[Floats]) -> Floats:
        """Values of the comparison's strata, by code of the stratum."""
        found = np.zeros((self.strata, len(columns)))
        found[self.stratum] = np.stack(columns, axis=1)
        return found


class Design(NamedTuple):
    """What is the same for all steps: standardised shares of both sides, by stratum."""

    own: Floats
    rest: Floats
    powers: Floats
    leverage: Floats


class Standardised(NamedTuple):
    """Two standardised rates and what clusters say of them; one number each."""

    rates: tuple[float, float]
    sizes: tuple[float, float]
    spreads: tuple[float, float, float]
    dispersions: tuple[float, float]
    taken: float
    stretch: float
    powers: Floats


def design_of(everyone: Sides, alone: Sides, held: Held | None) -> Design:
    """Shares of a group's strata, from the weights of all documents and of those alone."""
    n, rest = everyone[0].n, everyone[1].n
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.nan_to_num(n * rest / (n + rest)).sum() or np.inf
        shares = [np.nan_to_num(v / (n + rest)) / total for v in (rest, n)]
    powers, leverage = np.zeros((DEGREE + 1, DEGREE + 1)), np.zeros(n.size)
    if held is not None:
        cells, table = held.cells, held.table(shares)
        powers, found = standard_powers(cells.first, cells.stratum, held.own, held.n, table, DEGREE)
        leverage = found[held.stratum]
    for i, (share, moments) in enumerate(zip(shares, alone, strict=True)):
        for k, sums in enumerate((moments.n, moments.nn, *moments.higher), start=1):
            powers[(k, 0) if i == 0 else (0, k)] += (share**k * sums).sum()
        leverage = leverage + share**2 * moments.nn
    return Design(shares[0], shares[1], powers, leverage)


def standardised(
    design: Design, sides: Sides, alone: Sides, held: tuple[Held, Floats] | None
) -> Standardised | None:
    """Standardised rates of a group and of its rest; None where one of them is 0.

    Args:
        design: Of these weights.
        sides: Sums over all documents, by stratum of the group: own, rest.
        alone: The same of documents that are alone in their cluster.
        held: The other documents, and the taken weight of their cells.
    """
    one, other = sides
    rates = float((design.own * one.x).sum()), float((design.rest * other.x).sum())
    if min(rates) <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, total = rates[0] / rates[1], one.n + other.n
        base = np.nan_to_num((one.x + other.x) / (one.n * ratio + other.n))
        model = np.minimum(ratio * base, 1.0), np.minimum(base, 1.0)
        pooled = np.nan_to_num((one.x + other.x) / total)
        inflation = np.nan_to_num(total**2 / (total**2 - one.nn - other.nn), posinf=2.0)
    varied, inflation = pooled * (1 - pooled), np.clip(inflation, 1.0, 2.0)
    found = _influences(design, alone, held, (*model, varied))
    shares = design.own, design.rest
    squares = [float((w**2 * m.nn).sum()) for w, m in zip(shares, sides, strict=True)]
    noise = [
        float((w**2 * m.around(r) * inflation).sum()) / q
        for w, m, r, q in zip(shares, sides, model, squares, strict=True)
    ]
    taken = _taken(design, sides, varied, found[9])
    powers = design.powers
    weight = design.own * one.n
    middle = float((weight * pooled).sum())
    return Standardised(
        rates=rates,
        sizes=(1 / squares[0], 1 / squares[1]),
        spreads=_centred(found, powers, 1 / (1 - min(taken, 0.5))),
        dispersions=(_relative(noise[0], rates[0]), _relative(noise[1], rates[1])),
        taken=taken,
        stretch=middle * (1 - middle) / max(float((weight * varied).sum()), 1e-12),
        powers=np.array([powers[place] for place in exponents()]),
    )


def _relative(noise: float, rate: float) -> float:
    return max(noise / max(rate * (1 - rate), 1e-12), 1e-9)


def _influences(
    design: Design,
    alone: Sides,
    held: tuple[Held, Floats] | None,
    model: tuple[Floats, Floats, Floats],
) -> Floats:
    """The sums of `standard_influences`, with documents that are alone in their cluster."""
    own, rest, varied = design.own, design.rest, model[2]
    found = np.zeros(10)
    if held is not None:
        (cells, is_own, n, *_), x = held
        table = held[0].table([own, rest, *model])
        found = standard_influences(cells.first, cells.stratum, is_own, n, x, table)
    for i, (share, rate) in enumerate(((own, model[0]), (rest, model[1]))):
        m = alone[i]
        found[i] += (share * (m.x - rate * m.n)).sum()
        found[2 + i] += (share**2 * m.around(rate)).sum()
        found[5 + i] += (share**2 * (m.nx - rate * m.nn)).sum()
        found[9] += ((varied * share) ** 2 * m.nn).sum()
    return found


def _centred(found: Floats, powers: Floats, grown: float) -> tuple[float, float, float]:
    """Σ z², Σ y², Σ zy once each side's influences sum to 0."""
    z, y, zz, yy, zy, zs, yt, zt, ys = (float(v) for v in found[:9])
    own = zz - 2 * z * zs + z**2 * powers[2, 0]
    rest = yy - 2 * y * yt + y**2 * powers[0, 2]
    shared = zy - y * zt - z * ys + z * y * powers[1, 1]
    return max(own, 0.0) * grown, max(rest, 0.0) * grown, shared * grown


def _taken(design: Design, sides: Sides, varied: Floats, together: float) -> float:
    """Part of the influences' variance that rates of strata take, beyond one common rate."""
    one, other = sides
    every = varied * (design.own**2 * one.nn + design.rest**2 * other.nn)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.nan_to_num(varied * design.leverage / (one.n + other.n)).sum()
        common = together / (varied * (one.n + other.n)).sum()
    whole = float(every.sum())
    return max(float(lost - common), 0.0) / whole if whole > 0 else 0.0


class Ends(NamedTuple):
    """Intervals (arrays): of ratios of rates, of common odds ratios. NaN = nothing is told."""

    low: Floats
    high: Floats
    odds_low: Floats
    odds_high: Floats
    p: Floats


def intervals(found: Sequence[Standardised | None], odds: Floats) -> Ends:
    """95 % intervals of many comparisons at once; `odds` are their common odds ratios."""
    known = np.array([f is not None for f in found], dtype=bool)
    ends = Ends(*(np.full(known.size, np.nan) for _ in range(5)))
    rows = [f for f in found if f is not None]
    if not rows:
        return ends
    pair = pair_of(rows)
    sides = effective_sides(pair, withhold=True)
    many = np.maximum(pair.powers[2, 0], pair.powers[0, 2]) <= 1 / MANY
    told = (sides.df > 0) & (many | (np.array([f.taken for f in rows]) <= MOST_TAKEN))
    rates, (marginal, *reach) = compare_rates(sides), odds_interval(sides)
    log, common = np.log(marginal), np.log(odds[known])
    stretch = np.array([f.stretch for f in rows])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = common / log
        usable = (np.abs(log) > 1e-9) & np.isfinite(exact) & (exact > 0)
        stretch = np.where(usable, exact, stretch)
        low, high = (end**stretch for end in reach)
    for end, values in zip(ends, (rates.low, rates.high, low, high, rates.p), strict=True):
        end[known] = np.where(told, values, np.nan)
    return ends


def pair_of(rows: Sequence[Standardised]) -> ClusteredPair:
    """Many comparisons as one pair of arrays."""
    columns = [
        np.array([value for f in rows for value in getattr(f, name)]).reshape(len(rows), -1).T
        for name in ("rates", "sizes", "spreads", "dispersions", "powers")
    ]
    rates, sizes, spreads, dispersions, powers = columns
    by_power = dict(zip(exponents(), powers, strict=True))
    return ClusteredPair.of_sides(
        rates, sizes, spreads=spreads, powers=by_power, dispersions=dispersions
    )
