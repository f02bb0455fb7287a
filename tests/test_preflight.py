"""What can be known before any work is said before any work, and a finished folder stays whole."""

import polars as pl
import pytest

import curate
import curate.config
import curate.run_folder
from curate.errors import ConfigError, InputError
from curate.shards import unseen_evaluation


@pytest.fixture
def values(tmp_path):
    texts = [f"document number {k} says hello to reader {k % 7} of the long row" for k in range(60)]
    pl.DataFrame({"id": [f"d{k}" for k in range(60)], "text": texts}).write_parquet(
        tmp_path / "raw.parquet"
    )
    held = pl.DataFrame({"text": texts[:20]})
    held.write_parquet(tmp_path / "held.parquet")
    return {
        "input": {"path": str(tmp_path / "raw.parquet")},
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run")},
    }


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"quality": {"reference": "nowhere.parquet"}}, InputError, "quality.reference"),
        ({"measure": {"evaluation": ["nowhere.parquet"]}}, InputError, "measure.evaluation"),
        ({"rules": {"override": {"a.b": {"min": 1}}}}, ConfigError, "rules.override"),
        ({"duplicates": {"survivor": "best_quality"}}, ConfigError, "needs a quality score"),
    ],
)
def test_a_bad_config_touches_nothing(values, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        curate.run(values | change)

    assert not (tmp_path / "run").exists()


def test_an_output_that_is_a_file_is_a_config_error(values, tmp_path):
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(ConfigError, match="no folder that can be written"):
        curate.run(values | {"output": {"path": str(tmp_path / "taken")}})


def test_text_that_the_filter_was_fitted_on_is_no_evaluation(values, tmp_path):
    held = str(tmp_path / "held.parquet")
    both = {"quality": {"reference": held}, "measure": {"evaluation": [held]}}

    with pytest.raises(ConfigError, match="no filter was fitted on"):
        curate.run(values | both)


def test_copies_of_reference_texts_leave_the_evaluation(values, tmp_path):
    words = "every one of these words stands in the same order in both of the files named here now"
    fresh = "but none of this other text was ever shown to anything that learns from references"
    reference = tmp_path / "run" / "quality" / "reference" / "documents"
    reference.mkdir(parents=True)
    pl.DataFrame({"id": ["r"], "text": [words]}).write_parquet(reference / "part-00000.parquet")
    evaluation = tmp_path / "run" / "evaluation" / "held" / "documents"
    evaluation.mkdir(parents=True)
    pl.DataFrame(
        {"id": ["a", "b"], "text": [words + " indeed", fresh], "source": ["s", "s"]}
    ).write_parquet(evaluation / "part-00000.parquet")
    config = curate.config.load_config(values)
    folder = curate.run_folder.RunFolder(tmp_path / "run")

    kept, seen = unseen_evaluation(folder, config)

    assert kept["id"].to_list() == ["held/b"]
    assert seen["id"].to_list() == ["held/a"]
