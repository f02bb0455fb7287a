"""Intervals and promised power, by simulation from the noise that experiments were seen to have."""

import numpy as np
import pytest

from curate.experiment import MeasureConfig, run_experiment
from curate.experiment.example import example_inputs
from curate.experiment.power import DOCUMENT_ERROR, SPREADS, Design, power
from curate.scaling import arm_curve, conclude, crossed_interval, multiplier_cells
from curate.scaling.multiplier import MIN_REPLICATES
from curate.statistics import binomial_band, t_quantile

SETS, DOCUMENTS = 4, 100  # evaluation sets, documents in each: as in the demo


def one_experiment(rng, *, log_m, design):
    """ln m of every draw and set, and what each document adds to it."""
    # A document's own share, and its share in one draw, which is a part of the draws' spread.
    own = design.document_error / np.sqrt(DOCUMENTS / SETS)
    drawn = own / 2
    shared_variance = design.spread**2 - (design.document_error / 2) ** 2
    shared = rng.normal(0, np.sqrt(shared_variance), design.draws)
    values, tables = np.empty((design.draws, SETS)), []
    for s in range(SETS):
        added = rng.normal(0, own, DOCUMENTS) + rng.normal(0, drawn, (design.draws, DOCUMENTS))
        values[:, s] = log_m + shared + added.sum(axis=1)
        tables.append(added - added.mean(axis=1, keepdims=True))
    return crossed_interval(values, tables)


def simulated(rng, *, log_m, design, repetitions):
    found = [one_experiment(rng, log_m=log_m, design=design) for _ in range(repetitions)]
    estimates = np.array([f.estimate for f in found])
    errors = np.array([f.standard_error for f in found])
    freedoms = np.array([f.degrees_of_freedom for f in found])
    return found, estimates, errors, freedoms


DESIGNS = [
    Design(draws=8, spread=SPREADS["kneser_ney"]),
    Design(draws=16, spread=0.06),
    Design(draws=3, spread=SPREADS["gpt"]),
    Design(draws=8, spread=0.03, document_error=3 * DOCUMENT_ERROR),
]
NAMES = ["kneser_ney", "many draws", "gpt", "noisy documents"]


@pytest.mark.parametrize("design", DESIGNS, ids=NAMES)
def test_intervals_cover_and_promised_power_is_kept(design):
    """1,000 simulated experiments each: coverage in the exact band, power within 5 points.

    Three draws count alone, without the documents' freedom: their interval is too wide by a little
    (98 % where it says 95 %), the other choice too narrow (92 %).
    """
    rng, repetitions = np.random.default_rng(23), 1_000
    truth = np.log(1.15)
    found, estimates, errors, freedoms = simulated(
        rng, log_m=truth, design=design, repetitions=repetitions
    )
    half = errors * np.array([float(t_quantile(0.95, df)) for df in freedoms])
    covered = int((np.abs(estimates - truth) <= half).sum())
    low, high = binomial_band(repetitions, 0.95)
    words = [conclude(f.estimate, f.standard_error, f.degrees_of_freedom) for f in found]

    assert covered >= low
    if design.draws >= MIN_REPLICATES:
        assert covered <= high
    assert np.mean([w == "worth" for w in words]) == pytest.approx(power(1.15, design), abs=0.05)


@pytest.fixture(scope="module")
def noise():
    """The noise of a real experiment: spread of ln m between draws, and the documents' error."""
    config = MeasureConfig(
        sizes=("order2",), arms=("calibrator",), budgets=(4_000, 8_000), replicates=24
    )
    result = run_experiment(example_inputs(1_500), config, seed=1)
    keys = ["arm", "family", "size", "n_tokens", "replicate", "eval_set"]
    losses = result.losses.join(result.runs.select(*keys, "loss"), on=keys)
    a, b = (
        arm_curve(losses, arm=arm, family="kneser_ney", size="order2", evaluation=result.evaluation)
        for arm in ("raw", "curated")
    )
    cells = multiplier_cells(a, b, [8_000])
    values = cells.log_m[:, :, 0]
    whole = crossed_interval(values, [table[:, 0] for table in cells.influence])
    spread = float(values.mean(axis=1).std(ddof=1))
    documents = max(whole.standard_error**2 - spread**2 / len(values), (spread / 20) ** 2)
    return {"spread": spread, "document_error": float(np.sqrt(documents))}


@pytest.mark.parametrize("draws", [5, 8, 16])
def test_promises_hold_under_the_noise_of_a_real_experiment(noise, draws):
    """1,000 simulations from the noise that 24 paired draws of an experiment showed."""
    design = Design(draws=draws, **noise)
    truth = 3 * design.standard_error
    repetitions = 1_000
    found, estimates, errors, freedoms = simulated(
        np.random.default_rng(31), log_m=truth, design=design, repetitions=repetitions
    )
    half = errors * np.array([float(t_quantile(0.95, df)) for df in freedoms])
    low, high = binomial_band(repetitions, 0.95)
    words = [conclude(f.estimate, f.standard_error, f.degrees_of_freedom) for f in found]

    assert low <= int((np.abs(estimates - truth) <= half).sum()) <= high
    promised = power(float(np.exp(truth)), design)
    assert np.mean([w == "worth" for w in words]) == pytest.approx(promised, abs=0.05)
