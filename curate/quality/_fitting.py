"""Logistic regressions on hashed counts: final, out of fold, and to check one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.quality._calibration import fit_calibration
from curate.quality._features import hashed
from curate.quality._folds import Folds
from curate.quality.evaluation import plain
from curate.statistics import auc_interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_REGULARISATION = 10.0  # C; best Brier among 1, 10, 100 on documentation against mixed text
_CURVE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_TEST_SHARE = 5


def fit_linear(features: Any, label: Bools) -> tuple[Floats, float]:  # noqa: ANN401
    """Weights and intercept of a logistic regression on one thread; the sides weigh the same."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    used, place = np.unique(features.indices, return_inverse=True)
    met = csr_matrix((features.data, place, features.indptr), (features.shape[0], used.size))
    model = LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=500)
    with threadpool_limits(limits=1):
        model.fit(met, label)
    weights = np.zeros(features.shape[1])
    weights[used] = model.coef_[0]  # a bucket that no document meets has no weight
    return weights, float(model.intercept_[0])


def held_out_decisions(features: Any, label: Bools, folds: Folds, count: int) -> Floats:  # noqa: ANN401
    """Decision value of every document under a model that saw nothing of its fold."""
    decision = np.zeros(label.size)
    for fold in range(count):
        train, scored = folds.split(fold)
        if not scored.any():
            continue
        if not (label[train].any() and (~label[train]).any()):
            continue  # one source is a whole side: nothing to learn from, decision 0
        weights, intercept = fit_linear(features[train], label[train])
        decision[scored] = features[scored] @ weights + intercept
    return decision


def held_out_scores(decision: Floats, label: Bools, fold: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities by a calibration that did not see the fold either."""
    scores = np.empty(decision.size, dtype=np.float32)
    for k in np.unique(fold):
        others = fold != k
        enough = label[others].any() and (~label[others]).any()
        chosen = others if enough else np.ones_like(others)
        scores[~others] = fit_calibration(decision[chosen], label[chosen])(decision[~others])
    return scores


def checks(
    features: Any,  # noqa: ANN401 - a SciPy sparse matrix
    documents: pl.DataFrame,
    folds: Folds,
    *,
    seed: int,
) -> dict[str, Any]:
    """What the out-of-fold figure hides: plain train and test, and how it grows with labels.

    Args:
        features: One row a document.
        documents: `id`, `label`, `digest`.
        folds: As of the fit; its first fold is what the learning curve is scored on.
        seed: Of the split and of the order in which documents join.

    Returns:
        `train_test`: AUC on a fifth of the documents, drawn without regard to sources, of a
        model fitted on the rest; far above the out-of-fold AUC means that the model knows
        sources, not quality. `learning_curve`: `documents`, and the AUC on held-out units of a
        model that saw so many.
    """
    label = documents["label"].to_numpy()
    order = np.argsort(hashed(documents["id"].to_list(), seed=seed + 1), kind="stable")
    test = np.zeros(label.size, dtype=bool)
    test[order[::_TEST_SHARE]] = True
    train = ~test & ~np.isin(folds.cluster, folds.cluster[test])
    curve = []
    rest, scored = folds.split(0)
    ranked = order[rest[order]]
    for share in _CURVE_SHARES:
        chosen = ranked[: round(share * ranked.size)]
        found = _auc(features, label, chosen, scored, folds.unit)
        if found is not None:
            curve.append({"documents": int(chosen.size), **found})
    return {
        "train_test": _auc(features, label, np.flatnonzero(train), test, folds.unit),
        "learning_curve": curve,
    }


def _auc(
    features: Any,  # noqa: ANN401 - a SciPy sparse matrix
    label: Bools,
    train: NDArray[np.int64],
    test: Bools,
    unit: pl.Series,
) -> dict[str, float | None] | None:
    """AUC with interval of one split; None where a side is missing in either part."""
    for part in (label[train], label[test]):
        if part.size == 0 or part.all() or not part.any():
            return None
    weights, intercept = fit_linear(features[train], label[train])
    decision = features[test] @ weights + intercept
    return plain(auc_interval(label[test], decision, unit.filter(pl.Series(test)).to_numpy()))
