"""Every arm through a whole run: leave-one-out and one step alone, controls, both designs."""

import importlib.util
import math

import polars as pl
import pytest

import curate
from curate.report.step_tables import step_rows
from curate.report.tables import read_run

TORCH = importlib.util.find_spec("torch") is not None
ARMS = [
    "raw",
    "curated",
    "oracle",
    "leave_one_out",
    "only_one",
    "mixture",
    "inverse_quality",
    "degraded",
    "duplicated",
    "random",
    "null",
    "calibrator",
    "fixed_pool",
]
STEPS = ["mask_pii", "own", "duplicates.exact", "duplicates.near"]


def write_inputs(folder, corpus):
    """Raw text with mail addresses and its truth, a reference, two evaluation sets."""
    held_out = corpus.filter(pl.col("id").str.starts_with("doc-00"))
    good = corpus.filter(pl.col("id").str.starts_with("doc-01"))
    apart = pl.concat([held_out, good])
    texts = corpus.join(apart, on="id", how="anti", maintain_order="left")
    mail = pl.concat_str(pl.col("text"), pl.lit("\nWrite to jane.doe@example.org.\n"))
    touched = pl.when(pl.col("id").str.ends_with("7")).then(mail).otherwise("text")
    label = pl.col("text").str.len_bytes() > texts["text"].str.len_bytes().median()
    texts = texts.with_columns(text=touched, flag=label)
    texts.drop("kind").write_parquet(folder / "raw.parquet")
    texts.select("id", "kind").write_parquet(folder / "truth.parquet")
    good.drop("kind").write_parquet(folder / "reference.parquet")
    (folder / "evaluation").mkdir()
    for number, name in enumerate(("first", "second")):
        part = held_out.gather_every(2, number).drop("kind")
        part.write_parquet(folder / "evaluation" / f"{name}.parquet")


def config_for(folder, **measure):
    settings = {
        "evaluation": [str(folder / "evaluation" / "*.parquet")],
        "arms": ARMS,
        "sizes": ["order2"],
        "budgets": [4_000, 8_000],
        "replicates": 2,
        "shapley": True,
        "memorisation": True,
        "label": "flag",
    }
    return {
        "truth": str(folder / "truth.parquet"),
        "input": {"path": str(folder / "raw.parquet")},
        "clean": {"steps": ["mask_pii"]},
        "rules": {"add": {"few_repeats": {"signal": "duplicate_line_fraction", "max": 0.3}}},
        "duplicates": {"near": {"preset": "high_recall"}},
        "quality": {"reference": str(folder / "reference.parquet"), "folds": 2},
        "measure": settings | measure,
        "output": {"path": str(folder / "run")},
    }


@pytest.fixture(scope="module")
def measured(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("arms")
    write_inputs(folder, corpus)
    return curate.run(config_for(folder))


@pytest.fixture(scope="module")
def contrasts(measured):
    """Every contrast that has a multiplier over all evaluation sets."""
    rows = measured.multipliers.filter(quantity="multiplier", eval_set="all")
    return dict(rows.group_by("contrast").agg("conclusion").rows())


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_left_out_and_stands_alone(contrasts, step):
    assert contrasts[f"without_{step} → curated"]
    assert contrasts[f"raw → only_{step}"]


@pytest.mark.parametrize(
    "contrast",
    [
        "raw → oracle",
        "oracle → curated_oracle",
        "raw → curated_mixture",
        "raw → inverse_quality",
        "raw → random",
        "null_a → null_b",
        "degraded → curated",
        "duplicated → curated",
        "calibrator_diluted → calibrator_clean",
    ],
)
def test_every_control_is_measured(contrasts, contrast):
    assert all(contrasts[contrast])


def test_degraded_text_is_worth_removing_and_the_worst_half_is_no_gain(measured):
    """Known signs: shuffled tokens hurt, and the documents of lowest quality help nobody."""
    rows = measured.multipliers.filter(quantity="multiplier", eval_set="all", n_tokens=8_000)
    found = {row["contrast"]: row for row in rows.to_dicts()}

    assert found["degraded → curated"]["estimate"] > 1.2
    worst, curated = found["raw → inverse_quality"], found["raw → curated"]
    assert worst["estimate"] < curated["estimate"]


def test_the_matrix_holds_each_arm_on_each_set_and_the_page_shows_it(measured):
    """Neutral sets and those of the corpus itself, the latter marked."""
    matrix = measured.folder.read("scaling/matrix.parquet")
    page = measured.report.read_text("utf-8")

    assert {"raw", "curated", "oracle", "degraded", "only_own"} <= set(matrix["arm"])
    assert set(matrix.filter("neutral")["eval_set"]) == {"first", "second"}
    assert "Bits per byte of every arm on every evaluation set" in page


def test_the_page_says_what_the_plan_could_see(measured):
    """The power stands beside what was found, as it was promised before the start."""
    page = measured.report.read_text("utf-8")

    assert "What the plan could see before anything was trained" in page


def test_every_step_has_its_worth_and_its_price(measured):
    """Values of all steps add up to the whole; the stage that does a step's work was timed."""
    values = measured.folder.read("scaling/shapley.parquet")
    budget = values["n_tokens"][0]
    whole = measured.multipliers.filter(
        contrast="raw → curated", quantity="multiplier", eval_set="all", n_tokens=budget
    )["estimate"][0]
    rows = {row["step"]: row for row in step_rows(read_run(measured.folder.root)).to_dicts()}

    assert values["step"].to_list() == STEPS
    assert values["value"].log().sum() == pytest.approx(math.log(whole))
    assert values.filter(step="duplicates.exact")["note"][0]
    assert set(rows) == set(STEPS)
    assert rows["own"]["documents_lost"] not in ("0", "–")
    assert rows["own"]["cpu_seconds"].endswith("(annotate)")
    assert rows["duplicates.near"]["cpu_seconds"].endswith("(duplicates, shared by 2)")
    assert "What each step is worth, and what it costs" in measured.report.read_text("utf-8")


def test_labels_and_memory_stand_in_tables_and_on_the_page(measured):
    page = measured.report.read_text("utf-8")
    labelled = measured.folder.read("proxies/labelled.parquet")
    memory = measured.folder.read("proxies/memorisation.parquet")

    assert set(labelled["arm"]) == set(memory["arm"]) == {"raw", "curated"}
    planted = memory.filter(what="extracted", amount=64)["estimate"].to_list()
    assert planted == [1.0, 1.0]
    assert "A classifier of the documents" in page
    assert "What a model of each arm knows by heart" in page


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="needs torch, not installed: skipped")
def test_a_fixed_pool_is_measured_and_its_crossover_stands_in_the_report(tmp_path, corpus):
    """Both designs in one run: equal tokens, and one pool read again and again."""
    write_inputs(tmp_path, corpus)
    run = curate.run(
        config_for(
            tmp_path,
            arms=["raw", "curated", "calibrator", "fixed_pool"],
            shapley=False,
            memorisation=False,
            label=False,
            families=["kneser_ney", "gpt"],
            sizes=["order2", "width32"],
            replicates=2,
        )
    )
    rows = run.multipliers.filter(contrast="raw_pool → curated_pool", quantity="multiplier")

    page = run.report.read_text("utf-8")

    assert set(rows["family"]) == {"gpt"}
    assert (
        rows["note"].str.starts_with("fixed pool of 2,000 raw tokens; 8,000 tokens are 4.0").all()
    )
    assert "fixed pool of 2,000 raw tokens" in page
    assert "Fixed pool read again and again, by GPT width 32 and 2 paired draws" in page
