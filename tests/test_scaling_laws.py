"""Scaling laws: planted laws, what is not identified, read-outs, two arms, bad tables."""

import math

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError, InputError
from curate.report.law_figures import law_figures
from curate.scaling import _noise_kernel as noise
from curate.scaling import _profile_kernel as profile
from curate.scaling import _readout_kernel as readout
from curate.scaling.costs import Rates, training_cost
from curate.scaling.example import KNOWN, example_arms, example_law, example_points
from curate.scaling.joint import attribute, fit_joint
from curate.scaling.law import PARAMETERS, FitOptions, fit_points, fit_scaling_law
from curate.scaling.law_report import Questions, run_points, scaling_report
from curate.scaling.laws import predicted_loss
from curate.scaling.points import Columns, check_points, point_set, read_points
from curate.scaling.prediction import check_prediction
from curate.scaling.readouts import compute_optimal, knee, law_multiplier, tokens_needed
from curate.scaling.sizes import best_sizes
from curate.scaling.uncertainty import profile_interval
from curate.statistics import binomial_band

FAST = FitOptions(draws=0)


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


# ── the noise model ──────────────────────────────────────────────────────────────────────────


def dense_noise(gradient, found):
    """Satterthwaite and Kenward-Roger by whole matrices, as their papers write them."""
    variance, ratio = found.best_noise
    rows, run = noise.jacobian(found.best, found.law, found.data), found.data[4]
    parts = np.eye(len(run)), (run[:, None] == run).astype(float)
    inner = np.linalg.inv(variance * (parts[0] + ratio * parts[1]))
    spread = np.linalg.inv(rows.T @ inner @ rows)
    project = inner - inner @ rows @ spread @ rows.T @ inner
    information = [[np.trace(project @ a @ project @ b) / 2 for b in parts] for a in parts]
    doubt = np.linalg.inv(information)
    pulled = [rows.T @ inner @ part @ inner @ rows for part in parts]
    more = sum(
        doubt[i, j] * (rows.T @ inner @ parts[i] @ inner @ parts[j] @ inner @ rows
                       - pulled[i] @ spread @ pulled[j])
        for i in range(2) for j in range(2)
    )  # fmt: skip
    error = gradient @ spread @ gradient
    change = np.array([gradient @ spread @ pull @ spread @ gradient for pull in pulled])
    inflation = 1 + 2 * gradient @ spread @ more @ spread @ gradient / error
    return 2 * error**2 / (change @ doubt @ change), math.sqrt(error), inflation


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@pytest.mark.parametrize("sizes", [10, 6])
def test_degrees_of_freedom_agree_with_a_slow_twin(name, sizes):
    found = fit_scaling_law(example_points(sizes=sizes), options=FAST).evidence
    gradient = readout.slope(PARAMETERS[name].kernel, found.best, found.law)

    fast = profile.degrees_of_freedom(gradient, found.best, found.law, found.data, found.best_noise)

    assert fast == pytest.approx(dense_noise(gradient, found), rel=1e-5)


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
        (
            GOOD | {"params": ["big", "small"]},
            ConfigError,
            "must hold numbers, not String, e.g. 'big' in row 0",
        ),
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


def test_n_gram_sizes_are_no_sizes_to_fit():
    """A replicate's nested budgets are one run, whatever its table of n-grams has grown to."""
    runs = pl.DataFrame(
        {"arm": "raw", "family": "kneser_ney", "size": "order2", "n_params": [10, 20, 11, 22]}
        | {"n_tokens": [100, 200, 100, 200], "replicate": [0, 0, 1, 1], "eval_set": "e"}
        | {"loss": [3.0, 2.8, 3.1, 2.9]}
    )

    points = point_set(check_points(run_points(runs, family="kneser_ney")))

    assert points.frame["n_params"].n_unique() == 1
    assert points.trunks == 2


def test_figures_escape_names_and_keep_to_what_the_form_allows():
    named = example_points(sizes=6).with_columns(arm=pl.lit("<raw>"))
    both = fit_scaling_law(named, options=FitOptions(draws=39, confidence=0.9))
    alone = fit_scaling_law(
        example_points(sizes=1), options=FitOptions(form="data", draws=39, confidence=0.9)
    )

    drawn = law_figures([both])

    assert len(drawn[0].drawings.wide) == 6
    assert all("<raw>" not in figure.legend for figure in drawn)
    assert len(law_figures([alone])) == len(drawn) - 1


def test_held_out_runs_and_redrawn_data_speak_for_the_planted_cause():
    found = fit_joint(check_points(example_arms(1.5)), reference="raw", other="curated")
    errors = dict(found.models.select("model", "held_out_error").iter_rows())

    assert errors["factor"] < min(errors["same"], errors["floor"])
    assert sum(found.support.values()) == pytest.approx(1)
    assert found.support["factor"] > 0.9
    assert "Drawn again" in found.sentence
    without = FitOptions(draws=0)
    points = check_points(example_arms(1.5))
    assert fit_joint(points, reference="raw", other="curated", options=without).support == {}


def test_the_choice_wavers_where_two_causes_explain_the_points():
    close = [example_points(arm="raw", seed=8), example_points(seed=9)]
    lower = close[1].with_columns(pl.col("loss") - 0.006)
    found = fit_joint(check_points(pl.concat([close[0], lower])), reference="raw", other="curated")

    assert max(found.support.values()) < 0.999


def test_costs_stand_beside_the_tokens_needed():
    rates = Rates(flops_per_second=1e15, utilisation=0.5, price_per_hour=3)
    found = scaling_report(
        example_arms(2.0), questions=Questions(n_params=1e9, loss=2.5, rates=rates)
    )
    needed = found.read_outs.filter(quantity="tokens needed").sort("arm")

    assert found.costs.sort("arm")["flops"].to_list() == pytest.approx(
        [6 * 1e9 * tokens for tokens in needed["estimate"]]
    )
    assert (found.costs["money_low"] < found.costs["money"]).all()
    assert any(said.startswith("Cost at 1e+09 parameters, loss 2.5") for said in found.sentences)


def test_exponents_that_differ_are_told_apart_and_equal_ones_are_not():
    like = example_points(seed=9)
    n, d = like["n_params"].to_numpy(), like["n_tokens"].to_numpy()
    bent = KNOWN | {"beta": 0.8 * KNOWN["beta"]}
    slower = like.with_columns(
        pl.col("loss") * predicted_loss(bent, n, d) / predicted_loss(KNOWN, n, d)
    )
    found = scaling_report(pl.concat([example_points(arm="raw", seed=8), slower]))
    change = found.read_outs.filter(quantity="change of beta (factor)").row(0, named=True)

    assert 0.7 < change["low"] < change["estimate"] < change["high"] < 1


def test_a_law_without_sizes_names_no_size():
    frame = example_points().filter(pl.col("n_params") == pl.col("n_params").max())
    rows = [frame.with_columns(run=pl.lit(str(k))) for k in range(8)]
    found = scaling_report(pl.concat(rows), options=FitOptions(form="data", draws=39))

    assert not found.read_outs["at"].str.contains("parameters").any()
    assert found.costs.is_empty()


def test_the_best_size_is_named_only_where_draws_agree():
    rows = [
        {
            "arm": "raw",
            "family": "gpt",
            "size": size,
            "n_tokens": tokens,
            "replicate": r,
            "eval_set": "e",
            "loss": loss + 0.02 * ((r + (size == "m")) % 2 if close else 0),
        }
        for tokens, close, losses in ((100, False, (2.0, 2.4)), (200, True, (2.0, 2.001)))
        for size, loss in zip(("s", "m"), losses, strict=True)
        for r in range(4)
    ]
    found = best_sizes(pl.DataFrame(rows), arm="raw")

    assert found["conclusion"].to_list() == ["s is best", "cannot tell from m"]
    assert best_sizes(pl.DataFrame(rows).filter(size="s"), arm="raw").is_empty()


def test_below_an_unknown_floor_nothing_is_said():
    one = example_points().filter(pl.col("n_params") == pl.col("n_params").max())
    law = fit_scaling_law(one, arm="curated", options=FitOptions(form="data", draws=39))

    assert tokens_needed(law, loss=1.0, n_params=1e10).note.startswith("cannot tell")
    wide = tokens_needed(example_law(), loss=1.0, n_params=1e9)
    assert wide.note.startswith("not reached")
