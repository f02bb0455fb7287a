"""Tables that show a score to people: its spread per source, and texts at each decile."""

from __future__ import annotations

import numpy as np
import polars as pl

from curate.clean import apply_edits, clean
from curate.quality._arguments import checked_frame
from curate.quality._features import hashed
from curate.quality.explanation import group_contributions
from curate.quality.model import QualityModel

_FEWEST_DOCUMENTS = 5  # that hold a word which is shown
_QUANTILES = {"p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9}


def source_scores(scored: pl.DataFrame) -> pl.DataFrame:
    """Spread of the score in each source.

    Args:
        scored: `quality` (number) and `source`; null scores are left out.

    Returns:
        `group` (the source), `documents`, `mean`, `p10`, `p25`, `median`, `p75`, `p90`
        (Float64); best median first, ties by name.

    >>> scored = pl.DataFrame({"source": ["a", "a", "b"], "quality": [0.2, 0.4, 0.9]})
    >>> source_scores(scored).select("group", "documents", "median").rows()
    [('b', 1, 0.9), ('a', 2, 0.3)]
    """
    checked_frame(scored, "scores", columns=["source"], numbers=["quality"])
    score = pl.col("quality").cast(pl.Float64)
    return (
        scored.filter(pl.col("quality").is_not_null())
        .group_by(group="source")
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
        scored: `id`, `source`, `text`, `quality`. Personal data and secrets are masked.
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
    checked_frame(scored, "scores", columns=["id", "source", "text"], numbers=["quality"])
    known = scored.filter(pl.col("quality").is_not_null()).sort("quality", "id")
    place = (pl.int_range(pl.len()) * 10 // pl.max_horizontal(pl.len(), 1)).cast(pl.Int64) + 1
    draw = pl.Series("draw", hashed(known["id"].to_list(), seed=seed), dtype=pl.UInt64)
    chosen = known.with_columns(draw, decile=place).sort("decile", "draw", "id")
    shown = (
        chosen.group_by("decile", maintain_order=True).head(each).sort("decile", "quality", "id")
    )
    shown = shown.with_columns(excerpt=_masked(shown, chars))
    return shown.select("decile", "id", "source", "quality", "excerpt")


def describe(
    scored: pl.DataFrame,
    model: QualityModel | None = None,
    reference: pl.DataFrame | None = None,
    *,
    seed: int = 17,
) -> dict[str, pl.DataFrame]:
    """Everything that a report shows of a score beside its evaluation.

    Args:
        scored: Native documents: `id`, `source`, `text`, `quality`.
        model: The fitted model; `None` for a score of one's own, which has no words.
        reference: Texts of the reference: `id`, `text`.
        seed: Of the samples.

    Returns:
        `sources` (see `source_scores`), `deciles` (see `decile_examples`), and of a fitted model
        `terms` (`top_terms` of 2,000 documents of either side).

    >>> from curate.quality import fit_quality
    >>> sides = [
    ...     pl.DataFrame({"id": [f"{word}{i}" for i in range(20)], "source": ["s"] * 20,
    ...                   "text": [f"{word} text {i}" for i in range(20)]})
    ...     for word in ("good", "bad")
    ... ]
    >>> model = fit_quality(*sides)
    >>> scored = sides[1].with_columns(model.score(sides[1]))
    >>> sorted(describe(scored, model, sides[0]))
    ['deciles', 'sources', 'terms']
    """
    tables = {"sources": source_scores(scored), "deciles": decile_examples(scored, seed=seed)}
    if model is None:
        return tables
    sides = [scored] if reference is None else [scored, reference]
    texts = pl.concat([hash_sample(side, seed=seed)["text"] for side in sides])
    return tables | {"terms": model.terms(texts)}


def group_words(documents: pl.DataFrame, model: QualityModel, group: str) -> pl.DataFrame:
    """`group_contributions` of a sample: `group_column`, …; words of five documents or more.

    >>> from curate.quality import fit_quality
    >>> model = fit_quality([f"good {i}" for i in range(20)], [f"bad {i}" for i in range(20)])
    >>> frame = pl.DataFrame({"text": ["good"] * 6 + ["bad"] * 6, "site": ["a"] * 6 + ["b"] * 6})
    >>> group_words(frame, model, "site").filter(group="b").select("term").to_series().to_list()
    ['good', 'bad']
    """
    known = documents.filter(pl.col(group).is_not_null())
    known = known.with_columns(pl.col(group).cast(pl.String))
    found = group_contributions(
        known, model.weights, group=group, norm=model.norm, least=_FEWEST_DOCUMENTS
    )
    return found.select(pl.lit(group).alias("group_column"), pl.all())


def quality_keep_rates(verdicts: pl.DataFrame, group: str) -> pl.DataFrame:
    """Share of each group's native documents that pass the rules of the quality score.

    Args:
        verdicts: `control`, `failed` List[String], and the column `group`.
        group: Column that names the group.

    Returns:
        `group` String, `documents` Int64, `keep_rate` Float64; sorted by group.

    >>> verdicts = pl.DataFrame({"control": [None, None], "source": ["a", "a"],
    ...                          "failed": [["quality.score"], ["gopher_quality.words"]]})
    >>> quality_keep_rates(verdicts, "source").rows()
    [('a', 2, 0.5)]
    """
    passed = pl.col("failed").list.eval(pl.element().str.starts_with("quality.")).list.any().not_()
    return (
        verdicts.filter(pl.col("control").is_null(), pl.col(group).is_not_null())
        .group_by(group=pl.col(group).cast(pl.String))
        .agg(documents=pl.len().cast(pl.Int64), keep_rate=passed.mean())
        .sort("group")
    )


def hash_sample(documents: pl.DataFrame, *, size: int = 2_000, seed: int = 17) -> pl.DataFrame:
    """The documents whose ids have the lowest seeded hash, in their order.

    >>> frame = pl.DataFrame({"id": [str(i) for i in range(9)]})
    >>> hash_sample(frame, size=3, seed=1).height
    3
    """
    order = np.argsort(hashed(documents["id"].to_list(), seed=seed), kind="stable")
    return documents[np.sort(order[:size])]


def _masked(documents: pl.DataFrame, chars: int) -> pl.Series:
    """Beginnings of texts, personal data and secrets masked before they are cut."""
    edits = clean(documents.select("id", "text"), ("mask_pii",))
    return apply_edits(documents, edits).str.slice(0, chars)
