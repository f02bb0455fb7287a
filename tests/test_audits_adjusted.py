"""Adjusted ratios: published values, a slow twin, what explains, and what does not."""

import time

import numpy as np
import polars as pl
import pytest
from scipy.stats import contingency

from curate.audits import Audit, audit, explained, impact
from curate.audits._adjusted import Step, adjusted_table, documents_of, step_rows
from curate.statistics import (
    breslow_day,
    heterogeneity_p,
    strata_of,
    stratified_odds_ratio,
    stratified_rate_ratio,
)

# Admitted and rejected men, admitted and rejected women, by department (Berkeley, 1973).
BERKELEY = [
    [512, 313, 89, 19],
    [353, 207, 17, 8],
    [120, 205, 202, 391],
    [138, 279, 131, 244],
    [53, 138, 94, 299],
    [22, 351, 24, 317],
]
STEPS = {"s": ["s.r"]}


def frame(hit, **columns):
    failed = pl.Series([["s.r"] if h else [] for h in hit], dtype=pl.List(pl.String))
    return pl.DataFrame({**columns, "failed": failed})


def row_of(table, group):
    return table.filter(population="marginal", weight="documents", group=group).row(0, named=True)


# ── statistics ───────────────────────────────────────────────────────────────────────────────


def test_published_common_odds_ratio():
    """The values that R's mantelhaen.test prints for this table."""
    found = stratified_odds_ratio(strata_of(BERKELEY))
    half = 1.959964 * np.sqrt(found.variance[0])

    assert found.ratio[0] == pytest.approx(0.9046968, abs=1e-7)
    assert found.ratio[0] * np.exp([-half, half]) == pytest.approx([0.7719074, 1.0603298], abs=1e-6)


def test_published_heterogeneity():
    strata = strata_of(BERKELEY)
    statistic, df = breslow_day(strata, stratified_odds_ratio(strata).ratio)

    assert df[0] == 5
    assert statistic[0] == pytest.approx(18.83, abs=0.005)
    assert heterogeneity_p(statistic, df)[0] == pytest.approx(0.0021, abs=5e-5)


@pytest.mark.parametrize("table", [(80, 120, 150, 50), (3, 40, 10, 30), (200, 1, 150, 9)])
def test_one_stratum_is_the_crude_table(table):
    crude = contingency.odds_ratio(np.reshape(table, (2, 2)), kind="sample")
    found = stratified_odds_ratio(strata_of([table]))
    rates = stratified_rate_ratio(strata_of([table]))
    risk = contingency.relative_risk(table[0], sum(table[:2]), table[2], sum(table[2:]))

    assert found.ratio[0] == pytest.approx(crude.statistic)
    assert found.variance[0] == pytest.approx(sum(1 / count for count in table))
    assert rates.ratio[0] == pytest.approx(risk.relative_risk)


def test_empty_strata_change_nothing():
    more = [*BERKELEY, [0, 0, 5, 5], [3, 0, 0, 0], [4, 0, 6, 0]]

    found, plain = (stratified_odds_ratio(strata_of(rows)) for rows in (more, BERKELEY))

    assert np.concatenate(found) == pytest.approx(np.concatenate(plain))


# ── in the impact table ──────────────────────────────────────────────────────────────────────


def twin(group, hit, stratum):
    """Mantel–Haenszel ratios by two loops."""
    sums = np.zeros(4)
    for s in np.unique(stratum):
        own, rest = (stratum == s) & group, (stratum == s) & ~group
        a, b, c, d = (int(x.sum()) for x in (own & hit, own & ~hit, rest & hit, rest & ~hit))
        n = a + b + c + d
        sums += np.array([a * d, b * c, a * (c + d), c * (a + b)]) / n
    return sums[0] / sums[1], sums[2] / sums[3]


def test_ratios_equal_a_slow_twin():
    rng = np.random.default_rng(1)
    n = 3000
    group, kind, part = rng.integers(0, 3, n), rng.integers(0, 4, n), rng.integers(0, 5, n)
    hit = rng.random(n) < 0.1 + 0.1 * (kind == 1) + 0.1 * (group == 2)
    table = impact(
        frame(hit, group=group, kind=kind.astype(str), part=part.astype(str)),
        steps=STEPS,
        group="group",
        strata=("kind", "part"),
    )
    for g in range(3):
        row = row_of(table, str(g))
        odds, rates = twin(group == g, hit, kind * 5 + part)
        assert row["adjusted_odds_ratio"] == pytest.approx(odds)
        assert row["adjusted_removal_ratio"] == pytest.approx(rates)
        assert (row["adjusted_for"], row["strata"]) == ("kind × part", 20)
        assert row["informative_documents"] == n


def test_without_strata_nothing_is_adjusted():
    rng = np.random.default_rng(2)
    table = impact(
        frame(rng.random(200) < 0.3, group=rng.integers(0, 2, 200)), steps=STEPS, group="group"
    )

    assert table["adjusted_for"].null_count() == table.height
    assert table["odds_ratio"].null_count() == 0


def simpson(n, seed, *, source=40):
    """A filter of short texts; group `a` writes shorter, and nothing else differs."""
    rng = np.random.default_rng(seed)
    own = rng.random(n) < 0.5
    words = np.exp(rng.normal(np.where(own, 5.0, 5.8), 1)).astype(int)
    hit = rng.random(n) < 1 / (1 + np.exp(1.5 * (np.log(words + 1) - 5)))
    return frame(hit, topic=np.where(own, "a", "b"), words=words, source=rng.integers(0, source, n))


def test_length_explains_a_length_filter():
    found = audit(simpson(30_000, 3), groups=["topic"])
    row = row_of(found.table, "a")

    assert 1 / row["odds_ratio"] == pytest.approx(0.42, abs=0.05)  # the odds of being kept
    assert row["state"] == "flag"
    assert 0.9 <= row["adjusted_odds_ratio"] <= 1.11
    assert row["adjusted_odds_ratio_low"] <= 1 <= row["adjusted_odds_ratio_high"]
    assert explained(found.flagged).height == 1
    assert "1 of them explained by words × source" in found.sentence


def test_length_does_not_explain_a_filter_of_the_group():
    rng = np.random.default_rng(4)
    own = rng.random(20_000) < 0.3
    words = np.exp(rng.normal(5, 1, own.size)).astype(int)
    judged = frame(
        rng.random(own.size) < np.where(own, 0.15, 0.05), topic=np.where(own, "a", "b"), words=words
    )
    found = audit(judged, groups=["topic"])

    assert row_of(found.table, "a")["adjusted_removal_ratio"] == pytest.approx(3, rel=0.2)
    assert explained(found.flagged).is_empty()
    assert "explained" not in found.sentence


def test_a_sharp_bound_leaves_little_to_compare_and_still_explains():
    rng = np.random.default_rng(5)
    own = rng.random(50_000) < 0.5
    words = np.exp(rng.normal(np.where(own, 5.0, 5.8), 1)).astype(int)
    judged = frame(words < 120, topic=np.where(own, "a", "b"), words=words)
    row = row_of(impact(judged, steps=STEPS, group="topic", strata=("words",)), "a")

    assert row["odds_ratio"] > 3
    assert row["adjusted_odds_ratio_low"] <= 1.11
    assert row["adjusted_odds_ratio_high"] >= 0.9
    assert 1000 <= row["informative_documents"] < 5000


def test_a_stratum_that_fixes_the_group_is_given_up():
    """Every source has one language: within sources there is no other language to compare."""
    rng = np.random.default_rng(6)
    source = rng.integers(0, 20, 8000)
    language = np.where(source < 5, "de", "en")
    judged = frame(
        rng.random(source.size) < 0.2,
        language=language,
        source=source.astype(str),
        words=rng.integers(1, 500, source.size),
    )
    row = row_of(impact(judged, steps=STEPS, group="language", strata=("words", "source")), "de")

    assert row["adjusted_for"] == "words"
    assert row["adjusted_odds_ratio"] is not None


def test_copies_widen_the_adjusted_interval():
    rng = np.random.default_rng(7)
    n = 2000
    once = frame(rng.random(n) < 0.2, group=rng.integers(0, 2, n), words=rng.integers(1, 99, n))
    once = once.with_row_index("cluster_id").cast({"cluster_id": pl.String})
    copied = pl.concat([once] * 5)
    call = {"steps": STEPS, "group": "group", "strata": ("words",)}
    widths = []
    for judged, cluster in ((once, None), (copied, None), (copied, "cluster_id")):
        row = row_of(impact(judged, cluster=cluster, **call), "1")
        ends = row["adjusted_odds_ratio_high"] / row["adjusted_odds_ratio_low"]
        widths.append(np.log(ends) if row["strata"] else None)

    assert widths[1] == pytest.approx(widths[0] / np.sqrt(5), rel=0.1)
    assert widths[2] == pytest.approx(widths[0], rel=0.1)


@pytest.mark.parametrize("several", [1, 7, 400])
def test_documents_alone_in_their_cluster_count_as_any_other(several):
    """The short cut for them gives what the loop over documents gives."""
    rng = np.random.default_rng(8)
    n = 2000
    group, hit = rng.integers(0, 2, n), rng.random(n) < 0.3
    cluster = np.concatenate([np.repeat(np.arange(several), 2), np.arange(several, n - several)])
    data = pl.DataFrame({"kind": rng.integers(0, 5, n).astype(str)})
    cluster = rng.permutation(cluster)

    def row_of(order):
        documents = documents_of(data[order], group[order], ["kind"], cluster[order])
        return adjusted_table(step_rows(Step(documents, hit[order]))).row(0, named=True)

    row, again = row_of(np.arange(n)), row_of(rng.permutation(n))

    assert row == pytest.approx(again)
    assert row["adjusted_odds_ratio_low"] < row["adjusted_odds_ratio"]


def test_of_very_many_groups_those_that_could_be_tested_are_adjusted():
    judged = simpson(12_000, 5)
    hosts = np.where(np.arange(12_000) % 2, "large", (np.arange(12_000) // 40).astype(str))
    table = impact(judged.with_columns(host=hosts), steps=STEPS, group="host", strata=("words",))
    tested = table.filter(pl.col("p").is_not_null())

    assert tested["group"].to_list() == ["large"]
    assert tested["adjusted_removal_ratio"].null_count() == 0
    small = table.filter(pl.col("group") != "large")
    assert small.height == 2 * 300
    assert small["adjusted_for"].null_count() == small.height


@pytest.mark.slow
def test_a_million_documents_twelve_steps_fifty_groups():
    """Also the Simpson case at a million: ten seconds and two gigabytes on two idle cores."""
    n = 1_000_000
    judged = simpson(n, 9).with_columns(source=pl.Series(np.arange(n) % 50))
    rng = np.random.default_rng(9)
    names = [f"s{i}" for i in range(11)]
    other = pl.DataFrame({k: rng.random(n) < 0.05 for k in names})
    named = [pl.when(k).then(pl.lit(f"{k}.r")) for k in names]
    lists = other.select(pl.concat_list(named).list.drop_nulls()).to_series()
    judged = judged.with_columns(failed=pl.col("failed").list.concat(lists))
    steps = STEPS | {k: [f"{k}.r"] for k in names}
    start = time.process_time()
    by_source = impact(
        judged, steps=steps, group="source", tokens="words", cluster="source", strata=("words",)
    )
    seconds = time.process_time() - start
    row = row_of(impact(judged, steps=STEPS, group="topic", strata=("words", "source")), "a")
    ratios = 1 / row["odds_ratio"], row["adjusted_odds_ratio"], row["adjusted_removal_ratio"]
    print("simpson, odds of being kept, adjusted odds and rates:", *ratios, seconds, "s")

    assert by_source.height == 12 * 50 * 4
    assert seconds < 20  # two cores at ten seconds
    assert 0.9 <= row["adjusted_odds_ratio"] <= 1.11


def test_flagged_rows_come_with_their_adjustment():
    html = audit(simpson(5_000, 11), groups=["topic"])._repr_html_()

    assert "adjusted_removal_ratio" in html
    assert isinstance(audit(simpson(500, 12), groups=["topic"]), Audit)
