import ctypes

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError, IntegrityError
from curate.text import text_view
from curate.text.arrow import _chunk_view


def read_back(view):
    pairs = zip(view.address.tolist(), view.length.tolist(), strict=True)
    return [ctypes.string_at(address, length).decode() for address, length in pairs]


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_every_string_is_read_where_it_lies(texts, start, length):
    series = pl.Series("text", texts, dtype=pl.String)
    chunked = pl.concat([series, series.str.to_uppercase(), series], rechunk=False)
    for case in (series, chunked, chunked.slice(start, length), chunked.gather_every(2)):
        assert read_back(text_view(case)) == case.to_list()


def test_several_data_buffers():
    series = pl.concat([pl.Series([c * 5000]) for c in "abc"]).rechunk()
    assert read_back(text_view(series)) == ["a" * 5000, "b" * 5000, "c" * 5000]


def test_what_is_not_text_is_refused():
    with pytest.raises(ConfigError, match="column 'n' is Int64, but text must be String"):
        text_view(pl.Series("n", [1]))
    with pytest.raises(InputError, match="column 'text' is null in row 1"):
        text_view(pl.Series("text", ["a", None, None]))


@pytest.mark.parametrize(
    "view",
    [(20, 0, 0, 5), (20, 0, 1, 0), (20, 0, 0, -1), (-1, 0, 0, 0), (2**31 - 1, 0, 0, 0)],
    ids=["past the end", "no such buffer", "before the start", "negative length", "huge"],
)
def test_foreign_arrow_data_is_checked_before_it_is_read(view):
    data = pa.py_buffer(b"x" * 24)
    views = pa.py_buffer(np.array([view], np.int32).tobytes())
    array = pa.Array.from_buffers(pa.string_view(), 1, [None, views, data])
    with pytest.raises(IntegrityError, match="row 0"):
        _chunk_view(array)
