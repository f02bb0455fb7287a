"""A group and the rest of a corpus, ready to be compared, and the sums of clusters behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from curate.arrays import Floats, floats
from curate.statistics._polynomials import Powers

DEGREE = 6
Both = Sequence[Floats] | Floats


class Sides(NamedTuple):
    """A group and the rest, ready to be compared (arrays).

    `size` and `size_rest` are effective documents, by which the rates err; `documents` those
    that were counted. `covariance` is that of both rates, as a fraction of the product of their
    documents' standard deviations. `df` and `lean` make the quantile: see `lean_quantile`.
    """

    rate: Floats
    rate_rest: Floats
    size: Floats
    size_rest: Floats
    documents: Floats
    documents_rest: Floats
    covariance: Floats
    df: Floats
    lean: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusteredPair:
    """Rates of a group and of the rest, and the sums over clusters that tell their error (arrays).

    `size` is (sum of weights)² / sum of squared weights: the documents, where all weigh the
    same. `spread`, `spread_rest`, `shared`: sums over clusters of squared influences
    (x − r n) / N on either rate, and of their products. `powers`: sums over clusters of powers of
    their shares of either side. `dispersion` is the documents' variance over that of documents
    which are hit whole or not at all: 1, or less where a hit can be a part of a document.
    """

    rate: Floats
    rate_rest: Floats
    size: Floats
    size_rest: Floats
    spread: Floats
    spread_rest: Floats
    shared: Floats
    powers: Powers
    dispersion: Floats | float = 1.0
    dispersion_rest: Floats | float = 1.0

    @classmethod
    def of_sides(
        cls,
        rates: Both,
        sizes: Both,
        *,
        spreads: Both,
        powers: Powers,
        dispersions: Both | Sequence[float] = (1.0, 1.0),
    ) -> ClusteredPair:
        """From the values of group and rest (and what they share, of `spreads`)."""
        return cls(
            rate=rates[0],
            rate_rest=rates[1],
            size=sizes[0],
            size_rest=sizes[1],
            spread=spreads[0],
            spread_rest=spreads[1],
            shared=spreads[2],
            powers=powers,
            dispersion=dispersions[0],
            dispersion_rest=dispersions[1],
        )


def independent(rates: tuple[ArrayLike, ArrayLike], sizes: tuple[ArrayLike, ArrayLike]) -> Sides:
    """Rates of documents that are independent of each other.

    >>> independent(([0.4], [0.75]), ([200], [200])).df.tolist()
    [inf]
    """
    rate, rest = map(floats, rates)
    n, n_rest = (np.broadcast_to(floats(size), rate.shape) for size in sizes)
    none = np.zeros(rate.shape)
    return Sides(rate, rest, n, n_rest, n, n_rest, none, np.full(rate.shape, np.inf), none)


def clustered_pair(
    hits: ArrayLike, weights: ArrayLike, hits_rest: ArrayLike, weights_rest: ArrayLike
) -> ClusteredPair:
    """Rates from sums per cluster: last axis = cluster, one entry of each array a cluster.

    A cluster without documents of a side has 0 there. Every document weighs 1.

    >>> found = clustered_pair([1.0, 0.0, 2.0], [10.0] * 3, [1.0, 1.0, 1.0], [20.0] * 3)
    >>> float(found.rate), float(found.rate_rest), float(found.size)
    (0.1, 0.05, 30.0)
    """
    x, n, y, m = map(floats, (hits, weights, hits_rest, weights_rest))
    total, total_rest = n.sum(-1), m.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, rest = x.sum(-1) / total, y.sum(-1) / total_rest
        own = (x - rate[..., None] * n) / total[..., None]
        other = (y - rest[..., None] * m) / total_rest[..., None]
        s, t = n / total[..., None], m / total_rest[..., None]
    return ClusteredPair.of_sides(
        (rate, rest),
        (total, total_rest),
        spreads=[v.sum(-1) for v in (own**2, other**2, own * other)],
        powers=_powers(s, t),
    )


def _powers(s: Floats, t: Floats) -> Powers:
    """Sums over clusters of s^i t^j."""
    one = np.ones_like(s)
    rows = [list(accumulate([one, *[part] * DEGREE], np.multiply)) for part in (s, t)]
    return {(i, j): np.einsum("...c,...c->...", rows[0][i], rows[1][j]) for i, j in exponents()}


@cache
def exponents() -> tuple[tuple[int, int], ...]:
    """Pairs (i, j) of the sums of powers, by i and then j.

    >>> exponents()[:3], len(exponents())
    (((0, 1), (0, 2), (0, 3)), 27)
    """
    every = range(DEGREE + 1)
    return tuple((i, j) for i in every for j in every if 1 <= i + j <= DEGREE)
