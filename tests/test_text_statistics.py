"""The compiled statistics against a slow twin, published figures, and texts that break others."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statistics_twin import statistics, tokenize

from curate.errors import CurateError
from curate.text.statistics import VIEWS, is_compiled, statistics_columns, text_statistics

# Characters at which the definitions turn: joins, marks, scripts, every kind of line end.
TURNS = "ab eA0 19_.,:/'’@&#-=…•{}\n\n\n\r\t\x0b\x1c\x85\u2028\u00a0\x00\x07éß़́İ中の한ไا٣😀🇩‍️﻿𐐀𝟘ªǅ"
SNIPPETS = [
    "the ",
    "and ",
    "The ",
    "...",
    "\n\n",
    "a a a a ",
    "line one\n",
    "- item\n",
    "xyz ",
    "https",
    "don't ",
    "I'll",
    "cat’s",
    "n't x've",
    "Mr. X. e.g. ",
    "a#b ## #a# ",
    "[...] (…) -» ",
    "BE tHe ",
    "x" * 61 + "’s ",
    "word " * 13,
    "中" * 22,
    "é" * 32 + " ",
    "a.b," * 16,
    "y" * 300 + " ",
]
TEXTS = st.one_of(
    st.text(st.sampled_from(TURNS), max_size=60),
    st.lists(st.sampled_from([*SNIPPETS, *TURNS]), max_size=80).map("".join),
    st.text(max_size=30),
)

EDGES = [
    "",
    " ",
    "\n",
    "\n\n",
    "\n\n\n",
    "a\n",
    "\na\n",
    "\n\na\n\n",
    "a\r\nb\r\n",
    "a\rb",
    "\x00",
    "a\x00b",
    "a a\x00 \x00\x00 \x00é ...\x00",
    "a\n\n\n \nb",
    "a \n\n  \n",
    " \n\na\n\na",
    "é́a",
    "👩‍👩‍👧 x ❤️",
    "中文字符。\n中文",
    "...",
    "….. ... ......",
    "a,b 1,0 1/2 10:30 3:",
    "@a@b .a a. ..a a..b",
    "\u200dx a\u0301 \ufeffabc",
    "a.中 中.a 中́中",
    "--=-- == =-=",
    "שלום עולם.",
    "مرحبا بالعالم؟",
    "नमस्ते दुनिया।",
]


def assert_equal_to_twin(texts):
    measured = text_statistics(pl.Series(texts, dtype=pl.String), views=tuple(VIEWS))

    assert measured.columns == list(statistics_columns(VIEWS))
    for text, row in zip(texts, measured.to_dicts(), strict=True):
        assert row == pytest.approx(statistics(text, VIEWS), abs=1e-9), repr(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_equals_the_twin_on_any_unicode(texts):
    assert_equal_to_twin(texts)


def test_equals_the_twin_on_edge_cases():
    assert_equal_to_twin(EDGES)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("the cat's end-of-line", "the|cat's|end|-|of|-|line"),
        ("e.g. 3.14 don't don’t", "e.g|.|3.14|don't|don’t"),
        ("@you #tag R&D x@site.org", "@|you|#|tag|R&D|x@site.org"),
        ("--- ... ok=>no", "---|...|ok|=|>|no"),
        ("1,000 a,b 10:30 a:b 1/2 and/or", "1,000|a|,|b|10:30|a|:|b|1/2|and|/|or"),
        ("snake_case f(x) os.path.join", "snake_case|f|(|x|)|os.path.join"),
        ("中文abc字", "中|文|abc|字"),
        ("한국어 단어", "한국어|단어"),
        ("e\u0301te\u0301 नमस्ते", "e\u0301te\u0301|नमस्ते"),
        ("a\x00b", "a|b"),
        ("❤\ufe0f❤", "❤\ufe0f❤"),
    ],
)
def test_tokens(text, tokens):
    assert [token for token, _ in tokenize(text)] == tokens.split("|")
    assert_equal_to_twin([text])


CORPORA = Path(__file__).parents[1].parent / "shared" / "corpora"


def corpus_file(name):
    if not (CORPORA / name).exists():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    return CORPORA / name


def test_equals_the_twin_on_naughty_strings():
    strings = json.loads(corpus_file("dirty_blns/blns.json").read_text(encoding="utf-8"))

    assert_equal_to_twin([s for s in strings if isinstance(s, str)])


def test_equals_the_twin_on_many_languages():
    documents = pl.read_parquet(corpus_file("multi_lingua/docs.parquet"), columns=["text"])

    assert_equal_to_twin(documents["text"].gather_every(60).str.slice(0, 2000).to_list())


A = "red fish blue fish\nred fish blue fish\none fish two fish\n"
B = "alpha beta gamma delta epsilon."
C = "the cat sat on the mat and the cat sat on the mat again"
E = "first line\n\nsecond line\n\nfirst line"


@pytest.mark.parametrize(
    ("text", "column", "per", "expected"),
    [
        (A, "duplicate_lines", "split_lines", 0.25),
        (A, "duplicate_line_chars", "text_chars", 0.321429),
        (A, "top_2gram_chars", "text_chars", 0.285714),
        (A, "top_3gram_chars", "text_chars", 0.464286),
        (A, "top_4gram_chars", "text_chars", 0.642857),
        (B, "top_2gram_chars", "text_chars", 0.322581),
        (B, "top_3gram_chars", "text_chars", 0.516129),
        (B, "top_4gram_chars", "text_chars", 0.709677),
        (B, "duplicate_5gram_chars", "text_chars", 0),
        (C, "top_2gram_chars", "text_chars", 0.254545),
        (C, "top_3gram_chars", "text_chars", 0.4),
        (C, "top_4gram_chars", "text_chars", 0.509091),
        (C, "duplicate_5gram_chars", "text_chars", 0.254545),
        (C, "duplicate_6gram_chars", "text_chars", 0.309091),
        (C, "duplicate_7gram_chars", "text_chars", 0),
        (E, "duplicate_lines", "split_lines", 0.333333),
        (E, "duplicate_line_chars", "text_chars", 0.285714),
        (E, "duplicate_paragraphs", "paragraphs", 0.333333),
        (E, "duplicate_paragraph_chars", "text_chars", 0.285714),
        (E, "top_2gram_chars", "text_chars", 0.571429),
        (E, "top_3gram_chars", "text_chars", 0.485714),
        (E, "top_4gram_chars", "text_chars", 0.628571),
    ],
)
def test_ratios_that_datatrove_computes(text, column, per, expected):
    row = text_statistics(pl.Series([text])).row(0, named=True)

    assert row[column] / row[per] == pytest.approx(expected, abs=5e-7)


def test_a_word_of_five_megabytes():
    row = text_statistics(pl.Series(["x" * 5_000_000])).row(0, named=True)

    assert row["longest_word_chars"] == row["text_chars"] == 5_000_000
    assert row["tokens"] == row["words"] == row["lines"] == 1


def test_a_document_does_not_depend_on_its_neighbours():
    """Tables are shared between documents without being cleared; nothing may leak."""
    texts = [*EDGES, A, B, C, E, A, C * 50, "", E] * 3
    together = text_statistics(pl.Series(texts))
    alone = pl.concat([text_statistics(pl.Series([text])) for text in texts])

    assert together.equals(alone)
    assert text_statistics(pl.Series(texts[::-1])).reverse().equals(together)


def test_chunks_and_slices_are_read_as_one_column():
    texts = [*EDGES, A, B, C]
    whole = text_statistics(pl.Series(texts))
    chunked = pl.concat([pl.Series(texts[:5]), pl.Series(texts[5:])], rechunk=False)

    assert text_statistics(chunked).equals(whole)
    assert text_statistics(pl.Series(texts).slice(7, 9)).equals(whole.slice(7, 9))
    assert text_statistics(pl.Series(texts).gather_every(3)).equals(whole.gather_every(3))


def test_no_documents():
    assert text_statistics(pl.Series([], dtype=pl.String)).height == 0


@pytest.mark.parametrize("column", [pl.Series("text", ["a", None]), pl.Series("text", [1])])
def test_other_columns_are_refused_by_name(column):
    with pytest.raises(CurateError, match="column 'text'"):
        text_statistics(column)


def test_kernels_that_ran_lie_in_the_cache():
    text_statistics(pl.Series(["a"]))

    assert is_compiled()
