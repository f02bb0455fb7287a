"""Scaling of a labelled task: a linear classifier trained on growing parts of each arm.

Language models ask what text is worth for predicting text. Where documents carry a label, the task
itself can be asked: how well does a classifier do that was trained on n documents of raw text, or
on n of curated text? Documents are judged by classifiers that saw neither them nor a copy of them
nor their source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.errors import ConfigError
from curate.quality import evaluate_scores
from curate.subsets import draw_order

TASK_SCHEMA: Mapping[str, Any] = {
    "arm": pl.String,
    "n_documents": pl.Int64,
    "eval_set": pl.String,
    "figure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "spread": pl.Float64,
    "n_replicates": pl.Int64,
}
FIGURES = ("precision", "recall", "f1", "auc")
FOLDS = 5
RUNGS = 4
LEAST = 40  # documents of each label in an arm; below it nothing is learned
BUCKETS = 1 << 16


__all__ = ["TASK_SCHEMA", "labelled_task"]


def labelled_task(
    documents: pl.DataFrame,
    *,
    arms: Sequence[str] = ("raw", "curated"),
    replicates: int = 3,
    seed: int = 17,
) -> pl.DataFrame:
    """Precision, recall, F1 and ROC-AUC of a classifier by arm and number of training documents.

    Logistic regression over hashed words and pairs of words. Documents are split into five folds
    by source (by document where there are fewer than five sources); each fold is judged by a
    classifier trained on the first n documents, in draw order, of an arm's other four.

    Args:
        documents: `id`, `text` String, `label` Boolean (null = left out), optionally `source`,
            `cluster` of copies (null = none), and a Boolean column for each arm but "raw".
        arms: Arms to train on.
        replicates: Draw orders.
        seed: Of folds and orders.

    Returns:
        One row a figure, columns as `TASK_SCHEMA`. `n_documents` is what the classifiers of one
        fold were trained on; the budgets double up to what the smallest arm has. `eval_set` is
        "held_out_raw" or "held_out_curated": out-of-fold documents of raw, or those of them that
        "curated" keeps (each side favours its own, so both stand there). `estimate` is the mean
        over draws, `low` and `high` its 95 % interval over sources in the first draw, shifted to
        the mean; `spread` the standard deviation between draws.

    Raises:
        ConfigError: A column is missing, labels are not Boolean, or an arm has under 40 of one.

    >>> frame = pl.DataFrame({"id": [str(i) for i in range(200)], "label": [True, False] * 100,
    ...     "text": [f"{('good', 'poor')[i % 2]} text {i}" for i in range(200)],
    ...     "curated": [True] * 200})
    >>> found = labelled_task(frame, replicates=1)
    >>> row = found.filter(arm="curated", figure="auc", eval_set="held_out_raw").row(-1, named=True)
    >>> row["n_documents"], row["estimate"]
    (160, 1.0)
    """
    documents = _checked(documents, arms)
    features = _features(documents["text"])
    label = documents["label"].to_numpy().astype(np.bool_)
    unit = _units(documents)
    fold = _folds(unit, seed)
    unseen = _unseen(documents, fold)
    budgets = _budgets(documents, arms, unseen)
    rows = []
    for arm in arms:
        mask = _mask(documents, arm)
        drawn = [_drawn(documents, mask, seed, replicate) for replicate in range(replicates)]
        for budget in budgets:
            scores = [
                _out_of_fold(features, label, fold, [r[:budget] for r in _teaching(train, unseen)])
                for train in drawn
            ]
            for name, inside in _evaluations(documents):
                rows += [
                    {"arm": arm, "n_documents": budget, "eval_set": name, **row}
                    for row in _figures(documents, scores, inside, unit)
                ]
    return pl.DataFrame(rows, schema=dict(TASK_SCHEMA))


def _checked(documents: pl.DataFrame, arms: Sequence[str]) -> pl.DataFrame:
    needed = {"id", "text", "label", *(arm for arm in arms if arm != "raw")}
    if missing := sorted(needed - set(documents.columns)):
        raise ConfigError(f"labelled documents lack the columns {missing}")
    if documents["label"].dtype != pl.Boolean:
        raise ConfigError(f"labels must be Boolean, got {documents['label'].dtype}")
    documents = documents.filter(pl.col("label").is_not_null())
    for arm in arms:
        kept = documents.filter(pl.Series(_mask(documents, arm)))["label"]
        few = min(int(kept.sum()), int((~kept).sum())) if kept.len() else 0
        if few < LEAST:
            raise ConfigError(
                f"the arm {arm!r} has {few} documents of one label; {LEAST} are needed"
            )
    return documents


def _mask(documents: pl.DataFrame, arm: str) -> Bools:
    if arm == "raw":
        return np.ones(documents.height, np.bool_)
    return documents[arm].fill_null(value=False).to_numpy().astype(np.bool_)


def _features(texts: pl.Series) -> Any:  # noqa: ANN401 - a SciPy matrix
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(ngram_range=(1, 2), n_features=BUCKETS, alternate_sign=False)
    return vectorizer.transform(texts.to_list())


def _units(documents: pl.DataFrame) -> NDArray[np.str_]:
    by_source = "source" in documents.columns and documents["source"].n_unique() >= FOLDS
    return documents["source" if by_source else "id"].to_numpy().astype(str)


def _folds(unit: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """Whole units to folds, the largest first into the smallest fold; ties by draw order."""
    names, sizes = np.unique(unit, return_counts=True)
    drawn = draw_order(names.tolist(), seed=seed, replicate=0)
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    filled, fold = np.zeros(FOLDS, np.int64), np.zeros(len(names), np.int64)
    for i in order:
        fold[i] = int(np.argmin(filled))
        filled[fold[i]] += sizes[i]
    return np.asarray(fold[np.searchsorted(names, unit)])


def _unseen(documents: pl.DataFrame, fold: NDArray[np.int64]) -> Bools:
    """Folds x documents: which may teach the classifier of a fold, copies of its own left out."""
    unseen: Bools = np.arange(FOLDS)[:, None] != fold
    if "cluster" not in documents.columns:
        return unseen
    cluster = documents["cluster"].rank("dense").fill_null(0).to_numpy()
    for f, mask in enumerate(unseen):
        mask &= (cluster == 0) | ~np.isin(cluster, cluster[fold == f])
    return unseen


def _budgets(documents: pl.DataFrame, arms: Sequence[str], unseen: Bools) -> list[int]:
    masks = [_mask(documents, arm) for arm in arms]
    top = min(int((mask & teaches).sum()) for mask in masks for teaches in unseen)
    return [top >> k for k in reversed(range(RUNGS)) if top >> k >= LEAST // 2]


def _drawn(documents: pl.DataFrame, mask: Bools, seed: int, replicate: int) -> NDArray[np.int64]:
    order = draw_order(documents["id"].to_list(), seed=seed, replicate=replicate)
    return order[mask[order]]


def _teaching(train: NDArray[np.int64], unseen: Bools) -> list[NDArray[np.int64]]:
    """Rows that may teach the classifier of each fold, in draw order."""
    return [train[teaches[train]] for teaches in unseen]


def _out_of_fold(
    features: Any,  # noqa: ANN401
    label: Bools,
    fold: NDArray[np.int64],
    teaching: Sequence[NDArray[np.int64]],
) -> Floats:
    """Probability of each document's label by the classifier that did not see its fold."""
    from sklearn.linear_model import LogisticRegression

    scores = np.full(len(label), 0.5)
    for f, rows in enumerate(teaching):
        judged = np.flatnonzero(fold == f)
        if label[rows].all() or not label[rows].any():
            continue  # one label alone teaches nothing: every document stays at one half
        model = LogisticRegression(max_iter=500, class_weight="balanced")
        model.fit(features[rows], label[rows])
        scores[judged] = model.predict_proba(features[judged])[:, 1]
    return scores


def _evaluations(documents: pl.DataFrame) -> Iterator[tuple[str, Bools]]:
    yield "held_out_raw", np.ones(documents.height, np.bool_)
    if "curated" in documents.columns:
        yield "held_out_curated", _mask(documents, "curated")


def _figures(
    documents: pl.DataFrame, scores: Sequence[Floats], inside: Bools, unit: NDArray[np.str_]
) -> Iterator[dict[str, Any]]:
    chosen = documents.filter(pl.Series(inside))
    draws = [
        evaluate_scores(
            pl.DataFrame(
                {
                    "label": chosen["label"],
                    "score": score[inside],
                    "unit": unit[inside],
                    "text_chars": chosen["text"].str.len_chars().cast(pl.Int64),
                }
            ),
            probabilities=False,  # its calibration is not asked for
        )
        for score in scores
    ]
    for figure in FIGURES:
        values = np.array([draw[figure]["estimate"] for draw in draws])
        first = draws[0][figure]
        mean = float(values.mean())
        low, high = (
            None if first[end] is None else float(np.clip(first[end] + mean - values[0], 0, 1))
            for end in ("low", "high")
        )
        yield {
            "figure": figure,
            "estimate": mean,
            "low": low,
            "high": high,
            "spread": float(values.std(ddof=1)) if len(values) > 1 else None,
            "n_replicates": len(values),
        }
