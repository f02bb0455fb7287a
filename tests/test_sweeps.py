"""Sweeps equal judging anew at each value; what never fires is named."""

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.rules import Rule, judge, override_rules
from curate.sweeps import idle_rules, sweep

NUMBERS = st.one_of(st.integers(0, 9).map(float), st.none(), st.just(float("nan")))
RULES = [
    Rule(name="a.x", signal="x", min=2, max=7),
    Rule(name="a.y", signal="y", max=5),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=30),
    st.sampled_from(["min", "max"]),
    st.lists(st.integers(0, 7), min_size=1, max_size=5),
)
def test_a_sweep_equals_judging_anew(rows, bound, values):
    frame = pl.DataFrame(rows, schema={"x": pl.Float64, "y": pl.Float64}, orient="row")
    values = [v if bound == "min" else v + 2 for v in values]
    anew = [
        judge(frame, override_rules(RULES, {"a.x": {bound: float(v)}}))["kept"].sum()
        for v in values
    ]

    assert sweep(frame, RULES, rule="a.x", bound=bound, values=values)["kept"].to_list() == anew


def test_controls_are_no_part_of_the_curve():
    frame = pl.DataFrame({"x": [3.0, 3.0], "y": [0.0, 0.0], "control": [None, "canary"]})

    curve = sweep(frame, RULES, rule="a.x", bound="min", values=[3, 4])
    assert curve.select("documents", "kept").rows() == [(1, 1), (1, 0)]


@pytest.mark.parametrize(("rule", "bound"), [("a.z", "min"), ("a.x", "median")])
def test_what_is_not_there_is_named(rule, bound):
    with pytest.raises(ConfigError, match=rule if rule == "a.z" else bound):
        sweep(pl.DataFrame({"x": [1], "y": [1]}), RULES, rule=rule, bound=bound, values=[1])


def test_a_million_documents_in_three_seconds():
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({name: rng.random(1_000_000) for name in ("x", "y")})
    start = time.process_time()
    curve = sweep(frame, RULES, rule="a.x", bound="min", values=list(np.linspace(0, 1, 50)))
    judge(frame, RULES)

    assert time.process_time() - start < 6  # two cores; a third of it when nothing else runs
    assert curve["kept"].is_sorted(descending=True)


def test_only_a_rule_that_never_fires_is_idle():
    frame = pl.DataFrame({"x": [3.0] * 10_000, "y": [0.0] * 9_999 + [None]})

    assert idle_rules(frame, RULES) == ["a.x"]
    assert idle_rules(frame.head(9_999), RULES) == []
