"""Two kinds of models of one comparison: when they surely differ, the run says so."""

import re

import numpy as np
import polars as pl
import pytest

from curate.report.worth_tables import disagreement_rows
from curate.scaling import decide, disagreements, sentences
from curate.statistics import binomial_band

COUNTS, TRAINED = ("kneser_ney", "order3"), ("gpt", "width32")


def cell(model, quantity, value, *, se=0.02, n_tokens=50_000, kind="headline", **changes):
    family, size = model
    calibrates = kind == "calibrator"
    arms = ("calibrator_diluted", "calibrator_clean") if calibrates else ("raw", "curated")
    return {
        "contrast": " → ".join(arms),
        "arm_a": arms[0],
        "arm_b": arms[1],
        "family": family,
        "size": size,
        "kind": kind,
        "quantity": quantity,
        "eval_set": "all",
        "n_tokens": n_tokens,
        "log_estimate": np.log(value),
        "standard_error": se,
        "degrees_of_freedom": 7.0,
        "n_replicates": 8,
        "reached": True,
        "bound": None,
        "note": None,
        "muted": None,
    } | changes


def table(*rows):
    return decide(rows, headline="raw → curated", primary=COUNTS, sources=4)


def both(quantity, one, two, **changes):
    return [cell(m, quantity, v, **changes) for m, v in ((COUNTS, one), (TRAINED, two))]


def calibrators(trained=2.0, **changes):
    return both("multiplier", 2.0, trained, kind="calibrator", se=0.01, **changes)


def test_random_letters_are_told_as_a_finding_beside_the_headline():
    """Both call it worth, and one pays twice as much for the noise as the other."""
    found = table(*both("multiplier", 4.2, 2.1), *both("harm", 2.09, 1.04), *calibrators())
    (said,) = next(v["doubts"] for v in sentences(found) if v["headline"])

    assert disagreements(found).select("quantity", "disagree").rows() == [("harm", True)]
    assert said.startswith("Kinds of models disagree on raw → curated: what was removed costs")
    assert re.search(r"2\.09 \[.{10}\] times its room by Kneser–Ney order 3 at 50 k tokens", said)
    assert re.search(r"1\.04 \[.{10}\] times its room by GPT width 32 at 50 k tokens", said)
    shown = disagreement_rows(found).row(0, named=True)
    assert shown["verdict"] == "disagree"
    assert shown["second"].startswith("1.04 [")


@pytest.mark.parametrize(
    ("changes", "disagree"),
    [
        ({}, True),
        ({"se": 0.2}, False),  # too noisy to be sure
        ({"one": 1.15, "se": 0.001}, True),
        ({"one": 1.08, "se": 0.001}, False),  # sure, and too small to matter
        ({"one": 0.5}, True),
    ],
)
def test_a_disagreement_is_sure_and_more_than_a_tenth(changes, disagree):
    options = {"one": 1.5, "two": 1.0, "se": 0.02} | changes
    found = disagreements(
        table(*both("harm", options["one"], options["two"], se=options["se"]), *calibrators())
    )

    assert found["disagree"].to_list() == [disagree]


def test_only_what_the_calibrator_admits_takes_part():
    refused = table(*both("harm", 2.0, 1.0), *calibrators(trained=1.2))

    assert disagreements(refused).is_empty()
    assert not any(v.get("doubts") for v in sentences(refused))


def test_two_sizes_of_a_family_are_not_two_kinds():
    sizes = [cell(("kneser_ney", s), "harm", v) for s, v in (("order2", 1.0), ("order3", 2.0))]

    assert disagreements(table(*sizes)).is_empty()


def test_budgets_that_lie_nearest_are_compared():
    """Of equally near ones the largest; a cell that was not reached is not asked."""
    rows = [
        cell(model, "harm", value, n_tokens=n, reached=n < 200_000 or model == TRAINED)
        for model, value in ((COUNTS, 2.0), (TRAINED, 1.0))
        for n in (50_000, 100_000, 200_000)
    ]
    found = disagreements(table(*rows)).row(0, named=True)

    assert (found["first_tokens"], found["second_tokens"]) == (100_000, 100_000)


def test_a_true_ratio_of_a_tenth_is_called_as_rarely_as_the_level_says():
    """400 experiments of eight draws at the very edge: at most 2.5 % are beyond and sure."""
    rng, called = np.random.default_rng(11), 0
    rows = pl.DataFrame(both("harm", 1.0, 1.0)).with_columns(
        low=1.0, high=1.0, admitted=pl.lit(None, pl.Boolean)
    )
    for _ in range(400):
        values = np.array([1.1, 1.0]) * np.exp(0.04 * rng.standard_normal(2))
        errors = 0.04 * np.sqrt(rng.chisquare(7, 2) / 7)
        found = disagreements(rows.with_columns(estimate=values, standard_error=errors))
        called += int(found["disagree"].sum())

    assert 0 < called <= binomial_band(400, 0.025)[1]
