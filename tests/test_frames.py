"""What callers hand over in place of a Polars frame: converted, or refused in plain words."""

import polars as pl
import pytest

import curate
from curate.errors import ConfigError
from curate.frames import polars_frame

TEXTS = ["a first text of some words", "a second text of other words", "a first text of some words"]


@pytest.fixture
def pandas_frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"id": ["a", "b", "c"], "text": TEXTS})


def test_pandas_frames_are_taken_as_they_are(pandas_frame):
    assert curate.find_duplicates(pandas_frame).removed["id"].to_list() == ["c"]
    assert curate.measure_signals(pandas_frame, ["words"])["words"].to_list() == [6, 6, 6]


def test_arrow_tables_are_taken_too():
    table = pl.DataFrame({"text": TEXTS}).to_arrow()

    assert isinstance(polars_frame(table), pl.DataFrame)


@pytest.mark.parametrize(
    "call",
    [
        lambda: curate.audit(TEXTS, groups=["source"]),
        lambda: curate.find_duplicates(TEXTS),
        lambda: curate.fit_scaling_law(TEXTS),
        lambda: curate.measure_signals({"text": TEXTS}),
    ],
)
def test_what_is_no_table_is_refused(call):
    with pytest.raises(ConfigError, match="is no table; give a Polars DataFrame"):
        call()


def test_a_frame_is_no_config():
    with pytest.raises(ConfigError, match="a config is the path of a TOML file"):
        curate.run(pl.DataFrame({"text": TEXTS}))
