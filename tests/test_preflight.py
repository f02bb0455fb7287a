"""What can be known before any work is said before any work, and a finished folder stays whole."""

import gzip
import json

import polars as pl
import pytest

import curate
import curate.config
import curate.preflight
import curate.run_folder
from curate.corpus import InputConfig, absent_columns
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
        ({"quality": {"label": "good"}}, ConfigError, "quality.label: unknown column 'good'"),
        ({"quality": {"column": "grade"}}, ConfigError, "quality.column: unknown column 'grade'"),
        ({"measure": {"label": "toxic"}}, ConfigError, "measure.label: unknown column 'toxic'"),
        ({"audit": {"groups": ["sorce"]}}, ConfigError, "did you mean 'source'"),
        ({"audit": {"scores": ["word"]}}, ConfigError, "audit.scores.*did you mean 'words'"),
        (
            {"rules": {"add": {"long": {"signal": "wrds", "min": 1}}}},
            ConfigError,
            "rules.add.long: unknown column 'wrds'; did you mean 'words'",
        ),
        ({"rules": {"add": {"long": {"signal": "words"}}}}, ConfigError, "neither min nor max"),
    ],
)
def test_a_bad_config_touches_nothing(values, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        curate.run(values | change)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("read", "output", "said"),
    [
        ("data", "data", "lies in the input"),
        ("data", "data/run", "lies in the input"),
        ("data/**/*.parquet", "data/run", "lies in the input"),
        ("data/**", "data/run", "lies in the input"),
        ("data/*/*.parquet", "data/run", "lies in the input"),
        ("data/raw.parquet", "data", "none of a run"),
        ("data/*.parquet", "data/run", None),
        ("data", "data/.run", None),
        ("data", "data-run", None),
        ("data", "empty", None),
        ("data", "old", None),
        ("data", "stopped", None),
    ],
)
def test_an_output_among_the_input_or_other_files_is_refused(values, tmp_path, read, output, said):
    for name in ("data", "empty", "old", "stopped"):
        (tmp_path / name).mkdir()
    (tmp_path / "raw.parquet").rename(tmp_path / "data" / "raw.parquet")
    (tmp_path / "old" / "manifest.json").write_text('{"stages": {}}')
    (tmp_path / "stopped" / "config.toml").write_text("")
    asked = values | {
        "input": {"path": str(tmp_path / read)},
        "output": {"path": str(tmp_path / output)},
    }
    before = sorted(tmp_path.rglob("*"))

    if said is None:
        curate.preflight.check(curate.config.load_config(asked))
    else:
        with pytest.raises(ConfigError, match=said):
            curate.run(asked)

    assert sorted(tmp_path.rglob("*")) == before


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


LINES = [{"text": "one"}] * 300 + [{"text": "two", "größe": 1, "kept": 2}]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_key_that_stands_in_a_late_row_alone_is_found(tmp_path, ascii_only):
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in LINES)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    config = InputConfig(path=str(tmp_path / "a.jsonl.gz"))

    absent, found = absent_columns(config, ["größe", "input_kept", "no", "source"])

    assert absent == ["no"]
    assert found == ["control", "id", "source", "text"]


def test_a_column_that_became_the_source_is_no_column_any_more(tmp_path):
    (tmp_path / "a.csv").write_text("text,site,n\nx,a,1\n")
    config = InputConfig(path=str(tmp_path / "a.csv"), source="site")

    assert absent_columns(config, ["site", "n"])[0] == ["site"]


def test_what_cannot_be_read_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")

    assert absent_columns(InputConfig(path=str(tmp_path / "a.parquet")), ["n"])[0] == []


def test_a_renamed_column_is_named_by_its_new_name(tmp_path, values):
    """Who names `input.source = "site"` writes `groups = ["site"]` next."""
    pl.DataFrame({"text": ["a b c"], "site": ["x"]}).write_parquet(tmp_path / "raw.parquet")
    values["input"]["source"] = "site"

    with pytest.raises(ConfigError, match="'site' is called 'source' in the documents"):
        curate.run(values | {"audit": {"groups": ["site"]}})
