"""The front door: a first config for anyone's data, and the lists of rules and signals."""

import json
import re
import tomllib

import numpy as np
import polars as pl
import pytest
from conftest import prose, vocabulary
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.config import load_config
from curate.corpus import InputConfig
from curate.errors import ConfigError, InputError
from curate.front import input_of, rule_entries, signal_entries, start_config
from curate.rule_tables import RULE_SETS
from curate.rules import RulesConfig, load_rules
from curate.signals import SIGNALS, signal_unit

RUNNER = CliRunner()


WORDS = vocabulary(np.random.default_rng(5), 400)


def page(k):
    return prose(np.random.default_rng(k), WORDS, 60 + k)


def rows(n=40):
    """A text, an address for each row, four sites, a label, a number and an empty column."""
    return [
        {
            "url": f"https://site{k % 4}.org/{k}",
            "title": f"About page {k}",
            "body": page(k),
            "domain": f"site{k % 4}.org",
            "good": k % 2 == 0,
            "score": k / 7,
            "nothing": None,
        }
        for k in range(n)
    ]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def guesses(path):
    return start_config(input_of([str(path)]), output="runs/x").guesses


def start(folder, data, *arguments):
    """`curate init` of some data; what it said and the config it wrote."""
    output = folder / "mine.toml"
    done = RUNNER.invoke(app, ["init", str(data), "--output", str(output), *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output, output


def make(folder, kind):
    """The same documents in one of the shapes that a user may have."""
    table = pl.DataFrame(rows()).drop("nothing")
    if kind == "jsonl":
        nested = [{"doc": {"content": r.pop("body"), "n": 1}, **r} for r in rows()]
        return write_jsonl(folder / "a.jsonl", nested)
    if kind == "csv":
        table.write_csv(folder / "a.csv")
        return folder / "a.csv"
    if kind == "parquet":
        table.select("url", "domain", doc=pl.struct("body", "title")).write_parquet(
            folder / "a.parquet"
        )
        return folder / "a.parquet"
    for k in range(12):
        home = folder / "texts" / "ab"[k % 2]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{k}.txt").write_text(page(k))
    return folder / "texts"


@pytest.mark.parametrize(
    ("kind", "text", "documents", "sources"),
    [
        ("jsonl", "doc.content", 40, {f"site{k}.org" for k in range(4)}),
        ("csv", "body", 40, {f"site{k}.org" for k in range(4)}),
        ("parquet", "doc.body", 40, {f"site{k}.org" for k in range(4)}),
        ("texts", "text", 12, {"a", "b"}),
    ],
)
def test_init_then_run(tmp_path, kind, text, documents, sources):
    """What is written loads, and runs as it is from raw data to report."""
    said, config = start(tmp_path, make(tmp_path, kind))

    run = curate.run(config, overrides={"output.path": str(tmp_path / "run"), "controls.share": 0})

    assert said.rstrip().endswith(f"Next: curate run {config}")
    assert run.config.input.text == text
    assert run.verdicts.height == documents
    assert set(run.verdicts["source"]) == sources
    assert run.report.exists()
    if kind != "texts":
        assert run.verdicts["id"].str.starts_with("https://site").all()


def test_the_config_holds_reasons_and_what_is_left_to_the_user(tmp_path):
    _, path = start(tmp_path, make(tmp_path, "jsonl"))
    written = path.read_text()
    config = load_config(path)

    assert "longest column of text" in written
    assert "Could be instead: title" in written
    assert "unique in the 40 rows looked at" in written
    assert '# reference = "good/*.parquet"' in written
    assert '# label = "good"' in written
    assert (config.measure, config.quality.reference) == (None, None)
    default = load_config({"input": {"path": "a"}, "output": {"path": "b"}})
    assert (config.duplicates, config.controls) == (default.duplicates, default.controls)
    assert (config.seed, config.output.path) == (default.seed, "runs/mine")
    assert max(map(len, written.splitlines())) <= 100


def test_commented_keys_load_once_they_are_uncommented(tmp_path):
    _, path = start(tmp_path, make(tmp_path, "csv"))
    key = re.compile(r"^# ((\[[a-z]+\])|([a-z_]+ = .*))$", re.M)
    config = load_config(tomllib.loads(key.sub(r"\1", path.read_text())))

    assert config.quality.reference == "good/*.parquet"
    assert config.measure is not None
    assert config.measure.evaluation == ("held-out/*.parquet",)
    assert config.measure.evaluation_column == "domain"


def test_a_config_is_never_written_over(tmp_path):
    data = make(tmp_path, "csv")
    _, path = start(tmp_path, data)
    path.write_text("mine")

    again = RUNNER.invoke(app, ["init", str(data), "--output", str(path)])

    assert isinstance(again.exception, ConfigError)
    assert "--force writes over it" in str(again.exception)
    assert path.read_text() == "mine"
    start(tmp_path, data, "--force")
    assert path.read_text() != "mine"


def test_without_text_columns_and_kinds_are_named(tmp_path):
    records = [{"id": k, "tags": ["a"], "when": "2024-01-01", "ok": True} for k in range(5)]
    with pytest.raises(InputError) as error:
        guesses(write_jsonl(tmp_path / "a.jsonl", records))

    assert "no column of 'a.jsonl' holds text" in str(error.value)
    assert "id (numbers), tags (a list), when (words), ok (true/false)" in str(error.value)


def column(name, values):
    return [{"t": f"some words of text {k}", name: value} for k, value in enumerate(values)]


@pytest.mark.parametrize(
    ("records", "text", "sure"),
    [
        ([{"html": "<p> a b " * 40, "text": "a few words of text"}], "html", True),
        ([{"html": "<p> a b " * 9, "text": "a few words of text"}], "text", False),
        ([{"question": "who was it then", "answer": "it was me all along"}], "answer", False),
        ([{"name": "a/b", "中文": "没有空格的文字"}], "中文", True),
        ([{"text": "word"}], "text", True),
        ([{"tags": "['a b c', 'd e f']", "said": "some words"}], "said", True),
        ([{"a": {"b": {"c": "deep words of text"}}}], "a.b.c", True),
    ],
)
def test_the_text_column(tmp_path, records, text, sure):
    guess = guesses(write_jsonl(tmp_path / "a.jsonl", records))["text"]

    assert (guess.column, guess.sure) == (text, sure)


@pytest.mark.parametrize(
    ("name", "values", "found", "said"),
    [
        ("id", range(30), "id", "unique in the 30 rows"),
        ("doc_hash", [f"x{k}" for k in range(30)], "doc_hash", "unique in the 30 rows"),
        ("id", [k // 2 for k in range(30)], None, "id repeats: 15 different ones in 30 rows"),
        ("id", [None, *range(29)], None, "id is taken where a row has one"),
        ("slug", [f"x{k}" for k in range(30)], None, "documents are called <file>:<row>"),
        ("url", ["a.org"] * 30, None, "documents are called <file>:<row>"),
        ("meta_id", [*range(29), 3], None, "meta_id repeat: 1 of 30 rows;"),
    ],
)
def test_the_id_column(tmp_path, name, values, found, said):
    guess = guesses(write_jsonl(tmp_path / "a.jsonl", column(name, values)))["id"]

    assert guess.column == found
    assert said in guess.reason
    assert guess.sure == ("repeats" not in said)


@pytest.mark.parametrize(
    ("name", "values", "found", "said"),
    [
        ("domain", [k % 7 for k in range(200)], "domain", "7 groups in the 200 rows"),
        ("crawl", [f"c{k % 9}" for k in range(200)], "crawl", "chosen by content alone"),
        ("domain", [f"c{k}" for k in range(200)], None, "200 groups in 200 rows, too many"),
        ("source", [f"c{k}" for k in range(200)], None, "It is taken all the same"),
        ("lang", ["en"] * 200, None, "lang has 1 group"),
        ("score", [k % 9 for k in range(200)], None, "no column has some tens of groups"),
    ],
)
def test_the_source_column(tmp_path, name, values, found, said):
    guess = guesses(write_jsonl(tmp_path / "a.jsonl", column(name, values)))["source"]

    assert guess.column == found
    assert said in guess.reason


def test_rows_come_from_all_of_a_large_file(tmp_path):
    """Files are often sorted by their source: its beginning alone would show one group."""
    records = [{"text": f"{'words ' * 80}{k}", "site": f"s{k // 1000}"} for k in range(8000)]
    pl.DataFrame(records).write_parquet(tmp_path / "a.parquet", row_group_size=500)
    plain = guesses(write_jsonl(tmp_path / "a.jsonl", records))["source"]
    table = guesses(tmp_path / "a.parquet")["source"]

    assert (plain.column, plain.reason[:8]) == ("site", "8 groups")
    assert (table.column, table.reason[:8]) == ("site", "8 groups")


def test_no_row_is_looked_at_twice(tmp_path):
    """Few long lines: the places overlap, and an id that is read twice would seem to repeat."""
    records = [{"text": "words " * 3000, "id": f"x{k}"} for k in range(300)]
    start = start_config(
        input_of([str(write_jsonl(tmp_path / "a.jsonl", records))]), output="runs/x"
    )

    assert start.looked_at == "300 rows of 1 file (jsonl)"
    assert start.guesses["id"].column == "id"


@pytest.mark.parametrize("name", ["a.txt", "a.data"])
def test_the_format_is_told_by_content_where_the_suffix_does_not(tmp_path, name):
    written = start_config(
        input_of([str(write_jsonl(tmp_path / name, rows()))]), output="runs/x"
    ).text

    assert 'format = "jsonl"' in written
    assert 'text = "body"' in written


def test_lines_that_are_no_rows_are_counted(tmp_path):
    rows = [json.dumps({"text": f"some words of row {k}"}) for k in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows[:2], "{broken", *rows[2:], "[1]"]))
    start = start_config(InputConfig(path=str(tmp_path / "a.jsonl")), output="run")

    assert start.looked_at == "5 rows of 1 file (jsonl); 2 rows could not be read, for quarantine"


def test_what_cannot_be_used_is_said(tmp_path):
    """A broken file, a table without texts, a file of no known kind: none stops the others."""
    data = tmp_path / "data"
    data.mkdir()
    write_jsonl(data / "a.jsonl", rows())
    write_jsonl(data / "counts.jsonl", [{"domain": "site1.org", "n": 3}])
    (data / "b.parquet").write_bytes(b"PAR1 and no more")
    (data / "c.tar").write_bytes(b"archive")

    said, path = start(tmp_path, data)

    assert "no row of counts.jsonl has it: leave such files out" in said
    assert "b.parquet is broken: ArrowInvalid" in said
    assert "not read: 1 other file of the folder, e.g. c.tar" in said
    assert load_config(path).input.text == "body"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["a", "b"]', "not an object (the line holds a string)"),
        ('{\n "a": 1\n}', "bad line (Expecting property name"),
        ("", "it is empty"),
    ],
)
def test_without_rows_the_reason_is_told(tmp_path, content, said):
    (tmp_path / "a.json").write_text(content)

    with pytest.raises(InputError, match=re.escape(said)):
        guesses(tmp_path / "a.json")


def test_a_shells_list_of_files_becomes_a_glob_again(tmp_path):
    paths = [str(tmp_path / f"{k}.jsonl") for k in range(3)]
    for path in paths:
        write_jsonl(tmp_path / path, rows(3))

    assert input_of(paths).path == str(tmp_path / "*.jsonl")
    assert input_of(paths[:2]).path == tuple(paths[:2])


@pytest.mark.parametrize(
    ("data", "options", "error", "said"),
    [
        ([], {}, ConfigError, "give files, a folder or a glob, or --dataset"),
        (["a"], {"dataset": "b"}, ConfigError, "one of the two"),
        (["a"], {"subset": "b"}, ConfigError, "--subset belongs to --dataset"),
        (["org/set"], {}, InputError, "a dataset of the Hub is --dataset org/set"),
        (["no.jsonl"], {}, InputError, "no such file or folder: 'no.jsonl'"),
    ],
)
def test_wrong_data_is_refused(data, options, error, said):
    with pytest.raises(error, match=re.escape(said)):
        input_of(data, **options)


def test_a_saved_dataset_is_a_dataset(tmp_path):
    import datasets

    datasets.Dataset.from_list(rows()).save_to_disk(tmp_path / "saved")
    config = input_of([str(tmp_path / "saved")])
    start = start_config(config, output="runs/x")

    assert config.dataset == str(tmp_path / "saved")
    assert start.guesses["text"].column == "body"
    assert load_config(tomllib.loads(start.text)).input.dataset == config.dataset


@pytest.mark.parametrize("name", RULE_SETS)
def test_the_rules_listed_are_those_that_judge(name):
    """Names, columns, and every bound that is a number."""
    listed = {entry.values["rule"]: entry.values for entry in rule_entries(name)}
    rules = {rule.name: rule for rule in load_rules(RulesConfig(sets=(name,)))}

    assert list(listed) == list(rules)
    for rule, values in listed.items():
        assert values["signal"] == rules[rule].signal
        for side in ("min", "max"):
            bound = getattr(rules[rule], side)
            drawn = "of this corpus" in (values[side] or "")
            assert drawn or (None if values[side] is None else float(values[side])) == bound


def test_rules_are_listed_in_the_terminal(tmp_path):
    sets = RUNNER.invoke(app, ["rules"]).output
    one = RUNNER.invoke(app, ["rules", "technical_prose"]).output
    dolma = RUNNER.invoke(app, ["rules", "gopher_quality", "--dialect", "dolma"]).output
    table = tmp_path / "rules.csv"
    RUNNER.invoke(app, ["rules", "c4", "--table", str(table)])
    wrong = RUNNER.invoke(app, ["rules", "gopher_qualty"]).exception

    assert all(f"{name} " in sets for name in RULE_SETS)
    assert "technical_prose.digits: digit_fraction ≤ 99.5th percentile of this corpus" in one
    assert "held between 0.32 and 0.36" in one
    assert "gopher_quality.word_count: whitespace_word_count ≥ 50 and ≤ 100,000" in dolma
    assert pl.read_csv(table)["rule"][0] == "c4.sentences"
    assert "did you mean 'gopher_quality'" in str(wrong)


def test_signals_are_listed_in_the_terminal():
    every = RUNNER.invoke(app, ["signals"]).output
    one = RUNNER.invoke(app, ["signals", "words"]).output
    wrong = RUNNER.invoke(app, ["signals", "wordz"]).exception

    assert all(f"{name}   ({signal_unit(name)})" in every for name in SIGNALS)
    assert all(signal_unit(name) for name in SIGNALS)
    assert "web_safety.words" in one
    assert "did you mean 'words'" in str(wrong)
    assert [entry.values["signal"] for entry in signal_entries()] == list(SIGNALS)
