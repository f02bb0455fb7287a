"""Arguments of the wrong type are named at the door, by every public function of the room."""

import polars as pl
import pytest

from curate.errors import ConfigError
from curate.quality import (
    QualityConfig,
    SelectionConfig,
    agreement,
    apply_scorer,
    decile_examples,
    evaluate_scores,
    fit_importance,
    fit_labels,
    fit_perplexity,
    fit_quality,
    group_contributions,
    gumbel_top_k,
    load_importance,
    load_perplexity,
    load_quality,
    mean_of_ranks,
    percentile_buckets,
    selection_ranks,
    source_scores,
)

GOOD, BAD = [f"good {i}" for i in range(20)], [f"bad {i}" for i in range(20)]
FRAME = pl.DataFrame({"id": ["a", "b"], "quality": [0.1, 0.2], "name": ["x", "y"]})
GROUPS = pl.DataFrame({"text": ["a", "b"], "site": ["x", None]})
SCORED = pl.DataFrame({"label": [1, 0], "score": [0.1, 0.2], "unit": ["a", "b"],
                       "text_chars": [1, 2]})  # fmt: skip
WEIGHTS = pl.Series([0.0] * 16).to_numpy()

CALLS = {
    "config is a dict": lambda: fit_quality(GOOD, BAD, config={"bits": 12}),
    "texts are a NoneType": lambda: fit_quality(None, BAD),
    "seed is 'a'": lambda: fit_quality(GOOD, BAD, seed="a"),
    "quality.min is 'a'": lambda: QualityConfig(min="a"),
    "quality.bits is '18'": lambda: QualityConfig(bits="18"),
    "quality.select is {'share'": lambda: QualityConfig(select={"share": 0.5}),
    "quality.reference is 5": lambda: QualityConfig(reference=5),
    "quality.select.share is '.5'": lambda: SelectionConfig(share=".5"),
    "scores to select by are a dict": lambda: selection_ranks({"id": ["a"]}),
    "have no column 'quality'": lambda: selection_ranks(FRAME.select("id")),
    "'quality' of the scores to select by is String": lambda: selection_ranks(
        FRAME.with_columns(quality=pl.lit("a"))
    ),
    "the scores are a dict": lambda: mean_of_ranks({"a": [1]}),
    "column 'id' of the scores is String": lambda: mean_of_ranks(FRAME),
    "scores are a list": lambda: agreement([1.0]),
    "1 scores are missing": lambda: agreement(pl.DataFrame({"a": [1.0, None], "b": [1, 2]})),
    "labelled documents are a dict": lambda: fit_labels({"text": ["a"]}),
    "has 1 nulls": lambda: group_contributions(GROUPS, WEIGHTS, group="site"),
    "scored documents are a dict": lambda: evaluate_scores({"label": [True]}),
    "'label' is Int64, but it must be Boolean": lambda: evaluate_scores(SCORED),
    "texts are a str": lambda: fit_perplexity("abc"),
    "bits is 60": lambda: fit_importance(GOOD, BAD, bits=60),
    "no quality model in 'no/such'": lambda: load_quality("no/such"),
    "no importance weights in 'no/such'": lambda: load_importance("no/such"),
    "no perplexity model in 'no/such'": lambda: load_perplexity("no/such"),
    "1 weights for 2 ids": lambda: gumbel_top_k(pl.Series([1.0]), pl.Series(["a", "b"]), 1, seed=1),
    "numeric Polars Series": lambda: percentile_buckets([1.0]),
    "'int' object is not callable": lambda: apply_scorer(["a"], 5),
    "the scores have no column 'source'": lambda: source_scores(FRAME),
    "the scores have no column 'text'": lambda: decile_examples(
        FRAME.with_columns(source=pl.lit("s"))
    ),
}


@pytest.mark.parametrize("message", CALLS)
def test_what_cannot_be_is_said_in_words(message):
    with pytest.raises(ConfigError) as error:
        CALLS[message]()

    assert message in str(error.value)
