"""The figures of a score: right values, intervals that respect groups, confounds that are named."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from curate.errors import ConfigError
from curate.quality import QualityConfig, evaluate_scores, fit_quality, model_card
from curate.quality._calibration_error import calibration_error
from curate.quality._figures import average_precision, balanced
from curate.quality.confounds import partial_correlation, source_correlations
from curate.statistics import blocks, jackknife

WORDS = [f"word{i}" for i in range(400)]


def scored(n=400, *, seed=1, units=80, skill=1.0):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2 == 0
    score = 1 / (1 + np.exp(-rng.normal(np.where(label, skill, -skill), 1.5)))
    unit = np.array([f"{'r' if side else 'b'}{i % units}" for i, side in enumerate(label)])
    return pl.DataFrame(
        {
            "label": label,
            "score": score,
            "unit": unit,
            "text_chars": rng.integers(100, 5_000, n),
            "source": unit,
        }
    )


def drawn(n, *, low, high, seed, name, words=WORDS):
    """Documents of `low` to `high` words by Zipf's law: nothing but length differs."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(2, len(words) + 2)
    weights /= weights.sum()
    texts = [" ".join(rng.choice(words, int(rng.integers(low, high)), p=weights)) for _ in range(n)]
    return pl.DataFrame({"id": [f"{name}{i}" for i in range(n)], "text": texts})


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.8])
def test_figures_at_the_cut_equal_scikit_learn_s_with_balanced_weights(cut):
    frame = scored(n=301)
    label, score = frame["label"].to_numpy(), frame["score"].to_numpy()
    weight, called = balanced(label), score >= cut
    found = evaluate_scores(frame, cut=cut)

    for name, oracle in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        assert found[name]["estimate"] == pytest.approx(oracle(label, called, sample_weight=weight))
    expected = average_precision_score(label, score, sample_weight=weight)
    assert found["average_precision"]["estimate"] == pytest.approx(expected)
    assert found["brier"]["estimate"] == pytest.approx(np.sum(weight * (score - label) ** 2))


def test_every_interval_holds_its_estimate_and_lies_in_the_unit_interval():
    found = evaluate_scores(scored())

    for name in ("auc", "average_precision", "precision", "recall", "f1", "brier"):
        low, middle, high = (found[name][key] for key in ("low", "estimate", "high"))
        assert 0 <= low < middle < high <= 1, name


def test_few_units_give_wide_intervals():
    """Scores that agree within units: 400 documents of 8 units are no 400 witnesses."""
    rng = np.random.default_rng(4)
    label = np.arange(400) % 2 == 0
    unit = np.arange(400) % 8
    score = np.clip(0.5 + 0.1 * label + rng.normal(0, 0.25, 8)[unit], 0, 1)
    frame = scored().with_columns(score=pl.Series(score), unit=pl.Series(unit.astype(str)))
    alone = frame.with_columns(unit=pl.int_range(pl.len()).cast(pl.String))
    for name in ("auc", "average_precision", "f1", "brier"):
        width = [
            evaluate_scores(f)[name]["high"] - evaluate_scores(f)[name]["low"]
            for f in (frame, alone)
        ]
        assert width[0] > 1.5 * width[1], name


def test_one_unit_a_side_is_no_evidence():
    frame = scored().with_columns(unit=pl.col("label").cast(pl.String))
    found = evaluate_scores(frame)

    assert (found["f1"]["low"], found["f1"]["high"]) == (0.0, 1.0)
    assert (found["auc"]["low"], found["auc"]["high"]) == (0.0, 1.0)


def test_scores_that_are_no_probabilities_are_ranked_only():
    frame = scored().with_columns(score=pl.col("score") * 7 - 3)
    with pytest.raises(ConfigError, match="probabilities=False"):
        evaluate_scores(frame)
    found = evaluate_scores(frame, cut=0.5, probabilities=False)

    assert "brier" not in found
    assert "calibration" not in found
    assert found["auc"] == evaluate_scores(scored())["auc"]


def test_missing_scores_are_refused():
    with pytest.raises(ConfigError, match="1 scores are missing"):
        evaluate_scores(
            scored().with_columns(
                score=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("score")
            )
        )


def test_average_precision_of_ties_does_not_depend_on_order():
    label = np.array([True, False, True, False])
    same = np.full(4, 0.5)

    assert average_precision(label, same, balanced(label)) == pytest.approx(0.5)


def test_calibration_error_of_a_calibrated_score_may_be_zero():
    rng = np.random.default_rng(3)
    p = rng.uniform(size=4_000)
    label = rng.random(4_000) < p
    found, chance = calibration_error(label, p, np.arange(4_000))

    assert found.low == 0.0
    assert abs(found.estimate - chance) < 0.01


def test_calibration_error_of_an_overconfident_score_is_not_zero():
    rng = np.random.default_rng(3)
    p = rng.uniform(size=4_000)
    label = rng.random(4_000) < 0.5 + (p - 0.5) / 3
    found, _ = calibration_error(label, p, np.arange(4_000))

    assert 0.12 < found.low < 1 / 6 < found.high < 0.22


def test_blocks_hold_whole_groups_of_about_equal_size():
    groups = np.random.default_rng(1).integers(0, 900, 5_000)
    codes = blocks(groups, most=50)

    assert len(np.unique(np.stack([groups, codes]), axis=1).T) == len(np.unique(groups))
    assert np.bincount(codes).size == 50
    assert np.ptp(np.bincount(codes)) <= 10


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(1).uniform(size=60)
    (found,) = jackknife(lambda t: (t[0] / t[1])[None], [values, np.ones(60)], np.zeros(60))

    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(60))


# ── confounds ────────────────────────────────────────────────────────────────────────────────


def test_a_longer_reference_is_named_and_shares_of_terms_remove_it():
    """The two sides differ in nothing but length."""
    reference = drawn(150, low=150, high=900, seed=1, name="r")
    background = drawn(150, low=20, high=300, seed=2, name="b")
    found = {
        norm: fit_quality(
            reference, background, config=QualityConfig(bits=14, norm=norm, checks=False)
        ).evaluate()
        for norm in ("unit", "share")
    }
    (warning,) = found["unit"]["warnings"]
    followed = {norm: f["length"]["partial_correlation"] for norm, f in found.items()}

    assert warning.startswith("score follows length: partial correlation 0.")
    assert found["unit"]["auc"]["low"] > 0.7
    assert followed["unit"]["low"] > 0.4
    assert found["share"]["warnings"] == []
    assert abs(followed["share"]["estimate"]) < 0.2
    assert found["share"]["auc"]["low"] < 0.55


def test_a_score_that_is_better_for_the_longer_side_only_follows_the_label():
    rng = np.random.default_rng(5)
    label = np.arange(600) < 300
    chars = rng.integers(100, 200, 600) + 1_000 * label
    found = partial_correlation(label + rng.normal(0, 0.1, 600), chars, label, np.arange(600))

    assert found.low < 0 < found.high


def test_a_source_that_the_score_favours_stands_first():
    frame = scored(units=20).with_columns(
        score=pl.when(pl.col("unit") == "b1").then(0.99).otherwise("score")
    )
    found = source_correlations(frame)

    assert found["source"][0] == "b1"
    assert found["partial_correlation"][0] > 0.3


# ── what comes with every model ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def model():
    other = [f"other{i}" for i in range(300)] + WORDS[:100]
    reference = drawn(200, low=20, high=60, seed=1, name="r")
    background = drawn(200, low=20, high=60, seed=2, name="b", words=other)
    return fit_quality(reference, background, config=QualityConfig(bits=14, min=0.4))


def test_every_model_has_its_checks_and_its_card(model):
    found = model.evaluate()
    sizes = [point["documents"] for point in found["learning_curve"]]
    card = model_card(model, model.terms(["word1 other1"] * 5))

    assert found["cut"] == 0.4
    assert found["train_test"]["estimate"] > 0.9
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(320, abs=5)
    assert [row["cut"] for row in found["keep_rates"]] == [round(0.05 * i, 2) for i in range(21)]
    assert f"{found['auc']['estimate']:.3f}" in card
    assert "## Limits" in card
    assert "| word1 |" in card


def test_keep_rates_fall_from_all_to_none(model):
    rates = pl.DataFrame(model.evaluate()["keep_rates"])

    assert rates.row(0)[1:] == (1.0, 1.0, 1.0)
    for name in ("reference", "background", "background_chars"):
        assert (rates[name].diff().drop_nulls() <= 1e-12).all(), name
