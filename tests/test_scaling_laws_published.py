"""Scaling laws against published fits, and the fit against other optimisers."""

import itertools
import math
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curate.scaling import _fit_kernel as kernel
from curate.scaling.companions import (
    cooldown_offset,
    mixture_line,
    predict_mixture,
    rank_correlation,
)
from curate.scaling.fitting import LADDER, fit_form, law_arrays
from curate.scaling.law import FitOptions, fit_points, fit_scaling_law
from curate.scaling.laws import FORMS, law_form, predicted_loss
from curate.scaling.points import check_points, point_set
from curate.scaling.repeats import fit_repeats, repeat_objective

REFERENCE = Path(__file__).parents[1].parent / "shared" / "scaling"
CHINCHILLA = {
    "E": 1.81723550,
    "A": 477.84171,
    "B": 2143.86379,
    "alpha": 0.34731266,
    "beta": 0.36718262,
}


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

    found = fit_points(points, options=FitOptions(draws=0)).coefficients

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
