"""A labelled task: what is planted is found, at every budget, and nobody judges what it saw."""

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.experiment import labelled_task

WORDS = [f"word{i}" for i in range(300)]


def labelled(n=500, *, wrong=0.4, seed=2):
    """Documents of 30 words, of which one in six tells the label; `curated` = not mislabelled."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.5
    swapped = rng.random(n) < wrong
    texts = []
    for positive in truth:
        words = rng.choice(WORDS, 30)
        hints = rng.random(30) < 1 / 6
        words[hints] = rng.choice([f"{'yes' if positive else 'no'}{k}" for k in range(20)], 30)[
            hints
        ]
        texts.append(" ".join(words))
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(n)],
            "text": texts,
            "label": truth ^ swapped,
            "source": [f"s{i % 30}" for i in range(n)],
            "curated": ~swapped,
        }
    )


@pytest.fixture(scope="module")
def found():
    return labelled_task(labelled(), replicates=2)


def figure(found, arm, *, eval_set="held_out_curated", name="auc"):
    rows = found.filter(arm=arm, eval_set=eval_set, figure=name).sort("n_documents")
    return rows["estimate"].to_list()


def test_more_documents_and_truer_labels_make_a_better_classifier(found):
    raw, curated = figure(found, "raw"), figure(found, "curated")

    assert curated[-1] > curated[0]
    assert all(c > r for c, r in zip(curated, raw, strict=True))


def test_every_figure_has_an_interval_that_holds_it(found):
    assert set(found["figure"]) == {"precision", "recall", "f1", "auc"}
    inside = found.filter(
        (pl.col("low") <= pl.col("estimate")) & (pl.col("estimate") <= pl.col("high"))
    )
    assert inside.height == found.height
    assert (found["n_replicates"] == 2).all()


def test_random_labels_cannot_be_learned():
    """Judged by whoever saw them, they would be."""
    frame = labelled(wrong=0.5).with_columns(curated=pl.lit(value=True))
    found = labelled_task(frame, arms=("raw",), replicates=1)
    row = found.filter(figure="auc", eval_set="held_out_raw").row(-1, named=True)

    assert row["low"] <= 0.5 <= row["high"]


def test_nobody_judges_a_copy_of_what_it_saw():
    """Random labels and a copy of each document in another source: known only by the copy."""
    frame = labelled(250, wrong=0.5).with_columns(curated=True, cluster=pl.col("id"))
    copies = frame.with_columns(
        id=pl.lit("x") + pl.col("id"), source=pl.lit("other ") + pl.col("source")
    )
    both = pl.concat([frame, copies])
    seen, unseen = (
        labelled_task(each, arms=("raw",), replicates=1)
        .filter(figure="auc", eval_set="held_out_raw")
        .row(-1, named=True)
        for each in (both.drop("cluster"), both)
    )

    assert seen["low"] > 0.6
    assert unseen["low"] <= 0.5 <= unseen["high"]
    assert unseen["n_documents"] < seen["n_documents"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": pl.lit(1)}, "labels must be Boolean"),
        ({"label": pl.lit(value=True)}, "has 0 documents of one label; 40 are needed"),
    ],
)
def test_labels_that_teach_nothing_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        labelled_task(labelled(200).with_columns(**change))
