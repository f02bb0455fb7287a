"""The list of config keys agrees with what a config accepts."""

from pathlib import Path

import pytest

from curate.config import config_values, load_config
from curate.config_reference import config_keys, configuration_page
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


def test_an_unknown_table_is_named():
    with pytest.raises(ConfigError, match="did you mean 'duplicates'"):
        config_keys("duplicate")


def test_the_page_is_current():
    page = Path(__file__).parents[1] / "docs" / "configuration.md"

    assert page.read_text(encoding="utf-8") == configuration_page()
