"""From documents to columns of signals, with only the passes over the text that they need."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import TypeVar, cast

import numpy as np
import polars as pl

from curate.errors import ConfigError, InputError, check_name
from curate.executors import without_collections
from curate.frames import polars_frame
from curate.signals.dialects import DIALECT_SIGNALS, DIALECT_SOURCES
from curate.signals.table import (
    FLAGGED_SIGNALS,
    LANGUAGE_SIGNALS,
    TEXT_SIGNALS,
    Signal,
    signal_unit,
)
from curate.signals.views import VIEW_SIGNALS
from curate.text.boilerplate import frame_line_fraction
from curate.text.c4 import c4_counts
from curate.text.flagged_words import WordLists, flagged_words, load_word_lists
from curate.text.language import languages
from curate.text.markup import mark_counts
from curate.text.personal_data import KINDS, find_personal_data
from curate.text.statistics import is_compiled, text_statistics

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


SIGNALS_PAGE = "curate signals, docs/signals.md, or list(curate.signals.SIGNALS)"
"""Where messages say that all names can be read."""


def measure_signals(
    documents: Frame,
    signals: Sequence[str] | None = None,
    *,
    flagged: str | Mapping[str, str] | WordLists | None = None,
) -> Frame:
    r"""Add one column a signal.

    Args:
        documents: Frame with `text` String without nulls; further columns are kept.
        signals: Names of `SIGNALS`; `DEFAULT_SIGNALS` if left out. Only the passes over the text
            that these need are made.
        flagged: What the signals `flagged_word_count` and `flagged_word_fraction` look for: the
            path of a word list, or language code → path; see `SignalsConfig`.

    Returns:
        The same rows in the same order, with the signals as last columns; a column of the same
        name is replaced. A LazyFrame stays lazy and can be streamed.

    Raises:
        ConfigError: A name is no signal or needs word lists that are not given, or the documents
            are no frame.
        InputError: There is no `text` column, or it holds nulls.

    >>> documents = pl.DataFrame({"text": ["One line.\nOne line."]})
    >>> measure_signals(documents, ["words", "duplicate_line_fraction"]).row(0)[1:]
    (4, 0.5)
    """
    documents = cast("Frame", polars_frame(documents))
    names = check_signals(DEFAULT_SIGNALS if signals is None else signals)
    lists = _word_lists(names, flagged)
    if isinstance(documents, pl.DataFrame):
        return _measure(documents, names, lists)
    schema = documents.collect_schema()
    schema.update({name: SIGNALS[name].dtype() for name in names})
    return documents.map_batches(lambda batch: _measure(batch, names, lists), schema=schema)


def check_signals(names: Iterable[str]) -> list[str]:
    """The names as a list, if all of them are signals.

    >>> check_signals(["text_chars"])
    ['text_chars']
    """
    names = list(names)
    for name in names:
        check_name("signal", name, SIGNALS, listed=SIGNALS_PAGE)
    return names


def signals_page() -> str:
    """The page docs/signals.md, generated from `SIGNALS`.

    >>> signals_page().splitlines()[0]
    '# Signals'
    """
    rows = [
        f"| `{name}` | {s.dtype.__name__} | {signal_unit(name)} | {s.meaning} |"
        for name, s in SIGNALS.items()
    ]
    head = (
        "# Signals\n\nGenerated from `curate.signals.SIGNALS`; a test keeps it current. "
        "`python -m curate.signals > docs/signals.md` writes it anew.\n\n"
        "What a token, a word, a line and a duplicate is: `curate/text/statistics.py`. "
        "A fraction of nothing is 0; fractions lie in [0, 1].\n\n"
        "Names with `whitespace` or `shingle` count the words of another token view and repeat "
        "the ways of counting of other rule sets: `curate/signals/views.py`. Names with `dolma`, "
        "`nemo`, `dclm`, `redpajama`, `english`, `line_correction` or the code of a language are "
        "measured only where a rule reads them: `curate/signals/dialects.py`.\n\n"
        "`flagged_word_count` and its fraction need a list of words: `[signals] flagged_words`, "
        "one list or one a language. A rule bounds them: `max = 0` is what C4 did with its list of "
        "bad words (Raffel et al. 2020, section 2.2). `language` is a text: a rule names the codes "
        "that are kept (`[rules] languages`, or `among`), and the audit takes it as a group.\n\n"
        "`curate signals` prints the same.\n\n"
        "| signal | type | unit | meaning |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _word_lists(
    names: Sequence[str], flagged: str | Mapping[str, str] | WordLists | None
) -> WordLists | None:
    asked = [name for name in names if name in FLAGGED_SIGNALS]
    if asked and flagged is None:
        raise ConfigError(
            f"signal {asked[0]!r} needs a list of words: set signals.flagged_words to its path"
        )
    if flagged is None or isinstance(flagged, WordLists):
        return flagged
    return load_word_lists(flagged)


def _measure(
    documents: pl.DataFrame, names: Sequence[str], lists: WordLists | None
) -> pl.DataFrame:
    # To look again and again through all that a compiler keeps takes 7 % of its time.
    with nullcontext() if is_compiled() else without_collections():
        return _measured(documents, names, lists)


def _measured(
    documents: pl.DataFrame, names: Sequence[str], lists: WordLists | None
) -> pl.DataFrame:
    if "text" not in documents.columns:
        raise InputError(f"no column 'text'; the columns are {', '.join(documents.columns)}")
    text = documents["text"]
    if text.null_count():
        raise InputError(f"column 'text' holds {text.null_count()} nulls; text must not")
    columns: dict[str, pl.Series] = {}
    sources = list(dict.fromkeys(SIGNALS[name].source for name in names))
    views = [view for source, view in _VIEWS.items() if source in sources]
    if _FLAGGED in sources and "standard" not in views:
        views.append("standard")
    counts = text_statistics(text, views=views) if views else pl.DataFrame()
    for source in sources:
        wanted = [name for name in names if SIGNALS[name].source == source]
        table = _table(source, text, counts, lists).select(_expressions(tuple(wanted)))
        columns |= {name: table[name] for name in wanted}
    return documents.with_columns(columns[name] for name in names)


@cache
def _expressions(names: tuple[str, ...]) -> list[pl.Expr]:
    """What signals are of their source's table; made once, as small parts would notice it."""
    return [SIGNALS[name].expression.cast(SIGNALS[name].dtype).alias(name) for name in names]


def _table(
    source: str, text: pl.Series, counts: pl.DataFrame, lists: WordLists | None
) -> pl.DataFrame:
    """The table that signals of one source are read from."""
    if source == _FLAGGED:
        assert lists is not None
        return counts.select("words", flagged=flagged_words(text, lists))
    return counts if source in _VIEWS else _SOURCES[source](text)


def _compressed_bytes(text: pl.Series) -> pl.DataFrame:
    """Bytes of each document and of its zlib form at the fastest level."""
    raw = [value.encode() for value in text]
    sizes = {"raw": [len(r) for r in raw], "compressed": [len(zlib.compress(r, 1)) for r in raw]}
    return pl.DataFrame(sizes, schema={"raw": pl.Int64, "compressed": pl.Int64})


def _personal_data_counts(text: pl.Series) -> pl.DataFrame:
    """One column a kind of personal data, one row a document."""
    found = find_personal_data(text).partition_by("kind", as_dict=True)
    none = pl.DataFrame(schema={"document": pl.UInt32})
    documents = {kind: found.get((kind,), none)["document"].to_numpy() for kind in KINDS}
    return pl.DataFrame({k: np.bincount(d, minlength=len(text)) for k, d in documents.items()})


_FLAGGED = "flagged_words"
_VIEWS = {"statistics": "standard", "whitespace": "whitespace", "shingle": "shingle"}
"""Tables that come from one pass, and the token view that each of them is made of."""
_SOURCES: Mapping[str, Callable[[pl.Series], pl.DataFrame]] = {
    "text": lambda text: pl.DataFrame({"text": text}),
    "frame_lines": lambda text: pl.DataFrame({"fraction": frame_line_fraction(text)}),
    "compression": _compressed_bytes,
    "marks": mark_counts,
    "personal_data": _personal_data_counts,
    "c4": c4_counts,
    "language": languages,
} | DIALECT_SOURCES


_WHERE_READ = VIEW_SIGNALS | DIALECT_SIGNALS | LANGUAGE_SIGNALS | FLAGGED_SIGNALS
SIGNALS: Mapping[str, Signal] = TEXT_SIGNALS | _WHERE_READ
"""Every signal by name."""
DEFAULT_SIGNALS = tuple(name for name in SIGNALS if name not in _WHERE_READ)
"""Those that every run measures; the others where a rule reads them."""
