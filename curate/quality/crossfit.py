"""Perplexity and importance weights that do not flatter the texts they were fitted on.

Two models, each fitted without one half of the documents (whole sources and duplicate clusters
to a half). A document of a half, or a copy of one, is scored by the model that did not see it;
every other document by the mean of both. The price: each model learns from half of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from curate.corpus import write_atomically
from curate.errors import ConfigError
from curate.quality._features import Texts, as_texts, digests
from curate.quality._folds import make_folds
from curate.quality.evaluation import evaluate_scores
from curate.quality.importance import fit_importance
from curate.quality.perplexity import fit_perplexity
from curate.quality.selection import FALLING

_SHOWN = ("documents", "units", "auc", "average_precision", "length", "warnings")


class _Scorer(Protocol):
    def score(self, documents: Texts) -> pl.Series:
        """One number a text."""

    def save(self, folder: Path | str) -> None:
        """Write the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossFitted:
    """Two models of which each has not seen one half of the documents.

    Attributes:
        models: One fitted without the first half, one without the second.
        halves: `digest` UInt64 and where known `cluster_id` of the fitted documents, `half` Int64.
    """

    models: tuple[_Scorer, _Scorer]
    halves: pl.DataFrame = field(repr=False)

    def score(self, documents: Texts) -> pl.Series:
        """Scores of texts; a frame with `cluster_id` tells which are copies of fitted ones."""
        texts = as_texts(documents)
        half = self._halves_of(documents, texts)
        scored = [model.score(texts) for model in self.models]
        first, second = (s.cast(pl.Float64).fill_null(float("nan")).to_numpy() for s in scored)
        found = np.where(half == 0, first, np.where(half == 1, second, (first + second) / 2))
        return pl.Series(scored[0].name, found).fill_nan(None)

    def save(self, folder: Path | str) -> None:
        """Write both models as `half-0` and `half-1`, and `halves.parquet`: who is in which."""
        for place, model in enumerate(self.models):
            model.save(Path(folder) / f"half-{place}")
        write_atomically(self.halves, Path(folder) / "halves.parquet")

    def _halves_of(self, documents: Texts, texts: pl.Series) -> np.ndarray[Any, Any]:
        known = pl.DataFrame({"digest": pl.Series(digests(texts), dtype=pl.UInt64)})
        known = _looked_up(known, self.halves, "digest")
        if isinstance(documents, pl.DataFrame) and "cluster_id" in documents.columns:
            clustered = documents.select("cluster_id")
            if "cluster_id" in self.halves.columns:
                copies = _looked_up(clustered, self.halves.drop_nulls("cluster_id"), "cluster_id")
                known = known.with_columns(half=pl.coalesce("half", copies["half"]))
        return known["half"].fill_null(-1).to_numpy()


def cross_fit(kind: str, documents: pl.DataFrame, *, seed: int) -> CrossFitted:
    """Fit a score twice, each time without one half of the documents.

    Args:
        kind: `perplexity` or `importance`.
        documents: From `training_documents`.
        seed: Of the halves.

    Raises:
        ConfigError: Another kind, or a half that has no words.

    >>> from curate.quality import QualityConfig, training_documents
    >>> good = [f"calm words about topic {i % 5} and {i}" for i in range(40)]
    >>> bad = [f"click now offer {i % 5} free {i}" for i in range(40)]
    >>> fitted = cross_fit(
    ...     "importance", training_documents(good, bad, QualityConfig(), seed=1), seed=1
    ... )
    >>> calm, click = fitted.score(["calm words", "click now"])
    >>> calm > 0 > click
    True
    """
    folds = make_folds(documents, 2, seed=seed)
    models = []
    for half in (0, 1):
        seen, _ = folds.split(half)
        models.append(_fitted(kind, documents.filter(pl.Series(seen))))
    names = [name for name in ("digest", "cluster_id") if name in documents.columns]
    halves = documents.select(names).with_columns(half=pl.Series(folds.fold))
    return CrossFitted(models=(models[0], models[1]), halves=halves)


def evaluate_score(scored: pl.DataFrame, column: str) -> dict[str, Any]:
    """How well a score of any scale tells the two sides, and whether it follows length.

    Args:
        scored: `label`, `unit`, `text_chars`, optionally `source`, and the score; rows without
            one are left out. A score where lower is better is turned round.
        column: Name of the score.

    Returns:
        `score`, and of `evaluate_scores`: `documents`, `units`, `auc`, `average_precision`,
        `length`, `warnings`. Only `score` where a side is empty.

    >>> scored = pl.DataFrame({"label": [True, True, False], "unit": ["a", "b", "c"],
    ...                        "text_chars": [3, 4, 5], "bits_per_byte": [1.0, 2.0, 3.0]})
    >>> evaluate_score(scored, "bits_per_byte")["auc"]["estimate"]
    1.0
    """
    sign = -1.0 if column in FALLING else 1.0
    known = scored.with_columns(score=pl.col(column).cast(pl.Float64) * sign)
    known = known.filter(pl.col("score").is_finite())
    if known["label"].n_unique() < 2:
        return {"score": column}
    found = evaluate_scores(known, probabilities=False)
    return {"score": column, **{name: found[name] for name in _SHOWN}}


def score_units(documents: pl.DataFrame, *, folds: int, seed: int) -> pl.DataFrame:
    """What an evaluation needs to know of `training_documents` beside their scores.

    Returns:
        `label`, `unit`, `text_chars`, `source`, in the order of the documents.

    >>> from curate.quality import QualityConfig, training_documents
    >>> sides = [f"good {i}" for i in range(20)], [f"bad {i}" for i in range(30)]
    >>> documents = training_documents(*sides, QualityConfig(), seed=1)
    >>> score_units(documents, folds=5, seed=1).columns
    ['label', 'source', 'text_chars', 'unit']
    """
    return documents.select(
        "label", "source", text_chars=pl.col("text").str.len_chars().cast(pl.Int64)
    ).with_columns(unit=make_folds(documents, folds, seed=seed).unit)


def _fitted(kind: str, documents: pl.DataFrame) -> _Scorer:
    reference, background = documents.filter("label"), documents.filter(~pl.col("label"))
    fits: Mapping[str, Any] = {
        "perplexity": lambda: fit_perplexity(reference),
        "importance": lambda: fit_importance(reference, background),
    }
    if kind not in fits:
        raise ConfigError(f"no score {kind!r} to fit twice; allowed: {', '.join(fits)}")
    fitted: _Scorer = fits[kind]()
    return fitted


def _looked_up(rows: pl.DataFrame, halves: pl.DataFrame, key: str) -> pl.DataFrame:
    found = halves.unique(key, keep="first", maintain_order=True).select(key, "half")
    return rows.join(found, on=key, how="left", maintain_order="left")
