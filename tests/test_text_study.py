"""The compiled statistics against their slow twin on whole corpora, and on many made texts."""

import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statistics_twin import statistics
from test_text_statistics import TEXTS, assert_equal_to_twin, corpus_file

from curate.text.statistics import VIEWS, text_statistics

CORPORA = {
    "dirty_blns": "dirty_blns/blns.json",
    "multi_lingua": "multi_lingua/docs.parquet",
    "mixed": "mixed/raw.parquet",
}


def texts_of(name):
    path = corpus_file(CORPORA[name])
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
@pytest.mark.parametrize("name", CORPORA)
def test_every_document_equals_the_twin(name):
    texts = texts_of(name)

    assert len(texts) > 400
    assert differing_rows(texts) == []


@pytest.mark.study
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_twenty_thousand_made_cases_equal_the_twin(texts):
    assert_equal_to_twin(texts)
