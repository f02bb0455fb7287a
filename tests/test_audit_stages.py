"""The audit in a whole run: groups in texts, steps that edit, gate, card, flow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import prose, vocabulary
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.config import load_config, to_toml
from curate.errors import ConfigError, GateError
from curate.runs import open_run

ROOT = Path(__file__).parents[1]


def spoken(rng, n=900):
    """Forum posts, a third of them on Muslims; a word filter hits those and nobody else."""
    words = vocabulary(rng, 400)
    named = rng.random(n) < 1 / 3
    texts = [
        prose(rng, words, 60) + (" The Muslim families agreed." if own else "") for own in named
    ]
    rude = rng.random(n) < np.where(named, 0.3, 0.03)
    long = rng.random(n)
    mails = [" Write to ann.smith@site.org." if own else "" for own in named & (long < 0.5)]
    return pl.DataFrame(
        {
            "id": [f"d{i:04d}" for i in range(n)],
            "text": [a + b for a, b in zip(texts, mails, strict=True)],
            "source": [f"site-{i % 5}" for i in range(n)],
            "rude": rude.astype(float),
            "noise": long,
        }
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A run whose word filter hits an identity, with a gate."""
    folder = tmp_path_factory.mktemp("biased")
    spoken(np.random.default_rng(8)).write_parquet(folder / "raw.parquet")
    return {
        "input": {"path": str(folder / "raw.parquet")},
        "clean": {"steps": ["mask_pii"]},
        "rules": {"add": {"rude": {"signal": "rude", "max": 0.5}}},
        "controls": {"share": 0.0},
        "duplicates": {"near": False, "exact": False},
        "audit": {"lexicons": ["identity"], "scores": ["noise"], "gate": {}},
        "output": {"path": str(folder / "run")},
    }


@pytest.fixture(scope="module")
def stopped(config):
    """What the gate said, and the folder of the run that it stopped."""
    with pytest.raises(GateError) as error:
        curate.run(config)
    return error.value, open_run(config["output"]["path"])


def test_the_gate_stops_a_run_that_filters_an_identity(stopped):
    error, run = stopped
    table = run.folder.read("audit/impact.parquet")
    strong = table.filter((pl.col("q") < 0.01) & (pl.col("state") == "flag"))

    assert "own: religion: Muslims = 'named' loses" in str(error)
    assert error.exit_code == 1
    assert strong.select("step", "group_column", "group").rows() == [
        ("own", "religion: Muslims", "named")
    ]


def test_the_audit_of_a_run_sees_what_cleaning_takes_and_what_scores_do(stopped):
    folder = stopped[1].folder
    mask = folder.read("audit/impact.parquet").filter(
        step="mask_pii", group="named", group_column="religion: Muslims", population="marginal"
    )
    scores = folder.read("audit/scores.parquet")

    assert mask.filter(weight="documents")["q"].item() < 1e-6
    assert mask.filter(weight="documents")["excess_removal"].item() > 0
    assert set(scores["score"]) == {"noise"}
    assert set(scores["corpus"]) == {"raw", "curated", "change"}


def test_the_card_and_croissant_say_what_the_audit_found(stopped):
    home = Path(stopped[1].curated)
    described = json.loads((home / "croissant.json").read_text("utf-8"))
    card = (home / "README.md").read_text("utf-8")

    assert "own takes" in described["rai:dataBiases"]
    assert "documents with a term of 'religion: Muslims'" in described["rai:dataBiases"]
    assert "curate-identity-en-1" in described["rai:dataLimitations"]
    assert described["rai:dataBiases"] in card
    assert {f["name"] for f in described["recordSet"][0]["field"]} >= {"id", "text", "source"}
    assert len(described["distribution"][0]["sha256"]) == 64


def test_an_unknown_word_list_ends_a_run_before_any_work(config, tmp_path):
    changes = {"audit": {"lexicons": ["identty"]}, "output": {"path": str(tmp_path / "run")}}

    with pytest.raises(ConfigError, match="did you mean 'identity'"):
        curate.run(config | changes)
    assert not (tmp_path / "run").exists()


ENGLISH = "The people there said that it was a good year and they would do it again."
GERMAN = "Die Leute der Stadt sagten, dass es ein gutes Jahr war und sie es tun werden."


def test_a_rule_on_language_is_a_step_of_its_own(tmp_path):
    pytest.importorskip("py3langid")
    rng, n = np.random.default_rng(11), 600
    site = rng.integers(0, 2, n)
    foreign = rng.random(n) < np.where(site == 1, 0.4, 0.05)
    texts = [f"{GERMAN if other else ENGLISH} {i}" for i, other in enumerate(foreign)]
    frame = pl.DataFrame({"text": texts, "site": [f"site-{i}" for i in site]})
    frame.write_parquet(tmp_path / "raw.parquet")
    run = curate.run(
        {
            "input": {"path": str(tmp_path / "raw.parquet")},
            "controls": {"share": 0.0},
            "rules": {"sets": [], "languages": ["en"]},
            "duplicates": {"near": False, "exact": False},
            "audit": {"groups": ["site"]},
            "output": {"path": str(tmp_path / "run")},
        },
        until="audit",
    )
    rows = run.folder.read("audit/impact.parquet").filter(step="language", group="site-1")
    tested = rows.filter(population="marginal", weight="documents").row(0, named=True)

    assert tested["removed"] == (foreign & (site == 1)).sum()
    assert (tested["state"], tested["q"] < 0.01) == ("flag", True)
    assert tested["adjusted_removal_ratio_low"] > 1
    assert set(rows.select("population", "weight").rows()) == {
        (population, weight)
        for population in ("marginal", "cumulative")
        for weight in ("documents", "tokens")
    }


def test_an_audit_of_a_config_leaves_its_experiment_for_later(tmp_path):
    spoken(np.random.default_rng(9), 60).write_parquet(tmp_path / "raw.parquet")
    spoken(np.random.default_rng(10), 9).write_parquet(tmp_path / "held.parquet")
    values = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run")},
        "measure": {"evaluation": [str(tmp_path / "held.parquet")]},
    }
    path = tmp_path / "run.toml"
    path.write_text(to_toml(load_config(values)))
    done = CliRunner().invoke(app, ["audit", str(path)])

    assert done.exit_code == 0, done.output
    assert open_run(tmp_path / "run").config.measure == load_config(values).measure
    assert (tmp_path / "run" / "report.html").exists()
    assert not list((tmp_path / "run").glob("scaling/*.parquet"))


ASK = """
import json, sys
from prefect.artifacts import Artifact
from prefect.testing.utilities import prefect_test_harness
from flows.curation import curation

with prefect_test_harness(server_startup_timeout=120):
    state = curation(sys.argv[1], return_state=True)
    found = Artifact.get("curate-audit-gate")
    print(json.dumps([state.type.value, state.message, found.type, found.data, found.description]))
"""


@pytest.mark.flow
@pytest.mark.slow
def test_the_gate_fails_the_flow_and_leaves_its_table_as_an_artifact(config, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(to_toml(load_config(config, overrides={"output.path": str(tmp_path / "run")})))
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state, message, kind, data, description = json.loads(done.stdout.splitlines()[-1])
    rows = json.loads(data) if isinstance(data, str) else data

    assert state == "FAILED"
    assert "religion: Muslims" in message
    assert kind == "table"
    assert [(row["step"], row["group"]) for row in rows] == [("own", "named")]
    assert rows[0]["q"] < 0.01
    assert "bias gate" in description
    assert (tmp_path / "run" / "report.html").exists()
    assert "Retry" not in done.stderr  # the same verdicts would fail the same gate
