"""Runs one after the other with one index: a batch loses what an earlier one has."""

import shutil
from itertools import pairwise

import polars as pl
import pytest
from test_duplicates_index import versions

import curate
from curate.config import load_config
from curate.errors import ConfigError, IntegrityError
from curate.pipeline import open_context, run_stage
from curate.stage_order import STAGES

NEAR = {"jaccard": 0.8, "preset": "fineweb"}


def corpus():
    """Versions of pages; every third text has a mail address, which cleaning masks."""
    frame = versions(pages=25, copies=5)
    mail = (
        pl.when(pl.int_range(pl.len()) % 3 == 0)
        .then(pl.lit(" ann@site.org "))
        .otherwise(pl.lit(" "))
    )
    return frame.with_columns(text=pl.lit("Written by") + mail + pl.col("text"), source=pl.lit("a"))


def config_for(folder, frame, name, **duplicates):
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return {
        "input": {"path": str(path), "part_bytes": 20_000},
        "clean": {"steps": ["mask_pii"]},
        "controls": {"share": 0.0},
        "rules": {"add": {"few_commas": {"signal": "text_chars", "max": 800}}},
        "duplicates": {"survivor": "earliest", "near": NEAR} | duplicates,
        "output": {"path": str(folder / "runs" / name)},
    }


def batches(folder, cuts):
    """Runs of the batches between the cuts, each added to one index."""
    documents = corpus()
    ends = [0, *cuts, documents.height]
    index = str(folder / "index")
    return [
        curate.run(config_for(folder, documents[a:b], f"batch{a}", index=index))
        for a, b in pairwise(ends)
    ]


@pytest.mark.parametrize("cuts", [[60], [20, 21, 90]], ids=len)
def test_runs_over_batches_keep_what_one_run_keeps(tmp_path, cuts):
    whole = curate.run(config_for(tmp_path, corpus(), "whole"), until="verdicts").verdicts
    runs = batches(tmp_path, cuts)
    parts = pl.concat([run.verdicts.select("id", "kept", "duplicate_of", "failed") for run in runs])

    assert parts["id"].to_list() == whole["id"].to_list()
    assert parts["kept"].to_list() == whole["kept"].to_list()
    assert 20 < whole["kept"].sum() < 100
    known = parts.filter(pl.col("failed").list.contains("duplicates.index"))
    assert known.height >= 10
    assert set(known["duplicate_of"]) <= set(parts.filter("kept")["id"])
    removals = runs[-1].folder.read("duplicates/removals.parquet")
    assert "index" in removals["kind"].to_list()
    assert removals["jaccard"].min() >= 0.8
    assert runs[-1].folder.read_json("duplicates/evidence.json")["false_removals"]["false"] == 0


def stages_run(values):
    context = open_context(load_config(values))
    return [stage.name for stage in STAGES if run_stage(stage.name, context)]


def test_a_run_is_added_once_and_again_where_it_changed(tmp_path):
    documents, index = corpus(), str(tmp_path / "index")
    first = config_for(tmp_path, documents[:60], "first", index=index)
    second = config_for(tmp_path, documents[60:], "second", index=index)
    curate.run(first)
    kept = curate.run(second).verdicts["kept"].sum()

    assert stages_run(second) == []
    changed = second | {"rules": {"add": {"short": {"signal": "text_chars", "max": 1}}}}
    changed["output"] = second["output"] | {"min_yield": 0.0}
    assert "index" in stages_run(changed)
    assert "duplicates" not in stages_run(changed)
    assert curate.run(second).verdicts["kept"].sum() == kept

    moved = first | {"rules": {"add": {"short": {"signal": "text_chars", "max": 700}}}}
    with pytest.raises(ConfigError, match="has later batches, which rest on it"):
        curate.run(moved)


def test_comparing_alone_leaves_the_index_as_it_was_under_any_policy(tmp_path):
    documents, index = corpus(), tmp_path / "index"
    curate.run(config_for(tmp_path, documents[:60], "first", index=str(index)))
    before = {p: p.read_bytes() for p in index.rglob("*") if p.is_file()}
    again = documents[:60].with_columns(id=pl.lit("again-") + pl.col("id"))
    values = config_for(tmp_path, again, "again", against=[str(index)], survivor="longest")
    run = curate.run(values | {"output": values["output"] | {"min_yield": 0.0}})

    assert run.verdicts["kept"].sum() == 0
    assert run.verdicts["jaccard"].min() >= 0.8
    assert {p: p.read_bytes() for p in index.rglob("*") if p.is_file()} == before
    assert "index" in run.report.read_text("utf-8")


def test_other_parameters_and_lost_texts_are_refused(tmp_path):
    documents, index = corpus(), str(tmp_path / "index")
    run = curate.run(config_for(tmp_path, documents[:60], "first", index=index))
    other = config_for(tmp_path, documents[60:], "second", against=[index])

    changed = other["duplicates"] | {"near": {"jaccard": 0.7}}
    with pytest.raises(ConfigError, match=r"was made with jaccard = 0\.8, not 0\.7"):
        curate.run(other | {"duplicates": changed})
    with pytest.raises(ConfigError, match=r"need duplicates\.near"):
        load_config(other | {"duplicates": {"near": False, "against": [index]}})
    with pytest.raises(ConfigError, match="is no index of duplicates"):
        curate.run(config_for(tmp_path, documents, "third", against=[str(tmp_path / "none")]))
    shutil.rmtree(run.folder.file("documents"))
    with pytest.raises(IntegrityError, match="which is gone"):
        curate.run(other)
