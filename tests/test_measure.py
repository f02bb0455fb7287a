"""A run with its experiment: arms resolve their own survivors, tables say what was measured."""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pytest

import curate
from curate.config import load_config
from curate.errors import ConfigError, CurateError
from curate.experiment import MeasureConfig
from curate.measure import _pool, _versions, _with_versions, arm_masks
from curate.pipeline import open_context, run_stages
from curate.remeasure import _tell_verdicts, measure_run


def write(path, rows):
    pl.DataFrame(rows, schema=["id", "text", "source"], orient="row").write_parquet(path)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, corpus):
    """A small run with two evaluation sets, a truth file and a cleaning step."""
    folder = tmp_path_factory.mktemp("measured")
    held_out = corpus.filter(pl.col("id").str.starts_with("doc-00"))
    texts = corpus.join(held_out, on="id", how="anti", maintain_order="left")
    mail = pl.concat_str(pl.col("text"), pl.lit("\nWrite to jane.doe@example.org.\n"))
    touched = pl.when(pl.col("id").str.ends_with("7")).then(mail).otherwise("text")
    texts = texts.with_columns(text=touched)
    texts.drop("kind").write_parquet(folder / "raw.parquet")
    texts.select("id", "kind").write_parquet(folder / "truth.parquet")
    (folder / "evaluation").mkdir()
    for number, name in enumerate(("first", "second")):
        part = held_out.gather_every(2, number).drop("kind")
        part.write_parquet(folder / "evaluation" / f"{name}.parquet")
    return curate.run(
        {
            "truth": str(folder / "truth.parquet"),
            "input": {"path": str(folder / "raw.parquet")},
            "clean": {"steps": ["mask_pii"]},
            "rules": {"add": {"few_repeats": {"signal": "duplicate_line_fraction", "max": 0.3}}},
            "duplicates": {"near": {"preset": "high_recall"}},
            "measure": {
                "evaluation": [str(folder / "evaluation" / "*.parquet")],
                "sizes": ["order2"],
                "budgets": [4_000, 8_000],
                "replicates": 3,
            },
            "output": {"path": str(folder / "run")},
        }
    )


def test_arms_are_predicates_over_the_verdicts(measured):
    arms = set(measured.folder.read("proxies/runs.parquet")["arm"])
    without = {"without_own", "without_duplicates.exact", "without_duplicates.near"}

    assert {"raw", "curated", "oracle", "random", "null_a", "null_b"} <= arms
    assert without <= arms
    assert "without_mask_pii" in arms


def test_evaluation_sets_are_named_by_file(measured):
    assert set(measured.folder.read("proxies/evaluation.parquet")["eval_set"]) == {
        "first",
        "second",
    }


def test_verdict_is_a_sentence_with_an_interval_or_says_that_it_cannot_tell(measured):
    sentence = measured.sentences[0]

    assert re.search(r"\[[<\d].*\].*Kneser–Ney|cannot tell", sentence)
    assert measured.multipliers.filter("headline").height >= 1


def test_number_of_workers_does_not_change_a_table_of_the_experiment(measured, tmp_path):
    again = curate.run(
        measured.folder.file("config.toml"),
        overrides={"output.path": str(tmp_path / "run")},
        workers=1,
    )

    for name in ("proxies/runs.parquet", "proxies/losses.parquet", "scaling/multipliers.parquet"):
        assert again.folder.file(name).read_bytes() == measured.folder.file(name).read_bytes()


def test_a_finished_run_is_measured_again_with_its_plan_said_first(measured, tmp_path):
    """Nothing before the experiment is made again, even where the input has gone."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    config = (folder / "config.toml").read_text().replace("raw.parquet", "gone.parquet")
    earlier = config.replace(', "fixed_pool"', "")  # as a run of a version without that default
    (folder / "config.toml").write_text(earlier)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["stages"]["contamination"]  # as a run of an earlier version
    (folder / "manifest.json").write_text(json.dumps(manifest))
    told = []

    measure_run(folder, overrides={"measure.minutes": 3, "measure.stop": True}, say=told.append)

    said = "\n".join(told)
    assert earlier != config
    assert "holds the default of an earlier version; today's adds fixed_pool" in told[0]
    assert told[1].startswith("Measuring as its budgets say: documents are read and encoded first")
    assert "each of the 2 evaluation files counts as one set; its column 'source' has 5" in told[2]
    assert told[3].startswith("Machine: Kneser–Ney reads ")
    assert told[4].startswith("Plan: ")
    assert "is seen in 4 of 5 such experiments" in told[4]
    assert "designs: equal tokens; a fixed pool read once" in told[4]
    assert "left out: a fixed pool read again and again needs a transformer" in told[4]
    assert "Equal tokens, for where compute binds: at 8 k curated tokens" in said
    assert "Fixed pool read once, for where data binds: the curated tokens in a pool of" in said
    assert "Fixed pool read again and again: not measured; needs a transformer" in said
    assert "Verdict: " in said
    assert "Done: Kneser–Ney 3 of 3 planned draws, in " in said
    assert str(folder / "report.html") in said
    again = [folder / "proxies/runs.parquet", measured.folder.file("proxies/runs.parquet")]
    assert again[0].read_bytes() == again[1].read_bytes()


COMPILED = """
import sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from curate.remeasure import _compile
from curate.report import write_report
from curate.scaling import _fit_kernel, _noise_kernel, _profile_kernel, _readout_kernel

def compiled():
    rooms = (_fit_kernel, _noise_kernel, _profile_kernel, _readout_kernel)
    kernels = {f for room in rooms for f in vars(room).values() if isinstance(f, Dispatcher)}
    return sum(len(kernel.signatures) for kernel in kernels)

_compile(print)
before = compiled()
write_report(Path(sys.argv[1]))
print(before, compiled())
"""


def test_what_the_report_fits_with_is_compiled_before_the_plan(measured, tmp_path):
    """On a new machine that is half a minute, which must not come after the training."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    command = [sys.executable, "-c", COMPILED, str(folder)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert int(found[-2]) > 0
    assert found[-1] == found[-2]


def tables(folder):
    """Every file that a measurement and its report leave, with its bytes."""
    rooms = [*folder.glob("proxies/*"), *folder.glob("scaling/*")]
    return {p.name: p.read_bytes() for p in [*rooms, folder / "report.html"] if p.is_file()}


@pytest.mark.parametrize(
    ("where", "kept"),
    [("run_experiment", "tables and report of the measurement before are as they were"),
     ("save_tokenizer", "nothing was measured before, all else in the folder is as it was")],
)  # fmt: skip
def test_an_interrupt_leaves_the_tables_before_or_none(
    measured, tmp_path, monkeypatch, where, kept
):
    """Old ones while it trains; none where it was already writing; and the config of before."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    before, config = tables(folder), (folder / "config.toml").read_bytes()
    told = []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"curate.measure.{where}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure_run(folder, overrides={"measure.replicates": 2}, say=told.append)
    monkeypatch.undo()

    assert told[-1] == f"Interrupted: {kept}. The same command measures anew"
    assert (folder / "config.toml").read_bytes() == config
    if where == "run_experiment":
        assert tables(folder) == before
        measure_run(folder, say=told.append)
        assert "Measured before with these settings" in "\n".join(told)
    else:
        assert set(tables(folder)) == {"report.html"}


def test_a_verdict_is_told_first_also_where_no_cell_of_it_speaks():
    """As after a measuring of few seconds: "cannot tell", and why."""
    silent = {
        **{"kind": "headline", "headline": False, "detail": "", "note": None},
        **{"conclusion": "cannot tell: one draw", "sentence": "cannot tell: one draw (order 3)"},
    }
    control = silent | {"kind": "calibrator", "conclusion": "inconclusive", "sentence": "So (a)"}
    found = [v | {"sentence_without_gate": v["sentence"]} for v in (silent, control)]
    for verdicts, said in ((found, "one draw (order 3)"), ([], "the headline was not measured")):
        told = []
        _tell_verdicts(verdicts, told.append)
        assert told[0] == f"Verdict: cannot tell: {said}"
        assert not any(line.startswith("The same with other models") for line in told)


@pytest.mark.parametrize("where", ["measure.run_experiment", "stages.decontaminate"])
def test_after_an_interrupt_the_text_is_what_the_next_command_names(
    measured, tmp_path, monkeypatch, where
):
    """Not that of the interrupted command, whose files the folder's config no longer names."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    both = measured.config.measure.evaluation
    first = {"measure.evaluation": [both[0].replace("*", "first")]}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"curate.{where}", interrupt)
    for again in (first, {}):  # without an argument it is what the config names
        with pytest.raises(KeyboardInterrupt):
            measure_run(folder, overrides=again | {"measure.replicates": 2}, say=lambda line: None)
    monkeypatch.undo()
    told = []
    measure_run(folder, say=told.append)

    assert "Measured before with these settings" in "\n".join(told)
    assert {path.name for path in (folder / "evaluation").iterdir()} == {"first", "second"}
    for table in ("documents", "sets"):
        name = f"contamination/{table}.parquet"
        assert pl.read_parquet(folder / name).equals(measured.folder.read(name))


def test_an_interrupt_of_the_report_leaves_the_new_tables(measured, tmp_path, monkeypatch):
    """And says how to make the page."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    told = []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("curate.stages.write_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measure_run(folder, overrides={"measure.replicates": 2}, say=told.append)

    assert told[-1].endswith(f"`curate report {folder}` writes it")
    plan = json.loads((folder / "proxies/plan.json").read_text())
    assert plan["done"] == {"kneser_ney": 2}
    assert load_config(folder / "config.toml").measure.replicates == 2


@pytest.mark.parametrize(
    ("other", "complaint"),
    [({"seed": 5}, "its seed is 17, that of this run 5"),
     ({"measure.budgets": [1_000, 2_000]}, "kneser_ney has \\[4000, 8000\\]")],
)  # fmt: skip
def test_a_plan_of_another_experiment_is_refused_before_anything_is_touched(
    measured, tmp_path, other, complaint
):
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    before = tables(folder)
    told = []
    plan = {"measure.plan": str(folder / "proxies/plan.json")}

    with pytest.raises(ConfigError, match=complaint):
        measure_run(folder, overrides=plan | other, say=told.append)

    assert tables(folder) == before
    assert told == []


def test_a_small_verdict_is_carried_to_a_larger_budget_and_scored(measured, tmp_path):
    """Predictions are written before the larger budget is trained, by the tables of the small."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    told = []
    larger = {"measure.budgets": [4_000, 12_000], "measure.replicates": 2}

    measure_run(folder, overrides=larger, say=told.append, predict=True)

    predicted = pl.read_parquet(folder / "transfer/predictions.parquet")
    scores = pl.read_parquet(folder / "transfer/scores.parquet")
    assert told[0].startswith("Predictions of ")
    assert predicted["n_tokens"].max() <= 8_000
    assert set(scores["n_tokens"]) == {12_000}
    assert any(line.startswith("Carried over: kneser_ney order2") for line in told)


def test_a_run_without_evaluation_files_asks_for_them(tmp_path, corpus):
    corpus.drop("kind").head(60).write_parquet(tmp_path / "raw.parquet")
    values = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "output": {"path": str(tmp_path / "run")},
    }
    run_stages(open_context(load_config(values)), until="verdicts")

    with pytest.raises(ConfigError, match="names no evaluation files"):
        measure_run(tmp_path / "run")


def test_without_evaluation_there_is_no_headline(tmp_path, corpus):
    corpus.drop("kind").head(150).write_parquet(tmp_path / "raw.parquet")
    run = curate.run(
        {
            "input": {"path": str(tmp_path / "raw.parquet")},
            "measure": {},
            "output": {"path": str(tmp_path / "run")},
        }
    )

    assert "no neutral evaluation set" in run.sentences[0]


def test_leaving_a_rule_out_changes_the_survivor_of_a_cluster(tmp_path):
    """The longest copy fails a rule: its shorter copy stays, until an arm leaves the rule out."""
    body = " ".join(f"word{i} and another{i * 7} thing" for i in range(100))
    write(
        tmp_path / "raw.parquet",
        [
            ("short", body + ".", "a"),
            ("long", body + ". " + "{ " * 9, "b"),
            ("other", body[::-1], "a"),
        ],
    )
    values = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "rules": {"add": {"no_braces": {"signal": "curly_bracket_count", "max": 0}}},
        "controls": {"share": 0.0},
        "measure": {},
        "output": {"path": str(tmp_path / "run")},
    }
    context = open_context(load_config(values))
    run_stages(context, until="verdicts")
    masks = arm_masks(context, context.config.measure)
    kept = {row["id"]: row for row in masks.to_dicts()}

    assert kept["short"]["curated"]
    assert not kept["long"]["curated"]
    assert kept["long"]["without_own"]
    assert not kept["short"]["without_own"]


def test_evaluation_text_that_covers_the_corpus_leaves_no_verdict(tmp_path, corpus):
    """All documents overlap the evaluation set: "cannot tell" with its reason, and a report."""
    texts = corpus.drop("kind").head(60)
    texts.write_parquet(tmp_path / "raw.parquet")
    texts.write_parquet(tmp_path / "evaluation.parquet")
    run = curate.run(
        {
            "input": {"path": str(tmp_path / "raw.parquet")},
            "controls": {"share": 0.0},
            "measure": {"evaluation": [str(tmp_path / "evaluation.parquet")]},
            "output": {"path": str(tmp_path / "run")},
        }
    )

    assert "cannot tell: no curated text is left" in run.sentences[0]
    assert run.report.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"measure.plan": "nowhere.json"},
        {"measure.evaluation": ["nowhere/*.parquet"]},
        {"measure.headline": "raw → oracel"},
    ],
    ids=["plan", "evaluation", "headline"],
)
def test_what_is_asked_in_vain_does_not_stay_in_the_config(measured, tmp_path, wrong):
    """Else the next call would fail as well; a plan that cannot be read costs no table either."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    before = (folder / "config.toml").read_bytes()

    with pytest.raises(CurateError, match=r"nowhere|oracel"):
        measure_run(folder, overrides=wrong, say=lambda line: None)

    assert (folder / "config.toml").read_bytes() == before
    if "measure.headline" not in wrong:
        assert (folder / "scaling/multipliers.parquet").exists()


def test_documents_that_overlap_an_evaluation_set_are_in_no_arm(measured, tmp_path, monkeypatch):
    """Before any order is drawn, curated or not, and counted for both."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    verdicts = measured.folder.table("verdicts").filter(pl.col("control").is_null())
    out = pl.concat([verdicts.filter("kept").head(3), verdicts.filter(~pl.col("kept")).head(2)])
    monkeypatch.setattr("curate.measure._overlapping", lambda _: out["id"])
    config = load_config(folder / "config.toml", overrides={"output.path": str(folder)})
    pool, facts = _pool(open_context(config, finished=True), config.measure)

    assert pool.height == verdicts.height - 5
    assert not set(pool["id"]) & set(out["id"])
    assert (facts["contaminated_documents"], facts["contaminated_kept"]) == (5, 3)


def test_a_cleaning_step_left_out_or_alone_replays_the_other_edits(tmp_path):
    """Without it curated's documents, alone all of them; texts have just the edits that stay."""
    documents = pl.DataFrame(
        {"id": ["a", "b"], "text": ["one two", "two"], "curated": [True, False]}
    )
    edits = [("a", "mask", 0, 3, "1"), ("a", "trim", 3, 7, ""), ("b", "mask", 0, 3, "2")]
    names = ["id", "step", "start", "end", "replacement"]
    path = tmp_path / "edits.parquet"
    pl.DataFrame(edits, schema=names, orient="row").write_parquet(path)
    config = MeasureConfig(arms=("leave_one_out", "only_one"))
    versions = _versions(config, ("mask", "trim"), ["steps_mask"])
    found = _with_versions([path], documents.with_columns(steps_mask=True), versions)

    assert found["curated_text"].to_list() == ["1", "2"]
    assert found["without_mask_text"].to_list() == ["one", "two"]
    assert found["without_trim_text"].to_list() == ["1 two", "2"]
    assert found["only_mask_text"].to_list() == found["steps_mask_text"].to_list() == ["1 two", "2"]
    assert found["only_trim_text"].to_list() == ["one", "two"]
    assert found["without_mask"].to_list() == found["curated"].to_list()
    assert found["only_mask"].to_list() == [True, True]


def test_overlaps_are_counted_in_the_pool_alone(measured, tmp_path, monkeypatch):
    """Of a corpus larger than the pool, what was not drawn overlaps nothing."""
    folder = tmp_path / "run"
    shutil.copytree(measured.folder.root, folder)
    monkeypatch.setattr("curate.measure.POOL_BYTES", 50_000)
    config = load_config(folder / "config.toml", overrides={"output.path": str(folder)})
    context = open_context(config, finished=True)
    pool, facts = _pool(context, config.measure)

    assert 0 < facts["pool_share_of_text"] < 0.9
    assert facts["pool_documents"] == pool.height > 0
    assert 0 <= facts["contaminated_kept"] <= facts["contaminated_documents"]
