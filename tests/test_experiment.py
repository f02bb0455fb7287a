"""The experiment as a whole: planted truth, error rates, and what must not change a result."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError, InputError
from curate.executors import serial, threads
from curate.experiment import (
    Course,
    MeasureConfig,
    done_sentences,
    make_plan,
    measure_inputs,
    run_experiment,
)
from curate.experiment.example import example_inputs
from curate.proxies import FAMILIES
from curate.scaling import NO_EVALUATION
from curate.statistics import binomial_band
from curate.subsets import Encoded

SMALL = MeasureConfig(
    sizes=("order2",), arms=("null", "random", "calibrator"), budgets=(4_000, 8_000), replicates=6
)
TABLES = ("runs", "losses", "evaluation", "multipliers")


def over_all(result, quantity="multiplier"):
    return result.multipliers.filter(
        (pl.col("eval_set") == "all") & (pl.col("quantity") == quantity)
    )


def estimates(result, contrast, quantity="multiplier"):
    return over_all(result, quantity).filter(contrast=contrast)["estimate"].to_list()


@pytest.fixture(scope="module")
def inputs():
    return example_inputs(1_500)


@pytest.fixture(scope="module")
def result(inputs):
    return run_experiment(inputs, SMALL, seed=1)


# ── what must not change a result ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("executor", [serial, threads(3)], ids=["serial", "three threads"])
def test_the_number_of_workers_changes_nothing(inputs, result, executor):
    """Every table is equal to the last bit."""
    again = run_experiment(inputs, SMALL, seed=1, executor=executor)

    assert [getattr(again, t).equals(getattr(result, t)) for t in TABLES] == [True] * 4
    assert (again.plan, again.verdicts) == (result.plan, result.verdicts)


def test_the_order_of_documents_changes_nothing(inputs, result):
    """Draws follow ids, not rows."""
    rows = np.random.default_rng(1).permutation(len(inputs.ids))
    raw = inputs.texts["raw"]
    pieces = [raw.flat[raw.offsets[i] : raw.offsets[i + 1]] for i in rows]
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in pieces])])
    text = Encoded(flat=np.concatenate(pieces), offsets=offsets)
    shuffled = replace(
        inputs,
        ids=[inputs.ids[i] for i in rows],
        texts={"raw": text, "curated": text},
        masks={name: mask[rows] for name, mask in inputs.masks.items()},
    )

    again = run_experiment(shuffled, SMALL, seed=1)

    assert again.runs.equals(result.runs)
    assert again.multipliers.equals(result.multipliers)


def test_a_run_out_of_time_ends_with_whole_draws(inputs, result):
    """The clock decides how many draws there are, never what one of them says."""
    told = []
    late = run_experiment(inputs, SMALL, seed=1, course=Course(deadline=0.0, say=told.append))
    arms = ["raw", "curated", "calibrator_diluted", "calibrator_clean"]

    assert late.plan["families"]["kneser_ney"]["replicates"] == SMALL.replicates
    assert late.plan["done"] == {"kneser_ney": 1}
    same = result.runs.filter(pl.col("arm").is_in(arms), replicate=0)
    assert late.runs.equals(same)
    assert "6 paired draws" in "\n".join(told)
    assert late.verdicts[0]["conclusion"] == "cannot tell: one paired draw gives no interval"
    assert done_sentences(late.plan) == [
        "Done: Kneser–Ney 1 of 6 planned draws; the time was over",
        "  other arms: 0 of 6",
    ]


def test_another_seed_draws_anew(inputs, result):
    """Else the replicates would be no draws."""
    again = run_experiment(inputs, SMALL, seed=2)

    assert not again.runs["loss"].equals(result.runs["loss"])


def test_other_arms_do_not_change_the_headline(inputs, result):
    """Leaving controls out leaves the contrast as it was."""
    alone = run_experiment(inputs, replace(SMALL, arms=("calibrator",)), seed=1)
    headline = pl.col("contrast") == "raw → curated"
    columns = ["n_tokens", "eval_set", "quantity", "reached", "conclusion"]

    ours = alone.multipliers.filter(headline).select(columns)

    assert ours.equals(result.multipliers.filter(headline).select(columns))


# ── planted truth ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [0.15, 1 / 3, 0.55])
def test_inert_text_costs_its_share_and_nothing_is_clipped(share):
    """m ≈ 1 / (1 − f), all of it dilution: harm within [.93, 1.08]."""
    inputs = example_inputs(2_500, filler_share=share)
    config = replace(SMALL, arms=("calibrator",), budgets=(8_000, 16_000), sizes=("order3",))
    result = run_experiment(inputs, config, seed=3)
    f = result.plan["contrasts"][0]["removed_share"]

    headline = over_all(result).filter(contrast="raw → curated")
    harm = over_all(result, "harm").filter(contrast="raw → curated")

    assert headline["reached"].all()
    assert headline["estimate"].to_list() == pytest.approx([1 / (1 - f)] * 2, rel=0.1)
    assert (harm["low"] <= 1.08).all()
    assert (harm["high"] >= 0.93).all()
    assert estimates(result, "raw → curated", "dilution") == pytest.approx(
        [1 / (1 - f)] * 2, rel=0.03
    )


def test_curating_nothing_gives_exactly_one(inputs):
    """The same bytes: 1, not 1 within noise; and no verdict of worth."""
    nothing = replace(inputs, masks={"curated": np.ones(len(inputs.ids), bool)})
    result = run_experiment(nothing, replace(SMALL, arms=("calibrator",)), seed=1)

    found = result.multipliers.filter(contrast="raw → curated", quantity="multiplier")

    assert found["estimate"].to_list() == [1.0] * found.height
    assert set(found["conclusion_without_gate"]) == {
        "no detectable effect (both arms hold the same text)"
    }


def test_text_that_curation_wrongly_removes_harms(inputs):
    """Curated = the filler: its models know nothing of the evaluation text."""
    wrong = replace(inputs, masks={"curated": ~inputs.masks["curated"]})
    config = replace(SMALL, arms=("calibrator",), budgets=(1_000, 2_000, 4_000))
    result = run_experiment(wrong, config, seed=1)

    found = over_all(result).filter(contrast="raw → curated")

    assert set(found["bound"]) == {"≤"}
    assert (found["estimate"] < 1).all()


def test_a_ladder_that_ends_too_early_says_at_least(inputs):
    """Removed text that hurts twice as much as its room: '≥ x', without an interval."""
    raw = inputs.texts["raw"]
    rows = np.repeat(np.arange(len(inputs.ids)), raw.lengths)
    noise = np.random.default_rng(1).integers(1, 900, size=raw.flat.size).astype(np.uint16)
    spoiled = ~inputs.masks["curated"][rows] & (raw.flat > 0)
    text = Encoded(flat=np.where(spoiled, noise, raw.flat).astype(np.uint16), offsets=raw.offsets)
    hurt = replace(inputs, texts={"raw": text, "curated": text})
    result = run_experiment(hurt, replace(SMALL, arms=("calibrator",), sizes=("order2",)), seed=1)

    found = over_all(result).filter(contrast="raw → curated")
    beyond = found.filter(~pl.col("reached"))

    assert (found["estimate"] > 1.6).all()
    assert beyond["low"].is_null().all()
    assert all(word.startswith("cannot tell: ≥") for word in beyond["conclusion"])


# ── error rates ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [200, pytest.param(400, marks=pytest.mark.study)])
def test_error_rates_of_the_checks(repetitions):
    """Null pair or random filtering reject at 5 % (Holm's, together); the calibrator is admitted.

    Judged at the larger budget against exact 99.9 % binomial bands. A check that really rejects
    at 15 % leaves the band of 200 draws with probability .96; at 10 %, that of 400 with .72.
    """
    inputs = example_inputs(1_500)
    tables = [
        over_all(run_experiment(inputs, SMALL, seed=1_000 + s))
        .filter(n_tokens=8_000)
        .with_columns(draw=s)
        for s in range(repetitions)
    ]
    rejects = pl.col("conclusion_without_gate").is_in(["worth", "harms"])
    cells = pl.concat(tables)
    counts = cells.group_by("contrast").agg(
        rejected=rejects.sum(), reached=pl.col("reached").sum(), admitted=pl.col("admitted").sum()
    )
    found = {row["contrast"]: row for row in counts.to_dicts()}

    low, high = binomial_band(repetitions, 0.05)
    nulls = ["null_a → null_b", "raw → random"]
    either = cells.filter(rejects & pl.col("contrast").is_in(nulls))["draw"].n_unique()
    print("nulls", either, [found[name]["rejected"] for name in nulls], "of", repetitions)
    assert low <= either <= high
    for name in nulls:
        assert found[name]["reached"] >= 0.97 * repetitions
        assert found[name]["rejected"] <= high, name
    if repetitions >= 400:  # in fewer draws, chance alone passes it too often
        assert found["raw → random"]["rejected"] <= 0.075 * repetitions
    calibrator = found["calibrator_diluted → calibrator_clean"]
    assert calibrator["admitted"] >= binomial_band(repetitions, 0.95)[0]
    assert found["raw → curated"]["rejected"] == repetitions


# ── the plan ─────────────────────────────────────────────────────────────────────────────────


def test_a_curve_reaches_one_and_a_half_times_beyond_the_diluted_budget(inputs):
    """And has a rung at D / (1 − r) for each of B's budgets."""
    plan = make_plan(inputs, SMALL, seed=1)
    contrast, family = plan.contrasts[0], plan.families["kneser_ney"]
    rungs = family.ladders["order2"]["raw"]
    grown = 1 / (1 - contrast.removed)

    assert max(rungs) >= 1.5 * grown * 8_000 - 1
    assert {round(b * grown) for b in family.budgets} <= set(rungs)


def test_budgets_are_planned_from_the_pool_alone(inputs):
    """Four doublings that the pool can hold, the same at every call."""
    config = replace(SMALL, budgets=None)
    plans = [make_plan(inputs, config, seed=1) for _ in range(2)]
    budgets = plans[0].families["kneser_ney"].budgets
    contrast = plans[0].contrasts[0]

    assert plans[0] == plans[1]
    assert [b / budgets[0] for b in budgets] == [1, 2, 4, 8]
    assert budgets[-1] <= contrast.largest_budget < 1.2 * budgets[-1]


def test_fewer_minutes_make_smaller_budgets(inputs):
    """Planned seconds fit the minutes."""
    config = replace(SMALL, budgets=None, minutes=0.002)
    plan = make_plan(inputs, config, seed=1).families["kneser_ney"]

    free = make_plan(inputs, replace(config, minutes=10.0), seed=1).families["kneser_ney"]
    assert plan.budgets[-1] < free.budgets[-1]
    assert plan.seconds < free.seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headline": "raw → oracle"}, "unknown contrast measure.headline 'raw → oracle'"),
        ({"headline": "raw"}, "write 'raw → curated'"),
        ({"budgets": (10**9,)}, "the pool allows at most"),
        ({"budgets": (8, 4)}, "must be positive and rise"),
        ({"families": ("kneser-ney",)}, "did you mean 'kneser_ney'"),
        ({"sizes": ("order9",)}, "unknown proxy size 'order9'"),
        ({"replicates": 0}, "replicates is 0"),
        ({"families": ()}, "measure.families is empty"),
    ],
)
def test_impossible_wishes_are_refused(inputs, changes, message):
    """Before anything is trained, with what is allowed."""
    with pytest.raises(ConfigError, match=message):
        make_plan(inputs, replace(SMALL, **changes), seed=1)


# ── steps, twins, duplicates ─────────────────────────────────────────────────────────────────


def test_a_step_that_removes_nothing_is_not_trained_twice(inputs, monkeypatch):
    """Its arm holds curated's text: one training, two rows, a multiplier of exactly 1."""
    trained = []
    family = type(FAMILIES["kneser_ney"])
    climb = family.ladder

    def counting(self, tokens, **rest):
        trained.append(len(tokens))
        return climb(self, tokens, **rest)

    monkeypatch.setattr(family, "ladder", counting)
    masks = inputs.masks | {"without_idle": inputs.masks["curated"].copy()}
    config = replace(SMALL, arms=("leave_one_out",))
    result = run_experiment(replace(inputs, masks=masks), config, seed=1)

    assert len(trained) == 2 * SMALL.replicates
    assert estimates(result, "without_idle → curated") == [1.0, 1.0]


def test_a_step_that_removes_filler_is_worth_its_share(inputs):
    """Without the step a third of the filler stays."""
    stays = np.random.default_rng(2).random(len(inputs.ids)) < 1 / 3
    masks = inputs.masks | {"without_menu": inputs.masks["curated"] | stays}
    config = replace(SMALL, arms=("leave_one_out", "calibrator"))
    result = run_experiment(replace(inputs, masks=masks), config, seed=1)

    verdict = next(v for v in result.verdicts if v["contrast"] == "without_menu → curated")

    assert verdict["conclusion"] == "worth"
    assert "tokens curated without menu on text that neither side saw" in verdict["sentence"]


@pytest.mark.parametrize(
    ("arm", "contrast", "noted"),
    [
        ("without_duplicates.near", "{} → curated", "of the prefix repeats earlier text"),
        ("only_duplicates.near", "raw → {}", "of the prefix repeats earlier text"),
        ("without_cut_passages", "{} → curated", "repeated passages are not counted"),
    ],
)
def test_kneser_ney_gives_no_verdict_on_repeats(inputs, arm, contrast, noted):
    """Budget over pool and the repeat rate stand beside the estimate instead."""
    every = np.ones(len(inputs.ids), bool)
    masks = inputs.masks | {arm: every if arm.startswith("without") else inputs.masks["curated"]}
    clusters = np.where(np.arange(len(inputs.ids)) < 200, 7, -1)
    config = replace(SMALL, arms=("leave_one_out", "only_one", "calibrator"))
    result = run_experiment(replace(inputs, masks=masks, clusters=clusters), config, seed=1)

    rows = over_all(result).filter(contrast=contrast.format(arm))
    beside = pl.concat([over_all(result, name) for name in ("harm", "slope_per_doubling")])
    beside = beside.filter(contrast=contrast.format(arm))

    assert (rows.height, beside.height) == (2, 3)
    said = [*rows["conclusion"], *beside["conclusion"]]
    assert all(word.startswith("cannot tell") for word in said)
    assert all("of the pool" in note and noted in note for note in rows["note"])


def test_oracle_shows_the_documentation_alone(inputs):
    """Truth given: the raw text's worth without noise, and what curation did to clean text."""
    masks = inputs.masks | {"oracle": inputs.masks["curated"]}
    result = run_experiment(replace(inputs, masks=masks), replace(SMALL, arms=("oracle",)), seed=1)

    assert estimates(result, "raw → oracle") == estimates(result, "raw → curated")
    assert estimates(result, "oracle → curated_oracle") == [1.0, 1.0]


# ── inputs ───────────────────────────────────────────────────────────────────────────────────


def test_without_evaluation_there_is_no_headline(inputs):
    """Nothing is trained and the sentence says why."""
    result = run_experiment(replace(inputs, evaluation={}), SMALL, seed=1)

    assert result.runs.height == 0
    assert result.verdicts[0]["conclusion"] == NO_EVALUATION
    assert NO_EVALUATION in result.verdicts[0]["sentence"]


def frame():
    words = ["low", "lower", "lowest", "slow", "slower", "glow"]
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(words, size=30)) for _ in range(60)]
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(60)],
            "text": texts,
            "curated_text": [t if i % 2 else t[:40] for i, t in enumerate(texts)],
            "curated": [i % 3 > 0 for i in range(60)],
            "without_cut": [True] * 60,
            "cluster": ["c1" if i < 3 else None for i in range(60)],
        }
    )


def test_documents_become_inputs():
    """Edited texts are encoded as edited; clusters and masks follow the rows."""
    found = measure_inputs(frame(), evaluation=None, filler=["menu"], config=SMALL, seed=1)

    raw, curated = found.texts["raw"].lengths, found.texts["curated"].lengths
    assert (curated[1::2] == raw[1::2]).all()
    assert (curated[::2] < raw[::2]).all()
    assert sorted(found.masks) == ["curated", "without_cut"]
    assert (found.clusters[:3] == found.clusters[0]).all()
    assert (found.clusters[3:] == -1).all()


def test_the_tokenizer_knows_raw_text_alone():
    """Text of added arms changes no token of raw: it would change every arm's loss."""
    added = frame().with_columns(
        id=pl.lit("x") + pl.col("id"), text=pl.lit("zzz qqq zzz qqq zzz qqq"), curated_text=None,
        curated=pl.lit(value=False), native=pl.lit(value=False),
    )  # fmt: skip
    both = pl.concat([frame().with_columns(native=pl.lit(value=True)), added])
    alone, found = (
        measure_inputs(each, evaluation=None, filler=["menu"], config=SMALL, seed=1)
        for each in (frame(), both)
    )

    raw = alone.texts["raw"]
    assert np.array_equal(found.texts["raw"].flat[: raw.flat.size], raw.flat)
    assert found.native.tolist() == [True] * 60 + [False] * 60


def test_evaluation_is_capped_by_document_and_by_set():
    """A character that the byte limit cuts in two is left out; sets come sorted by name."""
    config = replace(SMALL, evaluation_tokens=50, evaluation_document_bytes=11)
    texts = pl.DataFrame(
        {
            "id": [f"e{i}" for i in range(40)],
            "text": ["slow glow ä lower"] * 40,
            "source": ["y", "x"] * 20,
        }
    )
    found = measure_inputs(frame(), evaluation=texts, filler=["menu"], config=config, seed=1)

    assert list(found.evaluation) == ["x", "y"]
    for each in found.evaluation.values():
        assert set(each.bytes.tolist()) == {10}
        assert 50 - 10 <= each.encoded.flat.size <= 60
        assert each.encoded.offsets[-1] == each.encoded.flat.size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("curated"), r"lack the columns \['curated'\]"),
        (lambda f: f.clear(), "no documents are left"),
    ],
)
def test_unusable_documents_are_refused(change, message):
    """With what is missing."""
    with pytest.raises(InputError, match=message):
        measure_inputs(change(frame()), evaluation=None, filler=["menu"], config=SMALL, seed=1)


def test_masks_must_fit_the_pool(inputs):
    """A mask of another corpus is no mask."""
    with pytest.raises(InputError, match="mask 'curated' has 3 documents, the pool has 1500"):
        replace(inputs, masks={"curated": np.ones(3, bool)})
