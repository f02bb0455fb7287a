"""Intervals and tests against known answers, exact enumeration and simulated nulls."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from curate.errors import ConfigError
from curate.statistics import (
    auc_interval,
    benjamini_hochberg,
    binomial_band,
    clustered_pair,
    compare_rates,
    effective_sides,
    holm,
    holm_levels,
    independent,
    satterthwaite,
    score_ratio_bounds,
    skewed_p,
    skewed_quantiles,
    smallest_detectable_ratio,
    t_interval,
    t_quantile,
    wilson,
)

REPETITIONS = 10_000


# ── known answers ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (999, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_wilson_is_scipys(k, n, confidence):
    expected = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")

    assert wilson(k, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_wilson_names_impossible_counts(k, n):
    with pytest.raises(ConfigError, match=f"k = {k} successes of n = {n}"):
        wilson(k, n)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.001, 0.01, 0.03, 0.04, 0.5], [0.005, 0.025, 0.05, 0.05, 0.5]),
        ([0.5, 0.001], [0.5, 0.002]),
        ([0.9, 1.0], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_benjamini_hochberg_known(p, expected):
    assert benjamini_hochberg(p) == pytest.approx(expected)


def test_benjamini_hochberg_is_scipys_and_ignores_missing_tests():
    p = np.random.default_rng(3).random(50) ** 3

    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))

    with_gaps = np.insert(p, [0, 20], np.nan)
    q = benjamini_hochberg(with_gaps)
    assert np.isnan(q[[0, 21]]).all()
    assert q[~np.isnan(q)] == pytest.approx(stats.false_discovery_control(p))


@pytest.mark.parametrize(
    ("p", "expected"),
    [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.01, 0.02], [0.02, 0.02]), ([], [])],
)
def test_holm_known(p, expected):
    assert holm(p) == pytest.approx(expected)


def test_holm_levels_exclude_the_null_exactly_where_holm_rejects():
    rng = np.random.default_rng(4)
    for m in (1, 2, 5, 12):
        for _ in range(200):
            p = rng.random(m) ** rng.integers(1, 6)
            excluded = p <= 1 - holm_levels(p) + 1e-15
            assert excluded.tolist() == (holm(p) <= 0.05).tolist()


def test_holm_levels_of_a_count_start_with_bonferroni():
    assert holm_levels(4, 0.05) == pytest.approx([1 - 0.05 / k for k in (4, 3, 2, 1)])


@pytest.mark.parametrize("values", [[1.0, 2.0], [3.0, 5.0, 4.0, 9.0]])
def test_t_interval_is_scipys(values):
    found = t_interval(values, 0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_t_interval_of_one_value_knows_nothing():
    found = t_interval([2.5])

    assert (found.estimate, found.low, found.high) == (2.5, -math.inf, math.inf)
    assert math.isnan(t_interval([]).estimate)


def test_satterthwaite_is_welchs():
    a, b = [1.0, 4.0, 2.0, 8.0], [3.0, 3.5, 2.5, 3.1, 2.2, 2.9]
    parts = [np.var(x, ddof=1) / len(x) for x in (a, b)]
    variance, df = satterthwaite(parts, [len(a) - 1, len(b) - 1])
    welch = stats.ttest_ind(a, b, equal_var=False)

    assert variance == pytest.approx(sum(parts))
    assert df == pytest.approx(welch.df)


@pytest.mark.parametrize(
    ("components", "dfs", "expected"),
    [([0.0, 0.0], [3, 4], (0.0, 3.0)), ([1.0], [5], (1.0, 5.0)), ([1, 2, -5], [3, 4, 12], (2, 4))],
)
def test_satterthwaite_never_below_its_largest_component(components, dfs, expected):
    assert satterthwaite(components, dfs) == pytest.approx(expected)


def test_binomial_band_is_exact():
    for n, p, level in ((400, 0.05, 0.999), (2_000, 0.95, 0.999), (30, 0.5, 0.9)):
        low, high = binomial_band(n, p, level)
        tail = (1 - level) / 2
        assert stats.binom.cdf(low - 1, n, p) <= tail < stats.binom.cdf(low, n, p)
        assert stats.binom.sf(high, n, p) <= tail < stats.binom.sf(high - 1, n, p)


def removal_ratio(removed, n, removed_rest, n_rest):
    """The comparison of one group with the rest, documents by themselves."""
    return compare_rates(independent(([removed / n], [removed_rest / n_rest]), ([n], [n_rest])))


def test_removal_ratio_is_koopmans():
    """Koopman (1984): 36 of 40 against 16 of 80 has the interval (2.94, 7.15)."""
    found = removal_ratio(36, 40, 16, 80)

    assert (found.low[0], found.high[0]) == pytest.approx((2.939, 7.152), abs=1e-3)


@pytest.mark.parametrize("counts", [(5, 10, 0, 10), (36, 40, 16, 80), (99, 100, 390, 400)])
def test_removal_ratio_ends_where_the_constrained_score_is_the_quantile(counts):
    """The constrained rate is found here by numerical maximum likelihood."""
    x, n, y, m = counts
    ratio = removal_ratio(*counts).low[0]

    def unlikely(p):
        return -(x * np.log(ratio * p) + (n - x) * np.log1p(-ratio * p)
                 + y * np.log(p) + (m - y) * np.log1p(-p))  # fmt: skip

    top = min(1, 1 / ratio) - 1e-12
    p = optimize.minimize_scalar(unlikely, bounds=(1e-12, top), method="bounded",
                                 options={"xatol": 1e-13}).x  # fmt: skip
    spread = ratio * p * (1 - ratio * p) / n + ratio**2 * p * (1 - p) / m

    assert (x / n - ratio * y / m) / math.sqrt(spread) == pytest.approx(1.959964, rel=1e-4)


def test_removal_ratio_of_the_rest_is_the_inverse():
    there, back = removal_ratio(0, 10, 5, 10), removal_ratio(5, 10, 0, 10)

    assert (there.low, back.high) == (0.0, math.inf)
    assert there.high == pytest.approx(1 / back.low)
    assert there.ratio == pytest.approx(1 / back.ratio)


def test_removal_ratio_is_near_katz_where_katz_holds():
    """scipy's relative_risk(80, 200, 150, 200) has the Katz interval (.44208, .64342)."""
    katz = stats.contingency.relative_risk(80, 200, 150, 200).confidence_interval()
    found = removal_ratio(80, 200, 150, 200)

    assert (katz.low, katz.high) == pytest.approx((0.44208, 0.64342), abs=1e-5)
    assert (found.low[0], found.high[0]) == pytest.approx((katz.low, katz.high), abs=5e-3)


def test_removal_ratio_without_removals_knows_nothing():
    found = removal_ratio(0, 10, 0, 10)

    assert math.isnan(found.ratio[0])
    assert (found.low[0], found.high[0]) == (0.0, math.inf)


def test_score_interval_leaves_one_out_exactly_where_p_is_small():
    rng = np.random.default_rng(5)
    x, n = rng.integers(0, 50, (2, 300)), np.full((2, 300), 50)
    found = compare_rates(independent(x / n, n))
    outside = (found.low > 1) | (found.high < 1)

    assert outside.tolist() == (found.p < 0.05).tolist()


def test_smallest_detectable_ratio_has_the_power_it_states():
    sizes = np.array([400.0]), np.array([4000.0])
    ratio = smallest_detectable_ratio([0.1], sizes)[0]
    rng = np.random.default_rng(6)
    x = rng.binomial(400, 0.1 * ratio, REPETITIONS), rng.binomial(4000, 0.1, REPETITIONS)
    found = compare_rates(independent((x[0] / 400, x[1] / 4000), (400, 4000)))

    assert (found.p < 0.05).mean() == pytest.approx(0.8, abs=0.02)


# ── AUC ──────────────────────────────────────────────────────────────────────────────────────


def test_auc_is_the_share_of_ordered_pairs():
    rng = np.random.default_rng(7)
    label, score = rng.random(80) < 0.4, rng.integers(0, 9, 80).astype(float)
    pairs = np.sign(score[label][:, None] - score[~label][None, :])

    assert auc_interval(label, score).estimate == pytest.approx((pairs.mean() + 1) / 2)


def test_auc_interval_ignores_copies_within_a_group():
    """Twenty copies of every document, grouped, carry no more certainty than one."""
    rng = np.random.default_rng(8)
    label = np.arange(60) % 2 == 0
    score = rng.normal(label * 0.8)
    alone = auc_interval(label, score)
    copied = np.repeat(np.arange(60), 20)
    grouped = auc_interval(label[copied], score[copied], copied)
    naive = auc_interval(label[copied], score[copied])

    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert naive.high - naive.low < 0.3 * (grouped.high - grouped.low)


@pytest.mark.parametrize(
    ("label", "score", "low", "high"),
    [
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], 0.292, 1.0),
        ([0, 1], [0, 1], 0.0, 1.0),
        ([0, 0, 1, 1], [1, 1, 1, 1], 0.0, 1.0),
    ],
    ids=["perfect", "one-of-each", "all-tied"],
)
def test_auc_without_variance_stays_honest(label, score, low, high):
    found = auc_interval(label, score)

    assert found.low <= low + 1e-3
    assert found.high >= high - 1e-3


def test_auc_of_one_label_is_nothing():
    assert math.isnan(auc_interval([1, 1], [0.2, 0.3]).estimate)


def grouped_scores(rng, groups, size, shift):
    """Scores with half of their variance shared by the group; labels differ by group."""
    label = np.repeat(np.arange(groups) % 2 == 0, size)
    code = np.repeat(np.arange(groups), size)
    score = rng.normal(shift * label) + np.repeat(rng.normal(size=groups), size)
    return label, score, code


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("groups", [24, 60])
def test_auc_interval_covers_under_grouped_data(groups, shift):
    repetitions = 1_000
    rng = np.random.default_rng(groups)
    truth = stats.norm.cdf(shift / 2)
    covered = 0
    for _ in range(repetitions):
        found = auc_interval(*grouped_scores(rng, groups, 5, shift))
        covered += found.low <= truth <= found.high

    assert covered >= binomial_band(repetitions, 0.95)[0]
    assert covered <= binomial_band(repetitions, 0.97)[1]


def test_auc_interval_of_shuffled_groups_contains_one_half():
    repetitions = 1_000
    rng = np.random.default_rng(9)
    missed = naive = 0
    for _ in range(repetitions):
        label, score, code = grouped_scores(rng, 40, 5, 0.0)
        label = np.repeat(rng.permutation(label[::5]), 5)
        found, single = auc_interval(label, score, code), auc_interval(label, score)
        missed += not found.low <= 0.5 <= found.high
        naive += not single.low <= 0.5 <= single.high

    low, high = binomial_band(repetitions, 0.05)
    assert low <= missed <= high
    assert naive > high


# ── coverage by exact enumeration ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [20, 50, 200])
def test_wilson_covers_on_average(n):
    ends = np.array([wilson(k, n) for k in range(n + 1)])
    rates = np.linspace(0.05, 0.95, 181)
    inside = (ends[:, :1] <= rates) & (rates <= ends[:, 1:])
    coverage = (stats.binom.pmf(np.arange(n + 1)[:, None], n, rates) * inside).sum(0)

    assert coverage.mean() == pytest.approx(0.95, abs=0.006)
    assert coverage.min() > 0.9


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2, 0.5, 0.9, 0.99])
def test_score_interval_of_a_ratio_covers_near_zero_and_one(rate):
    """Keep-rates of .99 at n = 100 included, where Katz intervals cover 64 %."""
    n, n_rest = 100, 400
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n_rest + 1), indexing="ij")
    likely = np.outer(
        stats.binom.pmf(np.arange(n + 1), n, rate),
        stats.binom.pmf(np.arange(n_rest + 1), n_rest, rate),
    )
    seen = likely > 1e-9
    sizes = np.full(seen.sum(), float(n)), np.full(seen.sum(), float(n_rest))
    low, high = score_ratio_bounds((x[seen] / n, y[seen] / n_rest), sizes, t_quantile(0.95))
    covered = likely[seen][(low <= 1) & (high >= 1)].sum()

    assert 0.93 <= covered <= 0.99


# ── nulls by simulation ──────────────────────────────────────────────────────────────────────


def null_counts(rng, clusters, *, rate, correlation, unequal):
    """Removed and all documents per cluster, for many corpora at once (beta-binomial)."""
    shape = (REPETITIONS, clusters)
    size = np.maximum(1, np.round(50 * np.exp(unequal * rng.standard_normal(shape))))
    if correlation:
        concentration = (1 - correlation) / correlation
        chance = rng.beta(rate * concentration, (1 - rate) * concentration, shape)
    else:
        chance = np.full(shape, rate)
    return rng.binomial(size.astype(int), chance).astype(float), size


@pytest.mark.parametrize(
    ("n", "n_rest", "rate"), [(400, 4000, 0.05), (1000, 3000, 0.02), (300, 300, 0.3)]
)
def test_removal_test_holds_its_level_for_independent_documents(n, n_rest, rate):
    rng = np.random.default_rng(10)
    x, y = (rng.binomial(size, rate, REPETITIONS) for size in (n, n_rest))
    found = compare_rates(independent((x / n, y / n_rest), (n, n_rest)))
    rejected = int((found.p < 0.05).sum())

    low, high = binomial_band(REPETITIONS, 0.05)
    assert low <= rejected <= high


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("unequal", [0.0, 0.8], ids=["equal", "unequal"])
@pytest.mark.parametrize(
    ("clusters", "clusters_rest", "rate"), [(10, 60, 0.2), (20, 100, 0.05), (40, 40, 0.2)]
)
def test_removal_test_holds_its_level_for_clustered_documents(
    clusters, clusters_rest, rate, unequal, correlation
):
    """Whole clusters on either side; a normal quantile for independent documents would not."""
    rng = np.random.default_rng(11)
    draw = dict(rate=rate, correlation=correlation, unequal=unequal)
    x, n = null_counts(rng, clusters + clusters_rest, **draw)
    own = np.arange(clusters + clusters_rest) < clusters
    pair = clustered_pair(x * own, n * own, x * ~own, n * ~own)
    rejected = int((compare_rates(effective_sides(pair)).p < 0.05).sum())
    naive = compare_rates(independent((pair.rate, pair.rate_rest), (pair.size, pair.size_rest)))

    assert rejected <= binomial_band(REPETITIONS, 0.06)[1]
    assert rejected >= binomial_band(REPETITIONS, 0.04)[0]
    if correlation:
        assert (naive.p < 0.05).mean() > 0.09


def test_one_cluster_is_no_evidence():
    group, rest = ([[9.0, 0, 0, 0]], [[10.0, 0, 0, 0]]), ([[0, 1.0, 0, 1]], [[0, 10.0, 10, 10]])
    found = compare_rates(effective_sides(clustered_pair(*group, *rest)))

    assert (found.p[0], found.low[0], found.high[0]) == (1.0, 0.0, math.inf)


# ── a skewed estimate ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("skewness", [-1.0, -0.3, 0.0, 0.02, 0.8])
@pytest.mark.parametrize("z", [-6.0, -2.0, -0.1, 0.4, 2.5, 9.0])
def test_p_of_a_skewed_estimate_is_the_level_of_the_interval_that_just_holds(z, skewness):
    """Interval and p are one test; a longer end is never bought with a shorter one."""
    p = skewed_p(z, 7, skewness)
    ends = {side: skewed_quantiles(1 - p * side, 7, skewness) for side in (0.98, 1.02) if p < 0.98}
    reach = 0 if z > 0 else 1

    assert 0 < p <= 1
    assert p >= skewed_p(z, 7)
    if ends:
        assert ends[1.02][reach] < abs(z) < ends[0.98][reach]


def test_skewness_lengthens_the_end_where_t_misses():
    """1,000 means of eight exponential values: t's interval misses above, this one holds."""
    rng, held = np.random.default_rng(3), np.zeros(2, int)
    for values in rng.exponential(1, (1_000, 8)):
        error = values.std(ddof=1) / np.sqrt(8)
        third = 8 / 42 * ((values - values.mean()) ** 3).sum() / 64
        for which, skewness in enumerate((0.0, third / error**3)):
            below, above = skewed_quantiles(0.95, 7, skewness)
            held[which] += values.mean() - below * error <= 1 <= values.mean() + above * error
    low, _ = binomial_band(1_000, 0.95)

    assert held[0] < low <= held[1]
