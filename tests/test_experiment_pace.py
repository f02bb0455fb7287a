"""The machine is tried before a start against the clock, and what was done can be done again."""

import json
import threading
import time
from dataclasses import replace

import pytest

from curate.errors import ConfigError
from curate.executors import threads
from curate.experiment import Course, MeasureConfig, make_plan, run_experiment
from curate.experiment.example import example_inputs
from curate.experiment.pace import measure_pace
from curate.experiment.stored import settled_plan
from curate.proxies import Gpt

SMALL = MeasureConfig(
    sizes=("order2", "order3"), arms=("calibrator", "null"), budgets=(1_000, 2_000), replicates=6
)


@pytest.fixture(scope="module")
def inputs():
    return example_inputs(600)


def test_jobs_that_wait_for_each_other_are_not_run_side_by_side():
    """Work that holds one lock gains nothing; work that waits gains by the number of jobs."""
    lock = threading.Lock()

    def locked(job):
        with lock:
            time.sleep(0.1)
        return 1_000

    held = measure_pace(locked, workers=2)
    free = measure_pace(lambda job: time.sleep(0.1) or 1_000, workers=3)

    assert held.jobs == 1
    assert free.jobs == 3
    assert set(free.tokens_per_second) == {"1 job on 1 thread each", "3 jobs on 1 thread each"}


def test_the_machine_is_tried_only_where_the_clock_counts(inputs):
    """And written to the plan with the figures; the tables do not depend on it."""
    said = []
    course = Course(deadline=time.monotonic() + 600, say=said.append)
    timed = run_experiment(inputs, SMALL, seed=1, executor=threads(2), course=course)
    free = run_experiment(inputs, SMALL, seed=1, executor=threads(2))

    tried = timed.plan["machine"]["kneser_ney"]
    assert tried["jobs_at_once"] in (1, 2)
    assert min(tried["tokens_per_second"].values()) > 0
    assert any(line.startswith("Machine: Kneser–Ney") for line in said)
    assert "machine" not in free.plan
    assert timed.losses.equals(free.losses)
    assert timed.multipliers.equals(free.multipliers)


def test_a_stored_plan_repeats_what_was_done(inputs, tmp_path):
    """A run that the clock cut short, again without a clock and from other minutes."""
    late = Course(deadline=time.monotonic())
    cut = run_experiment(inputs, SMALL, seed=1, executor=threads(1), course=late)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(cut.plan, sort_keys=True))  # as a run folder has it
    again = replace(SMALL, budgets=None, replicates=8, minutes=1, plan=str(path))
    repeated = run_experiment(inputs, again, seed=1, executor=threads(1))

    assert cut.plan["done"] == {"kneser_ney": 1}
    assert repeated.losses.equals(cut.losses)
    assert repeated.multipliers.equals(cut.multipliers)


@pytest.mark.parametrize("told", ["families_in_order", "nothing, as an earlier version"])
def test_a_stored_plan_keeps_the_family_of_the_headline(inputs, tmp_path, monkeypatch, told):
    """Keys are sorted in the file, and gpt stands before kneser_ney; who speaks must not change."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    config = replace(
        SMALL, families=("kneser_ney", "gpt"), sizes=("order3", "width32"), budgets=(512, 1_024)
    )
    plan = make_plan(inputs, config, seed=1)
    stored = plan.to_dict() | {"tuning": {"gpt": {"precision": {"width32": "bfloat16"}}}}
    if told != "families_in_order":
        del stored["families_in_order"]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(stored, sort_keys=True))
    again = settled_plan(inputs, replace(config, plan=str(path)), seed=1)

    assert list(json.loads(path.read_text())["families"]) == ["gpt", "kneser_ney"]
    assert list(again.families) == list(plan.families) == ["kneser_ney", "gpt"]
    assert again.families["gpt"].precisions == {"width32": "bfloat16"}
    assert again.families["gpt"].ladders == plan.families["gpt"].ladders


@pytest.mark.parametrize(
    ("text", "said"),
    [("no json", "cannot be read"), ("{}", "is no plan: it lacks seed"), (None, "cannot be read")],
)
def test_what_is_no_plan_is_refused(inputs, tmp_path, text, said):
    """Naming the file and what is wrong with it."""
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        run_experiment(inputs, replace(SMALL, plan=str(path)), seed=1)


def test_a_plan_of_another_experiment_is_refused(inputs, tmp_path):
    """Another seed draws other documents."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(run_experiment(inputs, SMALL, seed=2).plan))

    with pytest.raises(ConfigError, match="its seed is not that of this run"):
        run_experiment(inputs, replace(SMALL, plan=str(path)), seed=1)
