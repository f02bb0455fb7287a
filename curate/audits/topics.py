"""Topics where the user has no column of groups: k-means on hashed words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError

FEATURES = 1 << 12
_WORD = r"(?u)\b[^\W\d_]{3,}\b"
_NAMING_SAMPLE = 4000


def add_topics(documents: pl.DataFrame, *, topics: int = 8, seed: int = 1) -> pl.DataFrame:
    """Add a String column `topic`: topics found by mini-batch k-means on hashed, weighted words.

    Words (three letters or more) are hashed to 4,096 features, damped by log counts, weighted
    by inverse document frequency and scaled to length 1. Each topic is named by the three
    words that are most its own, so names are hints and not categories.

    Args:
        documents: Frame with `text` String; further columns are kept.
        topics: How many to look for; documents of no word form the topic `no words`.
        seed: Of the centres' start.

    Raises:
        ConfigError: Fewer than two topics, or more than documents.

    >>> texts = ["red apple pear plum"] * 20 + ["engine wheel brake road"] * 20
    >>> found = add_topics(pl.DataFrame({"text": texts}), topics=2)
    >>> found["topic"].n_unique(), found["topic"][0] == found["topic"][19] != found["topic"][20]
    (2, True)
    """
    if not 2 <= topics <= max(documents.height, 1):
        raise ConfigError(f"topics = {topics}; allowed: 2 to the {documents.height} documents")
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.preprocessing import normalize

    counts = _hashed(documents["text"])
    empty = np.diff(counts.indptr) == 0
    counts.data = np.log1p(counts.data)
    frequency = np.bincount(counts.indices, minlength=FEATURES)
    weight = np.log((1 + documents.height) / (1 + frequency)) + 1
    features = normalize(counts.multiply(weight).tocsr())
    model = MiniBatchKMeans(topics, random_state=seed, n_init=3, batch_size=4096)
    label = model.fit_predict(features)
    names = _names(documents["text"], label, topics)
    values = np.where(empty, "no words", np.array(names)[label])
    return documents.with_columns(pl.Series("topic", values.astype(object), dtype=pl.String))


def _hashed(text: pl.Series) -> Any:  # noqa: ANN401 - scipy's sparse matrices have no types
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=FEATURES, alternate_sign=False, norm=None, token_pattern=_WORD
    )
    return vectorizer.transform(text.to_list())


def _names(text: pl.Series, label: NDArray[Any], topics: int) -> list[str]:
    """`topic k: word, word, word`: the words that stand most above their share elsewhere."""
    from sklearn.feature_extraction.text import CountVectorizer

    step = max(1, len(text) // _NAMING_SAMPLE)
    sample = text.gather_every(step).to_list()
    vectorizer = CountVectorizer(token_pattern=_WORD, binary=True, max_features=20_000)
    try:
        counts = vectorizer.fit_transform(sample)
    except ValueError:  # scikit-learn's word for a sample without any word
        return [f"topic {k + 1}" for k in range(topics)]
    vocabulary, chosen = vectorizer.get_feature_names_out(), label[::step]
    overall = np.asarray(counts.sum(0)).ravel()
    names = []
    for k in range(topics):
        own = np.asarray(counts[chosen == k].sum(0)).ravel()
        rate, rest = (
            own / max((chosen == k).sum(), 1),
            (overall - own) / max((chosen != k).sum(), 1),
        )
        best = np.argsort(-(rate - rest), kind="stable")[:3]
        words = ", ".join(vocabulary[i] for i in best if own[i])
        names.append(f"topic {k + 1}: {words}" if words else f"topic {k + 1}")
    return names
