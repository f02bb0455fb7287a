"""Second and third scores, scores of one's own, their agreement, and what a score selects."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError, IntegrityError
from curate.quality import (
    QualityConfig,
    SelectionConfig,
    agreement,
    apply_scorer,
    fit_importance,
    fit_labels,
    fit_perplexity,
    fit_quality,
    group_contributions,
    gumbel_top_k,
    load_importance,
    load_perplexity,
    mean_of_ranks,
    percentile_buckets,
    selection_ranks,
    top_terms,
)
from curate.quality._features import buckets, counted, decisions, term_hashes
from curate.statistics import binomial_band
from curate.text import split_words

TEXTS = ["the cat sat on the mat", "The CAT, sat.", "ÉTÉ été 語文", "", "…", "one"]
GOOD = [f"a calm clear sentence about topic{i % 7} number{i}" for i in range(60)]
BAD = [f"buy cheap click now offer{i % 7} number{i}" for i in range(60)]


# ── features ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", TEXTS)
def test_counts_are_those_of_words_and_neighbouring_pairs(text):
    words = split_words(text)
    terms = Counter(words) + Counter(pairwise(words))
    row = counted(pl.Series([text]), 20)

    assert row.nnz == len(terms)
    assert np.sort(row.data) == pytest.approx(
        np.sort(list(terms.values())) / math.sqrt(sum(c * c for c in terms.values()) or 1)
    )


@pytest.mark.parametrize("norm", ["unit", "share"])
def test_compiled_decisions_are_rows_times_weights(norm):
    texts = pl.Series([*GOOD, *BAD, *TEXTS])
    weights = np.random.default_rng(1).normal(size=2**12)

    assert decisions(texts, weights, 0.5, norm=norm) == pytest.approx(
        counted(texts, 12, norm) @ weights + 0.5, abs=1e-12
    )


def test_buckets_spread_terms_evenly():
    hashes = term_hashes(pl.Series([" ".join(f"w{i}" for i in range(20_000))]))[0]
    held = np.bincount(buckets(hashes, 8), minlength=256)
    low, high = binomial_band(20_000, 1 / 256, 1 - 1e-6)

    assert held.min() >= low
    assert held.max() <= high


# ── explanation per corpus ───────────────────────────────────────────────────────────────────


def test_top_terms_name_the_telling_words_and_disclose_collisions():
    model = fit_quality(GOOD, BAD, config=QualityConfig(bits=10, checks=False))
    terms = model.terms([*GOOD, *BAD])
    assert terms["weight"].is_sorted(descending=True)
    assert terms.height == 20
    assert set(terms["term"].head(10)) & {"calm", "clear", "sentence", "about", "a calm"}
    assert set(terms["term"].tail(10)) & {"buy", "cheap", "click", "now", "buy cheap"}
    crowded = top_terms([*GOOD, *BAD], np.arange(16.0))
    assert crowded["terms_in_bucket"].sum() > crowded.height


def test_group_differences_sum_to_the_difference_of_mean_decisions():
    model = fit_quality(GOOD, BAD, config=QualityConfig(bits=12, checks=False))
    frame = pl.DataFrame({"text": GOOD + BAD, "source": ["g"] * 60 + ["b"] * 60})
    found = group_contributions(frame, model.weights, group="source", top=10_000)
    value = model.decision(frame)
    expected = value[:60].mean() - value[60:].mean()
    own = found.filter(pl.col("group") == "g")

    assert own["mean_difference"][0] == pytest.approx(expected, abs=1e-9)
    assert own["difference"].sum() == pytest.approx(expected, abs=1e-9)
    assert own["difference"].is_sorted(descending=True)
    with pytest.raises(ConfigError, match="two groups or more"):
        group_contributions(frame.with_columns(source=pl.lit("a")), model.weights, group="source")


# ── importance ───────────────────────────────────────────────────────────────────────────────


def test_importance_is_the_smoothed_log_ratio_of_counts():
    model = fit_importance(["alpha alpha beta"], ["beta gamma"], bits=16, per_term=False)
    size = 2**16
    reference = {"alpha": 2, "alpha alpha": 1, "beta": 1, "alpha beta": 1}
    background = {"beta": 1, "gamma": 1, "beta gamma": 1}
    for word in ("alpha", "beta", "gamma", "delta"):
        ratio = (reference.get(word, 0) + 1) / (5 + size) * (3 + size)
        expected = math.log(ratio / (background.get(word, 0) + 1))
        assert model.score([word])[0] == pytest.approx(expected), word


def test_importance_per_term_does_not_grow_with_length():
    sums, means = (fit_importance(GOOD, BAD, per_term=per) for per in (False, True))
    short, long = "a calm clear", " ".join(["a calm clear"] * 50)

    assert sums.score([long])[0] > 40 * sums.score([short])[0]
    assert means.score([long])[0] == pytest.approx(means.score([short])[0], rel=0.4)


def test_gumbel_top_k_draws_in_proportion_to_the_weights():
    ids, n = pl.Series(["a", "b"]), 4_000
    hits = sum(
        gumbel_top_k(pl.Series([math.log(3.0), 0.0]), ids, 1, seed=seed)[0] for seed in range(n)
    )
    low, high = binomial_band(n, 0.75)

    assert low <= hits <= high


def test_saved_importance_and_perplexity_score_bit_for_bit_and_refuse_tampering(tmp_path):
    importance, perplexity = fit_importance(GOOD, BAD), fit_perplexity(GOOD, vocabulary=300)
    importance.save(tmp_path)
    perplexity.save(tmp_path)
    assert load_importance(tmp_path).score(BAD).equals(importance.score(BAD))
    assert load_perplexity(tmp_path).score(BAD).equals(perplexity.score(BAD))
    for name, load in (("importance.npz", load_importance), ("tokens.npz", load_perplexity)):
        data = bytearray((tmp_path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(IntegrityError, match=name):
            load(tmp_path)


# ── perplexity ───────────────────────────────────────────────────────────────────────────────


def test_perplexity_prefers_the_reference_s_language():
    model = fit_perplexity(GOOD[:40], vocabulary=300)
    held_out, other = model.score(GOOD[40:]), model.score(BAD)

    assert held_out.max() < other.min()
    assert model.score(["", "x"]).is_null().to_list() == [True, False]


def test_buckets_hold_the_stated_percentiles():
    bits = pl.Series(np.random.default_rng(2).normal(size=1_000))
    counts = dict(percentile_buckets(bits).value_counts().rows())

    assert counts == {"head": 300, "middle": 300, "tail": 400}


# ── several scores ───────────────────────────────────────────────────────────────────────────


def test_mean_of_ranks_is_free_of_scale():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=200), rng.normal(size=200)
    plain = mean_of_ranks(pl.DataFrame({"a": a, "b": b}))
    bent = mean_of_ranks(pl.DataFrame({"a": np.exp(a), "b": -(b**3)}), falling=["b"])

    assert plain.to_list() == bent.to_list()


def test_agreement_of_equal_opposite_and_unrelated_scores():
    rng = np.random.default_rng(3)
    a = rng.normal(size=2_000)
    scores = pl.DataFrame({"a": a, "same": a * 2, "turned": -a, "other": rng.normal(size=2_000)})
    found = {row[1]: row for row in agreement(scores, top=0.1).rows() if row[0] == "a"}

    assert found["same"][2:4] == (pytest.approx(1.0), 1.0)
    assert found["turned"][2:4] == (pytest.approx(-1.0), 0.0)
    assert found["other"][3] == pytest.approx(found["other"][4], abs=0.04)


# ── labels and scorers ───────────────────────────────────────────────────────────────────────


def test_grades_become_sides():
    frame = pl.DataFrame({"text": GOOD + BAD, "grade": [4.0, 3.0] * 30 + [0.0, 2.9] * 30})
    model = fit_labels(frame, label="grade", at_least=3, config=QualityConfig(bits=12))

    assert model.evaluate()["documents"] == {"reference": 60, "background": 60}
    with pytest.raises(ConfigError, match="at_least"):
        fit_labels(frame, label="grade")
    with pytest.raises(ConfigError, match="no column 'mark'"):
        fit_labels(frame, label="mark")


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (lambda texts: [1.0], "1 scores for 2 texts"),
        (lambda texts: [1.0, float("nan")], "no finite score in row 1"),
        ("edu", "no column 'edu'"),
        ("text", "'text' is String"),
        ("gap", "no finite score in row 0"),
    ],
)
def test_scorers_that_do_not_score_are_named(scorer, message):
    frame = pl.DataFrame({"text": ["a", "b"], "gap": [None, 1.0]})
    with pytest.raises(ConfigError, match=message):
        apply_scorer(frame, scorer)


def test_a_scorer_is_called_in_batches():
    sizes = []
    apply_scorer(["a"] * 2_500, lambda texts: sizes.append(len(texts)) or [0.0] * len(texts))

    assert sizes == [1_000, 1_000, 500]


# ── selection ────────────────────────────────────────────────────────────────────────────────


def scores(n=1_000, seed=1):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(n)],
            "source": rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1]),
            "quality": rng.uniform(size=n).astype(np.float32),
        }
    )


def kept(frame, **config):
    select = SelectionConfig(**config)
    return frame.filter(selection_ranks(frame, select) <= select.share)


@pytest.mark.parametrize("mode", ["top", "softmax", "pareto"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_every_mode_keeps_the_share_and_only_the_seed_decides(mode, share):
    frame = scores()
    first = kept(frame, mode=mode, share=share)
    shuffled = kept(frame.sample(fraction=1, shuffle=True, seed=9), mode=mode, share=share)

    assert first.height == 1_000 * share
    assert set(first["id"]) == set(shuffled["id"])


def test_top_keeps_the_best_and_inverse_the_worst():
    frame = scores()
    best, worst = kept(frame, share=0.2), kept(frame, share=0.2, inverse=True)

    assert best["quality"].min() > frame["quality"].quantile(0.79)
    assert worst["quality"].max() < frame["quality"].quantile(0.21)


def test_selection_within_sources_keeps_the_share_of_each():
    frame = scores()
    sizes = dict(frame["source"].value_counts().rows())
    found = dict(kept(frame, share=0.3, within="source")["source"].value_counts().rows())

    assert found == {name: math.floor(0.3 * n + 1e-9) for name, n in sizes.items()}


def test_a_softmax_of_high_temperature_is_chance_and_of_low_the_top():
    frame = scores()
    hot = kept(frame, mode="softmax", temperature=100.0)
    cold = kept(frame, mode="softmax", temperature=1e-4)

    assert abs(hot["quality"].mean() - frame["quality"].mean()) < 0.03
    assert len(set(cold["id"]) & set(kept(frame)["id"])) >= 495


def test_ties_are_broken_by_a_draw_not_kept_whole():
    frame = scores().with_columns(quality=pl.lit(0.5))
    one, other = (selection_ranks(frame, seed=s) for s in (1, 2))

    assert (one <= 0.5).sum() == 500
    assert one.to_list() != other.to_list()


def test_controls_move_no_native_document_and_missing_scores_rank_last():
    frame = scores(100).with_columns(control=pl.lit(None, pl.String))
    planted = scores(50, seed=2).with_columns(id=pl.col("id") + "c", control=pl.lit("hex_dump"))
    missing = frame.with_columns(
        quality=pl.when(pl.col("id") == "d7").then(None).otherwise("quality")
    )
    alone = selection_ranks(frame)
    together = selection_ranks(pl.concat([planted, frame]))

    assert together.tail(100).to_list() == alone.to_list()
    assert together.is_between(0, 1).all()
    assert selection_ranks(missing)[7] == 1.0


@pytest.mark.parametrize(
    "wrong", [{"share": 0.0}, {"share": 1.5}, {"mode": "best"}, {"temperature": 0.0}]
)
def test_selections_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"quality\.select\." + next(iter(wrong))):
        SelectionConfig(**wrong)
