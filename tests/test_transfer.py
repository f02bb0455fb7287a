"""Predictions written before a larger model is trained, and what becomes of them."""

import numpy as np
import polars as pl
import pytest

from curate.experiment import predictions, score_predictions, transfer_said


def table(values, *, n_tokens, family="kneser_ney", size="order3", error=0.02, slope=None):
    """Multipliers of contrasts by their ln m; a slope a doubling where given."""
    fixed = {
        "family": family,
        "size": size,
        "eval_set": "all",
        "reached": True,
        "standard_error": error,
        "degrees_of_freedom": 7.0,
    }
    rows = []
    for contrast, value in values.items():
        cell = {"contrast": contrast, "n_tokens": n_tokens, "estimate": float(np.exp(value))}
        rows.append(fixed | cell | {"quantity": "multiplier", "decisive": True})
        if slope is not None:
            steep = {"estimate": float(np.exp(slope)), "n_tokens": None, "decisive": False}
            rows.append(fixed | cell | steep | {"quantity": "slope_per_doubling"})
    return pl.DataFrame(rows)


WORTH = {
    "raw → curated": 0.5,
    "raw → oracle": 0.8,
    "without_a → curated": -0.1,
    "raw → only_b": 0.2,
}


def test_the_slope_carries_to_a_larger_budget():
    """Truth: ln m grows by .1 a doubling; three doublings on it stands where it was said."""
    before = predictions(table(WORTH, n_tokens=100_000, slope=0.1))
    after = table({c: v + 0.3 for c, v in WORTH.items()}, n_tokens=800_000)
    scores = score_predictions(before, after)

    assert scores.height == 4
    assert scores["predicted"].to_list() == pytest.approx(scores["observed"].to_list())
    assert scores["inside"].all()
    assert scores["same_sign"].all()
    assert "sign right in 4 of 4" in transfer_said(scores)[0]


def test_a_prediction_that_fails_is_said_to_fail():
    """Another family turns every sign round."""
    before = predictions(table(WORTH, n_tokens=100_000, slope=0.0, error=0.01))
    after = table({c: -v for c, v in WORTH.items()}, n_tokens=100_000, family="gpt", size="width64")
    scores = score_predictions(before, after)
    (said,) = transfer_said(scores)

    assert not scores["same_sign"].any()
    assert not scores["inside"].any()
    assert "sign right in 0 of 4" in said
    assert "rank correlation -1.00" in said


def test_no_prediction_is_scored_by_what_it_was_made_from():
    before = predictions(table(WORTH, n_tokens=100_000))

    assert score_predictions(before, table(WORTH, n_tokens=100_000)).is_empty()
    assert score_predictions(before, table(WORTH, n_tokens=50_000)).is_empty()


def test_intervals_of_right_predictions_hold_what_is_observed():
    """400 noisy pairs under the law that is assumed: 95 %, within the exact band."""
    from curate.statistics import binomial_band

    rng, repetitions, held = np.random.default_rng(5), 400, 0
    for _ in range(repetitions):
        noise = rng.normal(0, 0.02, 3)
        before = predictions(
            table({"raw → curated": 0.5 + noise[0]}, n_tokens=1_000, slope=0.1 + noise[1])
        )
        after = table({"raw → curated": 0.7 + noise[2]}, n_tokens=4_000)
        held += int(score_predictions(before, after)["inside"][0])
    low, _ = binomial_band(repetitions, 0.95)

    assert held >= low
