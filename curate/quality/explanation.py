"""Why a document scored as it did: exact contributions of its terms to the decision value.

Two terms may share a bucket and thus a weight; every table here says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.quality._arguments import checked_frame
from curate.quality._features import SHARE_SCALE, as_texts, buckets, counted
from curate.text import split_words, word_ngrams

_SAMPLE_CHARS = 10_000
_MIN_DOCUMENTS = 5
_MOST_GROUPS = 30


def contributions(text: str, weights: Floats, *, norm: str = "unit") -> pl.DataFrame:
    """Contribution of every term of one text; with the intercept they sum to its decision.

    Args:
        text: The document.
        weights: One weight a bucket; their number is a power of 2.
        norm: `unit` or `share`, as the model was fitted.

    Returns:
        `term` (a word or two), `count`, `contribution` = weight · count / length of the count
        vector (`unit`) or number of terms (`share`), `shares_bucket_with` (List[String]: other
        terms of this text in the same bucket, whose weight it therefore shares; terms of other
        texts may share it too). Strongest first, ties by term. A text without words has no rows.

    >>> found = contributions("fine fine words", np.full(2**18, 2.0))
    >>> found.select("term", "count").rows()
    [('fine', 2), ('fine fine', 1), ('fine words', 1), ('words', 1)]
    """
    counts = Counter(_terms(text))
    terms = sorted(counts)
    bucket = _term_buckets(terms, weights.size.bit_length() - 1)
    count = np.array([counts[t] for t in terms], dtype=np.int64)
    frame = pl.DataFrame(
        {
            "term": pl.Series(terms, dtype=pl.String),
            "count": count,
            "contribution": weights[bucket] * count * _scale(bucket, count, norm),
            "bucket": bucket,
        }
    )
    shared = pl.col("term").implode().over("bucket", mapping_strategy="join")
    return (
        frame.with_columns(shares_bucket_with=shared.list.set_difference(pl.concat_list("term")))
        .drop("bucket")
        .sort(pl.col("contribution").abs(), "term", descending=[True, False])
    )


def top_terms(
    documents: Sequence[str] | pl.Series | pl.DataFrame, weights: Floats, *, top: int = 10
) -> pl.DataFrame:
    """The terms with the highest and with the lowest weight, among those that documents use.

    Args:
        documents: A sample of texts; the first 10,000 characters of each are read. A term counts
            if 5 of them hold it (or all of them, where there are fewer).
        weights: One weight a bucket.
        top: Terms of either sign.

    Returns:
        `term`, `weight`, `documents` (that hold it), `shares_bucket_with` (List[String]: other
        terms of the sample that count, in the same bucket, most frequent first, at most five) and
        `terms_in_bucket`. From the highest weight to the lowest, one row a bucket.

    >>> weights = np.zeros(2**18)
    >>> weights[_term_buckets(["good"], 18)] = 3.0
    >>> top_terms(["good dog", "good cat"], weights, top=1).row(0)[:3]
    ('good', 3.0, 2)
    """
    bits = weights.size.bit_length() - 1
    terms = term_table(documents, bits)
    most = int(terms["documents"].to_numpy().max(initial=0))
    named = _named_buckets(terms, min(_MIN_DOCUMENTS, most))
    ranked = named.with_columns(weight=pl.Series(weights[named["bucket"].to_numpy()])).sort(
        "weight", "term", descending=[True, False]
    )
    columns = ("term", "weight", "documents", "shares_bucket_with", "terms_in_bucket")
    return _both_ends(ranked, top).select(columns)


def group_contributions(  # noqa: PLR0913 - all but two have defaults
    documents: pl.DataFrame,
    weights: Floats,
    *,
    group: str,
    norm: str = "unit",
    top: int = 10,
    least: int = 1,
) -> pl.DataFrame:
    """Which terms lift or cost each group its score, against all other documents.

    Args:
        documents: `text` and the column `group` (String, not null); a sample is enough.
        weights: One weight a bucket.
        group: Column that names the group.
        norm: `unit` or `share`, as the model was fitted.
        top: Terms of either sign a group.
        least: Documents that must hold a term for it to be named: a table that is shown to
            people should name nothing that one document alone holds.

    Returns:
        `group`, `term`, `difference` (mean contribution to the decision value in the group minus
        that in the rest; over all buckets these differences sum to the difference of the mean
        decision values), `mean_difference` (that sum), `shares_bucket_with`. The 30 largest
        groups in order of name, in each from what lifts most to what costs most.

    Raises:
        ConfigError: No such column, or only one group.

    >>> frame = pl.DataFrame({"text": ["good dog", "bad dog"], "source": ["a", "b"]})
    >>> weights = np.zeros(2**18)
    >>> weights[_term_buckets(["bad"], 18)] = -1.0
    >>> found = group_contributions(frame, weights, group="source")
    >>> found.filter(pl.col("difference").abs() > 0).select("group", "term").rows()
    [('a', 'bad'), ('b', 'bad')]
    """
    checked_frame(documents, "documents", columns=["text"])
    if group in documents.columns and documents[group].null_count():
        raise ConfigError(f"column {group!r} has {documents[group].null_count()} nulls: no group")
    if group not in documents.columns or documents[group].n_unique() < 2:
        raise ConfigError(f"contributions per {group!r} need that column with two groups or more")
    bits = weights.size.bit_length() - 1
    texts = as_texts(documents).str.slice(0, _SAMPLE_CHARS)
    features = counted(texts, bits, norm)
    named = _named_buckets(term_table(texts, bits), least)
    sizes = documents[group].value_counts().sort("count", group, descending=[True, False])
    tables = []
    for name in sorted(sizes[group].head(_MOST_GROUPS)):
        own = (documents[group] == name).to_numpy()
        gap = np.asarray(features[own].mean(0) - features[~own].mean(0)).ravel() * weights
        rows = named.with_columns(
            group=pl.lit(name),
            difference=pl.Series(gap[named["bucket"].to_numpy()]),
            mean_difference=pl.lit(float(gap.sum())),
        ).sort("difference", "term", descending=[True, False])
        tables.append(_both_ends(rows, top))
    columns = ("group", "term", "difference", "mean_difference", "shares_bucket_with")
    return pl.concat(tables).select(columns)


def _named_buckets(terms: pl.DataFrame, least: int) -> pl.DataFrame:
    """Each bucket under its most frequent term, those that enough documents hold."""
    return (
        terms.group_by("bucket", maintain_order=True)
        .agg(
            pl.col("term").first(),
            pl.col("documents").first(),
            shares_bucket_with=_others(least),
            terms_in_bucket=pl.len().cast(pl.Int64),
        )
        .filter(pl.col("documents") >= least)
    )


def _both_ends(rows: pl.DataFrame, top: int) -> pl.DataFrame:
    return rows if rows.height <= 2 * top else pl.concat([rows.head(top), rows.tail(top)])


def _others(least: int) -> pl.Expr:
    """The terms of a bucket after the most frequent one, of those that enough documents hold."""
    return pl.col("term").filter(pl.col("documents") >= least).slice(1, 5)


def term_table(documents: Sequence[str] | pl.Series | pl.DataFrame, bits: int) -> pl.DataFrame:
    """All terms of a sample: `term`, `bucket`, `documents`; most frequent first, ties by term."""
    held: Counter[str] = Counter()
    for text in as_texts(documents).str.slice(0, _SAMPLE_CHARS):
        held.update(set(_terms(text)))
    terms = sorted(held)
    return pl.DataFrame(
        {
            "term": pl.Series(terms, dtype=pl.String),
            "bucket": _term_buckets(terms, bits),
            "documents": pl.Series([held[t] for t in terms], dtype=pl.Int64),
        }
    ).sort("documents", "term", descending=[True, False])


def _terms(text: str) -> list[str]:
    """Words and neighbouring pairs of one text, as the features count them."""
    words = split_words(text)
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _term_buckets(terms: Sequence[str], bits: int) -> NDArray[np.int64]:
    """Bucket of each term: the same hash as that of the features."""
    found = np.empty(len(terms), np.int64)
    paired = np.array([" " in term for term in terms], dtype=bool)
    for n, chosen in ((1, ~paired), (2, paired)):
        texts = pl.Series([t for t, own in zip(terms, chosen, strict=True) if own], dtype=pl.String)
        found[chosen] = buckets(word_ngrams(texts, n=n)[0], bits)
    return found


def _scale(bucket: NDArray[np.int64], count: NDArray[np.int64], norm: str) -> float:
    """What every count of one text is multiplied by."""
    if norm == "share":
        return SHARE_SCALE / max(1, int(count.sum()))
    _, place = np.unique(bucket, return_inverse=True)
    return 1.0 / (float(np.sqrt((np.bincount(place, count) ** 2).sum())) or 1.0)
