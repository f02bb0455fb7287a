"""Two seeds are compared where both measured: at one budget, never at two."""

import polars as pl
import pytest

from benchmarks.agreement import agreement


def table(*rows, decisive):
    """Rows of (budget, estimate, error of its logarithm, reached)."""
    return pl.DataFrame(
        [
            {
                "contrast": "raw → curated",
                "family": "f",
                "size": "s",
                "eval_set": "all",
                "quantity": "multiplier",
                "n_tokens": n,
                "estimate": estimate,
                "standard_error": error,
                "reached": reached,
                "decisive": n == decisive,
                "conclusion_without_gate": "worth" if estimate > 1 else "harms",
            }
            for n, estimate, error, reached in rows
        ]
    )


SEED = table((100, 1.2, 0.02, True), (200, 1.5, 0.02, True), decisive=200)


@pytest.mark.parametrize(
    ("other", "agree", "said"),
    [
        # The larger budget is out of this one's reach; at the smaller one they say the same.
        (table((101, 1.21, 0.02, True), (202, 1.9, 0.02, False), decisive=101), True, "1 of 1"),
        (table((101, 1.2, 0.02, True), (202, 1.7, 0.02, True), decisive=202), False, "0 of 1"),
        (table((101, 1.2, 0.02, True), (202, 0.9, 0.5, True), decisive=202), False, "1 go from"),
        (table((101, 1.2, 0.02, False), (202, 1.5, 0.02, False), decisive=None), False, "0 of 0"),
    ],
)
def test_seeds_agree_at_the_largest_budget_that_both_reached(other, agree, said):
    """At that budget: within two joint errors, and on the same side of nothing."""
    found = agreement("other", SEED, other)

    assert found["agree"] is agree
    assert said in found["said"]


def test_estimates_further_apart_are_listed_with_both_budgets():
    """And the way of counting that mixes budgets stands beside the other."""
    other = table((101, 1.2, 0.02, True), (202, 1.5, 0.02, False), decisive=101)
    far = table((101, 1.2, 0.02, True), (202, 1.7, 0.02, True), decisive=202)

    assert agreement("other", SEED, other)["said"].endswith("(so it was counted before): 0 of 1.")
    row = agreement("other", SEED, far)["rows"][-1]
    assert "| 200, 1.50 (± 0.020) | 202, 1.70 (± 0.020) | 4.4 |" in row
