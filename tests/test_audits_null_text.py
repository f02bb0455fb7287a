"""Null coverage of what audits say of texts, scores and decisions: shares, means, words, nPMI."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import ndtr

from curate.audits.association import counted, judged, kept_change
from curate.audits.metrics import _estimates
from curate.audits.words import log_odds_z, word_tests
from curate.statistics import (
    auc_interval,
    binomial_band,
    clustered_means,
    clustered_pair,
    clustered_share,
    clustered_shares,
    compare_rates,
    effective_sides,
    equivalence_p,
    mean_shift,
    sign_test,
    smallest_detectable_ratio,
    t_quantile,
    wilson,
)
from curate.statistics.intervals import t_estimate

N = 10_000
QUICK = 1_000


def at_most(rejected, n, level=0.06):
    return rejected <= binomial_band(n, level)[1]


def at_least(rejected, n, level=0.04):
    return rejected >= binomial_band(n, level)[0]


def within(rejected, n):
    """4 to 6 %, but for chance at 99.9 %."""
    return at_least(rejected, n) and at_most(rejected, n)


def chances(rng, rate, correlation, shape):
    """Chances of clusters with this intraclass correlation; `rate` broadcasts to `shape`."""
    rate = np.broadcast_to(rate, shape)
    if not correlation:
        return rate
    k = 1 / correlation - 1
    return rng.beta(rate * k, (1 - rate) * k)


def sizes(rng, shape, mean, unequal):
    noise = unequal * rng.standard_normal(shape) - unequal**2 / 2
    return np.maximum(1, np.round(mean * np.exp(noise))).astype(int)


# ── one share: flips, retention, precision, recall, selection rate ───────────────────────────


def missed_shares(n, clusters, mean, *, unequal, correlation):
    """Misses of a true share in [.05, .95], told; both where 10 effective ones are expected."""
    rng = np.random.default_rng(1)
    rate = rng.uniform(0.05, 0.95, n)
    documents = sizes(rng, (n, clusters), mean, unequal)
    hits = rng.binomial(documents, chances(rng, rate[:, None], correlation, documents.shape))
    found = clustered_shares(hits, documents)
    told, missed = found.df > 0, (found.low > rate) | (found.high < rate)
    assert (found.high - found.low)[~told].min(initial=1) == 1
    alike = 1 + correlation * ((documents**2).sum(1) / documents.sum(1) - 1)
    many = told & (np.minimum(rate, 1 - rate) * documents.sum(1) / alike >= 10)
    return [int(x.sum()) for x in (missed & told, told, missed & many, many)]


@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_shares_of_clustered_documents_are_covered(correlation):
    missed, told, *_ = missed_shares(N, 30, 20, unequal=0.4, correlation=correlation)

    assert told == N
    assert within(missed, told)


CLUSTERS = [6, 12, 15, 30, 100]  # the limits were chosen on these and on 4, 5, 8 and 10
MORE_CLUSTERS = [
    (5, 0.2, 80),
    (7, 0.6, 40),
    (9, 1.0, 25),
    (14, 0.5, 15),
    (22, 1.0, 60),
    (50, 0.7, 8),
]


@pytest.mark.study
@pytest.mark.parametrize(
    ("clusters", "unequal", "mean"),
    [(k, u, m) for k in CLUSTERS for u in (0.0, 0.8) for m in (10, 50)] + MORE_CLUSTERS,
)
def test_shares_are_covered_whatever_the_clusters(clusters, unequal, mean):
    for correlation in (0.0, 0.05, 0.1):
        found = missed_shares(N, clusters, mean, unequal=unequal, correlation=correlation)
        missed, told, missed_many, many = found
        rates = f"{missed / told:.4f} {missed_many / max(many, 1):.4f}"
        print("share", clusters, unequal, mean, correlation, rates, told / N, many / N)

        assert told >= N / 10
        assert at_most(missed, told)
        assert within(missed_many, many) if many >= N / 10 else at_least(missed, told, 0.025)


@pytest.mark.parametrize("n", [20, 100])
def test_a_share_of_single_documents_is_wilsons(n):
    for k in range(0, n + 1, 5):
        found = clustered_share([1.0] * k + [0.0] * (n - k))
        assert (found.low, found.high) == pytest.approx(tuple(wilson(k, n)))


# ── paired differences: mean shift, sign test, equivalence ───────────────────────────────────


def paired(n, clusters, *, unequal, correlation):
    """Misses of 0 by the mean's interval, equivalence at the margin, corpora told; sign tests."""
    rng, sign = np.random.default_rng(2), 0
    sums, squares, size = (np.empty((n, clusters)) for _ in range(3))
    for i in range(n):
        code = np.repeat(np.arange(clusters), sizes(rng, clusters, 10, unequal))
        values = np.sqrt(1 - correlation) * rng.standard_normal(code.size)
        values += np.sqrt(correlation) * rng.standard_normal(clusters)[code]
        sums[i], squares[i], size[i] = (np.bincount(code, w) for w in (values, values**2, None))
        sign += sign_test(values, code).p < 0.05
    variance = squares.sum(1) / size.sum(1) - (sums.sum(1) / size.sum(1)) ** 2
    found = clustered_means(sums, size, variance)
    told = found.df > 0
    known = [t_estimate(*one, 0.95) for one in zip(*(v[told] for v in found), strict=True)]
    shift = sum(one.low > 0 or one.high < 0 for one in known)
    same = sum(equivalence_p(replace(one, estimate=one.estimate + 1), 1.0) < 0.05 for one in known)
    return shift, same, int(told.sum()), sign


def test_paired_tests_hold_their_level_in_clusters():
    shift, same, told, signs = paired(QUICK, 15, unequal=0.8, correlation=0.1)

    assert told > 0.8 * QUICK
    assert at_most(shift, told)
    assert at_most(same, told)
    assert at_most(signs, QUICK, 0.055)


def test_means_of_many_are_those_of_each():
    rng, code = np.random.default_rng(9), np.repeat(np.arange(8), 5)
    values = rng.normal(3, 1, (4, 40))
    sums = [np.bincount(code, row) for row in values]
    found = clustered_means(sums, np.full((4, 8), 5.0), values.var(1))
    for i, row in enumerate(values):
        one = mean_shift(row, code)
        assert one.estimate == pytest.approx(found.mean[i])
        assert one.standard_error == pytest.approx(found.error[i])
        assert one.degrees_of_freedom == pytest.approx(found.df[i])


@pytest.mark.study
@pytest.mark.parametrize(
    ("clusters", "unequal"),
    [(k, u) for k in (6, 15, 60) for u in (0.0, 0.8)] + [(9, 1.0), (24, 0.5)],
)
def test_paired_tests_hold_their_level_whatever_the_clusters(clusters, unequal):
    for correlation in (0.0, 0.05, 0.1):
        found = paired(N, clusters, unequal=unequal, correlation=correlation)
        shift, same, told, signs = found
        rates = f"{shift / told:.4f} {same / told:.4f} signs {signs / N:.4f}"
        print("paired", clusters, unequal, correlation, rates, told / N)

        assert told >= N / 10
        assert within(shift, told)
        assert within(same, told)
        assert at_most(signs, N, 0.055)


# ── classifiers' rates per group ─────────────────────────────────────────────────────────────

METRICS = ("label_rate", "selection_rate", "precision", "recall", "f1", "auc")


def missed_metrics(n, clusters, mean, correlation):
    """Scores of labelled documents lie 1.2 above the others'; selected above .8."""
    rng, missed = np.random.default_rng(3), np.zeros(len(METRICS), int)
    rate, found, false = 0.4, ndtr(0.4), ndtr(-0.8)
    selected = rate * found + (1 - rate) * false
    precision = rate * found / selected
    f1 = 2 * precision * found / (precision + found)
    values = (rate, selected, precision, found, f1, ndtr(1.2 / np.sqrt(2)))
    truth = dict(zip(METRICS, values, strict=True))
    code = np.repeat(np.arange(clusters), mean)
    for _ in range(n):
        label = rng.random(code.size) < chances(rng, rate, correlation, clusters)[code]
        score = 1.2 * label + np.sqrt(1 - correlation) * rng.standard_normal(code.size)
        score += np.sqrt(correlation) * rng.standard_normal(clusters)[code]
        within = code if mean > 1 else None
        found = _estimates(label, score > 0.8, within) | {"auc": auc_interval(label, score, within)}
        missed += [not found[m].low <= t <= found[m].high for m, t in truth.items()]
    return missed


def test_rates_of_a_classifier_are_covered():
    missed = missed_metrics(500, 30, 10, 0.1)

    assert all(at_most(k, 500) for k in missed)


@pytest.mark.study
@pytest.mark.parametrize("design", [(300, 1), (15, 20), (30, 20)])
def test_rates_of_a_classifier_are_covered_whatever_the_clusters(design):
    for correlation in (0.0, 0.05, 0.1) if design[1] > 1 else (0.0,):
        missed = missed_metrics(N, *design, correlation)
        print("rates", design, correlation, dict(zip(METRICS, (missed / N).tolist(), strict=True)))

        assert all(at_most(k, N) for k in missed)
        assert all(at_least(k, N) for k in missed)


# ── associations: nPMI, and what a step does to log odds ─────────────────────────────────────

MARGINS = [(0.3, 0.2), (0.6, 0.5)]


def missed_associations(n, documents, margins, log_odds):
    """nPMI and log odds whose intervals miss the truth, and p < .05."""
    rng, missed, (group, rate) = np.random.default_rng(4), np.zeros(3, int), margins
    code = np.arange(documents)
    other = 1 / (1 + np.exp(-np.log(rate / (1 - rate)) - log_odds))
    both = group * other
    truth = np.log(both / (group * (both + (1 - group) * rate))) / -np.log(both)
    pairs = []
    for _ in range(n):
        own = rng.random(documents) < group
        pairs.append(counted(own, rng.random(documents) < np.where(own, other, rate), code))
    for row in judged(pairs):
        missed += [
            not row["npmi_low"] - 1e-12 <= truth <= row["npmi_high"] + 1e-12,
            not row["low"] <= log_odds <= row["high"],
            row["p"] < 0.05,
        ]
    return missed


def test_npmi_covers_where_margins_matter():
    missed = missed_associations(400, 800, (0.6, 0.5), 3.0)

    assert at_most(missed[0], 400)


@pytest.mark.study
@pytest.mark.parametrize("log_odds", [0.0, -1.0, 3.0])
@pytest.mark.parametrize("margins", MARGINS)
def test_npmi_covers_whatever_the_association(margins, log_odds):
    missed = missed_associations(N, 800, margins, log_odds)
    print("npmi", margins, log_odds, (missed / N).tolist())

    assert within(missed[0], N)
    assert within(missed[1], N)


def test_npmi_leaves_0_out_where_the_odds_ratio_leaves_1_out():
    """So that its null is that of associations, clustered or not."""
    rng, source, apart = np.random.default_rng(8), np.repeat(np.arange(12), 20), 0
    for _ in range(300):
        chance = chances(rng, 0.3, 0.3, 12)[source]
        has = rng.random(240) < chance
        row = judged([counted(source % 3 == 0, has, source)])[0]
        apart += not row["low"] <= 0 <= row["high"]
        assert (row["p"] < 0.05) == (not row["low"] <= 0 <= row["high"])
        assert (row["low"] > 0) == (row["npmi_low"] > 0)
        assert (row["high"] < 0) == (row["npmi_high"] < 0)

    assert apart


def changes(n, clusters, mean, *, whole, unequal, correlation, keep):
    """Tests of "the step changed no association", where it knows nothing of either term."""
    rng = np.random.default_rng(5)
    documents = sizes(rng, (n, clusters), mean, unequal)
    shape = documents.shape
    if whole:
        own = documents * (np.arange(clusters) < clusters // 3)
    else:
        own = rng.binomial(documents, chances(rng, 0.3, correlation, shape))
    has = chances(rng, 0.3, correlation, shape)
    both, other = rng.binomial(own, has), rng.binomial(documents - own, has)
    cells = np.stack([documents - own - other, other, own - both, both], 1)
    kept = rng.binomial(cells, chances(rng, keep, correlation, shape)[:, None])
    _, low, high, p = kept_change(kept.astype(float), cells.astype(float))
    known = ~np.isnan(p)
    assert (((low[known] > 0) | (high[known] < 0)) == (p[known] < 0.05)).all()
    return int((p[known] < 0.05).sum()), int(known.sum())


def test_a_step_that_knows_no_term_changes_no_association():
    rejected, known = changes(N, 30, 50, whole=False, unequal=0.4, correlation=0.05, keep=0.8)
    assert known > N / 2
    assert within(rejected, known)


CHANGES = [(*s, u, keep) for s in ((15, 60), (40, 40)) for u in (0.0, 0.8) for keep in (0.9, 0.6)]
SILENT = [(15, 60, 0.8, 0.9)]
MORE_CHANGES = [(12, 100, 0.3, 0.8), (24, 50, 0.5, 0.7), (60, 25, 1.0, 0.85), (400, 4, 0.6, 0.5)]


@pytest.mark.study
@pytest.mark.parametrize(("clusters", "mean", "unequal", "keep"), CHANGES + MORE_CHANGES)
def test_changes_of_associations_hold_their_level(clusters, mean, unequal, keep):
    judged_ones = 0
    for whole in (False, True):
        for correlation in (0.0, 0.05, 0.1):
            call = {"whole": whole, "unequal": unequal, "correlation": correlation, "keep": keep}
            rejected, known = changes(N, clusters, mean, **call)
            print("change", clusters, mean, call, rejected / max(known, 1), known / N)
            judged_ones += known >= N / 10
            assert within(rejected, known) or known < N / 10  # "cannot tell" nearly always

    assert (judged_ones >= 3) == ((clusters, mean, unequal, keep) not in SILENT)


# ── words ────────────────────────────────────────────────────────────────────────────────────

WORDS = np.repeat([0.6, 0.2, 0.08], [8, 12, 20])
ALONE, INSIDE, WHOLE = (600, 1, False), (15, 40, False), (15, 40, True)


def rejected_words(n, clusters, mean, *, whole, correlation):
    """Tests by documents that reject at 5 %, and all told, by rank of frequency; share by z."""
    rng, rejected, told, by_z = np.random.default_rng(6), [0] * 3, [0] * 3, 0.0
    code = np.repeat(np.arange(clusters), mean)
    for _ in range(n):
        chance = chances(rng, WORDS, correlation, (clusters, WORDS.size))[code]
        length = rng.uniform(0.4, 1.0, code.size)[:, None]
        has = csr_array((rng.random(chance.shape) < chance * length).astype(float))
        own = code < clusters // 3 if whole else rng.random(code.size) < 0.35
        p = word_tests(has, own, code)
        for k, words in enumerate((slice(0, 8), slice(8, 20), slice(20, 40))):
            rejected[k] += int((p[words] < 0.05).sum())
            told[k] += int((~np.isnan(p[words])).sum())
        y = [np.asarray(has[np.flatnonzero(side)].sum(0)).ravel() for side in (own, ~own)]
        z = log_odds_z(*y, 1000 * (y[0] + y[1]) / (y[0] + y[1]).sum())[1]
        by_z += (np.abs(z) > 1.96).mean()
    return list(zip(rejected, told, strict=True)), by_z / n


def test_words_hold_their_level_where_z_does_not():
    by_documents, by_z = rejected_words(200, 15, 40, whole=True, correlation=0.1)

    assert all(at_most(rejected, told) for rejected, told in by_documents)
    assert by_z > 0.1


@pytest.mark.study
@pytest.mark.parametrize("design", [ALONE, INSIDE, WHOLE, (12, 50, False), (36, 20, True)])
def test_words_hold_their_level(design):
    clusters, mean, whole = design
    for correlation in (0.0, 0.05, 0.1) if mean > 1 else (0.0,):
        by_documents, by_z = rejected_words(
            N // 8, clusters, mean, whole=whole, correlation=correlation
        )
        rates = [f"{rejected / told:.4f}/{told:.0f}" for rejected, told in by_documents]
        print("words", design, correlation, rates, round(by_z, 4))

        assert all(told >= N / 2 for _, told in by_documents)
        assert all(within(rejected, told) for rejected, told in by_documents)


# ── power ────────────────────────────────────────────────────────────────────────────────────


def promised_and_found(n, clusters, correlation):
    """A group in a third of the clusters: power at the ratio that the table says it would see."""
    rng, size = np.random.default_rng(7), np.full((n, clusters), 50)
    own = np.arange(clusters) < clusters // 3

    def compared(ratio):
        chance = chances(rng, np.where(own, ratio, 1) * 0.2, correlation, size.shape)
        hits = rng.binomial(size, chance)
        return effective_sides(clustered_pair(hits * own, size * own, hits * ~own, size * ~own))

    sides = compared(1.0)
    quantile = t_quantile(0.95, sides.df)
    stated = smallest_detectable_ratio(
        sides.rate_rest, (sides.size, sides.size_rest), quantile=quantile
    )
    return float((compare_rates(compared(float(np.nanmedian(stated)))).p < 0.05).mean())


@pytest.mark.parametrize(("clusters", "correlation"), [(30, 0.0), (60, 0.05), (60, 0.1)])
def test_the_smallest_detectable_ratio_is_detected_so_often(clusters, correlation):
    power = promised_and_found(N, clusters, correlation)
    print("power", clusters, correlation, power)

    assert 0.74 <= power <= 0.86
