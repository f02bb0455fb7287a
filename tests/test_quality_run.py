"""Scores of a run: every way to ask for one, what rules and arms read, what people are shown."""

import numpy as np
import polars as pl
import pytest
from datasets import Dataset
from typer.testing import CliRunner

import curate
from curate.audits import Swaps
from curate.cli import app
from curate.config import load_config, to_toml
from curate.errors import ConfigError, InputError
from curate.measure import arm_masks
from curate.pipeline import open_context, run_stages

GOOD = [f"a calm clear sentence about topic{i % 7} and number{i} of many" for i in range(60)]
BAD = [f"buy cheap things click now offer{i % 7} number{i} free prize" for i in range(60)]
ALL = ("classifier", "perplexity", "importance")


def corpus():
    """Thirty calm documents and sixty of a shop; every second one has a label."""
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(90)],
            "text": GOOD[:30] + BAD,
            "source": [f"calm{i % 3}" for i in range(30)] + [f"shop{i % 4}" for i in range(60)],
            "site": ["calm"] * 30 + ["shop"] * 60,
            "grade": [5 if i < 30 else 1 for i in range(90)],
            "fine": [None if i % 9 == 0 else i < 30 for i in range(90)],
        }
    )


def values(folder, **quality):
    corpus().write_parquet(folder / "raw.parquet")
    pl.DataFrame({"text": GOOD[30:], "source": [f"r{i % 3}" for i in range(30)]}).write_parquet(
        folder / "reference.parquet"
    )
    return {
        "input": {"path": str(folder / "raw.parquet")},
        "rules": {"sets": []},
        "duplicates": {"exact": False, "near": False},
        "controls": {"share": 0},
        "audit": {"groups": ["source", "site"]},
        "quality": {"bits": 12, **quality},
        "output": {"path": str(folder / "run")},
    }


def judged(config, *, until="verdicts"):
    context = open_context(load_config(config))
    run_stages(context, until=until)
    return context


def mean_scores(context):
    """Mean of the score over the calm documents, and over those of the shop."""
    table = context.folder.table("verdicts")
    calm = table["source"].str.starts_with("calm")
    return table.filter(calm)["quality"].mean(), table.filter(~calm)["quality"].mean()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A run with all three scores, their mean rank, a rule on one and a selection by another."""
    folder = tmp_path_factory.mktemp("compared")
    config = values(
        folder,
        reference=str(folder / "reference.parquet"),
        scores=list(ALL),
        combined="mean_of_ranks",
        select={"share": 0.5, "score": "mean_rank"},
    )
    config["rules"]["add"] = {"like_reference": {"signal": "importance", "min": -1.0}}
    return curate.run(config)


def test_a_swap_of_words_that_the_classifier_weighs_moves_its_score(compared):
    terms = compared.quality.terms.filter(pl.col("term").str.contains("^[a-z]+$")).sort("weight")
    worst, best = terms["term"][0], terms["term"][-1]
    pair = {"first": "best", "second": "worst", "pairs": ((best, worst),), "pronouns": False}
    found = compared.quality.swap_test(swaps=Swaps(id="own", sha256="", **pair))
    alike = compared.quality.swap_test(swaps=Swaps(id="own", sha256="", **pair), most=10)
    nobody = compared.quality.swap_test()

    assert found.documents > 20
    assert found.shift.estimate > 0
    assert np.isnan(found.flips)  # this run has no threshold
    assert alike.documents <= 10
    assert nobody.documents < found.documents


def test_scores_are_columns_that_rules_and_selections_read(compared):
    table = compared.quality.scores
    verdicts = compared.verdicts.with_columns(
        table["perplexity_bucket"], table["mean_rank"].alias("again")
    )
    calm = verdicts["source"].str.starts_with("calm")
    buckets = dict(table["perplexity_bucket"].value_counts().rows())

    assert {"quality", "bits_per_byte", "importance", "mean_rank", "quality_rank"} <= set(
        table.columns
    )
    assert buckets["head"] == 27  # 30 % of 90
    assert set(verdicts.filter(perplexity_bucket="head")["source"].str.head(4)) == {"calm"}
    assert 54 <= buckets["head"] + buckets["middle"] < 70  # ties at the edge stay together
    assert verdicts.filter(calm)["importance"].min() > verdicts.filter(~calm)["importance"].max()
    kept = verdicts.filter("kept")
    assert kept.height == 30
    assert kept["mean_rank"].min() > verdicts.filter(~pl.col("kept"))["mean_rank"].max()
    assert verdicts["mean_rank"].to_list() == verdicts["again"].to_list()
    assert set(verdicts.explode("failed")["failed"].drop_nulls()) == {
        "quality.select",
        "own.like_reference",
    }


def test_every_score_is_evaluated_and_compared(compared):
    evaluated = {row["score"]: row for row in compared.folder.read_json("quality/scores.json")}
    page = compared.report.read_text("utf-8")

    assert set(evaluated) == {"quality", "bits_per_byte", "importance"}
    for found in evaluated.values():
        assert found["auc"]["estimate"] > 0.65  # a third of the background is as calm
        assert found["documents"] == {"reference": 30, "background": 90}
    assert compared.quality.agreement.height == 6
    assert (compared.quality.agreement["spearman"] > 0.5).all()
    for shown in ("Reference against background by each score", "How far the scores agree"):
        assert shown in page, shown


def test_what_a_run_knows_of_its_score_is_at_hand(compared):
    quality = compared.quality
    words = quality.words("site").filter(group="shop")
    own = quality.explain("d40")

    assert quality.evaluation["auc"] == quality.model.evaluate()["auc"]
    assert quality.evaluation["held_out_sources"]["sources"] == {"reference": 3, "background": 7}
    assert words["keep_rate"].unique().to_list() == [pytest.approx(15 / 60, abs=0.02)]
    assert words["mean_difference"][0] < 0
    assert words["term"][-1] in own["term"]
    assert set(quality.deciles["decile"]) == set(range(1, 11))
    with pytest.raises(InputError, match="no native document 'x'"):
        quality.explain("x")
    with pytest.raises(InputError, match="no column 'domain'"):
        quality.words("domain")


def test_the_command_line_says_which_words_moved_a_document(compared):
    told = CliRunner().invoke(app, ["explain", str(compared.folder.root), "d40"]).output

    assert "d40 (shop" in told
    assert "words that moved its quality most: " in told
    assert compared.quality.explain("d40")["term"][0] in told.rpartition("most: ")[2]


def test_the_report_says_which_words_cost_each_group_its_keep_rate(compared):
    page = compared.report.read_text("utf-8")

    assert "Which words lift or cost each group its score" in page
    assert "quality keeps" in page
    assert "<td>shop</td>" in page


def test_every_stage_is_the_same_twice(compared, tmp_path):
    again = curate.run(
        compared.folder.file("config.toml"),
        overrides={"output.path": str(tmp_path / "run")},
        workers=1,
        until="audit",
    )
    for name in ("part-00000", "agreement", "deciles", "terms"):
        first, second = (r.folder.file(f"quality/{name}.parquet") for r in (compared, again))
        assert first.read_bytes() == second.read_bytes(), name


# ── where a score may come from ──────────────────────────────────────────────────────────────


def test_human_labels_of_the_input_are_learned_from(tmp_path):
    context = judged(values(tmp_path, label="grade", at_least=3, checks=False))
    good, bad = mean_scores(context)

    assert good > 0.8 > 0.2 > bad
    assert context.folder.read_json("quality/evaluation.json")["documents"] == {
        "reference": 30,
        "background": 60,
    }


def test_documents_without_a_label_are_scored_only(tmp_path):
    context = judged(values(tmp_path, label="fine", checks=False))
    evaluation = context.folder.read_json("quality/evaluation.json")

    assert evaluation["documents"] == {"reference": 26, "background": 54}
    assert context.folder.table("verdicts")["quality"].null_count() == 0


def test_labels_may_stand_in_a_file_of_their_own(tmp_path):
    labels = pl.DataFrame({"body": GOOD[30:] + BAD[:30], "good": [True] * 30 + [False] * 30})
    labels.write_parquet(tmp_path / "labels.parquet")
    reference = {"path": str(tmp_path / "labels.parquet"), "text": "body"}
    good, bad = mean_scores(judged(values(tmp_path, reference=reference, label="good")))

    assert good > 0.8 > 0.2 > bad


def test_a_hugging_face_dataset_is_a_reference(tmp_path):
    Dataset.from_dict({"content": GOOD[30:]}).save_to_disk(str(tmp_path / "saved"))
    reference = {"dataset": str(tmp_path / "saved"), "text": "content"}
    config = values(tmp_path, reference=reference, checks=False)
    good, bad = mean_scores(judged(config))

    assert good > 0.8 > 0.2 > bad
    path = tmp_path / "again.toml"
    path.write_text(to_toml(load_config(config)))
    assert load_config(path) == load_config(config)


def test_hard_negatives_are_told_apart_instead_of_the_corpus(tmp_path):
    """Against other calm sentences the shop's words are not what is learnt."""
    hard = [text.replace("calm clear", "dull vague") for text in GOOD]
    pl.DataFrame({"text": hard}).write_parquet(tmp_path / "hard.parquet")
    config = values(
        tmp_path,
        reference=str(tmp_path / "reference.parquet"),
        background=str(tmp_path / "hard.parquet"),
        checks=False,
    )
    context = judged(config)
    terms = context.folder.read("quality/terms.parquet")["term"]
    model = context.folder.read_json("quality/evaluation.json")

    assert model["documents"] == {"reference": 30, "background": 60}
    assert {"calm", "clear"} & set(terms.head(5))


def test_a_scorer_of_ones_own_is_called_by_name(tmp_path, monkeypatch):
    source = "def count_clicks(texts):\n    return [-float(t.count('click')) for t in texts]\n"
    (tmp_path / "house_scorer.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    config = values(tmp_path, scorer="house_scorer:count_clicks", select={"share": 0.3})
    done = curate.run(config)

    assert set(done.verdicts.filter("kept")["site"]) == {"calm"}
    assert "score of your own" in done.report.read_text("utf-8")
    with pytest.raises(InputError, match="fitted no classifier"):
        _ = done.quality.evaluation
    record = done.folder.read_json("manifest.json")["stages"]["quality"]["key"]
    (tmp_path / "house_scorer.py").write_text(source + "# changed\n")
    again = curate.run(config, until="quality").folder.read_json("manifest.json")
    assert again["stages"]["quality"]["key"] != record


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"scores": ["clasifier"]}, "unknown score in quality.scores 'clasifier'; did you mean"),
        ({"scores": ["perplexity"]}, "needs quality.reference"),
        ({"scores": ["scorer"]}, "needs quality.scorer"),
        ({"scorer": "module"}, "write 'module:function'"),
        ({"at_least": 3.0}, "quality.at_least is a grade of quality.label"),
        ({"background": "a.parquet"}, "quality.background are texts to tell"),
        ({"reference": "r", "combined": "mean_of_ranks"}, "needs two scores or more"),
        ({"reference": "r", "combined": "mean"}, "unknown quality.combined 'mean'"),
        ({"reference": "r", "select": {"score": "importance"}}, "unknown quality.select.score"),
        ({"reference": {"txt": "a"}}, "unknown key 'quality.reference.txt'"),
        ({"reference": {"path": "a", "dataset": "b"}}, "exactly one of quality.reference.path"),
    ],
    ids=lambda found: found if isinstance(found, str) else "",
)
def test_scores_that_cannot_be_are_refused_before_any_work(tmp_path, quality, message):
    with pytest.raises(ConfigError, match=message):
        load_config(values(tmp_path, **quality))


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"scorer": "no_such_house:f"}, "quality.scorer 'no_such_house:f': No module"),
        ({"scorer": "math:root"}, "has no function 'root'"),
        ({"scorer": "math:sqrt"}, "gave no list of numbers"),
        ({"label": "grade"}, "give at_least"),
        ({"label": "site", "at_least": 1.0}, "'site' is String, but grades are numbers"),
        ({"reference": "absent.parquet"}, "^quality.reference 'absent.parquet'"),
        ({"reference": {"path": "raw.parquet", "text": "body"}}, "that quality.reference.text"),
    ],
    ids=lambda found: found if isinstance(found, str) else "",
)
def test_what_is_found_out_while_scoring_is_named(tmp_path, monkeypatch, quality, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(curate.CurateError, match=message):
        judged(values(tmp_path, **quality), until="quality")


# ── what is shown to people ──────────────────────────────────────────────────────────────────


def test_examples_hold_no_personal_data_even_where_they_are_cut(tmp_path):
    """The address and the key straddle the end of the excerpt."""
    config = values(tmp_path, reference=str(tmp_path / "reference.parquet"), checks=False)
    padding = "x " * 134
    secret = "ghp_" + "a1B2" * 9 + " "
    frame = corpus().with_columns(
        text=pl.lit(padding) + pl.lit("jane.doe@example.org ") + pl.lit(secret) + pl.col("text")
    )
    frame.write_parquet(tmp_path / "raw.parquet")
    done = curate.run(config)
    shown = "\n".join(done.quality.deciles["excerpt"])
    page = done.report.read_text("utf-8")

    for leak in ("jane", "doe@", "ghp_", "a1B2"):
        assert leak not in shown, leak
    assert "jane.doe" not in page
    assert "<EMAIL>" in shown


def test_no_word_is_shown_that_few_documents_hold(compared):
    texts = corpus()["text"].to_list() + GOOD[30:]
    words = compared.quality.words("source")
    shown = [*words["term"], *words.explode("shares_bucket_with")["shares_bucket_with"]]
    for term in {t for t in shown if t is not None}:
        held = sum(f" {term} " in f" {text} " for text in texts)
        assert held >= 5, term


def test_a_confound_is_named_by_the_run_and_gone_with_shares_of_terms(tmp_path):
    """Reference and corpus draw the same words; the reference is only longer."""
    rng = np.random.default_rng(3)
    weights = 1 / np.arange(2, 402)
    words = np.array([f"word{i}" for i in range(400)])

    def drawn(n, low, high):
        sizes = rng.integers(low, high, n)
        return [" ".join(rng.choice(words, k, p=weights / weights.sum())) for k in sizes]

    long, short = drawn(150, 150, 900), drawn(150, 20, 300)
    pages = {}
    for norm in ("unit", "share"):
        folder = tmp_path / norm
        folder.mkdir()
        config = values(
            folder, reference=str(folder / "reference.parquet"), norm=norm, bits=14, checks=False
        )
        pl.DataFrame({"text": short}).write_parquet(folder / "raw.parquet")
        pl.DataFrame({"text": long}).write_parquet(folder / "reference.parquet")
        config["audit"]["groups"] = ["source"]
        done = curate.run(config)
        pages[norm] = done.report.read_text("utf-8"), done.quality.evaluation

    page, found = pages["unit"]
    assert "Score follows length: partial correlation" in page
    assert found["length"]["partial_correlation"]["low"] > 0.2
    page, found = pages["share"]
    assert "Score follows length" not in page
    assert found["warnings"] == []
    assert abs(found["length"]["partial_correlation"]["estimate"]) < 0.2


# ── the arm of the worst ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("within", [None, "site"])
def test_the_arm_of_the_worst_holds_the_worst_of_the_score_that_selects(tmp_path, within):
    rng = np.random.default_rng(4)
    n, words = 400, [f"w{i}" for i in range(50)]
    given = rng.permutation(n) / n
    spoilt = [f"z{i}" for i in range(50)]  # what documents of a low score are made of
    frame = pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(n)],
            "text": [" ".join(rng.choice(words if g > 0.5 else spoilt, 30)) for g in given],
            "source": [f"s{i % 8}" for i in range(n)],
            "site": ["a" if i % 4 else "b" for i in range(n)],
            "given": given,
        }
    )
    frame.write_parquet(tmp_path / "raw.parquet")
    (tmp_path / "evaluation").mkdir()
    held_out = [" ".join(rng.choice(words, 30)) for _ in range(40)]
    pl.DataFrame({"text": held_out}).write_parquet(tmp_path / "evaluation/neutral.parquet")
    select = {"share": 0.3} | ({"within": within} if within else {})
    config = {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "rules": {"sets": []},
        "duplicates": {"exact": False, "near": False},
        "controls": {"share": 0},
        "quality": {"column": "given", "select": select},
        "measure": {
            "arms": ["raw", "curated", "calibrator", "inverse_quality"],
            "evaluation": [str(tmp_path / "evaluation/*.parquet")],
            "sizes": ["order2"],
            "budgets": [1_500, 3_000],
            "replicates": 3,
        },
        "output": {"path": str(tmp_path / "run")},
    }
    done = curate.run(config)
    context = open_context(load_config(config))
    masks = arm_masks(context, context.config.measure)
    joined = masks.join(frame.select("id", "given", "site"), on="id")
    groups = [within] if within else []
    runs = done.folder.read("proxies/runs.parquet").filter(n_tokens=1_500)
    loss = dict(runs.group_by("arm").agg(pl.col("loss").mean()).rows())

    assert loss["curated"] < loss["raw"] < loss["inverse_quality"]
    for _, own in joined.group_by(*groups or [pl.lit(1)]):
        top = own.filter("curated")
        bottom = own.sort("quality").head(top.height)
        assert top["given"].min() > bottom["given"].max()
        assert set(bottom["given"]) == set(own["given"].sort().head(top.height))
    assert done.multipliers.filter(contrast="raw → inverse_quality").height >= 1
