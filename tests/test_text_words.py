"""The compiled tokenisation against its slow twin in docs/tokenisation.md."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.text import split_words, word_ngrams, word_sequences

PAGE = (Path(__file__).parents[1] / "docs" / "tokenisation.md").read_text(encoding="utf-8")
TWIN = {}
exec(PAGE.split("```python\n")[1].split("```")[0], TWIN)
GOLDEN = [
    (ast.literal_eval(text), ast.literal_eval(words), first)
    for text, words, first in re.findall(
        r"^\| `(['\"].*)` \| `(\[.*\])` \| (?:`0x(\w+)`|none) \|$", PAGE, re.MULTILINE
    )
]

# Texts in which bytes of all lengths meet at the edges of 64-byte blocks.
ANY_TEXT = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.text(alphabet="aB_9 -\x00", max_size=150),
        st.text(alphabet="éİςΣ\u00ad\u200d\ufe0fहि東ターไ𐐀🙂\U000e0100\U0003ffff", max_size=40),
        st.sampled_from(["a" * 63, "a" * 64, "A" * 65, " " * 64, "word " * 30, "é" * 33]),
    ),
    max_size=5,
).map("".join)


def shingles_of(text, n=5):
    flat, _ = word_ngrams(pl.Series([text]), n=n)
    return flat.tolist()


def test_the_golden_vectors_are_all_read():
    assert len(GOLDEN) == 16


@pytest.mark.parametrize(("text", "words", "first"), GOLDEN, ids=lambda v: ascii(v)[:30])
def test_golden_vectors(text, words, first):
    expected = [int(first, 16)] if first else []
    assert TWIN["words"](text) == split_words(text) == words
    assert TWIN["ngram_hashes"](text)[:1] == shingles_of(text)[:1] == expected


@settings(deadline=None, max_examples=400)
@given(st.lists(ANY_TEXT, min_size=1, max_size=4), st.integers(1, 13))
@example(["", "\x00", "\U0010ffff"], 5)
def test_kernel_equals_twin_on_any_unicode(texts, n):
    flat, offsets = word_ngrams(pl.Series(texts), n=n)
    sequences, bounds = word_sequences(pl.Series(texts))
    for i, text in enumerate(texts):
        words = TWIN["words"](text)
        assert flat[offsets[i] : offsets[i + 1]].tolist() == TWIN["ngram_hashes"](text, n)
        sequence = sequences[bounds[i] : bounds[i + 1]].tobytes()
        expected = "\0".join(words).encode() if words else b"\0" + text.encode()
        assert sequence == expected
        assert split_words(text) == words


def test_every_character_is_classified_as_the_twin_does():
    """All of Unicode once: as a single text whose characters stand apart."""
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "\n".join(characters)
    assert split_words(text) == TWIN["words"](text)


def test_long_words_and_long_documents():
    one_word, many = "y" * 5_000_000, "Tom's café — 東京 " * 100_000
    assert split_words(one_word) == [one_word]
    assert split_words(many) == ["tom", "s", "café", "東", "京"] * 100_000
    folded = TWIN["word_hash"](one_word) * TWIN["multiplier"](0) & TWIN["MASK"]
    assert shingles_of(one_word) == [folded ^ folded >> 32]


@pytest.mark.parametrize("length", range(0, 41))
def test_word_hashes_of_every_length(length):
    text = "abcdefghijklmnopqrstuvwxyz0123456789_ABCDEF"[:length]
    assert shingles_of(text) == TWIN["ngram_hashes"](text)


def test_plain_words_agree_with_python_regular_expressions():
    text = "The 3 quick_brown foxes, e.g. O'Neil's -- naïve café №5 (x=1)\n" * 50
    assert split_words(text) == re.findall(r"\w+", text.lower())


def test_shingles_do_not_depend_on_where_a_document_lies():
    """Chunks, slices, inline strings: the address of a document is not part of it."""
    texts = ["tiny", "a b c d e f g" * 20, "exactly12byt", "exactly13byte"]
    alone = [shingles_of(t) for t in texts]
    joined = pl.concat([pl.Series(texts), pl.Series(texts)], rechunk=False)[1:7]
    flat, offsets = word_ngrams(joined, n=5)
    found = [flat[a:b].tolist() for a, b in pairwise(offsets)]
    assert found == [*alone[1:], *alone[:3]]


def test_no_words_no_shingles_and_no_documents():
    flat, offsets = word_ngrams(pl.Series(["", " ", "🙂", "\x00\x00"]), n=5)
    assert len(flat) == 0
    assert offsets.tolist() == [0] * 5
    flat, offsets = word_ngrams(pl.Series([], dtype=pl.String), n=5)
    assert (len(flat), offsets.tolist()) == (0, [0])


def test_grams_of_no_words_are_refused():
    with pytest.raises(ConfigError, match="n must be at least 1"):
        word_ngrams(pl.Series(["a"]), n=0)


def test_hashes_of_many_words_do_not_collide():
    words = pl.Series([f"w{i}" for i in range(200_000)])
    flat, _ = word_ngrams(words, n=1)
    assert len(np.unique(flat)) == 200_000
    # The low halves make the signatures: as many collisions as 32 random bits give (4.7).
    assert 200_000 - len(np.unique(flat.astype(np.uint32))) < 20
