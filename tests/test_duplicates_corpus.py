"""Real documentation, licences and articles with complete lists of true pairs."""

from pathlib import Path

import polars as pl
import pytest

from curate.duplicates import DuplicatesConfig, NearDuplicates, clusters, find_pairs, resolve

CORPORA = Path(__file__).parents[1].parent / "shared" / "corpora"
SEEDS = range(1, 11)


def corpus(name):
    """`id` and `text` of one corpus, ids as text."""
    folder = CORPORA / name
    if not folder.exists():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    documents = pl.read_parquet(folder / "docs.parquet", columns=["id", "text"])
    return documents.with_columns(pl.col("id").cast(pl.String))


def pairs_in(documents, preset, seed=1):
    near = NearDuplicates(preset=preset, seed=seed)
    return find_pairs(lambda: documents.iter_slices(500), DuplicatesConfig(near=near))


def removed_in(documents, preset, seed):
    columns = documents.select("id", text_chars=pl.col("text").str.len_chars(), eligible=True)
    resolved = resolve(pairs_in(documents, preset, seed), columns, "longest")
    return set(resolved.drop_nulls("duplicate_of")["id"])


def implied(pairs):
    """Whether a table of pairs says that two documents are duplicates, classes expanded."""
    first = dict(pairs.filter(kind="exact").select("id_b", "id_a").iter_rows())
    near = {frozenset(ends) for ends in pairs.select("id_a", "id_b").iter_rows()}

    def check(a, b):
        a, b = first.get(a, a), first.get(b, b)
        return a == b or frozenset((a, b)) in near

    return check


@pytest.fixture(scope="module")
def planted():
    documents = corpus("planted_dups")
    truth = pl.read_parquet(CORPORA / "planted_dups" / "exact_pairs.parquet")
    truth = truth.select(pl.col("i", "j").cast(pl.String), "J").filter(pl.col("J") >= 0.8)
    return documents, {frozenset(ends) for ends in truth.select("i", "j").iter_rows()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("preset", "least_recall", "least_f1"),
    [("fineweb", 0.98, 0.995), ("balanced", 0.998, 0.999), ("high_recall", 0.999, 0.999)],
)
def test_documents_with_a_true_partner_are_found(planted, preset, seed, least_recall, least_f1):
    """And under the words of the list of truth (Python's) every pair that is found is true."""
    documents, true_pairs = planted
    true = set().union(*true_pairs)
    pairs = pairs_in(documents, preset, seed)
    found = set(clusters(pairs, documents["id"]).drop_nulls("cluster_id")["id"])
    recall, precision = len(found & true) / len(true), len(found & true) / len(found)
    assert recall >= least_recall
    assert 2 * precision * recall / (precision + recall) >= least_f1
    assert precision == 1.0
    assert {frozenset(p) for p in pairs.select("id_a", "id_b").iter_rows()} <= true_pairs


@pytest.mark.parametrize("name", ["neardup_rn_docs", "neardup_spdx_licenses"])
def test_pairs_of_versions_and_families_are_found(name):
    documents = corpus(name)
    truth = pl.read_parquet(CORPORA / name / "pairs_exact_jaccard.parquet")
    truth = truth.filter(pl.col("jaccard_5w") >= 0.8)
    found = implied(pairs_in(documents, "high_recall"))
    hits = [found(str(a), str(b)) for a, b in truth.select("id_a", "id_b").iter_rows()]
    assert len(hits) > 2_000
    assert sum(hits) / len(hits) >= 0.99


@pytest.mark.parametrize("preset", ["fineweb", "high_recall"])
def test_reading_levels_of_one_article_are_no_duplicates(preset):
    """Only texts that are alike by a slow count of their own go; paraphrases stay."""
    documents = corpus("quality_onestop")
    texts = dict(documents.iter_rows())
    columns = documents.select("id", text_chars=pl.col("text").str.len_chars(), eligible=True)
    resolved = resolve(pairs_in(documents, preset), columns, "longest")
    removed = resolved.drop_nulls("duplicate_of").select("id", "duplicate_of").rows()
    for one, other in removed:
        assert slow_jaccard(texts[one], texts[other]) >= 0.8
    assert len(removed) <= 3  # the corpus holds three true copies under different titles


def slow_jaccard(one, other):
    a, b = (
        {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}
        for words in (
            "".join(c if c.isalnum() or c == "_" else " " for c in text.lower()).split()
            for text in (one, other)
        )
    )
    return len(a & b) / len(a | b)


def test_another_seed_removes_the_same_documents(planted):
    documents, _ = planted
    removed = [removed_in(documents, "high_recall", seed) for seed in (1, 2, 3)]
    for other in removed[1:]:
        assert len(removed[0] ^ other) <= 0.005 * len(removed[0])
    assert len(removed[0]) > 1_000


@pytest.mark.parametrize("shards", [1, 2, 7])
@pytest.mark.parametrize("preset", ["fineweb", "high_recall"])
def test_clusters_do_not_depend_on_shards_or_order(planted, preset, shards):
    documents, _ = planted
    plain = named_clusters(pairs_in(documents, preset), documents["id"])
    shuffled = documents.sample(fraction=1, shuffle=True, seed=shards)
    rows = -(-documents.height // shards)
    config = DuplicatesConfig(near=NearDuplicates(preset=preset))
    pairs = find_pairs(lambda: shuffled.iter_slices(rows), config)
    assert named_clusters(pairs, shuffled["id"]) == plain


def named_clusters(pairs, ids):
    return dict(clusters(pairs, ids).drop_nulls("cluster_id").select("id", "cluster_id").rows())
