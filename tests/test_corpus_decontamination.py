"""Word n-grams shared with an evaluation set, against a count by hand."""

import random

import polars as pl
import pytest

import curate.corpus.decontamination
from curate.corpus import decontaminate
from curate.errors import ConfigError

THIRTEEN = " ".join(f"w{i}" for i in range(13))


def table(*texts):
    return pl.DataFrame({"id": [f"d{i}" for i in range(len(texts))], "text": list(texts)})


def by_hand(documents, evaluation, n):
    def grams(text):
        words = text.lower().split()
        if len(words) < n:
            return {tuple(words)} if words else set()
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    wanted = set().union(*(grams(text) for text in evaluation["text"]))
    counts = [(key, len(grams(text) & wanted)) for key, text in documents.rows()]
    return [(key, count) for key, count in counts if count]


@pytest.mark.parametrize(
    ("document", "evaluation", "shared"),
    [
        (f"before {THIRTEEN} after", f"x {THIRTEEN} y", 1),
        (THIRTEEN.upper().replace(" ", ", "), THIRTEEN, 1),
        (f"{THIRTEEN} w13", f"{THIRTEEN} w13 w14", 2),
        (f"{THIRTEEN} and {THIRTEEN}", THIRTEEN, 1),  # distinct grams count
        (THIRTEEN.replace("w6", "v6"), THIRTEEN, 0),
        ("a short text", "A short text!", 1),
        ("a short text", "here is a short text", 0),
        (f"a short text {THIRTEEN}", "a short text", 0),
        ("", "", 0),
        ("...", "!?", 0),
    ],
)
def test_what_counts_as_shared(document, evaluation, shared):
    found = decontaminate(table(document), table(evaluation))

    assert found.rows() == ([("d0", shared)] if shared else [])
    assert found.schema == {"id": pl.String, "shared_ngrams": pl.Int64}


@pytest.mark.parametrize("n", [1, 2, 4, 13])
def test_counts_agree_with_a_count_by_hand(n, monkeypatch):
    monkeypatch.setattr(curate.corpus.decontamination, "SLICE_BYTES", 500)
    draw = random.Random(n)
    vocabulary = [f"word{i}" for i in range(9)]
    texts = [" ".join(draw.choices(vocabulary, k=draw.randrange(40))) for _ in range(300)]
    documents, evaluation = table(*texts[:270], *texts[280:290]), table(*texts[270:])

    found = decontaminate(documents, evaluation, n=n)

    assert found.rows() == by_hand(documents, evaluation, n)
    assert found.height >= 10


@pytest.mark.parametrize(("documents", "evaluation"), [((), (THIRTEEN,)), ((THIRTEEN,), ())])
def test_nothing_shares_nothing(documents, evaluation):
    empty = pl.DataFrame(schema={"id": pl.String, "text": pl.String})

    found = decontaminate(
        table(*documents) if documents else empty, table(*evaluation) if evaluation else empty
    )
    assert found.is_empty()


def test_phrases_that_many_documents_hold_are_left_out():
    common, rare = THIRTEEN, THIRTEEN.replace("w", "v")
    documents = table(f"{common} x", f"y {common}", f"z {common} {rare}", rare)
    evaluation = table(f"{common} {rare}")

    def shared(**options):
        return decontaminate(documents, evaluation, **options).rows()

    assert [name for name, _ in shared()] == ["d0", "d1", "d2", "d3"]
    assert [name for name, _ in shared(most_documents=3)] == ["d0", "d1", "d2", "d3"]
    assert [name for name, _ in shared(most_documents=2)] == ["d2", "d3"]
    assert shared(most_documents=1) == [("d2", 12)]  # grams across the two, in d2 alone


def test_each_set_is_looked_at_alone():
    other = THIRTEEN.replace("w", "v")
    documents = table(other, "none of it", f"{THIRTEEN} {other}")
    evaluation = table(THIRTEEN, other, other).with_columns(set=pl.Series(["b", "a", "b"]))

    found = decontaminate(documents, evaluation, by="set")

    assert found.rows() == [("d0", "b", 1), ("d0", "a", 1), ("d2", "b", 2), ("d2", "a", 1)]
    assert found.columns == ["id", "set", "shared_ngrams"]


def test_misuse_is_named():
    with pytest.raises(ConfigError, match="evaluation has no column 'set'; it has"):
        decontaminate(table("a"), table("a"), by="set")
    with pytest.raises(ConfigError, match="most_documents = 0"):
        decontaminate(table("a"), table("a"), most_documents=0)
