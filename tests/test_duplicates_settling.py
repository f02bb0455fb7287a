"""Clusters of thousands: few pairs are stored, others are verified where they matter."""

import time

import numpy as np
import polars as pl
import pytest

from curate.duplicates import DuplicatesConfig, NearDuplicates, comparison, find_pairs, settle
from curate.text import text_similarity


def swarm(copies, *, words=300, seed=9):
    """Near copies of one text, two words changed in each: every pair is at .87 or more."""
    rng = np.random.default_rng(seed)
    base = [f"w{i}" for i in range(words)]
    texts = []
    for copy in range(copies):
        own = list(base)
        for place in rng.integers(0, words, 2):
            own[place] = f"c{copy}p{place}"
        texts.append(" ".join(own))
    ids = [f"d{i:05}" for i in range(copies)]
    return pl.DataFrame({"id": ids, "text": texts, "source": [f"s{i % 3}" for i in range(copies)]})


@pytest.mark.parametrize(
    ("survivor", "most"), [("longest", 5000), ("earliest", 2500), ("source_priority", 2500)]
)
def test_a_cluster_of_thousands_costs_a_multiple_of_its_size(survivor, most):
    """Whoever is eligible one stays; stored pairs and pairs verified afresh grow with n alone."""
    near, sources = NearDuplicates(), ("s1", "s2")
    config = DuplicatesConfig(near=near, survivor=survivor, sources=sources)
    costs = {}
    for copies in (most // 5, most):
        documents = swarm(copies)
        started = time.process_time()
        pairs = find_pairs(lambda documents=documents: [documents], config)
        seconds = time.process_time() - started
        assert pairs.height <= 32 * copies
        compared = []

        def compare(unknown, documents=documents, compared=compared):
            compared.append(unknown.height)
            return comparison(lambda: [documents], near)(unknown)

        known = documents.with_columns(
            text_chars=pl.col("text").str.len_chars(), eligible=pl.int_range(pl.len()) % 7 > 2
        )
        fresh = compare if survivor != "earliest" else None
        verdict = settle(pairs, known, survivor, sources=sources, compare=fresh)
        stays = known["eligible"] & verdict["duplicate_of"].is_null()
        assert stays.sum() == 1
        assert sum(compared) <= 32 * copies
        costs[copies] = (pairs.height, seconds)
    assert costs[most][0] <= 6 * costs[most // 5][0]
    assert costs[most][1] < 10 * costs[most // 5][1] + 1


def test_only_the_nearest_pairs_are_stored_and_others_are_verified_when_they_matter():
    documents = swarm(400)
    pairs = find_pairs(lambda: [documents], DuplicatesConfig())
    known = documents.with_columns(text_chars=pl.col("text").str.len_chars(), eligible=True)
    stored = settle(pairs, known)
    settled = settle(pairs, known, compare=comparison(lambda: [documents], NearDuplicates()))
    gone = settled.drop_nulls("duplicate_of")
    texts = dict(documents.select("id", "text").iter_rows())
    exact = text_similarity(
        pl.Series([texts[i] for i in gone["id"]]),
        pl.Series([texts[i] for i in gone["duplicate_of"]]),
    )

    assert stored["duplicate_of"].null_count() > 1  # the stored pairs alone leave several
    assert settled["duplicate_of"].null_count() == 1
    assert gone["jaccard"].to_list() == exact["jaccard"].to_list()


def test_unlike_members_of_a_large_cluster_stay():
    """Two swarms that one pair joins: one of each stays."""
    left, right = swarm(60, seed=1), swarm(60, seed=2)
    other = right.with_columns(
        id=pl.lit("x") + pl.col("id"), text=pl.col("text").str.replace_all(r"w(\d)", "v$1")
    )
    documents = pl.concat([left, other])
    joint = {"id_a": ["d00000"], "id_b": ["xd00000"], "kind": ["near"]}
    bridge = pl.DataFrame({**joint, "jaccard": [0.8], "containment": [0.9]})
    pairs = pl.concat([find_pairs(lambda: [documents], DuplicatesConfig()), bridge])
    known = documents.with_columns(
        text_chars=pl.col("text").str.len_chars(), eligible=pl.int_range(pl.len()) % 60 > 0
    )
    compare = comparison(lambda: [documents], NearDuplicates())
    settled = settle(pairs, known, compare=compare)
    stays = settled.filter(known["eligible"] & settled["duplicate_of"].is_null())["id"]

    assert settled["cluster_size"].unique().to_list() == [120]
    assert stays.str.starts_with("x").sum() == 1
    assert len(stays) == 2
