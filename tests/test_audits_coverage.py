"""Null coverage of what an audit adjusts, of strata, edited texts and means, in whole sources.

Corpora are drawn as counts, and every repetition goes through the functions that the impact table
calls. Limits were chosen on designs of 12, 15, 20, 30 and 60 sources; those of the confirmation
were drawn up afterwards, and nothing was changed for them.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from scipy import special

from curate.audits._adjusted import Step, adjusted_table, documents_of, step_rows
from curate.audits._clusters import Cells, OneGroup, expected_heterogeneity
from curate.audits._edited import Weighed
from curate.audits._edited import _part as part_of
from curate.audits._edited import _Taken as Taken
from curate.audits._standard import Held, design_of, intervals, standardised, whole_sides
from curate.audits.scores import _compared as compared
from curate.statistics import (
    Strata,
    binomial_band,
    breslow_day,
    compare_means,
    heterogeneity_p,
    stratified_odds_ratio,
)

FEWEST_TOLD = 0.1
CORRELATIONS = (0.0, 0.05, 0.1)


class Design(NamedTuple):
    """Strata in `even` or `uneven` parts of sources, of whole `sources`, or `each` source one.

    The group is `inside` every source, a `varied` part of each, or a quarter of the sources; two
    strata are `confounded` with it. `silent` names what is told in less than a tenth of corpora.
    """

    sources: int
    strata: int
    kind: str
    group: str
    unequal: float = 0.0
    rates: tuple[float, float] = (0.12, 0.32)
    size: int = 50
    silent: str = ""


def counts(rng, n, design, correlation):
    """Documents and removals of group and rest by corpus, source and stratum; no group differs."""
    d = design
    sizes = np.exp(d.unequal * rng.standard_normal((n, d.sources)) - d.unequal**2 / 2)
    sizes = np.maximum(2, np.round(d.size * sizes)).astype(int)
    place = np.arange(d.sources)
    parts = np.full((n, d.sources, d.strata), 1 / d.strata)
    if d.kind == "uneven":
        parts = rng.dirichlet(np.ones(d.strata), (n, d.sources))
    if d.kind == "sources":
        parts = np.zeros_like(parts)
        parts[:, place, place % d.strata] = 1
    if d.kind == "confounded":
        parts[:] = np.where(place[:, None] % 4 == 0, [0.3, 0.7], [0.7, 0.3])
    documents = rng.multinomial(sizes, parts)
    if d.kind == "each":  # every source is a stratum
        documents = np.zeros((n, d.sources, d.sources), int)
        documents[:, place, place] = sizes
    if d.group == "whole":
        step = place // d.strata if d.kind == "sources" else place
        own = documents * (step % 4 == 0)[:, None]
    elif d.group == "varied":
        own = rng.binomial(documents, rng.beta(0.6, 1.4, (n, d.sources, 1)))
    else:
        own = rng.binomial(documents, 0.4)
    chance = np.array(d.rates)[np.arange(documents.shape[2]) % 2]
    if correlation:
        k, u = 1 / correlation - 1, rng.random((n, d.sources))
        both = [special.betaincinv(r * k, (1 - r) * k, u) for r in d.rates]
        chance = np.stack(both, axis=-1)[:, :, np.arange(documents.shape[2]) % 2]
    rest = documents - own
    return own, rng.binomial(own, chance), rest, rng.binomial(rest, chance)


def cells_of(sources, strata):
    """Two cells a source and stratum, the rest's first."""
    every = sources * strata
    return Cells(
        first=np.arange(sources + 1) * 2 * strata,
        stratum=np.tile(np.repeat(np.arange(strata), 2), sources),
        group=np.tile([0, 1], every),
        n=np.empty(0),
        of_document=np.empty(0, dtype=np.int64),
    )


def judged(found):
    """p of the ratio and of heterogeneity, and the four ends, as the impact table makes them."""
    own, hit, rest, hit_rest = (v.astype(float) for v in found)
    n, sources, strata = own.shape
    cells = cells_of(sources, strata)
    both = [np.stack(pair, -1).reshape(n, -1) for pair in ((rest, own), (hit_rest, hit))]
    tables = np.stack([v.sum(1) for v in (hit, own - hit, hit_rest, rest - hit_rest)], axis=1)
    every = strata_of(tables.swapaxes(0, 1).reshape(4, -1), np.repeat(np.arange(n), strata))
    odds = stratified_odds_ratio(every).ratio
    statistics = breslow_day(every, odds)
    nobody = whole_sides(strata_of(np.zeros((4, strata))))
    rows, expected, is_own = [], np.full((n, 2), np.nan), cells.group == 1
    for i in range(n):
        one = strata_of(tables[i])
        everyone, codes = whole_sides(one), np.arange(strata)
        held = Held(cells, is_own, both[0][i], codes, strata)
        design = design_of(everyone, nobody, held)
        rows.append(standardised(design, everyone, nobody, (held, both[1][i])))
        if statistics.df[i] > 0:
            nothing = strata_of(np.zeros((4, strata)))
            group = OneGroup(tables=one, alone=nothing, stratum=codes, strata=strata, group=1)
            counted = replace(cells, n=both[0][i])
            expected[i] = expected_heterogeneity(group, odds[[i]], counted, both[1][i])
    p = heterogeneity_p(*statistics, *expected.T)
    return intervals(rows, odds), p


def strata_of(table, owner=None):
    owner = np.zeros(table.shape[1], dtype=np.int64) if owner is None else owner
    names = ("hit", "missed", "hit_rest", "missed_rest")
    return Strata(**dict(zip(names, table, strict=True)), owner=owner, comparisons=owner.max() + 1)


def fault(name, design, p, *, silent=False):
    """What is wrong with a row: the tests that are made must reject 4 to 6 % of nulls.

    But for chance at 99.9 %. They must be made in a tenth of the corpora, or else the design be
    named as one that is `silent`: no row is right for saying nothing.
    """
    told = np.isfinite(p)
    rejected, made = int((p[told] < 0.05).sum()), int(told.sum())
    inside = binomial_band(made, 0.04)[0] <= rejected <= binomial_band(made, 0.06)[1]
    enough = made >= FEWEST_TOLD * p.size
    said = ("" if inside else "outside") if enough else "silent"
    row = f"{name} {design} told {made / p.size:.2f} rejects {rejected / max(made, 1):.2%} {said}"
    print(row)
    return "" if said == ("silent" if silent else "") else row


# Designs in which strata are told to differ in fewer than a tenth of the corpora.
quiet = partial(Design, silent="heterogeneity")
CHOSEN = [
    quiet(15, 3, "even", "whole"),
    quiet(30, 3, "even", "whole", 0.8),
    quiet(30, 3, "uneven", "whole", 0.8),
    quiet(60, 5, "uneven", "whole", 0.8),
    quiet(60, 2, "sources", "whole", 0.8),
    quiet(12, 3, "even", "inside", 0.8),
    Design(15, 3, "uneven", "inside"),
    Design(30, 5, "uneven", "inside", 0.8),
    quiet(30, 1, "each", "inside", 0.8),
    quiet(12, 3, "even", "varied", 0.8),
    quiet(30, 20, "uneven", "varied", 0.8),
]
CONFIRMED = [
    quiet(5, 2, "even", "inside", 0.0, (0.15, 0.4), 120),
    Design(25, 4, "even", "whole", 0.5, (0.08, 0.2), 80),
    quiet(40, 4, "uneven", "whole", 1.0, (0.2, 0.2), 40),
    quiet(100, 4, "sources", "whole", 0.5, (0.1, 0.4), 30),
    quiet(18, 2, "uneven", "inside", 1.0, (0.08, 0.2), 80),
    Design(45, 3, "sources", "inside", 0.5, (0.3, 0.5), 40),
    quiet(22, 1, "each", "varied", 0.5, (0.15, 0.4), 60),
    Design(25, 4, "even", "varied", 1.0, (0.2, 0.3), 40),
    Design(80, 8, "uneven", "varied", 0.5, (0.1, 0.3), 30),
    Design(70, 4, "even", "whole", 0.3, (0.1, 0.3), 40),
    Design(48, 3, "uneven", "inside", 0.5, (0.15, 0.35), 60),
    Design(110, 2, "sources", "whole", 0.3, (0.2, 0.4), 40),
]
# Also three in ten documents of the group in a stratum that holds seven in ten of the rest's.
LARGE = [
    Design(60, 2, "confounded", "whole"),
    *(Design(60, n, "even", group) for n in (2, 5, 20) for group in ("inside", "whole")),
]
QUICK = [
    (CONFIRMED[5], 0.05),
    (CHOSEN[1], 0.1),
]


def check(design, correlation, n):
    rng = np.random.default_rng(20)
    ends, p = judged(counts(rng, n, design, correlation))
    told = np.isfinite(ends.low)
    for low, high in ((ends.low, ends.high), (ends.odds_low, ends.odds_high)):
        outside = (low > 1) | (high < 1)
        assert (outside == (ends.p < 0.05))[told].mean() > 0.999
    found = {"adjusted": ends.p, "heterogeneity": p}
    faults = [
        fault(k, (design, correlation), v, silent=k == design.silent) for k, v in found.items()
    ]

    assert faults == ["", ""]


@pytest.mark.parametrize(("design", "correlation"), QUICK)
def test_adjusted_intervals_and_heterogeneity_hold_their_level(design, correlation):
    check(design, correlation, 500)


@pytest.mark.study
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("design", [*CHOSEN, *LARGE])
def test_study_of_adjusted_intervals_and_heterogeneity(design, correlation):
    check(design, correlation, 10_000)


@pytest.mark.study
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("design", CONFIRMED)
def test_confirmation_of_adjusted_intervals_and_heterogeneity(design, correlation):
    check(design, correlation, 10_000)


@pytest.mark.parametrize("design", [CONFIRMED[4], Design(40, 3, "even", "whole")])
def test_counts_are_judged_as_the_documents_of_a_corpus_are(design):
    """The impact table's own rows, from one document a row, for ten corpora."""
    found = counts(np.random.default_rng(21), 10, design, 0.1)
    ends, p = judged(found)
    for i in range(10):
        own, hit, rest, hit_rest = (v[i] for v in found)
        place = np.indices(own.shape).reshape(2, -1)
        cells = [(rest - hit_rest, 0, 0), (hit_rest, 0, 1), (own - hit, 1, 0), (hit, 1, 1)]
        rows = np.concatenate(
            [
                np.repeat([*place, [g] * place.shape[1], [h] * place.shape[1]], v.ravel(), 1).T
                for v, g, h in cells
            ]
        )
        frame = pl.DataFrame({"kind": rows[:, 1].astype(str)})
        cluster = np.unique(rows[:, 0], return_inverse=True)[1]
        documents = documents_of(frame, rows[:, 2], ["kind"], cluster)
        row = adjusted_table(step_rows(Step(documents, rows[:, 3] == 1))).row(1, named=True)
        wanted = [ends.low[i], ends.high[i], ends.odds_low[i], ends.odds_high[i], p[i]]
        names = ("adjusted_removal_ratio_low", "adjusted_removal_ratio_high")
        names += ("adjusted_odds_ratio_low", "adjusted_odds_ratio_high", "heterogeneity_p")

        assert [row[k] for k in names] == pytest.approx(
            [None if np.isnan(v) else v for v in wanted]
        )


# ── steps that edit ──────────────────────────────────────────────────────────────────────────


class Edits(NamedTuple):
    """Documents, strata, clusters (0 = none), whether groups are whole clusters, log-weights.

    A step `removes` documents, whole or not at all, or takes parts of them.
    """

    documents: int
    strata: int
    clusters: int = 0
    whole: bool = False
    spread: float = 0.0
    removes: bool = False


def edited_p(rng, n, design, correlation, *, corpora=50):
    """p of the adjusted ratio of what a step takes; groups and strata are redrawn now and then."""
    d, parts = design, []
    while len(parts) < n:
        cluster = np.arange(d.documents) % d.clusters if d.clusters else None
        kind = np.arange(d.documents) // 2 if d.strata > d.documents else None
        kind = rng.integers(0, d.strata, d.documents) if kind is None else kind
        own = cluster % 3 == 0 if d.whole else rng.random(d.documents) < 0.3
        weight = rng.lognormal(0, d.spread, d.documents)
        frame = pl.DataFrame({"kind": kind.astype(str)})
        documents = documents_of(frame, own.astype(np.int64), ["kind"], cluster)
        weighed = Weighed(documents, weight)
        for _ in range(corpora):
            chance = np.full(d.documents, 0.3)
            if correlation:
                k = 1 / correlation - 1
                chance = rng.beta(0.3 * k, 0.7 * k, d.clusters)[cluster]
            touched = rng.random(d.documents) < chance
            part = 1.0 if d.removes else rng.beta(1, 8, d.documents)
            taken = Taken(weighed, np.where(touched, part, 0.0))
            parts.append(part_of(taken, Step(documents, touched), 1).found)
    return intervals(parts, np.ones(len(parts))).p


EDITS = [
    Edits(1000, 5),
    Edits(600, 10**6),
    Edits(1000, 5, spread=0.7),
    Edits(1000, 5, 40),
    Edits(1000, 5, 40, spread=0.7),
    Edits(750, 3, 15, whole=True),
    Edits(1200, 4, 24, whole=True, spread=0.5),
    Edits(1000, 5, spread=0.7, removes=True),
    Edits(1000, 5, 40, spread=0.7, removes=True),
    Edits(1200, 4, 24, whole=True, spread=0.5, removes=True),
]


@pytest.mark.study
@pytest.mark.parametrize("design", EDITS)
def test_adjusted_shares_of_text_hold_their_level(design):
    faults = []
    for correlation in CORRELATIONS if design.clusters else (0.0,):
        p = edited_p(np.random.default_rng(22), 10_000, design, correlation)
        faults.append(fault("edited", (design, correlation), p))

    assert not any(faults)


# ── means ────────────────────────────────────────────────────────────────────────────────────


class Means(NamedTuple):
    """Sources, and how many are the group's (0 = groups inside all of them); spread of sizes."""

    sources: int
    whole: int = 0
    unequal: float = 0.0
    size: int = 50


def mean_p(rng, n, design, correlation):
    """0 where the interval of a difference of means leaves 0 out, NaN where there is none."""
    d = design
    sizes = np.exp(d.unequal * rng.standard_normal((n, d.sources)) - d.unequal**2 / 2)
    sizes = np.maximum(2, np.round(d.size * sizes))
    inside = np.arange(d.sources) < d.whole
    own = sizes * inside if d.whole else rng.binomial(sizes.astype(int), 0.4)
    effect, sums, variances = rng.standard_normal(sizes.shape), [], []
    for m in (own, sizes - own):
        noise = np.sqrt(m * (1 - correlation)) * rng.standard_normal(m.shape)
        sums.append((m * np.sqrt(correlation) * effect + noise, m))
        variances.append(np.ones(n))
    found = compare_means(*sums, tuple(variances), withhold=True)
    inside_interval = (found.low <= 0) & (found.high >= 0)
    return np.where(found.df > 0, inside_interval.astype(float), np.nan)


MEANS = [
    Means(12), Means(12, 0, 0.8), Means(30, 0, 0.8), Means(12, 5), Means(30, 7, 0.8),
    Means(40, 10), Means(12, 3, 0.8),
]  # fmt: skip
UNTOLD = [Means(12, 3, 0.8)]
MORE_MEANS = [Means(5, 0, 0, 100), Means(20, 5, 0.5, 30), Means(50, 8, 1.0), Means(18, 0, 1.0)]


@pytest.mark.parametrize("design", [Means(20, 5, 0.5, 30), Means(12, 0, 0.8)])
def test_differences_of_means_hold_their_level(design):
    p = mean_p(np.random.default_rng(23), 5000, design, 0.1)

    assert not fault("means", (design, 0.1), p)


@pytest.mark.study
@pytest.mark.parametrize("design", [*MEANS, *MORE_MEANS])
@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_study_of_differences_of_means(design, correlation):
    p, silent = mean_p(np.random.default_rng(23), 10_000, design, correlation), design in UNTOLD

    assert not fault("means", (design, correlation), p, silent=silent)


@pytest.mark.study
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("design", [Means(12), Means(30, 0, 0.8), Means(30, 9, 0.8)])
def test_changes_of_mean_scores_hold_their_level(design, correlation):
    """Curation keeps documents blindly: nothing changes but by chance. Document by document."""
    n, rng, p = 10_000, np.random.default_rng(24), {}
    for i in range(n):
        sizes = np.exp(design.unequal * rng.standard_normal(design.sources))
        source = np.repeat(np.arange(design.sources), np.maximum(2, 50 * sizes).astype(int))
        own = source < design.whole if design.whole else rng.random(source.size) < 0.4
        tone = rng.standard_normal(design.sources)[source] * np.sqrt(correlation)
        tone = tone + np.sqrt(1 - correlation) * rng.standard_normal(source.size)
        kept = rng.random(source.size) < 0.7
        for corpus, *_, low, high in compared(tone, own, kept, source):
            inside = float(low <= 0 <= high) if np.isfinite(low) else np.nan
            p.setdefault(corpus, np.empty(n))[i] = inside
    faults = [fault(f"scores, {k}", (design, correlation), v) for k, v in p.items()]

    assert faults == [""] * 3
