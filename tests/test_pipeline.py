"""A whole run on a small corpus: books balance, three ways agree, a kill loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import curate
from curate import stages
from curate.config import load_config, to_toml
from curate.errors import ConfigError, GateError, InputError, IntegrityError
from curate.pipeline import open_context, run_stage, run_stages
from curate.runs import open_run
from curate.stage_order import STAGES

ROOT = Path(__file__).parents[1]
RULES = {
    "add": {
        "long_enough": {"signal": "text_chars", "min": 100},
        "few_repeated_lines": {"signal": "duplicate_line_fraction", "max": 0.3},
    }
}


def config_for(folder, corpus, **changes):
    """Config of a small run; the corpus is written once beside it."""
    path = folder / "raw.parquet"
    if not path.exists():
        corpus.drop("kind").write_parquet(path)
    values = {
        "input": {"path": str(path), "part_bytes": 60_000},
        "rules": RULES,
        "duplicates": {"near": {"jaccard": 0.8, "preset": "high_recall"}},
        "controls": {"share": 0.05},
        "output": {"path": str(folder / "run")},
    }
    return values | changes


def files(folder, *homes):
    """Relative path → bytes of every file below some homes of a run folder."""
    paths = [p for home in homes for p in Path(folder, home).rglob("*") if p.is_file()]
    assert paths, f"{folder} has no files below {homes}"
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


@pytest.fixture(scope="module")
def done(tmp_path_factory, corpus):
    return curate.run(config_for(tmp_path_factory.mktemp("done"), corpus))


def test_books_balance(done):
    facts = done.folder.read_json("manifest.json")["stages"]["verdicts"]["facts"]
    native = done.verdicts.filter(pl.col("control").is_null())

    assert facts["rows_read"] == native.height
    assert facts["native_kept"] + facts["native_removed"] == native.height
    assert facts["planted"] > 0


def test_a_lost_document_fails_the_run(tmp_path, corpus):
    """The reconciliation notices one missing verdict and names both sides."""
    context = open_context(load_config(config_for(tmp_path, corpus)))
    run_stages(context, until="verdicts")

    with pytest.raises(IntegrityError, match=r"do not reconcile: .* rows read .* ≠ .* kept"):
        stages.reconcile(context, context.folder.table("verdicts").tail(-1))


def test_defects_leave_for_their_own_reason(done, corpus):
    judged = done.verdicts.join(corpus.select("id", "kind"), on="id")
    failed = {
        kind: judged.filter(pl.col("kind") == kind)["failed"].to_list()
        for kind in ("near_copy", "repeated_lines")
    }

    assert all("own.few_repeated_lines" in reasons for reasons in failed["repeated_lines"])
    exact = judged.filter(pl.col("kind") == "exact_copy")["id"].str.replace("copy", "doc")
    assert len(exact) == 20
    pairs = done.folder.read("duplicates/pairs.parquet")
    assert pairs.filter(pl.col("kind") == "exact").height >= 20


def test_every_duplicate_was_verified_against_the_document_that_stays(done):
    verdicts = done.verdicts
    removed = verdicts.filter(pl.col("duplicate_of").is_not_null())
    kept = set(verdicts.filter("kept")["id"])

    assert removed.height >= 40
    assert set(removed["duplicate_of"]) <= kept
    assert removed["jaccard"].min() >= 0.8


def test_curated_folder_loads_both_configs(done, tmp_path):
    import datasets

    native = done.verdicts.filter(pl.col("control").is_null())
    cache = str(tmp_path)
    kept = datasets.load_dataset(done.curated, cache_dir=cache)["train"]
    removed = datasets.load_dataset(done.curated, "removed", cache_dir=cache)["removed"]

    assert len(kept) == native.filter("kept").height
    assert len(removed) == native.filter(~pl.col("kept")).height
    assert all(reasons for reasons in removed["failed"])


def test_number_of_workers_and_of_parts_does_not_change_a_verdict(done, tmp_path, corpus):
    values = config_for(tmp_path, corpus)
    values["input"]["part_bytes"] = 10_000_000
    one = curate.run(values, workers=1)

    assert one.verdicts.equals(done.verdicts)


def test_command_line_and_notebook_write_the_same_bytes(done, tmp_path, corpus):
    """`curate run CONFIG` against `curate.run(...)`."""
    config = tmp_path / "run.toml"
    config.write_text(to_toml(load_config(config_for(tmp_path, corpus))))
    finished = subprocess.run(
        [sys.executable, "-m", "curate", "run", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert files(tmp_path / "run", "verdicts", "curated") == files(
        done.folder.root, "verdicts", "curated"
    )
    assert "report.html" in finished.stdout


@pytest.mark.flow
@pytest.mark.slow
def test_flow_writes_the_same_bytes(done, tmp_path, corpus):
    """`python flows/curation.py CONFIG` against `curate.run(...)`."""
    config = tmp_path / "run.toml"
    config.write_text(to_toml(load_config(config_for(tmp_path, corpus))))
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")}
    finished = subprocess.run(
        [sys.executable, "flows/curation.py", str(config)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.strip().endswith("report.html")
    assert files(tmp_path / "run", "verdicts", "curated") == files(
        done.folder.root, "verdicts", "curated"
    )


def test_killed_run_goes_on_and_ends_with_the_same_bytes(done, tmp_path, corpus):
    """SIGKILL as soon as the first shard of a middle stage is recorded; then run again."""
    config = tmp_path / "run.toml"
    config.write_text(to_toml(load_config(config_for(tmp_path, corpus))))
    command = [sys.executable, "-m", "curate", "run", str(config), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    manifest = tmp_path / "run" / "manifest.json"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if manifest.exists() and json.loads(manifest.read_text())["stages"].get("annotate"):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "report.html").exists(), "the run ended before it was killed"

    again = curate.run(config, workers=2)

    assert again.folder.read_json("manifest.json")["stages"]["report"]["done"]
    assert files(tmp_path / "run", "verdicts", "curated", "audit") == files(
        done.folder.root, "verdicts", "curated", "audit"
    )


def test_second_run_does_nothing_and_another_rule_only_what_changed(tmp_path, corpus):
    values = config_for(tmp_path, corpus)

    assert stages_run(values) == [stage.name for stage in STAGES]
    assert stages_run(values) == []

    values["rules"] = {"add": RULES["add"] | {"long_enough": {"signal": "text_chars", "min": 150}}}
    changed = stages_run(values)

    assert changed[0] == "verdicts"
    assert "annotate" not in changed


def test_a_run_that_fails_before_anything_is_done_leaves_the_config_as_it_was(tmp_path):
    """Else the next measuring of the run would go by it; what is done anew keeps its own."""
    raw, own = tmp_path / "raw.parquet", tmp_path / "own.parquet"
    for path, number in ((raw, 4), (own, 5)):
        texts = [f"document number {n} says hello" for n in range(number)]
        pl.DataFrame({"text": texts}).write_parquet(path)
    values = {
        "input": {"path": str(raw)},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run")},
    }
    run_stages(open_context(load_config(values)), until="contamination")
    stored = tmp_path / "run" / "config.toml"
    before = stored.read_bytes()
    wrong = {"measure": {"evaluation": [str(own)], "evaluation_column": "nosuch"}}

    for changed, kept in ((wrong, True), (wrong | {"input": {"path": str(own)}}, False)):
        with pytest.raises(InputError, match="has no column 'nosuch'"):
            run_stages(open_context(load_config(values | changed)))
        assert (stored.read_bytes() == before) is kept


def stages_run(values):
    """Names of the stages that a run of this config really runs."""
    context = open_context(load_config(values))
    return [stage.name for stage in STAGES if run_stage(stage.name, context)]


def test_what_if_needs_no_new_run_and_agrees_with_one(done, tmp_path, corpus):
    """Verdicts, survivors of clusters, tokens and audit flags: all as a full run has them."""
    asked = done.what_if({"own.long_enough": {"min": 600}})
    values = config_for(tmp_path, corpus)
    values["rules"] = {"add": RULES["add"] | {"long_enough": {"signal": "text_chars", "min": 600}}}
    run = curate.run(values, until="audit")
    verdict = ["id", "failed", "kept", "cluster_id", "duplicate_of", "jaccard"]
    survivors = [
        v.filter(pl.col("duplicate_of").is_not_null()) for v in (asked.before, asked.after)
    ]
    flags = run.folder.read("audit/impact.parquet").filter(state="flag")
    native = run.verdicts.filter(pl.col("control").is_null() & pl.col("kept"))

    assert asked.changed.height > 10
    assert asked.after.select(verdict).equals(run.verdicts.select(verdict))
    assert (
        not survivors[0]
        .select("id", "duplicate_of")
        .equals(survivors[1].select("id", "duplicate_of"))
    )
    assert asked.counts["after"].to_list() == [native.height, native["words"].sum()]
    assert (
        asked.audit_after.filter(state="flag")
        .select("step", "group", "q")
        .equals(flags.select("step", "group", "q"))
    )


def test_the_retention_curve_equals_what_ifs(done):
    values = [100.0, 400.0, 600.0]
    curve = done.sweep("own.long_enough", bound="min", values=values)
    asked = [done.what_if({"own.long_enough": {"min": v}}).counts["after"] for v in values]

    assert list(zip(curve["kept"], curve["tokens_kept"], strict=True)) == [tuple(a) for a in asked]
    assert done.sweep("own.long_enough", bound="min")["kept"].is_sorted(descending=True)
    with pytest.raises(ConfigError, match=r"own\.long_enuogh"):
        done.sweep("own.long_enuogh", bound="min")


def test_explanation_names_every_rule_and_margin(done):
    id = done.verdicts.filter(pl.col("failed").list.contains("own.few_repeated_lines"))["id"][0]
    explanation = done.explain(id)

    assert "✗ own.few_repeated_lines" in str(explanation)
    assert explanation.rules.filter("failed")["margin"].max() < 0
    with pytest.raises(InputError, match="no document 'nobody'"):
        done.explain("nobody")


def test_explanation_tells_copies_edits_and_sets_beside_the_verdict(tmp_path, corpus):
    address = "someone.of.note@example-mail.org"
    rows = corpus.drop("kind").head(40).with_columns(text=pl.col("text") + f" Write to {address}.")
    values = config_for(tmp_path, rows.with_columns(kind=pl.lit("x")))
    values |= {"rules": RULES | {"shown": ["gopher_quality"]}, "clean": {"steps": ["mask_pii"]}}
    run = curate.run(values, until="verdicts")
    removed = run.verdicts.filter(pl.col("duplicate_of").is_not_null()).row(0, named=True)
    told = run.explain(removed["id"])

    assert f"(kept): Jaccard {removed['jaccard']:.3f}" in str(told)
    assert removed["duplicate_of"] in told.pairs["other"].to_list()
    assert told.edits.select("step", "places").row(0) == ("mask_pii", 1)
    assert told.edits["bytes_removed"][0] == len(address)
    assert address not in str(told)
    assert told.shown.height == 8


def test_unknown_rule_in_a_what_if_is_named(done):
    with pytest.raises(ConfigError, match=r"unknown rule 'own\.long_enuogh'; did you mean"):
        done.what_if({"own.long_enuogh": {"min": 1}})


def test_wipe_out_fails_the_gate_but_leaves_the_report(tmp_path, corpus):
    values = config_for(tmp_path, corpus)
    values["rules"] = {"add": {"none": {"signal": "text_chars", "min": 10_000_000}}}

    with pytest.raises(GateError, match=r"0\.00% of the native documents were kept"):
        curate.run(values)
    assert (tmp_path / "run" / "report.html").exists()


def test_longest_copy_that_fails_a_rule_leaves_its_passing_copy(tmp_path):
    """A cluster is not lost with its longest copy; without that rule the longest one stays."""
    body = " ".join(f"word{i} and another{i * 7} thing" for i in range(100))
    rows = [
        ("short", body + ".", "a"),
        ("long", body + ". " + "{ " * 9, "b"),
        ("other", "x " * 90, "a"),
    ]
    pl.DataFrame(rows, schema=["id", "text", "source"], orient="row").write_parquet(
        tmp_path / "raw.parquet"
    )
    values = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "rules": {"add": {"no_braces": {"signal": "curly_bracket_count", "max": 0}}},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run")},
    }
    run = curate.run(values, until="verdicts")
    verdicts = {row["id"]: row for row in run.verdicts.to_dicts()}

    assert verdicts["short"]["kept"]
    assert verdicts["long"]["failed"] == ["own.no_braces", "duplicates.exact"]

    without = run.what_if({"own.no_braces": {"max": None}}).after
    kept = dict(without.select("id", "kept").rows())

    assert kept["long"]
    assert not kept["short"]


def test_open_run_of_nothing_says_so(tmp_path):
    with pytest.raises(InputError, match=r"no config\.toml"):
        open_run(tmp_path)
