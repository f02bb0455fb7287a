"""The list of config keys agrees with what a config accepts."""

import re
from pathlib import Path

import pytest

from curate.config import config_values, load_config
from curate.config_reference import config_keys, configuration_page
from curate.corpus import InputConfig
from curate.errors import ConfigError


def test_every_key_that_a_config_holds_is_listed():
    full = load_config(
        {
            "input": {"path": "a"},
            "output": {"path": "b"},
            "measure": {},
            "audit": {"gate": {}},
            "quality": {"reference": "r", "select": {"share": 0.5}},
        }
    )
    listed = {key.path for key in config_keys()}

    def paths(values, prefix=""):
        for name, value in values.items():
            yield f"{prefix}{name}"
            if isinstance(value, dict) and value:
                yield from paths(value, f"{prefix}{name}.")

    tables = {path.rpartition(".")[0] for path in listed}
    assert set(paths(config_values(full))) <= listed | tables


def test_every_key_says_what_it_does():
    silent = [key.path for key in config_keys() if not key.meaning]

    assert silent == []


def test_meanings_hold_values_and_no_names_of_code():
    keys = config_keys()
    meanings = {key.path: key.meaning for key in keys}
    coded = [key.path for key in keys if re.search(r"`[A-Z_]{4,}`|\bNone\b", key.meaning)]

    assert coded == []
    assert "`gopher_quality`" in meanings["rules.sets"]
    assert "`mask_pii`" in meanings["clean.steps"]


def test_the_keys_of_an_input_are_listed_once():
    listed = [key.path for key in config_keys() if key.path.endswith(".part_bytes")]

    assert listed == ["input.part_bytes"]
    assert load_config(
        {
            "input": {"path": "a"},
            "output": {"path": "b"},
            "quality": {"reference": {"path": "r", "text": "body"}},
        }
    ).quality.reference == InputConfig(path="r", text="body")


def test_an_unknown_table_is_named():
    with pytest.raises(ConfigError, match="did you mean 'duplicates'"):
        config_keys("duplicate")


def test_the_page_is_current():
    page = Path(__file__).parents[1] / "docs" / "configuration.md"

    assert page.read_text(encoding="utf-8") == configuration_page()
