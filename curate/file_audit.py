"""The audit of any file, without a run: read, measure, judge, compare groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.audits import (
    STRATA,
    Audit,
    Lexicon,
    add_lexicon_groups,
    add_topics,
    audit,
    load_lexicon,
)
from curate.clean import EDIT_SCHEMA, CleanConfig, apply_edits, clean
from curate.corpus import scan_corpus
from curate.errors import ConfigError, InputError, check_name, unknown_name
from curate.rules import RulesConfig, judge, load_rules, rule_signals
from curate.signals import DEFAULT_SIGNALS, measure_signals

DEFAULT_RULES = ("gopher_quality", "gopher_repetition")
_READERS: Mapping[str, tuple[Callable[..., pl.LazyFrame], str]] = {
    ".parquet": (pl.scan_parquet, "Parquet"),
    ".csv": (pl.scan_csv, "CSV"),
    ".jsonl": (pl.scan_ndjson, "JSON Lines"),
    ".ndjson": (pl.scan_ndjson, "JSON Lines"),
}
_CLEANED = "text after cleaning"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileAudit:
    """What is audited in a file.

    Attributes:
        groups: Columns of groups; `meta.site` is the field `site` of a nested column `meta`.
        rules: Rule sets that judge the texts; where none is given, the file's own verdicts are
            audited, and a file without any is judged by `DEFAULT_RULES`.
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
    rules: tuple[str, ...] = ()
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
        if self.topics < 0 or self.topics == 1:
            raise ConfigError(f"topics = {self.topics}; allowed: 0 (none), or 2 and more")
        CleanConfig(steps=self.clean)


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditedFile:
    """An audit with where it comes from.

    Attributes:
        found: The audit.
        head: What was audited, by whom the documents were judged, and by which word lists groups
            were found, in lines for people.
        columns: Columns of the file that could be groups.
    """

    found: Audit
    head: tuple[str, ...]
    columns: tuple[str, ...]


def audited_file(
    path: str | Path | Sequence[str | Path], config: FileAudit | None = None
) -> AuditedFile:
    """Audit documents of a file, a folder or a glob.

    A file with a column `failed` (lists of reasons as `set.rule`) is audited as it is; with only
    `kept`, that is its one step. Everything else is read as text and judged by `rules`.

    Args:
        path: What `scan_corpus` reads, or a file of verdicts.
        config: Groups, rules, word lists, topics.

    Raises:
        ConfigError: A group is no column of the file, or nothing was removed.
        InputError: The file cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "verdicts.csv"
    >>> pl.DataFrame({"source": ["a", "b"] * 100, "kept": [True, False] * 100}).write_csv(path)
    >>> audited_file(path).head
    ("200 documents, judged by the file's own column 'kept': 50.0 % of them go",)
    """
    config = config or FileAudit()
    lexicons = [load_lexicon(name) for name in split_lexicons(config.lexicons)]
    judged = _judged(path, config)
    frame, groups = judged.frame, list(split_names(config.groups, judged.columns))
    frame = _with_fields(frame, groups)
    if frame.is_empty():
        raise InputError(f"{path}: no document in it: there is nothing to audit")
    for name in groups:
        if name not in frame.columns:
            raise ConfigError(unknown_name("group column", name, judged.columns))
    if lexicons or config.topics:
        if "text" not in frame.columns:
            raise ConfigError("word lists and topics need the texts, and these verdicts have none")
        before = frame.columns
        frame = add_lexicon_groups(frame, lexicons) if lexicons else frame
        frame = add_topics(frame, topics=config.topics) if config.topics else frame
        groups += [name for name in frame.columns if name not in before]
    found = audit(
        frame,
        groups=groups,
        tokens="words" if "words" in frame.columns else None,
        cluster=config.cluster,
        strata=config.strata,
        scores=split_names(config.scores, frame.columns),
        edits=judged.edits,
        cleaned=config.cleaned,
    )
    head = (_headline(judged), *_idle_steps(judged.edits, config), *map(word_list_said, lexicons))
    return AuditedFile(found=found, head=head, columns=judged.columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """Documents with their verdicts, what cleaning changed, and who judged them."""

    frame: pl.DataFrame
    by: str
    columns: tuple[str, ...]
    edits: pl.DataFrame | None = None


def _judged(path: str | Path | Sequence[str | Path], config: FileAudit) -> _Judged:
    edits = None if config.edits is None else _read_edits(config.edits)
    verdicts = None if config.rules else _stored_verdicts(path)
    if verdicts is not None:
        return _own_verdicts(verdicts, path, config, edits)
    sets = config.rules or DEFAULT_RULES
    rules = RulesConfig(sets=sets)
    documents = scan_corpus(path, text=config.text)
    own = documents.collect_schema().names()
    asked = split_names((*config.groups, *config.scores, *config.strata), own)
    known = [name for name in asked if name in DEFAULT_SIGNALS and name not in own]
    names = list(dict.fromkeys(["words", *rule_signals(rules), *known]))
    held = documents
    if config.cleaned is not None:
        check_name("column of cleaned texts", config.cleaned, own)
        held = _with_text(documents, pl.col(config.cleaned).fill_null(""))
    elif config.clean or edits is not None:
        texts = documents.collect()
        edits = clean(texts, config.clean) if config.clean else edits
        assert edits is not None
        left = texts.with_columns(apply_edits(texts, edits).alias(_CLEANED))
        documents, held = texts.lazy(), _with_text(left.lazy(), pl.col(_CLEANED)).drop(_CLEANED)
    measured = measure_signals(held, names).collect()
    frame = judge(measured, load_rules(rules, measured))
    if config.cleaned is not None or edits is not None:
        frame = frame.with_columns(documents.select("text").collect()["text"])
    after = " after cleaning" * (config.cleaned is not None or edits is not None)
    columns = tuple(c for c in own if c not in ("text", "failed", "kept", "control"))
    return _Judged(frame=frame, by=", ".join(sets) + after, columns=columns, edits=edits)


def _own_verdicts(
    verdicts: pl.DataFrame, path: object, config: FileAudit, edits: pl.DataFrame | None
) -> _Judged:
    """A file that holds its verdicts, and the edits of its texts where they are asked for."""
    if config.text != "text" and config.text in verdicts.columns:
        verdicts = verdicts.drop("text", strict=False).rename({config.text: "text"})
    if config.clean:
        for name in ("id", "text"):
            if name not in verdicts.columns:
                raise ConfigError(f"{path}: cleaning needs a column {name!r}; it has none")
        edits = clean(verdicts, config.clean)
    own = "failed" if "failed" in verdicts.columns else "kept"
    columns = tuple(c for c in verdicts.columns if c not in ("text", "failed", "kept", "control"))
    by = f"the file's own column {own!r}"
    return _Judged(frame=verdicts, by=by, columns=columns, edits=edits)


def _with_text(documents: pl.LazyFrame, text: pl.Expr) -> pl.LazyFrame:
    return documents.with_columns(text.alias("text"))


def split_names(names: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Names of columns or word lists; `a,b` stands for two where nothing known is called so.

    >>> split_names(["a,b", "c, d", "a"], ["c, d"])
    ('a', 'b', 'c, d')
    """
    found: dict[str, None] = {}
    for name in names:
        several = [name] if name in known else [part.strip() for part in name.split(",")]
        found |= dict.fromkeys(part for part in several if part)
    return tuple(found)


def split_lexicons(names: Iterable[str]) -> tuple[str, ...]:
    """Word lists by name; `a,b` stands for two where no file is called so."""
    names = tuple(names)
    return split_names(names, [name for name in names if Path(name).is_file()])


def _with_fields(frame: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """`meta.site` as a column: the field `site` of the column `meta`, which is read as JSON."""
    for name in groups:
        head, _, field = name.partition(".")
        if name in frame.columns or not field or frame.schema.get(head) != pl.String:
            continue
        found = pl.col(head).str.json_path_match(
            "$" + "".join(f"['{f}']" for f in field.split("."))
        )
        if frame.select(found.is_not_null().any()).item():
            frame = frame.with_columns(found.alias(name))
    return frame


def _stored_verdicts(path: str | Path | Sequence[str | Path]) -> pl.DataFrame | None:
    """A single file that holds verdicts."""
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return None
    if Path(path).suffix not in _READERS:
        return None
    scan, kind = _READERS[Path(path).suffix]
    try:
        lazy = scan(path)
        names = lazy.collect_schema().names()
        if not {"failed", "kept"} & set(names):
            return None
        return _as_boolean(lazy.collect())
    except (pl.exceptions.PolarsError, OSError) as error:
        if kind != "Parquet":
            return None  # scan_corpus takes the rows that can be read
        raise InputError(f"{path}: no {kind} file that can be read: {error}") from error


def _as_boolean(frame: pl.DataFrame) -> pl.DataFrame:
    """`kept` as CSV files hold it: `True`, `False`."""
    if "kept" not in frame.columns or frame["kept"].dtype != pl.String:
        return frame
    words = {"true": True, "false": False}
    low = pl.col("kept").str.to_lowercase()
    kept = low.replace_strict(words, default=None, return_dtype=pl.Boolean)
    known = frame.select(kept.is_not_null().all()).item()
    return frame.with_columns(kept=kept) if known else frame


def _read_edits(path: str) -> pl.DataFrame:
    try:
        edits = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: no Parquet file with edits: {error}") from error
    missing = [name for name in EDIT_SCHEMA if name not in edits.columns]
    if missing:
        needed = ", ".join(EDIT_SCHEMA)
        raise ConfigError(f"{path}: no column {missing[0]!r}; a table of edits has {needed}")
    return edits


def _headline(judged: _Judged) -> str:
    frame = judged.frame
    gone = pl.col("failed").list.len() > 0 if "failed" in frame.columns else ~pl.col("kept")
    share = frame.select(gone.fill_null(value=False).cast(pl.Float64).mean()).item() or 0.0
    return f"{frame.height:,} documents, judged by {judged.by}: {100 * share:.1f} % of them go"


def _idle_steps(edits: pl.DataFrame | None, config: FileAudit) -> list[str]:
    made = set() if edits is None else set(edits["step"])
    return [f"{step} changes no document" for step in config.clean if step not in made]


def word_list_said(lexicon: Lexicon) -> str:
    """A word list as every report names it: id, digest, licence, source.

    >>> word_list_said(load_lexicon("identity"))[:39]
    'Word list curate-identity-en-1, sha256 '
    """
    parts = []
    for what in ("licence", "source"):
        values = dict.fromkeys(getattr(entry, what) for entry in lexicon.entries)
        parts += [f"{what} {value}" for value in values if value]
    return ", ".join([f"Word list {lexicon.id}", f"sha256 {lexicon.sha256}", *parts])


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as its suffix says.

    >>> write_table(pl.DataFrame(), Path("a.xlsx"))
    Traceback (most recent call last):
    curate.errors.ConfigError: a.xlsx: a table is written as .csv or .parquet
    """
    check_table(path)
    try:
        table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def check_table(path: Path) -> None:
    """Refuse a table's name before any work.

    >>> check_table(Path("a.csv"))
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: a table is written as .csv or .parquet")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {str(path.parent)!r}")
