"""Reading a run folder: every table the page speaks of, or nothing where a stage did not run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import InputError
from curate.quality import quality_keep_rates
from curate.report.duplicate_tables import DuplicateTables, read_duplicates, stored_table

__all__ = ["RunTables", "read_run"]

_BINS = 20
_QUALITY = ("sources", "terms", "deciles", "agreement")
_NATIVE = pl.col("control").is_null()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTables:
    """What a run folder holds; a table is `None` where its stage did not run.

    Attributes:
        name: Name of the folder; for the page only, the JSON twin must not know it.
        config: The resolved config as TOML text; it holds paths, so again for the page only.
        native: Native documents judged; 0 without verdicts.
        reasons: `reason` String, `documents` Int64 (native documents that fail the rule),
            `only_here` Int64 (of these, how many fail nothing else); most frequent first.
        quarantine: `reason` String, `rows` Int64.
        word_lists: Id, digest, licence and source of the word lists that found groups in texts.
        quality: Evaluation of the fitted classifier; `None` where none was fitted.
        quality_about: `score` (the column shown) and `probability`; empty without any score.
        quality_scores: How each score tells the two sides, where there were two.
        quality_bins: `low`, `high` Float64, `kept`, `removed` Int64: native documents by
            that score.
        quality_tables: What describes the scores: `sources`, `terms`, `group_terms`, `deciles`,
            `agreement`, `keep_rates` (of the groups of `group_terms`); those that there are.
        duplicates: What is known of removals as duplicates.
    """

    name: str
    config: str
    manifest: Mapping[str, Any]
    funnel: pl.DataFrame | None
    native: int
    reasons: pl.DataFrame | None
    quarantine: pl.DataFrame | None
    scoreboard: pl.DataFrame | None
    declared: pl.DataFrame | None
    shown: pl.DataFrame | None
    impact: pl.DataFrame | None
    group_scores: pl.DataFrame | None
    representation: pl.DataFrame | None
    word_lists: tuple[str, ...]
    runs: pl.DataFrame | None
    multipliers: pl.DataFrame | None
    memorisation: pl.DataFrame | None
    labelled: pl.DataFrame | None
    shapley: pl.DataFrame | None
    matrix: pl.DataFrame | None
    plan: Mapping[str, Any]
    verdicts: tuple[Mapping[str, Any], ...]
    quality: Mapping[str, Any] | None
    quality_about: Mapping[str, Any]
    quality_scores: tuple[Mapping[str, Any], ...]
    quality_bins: pl.DataFrame | None
    quality_tables: Mapping[str, pl.DataFrame]
    examples: pl.DataFrame | None
    rules: pl.DataFrame | None
    duplicates: DuplicateTables


def read_run(folder: Path) -> RunTables:
    """Read the small tables of a run and count over the large ones.

    Args:
        folder: A run folder; every table in it may be absent.

    Raises:
        InputError: There is no such folder.

    >>> read_run(Path("no-such-run"))
    Traceback (most recent call last):
      ...
    curate.errors.InputError: no run folder 'no-such-run'
    """
    if not folder.is_dir():
        raise InputError(f"no run folder {str(folder)!r}")
    verdicts = _scan(folder / "verdicts")
    about = _json(folder / "quality" / "about.json") or {}
    return RunTables(
        name=folder.resolve().name,
        config=_words(folder / "config.toml"),
        manifest=_json(folder / "manifest.json") or {},
        funnel=stored_table(folder / "funnel.parquet"),
        native=_native(verdicts),
        reasons=_reasons(verdicts),
        quarantine=_quarantine(_scan(folder / "quarantine")),
        scoreboard=stored_table(folder / "controls" / "scoreboard.parquet"),
        declared=stored_table(folder / "controls" / "declared.parquet"),
        shown=stored_table(folder / "shown.parquet"),
        impact=stored_table(folder / "audit" / "impact.parquet"),
        group_scores=stored_table(folder / "audit" / "scores.parquet"),
        representation=stored_table(folder / "audit" / "representation.parquet"),
        word_lists=tuple(_json(folder / "audit" / "word_lists.json") or ()),
        runs=stored_table(folder / "proxies" / "runs.parquet"),
        multipliers=stored_table(folder / "scaling" / "multipliers.parquet"),
        memorisation=stored_table(folder / "proxies" / "memorisation.parquet"),
        labelled=stored_table(folder / "proxies" / "labelled.parquet"),
        shapley=stored_table(folder / "scaling" / "shapley.parquet"),
        matrix=stored_table(folder / "scaling" / "matrix.parquet"),
        plan=_json(folder / "proxies" / "plan.json") or {},
        verdicts=tuple(_json(folder / "scaling" / "verdicts.json") or ()),
        quality=_json(folder / "quality" / "evaluation.json"),
        quality_about=about,
        quality_scores=tuple(_json(folder / "quality" / "scores.json") or ()),
        quality_bins=_quality_bins(verdicts, str(about.get("score", "quality"))),
        quality_tables=_quality_tables(folder / "quality", verdicts),
        examples=stored_table(folder / "examples.parquet"),
        rules=stored_table(folder / "rules.parquet"),
        duplicates=read_duplicates(folder),
    )


def _scan(home: Path) -> pl.LazyFrame | None:
    parts = sorted(home.glob("part-*.parquet"))
    return pl.scan_parquet(parts) if parts else None


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON is any
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _quality_tables(home: Path, verdicts: pl.LazyFrame | None) -> dict[str, pl.DataFrame]:
    found = {name: stored_table(home / f"{name}.parquet") for name in _QUALITY}
    found["group_terms"] = stored_table(home.parent / "audit" / "quality_words.parquet")
    tables = {name: table for name, table in found.items() if table is not None}
    if "group_terms" in tables and verdicts is not None:
        columns = tables["group_terms"]["group_column"].unique(maintain_order=True)
        rates = [_keep_rates(verdicts, c) for c in columns if c in verdicts.collect_schema()]
        tables |= {"keep_rates": pl.concat(rates)} if rates else {}
    return tables


def _keep_rates(verdicts: pl.LazyFrame, column: str) -> pl.DataFrame:
    wanted = list(dict.fromkeys(["control", "failed", column]))
    rates = quality_keep_rates(verdicts.select(wanted).collect(), column)
    return rates.select(pl.lit(column).alias("group_column"), pl.all())


def _words(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _native(verdicts: pl.LazyFrame | None) -> int:
    if verdicts is None:
        return 0
    return int(verdicts.filter(_NATIVE).select(pl.len()).collect().item())


def _reasons(verdicts: pl.LazyFrame | None) -> pl.DataFrame | None:
    if verdicts is None:
        return None
    alone = pl.col("failed").list.len() == 1
    return (
        verdicts.filter(_NATIVE)
        .select("failed", alone=alone)
        .explode("failed", empty_as_null=False)
        .group_by(reason="failed")
        .agg(
            documents=pl.len().cast(pl.Int64),
            only_here=pl.col("alone").sum().cast(pl.Int64),
        )
        .sort(["documents", "reason"], descending=[True, False])
        .collect()
    )


def _quarantine(rows: pl.LazyFrame | None) -> pl.DataFrame | None:
    if rows is None:
        return None
    counted = rows.group_by("reason").agg(rows=pl.len().cast(pl.Int64))
    return counted.sort(["rows", "reason"], descending=[True, False]).collect()


def _quality_bins(verdicts: pl.LazyFrame | None, column: str) -> pl.DataFrame | None:
    if verdicts is None or column not in verdicts.collect_schema():
        return None
    score = pl.col(column).cast(pl.Float64)
    known = verdicts.filter(_NATIVE & score.is_finite())
    least, most = known.select(low=score.min(), high=score.max()).collect().row(0)
    if least is None:
        return None
    low, high = (0.0, 1.0) if 0 <= least <= most <= 1 else (least, most)
    width = (high - low) / _BINS
    place = ((score - low) / width).floor().clip(0, _BINS - 1).cast(pl.Int64)
    counted = (
        known.group_by(place=place)
        .agg(
            kept=pl.col("kept").sum().cast(pl.Int64),
            removed=pl.col("kept").not_().sum().cast(pl.Int64),
        )
        .collect()
    )
    return (
        pl.DataFrame({"place": range(_BINS)})
        .join(counted, on="place", how="left", maintain_order="left")
        .select(
            low=low + pl.col("place") * width,
            high=low + (pl.col("place") + 1) * width,
            kept=pl.col("kept").fill_null(0),
            removed=pl.col("removed").fill_null(0),
        )
    )
