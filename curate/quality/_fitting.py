"""Logistic regressions on hashed counts: final, out of fold, and to check one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.quality._calibration import fit_calibration
from curate.quality._features import hashed
from curate.quality._folds import Folds, make_folds
from curate.quality.evaluation import plain
from curate.statistics import auc_interval

_REGULARISATION = 10.0  # C; best Brier among 1, 10, 100 on documentation against mixed text
_CURVE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_TEST_SHARE = 5


def fit_linear(features: Any, label: Bools) -> tuple[Floats, float]:  # noqa: ANN401
    """Weights and intercept of a logistic regression on one thread; the sides weigh the same."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    small, widen = _narrowed(features)
    model = LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=500)
    with threadpool_limits(limits=1):
        model.fit(small, label)
    return widen(model.coef_[0]), float(model.intercept_[0])


def _narrowed(features: Any) -> tuple[Any, Callable[[Floats], Floats]]:  # noqa: ANN401 - SciPy
    """The same regression on far fewer columns, and the way back to a weight for each bucket.

    A bucket that no document meets has no weight. The buckets that one document alone meets are
    one column, of their length: the penalty knows lengths only, so that the best weights of
    these buckets are in proportion to their counts. This is a rotation, not an approximation.
    """
    from scipy.sparse import csr_matrix, hstack

    documents, buckets = features.shape
    met = np.bincount(features.indices, minlength=buckets)
    alone = met[features.indices] == 1
    rows = np.repeat(np.arange(documents, dtype=np.int32), np.diff(features.indptr))
    common = met > 1
    place = (np.cumsum(common) - 1).astype(np.int32)
    ends = np.cumsum(np.bincount(rows[~alone], minlength=documents))
    indptr = np.r_[0, ends].astype(np.int32)
    shared = (features.data[~alone], place[features.indices[~alone]], indptr)
    length = np.sqrt(np.bincount(rows[alone], features.data[alone] ** 2, documents))
    own = np.flatnonzero(length > 0)
    lengths = (length[own], (own, np.arange(own.size)))
    width = int(common.sum())
    small = hstack(
        [csr_matrix(shared, (documents, width)), csr_matrix(lengths, (documents, own.size))], "csr"
    )

    def widen(found: Floats) -> Floats:
        weights = np.zeros(buckets)
        weights[common] = found[:width]
        of_row = np.zeros(documents)
        of_row[own] = found[width:] / length[own]
        weights[features.indices[alone]] = of_row[rows[alone]] * features.data[alone]
        return weights

    return small, widen


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
    scores: NDArray[np.float32],
    seed: int,
) -> dict[str, Any]:
    """What the out-of-fold figure hides: plain train and test, and how it grows with labels.

    Args:
        features: One row a document.
        documents: `id`, `source`, `label`, `digest`, optionally `group`, `cluster_id`.
        folds: As of the fit; its first fold is what the learning curve is scored on.
        scores: Out-of-fold scores of the fit.
        seed: Of the split and of the order in which documents join.

    Returns:
        `train_test`: AUC on a fifth of the documents, drawn without regard to sources, of a
        model fitted on the rest; far above the out-of-fold AUC means that the model knows
        sources, not quality. `held_out_sources`: AUC where no source is ever split, and the
        number of `sources` a side (a side of one source is split by file; null where both are).
        `learning_curve`: `documents`, and the AUC on held-out units of a model that saw so many.
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
    whole = _held_out_sources(features, documents, folds, scores=scores, seed=seed)
    return {
        "train_test": _auc(features, label, np.flatnonzero(train), test, folds.unit),
        "held_out_sources": whole,
        "learning_curve": curve,
    }


def _held_out_sources(
    features: Any,  # noqa: ANN401 - a SciPy sparse matrix
    documents: pl.DataFrame,
    folds: Folds,
    *,
    scores: NDArray[np.float32],
    seed: int,
) -> dict[str, Any] | None:
    """AUC with whole sources held out; the fit's own scores where it split none either."""
    level = "group" if "group" in documents.columns else "source"
    label = documents["label"].to_numpy()
    sources = {
        name: int(documents.filter(label=side)[level].n_unique())
        for name, side in (("reference", True), ("background", False))
    }
    if max(sources.values()) < 2:
        return None
    count = int(folds.fold.max()) + 1
    whole = make_folds(documents, count, seed=seed, whole=True)
    if not whole.unit.equals(folds.unit):
        decision = held_out_decisions(features, label, whole, count)
        scores = held_out_scores(decision, label, whole.fold)
    found = plain(auc_interval(label, scores, whole.unit.to_numpy()))
    return {**found, "sources": sources}


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
