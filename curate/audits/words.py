"""Words that set the documents of a group apart, and tests that count documents, not words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.arrays import Bools, Floats
from curate.audits._codes import cluster_codes
from curate.statistics import ClusteredPair, benjamini_hochberg, effective_sides, exponents, rates_p

_WORD = r"(?u)\b[^\W\d_][\w'’]+\b"
# Documents that must be expected on each side before a word is tested.
_FEWEST = 10.0


def log_odds_z(first: ArrayLike, second: ArrayLike, prior: ArrayLike) -> tuple[Floats, Floats]:
    """Log-odds ratios of words with a Dirichlet prior, and their z (Monroe et al. 2008).

    Args:
        first: Counts of each word in the first texts.
        second: Counts in the second texts.
        prior: Pseudo-counts of each word: one number for all, or `weight × background share`.

    >>> ratio, z = log_odds_z([10, 1, 9], [1, 10, 9], 0.01)
    >>> ratio.round(2).tolist(), z.round(2).tolist()
    ([2.93, -2.93, 0.0], [2.81, -2.81, 0.0])
    """
    y1, y2 = (np.asarray(y, dtype=np.float64) for y in (first, second))
    a = np.broadcast_to(np.asarray(prior, dtype=np.float64), y1.shape)
    n1, n2, a0 = y1.sum(), y2.sum(), a.sum()
    ratio = np.log((y1 + a) / (n1 + a0 - y1 - a)) - np.log((y2 + a) / (n2 + a0 - y2 - a))
    return ratio, ratio / np.sqrt(1 / (y1 + a) + 1 / (y2 + a))


def distinctive_words(
    documents: pl.DataFrame,
    first: pl.Expr,
    *,
    weight: float = 1000.0,
    top: int = 20,
    cluster: str | None = None,
) -> pl.DataFrame:
    """Words that set the documents where `first` holds apart from all others.

    The prior is informative: every word's share of the corpus, `weight` pseudo-documents' worth.
    A document counts a word once, because repeats inside a document are one observation. Words
    are ranked by z. That takes words for independent draws, so p and q are of another test: the
    score test of the word's share of all (distinct) words on both sides, with documents, or
    `cluster` where it is named, as units.

    Returns:
        `word`, `n_first`, `n_second` (documents), `log_odds`, `z`, `p` (null where fewer than
        10 such documents are expected on a side, or where two or three clusters decide), `q`
        (Benjamini–Hochberg over all words): the `top` words of each side, strongest first.

    >>> documents = pl.DataFrame({"text": ["red apple"] * 9 + ["blue apple"] * 9})
    >>> found = distinctive_words(documents, pl.col("text").str.contains("red"), top=1)
    >>> found["word"].to_list()
    ['red', 'blue']
    """
    from sklearn.feature_extraction.text import CountVectorizer

    own = documents.select(first).to_series().fill_null(False).to_numpy()
    counter = CountVectorizer(token_pattern=_WORD, binary=True, min_df=2)
    counts = counter.fit_transform(documents["text"].to_list())
    y1, y2 = (np.asarray(counts[side].sum(0)).ravel().astype(float) for side in (own, ~own))
    background = (y1 + y2) / (y1 + y2).sum()
    ratio, z = log_odds_z(y1, y2, weight * background)
    p = word_tests(counts, own, cluster_codes(documents, cluster))
    q = benjamini_hochberg(p)
    order = np.argsort(-z, kind="stable")
    chosen = dict.fromkeys([*order[:top].tolist(), *order[::-1][:top].tolist()])
    rows = list(chosen)
    return pl.DataFrame(
        {
            "word": counter.get_feature_names_out()[rows].astype(str),
            "n_first": y1[rows].astype(np.int64),
            "n_second": y2[rows].astype(np.int64),
            "log_odds": ratio[rows],
            "z": z[rows],
            "p": p[rows],
            "q": q[rows],
        }
    ).with_columns(pl.col("p", "q").fill_nan(None))


def word_tests(counts: Any, own: Bools, cluster: NDArray[np.int64]) -> Floats:  # noqa: ANN401
    """Tests of "a word has one share of all words on both sides": p of every column of 0/1 counts.

    Args:
        counts: Sparse matrix document x word.
        own: Which documents are of the first side.
        cluster: Number of each document's cluster.

    >>> from scipy.sparse import csr_array
    >>> counts = csr_array(np.repeat([[1, 0, 1], [0, 1, 1]], 40, axis=0))
    >>> own = np.arange(80) < 40
    >>> (word_tests(counts, own, np.arange(80)) < 0.01).tolist()
    [True, True, False]
    """
    clusters = int(cluster.max()) + 1
    own_side, rest_side = (_side(counts, side, cluster, clusters) for side in (own, ~own))
    totals = own_side.sizes.sum(), rest_side.sizes.sum()
    if not min(totals) > 0:
        return np.full(counts.shape[1], np.nan)
    s, t = own_side.sizes / totals[0], rest_side.sizes / totals[1]
    every = np.ones_like(own_side.rate)
    pair = ClusteredPair(
        rate=own_side.rate,
        rate_rest=rest_side.rate,
        size=totals[0] * every,
        size_rest=totals[1] * every,
        spread=_products(own_side, own_side) / totals[0] ** 2,
        spread_rest=_products(rest_side, rest_side) / totals[1] ** 2,
        shared=_products(own_side, rest_side) / (totals[0] * totals[1]),
        powers={(i, j): (s**i * t**j).sum() * every for i, j in exponents()},
        dispersion=own_side.dispersion,
        dispersion_rest=rest_side.dispersion,
    )
    sides = effective_sides(pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = rates_p(sides)
    expected = (own_side.rate * totals[0] + rest_side.rate * totals[1]) * min(totals) / sum(totals)
    # Below two degrees of freedom two or three clusters decide: nothing is known.
    return np.where((expected >= _FEWEST) & (sides.df >= 2), p, np.nan)


class _Side(NamedTuple):
    """Words of the documents of one side: counts cluster x word, words a cluster, rates."""

    counts: Any
    sizes: Floats
    rate: Floats
    dispersion: Floats


def _side(counts: Any, side: Bools, cluster: NDArray[np.int64], clusters: int) -> _Side:  # noqa: ANN401
    from scipy import sparse

    own = sparse.csr_array(counts)[np.flatnonzero(side)].astype(np.float64)
    n = np.asarray(own.sum(1)).ravel()
    hits = np.asarray(own.sum(0)).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = hits / n.sum()
        # A document holds a word once at most: less varied than words drawn one by one.
        spread = hits - 2 * rate * (own.T @ n) + rate**2 * (n**2).sum()
        dispersion = spread / (rate * (1 - rate) * n.sum())
    place = cluster[side], np.arange(n.size)
    to = sparse.csr_array((np.ones(n.size), place), (clusters, n.size))
    dispersion = np.where(dispersion > 0, dispersion, 1.0)
    return _Side(sparse.csc_array(to @ own), to @ n, rate, dispersion)


def _products(one: _Side, two: _Side) -> Floats:
    """Sums over clusters of products of residuals, one a word."""
    crossed = np.asarray(one.counts.multiply(two.counts).sum(0)).ravel()
    crossed = crossed - one.rate * (two.counts.T @ one.sizes)
    crossed = crossed - two.rate * (one.counts.T @ two.sizes)
    return np.asarray(crossed + one.rate * two.rate * (one.sizes * two.sizes).sum())
