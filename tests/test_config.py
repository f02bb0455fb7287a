"""Configs: what is wrong is named with its path, and what is written reads back equal."""

import tomllib

import pytest

from curate.config import load_config, parse_assignment, to_toml
from curate.errors import ConfigError

SMALL = {"input": {"path": "a.jsonl"}, "output": {"path": "runs/a"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inptu": {}}, r"unknown key 'inptu'; did you mean 'input'\?"),
        ({"duplicates": {"near": {"jacard": 0.8}}}, r"'duplicates\.near\.jacard'.*'jaccard'"),
        ({"seed": "seventeen"}, r"seed is 'seventeen' \(str\); allowed: a whole number"),
        ({"seed": True}, r"seed is True \(bool\)"),
        ({"controls": {"share": "much"}}, r"controls\.share is 'much'"),
        (
            {"duplicates": {"near": {"jaccard": 1.7}}},
            r"^duplicates\.near\.jaccard = 1\.7 is no similarity",
        ),
        ({"duplicates": {"near": {"preset": "fast"}}}, r"duplicates\.near\.preset 'fast'"),
        ({"output": {}}, r"missing key 'output\.path'"),
        ({"output": {"path": "x", "min_yield": 2.0}}, r"output\.min_yield is 2\.0"),
        ({"rules": {"sets": "gopher_quality"}}, r"rules\.sets is 'gopher_quality'"),
    ],
)
def test_wrong_config_names_path_and_what_is_allowed(values, message):
    with pytest.raises(ConfigError, match=message):
        load_config(SMALL | values)


def test_every_table_is_optional_but_input_and_output():
    config = load_config(SMALL)

    assert config.measure is None
    assert config.duplicates.near is not None


def test_missing_file_and_broken_toml_are_config_errors(tmp_path):
    (tmp_path / "broken.toml").write_text("seed = = 3")

    with pytest.raises(ConfigError, match=r"no config file .*absent\.toml"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"broken\.toml' is no TOML file"):
        load_config(tmp_path / "broken.toml")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"duplicates": {"near": False}},
        {"duplicates": {"near": {"jaccard": 0.7, "preset": "high_recall"}, "survivor": "earliest"}},
        {
            "rules": {
                "sets": ["gopher_quality"],
                "override": {"gopher_quality.word_count": {"min": 3}},
            }
        },
        {"rules": {"add": {"long_enough": {"signal": "text_chars", "min": 200}}}},
        {"measure": {"evaluation": ["a.parquet", "b.parquet"]}},
        {"audit": {"gate": {"removal_ratio": 1.25, "excess_removal": 0.02, "q": 0.01}}},
    ],
)
def test_written_config_reads_back_equal(values):
    config = load_config(SMALL | values)

    assert load_config(tomllib.loads(to_toml(config))) == config


def test_false_switches_an_optional_table_off():
    assert load_config(SMALL | {"duplicates": {"near": False}}).duplicates.near is None


def test_overrides_reach_nested_keys_and_dotted_rule_names():
    config = load_config(
        SMALL,
        overrides={"seed": 3, "duplicates.near.jaccard": 0.7, "rules.override.a.b.min": 30},
    )

    assert config.seed == 3
    assert config.duplicates.near.jaccard == 0.7
    assert config.rules.override == {"a.b": {"min": 30}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=3", ("seed", 3)),
        ("a.b=[1, 2]", ("a.b", [1, 2])),
        ("a=true", ("a", True)),
        ('a="x y"', ("a", "x y")),
        ("a=x=y", ("a", "x=y")),
        ("input.path=data/*.jsonl", ("input.path", "data/*.jsonl")),
    ],
)
def test_assignment_values_are_toml_or_plain_text(text, expected):
    assert parse_assignment(text) == expected


def test_assignment_without_equals_sign_is_an_error():
    with pytest.raises(ConfigError, match="no assignment"):
        parse_assignment("seed")


@pytest.mark.parametrize(
    ("table", "off"),
    [
        ("quality", lambda c: c.quality.reference is None),
        ("clean", lambda c: c.clean.steps == ()),
        ("rules", lambda c: c.rules.sets == ()),
        ("controls", lambda c: c.controls.share == 0),
        ("audit", lambda c: c.audit.groups == ()),
        ("duplicates", lambda c: (c.duplicates.exact, c.duplicates.near) == (False, None)),
        ("measure", lambda c: c.measure is None),
    ],
)
def test_a_table_that_is_false_does_nothing(table, off):
    """As `near = false` does; so can an override switch off what a file names."""
    config = load_config(
        {
            "input": {"path": "a.jsonl"},
            "output": {"path": "runs/a"},
            "quality": {"reference": "good.parquet"},
            "clean": {"steps": ["mask_pii"]},
            "rules": {"sets": ["fineweb"]},
        },
        overrides={table: False},
    )

    assert off(config)


def test_input_that_is_false_is_refused():
    with pytest.raises(ConfigError, match="input is False"):
        load_config({"input": False, "output": {"path": "runs/a"}})


@pytest.mark.parametrize("name", ["gopher_quality.word_count", '"gopher_quality.word_count"'])
def test_a_rule_is_overridden_by_its_name_with_and_without_quotes(name):
    """In a file the name is quoted, so people quote it on the command line too."""
    key, value = parse_assignment(f"rules.override.{name}.min=30")
    values = {"input": {"path": "a"}, "output": {"path": "b"}}

    config = load_config(values, overrides={key: value})

    assert config.rules.override == {"gopher_quality.word_count": {"min": 30}}


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="is a folder, not the TOML file"):
        load_config(tmp_path)
