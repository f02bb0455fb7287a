"""Quality scores that prove themselves: fitted, calibrated, evaluated, explained."""

from curate.quality.evaluation import evaluate_scores
from curate.quality.explanation import contributions
from curate.quality.model import QualityConfig, QualityModel, fit_quality, load_quality

__all__ = [
    "QualityConfig",
    "QualityModel",
    "contributions",
    "evaluate_scores",
    "fit_quality",
    "load_quality",
]
