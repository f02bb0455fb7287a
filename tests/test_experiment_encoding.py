"""What an experiment takes from its corpus: one tokenizer, a pool that may be a sample of it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from curate.experiment import MeasureConfig, measure_inputs, run_experiment
from curate.experiment.encoding import even_text
from curate.experiment.example import example_inputs
from curate.scaling import crossed_interval
from curate.statistics import binomial_band, t_quantile
from curate.subsets import id_hashes


def corpus(n=300):
    """Documents of 0 to some 600 bytes, some of two bytes a character."""
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list("abc é\n"), size=rng.integers(0, 400))) for _ in range(n)]
    return pl.DataFrame({"id": [f"d{i}" for i in range(n)], "text": texts})


@pytest.mark.parametrize(("limit", "window"), [(10_000, 100), (10_000, 1_000), (999, 7)])
def test_windows_stand_at_equal_distances_in_the_joined_corpus(limit, window):
    """Windows reach over documents, empty ones included, just as in one long text."""
    frame = corpus()
    order = np.argsort(id_hashes(frame["id"]), kind="stable")
    whole = "".join(frame["text"].gather(order)).encode()
    starts = [i * len(whole) // (limit // window) for i in range(limit // window)]

    expected = [whole[at : at + window].decode(errors="ignore") for at in starts]
    assert even_text(frame, limit=limit, window=window) == expected


def test_all_of_a_small_corpus_is_read():
    """Every document whole."""
    frame = corpus(20)

    assert sorted(even_text(frame)) == sorted(frame["text"])


def test_neither_seed_nor_row_order_changes_the_tokenizer():
    """A tokenizer is a yardstick: two seeds of one corpus measure in the same tokens."""
    frame = corpus().with_columns(curated=pl.lit(value=True))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=2)
    found = [
        measure_inputs(rows, evaluation=None, filler=["menu"], config=MeasureConfig(), seed=seed)
        for rows, seed in ((frame, 1), (shuffled, 2))
    ]

    assert found[0].tokenizer is not None
    assert found[0].tokenizer.json == found[1].tokenizer.json


# ── a pool that is a sample of the corpus ────────────────────────────────────────────────────


@pytest.mark.parametrize("covered", [0.1, 0.6])
def test_intervals_cover_the_corpus_and_not_only_the_pool(covered):
    """Draws of one pool have its accidents in common: without these an interval is too narrow."""
    rng = np.random.default_rng([8, int(100 * covered)])
    corpus = rng.normal(size=20_000)
    pool_size, draws, times = 2_000, 8, 1_000
    n = int(covered * pool_size)
    shared = covered / (1 - covered) * (1 - pool_size / len(corpus))
    held = np.zeros(2, int)
    for _ in range(times):
        pool = rng.choice(corpus, size=pool_size, replace=False)
        means = np.array([rng.permutation(pool)[:n].mean() for _ in range(draws)])[:, None]
        for which, common in enumerate((shared, 0.0)):
            found = crossed_interval(means, shared=common)
            half = t_quantile(0.95, found.degrees_of_freedom) * found.standard_error
            held[which] += abs(found.estimate - corpus.mean()) <= half
    low, high = binomial_band(times, 0.95)

    assert low <= held[0] <= high
    assert held[1] < low


def test_errors_grow_with_what_the_pool_leaves_out():
    """A pool of a tenth of the corpus; halves of one pool differ by none of it."""
    inputs = example_inputs(1_500)
    config = MeasureConfig(
        sizes=("order2",), arms=("null", "random"), budgets=(8_000,), replicates=4
    )
    whole, part = (
        run_experiment(replace(inputs, pool_share=share), config, seed=1).multipliers
        for share in (1.0, 0.1)
    )

    error = pl.col("standard_error")
    both = whole.join(part, on=["contrast", "quantity", "eval_set"], maintain_order="left")
    both = both.filter(pl.col("standard_error") > 0).with_columns(
        grown=pl.col("standard_error_right") / error
    )
    nothing = pl.col("contrast").str.contains("random|null")
    assert (both.filter(nothing)["grown"] == 1).all()
    assert (both.filter(~nothing)["grown"] > 1).all()
    assert (whole["estimate"] == part["estimate"]).all()
