"""How often the intervals of a score's figures hold the truth: four hundred data sets."""

from collections import Counter

import numpy as np
import pytest
from scipy.special import expit

from curate.quality._calibration_error import calibration_error
from curate.quality._figures import average_precision_interval, balanced, figures_at_cut
from curate.quality.confounds import partial_correlation
from curate.statistics import auc_interval, binomial_band

SETS = 400
SKILL, SHARED_PART, CUT = 0.8, 0.3, 0.5


def draw(rng, units, each, *, sharpness):
    """Scores of two normal sides, 30 % of whose variance documents of a unit share.

    With sharpness 1 the score is the true probability; above it the score is overconfident.
    """
    side = np.arange(units) % 2 == 0
    noise = np.sqrt(SHARED_PART) * rng.normal(size=(units, 1))
    noise = noise + np.sqrt(1 - SHARED_PART) * rng.normal(size=(units, each))
    found = np.where(side, SKILL, -SKILL)[:, None] + noise
    length = noise + rng.normal(size=(units, 1)) + rng.normal(size=(units, each))
    score = expit(sharpness * 2 * SKILL * found.ravel())
    return np.repeat(side, each), score, np.repeat(np.arange(units), each), length.ravel()


def figures(label, score, unit, length):
    found = {
        "auc": auc_interval(label, score, unit),
        "average_precision": average_precision_interval(label, score, unit),
        "calibration_error": calibration_error(label, score, unit)[0],
        "partial_correlation": partial_correlation(score, length, label, unit),
    }
    return found | figures_at_cut(label, score, unit, cut=CUT)


def truth_of(label, score, unit, length):
    """The same figures on very many units, without their intervals."""
    some = slice(0, 200_000)
    blocks = np.arange(label.size) % 20
    found = figures_at_cut(label, score, blocks, cut=CUT)
    weight, order = balanced(label), np.argsort(score)
    place = np.minimum((np.cumsum(weight[order]) * 15).astype(int), 14)
    gaps = np.bincount(place, (weight * (score - label))[order], 15)
    return {name: e.estimate for name, e in found.items()} | {
        "auc": auc_interval(label, score, blocks).estimate,
        "average_precision": average_precision_interval(label, score, blocks).estimate,
        "calibration_error": float(np.abs(gaps).sum()),
        "partial_correlation": partial_correlation(
            score[some], length[some], label[some], blocks[some]
        ).estimate,
    }


@pytest.mark.study
@pytest.mark.parametrize("sharpness", [1.0, 2.0], ids=["calibrated", "overconfident"])
def test_coverage_lies_in_the_exact_band_around_nominal(sharpness):
    rng = np.random.default_rng(71)
    truth = truth_of(*draw(rng, 100_000, 8, sharpness=sharpness))
    if sharpness == 1.0:
        truth["calibration_error"] = 0.0
    held = Counter()
    for _ in range(SETS):
        for name, e in figures(*draw(rng, 60, 8, sharpness=sharpness)).items():
            held[name] += e.low <= truth[name] <= e.high
    outside = {}
    for name in truth:
        print(f"{name}: truth {truth[name]:.4f}, held {held[name] / SETS:.4f}")
        # An error of exactly 0 can be missed from above only: half of 5 %.
        low, high = binomial_band(SETS, 0.975 if truth[name] == 0 else 0.95)
        if not low <= held[name] <= high:
            outside[name] = held[name]

    assert outside == {}
