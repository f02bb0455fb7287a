"""Null coverage of the audit's closed forms: 10,000 corpora each, exact bands, no lucky seed."""

from dataclasses import replace

import numpy as np
import pytest

from curate.audits.association import _pair as associated
from curate.audits.impact import _odds_columns as odds_columns
from curate.statistics import (
    Strata,
    adjust_for_design,
    binomial_band,
    breslow_day,
    clustered_share,
    compare_rates,
    heterogeneity_p,
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


@pytest.mark.parametrize("sizes", [(300, 3000), (1000, 1000)])
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_removal_tests_hold_their_level(sizes, correlation):
    """Clusters of 25 documents; conservative where they are few, never liberal."""
    rng, rate, size = np.random.default_rng(4), 0.1, 25
    shares = []
    for n in sizes:
        chance = np.full((N, n // size), rate)
        if correlation:
            k = 1 / correlation - 1
            chance = rng.beta(rate * k, (1 - rate) * k, chance.shape)
        shares.append(clustered_share(rng.binomial(size, chance), np.full(chance.shape, size)))
    rejected = int((compare_rates(*adjust_for_design(*shares)).p < 0.05).sum())
    print("removal ratio", sizes, correlation, rejected / N)

    assert rejected <= binomial_band(N, 0.05)[1]
    assert rejected >= binomial_band(N, 0.015)[0]


@pytest.mark.parametrize("sizes", [(300, 3000), (1000, 1000)])
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_tests_of_lost_text_hold_their_level(sizes, correlation):
    """A step takes a tenth of the text of one document in five, in clusters of 25."""
    rng, touched, part, size = np.random.default_rng(7), 0.2, 0.1, 25
    rate = touched * part
    dispersion = (touched * part**2 - rate**2) / (rate * (1 - rate))
    shares = []
    for n in sizes:
        chance = np.full((N, n // size), touched)
        if correlation:
            k = 1 / correlation - 1
            chance = rng.beta(touched * k, (1 - touched) * k, chance.shape)
        found = clustered_share(part * rng.binomial(size, chance), np.full(chance.shape, size))
        shares.append(replace(found, dispersion=dispersion))
    rejected = int((compare_rates(*adjust_for_design(*shares)).p < 0.05).sum())
    print("lost text", sizes, correlation, rejected / N)

    assert rejected <= binomial_band(N, 0.05)[1]
    assert rejected >= binomial_band(N, 0.015)[0]


def clustered_chances(rng, shape, rate, correlation):
    """Chances of clusters with this intraclass correlation."""
    if not correlation:
        return np.full(shape, rate)
    k = 1 / correlation - 1
    return rng.beta(rate * k, (1 - rate) * k, shape)


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_crude_odds_ratios_cover(correlation):
    """Woolf's interval on effective counts: 1,000 against 1,000 documents in clusters of 25."""
    rng, size = np.random.default_rng(8), 25
    shares = []
    for _ in range(2):
        chance = clustered_chances(rng, (N, 40), 0.1, correlation)
        shares.append(clustered_share(rng.binomial(size, chance), np.full(chance.shape, size)))
    own, rest = adjust_for_design(*shares)
    found = odds_columns(own, rest, compare_rates(own, rest).df)
    inside = int(((found["odds_ratio_low"] <= 1) & (found["odds_ratio_high"] >= 1)).sum())
    print("crude odds ratio", correlation, inside / N)

    assert binomial_band(N, 0.95)[0] <= inside <= binomial_band(N, 0.985)[1]


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_ratios_weighted_by_tokens_cover(correlation):
    """40 clusters of 10 documents a side, lengths log-normal (σ = 1): the ratio estimator."""
    rng, shares = np.random.default_rng(9), []
    for _ in range(2):
        words = rng.lognormal(5, 1, (N, 40, 10))
        chance = clustered_chances(rng, (N, 40, 1), 0.2, correlation)
        hit = rng.random(words.shape) < chance
        found = clustered_share((words * hit).sum(-1), words.sum(-1))
        squares = (words**2).sum((1, 2))
        size = words.sum((1, 2)) ** 2 / squares
        typical = (words.sum(-1) ** 2).sum(-1) / squares
        shares.append(replace(found, size=size, cluster_size=typical))
    found = compare_rates(*adjust_for_design(*shares))
    inside = int(((found.low <= 1) & (found.high >= 1)).sum())
    print("by tokens", correlation, inside / N)

    assert binomial_band(N, 0.94)[0] <= inside <= binomial_band(N, 0.985)[1]


@pytest.mark.study
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_associations_hold_their_level(correlation):
    """40 sources of 25 documents, a group and an attribute that know nothing of each other.

    Conservative, and the more so the more sources differ: what is common to both sides of a
    source is not subtracted.
    """
    rng, rejected, inside = np.random.default_rng(10), 0, 0
    source = np.repeat(np.arange(40), 25)
    for _ in range(N):
        chance = clustered_chances(rng, 40, 0.2, correlation)[source]
        row = associated(rng.random(1000) < 0.3, rng.random(1000) < chance, source)
        rejected += row["p"] < 0.05
        inside += row["low"] <= 0 <= row["high"]
    print("association", correlation, rejected / N, inside / N)

    assert rejected <= binomial_band(N, 0.05)[1]
    assert binomial_band(N, 0.95)[0] <= inside
