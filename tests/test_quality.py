"""The quality score: learns, does not flatter itself, explains itself, is saved without pickle."""

import json
import math

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from curate.errors import ConfigError, IntegrityError
from curate.quality import (
    QualityConfig,
    contributions,
    evaluate_scores,
    fit_quality,
    load_quality,
    training_documents,
)
from curate.quality._calibration import fit_calibration
from curate.quality._features import counted
from curate.quality._fitting import fit_linear
from curate.quality._folds import make_folds
from curate.statistics import auc_interval, binomial_band

SMALL = QualityConfig(bits=12, folds=3)


def sentences(words, n, *, seed, length=30):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, length)) for _ in range(n)]


def side(words, n, *, seed, name, sources=10):
    """Documents of `sources` sources, three files a source."""
    return pl.DataFrame(
        {
            "id": [f"{name}/{i % 3}:{i}" for i in range(n)],
            "text": sentences(words, n, seed=seed),
            "source": [f"{name}{i % sources}" for i in range(n)],
        }
    )


PLAIN = [f"plain{i}" for i in range(40)] + [f"usual{i}" for i in range(40)]
NOISY = [f"noisy{i}" for i in range(40)] + [f"usual{i}" for i in range(40)]
COMMON = [f"usual{i}" for i in range(40)]


@pytest.fixture(scope="module")
def model():
    return fit_quality(
        side(PLAIN, 200, seed=1, name="ref"), side(NOISY, 300, seed=2, name="bg"), config=SMALL
    )


def test_score_is_a_probability_that_follows_the_reference(model):
    plain = model.score(sentences(PLAIN, 50, seed=3))
    noisy = model.score(sentences(NOISY, 50, seed=4))

    assert plain.name == "quality"
    assert plain.dtype == pl.Float32
    assert plain.min() > 0.5 > noisy.max()
    assert pl.concat([plain, noisy]).is_between(0, 1).all()


@pytest.mark.parametrize(
    "documents",
    [
        ["plain1", None, ""],
        pl.Series(["plain1", None, ""]),
        pl.DataFrame({"text": ["plain1", None, ""]}),
        pl.LazyFrame({"text": ["plain1", None, ""]}),
    ],
    ids=["list", "series", "frame", "lazy"],
)
def test_all_forms_of_documents_score_alike_and_null_is_empty(model, documents):
    one, null, empty = model.score(documents)

    assert null == empty
    assert one > empty


def test_no_documents_no_scores(model):
    assert model.score([]).len() == 0


def test_scores_do_not_depend_on_the_batch(model):
    texts = sentences(PLAIN + NOISY, 2_500, seed=5, length=5)

    assert model.score(texts).to_list() == [*model.score(texts[:7]), *model.score(texts[7:])]


def test_evaluation_states_ranking_calibration_and_length(model):
    found = model.evaluate()
    json.dumps(found, allow_nan=False)

    assert found["documents"] == {"reference": 200, "background": 300}
    assert found["auc"]["estimate"] == 1.0
    assert found["auc"]["low"] > 0.65  # ten sources a side, all ranked rightly
    assert found["average_precision"]["estimate"] > 0.97
    assert found["brier"]["estimate"] < 0.05
    assert found["calibration_error"]["estimate"] < 0.05
    assert found["roc"]["true_positive_rate"][-1] == 1.0
    assert found["warnings"] == []


# ── out of fold ──────────────────────────────────────────────────────────────────────────────


def test_documents_fitted_on_are_not_flattered():
    """Without any signal the fitted model knows its own documents by heart; scores do not."""
    reference = side(COMMON, 100, seed=6, name="ref")
    background = side(COMMON, 100, seed=7, name="bg")
    model = fit_quality(reference, background, config=QualityConfig(folds=5))
    both = pl.concat([reference, background])
    label = np.arange(200) < 100
    by_heart = auc_interval(label, model.decision(both))
    scored = auc_interval(label, model.score(both).to_numpy())

    assert by_heart.estimate > 0.95
    assert abs(scored.estimate - 0.5) < 0.15


def test_fitted_documents_keep_their_out_of_fold_score_under_any_id(model):
    documents = side(NOISY, 300, seed=2, name="bg")
    again = model.score(documents.with_columns(id=pl.lit("other")))
    stored = model.out_of_fold.filter(~pl.col("label")).sort(
        pl.col("id").str.extract(r":(\d+)").cast(int)
    )

    assert again.to_list() == stored["score"].to_list()


def folded(frame, folds):
    return make_folds(frame, folds, seed=1)


def test_folds_keep_sources_clusters_and_equal_texts_together():
    rng = np.random.default_rng(8)
    n = 600
    frame = pl.DataFrame(
        {
            "row": range(n),
            "id": [f"f{i % 40}/x:{i}" for i in range(n)],
            "source": rng.choice([f"s{i}" for i in range(30)], n),
            "cluster_id": [f"c{i // 2}" if i < 200 else None for i in range(n)],
            "label": rng.random(n) < 0.4,
            "digest": pl.Series(rng.integers(0, 500, n), dtype=pl.UInt64),
        }
    )
    folds = folded(frame, 5)
    for fold in range(5):
        train, scored = folds.split(fold)
        for column in ("source", "cluster_id"):
            names = [
                set(frame[column].filter(pl.Series(mask)).drop_nulls()) for mask in (train, scored)
            ]
            assert names[0] & names[1] == set(), column
        sides = [frame["label"].filter(pl.Series(m)).sum() for m in (train, scored)]
        assert min(sides) > 20
    alone = frame["cluster_id"].is_null().to_numpy()
    digests = frame["digest"].to_numpy()
    for fold in range(5):
        train, scored = folds.split(fold)
        assert not np.isin(digests[train & alone], digests[scored & alone]).any()


def test_a_source_too_large_for_one_fold_is_split_by_file_then_by_document():
    frame = pl.DataFrame(
        {
            "row": range(40),
            "id": [f"lib/mod{i % 10}.py:{i}" for i in range(20)] + [f"x:{i}" for i in range(20)],
            "source": ["lib"] * 20 + ["x"] * 20,
            "label": [True] * 20 + [False] * 20,
            "digest": pl.Series(range(40), dtype=pl.UInt64),
        }
    )
    units = folded(frame, 4).unit

    assert units.head(20).to_list() == [f"lib/mod{i % 10}.py" for i in range(20)]
    assert units.tail(20).to_list() == [f"x:{i}" for i in range(20)]


def test_texts_of_the_reference_and_controls_are_no_background():
    reference = side(PLAIN, 60, seed=9, name="ref")
    background = side(NOISY, 60, seed=10, name="bg")
    planted = side(NOISY, 30, seed=11, name="planted").with_columns(control=pl.lit("hex_dump"))
    mixed = pl.concat([background, reference, planted], how="diagonal")
    found = fit_quality(reference, mixed, config=SMALL).evaluate()

    assert found["documents"] == {"reference": 60, "background": 60}


def test_samples_are_capped_and_depend_on_the_seed_only():
    sides = side(PLAIN, 200, seed=1, name="ref"), side(NOISY, 300, seed=2, name="bg")
    config = QualityConfig(bits=12, folds=3, max_documents=50)
    first, same, other = (fit_quality(*sides, config=config, seed=s) for s in (1, 1, 2))
    shuffled = fit_quality(sides[0], sides[1].sample(fraction=1, shuffle=True, seed=3),
                           config=config, seed=1)  # fmt: skip

    assert first.out_of_fold["label"].sum() == 50
    assert first.out_of_fold.height == 100
    assert first.out_of_fold.equals(same.out_of_fold)
    assert set(first.out_of_fold["id"]) == set(shuffled.out_of_fold["id"])
    assert set(first.out_of_fold["id"]) != set(other.out_of_fold["id"])


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [100, pytest.param(400, marks=pytest.mark.study)])
def test_out_of_fold_auc_of_permuted_labels_contains_one_half(repetitions):
    """Sources share words; labels are dealt to sources at random.

    Intervals that really miss at 20 % leave the band of 100 with probability .95.
    """
    missed = 0
    rng = np.random.default_rng(12)
    config = QualityConfig(bits=10, folds=2)
    for _ in range(repetitions):
        style = rng.dirichlet(np.full(40, 0.5), 40)
        texts = [" ".join(rng.choice(COMMON, 12, p=p)) for p in style for _ in range(4)]
        frame = pl.DataFrame({"text": texts, "source": np.repeat(np.arange(40), 4).astype(str)})
        frame = frame.with_row_index("id").with_columns(pl.col("id").cast(pl.String))
        label = np.repeat(rng.permutation(40) < 20, 4)
        model = fit_quality(frame.filter(label), frame.filter(~label), config=config)
        auc = model.evaluate()["auc"]
        missed += not auc["low"] <= 0.5 <= auc["high"]

    assert missed <= binomial_band(repetitions, 0.05)[1]


# ── calibration ──────────────────────────────────────────────────────────────────────────────


def test_calibration_is_monotone_and_bounded_even_when_perfect_or_void():
    decision = np.linspace(-30, 30, 101)
    for label in (decision > 0, decision < 0, np.arange(101) % 2 == 0):
        values = fit_calibration(decision, label)(decision)
        assert (np.diff(values) >= 0).all()
        assert ((values >= 0) & (values <= 1)).all()
        assert np.isfinite(values).all()


def test_calibration_finds_the_true_slope_and_offset_of_a_balanced_mix():
    rng = np.random.default_rng(13)
    decision = rng.normal(size=200_000)
    label = rng.random(decision.size) < 1 / (1 + np.exp(-1.7 * decision))
    found = fit_calibration(decision, label)

    assert found.slope == pytest.approx(1.7, abs=0.03)
    assert found.offset == pytest.approx(-math.log(label.mean() / (1 - label.mean())), abs=0.03)


def test_a_score_that_follows_length_is_named():
    rng = np.random.default_rng(14)
    label = np.arange(400) < 200
    chars = rng.integers(100, 1000, 400)
    frame = pl.DataFrame(
        {
            "label": label,
            "score": chars / 1000,
            "unit": np.arange(400).astype(str),
            "text_chars": chars,
        }
    )

    assert evaluate_scores(frame)["warnings"] == [
        "score follows length: partial correlation 1.00 [1.00, 1.00] given the label"
    ]


def test_an_evaluation_needs_both_sides():
    frame = pl.DataFrame({"label": [True], "score": [0.5], "unit": ["a"], "text_chars": [3]})

    with pytest.raises(ConfigError, match="of the reference and of the background"):
        evaluate_scores(frame)


# ── explanation ──────────────────────────────────────────────────────────────────────────────


def test_contributions_sum_to_the_decision_value(model):
    texts = [*sentences(PLAIN + NOISY, 998, seed=15, length=12), "", "x ! y"]
    decision = model.decision(texts)
    sums = [contributions(t, model.weights)["contribution"].sum() for t in texts]

    assert np.abs(np.array(sums) + model.intercept - decision).max() < 1e-6


def test_the_strongest_terms_are_the_telling_ones(model):
    terms = model.explain("plain3 usual1 noisy5", top=2)

    assert set(terms["term"]) <= {"plain3", "noisy5", "plain3 usual1", "usual1 noisy5"}
    assert terms.height == 2


def test_terms_that_share_a_bucket_are_disclosed():
    words = [f"w{i}" for i in range(100)]
    found = contributions(" ".join(words), np.arange(2.0**4))
    shared = dict(found.select("term", "shares_bucket_with").rows())

    assert any(shared.values())
    assert all(term in shared[other] for term, others in shared.items() for other in others)
    assert not any(contributions("one two", np.ones(2**18))["shares_bucket_with"].list.len())


# ── files ────────────────────────────────────────────────────────────────────────────────────


def test_equal_fits_are_saved_as_equal_bytes_and_load_bit_for_bit(tmp_path):
    sides = side(PLAIN, 80, seed=1, name="ref"), side(NOISY, 90, seed=2, name="bg")
    texts = sentences(PLAIN + NOISY, 200, seed=16)
    models = [fit_quality(*sides, config=SMALL) for _ in range(2)]
    for name, model in zip("ab", models, strict=True):
        model.save(tmp_path / name)
    files = [{p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())} for name in "ab"]
    loaded = load_quality(tmp_path / "a")

    assert files[0] == files[1]
    assert sorted(files[0]) == ["fitted.parquet", "model.json", "weights.npz"]
    assert loaded.score(texts).to_list() == models[0].score(texts).to_list()
    assert loaded.evaluate() == models[0].evaluate()


@pytest.mark.parametrize("name", ["weights.npz", "fitted.parquet"])
def test_a_tampered_model_is_refused(tmp_path, model, name):
    model.save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)

    with pytest.raises(IntegrityError, match=name):
        load_quality(tmp_path)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.json is missing"):
        load_quality(tmp_path)


# ── config and calls ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong", [{"min": 1.5}, {"bits": 4}, {"folds": 1}, {"max_documents": 3}, {"max_chars": 0}]
)
def test_configs_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"quality.{next(iter(wrong))} is"):
        QualityConfig(**wrong)


def test_too_few_documents_are_named():
    with pytest.raises(ConfigError, match="the reference has 3 documents"):
        fit_quality(sentences(PLAIN, 3, seed=1), sentences(NOISY, 50, seed=1), config=SMALL)
    with pytest.raises(ConfigError, match="the background has 0 documents"):
        fit_quality(sentences(PLAIN, 30, seed=1), sentences(PLAIN, 30, seed=1), config=SMALL)


def test_a_frame_without_text_is_named(model):
    with pytest.raises(ConfigError, match="no column 'text'"):
        model.score(pl.DataFrame({"txt": ["a"]}))


# ── whole sources, near copies ───────────────────────────────────────────────────────────────


def test_near_copies_of_the_reference_are_no_background_and_share_its_fold():
    """A reference that is part of the corpus lends its clusters."""
    reference = side(PLAIN, 60, seed=9, name="ref")
    copies = reference.head(20).with_columns(
        id=pl.col("id") + "copy", text=pl.col("text") + pl.lit(" usual1"), source=pl.lit("mirror")
    )
    own = side(NOISY, 60, seed=10, name="bg")
    clusters = [f"c{i}" for i in range(20)]
    corpus = pl.concat([reference.head(20), copies, own]).with_columns(
        cluster_id=pl.Series(clusters + clusters + [None] * 60)
    )
    found = fit_quality(reference, corpus, config=SMALL)
    frame = training_documents(reference, corpus, SMALL, seed=17)

    assert found.evaluate()["documents"] == {"reference": 60, "background": 60}
    assert set(found.out_of_fold["source"]) & {"mirror"} == set()
    assert frame.filter("label")["cluster_id"].drop_nulls().to_list() == clusters


def test_held_out_sources_are_never_split_and_the_plain_figure_may_be():
    """Words of the source tell the side; quality has none: the strict figure must say so.

    Half of each side comes from one source, which ordinary folds split.
    """
    rng = np.random.default_rng(21)

    def one_side(name):
        rows = []
        for source in range(6):
            for i in range(60 if source == 0 else 12):
                words = [*rng.choice(COMMON, 20), *[f"{name}{source}"] * 5]
                rows.append((f"{name}/{source}/{i}:1", " ".join(words), f"{name}{source}"))
        return pl.DataFrame(rows, schema=["id", "text", "source"], orient="row")

    config = QualityConfig(bits=12, folds=3)
    found = fit_quality(one_side("r"), one_side("b"), config=config).evaluate()

    assert found["held_out_sources"]["sources"] == {"reference": 6, "background": 6}
    assert found["train_test"]["estimate"] > 0.99
    assert found["held_out_sources"]["low"] < 0.5
    assert found["held_out_sources"]["estimate"] < found["auc"]["estimate"] < 0.9


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a text", "texts are a str; give a frame"),
        ({"text": ["a"]}, "texts are a dict; give a frame"),
        (b"a", "texts are a bytes"),
        (7, "texts are a int"),
        (["a", 7], "item 1 is a int, no text"),
        (pl.Series([1, 2]), "texts are Int64"),
        (pl.DataFrame({"text": [1]}), "texts are Int64"),
    ],
    ids=["str", "dict", "bytes", "int", "item", "series", "frame"],
)
def test_what_is_no_sequence_of_texts_is_named(model, texts, message):
    with pytest.raises(ConfigError, match=message):
        model.score(texts)
    with pytest.raises(ConfigError, match=message):
        fit_quality(texts, sentences(NOISY, 40, seed=1), config=SMALL)


@pytest.mark.parametrize("rows", [30, 200])
def test_columns_of_one_document_are_rotated_not_approximated(rows):
    """The narrowed regression has the weights of the whole one."""
    texts = pl.Series(sentences(PLAIN + NOISY, rows, seed=22, length=12))
    own = pl.Series([f"{t} alone{i} other{i}" for i, t in enumerate(texts)])
    label = np.arange(rows) % 3 == 0
    features = counted(own, 14)
    weights, intercept = fit_linear(features, label)
    whole = LogisticRegression(C=10.0, class_weight="balanced", max_iter=500).fit(features, label)

    assert np.abs(weights - whole.coef_[0]).max() < 1e-3 * np.abs(weights).max()
    assert intercept == pytest.approx(whole.intercept_[0], abs=1e-3)
