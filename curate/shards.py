"""The shards of a run: which files a stage reads, and how it maps over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.clean import apply_edits
from curate.config import RunConfig
from curate.corpus import RESERVED_COLUMNS, decontaminate
from curate.corpus.decontamination import NGRAM_WORDS
from curate.duplicates import Compare, comparison
from curate.errors import ConfigError
from curate.executors import Executor
from curate.progress import Say, progress
from curate.run_folder import Manifest, RunFolder

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """All that a stage may use.

    `say` takes lines for somebody who waits for a long stage; by `deadline` (`time.monotonic()`) a
    measuring that must end on time is over, report included: `None` = its minutes after its start.
    `make_room` is called by a stage whose earlier tables may stand until it writes new ones.
    `earlier` is the folder's `config.toml` as it was before this one; `None` = there was none.
    """

    config: RunConfig
    folder: RunFolder
    manifest: Manifest
    executor: Executor
    say: Say | None = None
    deadline: float | None = None
    make_room: Callable[[], None] = lambda: None
    earlier: bytes | None = None


def native_parts(folder: RunFolder) -> list[Path]:
    """The document shards without the one of the planted controls."""
    return [p for p in folder.parts("documents") if p.stem != "part-controls"]


def cleaned_parts(folder: RunFolder) -> Iterator[pl.DataFrame]:
    """Each document shard with its text as the cleaning steps leave it."""
    for part in folder.parts("documents"):
        yield cleaned(part, folder.file(f"edits/{part.name}"))


def cleaned(documents: Path, *edits: Path) -> pl.DataFrame:
    """One shard of documents with all recorded edits applied, in the order of their files."""
    frame = pl.read_parquet(documents)
    changes = [pl.read_parquet(path) for path in edits if path.exists()]
    if all(change.is_empty() for change in changes):
        return frame
    return frame.with_columns(text=apply_edits(frame, pl.concat(changes)))


def masked(documents: Path, edits: Path) -> pl.DataFrame:
    """One shard of documents as they were read, but for the personal data that was masked."""
    frame = pl.read_parquet(documents)
    if not edits.exists():
        return frame
    changes = pl.read_parquet(edits).filter(step="mask_pii")
    return frame.with_columns(text=apply_edits(frame, changes)) if changes.height else frame


def all_edits(folder: RunFolder, part: str) -> tuple[Path, Path]:
    """Where the edits of a shard lie: those of the cleaning steps, then cuts of passages."""
    return folder.file(f"edits/{part}"), folder.file(f"passages/edits/{part}")


def comparison_in(folder: RunFolder, config: RunConfig) -> Compare | None:
    """Verifies pairs of a run by its cleaned texts; given to `decide`, which seldom needs it."""
    return comparison(lambda: cleaned_parts(folder), config.duplicates.near)


MOST_SETS = 50  # of one evaluation file; a column with more groups is no division into sets
NO_GROUPS = ("id", "text", "control")
GROUP_NAMES = ("domain", "subset", "dataset", "site", "category", "genre", "language", "lang")
_SEEN = 0.5  # share of a text's 13-grams from which on a score fitted on them has seen the text


def evaluation_documents(folder: RunFolder, config: RunConfig) -> pl.DataFrame | None:
    """All evaluation texts: `id`, `text`, `source` (= name of the evaluation set)."""
    measure = config.measure
    by_column = measure is not None and measure.evaluation_column is not None
    frames = []
    for part in sorted(folder.file("evaluation").glob("*/documents/part-*.parquet")):
        name = part.parents[1].name
        frame = pl.read_parquet(part, columns=["id", "text", "source"])
        unique = pl.lit(f"{name}/") + pl.col("id")
        source = pl.col("source") if by_column else pl.lit(name)
        frames.append(frame.select(unique.alias("id"), "text", source.alias("source")))
    return pl.concat(frames) if frames else None


def unsplit_evaluation(folder: RunFolder, config: RunConfig) -> str:
    """That evaluation files count as one set each though a column tells several, in one line.

    Only of a column that every file has, and that splits one of them: `evaluation_column` is read
    from all files. Empty where there is none, or the config names one.
    """
    measure = config.measure
    if measure is None or measure.evaluation_column is not None:
        return ""
    sets: dict[str, list[Path]] = {}
    for part in sorted(folder.file("evaluation").glob("*/documents/part-*.parquet")):
        sets.setdefault(part.parents[1].name, []).append(part)
    frames = [pl.scan_parquet(parts) for parts in sets.values()]
    groups = [_group_counts(frame) for frame in frames]
    shared = [name for name in (groups[0] if groups else {}) if all(name in g for g in groups)]
    own = config.input.source or "source"
    for name in sorted(shared, key=lambda n: (n not in (own, "source"), n not in GROUP_NAMES)):
        values = pl.concat([frame.select(name) for frame in frames]).collect()[name]
        n = values.n_unique()
        if max(g[name] for g in groups) < 2 or not 2 <= n <= MOST_SETS or len(values) < 2 * n:
            continue
        which = f"evaluation file {next(iter(sets))!r} counts as one set"
        if len(sets) > 1:
            which = f"each of the {len(sets)} evaluation files counts as one set"
        own_name = name.removeprefix("input_")
        key = own_name if own_name in RESERVED_COLUMNS else name
        return (
            f"Hint: {which}; its column {key!r} has {n} groups: "
            f'measure.evaluation_column = "{key}" makes each of them a set'
        )
    return ""


def _group_counts(frame: pl.LazyFrame) -> dict[str, int]:
    """Column of strings → its different values."""
    kinds = frame.collect_schema()
    names = [n for n, kind in kinds.items() if kind == pl.String and n not in NO_GROUPS]
    return frame.select(pl.col(names).n_unique()).collect().row(0, named=True) if names else {}


def unseen_evaluation(
    folder: RunFolder, config: RunConfig
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """Evaluation texts that the quality score was not fitted on, and those that it was.

    A text counts as seen where at least half of its word 13-grams stand in `quality.reference` or
    `quality.background`: a headline on it would be the filter's own wish. The second frame has
    `id`, `source`.

    Raises:
        ConfigError: The score was fitted on every evaluation text.
    """
    evaluation = evaluation_documents(folder, config)
    nothing = pl.DataFrame(schema={"id": pl.String, "source": pl.String})
    fitted = [
        part
        for side in ("reference", "background")
        for part in sorted(folder.file(f"quality/{side}/documents").glob("part-*.parquet"))
    ]
    if evaluation is None or not fitted:
        return evaluation, nothing
    texts = pl.concat([pl.read_parquet(part, columns=["text"]) for part in fitted])
    shared = decontaminate(evaluation, texts).select("id", "shared_ngrams")
    grams = (pl.col("text").str.count_matches(r"\w+") - (NGRAM_WORDS - 1)).clip(1)
    marked = evaluation.join(shared, on="id", how="left", maintain_order="left").with_columns(
        seen=pl.col("shared_ngrams").fill_null(0) >= grams * _SEEN
    )
    unseen = marked.filter(~pl.col("seen")).select(evaluation.columns)
    if unseen.is_empty():
        raise ConfigError(
            "every text of measure.evaluation is also in quality.reference (or background): a "
            "verdict needs text that no filter was fitted on"
        )
    return unseen, marked.filter("seen").select("id", "source")


def signal_columns(folder: RunFolder) -> pl.DataFrame:
    """All annotations in document order, with the quality score where there is one.

    Where overlaps with evaluation sets were asked for, `evaluation_ngrams` counts the n-grams that
    a native document shares with the set that it shares most with.
    """
    frames = []
    for part in folder.parts("annotations"):
        frame = pl.read_parquet(part)
        scores = folder.file(f"quality/{part.name}")
        if scores.exists():
            frame = frame.join(pl.read_parquet(scores), on="id", how="left", maintain_order="left")
        frames.append(frame)
    columns = pl.concat(frames)
    overlaps = folder.file("contamination/flags.parquet")
    if not overlaps.exists():
        return columns
    flags = pl.read_parquet(overlaps)
    joined = columns.join(flags, on="id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("evaluation_ngrams").fill_null(0))


def map_parts(
    context: Context, stage: str, work: Callable[[tuple[Path, Path, Path]], Facts], home: str
) -> Facts:
    """Run `work` over every document shard that an interrupted run has not finished yet."""
    folder, manifest = context.folder, context.manifest
    specs = [
        (part, folder.file(f"edits/{part.name}"), folder.file(f"{home}/{part.name}"))
        for part in folder.parts("documents")
    ]
    todo = [spec for spec in specs if not manifest.has_output(stage, spec[2])]
    megabytes = sum(spec[0].stat().st_size for spec in todo) / 1e6
    totals: dict[str, float] = {}
    with progress(stage, total=megabytes, unit="MB", say=context.say) as advance:
        for spec, facts in zip(todo, context.executor(work, todo), strict=True):
            manifest.add_output(stage, spec[2])
            advance(spec[0].stat().st_size / 1e6)
            for name, value in facts.items():
                totals[name] = totals.get(name, 0) + value
    return {**totals, "shards": len(specs), "shards_resumed": len(specs) - len(todo)}
