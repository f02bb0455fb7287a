"""Null coverage of trained classifiers and of embeddings; rows that stand on clusters."""

import numpy as np
import polars as pl
import pytest

from curate.audits import (
    ClassifierDesign,
    Entry,
    SwapDesign,
    association,
    audit_classifier,
    distinctive_words,
    group_metrics,
    resampled_weat,
    swap_test,
)
from curate.audits.weat import cooccurrence_vectors
from curate.errors import ConfigError
from curate.statistics import binomial_band

WOMEN = Entry(axis="gender", group="women", terms=("she",))
NURSE = Entry(axis="work", group="nurse", terms=("nurse",))


# ── associations, words, swaps: rows and columns ─────────────────────────────────────────────


def test_a_step_that_takes_nurses_who_are_women_is_seen():
    texts = ["she nurse", "she", "he nurse", "he"] * 200
    kept = [i % 4 != 0 or i % 16 == 0 for i in range(800)]
    frame = pl.DataFrame({"text": texts, "kept": kept})
    table = association(frame, [WOMEN], [NURSE], kept="kept")
    raw, curated, change = table.rows(named=True)

    assert table["corpus"].to_list() == ["raw", "curated", "change"]
    assert raw["log_odds"] == pytest.approx(0.0)
    assert curated["log_odds"] == pytest.approx(np.log(50 / 200), abs=1e-9)
    assert change["log_odds"] == pytest.approx(curated["log_odds"] - raw["log_odds"])
    assert change["high"] < 0
    assert change["p"] < 1e-6
    assert (change["n"], change["n_both"]) == (150, 150)
    assert curated["npmi_high"] < 0 < raw["npmi_high"]


@pytest.mark.parametrize("n", [4, 36, 1990])
def test_too_few_removals_tell_no_change(n):
    frame = pl.DataFrame({"text": ["she nurse", "she", "he nurse", "he"] * 500})
    kept = np.arange(2000) >= n
    change = association(frame.with_columns(kept=pl.Series(kept)), [WOMEN], [NURSE], kept="kept")

    assert change.row(2, named=True)["p"] is None
    assert change.row(2, named=True)["low"] is None


def test_words_of_one_source_are_no_words_of_a_group():
    rng = np.random.default_rng(3)
    texts = [f"common w{'abcdefghij'[k]}" for k in rng.integers(0, 10, 400)]
    texts = [f"{t} banner" if i < 40 else t for i, t in enumerate(texts)]
    frame = pl.DataFrame(
        {
            "text": texts,
            "half": [i < 200 for i in range(400)],
            "source": [f"s{i // 40}" for i in range(400)],
        }
    )
    alone, by_source = (
        {
            w: q
            for w, q in distinctive_words(frame, pl.col("half"), cluster=c)
            .select("word", "q")
            .iter_rows()
        }
        for c in (None, "source")
    )

    assert alone["banner"] < 1e-6
    assert by_source["banner"] > 0.05


def test_swaps_of_one_source_are_one_vote():
    texts = ["She reads."] * 40
    score = lambda batch: [0.4 if t.startswith("She") else 0.6 for t in batch]  # noqa: E731
    alone = swap_test(score, texts, SwapDesign(threshold=0.5))
    design = SwapDesign(threshold=0.5, cluster=["a"] * 20 + ["b"] * 20)
    clustered = swap_test(score, texts, design)

    assert alone.signs.p < 1e-9
    assert (clustered.signs.negative, clustered.signs.p) == (2, 0.5)
    assert clustered.flips_range.low < alone.flips_range.low


def test_rates_of_groups_have_intervals():
    rng = np.random.default_rng(4)
    y, score, group = rng.random(400) < 0.4, rng.random(400), np.repeat(["a", "b"], 200)
    row = group_metrics(y, score > 0.5, group, score).row(0, named=True)

    for name in ("label_rate", "selection_rate", "precision", "recall", "f1", "auc"):
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]


# ── trained: classifiers and embeddings ──────────────────────────────────────────────────────

WORDS = [f"w{chr(97 + i)}x" for i in range(20)]
QUANTITIES = ("selection_ratio", "swap_shift", "amplification", "directional")


def labelled(rng, *, correlation, n=2_000, sources=100):
    """Labels that follow words and sources, and know no group."""
    source = np.repeat(np.arange(sources), n // sources)
    woman, skill = rng.random(n) < 0.4, rng.random((n, 20)) < 0.3
    shift = rng.normal(0, np.sqrt(correlation * np.pi**2 / 3), sources)[source]
    logit = (skill[:, :5].sum(1) - 1.5) * 1.2 - 0.4 + shift
    texts = [
        " ".join(["she" if w else "he", *(WORDS[j] for j in np.flatnonzero(s))])
        for w, s in zip(woman, skill, strict=True)
    ]
    frame = pl.DataFrame(
        {
            "text": texts,
            "group": np.where(woman, "women", "men"),
            "label": rng.random(n) < 1 / (1 + np.exp(-logit)),
            "source": source,
        }
    )
    return frame[rng.permutation(n)]


@pytest.mark.study
@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
def test_classifiers_that_know_no_group_are_covered(correlation):
    """Ratio 1, shift 0, amplification 0; rates per group against their mean over all corpora."""
    n, tables = 200, []
    counts = dict.fromkeys((*QUANTITIES, "flag"), 0)
    cluster = "source" if correlation else None
    design = ClassifierDesign(group="group", audited="women", cluster=cluster)
    for seed in range(n):
        frame = labelled(np.random.default_rng([5, seed]), correlation=correlation)
        found = audit_classifier(frame, design)
        for name in QUANTITIES:
            one, truth = getattr(found, name), 1.0 if name == "selection_ratio" else 0.0
            counts[name] += not one.low <= truth <= one.high
        counts["flag"] += found.flagged
        tables.append(found.groups)
    pooled = pl.concat(tables)
    for name in ("selection_rate", "precision", "recall", "f1", "auc"):
        own = pooled.filter(group="women")
        mean = own[name].mean()
        outside = (own[f"{name}_low"] > mean) | (own[f"{name}_high"] < mean)
        counts[name] = int(outside.sum())
    print("classifier", correlation, {k: v / n for k, v in counts.items()})

    assert max(counts.values()) <= binomial_band(n, 0.06)[1]


def test_amplification_is_judged_by_other_labels():
    """Labels that chance tilts, decisions that do not: no amplification is taken back."""
    rng, own, told = np.random.default_rng(6), [], []
    from curate.audits import directional_amplification

    for _ in range(400):
        group = np.arange(100) < 50
        label, decision, other = (rng.random(100) < 0.5 for _ in range(3))
        own.append(directional_amplification(label, decision, group))
        told.append(directional_amplification(label, decision, group, (other, group)))
    error = np.std(told) / np.sqrt(400)

    assert np.mean(own) < -5 * error
    assert abs(np.mean(told)) < 4 * error


def test_parts_are_made_of_whole_sources():
    frame = labelled(np.random.default_rng(7), correlation=0.1, n=600, sources=6)
    design = ClassifierDesign(group="group", audited="women", cluster="source", parts=3)

    assert audit_classifier(frame, design).groups.height == 2
    with pytest.raises(ConfigError, match="8 parts need as many values of source"):
        audit_classifier(
            frame, ClassifierDesign(group="group", audited="women", cluster="source", parts=8)
        )


def sourced(rng, n, sources):
    """Sources that prefer one target and one attribute, each for itself."""
    sets = [[f"{k}{i}" for i in range(3)] for k in "mfch"]
    prefer = rng.beta(0.5, 0.5, (sources, 2))
    source = np.arange(n) % sources
    texts = []
    for s in source:
        side, attribute = (rng.random(2) < prefer[s]).astype(int)
        noise = [f"n{i}" for i in rng.integers(0, 30, 4)]
        texts.append(
            " ".join([sets[side][rng.integers(3)], sets[2 + attribute][rng.integers(3)], *noise])
        )
    return texts, tuple(sets), source


@pytest.mark.study
def test_resampled_weat_holds_its_level_in_sources():
    rng, n, rejected = np.random.default_rng(8), 400, [0, 0]
    for _ in range(n):
        texts, words, source = sourced(rng, 200, 20)
        for k, cluster in enumerate((source, None)):
            if k and rejected[1] > 30:  # seen to fail: no need to count on
                continue
            p = resampled_weat(cooccurrence_vectors, texts, words, repetitions=19, cluster=cluster)[
                1
            ]
            rejected[k] += p <= 0.05
    print("weat in sources", rejected[0] / n, "by documents at least", rejected[1] / n)

    assert rejected[0] <= binomial_band(n, 0.05)[1]
    assert rejected[1] > rejected[0]
