"""Batches one after the other against one run over all."""

import numpy as np
import polars as pl
import pytest

from curate.duplicates import (
    DuplicatesConfig,
    NearDuplicates,
    add_to_index,
    find_duplicates,
    find_pairs,
    resolve,
)
from curate.duplicates.index import compare_with_index
from curate.errors import ConfigError, InputError, IntegrityError


def versions(*, pages=60, copies=7, seed=3):
    """Chains of versions, each a few words from the last, with verbatim copies among them."""
    rng = np.random.default_rng(seed)
    texts = []
    for page in range(pages):
        words = rng.integers(0, 3_000, 150).astype(str)
        for _ in range(copies):
            texts.append(" ".join(words))
            words = words.copy()
            words[rng.integers(0, 150, rng.integers(0, 3))] = f"new{page}"
    order = rng.permutation(len(texts))
    ids = [f"d{i:04}" for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": [texts[i] for i in order]})


def one_run(documents, near, failing=()):
    config = DuplicatesConfig(near=near, survivor="earliest")
    pairs = find_pairs(lambda: [documents], config)
    eligible = documents.select("id", eligible=~pl.col("id").is_in(list(failing)))
    resolved = resolve(pairs, eligible, "earliest")
    return resolved.select("id", stays=eligible["eligible"] & resolved["duplicate_of"].is_null())


def in_batches(documents, cuts, folder, near, failing=()):
    """Verdicts of batches between the cuts, each given as two files."""
    verdicts = []
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, documents.height], strict=True)):
        batch, files = documents[start:end], []
        for half in (batch[: batch.height // 2], batch[batch.height // 2 :]):
            files.append(folder / f"batch{number}-{len(files)}.parquet")
            half.write_parquet(files[-1])
        verdicts.append(add_to_index(folder / "index", files, near=near, failing=failing))
    return pl.concat(verdicts)


SPLITS = [[], [210], [1], [419], [100, 101, 300], list(range(35, 420, 35))]


@pytest.mark.parametrize("preset", ["fineweb", "high_recall"])
@pytest.mark.parametrize("cuts", SPLITS, ids=len)
def test_any_split_leaves_the_survivors_of_one_run(tmp_path, cuts, preset):
    documents, near = versions(), NearDuplicates(jaccard=0.8, preset=preset)
    expected = one_run(documents, near)
    found = in_batches(documents, cuts, tmp_path, near)
    assert found.select("id", "stays").equals(expected)
    assert 60 < expected["stays"].sum() < 200


def test_documents_that_fail_other_rules_hold_no_place(tmp_path):
    """A class whose first member fails keeps its first member that passes."""
    documents, near = versions(seed=5), NearDuplicates()
    failing = documents["id"].gather_every(3).to_list()
    expected = one_run(documents, near, failing)
    for number, cuts in enumerate(([210], [60, 61, 200, 400])):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = in_batches(documents, cuts, folder, near, failing)
        assert found.select("id", "stays").equals(expected)


def test_every_removal_names_a_survivor_that_it_equals_or_resembles(tmp_path):
    documents = versions()
    found = in_batches(documents, [100, 250], tmp_path, NearDuplicates())
    removed = found.drop_nulls("duplicate_of")
    survivors = set(found.filter("stays")["id"])
    assert set(removed["duplicate_of"]) <= survivors
    assert removed["jaccard"].min() >= 0.8
    assert set(removed["kind"]) == {"exact", "near"}


def test_comparing_changes_nothing_and_agrees_with_adding(tmp_path):
    documents = versions()
    in_batches(documents[:300], [], tmp_path, None)
    before = {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()}
    near = NearDuplicates()
    compared = find_duplicates(
        documents[300:], near, survivor="earliest", against=tmp_path / "index"
    )
    assert {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()} == before
    documents[300:].write_parquet(tmp_path / "rest.parquet")
    added = add_to_index(tmp_path / "index", [tmp_path / "rest.parquet"])
    expected = added.drop_nulls("duplicate_of").select("id", pl.col("duplicate_of"))
    assert compared.removed.select("id", "kept_id").rows() == expected.rows()
    assert compared.documents == 120


@pytest.mark.parametrize(
    ("near", "message"),
    [
        (NearDuplicates(jaccard=0.7), r"jaccard = 0.8, not 0.7"),
        (NearDuplicates(preset="balanced"), r"bands = 14, not 25; rows = 8, not 6"),
        (NearDuplicates(seed=2), r"seed = 1, not 2"),
        (NearDuplicates(scheme="one_permutation"), r"scheme = 'affine32', not 'one_permutation'"),
    ],
)
def test_an_index_with_other_parameters_is_refused(tmp_path, near, message):
    documents = versions(pages=2)
    in_batches(documents, [], tmp_path, NearDuplicates())
    more = documents.with_columns("new " + pl.col("id"))
    with pytest.raises(ConfigError, match=f"was made with {message}"):
        compare_with_index(tmp_path / "index", lambda: [more], near=near)


def test_misuse_and_lost_texts_are_named(tmp_path):
    documents = versions(pages=3)
    in_batches(documents, [], tmp_path, NearDuplicates())
    index, file = tmp_path / "index", tmp_path / "batch0-0.parquet"
    with pytest.raises(InputError, match="'d0000' is in the index already"):
        add_to_index(index, [file])
    text = documents["text"][0] + " and more"
    near_copy = pl.DataFrame({"id": ["new"], "text": [text]})
    pl.read_parquet(file).with_columns(pl.col("text") + "!").write_parquet(file)
    with pytest.raises(IntegrityError, match=r"'d0000' in .* has changed"):
        compare_with_index(index, lambda: [near_copy])
    file.unlink()
    with pytest.raises(IntegrityError, match="which is gone"):
        compare_with_index(index, lambda: [near_copy])
    with pytest.raises(ConfigError, match="is no index"):
        compare_with_index(tmp_path, lambda: [near_copy])
    with pytest.raises(ConfigError, match="pass survivor='earliest'"):
        find_duplicates(near_copy, against=index)
    with pytest.raises(ConfigError, match="an index verifies by Jaccard"):
        add_to_index(tmp_path / "b", [], near=NearDuplicates(verify=False))


def test_a_batch_that_was_cut_off_does_not_count(tmp_path):
    documents = versions(pages=2)
    in_batches(documents, [], tmp_path, NearDuplicates())
    unfinished = tmp_path / "index/batch-00001/sketches.parquet"
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"half")
    more = documents.with_columns(id="new " + pl.col("id"))
    more.write_parquet(tmp_path / "more.parquet")
    found = add_to_index(tmp_path / "index", [tmp_path / "more.parquet"])
    assert not found["stays"].any()
    assert set(found["kind"]) <= {"exact", "near"}
