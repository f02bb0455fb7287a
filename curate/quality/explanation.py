"""Why a document scored as it did: exact contributions of its terms to the decision value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.quality._features import vectorizer

Floats = NDArray[np.float64]


def contributions(text: str, weights: Floats) -> pl.DataFrame:
    """Contribution of every term of one text; with the intercept they sum to its decision.

    Args:
        text: The document.
        weights: One weight a bucket; their number is a power of 2.

    Returns:
        `term` (1- or 2-gram), `count`, `contribution` = weight · count / length of the count
        vector, `shares_bucket_with` (List[String]: other terms of this text in the same bucket,
        whose weight it therefore shares; terms of other texts may share it too). Strongest
        first, ties by term. A text without words has no rows.

    >>> found = contributions("fine fine words", np.full(2**18, 2.0))
    >>> found.select("term", "count").rows()
    [('fine', 2), ('fine fine', 1), ('fine words', 1), ('words', 1)]
    """
    hashing = vectorizer(weights.size.bit_length() - 1)
    counts = Counter(hashing.build_analyzer()(text))
    terms = sorted(counts)
    hashing.set_params(analyzer=lambda term: [term], norm=None)
    bucket = hashing.transform(terms).indices.astype(np.int64) if terms else np.empty(0, np.int64)
    count = np.array([counts[t] for t in terms], dtype=np.int64)
    found, inverse = np.unique(bucket, return_inverse=True)
    norm = float(np.sqrt((np.bincount(inverse, count, found.size) ** 2).sum())) or 1.0
    frame = pl.DataFrame(
        {
            "term": pl.Series(terms, dtype=pl.String),
            "count": count,
            "contribution": weights[bucket] * count / norm,
            "bucket": bucket,
        }
    )
    shared = pl.col("term").implode().over("bucket", mapping_strategy="join")
    return (
        frame.with_columns(shares_bucket_with=shared.list.set_difference(pl.concat_list("term")))
        .drop("bucket")
        .sort(pl.col("contribution").abs(), "term", descending=[True, False])
    )
