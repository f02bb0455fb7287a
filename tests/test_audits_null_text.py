"""Null coverage of what audits say of texts, scores and decisions: shares, means, words, nPMI."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import ndtr

from curate.audits.association import _pair as associated
from curate.audits.association import kept_change
from curate.audits.metrics import _estimates
from curate.audits.words import log_odds_z, word_tests
from curate.statistics import (
    auc_interval,
    binomial_band,
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

N = 10_000
QUICK = 1_000


def at_most(rejected, n, level=0.06):
    return rejected <= binomial_band(n, level)[1]


def at_least(rejected, n, level=0.04):
    return rejected >= binomial_band(n, level)[0]


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
    """Intervals that miss the true share, which lies anywhere in [.05, .95]."""
    rng = np.random.default_rng(1)
    rate = rng.uniform(0.05, 0.95, n)
    documents = sizes(rng, (n, clusters), mean, unequal)
    hits = rng.binomial(documents, chances(rng, rate[:, None], correlation, documents.shape))
    found = clustered_shares(hits, documents)
    return int(((found.low > rate) | (found.high < rate)).sum())


@pytest.mark.parametrize("correlation", [0.0, 0.1])
def test_shares_of_clustered_documents_are_covered(correlation):
    missed = missed_shares(N, 30, 20, unequal=0.4, correlation=correlation)

    assert at_least(missed, N)
    assert at_most(missed, N)


@pytest.mark.study
@pytest.mark.parametrize("clusters", [6, 12, 15, 30, 100])
@pytest.mark.parametrize("unequal", [0.0, 0.8])
def test_shares_are_covered_whatever_the_clusters(clusters, unequal):
    for mean in (10, 50):
        for correlation in (0.0, 0.05, 0.1):
            missed = missed_shares(N, clusters, mean, unequal=unequal, correlation=correlation)
            print("share", clusters, unequal, mean, correlation, missed / N)

            assert at_most(missed, N)
            assert at_least(missed, N, 0.04 if clusters >= 30 else 0.005)


@pytest.mark.parametrize("n", [20, 100])
def test_a_share_of_single_documents_is_wilsons(n):
    for k in range(0, n + 1, 5):
        found = clustered_share([1.0] * k + [0.0] * (n - k))
        assert (found.low, found.high) == pytest.approx(tuple(wilson(k, n)))


# ── paired differences: mean shift, sign test, equivalence ───────────────────────────────────


def paired(n, clusters, *, unequal, correlation):
    """Misses of 0 by the mean's interval; sign tests and equivalence at the margin that reject."""
    rng, counts = np.random.default_rng(2), np.zeros(3, int)
    for _ in range(n):
        code = np.repeat(np.arange(clusters), sizes(rng, clusters, 10, unequal))
        values = np.sqrt(1 - correlation) * rng.standard_normal(code.size)
        values += np.sqrt(correlation) * rng.standard_normal(clusters)[code]
        found = mean_shift(values, code)
        moved = mean_shift(values + 1.0, code)
        counts += [
            found.low > 0 or found.high < 0,
            sign_test(values, code).p < 0.05,
            equivalence_p(moved, 1.0) < 0.05,
        ]
    return counts


def test_paired_tests_hold_their_level_in_clusters():
    shift, signs, same = paired(QUICK, 15, unequal=0.8, correlation=0.1)

    assert at_most(shift, QUICK)
    assert at_most(signs, QUICK, 0.055)
    assert at_most(same, QUICK)


@pytest.mark.study
@pytest.mark.parametrize("clusters", [6, 15, 60])
@pytest.mark.parametrize("unequal", [0.0, 0.8])
def test_paired_tests_hold_their_level_whatever_the_clusters(clusters, unequal):
    for correlation in (0.0, 0.05, 0.1):
        found = paired(N, clusters, unequal=unequal, correlation=correlation)
        print("paired", clusters, unequal, correlation, (found / N).tolist())

        assert at_most(found[0], N)
        assert at_least(found[0], N, 0.04 if clusters >= 30 else 0.01)
        assert at_most(found[1], N, 0.055)
        assert at_most(found[2], N)


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
    for _ in range(n):
        own = rng.random(documents) < group
        has = rng.random(documents) < np.where(own, other, rate)
        row = associated(own, has, code)
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

    assert at_most(missed[0], N)
    assert at_least(missed[0], N)


def test_npmi_leaves_0_out_where_the_odds_ratio_leaves_1_out():
    """So that its null is that of associations, clustered or not."""
    rng, source, apart = np.random.default_rng(8), np.repeat(np.arange(12), 20), 0
    for _ in range(300):
        chance = chances(rng, 0.3, 0.3, 12)[source]
        row = associated(source % 3 == 0, rng.random(240) < chance, source)
        apart += not row["low"] <= 0 <= row["high"]
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
    assert at_most(rejected, known)
    assert at_least(rejected, known)


@pytest.mark.study
@pytest.mark.parametrize("design", [(15, 60), (40, 40)])
@pytest.mark.parametrize("whole", [False, True])
def test_changes_of_associations_hold_their_level(design, whole):
    for unequal in (0.0, 0.8):
        for correlation in (0.0, 0.05, 0.1):
            for keep in (0.9, 0.6):
                call = {"unequal": unequal, "correlation": correlation, "keep": keep}
                rejected, known = changes(N, *design, whole=whole, **call)
                print("change", design, whole, call, rejected / max(known, 1), known / N)
                if known < 2_000:  # "cannot tell" nearly always
                    continue

                assert at_most(rejected, known)
                assert at_least(rejected, known, 0.03)


# ── words ────────────────────────────────────────────────────────────────────────────────────

WORDS = np.r_[np.full(8, 0.6), np.full(12, 0.2), np.full(20, 0.08)]


def rejected_words(n, clusters, mean, *, whole, correlation):
    """Share of tests at 5 % that reject by documents (per rank of frequency), and by z."""
    rng, rejected, tried, by_z = np.random.default_rng(6), np.zeros(3), np.zeros(3), 0.0
    code = np.repeat(np.arange(clusters), mean)
    for _ in range(n):
        chance = chances(rng, WORDS, correlation, (clusters, WORDS.size))[code]
        length = rng.uniform(0.4, 1.0, code.size)[:, None]
        has = csr_array((rng.random(chance.shape) < chance * length).astype(float))
        own = code < clusters // 3 if whole else rng.random(code.size) < 0.35
        p = word_tests(has, own, code)
        for k, words in enumerate((slice(0, 8), slice(8, 20), slice(20, 40))):
            rejected[k] += (p[words] < 0.05).sum()
            tried[k] += (~np.isnan(p[words])).sum()
        y = [np.asarray(has[np.flatnonzero(side)].sum(0)).ravel() for side in (own, ~own)]
        z = log_odds_z(*y, 1000 * (y[0] + y[1]) / (y[0] + y[1]).sum())[1]
        by_z += (np.abs(z) > 1.96).mean()
    return rejected / tried, by_z / n


def test_words_hold_their_level_where_z_does_not():
    by_documents, by_z = rejected_words(200, 15, 40, whole=True, correlation=0.1)

    # 200 corpora of 8, 12 and 20 words that know nothing of each other.
    for rate, words in zip(by_documents, (8, 12, 20), strict=True):
        assert at_most(rate * 200 * words, 200 * words)
    assert by_z > 0.1


@pytest.mark.study
@pytest.mark.parametrize("design", [(400, 1, False), (15, 40, False), (15, 40, True)])
def test_words_hold_their_level(design):
    clusters, mean, whole = design
    for correlation in (0.0, 0.05, 0.1) if mean > 1 else (0.0,):
        found = rejected_words(1_250, clusters, mean, whole=whole, correlation=correlation)
        by_documents, by_z = found
        print("words", design, correlation, by_documents.round(4).tolist(), round(by_z, 4))

        for rate, words in zip(by_documents, (8, 12, 20), strict=True):
            tests = 1_250 * words
            assert at_most(rate * tests, tests)
            assert at_least(rate * tests, tests)


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
