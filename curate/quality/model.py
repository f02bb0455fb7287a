"""A quality score: how much a document reads like the reference rather than the background.

Hashed 1- and 2-grams and a logistic regression, calibrated on out-of-fold decision values.
Notable choices, and their price:

- The background is the user's own corpus, unlabelled: good documents in it are called
  background, so a probability of 0.5 means "as typical of the one as of the other".
- Count vectors have unit length: a long document gains nothing by being long.
- A document the model was fitted on is known by its text, and keeps its out-of-fold score.
- Fits run on one thread, so that equal inputs give equal bytes.
- Topic is not quality: a reference of one topic scores that topic.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.corpus import file_digest, write_atomically, write_bytes_atomically
from curate.errors import ConfigError
from curate.frames import polars_frame
from curate.quality._arguments import check_digests, read_card
from curate.quality._calibration import Calibration, fit_calibration
from curate.quality._features import Texts, as_texts, counted, decisions, digests, hashed
from curate.quality._fitting import checks, fit_linear, held_out_decisions, held_out_scores
from curate.quality._folds import make_folds
from curate.quality.config import MIN_DOCUMENTS, QualityConfig
from curate.quality.evaluation import evaluate_scores
from curate.quality.explanation import contributions, top_terms

_FEATURES = 2  # of the hashed terms; a model of another number must be fitted again
_FILES = ("weights.npz", "fitted.parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityModel:
    """A fitted score; `fit_quality` makes one, `load_quality` reads one.

    Attributes:
        weights: One weight a bucket (Float64, 2**bits).
        intercept: Added to every decision value.
        calibration: Decision value to probability.
        out_of_fold: The documents fitted on: `id`, `label` (true = reference), `digest`
            (UInt64, of the text), `unit` (kept together in a fold), `source`, `text_chars`,
            `score`.
        facts: Seed and sizes of the fit, the cut, and the `checks` that were fitted beside it.
    """

    weights: Floats = field(repr=False)
    intercept: float
    calibration: Calibration
    out_of_fold: pl.DataFrame = field(repr=False)
    facts: dict[str, Any]

    def score(self, documents: Texts) -> pl.Series:
        """Probability in [0, 1] of reading like the reference; Float32, named `quality`.

        Documents whose text was fitted on get their out-of-fold score.

        Args:
            documents: A frame with `text`, a series, or a sequence of texts. Null and empty
                texts get the score of the bare intercept.
        """
        texts = as_texts(documents)
        scores = self.calibration(self.decision(texts)).astype(np.float32)
        known = (
            self.out_of_fold.select("digest", "score").unique("digest", keep="first").sort("digest")
        )
        keys, found = known["digest"].to_numpy(), digests(texts)
        place = np.minimum(np.searchsorted(keys, found), keys.size - 1)
        fitted = keys[place] == found
        scores[fitted] = known["score"].to_numpy()[place[fitted]]
        return pl.Series("quality", scores)

    def decision(self, documents: Texts) -> Floats:
        """Decision values of the linear model, uncalibrated; batch by batch."""
        return decisions(as_texts(documents), self.weights, self.intercept, norm=self.norm)

    @property
    def norm(self) -> str:
        """`unit` or `share`: what counts are divided by."""
        return str(self.facts["norm"])

    def explain(self, text: str, *, top: int = 20) -> pl.DataFrame:
        """The `top` terms that move this text's decision value most; see `contributions`."""
        return contributions(text, self.weights, norm=self.norm).head(top)

    def terms(self, documents: Texts, *, top: int = 10) -> pl.DataFrame:
        """The terms of highest and lowest weight among those of a sample; see `top_terms`."""
        return top_terms(as_texts(documents), self.weights, top=top)

    def evaluate(self, *, cut: float | None = None) -> dict[str, Any]:
        """Figures on out-of-fold scores, and the checks of the fit; see `evaluate_scores`.

        Args:
            cut: Default: the config's `min`, or 0.5.
        """
        own = self.facts["min"]
        chosen = cut if cut is not None else 0.5 if own is None else own
        return {**evaluate_scores(self.out_of_fold, cut=chosen), **self.facts["checked"]}

    def save(self, folder: Path | str) -> None:
        """Write `weights.npz`, `fitted.parquet` and `model.json` with their digests; no pickle."""
        folder = Path(folder)
        buffer = io.BytesIO()
        np.savez(buffer, weights=self.weights)
        write_bytes_atomically(buffer.getvalue(), folder / _FILES[0])
        write_atomically(self.out_of_fold, folder / _FILES[1])
        card = {
            "intercept": self.intercept,
            "calibration": self.calibration._asdict(),
            "facts": self.facts,
            "features": _FEATURES,
            "sha256": {name: file_digest(folder / name) for name in _FILES},
        }
        text = json.dumps(card, indent=2, sort_keys=True) + "\n"
        write_bytes_atomically(text.encode(), folder / "model.json")


def load_quality(folder: Path | str) -> QualityModel:
    """Read a saved model; it scores bit for bit as it did.

    Raises:
        IntegrityError: A file is not the one that was saved.
        ConfigError: The folder holds no model.

    >>> import tempfile
    >>> model = fit_quality([f"good text {i}" for i in range(20)], [f"bad {i}" for i in range(20)])
    >>> folder = tempfile.mkdtemp()
    >>> model.save(folder)
    >>> load_quality(folder).score(["good text"]).equals(model.score(["good text"]))
    True
    """
    folder = Path(folder)
    card = read_card(folder, "model.json", "quality model")
    if card.get("features") != _FEATURES:
        raise ConfigError(f"the model in {str(folder)!r} counts terms in an older way: fit it anew")
    check_digests(folder, card["sha256"])
    with np.load(folder / _FILES[0], allow_pickle=False) as arrays:
        weights = arrays["weights"]
    return QualityModel(
        weights=weights,
        intercept=card["intercept"],
        calibration=Calibration(**card["calibration"]),
        out_of_fold=pl.read_parquet(folder / _FILES[1]),
        facts=card["facts"],
    )


def fit_quality(
    reference: Texts,
    background: Texts,
    *,
    config: QualityConfig | None = None,
    seed: int = 17,
) -> QualityModel:
    """Learn what tells the reference from the background.

    Args:
        reference: Texts of the wished quality: a frame with `text` and, where present, `id`,
            `source`, `group`, `cluster_id` (String), or a sequence of texts.
        background: Texts of the corpus to be judged, alike; `control` documents are left out,
            and so are texts that stand in the reference, with their near copies where
            `cluster_id` tells of them.
        config: Sizes; where texts and other scores come from is not read here.
        seed: Of the samples and the folds.

    Raises:
        ConfigError: Fewer than 20 documents on one side.

    >>> good, bad = [f"a clear sentence {i}" for i in range(30)], [f"xx yy {i}" for i in range(30)]
    >>> model = fit_quality(good, bad)
    >>> low, high = model.score(["yy xx", "one clear sentence"])
    >>> low < 0.5 < high
    True
    """
    config = config or QualityConfig()
    if not isinstance(config, QualityConfig):
        raise ConfigError(f"config is a {type(config).__name__}; give a QualityConfig")
    documents = training_documents(reference, background, config, seed=seed)
    texts = documents["text"].str.slice(0, config.max_chars)
    features = counted(texts, config.bits, config.norm)
    label = documents["label"].to_numpy()
    folds = make_folds(documents, config.folds, seed=seed)
    held_out = held_out_decisions(features, label, folds, config.folds)
    weights, intercept = fit_linear(features, label)
    scores = held_out_scores(held_out, label, folds.fold)
    fitted = documents.select("id", "source", "label", "digest", unit=folds.unit).with_columns(
        text_chars=documents["text"].str.len_chars().cast(pl.Int64), score=pl.Series(scores)
    )
    checked = checks(features, documents, folds, scores=scores, seed=seed) if config.checks else {}
    return QualityModel(
        weights=weights,
        intercept=intercept,
        calibration=fit_calibration(held_out, label),
        out_of_fold=fitted,
        facts={"seed": seed, **config.fitted(), "checked": checked},
    )


def training_documents(
    reference: Texts, background: Texts, config: QualityConfig, *, seed: int
) -> pl.DataFrame:
    """Samples of both sides, one row a document; no text, and no near copy of one, on both sides.

    Args:
        reference: As for `fit_quality`.
        background: As for `fit_quality`.
        config: Its `max_documents`.
        seed: Of the samples.

    Returns:
        `row`, `id`, `source`, `text`, `digest` (UInt64, of the text), `label` (true = reference),
        and where present `group`, `cluster_id`.

    Raises:
        ConfigError: Fewer than 20 documents on one side.

    >>> sides = [f"good {i}" for i in range(20)], [f"bad {i}" for i in range(30)]
    >>> training_documents(*sides, QualityConfig(), seed=1)["label"].sum()
    20
    """
    sides = _apart(_table(reference), _table(background))
    for name, side in zip(("reference", "background"), sides, strict=True):
        if side.height < MIN_DOCUMENTS:
            raise ConfigError(
                f"the {name} has {side.height} documents that the other side has not;"
                f" a quality score needs at least {MIN_DOCUMENTS}"
            )
    drawn = [
        _sample(side, config.max_documents, seed).with_columns(label=pl.lit(positive))
        for side, positive in zip(sides, (True, False), strict=True)
    ]
    return pl.concat(drawn, how="diagonal").with_row_index("row")


def _apart(reference: pl.DataFrame, background: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides without what stands on both: equal texts, and copies that clusters tell of.

    A reference is often a part of the corpus. Its documents then lend it their clusters, so that
    near copies of a reference text neither count as background nor stand in another fold.
    """
    wanted = reference.select(pl.col("digest").unique())
    if "cluster_id" in background.columns and "cluster_id" not in reference.columns:
        shared = background.join(wanted, on="digest", how="semi", maintain_order="left")
        known = shared.select("digest", "cluster_id").drop_nulls().unique("digest", keep="first")
        reference = reference.join(known, on="digest", how="left", maintain_order="left")
        copies = known.select(pl.col("cluster_id").unique())
        background = background.join(copies, on="cluster_id", how="anti", maintain_order="left")
    return reference, background.join(wanted, on="digest", how="anti", maintain_order="left")


def _table(documents: Texts) -> pl.DataFrame:
    """Text, digest, and what folds are made of; controls are left out."""
    if not isinstance(documents, pl.LazyFrame) and hasattr(documents, "columns"):
        documents = polars_frame(documents)
    if isinstance(documents, pl.LazyFrame):
        documents = documents.collect()
    if not isinstance(documents, pl.DataFrame):
        documents = as_texts(documents).alias("text").to_frame()
    if "control" in documents.columns:
        documents = documents.filter(pl.col("control").is_null())
    texts = as_texts(documents)
    kept = [c for c in ("group", "cluster_id") if c in documents.columns]
    rows = pl.int_range(documents.height, eager=True).cast(pl.String)
    return documents.select(
        *kept,
        id=documents["id"] if "id" in documents.columns else rows,
        source=documents["source"] if "source" in documents.columns else pl.lit("unknown"),
        text=texts,
        digest=pl.Series(digests(texts), dtype=pl.UInt64),
    )


def _sample(side: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """The documents of lowest hash, in their order; one copy of each text."""
    side = side.unique("digest", keep="first", maintain_order=True)
    order = np.argsort(hashed(side["id"].to_list(), seed=seed), kind="stable")[:size]
    return side[np.sort(order)]
