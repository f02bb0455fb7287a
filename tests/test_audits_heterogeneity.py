"""Do strata share one odds ratio, where documents come in clusters? Twin, level, power."""

import numpy as np
import polars as pl
import pytest

from curate.audits._adjusted import Step, adjusted_table, documents_of, step_rows
from curate.statistics import (
    breslow_day,
    common_odds,
    heterogeneity_p,
    strata_of,
    stratified_odds_ratio,
)


def p_of(own, hit, kind, cluster):
    """p of heterogeneity of the second group, as the impact table carries it."""
    frame = pl.DataFrame({"kind": kind.astype(str)})
    documents = documents_of(frame, own.astype(int), ["kind"], cluster)
    return adjusted_table(step_rows(Step(documents, hit)))["heterogeneity_p"][1]


def slow_p(own, hit, kind, cluster):
    """The same from one vector of scores a document."""
    kinds = np.unique(kind)
    sides = [(o, h) for o in (True, False) for h in (True, False)]
    tables = strata_of(
        [[((own == o) & (hit == h) & (kind == k)).sum() for o, h in sides] for k in kinds]
    )
    ratio = stratified_odds_ratio(tables).ratio
    common, found = common_odds(tables, ratio), breslow_day(tables, ratio)
    scores, v = np.zeros((own.size, kinds.size)), common.variance
    variances, moves = np.zeros_like(scores), np.zeros_like(scores)
    for i, k in enumerate(kinds):
        rows = kind == k
        rate = np.where(own[rows], common.rate[i], common.rate_rest[i])
        weight = rate * (1 - rate)
        lean = own[rows] - np.average(own[rows], weights=weight)
        scores[rows, i] = lean * (hit[rows] - rate)
        share = 1 / v[i] - 1 / v.sum()
        variances[rows, i] = lean**2 * weight * share
        moves[rows, i] = lean * weight * np.sqrt(share / weight.sum())
    each = [cluster == c for c in np.unique(cluster)]
    scores -= scores.sum(1, keepdims=True) * v / v.sum()
    length = sum((scores[c].sum(0) ** 2 / v).sum() for c in each)
    parts = np.stack([variances[c].sum(0) for c in each])
    lost = sum((moves[c].sum(0) ** 2).sum() for c in each)
    spread = (parts**2).sum(0) / parts.sum(0) ** 2
    share = (parts.sum(0) * spread).sum() / parts.sum()
    differences = scores.sum(0) ** 2 / v
    kept = length * parts.sum() / (parts.sum() - lost) - (differences * spread).sum()
    df, strata = len(kinds) - 1, len(kinds)
    noise = parts.sum() ** 2 / (parts**2).sum() * df / strata - df
    return heterogeneity_p(found.statistic, found.df, kept / (1 - share), noise)[0]


@pytest.mark.parametrize("clusters", [12, 300, 900])
def test_the_counts_of_cells_give_what_a_vector_a_document_gives(clusters):
    """Also where most documents are alone in their cluster."""
    rng = np.random.default_rng(clusters)
    n = 1000
    own, kind = rng.random(n) < 0.4, rng.integers(0, 4, n)
    cluster = np.unique(rng.integers(0, clusters, n), return_inverse=True)[1]
    hit = rng.random(n) < 0.2 + 0.1 * (kind % 2) + 0.1 * (cluster % 3 == 0)

    assert p_of(own, hit, kind, cluster) == pytest.approx(slow_p(own, hit, kind, cluster))


def corpus(rng, *, spans, correlation, strata, harmed=0.0):
    """60 sources of 50; groups inside every source, or made of whole sources."""
    source = np.repeat(np.arange(60), 50)
    own = rng.random(source.size) < 0.4 if spans else source % 4 == 0
    kind = rng.integers(0, strata, source.size)
    chance = 0.12 + 0.2 * (kind % 2)
    if correlation:
        k = 1 / correlation - 1
        chance = np.clip(chance * rng.beta(0.2 * k, 0.8 * k, 60)[source] / 0.2, 0, 1)
    chance = np.where(own & (kind == 0), np.minimum(chance + harmed, 1), chance)
    return own, rng.random(source.size) < chance, kind, source


@pytest.mark.parametrize("spans", [True, False], ids=["groups within sources", "whole sources"])
def test_a_stratum_of_its_own_is_found_in_clusters(spans):
    rng = np.random.default_rng(5)
    p = [
        p_of(*corpus(rng, spans=spans, correlation=0.05, strata=5, harmed=0.25)) for _ in range(20)
    ]

    assert np.median(p) < 0.001
