"""The demo's corpus: real documentation, read and never run; noise that only the truth names."""

import json
import re

import numpy as np
import polars as pl
import pytest
from demo_site import HELD_OUT_SIZED, make_site

from curate.demo import NOISE, build_demo_corpus, collect_documentation
from curate.demo.build import (
    DOCUMENTATION_BYTES,
    DOCUMENTATION_BYTES_PER_TOKEN,
    NOISE_SHARE,
    cap_sources,
    choose_held_out,
    demo_config,
)
from curate.errors import InputError
from curate.tokens import encode, train_tokenizer

REAL_PACKAGES = (
    *("beartype", "datasets", "huggingface-hub", "numpy", "pandas", "polars", "prefect"),
    *("pydantic", "scikit-learn", "scipy", "sqlalchemy"),
)
NAMES = ["id", "text", "source"]


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
        "curate.demo.build.build_demo_corpus",
        lambda folder, **options: built.append(folder) or corpus,
    )
    config = demo_config(tmp_path / "demo")

    assert built == [tmp_path / "demo-corpus"]
    assert config["input"]["path"] == str(corpus.raw)
    assert config["measure"]["evaluation"] == [str(path) for path in corpus.evaluation]
    assert config["truth"] == str(corpus.truth)
    assert config["output"]["path"] == str(tmp_path / "demo")
