"""The command line: exit codes, messages on standard error, the same words as the library."""

import subprocess
import sys

import polars as pl
import pytest

import curate


def run_curate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "curate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("cli")
    corpus.drop("kind").head(120).write_parquet(folder / "raw.parquet")
    path = folder / "run.toml"
    path.write_text(
        f'[input]\npath = "{folder}/raw.parquet"\n'
        '[rules.add.long]\nsignal = "text_chars"\nmin = 400\n'
        "[controls]\nshare = 0.0\n"
        f'[output]\npath = "{folder}/run"\n'
    )
    return path


@pytest.fixture(scope="module")
def done(config):
    return curate.run(config)


@pytest.mark.parametrize(
    ("assignment", "code", "message"),
    [
        ("seed=x", 2, "seed is 'x'"),
        ("inptu.path=a", 2, "unknown key 'inptu'"),
        ('input.path="/no/such/file.jsonl"', 3, "/no/such/file.jsonl"),
        ("output.min_yield=0.999", 1, "were kept"),
        ("rules.sets=['gofer']", 2, "gofer"),
    ],
)
def test_exit_codes_and_messages(config, tmp_path, assignment, code, message):
    finished = run_curate("run", config, "--output", tmp_path / "run", "--set", assignment)

    assert finished.returncode == code, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_explain_and_what_if_and_diff(done, tmp_path):
    removed = done.verdicts.filter(pl.col("failed").list.contains("own.long"))["id"][0]
    folder = done.folder.root

    explained = run_curate("explain", folder, removed)
    asked = run_curate("what-if", folder, "own.long.min=100")
    compared = run_curate("diff", folder, folder)

    assert "✗ own.long" in explained.stdout
    assert f"kept: {removed}" in asked.stdout or "documents kept →" in asked.stdout
    assert "0 documents differ" in compared.stdout


def test_without_arguments_it_shows_help():
    finished = run_curate()

    assert finished.returncode == 2
    assert "what-if" in finished.stdout + finished.stderr
