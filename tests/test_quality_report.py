"""A run that selects by score: the rule removes the share, the report shows the score."""

import polars as pl
import pytest

import curate
from curate.config import load_config, to_toml
from curate.errors import ConfigError
from curate.report.quality_figures import roc_figure

GOOD = [f"a calm clear sentence about topic{i % 7} and number{i} of many" for i in range(60)]
BAD = [f"buy cheap things click now offer{i % 7} number{i} free prize" for i in range(60)]


def config_for(folder, **quality):
    texts = GOOD[:30] + BAD
    raw = pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(90)],
            "text": texts,
            "source": ["calm"] * 30 + ["shop"] * 60,
            "given": [float(i % 6) for i in range(90)],
        }
    )
    raw.write_parquet(folder / "raw.parquet")
    pl.DataFrame({"text": GOOD[30:]}).write_parquet(folder / "reference.parquet")
    return {
        "input": {"path": str(folder / "raw.parquet")},
        "rules": {"sets": []},
        "duplicates": {"exact": False, "near": False},
        "controls": {"share": 0},
        "quality": quality,
        "output": {"path": str(folder / "run")},
    }


def test_a_share_is_selected_and_the_report_shows_the_score(tmp_path):
    values = config_for(
        tmp_path,
        reference=str(tmp_path / "reference.parquet"),
        select={"share": 0.5, "within": "source"},
        bits=12,
    )
    done = curate.run(values)
    kept = dict(done.verdicts.filter("kept")["source"].value_counts().rows())
    page = done.report.read_text("utf-8")

    assert kept == {"calm": 15, "shop": 30}
    assert set(done.verdicts.explode("failed")["failed"].drop_nulls()) == {"quality.select"}
    for shown in (
        "Quality score per source",
        "Reference told from background: AUC",
        "Words that speak most for the reference",
        "Texts at each tenth of the scores",
        "Which words lift or cost each group its score",
        "What a quality score of p means",
        "What a cut keeps of the reference",
    ):
        assert shown in page, shown
    assert (tmp_path / "run/quality/model/card.md").read_text().startswith("# Quality model")
    assert load_config(values) == load_config(_reread(to_toml(load_config(values)), tmp_path))


def _reread(text, folder):
    path = folder / "again.toml"
    path.write_text(text)
    return path


def test_a_curve_read_from_stored_keys_in_any_order_is_the_same_curve():
    roc = {
        "false_positive_rate": [0.0, 0.5, 1.0],
        "true_positive_rate": [0.1, 0.7, 1.0],
        "low": [0.0, 0.5, 1.0],
        "high": [0.3, 0.9, 1.0],
    }
    auc = {"estimate": 0.7, "low": 0.6, "high": 0.8}
    drawn, again = (roc_figure(table, auc, 40) for table in (roc, dict(sorted(roc.items()))))

    assert drawn.drawings == again.drawings
    assert again.table["true_positive_rate"].to_list() == roc["true_positive_rate"]


def test_a_column_of_the_input_serves_as_score(tmp_path):
    done = curate.run(config_for(tmp_path, column="given", min=3.0))

    assert done.verdicts.filter("kept").height == 45
    assert done.verdicts["quality"].to_list() == [float(i % 6) for i in range(90)]


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"select": {"share": 0.5}}, "quality.select is set, but neither"),
        ({"column": "absent"}, "quality.column: unknown column 'absent'"),
        (
            {"column": "given", "select": {"within": "site"}},
            "quality.select.within: unknown column 'site'",
        ),
    ],
    ids=["no score", "no column", "no group"],
)
def test_selections_without_what_they_read_are_named(tmp_path, quality, message):
    with pytest.raises(ConfigError, match=message):
        curate.run(config_for(tmp_path, **quality))


def test_a_score_is_either_fitted_or_taken(tmp_path):
    with pytest.raises(
        ConfigError, match="the scores classifier and column, but the column quality holds"
    ):
        load_config(config_for(tmp_path, reference="a.parquet", column="given"))
