"""Intervals and promised power, by simulation from the noise that experiments were seen to have."""

from dataclasses import replace

import numpy as np
import pytest

from curate.experiment import MeasureConfig, run_experiment
from curate.experiment.example import example_inputs
from curate.experiment.power import DOCUMENT_ERROR, SPREADS, Design, power
from curate.experiment.touched import few_documents
from curate.scaling import arm_curve, conclude, crossed_interval, multiplier_cells
from curate.scaling.crossed import MIN_REPLICATES
from curate.statistics import binomial_band

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
    held = sum(f.interval().low <= log_m <= f.interval().high for f in found)
    return found, held, [conclude(f) for f in found]


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
    found, covered, words = simulated(rng, log_m=truth, design=design, repetitions=repetitions)
    low, high = binomial_band(repetitions, 0.95)

    assert covered >= low
    if design.draws >= MIN_REPLICATES:
        assert covered <= high
    assert np.mean([w == "worth" for w in words]) == pytest.approx(power(1.15, design), abs=0.05)
    assert np.median([width(f) / width(replace(f, skewness=0.0)) for f in found]) < 1.07


def width(found):
    low, high = found.interval()
    return high - low


# ── effects that sit in few documents ────────────────────────────────────────────────────────


def lumpy_experiment(rng, *, documents, draws, effects):
    """Draws that meet documents by chance: ln m of each, and how many they met, effectively."""
    met = rng.poisson(documents, draws)
    tokens = rng.exponential(1, met.sum())
    added = tokens if effects == "by tokens" else rng.exponential(1, met.sum())
    values = np.bincount(np.repeat(np.arange(draws), met), weights=added, minlength=draws)
    squares = (tokens**2).sum()
    number = tokens.sum() ** 2 / squares / draws if squares else 0.0
    return crossed_interval(values[:, None]), number


@pytest.mark.parametrize("effects", ["by tokens", "whatever the tokens"])
@pytest.mark.parametrize(("documents", "draws"), [(0.5, 8), (2, 8), (5, 8), (20, 8), (2, 24)])
def test_an_effect_in_few_documents_is_told_truly_or_not_at_all(documents, draws, effects):
    """Of 1,000 experiments each, what is told is wrong no more often than 5 % allow."""
    rng, repetitions = np.random.default_rng([41, draws, int(10 * documents)]), 1_000
    told = wrong = student = 0
    for _ in range(repetitions):
        design = {"documents": documents, "draws": draws, "effects": effects}
        found, number = lumpy_experiment(rng, **design)
        low, high = replace(found, skewness=0.0).interval()
        student += low <= documents <= high
        if few_documents(number, draws) is None:
            told += 1
            wrong += not found.interval().low <= documents <= found.interval().high
    _, most = binomial_band(repetitions, 0.05)

    assert wrong <= most
    if documents < 1:
        assert told == 0
        assert student < binomial_band(repetitions, 0.95)[0]
    if documents * draws > 100:
        assert told > 0.9 * repetitions
        assert wrong >= binomial_band(repetitions, 0.035)[0]


def test_a_step_that_touches_few_documents_says_so():
    """Three documents of 1,500 are no evidence; the filler that is a third of them is."""
    inputs = example_inputs(1_500)
    curated = inputs.masks["curated"]
    rare = curated.copy()
    rare[np.flatnonzero(~curated)[[5, 205, 405]]] = True
    inputs = replace(inputs, masks={"curated": curated, "without_rare": rare})
    config = MeasureConfig(
        sizes=("order2",), arms=("leave_one_out",), budgets=(8_000,), replicates=6
    )
    table = run_experiment(inputs, config, seed=2).multipliers
    rows = {
        row["contrast"]: row
        for row in table.filter(quantity="multiplier", eval_set="all").to_dicts()
    }
    few, many = rows["without_rare → curated"], rows["raw → curated"]

    # Menus of 61 tokens among 8,000 of each draw; what is drawn is the corpus's share of them.
    assert 0 < few["effective_documents"] < 1
    assert few["conclusion_without_gate"].startswith("cannot tell: the effect sits in about 0.")
    assert many["effective_documents"] == pytest.approx(4_000 / 61, rel=0.25)
    assert many["conclusion_without_gate"] == "worth"


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
    _, held, words = simulated(
        np.random.default_rng(31), log_m=truth, design=design, repetitions=repetitions
    )
    low, high = binomial_band(repetitions, 0.95)

    assert low <= held <= high
    promised = power(float(np.exp(truth)), design)
    assert np.mean([w == "worth" for w in words]) == pytest.approx(promised, abs=0.05)
