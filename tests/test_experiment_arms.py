"""Arms that an experiment makes itself, families that are left out, and what a plan promises."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.experiment import (
    MeasureConfig,
    make_plan,
    measure_inputs,
    plan_sentences,
    run_experiment,
)
from curate.experiment.additions import hold_out, with_controls, worst_by_quality
from curate.experiment.arms import make_draws
from curate.experiment.coalitions import coalitions, shapley_rows
from curate.experiment.contrasts import Contrast
from curate.experiment.estimates import _shared, _with_crossovers
from curate.experiment.example import example_inputs
from curate.experiment.power import Design, draws_needed, power, smallest_detectable
from curate.experiment.repeats import FEW_MINUTES, REPEATED
from curate.proxies import Gpt
from curate.scaling import MULTIPLIER_SCHEMA, Cells
from curate.subsets import Encoded, draw_order, source_held_order

SMALL = MeasureConfig(sizes=("order2",), arms=("calibrator",), budgets=(4_000, 8_000), replicates=6)


@pytest.fixture(scope="module")
def inputs():
    return example_inputs(1_500)


def multiplier(result, contrast):
    rows = result.multipliers.filter(
        contrast=contrast, quantity="multiplier", eval_set="all", n_tokens=8_000
    )
    return rows.row(0, named=True)


# ── families that are left out ───────────────────────────────────────────────────────────────


def test_without_torch_the_transformers_are_left_out_and_nothing_else_changes(inputs, monkeypatch):
    """The tables are those of a run that never asked for them with the same minutes."""
    config = replace(SMALL, families=("kneser_ney", "gpt"), sizes=("order2", "width32"))
    with_torch = make_plan(inputs, replace(config, minutes=60), seed=1)
    monkeypatch.setattr(Gpt, "available", lambda _: False)
    result = run_experiment(inputs, config, seed=1)
    alone = run_experiment(inputs, SMALL, seed=1)

    assert result.plan["left_out"] == ["left out: gpt needs torch"]
    assert result.multipliers.equals(alone.multipliers)
    without_torch = make_plan(inputs, replace(config, minutes=60), seed=1)
    assert without_torch.families["kneser_ney"] == with_torch.families["kneser_ney"]


def test_too_few_minutes_leave_the_transformers_out_and_say_how_many_they_need(inputs, monkeypatch):
    """Rather than a model that is too small to say anything."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    arms = ("calibrator", "fixed_pool")
    config = MeasureConfig(minutes=0.5, arms=arms, families=("kneser_ney", "gpt"))
    plan = make_plan(inputs, config, seed=1)

    assert list(plan.families) == ["kneser_ney"]
    assert plan.left_out["gpt"].startswith("needs minutes = ")
    assert plan.left_out[REPEATED] == f"needs gpt, which {plan.left_out['gpt']}"


def test_where_no_family_fits_the_error_speaks_of_families_alone(inputs, monkeypatch):
    """And says how many minutes the first needs."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    config = MeasureConfig(minutes=0.01, arms=("fixed_pool",), families=("gpt",))

    with pytest.raises(ConfigError, match=r"^proxy family 'gpt' needs minutes = \S+ or more$"):
        make_plan(inputs, config, seed=1)


def test_no_family_left_is_an_error(inputs, monkeypatch):
    """Nothing would be measured."""
    monkeypatch.setattr(Gpt, "available", lambda _: False)
    with pytest.raises(ConfigError, match="'gpt' needs torch"):
        make_plan(inputs, replace(SMALL, families=("gpt",), sizes=("width32",)), seed=1)


def test_transformers_speak_only_where_their_calibrator_admits_them(inputs):
    """Measured beside the n-grams; a dozen steps are too few, so the gate holds them back."""
    pytest.importorskip("torch")
    families = ("kneser_ney", "gpt")
    config = replace(SMALL, families=families, sizes=("order2", "width32"), replicates=2)
    result = run_experiment(inputs, replace(config, budgets=(2_048, 4_096)), seed=1)

    table = result.multipliers.filter(family="gpt", contrast="raw → curated")
    assert set(result.runs["family"]) == set(families)
    assert not table["admitted"].fill_null(value=False).any()
    words = table.filter(quantity="multiplier", eval_set="all")["conclusion"]
    assert all(word.startswith("cannot tell") for word in words)
    assert result.verdicts[0]["family"] == "kneser_ney"


# ── arms ─────────────────────────────────────────────────────────────────────────────────────


def test_degraded_text_hurts_and_copies_cost_little_far_from_the_pool(inputs):
    """All that a Markov chain can teach is which word follows which: shuffled, it misleads."""
    config = replace(SMALL, arms=("calibrator", "degraded", "duplicated"))
    result = run_experiment(with_controls(inputs, config.arms, seed=1), config, seed=1)

    degraded = multiplier(result, "degraded → curated")
    copies = multiplier(result, "duplicated → curated")

    assert degraded["low"] > 1.5
    assert copies["estimate"] < 1.2
    assert copies["conclusion"].startswith("cannot tell")  # Kneser–Ney on repeated text


def test_controls_are_in_no_other_arm(inputs):
    """What raw, curated and random filters hold is as without them."""
    more = with_controls(inputs, ("degraded", "duplicated"), seed=1)
    for arm in ("raw", "curated", "random"):
        ours, theirs = (
            make_draws(each, share=0.6, seed=1).tokens(arm, 0, 9_000) for each in (more, inputs)
        )
        assert np.array_equal(ours, theirs), arm


def test_text_that_curation_wrongly_keeps_the_worst_of_harms(inputs):
    """Inverse selection: the lowest scores are the filler."""
    scores = inputs.masks["curated"].astype(float)
    masks = inputs.masks | {"inverse_quality": worst_by_quality(inputs, scores)}
    config = replace(SMALL, arms=("calibrator", "inverse_quality"))
    result = run_experiment(replace(inputs, masks=masks), config, seed=1)

    assert multiplier(result, "raw → inverse_quality")["estimate"] < 0.9


def test_one_step_alone_is_compared_with_raw(inputs):
    """A step that removes half of the filler is worth part of the whole."""
    half = inputs.masks["curated"] | (np.arange(len(inputs.ids)) % 2 == 0)
    config = replace(SMALL, arms=("calibrator", "only_one"))
    result = run_experiment(
        replace(inputs, masks=inputs.masks | {"only_menu": half}), config, seed=1
    )

    alone, all_steps = (multiplier(result, f"raw → {arm}") for arm in ("only_menu", "curated"))
    assert 1.05 < alone["estimate"] < all_steps["estimate"]


def test_the_mixture_held_arm_has_the_shares_of_raw(inputs):
    """In every prefix, within a document, whatever curation did to the shares."""
    sources = np.arange(len(inputs.ids)) % 3
    masks = {"curated": inputs.masks["curated"] & ~((sources == 1) & (np.arange(1_500) % 2 == 0))}
    lengths = inputs.texts["raw"].lengths
    weights = np.bincount(sources, weights=lengths) / lengths.sum()
    order = draw_order(inputs.ids, seed=1, replicate=0)
    drawn = order[masks["curated"][order]]
    held = source_held_order(drawn, inputs.texts["raw"], sources, weights)

    assert sorted(held) == sorted(drawn)
    for stop in (100, 200, 300):
        read = np.bincount(sources[held[:stop]], weights=lengths[held[:stop]], minlength=3)
        assert read / read.sum() == pytest.approx(weights, abs=200 / read.sum())
    config = replace(SMALL, arms=("calibrator", "mixture"))
    result = run_experiment(replace(inputs, masks=masks, sources=sources), config, seed=1)
    assert multiplier(result, "raw → curated_mixture")["estimate"] == pytest.approx(1.5, abs=0.25)


@pytest.mark.parametrize("named", [True, False], ids=["sources known", "one third unknown"])
def test_the_mixture_is_drawn_by_ids_and_not_by_rows(inputs, named):
    """Another order of the rows is the same sequence, whether all sources are known or not."""
    sources = np.arange(1_500) % 3 - (not named)
    rows = np.random.default_rng(4).permutation(1_500)
    raw = inputs.texts["raw"]
    pieces = [raw.flat[raw.offsets[i] : raw.offsets[i + 1]] for i in rows]
    text = Encoded(
        flat=np.concatenate(pieces), offsets=np.cumsum([0, *map(len, pieces)]).astype(np.int64)
    )
    turned = replace(
        inputs,
        ids=[inputs.ids[i] for i in rows],
        texts={"raw": text, "curated": text},
        masks={"curated": inputs.masks["curated"][rows]},
        sources=sources[rows],
    )
    one, two = (
        make_draws(each, share=0.6, seed=1).tokens("curated_mixture", 0, 20_000)
        for each in (replace(inputs, sources=sources), turned)
    )

    assert len(one) == 20_000
    assert np.array_equal(one, two)


def test_the_mixture_is_held_up_to_the_largest_budget_and_not_beyond(inputs):
    """Curation leaves a tenth of one source: where that has ended, nothing holds the shares."""
    sources = np.arange(1_500) % 3
    curated = inputs.masks["curated"] & ((sources != 1) | (np.arange(1_500) % 10 == 1))
    few = replace(inputs, masks={"curated": curated}, sources=sources)
    plan = make_plan(few, replace(SMALL, arms=("calibrator", "mixture"), budgets=None), seed=1)
    contrast = next(c for c in plan.contrasts if c.arm_b == "curated_mixture")
    held = int(contrast.available[1])
    lengths = few.texts["raw"].lengths
    weights = np.bincount(sources, weights=lengths) / lengths.sum()
    draws = make_draws(replace(few, vocabulary=4), share=plan.share, seed=1)
    order = draws._mixed(draws.order(0))

    def drift(tokens):
        read = np.cumsum(lengths[order]) <= tokens
        parts = np.bincount(sources[order[read]], weights=lengths[order[read]], minlength=3)
        return np.abs(parts / parts.sum() - weights).sum() / 2

    assert held < 0.6 * lengths[curated].sum()
    assert plan.budgets_of(contrast, "kneser_ney")[-1] <= held
    assert drift(held) < 0.03 < drift(1.5 * held)


def test_a_fixed_pool_is_read_again_in_a_new_order(inputs):
    """Curated reads its smaller part of the same pool more often."""
    draws = make_draws(inputs, share=0.6, seed=1, pool=6_000)
    raw, curated = (draws.tokens(arm, 0, 16_000) for arm in ("raw_pool", "curated_pool"))
    once = draws.tokens("raw", 0, 5_000)

    assert len(raw) == len(curated) == 16_000
    assert np.array_equal(raw[:5_000], once)
    counts = np.bincount(raw[:5_900], minlength=961), np.bincount(raw[5_900:11_800], minlength=961)
    assert np.abs(counts[0] - counts[1]).sum() < 0.1 * 5_900
    assert not np.array_equal(raw[:5_000], raw[5_900:10_900])
    assert not (curated > 900).any()


def test_n_gram_models_are_not_asked_about_a_fixed_pool(inputs):
    """They learn repeats by heart; the plan says what would be needed."""
    plan = make_plan(inputs, replace(SMALL, arms=("calibrator", "fixed_pool")), seed=1)

    assert [c for c in plan.contrasts if c.repeats] == []
    assert "needs a transformer" in plan.left_out[REPEATED]


def both(minutes, **other):
    """A config of both families with the arms that a user gets who names none."""
    names = ("kneser_ney", "gpt")
    return MeasureConfig(minutes=minutes, families=names, sizes=("order2", "width32"), **other)


@pytest.mark.parametrize(
    ("minutes", "planned"), [(60, "a pool"), (2.4, "once only"), (0.5, "no transformer")]
)
def test_a_pool_is_read_again_by_default_where_the_minutes_have_room(monkeypatch, minutes, planned):
    """And where they have none the plan says so; the transformers' own budgets make the pool."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    plan = make_plan(example_inputs(20_000), both(minutes), seed=1)
    gpt = plan.families.get("gpt")
    ladders = {} if gpt is None else gpt.ladders["width32"]

    assert (gpt is None) == (planned == "no transformer")
    assert ({"raw_pool", "curated_pool"} <= set(ladders)) == (planned == "a pool")
    assert "raw_pool" not in plan.families["kneser_ney"].ladders["order2"]
    if planned == "a pool":
        assert plan.pool_tokens == gpt.budgets[-1] // 4
        assert plan.pool_tokens < plan.families["kneser_ney"].budgets[-1] // 4
        assert REPEATED not in plan.left_out
    else:
        assert plan.pool_tokens == 0
        needs = f"needs gpt, which {plan.left_out.get('gpt')}"
        assert plan.left_out[REPEATED] == (FEW_MINUTES if gpt else needs)


def test_a_pool_that_may_hold_no_curated_text_is_not_read(inputs, monkeypatch):
    """Rather than an experiment that ends with an error."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    plan = make_plan(inputs, both(60, budgets=(300, 600)), seed=1)

    assert "gpt" in plan.families
    assert plan.pool_tokens == 0
    assert plan.left_out[REPEATED] == "as a pool of these budgets may hold no curated text"


# ── evaluation ───────────────────────────────────────────────────────────────────────────────


def test_each_corpus_wins_its_own_held_out_text_and_that_decides_nothing():
    """Held out of all arms, in the matrix, in no verdict."""
    inputs = hold_out(example_inputs(3_000), seed=1)
    result = run_experiment(inputs, SMALL, seed=1)

    matrix = result.matrix.filter(pl.col("arm").is_in(["raw", "curated"]))
    winners = {
        row["eval_set"]: row["arm"]
        for row in matrix.sort("loss", descending=True).iter_rows(named=True)
    }
    assert winners["held_out_raw"] == "raw"
    assert winners["held_out_curated"] == winners["held_out_0"] == "curated"
    assert dict(matrix.select("eval_set", "neutral").rows())["held_out_raw"] is False
    assert set(result.multipliers["eval_set"]) == {"all", "held_out_0", "held_out_1"}
    taken = {i for each in inputs.held_out.values() for i in each.ids}
    kept = np.flatnonzero(inputs.native | inputs.masks["curated"])
    assert not taken & {inputs.ids[i] for i in kept}


def test_a_cluster_leaves_the_arms_together():
    """Else a copy of a held-out document would be trained on."""
    inputs = example_inputs(3_000)
    clusters = np.arange(3_000) // 3
    found = hold_out(replace(inputs, clusters=clusters), seed=1)

    out = set(clusters[~found.native])
    assert out
    assert not out & set(clusters[found.native])


def test_columns_become_arms():
    """Source, quality and masks of single steps reach the experiment."""
    rng = np.random.default_rng(1)
    words = rng.choice(["alpha", "beta", "gamma", "delta"], size=(60, 30))
    frame = pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(60)],
            "text": [" ".join(row) for row in words],
            "curated": [i % 4 != 0 for i in range(60)],
            "only_words": [i % 8 != 0 for i in range(60)],
            "source": ["a", "b", None] * 20,
            "quality": [float(i) for i in range(60)],
        }
    )
    config = MeasureConfig(arms=("inverse_quality", "duplicated"))
    found = measure_inputs(frame, evaluation=None, filler=["menu"], config=config, seed=1)

    assert {"only_words", "inverse_quality", "duplicated", "native"} <= set(found.masks)
    assert found.masks["inverse_quality"][:40].all()
    assert sorted(set(found.sources.tolist())) == [-1, 0, 1]


# ── what a plan promises ─────────────────────────────────────────────────────────────────────


def test_more_draws_see_more_and_stricter_levels_less():
    """And the smallest multiplier seen has just the promised power."""
    design = Design(draws=8, spread=0.1)

    assert power(1.1, replace(design, draws=16)) > power(1.1, design)
    assert power(1.1, replace(design, level=0.01)) < power(1.1, design)
    assert power(smallest_detectable(design), design) == pytest.approx(0.8, abs=1e-6)
    assert power(smallest_detectable(design) ** -1, design) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(("budgets", "draws"), [((4_000, 8_000), 8), (None, 5)])
def test_a_transformer_takes_the_draws_asked_for_where_budgets_are_given(
    monkeypatch, budgets, draws
):
    """Where minutes choose its budgets, a second size is worth more than three further draws."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    plan = make_plan(example_inputs(20_000), both(60, budgets=budgets, replicates=8), seed=1)

    assert plan.families["kneser_ney"].replicates == 8
    assert plan.families["gpt"].replicates == draws


def test_draws_follow_the_wanted_multiplier(inputs):
    """`replicates = None`: as many as any comparison needs."""
    config = replace(SMALL, replicates=None, detect=1.10)
    plan = make_plan(inputs, config, seed=1)

    assert plan.families["kneser_ney"].replicates == draws_needed(1.10, spread=0.1, level=0.05)
    promised = plan.to_dict()["power"]["kneser_ney"]["headline"]
    assert promised["power_at_wanted"] >= 0.8
    assert promised["seen_with_80_percent_power"] <= 1.10


def test_other_comparisons_are_promised_at_the_level_that_they_are_judged_at(monkeypatch):
    """Those of the second family take the levels of the first, whose number they are given for."""
    monkeypatch.setattr(Gpt, "available", lambda _: True)
    inputs = example_inputs(3_000)
    curated = inputs.masks["curated"]
    without = {
        f"without_{name}": curated | (np.arange(3_000) % n == 0) for name, n in STEPS.items()
    }
    inputs = replace(inputs, masks=inputs.masks | without)
    config = MeasureConfig(
        minutes=90, arms=("leave_one_out", "calibrator", "fixed_pool"), families=BOTH
    )
    told = make_plan(inputs, config, seed=1).to_dict()
    power_of = told["power"]

    for family in BOTH:
        assert power_of[family]["other comparisons"]["comparisons"] == 3
        assert power_of[family]["other comparisons"]["level"] == pytest.approx(0.05 / 3)
    said = "\n".join(plan_sentences(told))
    assert said.count("any other comparison, after correcting for 3 of them: a multiplier of") == 2


STEPS, BOTH = {"a": 5, "b": 7, "c": 11}, ("kneser_ney", "gpt")


def test_a_plan_of_one_draw_and_one_budget_says_so(inputs):
    plan = make_plan(inputs, replace(SMALL, replicates=1, budgets=(6_000,)), seed=1)
    said = "\n".join(plan_sentences(plan.to_dict()))

    assert "1 paired draw, a budget of 6,000 tokens, about" in said
    assert "headline: one draw shows no multiplier for sure" in said


@pytest.mark.parametrize(("pool", "covered"), [(1_000, 0.1), (5_000, 0.5)])
def test_draws_of_a_pool_are_alike_as_their_pools_are(pool, covered):
    """However often it is read: half of all the text, in every draw, is half the same text."""
    contrast = Contrast(
        arm_a="raw_pool",
        arm_b="curated_pool",
        kind="secondary",
        removed=0.5,
        everywhere=False,
        available=(8 * 10_000, 8 * 5_000),
    )
    cells = Cells(
        budgets=np.array([8_000, 16_000]),
        eval_sets=("e",),
        log_m=np.zeros((3, 1, 2)),
        side=np.zeros((3, 1, 2), np.int8),
        influence=(),
    )
    draws = SimpleNamespace(inputs=SimpleNamespace(pool_share=0.2), pool=pool, share=0.5)
    alike = _shared(cells, contrast, draws)

    assert alike == pytest.approx([0.8 * covered / (1 - covered)] * 2)


@pytest.mark.parametrize(
    ("ends", "admitted", "told"),
    [
        ((2_500.0, 3_500.0), [False, True, True, None], True),
        ((2_500.0, 3_500.0), [True, True, False, True], False),
        ((2_000.0, 4_000.0), [None, True, True, None], True),
        ((1_500.0, 3_500.0), [None, True, True, True], False),
    ],
)
def test_a_crossover_counts_where_the_calibrator_admits_the_budgets_around_it(ends, admitted, told):
    """Of 1, 2, 4 and 8 thousand tokens; what is said without the gate stays."""
    own = {"contrast": "raw_pool → curated_pool", "family": "gpt", "size": "width32"}
    rows = [
        own | {"n_tokens": n, "quantity": "multiplier", "eval_set": "all", "note": "pool"}
        for n in (1_000, 2_000, 4_000, 8_000)
    ]
    table = pl.DataFrame(
        [
            dict.fromkeys(MULTIPLIER_SCHEMA) | r | {"admitted": a}
            for r, a in zip(rows, admitted, strict=True)
        ],
        schema=dict(MULTIPLIER_SCHEMA),
    )
    crossed = {"quantity": "crossover", "low": ends[0], "high": ends[1], "note": "pool"}
    words = {"conclusion_without_gate": "crossover at 3 k tokens"}
    found = _with_crossovers(table, [own | crossed | words])
    row = found.row(-1, named=True)

    assert (row["conclusion"] == "crossover at 3 k tokens") == told
    assert row["conclusion"].startswith("cannot tell") != told
    assert row["conclusion_without_gate"] == "crossover at 3 k tokens"
    assert found["note"][0].startswith("pool: crossover at 3 k tokens")
    assert ("does not admit" in found["note"][0]) != told


# ── values of steps ──────────────────────────────────────────────────────────────────────────


def planted_cells(values):
    """ln m of coalitions without noise: three draws, one set, one budget."""
    return {
        frozenset(chosen): Cells(
            budgets=np.array([1_000]),
            eval_sets=("e",),
            log_m=np.full((3, 1, 1), value),
            side=np.zeros((3, 1, 1), np.int8),
            influence=(),
        )
        for chosen, value in values.items()
    }


def test_values_of_steps_share_what_two_of_them_do_alike():
    """Known game: a and b each remove the same half (ln 2 together), c adds .3 of its own."""
    same, own = np.log(2), 0.3
    values = {
        chosen: (same if set(chosen) & {"a", "b"} else 0.0) + (own if "c" in chosen else 0.0)
        for chosen in [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    }
    rows = shapley_rows(planted_cells(values), ["a", "b", "c"], seed=1)
    found = {row["step"]: np.log(row["value"]) for row in rows}

    assert found == pytest.approx({"a": same / 2, "b": same / 2, "c": own})
    assert sum(row["share_of_total"] for row in rows) == pytest.approx(1)
    assert all(row["resolved"] for row in rows)
    assert all(row["permutation_error"] == 0 for row in rows)


def test_drawn_orders_of_many_steps_keep_the_sum():
    """Five steps that add up: every drawn order says the same, so nothing is left unsure."""
    steps = ["a", "b", "c", "d", "e"]
    worth = dict(zip(steps, (0.1, 0.2, 0.3, 0.0, -0.1), strict=True))
    chosen = [*coalitions(steps, seed=3), tuple(steps)]
    values = {each: sum(worth[step] for step in each) for each in chosen}
    rows = shapley_rows(planted_cells(values), steps, seed=3)

    assert {r["step"]: np.log(r["value"]) for r in rows} == pytest.approx(worth, abs=1e-12)
    assert max(row["permutation_error"] for row in rows) < 1e-12


def test_coalitions_become_arms_and_their_values_add_up_to_the_whole(inputs):
    """Two steps that take half of the filler each: equal values, together raw → curated."""
    noise = np.flatnonzero(~inputs.masks["curated"])
    one, two = (np.ones(len(inputs.ids), bool) for _ in range(2))
    one[noise[::2]] = False
    two[noise[1::2]] = False
    masks = {**inputs.masks, "steps_one": one, "steps_two": two}
    config = replace(SMALL, arms=("calibrator",))
    result = run_experiment(replace(inputs, masks=masks), config, seed=1)
    values = np.log(result.shapley["value"].to_numpy())
    budget = result.shapley["n_tokens"][0]
    whole = result.multipliers.filter(
        contrast="raw → curated", quantity="multiplier", eval_set="all", n_tokens=budget
    )

    assert values.sum() == pytest.approx(np.log(whole["estimate"][0]))
    assert values[0] == pytest.approx(values[1], rel=0.3)
    assert not result.multipliers["contrast"].str.contains("steps_").any()
