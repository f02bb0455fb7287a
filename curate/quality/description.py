"""Tables that show a score to people: its spread per source, and texts at each decile."""

from __future__ import annotations

import numpy as np
import polars as pl

from curate.quality._features import hashed
from curate.quality.explanation import group_contributions
from curate.quality.model import QualityModel

_SAMPLE = 2_000
_QUANTILES = {"p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9}


def source_scores(scored: pl.DataFrame, *, group: str = "source") -> pl.DataFrame:
    """Spread of the score in each group.

    Args:
        scored: `quality` (number) and the column `group`; null scores are left out.
        group: Column that names the group.

    Returns:
        `group`, `documents`, `mean`, `p10`, `p25`, `median`, `p75`, `p90` (Float64); best median
        first, ties by name.

    >>> scored = pl.DataFrame({"source": ["a", "a", "b"], "quality": [0.2, 0.4, 0.9]})
    >>> source_scores(scored).select("group", "documents", "median").rows()
    [('b', 1, 0.9), ('a', 2, 0.3)]
    """
    score = pl.col("quality").cast(pl.Float64)
    return (
        scored.filter(pl.col("quality").is_not_null())
        .group_by(group=pl.col(group))
        .agg(
            documents=pl.len().cast(pl.Int64),
            mean=score.mean().round(12),
            **{name: score.quantile(q, "linear").round(12) for name, q in _QUANTILES.items()},
        )
        .sort("median", "group", descending=[True, False])
    )


def decile_examples(
    scored: pl.DataFrame, *, each: int = 3, chars: int = 280, seed: int = 17
) -> pl.DataFrame:
    """A few texts drawn from each tenth of the scores.

    Args:
        scored: `id`, `source`, `text`, `quality`. Mask personal data first: excerpts are shown.
        each: Texts a decile; fewer where there are fewer.
        chars: Characters of an excerpt.
        seed: Of the draw.

    Returns:
        `decile` (1 = lowest), `id`, `source`, `quality`, `excerpt`; from the lowest up.

    >>> scored = pl.DataFrame({"id": [str(i) for i in range(20)], "source": ["s"] * 20,
    ...                        "text": ["words"] * 20, "quality": [i / 20 for i in range(20)]})
    >>> decile_examples(scored, each=1)["decile"].to_list()
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    known = scored.filter(pl.col("quality").is_not_null()).sort("quality", "id")
    place = (pl.int_range(pl.len()) * 10 // pl.max_horizontal(pl.len(), 1)).cast(pl.Int64) + 1
    draw = pl.Series("draw", hashed(known["id"].to_list(), seed=seed), dtype=pl.UInt64)
    chosen = known.with_columns(draw, decile=place).sort("decile", "draw", "id")
    return (
        chosen.group_by("decile", maintain_order=True)
        .head(each)
        .sort("decile", "quality", "id")
        .select("decile", "id", "source", "quality", excerpt=pl.col("text").str.slice(0, chars))
    )


def describe(
    model: QualityModel, scored: pl.DataFrame, reference: pl.DataFrame, *, seed: int = 17
) -> dict[str, pl.DataFrame]:
    """Everything that a report shows of a fitted score beside its evaluation.

    Args:
        model: The fitted model.
        scored: Native documents: `id`, `source`, `text` (personal data masked), `quality`.
        reference: Texts of the reference: `id`, `text`.
        seed: Of the samples.

    Returns:
        `sources` (see `source_scores`), `terms` (`top_terms` of 2,000 documents of either
        side), `group_terms` (`group_contributions` per source of 2,000 documents, where there
        are two sources), `deciles` (see `decile_examples`).

    >>> from curate.quality import fit_quality
    >>> sides = [
    ...     pl.DataFrame({"id": [f"{word}{i}" for i in range(20)], "source": ["s"] * 20,
    ...                   "text": [f"{word} text {i}" for i in range(20)]})
    ...     for word in ("good", "bad")
    ... ]
    >>> model = fit_quality(*sides)
    >>> scored = sides[1].with_columns(model.score(sides[1]))
    >>> sorted(describe(model, scored, sides[0]))
    ['deciles', 'sources', 'terms']
    """
    sample = _drawn(scored, seed)
    both = pl.concat([sample["text"], _drawn(reference, seed)["text"]])
    tables = {
        "sources": source_scores(scored),
        "terms": model.terms(both),
        "deciles": decile_examples(scored, seed=seed),
    }
    if sample["source"].n_unique() > 1:
        tables["group_terms"] = group_contributions(
            sample, model.weights, group="source", norm=model.norm
        )
    return tables


def _drawn(documents: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The documents of lowest hash, in their order."""
    order = np.argsort(hashed(documents["id"].to_list(), seed=seed), kind="stable")
    return documents[np.sort(order[:_SAMPLE])]
