"""The tokenizer is the corpus's: trained evenly on its text, whatever the seed."""

import numpy as np
import polars as pl
import pytest

from curate.experiment import MeasureConfig, measure_inputs
from curate.experiment.encoding import even_text
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
