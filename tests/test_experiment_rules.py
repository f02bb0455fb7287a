"""What each arm holds, who shares a draw with whom, and which cells enter: without any training."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from curate.experiment import MeasureConfig, make_plan, run_experiment
from curate.experiment.additions import with_controls
from curate.experiment.arms import SALTS, make_draws
from curate.experiment.coalitions import coalitions, orders, shapley_rows
from curate.experiment.contrasts import find_contrasts
from curate.experiment.estimates import _duplicate_note
from curate.experiment.example import example_inputs
from curate.experiment.jobs import Job, Sequences
from curate.experiment.plan import HEAD, OTHER_TESTS
from curate.experiment.training import _losses, _prepared
from curate.proxies import KneserNey, LadderPoint
from curate.scaling import Cells, crossed_interval
from curate.subsets import Encoded, first_of_cluster

SMALL = MeasureConfig(sizes=("order2",), arms=("calibrator",), budgets=(4_000, 8_000), replicates=3)


@pytest.fixture(scope="module")
def inputs():
    """Curated text is raw's with every second token cut."""
    found = example_inputs(600)
    raw = found.texts["raw"]
    ends = (raw.offsets + 1) // 2
    cut = Encoded(flat=raw.flat[::2][: ends[-1]], offsets=ends)
    every = np.ones(600, bool)
    masks = dict.fromkeys(("oracle", "without_a", "only_a", "steps_a", "inverse_quality"), every)
    masks |= {"curated": found.masks["curated"], "degraded": every, "duplicated": every}
    return replace(found, texts={"raw": raw, "curated": cut}, masks=masks)


@pytest.fixture(scope="module")
def draws(inputs):
    return make_draws(inputs, share=0.4, seed=1)


# ── what an arm holds ────────────────────────────────────────────────────────────────────────

RAW = ("raw", "oracle", "only_a", "steps_a", "inverse_quality", "random", "null_a", "raw_pool")
EDITED = (
    "curated",
    "without_a",
    "curated_oracle",
    "curated_mixture",
    "curated_pool",
    "calibrator_clean",
    "calibrator_diluted",
    "degraded",
    "duplicated",
)


@pytest.mark.parametrize("arm", [*RAW, *EDITED])
def test_an_arm_holds_its_own_version_of_the_text(inputs, draws, arm):
    assert draws.text(arm) is inputs.texts["raw" if arm in RAW else "curated"]


def test_an_arm_with_a_text_of_its_own_holds_that(inputs):
    own = inputs.texts["curated"]
    texts = {**inputs.texts, "only_a": own, "without_a": inputs.texts["raw"]}
    draws = make_draws(replace(inputs, texts=texts), share=0.4, seed=1)

    assert draws.text("only_a") is own
    assert draws.text("without_a") is inputs.texts["raw"]


def test_what_is_neither_native_nor_named_is_in_no_arm(inputs):
    """Documents that an experiment adds are in the arm that they were made for."""
    bare = replace(inputs, masks={"curated": inputs.masks["curated"]})
    more = with_controls(bare, ("degraded", "duplicated"), seed=1)
    draws = make_draws(more, share=0.4, seed=1)
    added = {name: more.masks[name] & ~more.native for name in ("degraded", "duplicated")}

    assert all(mask.sum() > 50 for mask in added.values())
    for arm in ("raw", "raw_pool", "curated", "random", "null_a", "null_b", "calibrator_clean"):
        assert not (draws.mask(arm, 0) & (added["degraded"] | added["duplicated"])).any(), arm
    assert not (more.masks["degraded"] & added["duplicated"]).any()


# ── draws ────────────────────────────────────────────────────────────────────────────────────


def test_gate_nulls_and_random_filters_have_draws_of_their_own(draws):
    """A gate that judged on the verdict's documents would admit by the verdict's noise."""
    salts = ("order", "calibrator", "null", "random", "pooled", "pass 1")
    found = {salt: draws.order(0, salt=salt) for salt in salts}

    assert SALTS["calibrator_clean"] == "calibrator"
    for one, two in combinations(salts, 2):
        together = np.corrcoef(np.argsort(found[one]), np.argsort(found[two]))[0, 1]
        assert abs(together) < 0.5, (one, two)
    clean = draws.tokens("calibrator_clean", 0, 2_000)
    assert not np.array_equal(clean, draws.tokens("curated", 0, 2_000))
    assert np.isin(clean, draws.inputs.texts["curated"].flat).all()


@pytest.mark.parametrize("arm", ["random", "null_a", "null_b"])
def test_filters_by_chance_are_drawn_anew_and_keep_what_curation_keeps(draws, arm):
    lengths = draws.inputs.texts["raw"].lengths
    one, two = (draws.mask(arm, replicate) for replicate in (0, 1))

    assert lengths[one].sum() == pytest.approx(0.4 * lengths.sum(), abs=200)
    assert not np.array_equal(one, two)


def test_a_random_filter_is_no_prefix_of_raw(draws):
    """Drawn in raw's own order it would be raw itself up to every budget, and always 1."""
    order, kept = draws.order(0), draws.mask("random", 0)
    first = order[: int(kept.sum())]

    assert 0.2 < kept[first].mean() < 0.6


def test_what_all_arms_share_is_fitted_to_text_without_repeats(inputs):
    """And to raw: the pooled sequence holds one document of each cluster."""
    clusters = np.arange(600) // 3
    draws = make_draws(replace(inputs, clusters=clusters), share=0.4, seed=1)
    pooled = draws.pooled(10**9)
    order = draws.order(0, salt="pooled")
    lengths = inputs.texts["raw"].lengths

    assert len(pooled) == lengths[first_of_cluster(order, clusters)].sum() < 0.4 * lengths.sum()


def test_discounts_are_one_set_for_all_budgets(inputs):
    """A diluted arm of 2 D tokens is scored with the discounts of the clean one of D."""
    plan = make_plan(inputs, SMALL, seed=1)
    draws = make_draws(inputs, share=plan.share, seed=1)
    family = _prepared(draws, plan.families["kneser_ney"], "kneser_ney")

    assert len(family.discounts) > 4
    assert len({table.tobytes() for table in family.discounts.values()}) == 1


def test_the_mixture_is_that_of_raw_and_not_of_curated(inputs):
    """Curation takes most of one source; what it leaves is drawn as often as raw had it."""
    sources = (np.arange(600) % 4 == 0).astype(np.int64)
    curated = inputs.masks["curated"] & ((sources == 0) | (np.arange(600) % 8 == 0))
    some = replace(inputs, masks={"curated": curated}, sources=sources)
    draws = make_draws(some, share=0.4, seed=1)
    raw, cut = inputs.texts["raw"].lengths, inputs.texts["curated"].lengths
    order = draws._mixed(draws.order(0))[:100]
    read = cut[order][sources[order] == 1].sum() / cut[order].sum()

    assert read == pytest.approx(raw[sources == 1].sum() / raw.sum(), abs=0.02)
    assert read > 1.5 * cut[curated & (sources == 1)].sum() / cut[curated].sum()
    tokens = [inputs.texts["curated"].flat[slice(*inputs.texts["curated"].offsets[[i, i + 1]])]
              for i in order]  # fmt: skip
    held = np.concatenate(tokens)
    assert np.array_equal(draws.tokens("curated_mixture", 0, len(held)), held)


# ── which cells enter ────────────────────────────────────────────────────────────────────────


def test_harm_is_told_of_nested_arms_alone(inputs):
    """Where leaving a step out changes who survives, A's prefix is no room for B's documents."""
    apart = np.zeros(600, bool)
    apart[:300] = True
    masks = {
        "curated": inputs.masks["curated"],
        "without_a": apart,
        "without_b": np.ones(600, bool),
    }
    some = replace(inputs, masks=masks)
    config = replace(SMALL, arms=("leave_one_out",))
    draws = make_draws(some, share=0.4, seed=1)
    found = {c.arm_a: draws.nested(c) for c in find_contrasts(some, config, 0.4)}

    assert found == {"raw": True, "without_a": False, "without_b": True}


def test_every_draw_has_its_own_prefixes(inputs, monkeypatch):
    """Harm is what A's own prefix held in that draw."""
    from curate.experiment.arms import Draws

    asked, prefixes = [], Draws.prefixes

    def watched(self, contrast, replicate, budget):
        asked.append((contrast.name, replicate))
        return prefixes(self, contrast, replicate, budget)

    monkeypatch.setattr(Draws, "prefixes", watched)
    run_experiment(replace(inputs, masks={"curated": inputs.masks["curated"]}),
                   replace(SMALL, budgets=(1_000, 2_000)), seed=1)  # fmt: skip

    assert sorted(r for name, r in asked if name == "raw → curated") == [0, 1, 2]


@pytest.mark.parametrize("reach", [1.5, 2.25, 3.0])
def test_no_budget_is_planned_that_raws_ladder_cannot_reach(inputs, reach):
    """The pool ends, and with it the ladder: at least 1.5 D / (1 − r) tokens of raw there are."""
    config = replace(SMALL, reach=reach, budgets=None, arms=("calibrator", "null", "random"))
    plan = make_plan(inputs, config, seed=1)
    family = plan.families["kneser_ney"]

    for contrast in plan.contrasts:
        top = plan.budgets_of(contrast, "kneser_ney")[-1]
        needed = max(1.5, contrast.reach) * top / (1 - contrast.removed)
        assert needed - 1 <= max(family.ladders["order2"][contrast.arm_a]) <= contrast.available[0]


def test_a_comparison_without_room_for_a_budget_is_said_to_be_left_out(inputs):
    """An arm of ten documents is in no table, and the plan says why."""
    few = np.arange(600) < 10
    masks = {"curated": inputs.masks["curated"], "only_few": few, "only_many": np.arange(600) < 500}
    config = replace(SMALL, arms=("calibrator", "only_one"))
    plan = make_plan(replace(inputs, masks=masks), config, seed=1)

    assert plan.left_out == {"raw → only_few": "has too little text to measure"}
    assert "left out: raw → only_few has too little text to measure" in plan.to_dict()["left_out"]
    assert "only_few" not in plan.families["kneser_ney"].ladders["order2"]


def test_a_rung_that_one_draw_could_not_reach_is_out_of_all(inputs):
    """Whole documents leave a draw a little short; a mean over the others would be another mean."""
    sets = inputs.evaluation
    documents = tuple(len(each.ids) for each in sets.values())
    bits = np.ones(sum(documents))
    rungs = (100, 200)
    sequence = Sequences(HEAD, "order2", rungs, {"raw": rungs}, 1.0)
    done = [
        (Job(KneserNey(), None, documents, replicate, sequence, 1.0),
         [LadderPoint(n_tokens=n, n_params=1, document_bits=bits) for n in reached])
        for replicate, reached in enumerate([rungs, rungs[:1], rungs])
    ]  # fmt: skip
    found = _losses(inputs, done)

    assert found["n_tokens"].unique().to_list() == [100]
    assert found["replicate"].unique().sort().to_list() == [0, 1, 2]


def test_losses_are_bits_over_bytes_of_each_set(inputs):
    """Every document of a set by its bytes; sets stand apart, so that each has equal weight."""
    sets = inputs.evaluation
    documents = tuple(len(each.ids) for each in sets.values())
    bits = np.arange(sum(documents), dtype=float)
    sequence = Sequences(HEAD, "order2", (100,), {"raw": (100,)}, 1.0)
    job = Job(KneserNey(), None, documents, 0, sequence, 1.0)
    point = LadderPoint(n_tokens=100, n_params=1, document_bits=bits)
    found = dict(_losses(inputs, [(job, [point])]).select("eval_set", "loss").rows())

    first, second = sets
    n = documents[0]
    assert found[first] == pytest.approx(bits[:n].sum() / sets[first].bytes.sum())
    assert found[second] == pytest.approx(bits[n:].sum() / sets[second].bytes.sum())


# ── power at the level of many tests ─────────────────────────────────────────────────────────


def test_more_contrasts_need_more_draws_and_the_plan_says_what_they_see(inputs):
    """Planned at the level that Holm begins with; the headline alone is promised at 5 %."""
    masks = {"curated": inputs.masks["curated"]}
    masks |= {f"without_{k}": np.ones(600, bool) for k in range(6)}
    config = replace(SMALL, replicates=None, detect=1.15)
    few, many = (
        make_plan(replace(inputs, masks=masks), replace(config, arms=arms), seed=1)
        for arms in (("calibrator",), ("calibrator", "leave_one_out"))
    )
    promised = many.to_dict()["power"]["kneser_ney"]
    strictest = promised[OTHER_TESTS]

    assert few.families["kneser_ney"].replicates < many.families["kneser_ney"].replicates
    assert promised["headline"]["level"] == 0.05
    assert strictest["level"] == pytest.approx(0.05 / 6)
    assert strictest["power_at_wanted"] < promised["headline"]["power_at_wanted"]


# ── crossed components ───────────────────────────────────────────────────────────────────────


def test_many_sources_are_a_sample_and_their_noise_is_counted_once():
    """Two-way random effects by hand: what draws and sources share is in both means."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(6, 9)) + rng.normal(size=(6, 1)) + rng.normal(size=(1, 9))
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    rest = values - rows[:, None] - columns + values.mean()
    draws = rows.var(ddof=1) / 6
    sources = (columns.var(ddof=1) - (rest**2).sum() / 40 / 6) / 9
    found = crossed_interval(values)

    assert found.standard_error**2 == pytest.approx(draws + sources)
    freedom = (draws + sources) ** 2 / (draws**2 / 5 + sources**2 / 8)
    assert found.degrees_of_freedom == pytest.approx(freedom)


def test_few_sources_are_fixed_and_their_documents_count():
    """The documents' own noise beside the draws', less what the draws' means hold of it."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 0.1, (6, 2))
    tables = [rng.normal(0, 0.2, (1, 10)) + rng.normal(0, 0.1, (6, 10)) for _ in range(2)]
    documents = 0.0
    for table in tables:
        rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
        own = table.mean(axis=0).var(ddof=1) - (rest**2).sum() / (9 * 5) / 6
        documents += 10 * own / 2**2
    found = crossed_interval(values, tables)

    expected = values.mean(axis=1).var(ddof=1) / 6 + documents
    assert found.standard_error**2 == pytest.approx(expected)
    assert crossed_interval(values).standard_error < found.standard_error


# ── values of steps ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("steps", [5, 7])
def test_drawn_orders_come_with_their_reverses_and_every_coalition_is_measured(steps):
    """Antithetic pairs; what an order passes through is what arms are made of."""
    names = [f"s{k}" for k in range(steps)]
    drawn = orders(names, seed=2)
    measured = {frozenset(each) for each in coalitions(names, seed=2)}

    assert all(one == two[::-1] for one, two in zip(drawn[::2], drawn[1::2], strict=True))
    assert len(set(drawn)) > len(drawn) / 2
    assert all(frozenset(order[:k]) in measured for order in drawn for k in range(1, steps))


def cells(values, spread):
    """ln m of coalitions with noise between draws."""
    rng = np.random.default_rng(1)
    return {
        frozenset(chosen): Cells(
            budgets=np.array([1_000]),
            eval_sets=("e",),
            log_m=value + rng.normal(0, spread, (6, 1, 1)),
            side=np.zeros((6, 1, 1), np.int8),
            influence=(),
        )
        for chosen, value in values.items()
    }


def test_what_the_drawing_of_orders_leaves_unsure_stands_in_the_interval():
    """Steps that do the same: the first in an order gets all, so drawn orders differ."""
    names = ["a", "b", "c", "d", "e"]
    chosen = [*coalitions(names, seed=3), tuple(names)]
    alike = cells({each: 1.0 for each in chosen}, 0.0)
    row = shapley_rows(alike, names, seed=3)[0]
    gains = np.array([order.index("a") == 0 for order in orders(names, seed=3)], float)
    pairs = gains.reshape(-1, 2).mean(axis=1)

    assert row["permutation_error"] == pytest.approx(pairs.std(ddof=1) / np.sqrt(len(pairs)))
    assert row["permutation_error"] > 0
    assert row["standard_error"] == pytest.approx(row["permutation_error"])


def test_coalitions_are_compared_draw_by_draw():
    """What a draw does to b and to both together alike is no noise of a."""
    table = cells({("a",): 0.3, ("b",): 0.3, ("a", "b"): 0.6}, 0.0)
    noise = np.random.default_rng(2).normal(0, 0.5, (6, 1, 1))
    for key in ("b", "ab"):
        chosen = frozenset(key)
        table[chosen] = replace(table[chosen], log_m=table[chosen].log_m + noise)
    a, b = shapley_rows(table, ["a", "b"], seed=1)

    assert a["standard_error"] == pytest.approx(0, abs=1e-12)
    assert b["standard_error"] == pytest.approx(noise.std(ddof=1) / np.sqrt(6))


@pytest.mark.parametrize(("spread", "resolved"), [(0.01, True), (1.0, False)])
def test_an_interval_wider_than_the_whole_is_unresolved(spread, resolved):
    table = cells({("a",): 0.3, ("b",): 0.3, ("a", "b"): 0.6}, spread)
    rows = shapley_rows(table, ["a", "b"], seed=1)

    assert [row["resolved"] for row in rows] == [resolved] * 2
    assert all(row["permutation_error"] == 0 for row in rows)


def test_a_budget_that_one_coalition_does_not_reach_has_no_values():
    """Of two budgets the larger one is out: the values would not add up."""
    table = cells({("a",): 0.3, ("b",): 0.3, ("a", "b"): 0.6}, 0.01)
    two = {
        key: replace(each, budgets=np.array([1_000, 2_000]), log_m=np.tile(each.log_m, (1, 1, 2)),
                     side=np.tile(each.side, (1, 1, 2)))
        for key, each in table.items()
    }  # fmt: skip
    two[frozenset("a")].side[2, 0, 1] = 1
    rows = shapley_rows(two, ["a", "b"], seed=1)

    assert {row["n_tokens"] for row in rows} == {1_000}
    assert pl.DataFrame(rows)["value"].log().sum() == pytest.approx(
        two[frozenset("ab")].log_m[:, :, 0].mean()
    )


# ── what is not said ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("family", "share", "muted"),
    [
        ("gpt", 0.05, "at this budget"),
        ("gpt", 0.06, None),
        ("kneser_ney", 0.05, "at this budget"),
        ("kneser_ney", 0.5, "n-gram model"),
    ],
)
def test_copies_are_judged_by_transformers_that_read_enough_of_the_pool(family, share, muted):
    """Below a twentieth of the pool copies hardly meet; an n-gram model knows them by heart."""
    row = {"n_tokens": 100, "family": family}
    found = _duplicate_note(row, {100: (share, "2 % repeat")})

    assert found["note"] == f"budget is {share:.1%} of the pool; 2 % repeat"
    assert (found["muted"] is None) == (muted is None)
    assert muted is None or (found["muted"].startswith("cannot tell") and muted in found["muted"])


# ── with which chance ────────────────────────────────────────────────────────────────────────


def test_no_model_of_the_gate_begins_as_one_of_the_verdict_does(inputs, monkeypatch):
    """Weights and windows that both draw would admit a cell by the verdict's own chance."""
    seeds = {}
    climb = KneserNey.ladder

    def noted(family, tokens, *, seed, **rest):
        seeds.setdefault(seed, []).append(len(tokens))
        return climb(family, tokens, seed=seed, **rest)

    monkeypatch.setattr(KneserNey, "ladder", noted)
    run_experiment(inputs, SMALL, seed=1)
    shared = {seed: len(ladders) for seed, ladders in seeds.items()}

    assert len(shared) == 2 * SMALL.replicates  # one a draw of either
    assert set(shared.values()) == {2}  # raw and curated, diluted and clean
