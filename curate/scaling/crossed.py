"""The mean of a table of draws and sources, and how sure it is: crossed variance components.

What is measured in one replicate on one evaluation set is noisy in three ways: draws of documents
(replicates), documents within an evaluation source, and, from 8 sources on, the sources
themselves. Below 8 an interval is conditional on these sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.arrays import Floats
from curate.statistics import Interval, satterthwaite, skewed_quantiles

MIN_SOURCES = 8  # from here on the sources themselves count as a sample
# Below so many draws their spread is too uncertain for Satterthwaite: with 3 draws the interval
# would cover 92 % where it says 95 %.
MIN_REPLICATES = 5

__all__ = ["MIN_REPLICATES", "MIN_SOURCES", "Summary", "crossed_interval"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A mean over replicates and sources with its standard error and degrees of freedom.

    `skewness` is that of the mean: where few texts make it, noise leans to one side.
    """

    estimate: float
    standard_error: float
    degrees_of_freedom: float
    skewness: float = 0.0

    @property
    def third_cumulant(self) -> float:
        """Of the mean; skewness times the cube of the standard error."""
        return self.skewness * self.standard_error**3

    def interval(self, confidence: float = 0.95) -> Interval:
        """Both ends; infinite where there is no standard error.

        >>> found = Summary(estimate=1.0, standard_error=0.1, degrees_of_freedom=7, skewness=0.5)
        >>> [round(end, 2) for end in found.interval()]
        [0.76, 1.34]
        """
        if np.isnan(self.standard_error) or self.degrees_of_freedom <= 0:
            return Interval(-np.inf, np.inf)
        freedom = self.degrees_of_freedom
        below, above = skewed_quantiles(confidence, freedom, self.skewness)
        error = self.standard_error
        return Interval(self.estimate - below * error, self.estimate + above * error)


def crossed_interval(
    values: Floats, influence: Sequence[Floats] = (), *, shared: float = 0.0
) -> Summary:
    """Mean of a replicates x sources table whose noise comes from draws, sources and documents.

    Below 8 sources these are fixed: the variance is that of the draws' means plus that of the
    documents within each source less the documents x draws part that the draws' means already
    hold. From 8 sources on, the variance between sources takes the place of the documents'.
    Degrees of freedom by Satterthwaite; with fewer than 5 draws, at most those of the draws.
    Third cumulants add up as variances do; with fewer than 5 draws none is believed: theirs are
    not known, and those of the documents would be multiplied by the square of a t of few degrees.

    Args:
        values: R x S, for example ln m.
        influence: For each source R x n: what each of its documents adds to `values`.
        shared: Variance that all draws have in common, in units of that between them.

    >>> found = crossed_interval(np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]]))
    >>> found.estimate, round(found.standard_error, 4), found.degrees_of_freedom
    (3.0, 0.5774, 2.0)
    >>> crossed_interval(np.zeros((1, 2))).degrees_of_freedom
    0.0
    """
    replicates, sources = values.shape
    if replicates < 2:
        return Summary(
            estimate=float(values.mean()), standard_error=float("nan"), degrees_of_freedom=0.0
        )
    drawn = values.mean(axis=1)
    components = [float(drawn.var(ddof=1)) * (1 / replicates + shared)]
    freedoms = [float(replicates - 1)]
    believed = replicates >= MIN_REPLICATES
    third = _third_cumulant(drawn) if believed else 0.0
    if sources >= MIN_SOURCES:
        extra, freedom = _source_variance(values)
    else:
        extra, freedom = _document_variance(influence, sources)
    if extra > 0:
        components.append(extra)
        freedoms.append(freedom)
        third += _other_cumulant(values, influence) if believed else 0.0
    variance, df = satterthwaite(components, freedoms)
    if replicates < MIN_REPLICATES:
        df = min(df, freedoms[0])
    return Summary(
        estimate=float(values.mean()),
        standard_error=float(np.sqrt(variance)),
        degrees_of_freedom=df,
        skewness=third / variance**1.5 if variance > 0 else 0.0,
    )


def _third_cumulant(values: Floats) -> float:
    """Of the mean of independent values, unbiased (Fisher's third k-statistic over n squared)."""
    n = len(values)
    return float(((values - values.mean()) ** 3).sum() / ((n - 1) * (n - 2) * n))


def _other_cumulant(values: Floats, influence: Sequence[Floats]) -> float:
    """What the sources, where they are a sample, or else their documents add to it."""
    sources = values.shape[1]
    if sources >= MIN_SOURCES:
        return _third_cumulant(values.mean(axis=0))
    means = [table.mean(axis=0) for table in influence]
    cubes = [float(((each - each.mean()) ** 3).sum()) for each in means]
    return sum(cubes) / float(sources**3)


def _source_variance(values: Floats) -> tuple[float, float]:
    replicates, sources = values.shape
    means = values.mean(axis=0)
    rest = values - means - values.mean(axis=1, keepdims=True) + values.mean()
    interaction = (rest**2).sum() / ((replicates - 1) * (sources - 1))
    between = means.var(ddof=1) - interaction / replicates
    return float(between / sources), float(sources - 1)


def _document_variance(influence: Sequence[Floats], sources: int) -> tuple[float, float]:
    """Variance from documents within sources, without their interaction with the draws."""
    total, spread = 0.0, 0.0
    for table in influence:
        replicates, n = table.shape
        if n < 2:
            continue
        means = table.mean(axis=0)
        scale = n / (n - 1) / sources**2
        main = scale * float(((means - means.mean()) ** 2).sum())
        rest = table - means - table.mean(axis=1, keepdims=True) + table.mean()
        total += main - scale * float((rest**2).sum()) / (replicates * (replicates - 1))
        spread += main**2 / (n - 1)
    return total, total**2 / spread if spread > 0 and total > 0 else float("inf")
