"""Copies of the tables for trackers: what is written can be read back by their own readers."""

import importlib.util
import sys
import types

import polars as pl
import pytest

from curate import tracking
from curate.tracking import track

RUNS = pl.DataFrame(
    {
        "arm": ["raw", "raw", "curated"] * 2,
        "family": "kneser_ney",
        "size": "order3",
        "n_tokens": [1000, 2000, 1000] * 2,
        "replicate": [0, 0, 0, 1, 1, 1],
        "eval_set": "manual",
        "loss": [3.0, 2.5, 2.75, 3.5, 2.5, 2.25],
    }
)
MULTIPLIERS = pl.DataFrame(
    {
        "family": "kneser_ney",
        "size": "order3",
        "arm_a": "raw",
        "arm_b": ["curated", "steps_a+b"],
        "n_tokens": 1000,
        "quantity": "multiplier",
        "eval_set": "all",
        "decisive": [True, False],
        "estimate": [1.5, 9.0],
    }
)
needs = {
    name: pytest.mark.skipif(
        importlib.util.find_spec(name) is None, reason=f"needs {name}, not installed: skipped"
    )
    for name in ("mlflow", "tensorboard")
}


@pytest.fixture
def folder(tmp_path):
    for home, name, table in (("proxies", "runs", RUNS), ("scaling", "multipliers", MULTIPLIERS)):
        (tmp_path / home).mkdir()
        table.write_parquet(tmp_path / home / f"{name}.parquet")
    return tmp_path


def test_without_trackers_nothing_is_written(folder, monkeypatch):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)

    assert track(folder, settings={"seed": 1}) == []
    assert not (folder / "tracking").exists()


def test_tensorboard_gets_every_draw_with_tokens_as_steps(folder, monkeypatch):
    written = {}

    class Writer:
        def __init__(self, home):
            self.points = written.setdefault(home.rsplit("/", 1)[1], [])

        def add_scalar(self, tag, value, step):
            self.points.append((tag, value, step))

        def close(self):
            self.points.sort()

    module = types.ModuleType("tensorboard.summary")
    module.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", module)
    found = {"tensorboard": True}
    monkeypatch.setattr(tracking.importlib.util, "find_spec", found.get)

    assert track(folder, settings={}) == ["tensorboard"]
    assert set(written) == {"draw-0", "draw-1"}
    tag = "bits_per_byte/kneser_ney/order3/manual/raw"
    assert [p for p in written["draw-1"] if p[0] == tag] == [(tag, 2.5, 2000), (tag, 3.5, 1000)]


@needs["tensorboard"]
def test_tensorboard_reads_what_was_written(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert "tensorboard" in track(folder, settings={})
    events = EventAccumulator(str(folder / "tracking/tensorboard/draw-0")).Reload()
    points = events.Tensors("bits_per_byte/kneser_ney/order3/manual/raw")

    assert [(p.step, p.tensor_proto.float_val[0]) for p in points] == [(1000, 3.0), (2000, 2.5)]


@needs["mlflow"]
def test_mlflow_reads_what_was_written(folder):
    import mlflow

    assert "mlflow" in track(folder, settings={"seed": 3, "measure": {"minutes": 5.0}})
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'tracking/mlflow.db'}")
    experiment = client.get_experiment_by_name("curate").experiment_id
    (run,) = client.search_runs([experiment])
    losses = client.get_metric_history(
        run.info.run_id, "bits_per_byte/kneser_ney/order3/manual/raw"
    )

    assert run.data.params == {"seed": "3", "measure.minutes": "5.0"}
    assert [(m.step, m.value) for m in losses] == [(1000, 3.25), (2000, 2.5)]
    multipliers = {k: v for k, v in run.data.metrics.items() if k.startswith("multiplier/")}
    assert multipliers == {"multiplier/kneser_ney/order3/raw to curated": 1.5}
