"""Duplicates in a whole run: evidence, the guard, and what the report says of them."""

import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from test_duplicates_evidence import templates

import curate
from curate.config import load_config, to_toml
from curate.duplicates import side_by_side
from curate.report import markdown
from curate.report.duplicate_section import removals_said

MAIL = "ann@site.org"


def config_for(folder, frame, **changes):
    path = folder / "raw.parquet"
    frame.write_parquet(path)
    values = {
        "input": {"path": str(path), "part_bytes": 60_000},
        "controls": {"share": 0.0},
        "output": {"path": str(folder / "run")},
    }
    return values | changes


@pytest.fixture(scope="module")
def done(tmp_path_factory, corpus):
    """Every near copy says one word of its own; one of them a mail address."""
    frame = corpus.with_columns(pl.col("text").str.replace("zzyx", f"zzyx {MAIL}"))
    values = config_for(
        tmp_path_factory.mktemp("done"),
        frame.drop("kind"),
        clean={"steps": []},
        duplicates={
            "near": {"jaccard": 0.8, "preset": "high_recall"},
            "evidence": {"other_seeds": [2], "shown": 3},
        },
    )
    return curate.run(values)


def test_every_removal_has_its_evidence(done):
    removals = done.folder.read("duplicates/removals.parquet")
    gone = done.verdicts.filter(pl.col("duplicate_of").is_not_null())

    assert removals["id"].to_list() == gone["id"].to_list()
    assert removals["kept_id"].to_list() == gone["duplicate_of"].to_list()
    assert (removals["jaccard"].cast(pl.Float32) - gone["jaccard"]).abs().max() < 1e-6
    near = removals.filter(pl.col("kind") == "near")
    assert near.height >= 15
    texts = dict(done.folder.table("documents").select("id", "text").iter_rows())
    words = {id: set(re.findall(r"\w+", text.lower())) for id, text in texts.items()}
    lost = [len(words[a] - words[b]) for a, b in removals.select("id", "kept_id").iter_rows()]
    assert removals["new_words"].to_list() == lost
    assert near["new_words"].max() > 0


def test_sampled_removals_are_true_and_another_seed_moves_none(done):
    found = done.folder.read_json("duplicates/evidence.json")
    removals = done.folder.read("duplicates/removals.parquet")

    assert found["false_removals"]["sampled"] == removals.height == sum(found["removed"].values())
    assert found["false_removals"]["false"] == 0
    assert found["failing_a_rule"] == 0
    assert 0 < found["false_removals"]["high"] < 0.2
    assert done.folder.read("duplicates/stability.parquet").select("seed", "moved").rows() == [
        (2, 0.0)
    ]


def test_duplicates_that_fail_a_rule_as_well_are_counted(tmp_path):
    texts = ["one text that is there twice"] * 2 + ["another text", "and a third one"]
    frame = pl.DataFrame({"id": list("abcd"), "text": texts, "grade": [1, 0, 1, 0]})
    rules = {"add": {"good": {"signal": "grade", "min": 0.5}}}
    run = curate.run(config_for(tmp_path, frame, rules=rules), until="evidence")
    found = run.folder.read_json("duplicates/evidence.json")

    assert (found["removed"], found["failing_a_rule"]) == ({"exact": 1}, 1)
    assert "(1 exact; 1 of them fails a rule as well)" in removals_said(found)


def test_cluster_sizes_are_kept_for_weights(done):
    sizes = done.folder.read("duplicates/clusters.parquet")
    kept = sizes.filter("kept")
    removed = sizes.filter(~pl.col("kept"))

    assert set(removed["id"]) == set(done.folder.read("duplicates/removals.parquet")["id"])
    assert (kept["cluster_size"] - 1).sum() == removed.height


def test_the_report_shows_pairs_side_by_side_without_personal_data(done):
    page = done.report.read_text("utf-8")
    said = markdown(done.folder.root)

    assert page.count('<table class="sides">') == 3
    assert "<del>" in page
    assert "zzyx" in page
    assert MAIL not in page
    assert "false-removal rate 0.0 %" in page
    assert "false-removal rate 0.0 %" in said
    assert done.folder.read_json("report.json")["duplicates"]["false_removals"]["false"] == 0


@pytest.mark.parametrize(
    ("removed", "kept", "expected"),
    [
        ("a b c", "a b c", []),
        ("a b c", "a x c", [(False, "a", "a"), (True, "b", "x"), (False, "c", "c")]),
        ("b c", "a b c", [(True, "", "a"), (False, "b c", "b c")]),
        ("a b", "a", [(False, "a", "a"), (True, "b", "")]),
        ("", "a", [(True, "", "a")]),
        ("x", "y", [(True, "x", "y")]),
    ],
)
def test_side_by_side(removed, kept, expected):
    assert side_by_side(removed, kept) == expected


def test_long_common_passages_are_shortened_and_long_differences_cut():
    long = " ".join(f"w{i}" for i in range(100))

    assert side_by_side(f"{long} a", f"{long} b")[0][1] == "… " + " ".join(long.split()[-8:])
    one, other = (" ".join(f"{side}{i}" for i in range(5000)) for side in "ab")
    passages = side_by_side(one, other)
    assert len(passages[0][1].split()) == 2000
    assert passages[-1] == (False, "…", "…")


@pytest.mark.parametrize(("verify", "code"), [("false", 1), ("true", 0)])
def test_templates_stop_a_run_that_does_not_verify(tmp_path, verify, code):
    """Distinct topics in one frame of boilerplate: `curate run` ends with exit code 1, or 0."""
    config = tmp_path / "run.toml"
    guard = {"source_share": 0.5, "cluster_documents": 200}
    values = config_for(tmp_path, templates(), duplicates={"guard": guard})
    config.write_text(to_toml(load_config(values)))
    option = f"duplicates.near.verify={verify}"
    finished = subprocess.run(
        [sys.executable, "-m", "curate", "run", str(config), "--set", option],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == code, finished.stderr
    assert ("duplicates look like an accident" in finished.stderr) == bool(code)
    if code:
        assert "source 'shop' loses" in finished.stderr
        assert "false-removal rate" in finished.stdout


def passage_corpus():
    """Three pages share a passage of 60 words, one of them with a mail address in it."""
    rng = np.random.default_rng(5)

    def words(count):
        return " ".join(f"v{i}" for i in rng.integers(0, 10**6, count))

    passage, other = words(60), words(30)
    menu = "Home | Products | Contact us | Imprint"
    first, second = passage.split()[:30], passage.split()[30:]
    masked = " ".join([*first, MAIL, *second])
    texts = [f"{menu}\n{words(80)}\n{p} {words(40)}" for p in (passage, masked, passage, other)]
    return pl.DataFrame({"id": list("abcd"), "text": texts, "source": "web"}), passage, menu


@pytest.mark.parametrize("action", ["cut", "flag"])
def test_passages_are_cut_last_or_only_counted(tmp_path, action):
    frame, passage, menu = passage_corpus()
    options = {"passages": {"words": 50, "action": action}, "lines": {"documents": 4}}
    values = config_for(
        tmp_path, frame, clean={"steps": ["mask_pii"]}, duplicates=options, measure=False
    )
    run = curate.run(values)
    data = sorted((run.folder.root / "curated" / "data").glob("*.parquet"))
    texts = dict(pl.concat([pl.read_parquet(p) for p in data]).select("id", "text").iter_rows())

    assert passage in texts["a"]
    assert (passage in texts["c"]) == (action == "flag")
    assert "<EMAIL>" in texts["b"]
    assert [menu in texts[id] for id in "abcd"] == [True, False, False, False]
    assert run.verdicts["kept"].all()
    words = dict(run.verdicts.select("id", "words").iter_rows())
    assert words["a"] == words["c"]  # measured before the cuts
    summary = {row["kind"]: row for row in run.folder.read("passages/summary.parquet").to_dicts()}
    assert summary["passages"]["documents"] == 1
    assert summary["passages"]["words"] == 60
    assert summary["lines"]["documents"] == 3
    assert "cut after signals were measured" in run.report.read_text("utf-8")
