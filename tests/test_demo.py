"""The demo's corpus: real documentation, read and never run; noise that only the truth names."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import prose, vocabulary

from curate.demo import NOISE, Environment, build_demo_corpus, collect_documentation
from curate.demo.build import (
    DOCUMENTATION_BYTES,
    DOCUMENTATION_BYTES_PER_TOKEN,
    NOISE_SHARE,
    cap_sources,
    choose_held_out,
    demo_config,
)
from curate.demo.documentation import docstrings, language_reference
from curate.errors import InputError
from curate.tokens import encode, train_tokenizer

HELD_OUT_SIZED = ("beta", "gamma", "delta", "epsilon")
REAL_PACKAGES = (
    *("beartype", "datasets", "huggingface-hub", "numpy", "pandas", "polars", "prefect"),
    *("pydantic", "scikit-learn", "scipy", "sqlalchemy"),
)
NAMES = ["id", "text", "source"]


class Site:
    """A made-up installation: a standard library and a few distributions."""

    def __init__(self, root: Path):
        self.root = root
        self.standard = root / "lib"
        self.packages = root / "lib" / "site-packages"
        self.rng = np.random.default_rng(11)
        self.words = vocabulary(self.rng, size=600)
        (self.standard / "pydoc_data").mkdir(parents=True)
        self.packages.mkdir()

    @property
    def environment(self):
        return Environment(standard_library=self.standard, packages=(self.packages,))

    def text(self, n_words=170):
        return prose(self.rng, self.words, n_words)

    def module(self, n_functions):
        doc = f'"""{self.text()}"""\n'
        return doc + "".join(
            f'\n\ndef f{i}():\n    """{self.text()}"""\n' for i in range(n_functions)
        )

    def write(self, path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def distribution(self, name, files):
        info = f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name.title()}\nVersion: 1.0\n\n{self.text()}"
        files = {**files, f"{info}/METADATA": metadata}
        for path, content in files.items():
            self.write(self.packages / path, content)
        record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD", "../../bin/tool"])
        self.write(self.packages / info / "RECORD", record)


def make_site(root):
    site = Site(root)
    topics = {f"topic{i}": site.text() for i in range(6)} | {"short": "too short"}
    site.write(site.standard / "pydoc_data" / "topics.py", f"topics = {topics!r}\n")
    site.write(site.standard / "json" / "decoder.py", site.module(30))
    site.write(site.standard / "test" / "test_json.py", site.module(5))
    site.write(site.standard / "LICENSE.txt", site.text())
    flag = site.root / "was-run"
    side_effect = f"open({str(flag)!r}, 'w').close()\nraise RuntimeError\n"
    site.distribution(
        "alpha",
        {
            "alpha/core.py": site.module(300),
            "alpha/run.py": (f'"""{site.text()}"""\n{side_effect}'),
        },
    )
    for name in HELD_OUT_SIZED:
        site.distribution(
            name,
            {
                f"{name}/a.py": site.module(20),
                f"{name}/_vendor/other/b.py": site.module(3),
                f"{name}/tests/test_a.py": site.module(3),
                f"{name}-1.0.dist-info/licenses/LICENSE.md": site.text(),
                f"{name}/README.md": site.text(),
            },
        )
    site.distribution("tiny", {"tiny.py": site.module(1)})
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pool(site):
    return collect_documentation(site.environment)


@pytest.fixture(scope="module")
def corpus(site, tmp_path_factory):
    return build_demo_corpus(tmp_path_factory.mktemp("demo"), environment=site.environment)


@pytest.fixture(scope="module")
def raw(corpus):
    """The raw input beside its truth."""
    return pl.read_parquet(corpus.raw).with_columns(
        pl.read_parquet(corpus.truth).drop("id").get_columns()
    )


# ---------------------------------------------------------------- reading an installation


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


# ---------------------------------------------------------------- the split


def test_evaluation_sets_are_the_language_reference_and_three_distributions(corpus, raw):
    names = [path.stem for path in corpus.evaluation]
    sources = set(raw["source"])

    assert names[0] == "language_reference"
    assert len(names) == 4
    assert set(names[1:]) < set(HELD_OUT_SIZED)
    assert sources & set(names) == set()
    assert "python" in sources


def test_evaluation_holds_neither_licences_nor_vendored_text(corpus, pool):
    kinds = pool.select("id", "kind", "vendored")
    for path in corpus.evaluation[1:]:
        found = pl.read_parquet(path).join(kinds, on="id", how="left")
        assert found.height > 20
        assert set(found["kind"]) == {"docstring", "readme"}
        assert not found["vendored"].any()
        assert set(found["source"]) == {path.stem}


def test_licences_and_vendored_text_of_other_distributions_are_in_raw(corpus, raw):
    stays = (set(HELD_OUT_SIZED) - {path.stem for path in corpus.evaluation}).pop()
    documentation = raw.filter(pl.col("kind").is_null())["id"].to_list()

    assert f"{stays}/_vendor/other/b.py" in documentation
    assert f"{stays}-1.0.dist-info/licenses/LICENSE.md" in documentation


def test_reference_is_the_standard_library_without_licences(corpus):
    reference = pl.read_parquet(corpus.reference)

    assert reference["source"].unique().to_list() == ["python"]
    assert "python/LICENSE.txt" not in reference["id"]
    assert reference.columns == NAMES


def test_every_eligible_distribution_can_be_chosen(pool):
    chosen = {tuple(choose_held_out(pool, seed=seed)) for seed in range(40)}

    assert {name for names in chosen for name in names} == set(HELD_OUT_SIZED)
    assert all(len(set(names)) == 3 for names in chosen)


def test_too_few_eligible_distributions_say_so(pool):
    with pytest.raises(InputError, match=r"2 distributions hold 2–8 % .* largest shares: alpha"):
        choose_held_out(pool.filter(~pl.col("source").is_in(["beta", "gamma"])), seed=1)


@pytest.mark.parametrize(
    ("limit", "expected"), [(100, [40, 20, 10]), (50, [20, 20, 10]), (9, [3, 3, 3])]
)
def test_cap_thins_out_the_largest_only(limit, expected):
    rows = [
        {"id": f"{source}{i}", "text": "x", "source": source}
        for source, n in zip("abc", (40, 20, 10), strict=True)
        for i in range(n)
    ]
    pool = pl.DataFrame(rows)
    found = cap_sources(pool, max_bytes=limit, seed=1)

    assert [found.filter(pl.col("source") == s).height for s in "abc"] == expected
    assert found["id"].to_list() == [i for i in pool["id"] if i in set(found["id"])]


# ---------------------------------------------------------------- raw input and truth


def test_shares_of_noise_add_up_and_cover_every_kind():
    from curate.defects import DEFECTS

    assert sum(noise.share for noise in NOISE.values()) == pytest.approx(1)
    assert set(NOISE) == set(DEFECTS)


def test_tables_have_their_columns(corpus):
    assert pl.read_parquet(corpus.raw).columns == NAMES
    assert pl.read_parquet(corpus.truth).columns == ["id", "kind", "origin", "similarity"]
    for path in corpus.evaluation:
        assert pl.read_parquet(path).columns == NAMES


def test_documentation_is_whole_and_unchanged(corpus, raw, pool):
    held_out = [path.stem for path in corpus.evaluation]
    expected = pool.filter(~pl.col("source").is_in(held_out)).select(NAMES).sort("id")

    assert raw.filter(pl.col("kind").is_null()).select(NAMES).sort("id").equals(expected)


def test_noise_is_a_third_by_the_declared_bytes_per_token(raw):
    sizes = raw.group_by("kind").agg(pl.col("text").str.len_bytes().sum().alias("bytes"))
    found = dict(sizes.iter_rows())
    documentation = found[None] / DOCUMENTATION_BYTES_PER_TOKEN
    noise = sum(found[kind] / NOISE[kind].bytes_per_token for kind in NOISE)

    assert noise / (noise + documentation) == pytest.approx(NOISE_SHARE, abs=0.02)


@pytest.mark.slow
def test_corpus_of_this_installation(tmp_path):
    """Real text: large enough, held-out sets of the stated size, a third of the tokens noise."""
    corpus = build_demo_corpus(tmp_path, packages=REAL_PACKAGES)
    raw = pl.read_parquet(corpus.raw)
    is_noise = pl.read_parquet(corpus.truth)["kind"].is_not_null()
    sample = raw["text"].gather_every(5)
    tokenizer = train_tokenizer(sample.to_list(), vocabulary=1024)
    tokens = pl.Series(np.diff(encode(tokenizer, raw["text"])[1]))
    held_out = [corpus.facts["evaluation"][path.stem]["bytes"] for path in corpus.evaluation]
    total = corpus.facts["documentation"]["bytes"] + sum(held_out[1:])

    assert total <= DOCUMENTATION_BYTES
    assert corpus.facts["documentation"]["bytes"] > 10_000_000
    assert corpus.facts["reference"]["bytes"] > 500_000
    assert all(0.015 < size / total < 0.085 for size in held_out)
    assert tokens.filter(is_noise).sum() / tokens.sum() == pytest.approx(NOISE_SHARE, abs=0.03)


def test_every_kind_is_there_in_its_share_of_bytes(raw):
    sizes = raw.group_by("kind").agg(pl.col("text").str.len_bytes().sum().alias("bytes"))
    found = dict(sizes.drop_nulls().iter_rows())
    tokens = {kind: found[kind] / NOISE[kind].bytes_per_token for kind in NOISE}

    for kind in ("exact_copy", "random_letters", "navigation"):
        assert tokens[kind] / sum(tokens.values()) == pytest.approx(NOISE[kind].share, rel=0.3)


def test_noise_has_borrowed_names_only(raw):
    is_noise = raw["kind"].is_not_null()
    documentation, noise = raw.filter(~is_noise), raw.filter(is_noise)
    files = set(documentation["id"].str.split(":").list.first())
    kinds = "|".join(NOISE)

    assert raw["id"].is_unique().all()
    assert set(noise["source"]) <= set(documentation["source"])
    assert set(noise["id"].str.split(":").list.first().str.split("#").list.first()) <= files
    assert not noise["id"].str.contains(rf"{kinds}|noise|control|copy").any()


def test_noise_is_spread_over_the_rows(raw):
    is_noise = raw["kind"].is_not_null().to_numpy()
    half = is_noise[: len(is_noise) // 2].sum()
    n, k = len(is_noise), is_noise.sum()

    # Hypergeometric: 4 standard deviations around half of the noise.
    deviation = np.sqrt(k * (1 - k / n)) / 2
    assert abs(half - k / 2) < 4 * deviation


def test_origins_are_documentation_in_raw(raw):
    documentation = set(raw.filter(pl.col("kind").is_null())["id"])
    origins = raw["origin"].drop_nulls()

    assert len(origins) > 10
    assert set(origins) <= documentation


def test_exact_copies_are_exact(raw):
    texts = dict(raw.select("id", "text").iter_rows())
    copies = raw.filter(pl.col("kind") == "exact_copy")

    assert copies.height > 5
    assert all(texts[o] == t for o, t in copies.select("origin", "text").iter_rows())
    assert (copies["similarity"] == 1).all()


def test_manifest_counts_what_the_files_hold(corpus, raw):
    facts = json.loads((corpus.raw.parent / "manifest.json").read_text("utf-8"))
    noise = raw.filter(pl.col("kind").is_not_null())

    assert facts == corpus.facts
    assert facts["raw"] == {
        "documents": raw.height,
        "bytes": raw["text"].str.len_bytes().sum(),
    }
    assert facts["noise"]["documents"] == noise.height
    assert facts["documentation"]["documents"] + noise.height == raw.height
    assert sum(kind["documents"] for kind in facts["noise_kinds"].values()) == noise.height
    assert list(facts["evaluation"]) == [path.stem for path in corpus.evaluation]


# ---------------------------------------------------------------- determinism


def digests(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_installation_elsewhere_gives_the_same_bytes(corpus, tmp_path):
    elsewhere = make_site(tmp_path / "another" / "place")
    run = elsewhere.packages / "alpha" / "run.py"
    run.write_text(re.sub(r"open\(.*\n", "pass\n", run.read_text("utf-8")), "utf-8")
    build_demo_corpus(tmp_path / "demo", environment=elsewhere.environment)

    assert digests(tmp_path / "demo") == digests(corpus.raw.parent)


def test_another_seed_gives_another_corpus(site, corpus, tmp_path):
    other = build_demo_corpus(tmp_path / "demo", seed=18, environment=site.environment)

    assert other.raw.read_bytes() != corpus.raw.read_bytes()


def test_evaluation_sets_of_an_earlier_corpus_go(site, corpus, tmp_path):
    old = tmp_path / "evaluation" / "old.parquet"
    old.parent.mkdir()
    old.write_bytes(b"")
    build_demo_corpus(tmp_path, environment=site.environment)

    assert digests(tmp_path) == digests(corpus.raw.parent)


def test_packages_limit_the_text(site, tmp_path):
    names = ["alpha", *HELD_OUT_SIZED]
    corpus = build_demo_corpus(tmp_path, packages=names, environment=site.environment)

    assert "tiny" not in set(pl.read_parquet(corpus.raw)["source"])


def test_config_points_at_the_corpus(monkeypatch, corpus, tmp_path):
    built = []
    monkeypatch.setattr(
        "curate.demo.build.build_demo_corpus", lambda folder, seed: built.append(folder) or corpus
    )
    config = demo_config(tmp_path / "demo")

    assert built == [tmp_path / "demo-corpus"]
    assert config["input"]["path"] == str(corpus.raw)
    assert config["measure"]["evaluation"] == [str(path) for path in corpus.evaluation]
    assert config["truth"] == str(corpus.truth)
    assert config["output"]["path"] == str(tmp_path / "demo")
