"""Scores by group, raw against curated: the numbers, the clusters."""

import numpy as np
import polars as pl
import pytest

from curate.audits import group_scores
from curate.errors import ConfigError


def tones(rng, n=2000):
    """Group a is a tenth sadder; curation drops half of its sad documents."""
    own = rng.random(n) < 0.4
    tone = rng.normal(size=n) - 0.1 * own
    return pl.DataFrame(
        {
            "group": np.where(own, "a", "b"),
            "tone": tone,
            "kept": ~(own & (tone < 0) & (rng.random(n) < 0.5)),
            "source": rng.integers(0, 40, n),
        }
    )


def row_of(table, group, corpus):
    return table.filter(group=group, corpus=corpus).row(0, named=True)


def test_means_are_those_of_the_documents_and_the_change_is_their_difference():
    frame = tones(np.random.default_rng(1))
    table = group_scores(frame, ["tone"], groups="group", cluster="source")
    own = frame.filter(group="a")
    raw, curated, change = (row_of(table, "a", c) for c in ("raw", "curated", "change"))

    assert table.height == 6
    assert raw["mean"] == pytest.approx(own["tone"].mean())
    assert curated["mean"] == pytest.approx(own.filter("kept")["tone"].mean())
    assert change["difference"] == pytest.approx(curated["difference"] - raw["difference"])
    assert change["n"] == own.filter(~pl.col("kept")).height
    assert raw["difference"] < 0 < change["low"]
    other = row_of(table, "b", "raw")
    assert other["difference"] == pytest.approx(-raw["difference"])


def test_nothing_known_of_one_cluster_and_nothing_changed_where_all_stay():
    frame = tones(np.random.default_rng(2)).with_columns(kept=True)
    table = group_scores(frame, ["tone"], groups="group", cluster="group")
    change = row_of(table, "a", "change")
    one = frame.with_columns(source=pl.col("group"))
    lost = row_of(group_scores(one, ["tone"], groups="group", cluster="source"), "a", "raw")

    assert (change["difference"], change["low"], change["high"]) == (0, 0, 0)
    assert (lost["low"], lost["high"]) == (None, None)


def test_copies_add_no_certainty():
    frame = tones(np.random.default_rng(3)).with_row_index("cluster").with_columns(kept=True)
    once = row_of(group_scores(frame, ["tone"], groups="group"), "a", "raw")
    copied = group_scores(pl.concat([frame] * 9), ["tone"], groups="group", cluster="cluster")
    again = row_of(copied, "a", "raw")

    assert again["high"] - again["low"] == pytest.approx(once["high"] - once["low"], rel=0.01)


def test_missing_scores_and_controls_do_not_count():
    frame = pl.DataFrame(
        {
            "g": ["a", "a", "a", "b", "b", None],
            "tone": [1.0, None, float("nan"), 0.0, 0.5, 0.25],
            "control": [None] * 4 + ["planted", None],
        },
        schema_overrides={"control": pl.String},
    )
    table = group_scores(frame, ["tone"], groups="g")

    assert dict(table.filter(corpus="raw").select("group", "n").rows()) == {
        "a": 1,
        "b": 1,
        "(missing)": 1,
    }


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [(["tome"], "group", "did you mean 'tone'"), (["group"], "group", "a score is a number")],
)
def test_columns_that_are_no_scores_are_named(scores, groups, message):
    with pytest.raises(ConfigError, match=message):
        group_scores(tones(np.random.default_rng(4), 10), scores, groups=groups)
