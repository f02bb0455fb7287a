"""What a plan can see, before it starts: power of the t test on ln m over paired draws.

The spread of ln m from draw to draw is assumed here, measured in the run, and both are written
down. Documents of the evaluation sets add their own error, which more draws do not shrink.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from curate.scaling.crossed import MIN_REPLICATES
from curate.statistics import leaning, skewness_error, t_quantile

# Spread of ln m between paired draws: demonstration corpus, 100 k to 2 M tokens (.06 to .11).
SPREADS: Mapping[str, float] = {"kneser_ney": 0.10, "gpt": 0.10}
OTHER_SPREAD = 0.15
DOCUMENT_ERROR = 0.015  # standard error of ln m from some 400 evaluation documents
POWER = 0.8
FEWEST, MOST = 3, 24  # draws
# Skewness over its error, to the side that matters: none in half of all draws, else half a normal.
LEANINGS = np.concatenate([np.zeros(5), special.ndtri([0.55, 0.65, 0.75, 0.85, 0.95])])

__all__ = ["Design", "draws_needed", "power", "smallest_detectable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """The noise of one contrast.

    Attributes:
        draws: Replicates.
        spread: Standard deviation of ln m between draws.
        document_error: Standard error of ln m from the evaluation documents.
        level: Error rate of the two-sided test.
    """

    draws: int
    spread: float
    document_error: float = DOCUMENT_ERROR
    level: float = 0.05

    @property
    def standard_error(self) -> float:
        """Of the mean of ln m."""
        return float(np.hypot(self.spread / np.sqrt(self.draws), self.document_error))

    @property
    def freedom(self) -> float:
        """Satterthwaite's, the documents' part being known well; few draws count alone."""
        if self.draws < MIN_REPLICATES:
            return float(self.draws - 1)
        drawn = self.spread**2 / self.draws
        return float((self.draws - 1) * (1 + self.document_error**2 / drawn) ** 2)

    @property
    def skewness_error(self) -> float:
        """Standard error of the skewness of the mean; that of few draws is not believed."""
        if self.draws < MIN_REPLICATES:
            return 0.0
        drawn = self.spread / np.sqrt(self.draws) / self.standard_error
        return float(skewness_error(self.draws) / np.sqrt(self.draws) * drawn**3)


def power(multiplier: float, design: Design) -> float:
    """Chance to call a true multiplier "worth" or "harms" (noncentral t).

    Every interval grows to the side to which its draws lean by chance. Of normal draws that is
    independent of their mean and spread: the chance is the mean over five leanings to the side
    that matters, in half of all experiments, and over none in the other half.

    >>> round(power(1.10, Design(draws=8, spread=0.06)), 2)
    0.92
    >>> round(power(1.0, Design(draws=8, spread=0.06)), 3)
    0.043
    """
    if design.draws < 2:
        return 0.0
    limit = float(t_quantile(1 - design.level, design.freedom))
    limits = limit + leaning(limit, LEANINGS * design.skewness_error)
    shift = abs(np.log(multiplier)) / design.standard_error
    seen = 1 - special.nctdtr(design.freedom, shift, limits)
    missed = special.nctdtr(design.freedom, shift, -limits)
    return float((seen + missed).mean())


def smallest_detectable(design: Design) -> float:
    """The multiplier that is seen with 80 % power; infinite where one draw gives no interval.

    >>> round(smallest_detectable(Design(draws=8, spread=0.06)), 2)
    1.08
    """
    if design.draws < 2:
        return float("inf")
    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(np.exp(middle), design) < POWER else (low, middle)
    return float(np.exp(high))


def draws_needed(multiplier: float, *, spread: float, level: float) -> int:
    """Draws for 80 % power, between 3 and 24.

    >>> draws_needed(1.10, spread=0.10, level=0.05), draws_needed(1.5, spread=0.10, level=0.05)
    (14, 3)
    """
    for draws in range(FEWEST, MOST):
        if power(multiplier, Design(draws=draws, spread=spread, level=level)) >= POWER:
            return draws
    return MOST
