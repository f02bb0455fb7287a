"""Byte-pair encoding: equal to the reference, lossless, the same on every machine and thread."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer

from curate.errors import ConfigError, InputError
from curate.tokens import encode, load_tokenizer, save_tokenizer, train_tokenizer

TRAINING = [
    "The parser reads one line at a time and returns None at the end.  See also: open(), io.\n",
    "def read(path: str) -> list[int]:\n    return [int(x) for x in open(path)]\n",
    "Größe, naïve café, 数据 清洗, данные – 12345 items, 99.5 % of 1,000,000.",
] * 20

TEXTS = [
    "",
    " ",
    "\n",
    "a",
    "The parser reads the end.",
    "  two spaces, \t a tab,\r\n a line end \n\n\n",
    "trailing spaces    ",
    " " * 100 + "x" + "\n" * 33,
    "word" * 40 + "0123456789" * 9 + "-=" * 50,
    "数据清洗" * 30,
    "é" * 24 + "é",
    "emoji 👩‍👩‍👧 and \u00a0 no-break \u2028 separator",
    "\x00\x01\x7f control \x0b \x0c \x1c",
    "<|document|> is only text",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TRAINING, vocabulary=500)


@pytest.fixture(scope="module")
def reference(tokenizer):
    return HuggingFaceTokenizer.from_str(tokenizer.json)


def pieces(ids, offsets):
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


def expected_ids(reference, text):
    """The reference's ids, with its special token read as the plain text that it is."""
    # Where the reference sees its own special token it cannot serve as one.
    assert "<|document|>" not in text
    return [*reference.encode(text).ids, 0]


@pytest.mark.parametrize("text", [t for t in TEXTS if "<|document|>" not in t], ids=ascii)
def test_ids_equal_the_reference(tokenizer, reference, text):
    """Word rules and merges agree with `tokenizers`, byte for byte."""
    assert pieces(*encode(tokenizer, pl.Series([text]))) == [expected_ids(reference, text)]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from("ab T\n\t 1.-é数\u00a0'_"), max_size=60), max_size=4))
def test_ids_equal_the_reference_on_any_text(tokenizer, reference, texts):
    """Also where words recur (the cache), at any place among other documents."""
    frame = pl.Series(texts + texts, dtype=pl.String)

    found = pieces(*encode(tokenizer, frame))

    assert found == [expected_ids(reference, text) for text in frame]


def test_no_text_can_write_a_boundary(tokenizer):
    """Id 0 stands at the end of each document and nowhere else."""
    ids, offsets = encode(tokenizer, pl.Series(TEXTS))

    assert np.flatnonzero(ids == 0).tolist() == (offsets[1:] - 1).tolist()


def test_slices_and_chunks_are_read_where_they_lie(tokenizer):
    """A column that is a slice of several chunks encodes like the same texts in one."""
    column = pl.Series(TEXTS).append(pl.Series(TRAINING))[3:20]

    ids, offsets = encode(tokenizer, column)
    again, offsets_again = encode(tokenizer, pl.Series(column.to_list()))

    assert (ids.tolist(), offsets.tolist()) == (again.tolist(), offsets_again.tolist())


def test_an_empty_column_has_no_tokens(tokenizer):
    ids, offsets = encode(tokenizer, pl.Series([], dtype=pl.String))

    assert (len(ids), offsets.tolist()) == (0, [0])


def test_training_does_not_depend_on_threads(tokenizer):
    """One thread and many learn the same merges, byte for byte, in a fresh process."""
    code = (
        "import sys; from curate.tokens import train_tokenizer;"
        f"sys.stdout.write(train_tokenizer({TRAINING[:3]!r} * 20, vocabulary=500).json)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **threads},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ({"TOKENIZERS_PARALLELISM": "false"}, {"RAYON_NUM_THREADS": "5"})
    ]

    assert found == [tokenizer.json, tokenizer.json]


def test_merges_shorten_text(tokenizer):
    """Training pays: more than two bytes a token on text like its own, one without merges."""
    column = pl.Series(TRAINING[:2])
    bare = train_tokenizer(TRAINING, vocabulary=257)

    size = column.str.len_bytes().sum()
    assert size / encode(tokenizer, column)[1][-1] > 2
    assert size / encode(bare, column)[1][-1] < 1


def test_a_saved_tokenizer_comes_back(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path / "t.json")
    again = load_tokenizer(tmp_path / "t.json")

    assert again.json == tokenizer.json
    assert again.merges.tolist() == tokenizer.merges.tolist()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"model": {"vocab": {}}, "pre_tokenizer": null}', "OTHER"]
)
def test_a_foreign_file_is_refused(tokenizer, tmp_path, content):
    """Also a sound tokenizer that splits words otherwise: the kernel would not follow it."""
    if content == "OTHER":
        foreign = json.loads(tokenizer.json)
        foreign["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\w+"}
        content = json.dumps(foreign)
    (tmp_path / "t.json").write_text(content)

    with pytest.raises(InputError, match=r"cannot read tokenizer .*t\.json"):
        load_tokenizer(tmp_path / "t.json")


@pytest.mark.parametrize("column", [pl.Series(["a", None]), pl.Series([1, 2])])
def test_a_column_without_text_is_refused(tokenizer, column):
    with pytest.raises(InputError, match="String column without nulls"):
        encode(tokenizer, column)


@pytest.mark.parametrize("vocabulary", [256, 65537])
def test_a_vocabulary_that_cannot_be_is_refused(vocabulary):
    with pytest.raises(ConfigError, match=str(vocabulary)):
        train_tokenizer(TRAINING, vocabulary=vocabulary)
