"""An interval ends where the ladder ends, and too few draws are called too few."""

import numpy as np
import polars as pl
import pytest

from curate.report.numerals import interval
from curate.scaling import Cells, arm_curve, contrast_rows, decide, multiplier_cells, sentences

LADDER = (float(np.log(0.25)), float(np.log(5.6)))


def row(log_m, se, draws, **changes):
    """A multiplier as the experiment hands it on."""
    return {
        "contrast": "a → b",
        "arm_a": "a",
        "arm_b": "b",
        "family": "f",
        "size": "s",
        "kind": "headline",
        "note": None,
        "muted": None,
        "n_tokens": 100,
        "eval_set": "all",
        "quantity": "multiplier",
        "log_estimate": log_m,
        "standard_error": se,
        "degrees_of_freedom": float(draws - 1),
        "n_replicates": draws,
        "reached": True,
        "bound": None,
        "ladder": LADDER,
    } | changes


def decided(*rows):
    return decide(rows, headline="a → b", primary=("f", "s"), sources=4, gate=False)


@pytest.mark.parametrize(
    ("log_m", "se", "draws", "beyond", "said", "word"),
    [
        (0.2, 0.9, 2, "both", "[< 0.25, > 5.60]", "cannot tell: 2 draws are too few"),
        (0.2, 0.1, 2, None, "[0.34, 4.35]", "only a multiplier of ≥ 4.09 would have been seen"),
        (0.8, 0.02, 2, None, "[1.73, 2.87]", "worth"),
        (0.2, 0.4, 3, "high", "[< 0.25, > 5.60]", "cannot tell: 3 draws are too few"),
        (1.4, 0.3, 8, "high", "[1.99, > 5.60]", "worth"),
        (-1.2, 0.3, 8, "low", "[< 0.25, 0.61]", "harms"),
        (0.2, 1.5, 8, "both", "[< 0.25, > 5.60]", "the draws differ too much"),
    ],
)
def test_an_end_beyond_the_ladder_is_the_ladders_end(log_m, se, draws, beyond, said, word):
    """Whatever lies inside is shown as it is, and still decides."""
    found = decided(row(log_m, se, draws)).row(0, named=True)

    assert said == interval(found["low"], found["high"], found["beyond"])
    assert word in found["conclusion"]
    assert np.log(found["low"]) >= LADDER[0] - 1e-12
    assert np.log(found["high"]) <= LADDER[1] + 1e-12
    assert found["beyond"] == ("both" if said == "[< 0.25, > 5.60]" else beyond)


def test_no_number_of_thousands_stands_in_any_sentence():
    """Two draws that differ by a factor of three."""
    said = sentences(decided(row(0.2, 0.55, 2)))[0]["sentence"]

    assert said.startswith(
        "a → b: cannot tell: 2 draws are too few; measured 1.22 [< 0.25, > 5.60]"
    )


def test_where_no_ladder_is_known_an_interval_of_a_hundred_is_none():
    """Tables of other makers have no ladder."""
    wide, narrow = (decided(row(0.0, se, 3, ladder=None))["low"][0] for se in (2.0, 0.2))

    assert wide is None
    assert narrow == pytest.approx(np.exp(-0.2 * 4.3027), rel=1e-3)


def curve(arm, budgets, losses):
    rows = [
        {
            "arm": arm,
            "family": "f",
            "size": "s",
            "n_tokens": n,
            "replicate": r,
            "eval_set": "e",
            "loss": loss + 0.01 * r,
            "document_bits": [loss + 0.01 * r],
        }
        for n, loss in zip(budgets, losses, strict=True)
        for r in range(3)
    ]
    evaluation = pl.DataFrame({"eval_set": ["e"], "id": ["d"], "bytes": [1]})
    return arm_curve(pl.DataFrame(rows), arm=arm, family="f", size="s", evaluation=evaluation)


def test_the_ladder_of_a_curve_says_what_it_can_show():
    """At 200 tokens of B a ladder of 100 to 1,600 shows multipliers of a half to eight."""
    a = curve("a", [100, 200, 400, 800, 1600], [5.0, 4.0, 3.0, 2.0, 1.0])
    b = curve("b", [200, 400], [3.0, 2.0])
    cells = multiplier_cells(a, b, [200, 400])
    prefixes = [(np.array([0, 2_000]), np.array([0, 1_000]))] * 3  # half of A are B's documents
    rows = {
        (r["quantity"], r["n_tokens"]): r["ladder"]
        for r in contrast_rows(cells, prefixes=prefixes)
        if r["eval_set"] == "all"
    }

    assert np.exp(rows["multiplier", 200]) == pytest.approx([0.5, 8])
    assert np.exp(rows["multiplier", 400]) == pytest.approx([0.25, 4])
    assert np.exp(rows["harm", 200]) == pytest.approx([0.25, 4])
    assert rows["dilution", 200] is None
    assert np.exp(rows["slope_per_doubling", None]) == pytest.approx([0.25 / 8, 4 / 0.5])


def test_cells_without_a_ladder_have_no_limits():
    """As tables made by hand."""
    cells = Cells(
        budgets=np.array([8]),
        eval_sets=("e",),
        log_m=np.zeros((2, 1, 1)),
        side=np.zeros((2, 1, 1), np.int8),
        influence=(),
    )

    assert {found["ladder"] for found in contrast_rows(cells)} == {None}
