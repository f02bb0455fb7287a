"""An experiment that must end on time, by a clock that only the work itself moves."""

import json
from dataclasses import dataclass, field, replace

import pytest

from curate.executors import serial
from curate.experiment import Course, MeasureConfig, make_plan, plan_sentences, run_experiment
from curate.experiment.calibration import AFTERWARDS
from curate.experiment.cost import scored_tokens, stated_seconds
from curate.experiment.example import example_inputs
from curate.experiment.pace import Pace
from curate.experiment.plan import HEAD, OTHERS
from curate.experiment.planner import Means
from curate.experiment.training import Trained, _losses
from curate.proxies import FAMILIES, Gpt, KneserNey
from curate.scaling.crossed import MIN_REPLICATES

CONFIG = MeasureConfig(sizes=("order2", "order3"), arms=("calibrator", "null", "random"))


class FakeClock:
    """Seconds that pass only by work; the machine may become slower at some time."""

    def __init__(self, slowness, *, later=None, since=float("inf")):
        self.time, self.slowness = 0.0, slowness
        self.later, self.since = later, since

    def __call__(self):
        return self.time

    def work(self, seconds):
        slowed = self.slowness if self.time < self.since else self.later
        self.time += seconds * slowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Slowed(KneserNey):
    """Kneser–Ney that moves a clock by what it would take."""

    clock: FakeClock
    scored: int
    log: list = field(default_factory=list)

    def ladder(self, tokens, *, budgets, size, seed, evaluation):
        began = self.clock.time
        self.clock.work(stated_seconds("kneser_ney", size, budgets, self.scored))
        self.log.append((began, self.clock.time))
        return KneserNey.ladder(
            self, tokens, budgets=budgets, size=size, seed=seed, evaluation=evaluation
        )


@pytest.fixture(scope="module")
def inputs():
    return example_inputs(600)


def test_no_time_for_a_single_draw_is_said(inputs, monkeypatch):
    """As where choosing the rates of the only family takes all of it."""
    nothing = Trained(losses=_losses(inputs, []), draws={"kneser_ney": {}}, tuning={})
    monkeypatch.setattr("curate.experiment.train", lambda *_, **__: nothing)
    result = run_experiment(inputs, CONFIG, seed=1, executor=serial)

    assert "there was no time for a single draw" in result.verdicts[0]["sentence"]
    assert result.plan["done"] == {"kneser_ney": 0}
    assert result.runs.is_empty()


@pytest.fixture
def timed(inputs, monkeypatch):
    """Runs an experiment against a fake clock; gives its result and the slowed family."""

    def run(clock, deadline, config=CONFIG):
        family = Slowed(clock=clock, scored=scored_tokens(inputs, None))
        monkeypatch.setitem(FAMILIES, "kneser_ney", family)
        course = Course(deadline=deadline, now=clock)
        return run_experiment(inputs, config, seed=1, executor=serial, course=course), family

    return run


def needed(result):
    """Stated seconds of the whole plan."""
    return result.plan["families"]["kneser_ney"]["planned_core_seconds"]


@pytest.fixture(scope="module")
def whole(inputs):
    """The plan without any clock, and what it costs."""
    return run_experiment(inputs, replace(CONFIG, replicates=8), seed=1, executor=serial)


@pytest.mark.parametrize("slowness", [1.0, 3.0, 6.0])
def test_a_slower_machine_gets_a_smaller_plan_and_still_ends_on_time(timed, whole, slowness):
    """Eight draws or five, never fewer; nothing is begun that would not be finished."""
    deadline = AFTERWARDS * slowness + 1.5 * needed(whole)
    result, family = timed(FakeClock(slowness), deadline)
    planned = result.plan["families"]["kneser_ney"]

    assert family.clock.time <= deadline - AFTERWARDS * slowness
    assert result.plan["done"]["kneser_ney"] == planned["replicates"] >= MIN_REPLICATES
    assert planned["budgets"][-1] <= whole.plan["families"]["kneser_ney"]["budgets"][-1]
    if slowness == 1:
        assert planned["budgets"] == whole.plan["families"]["kneser_ney"]["budgets"]
        assert result.multipliers.equals(whole.multipliers)


@pytest.mark.parametrize("later", [20.0, 1_000.0])
def test_load_that_comes_later_sheds_arms_and_not_the_headline(timed, whole, later):
    """It ends late by less than one draw of the headline's arms at most."""
    deadline = AFTERWARDS + 1.3 * needed(whole)
    clock = FakeClock(1.0, later=later, since=0.5 * needed(whole))
    result, family = timed(clock, deadline)
    done = result.plan["done_by_part"]["kneser_ney"]
    longest = max(until - began for began, until in family.log)

    assert clock.time <= deadline - AFTERWARDS + 4 * longest
    assert sum(until > deadline - AFTERWARDS for _, until in family.log) <= 1
    assert done[HEAD] >= max(done[OTHERS], done["order2"])
    assert done[HEAD] >= MIN_REPLICATES
    assert min(done.values()) < result.plan["families"]["kneser_ney"]["replicates"]
    assert {"worth", "cannot tell"} & {v["conclusion"].split(":")[0] for v in result.verdicts[:1]}


def test_without_any_time_there_is_one_draw_of_the_headline(timed, whole):
    """Which has no interval, and says so."""
    result, family = timed(FakeClock(1.0), 0.0)
    once = 4 * stated_seconds("kneser_ney", "order3", [4_000] * 14, family.scored)

    assert result.plan["done_by_part"]["kneser_ney"] == {HEAD: 1}
    assert result.plan["families"]["kneser_ney"]["only_headline_and_calibrator"]
    assert "all of kneser_ney but the headline and its calibrator as the minutes" in "\n".join(
        plan_sentences(result.plan)
    )
    assert result.verdicts[0]["conclusion"] == "cannot tell: one paired draw gives no interval"
    assert sum(until - began for began, until in family.log[2:]) < once


def test_what_was_done_in_time_can_be_done_again_without_a_clock(timed, inputs, whole, tmp_path):
    """By the plan: parts with different numbers of draws come out byte for byte."""
    clock = FakeClock(1.0, later=20.0, since=0.3 * needed(whole))
    cut, _ = timed(clock, AFTERWARDS + 1.3 * needed(whole))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(cut.plan, sort_keys=True))

    again, _ = timed(FakeClock(1.0), None, replace(CONFIG, minutes=1, plan=str(path)))

    assert len(set(cut.plan["done_by_part"]["kneser_ney"].values())) > 1
    for name in ("runs", "losses", "multipliers", "matrix"):
        assert getattr(again, name).equals(getattr(cut, name)), name
    assert again.verdicts == cut.verdicts


def test_the_time_of_a_family_that_it_is_too_short_for_goes_to_the_others(inputs, monkeypatch):
    """What the second one could not have used."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    pace = Pace(jobs=1, tokens_per_second={"1 job on 1 thread each": 1.0})
    means = Means(seconds=lambda: 0.05, pace=lambda _: pace)
    families = ("kneser_ney", "gpt")
    config = replace(CONFIG, families=families, sizes=("order2", "width32"))
    alone = make_plan(inputs, replace(config, families=("kneser_ney",)), seed=1, means=means)
    both = make_plan(inputs, config, seed=1, means=means)

    assert both.families == alone.families
    assert both.left_out["gpt"].startswith("needs minutes = ")


def test_what_a_trial_takes_is_not_planned_again(inputs):
    """A first trial of a family compiles its kernels: what is left afterwards is what there is."""
    clock = FakeClock(1.0)

    def tried(name):
        clock.time += 2.0
        return Pace(jobs=1, tokens_per_second={"1 job on 1 thread each": 1.0})

    means = Means(seconds=lambda: 2.5 - clock(), pace=tried)
    plan = make_plan(inputs, CONFIG, seed=1, means=means)

    assert plan.families["kneser_ney"].seconds <= 0.5


def test_evaluation_text_goes_before_the_arms_do(inputs):
    """Scoring is most of the work at small budgets; what was given up is said."""
    config = replace(CONFIG, minutes=0.004, replicates=8)
    plans = {
        minutes: make_plan(inputs, replace(config, minutes=minutes), seed=1)
        for minutes in (0.0005, 0.004, 0.05)
    }
    found = {m: plan.families["kneser_ney"] for m, plan in plans.items()}

    assert [found[m].only_first for m in found] == [True, False, False]
    assert [found[m].replicates for m in found] == [5, 5, 8]
    assert [found[m].evaluation_limit for m in found][::2] == [15_000, None]
    assert "3 of 8 draws of kneser_ney" in plans[0.004].left_out
    assert not plans[0.05].left_out
