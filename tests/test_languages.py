"""The step that keeps languages: verdicts, ledger, what-if, audit; rules that name values."""

import polars as pl
import pytest

import curate
from curate.errors import ConfigError
from curate.rules import Rule, RulesConfig, failing, judge, load_rules, override_rules

ENGLISH = "The children went down to the river in the morning and looked for stones. Number {}."
GERMAN = "Die Kinder gingen am Morgen zum Fluss hinunter und suchten nach Steinen. Nummer {}."
FRENCH = "Les enfants sont allés ce matin à la rivière pour chercher des pierres. Numéro {}."


@pytest.fixture
def values(tmp_path):
    pytest.importorskip("py3langid", reason="needs the extra `language`: skipped")
    texts = [text.format(k) for k in range(40) for text in (ENGLISH, GERMAN, FRENCH)]
    frame = pl.DataFrame({"id": [f"d{k}" for k in range(120)], "text": texts})
    frame = frame.with_columns(site=pl.Series(["a", "b", "b"] * 40))
    frame.write_parquet(tmp_path / "in.parquet")
    return {
        "input": {"path": str(tmp_path / "in.parquet")},
        "output": {"path": str(tmp_path / "run")},
        "controls": {"share": 0.0},
        "rules": {"languages": ["en", "de"], "min_language_score": 0.5},
        "duplicates": {"exact": False, "near": False},
        "audit": {"groups": ["language", "site"]},
    }


def test_languages_are_a_step_of_the_run(values):
    run = curate.run(values)

    verdicts = run.verdicts
    assert verdicts["language"].to_list() == ["en", "de", "fr"] * 40
    assert verdicts.filter(~pl.col("kept"))["language"].unique().to_list() == ["fr"]
    assert verdicts["failed"][2].to_list() == ["language.code"]
    audit = pl.read_parquet(run.folder.file("audit/impact.parquet"))
    rows = audit.filter(population="marginal", weight="documents", group_column="site")
    lost = {row["group"]: row["removed"] for row in rows.to_dicts() if row["step"] == "language"}
    assert lost == {"a": 0, "b": 40}
    funnel = run.folder.read("funnel.parquet")
    assert funnel.filter(step="language")["documents_out"].to_list() == [80]


def test_the_ledger_tells_the_language_and_asks_for_others(values):
    run = curate.run(values)

    assert "✗ language.code: language = fr, allowed en, de" in str(run.explain("d2"))
    assert "✓ language.code: language = de, allowed en, de" in str(run.explain("d1"))
    answer = run.what_if({"language.code": {"among": ["en", "de", "fr"]}})
    assert answer.after["kept"].all()
    answer = run.what_if({"language.code": {"among": None}, "language.score": {"min": None}})
    assert answer.after["kept"].all()
    for bad, said in (
        ({"language.code": {"min": 3}}, "has no bound 'min'; allowed: among"),
        ({"language.code": {"among": []}}, "allowed: a list of texts"),
        ({"language": {"code": 3}}, "which bound of rule 'language.code'"),
    ):
        with pytest.raises(ConfigError, match=said):
            run.what_if(bad)
    with pytest.raises(ConfigError, match="no curve"):
        run.sweep("language.code", bound="among")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"rules": {"languages": ["eng"]}},
            "rules.languages: unknown language 'eng'; did you mean",
        ),
        ({"signals": {"flagged_words": {"english": "a.txt"}}}, "unknown language 'english'"),
    ],
)
def test_codes_are_checked_before_any_work(values, tmp_path, change, said):
    with pytest.raises(ConfigError, match=said):
        curate.run(values | change)
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_said_before_any_work(values, tmp_path, monkeypatch):
    monkeypatch.setattr("curate.preflight.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install 'curate-corpus\[language\]'"):
        curate.run(values)
    assert not (tmp_path / "run").exists()


def test_a_column_of_the_corpus_is_audited_as_it_is(values, tmp_path):
    path = tmp_path / "in.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(language=pl.Series(["x", "y", "y"] * 40)).write_parquet(path)
    words = {"add": {"long": {"signal": "words", "min": 15}}}

    run = curate.run(values | {"rules": words, "audit": {"groups": ["language"]}})

    assert run.verdicts["language"].to_list() == ["x", "y", "y"] * 40


def test_a_rule_may_name_the_values_of_any_text_column():
    rule = Rule(name="own.site", signal="site", among=("a", "b"))
    frame = pl.DataFrame({"site": ["a", "c", None, "b"]})

    assert failing(frame, [rule])["own.site"].to_list() == [False, True, True, False]
    assert judge(frame.lazy(), [rule]).collect()["kept"].to_list() == [True, False, False, True]
    changed = override_rules([rule], {"own.site": {"among": ("c",)}})
    assert failing(frame, changed)["own.site"].to_list() == [True, False, True, True]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"signal": "language", "min": 1}, "signal 'language' is bounded by among"),
        ({"signal": "words", "among": ["a"]}, "signal 'words' is bounded by min and max"),
        ({"signal": "language", "among": "en"}, "allowed: a list of texts"),
        ({"signal": "language", "among": []}, "allowed: a list of texts"),
        ({"signal": "site", "among": ["a"], "max": 1}, "it has no min or max"),
    ],
)
def test_a_faulty_rule_of_values_is_named(table, said):
    columns = pl.DataFrame({"site": ["a"]})

    with pytest.raises(ConfigError, match=said):
        load_rules(RulesConfig(add={"x": table}), columns)


def test_a_score_outside_0_and_1_is_no_bound():
    with pytest.raises(ConfigError, match="min_language_score is 65"):
        RulesConfig(min_language_score=65)
