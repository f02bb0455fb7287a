"""What is said unasked: columns that could be sets, and which bounds the corpus itself gave."""

import polars as pl
import pytest

import curate
from curate.bounds import bound_words
from curate.config import load_config
from curate.judgement import stored_decision
from curate.run_folder import RunFolder
from curate.shards import unsplit_evaluation
from curate.verdicts import with_bounds


def hint(folder, files, *, source=None, **measure):
    """What is said of evaluation files with these columns, as a run has stored them."""
    for name, columns in files.items():
        frame = pl.DataFrame(columns).with_columns(pl.lit("words").alias("text"))
        frame = frame.with_row_index("id").with_columns(pl.col("id").cast(pl.String))
        home = folder / "evaluation" / name / "documents"
        home.mkdir(parents=True)
        frame.write_parquet(home / "part-00000.parquet")
    values = {
        "input": {"path": "a", **({"source": source} if source else {})},
        "measure": {"evaluation": ["e"], **measure},
        "output": {"path": str(folder)},
    }
    return unsplit_evaluation(RunFolder(folder), load_config(values))


SITES = [f"s{k % 12}" for k in range(60)]
PAGES = [f"p{k}" for k in range(60)]
ONE = ["one"] * 60


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"web": {"domain": SITES}}, {}, "'web' counts as one set; its column 'domain' has 12"),
        ({"web": {"source": SITES}}, {}, 'measure.evaluation_column = "source"'),
        ({"web": {"lang": ["en", "de"] * 30, "site": SITES}}, {"source": "site"}, "'site' has 12"),
        ({"web": {"input_kept": SITES}}, {}, 'measure.evaluation_column = "kept"'),
        ({"a": {"site": SITES}, "b": {"site": ONE}}, {}, "each of the 2 evaluation files"),
        ({"a": {"site": SITES}, "b": {"other": SITES}}, {}, None),
        ({"a": {"site": ONE}, "b": {"site": ["two"] * 60}}, {}, None),
        ({"web": {"domain": PAGES}}, {}, None),
        ({"web": {"domain": SITES}}, {"evaluation_column": "domain"}, None),
        ({"web": {"number": list(range(12)) * 5}}, {}, None),
        ({}, {}, None),
    ],
)
def test_a_column_of_evaluation_files_that_nobody_named_is_hinted_at(
    tmp_path, files, options, said
):
    line = hint(tmp_path, files, **options)

    assert said in line if said else line == ""
    assert "\n" not in line


def test_bounds_of_the_corpus_are_marked_where_a_document_is_explained(tmp_path):
    """And no more once somebody asks for another number."""
    lengths = [f"{'some words ' * 9} {'more ' * k}" for k in range(120)]
    pl.DataFrame({"id": [str(k) for k in range(120)], "text": lengths}).write_parquet(
        tmp_path / "a.parquet"
    )
    own = {
        "low": {"signal": "text_chars", "min": {"quantile": 0.05}},
        "held": {"signal": "words", "max": {"quantile": 0.9, "between": [5, 100]}},
        "given": {"signal": "words", "min": 3},
    }
    values = {
        "input": {"path": str(tmp_path / "a.parquet")},
        "rules": {"add": own},
        "duplicates": False,
        "controls": {"share": 0.0},
        "output": {"path": str(tmp_path / "run"), "min_yield": 0.0},
    }
    run = curate.run(values)
    said = {line.split()[1]: line for line in str(run.explain("7")).splitlines()[1:]}
    bound = run.folder.read("rules.parquet").filter(name="own.low")["min"].item()
    decision = stored_decision(run.folder, run.config)
    changed = {rule.name: rule for rule in with_bounds(decision, {"own.low": {"min": 9}}).rules}

    assert f"≥ {bound:.4g} (5th percentile of this corpus), margin" in said["own.low:"]
    assert "≤ 100 (90th percentile of this corpus is " in said["own.held:"]
    assert "held between 5 and 100)" in said["own.held:"]
    assert said["own.given:"].count("(") == 0
    assert (changed["own.low"].min, changed["own.low"].min_from) == (9, "")
    assert changed["own.held"].max_from.startswith("90th percentile")


@pytest.mark.parametrize(
    ("table", "upper", "words"),
    [
        ({"quantile": 0.01}, False, "1st percentile of this corpus"),
        ({"quantile": 0.12}, False, "12th percentile of this corpus"),
        ({"quantile": 0.995}, True, "99.5th percentile of this corpus"),
        ({"sigma": 2}, False, "mean − 2 standard deviations of this corpus"),
        (
            {"fence": 3, "scale": "log"},
            True,
            "quartile 3 + 3 interquartile ranges of this corpus (log)",
        ),
        (
            {"quantile": 0.5, "between": [5, 9]},
            False,
            "50th percentile of this corpus, held between 5 and 9",
        ),
    ],
)
def test_bounds_in_words(table, upper, words):
    assert bound_words(table, upper=upper) == words
