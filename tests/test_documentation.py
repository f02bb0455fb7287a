"""Documentation of an installation is read as data: nothing runs, ids name no machine."""

import ast
from pathlib import Path

import polars as pl
import pytest
from demo_site import Site, make_site

from curate.demo import Environment, collect_documentation
from curate.demo.documentation import docstrings, language_reference
from curate.errors import InputError


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pool(site):
    return collect_documentation(site.environment)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"M."', [("", "M.")]),
        ("def f():\n  'F.'", [("f", "F.")]),
        ("async def f():\n  'F.'", [("f", "F.")]),
        ("class A:\n  'A.'\n  def f(self):\n    'F.'", [("A", "A."), ("A.f", "F.")]),
        ("try:\n  import x\nexcept ImportError:\n  def f():\n    'F.'", [("f", "F.")]),
        ("if 1:\n  pass\nelse:\n  class A:\n    'A.'", [("A", "A.")]),
        ("def f():\n  def g():\n    'G.'\n  return g", [("f.g", "G.")]),
        ("x = 'no docstring'\ndef f(): pass", []),
        ("def f():\n  '\\ud800 is no character'", []),
        ("def f():\n    '''First.\n\n    Indented.'''", [("f", "First.\n\nIndented.")]),
    ],
)
def test_docstrings(source, expected):
    assert docstrings(source.encode()) == expected


def test_docstrings_are_those_of_the_interpreter():
    """The same texts as those of Python's own walk over a real module."""
    source = Path(ast.__file__).read_bytes()
    nodes = [
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    expected = sorted(text for n in nodes if (text := ast.get_docstring(n)))

    assert sorted(text for _, text in docstrings(source)) == expected


def test_nothing_is_executed(site, pool):
    assert "alpha/run.py" in pool["id"]
    assert not (site.root / "was-run").exists()


def test_ids_are_paths_and_names_without_the_machine(site, pool):
    assert {"alpha/core.py", "alpha/core.py:f0", "python/json/decoder.py:f3"} <= set(pool["id"])
    assert "alpha-1.0.dist-info/METADATA" in pool["id"]
    assert pool["id"].is_unique().all()
    assert not pool["id"].str.contains(str(site.root), literal=True).any()


def test_equal_names_are_numbered(tmp_path):
    site = Site(tmp_path)
    twice = f'def f():\n  """{site.text()}"""\n'
    site.distribution("one", {"one.py": twice + twice})

    ids = collect_documentation(site.environment)["id"].to_list()

    assert ids[-2:] == ["one.py:f", "one.py:f#2"]


@pytest.mark.parametrize(
    ("path", "kind", "vendored"),
    [
        ("beta/a.py", "docstring", False),
        ("beta/README.md", "readme", False),
        ("beta-1.0.dist-info/METADATA", "readme", False),
        ("beta-1.0.dist-info/licenses/LICENSE.md", "licence", False),
        ("beta/_vendor/other/b.py", "docstring", True),
        ("python/LICENSE.txt", "licence", False),
    ],
)
def test_kinds_of_text(pool, path, kind, vendored):
    assert pool.filter(pl.col("id") == path).select("kind", "vendored").row(0) == (kind, vendored)


def test_test_code_and_short_texts_are_left_out(pool):
    assert not pool["id"].str.contains("test_").any()
    assert pool["text"].str.len_chars().min() >= 200


def test_odd_files_are_passed_over(tmp_path):
    site = Site(tmp_path)
    good = site.module(0)
    site.distribution(
        "odd",
        {
            "odd/py2.py": good + "print 'old'\n",
            "odd/null.py": good + "x = '\0'\n",
            "odd/deep.py": good + "x = " + "(" * 500 + ")" * 500 + "\n",
            "odd/escape.py": good + "y = '\\d'\n",
        },
    )
    (site.packages / "odd" / "README.txt").write_bytes(b"\xff" * 300)

    ids = collect_documentation(site.environment)["id"].to_list()

    assert [i for i in ids if i.startswith("odd/")] == ["odd/escape.py"]


def test_own_distribution_and_files_outside_are_not_read(tmp_path):
    site = Site(tmp_path)
    site.distribution("curate_corpus", {"curate/x.py": site.module(2)})

    assert collect_documentation(site.environment).is_empty()


def test_description_in_old_metadata(tmp_path):
    site = Site(tmp_path)
    site.distribution("old", {})
    lines = [site.text(60).replace("\n", " ") for _ in range(3)]
    header = "\n       |".join(lines)
    site.write(
        site.packages / "old-1.0.dist-info" / "METADATA", f"Name: old\nDescription: {header}\n"
    )

    assert collect_documentation(site.environment)["text"].to_list() == ["\n".join(lines)]


def test_language_reference_is_read_as_a_literal(site, tmp_path):
    topics = language_reference(site.environment)

    assert topics["id"].to_list() == [f"language_reference/topic{i}" for i in range(6)]
    with pytest.raises(InputError, match="install the full standard library"):
        language_reference(Environment(standard_library=tmp_path, packages=()))


def test_a_topics_file_that_is_code_is_refused_not_run(tmp_path):
    flag = tmp_path / "was-run"
    (tmp_path / "pydoc_data").mkdir()
    code = f"topics = dict(a=open({str(flag)!r}, 'w'))\n"
    (tmp_path / "pydoc_data" / "topics.py").write_text(code, "utf-8")

    with pytest.raises(InputError, match="no language reference"):
        language_reference(Environment(standard_library=tmp_path, packages=()))
    assert not flag.exists()
