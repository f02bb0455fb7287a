"""Word-embedding association: effect size and an exact permutation test of the words.

On embeddings trained on the corpus under audit the words' permutation is not a null of the
corpus: in 40 corpora without any association it rejected 42 %. It stands here beside the
document-level association (`curate.audits.association`), whose null resamples documents.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.errors import ConfigError

_MOST_EXACT = 500_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Weat:
    """Association of two sets of words with two sets of attributes.

    Attributes:
        effect: Difference of mean associations / their standard deviation over all words (ddof
            1, as the authors' figures need); NaN where all words associate alike.
        statistic: Difference of the summed associations.
        p: One-sided: share of partitions with at least this statistic.
        p_two_sided: Share of partitions at least as far from their mean.
        partitions: How many were tried.
        exact: Whether those are all there are.
    """

    effect: float
    statistic: float
    p: float
    p_two_sided: float
    partitions: int
    exact: bool


def weat(
    first: Floats, second: Floats, attributes: tuple[Floats, Floats], *, seed: int = 1
) -> Weat:
    """Effect and permutation test of Caliskan et al. (2017).

    All partitions are tried up to half a million (12,870 for 8 + 8 words), else 100,000 seeded
    permutations, of which the observed one is one.

    Args:
        first: One row a word of the first set.
        second: The second set.
        attributes: Vectors of the two sets of attribute words.
        seed: Of the permutations.

    >>> one, two = np.eye(2)[[0, 0, 0]] + 0.1, np.eye(2)[[1, 1, 1]] + 0.1
    >>> found = weat(one, two, (one[:2], two[:2]))
    >>> round(found.effect, 3), found.p, found.partitions
    (1.826, 0.05, 20)
    """
    own, other = (_associations(words, attributes) for words in (first, second))
    both, size = np.concatenate([own, other]), own.size
    if not size or not other.size:
        raise ConfigError("each set of words needs at least one vector")
    sums, exact = _sums_of_partitions(both, size, seed)
    observed, centre = own.sum(), both.sum() * size / both.size
    slack = 1e-12 * max(1.0, float(np.abs(both).sum()))
    beyond = int((sums >= observed - slack).sum())
    as_far = int((np.abs(sums - centre) >= abs(observed - centre) - slack).sum())
    own_one, spread = (0 if exact else 1), both.std(ddof=1)
    tried = sums.size + own_one
    return Weat(
        effect=float((own.mean() - other.mean()) / spread) if spread > 0 else float("nan"),
        statistic=float(own.sum() - other.sum()),
        p=(beyond + own_one) / tried,
        p_two_sided=(as_far + own_one) / tried,
        partitions=tried,
        exact=exact,
    )


def _associations(words: Floats, attributes: tuple[Floats, Floats]) -> Floats:
    """Mean cosine with the first attributes less that with the second, one number a word."""
    unit = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (words, *attributes)]
    return np.asarray((unit[0] @ unit[1].T).mean(1) - (unit[0] @ unit[2].T).mean(1))


def _sums_of_partitions(values: Floats, size: int, seed: int) -> tuple[Floats, bool]:
    if comb(values.size, size) <= _MOST_EXACT:
        return values[_partitions(values.size, size)].sum(1), True
    rng, sums = np.random.default_rng(seed), []
    for _ in range(20):
        order = np.argsort(rng.random((5_000, values.size)), axis=1)[:, :size]
        sums.append(values[order].sum(1))
    return np.concatenate(sums), False


@cache
def _partitions(n: int, size: int) -> NDArray[np.int16]:
    flat = itertools.chain.from_iterable(itertools.combinations(range(n), size))
    return np.fromiter(flat, dtype=np.int16).reshape(-1, size)


def resampled_weat(  # noqa: PLR0913 - what is trained, on what, and how often
    train: Callable[[Sequence[str]], Callable[[Sequence[str]], Floats]],
    documents: Sequence[str],
    words: tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]],
    *,
    repetitions: int = 200,
    cluster: Sequence[Any] | None = None,
    seed: int = 1,
) -> tuple[float, float]:
    """WEAT's effect beside a null that resamples documents: (effect, two-sided p).

    The test compares differences of mean association: the effect itself saturates near 2.

    In each repetition every document has, with probability one half, the two sets of target
    words exchanged word by word, before the embeddings are trained anew. That leaves all else
    of the corpus as it is and takes any association of the two sets away.

    Args:
        train: From documents to a function from words to their vectors (one row a word).
        documents: Texts of the corpus.
        words: First and second set of words (as many each), first and second attributes.
        repetitions: Of the null; each trains embeddings.
        cluster: One name a document, within which documents are alike: all of a cluster's
            documents are then exchanged, or none. `None` = every document by itself.
        seed: Of the exchanges.

    >>> from curate.audits.weat import cooccurrence_vectors
    >>> documents = ["he code", "she home", "he code loop", "she home yard"] * 10
    >>> effect, p = resampled_weat(cooccurrence_vectors, documents,
    ...                            (["he"], ["she"], ["code"], ["home"]), repetitions=19)
    >>> bool(effect > 1), p
    (True, 0.05)
    """
    if len(words[0]) != len(words[1]):
        raise ConfigError("the two sets of target words must be of one size to be exchanged")
    effect, observed = _trained(train, documents, words)
    exchange = dict(zip([*words[0], *words[1]], [*words[1], *words[0]], strict=True))
    swapped = [" ".join(exchange.get(w, w) for w in text.split()) for text in documents]
    codes = np.arange(len(documents))
    if cluster is not None:
        codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    rng, as_far = np.random.default_rng(seed), 1
    for _ in range(repetitions):
        coins = (rng.random(int(codes.max()) + 1) < 0.5)[codes]
        texts = [b if coin else a for a, b, coin in zip(documents, swapped, coins, strict=True)]
        as_far += abs(_trained(train, texts, words)[1]) >= abs(observed) - 1e-12
    return effect, as_far / (repetitions + 1)


def _trained(
    train: Callable[[Sequence[str]], Callable[[Sequence[str]], Floats]],
    documents: Sequence[str],
    words: Sequence[Sequence[str]],
) -> tuple[float, float]:
    """Effect and difference of mean associations in embeddings of the documents."""
    vectors = train(documents)
    first, second, one, two = (vectors(list(part)) for part in words)
    own, other = (_associations(m, (one, two)) for m in (first, second))
    spread = np.concatenate([own, other]).std(ddof=1)
    difference = float(own.mean() - other.mean())
    return difference / spread if spread > 0 else 0.0, difference


def cooccurrence_vectors(
    documents: Sequence[str], dimensions: int = 50
) -> Callable[[Sequence[str]], Floats]:
    """Small embeddings: positive pointwise mutual information within documents, truncated SVD.

    >>> vectors = cooccurrence_vectors(["a b", "a b", "c d"])
    >>> vectors(["a", "c"]).shape[0]
    2
    """
    from scipy.sparse import csr_array

    words = [sorted(set(text.split())) for text in documents]
    place = {word: k for k, word in enumerate(sorted(set(itertools.chain(*words))))}
    columns = [place[word] for held in words for word in held]
    ends = np.cumsum([0, *map(len, words)])
    held: Any = csr_array((np.ones(len(columns)), columns, ends), (len(words), len(place)))
    together = np.asarray((held.T @ held).todense(), dtype=np.float64)
    alone = np.diag(together).copy()
    with np.errstate(divide="ignore"):
        mutual = np.log(together * len(documents) / np.outer(alone, alone))
    positive = np.maximum(mutual, 0.0)
    left, size, _ = np.linalg.svd(positive)
    kept = min(dimensions, size.size)
    # A sliver of a constant keeps words without any association from having no direction.
    vectors = np.hstack([left[:, :kept] * np.sqrt(size[:kept]), np.full((alone.size, 1), 1e-6)])

    def look_up(words: Sequence[str]) -> Floats:
        missing = [w for w in words if w not in place]
        if missing:
            raise ConfigError(f"no document holds {missing[0]!r}")
        return np.asarray(vectors[[place[w] for w in words]])

    return look_up
