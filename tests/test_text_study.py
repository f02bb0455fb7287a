"""The compiled statistics against their slow twin on whole corpora, and on many made texts.

Every shard is a test of its own, so that the study can be run in pieces:

    pytest -m study tests/test_text_study.py -k mixed-03

`STUDY_EVERY=3` takes every third document only. The count of compared documents is printed.
"""

import json
import os

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statistics_twin import statistics
from test_text_statistics import TEXTS, assert_equal_to_twin, corpus_file

from curate.errors import CurateError
from curate.text.statistics import VIEWS, text_statistics

CORPORA = {
    "dirty_blns": ("dirty_blns/blns.json", 1),
    "multi_lingua": ("multi_lingua/docs.parquet", 3),
    "mixed": ("mixed/raw.parquet", 12),
}
SHARDS = [(name, k, n) for name, (_, n) in CORPORA.items() for k in range(n)]
EVERY = int(os.environ.get("STUDY_EVERY", "1"))


def texts_of(name):
    path = corpus_file(CORPORA[name][0])
    if path.suffix == ".json":
        strings = json.loads(path.read_text(encoding="utf-8"))
        return pl.Series([s for s in strings if isinstance(s, str)])
    return pl.read_parquet(path, columns=["text"])["text"]


def differing_rows(texts):
    """Rows in which a column differs from the twin's, with the columns."""
    found = []
    for start in range(0, len(texts), 500):
        part = texts.slice(start, 500)
        for row, text in zip(text_statistics(part, views=VIEWS).to_dicts(), part, strict=True):
            slow = statistics(text, VIEWS)
            wrong = [k for k in row if abs(row[k] - slow[k]) > 1e-9]
            if wrong:
                found.append((start, text[:60], wrong))
    return found


@pytest.mark.study
@pytest.mark.parametrize(
    ("name", "shard", "shards"), SHARDS, ids=[f"{name}-{k:02}" for name, k, _ in SHARDS]
)
def test_every_document_equals_the_twin(name, shard, shards, capsys):
    whole = texts_of(name)
    texts = whole.gather_every(shards, shard).gather_every(EVERY)
    found = differing_rows(texts)
    with capsys.disabled():
        print(
            f"\n{name} {shard + 1} of {shards}: {len(texts):,} of {len(whole):,} compared", end=" "
        )

    assert len(whole) > 400
    assert found == []


def arrow_arrays(texts):
    """The texts as Arrow hands them over: in several layouts, chunks and slices."""
    whole = pa.array(texts, pa.large_string())
    cut = max(len(texts) // 2, 1)
    padded = pa.array(["before", *texts, "after"], pa.string())
    return {
        "string": pa.array(texts, pa.string()),
        "large_string": whole,
        "string_view": whole.cast(pa.string_view()),
        "chunks": pa.chunked_array([whole.slice(0, cut), whole.slice(cut)]),
        "slice": padded.slice(1, len(texts)),
        "dictionary": whole.dictionary_encode().cast(pa.large_string()),
    }


@pytest.mark.study
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_twenty_thousand_made_cases_equal_the_twin(texts):
    assert_equal_to_twin(texts)


@pytest.mark.study
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.none(), TEXTS), min_size=1, max_size=8))
def test_arrow_arrays_of_any_layout_give_the_same_counts(texts):
    """Nulls are refused by row; without their rows the counts are those of the plain texts."""
    sound = [text for text in texts if text is not None]
    expected = text_statistics(pl.Series(sound, dtype=pl.String), views=tuple(VIEWS))
    for layout, array in arrow_arrays(sound).items():
        measured = text_statistics(pl.Series(array).cast(pl.String), views=tuple(VIEWS))
        assert measured.equals(expected), layout
    for layout, array in arrow_arrays(texts).items():
        column = pl.Series("text", array)
        if None in texts:
            with pytest.raises(CurateError, match=f"null in row {texts.index(None)}"):
                text_statistics(column)
        measured = text_statistics(column.drop_nulls(), views=tuple(VIEWS))
        assert measured.equals(expected), layout
