"""Transformers in the experiment: rates chosen on their own draws, what is killed goes on."""

import os
import signal
import time
from dataclasses import replace

import pytest

from curate.executors import serial, threads
from curate.experiment import Course, MeasureConfig, make_plan, run_experiment
from curate.experiment.example import example_inputs
from curate.experiment.tuning import TUNING_DRAW, Trial, choose_rate, tune_rates
from curate.proxies import Gpt, GptSettings

pytest.importorskip("torch", reason="needs torch (the train extra), not found: skipped")

CONFIG = MeasureConfig(
    arms=("raw", "curated", "calibrator"),
    families=("gpt",),
    sizes=("width32",),
    budgets=(512, 1_024),
    replicates=2,
)


@pytest.fixture(scope="module")
def inputs():
    return example_inputs(120, sets=1)


def trial(rate, gap):
    return Trial(size="s", rate=rate, clean=3.0, diluted=3.0 + gap)


@pytest.mark.parametrize(
    ("gaps", "chosen"),
    [
        ((-0.1, 0.1, 0.3), 2**0.5),  # between the first two
        ((-0.3, -0.1, 0.1), 2 * 2**0.5),  # between the last two
        ((0.1, 0.2, 0.3), 1.0),  # too high at every rate: the lowest
        ((-0.3, -0.2, -0.1), 4.0),  # short of steps at every rate: the highest
    ],
)
def test_the_rate_is_where_filler_costs_what_it_should(gaps, chosen):
    trials = [trial(rate, gap) for rate, gap in zip((1.0, 2.0, 4.0), gaps, strict=True)]

    assert choose_rate(trials) == pytest.approx(chosen, rel=0.01)


def test_rates_are_chosen_on_a_draw_that_no_verdict_sees(inputs, monkeypatch):
    """Calibrator arms only, and of a replicate that no plan reaches."""
    from curate.experiment.arms import Draws, make_draws

    seen = []
    tokens = Draws.tokens

    def watched(self, arm, replicate, budget):
        seen.append((arm, replicate))
        return tokens(self, arm, replicate, budget)

    monkeypatch.setattr(Draws, "tokens", watched)
    plan = make_plan(inputs, CONFIG, seed=1)
    family = Gpt(vocabulary=inputs.vocabulary)
    draws = make_draws(inputs, share=plan.share, seed=1)
    found, trials = tune_rates(family, draws, plan.families["gpt"], serial)

    assert set(seen) == {("calibrator_clean", TUNING_DRAW), ("calibrator_diluted", TUNING_DRAW)}
    assert plan.families["gpt"].replicates < TUNING_DRAW
    rates = [each["rate"] for each in trials]
    assert min(rates) <= found.settings["width32"].peak_rate <= max(rates)


def test_what_was_tried_is_written_down_and_counted(inputs):
    """Trials, the choice, and raw against curated at a tenth of the rate; seconds in the plan."""
    result = run_experiment(inputs, CONFIG, seed=1, executor=serial)
    tuning = result.plan["tuning"]["gpt"]
    planned = result.plan["families"]["gpt"]

    assert {each["size"] for each in tuning["rates"]} == {"width32"}
    usual, low = tuning["tenth_of_the_rate"]
    assert low["rate"] == pytest.approx(usual["rate"] / 10)
    assert usual["rate"] == tuning["rates"][0]["chosen_rate"]
    assert 0 < planned["tuning_core_seconds"] < planned["planned_core_seconds"]


def test_decayed_and_undecayed_points_never_mix(inputs):
    """Every loss in the tables is a branch's: the same rung alone, as a decayed model of its own,
    gives the same loss as inside a longer ladder, where the trunk went on at constant rate."""
    import numpy as np

    from curate.experiment.inputs import merged_evaluation

    settings = GptSettings(width=16, heads=2, context=16, batch_sequences=2)
    family = Gpt(vocabulary=inputs.vocabulary, settings={"small": settings})
    tokens = inputs.texts["raw"].flat[:4_096]
    evaluation = merged_evaluation(inputs, 500)

    def bits(budgets):
        points = family.ladder(tokens, budgets=budgets, size="small", seed=1, evaluation=evaluation)
        return {point.n_tokens: point.document_bits for point in points}

    alone, inside = bits([2_048]), bits([2_048, 4_096])
    assert np.array_equal(alone[2_048], inside[2_048])


def test_an_experiment_that_was_interrupted_goes_on_with_the_same_numbers(
    inputs, tmp_path, monkeypatch
):
    """The process dies while a ladder is climbed; started again, it reads what was trained."""
    from curate.proxies import transformer

    config = replace(CONFIG, replicates=1)
    step, count = transformer.train_step, 0

    class KilledError(Exception):
        pass

    def counted(*arguments, **options):
        nonlocal count
        count += 1
        if count == dies_at:
            raise KilledError
        return step(*arguments, **options)

    monkeypatch.setattr(transformer, "train_step", counted)
    dies_at = None
    whole = run_experiment(inputs, config, seed=1, executor=serial)
    steps, count, dies_at = count, 0, count // 2
    course = Course(checkpoints=tmp_path)
    with pytest.raises(KilledError):
        run_experiment(inputs, config, seed=1, executor=serial, course=course)
    count, dies_at = 0, None
    resumed = run_experiment(inputs, config, seed=1, executor=serial, course=course)

    assert count < 0.6 * steps  # ladders that were finished are read, not climbed again
    assert resumed.losses.equals(whole.losses)
    assert resumed.multipliers.equals(whole.multipliers)
    assert resumed.plan == whole.plan


def test_an_interrupt_ends_the_other_ladders_at_their_next_step(inputs, monkeypatch):
    """Ctrl-C must not wait for minutes of training that nobody will read."""
    from curate.proxies import transformer

    step, steps = transformer.train_step, []

    def counted(*arguments, **options):
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # as a larger model would
        return step(*arguments, **options)

    monkeypatch.setattr(transformer, "train_step", counted)
    config = replace(CONFIG, budgets=(1_024, 4_096))
    with pytest.raises(KeyboardInterrupt):
        run_experiment(inputs, config, seed=1, executor=threads(2))

    assert 6 <= len(steps) < 32  # one pair of ladders takes 48 and more


def test_the_precision_is_written_down(inputs):
    """What was asked for, or what "auto" came to on this machine."""
    from curate.experiment.tuning import with_precision

    family = Gpt(vocabulary=inputs.vocabulary)
    for asked, possible in (
        ("bfloat16", {"bfloat16"}),
        ("float32", {"float32"}),
        ("auto", {"float32", "bfloat16"}),
    ):
        planned = make_plan(inputs, replace(CONFIG, precision=asked), seed=1).families["gpt"]
        found, taken = with_precision(family, planned)
        assert taken["width32"] in possible
        assert found.settings["width32"].precision == taken["width32"]


@pytest.mark.parametrize("then", ["float32", "bfloat16"])
def test_a_plan_that_is_carried_out_again_takes_the_precision_of_then(inputs, then):
    """Timed anew, "auto" may come to another, and no digit would be the same."""
    from curate.experiment.tuning import with_precision

    planned = make_plan(inputs, replace(CONFIG, precision="auto"), seed=1).families["gpt"]
    again = replace(planned, precisions={"width32": then})
    _, taken = with_precision(Gpt(vocabulary=inputs.vocabulary), again)

    assert taken == {"width32": then}


@pytest.mark.slow
def test_arms_and_seeds_trained_as_one_stack_give_the_same_losses(inputs, monkeypatch):
    """What a graphics processor does, here: every loss as that of a ladder of its own."""
    from curate.experiment import training

    config = replace(CONFIG, arms=("raw", "curated"))
    alone = run_experiment(inputs, config, seed=1, executor=serial)
    monkeypatch.setattr(training, "on_graphics", lambda _: True)
    monkeypatch.setattr(Gpt, "ladder", None)  # nothing climbs alone
    together = run_experiment(inputs, config, seed=1, executor=serial)

    assert together.runs.drop("loss").equals(alone.runs.drop("loss"))
    assert together.runs["loss"].to_numpy() == pytest.approx(
        alone.runs["loss"].to_numpy(), abs=1e-4
    )


def test_few_minutes_take_a_size_before_they_take_the_budgets():
    """A budget without steps has no vote at any size."""
    many = example_inputs(6_000, sets=1)
    config = replace(CONFIG, sizes=("width32", "width64"), budgets=None, replicates=5)

    plans = {
        minutes: make_plan(many, replace(config, minutes=minutes), seed=1).families["gpt"]
        for minutes in (1.5, 30.0)
    }
    assert plans[1.5].sizes == ("width32",)
    assert plans[30.0].sizes == ("width32", "width64")
    assert plans[1.5].budgets[-1] > 0.65 * plans[30.0].budgets[-1]
    assert all(plan.seconds <= minutes * 60 * 2 * 0.85 for minutes, plan in plans.items())
