"""The audit of removals per group: harm is found, innocents are not, doubt is said."""

import math
import time

import numpy as np
import polars as pl
import pytest

from curate.audits import Audit, AuditConfig, Gate, Losses, audit, check_gate, impact
from curate.audits._cells import lay_out, population, rates_by_group
from curate.errors import ConfigError, GateError
from curate.statistics import benjamini_hochberg, binomial_band, clustered_pair, effective_sides

COLUMNS = [
    *("step", "population", "weight", "group_column", "group", "n", "n_rest"),
    *("removed", "removed_rest", "keep_ratio", "keep_ratio_low", "keep_ratio_high"),
    *("removal_ratio", "removal_ratio_low", "removal_ratio_high", "excess_removal"),
    *("four_fifths", "p", "q", "smallest_detectable_ratio"),
    *("largest_group_share_of_rest_removals", "state"),
    *("odds_ratio", "odds_ratio_low", "odds_ratio_high"),
    *("adjusted_removal_ratio", "adjusted_removal_ratio_low", "adjusted_removal_ratio_high"),
    *("adjusted_odds_ratio", "adjusted_odds_ratio_low", "adjusted_odds_ratio_high"),
    *("heterogeneity_p", "adjusted_for", "strata", "informative_documents"),
]


def verdicts(*groups, **columns):
    """Documents of (group, n, removed) by the one rule `s.r`, plus further columns."""
    rows = [(name, ["s.r"] if i < removed else []) for name, n, removed in groups for i in range(n)]
    frame = pl.DataFrame(
        rows, schema={"source": pl.String, "failed": pl.List(pl.String)}, orient="row"
    )
    return frame.with_columns(**{k: pl.Series(v) for k, v in columns.items()})


def row_of(table, group):
    return table.filter(population="marginal", weight="documents", group=group).row(0, named=True)


STEP = {"s": ["s.r"]}
W = ("documents", "tokens")


def test_table_has_the_agreed_columns():
    frame = verdicts(("a", 40, 20), ("b", 40, 2), words=range(80))
    table = impact(frame, steps=STEP, group="source", tokens="words")

    assert table.columns == COLUMNS
    assert table.height == 1 * 2 * 2 * 2
    assert table.filter(pl.col("q").is_not_null()).select(
        "population", "weight"
    ).unique().rows() == [("marginal", "documents")]


def test_rates_are_a_census_of_this_corpus():
    row = row_of(impact(verdicts(("a", 100, 15), ("b", 300, 3)), steps=STEP, group="source"), "a")

    assert (row["n"], row["n_rest"], row["removed"], row["removed_rest"]) == (100, 300, 15, 3)
    assert row["removal_ratio"] == pytest.approx(15)
    assert row["keep_ratio"] == pytest.approx(0.85 / 0.99)
    assert row["excess_removal"] == pytest.approx(0.14)
    assert not row["four_fifths"]  # the rule that looks at keep ratios sees no harm
    assert row["state"] == "not enough documents"  # 4.5 expected removals
    assert row["p"] is None
    assert row["largest_group_share_of_rest_removals"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("groups", "state"),
    [
        ([("a", 1000, 150), ("b", 9000, 90)], "flag"),
        ([("a", 1000, 100), ("b", 9000, 900)], "no flag"),
        ([("a", 1000, 10), ("b", 9000, 900)], "no flag"),  # removed less
        ([("a", 90_000, 9900), ("b", 90_000, 9000)], "no flag"),  # certain, but 1.1 times
        ([("a", 90_000, 1200), ("b", 90_000, 600)], "no flag"),  # twice, but 0.7 points
        ([("a", 100, 9), ("b", 9000, 90)], "not enough documents"),
        ([("a", 1000, 150)], "not enough documents"),  # there is no rest
        ([("a", 1000, 0), ("b", 1000, 0)], "not enough documents"),
    ],
)
def test_states(groups, state):
    table = impact(verdicts(*groups), steps=STEP, group="source")

    assert row_of(table, "a")["state"] == state


def test_undefined_ratios_are_null_and_open_ends_infinite():
    table = impact(verdicts(("a", 50, 0), ("b", 50, 0)), steps=STEP, group="source")
    row = row_of(table, "a")
    assert row["removal_ratio"] is row["removal_ratio_low"] is row["removal_ratio_high"] is None
    assert row["keep_ratio"] == 1.0

    row = row_of(impact(verdicts(("a", 50, 20), ("b", 50, 0)), steps=STEP, group="source"), "a")
    assert row["removal_ratio_low"] > 1
    assert row["removal_ratio_high"] == math.inf
    assert row["removal_ratio_low"] < row["removal_ratio"] < math.inf


def test_controls_are_not_audited():
    frame = verdicts(("a", 50, 20), ("b", 50, 20))
    planted = verdicts(("a", 50, 50)).with_columns(control=pl.lit("hex_dump"))
    both = pl.concat([frame.with_columns(control=pl.lit(None, pl.String)), planted])

    assert impact(both, steps=STEP, group="source").equals(
        impact(frame, steps=STEP, group="source")
    )


def test_cumulative_rows_count_only_survivors_of_earlier_steps():
    frame = pl.DataFrame(
        {
            "source": ["a"] * 4 + ["b"] * 4,
            "failed": [["x.1"], ["x.1", "y.1"], ["y.1"], [], ["y.2"], [], [], []],
        }
    )
    table = impact(frame, steps={"x": ["x.1"], "y": ["y.1", "y.2"]}, group="source")
    seen = table.filter(group="a").select("step", "population", "n", "removed").rows()

    assert seen == [
        ("x", "marginal", 4, 2),
        ("x", "cumulative", 4, 2),
        ("y", "marginal", 4, 2),
        ("y", "cumulative", 2, 1),
    ]


def test_tokens_weigh_documents():
    frame = verdicts(("a", 4, 2), ("b", 4, 2), words=[90, 10, 50, 50, 10, 10, 90, 90])
    table = impact(frame, steps=STEP, group="source", tokens="words")
    row = table.filter(population="marginal", weight="tokens", group="a").row(0, named=True)

    assert (row["n"], row["removed"], row["n_rest"], row["removed_rest"]) == (200, 100, 200, 20)
    assert row["removal_ratio"] == pytest.approx(5)


def test_null_groups_are_a_group_of_their_own():
    frame = verdicts(("a", 30, 3), ("b", 30, 3)).with_columns(
        language=pl.when(pl.col("source") == "b").then(pl.lit("en"))
    )

    assert impact(frame, steps=STEP, group="language")["group"].unique().sort().to_list() == [
        "(missing)",
        "en",
    ]


def test_several_group_columns_share_one_family():
    rng = np.random.default_rng(1)
    frame = verdicts(("a", 300, 60), ("b", 300, 30), ("c", 300, 30)).with_columns(
        language=pl.Series(rng.choice(["de", "en"], 900))
    )
    table = impact(frame, steps=STEP, group=["source", "language"])
    tests = table.filter(pl.col("p").is_not_null())

    assert tests.height == 5
    harm = np.where(tests["excess_removal"].to_numpy() > 0, tests["p"].to_numpy(), 1.0)
    assert tests["q"].to_numpy() == pytest.approx(benjamini_hochberg(harm))


def test_groups_that_look_favoured_lend_innocents_no_certainty():
    """One of 20 sources is harmed by x; what y does is as certain as without that harm."""
    rng = np.random.default_rng(9)
    source = np.repeat(np.arange(20), 500)
    failed = rng.random((2, source.size)) < 0.1
    failed[1] |= (source == 4) & (rng.random(source.size) < 0.06)
    harmed = failed.copy()
    harmed[0] |= (source == 3) & (rng.random(source.size) < 0.9)
    steps = {f"s{i}": [f"s{i}.r"] for i in range(2)}
    before, after = (
        impact(pl.DataFrame({"source": source, "failed": reasons(f)}), steps=steps, group="source")
        .filter(pl.col("q").is_not_null(), step="s1", group="4")
        .row(0, named=True)
        for f in (failed, harmed)
    )

    assert before["p"] == after["p"]
    assert before["q"] / 2 <= after["q"] <= before["q"]


def edited(rng, *, a, b, n=1000):
    """Two sources; a step takes a tenth of the text of some documents: of shares a and b."""
    touched = np.concatenate([rng.random(n) < a, rng.random(n) < b])
    return pl.DataFrame(
        {
            "source": ["a"] * n + ["b"] * n,
            "failed": pl.Series([["s.r"]] * 200 + [[]] * (2 * n - 200), dtype=pl.List(pl.String)),
            "mask": np.where(touched, 0.1, 0.0),
            "words": rng.integers(1, 100, 2 * n),
            "bytes": rng.integers(1, 1000, 2 * n),
        }
    )


def test_steps_that_edit_are_audited_by_the_share_of_text_they_take():
    frame = edited(np.random.default_rng(1), a=0.3, b=0.1)
    losses = Losses(columns={"mask": "mask"}, weight="bytes")
    call = {"steps": STEP, "group": "source", "tokens": "words", "strata": ("words",)}
    table = impact(frame, losses=losses, **call)
    rows = table.filter(step="mask", group="a", population="marginal")
    documents, tokens = (rows.row(by_predicate=pl.col("weight") == w, named=True) for w in W)
    own = frame.filter(source="a")

    assert table["step"].unique(maintain_order=True).to_list() == ["mask", "s"]
    assert documents["excess_removal"] == pytest.approx(
        own["mask"].mean() - frame.filter(source="b")["mask"].mean()
    )
    assert abs(tokens["removed"] - (own["mask"] * own["bytes"]).sum()) <= 1
    assert documents["q"] < 1e-6  # though no document's worth of text is expected to go ten times
    assert documents["state"] == "flag"
    assert documents["adjusted_odds_ratio"] is None  # parts of documents have no odds
    # Nothing but chance ties the edits to length, so little changes within like lengths.
    assert documents["adjusted_removal_ratio"] == pytest.approx(documents["removal_ratio"], rel=0.1)
    assert tokens["adjusted_removal_ratio"] == pytest.approx(tokens["removal_ratio"], rel=0.2)
    touched = table.filter(step="mask", group="a", population="marginal", weight="touched")
    assert touched["removed"].item() == (own["mask"] > 0).sum()
    assert touched["removal_ratio"].item() == pytest.approx(documents["removal_ratio"], rel=1e-6)
    assert touched.select("q", "state").row(0) == (None, None)
    later = table.filter(step="s").drop("q")
    alone = impact(frame, **call).drop("q")
    assert later.equals(alone)  # nothing has left when the rules begin


def test_a_step_that_touches_few_documents_cannot_be_told():
    frame = edited(np.random.default_rng(2), a=0.009, b=0.005)
    table = impact(frame, steps={}, group="source", losses=Losses(columns={"mask": "mask"}))

    assert set(table["state"].drop_nulls()) == {"not enough documents"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": "sorce"}, "unknown column of the verdicts 'sorce'; did you mean 'source'"),
        ({"tokens": "words"}, "unknown column of the verdicts 'words'"),
        ({"steps": {}}, "steps is empty"),
    ],
)
def test_wrong_calls_are_named(change, message):
    call = {"steps": STEP, "group": "source"} | change

    with pytest.raises(ConfigError, match=message):
        impact(verdicts(("a", 5, 1)), **call)


# ── dependence ───────────────────────────────────────────────────────────────────────────────


def copied(frame, times):
    """Every document so many times, known to the audit as one duplicate cluster each."""
    named = frame.with_row_index("place").with_columns(cluster_id=pl.col("place").cast(pl.String))
    return pl.concat([named] * times).drop("place")


def test_copies_of_a_document_add_no_certainty():
    frame = verdicts(("a", 200, 40), ("b", 800, 100))
    once = row_of(impact(frame, steps=STEP, group="source"), "a")
    naive = row_of(impact(copied(frame, 20).drop("cluster_id"), steps=STEP, group="source"), "a")
    known = row_of(impact(copied(frame, 20), steps=STEP, group="source", cluster="source"), "a")

    assert naive["p"] < 1e-20
    assert known["p"] == pytest.approx(once["p"], rel=0.2)
    assert known["removal_ratio_low"] == pytest.approx(once["removal_ratio_low"], rel=0.01)


def test_a_group_column_is_clustered_by_duplicates_not_by_itself():
    frame = copied(verdicts(("a", 200, 40), ("b", 800, 100)), 3)

    assert impact(frame, steps=STEP, group="source", cluster="source").equals(
        impact(frame, steps=STEP, group="source", cluster="cluster_id")
    )


def test_languages_are_clustered_by_source():
    """Two of ten English sources lose everything: with ten sources that is no verdict."""
    rows = [("en", f"e{i}", 100, 100 if i < 2 else 0) for i in range(10)]
    rows += [("de", f"d{i}", 100, 5) for i in range(10)]
    frame = pl.concat(
        verdicts((source, n, removed)).with_columns(language=pl.lit(language))
        for language, source, n, removed in rows
    )
    naive = row_of(impact(frame, steps=STEP, group="language"), "en")
    clustered = row_of(impact(frame, steps=STEP, group="language", cluster="source"), "en")

    assert naive["state"] == "flag"
    assert clustered["state"] == "no flag"
    assert clustered["removal_ratio_low"] < 1 < naive["removal_ratio_low"]


@pytest.mark.parametrize("clusters", [60, 2_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_cells_equal_brute_force(clusters, weighted):
    rng = np.random.default_rng(clusters)
    n = 6_000
    group, cluster = rng.integers(0, 4, n), rng.integers(0, clusters, n)
    cluster[:1500] = 3  # one giant, in every group
    cluster[group == 1] %= 7
    weight = rng.integers(1, 50, n).astype(float) if weighted else np.ones(n)
    removed = (rng.random(n) < 0.1 + 0.2 * (cluster % 3 == 0)) * weight
    layout = lay_out(group, np.unique(cluster, return_inverse=True)[1])
    found = rates_by_group(layout, removed, population(layout, weight))[1]
    for k in range(4):
        sums = []
        for members in (group == k, group != k):
            for values in (removed, weight):
                sums.append(np.bincount(cluster[members], values[members], clusters))
        expected = clustered_pair(*sums)
        for name in ("rate", "rate_rest", "spread", "spread_rest", "shared"):
            value = getattr(expected, name)
            assert getattr(found, name)[k] == pytest.approx(float(value), rel=1e-9)
        squares = (weight[group == k] ** 2).sum()
        assert found.size[k] == pytest.approx(weight[group == k].sum() ** 2 / squares)
        for key, value in expected.powers.items():
            assert found.powers[key][k] == pytest.approx(float(value), rel=1e-6)


def test_powers_of_many_small_clusters_beside_a_giant_of_the_group():
    """What the giant leaves to the rest is a difference of sums: it must not drown in rounding."""
    clusters = np.concatenate([np.zeros(200_000, int), np.arange(1, 100_001)])
    group = (clusters > 0).astype(int)
    layout = lay_out(group, clusters)
    hit = (np.random.default_rng(1).random(group.size) < 0.1).astype(float)
    found = effective_sides(rates_by_group(layout, hit, population(layout, np.ones(hit.size)))[1])

    assert found.df.tolist() == [0, 0]
    clusters[:3] = [100_001, 100_002, 100_003]
    layout = lay_out(group, clusters)
    found = effective_sides(rates_by_group(layout, hit, population(layout, np.ones(hit.size)))[1])
    assert np.isfinite([found.size, found.size_rest, found.df]).all()


def test_what_a_source_has_in_common_is_no_error_of_a_group_inside_it():
    """Sources differ wildly, and in each of them both groups lose the same share."""
    chance = np.repeat(np.random.default_rng(3).uniform(0.05, 0.6, 30), 200)
    source, group = np.repeat(np.arange(30), 200), np.tile([0, 1], 3000)
    removed = (np.random.default_rng(4).random(6000) < chance).astype(float)
    inside, apart = (lay_out(group, c) for c in (source, np.arange(6000)))
    weight = np.ones(6000)
    pairs = (rates_by_group(x, removed, population(x, weight))[1] for x in (inside, apart))
    with_sources, alone = (effective_sides(pair) for pair in pairs)
    errors = [(1 / s.size + 1 / s.size_rest - 2 * s.covariance)[0] for s in (with_sources, alone)]

    assert errors[0] < 1.1 * errors[1]
    assert with_sources.size[0] < alone.size[0] / 3


def test_copies_on_both_sides_widen_the_comparison():
    """Of each pair of copies one is removed, in whichever group: the groups pull apart."""
    pairs = 400
    group = np.tile([0, 1], pairs)
    cluster = np.repeat(np.arange(pairs), 2)
    removed = np.zeros(2 * pairs)
    removed[2 * np.arange(pairs) + np.random.default_rng(2).integers(0, 2, pairs)] = 1
    weight = np.ones(2 * pairs)
    layouts = lay_out(group, cluster), lay_out(group, np.arange(2 * pairs))
    found = (effective_sides(rates_by_group(x, removed, population(x, weight))[1]) for x in layouts)
    together, apart = ((1 / s.size + 1 / s.size_rest - 2 * s.covariance)[0] for s in found)

    assert together == pytest.approx(2 * apart, rel=0.05)


def reasons(failed):
    """Lists of `s0.r`, `s1.r`, … from one boolean row a step."""
    columns = {f"s{i}": row for i, row in enumerate(failed)}
    named = [pl.when(name).then(pl.lit(f"{name}.r")) for name in columns]
    return pl.DataFrame(columns).select(pl.concat_list(named).list.drop_nulls()).to_series()


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_null_corpora_raise_no_more_alarms_than_stated(correlation):
    """Ten languages, sixty sources, three steps, no harm: any q < .05 in at most 5 %."""
    rng, repetitions, alarms = np.random.default_rng(3), 400, 0
    sources = np.repeat(np.arange(60), 50)
    steps = {f"s{i}": [f"s{i}.r"] for i in range(3)}
    for _ in range(repetitions):
        failed = np.zeros((3, sources.size), dtype=bool)
        for step in failed:
            chance = rng.beta(1.8, 7.2, 60) if correlation else np.full(60, 0.2)
            step[:] = rng.random(sources.size) < chance[sources]
        frame = pl.DataFrame(
            {"source": sources, "language": sources % 5, "failed": reasons(failed)}
        )
        table = impact(frame, steps=steps, group="language", cluster="source")
        alarms += bool((table["q"] < 0.05).any())

    assert alarms <= binomial_band(repetitions, 0.05)[1]


@pytest.mark.slow
def test_the_harmful_step_is_flagged_and_no_innocent_step():
    """A filter that hits one group of twenty, among five innocent filters, in 200 runs."""
    rng, repetitions, right = np.random.default_rng(4), 200, 0
    source = rng.integers(0, 20, 8_000)
    steps = {f"s{i}": [f"s{i}.r"] for i in range(6)}
    for _ in range(repetitions):
        failed = rng.random((6, source.size)) < 0.05
        failed[3] |= (source == 7) & (rng.random(source.size) < 0.15)
        frame = pl.DataFrame({"source": source, "failed": reasons(failed)})
        flagged = Audit(impact(frame, steps=steps, group="source")).flagged
        found = flagged.filter(pl.col("q") < 0.01).select("step", "group").rows()
        right += found == [("s3", "7")] and set(flagged["step"]) == {"s3"}

    assert right >= binomial_band(repetitions, 0.95)[0]


# ── gate, result, config ─────────────────────────────────────────────────────────────────────


def test_a_group_that_loses_fifteen_percent_against_one_trips_the_gate():
    table = impact(
        verdicts(("dialect", 1000, 150), ("other", 9000, 90)), steps=STEP, group="source"
    )

    with pytest.raises(
        GateError, match=r"s: source = 'dialect' loses 15\.0 % against 1\.0 %"
    ) as error:
        check_gate(table, Gate())

    assert "other" not in str(error.value)
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    ("groups", "gate"),
    [
        ([("a", 1000, 150), ("b", 9000, 1350)], Gate()),
        ([("a", 1000, 150), ("b", 9000, 90)], Gate(removal_ratio=20)),
        ([("a", 1000, 150), ("b", 9000, 90)], Gate(excess_removal=0.2)),
        ([("a", 1000, 150), ("b", 9000, 90)], Gate(q=0)),
        ([("a", 60, 9), ("b", 9000, 90)], Gate()),
    ],
    ids=["equal", "ratio", "excess", "q", "too-few"],
)
def test_the_gate_needs_all_three_conditions(groups, gate):
    check_gate(impact(verdicts(*groups), steps=STEP, group="source"), gate)


@pytest.mark.parametrize("wrong", [{"removal_ratio": 0.8}, {"excess_removal": 2.0}, {"q": -0.1}])
def test_gates_that_cannot_be_are_refused(wrong):
    with pytest.raises(
        ConfigError, match=f"gate.{next(iter(wrong))} is {next(iter(wrong.values()))}"
    ):
        Gate(**wrong)


def test_default_config_reports_and_never_fails():
    assert AuditConfig().groups == ("source",)
    assert AuditConfig().gate is None


def test_audit_makes_a_step_of_each_rule_set_and_speaks():
    frame = pl.DataFrame(
        {
            "source": ["<script>x"] * 500 + ["b"] * 500,
            "failed": [["a.1", "b.1"]] * 100 + [["a.2"]] * 100 + [[]] * 780 + [["b.1"]] * 20,
        }
    )
    found = audit(frame.lazy())

    assert found.table["step"].unique().sort().to_list() == ["a", "b"]
    assert found.flagged.select("step", "group").rows() == [("a", "<script>x"), ("b", "<script>x")]
    assert found.sentence.startswith("2 of 4 tested (step, group) pairs lose clearly more")
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;x" in found._repr_html_()


def test_audit_without_removals_says_so():
    with pytest.raises(ConfigError, match="no document failed a rule"):
        audit(
            pl.DataFrame(
                {"source": ["a"], "failed": [[]]}, schema_overrides={"failed": pl.List(pl.String)}
            )
        )


def test_audit_before_judging_says_so():
    with pytest.raises(ConfigError, match="judge the documents before the audit"):
        audit(pl.DataFrame({"source": ["a"]}))


def test_audit_reads_one_column_name_as_one_group():
    frame = verdicts(("a", 500, 100), ("b", 500, 50))

    assert audit(frame, groups="source").table.equals(audit(frame, groups=["source"]).table)


def test_two_hundred_sources_and_six_steps_take_seconds():
    rng, n = np.random.default_rng(5), 50_000
    steps = {f"s{i}": [f"s{i}.{j}" for j in range(3)] for i in range(6)}
    rules = np.array([rule for names in steps.values() for rule in names])
    failed = [rules[row].tolist() for row in rng.random((n, rules.size)) < 0.02]
    frame = pl.DataFrame(
        {
            "source": rng.integers(0, 200, n).astype(str),
            "words": rng.integers(10, 500, n),
            "cluster_id": (np.arange(n) // 2).astype(str),
            "failed": failed,
        }
    )
    start = time.process_time()
    table = impact(frame, steps=steps, group="source", tokens="words", cluster="source")

    assert table.height == 200 * 6 * 4
    assert time.process_time() - start < 4  # two cores at two seconds
