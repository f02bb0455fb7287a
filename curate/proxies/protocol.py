"""What every family of proxy models takes and gives.

A family is a value: its settings are its fields. `prepare` settles, once, everything that all
arms must share; `ladder` then trains on one token sequence and is scored at each budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigError, check_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Encoded documents on which proxies are scored, each on its own.

    Attributes:
        tokens: All documents one after the other, each ended by the boundary token 0.
        offsets: `n + 1` starts; document `d` is `tokens[offsets[d]:offsets[d + 1]]`.
        bytes: UTF-8 bytes of each document: the denominator of bits per byte.

    >>> evaluation = Evaluation(tokens=np.array([5, 0], np.uint16), offsets=np.array([0, 2]),
    ...                         bytes=np.array([3]))
    >>> evaluation.bits_per_byte(np.array([6.0]))
    2.0
    """

    tokens: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    bytes: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse offsets that do not fit the tokens."""
        if len(self.offsets) != len(self.bytes) + 1 or self.offsets[-1] != len(self.tokens):
            raise ConfigError(
                f"evaluation: {len(self.offsets)} offsets ending at {self.offsets[-1]} do not fit "
                f"{len(self.bytes)} documents with {len(self.tokens)} tokens"
            )

    def document_sums(self, token_bits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bits of each document from the bits of each token; an empty document costs 0."""
        until = np.concatenate([[0.0], np.cumsum(token_bits)])
        sums: NDArray[np.float64] = np.diff(until[self.offsets])
        return sums

    def bits_per_byte(self, document_bits: NDArray[np.float64]) -> float:
        """Loss over all documents: every token's bits over every byte."""
        return float(document_bits.sum() / self.bytes.sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class LadderPoint:
    """One proxy model, scored.

    Attributes:
        n_tokens: The budget: tokens of the sequence that it was trained on.
        n_params: What it stores: n-grams, or trained numbers.
        document_bits: Bits that each evaluation document costs, boundary token included.
    """

    n_tokens: int
    n_params: int
    document_bits: NDArray[np.float64]


class ProxyFamily(Protocol):
    """A kind of small model that can be trained on a growing prefix of one sequence."""

    @property
    def name(self) -> str:
        """Name in tables, e.g. `"kneser_ney"`."""

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the sizes that `ladder` knows, small to large."""

    def available(self) -> bool:
        """Whether what the family needs is installed."""

    def prepare(
        self,
        pool: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        sizes: Sequence[str],
        vocabulary: int,
    ) -> Self:
        """The family with everything settled that all arms share.

        Args:
            pool: De-duplicated pooled token sequence: no single arm's own text.
            budgets: Every budget that any arm's ladder will ask for.
            sizes: Every size that will be asked for.
            vocabulary: Number of token ids; all ids are below it.
        """

    def ladder(
        self,
        tokens: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        size: str,
        seed: int,
        evaluation: Evaluation,
    ) -> Iterator[LadderPoint]:
        """Train on growing prefixes of `tokens`; yield one scored model a budget, in order."""


def check_ladder(
    tokens: NDArray[np.uint16], *, budgets: Sequence[int], size: str, sizes: Sequence[str]
) -> None:
    """Refuse a ladder that cannot be climbed, before any work.

    Raises:
        ConfigError: Unknown size, budgets that do not rise, or fewer tokens than the top budget.

    >>> check_ladder(np.zeros(9, np.uint16), budgets=[4, 8], size="order2", sizes=["order2"])
    """
    check_name("proxy size", size, sizes)
    rising = all(low < high for low, high in pairwise(budgets))
    if not budgets or budgets[0] < 1 or not rising:
        raise ConfigError(f"budgets must be positive and rise strictly, got {list(budgets)}")
    if budgets[-1] > len(tokens):
        raise ConfigError(
            f"the top budget is {budgets[-1]} tokens but the arm has only {len(tokens)}"
        )


def check_tokens(tokens: NDArray[np.uint16], *, vocabulary: int) -> None:
    """Refuse token ids outside the vocabulary (compiled kernels do not check).

    Raises:
        ConfigError: An id is too large, or `tokens` is not a flat uint16 array.

    >>> check_tokens(np.array([0, 7], np.uint16), vocabulary=8)
    """
    if tokens.dtype != np.uint16 or tokens.ndim != 1:
        raise ConfigError(
            f"tokens must be a flat uint16 array, got {tokens.dtype} of shape {tokens.shape}"
        )
    if len(tokens) and int(tokens.max()) >= vocabulary:
        raise ConfigError(
            f"token id {int(tokens.max())} is outside the vocabulary of {vocabulary} ids"
        )
