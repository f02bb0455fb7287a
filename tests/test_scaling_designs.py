"""What a verdict means where compute binds and where data binds, in words."""

import polars as pl
import pytest

from curate.scaling.designs import design_sentences
from curate.scaling.words import interval_words

CELL = {
    "contrast": "raw → curated",
    "arm_a": "raw",
    "arm_b": "curated",
    "family": "kneser_ney",
    "size": "order3",
    "n_tokens": 400_000,
    "eval_set": "all",
    "bound": None,
    "beyond": None,
    "decisive": True,
    "n_replicates": 8,
    "note": None,
}
WORTH = {"quantity": "multiplier", "estimate": 1.5, "low": 1.4, "high": 1.6, "conclusion": "worth"}


def harm(estimate, low, high, conclusion):
    return {
        "quantity": "harm",
        "estimate": estimate,
        "low": low,
        "high": high,
        "conclusion": conclusion,
    }


def said(*rows, repeats="needs torch"):
    table = pl.DataFrame([CELL | row for row in rows])
    return design_sentences(table, table.row(0, named=True), repeats=repeats)


@pytest.mark.parametrize(
    ("conclusion", "meaning"),
    [
        ("worth", "train on curated tokens"),
        ("harms", "train on raw tokens"),
        ("no detectable effect (≥ 1.1 would have been seen)", "makes no difference that was seen"),
        ("cannot tell: refused", "cannot tell: refused"),
    ],
)
def test_equal_tokens_say_what_to_train_on(conclusion, meaning):
    sentence = said(WORTH | {"conclusion": conclusion})[0]

    assert sentence.startswith("Equal tokens, for where compute binds: at 400 k curated tokens")
    assert "1.50 [1.40, 1.60] raw tokens" in sentence
    assert sentence.endswith(meaning)


@pytest.mark.parametrize(
    ("found", "meaning"),
    [
        (harm(1.1, 1.05, 1.2, "what was removed hurt"), "leave it out even where there is no"),
        (harm(0.9, 0.8, 0.95, "what was removed still taught"), "keep it where there is no other"),
        (harm(1.0, 0.9, 1.1, "cannot be told from empty"), "leaving it out costs nothing that was"),
        (harm(0.9, 0.8, 0.95, "cannot tell: refused"), "whole pool: cannot tell: refused"),
    ],
)
def test_one_pool_says_what_to_keep(found, meaning):
    """Names the pool: 400 k curated tokens that do the work of 1.5 times as many raw ones."""
    sentence = said(WORTH, found)[1]

    assert sentence.startswith("Fixed pool read once, for where data binds")
    assert "in a pool of 600 k raw tokens" in sentence
    assert interval_words(CELL | found) in sentence
    assert meaning in sentence


def test_what_is_no_part_of_the_other_side_has_no_pool():
    assert said(WORTH)[1].endswith("not measured, for curated tokens are no part of raw tokens")


def test_repeats_say_why_they_were_not_read_or_what_they_showed():
    pool = {"arm_a": "raw_pool", "arm_b": "curated_pool", "contrast": "raw_pool → curated_pool"}
    gpt = {"family": "gpt", "size": "width32", "note": "a crossover"}

    assert said(WORTH)[2] == "Fixed pool read again and again: not measured; needs torch"
    assert said(WORTH, repeats="")[2].endswith("not measured; there was no time for it")
    assert said(WORTH, WORTH | pool | gpt, repeats="")[2] == (
        "Fixed pool read again and again, by GPT width 32 and 8 paired draws: at 400 k tokens "
        "1.50 [1.40, 1.60], worth; a crossover"
    )


def test_nothing_is_said_of_what_was_not_measured():
    assert said(WORTH | {"family": None}) == []


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (1.0012, 1.0043, "[1.001, 1.004]"),
        (0.9962, 0.9991, "[0.996, 0.999]"),
        (1.4, 1.6, "[1.40, 1.60]"),
        (1.0, 1.0, "[1.00, 1.00]"),
    ],
)
def test_an_interval_has_the_digits_that_tell_its_ends_apart_and_from_one(low, high, shown):
    row = {"estimate": (low + high) / 2, "low": low, "high": high}

    assert interval_words(row).endswith(shown)
