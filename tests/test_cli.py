"""The command line: exit codes, messages on standard error, the same words as the library."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import curate
from curate import cli
from curate.errors import InputError
from curate.report import summary
from curate.runs import difference_said
from curate.stage_order import STAGES


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


def test_an_interrupt_says_what_stays_and_ends_with_130(config, tmp_path, monkeypatch, capsys):
    """One line, no traceback."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.pipeline.run_stage", interrupt)
    monkeypatch.setattr(sys, "argv", ["curate", "run", str(config), "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 130
    assert "interrupted: what is finished stays; the same command" in capsys.readouterr().err


def test_explain_and_what_if_and_diff(done, tmp_path):
    removed = done.verdicts.filter(pl.col("failed").list.contains("own.long"))["id"][0]
    folder = done.folder.root

    explained = run_curate("explain", folder, removed)
    asked = run_curate("what-if", folder, "own.long.min=100")
    same = run_curate("what-if", folder, "--rule", "own.long.min=100")
    swept = run_curate("sweep", folder, "--rule", "own.long.min", "--values", "100,400,900")
    wrong = run_curate("sweep", folder, "--rule", "own.long.min", "--values", "many")
    compared = run_curate("diff", folder, folder)

    assert "✗ own.long" in explained.stdout
    assert "documents kept →" in asked.stdout
    assert "tokens kept →" in asked.stdout
    assert "audit flags: " in asked.stdout
    assert same.stdout == asked.stdout
    kept = [int(line.split()[1]) for line in swept.stdout.splitlines()[2:]]
    assert kept == sorted(kept, reverse=True)
    assert kept[1] == done.verdicts["kept"].sum()
    assert [line for line in swept.stdout.splitlines() if "present bound" in line] == [
        next(line for line in swept.stdout.splitlines() if line.split()[0] == "400")
    ]
    assert (wrong.returncode, "'many'" in wrong.stderr) == (2, True)
    assert "0 documents differ" in compared.stdout


def test_a_sweep_covers_the_column_and_holds_the_present_bound(done):
    lengths = done.verdicts["text_chars"]
    curve = done.sweep("own.long", bound="min")
    now = curve.filter("present")

    assert (curve["value"].min(), curve["value"].max()) == (lengths.min(), lengths.max())
    assert now.select("value", "kept").rows() == [(400.0, done.verdicts["kept"].sum())]
    upper = done.sweep("own.long", bound="max")  # there is no such bound; below min nothing is left
    assert upper["present"].sum() == 0
    assert upper["value"].min() >= 400


def test_what_was_quarantined_is_explained(tmp_path):
    lines = ['{"id": "a", "text": "one"}', '{"id": "a", "text": "two"}', '{"id": "b", "text": ""}']
    (tmp_path / "raw.jsonl").write_text("\n".join(lines))
    run = curate.run(
        {
            "input": {"path": str(tmp_path / "raw.jsonl")},
            "output": {"path": str(tmp_path / "run")},
            "controls": {"share": 0.0},
        }
    )
    said = " ".join(run_curate("report", tmp_path / "run").stdout.split())

    assert "row 2 of raw.jsonl has the same id" in str(run.explain("a"))
    for id, reason in (("b", "empty text"), ("raw.jsonl:3", "empty text"), ("c", "the 1 .*'a'")):
        with pytest.raises(InputError, match=reason):
            run.explain(id)
    first, _, kept = said.partition("? ")
    assert first.startswith("WARNING: 66.7 % of the rows went to quarantine, most of them as 1 × ")
    assert kept.startswith("1 of 3 documents kept (33.3 %; 100.0 % of the 1 usable); not usable: ")


def test_without_arguments_it_shows_help():
    finished = run_curate()

    assert finished.returncode == 2
    assert "what-if" in finished.stdout + finished.stderr


def test_scaling_laws_of_anyones_points(tmp_path):
    rows = [
        (n, d, 1.7 + 400 / n**0.34 + 2000 / d**0.37)
        for n in (1e7, 3e7, 1e8, 3e8, 1e9)
        for d in (1e9, 3e9, 1e10, 3e10)
    ]
    table = pl.DataFrame(rows, schema=["params", "tokens", "loss"], orient="row")
    table.write_csv(tmp_path / "points.csv")
    names = ("--n", "params", "--d", "tokens")
    fitted = run_curate("scaling", tmp_path / "points.csv", *names)
    missing = run_curate("scaling", tmp_path / "points.csv")

    assert fitted.returncode == 0, fitted.stderr
    assert "tokens per parameter" in fitted.stdout
    assert missing.returncode == 2
    assert "n_params" in missing.stderr


def test_each_stage_leaves_a_line_and_says_what_was_there_already(config, done, tmp_path):
    again = run_curate("run", config)
    fresh = run_curate("run", config, "--output", tmp_path / "fresh")

    lines = again.stderr.splitlines()
    said, names = [line.split()[0] for line in lines], [stage.name for stage in STAGES]
    assert said == [name for name in names if name in said]
    assert {"documents", "annotate", "verdicts", "audit", "curated", "report"} <= set(said)
    assert not {"quality", "measure", "index"} & set(said)  # nobody asked for them
    assert all("was there already" in line for line in lines)
    assert "documents in " in fresh.stderr
    assert "was there already" not in fresh.stderr


@pytest.mark.parametrize("kind", [OSError, pl.exceptions.ComputeError])
def test_a_full_disk_is_said_in_words(kind, monkeypatch):
    def full():
        raise kind("underlying IO error: No space left on device (os error 28)")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit, match="the disk is full"):  # words: exit code 1
        cli.main()


def test_rules_for_another_language_are_said_to_be(tmp_path, capsys):
    """English stop words take every German text; a first user must not look for the reason."""
    text = "Über den Feldern lag früh am Morgen dichter Nebel, und niemand sah den Weg zur Stadt "
    rows = [{"id": f"d{k}", "text": f"{text * 8} {k}"} for k in range(30)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    values = {
        "input": {"path": str(tmp_path / "a.parquet")},
        "rules": {"sets": ["gopher_quality"], "shown": ["fineweb", "gopher_quality"]},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run"), "min_yield": 0.0},
    }

    curate.run(values)

    Console(width=1000).print(summary(tmp_path / "run"))
    shown = capsys.readouterr().out
    assert shown.count("gopher_quality.stop_words (100.0 %)") == 1
    assert "most documents fail gopher_quality.stop_words (100.0 %)" in shown
    assert "It counts English words" in shown
    assert f"curate measure {tmp_path / 'run'} --evaluation FILES measures it" in shown


def test_bounds_of_a_set_that_is_only_shown_can_be_asked_about(tmp_path):
    """As `init` writes it; the answer is that of a run that applies the rule."""
    rows = [{"id": f"d{k}", "text": " ".join(["word"] * 10 * k) + f" {k}"} for k in range(1, 11)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    values = {
        "input": {"path": str(tmp_path / "a.parquet")},
        "rules": {"sets": [], "shown": ["gopher_quality"]},
        "duplicates": {"near": False},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run"), "min_yield": 0.0},
    }
    done = curate.run(values, until="verdicts")

    asked = done.what_if({"gopher_quality.word_count": {"min": 50}})
    curve = done.sweep("gopher_quality.word_count", bound="min", values=[50, 80])

    assert str(asked).startswith("gopher_quality.word_count is only shown by this run; here it is")
    assert asked.counts["before"][0] == 10
    assert asked.counts["after"][0] == 6
    assert curve["kept"].to_list() == [6, 3]
    said = run_curate("sweep", tmp_path / "run", "--rule", "gopher_quality.word_count.min").stdout
    assert said.startswith("gopher_quality.word_count is only shown by this run")


def test_runs_of_different_corpora_are_not_compared(tmp_path):
    """Nothing is learnt from a list of documents that only one of the runs has."""
    done = []
    for name in ("a", "b", "ab"):
        rows = [{"id": f"{x}{k}", "text": f"words of document {x} {k}"} for x in name for k in "12"]
        pl.DataFrame(rows).write_parquet(tmp_path / f"{name}.parquet")
        config = {
            "input": {"path": str(tmp_path / f"{name}.parquet")},
            "controls": {"share": 0.0},
            "output": {"path": str(tmp_path / name)},
        }
        done.append(curate.run(config))

    first, second, both = done
    assert difference_said(first, second)[0].startswith("The runs share no id")
    assert first.diff(tmp_path / "ab").equals(first.diff(both))
    assert difference_said(first, both)[0] == (
        "2 documents differ, of which 0 are only in the first run, 2 only in the second"
    )


def test_the_version_is_told():
    assert run_curate("--version").stdout == f"curate {curate.__version__}\n"


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("curation.py", ["nothere.toml"], "no config file 'nothere.toml'"),
        ("curation.py", ["nothere.toml", "seed"], "'seed' is no assignment"),
        ("serve.py", ["nothere.toml"], "no config file 'nothere.toml'"),
        ("serve.py", ["configs/demo.toml", "--cron", "0 99 * * *"], "'0 99 * * *' is no cron"),
    ],
)
def test_a_wrong_flow_is_refused_before_prefect_starts(script, arguments, said, tmp_path):
    """A served flow that cannot run would fail every night; a traceback tells nobody why."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, f"flows/{script}", *arguments],
        cwd=root,
        env={**os.environ, "PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert said in done.stderr


def test_a_broken_file_is_said_at_the_end(tmp_path, capsys):
    """What it held is in no count, so the counts alone would look whole."""
    (tmp_path / "data").mkdir()
    lines = "".join(f'{{"text": "the words of document {k}"}}\n' for k in range(2000)).encode()
    (tmp_path / "data" / "a.jsonl.gz").write_bytes(gzip.compress(lines)[:-400])
    (tmp_path / "data" / "b.jsonl").write_text('{"text": "whole"}')
    values = {
        "input": {"path": str(tmp_path / "data")},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run")},
    }

    curate.run(values)

    Console(width=1000).print(summary(tmp_path / "run"))
    said = capsys.readouterr().out.splitlines()[0]
    assert said.endswith("broken, read in part or not at all: a.jsonl.gz.")
