"""Names of the array types that pass between functions, and the way into the commonest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bools", "Codes", "Floats", "floats"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int64]  # numbers that stand for groups, strata, clusters


def floats(values: ArrayLike) -> Floats:
    """Any numbers as an array of float64.

    >>> floats([1, 2]).tolist()
    [1.0, 2.0]
    """
    return np.asarray(values, dtype=np.float64)
