"""The quality stage of a run: every score that the config asks for, as columns beside the ids.

`quality/part-*.parquet` hold one column a score; what describes, evaluates and compares the
scores lies beside them, for people and for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.corpus import (
    InputConfig,
    ingest,
    ingest_beside,
    keys_named,
    write_atomically,
    write_bytes_atomically,
)
from curate.duplicates import clusters
from curate.errors import ConfigError, InputError
from curate.quality import (
    FALLING,
    QualityConfig,
    QualityModel,
    agreement,
    apply_scorer,
    cross_fit,
    describe,
    evaluate_score,
    fit_quality,
    group_words,
    hash_sample,
    labelled_sides,
    load_quality,
    load_scorer,
    mean_of_ranks,
    model_card,
    percentile_buckets,
    score_units,
    selection_ranks,
    training_documents,
)
from curate.run_folder import RunFolder
from curate.shards import Context, Facts, cleaned_parts

Score = Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sides:
    """What the fitted scores learn from."""

    reference: pl.DataFrame
    background: pl.DataFrame
    training: pl.DataFrame


def score_quality(context: Context) -> Facts:
    """Reference, `documents/`, `duplicates/` → `quality/`: scores, ranks, models, evaluations."""
    config = context.config.quality
    if not config.wanted:
        return {"scored": 0}
    native = _native(context)
    sides = _sides(context, native)
    scores, model = _scores(context, sides)
    table = pl.concat([_scored_part(frame, scores) for frame in _clustered_parts(context)])
    table = _ranked(context, _combined(config, table))
    _write_parts(context, table)
    _write_descriptions(context, table, native, (sides, model))
    _write_comparison(context, table, (sides, scores))
    return {"scored": table.height}


def write_group_words(context: Context) -> int:
    """`verdicts/`, `documents/`, the model → `audit/quality_words.parquet`: rows written.

    For each column of `audit.groups` the words that lift or cost its groups their score.
    """
    folder = context.folder
    if not folder.file("quality/model/model.json").exists():
        return 0
    model, verdicts = load_quality(folder.file("quality/model")), folder.table("verdicts")
    seed, groups = context.config.seed, context.config.audit.groups
    tables = [group_table(folder, verdicts, model, name, seed=seed) for name in groups]
    found = [table for table in tables if table is not None]
    if not found:
        return 0
    write_atomically(pl.concat(found), folder.file("audit/quality_words.parquet"))
    return sum(table.height for table in found)


def group_table(
    folder: RunFolder, verdicts: pl.DataFrame, model: QualityModel, group: str, *, seed: int
) -> pl.DataFrame | None:
    """`group_words` of 2,000 native documents of a run; None where there is one group only."""
    known = verdicts.filter(pl.col("control").is_null(), pl.col(group).is_not_null())
    sample = hash_sample(known.select("id", pl.col(group).cast(pl.String)), seed=seed)
    if sample[group].n_unique() < 2:
        return None
    texts = pl.concat(
        part.select("id", "text").join(sample, on="id", how="inner", maintain_order="left")
        for part in cleaned_parts(folder)
    )
    return group_words(texts, model, group)


def _clustered_parts(context: Context) -> Iterator[pl.DataFrame]:
    """The cleaned shards with the duplicate cluster of each document, one by one."""
    folder = context.folder
    ids = pl.concat([pl.read_parquet(p, columns=["id"]) for p in folder.parts("documents")])
    pairs = folder.read("duplicates/pairs.parquet")
    known = clusters(pairs, ids["id"]).select("id", "cluster_id")
    for part in cleaned_parts(folder):
        yield part.join(known, on="id", how="left", maintain_order="left")


def _native(context: Context) -> pl.DataFrame:
    return pl.concat([p.filter(pl.col("control").is_null()) for p in _clustered_parts(context)])


def _sides(context: Context, native: pl.DataFrame) -> _Sides | None:
    """Both sides as the config names them, or nothing to learn from."""
    config = context.config.quality
    if config.reference is None and config.label is None:
        return None
    if config.label is not None:
        frame = native if config.reference is None else _ingested(context, "reference")
        sides = labelled_sides(frame, label=config.label, at_least=config.at_least)
    else:
        background = native if config.background is None else _ingested(context, "background")
        sides = _ingested(context, "reference"), background
    training = training_documents(*sides, config, seed=context.config.seed)
    return _Sides(reference=sides[0], background=sides[1], training=training)


def _ingested(context: Context, side: str) -> pl.DataFrame:
    """The texts that `quality.reference` or `quality.background` names, read as any input."""
    texts = getattr(context.config.quality, side)
    home = context.folder.file(f"quality/{side}")
    with keys_named(f"quality.{side}"):
        if isinstance(texts, InputConfig):
            result = ingest(texts, home)
        else:
            result = ingest_beside(InputConfig(path=texts), home, text=context.config.input.text)
    if result.documents == 0:
        raise InputError(f"quality.{side} holds no usable document; see {home / 'quarantine'}")
    return pl.concat([pl.read_parquet(p) for p in result.parts])


def _scores(context: Context, sides: _Sides | None) -> tuple[dict[str, Score], QualityModel | None]:
    """How each column is filled, and the fitted classifier where there is one."""
    config, folder, seed = context.config.quality, context.folder, context.config.seed
    scores: dict[str, Score] = {}
    model = None
    for name in config.wanted:
        if name == "column":
            scores["quality"] = _own_column(str(config.column))
        elif name == "scorer":
            scores["quality"] = _own_scorer(str(config.scorer))
        elif sides is not None and name == "classifier":
            model = fit_quality(sides.reference, sides.background, config=config, seed=seed)
            model.save(folder.file("quality/model"))
            scores["quality"] = model.score
        elif sides is not None:
            fitted = cross_fit(name, sides.training, seed=seed)
            fitted.save(folder.file(f"quality/{name}"))
            scores["bits_per_byte" if name == "perplexity" else name] = fitted.score
    return scores, model


def _own_column(column: str) -> Score:
    return lambda frame: apply_scorer(frame, column)


def _own_scorer(name: str) -> Score:
    scorer = load_scorer(name)
    return lambda frame: apply_scorer(frame, scorer)


def _scored_part(frame: pl.DataFrame, scores: Mapping[str, Score]) -> pl.DataFrame:
    """Everything but the text, and one column a score."""
    found = [score(frame).alias(column) for column, score in scores.items()]
    return frame.drop("text", *scores, strict=False).with_columns(found)


def _combined(config: QualityConfig, table: pl.DataFrame) -> pl.DataFrame:
    """The columns that compare a document with the others: bucket and mean rank."""
    native = table["control"].is_null()
    if "bits_per_byte" in table.columns:
        buckets = percentile_buckets(table["bits_per_byte"], native=native)
        table = table.with_columns(buckets.alias("perplexity_bucket"))
    if config.combined is None:
        return table
    columns = [name for name in config.columns if name != "mean_rank"]
    falling = [name for name in columns if name in FALLING]
    return table.with_columns(mean_of_ranks(table.select(columns), falling=falling, native=native))


def _ranked(context: Context, table: pl.DataFrame) -> pl.DataFrame:
    """The column that the rule `quality.select` reads, where a selection is asked for."""
    select = context.config.quality.select
    if select is None:
        return table
    if select.within is not None and select.within not in table.columns:
        raise ConfigError(
            f"quality.select.within names {select.within!r}; the documents have: "
            f"{', '.join(table.columns)}"
        )
    return table.with_columns(selection_ranks(table, select, seed=context.config.seed))


def _write_parts(context: Context, table: pl.DataFrame) -> None:
    config, folder = context.config.quality, context.folder
    made = [*config.columns, "perplexity_bucket", "quality_rank"]
    columns = ["id", *(name for name in made if name in table.columns)]
    offset = 0
    for part in folder.parts("documents"):
        height = pl.scan_parquet(part).select(pl.len()).collect().item()
        rows = table.slice(offset, height).select(columns)
        write_atomically(rows, folder.file(f"quality/{part.name}"))
        offset += height


def _write_descriptions(
    context: Context,
    table: pl.DataFrame,
    native: pl.DataFrame,
    fitted: tuple[_Sides | None, QualityModel | None],
) -> None:
    """Tables of the score that people look at first, and the evaluation of the classifier."""
    config, folder = context.config.quality, context.folder
    sides, model = fitted
    about = {"score": config.main, "probability": model is not None}
    folder.write_json("quality/about.json", about)
    own = table.filter(pl.col("control").is_null())[config.main].alias("quality")
    reference = None if sides is None else sides.reference
    tables = describe(native.with_columns(own), model, reference, seed=context.config.seed)
    for name, rows in tables.items():
        write_atomically(rows, folder.file(f"quality/{name}.parquet"))
    if model is not None:
        folder.write_json("quality/evaluation.json", model.evaluate())
        card = model_card(model, tables["terms"]).encode()
        write_bytes_atomically(card, folder.file("quality/model/card.md"))


def _write_comparison(
    context: Context, table: pl.DataFrame, fitted: tuple[_Sides | None, Mapping[str, Score]]
) -> None:
    """How each score does on the same documents, and how far the scores agree on the corpus."""
    config, folder = context.config.quality, context.folder
    sides, scores = fitted
    if sides is not None:
        units = score_units(sides.training, folds=config.folds, seed=context.config.seed)
        # A column of the corpus says nothing of texts outside it.
        fresh = {n: s for n, s in scores.items() if n != "quality" or "column" not in config.wanted}
        found = _scored_part(_as_corpus(sides.training, table), fresh)
        scored = units.with_columns(found.select(*scores))
        evaluated: list[dict[str, Any]] = [evaluate_score(scored, name) for name in scores]
        folder.write_json("quality/scores.json", evaluated)
    columns = [
        (-pl.col(name) if name in FALLING else pl.col(name)).alias(name) for name in config.columns
    ]
    known = table.filter(pl.col("control").is_null()).select(columns).drop_nulls()
    if len(columns) > 1 and known.height > 1:
        write_atomically(agreement(known), folder.file("quality/agreement.parquet"))


def _as_corpus(training: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Training documents with the columns that the corpus has of them; null elsewhere."""
    columns = [name for name in table.columns if name not in training.columns or name == "id"]
    return training.join(table.select(columns), on="id", how="left", maintain_order="left")
