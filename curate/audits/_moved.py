"""How far chance moves the shares of groups when a part of a corpus is taken away.

The documents are taken as they are; chance is which of them stay. Single documents stay or go
each by itself; documents of a cluster together, as their residuals say (a wild bootstrap with
random signs, drawn from the covariance of the clusters where they are many).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from curate.arrays import Floats, floats
from curate.audits._codes import cluster_codes
from curate.statistics import (
    DEGREE,
    ClusteredPair,
    Shares,
    Sides,
    benjamini_hochberg,
    clustered_pair,
    clustered_shares,
    compare_rates,
    effective_sides,
    exponents,
    independent,
    shares_of,
)

DRAWS = 1999
_MANY = 300
# Documents that must be expected to stay, and to go, before a group is tested.
_FEWEST = 10.0
# Below, two or three sources decide, and nothing tells how far they differ by themselves.
_LEAST_DF = 2.0


class Sums(NamedTuple):
    """Sums of weights by group, raw and kept, and what their error needs.

    `powers`: sums of w^k, k from 0; `squares_kept`: sums of w² of the kept; `by_cluster`: raw
    and kept sums group x cluster, where documents come in clusters.
    """

    groups: list[str]
    raw: Floats
    kept: Floats
    powers: Floats
    squares_kept: Floats
    by_cluster: tuple[Floats, Floats] | None
    weighted: bool


def sums_of(
    verdicts: pl.DataFrame, columns: tuple[str, str], weight: str | None, cluster: str | None
) -> Sums:
    """Sums of a frame whose `columns` are (group, kept).

    >>> frame = pl.DataFrame({"g": ["a", "b", None], "kept": [True, False, True]})
    >>> found = sums_of(frame, ("g", "kept"), None, None)
    >>> found.groups, found.kept.tolist()
    (['(missing)', 'a', 'b'], [1.0, 1.0, 0.0])
    """
    names = verdicts[columns[0]].cast(pl.String).fill_null("(missing)")
    groups = names.unique().sort().to_list()
    code = names.rank("dense").to_numpy().astype(np.int64) - 1
    stays = verdicts[columns[1]].cast(pl.Boolean).fill_null(False).to_numpy()
    w = np.ones(code.size)
    if weight is not None:
        w = verdicts[weight].cast(pl.Float64).fill_null(0.0).to_numpy()
    by_cluster: tuple[Floats, Floats] | None = None
    if cluster is not None:
        within = cluster_codes(verdicts, cluster)
        count = int(within.max()) + 1
        raw, kept = (
            floats(np.bincount(code * count + within, values, len(groups) * count))
            for values in (w, w * stays)
        )
        by_cluster = raw.reshape(-1, count), kept.reshape(-1, count)
    return Sums(
        groups=groups,
        raw=floats(np.bincount(code, w)),
        kept=floats(np.bincount(code, w * stays)),
        powers=np.stack([np.bincount(code, w**k) for k in range(DEGREE + 1)]),
        squares_kept=floats(np.bincount(code, w**2 * stays)),
        by_cluster=by_cluster,
        weighted=weight is not None,
    )


def table_of(sums: Sums) -> pl.DataFrame:
    """One row a group: shares, retention, their intervals, p and q; see `representation`.

    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "kept": [True] * 50 + [False] * 50})
    >>> table_of(sums_of(frame, ("g", "kept"), None, None))["p"].to_list()
    [1.0, 1.0]
    """
    found = compared(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = sums.raw / sums.raw.sum(), sums.kept / sums.kept.sum()
        columns = {"raw_share": before, "curated_share": after, "share_change": after - before}
        ends = {"low": found.low, "high": found.high}
        columns |= {f"share_change_{side}": before * (end - 1) for side, end in ends.items()}
        columns["share_ratio"] = after / before
        columns |= {f"share_ratio_{side}": end for side, end in ends.items()}
        kept = retention_of(sums)
        columns |= {"retention": sums.kept / sums.raw}
        columns |= {"retention_low": kept.low, "retention_high": kept.high}
    table = pl.DataFrame({"group": sums.groups, "raw": sums.raw, "curated": sums.kept, **columns})
    tests = pl.DataFrame({"p": found.p, "q": benjamini_hochberg(found.p)})
    return pl.concat([table, tests], how="horizontal").with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


class Compared(NamedTuple):
    """Interval of the ratio of a group's shares, and p (NaN where nothing is told)."""

    low: Floats
    high: Floats
    p: Floats


def compared(sums: Sums) -> Compared:
    """Each group against the rest: last axis = group; leading axes are corpora.

    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "kept": [True] * 50 + [False] * 50})
    >>> compared(sums_of(frame, ("g", "kept"), None, None)).low.round(2).tolist()
    [0.8, 0.8]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = sums.raw.sum(-1, keepdims=True)
        before, sides = sums.raw / whole, _sides(sums)
        found, told = compare_rates(sides), sides.df >= _LEAST_DF
        # A group's share grows by this, if its retention is so many times that of the rest.
        low, high = (
            np.where(np.isinf(r), 1 / before, r / (before * r + 1 - before))
            for r in (np.where(told, found.low, 0.0), np.where(told, found.high, np.inf))
        )
        documents, part = sums.powers[0], sums.kept.sum(-1, keepdims=True) / whole
        expected = documents * np.minimum(part, 1 - part)
        told &= (expected >= _FEWEST) & (documents < documents.sum(-1, keepdims=True))
        return Compared(low, high, np.where(told, found.p, np.nan))


def retention_of(sums: Sums, *, level: float = 0.95) -> Shares:
    """Share of each group that stays, with intervals at this level.

    >>> frame = pl.DataFrame({"g": ["a"] * 10, "kept": [True] * 8 + [False] * 2})
    >>> retention_of(sums_of(frame, ("g", "kept"), None, None)).low.round(4).tolist()
    [0.4902]
    """
    size = _kish(sums.raw, sums.powers[2])
    if sums.by_cluster is not None:
        raw, kept = sums.by_cluster
        return clustered_shares(kept, raw, documents=size if sums.weighted else None, level=level)
    share, spread = _spread(sums.raw, sums.kept, sums.powers[2], sums.squares_kept)
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = [sums.powers[k] / sums.raw**k for k in range(DEGREE)]
    return shares_of(share, spread, size, powers=powers, clusters=sums.powers[0], level=level)


def _kish(sums: Floats, squares: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums**2 / squares)


def _spread(
    raw: Floats, kept: Floats, squares: Floats, squares_kept: Floats
) -> tuple[Floats, Floats]:
    """Share of weight that stays, and the sum of squared influences of documents on it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = kept / raw
        left = squares_kept * (1 - share) ** 2 + (squares - squares_kept) * share**2
        return share, np.asarray(left / raw**2)


def _sides(sums: Sums) -> Sides:
    """Retention of each group and of the rest."""
    rest, kept_rest, others = (
        values.sum(-1, keepdims=True) - values for values in (sums.raw, sums.kept, sums.powers)
    )
    powers = sums.powers
    if sums.by_cluster is not None:
        raw, kept = sums.by_cluster
        whole, stays = (values.sum(-2, keepdims=True) for values in (raw, kept))
        pair = clustered_pair(kept, raw, stays - kept, whole - raw)
        if sums.weighted:
            sizes = _kish(sums.raw, powers[2]), _kish(rest, others[2])
            pair = replace(pair, size=sizes[0], size_rest=sizes[1])
        return effective_sides(pair)
    if not sums.weighted:
        with np.errstate(divide="ignore", invalid="ignore"):
            return independent((sums.kept / sums.raw, kept_rest / rest), (sums.raw, rest))
    squares_rest = sums.squares_kept.sum(-1, keepdims=True) - sums.squares_kept
    own, own_spread = _spread(sums.raw, sums.kept, powers[2], sums.squares_kept)
    other, other_spread = _spread(rest, kept_rest, others[2], squares_rest)
    none = np.zeros(own.shape)
    mixed = {(i, j): none for i, j in exponents()}
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed |= {(k, 0): powers[k] / sums.raw**k for k in range(1, DEGREE + 1)}
        mixed |= {(0, k): others[k] / rest**k for k in range(1, DEGREE + 1)}
    return effective_sides(
        ClusteredPair(
            rate=own,
            rate_rest=other,
            size=_kish(sums.raw, powers[2]),
            size_rest=_kish(rest, others[2]),
            spread=own_spread,
            spread_rest=other_spread,
            shared=none,
            powers=mixed,
        )
    )


def moves_of(sums: Sums, rng: np.random.Generator) -> Moves:
    """How chance moves the shares of these groups."""
    if sums.by_cluster is not None:
        return of_clusters(*sums.by_cluster, rng)
    if sums.weighted:
        return of_weights(sums.raw, sums.kept, (sums.powers[2], sums.squares_kept), rng)
    return of_documents(sums.raw, sums.kept, rng)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """Shares of groups after removal, drawn anew (draw x group).

    `by_chance` if every group had kept one part of itself; `around` if every group keeps the
    part that it kept.
    """

    by_chance: Floats
    around: Floats


def of_documents(raw: Floats, kept: Floats, rng: np.random.Generator) -> Moves:
    """Moves of counts of documents, each by itself.

    >>> found = of_documents(np.array([9.0, 1.0]), np.array([5.0, 0.0]), np.random.default_rng(1))
    >>> found.by_chance.shape, bool((found.by_chance.sum(1) == 1).all())
    ((1999, 2), True)
    """
    n, k = raw.astype(np.int64), kept.astype(np.int64)
    chance = rng.multivariate_hypergeometric(n, int(k.sum()), DRAWS, method="marginals")
    with np.errstate(divide="ignore", invalid="ignore"):
        around = rng.binomial(n, np.nan_to_num(kept / raw), (DRAWS, n.size))
    return Moves(by_chance=chance / k.sum(), around=around / np.maximum(around.sum(1), 1)[:, None])


def of_weights(
    raw: Floats, kept: Floats, squares: tuple[Floats, Floats], rng: np.random.Generator
) -> Moves:
    """Moves of weights of documents, each by itself; sums of squared weights, all and kept.

    >>> sums = np.array([9.0, 4.0]), np.array([5.0, 2.0])
    >>> of_weights(*sums, sums, np.random.default_rng(1)).around.shape
    (1999, 2)
    """
    before, after = raw / raw.sum(), kept / kept.sum()
    own = np.divide(kept, raw, out=np.zeros_like(kept), where=raw > 0)
    moves = []
    for rate, centre in ((kept.sum() / raw.sum(), before), (own, after)):
        variance = squares[1] * (1 - rate) ** 2 + (squares[0] - squares[1]) * rate**2
        noise = rng.standard_normal((DRAWS, raw.size)) * np.sqrt(np.maximum(variance, 0.0))
        moves.append(_shares(centre + (noise - centre * noise.sum(1)[:, None]) / kept.sum()))
    return Moves(by_chance=moves[0], around=moves[1])


def of_clusters(raw: Floats, kept: Floats, rng: np.random.Generator) -> Moves:
    """Moves of sums group x cluster.

    >>> raw = np.full((2, 30), 5.0)
    >>> of_clusters(raw, raw * 0.5, np.random.default_rng(1)).by_chance.std() < 1e-9
    np.True_
    """
    n, k = raw.sum(1), kept.sum(1)
    before, after = n / n.sum(), k / k.sum()
    own = np.divide(k, n, out=np.zeros_like(k), where=n > 0)[:, None]
    # A mean pulls its clusters' residuals towards 0; this undoes it.
    whole = np.sqrt(np.maximum(1 - raw.sum(0) / n.sum(), 1e-9))
    each = np.sqrt(np.maximum(1 - raw / np.maximum(n, 1e-300)[:, None], 1e-9))
    moves = []
    for rate, centre, pull in ((k.sum() / n.sum(), before, whole), (own, after, each)):
        residual = (kept - rate * raw) / pull
        moved = (residual - centre[:, None] * residual.sum(0)) / k.sum()
        moves.append(_shares(centre + _signed(moved, rng)))
    return Moves(by_chance=moves[0], around=moves[1])


def _signed(moved: Floats, rng: np.random.Generator) -> Floats:
    """Sums over clusters with random signs; drawn from their covariance where they are many."""
    groups, clusters = moved.shape
    if clusters > _MANY and groups < clusters:
        value, vector = np.linalg.eigh(moved @ moved.T)
        root = vector * np.sqrt(np.maximum(value, 0.0))
        return np.asarray(rng.standard_normal((DRAWS, groups)) @ root.T)
    return np.asarray(rng.choice([-1.0, 1.0], (DRAWS, clusters)) @ moved.T)


def _shares(values: Floats) -> Floats:
    found = np.maximum(values, 0.0)
    return np.asarray(found / found.sum(1, keepdims=True))


class Moved(NamedTuple):
    """A figure of raw and curated shares with its interval, beside random removal, and p."""

    value: float
    low: float
    high: float
    by_chance: float
    p: float


def moved_distance(
    distance: Callable[[Floats, Floats], Floats], shares: tuple[Floats, Floats], moves: Moves
) -> Moved:
    """A distance of raw and curated shares.

    Distances obey the triangle inequality: the truth lies no further from the value than the
    true curated shares from those found. How far those may be is the larger of what both kinds of
    draws say.
    """
    before, after = shares
    value = float(distance(before, after))
    chance = distance(before, moves.by_chance)
    reach = max(float(np.quantile(d, 0.95)) for d in (distance(after, moves.around), chance))
    p = (1 + int((chance >= value - 1e-12).sum())) / (chance.size + 1)
    ends = max(value - reach, 0.0), min(value + reach, 1.0)
    return Moved(value, *ends, float(chance.mean()), p)


def moved_number(
    number: Callable[[Floats], Floats], shares: tuple[Floats, Floats], moves: Moves
) -> Moved:
    """An effective number of groups.

    Draws of even shares look less even than what they were drawn from, in some corpora more
    than in others: the interval spans the percentiles of the draws, their mirror image about the
    value, and the number before where p leaves it possible.
    """
    before, after = shares
    value = float(number(after))
    ends = np.quantile(np.log(number(moves.around)), [0.025, 0.975])
    chance = number(moves.by_chance)
    far = np.abs(chance - chance.mean()) >= abs(value - chance.mean()) - 1e-12
    p = (1 + int(far.sum())) / (chance.size + 1)
    every = np.exp([*ends, *(2 * np.log(value) - ends)])
    if p >= 0.05:
        every = np.append(every, number(before))
    low, high = np.clip([every.min(), every.max()], 1.0, before.size)
    return Moved(value, float(low), float(high), float(chance.mean()), p)
