"""Scaling laws: published fits, planted laws, what is not identified, bad tables."""

import itertools
import math
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError, InputError
from curate.scaling import _fit_kernel as kernel
from curate.scaling.companions import (
    cooldown_offset,
    mixture_line,
    predict_mixture,
    rank_correlation,
)
from curate.scaling.example import KNOWN, example_arms, example_law, example_points
from curate.scaling.fitting import LADDER, fit_form, law_arrays
from curate.scaling.joint import attribute, fit_joint
from curate.scaling.law import FitOptions, fit_points, fit_scaling_law
from curate.scaling.law_report import Questions, Rates, scaling_report, training_cost
from curate.scaling.laws import FORMS, law_form, predicted_loss
from curate.scaling.points import Columns, check_points, point_set, read_points
from curate.scaling.prediction import check_prediction
from curate.scaling.readouts import compute_optimal, knee, law_multiplier, tokens_needed
from curate.scaling.repeats import fit_repeats, repeat_objective
from curate.scaling.uncertainty import profile_interval
from curate.statistics import binomial_band

REFERENCE = Path(__file__).parents[1].parent / "shared" / "scaling"
CHINCHILLA = {
    "E": 1.81723550,
    "A": 477.84171,
    "B": 2143.86379,
    "alpha": 0.34731266,
    "beta": 0.36718262,
}
FAST = FitOptions(draws=0)


def reference(name):
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"needs ../shared/scaling/{name}, not found: skipped")
    return path


def chinchilla_like(noise=0.005, seed=3):
    """240 points over sizes and compute as in the published fit; t noise has heavy tails."""
    stream = np.random.default_rng(seed)
    n = np.exp(stream.uniform(math.log(44e6), math.log(16e9), 240))
    d = np.exp(stream.uniform(math.log(6e18), math.log(3e21), 240)) / 6 / n
    loss = predicted_loss(CHINCHILLA, n, d) * np.exp(noise * stream.standard_t(4, 240))
    return point_set(check_points(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss})))


# ── published fits ───────────────────────────────────────────────────────────────────────────


def test_published_surface_is_recovered_without_noise():
    points = chinchilla_like(noise=0.0)

    found = fit_points(points, options=FAST).coefficients

    assert found == pytest.approx(CHINCHILLA, rel=1e-6)


def test_repeats_objective_is_the_published_one_and_r_d_is_not_identified():
    runs = pl.read_csv(reference("datablations_c4_fit182.csv")).select(
        n_params="N", n_tokens="D", unique_tokens="U", loss="loss"
    )
    a, b, e, alpha, beta = 6.255414, 7.3049974, 0.6254804, 0.3526596, 0.3526596
    fixed = {"A": math.exp(a), "B": math.exp(b), "E": math.exp(e), "alpha": alpha, "beta": beta}

    published = repeat_objective(fixed, runs, (15.387756, 5.309743))
    found = fit_repeats(runs, fixed)

    assert published == pytest.approx(0.015825936570763588, rel=1e-6)
    rows = found.table.to_dicts()
    assert [row["identified"] for row in rows] == [False, False]
    assert [row["estimate"] for row in rows] == [None, None]
    assert "unbounded" in rows[0]["note"]
    near = [row for row in found.optima.rows() if abs(row[0] - 46.99) < 0.05]
    assert near[0][1] == pytest.approx(2.33, abs=0.01)
    assert near[0][2] == pytest.approx(0.01580738, rel=1e-6)
    assert found.objective <= near[0][2] < published


GADRE = [
    ("c4_original", 113.6926, 189.5155, -0.242472, 1.508261),
    ("rpj", 166.2110, 366.6872, -0.272851, 1.836648),
    ("rw_original", 125.0957, 246.2067, -0.254395, 1.734462),
]


@pytest.mark.parametrize(("train", "alpha", "beta", "b", "floor"), GADRE, ids=lambda v: str(v)[:4])
def test_overtraining_fits_of_the_published_code(train, alpha, beta, b, floor):
    runs = pl.read_csv(reference("gadre_overtrain_losses.csv")).filter(train=train)
    small = ["d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8"]
    chosen = runs.filter(
        (pl.col("model").is_in(small) & (pl.col("M") == 20))
        | ((pl.col("model") == small[0]) & (pl.col("M") == 320))
    )
    points = chosen.select(n_params="N", n_tokens=pl.col("M") * pl.col("N"), loss="loss_c4_val")
    form = law_form("overtraining")

    found = fit_form(point_set(check_points(points)), form, width=-1.0)

    assert points.height == 5
    theta = form.offset + form.mapping @ found.phi
    middle = point_set(check_points(points)).centre
    got = (
        math.exp(theta[0] + theta[3] * middle[0]),
        math.exp(theta[1] + theta[4] * middle[1]) / 6 ** (-theta[3] / 2),
        -theta[3],
        math.exp(theta[2]),
    )
    assert got == pytest.approx((alpha, beta, b, floor), rel=1e-3)


@pytest.mark.parametrize(("size", "published"), [("1m", 0.902), ("60m", 0.893), ("1B", 0.877)])
def test_mixture_line_ranks_as_published(size, published):
    def table(name):
        return pl.read_csv(reference(f"regmix/{name}.csv")).drop("index")

    target = "metric/the_pile_pile_cc_val_loss"
    line = mixture_line(table("train_mixture_1m").to_numpy(), table("train_pile_loss_1m")[target])

    predicted = predict_mixture(line, table(f"test_mixture_{size}").to_numpy())

    measured = table(f"test_pile_loss_{size}")[target]
    assert rank_correlation(predicted, measured) == pytest.approx(published, abs=0.005)


def test_cooldown_lowers_the_loss_by_the_published_offset():
    def table(name):
        rows = pl.read_ndjson(reference(f"gemstones/{name}.jsonl"))
        run = pl.format("{} x {}", "width", "depth")
        return rows.select(run=run, n_tokens=pl.col("tokens").cast(pl.Float64), loss="final_loss")

    found = cooldown_offset(table("hot"), table("cool_end"))

    assert found.degrees_of_freedom + 1 == 180
    assert found.estimate == pytest.approx(-0.0760, abs=0.001)
    assert found.high - found.estimate == pytest.approx(0.0198, abs=0.001)


# ── the optimum ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_fit_reaches_the_best_of_4500_starts():
    points, form = chinchilla_like(), law_form("chinchilla")
    law, (n0, d0) = law_arrays(form), points.centre
    lattice = itertools.product(
        np.arange(0, 30, 5.0),
        np.arange(0, 30, 5.0),
        np.arange(-1, 1.5, 0.5),
        np.arange(0, 2.5, 0.5),
        np.arange(0, 2.5, 0.5),
    )
    starts = [np.array([a - al * n0, b - be * d0, e, al, be]) for a, b, e, al, be in lattice]
    best = min(kernel.descend(start, law, points.data, 1e-3, LADDER)[1] for start in starts)

    fit_form(points, form)
    began = time.process_time()
    found = fit_form(points, form)
    seconds = time.process_time() - began

    assert len(starts) == 4500
    assert found.objective <= best * (1 + 1e-6)
    assert seconds <= 2


@pytest.mark.slow
def test_4000_bootstrap_draws_take_seconds():
    points = chinchilla_like()
    fit_points(points, options=FitOptions(draws=2))

    began = time.process_time()
    law = fit_points(points, options=FitOptions(draws=4000))

    assert time.process_time() - began <= 30
    assert law.evidence.draws.shape == (4000, 5)


def test_fit_agrees_with_a_general_optimiser():
    from scipy.optimize import minimize

    points, form = chinchilla_like(), law_form("chinchilla")
    law, found = law_arrays(form), fit_form(points, form)

    def objective(phi):
        value = kernel.huber_objective(phi, law, points.data, 1e-3)
        gradient, _, _ = kernel.huber_derivatives(phi, law, points.data, 1e-3)
        return 1e3 * value, 1e3 * gradient

    again = minimize(objective, found.phi + 0.05, jac=True, method="BFGS", options={"gtol": 1e-8})

    assert found.objective <= again.fun / 1e3 * (1 + 1e-9)


@pytest.mark.parametrize("width", [0.01, -1.0])
def test_derivatives_are_those_of_the_objective(width):
    points, law = chinchilla_like(), law_arrays(law_form("chinchilla"))
    phi = np.array([-0.9, -1.2, 0.55, 0.3, 0.4])

    gradient, hessian, _ = kernel.huber_derivatives(phi, law, points.data, width)

    step = 1e-6 * np.eye(5)
    slope = [
        (kernel.huber_objective(phi + s, law, points.data, width)
         - kernel.huber_objective(phi - s, law, points.data, width)) / 2e-6
        for s in step
    ]  # fmt: skip
    bend = [
        (kernel.huber_derivatives(phi + s, law, points.data, width)[0]
         - kernel.huber_derivatives(phi - s, law, points.data, width)[0]) / 2e-6
        for s in step
    ]  # fmt: skip
    assert gradient == pytest.approx(np.array(slope), rel=1e-5, abs=1e-6)
    assert hessian == pytest.approx(np.array(bend), rel=1e-3, abs=2.0)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_form_recovers_itself_without_noise(name):
    form = FORMS[name]
    n, d = np.repeat(np.geomspace(1e6, 1e9, 6), 6), np.tile(np.geomspace(1e8, 1e10, 6), 6)
    planted = {"E": 1.5, "A": 300.0, "B": 900.0, "alpha": 0.3, "beta": 0.3}
    planted |= {"E": 0.0} if not form.has_floor else {}
    planted |= {"A": 0.0, "alpha": 0.0} if not form.has_size else {}
    planted |= {"B": 0.0, "beta": 0.0} if not form.has_data else {}
    frame = pl.DataFrame({"n_params": n, "n_tokens": d, "loss": predicted_loss(planted, n, d)})

    found = fit_scaling_law(frame, options=FitOptions(form=name, draws=0)).coefficients

    assert found == pytest.approx(planted, rel=1e-5, abs=1e-9)


# ── what is identified ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sizes", "method", "known"),
    [
        (10, "trunk bootstrap", {"E", "alpha", "beta", "compute_optimal_exponent"}),
        (6, "profile likelihood", {"E", "alpha", "beta", "compute_optimal_exponent"}),
        (3, "profile likelihood", {"beta"}),
    ],
)
def test_narrow_designs_are_flagged_and_wide_ones_are_not(sizes, method, known):
    table = fit_scaling_law(example_points(sizes=sizes), options=FitOptions(draws=79)).table

    assert set(table["method"]) == {method}
    assert set(table.filter("identified")["parameter"]) == known
    flagged = table.filter(~pl.col("identified"))
    assert flagged["estimate"].null_count() == flagged["low"].null_count() == flagged.height
    assert all("3 sizes" in note for note in flagged["note"])


def test_two_percent_of_outliers_are_named_and_do_not_move_the_law():
    clean = example_points()
    factor = np.ones(clean.height)
    factor[[10, 55]] = 1.2
    spoilt = clean.with_columns(loss=pl.col("loss") * pl.Series(factor))

    before, after = (fit_scaling_law(frame, options=FAST) for frame in (clean, spoilt))

    assert before.outliers.height == 0
    assert after.outliers.select("n_params", "n_tokens").rows() == [
        clean.select("n_params", "n_tokens").row(row) for row in (10, 55)
    ]
    for name in ("alpha", "beta", "E"):
        assert after.coefficients[name] == pytest.approx(before.coefficients[name], rel=0.03)


def test_the_same_seed_gives_the_same_interval():
    first, second = (
        fit_scaling_law(example_points(), options=FitOptions(draws=79)).table for _ in range(2)
    )

    assert first.equals(second)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [10, 6])
def test_profile_intervals_cover_at_their_level_under_trunk_noise(sizes):
    from curate.scaling.law import PARAMETERS

    sets, hits = 300, dict.fromkeys(PARAMETERS, 0)
    truth = {name: math.log(KNOWN[name]) for name in ("E", "alpha", "beta")}
    truth["compute_optimal_exponent"] = truth["beta"] - truth["alpha"]
    for number in range(sets):
        points = point_set(example_points(sizes=sizes, seed=1000 + number))
        law = fit_points(points, options=FAST)
        for name, what in PARAMETERS.items():
            low, high = profile_interval(what, law.evidence)
            hits[name] += low <= truth[name] <= high

    least, most = binomial_band(sets, 0.95)
    assert all(least <= count <= most for count in hits.values()), hits


# ── read-outs ────────────────────────────────────────────────────────────────────────────────


def test_outside_the_measured_range_nothing_is_said_unless_asked():
    law = example_law()
    question = {"loss": 2.2, "n_params": 1e9}

    guarded, asked = (tokens_needed(law, **question, extrapolate=e) for e in (False, True))

    assert guarded.estimate is None
    assert guarded.note.startswith("not reached (would be an extrapolation of × ")
    assert guarded.note.endswith("; pass extrapolate=True)")
    assert asked.estimate is None or asked.note.startswith("extrapolation of × ")
    assert asked.extrapolation > 1


def test_tokens_needed_invert_the_law():
    law = example_law()

    found = tokens_needed(law, loss=2.5, n_params=1e9)

    again = predicted_loss(law.coefficients, np.array([1e9]), np.array([found.estimate]))
    assert again[0] == pytest.approx(2.5)


def test_compute_optimal_minimises_the_loss_at_its_budget():
    law = example_law()
    size, tokens, ratio = compute_optimal(law, flops=1e21)

    around = size.estimate * np.array([0.9, 1.0, 1.1])
    loss = predicted_loss(law.coefficients, around, 1e21 / 6 / around)

    assert loss.argmin() == 1
    assert ratio.estimate == pytest.approx(tokens.estimate / size.estimate)


def test_at_the_knee_one_doubling_saves_just_the_threshold():
    law = example_law()
    found = knee(law, n_params=1e9, threshold=0.02).estimate

    before, after = predicted_loss(law.coefficients, np.full(2, 1e9), found * np.array([1.0, 2.0]))

    assert 1 - after / before == pytest.approx(0.02, rel=1e-6)


def test_an_arm_is_worth_one_of_itself():
    law = example_law()

    assert law_multiplier(law, law, n_params=1e9, n_tokens=1e11).estimate == pytest.approx(1)


def test_cost_follows_the_rates():
    rates = Rates(flops_per_second=1e15, utilisation=0.5, price_per_hour=3)

    cost = training_cost(1e9, 1e10, rates)

    assert (cost.flops, cost.hours) == pytest.approx((6e19, 6e19 / 5e14 / 3600))
    assert cost.money == pytest.approx(3 * cost.hours)


# ── two arms ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bic", "cause"),
    [
        ((0.0, 2.0, 3.0, 5.0), "same"),
        ((40.0, 10.0, 16.5, 12.0), "factor"),
        ((40.0, 16.5, 10.0, 12.0), "floor"),
        ((40.0, 10.0, 15.5, 12.0), "unclear"),
        ((40.0, 17.0, 20.0, 10.0), "both"),
    ],
)
def test_a_cause_is_named_only_where_it_is_clear(bic, cause):
    assert attribute(dict(zip(("same", "factor", "floor", "both"), bic, strict=True))) == cause


def test_unclear_causes_come_with_their_joint_region():
    stream, rows = np.random.default_rng(5), []
    n, d = np.repeat(np.geomspace(1e8, 1e9, 5), 3), np.tile([1e10, 1.3e10, 1.7e10], 5)
    for arm, factor in (("raw", 1.0), ("curated", 1.5)):
        loss = predicted_loss(KNOWN, n, factor * d) * np.exp(0.003 * stream.standard_normal(15))
        rows.append(pl.DataFrame({"arm": arm, "n_params": n, "n_tokens": d, "loss": loss}))
    found = fit_joint(check_points(pl.concat(rows)), reference="raw", other="curated")

    assert found.cause == "unclear"
    assert "cannot separate E from m" in found.sentence
    assert found.region.height > 10
    assert found.region["factor"].min() < found.factor[0] < found.region["factor"].max()


def test_a_planted_floor_is_not_taken_for_a_factor():
    raw = example_points(arm="raw", seed=8)
    lower = example_points(seed=9).with_columns(pl.col("loss") - 0.05)

    found = fit_joint(check_points(pl.concat([raw, lower])), reference="raw", other="curated")

    assert found.cause == "floor"
    assert found.floor_shift[1] < -0.05 < found.floor_shift[2]
    assert found.factor == (1.0, 1.0, 1.0)


def test_larger_models_are_predicted_from_smaller_ones():
    found = check_prediction(check_points(example_arms(3.0)))

    errors = dict(found.summary.select("method", "mean_relative_error").iter_rows())
    assert errors["law"] < 0.02
    assert found.summary.filter(method="one size")["pairs"].item() > 0


# ── anyone's table ───────────────────────────────────────────────────────────────────────────

GOOD = {"params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [3.0, 2.9]}
NAMES = Columns(n="params", d="tokens", loss="loss", arm=None)


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        ({"params": [1e6], "loss": [2.0]}, ConfigError, "unknown column 'tokens'"),
        (GOOD | {"loss": [3.0, -2.9]}, InputError, "row 1: loss is -2.9"),
        (GOOD | {"loss": [3.0, math.nan]}, InputError, "row 1: loss is nan"),
        (GOOD | {"tokens": [None, 1e8]}, InputError, "row 0: tokens is None"),
        (GOOD | {"params": ["big", "small"]}, ConfigError, "must hold numbers"),
    ],
)
def test_bad_tables_are_refused(table, error, said, tmp_path):
    file = tmp_path / "points.parquet"
    pl.DataFrame(table).write_parquet(file)

    with pytest.raises(error, match=said):
        scaling_report(read_points(file, NAMES))


@pytest.mark.parametrize(
    ("name", "said"), [("absent.csv", "no such file"), ("points.xlsx", "cannot read '.xlsx'")]
)
def test_unreadable_files_are_refused(name, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read_points(tmp_path / name)


def test_broken_csv_is_an_input_error(tmp_path):
    file = tmp_path / "points.csv"
    file.write_bytes(b"")

    with pytest.raises(InputError, match="cannot be read"):
        read_points(file)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (example_points().head(3), "3 points cannot carry"),
        (example_points(sizes=1), "1 size cannot tell"),
        (example_points(sizes=2), "2 sizes cannot tell"),
        (example_points().filter(pl.col("n_tokens") < 1e10).sort("n_tokens").head(20), "budgets"),
    ],
    ids=["three points", "one size", "two sizes", "two budgets"],
)
def test_too_little_says_cannot_tell_and_no_number(frame, said):
    found = scaling_report(frame)

    assert found.laws == ()
    assert found.read_outs.height == 0
    assert found.parameters.height == 0
    assert said in found.sentences[0]
    assert all("cannot tell" in sentence for sentence in found.sentences)


def test_one_run_of_one_size_gives_an_exponent_but_no_level():
    found = scaling_report(example_points(sizes=1), options=FitOptions(form="data"))

    told = found.parameters.filter("identified")["parameter"].to_list()
    assert told == ["beta"]
    needed = found.read_outs.filter(quantity="tokens needed")
    assert needed["estimate"].item() is None
    assert "1 runs" in needed["note"].item()


def test_arms_must_be_named_where_there_are_several():
    with pytest.raises(ConfigError, match="several arms; pass arm="):
        fit_scaling_law(example_arms())
    with pytest.raises(ConfigError, match="did you mean 'curated'"):
        fit_scaling_law(example_arms(), arm="curatd")
    with pytest.raises(ConfigError, match="reference arm 'rae'"):
        scaling_report(example_arms(), questions=Questions(reference="rae"))
