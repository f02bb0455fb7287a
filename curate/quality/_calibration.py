"""Decision values to probabilities: one slope, one offset (Platt 1999)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats


class Calibration(NamedTuple):
    """probability = 1 / (1 + exp(−(slope · decision + offset))); the slope is never negative."""

    slope: float
    offset: float

    def __call__(self, decisions: Floats) -> Floats:
        """Probabilities in [0, 1], rising with the decision value."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * decisions + self.offset))


def fit_calibration(decisions: Floats, label: NDArray[np.bool_]) -> Calibration:
    """Platt's fit on held-out decision values, both sides weighing the same.

    Targets are drawn in by one document a side, as Platt does, so that a perfect separation
    keeps a finite slope. The probability is thus that of a corpus with half of each side.

    >>> calibration = fit_calibration(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]) > 0)
    >>> calibration(np.array([-9.0, 0.0, 9.0])).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    positive, negative = int(label.sum()), int((~label).sum())
    target = np.where(label, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weight = np.where(label, 0.5 / positive, 0.5 / negative)
    scale = float(decisions.std()) or 1.0
    design = np.stack([decisions / scale, np.ones_like(decisions)])
    found = np.zeros(2)
    for _ in range(60):
        p = Calibration(*found)(design[0])
        gradient = design @ (weight * (p - target))
        hessian = (design * (weight * np.maximum(p * (1 - p), 1e-12))) @ design.T
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        found = found - step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-10:
            break
    return Calibration(max(0.0, float(found[0]) / scale), float(found[1]))
