"""Interpolated modified Kneser–Ney over hashed n-grams, counted incrementally.

Chen & Goodman (1998), "An empirical study of smoothing techniques for language modeling", with
the counts of Heafield et al. (2013): an n-gram of the highest order, or one that begins a
document, has its raw count; a shorter one has the number of its distinct left neighbours.

A document starts with a fresh context: its n-grams reach back to the boundary token (id 0) before
it and no further. The boundary that ends a document is predicted like any other token.

Counting is one pass. Each new n-gram adds one to the count of its suffix, and only if that is new
too, one to the suffix of the suffix: so the counts of every prefix of the sequence are true at any
time, and a ladder of budgets costs one pass plus one scoring a budget.

An n-gram's key is its number in base `vocabulary + 1`: exact (no collision is possible) while
`(vocabulary + 1) ** order < 2 ** 64`, that is up to order 6 with 1,024 ids; a 64-bit hash beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate._ngram_kernel import (
    GOLDEN,
    LOWER_COLUMNS,
    START_SLOTS,
    TOP_COLUMNS,
    Table,
    Tables,
    Tokens,
    count,
    limit,
    rehash,
    token_bits,
)
from curate.arrays import Floats
from curate.errors import ConfigError

# KenLM's fallback where the counts of counts do not yield discounts.
_FALLBACK = (0.5, 1.0, 1.5)
_FLOOR = 0.01  # of the count: below it an unseen token would cost infinitely many bits


class NgramCounts:
    """Adjusted counts of all n-grams up to `order` in a growing prefix of one token sequence.

    Args:
        order: Longest n-gram, 2 to 6.
        vocabulary: Number of token ids.

    Raises:
        ConfigError: `order` or `vocabulary` is out of range.

    >>> counts = NgramCounts(order=2, vocabulary=4)
    >>> counts.extend(np.array([1, 2, 0, 1, 3, 0], np.uint16), stop=6)
    >>> counts.n_ngrams, counts.n_tokens    # 1 2 3 0 | 01 12 20 13 30
    (9, 6)
    """

    def __init__(self, *, order: int, vocabulary: int) -> None:
        if not 2 <= order <= 6:
            raise ConfigError(f"n-gram order must be 2 to 6, got {order}")
        if not 1 <= vocabulary <= 1 << 16:
            raise ConfigError(f"vocabulary must be 1 to 65536 ids, got {vocabulary}")
        self.order = order
        self.vocabulary = vocabulary
        exact = (vocabulary + 1) ** order < 1 << 64
        self._tables = Tables(
            lower=_empty_table(START_SLOTS, LOWER_COLUMNS),
            top=_empty_table(START_SLOTS, TOP_COLUMNS),
            root=_empty_table(1, LOWER_COLUMNS),
            used=np.zeros(2, np.int64),
            histogram=np.zeros((order + 1, 6), np.int64),
            base=np.uint64(vocabulary + 1 if exact else GOLDEN),
        )
        self.n_tokens = 0

    @property
    def n_ngrams(self) -> int:
        """Number of distinct n-grams of all orders."""
        return int(self._tables.histogram[1:, 1:].sum())

    @property
    def counts_of_counts(self) -> NDArray[np.int64]:
        """Shape (order, 4): how many k-grams have adjusted count 1, 2, 3, 4."""
        return self._tables.histogram[1:, 1:5].copy()

    def extend(self, tokens: Tokens, *, stop: int) -> None:
        """Count on to `tokens[:stop]`; what is counted already must be the same prefix.

        Raises:
            ConfigError: `stop` lies behind what is counted or beyond the sequence.
        """
        if not self.n_tokens <= stop <= len(tokens):
            span = f"{self.n_tokens} (counted) … {len(tokens)} (the sequence's end)"
            raise ConfigError(f"cannot count to {stop}: it must lie in {span}")
        fixed = self._checked(tokens)
        while self.n_tokens < stop:
            self.n_tokens = count(fixed, self.n_tokens, stop, self._tables)
            if self.n_tokens < stop:
                self._grow()

    def _grow(self) -> None:
        tables = self._tables
        if tables.used[0] > limit(tables.lower, self.order):
            self._tables = self._tables._replace(lower=_doubled(tables.lower))
        if tables.used[1] > limit(tables.top, self.order):
            self._tables = self._tables._replace(top=_doubled(tables.top))

    def _checked(self, tokens: Tokens) -> Tokens:
        """Compiled code would read beyond its tables."""
        if len(tokens) and int(tokens.max()) >= self.vocabulary:
            raise ConfigError(f"token id {tokens.max()} is not below {self.vocabulary}")
        return _read_only(tokens, np.uint16)

    def token_bits(
        self, tokens: Tokens, offsets: NDArray[np.int64], *, discounts: Floats
    ) -> Floats:
        """Bits of every token of documents, each scored with a fresh context.

        Args:
            tokens: Documents one after the other, each ended by the boundary token.
            offsets: `n + 1` starts of the documents.
            discounts: Shape (order, 3), as `fit_discounts` gives them for one budget.

        Returns:
            -log2 of each token's probability. In every context the probabilities sum to 1,
            whatever text the discounts come from: what interpolation hands down is what these
            discounts took from these counts.

        >>> counts = NgramCounts(order=2, vocabulary=4)
        >>> text = np.array([1, 2, 0, 1, 3, 0], np.uint16)
        >>> counts.extend(text, stop=6)
        >>> flat = np.tile([0.5, 1.0, 1.5], (2, 1))
        >>> counts.token_bits(text[:3], np.array([0, 3]), discounts=flat).round(3)
        array([0.707, 1.464, 0.594])
        """
        discounts = _checked_discounts(discounts, order=self.order)
        bits: Floats = token_bits(
            self._checked(tokens),
            _read_only(offsets, np.int64),
            self._tables,
            discounts,
            self.vocabulary,
        )
        return bits


def _empty_table(slots: int, columns: int) -> Table:
    """Zeroed table whose rows never straddle a cache line of 64 bytes."""
    memory = np.zeros(slots * columns + 16, np.uint32)
    skipped = -(memory.ctypes.data // 4) % 16
    return memory[skipped : skipped + slots * columns].reshape(slots, columns)


def _read_only(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """The array as the one type that the kernels are compiled for."""
    view: NDArray[Any] = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view


def _doubled(table: Table) -> Table:
    rehash(table, larger := _empty_table(2 * len(table), table.shape[1]))
    return larger


def _checked_discounts(discounts: Floats, *, order: int) -> Floats:
    """Contiguous; each above 0 and at most the count that it lowers: no probability is zero."""
    checked = np.ascontiguousarray(discounts, np.float64)
    if checked.shape != (order, 3):
        raise ConfigError(f"discounts must have shape ({order}, 3), got {checked.shape}")
    if not ((checked > 0) & (checked <= [1, 2, 3])).all():
        raise ConfigError(f"discounts must lie in (0, 1], (0, 2], (0, 3], got {checked.tolist()}")
    return checked


def discounts_from(counts_of_counts: NDArray[np.int64]) -> Floats:
    """Modified Kneser–Ney discounts D1, D2, D3+ of each order (Chen & Goodman 1998, eq. 26).

    Y = n1 / (n1 + 2 n2); Dc = c − (c + 1) Y n(c+1) / n(c). An order where one of n1 … n4 is zero
    takes (0.5, 1, 1.5), as KenLM does; a value outside [c / 100, c] is moved to its edge.

    Takes shape (order, 4), gives shape (order, 3).

    >>> discounts_from(np.array([[100, 40, 20, 12], [7, 0, 0, 0]])).round(3)
    array([[0.556, 1.167, 1.667],
           [0.5  , 1.   , 1.5  ]])
    """
    found = np.asarray(counts_of_counts, np.float64)
    discounts = np.tile(np.array(_FALLBACK), (len(found), 1))
    usable = (found > 0).all(axis=1)
    n = found[usable]
    share = n[:, :1] / (n[:, :1] + 2 * n[:, 1:2])
    count = np.arange(1, 4)
    fitted = count - (count + 1) * share * n[:, 1:] / n[:, :3]
    discounts[usable] = np.clip(fitted, _FLOOR * count, count)
    return discounts


def fit_discounts(
    tokens: Tokens, order: int, budgets: Sequence[int], *, vocabulary: int = 1024
) -> Floats:
    """Discounts of each budget, from the first tokens of a de-duplicated pooled sequence.

    Fit them there once and share them among all arms. Text that repeats itself misleads them: of
    n-grams written out four times n4 outgrows n3, D3+ falls to its floor, and the model becomes
    sure that what it has seen is all there is (6.3 bits a token become 8.1 in a test).

    Args:
        tokens: The pooled sequence; a budget beyond its end takes all of it.
        order: Longest n-gram, 2 to 6.
        budgets: In rising order.
        vocabulary: Number of token ids.

    Returns:
        Shape (budgets, order, 3).

    >>> fit_discounts(np.array([1, 2, 0, 1, 3, 0], np.uint16), 2, [3, 6], vocabulary=4).shape
    (2, 2, 3)
    """
    counts = NgramCounts(order=order, vocabulary=vocabulary)
    fitted = []
    for budget in budgets:
        counts.extend(tokens, stop=min(budget, len(tokens)))
        fitted.append(discounts_from(counts.counts_of_counts))
    return np.stack(fitted)
