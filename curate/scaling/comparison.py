"""Models of two arms compared by what they predict and by how firmly they are chosen.

BIC names a cause; two checks stand beside it. Runs held out show which model predicts runs that
it has not seen. Data drawn again from the widest model show how often the same cause would be
named: a choice that another draw of the same noise would change is no finding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from curate.arrays import Floats
from curate.scaling import _fit_kernel as kernel
from curate.scaling import _profile_kernel as profile
from curate.scaling._fit_kernel import Law
from curate.scaling.uncertainty import Evidence

__all__ = ["bic_of", "held_out_error", "redrawn_causes", "weighted_optimum"]

FOLDS = 10


def weighted_optimum(found: Evidence, law: Law, start: Floats) -> tuple[Floats, float]:
    """Parameters of a model under the evidence's noise, and r'V^-1 r there.

    >>> from curate.scaling.example import example_law
    >>> found = example_law().evidence
    >>> phi, total = weighted_optimum(found, found.law, found.best)
    >>> phi.shape, total > 0
    ((5,), True)
    """
    variance, ratio = found.best_noise
    free = (0, np.zeros(4), 0.0, 0.0)
    weights = (ratio, found.trunks, 1e-9 * variance)
    phi, total = profile.weighted_fit(start, law, found.data, weights, free)
    return np.asarray(phi), float(total)


def bic_of(found: Evidence, laws: Mapping[str, Law], start: Floats) -> dict[str, float]:
    """BIC of every model under one noise model and without the outliers."""
    n = int(found.data[5].sum())
    sizes = {name: law[1].shape[2] for name, law in laws.items()}
    totals = {
        name: weighted_optimum(found, law, start[: sizes[name]])[1] for name, law in laws.items()
    }
    return {
        name: n * math.log(max(total, 1e-300) / n) + sizes[name] * math.log(n)
        for name, total in totals.items()
    }


def held_out_error(found: Evidence, laws: Mapping[str, Law], start: Floats) -> dict[str, float]:
    """Root mean square error of ln loss on runs left out of the fit, in ten folds of whole runs.

    With fewer than ten runs every run is a fold. Outliers are left out on both sides.

    >>> from curate.scaling.example import example_law
    >>> law = example_law().evidence
    >>> errors = held_out_error(law, {"chinchilla": law.law}, law.best)
    >>> 0 < errors["chinchilla"] < 0.02
    True
    """
    trunk, keep = found.data[4], found.data[5]
    fold = trunk % min(FOLDS, found.trunks)
    squares = {name: 0.0 for name in laws}
    for k in np.unique(fold):
        seen = replace(found, data=(*found.data[:5], keep & (fold != k)))
        left = keep & (fold == k)
        for name, law in laws.items():
            phi, _ = weighted_optimum(seen, law, start[: law[1].shape[2]])
            miss = found.data[2] - kernel.predict(phi, law, found.data)
            squares[name] += float((miss[left] ** 2).sum())
    return {name: math.sqrt(total / keep.sum()) for name, total in squares.items()}


def redrawn_causes(
    found: Evidence,
    laws: Mapping[str, Law],
    start: Floats,
    *,
    name_cause: Callable[[dict[str, float]], str],
    draws: tuple[int, int],
) -> dict[str, float]:
    """Share of parametric bootstrap draws in which each cause is named.

    Draws come from the widest model (`found`) with its run and point noise; `draws` is their
    number and seed.

    >>> from curate.scaling.example import example_law
    >>> law = example_law().evidence
    >>> redrawn_causes(law, {"one": law.law}, law.best, name_cause=min, draws=(3, 1))
    {'one': 1.0}
    """
    count, seed = draws
    stream = np.random.default_rng(seed)
    variance, ratio = found.best_noise
    centre = kernel.predict(found.best, found.law, found.data)
    named: Counter[str] = Counter()
    for _ in range(count):
        run = math.sqrt(variance * ratio) * stream.standard_normal(found.trunks)
        point = math.sqrt(variance) * stream.standard_normal(len(centre))
        drawn = centre + run[found.data[4]] + point
        again = replace(found, data=(*found.data[:2], drawn, *found.data[3:]))
        named[name_cause(bic_of(again, laws, start))] += 1
    return {cause: times / count for cause, times in sorted(named.items())}
