"""From scores to an order of choice: an interval rule on the order's rank then selects.

A mode is a key for each document; the rank of a document is the share of documents that are
chosen no later than it, so `rank <= share` keeps that share. One column, one rule: the audit, the
what-if and the ablation read it like any other signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.errors import ConfigError, check_name
from curate.quality._arguments import check_numbers, checked_frame
from curate.quality._features import uniforms

MODES = ("top", "softmax", "pareto")
FALLING = ("bits_per_byte",)  # columns where lower is better


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionConfig:
    """Which documents a score selects.

    Attributes:
        share: Share of the documents (of each group) that is kept, in (0, 1].
        mode: `top` keeps the best. `softmax` draws without replacement with weights
            exp(score / temperature) (QuRating, Wettig et al. 2024; Gumbel top-k). `pareto` adds
            noise from a Pareto distribution with shape 1 / temperature to the score before the
            best are kept (GPT-3's filter, Brown et al. 2020, has shape 9).
        temperature: Of the draw, in units of the score; larger is closer to chance.
        within: Column whose groups are selected from separately, e.g. `source` or `language`;
            `None` = all documents together.
        score: Column that is selected by: `quality`, `importance`, `mean_rank`, or
            `bits_per_byte`, where lower is better.
        inverse: Choose the worst instead: the control of an experiment, never a curation.
    """

    share: float = 0.5
    mode: str = "top"
    temperature: float = 0.1
    within: str | None = None
    score: str = "quality"
    inverse: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, "quality.select", ("share", "temperature"))
        if not 0 < self.share <= 1:
            raise ConfigError(f"quality.select.share is {self.share}; allowed: above 0, up to 1")
        check_name("quality.select.mode", self.mode, MODES)
        if not 0 < self.temperature < np.inf:
            raise ConfigError(
                f"quality.select.temperature is {self.temperature}; it must be above 0"
            )


def selection_ranks(
    documents: pl.DataFrame, config: SelectionConfig | None = None, *, seed: int = 17
) -> pl.Series:
    """Rank of each document in the order of choice; Float64 in (0, 1], named `quality_rank`.

    Keep the documents with `quality_rank <= config.share`. Ties are broken by a seeded hash of
    the id, so equal scores are no reason to keep all or none. Documents without a score rank
    last. Planted controls take the rank that they would have and move no native document.

    Args:
        documents: `id` (String), `config.score` (number), the column `config.within`, and
            optionally `control` (String, null = native).
        config: Mode, groups, temperature.
        seed: Of draws and ties; the same seed and ids give the same order on every machine.

    Raises:
        ConfigError: A column is missing.

    >>> frame = pl.DataFrame({"id": ["a", "b", "c", "d"], "quality": [0.1, 0.9, 0.5, 0.7]})
    >>> selection_ranks(frame).to_list()
    [1.0, 0.25, 0.75, 0.5]
    >>> selection_ranks(frame, SelectionConfig(inverse=True)).to_list()
    [0.25, 1.0, 0.5, 0.75]
    """
    config = config or SelectionConfig()
    groups = [config.within] if config.within else []
    checked_frame(documents, "scores to select by", columns=["id", *groups], numbers=[config.score])
    native = np.ones(documents.height, dtype=bool)
    if "control" in documents.columns:
        native = documents["control"].is_null().to_numpy()
    group = np.zeros(documents.height, dtype=np.int64)
    if config.within:
        group = (
            documents[config.within]
            .cast(pl.String)
            .fill_null("")
            .rank("dense")
            .to_numpy()
            .astype(np.int64)
        )
    keys = selection_keys(documents, config, seed=seed)
    order = np.lexsort((uniforms(documents["id"].to_list(), seed=seed + 1), -keys, group))
    return pl.Series("quality_rank", _ranks(order, group, native))


def selection_keys(documents: pl.DataFrame, config: SelectionConfig, *, seed: int) -> Floats:
    """What documents are sorted by, highest first; without a score −∞.

    >>> frame = pl.DataFrame({"id": ["a"], "quality": [0.25]})
    >>> selection_keys(frame, SelectionConfig(inverse=True), seed=1).tolist()
    [-0.25]
    """
    score = documents[config.score].cast(pl.Float64).fill_nan(None).to_numpy()
    known = np.isfinite(score)
    turned = config.inverse != (config.score in FALLING)
    signed = np.where(known, -score if turned else score, 0.0)
    if config.mode != "top":
        draw = uniforms(documents["id"].to_list(), seed=seed)
        if config.mode == "softmax":
            signed = signed / config.temperature + gumbel(draw)
        else:
            signed = signed + (1 - draw) ** -config.temperature - 1  # a Pareto (Lomax) number
    return np.asarray(np.where(known, signed, -np.inf))


def gumbel(uniform: Floats) -> Floats:
    """Standard Gumbel numbers from uniform ones.

    The k documents with the largest log-weight + Gumbel are a draw of k without replacement, with
    probabilities in proportion to the weights (Vieira 2014; Kool et al. 2019).

    >>> gumbel(np.array([np.exp(-1.0)])).round(6).tolist()
    [-0.0]
    """
    return np.asarray(-np.log(-np.log(uniform)))


def _ranks(order: NDArray[np.int64], group: NDArray[np.int64], native: NDArray[np.bool_]) -> Floats:
    """Share of a group's native documents that are chosen no later; a control counts itself."""
    ordered, own = group[order], native[order]
    placed = np.cumsum(own)
    starts = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1]
    before = np.r_[0, placed][starts]
    block = np.repeat(np.arange(starts.size), np.diff(np.r_[starts, order.size]))
    sizes = np.add.reduceat(own, starts) if order.size else np.empty(0)
    rank = np.empty(order.size)
    place = placed - before[block] + ~own
    rank[order] = np.minimum(place / np.maximum(sizes[block], 1), 1.0)
    return rank
