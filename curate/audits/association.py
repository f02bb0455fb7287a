"""Which terms stand with a group in documents: log odds and nPMI, raw against curated.

Counts are of documents, so that a word repeated in one text is one observation; matches are
whole words, blind to case. Every p is of clusters where these are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.audits._codes import cluster_codes
from curate.audits.lexicons import Entry, holds
from curate.errors import ConfigError, check_name
from curate.statistics import (
    Sides,
    benjamini_hochberg,
    clustered_pair,
    effective_sides,
    independent,
    lean_p,
    odds_interval,
    rates_p,
    t_quantile,
)

_FEWEST = 5.0


def association(
    documents: pl.DataFrame,
    groups: Sequence[Entry],
    attributes: Sequence[Entry],
    *,
    cluster: str | None = None,
    kept: str | None = None,
) -> pl.DataFrame:
    """Log odds that a document with a group's terms also holds an attribute's terms.

    Args:
        documents: Frame with `text` String, and the columns named below.
        groups: Terms of groups.
        attributes: Terms of attributes, e.g. occupations.
        cluster: Column within which documents are alike, e.g. `source`.
        kept: Boolean column that says which documents stay: every pair is then compared `raw` and
            `curated`.

    Returns:
        One row a pair: `group`, `attribute`, the documents `n_both`, `n_group`, `n_attribute`,
        `n`; `log_odds` (½ added to each count where one is 0) with its 95 % score interval `low`,
        `high` (infinite where a count is 0); `npmi` with `npmi_low`, `npmi_high`; `p` (two-sided
        score test of the two shares: below .05 exactly where `low` and `high` leave 0 out) and
        `q` (Benjamini–Hochberg over the table;
        null below 5 expected documents, or where two or three clusters decide). With `kept` three
        rows a pair, named by `corpus`: `raw`, `curated`, and `change` (curated less raw; its
        counts are those of what left; its p asks whether the step took the four kinds of
        documents alike, and p and interval are null where fewer than 10 of a kind would have
        left, or stayed, by chance, or with fewer than 9 effective clusters).

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
    if kept is not None:
        check_name("column", kept, documents.columns)
    has = documents.select(
        **{f"g{i}": holds(e) for i, e in enumerate(groups)},
        **{f"a{i}": holds(e) for i, e in enumerate(attributes)},
    )
    codes = cluster_codes(documents, cluster)
    stays = None if kept is None else documents[kept].cast(pl.Boolean).fill_null(False).to_numpy()
    names = [
        (
            {"group": g.group, "attribute": a.group},
            (has[f"g{i}"].to_numpy(), has[f"a{j}"].to_numpy()),
        )
        for i, g in enumerate(groups)
        for j, a in enumerate(attributes)
    ]
    found = _rows([terms for _, terms in names], codes, stays)
    rows = [name | row for (name, _), of_pair in zip(names, found, strict=True) for row in of_pair]
    table = pl.DataFrame(rows)
    q = pl.Series("q", benjamini_hochberg(table["p"].to_numpy()))
    return table.with_columns(q).with_columns(pl.col(pl.Float64).fill_nan(None))


def _rows(
    pairs: Sequence[tuple[Bools, Bools]], cluster: NDArray[np.int64], stays: Bools | None
) -> list[list[dict[str, Any]]]:
    """The row of each pair of terms; or its rows raw, curated and changed."""
    raw = judged([counted(*terms, cluster) for terms in pairs])
    if stays is None:
        return [[row] for row in raw]
    left = np.unique(cluster[stays], return_inverse=True)[1]
    kept = judged([counted(one[stays], two[stays], left) for one, two in pairs])
    rows = []
    for terms, before, after in zip(pairs, raw, kept, strict=True):
        counts = {k: before[k] - after[k] for k in ("n_both", "n_group", "n_attribute", "n")}
        nothing = dict.fromkeys(("npmi_low", "npmi_high"), float("nan"))
        moved = {"npmi": after["npmi"] - before["npmi"], **nothing}
        moved |= counts | _change(terms, cluster, stays)
        change = {k: moved[k] for k in before}
        named = zip(("raw", "curated", "change"), (before, after, change), strict=True)
        rows.append([{"corpus": name, **row} for name, row in named])
    return rows


def _change(
    terms: tuple[Bools, Bools], cluster: NDArray[np.int64], stays: Bools
) -> dict[str, float]:
    """How far a step moves the log odds: sums over the four kinds of ± ln(share kept).

    The documents are taken as they are, and chance is which of them stay. Leaving a cluster out
    moves a sum by its influence; the degrees of freedom count clusters by their expected part.
    """
    kind = 2 * terms[0].astype(int) + terms[1]
    clusters = int(cluster.max()) + 1
    n = np.bincount(clusters * kind + cluster, minlength=4 * clusters).reshape(4, -1).astype(float)
    x = np.bincount(clusters * kind + cluster, stays, 4 * clusters).reshape(4, -1)
    found = kept_change(x.astype(float), n)
    return {name: float(value) for name, value in found._asdict().items()}


class Change(NamedTuple):
    """Change of a log odds ratio, its 95 % interval and p (arrays)."""

    log_odds: Floats
    low: Floats
    high: Floats
    p: Floats


def kept_change(kept: Floats, documents: Floats) -> Change:
    """How far a step moves the log odds of pairs, from counts kind x cluster (arrays).

    Kinds: neither, attribute only, group only, both. Leading axes are comparisons.

    >>> every = np.full((4, 20), 10.0)
    >>> [round(float(v), 2) for v in kept_change(every / 2, every)]
    [0.0, 0.0, 0.0, 1.0]
    """
    sign = np.array([1.0, -1.0, -1.0, 1.0])
    total, total_kept = documents.sum(-1), kept.sum(-1)
    left = (total - total_kept).sum(-1) / total.sum(-1)
    # Under no change every kind keeps the same share: the variance is that of one share.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = total_kept / total
        # A mean pulls its own clusters' residuals towards 0; this undoes it (Bell & McCaffrey).
        rest = np.sqrt(1 - documents / total[..., None]) * total[..., None]
        moved = (kept - share[..., None] * documents) / np.where(rest > 0, rest, np.nan)
        influence = (sign[:, None] * moved / share[..., None]).sum(-2)
        part = (documents / total[..., None] ** 2).sum(-2)
        error = np.sqrt((influence**2).sum(-1))
        df = part.sum(-1) ** 2 / (part**2).sum(-1) - 1
        change = (sign * np.log(share)).sum(-1)
        rarest = total.min(-1) * np.minimum(left, 1 - left)
        known = (rarest >= 2 * _FEWEST) & (df >= 8) & (error > 0)
        p = np.where(known, lean_p(np.abs(change) / error, df), np.nan)
        reach = np.where(known, t_quantile(0.95, df) * error, np.nan)
    still = np.isclose(error, 0.0, atol=1e-12) & (rarest >= _FEWEST)
    p, reach = np.where(still, 1.0, p), np.where(still, 0.0, reach)
    return Change(change, change - reach, change + reach, p)


class Counted(NamedTuple):
    """What is known of a pair: counts of documents, shares by side, error of the margins.

    `margins`: variances of the shares of either term, and their covariance, over clusters.
    """

    n_both: int
    n_group: int
    n_attribute: int
    n: int
    sides: Sides
    margins: tuple[float, float, float]


def counted(group: Bools, attribute: Bools, cluster: NDArray[np.int64]) -> Counted:
    """Counts of two terms in documents whose clusters are numbered.

    >>> own = np.array([True, True, False, False])
    >>> counted(own, own, np.arange(4))[:4]
    (2, 2, 2, 4)
    """
    clusters = int(cluster.max()) + 1 if cluster.size else 0
    return Counted(
        int((group & attribute).sum()),
        int(group.sum()),
        int(attribute.sum()),
        group.size,
        _sides(group, attribute, cluster, clusters),
        _margins(group, attribute, cluster, clusters),
    )


def judged(pairs: Sequence[Counted]) -> list[dict[str, Any]]:
    """Log odds, nPMI, their intervals and p of pairs: the numbers of `association`.

    >>> own = np.arange(80) < 40
    >>> row = judged([counted(own, np.arange(80) % 2 == 0, np.arange(80))])[0]
    >>> round(row["log_odds"], 3), row["npmi"], row["p"]
    (0.0, 0.0, 1.0)
    """
    sides = Sides(*(np.stack(v) for v in zip(*(one.sides for one in pairs), strict=True)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.log(np.stack(odds_interval(sides)))
        p = rates_p(sides)
    # Below two degrees of freedom two or three clusters decide: nothing is known.
    decided = sides.df >= 2
    ends[1:] = np.where(decided, ends[1:], [[-np.inf], [np.inf]])
    both, first, second, n = (np.array(v) for v in list(zip(*pairs, strict=True))[:4])
    smallest = np.minimum(first, n - first) * np.minimum(second, n - second) / np.maximum(n, 1)
    p = np.where(decided & (smallest >= _FEWEST), p, np.nan)
    mutual = np.array([npmi(*one[:4]) for one in pairs])
    margins = np.array([one.margins for one in pairs]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = _npmi_range(ends, (first / n, second / n), margins)
    columns = {"n_both": both, "n_group": first, "n_attribute": second, "n": n}
    columns |= dict(zip(("log_odds", "low", "high"), ends, strict=True)) | {"npmi": mutual}
    columns |= {"npmi_low": np.minimum(low, mutual), "npmi_high": np.maximum(high, mutual), "p": p}
    lists = [values.tolist() for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _sides(group: Bools, attribute: Bools, cluster: NDArray[np.int64], clusters: int) -> Sides:
    """Shares of documents with the attribute, in the group and in the rest."""
    if clusters == group.size and min(group.sum(), (~group).sum()) > 1:
        counts = [np.asarray(side.sum(), dtype=np.float64) for side in (group, ~group)]
        hits = [np.asarray(attribute[side].sum(), dtype=np.float64) for side in (group, ~group)]
        rates = hits[0] / counts[0], hits[1] / counts[1]
        return independent(rates, (counts[0], counts[1]))
    sums = []
    for side in (group, ~group):
        sums.append(np.bincount(cluster[side], attribute[side], clusters))
        sums.append(np.bincount(cluster[side], minlength=clusters))
    return effective_sides(clustered_pair(*sums))


def _margins(
    group: Bools, attribute: Bools, cluster: NDArray[np.int64], clusters: int
) -> tuple[float, float, float]:
    """Variances of the shares of documents with either term, and their covariance."""
    if clusters < 2:
        return (float("nan"),) * 3
    one, two = (
        np.bincount(cluster, term - term.mean(), clusters) / group.size
        for term in (group, attribute)
    )
    more = clusters / (clusters - 1)
    return float(one @ one) * more, float(two @ two) * more, float(one @ two) * more


def _npmi_range(
    odds: Floats, shares: tuple[Floats, Floats], margins: Floats
) -> tuple[Floats, Floats]:
    """Interval of nPMI from that of the log odds (centre, low, high) and the margins.

    The log odds ratio and the margins are orthogonal (Barndorff-Nielsen 1978), so that their
    parts of the error add as squares, on either side by itself (Zou & Donner 2008). What margins
    add is taken where the odds end: at an odds ratio of 1 nPMI is 0 whatever they are.
    """
    first, second = shares
    known = (first > 0) & (first < 1) & (second > 0) & (second < 1) & np.isfinite(margins[0])
    known &= np.isfinite(odds[1]) | np.isfinite(odds[2])
    middle, *ends = (_npmi_at(centre, first, second) for centre in odds)
    step = 1e-4 * np.minimum(first, 1 - first), 1e-4 * np.minimum(second, 1 - second)
    found = []
    for at, end, side in zip(odds[1:], ends, (-1, 1), strict=True):
        a = (_npmi_at(at, first + step[0], second) - end) / step[0]
        b = (_npmi_at(at, first, second + step[1]) - end) / step[1]
        by_margins = a * a * margins[0] + b * b * margins[1] + 2 * a * b * margins[2]
        reach = np.sqrt((end - middle) ** 2 + 1.96**2 * by_margins)
        found.append(np.where(known, np.clip(middle + side * reach, -1.0, 1.0), np.nan))
    return found[0], found[1]


def _npmi_at(log_odds: Floats, first: Floats, second: Floats) -> Floats:
    """The nPMI of two shares if the odds ratio were this one (Plackett 1965)."""
    odds = np.exp(np.clip(log_odds, -30.0, 30.0))
    b = 1 - first - second + odds * (first + second)
    both = 2 * odds * first * second / (b + np.sqrt(b * b + 4 * (1 - odds) * odds * first * second))
    return np.asarray(np.clip(np.log(both / (first * second)) / -np.log(both), -1.0, 1.0))


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
