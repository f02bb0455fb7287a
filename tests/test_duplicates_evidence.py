"""Evidence of removals, and the guard against those that nobody meant."""

import numpy as np
import polars as pl
import pytest

from curate.duplicates import (
    DuplicatesConfig,
    NearDuplicates,
    WipeOutGuard,
    check_wipe_out,
    false_removal_rate,
    find_duplicates,
    find_pairs,
    removal_evidence,
    resolve,
    seed_stability,
)
from curate.errors import ConfigError, GateError, IntegrityError


def templates(pages=400, *, shared=240, own=70, seed=2):
    """Pages on distinct topics in one frame of boilerplate: alike, and no copies."""
    rng = np.random.default_rng(seed)
    frame = [f"frame{i}" for i in range(shared)]
    texts = []
    for page in range(pages):
        topic = [f"p{page}t{i}" for i in rng.integers(0, 10**6, own)]
        texts.append(" ".join([*frame[: shared // 2], *topic, *frame[shared // 2 :]]))
    ids = [f"page{i:04}" for i in range(pages)]
    return pl.DataFrame({"id": ids, "text": texts, "source": "shop"})


def verdicts_of(documents, near):
    pairs = find_pairs(lambda: [documents], DuplicatesConfig(near=near))
    columns = documents.with_columns(text_chars=pl.col("text").str.len_chars(), eligible=True)
    return documents.drop("text").hstack(resolve(pairs, columns, "longest").drop("id"))


def test_the_guard_fires_on_templates_without_verification_and_is_silent_with_it():
    documents = templates()
    guard = WipeOutGuard(source_share=0.5, cluster_documents=200)
    with pytest.raises(GateError, match=r"source 'shop' loses .*; cluster 'page0000' holds"):
        check_wipe_out(verdicts_of(documents, NearDuplicates(verify=False)), guard)
    verified = verdicts_of(documents, NearDuplicates())
    check_wipe_out(verified, guard)
    assert verified["duplicate_of"].null_count() == documents.height


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ({"source_share": 0.5}, "source 'a' loses 60% of its 100 documents, more than 50%"),
        ({"cluster_documents": 59}, "cluster 'x' holds 60 documents, more than 59"),
        ({"source_share": 0.6, "cluster_documents": 60}, None),
        ({"source_share": 0.5, "source_documents": 101}, None),
    ],
)
def test_limits_of_the_guard(guard, message):
    """100 documents of which 60 go; as many controls, all of which go, are none of its business."""
    verdicts = pl.DataFrame(
        {
            "source": ["a"] * 200,
            "control": [None] * 100 + ["exact_copy"] * 100,
            "duplicate_of": ["x"] * 60 + [None] * 40 + ["x"] * 100,
            "cluster_id": ["x"] * 60 + [None] * 40 + ["x"] * 100,
        }
    )
    if message is None:
        check_wipe_out(verdicts, WipeOutGuard(**guard))
    else:
        with pytest.raises(GateError, match=message):
            check_wipe_out(verdicts, WipeOutGuard(**guard))


def test_evidence_says_what_is_lost():
    words = [f"w{i}" for i in range(100)]
    kept, gone = " ".join(words), " ".join([*words[:99], "Fresh", "fresh", "news"])
    documents = pl.DataFrame({"id": ["k", "g"], "text": [kept, gone]})
    removed = find_duplicates(documents, survivor="earliest").removed
    row = removal_evidence(lambda: documents.iter_slices(1), removed).row(0, named=True)
    assert (row["id"], row["kept_id"], row["kind"]) == ("g", "k", "near")
    assert (row["new_words"], row["new_words_shown"]) == (2, ["fresh", "news"])
    assert row["jaccard"] == removed["jaccard"][0]
    with pytest.raises(IntegrityError, match="'g' of a removal is not among"):
        removal_evidence(lambda: [documents.head(1)], removed)


def test_false_removals_are_counted_by_a_second_count():
    documents = templates(pages=300)
    copies = documents.head(40).with_columns(id="x" + pl.col("id"))
    both = documents.vstack(copies)
    verified = find_duplicates(both).removed
    assert verified.height == 40
    assert false_removal_rate(lambda: [both], verified).false == 0
    unverified = find_duplicates(documents, NearDuplicates(verify=False)).removed
    result = false_removal_rate(lambda: [documents], unverified, sample=100)
    assert result.sampled == result.false == 100
    assert (result.rate, result.high) == (1.0, 1.0)
    assert 0.95 < result.low < 1
    again = false_removal_rate(lambda: [documents], unverified, sample=100)
    assert result == again
    nothing = false_removal_rate(lambda: [documents], unverified.head(0))
    assert (nothing.sampled, nothing.low, nothing.high) == (0, 0.0, 1.0)


def test_seed_stability_counts_what_moves():
    documents = templates(pages=60, shared=250, own=12)
    config = DuplicatesConfig(near=NearDuplicates(preset="high_recall"))
    table = seed_stability(lambda: [documents], config, seeds=(2, 3))
    assert table["moved"].to_list() == [0.0, 0.0]
    assert table["removed"].to_list() == [59, 59]
    rng = np.random.default_rng(3)
    words = rng.integers(0, 10**6, (80, 150)).astype(str)
    edited = words.copy()
    edited[:, [20, 70, 120]] = "edited"
    texts = [" ".join(row) for row in (*words, *edited)]
    pairs = pl.DataFrame({"id": [f"d{i:03}" for i in range(160)], "text": texts})
    hasty = DuplicatesConfig(near=NearDuplicates(jaccard=0.7, recall=0.3))
    row = seed_stability(lambda: [pairs], hasty).row(0, named=True)
    assert row["only_first"] > 0 < row["only_other"]
    with pytest.raises(ConfigError, match="exact ones have no seed"):
        seed_stability(lambda: [documents], DuplicatesConfig(near=None))
