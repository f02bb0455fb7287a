"""Which words stand with a group in documents: log odds, nPMI, distinctive words, mean scores.

Counts are of documents, so that a word repeated in one text is one observation; matches are
whole words, blind to case. Every p is of clusters where these are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.audits.lexicons import Entry, holds
from curate.errors import ConfigError
from curate.statistics import (
    benjamini_hochberg,
    clustered_pair,
    compare_rates,
    effective_sides,
    lean_quantile,
    log_odds_ratio,
)

Floats = NDArray[np.float64]
_WORD = r"(?u)\b[^\W\d_][\w'’]+\b"


def association(
    documents: pl.DataFrame,
    groups: Sequence[Entry],
    attributes: Sequence[Entry],
    *,
    cluster: str | None = None,
) -> pl.DataFrame:
    """Log odds that a document with a group's terms also holds an attribute's terms.

    Args:
        documents: Frame with `text` String, and the cluster column where one is named.
        groups: Terms of groups.
        attributes: Terms of attributes, e.g. occupations.
        cluster: Column within which documents are alike, e.g. `source`.

    Returns:
        One row a pair: `group`, `attribute`, the documents `n_both`, `n_group`, `n_attribute`,
        `n`; `log_odds` (½ added to each count where one is 0) with its 95 % interval `low`,
        `high`; `npmi`; `p` (two-sided score test of the two shares) and `q`
        (Benjamini–Hochberg over the table; null below 5 expected documents).

    >>> documents = pl.DataFrame({"text": ["she nurse"] * 30 + ["he nurse"] * 10 + ["she"] * 20
    ...                                   + ["he"] * 40})
    >>> nurse = Entry(axis="work", group="nurse", terms=("nurse",))
    >>> women = Entry(axis="gender", group="women", terms=("she",))
    >>> found = association(documents, [women], [nurse]).row(0, named=True)
    >>> found["n_both"], round(found["log_odds"], 3)
    (30, 1.792)
    """
    if not groups or not attributes or documents.is_empty():
        raise ConfigError("association needs documents, groups and attributes")
    has = documents.select(
        **{f"g{i}": holds(e) for i, e in enumerate(groups)},
        **{f"a{i}": holds(e) for i, e in enumerate(attributes)},
    )
    codes = np.arange(documents.height)
    if cluster is not None:
        ranks = documents[cluster].cast(pl.String).rank("dense").fill_null(0).to_numpy()
        codes = np.unique(ranks, return_inverse=True)[1]
    rows = [
        {"group": g.group, "attribute": a.group}
        | _pair(has[f"g{i}"].to_numpy(), has[f"a{j}"].to_numpy(), codes)
        for i, g in enumerate(groups)
        for j, a in enumerate(attributes)
    ]
    table = pl.DataFrame(rows)
    q = pl.Series("q", benjamini_hochberg(table["p"].to_numpy()))
    return table.with_columns(q).with_columns(pl.col(pl.Float64).fill_nan(None))


def _pair(
    group: NDArray[np.bool_], attribute: NDArray[np.bool_], cluster: NDArray[np.int64]
) -> dict[str, float | int]:
    clusters, sums = int(cluster.max()) + 1, []
    for side in (group, ~group):
        sums.append(np.bincount(cluster[side], attribute[side], clusters))
        sums.append(np.bincount(cluster[side], minlength=clusters))
    sides = effective_sides(clustered_pair(*sums))
    found = compare_rates(sides)
    log_odds, error = (float(v) for v in log_odds_ratio(sides))
    reach = float(lean_quantile(0.95, sides.df, sides.lean)) * error
    n, n_group, n_attribute = group.size, int(group.sum()), int(attribute.sum())
    n_both = int((group & attribute).sum())
    smallest = min(n_group, n - n_group) * min(n_attribute, n - n_attribute) / n
    return {
        "n_both": n_both,
        "n_group": n_group,
        "n_attribute": n_attribute,
        "n": n,
        "log_odds": log_odds,
        "low": log_odds - reach,
        "high": log_odds + reach,
        "npmi": npmi(n_both, n_group, n_attribute, n),
        "p": float(found.p) if smallest >= 5 else float("nan"),
    }


def npmi(n_both: int, n_first: int, n_second: int, n: int) -> float:
    """Normalised pointwise mutual information on counts of documents (Bouma 2009).

    1 = always together, 0 = independent, −1 = never together; NaN where one never occurs.

    >>> npmi(10, 10, 10, 100), round(npmi(2, 10, 20, 100), 9), npmi(0, 10, 20, 100)
    (1.0, 0.0, -1.0)
    """
    if not (0 <= n_both <= min(n_first, n_second) <= max(n_first, n_second) <= n):
        raise ConfigError(f"counts {n_both} of {n_first} and {n_second} in {n} documents")
    if n_first == 0 or n_second == 0:
        return float("nan")
    if n_both == 0:
        return -1.0
    if n_both == n_first == n_second:
        return 1.0
    return float(np.log(n_both * n / (n_first * n_second)) / -np.log(n_both / n))


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
    documents: pl.DataFrame, first: pl.Expr, *, weight: float = 1000.0, top: int = 20
) -> pl.DataFrame:
    """Words that set the documents where `first` holds apart from all others.

    The prior is informative: every word's share of the corpus, `weight` pseudo-documents' worth
    (a flat prior rejects 6.6 % of a null at 5 %, this one 5.0 %). A document counts a word
    once, because repeats inside a document are one observation.

    Returns:
        `word`, `n_first`, `n_second` (documents), `log_odds`, `z`, `q` (Benjamini–Hochberg over
        all words): the `top` words of each side, strongest first.

    >>> documents = pl.DataFrame({"text": ["red apple"] * 9 + ["blue apple"] * 9})
    >>> found = distinctive_words(documents, pl.col("text").str.contains("red"), top=1)
    >>> found["word"].to_list()
    ['red', 'blue']
    """
    from scipy.special import ndtr
    from sklearn.feature_extraction.text import CountVectorizer

    own = documents.select(first).to_series().to_numpy()
    counter = CountVectorizer(token_pattern=_WORD, binary=True, min_df=2)
    counts = counter.fit_transform(documents["text"].to_list())
    y1, y2 = (np.asarray(counts[side].sum(0)).ravel().astype(float) for side in (own, ~own))
    background = (y1 + y2) / (y1 + y2).sum()
    ratio, z = log_odds_z(y1, y2, weight * background)
    q = benjamini_hochberg(2 * ndtr(-np.abs(z)))
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
            "q": q[rows],
        }
    )
