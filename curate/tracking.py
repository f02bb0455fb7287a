"""Copies of an experiment's tables for people who watch runs in TensorBoard or MLflow.

Written where these are installed (`pip install 'curate-corpus[track]'`), into `tracking/` of the
run folder, after the tables. The tables are the truth: nothing is ever read back from here, and no
stage depends on it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

__all__ = ["loss_series", "track"]

LONGEST = 250  # characters of a parameter's value that MLflow keeps for sure


def track(folder: Path, *, settings: Mapping[str, Any]) -> list[str]:
    """Copy losses and multipliers of a run folder to the trackers that are installed.

    TensorBoard: `tracking/tensorboard/draw-<n>`, one scalar series an arm, model and evaluation
    set, tokens as steps. MLflow: `tracking/mlflow.db` (SQLite), one run a call, with the settings
    as parameters, mean losses by tokens and every decisive multiplier as metrics.

    Args:
        folder: Run folder with `proxies/runs.parquet` and `scaling/multipliers.parquet`.
        settings: Plain values, e.g. the config of the run; nested keys are joined by dots.

    Returns:
        Names of the trackers that were written to.

    >>> import tempfile
    >>> track(Path(tempfile.mkdtemp()), settings={})
    []
    """
    path = folder / "proxies" / "runs.parquet"
    runs = pl.read_parquet(path) if path.exists() else pl.DataFrame()
    if runs.is_empty():
        return []
    written = []
    if importlib.util.find_spec("tensorboard") is not None:
        _to_tensorboard(folder, runs)
        written.append("tensorboard")
    if importlib.util.find_spec("mlflow") is not None:
        _to_mlflow(folder, runs, settings)
        written.append("mlflow")
    return written


def loss_series(runs: pl.DataFrame) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """Name and (tokens, loss) points of every series, mean over draws.

    >>> runs = pl.DataFrame({"arm": "raw", "family": "f", "size": "s", "eval_set": "e",
    ...                      "n_tokens": [8, 4, 4], "loss": [2.0, 3.0, 3.5]})
    >>> list(loss_series(runs))
    [('f/s/e/raw', [(4, 3.25), (8, 2.0)])]
    """
    keys = ["family", "size", "eval_set", "arm"]
    means = runs.group_by(*keys, "n_tokens").agg(pl.col("loss").mean()).sort(*keys, "n_tokens")
    for names, rows in means.group_by(keys, maintain_order=True):
        yield "/".join(map(str, names)), rows.select("n_tokens", "loss").rows()


def _to_tensorboard(folder: Path, runs: pl.DataFrame) -> None:
    from tensorboard.summary import Writer

    for (draw,), rows in runs.sort("replicate").group_by("replicate", maintain_order=True):
        writer = Writer(str(folder / "tracking" / "tensorboard" / f"draw-{draw}"))
        for name, points in loss_series(rows):
            for tokens, loss in points:
                writer.add_scalar(f"bits_per_byte/{name}", loss, tokens)
        writer.close()


def _to_mlflow(folder: Path, runs: pl.DataFrame, settings: Mapping[str, Any]) -> None:
    import mlflow

    home = folder / "tracking"
    home.mkdir(exist_ok=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{home.resolve() / 'mlflow.db'}")
    known = client.get_experiment_by_name("curate")
    place = (home / "artifacts").resolve().as_uri()
    experiment = known.experiment_id if known else client.create_experiment("curate", place)
    run = client.create_run(experiment, run_name=folder.resolve().name).info.run_id
    for name, value in _flat("", settings):
        client.log_param(run, _named(name), str(value)[:LONGEST])
    for name, points in loss_series(runs):
        for tokens, loss in points:
            client.log_metric(run, _named(f"bits_per_byte/{name}"), loss, step=tokens)
    for name, value, tokens in _multipliers(folder):
        client.log_metric(run, _named(f"multiplier/{name}"), value, step=tokens)
    client.set_terminated(run)


def _multipliers(folder: Path) -> Iterator[tuple[str, float, int]]:
    path = folder / "scaling" / "multipliers.parquet"
    table = pl.read_parquet(path) if path.exists() else pl.DataFrame()
    if table.is_empty():
        return
    rows = table.filter(
        pl.col("decisive"), pl.col("estimate").is_finite(), quantity="multiplier", eval_set="all"
    )
    for row in rows.iter_rows(named=True):
        name = f"{row['family']}/{row['size']}/{row['arm_a']} to {row['arm_b']}"
        yield name, row["estimate"], row["n_tokens"]


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _named(name: str) -> str:
    """A name as MLflow allows it.

    >>> _named("loss/f/steps_a+b")
    'loss/f/steps_a_b'
    """
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", name)
