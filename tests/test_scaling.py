"""Multipliers: readings, intervals, words."""

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.scaling import (
    ArmCurve,
    Summary,
    calibrator_vote,
    conclude,
    contrast_rows,
    crossed_interval,
    decide,
    multiplier_cells,
    read_curve,
    sentences,
    token_multiplier,
)
from curate.statistics import binomial_band

BUDGETS = np.array([50_000, 100_000, 150_000, 200_000, 300_000, 400_000, 600_000, 900_000])


def power_law(n, *, floor=1.5, scale=60.0, exponent=0.3):
    return floor + scale * np.asarray(n, float) ** -exponent


def curve(losses, budgets=BUDGETS, bits=(), byte_counts=()):
    """One replicate and one set unless the losses have more axes."""
    losses = np.asarray(losses, float)
    losses = losses.reshape((1,) * (3 - losses.ndim) + losses.shape)
    sets = tuple(f"set_{s}" for s in range(losses.shape[1]))
    return ArmCurve(
        budgets=np.asarray(budgets), eval_sets=sets, loss=losses, bits=bits, bytes=byte_counts
    )


# ── reading a curve ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("exponent", [0.15, 0.3, 0.45])
@pytest.mark.parametrize("m", [0.7, 1.0, 1.1, 1.5, 1.9, 2.2])
def test_a_planted_multiplier_is_read_to_half_a_percent(exponent, m):
    """Between rungs a factor of 1.5 apart the cubic follows a power law."""
    a = curve(power_law(BUDGETS, exponent=exponent))
    b = curve(power_law(m * 200_000, exponent=exponent)[None], [200_000])

    found = np.exp(multiplier_cells(a, b, [200_000]).log_m.item())

    assert found == pytest.approx(m, rel=0.005)


def test_the_cubic_is_scipys():
    """Same monotone interpolant as SciPy's PCHIP, value and slope."""
    scipy_interpolate = pytest.importorskip("scipy.interpolate")
    x, y = np.log(BUDGETS.astype(float)), power_law(BUDGETS) + 0.01 * np.sin(np.arange(8))
    y = np.minimum.accumulate(y - 1e-6 * np.arange(8))
    theirs = scipy_interpolate.PchipInterpolator(-y, x)

    for target in np.linspace(y[-1], y[0], 41)[1:-1]:
        ours = read_curve(x, y, target)
        assert ours.position == pytest.approx(float(theirs(-target)), abs=1e-12)
        assert ours.slope == pytest.approx(-float(theirs(-target, 1)), abs=1e-9)


def test_the_same_bytes_give_exactly_one():
    """Not nearly 1: the very number, even where a noisy curve turns back."""
    losses = [3.0, 2.7, 2.8, 2.75, 2.4, 2.4, 2.39, 2.5]

    cells = multiplier_cells(curve(losses), curve(losses), BUDGETS.tolist())

    assert (np.exp(cells.log_m) == 1.0).all()
    assert (cells.side == 0).all()


@pytest.mark.parametrize(
    ("loss", "bound", "estimate", "word"),
    [(1.0, "≥", 900_000 / 200_000, "worth"), (9.0, "≤", 50_000 / 200_000, "harms")],
)
def test_a_loss_beyond_the_ladder_is_a_bound_that_its_rungs_vouch_for(loss, bound, estimate, word):
    """What would be clipped is said with ≥ or ≤; by itself it is no interval."""
    b = curve(np.full((3, 1, 1), loss), [200_000])
    a = curve(np.tile(power_law(BUDGETS), (3, 1, 1)))
    rows = [fixed(row) for row in contrast_rows(multiplier_cells(a, b, [200_000]))]

    row = decide(rows, headline="a → b", primary=("f", "s"), sources=1, gate=False).row(
        0, named=True
    )

    assert (row["reached"], row["bound"], row["conclusion"]) == (False, bound, word)
    assert [row["estimate"], row["low"], row["high"]] == pytest.approx([estimate] * 3)
    silent = decide(
        [row | {"trials": ()} for row in rows],
        headline="a → b",
        primary=("f", "s"),
        sources=1,
        gate=False,
    ).row(0, named=True)
    assert silent["low"] is None
    assert silent["conclusion"].startswith(f"cannot tell: {bound} {estimate:.2f}")


def test_one_unreached_replicate_keeps_the_whole_cell_out():
    """Four of five draws reached is not reached."""
    losses = np.full((5, 1, 1), power_law(300_000))
    losses[2] = 1.0
    a = curve(np.tile(power_law(BUDGETS), (5, 1, 1)))

    row = contrast_rows(multiplier_cells(a, curve(losses, [200_000]), [200_000]))[0]

    assert (row["reached"], row["bound"]) == (False, "≥")


# ── harm and dilution ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("m", "harm"), [(2.0, 1.0), (3.0, 1.5), (1.5, 0.75)])
def test_a_multiplier_is_dilution_times_harm(m, harm):
    """Half of A is B's text: at equal loss A has read m · D / 2 of B's tokens."""
    a = curve(np.tile(power_law(BUDGETS), (3, 1, 1)))
    b = curve(np.full((3, 1, 1), power_law(m * 200_000)), [200_000])
    read = np.arange(0, 1_000_001, 1_000)
    rows = contrast_rows(multiplier_cells(a, b, [200_000]), prefixes=[(read, read // 2)] * 3)

    found = {
        row["quantity"]: np.exp(row["log_estimate"]) for row in rows if row["eval_set"] == "all"
    }

    assert found["harm"] == pytest.approx(harm, rel=0.005)
    assert found["dilution"] == pytest.approx(2.0, rel=1e-6)


# ── intervals ────────────────────────────────────────────────────────────────────────────────


def test_document_influence_is_the_jackknife():
    """Leaving a document out moves ln m by its influence, to first order."""
    rng = np.random.default_rng(4)
    n, sizes = 60, np.full(60, 500.0)
    weights = rng.lognormal(0, 0.3, n)
    rungs = np.stack([power_law(x) * sizes * weights * rng.lognormal(0, 0.02, n) for x in BUDGETS])
    other = power_law(300_000) * sizes * weights * rng.lognormal(0, 0.02, n)

    def measure(keep):
        total = int(sizes[keep].sum())
        a = curve(
            rungs[:, keep].sum(1) / total, bits=(rungs[None][:, :, keep],), byte_counts=(total,)
        )
        b = curve(
            [other[keep].sum() / total], [200_000], (other[None, None][:, :, keep],), (total,)
        )
        return multiplier_cells(a, b, [200_000])

    whole = measure(np.arange(n))
    left_out = [measure(np.delete(np.arange(n), d)).log_m.item() for d in range(n)]
    jackknife = (n - 1) * (np.mean(left_out) - np.array(left_out)) / n

    influence = whole.influence[0][0, 0]
    centred = influence - influence.mean()
    assert np.corrcoef(centred, jackknife)[0, 1] > 0.99
    assert np.std(centred) == pytest.approx(np.std(jackknife), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sources", "document_sd"), [(1, 0.0), (3, 0.0), (3, 1.0), (4, 0.3), (12, 0.0)]
)
def test_intervals_cover_at_their_level(sources, document_sd):
    """95 % intervals of crossed noise cover within the exact 99.9 % band, or above it."""
    rng = np.random.default_rng(11)
    repetitions, replicates, n = 1_000, 8, 40
    covered = 0
    for _ in range(repetitions):
        source_sd = 0.1 if sources >= 8 else 0.0
        values = rng.normal(0, 0.1, (replicates, 1)) + rng.normal(0, 0.05, (replicates, sources))
        values = values + rng.normal(0, source_sd, (1, sources))
        tables = []
        for s in range(sources):
            main = rng.normal(0, document_sd, n)
            table = (main + rng.normal(0, 0.2, (replicates, n))) / n
            values[:, s] += table.sum(axis=1)
            tables.append(table - table.mean(axis=1, keepdims=True))
        found = crossed_interval(values, tables)
        below, above = found.interval()
        covered += below <= 0 <= above

    low, _ = binomial_band(repetitions, 0.95)
    _, high = binomial_band(repetitions, 0.965)  # floors make the interval a little wide
    assert low <= covered <= high


def test_one_draw_has_no_interval():
    """A single replicate cannot tell, whatever its estimate."""
    found = crossed_interval(np.array([[0.5, 0.6]]))

    assert np.isnan(found.standard_error)
    assert conclude(found).startswith("cannot tell")


# ── words ────────────────────────────────────────────────────────────────────────────────────


def fixed(row, **changes):
    """A row as the experiment hands it on."""
    names = {"contrast": "a → b", "arm_a": "a", "arm_b": "b", "family": "f", "size": "s"}
    return names | {"kind": "headline", "note": None, "muted": None} | row | changes


def estimate(log_m, se=0.02, n_tokens=100, **changes):
    row = {
        "n_tokens": n_tokens,
        "eval_set": "all",
        "quantity": "multiplier",
        "log_estimate": log_m,
        "standard_error": se,
        "degrees_of_freedom": 7.0,
        "n_replicates": 8,
        "reached": True,
        "bound": None,
    }
    return fixed(row, **changes)


LOG_2 = float(np.log(2))


def calibrator(log_m=LOG_2, se=0.01, n_tokens=100):
    return estimate(log_m, se, n_tokens, contrast="d → c", kind="calibrator", arm_a="d", arm_b="c")


def decided(*rows, gate=True):
    return decide(rows, headline="a → b", primary=("f", "s"), sources=4, gate=gate)


@pytest.mark.parametrize(
    ("log_m", "se", "word"),
    [
        (0.40, 0.05, "worth"),
        (-0.40, 0.05, "harms"),
        (0.02, 0.05, "no detectable effect (≥ 1.18 would have been seen)"),
        (0.10, 0.40, "cannot tell: only a multiplier of ≥ 3.68 would have been seen"),
        (0.40, np.nan, "cannot tell: one paired draw gives no interval"),
        (0.00, 0.00, "no detectable effect (both arms hold the same text)"),
    ],
)
def test_words(log_m, se, word):
    """The four verdicts, and what would have been seen."""
    df = 0 if np.isnan(se) else 7
    found = Summary(estimate=log_m, standard_error=se, degrees_of_freedom=df)

    assert conclude(found) == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "cannot be told from empty"),
        ({"standard_error": 0.3}, "cannot tell: the draws differ too much"),
        ({"log_estimate": -2.0, "standard_error": 0.3}, "what was removed still taught"),
        (
            {"standard_error": np.nan, "degrees_of_freedom": 0.0},
            "cannot tell: one paired draw gives no interval",
        ),
        ({"muted": "cannot tell: few documents"}, "cannot tell: few documents"),
    ],
)
def test_harm_is_called_empty_only_where_it_would_have_been_seen(changes, word):
    """No advice follows from an interval that holds everything; and harm is muted as m is."""
    harm = estimate(0.01) | {"quantity": "harm"} | changes
    table = decided(estimate(0.4), harm, gate=False)

    assert table.filter(quantity="harm")["conclusion"].to_list() == [word]


def test_few_draws_lean_to_no_side():
    """A tail of the documents times the square of t with one degree of freedom is no interval."""
    rng = np.random.default_rng(4)
    table = rng.exponential(0.01, 40) ** 2 * 40
    tables = [np.tile(table - table.mean(), (8, 1))]
    values = rng.normal(0.2, 0.02, (8, 1))

    assert crossed_interval(values[:4], [tables[0][:4]]).skewness == 0
    assert crossed_interval(values, tables).skewness != 0


@pytest.mark.parametrize(
    ("m", "se", "vote"),
    [
        (2.0, 0.02, "admitted"),
        (2.0, 0.20, "inconclusive"),
        (1.0, 0.02, "refused"),
        (2.8, 0.02, "refused"),
        (1.76, 0.02, "inconclusive"),
    ],
)
def test_calibrator_votes(m, se, vote):
    """A cell votes only if its interval lies inside [.8, 1.2] as a whole."""
    found = Summary(estimate=np.log(m), standard_error=se, degrees_of_freedom=7)

    assert calibrator_vote(found) == vote


@pytest.mark.parametrize(
    ("calibration", "admitted", "conclusion"),
    [
        ([calibrator()], True, "worth"),
        (
            [calibrator(np.log(1.0))],
            False,
            "cannot tell: this model is not limited by data alone, as the calibrator shows",
        ),
        (
            [calibrator(se=0.3)],
            None,
            "cannot tell: the calibrator is not sure enough; more draws are needed",
        ),
        ([], None, "cannot tell: no calibrator was measured at this budget"),
    ],
)
def test_the_gate_silences_a_cell_and_shows_what_it_silenced(calibration, admitted, conclusion):
    """Both conclusions stand in the table."""
    row = decided(estimate(0.4), *calibration).row(0, named=True)

    assert (row["admitted"], row["conclusion"]) == (admitted, conclusion)
    assert row["conclusion_without_gate"] == "worth"


def test_the_largest_admitted_budget_speaks():
    """And the ungated sentence speaks from the largest reached one."""
    rows = [estimate(0.3, n_tokens=100), estimate(-0.3, n_tokens=200)]
    table = decided(*rows, calibrator(n_tokens=100), calibrator(0.0, n_tokens=200))

    verdict = sentences(table)[0]

    assert table.filter("headline")["n_tokens"].to_list() == [100]
    assert (verdict["conclusion"], verdict["conclusion_without_gate"]) == ("worth", "harms")
    assert verdict["sentence"].startswith("One b token does the work of 1.35 [1.29, 1.42] a tokens")
    assert "200 tokens" in verdict["sentence_without_gate"]


def test_the_gate_asks_all_sets_together_and_only_what_was_reached():
    """A set that fails is one of several; a bound is no vote, however near to 2."""
    one_set = estimate(0.0, 0.01, eval_set="x", contrast="d → c", kind="calibrator")
    bound = calibrator() | {"reached": False, "bound": "≥"}

    assert decided(estimate(0.4), calibrator(), one_set)["conclusion"][0] == "worth"
    assert decided(estimate(0.4), one_set, calibrator())["conclusion"][0] == "worth"
    assert decided(estimate(0.4), bound)["conclusion"][0].startswith("cannot tell: the calibrator")


@pytest.mark.parametrize(("se", "vote"), [(0.070, "admitted"), (0.076, "inconclusive")])
def test_the_gate_is_a_90_percent_interval(se, vote):
    """Of 7 degrees of freedom 1.895 errors: up to .0732 they lie in the band; at 95 % to .0587."""
    found = Summary(estimate=LOG_2, standard_error=se, degrees_of_freedom=7)

    assert calibrator_vote(found) == vote


@pytest.mark.parametrize(("sources", "said"), [(1, True), (7, True), (8, False), (20, False)])
def test_few_sources_make_an_interval_that_is_conditional_on_them(sources, said):
    table = decide(
        [estimate(0.4), calibrator()], headline="a → b", primary=("f", "s"), sources=sources
    )

    assert ("conditional on these sources" in sentences(table)[0]["sentence"]) == said


def test_only_the_speaking_cells_of_the_primary_model_are_tests():
    """Other budgets, sizes and kinds of models are described at the level of these."""
    strong = {"contrast": "w", "kind": "secondary"}
    other = {"contrast": "v", "kind": "secondary"}
    rows = [
        estimate(0.3, **strong), estimate(0.0, n_tokens=50, **strong),
        estimate(0.0, size="larger", **strong), estimate(0.02, **other),
        estimate(0.5, size="larger", contrast="u", kind="secondary"),
    ]  # fmt: skip
    gates = [calibrator(), calibrator(n_tokens=50), calibrator() | {"size": "larger"}]
    table = decided(estimate(0.3), *rows, *gates)
    levels = {row["contrast"]: row["confidence"] for row in table.to_dicts()}

    assert levels["w"] == pytest.approx(0.975)
    assert levels["v"] == pytest.approx(0.95)
    assert levels["u"] == pytest.approx(0.975)  # no test of its own: the strictest of them
    assert levels["a → b"] == 0.95


def test_opposite_signs_have_no_single_answer():
    """Where sets disagree, the verdict is given for each of them."""
    table = decided(
        estimate(0.05), estimate(0.4, eval_set="x"), estimate(-0.3, eval_set="y"), calibrator()
    )

    assert table["conclusion"][0] == "no single answer: worth on x; harms on y"


def test_a_calibrator_without_an_interval_promises_none():
    """Its estimate of a single draw, and no level of what is not there."""
    table = decided(estimate(0.3), calibrator())
    alone = pl.when(pl.col("kind") != "calibrator").then(pl.col("low", "high"))
    said = [found[-1]["sentence"] for found in map(sentences, (table, table.with_columns(alone)))]

    assert [s.startswith("Calibrator") for s in said] == [True, True]
    assert ["interval" in s for s in said] == [True, False]


def test_holm_gives_the_rest_their_levels_and_leaves_headline_and_controls_alone():
    """Three secondary contrasts: 1 − .05/3, 1 − .05/2, 1 − .05."""
    rest = [
        estimate(log_m, contrast=name, kind="secondary")
        for name, log_m in (("w", 0.3), ("v", 0.08), ("u", 0.06))
    ]
    table = decided(estimate(0.3), *rest, estimate(0.0, contrast="n", kind="control"), calibrator())

    levels = dict(zip(table["contrast"], table["confidence"].round(4), strict=True))
    assert levels == {"a → b": 0.95, "w": 0.9833, "v": 0.975, "u": 0.95, "n": 0.95, "d → c": 0.9}


def test_holm_holds_over_the_arms_whose_answer_is_one():
    """Two of them, each at 5 %, would call one demonstration in ten a failure."""
    nulls = [
        estimate(log_m, contrast=arm, arm_b=arm, kind="control")
        for arm, log_m in (("random", 0.05), ("null_b", 0.0))
    ]
    table = decided(estimate(0.3), *nulls, calibrator())

    levels = dict(zip(table["arm_b"], table["confidence"].round(4), strict=True))
    assert (levels["random"], levels["null_b"]) == (0.975, 0.975)


def test_only_arms_whose_answer_is_one_can_fail_as_controls():
    """The worst text is worth less than the rest, and is measured to see that it is."""
    worst = estimate(-0.5, contrast="w", arm_b="inverse_quality", kind="control")
    said = sentences(decided(estimate(0.3), worst, calibrator()))

    assert [v["conclusion"] for v in said if v["kind"] == "control"] == ["harms"]
    assert not any("Control failed" in v["sentence"] for v in said)
    assert all(not v["doubts"] for v in said if v["headline"])


def test_a_muted_contrast_says_why_and_stays_in_its_family():
    """Duplicates under Kneser–Ney: no verdict, but an interval, which takes its share of 5 %."""
    muted = estimate(0.0, contrast="w", kind="secondary", muted="cannot tell at this budget")
    other = estimate(0.3, contrast="v", kind="secondary")
    table = decided(estimate(0.3), muted, other, calibrator())

    assert table["conclusion"][1] == "cannot tell at this budget"
    assert table["confidence"].to_list()[:3] == pytest.approx([0.95, 0.95, 0.975])


# ── the public function ──────────────────────────────────────────────────────────────────────


def points(m=1.6, noise=0.004, sets=("x", "y"), replicates=6, seed=5):
    rng = np.random.default_rng(seed)
    rows = []
    for r in range(replicates):
        for name in sets:
            for arm, budgets in (("raw", BUDGETS), ("curated", BUDGETS[1:4])):
                for n in budgets:
                    loss = power_law(n * (m if arm == "curated" else 1)) + rng.normal(0, noise)
                    rows.append((arm, "f", "s", int(n), r, name, loss))
    names = ["arm", "family", "size", "n_tokens", "replicate", "eval_set", "loss"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_token_multiplier_reads_a_tidy_table_in_any_order():
    """The estimate covers the planted value; rows may be shuffled, and lazy."""
    table = points()
    gain = token_multiplier(table)
    again = token_multiplier(table.sample(fraction=1, shuffle=True, seed=1).lazy())

    row = gain.table.filter("headline").row(0, named=True)
    assert row["low"] < 1.6 < row["high"]
    assert gain.table.equals(again.table)
    assert gain.verdicts[0].startswith("One curated token does the work of 1.")
    assert gain.verdicts[0] in gain._repr_html_()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.drop("loss"), "lacks the columns loss"),
        (lambda p: p.filter(pl.col("arm") == "raw"), "unknown arm 'curated'"),
        (lambda p: p[1:], "are not one for each of 6 replicates"),
        (
            lambda p: p.filter((pl.col("arm") == "raw") | (pl.col("replicate") > 0)),
            "differ in replicates",
        ),
        (lambda p: p.with_columns(loss=pl.lit(float("nan"))), "a loss is not finite"),
    ],
)
def test_incomplete_tables_are_refused_with_the_reason(change, message):
    """What is missing is named."""
    with pytest.raises(ConfigError, match=message):
        token_multiplier(change(points()))


def test_a_control_that_shows_an_effect_is_said_to_have_failed():
    """Two halves of one corpus must be worth the same; where they are not, the headline says so."""
    tokens = [1000 * 2**k for k in range(6)]
    runs = pl.DataFrame(
        [
            {
                "arm": arm,
                "family": "f",
                "size": "s",
                "n_tokens": n,
                "replicate": r,
                "eval_set": e,
                "loss": 1.5 + (share * n) ** -0.3 + 1e-4 * r,
            }
            for arm, share in (("null_a", 0.5), ("null_b", 1.0))
            for n in tokens
            for r in range(4)
            for e in ("x", "y")
        ]
    )
    rows = token_multiplier(runs, curve="null_a", against="null_b").table
    control = rows.with_columns(kind=pl.lit("control"), headline=pl.lit(False))
    headline = rows.with_columns(contrast=pl.lit("raw → curated"), arm_a=pl.lit("raw"))
    said = sentences(pl.concat([headline, control]))

    assert said[0]["headline"]
    assert said[0]["doubts"][0].startswith("Control failed: null_a → null_b must be 1")
    assert "but so far from 1 is null_a → null_b, which must be 1 (" in said[0]["sentence"]
    assert "no advice, for so far from 1 is null_a → null_b" in said[0]["designs"][0]
    assert any(verdict["sentence"].startswith("Control failed") for verdict in said[1:])
