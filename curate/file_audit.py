"""The audit of any file, without a run: read, measure, judge, compare groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.audits import STRATA, Audit, add_lexicon_groups, add_topics, audit
from curate.corpus import scan_corpus
from curate.errors import ConfigError
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
    """

    groups: tuple[str, ...] = ("source",)
    rules: tuple[str, ...] = ("gopher_quality", "gopher_repetition")
    lexicons: tuple[str, ...] = ()
    topics: int = 0
    scores: tuple[str, ...] = ()
    cluster: str | None = "source"
    strata: tuple[str, ...] = STRATA
    text: str = "text"


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
    frame = _judged(path, config)
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
    )


def _judged(path: str | Path | Sequence[str | Path], config: FileAudit) -> pl.DataFrame:
    if isinstance(path, str | Path) and Path(path).suffix == ".parquet" and Path(path).is_file():
        names = pl.scan_parquet(path).collect_schema().names()
        if "failed" in names:
            return pl.read_parquet(path)
        if "kept" in names:
            removed = pl.lit(["verdict.removed"])
            passed = pl.lit([], dtype=pl.List(pl.String))
            failed = pl.when(pl.col("kept")).then(passed).otherwise(removed)
            return pl.read_parquet(path).with_columns(failed=failed)
    rules = RulesConfig(sets=config.rules)
    names = [*DEFAULT_SIGNALS, *extra_signals(rules)]
    documents = measure_signals(scan_corpus(path, text=config.text), names).collect()
    return judge(documents, load_rules(rules, documents))
