"""Points with a known law, for examples and tests."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from curate.scaling.laws import predicted_loss

if TYPE_CHECKING:
    from curate.scaling.law import ScalingLaw

__all__ = ["KNOWN", "example_arms", "example_law", "example_points"]

#: A surface with the published exponents of Besiroglu et al. 2024 (arXiv 2404.10102).
KNOWN = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def example_points(
    *, arm: str = "curated", factor: float = 1.0, sizes: int = 10, seed: int = 1
) -> pl.DataFrame:
    """Points of one arm on the known surface, each size one training run.

    Args:
        arm: Its name.
        factor: What one of its tokens counts for.
        sizes: Model sizes, 40 M to 16 G parameters.
        seed: Of the noise (.3 % between runs and between points).

    Returns:
        `arm, n_params, n_tokens, loss, run`.

    >>> example_points().shape
    (80, 5)
    """
    n = np.repeat(np.geomspace(4e7, 1.6e10, sizes), 8)
    d = np.tile(np.geomspace(1e9, 1e12, 8), sizes)
    run = np.repeat(np.arange(sizes), 8)
    stream = np.random.default_rng(seed)
    noise = 0.003 * (stream.standard_normal(sizes)[run] + stream.standard_normal(len(n)))
    loss = predicted_loss(KNOWN, n, factor * d) * np.exp(noise)
    columns = {"arm": arm, "n_params": n, "n_tokens": d, "loss": loss, "run": run.astype(str)}
    return pl.DataFrame(columns).sort("arm", "n_params", "n_tokens")


def example_arms(factor: float = 1.5) -> pl.DataFrame:
    """Two arms on the known surface, one of whose tokens count `factor` times.

    >>> example_arms()["arm"].unique().sort().to_list()
    ['curated', 'raw']
    """
    raw = example_points(arm="raw", seed=2)
    return pl.concat([example_points(factor=factor, seed=3), raw])


@lru_cache(maxsize=4)
def example_law(arm: str = "curated") -> ScalingLaw:
    """The law fitted to one arm of `example_arms`, with few draws.

    >>> example_law().arm
    'curated'
    """
    from curate.scaling.law import FitOptions, fit_scaling_law

    return fit_scaling_law(example_arms(), arm=arm, options=FitOptions(draws=39, confidence=0.9))
