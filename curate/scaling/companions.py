"""Two companions of a law: what a cooldown is worth, and loss as a line in mixture weights."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.statistics import Estimate

__all__ = ["cooldown_offset", "mixture_line", "predict_mixture", "rank_correlation"]


def cooldown_offset(constant: pl.DataFrame, cooled: pl.DataFrame) -> Estimate:
    """How far a learning-rate cooldown lowers the loss at equal tokens.

    A law must not mix points before and after a cooldown: the offset would enter its floor
    and its exponents.

    Args:
        constant: `run` String, `n_tokens`, `loss`: checkpoints at constant learning rate.
        cooled: The same after a cooldown; compared at its tokens, with the constant curve of
            the same run interpolated in ln tokens. Points outside that curve do not count.

    Returns:
        Mean difference (cooled - constant). `low` and `high` are mean -/+ one standard
        deviation between points; the standard error is that over the root of the points.

    Raises:
        ConfigError: No point can be compared.

    >>> constant = pl.DataFrame({"run": "a", "n_tokens": [1e9, 4e9], "loss": [3.0, 2.8]})
    >>> cooled = pl.DataFrame({"run": "a", "n_tokens": [2e9], "loss": [2.8]})
    >>> round(cooldown_offset(constant, cooled).estimate, 3)
    -0.1
    """
    differences = []
    for (run,), mine in cooled.sort("run", "n_tokens").group_by("run", maintain_order=True):
        curve = constant.filter(run=run).sort("n_tokens")
        if curve.height < 2:
            continue
        x, y = np.log(curve["n_tokens"].to_numpy()), curve["loss"].to_numpy()
        at = np.log(mine["n_tokens"].to_numpy())
        differences.append(mine["loss"].to_numpy() - np.interp(at, x, y, np.nan, np.nan))
    known = np.concatenate(differences or [np.empty(0)])
    known = known[np.isfinite(known)]
    if len(known) == 0:
        raise ConfigError("no cooled point lies on the curve of a run at constant learning rate")
    mean, sd = float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else np.nan
    return Estimate(
        estimate=mean,
        low=mean - sd,
        high=mean + sd,
        standard_error=sd / len(known) ** 0.5,
        degrees_of_freedom=len(known) - 1,
    )


def mixture_line(weights: ArrayLike, loss: ArrayLike) -> Floats:
    """Least squares of loss on mixture weights: intercept, then one number a domain.

    Weights add up to 1, so only predictions mean something (RegMix, arXiv 2407.01492).

    >>> line = mixture_line([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], [3.0, 2.0, 2.5])
    >>> predict_mixture(line, [[0.25, 0.75]]).round(6).tolist()
    [2.25]
    """
    rows = np.asarray(weights, dtype=np.float64)
    full = np.column_stack([np.ones(len(rows)), rows])
    return np.asarray(np.linalg.lstsq(full, np.asarray(loss, dtype=np.float64), rcond=None)[0])


def predict_mixture(line: Floats, weights: ArrayLike) -> Floats:
    """Predicted loss of mixtures by `mixture_line`.

    >>> predict_mixture(np.array([1.0, 2.0]), [[0.5]]).tolist()
    [2.0]
    """
    return np.asarray(line[0] + np.asarray(weights, dtype=np.float64) @ line[1:])


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank.

    >>> rank_correlation([1, 2, 3, 4], [1, 3, 2, 4])
    0.8
    """
    ranks = pl.DataFrame({"a": np.asarray(first), "b": np.asarray(second)}).select(
        pl.all().rank("average")
    )
    return round(float(np.corrcoef(ranks["a"], ranks["b"])[0, 1]), 12)
