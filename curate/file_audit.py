"""The audit of any file, without a run: read, measure, judge, compare groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.audits import STRATA, Audit, add_lexicon_groups, add_topics, audit
from curate.clean import CleanConfig, apply_edits, clean
from curate.corpus import scan_corpus
from curate.errors import ConfigError, InputError
from curate.rules import RulesConfig, extra_signals, judge, load_rules
from curate.signals import DEFAULT_SIGNALS, measure_signals


@dataclass(frozen=True, kw_only=True, slots=True)
class FileAudit:
    """What is audited in a file.

    Attributes:
        groups: Columns of groups.
        rules: Rule sets that judge a file without verdicts.
        lexicons: Word lists whose groups are audited as well: packaged names or TOML files.
        topics: Number of topics to look for and audit; 0 = none.
        scores: Numeric columns whose means are compared between groups, raw and curated.
        cluster: Column within which documents are alike.
        strata: Columns that may explain a difference.
        text: Column with the text.
        clean: Cleaning steps: each is audited by what it takes of the texts, and the rules judge
            what they leave.
        cleaned: Column with the text after cleaning, in a file that holds it beside the text
            before: audited as the step `cleaning`.
        edits: Parquet file with what cleaning changed (`id`, `step`, `start`, `end`,
            `replacement`), as runs write it.
    """

    groups: tuple[str, ...] = ("source",)
    rules: tuple[str, ...] = ("gopher_quality", "gopher_repetition")
    lexicons: tuple[str, ...] = ()
    topics: int = 0
    scores: tuple[str, ...] = ()
    cluster: str | None = "source"
    strata: tuple[str, ...] = STRATA
    text: str = "text"
    clean: tuple[str, ...] = ()
    cleaned: str | None = None
    edits: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("clean", "cleaned", "edits") if getattr(self, name)]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} all say what was cleaned: give one")
        CleanConfig(steps=self.clean)


def audit_file(path: str | Path | Sequence[str | Path], config: FileAudit | None = None) -> Audit:
    """Audit documents of a file, a folder or a glob.

    A parquet file with a column `failed` (reasons as `set.rule`) is audited as it is; with only
    `kept`, that is its one step. Everything else is read as text and judged by `rules`.

    Args:
        path: What `scan_corpus` reads, or verdict files.
        config: Groups, rules, word lists, topics.

    Raises:
        ConfigError: A group is no column of the file, or nothing was removed.
        InputError: The file cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "verdicts.parquet"
    >>> pl.DataFrame({"source": ["a", "b"] * 100, "kept": [True, False] * 100}).write_parquet(path)
    >>> audit_file(path).flagged.select("step", "group").rows()
    [('verdict', 'b')]
    """
    config = config or FileAudit()
    frame, edits = _judged(path, config)
    if frame.is_empty():
        raise InputError(f"{path}: no document in it: there is nothing to audit")
    groups = list(config.groups)
    for name in groups:
        if name not in frame.columns:
            known = ", ".join(sorted(set(frame.columns) - {"text", "failed"}))
            raise ConfigError(f"no column {name!r} to group by; the file has: {known}")
    if config.lexicons or config.topics:
        if "text" not in frame.columns:
            raise ConfigError("word lists and topics need the texts, and these verdicts have none")
        before = frame.columns
        frame = add_lexicon_groups(frame, config.lexicons) if config.lexicons else frame
        frame = add_topics(frame, topics=config.topics) if config.topics else frame
        groups += [name for name in frame.columns if name not in before]
    tokens = "words" if "words" in frame.columns else None
    return audit(
        frame,
        groups=groups,
        tokens=tokens,
        cluster=config.cluster,
        strata=config.strata,
        scores=config.scores,
        edits=edits,
        cleaned=config.cleaned,
    )


Judged = tuple[pl.DataFrame, pl.DataFrame | None]


def _judged(path: str | Path | Sequence[str | Path], config: FileAudit) -> Judged:
    """The documents with their verdicts, and what cleaning changed of them."""
    edits = None if config.edits is None else _read_edits(config.edits)
    verdicts = _stored_verdicts(path)
    if verdicts is not None:
        if config.text != "text" and config.text in verdicts.columns:
            verdicts = verdicts.drop("text", strict=False).rename({config.text: "text"})
        missing = [name for name in ("id", "text") if name not in verdicts.columns]
        if config.clean and missing:
            raise ConfigError(f"{path}: cleaning needs a column {missing[0]!r}; it has none")
        return verdicts, clean(verdicts, config.clean) if config.clean else edits
    rules = RulesConfig(sets=config.rules)
    names = [*DEFAULT_SIGNALS, *extra_signals(rules)]
    documents = scan_corpus(path, text=config.text)
    if config.cleaned is not None:
        return _judged_by(documents, rules, names, config.cleaned)
    if config.clean or edits is not None:
        held = documents.collect()
        edits = clean(held, config.clean) if config.clean else edits
        assert edits is not None
        cleaned = held.with_columns(apply_edits(held, edits).alias("text after cleaning"))
        return _judged_by(cleaned.lazy(), rules, names, "text after cleaning")[0], edits
    measured = measure_signals(documents, names).collect()
    return judge(measured, load_rules(rules, measured)), None


def _judged_by(
    documents: pl.LazyFrame, rules: RulesConfig, names: Sequence[str], column: str
) -> Judged:
    """Documents judged by another text than their own, which they keep."""
    if column not in documents.collect_schema().names():
        known = ", ".join(documents.collect_schema().names())
        raise ConfigError(f"no column {column!r} with cleaned texts; the file has: {known}")
    held = documents.collect()
    other = held.with_columns(pl.col(column).fill_null("").alias("text"))
    measured = measure_signals(other, names)
    judged = judge(measured, load_rules(rules, measured))
    return judged.with_columns(held["text"]), None


def _stored_verdicts(path: str | Path | Sequence[str | Path]) -> pl.DataFrame | None:
    if isinstance(path, str | Path) and Path(path).suffix == ".parquet" and Path(path).is_file():
        try:
            names = pl.scan_parquet(path).collect_schema().names()
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{path}: no Parquet file that can be read: {error}") from error
        if "failed" in names:
            return pl.read_parquet(path)
        if "kept" in names:
            removed = pl.lit(["verdict.removed"])
            passed = pl.lit([], dtype=pl.List(pl.String))
            failed = pl.when(pl.col("kept")).then(passed).otherwise(removed)
            return pl.read_parquet(path).with_columns(failed=failed)
    return None


def _read_edits(path: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: no Parquet file with edits: {error}") from error


def said(found: Audit, config: FileAudit) -> str:
    """What an audit found, in two lines for a terminal.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [[], ["s.r"]] * 100})
    >>> said(audit(frame), FileAudit()).splitlines()[1].split(", most")[0]
    '1 of 2 tested (step, group) pairs lose clearly more than the rest of the corpus'
    """
    judged_by = ", ".join(config.rules)
    return f"Judged by {judged_by}, unless the file holds verdicts of its own.\n{found.sentence}"


def tables_of(found: Audit) -> list[pl.DataFrame]:
    """Tables to look at: flags, what edits do, scores; empty ones too.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [[], ["s.r"]] * 100})
    >>> tables_of(audit(frame))[0].select("group", "lost", "lost_rest").rows()
    [('b', 1.0, 0.0)]
    """
    shares = pl.col("removed") / pl.col("n"), pl.col("removed_rest") / pl.col("n_rest")
    flags = found.flagged.with_columns(lost=shares[0], lost_rest=shares[1])
    shown = ("removal_ratio", "adjusted_removal_ratio", "adjusted_for", "q")
    columns = ["step", "group_column", "group", "n", "lost", "lost_rest", *shown]
    scores = [] if found.scores is None else [found.scores]
    return [flags.select(columns), found.edits, *scores]


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as its suffix says.

    >>> write_table(pl.DataFrame(), Path("a.xlsx"))
    Traceback (most recent call last):
    curate.errors.ConfigError: a.xlsx: a table is written as .csv or .parquet
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: a table is written as .csv or .parquet")
    try:
        table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
