"""The public face: few names, each documented with an example that runs."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.config import load_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_names_are_few_sorted_and_there():
    names = [n for n in curate.__all__ if not n.startswith("__")]

    assert len(names) <= 20
    assert names == sorted(names)
    assert all(hasattr(curate, name) for name in names)
    assert set(names) <= set(dir(curate))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        curate.serach  # noqa: B018


@pytest.mark.parametrize("name", [n for n in curate.__all__ if not n.startswith("__")])
def test_every_public_name_has_a_docstring_and_functions_an_example(name):
    thing = getattr(curate, name)

    assert thing.__doc__
    if not isinstance(thing, type):
        assert ">>>" in thing.__doc__


def public_functions():
    for path in sorted((ROOT / "curate").rglob("*.py")):
        if path.name.startswith("_") and path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield pytest.param(node, id=f"{path.relative_to(ROOT)}:{node.name}")


@pytest.mark.parametrize("function", list(public_functions()))
def test_every_public_function_says_what_it_does(function):
    assert ast.get_docstring(function)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_config_files_load_and_are_short(path):
    assert load_config(path).output.path
    assert len(path.read_text("utf-8").splitlines()) <= 40


def test_demo_config_is_the_packaged_preset():
    packaged = (ROOT / "curate" / "presets" / "demo.toml").read_text("utf-8")

    assert (ROOT / "configs" / "demo.toml").read_text("utf-8") == packaged


def test_readme_config_loads():
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.S)

    config = load_config(tomllib.loads(block))

    assert config.measure.evaluation == ("eval/*.parquet",)
    assert config.duplicates.near.jaccard == 0.8


def test_readme_commands_exist():
    runner = CliRunner()
    commands = set(re.findall(r"curate ([a-z-]+) (?:my|runs|configs)", README))

    assert {"run", "explain", "what-if", "diff", "report", "audit"} <= commands
    for command in commands:
        assert runner.invoke(app, [command, "--help"]).exit_code == 0


def test_readme_names_files_that_exist():
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)

    assert links
    for link in links:
        assert (ROOT / link).exists(), link
