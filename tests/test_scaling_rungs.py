"""A ladder that is too short: its rungs are tested, and what they show is said."""

import numpy as np
import pytest

from curate.scaling import ArmCurve, Summary, contrast_rows, decide, multiplier_cells, sentences
from curate.scaling.rungs import Trial, p_of_one, rung_bounds
from curate.statistics import binomial_band

LADDER = (100, 200, 400, 800)
NAMES = {"contrast": "raw → curated", "arm_a": "raw", "arm_b": "curated"}
MODEL = {"family": "kneser_ney", "size": "order3"}
REPEATS = 1_000


def loss(tokens):
    """A power law, in bits per byte."""
    return 1 + 20 * tokens**-0.5


def curves(m, rng, *, draws=8, sources=2, sd=0.004, budgets=(200,)):
    """Raw text and text of which one token does the work of m raw ones, draw by draw."""
    shape = (draws, sources, 1)
    ladder, own = np.array(LADDER), np.array(budgets)
    both = rng.normal(0, 0.1, shape)  # pairs share it
    raw = loss(ladder) + both + rng.normal(0, sd, (draws, sources, len(ladder)))
    curated = loss(own * m) + both + rng.normal(0, sd, (draws, sources, len(own)))
    sets = tuple(f"set{s}" for s in range(sources))
    return (
        ArmCurve(budgets=ladder, eval_sets=sets, loss=raw),
        ArmCurve(budgets=own, eval_sets=sets, loss=curated),
    )


def judged(a, b, *, kind="headline", gate=False, budgets=(200,), **names):
    fixed = NAMES | MODEL | {"kind": kind, "note": None, "muted": None} | names
    rows = [fixed | row for row in contrast_rows(multiplier_cells(a, b, budgets))]
    return rows, decide(
        rows, headline=NAMES["contrast"], primary=("kneser_ney", "order3"), sources=2, gate=gate
    )


def said(table):
    return next(
        row for row in table.iter_rows(named=True) if row["eval_set"] == "all" and row["decisive"]
    )


@pytest.mark.parametrize(
    ("m", "low", "high", "beyond", "word"),
    [(8.0, 4.0, 4.0, "high", "worth"), (0.2, 0.5, 0.5, "low", "harms")],
)
def test_a_multiplier_far_beyond_the_ladder_has_a_word_and_a_bound(m, low, high, beyond, word):
    """Raw text of 800 tokens still does less than 200 curated ones, in every draw."""
    _, table = judged(*curves(m, np.random.default_rng(1)))
    found = said(table)

    assert (found["reached"], found["conclusion"], found["beyond"]) == (False, word, beyond)
    assert [found["low"], found["high"]] == pytest.approx([low, high])
    assert found["headline"]


def test_the_sentence_names_the_bound():
    """The reader sees that it is no estimate."""
    _, table = judged(*curves(8.0, np.random.default_rng(1)))

    assert sentences(table)[0]["sentence"].startswith(
        "One curated token does the work of ≥ 4.00 raw tokens on text that neither side saw"
    )


def test_one_draw_beyond_the_ladder_leaves_a_rung_that_all_show():
    """Ln m is read in some draws only; no clipped value makes an interval."""
    rng = np.random.default_rng(2)
    a, b = curves(3.9, rng, sd=0.01)
    rows, table = judged(a, b)
    found = said(table)

    assert 0 < (multiplier_cells(a, b, [200]).side != 0).mean() < 1
    assert (found["low"], found["high"], found["beyond"]) == (pytest.approx(2.0), 4.0, "high")
    assert found["bound"] == "≥"
    assert "≥" in sentences(table)[0]["sentence"]
    assert all(len(row["trials"]) == 4 for row in rows if row["quantity"] == "multiplier")


def test_a_cell_that_every_draw_reaches_speaks_before_a_larger_one_that_is_not():
    """A bound is said only where nothing was read."""
    a, b = curves(3.0, np.random.default_rng(3), budgets=(200, 400))
    _, table = judged(a, b, budgets=(200, 400))

    assert said(table)["n_tokens"] == 200
    assert said(table)["reached"]


def test_no_budget_is_looked_for_that_happens_to_tell():
    """Where the largest budget's rungs show nothing, a smaller one does not speak for it."""
    a, b = curves(8.0, np.random.default_rng(1), budgets=(200, 400))
    rows, _ = judged(a, b, budgets=(200, 400))
    mute = [row | ({"trials": ()} if row["n_tokens"] == 400 else {}) for row in rows]
    table = decide(mute, headline="", primary=("", ""), sources=2, gate=False)

    assert not table["decisive"].any()
    assert table.filter(n_tokens=200)["conclusion"][0] == "worth"


def test_what_rungs_cannot_tell_stays_untold():
    """Draws that differ by more than the ladder is long."""
    _, table = judged(*curves(1.0, np.random.default_rng(4), sd=3.0))

    assert set(table["conclusion"].to_list()).isdisjoint({"worth", "harms"})
    assert not table["decisive"].any()


def test_the_gate_holds_for_bounds_too():
    """No calibrator was measured there."""
    _, table = judged(*curves(8.0, np.random.default_rng(1)), gate=True)

    assert said(table)["conclusion"] == "cannot tell: no calibrator was measured at this budget"
    assert said(table)["conclusion_without_gate"] == "worth"


def test_why_a_contrast_may_not_speak_goes_before_its_bound():
    """Kneser–Ney on repeated text, however far ahead."""
    _, table = judged(*curves(8.0, np.random.default_rng(1)), muted="cannot tell: repeats")

    assert set(table["conclusion"]) == {"cannot tell: repeats"}


def test_bounds_are_tested_with_the_rest_at_holms_level():
    """Five comparisons of nothing beside one bound: it is held to the strictest level."""
    rng = np.random.default_rng(5)
    rows = judged(*curves(8.0, rng), kind="secondary")[0]
    for n in range(5):
        name = {"contrast": f"nothing {n}"}
        rows += judged(*curves(1.0, rng), kind="secondary", **name)[0]
    table = decide(rows, headline="none", primary=("kneser_ney", "order3"), sources=2, gate=False)
    bounded = table.filter("decisive", contrast="raw → curated", eval_set="all")

    assert bounded["confidence"].to_list() == [pytest.approx(1 - 0.05 / 6)]
    assert bounded["conclusion"].to_list() == ["worth"]


def test_a_calibrator_beyond_its_ladder_has_no_vote():
    """True value 2 and a ladder to 4: what is not read is not admitted."""
    _, table = judged(*curves(8.0, np.random.default_rng(1)), kind="calibrator")

    assert set(table["admitted"]) == {None}
    assert all(word.startswith("cannot tell") for word in table["conclusion"])


def test_harm_is_bounded_by_what_the_prefixes_hold():
    """Half of raw text is curated text: eight times the tokens, four times the curated ones."""
    cells = multiplier_cells(*curves(8.0, np.random.default_rng(1)), [200])
    half = [(np.array([0, 2_000]), np.array([0, 1_000]))] * 8
    fixed = NAMES | MODEL | {"kind": "headline", "note": None, "muted": None}
    rows = [fixed | row for row in contrast_rows(cells, prefixes=half)]
    table = decide(rows, headline="", primary=("", ""), sources=2, gate=False)
    harm = table.filter(quantity="harm").row(0, named=True)

    assert harm["low"] == pytest.approx(2.0)
    assert harm["conclusion"] == "what was removed hurt"


@pytest.mark.parametrize("m", [2.0, 4.0])
def test_each_end_is_wrong_as_seldom_as_it_says(m):
    """A truth that stands at a rung itself, the hardest case: 2.5 % on either side at most."""
    rng, wrong = np.random.default_rng(6), np.zeros(2, dtype=int)
    for _ in range(REPEATS):
        a, b = curves(m, rng, sd=0.03, draws=5)
        found = multiplier_cells(a, b, [200])
        if found.side.any():
            trials = contrast_rows(found)[0]["trials"]
            low, high = rung_bounds(trials, 0.95)
            wrong += [low > np.log(m) - 1e-9, high < np.log(m) + 1e-9]

    assert (wrong <= binomial_band(REPEATS, 0.025)[1]).all()


def trial(log_x, lead, error=0.1):
    found = Summary(estimate=lead, standard_error=error, degrees_of_freedom=7)
    return Trial(log_x, found)


def test_rungs_are_rejected_one_after_the_other():
    """A rung that is told apart by chance, beyond one that is not, bounds nothing."""
    trials = [trial(0.0, 1.0), trial(0.7, 0.05), trial(1.4, 0.9)]

    assert rung_bounds(trials, 0.95) == (0.0, np.inf)
    assert rung_bounds([], 0.95) == (-np.inf, np.inf)


def test_p_of_one_is_that_of_the_hardest_rung_on_the_way():
    """As the bounds are found."""
    easy, hard = trial(-0.7, 1.0), trial(0.0, 0.25)

    assert p_of_one([easy, hard]) == pytest.approx(p_of_one([hard]))
    assert p_of_one([trial(-0.7, 0.1), trial(0.0, 1.0)]) > 0.2
    assert p_of_one([]) == 1
    assert p_of_one([trial(0.0, -1.0), trial(0.7, -2.0)]) < 0.01
