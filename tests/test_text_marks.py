"""Markup and mojibake: the kernel against patterns, piece by piece."""

import re

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.text.markup import LONGEST_TAG_CHARS, mark_counts
from curate.text.mojibake import MOJIBAKE

MARKUP = (
    r"<!--.*?-->|<(?:script|style)(?![a-z0-9_]).*?(?:</(?:script|style)[ \t\n\r\f\v]*>|\Z)"
    rf"|</?[a-z!][^<>]{{0,{LONGEST_TAG_CHARS}}}>"
)
PIECES = [
    *("<", ">", "</", "<!", "<!--", "-->", "--", "-", "a", "é", " ", "\n", "x" * 61),
    *(
        "<script",
        "<STYLE>",
        "</script>",
        "</style \t>",
        "</scripts>",
        "<b>",
        "</p>",
        "<a href='é'>",
    ),
    *("Ã©", "â€™", "ðŸ˜€", "Ã", "Â\xa0", "É»", "â€", "\xc5\xbf"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def twin(text):
    markup = re.finditer(MARKUP, text, re.ASCII | re.DOTALL | re.IGNORECASE)
    spoilt = re.finditer(MOJIBAKE, text)
    return (len(text), sum(len(m[0]) for m in markup), sum(len(m[0]) for m in spoilt))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["<script>a</style><b", "<!-- a -- > b --><!--", "<scripted>x</script>"])
def test_equals_the_patterns(texts):
    assert mark_counts(pl.Series(texts)).rows() == [twin(text) for text in texts]


@pytest.mark.parametrize("longer", [0, 1])
def test_a_tag_has_a_longest_length(longer):
    text = "<a" + "é" * (LONGEST_TAG_CHARS + longer) + ">"

    assert mark_counts(pl.Series([text])).row(0) == twin(text)
    assert (mark_counts(pl.Series([text]))["markup"].item() == 0) == bool(longer)


def test_slices_and_chunks():
    texts = ["<b>" * n + "Ã©" * n for n in range(60)]
    whole = mark_counts(pl.Series(texts))
    chunked = pl.concat([pl.Series(texts[:7]), pl.Series(texts[7:])], rechunk=False)

    assert mark_counts(chunked).equals(whole)
    assert mark_counts(pl.Series(texts).slice(5, 20)).equals(whole.slice(5, 20))


def test_no_text_takes_quadratic_time():
    """Every opening must not look for its end to the end of the text again."""
    texts = ["<!--" * 100_000, "<script " * 100_000, "<a " * 100_000, "</script" * 100_000]

    assert mark_counts(pl.Series(texts))["markup"].to_list()[1] == 800_000
