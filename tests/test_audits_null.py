"""Null coverage of the audit's closed forms: 10,000 corpora each, exact bands, no lucky seed."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from curate.audits.association import counted, judged
from curate.audits.impact import MIN_EXPECTED_REMOVALS
from curate.statistics import (
    Strata,
    binomial_band,
    breslow_day,
    clustered_pair,
    compare_rates,
    effective_sides,
    heterogeneity_p,
    odds_interval,
    rates_p,
    stratified_odds_ratio,
    stratified_rate_ratio,
)

N = 10_000
ASYMPTOTIC = (binomial_band(N, 0.04)[0], binomial_band(N, 0.06)[1])


def tables(rng, sizes, rates):
    """N comparisons of strata with (group, rest) sizes; one true rate a stratum."""
    parts = []
    for (n, n_rest), rate in zip(sizes, rates, strict=True):
        a, c = rng.binomial(n, rate, N), rng.binomial(n_rest, rate, N)
        parts.append(np.stack([a, n - a, c, n_rest - c]).astype(float))
    a, b, c, d = np.concatenate(parts, axis=1)
    owner = np.tile(np.arange(N), len(sizes))
    return Strata(hit=a, missed=b, hit_rest=c, missed_rest=d, owner=owner, comparisons=N)


DESIGNS = {
    "few large strata": ([(200, 500), (300, 300), (100, 900)], [0.1, 0.3, 0.6]),
    "unequal": ([(60, 2000), (400, 300), (150, 5000), (80, 100)], [0.2, 0.3, 0.1, 0.5]),
    "many small strata": ([(3, 9)] * 60 + [(8, 4)] * 60, [0.2] * 60 + [0.5] * 60),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_common_ratios_cover_one(design):
    strata = tables(np.random.default_rng(1), *DESIGNS[design])
    for found in (stratified_odds_ratio(strata), stratified_rate_ratio(strata)):
        rejected = int((np.abs(np.log(found.ratio)) > 1.959964 * np.sqrt(found.variance)).sum())
        print("mantel-haenszel", design, rejected / N)
        assert ASYMPTOTIC[0] <= rejected <= ASYMPTOTIC[1]


@pytest.mark.parametrize("design", ["few large strata", "unequal"])
def test_heterogeneity_rejects_one_odds_ratio_at_its_level(design):
    strata = tables(np.random.default_rng(2), *DESIGNS[design])
    found = breslow_day(strata, stratified_odds_ratio(strata).ratio)
    rejected = int((heterogeneity_p(found.statistic, found.df) < 0.05).sum())
    print("breslow-day", design, rejected / N)

    assert ASYMPTOTIC[0] <= rejected <= ASYMPTOTIC[1]


def test_heterogeneity_finds_opposite_strata():
    rng = np.random.default_rng(3)
    one = rng.binomial(300, 0.3, N), rng.binomial(300, 0.15, N)
    a, c = np.concatenate([one[0], one[1]]), np.concatenate([one[1], one[0]])
    strata = Strata(
        hit=a.astype(float),
        missed=300.0 - a,
        hit_rest=c.astype(float),
        missed_rest=300.0 - c,
        owner=np.tile(np.arange(N), 2),
        comparisons=N,
    )
    found = breslow_day(strata, stratified_odds_ratio(strata).ratio)

    assert (heterogeneity_p(found.statistic, found.df) < 0.05).mean() > 0.99


def clustered_chances(rng, shape, rate, correlation):
    """Chances of clusters with this intraclass correlation."""
    if not correlation:
        return np.full(shape, rate)
    k = 1 / correlation - 1
    return rng.beta(rate * k, (1 - rate) * k, shape)


def cluster_sizes(rng, clusters, unequal):
    """Documents of each cluster: 50, or log-normal around it."""
    noise = unequal * rng.standard_normal((N, clusters)) - unequal**2 / 2
    return np.maximum(1, np.round(50 * np.exp(noise))).astype(int)


def whole(own, rest):
    """A group made of whole clusters."""

    def split(rng, unequal):
        n = cluster_sizes(rng, own + rest, unequal)
        inside = np.arange(own + rest) < own
        return n * inside, n * ~inside

    return split


def inside(clusters, *, uneven):
    """A group within clusters: three documents of ten in each, or a share that varies wildly."""

    def split(rng, unequal):
        n = cluster_sizes(rng, clusters, unequal)
        own = rng.binomial(n, rng.beta(0.6, 1.4, n.shape) if uneven else 0.3)
        return own, n - own

    return split


def shared(own, both, rest, part):
    """A group made of whole clusters and of a part of others, and clusters of the rest."""

    def split(rng, unequal):
        n = cluster_sizes(rng, own + both + rest, unequal)
        parts = np.repeat([1.0, part, 0.0], [own, both, rest])
        group = rng.binomial(n, parts)
        return group, n - group

    return split


LOOKED_AT = [(3, 9), (6, 6), (4, 11), (5, 25), (12, 18), (12, 120), (15, 85), (50, 50)]
# Drawn up after the least degrees of freedom were chosen, as were 24 clusters below,
CONFIRMED = [(6, 20), (9, 35), (20, 24)]
# and of those that share clusters the second five, after the least that count were.
SHARED = [
    *((3, 1, 9, 0.5), (2, 3, 12, 0.3), (1, 6, 10, 0.2), (5, 2, 3, 0.5), (0, 5, 8, 0.4)),
    *((1, 9, 6, 0.5), (2, 8, 8, 0.3), (1, 12, 3, 0.3), (4, 3, 20, 0.2), (3, 6, 30, 0.15)),
]
SPLITS = {
    f"{own} clusters against {rest}": whole(own, rest) for own, rest in (*LOOKED_AT, *CONFIRMED)
} | {
    f"inside {clusters} clusters, {'uneven' if uneven else 'even'}": inside(clusters, uneven=uneven)
    for clusters in (5, 12, 15, 24, 30, 100)
    for uneven in (False, True)
}
SPLITS |= {"{} whole, {} shared, {} of the rest, part {}".format(*d): shared(*d) for d in SHARED}


def null_pair(rng, split, *, rate, correlation, unequal):
    """N corpora in which group and rest are removed alike."""
    n, m = SPLITS[split](rng, unequal)
    chance = clustered_chances(rng, n.shape, rate, correlation)
    return clustered_pair(rng.binomial(n, chance), n, rng.binomial(m, chance), m)


def rejections(pair):
    """Corpora whose sizes tell, that tell, of which the test and the odds' interval leave 1 out."""
    sides = effective_sides(pair, withhold=True)
    found, (_, low, high) = compare_rates(sides), odds_interval(sides)
    outside, odds = (found.low > 1) | (found.high < 1), (low > 1) | (high < 1)
    assert (outside == (found.p < 0.05)).mean() > 0.999
    assert (outside == odds).mean() > 0.999
    hits, documents = pair.rate * pair.size, pair.size + pair.size_rest
    overall = (hits + pair.rate_rest * pair.size_rest) / documents
    enough = np.minimum(pair.size, pair.size_rest) * overall >= MIN_EXPECTED_REMOVALS
    told = (sides.df > 0) & enough
    return [int(v.sum()) for v in (sides.df > 0, told, outside & told, odds & told)]


def holds(told, rejected):
    return binomial_band(told, 0.04)[0] <= rejected <= binomial_band(told, 0.06)[1]


QUICK = ["12 clusters against 18", "inside 15 clusters, uneven"]
FEWEST_TOLD = N // 10
SILENT = {  # split, spread of sizes: fewer than a tenth of the corpora have sizes that tell
    ("3 clusters against 9", 0.0),
    ("3 clusters against 9", 0.8),
    ("inside 5 clusters, uneven", 0.8),
    ("2 whole, 3 shared, 12 of the rest, part 0.3", 0.0),
    ("1 whole, 6 shared, 10 of the rest, part 0.2", 0.0),
    ("3 whole, 6 shared, 30 of the rest, part 0.15", 0.0),
}


@pytest.mark.parametrize("split", QUICK)
@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_ratios_of_removal_and_of_odds_hold_their_level(split, correlation):
    rng = np.random.default_rng(4)
    pair = null_pair(rng, split, rate=0.2, correlation=correlation, unequal=0.8)
    _, told, *rejected = rejections(pair)

    assert all(holds(told, k) for k in rejected)


@pytest.mark.study
@pytest.mark.parametrize("unequal", [0.0, 0.8])
@pytest.mark.parametrize("split", SPLITS)
def test_ratios_hold_their_level_whatever_the_clusters(split, unequal):
    """Where ten removals are expected of an average corpus; designs that do not tell are named."""
    said = []
    for rate, correlation in product((0.05, 0.1, 0.2, 0.4), (0.0, 0.05, 0.1)):
        rng, call = np.random.default_rng(4), {"rate": rate, "correlation": correlation}
        pair = null_pair(rng, split, unequal=unequal, **call)
        known, told, *rejected = rejections(pair)
        few = np.minimum(pair.size, pair.size_rest).mean() * rate < MIN_EXPECTED_REMOVALS
        if known < FEWEST_TOLD:
            said.append("silent")
        elif few or told < FEWEST_TOLD:
            said.append("few")
        else:
            said.append("inside" if all(holds(told, k) for k in rejected) else "outside")
        shares = [f"{k / max(told, 1):.2%}" for k in rejected]
        print(
            "ratios", split, rate, unequal, correlation, f"told {told / N:.2f}", *shares, said[-1]
        )

    if (split, unequal) in SILENT:
        assert set(said) == {"silent"}
    else:
        assert "inside" in said
        assert set(said) <= {"inside", "few"}


@pytest.mark.parametrize("own", [1, 2, 3])
def test_up_to_three_whole_clusters_do_not_tell(own):
    """However alike their documents look: sizes alone decide."""
    rng = np.random.default_rng(8)
    for rest in (9, 30, 100):
        n = np.full(own + rest, 50)
        inside = np.arange(own + rest) < own
        hits = rng.binomial(n, 0.3)
        pair = clustered_pair(hits * inside, n * inside, hits * ~inside, n * ~inside)
        sides = effective_sides(pair, withhold=True)

        assert float(sides.df) == 0
        assert float(compare_rates(sides).p) == 1


@pytest.mark.parametrize("part", [0.5, 0.1])
@pytest.mark.parametrize("clusters", [(2, 1, 9), (1, 2, 9), (1, 1, 1), (0, 3, 0)])
def test_few_sources_of_which_the_rest_shares_some_do_not_tell(clusters, part):
    """Whole sources, sources of which the rest has the other part, and sources of the rest."""
    place = np.arange(sum(clusters))
    shared = (place >= clusters[0]) & (place < clusters[0] + clusters[1])
    n = np.where(place < clusters[0], 1000, shared * 1000 * part)
    hits = np.random.default_rng(12).binomial(n.astype(int), 0.3)
    hits_rest = np.random.default_rng(13).binomial((1000 - n).astype(int), 0.3)
    sides = effective_sides(clustered_pair(hits, n, hits_rest, 1000 - n), withhold=True)

    assert float(sides.df) == 0
    assert float(compare_rates(sides).p) == 1


def test_a_source_that_is_most_of_a_group_does_not_tell():
    """There are degrees of freedom enough; at a correlation of .1 it rejected 9 % of nulls."""
    n = np.array([50] + [10] * 6 + [0] * 10)
    pair = clustered_pair(0.3 * n, n, 0.2 * (50 - n), 50 - n)

    assert float(effective_sides(pair).df) > 0
    assert float(effective_sides(pair, withhold=True).df) == 0


@pytest.mark.parametrize("sizes", [(300, 3000), (1000, 1000)])
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_tests_of_lost_text_hold_their_level(sizes, correlation):
    """A step takes a tenth of the text of one document in five, in clusters of 25."""
    rng, touched, part, size = np.random.default_rng(7), 0.2, 0.1, 25
    rate = touched * part
    dispersion = (touched * part**2 - rate**2) / (rate * (1 - rate))
    own = np.arange(sum(sizes) // size) < sizes[0] // size
    hits = rng.binomial(size, clustered_chances(rng, (N, own.size), touched, correlation)) * part
    n = np.full(hits.shape, size)
    pair = clustered_pair(hits * own, n * own, hits * ~own, n * ~own)
    pair = replace(pair, dispersion=dispersion, dispersion_rest=dispersion)
    rejected = int((compare_rates(effective_sides(pair, withhold=True)).p < 0.05).sum())
    print("lost text", sizes, correlation, rejected / N)

    assert ASYMPTOTIC[0] <= rejected <= ASYMPTOTIC[1]


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_ratios_weighted_by_tokens_cover(correlation):
    """40 clusters of 10 documents a side, lengths log-normal (σ = 1): the ratio estimator."""
    rng = np.random.default_rng(9)
    words = rng.lognormal(5, 1, (N, 80, 10))
    hit = (rng.random(words.shape) < clustered_chances(rng, (N, 80, 1), 0.2, correlation)) * words
    own, sums = np.arange(80) < 40, [values.sum(-1) for values in (hit, words)]
    pair = clustered_pair(*(v * side for side in (own, ~own) for v in sums))
    squares = (words**2).sum(-1)
    sizes = [(sums[1] * side).sum(1) ** 2 / (squares * side).sum(1) for side in (own, ~own)]
    found = compare_rates(effective_sides(replace(pair, size=sizes[0], size_rest=sizes[1])))
    inside = int(((found.low <= 1) & (found.high >= 1)).sum())
    print("by tokens", correlation, inside / N)

    assert binomial_band(N, 0.94)[0] <= inside <= binomial_band(N, 0.96)[1]


def associations(rng, clusters, correlation, n):
    """Sources of 25 documents, a group and an attribute that know nothing of each other."""
    own = rng.binomial(25, 0.3, (n, clusters))
    chance = clustered_chances(rng, own.shape, 0.2, correlation)
    return rng.binomial(own, chance), own, rng.binomial(25 - own, chance), 25 - own


def association_ends(counts):
    """p of associations and the ends of their log odds ratios' intervals, as `judged` has them."""
    sides = effective_sides(clustered_pair(*counts))
    with np.errstate(divide="ignore"):
        ends = np.log(odds_interval(sides)[1:])
    return np.where(sides.df >= 2, [rates_p(sides), *ends], np.nan)


@pytest.mark.study
@pytest.mark.parametrize("clusters", [5, 12, 15, 30, 100])
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_associations_hold_their_level(clusters, correlation):
    counts = associations(np.random.default_rng(10), clusters, correlation, N)
    p, low, high = association_ends(counts)
    told, rejected = int((p >= 0).sum()), int((p < 0.05).sum())
    print("association", clusters, correlation, told / N, rejected / max(told, 1))

    assert told >= FEWEST_TOLD
    assert holds(told, rejected)
    assert (((low > 0) | (high < 0)) == (p < 0.05)).mean() > 0.999


def test_associations_of_counts_are_those_of_documents():
    counts = associations(np.random.default_rng(11), 12, 0.1, 5)
    for i, found in enumerate(association_ends(counts).T):
        x, n, y, m = (v[i] for v in counts)
        kinds = [(1, 1, x), (1, 0, n - x), (0, 1, y), (0, 0, m - y)]
        own, hit, source = np.concatenate(
            [np.repeat([[o] * 12, [h] * 12, range(12)], v, 1) for o, h, v in kinds], axis=1
        )
        row = judged([counted(own == 1, hit == 1, source)])[0]

        assert [row[k] for k in ("p", "low", "high")] == pytest.approx(list(found))
