"""Repeated passages against a slow twin and planted spans; repeated lines and paragraphs."""

import numpy as np
import polars as pl
import pytest

from curate.clean import apply_edits
from curate.duplicates import PassagesConfig, find_passages, find_repeated_units, passage_edits
from curate.errors import ConfigError, InputError
from curate.text import split_words


def frame_of(texts):
    return pl.DataFrame({"id": [f"d{i}" for i in range(len(texts))], "text": texts})


def passages_in(texts, words=50, rows=7):
    frame = frame_of(texts)
    return find_passages(lambda: frame.iter_slices(rows), PassagesConfig(words=words))


def cut(texts, words=50):
    frame = frame_of(texts)
    return apply_edits(frame, passage_edits(passages_in(texts, words))).to_list()


def random_text(rng, count, vocabulary=50_000):
    return " ".join(f"w{i}" for i in rng.integers(0, vocabulary, count))


def planted(count=200, *, span=60, seed=4):
    """Random documents; each second one holds a span of the one before, set apart by commas."""
    rng = np.random.default_rng(seed)
    texts, spans = [], []
    for _ in range(count):
        words = random_text(rng, 300).split()
        start = int(rng.integers(0, 300 - span))
        spans.append(" ".join(words[start : start + span]).upper())
        texts.append(" ".join(words))
        texts.append(f"{random_text(rng, 80)}: {spans[-1]}, {random_text(rng, 80)}")
    return texts, spans


def test_planted_spans_are_cut_and_nothing_else():
    texts, spans = planted()
    found = passages_in(texts)
    assert found["id"].to_list() == [f"d{2 * i + 1}" for i in range(200)]
    assert found["kept_in"].to_list() == [f"d{2 * i}" for i in range(200)]
    for text, span, (start, end, words) in zip(
        texts[1::2], spans, found.select("start", "end", "words").iter_rows(), strict=True
    ):
        assert (text[start:end], words) == (span + ", ", 60)


@pytest.mark.parametrize(("span", "expected"), [(49, 0), (50, 40), (51, 40)])
def test_the_least_length_is_exact(span, expected):
    texts, _ = planted(40, span=span)
    assert passages_in(texts).height == expected


def slow_passages(texts, words):
    """The definition: word windows of earlier documents that no cut has touched."""
    intact, cuts = set(), []
    for text in texts:
        tokens = split_words(text)
        windows = [tuple(tokens[i : i + words]) for i in range(len(tokens) - words + 1)]
        gone = {j for i, w in enumerate(windows) if w in intact for j in range(i, i + words)}
        cuts.append(sorted(gone))
        intact |= {w for i, w in enumerate(windows) if not gone & set(range(i, i + words))}
    return cuts


@pytest.mark.parametrize("words", [10, 11, 24])
def test_spans_equal_the_definition(words):
    """Patchworks of a few long passages, which overlap, repeat within a document, and nest."""
    rng = np.random.default_rng(words)
    pool = [random_text(rng, 60) for _ in range(8)]
    texts = []
    for _ in range(120):
        pieces = []
        for _ in range(rng.integers(1, 5)):
            source = pool[rng.integers(8)].split()
            start = int(rng.integers(0, 50))
            pieces += [*source[start : start + int(rng.integers(2, 60))], f"x{rng.integers(9**9)}"]
        texts.append(" ".join(pieces))
    found = passages_in(texts, words, rows=13)
    remaining = cut(texts, words)
    for text, rest, gone in zip(texts, remaining, slow_passages(texts, words), strict=True):
        tokens = split_words(text)
        assert split_words(rest) == [t for i, t in enumerate(tokens) if i not in set(gone)]
    assert found.height > 50
    assert found["words"].min() >= words


def test_a_document_keeps_what_it_repeats_of_itself():
    rng = np.random.default_rng(1)
    passage = random_text(rng, 60)
    assert passages_in([f"{passage} and again {passage}", random_text(rng, 200)]).height == 0
    once, twice = passages_in([passage, f"{passage} and again {passage}"])["words"]
    assert (once, twice) == (60, 60)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_parts_change_nothing(rows):
    texts, _ = planted(30)
    assert passages_in(texts, rows=rows).equals(passages_in(texts))


def test_scripts_marks_and_lines_keep_their_bytes():
    """Spans lie on character boundaries and stop at the end of a line."""
    passage = "東京は日本の首都である。" * 6 + "Ünïcode co\u00adop naïve 🙂 " * 4
    other = f"前文。{passage}!\nEnd of it."
    assert cut(["begin " + passage, other], words=20)[1] == "前文。\nEnd of it."


def test_edits_make_room_for_earlier_ones():
    passages = pl.DataFrame({"id": ["a", "b"], "start": [0, 0], "end": [10, 10]})
    before = pl.DataFrame(
        {
            "id": ["a", "a", "c"],
            "step": ["mask_pii"] * 3,
            "start": [0, 8, 1],
            "end": [4, 20, 2],
            "replacement": [""] * 3,
        }
    )
    edits = passage_edits(passages, before=before)
    assert edits.select("id", "start", "end").rows() == [("a", 4, 8), ("b", 0, 10)]


LINES = ["Home | About\nFirst text.\n\nBye", "HOME | about \nSecond text.\n\nBye", "Third\n\nBye"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["Second text.\n\n", "Third\n\n"]),
        ({"documents": 3}, ["HOME | about \nSecond text.\n\n", "Third\n\n"]),
        ({"min_chars": 4}, ["Second text.\n\nBye", "Third\n\nBye"]),
        ({"unit": "paragraph"}, ["HOME | about \nSecond text.\n\n", "Third\n\n"]),
    ],
)
def test_repeated_lines_go_from_all_but_the_first_document(options, expected):
    frame = frame_of([*LINES, "Alone\nAlone"])
    spans = find_repeated_units(lambda: frame.iter_slices(2), **options)
    texts = apply_edits(frame, passage_edits(spans, step="cut_lines")).to_list()
    assert texts == [LINES[0], *expected, "Alone\nAlone"]
    assert set(spans["kept_in"]) == {"d0"}


def test_misuse_is_named():
    twice = pl.DataFrame({"id": ["a", "a"], "text": ["x", "y"]})
    with pytest.raises(InputError, match="'a' occurs more than once"):
        find_passages(lambda: [twice])
    with pytest.raises(ConfigError, match="unknown unit 'lines'; did you mean 'line'"):
        find_repeated_units(lambda: [twice], unit="lines")
    with pytest.raises(ConfigError, match="needs at least 2"):
        find_repeated_units(lambda: [twice], documents=1)
    assert passages_in([]).height == 0
    assert passages_in(["", "short"]).height == 0
    assert find_repeated_units(lambda: []).height == 0
