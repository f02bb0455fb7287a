"""The n-gram family: interpolated modified Kneser–Ney at orders 2, 3 and 5.

A hundred times cheaper a token than the smallest transformer and deterministic, it carries the
statistics of an experiment on a laptop. A ladder counts its sequence once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.ngram_model import NgramCounts, fit_discounts
from curate.proxies.protocol import Evaluation, LadderPoint, check_ladder, check_tokens

ORDERS = {"order2": 2, "order3": 3, "order5": 5}


@dataclass(frozen=True, kw_only=True, slots=True)
class KneserNey:
    """Kneser–Ney models; `prepare` fits the discounts that all arms share.

    Attributes:
        vocabulary: Number of token ids.
        discounts: By (size, budget): shape (order, 3).

    >>> text = np.array([1, 2, 0, 1, 3, 0, 1, 2, 0], np.uint16)
    >>> evaluation = Evaluation(tokens=text[:3], offsets=np.array([0, 3]), bytes=np.array([4]))
    >>> family = KneserNey().prepare(text, budgets=[3, 9], sizes=["order2"], vocabulary=4)
    >>> points = family.ladder(text, budgets=[3, 9], size="order2", seed=0, evaluation=evaluation)
    >>> [(p.n_tokens, p.n_params, p.document_bits.round(2).tolist()) for p in points]
    [(3, 6, [1.89]), (9, 9, [2.47])]
    """

    vocabulary: int = 1024
    discounts: Mapping[tuple[str, int], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in tables."""
        return "kneser_ney"

    @property
    def sizes(self) -> tuple[str, ...]:
        """The orders, as `"order2"`."""
        return tuple(ORDERS)

    def available(self) -> bool:
        """Always."""
        return True

    def prepare(
        self,
        pool: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        sizes: Sequence[str],
        vocabulary: int,
    ) -> Self:
        """Fit discounts for every (size, budget) on the de-duplicated pooled sequence.

        Args:
            pool: The sequence; a budget beyond its end takes all of it.
            budgets: Every budget that any arm will ask for.
            sizes: Every size that will be asked for.
            vocabulary: Number of token ids.
        """
        check_tokens(pool, vocabulary=vocabulary)
        rising = sorted(set(budgets))
        fitted: dict[tuple[str, int], NDArray[np.float64]] = {}
        for size in sizes:
            check_ladder(pool, budgets=[1], size=size, sizes=self.sizes)
            found = fit_discounts(pool, ORDERS[size], rising, vocabulary=vocabulary)
            fitted |= {(size, n): d for n, d in zip(rising, found, strict=True)}
        return replace(self, vocabulary=vocabulary, discounts=fitted)

    def ladder(
        self,
        tokens: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        size: str,
        seed: int,
        evaluation: Evaluation,
    ) -> Iterator[LadderPoint]:
        """Count `tokens` once and score the evaluation at each budget.

        `seed` is of no effect: the model has no chance in it. `n_params` is the number of
        distinct n-grams of all orders.

        Raises:
            ConfigError: A bad ladder, or a (size, budget) that `prepare` was not asked for.
        """
        check_ladder(tokens, budgets=budgets, size=size, sizes=self.sizes)
        check_tokens(tokens, vocabulary=self.vocabulary)
        check_tokens(evaluation.tokens, vocabulary=self.vocabulary)
        missing = [n for n in budgets if (size, n) not in self.discounts]
        if missing:
            raise ConfigError(
                f"no shared discounts for {size} at budgets {missing}: call prepare(pool, "
                "budgets=…, sizes=…) once with the budgets of all arms"
            )
        counts = NgramCounts(order=ORDERS[size], vocabulary=self.vocabulary)
        for budget in budgets:
            counts.extend(tokens, stop=budget)
            bits = counts.token_bits(
                evaluation.tokens, evaluation.offsets, discounts=self.discounts[size, budget]
            )
            yield LadderPoint(
                n_tokens=budget,
                n_params=counts.n_ngrams,
                document_bits=evaluation.document_sums(bits),
            )
