"""Quality scores that prove themselves: fitted, calibrated, evaluated, explained.

Three scores (reference classifier, importance weights, perplexity), any scorer of one's own, and
their mean rank; every one of them is evaluated by the same figures, with intervals that leave out
whole sources and duplicate clusters.
"""

from curate.quality.card import model_card
from curate.quality.combination import agreement, mean_of_ranks
from curate.quality.config import SCORES, QualityConfig
from curate.quality.crossfit import CrossFitted, cross_fit, evaluate_score, score_units
from curate.quality.description import (
    decile_examples,
    describe,
    group_words,
    hash_sample,
    quality_keep_rates,
    source_scores,
)
from curate.quality.evaluation import evaluate_scores
from curate.quality.explanation import contributions, group_contributions, top_terms
from curate.quality.importance import ImportanceModel, fit_importance, gumbel_top_k, load_importance
from curate.quality.labels import apply_scorer, fit_labels, labelled_sides, load_scorer, scorer_file
from curate.quality.model import QualityModel, fit_quality, load_quality, training_documents
from curate.quality.perplexity import (
    PerplexityModel,
    fit_perplexity,
    load_perplexity,
    percentile_buckets,
)
from curate.quality.selection import FALLING, SelectionConfig, selection_ranks

__all__ = [
    "FALLING",
    "SCORES",
    "CrossFitted",
    "ImportanceModel",
    "PerplexityModel",
    "QualityConfig",
    "QualityModel",
    "SelectionConfig",
    "agreement",
    "apply_scorer",
    "contributions",
    "cross_fit",
    "decile_examples",
    "describe",
    "evaluate_score",
    "evaluate_scores",
    "fit_importance",
    "fit_labels",
    "fit_perplexity",
    "fit_quality",
    "group_contributions",
    "group_words",
    "gumbel_top_k",
    "hash_sample",
    "labelled_sides",
    "load_importance",
    "load_perplexity",
    "load_quality",
    "load_scorer",
    "mean_of_ranks",
    "model_card",
    "percentile_buckets",
    "quality_keep_rates",
    "score_units",
    "scorer_file",
    "selection_ranks",
    "source_scores",
    "top_terms",
    "training_documents",
]
