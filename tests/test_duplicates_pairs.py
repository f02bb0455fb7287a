"""Finding pairs: what is planted is found, what is found is true."""

import html
import math
import re

import numpy as np
import polars as pl
import pytest

from curate import duplicates
from curate.duplicates import (
    PRESETS,
    DuplicatesConfig,
    NearDuplicates,
    find_duplicates,
    find_pairs,
    verification,
)
from curate.duplicates import pairs as search
from curate.duplicates.near import pairs_of_bands
from curate.duplicates.shuffle import shuffled_pairs_of_bands
from curate.errors import ConfigError, InputError, IntegrityError
from curate.statistics import binomial_band
from curate.text import sketch, text_similarity

HIGH_RECALL = DuplicatesConfig(near=NearDuplicates(preset="high_recall"))


def frame_of(texts, ids=None):
    ids = ids if ids is not None else [f"d{i:05}" for i in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})


def pairs_in(frame, config=None):
    return find_pairs(lambda: [frame], config)


def planted(count, *, words=200, shares=(0.005, 0.01, 0.02, 0.03, 0.05), seed=11):
    """Random documents, each with one copy some of whose words are replaced."""
    rng = np.random.default_rng(seed)
    originals, copies = [], []
    for i in range(count):
        text = rng.integers(0, 5_000, words).astype(str)
        copy = text.copy()
        edited = max(1, round(words * shares[i % len(shares)]))
        copy[rng.choice(words, edited, replace=False)] = "edited"
        originals.append(" ".join(text))
        copies.append(" ".join(copy))
    return originals, copies


@pytest.fixture(scope="module")
def corpus():
    originals, copies = planted(500)
    similarity = text_similarity(pl.Series(originals), pl.Series(copies))["jaccard"].to_numpy()
    return frame_of(originals + copies), similarity


@pytest.mark.parametrize("preset", ["balanced", "high_recall"])
def test_planted_near_copies_are_found(corpus, preset):
    frame, similarity = corpus
    found = pairs_in(frame, DuplicatesConfig(near=NearDuplicates(preset=preset)))
    expected = {(f"d{i:05}", f"d{i + 500:05}") for i in np.flatnonzero(similarity >= 0.8)}
    pairs = set(found.select("id_a", "id_b").iter_rows())
    assert len(expected) > 200
    assert len(pairs & expected) >= 0.99 * len(expected)
    assert pairs <= expected  # nothing below the threshold, nothing that was not planted


def test_similarity_and_containment_are_exact(corpus):
    frame, similarity = corpus
    found = pairs_in(frame, HIGH_RECALL)
    rows = found["id_a"].str.slice(1).cast(pl.Int64).to_numpy()
    assert found["jaccard"].to_list() == similarity[rows].tolist()
    assert (found["containment"] >= found["jaccard"]).all()
    assert set(found["kind"]) == {"near"}


def test_candidates_follow_the_curve_of_bands_and_rows():
    """Found share against 1 - (1 - J^8)^14, five standard deviations of a Poisson binomial."""
    near = NearDuplicates(jaccard=0.5, preset="fineweb")
    originals, copies = planted(1_500, words=150, shares=(0.03, 0.045, 0.06))
    exact = text_similarity(pl.Series(originals), pl.Series(copies))["jaccard"].to_list()
    found = pairs_in(frame_of(originals + copies), DuplicatesConfig(near=near)).height
    chances = [near.candidate_probability(j) for j in exact if j >= 0.5]
    spread = math.sqrt(sum(p * (1 - p) for p in chances))
    assert 0.3 < sum(chances) / len(chances) < 0.7
    assert abs(found - sum(chances)) < 5 * spread


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_exact_copies_are_all_found(preset):
    originals, _ = planted(200, words=60)
    shouted = [re.sub(" ", ",  ", text).upper() + "!" for text in originals]
    frame = frame_of(originals + shouted + originals)
    found = pairs_in(frame, DuplicatesConfig(near=NearDuplicates(preset=preset)))
    expected = {(f"d{i % 200:05}", f"d{i:05}") for i in range(200, 600)}
    assert set(found.select("id_a", "id_b").iter_rows()) == expected
    assert found.select("kind", "jaccard", "containment").unique().rows() == [("exact", 1.0, 1.0)]


def test_without_exact_the_copies_are_near_ones():
    text = "one two three four five six seven eight"
    frame = frame_of([text, text.upper(), text + " nine"])
    config = DuplicatesConfig(exact=False, near=NearDuplicates(preset="high_recall"))
    assert pairs_in(frame, config).rows() == [
        ("d00000", "d00001", "near", 1.0, 1.0),
        ("d00000", "d00002", "near", 0.8, 1.0),
        ("d00001", "d00002", "near", 0.8, 1.0),
    ]
    assert pairs_in(frame, DuplicatesConfig(near=None)).height == 1
    assert pairs_in(frame, DuplicatesConfig(exact=False, near=None)).height == 0


def test_near_pairs_join_the_first_documents_of_two_classes():
    text = " ".join(f"w{i}" for i in range(50))
    frame = frame_of([text, text + " end", text, text + " end"], ids=list("zyxw"))
    assert pairs_in(frame).select("id_a", "id_b", "kind").rows() == [
        ("y", "w", "exact"),
        ("z", "x", "exact"),
        ("z", "y", "near"),
    ]


EDGES = [
    ("", "", True),
    ("", " ", False),
    ("\x00", "\x00", True),
    ("\x00", "\x00\x00", False),
    ("🙂🙂", "🙂🙂", True),
    ("🙂", "🙃", False),
    ("…", "...", False),
    ("word", "Word.", True),
    ("one two three", "one two three four", False),
    ("one two", "two one", False),
]


@pytest.mark.parametrize(("left", "right", "equal"), EDGES)
def test_short_and_wordless_documents(left, right, equal):
    found = pairs_in(frame_of([left, "something quite different", right]), HIGH_RECALL)
    assert found.select("id_a", "id_b", "kind").rows() == (
        [("d00000", "d00002", "exact")] if equal else []
    )


def test_unspaced_scripts_have_near_duplicates():
    text = "東京は日本の首都である。人口は約千四百万人で、世界有数の大都市圏を形成している。" * 2
    changed = text.replace("約千四百万人", "約千三百万人", 1)
    found = pairs_in(
        frame_of([text, changed, "全く別の文章がここに書かれています。" * 3]), HIGH_RECALL
    )
    assert found.select("id_a", "id_b", "kind").rows() == [("d00000", "d00001", "near")]


def test_a_word_of_five_megabytes():
    found = pairs_in(frame_of(["x" * 5_000_000, "short", "X" * 5_000_000 + "."]), HIGH_RECALL)
    assert found.select("id_a", "id_b", "kind").rows() == [("d00000", "d00002", "exact")]


@pytest.mark.parametrize("rows", [1, 7, 333])
def test_how_documents_are_split_into_parts_changes_nothing(corpus, rows):
    again = corpus[0].head(40).with_columns(id="again " + pl.col("id"))
    frame = pl.concat([corpus[0], again]).sample(fraction=1, shuffle=True, seed=3)
    whole = pairs_in(frame)
    assert set(whole["kind"]) == {"exact", "near"}
    parts = find_pairs(lambda: frame.iter_slices(rows))
    assert parts.equals(whole)


def test_verification_in_turns_changes_nothing(corpus, monkeypatch):
    frame, _ = corpus
    whole, calls = pairs_in(frame), []
    monkeypatch.setattr(verification, "_SHINGLES_HELD", 5_000)
    in_turns = find_pairs(lambda: calls.append(1) or [frame])
    assert in_turns.equals(whole)
    assert len(calls) > 10


def test_other_seeds_find_the_same_when_the_search_is_thorough(corpus):
    one, two = (
        pairs_in(
            corpus[0],
            DuplicatesConfig(near=NearDuplicates(jaccard=0.9, preset="high_recall", seed=s)),
        )
        for s in (1, 2)
    )
    assert one.height > 100
    assert one.equals(two)


def test_a_hash_collision_never_makes_a_duplicate(monkeypatch):
    """Every document is given the same hash: only equal words still count as copies."""
    monkeypatch.setattr(search, "first_of_class", lambda hashes: np.zeros(len(hashes), np.int64))
    found = pairs_in(frame_of(["first text", "other text", "First, TEXT!", "other text"]))
    assert found.select("id_a", "id_b").rows() == [("d00000", "d00002")]


@pytest.mark.parametrize("survivor", ["longest", "earliest"])
def test_a_template_of_many_pages_leaves_one(survivor):
    """More members than a chain of the candidate search can reach."""
    template = [f"w{i}" for i in range(200)]
    texts = [" ".join([*template[:100], f"page {i * i}", *template[100:]]) for i in range(600)]
    frame = frame_of(texts)
    result = find_duplicates(frame, survivor=survivor)
    kept = frame.filter(~pl.col("id").is_in(result.removed["id"].implode()))["id"].to_list()
    longest = min(range(600), key=lambda i: (-len(texts[i]), i))
    assert kept == [f"d{longest if survivor == 'longest' else 0:05}"]
    assert result.pairs.height < 600 * 200


def test_ids_must_be_unique_and_parts_must_stay_the_same():
    frame = frame_of(["a b", "c d", "a b"])
    with pytest.raises(InputError, match="id 'x' occurs more than once"):
        pairs_in(frame.with_columns(id=pl.lit("x")))
    calls = iter([[frame], [frame.head(2)]])
    with pytest.raises(IntegrityError, match="held 3 documents and then 2"):
        find_pairs(lambda: next(calls))


def test_nothing_in_nothing_out():
    for parts in ([], [frame_of([])]):
        found = find_pairs(lambda parts=parts: parts)
        assert found.schema == duplicates.PAIRS_SCHEMA
        assert found.height == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jaccard": 0.0}, r"jaccard = 0.0 .* \(0, 1\]"),
        ({"jaccard": 1.1}, r"jaccard = 1.1 .* \(0, 1\]"),
        ({"preset": "fine"}, "did you mean 'fineweb'"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_configs_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        NearDuplicates(**options)


def test_find_duplicates_on_frames_lazy_or_not(corpus):
    frame = corpus[0].with_columns(source=pl.lit("web"))
    eager = find_duplicates(frame, near=NearDuplicates(jaccard=0.85))
    lazy = find_duplicates(frame.lazy(), near=NearDuplicates(jaccard=0.85))
    assert eager.pairs.equals(lazy.pairs)
    assert eager.removed.equals(lazy.removed)
    assert eager.removed.columns == ["id", "kept_id", "kind", "jaccard"]
    assert (eager.removed["jaccard"] >= 0.85).all()
    assert not set(eager.removed["id"]) & set(eager.removed["kept_id"])


def test_find_duplicates_names_a_missing_column():
    with pytest.raises(ConfigError, match="column 'text' is missing; there are: id, body"):
        find_duplicates(pl.DataFrame({"id": ["a"], "body": ["b"]}))
    with pytest.raises(ConfigError, match="column 'quality' is missing"):
        find_duplicates(frame_of(["a"]), survivor="best_quality")


def test_the_notebook_view_is_escaped():
    evil = "<script>alert(1)</script>"
    shown = find_duplicates(frame_of(["a b c"] * 2, ids=["ok", evil]))._repr_html_()
    assert "1 of 2 documents have a duplicate that stays; 1 exact and 0 near pairs" in shown
    assert evil not in shown
    assert html.escape(evil, quote=False) in shown


SEARCHES = [
    {"preset": "high_recall"},
    {"scheme": "one_permutation", "recall": 0.99},
    {"jaccard": 0.7, "recall": 0.999},
]


@pytest.mark.parametrize("survivor", ["longest", "earliest"])
@pytest.mark.parametrize("options", SEARCHES)
def test_a_search_through_files_finds_the_same(corpus, options, survivor):
    """Signatures and bands in a temporary folder, buckets of a few thousand rows."""
    near = NearDuplicates(**options)
    in_memory, spilled = (
        find_pairs(
            lambda: corpus[0].iter_slices(333),
            DuplicatesConfig(near=near, survivor=survivor, memory_mb=memory),
        )
        for memory in (None, 1)
    )
    assert in_memory.height > 200
    assert spilled.equals(in_memory)


@pytest.mark.parametrize("scheme", ["affine32", "one_permutation"])
@pytest.mark.parametrize("recall", [0.8, 0.95, 0.999])
def test_bands_chosen_for_a_recall_reach_it(recall, scheme):
    """Pairs right above the threshold are the hardest; the band holds in 999 of 1,000 runs."""
    jaccard = 0.8
    originals, copies = planted(1_000, words=150, shares=(0.02,))
    exact = text_similarity(pl.Series(originals), pl.Series(copies))["jaccard"]
    total = int((exact >= jaccard).sum())
    near = NearDuplicates(jaccard=jaccard, recall=recall, scheme=scheme)
    found = pairs_in(frame_of(originals + copies), DuplicatesConfig(near=near)).height
    assert near.candidate_probability(jaccard) >= recall
    assert near.permutations <= 512
    low, _ = binomial_band(total, recall, level=0.998)
    assert total > 500
    assert found >= low


def test_a_recall_out_of_reach_is_refused():
    with pytest.raises(ConfigError, match=r"no 512 permutations find pairs of Jaccard 0\.01"):
        NearDuplicates(jaccard=0.01, recall=0.999)


def test_an_excerpt_counts_where_containment_is_asked_for():
    words = [f"w{i}" for i in range(400)]
    frame = frame_of([" ".join(words[:280]), " ".join(words), " ".join(words[200:] + words[:180])])
    near = NearDuplicates(jaccard=0.8, containment=0.9, recall=0.999)
    pairs = pairs_in(frame, DuplicatesConfig(near=near))
    rows = pairs.filter(pl.col("jaccard") < 0.8).select("id_a", "id_b").rows()
    assert ("d00000", "d00001") in rows
    assert (pairs["containment"] >= 0.9).all()
    assert find_duplicates(frame, near=near).removed["id"].to_list()[0] == "d00000"
    with pytest.raises(ConfigError, match="containment needs survivor = 'longest'"):
        DuplicatesConfig(near=near, survivor="earliest")


def test_chains_keep_their_far_end():
    """A~B~C with A and C unlike: C stays, whichever of the two ends comes first."""
    words = [f"w{i}" for i in range(300)]
    a, b, c = (" ".join(words[start : start + 240]) for start in (0, 20, 40))
    similarity = text_similarity(pl.Series([a, b, a]), pl.Series([b, c, c]))["jaccard"].to_list()
    near = NearDuplicates(jaccard=0.8, preset="high_recall")
    assert similarity[0] >= 0.8 > similarity[2]
    for texts, kept in (([a, b, c], "d00002"), ([c, b, a], "d00002")):
        removed = find_duplicates(frame_of(texts), near=near, survivor="earliest").removed
        assert removed.select("id", "kept_id").rows() == [("d00001", "d00000")]
        assert kept not in removed["id"]


def test_what_earlier_documents_find_does_not_depend_on_later_ones(corpus):
    """Under `earliest` the pairs of a beginning are the beginning of the pairs."""
    frame = corpus[0].sample(fraction=1, shuffle=True, seed=5)
    config = DuplicatesConfig(survivor="earliest")
    whole = pairs_in(frame, config)
    for rows in (100, 450, 820):
        some = frame.head(rows)
        both = pl.col("id_a").is_in(some["id"].implode()) & pl.col("id_b").is_in(
            some["id"].implode()
        )
        assert pairs_in(some, config).equals(whole.filter(both))


@pytest.mark.parametrize("memory_bytes", [2_000, 10**9])
def test_buckets_and_tables_meet_the_same_pairs(corpus, tmp_path, memory_bytes):
    """Thousands of buckets with pairs let go in between, and two buckets."""
    near = NearDuplicates(preset="balanced")
    made = sketch(corpus[0]["text"], permutations=near.permutations)
    values, sizes = made.signature, made.n_shingles
    options = {"folder": tmp_path, "memory_bytes": memory_bytes}
    shuffled = shuffled_pairs_of_bands(values, sizes, near, **options)
    assert shuffled.tolist() == pairs_of_bands(values, sizes, near).tolist()
    assert len(shuffled) > 200


def test_ids_that_are_numbers_are_named():
    frame = pl.DataFrame({"id": [1, 2], "text": ["a b", "a b"]})

    with pytest.raises(
        ConfigError, match=r"column 'id' is Int64; it must be text, e\.g\. by pl\.col"
    ):
        find_duplicates(frame)
