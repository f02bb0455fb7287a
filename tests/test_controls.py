"""Planted documents are what their truth says; the scoreboard counts them by its own words."""

import itertools
import re

import numpy as np
import polars as pl
import pytest
from conftest import prose, vocabulary

from curate.controls import (
    ControlsConfig,
    control_counts,
    inert_filler,
    plant,
    plant_defects,
    scoreboard,
)
from curate.defects import COPIES, DEFECTS, ORIGIN_WORDS
from curate.errors import ConfigError, IntegrityError
from curate.proxies import FAMILIES
from curate.proxies.protocol import Evaluation
from curate.tokens import encode, train_tokenizer


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(5)
    words = vocabulary(rng)
    lengths = [30] * 20 + [80] * 60 + [200] * 120
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(len(lengths))],
            "text": [prose(rng, words, n) for n in lengths],
        }
    )


@pytest.fixture(scope="module")
def canaries(documents):
    return documents.select(pl.format("eval-{}", "id").alias("id"), "text")


@pytest.fixture(scope="module")
def planted(documents, canaries):
    return plant(documents, canaries, share=0.2, seed=3)


def word_grams(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def made(kind, text="", seed=1):
    return DEFECTS[kind](np.random.default_rng(seed), text)


# ---------------------------------------------------------------- plan and shape


@pytest.mark.parametrize("share", [-0.1, 0.21, float("nan")])
def test_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError, match=r"controls\.share is .*allowed: 0 to 0\.2"):
        ControlsConfig(share=share)


@pytest.mark.parametrize(
    ("n", "each", "canary"),
    [
        (0, None, None),
        (1, 1, 1),
        (300, 3, 3),
        (2_000, 20, 20),
        (13_000, 20, 65),
        (80_000, 100, 400),
    ],
)
def test_counts_follow_share_with_a_floor(n, each, canary):
    counts = control_counts(n, share=0.02)

    assert counts.get("hex_dump") == each
    assert counts.get("canary") == canary
    assert set(counts) == ({*DEFECTS, "canary"} if n else set())


def test_no_share_no_controls(documents, canaries):
    controls, truth = plant(documents, canaries, share=0.0, seed=1)

    assert controls.is_empty()
    assert truth.is_empty()


def test_controls_have_the_documents_shape(planted):
    controls, truth = planted

    assert controls.columns == ["id", "text", "source", "control"]
    assert set(controls.dtypes) == {pl.String}
    assert controls["id"].is_unique().all()
    assert controls["source"].unique().to_list() == ["control"]
    assert controls["id"].to_list() == truth["id"].to_list()
    assert controls["control"].to_list() == truth["kind"].to_list()
    assert set(truth["kind"]) == {*DEFECTS, "canary"}
    assert controls["id"].str.contains(r"^control:[a-z0-9_]+:\d+$").all()


def test_same_seed_same_controls_other_seed_others(documents, canaries, planted):
    again = plant(documents, canaries, share=0.2, seed=3)
    other = plant(documents, canaries, share=0.2, seed=4)

    assert again[0].equals(planted[0])
    assert again[1].equals(planted[1])
    assert not other[0].equals(planted[0])


def test_origins_are_used_once_and_long_enough(documents, planted):
    truth = planted[1].filter(pl.col("kind") != "canary").drop_nulls("origin")
    words = dict(zip(documents["id"], documents["text"].str.count_matches(r"\S+"), strict=True))

    assert truth["origin"].is_unique().all()
    assert set(truth["kind"]) == set(ORIGIN_WORDS)
    assert all(words[o] >= ORIGIN_WORDS[k] for k, o in truth.select("kind", "origin").iter_rows())


def test_canaries_are_evaluation_texts_unchanged(canaries, planted):
    controls, truth = planted
    pairs = truth.filter(pl.col("kind") == "canary").join(controls, on="id")
    texts = dict(canaries.iter_rows())

    assert pairs.height > 0
    assert all(texts[o] == t for o, t in pairs.select("origin", "text").iter_rows())
    assert (pairs["text"].str.count_matches(r"\S+") >= 100).all()
    assert pairs["expected"].unique().to_list() == ["kept"]


def test_too_short_documents_give_fewer_controls():
    short = pl.DataFrame({"id": ["a", "b"], "text": ["only a few words", "and a few more"]})

    truth = plant(short, None, share=0.2, seed=1)[1]

    assert set(truth["kind"]) == set(DEFECTS) - set(ORIGIN_WORDS)


def test_amounts_in_bytes_are_met_to_within_half_a_document(documents):
    found = plant_defects(
        documents, {"navigation": 50_000, "mojibake": 9_000}, unit="bytes", seed=1
    )

    for kind, wanted in [("navigation", 50_000), ("mojibake", 9_000)]:
        sizes = found.filter(pl.col("kind") == kind)["text"].str.len_bytes().to_list()
        assert abs(sum(sizes) - wanted) <= max(sizes) / 2


# ---------------------------------------------------------------- truth of copies


def test_similarity_is_the_exact_jaccard_of_word_5_grams(documents, planted):
    controls, truth = planted
    texts = dict(documents.iter_rows())
    copies = truth.filter(pl.col("kind").is_in(COPIES)).join(controls, on="id")
    others = truth.filter(~pl.col("kind").is_in(COPIES))

    assert set(copies["kind"]) == set(COPIES)
    for row in copies.to_dicts():
        a, b = word_grams(texts[row["origin"]]), word_grams(row["text"])
        assert row["similarity"] == pytest.approx(len(a & b) / len(a | b), abs=1e-12)
    assert others["similarity"].null_count() == others.height


def test_near_copies_are_expected_by_their_similarity(planted):
    near = planted[1].filter(pl.col("kind").str.starts_with("near_copy"))
    similar = near["similarity"] >= 0.8

    assert similar.any()
    assert not similar.all()
    assert (near["expected"].eq("removed") == similar).all()


# ---------------------------------------------------------------- scoreboard


def board(rows, edits=(), extra=()):
    """Rows of (id, kind, origin, similarity, kept); `extra` verdicts of (id, kept)."""
    truth = pl.DataFrame(
        [row[:4] for row in rows],
        schema={"id": str, "kind": str, "origin": str, "similarity": float},
        orient="row",
    )
    verdicts = pl.DataFrame(
        [(row[0], row[4]) for row in rows] + list(extra),
        schema={"id": str, "kept": bool},
        orient="row",
    )
    table = scoreboard(
        truth, verdicts, pl.DataFrame(list(edits), schema={"id": str, "step": str}, orient="row")
    )
    return {row["kind"]: row for row in table.to_dicts()}


@pytest.mark.parametrize(
    ("kind", "step", "kept", "caught"),
    [
        ("hex_dump", None, False, 1),
        ("hex_dump", None, True, 0),
        ("hex_dump", "mask_pii", True, 0),
        ("personal_data", "mask_pii", True, 1),
        ("personal_data", "repair_encoding", True, 0),
        ("personal_data", None, False, 1),
        ("mojibake", "repair_encoding", True, 1),
        ("mojibake", "repair_mojibake", True, 1),
        ("mojibake", "mask_pii", True, 0),
        ("canary", None, True, 0),
        ("canary", None, False, 1),
    ],
)
def test_what_counts_as_caught(kind, step, kept, caught):
    edits = [("x", step)] if step else []

    assert board([("x", kind, None, None, kept)], edits)[kind]["caught"] == caught


@pytest.mark.parametrize(
    ("kept", "origin_kept", "caught"),
    [(True, True, 0), (False, True, 1), (True, False, 1), (False, False, 1)],
)
def test_a_copy_is_caught_when_one_of_the_two_left(kept, origin_kept, caught):
    rows = [("x", "exact_copy", "o", 1.0, kept)]

    assert board(rows, extra=[("o", origin_kept)])["exact_copy"]["caught"] == caught


def test_a_defect_made_from_a_removed_document_must_still_be_caught_itself():
    rows = [("x", "repeated_lines", "o", None, True)]

    assert board(rows, extra=[("o", False)])["repeated_lines"]["caught"] == 0


def test_near_copies_stand_in_two_rows_by_similarity():
    rows = [("a", "near_copy_1", "o", 0.8, False), ("b", "near_copy_5", "p", 0.79, True)]
    found = board([*rows, ("c", "near_copy_2", "q", 0.95, True)])

    assert found["near_copy, jaccard >= 0.8"]["planted"] == 2
    assert found["near_copy, jaccard >= 0.8"]["recall"] == 0.5
    assert found["near_copy, jaccard >= 0.8"]["expected"] == "removed"
    assert found["near_copy, jaccard < 0.8"]["expected"] == "kept"
    assert found["near_copy, jaccard < 0.8"]["recall"] == 0


def test_near_copies_are_scored_by_the_threshold_of_the_run():
    truth = pl.DataFrame(
        {"id": ["a", "b"], "kind": ["near_copy_5"] * 2, "origin": [None] * 2}
        | {"similarity": [0.6, 0.4]},
        schema_overrides={"origin": pl.String},
    )
    verdicts = pl.DataFrame({"id": ["a", "b"], "kept": [False, True]})
    edits = pl.DataFrame(schema={"id": str, "step": str})

    found = scoreboard(truth, verdicts, edits, near=0.5).select("kind", "caught", "expected")

    assert found.rows() == [
        ("near_copy, jaccard >= 0.5", 1, "removed"),
        ("near_copy, jaccard < 0.5", 0, "kept"),
    ]


def test_rows_stand_in_a_fixed_order_what_must_be_caught_first():
    kinds = ["canary", "mojibake", "near_copy_5", "base64_dump"]
    rows = [(str(i), kind, None, 0.5, True) for i, kind in enumerate(kinds)]
    expected = ["base64_dump", "mojibake", "canary", "near_copy, jaccard < 0.8"]

    assert list(board(rows)) == expected
    assert list(board(rows[::-1])) == expected


def test_documents_without_a_kind_are_not_scored():
    assert set(board([("a", None, None, None, True), ("b", "hex_dump", None, None, True)])) == {
        "hex_dump"
    }


def test_interval_is_wilsons():
    row = board([(f"x{i}", "hex_dump", None, None, i > 7) for i in range(10)])["hex_dump"]

    assert (row["caught"], row["planted"]) == (8, 10)
    assert (round(row["low"], 4), round(row["high"], 4)) == (0.4902, 0.9433)


def test_a_control_without_verdict_is_an_error():
    truth = pl.DataFrame(
        {"id": ["x"], "kind": ["hex_dump"], "origin": [None], "similarity": [None]},
        schema_overrides={"origin": str, "similarity": float},
    )
    nothing = pl.DataFrame(schema={"id": str, "kept": bool})

    with pytest.raises(IntegrityError, match="1 of 1 documents of the truth have no verdict"):
        scoreboard(truth, nothing, pl.DataFrame(schema={"id": str, "step": str}))


# ---------------------------------------------------------------- the calibrator's filler


def test_filler_shares_no_character_with_any_other_text(documents):
    filler = set("".join(inert_filler(50, seed=1)))
    others = {c for kind in DEFECTS for c in made(kind, documents["text"][-1])}

    assert filler & others == set()
    assert inert_filler(50, seed=1) == inert_filler(50, seed=1)


@pytest.fixture(scope="module")
def encoded():
    """Prose to learn from, prose to predict, filler and boilerplate, as token sequences."""
    rng = np.random.default_rng(8)
    words = vocabulary(rng, size=400)
    texts = pl.Series([prose(rng, words, 150) for _ in range(400)])
    tokenizer = train_tokenizer(texts.to_list(), vocabulary=512)
    pages = {
        "inert": inert_filler(200, seed=1),
        "boilerplate": [made("navigation", seed=seed) for seed in range(200)],
    }
    held_out = texts[300:]
    flat, offsets = encode(tokenizer, held_out)
    evaluation = Evaluation(
        tokens=flat, offsets=offsets, bytes=held_out.str.len_bytes().cast(pl.Int64).to_numpy()
    )
    learn = np.split(*edges(encode(tokenizer, texts[:300])))
    fillers = {k: np.split(*edges(encode(tokenizer, pl.Series(v)))) for k, v in pages.items()}
    return learn, fillers, evaluation


def edges(flat_and_offsets):
    flat, offsets = flat_and_offsets
    return flat, offsets[1:-1]


def half_filler(documents, filler):
    mixed, balance, spare = [], 0, itertools.cycle(filler)
    for document in documents:
        mixed.append(document)
        balance += document.size
        while balance > 0:
            mixed.append(next(spare))
            balance -= mixed[-1].size
    return np.concatenate(mixed)


@pytest.mark.parametrize("size", ["order2", "order3", "order5"])
def test_filler_is_inert_where_boilerplate_is_not(size, encoded):
    """Twice the tokens, half of them filler: the same loss, but not with real pages."""
    learn, fillers, evaluation = encoded
    pure, budget = np.concatenate(learn), 20_000
    family = FAMILIES["kneser_ney"].prepare(
        pure, budgets=[budget // 2, budget, 2 * budget], sizes=[size], vocabulary=512
    )

    def loss(tokens, n):
        ladder = family.ladder(tokens, budgets=[n], size=size, seed=0, evaluation=evaluation)
        return evaluation.bits_per_byte(next(iter(ladder)).document_bits)

    a_doubling = loss(pure, budget // 2) - loss(pure, budget)
    lost = {
        kind: loss(half_filler(learn, filler), 2 * budget) - loss(pure, budget)
        for kind, filler in fillers.items()
    }

    assert abs(lost["inert"]) < 0.2 * a_doubling
    assert lost["boilerplate"] > 2 * abs(lost["inert"])


def test_a_distant_copy_is_lost_only_where_it_went_as_a_duplicate():
    truth = pl.DataFrame(
        {
            "id": ["c1", "c2", "c3"],
            "kind": ["near_copy_5"] * 3,
            "origin": ["o1", "o2", "o3"],
            "similarity": [0.5] * 3,
        }
    )
    verdicts = pl.DataFrame(
        {
            "id": ["c1", "c2", "c3", "o1", "o2", "o3"],
            "kept": [True, False, False, False, True, True],
            "failed": [[], ["a.words"], ["duplicates.near"], ["duplicates.exact"], [], []],
        }
    )
    row = scoreboard(truth, verdicts, pl.DataFrame({"id": [], "step": []})).row(0, named=True)

    assert (row["planted"], row["caught"], row["expected"]) == (3, 1, "kept")
