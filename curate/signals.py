"""Text to numbers: one column a signal, each with its unit in its name.

Names end in `_chars`, `_bytes`, `_count` or are plain plurals such as `words` (counts,
Int64), `_fraction` (Float64 in [0, 1]), `_per_token`, `_ratio`, `_bits` or start with `mean_`
(Float64). What a token, a word, a line and a duplicate is says `curate.text.statistics`. A
fraction of nothing is 0. Signals decide nothing: rules do (`curate.rules`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from curate.errors import ConfigError, InputError, unknown_name
from curate.text.boilerplate import frame_line_fraction
from curate.text.c4 import c4_counts
from curate.text.markup import markup_chars
from curate.text.mojibake import mojibake_chars
from curate.text.personal_data import KINDS, find_personal_data
from curate.text.statistics import text_statistics

__all__ = ["SIGNALS", "Signal", "measure_signals", "signals_page"]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
c = pl.col


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One number of a document.

    Attributes:
        meaning: What it is, in one line, for the generated page.
        expression: Polars expression over the columns of `source`.
        source: The table that is computed from the text first: a key of `_SOURCES`.
        dtype: Float64 or Int64.
    """

    meaning: str
    expression: pl.Expr
    source: str = "statistics"
    dtype: type[pl.Float64] | type[pl.Int64] = pl.Float64


def measure_signals(documents: Frame, signals: Sequence[str] | None = None) -> Frame:
    r"""Add one column a signal.

    Args:
        documents: Frame with `text` String without nulls; further columns are kept.
        signals: Names of `SIGNALS`; all of them if left out. Only the passes over the text that
            these need are made.

    Returns:
        The same rows in the same order, with the signals as last columns; a column of the same
        name is replaced. A LazyFrame stays lazy and can be streamed.

    Raises:
        ConfigError: A name is no signal, or the documents are no frame.
        InputError: There is no `text` column, or it holds nulls.

    >>> documents = pl.DataFrame({"text": ["One line.\nOne line."]})
    >>> measure_signals(documents, ["words", "duplicate_line_fraction"]).row(0)[1:]
    (4, 0.5)
    """
    if not isinstance(documents, pl.DataFrame | pl.LazyFrame):
        raise ConfigError(
            f"documents are a {type(documents).__name__}; measure_signals takes a Polars DataFrame "
            'or LazyFrame, e.g. pl.DataFrame({"text": [...]})'
        )
    names = check_signals(SIGNALS if signals is None else signals)
    if isinstance(documents, pl.DataFrame):
        return _measure(documents, names)
    schema = documents.collect_schema()
    schema.update({name: SIGNALS[name].dtype() for name in names})
    return documents.map_batches(lambda batch: _measure(batch, names), schema=schema)


def check_signals(names: Iterable[str]) -> list[str]:
    """The names as a list, if all of them are signals.

    >>> check_signals(["text_chars"])
    ['text_chars']
    """
    names = list(names)
    for name in names:
        if name not in SIGNALS:
            raise ConfigError(unknown_name("signal", name, SIGNALS))
    return names


def signals_page() -> str:
    """The page docs/signals.md, generated from `SIGNALS`.

    >>> signals_page().splitlines()[0]
    '# Signals'
    """
    rows = [f"| `{name}` | {s.dtype.__name__} | {s.meaning} |" for name, s in SIGNALS.items()]
    head = (
        "# Signals\n\nGenerated from `curate.signals.SIGNALS`; a test keeps it current. "
        "`python -m curate.signals > docs/signals.md` writes it anew.\n\n"
        "What a token, a word, a line and a duplicate is: `curate/text/statistics.py`. "
        "A fraction of nothing is 0; fractions lie in [0, 1].\n\n"
        "| signal | type | meaning |\n|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _measure(documents: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    if "text" not in documents.columns:
        raise InputError(f"no column 'text'; the columns are {', '.join(documents.columns)}")
    text = documents["text"]
    if text.null_count():
        raise InputError(f"column 'text' holds {text.null_count()} nulls; text must not")
    columns: dict[str, pl.Series] = {}
    for source in dict.fromkeys(SIGNALS[name].source for name in names):
        wanted = [name for name in names if SIGNALS[name].source == source]
        table = _SOURCES[source](text).select(
            SIGNALS[name].expression.cast(SIGNALS[name].dtype).alias(name) for name in wanted
        )
        columns |= {name: table[name] for name in wanted}
    return documents.with_columns(columns[name] for name in names)


def _compressed_bytes(text: pl.Series) -> pl.DataFrame:
    """Bytes of each document and of its zlib form at the fastest level."""
    raw = [value.encode() for value in text]
    sizes = {"raw": [len(r) for r in raw], "compressed": [len(zlib.compress(r, 1)) for r in raw]}
    return pl.DataFrame(sizes, schema={"raw": pl.Int64, "compressed": pl.Int64})


def _personal_data_counts(text: pl.Series) -> pl.DataFrame:
    """One column a kind of personal data, one row a document."""
    found = find_personal_data(text)
    counts = {}
    for kind in KINDS:
        per_document = found.filter(c("kind") == kind)["document"].value_counts()
        dense = pl.DataFrame({"document": pl.int_range(len(text), dtype=pl.UInt32, eager=True)})
        joined = dense.join(per_document, on="document", how="left", maintain_order="left")
        counts[kind] = joined["count"].fill_null(0)
    return pl.DataFrame(counts)


_SOURCES: Mapping[str, Callable[[pl.Series], pl.DataFrame]] = {
    "statistics": text_statistics,
    "text": lambda text: pl.DataFrame({"text": text}),
    "frame_lines": lambda text: pl.DataFrame({"fraction": frame_line_fraction(text)}),
    "compression": _compressed_bytes,
    "markup": lambda text: pl.DataFrame(
        {"markup": markup_chars(text), "chars": text.str.len_chars()}
    ),
    "personal_data": _personal_data_counts,
    "c4": c4_counts,
}


def _column(column: str | pl.Expr) -> pl.Expr:
    return c(column) if isinstance(column, str) else column


def _ratio(numerator: str | pl.Expr, denominator: str | pl.Expr) -> pl.Expr:
    below = _column(denominator)
    return pl.when(below > 0).then(_column(numerator) / below).otherwise(0.0)


def _fraction(numerator: str | pl.Expr, denominator: str | pl.Expr, meaning: str) -> Signal:
    """A share; n-grams that overlap themselves can cover more than the text, hence the cap."""
    return Signal(meaning=meaning, expression=_ratio(numerator, denominator).clip(0.0, 1.0))


def _mean(numerator: str, denominator: str | pl.Expr, meaning: str) -> Signal:
    return Signal(meaning=meaning, expression=_ratio(numerator, denominator))


def _count(column: str | pl.Expr, meaning: str, source: str = "statistics") -> Signal:
    return Signal(meaning=meaning, expression=_column(column), dtype=pl.Int64, source=source)


_URL = r"(?i)\bhttps?://[^\s<>\"'`;]+|\bwww\.[a-z0-9-]+\.[a-z]{2,}"

_SIZES = {
    "text_bytes": _count("text_bytes", "bytes of the UTF-8 text"),
    "text_chars": _count("text_chars", "characters (code points)"),
    "tokens": _count("tokens", "tokens: words and symbols"),
    "words": _count("words", "tokens that are no symbols"),
    "lines": _count("lines", "lines, blank ones included"),
    "paragraphs": _count("paragraphs", "pieces between empty lines"),
    "longest_word_chars": _count("longest_word_chars", "characters of the longest word"),
    "mean_word_chars": _mean("word_chars", "words", "mean length of the words"),
    "mean_clitic_word_chars": _mean(
        "word_chars", c("words") + c("clitics"), "the same with English clitics as words"
    ),
    "clitic_word_count": _count(
        c("words") + c("clitics"), "words, English clitics ones of their own"
    ),
    "mean_line_chars": _mean("text_chars", "lines", "characters per line"),
}
_CHARACTERS = {
    "letter_fraction": _fraction("letter_chars", "text_chars", "letters / characters"),
    "upper_fraction": _fraction("upper_chars", "letter_chars", "upper-case letters / letters"),
    "digit_fraction": _fraction("digit_chars", "text_chars", "decimal digits / characters"),
    "punctuation_fraction": _fraction(
        "punctuation_chars", "text_chars", "punctuation and symbols / characters"
    ),
    "space_fraction": _fraction("space_chars", "text_chars", "white space / characters"),
    "non_ascii_fraction": _fraction("non_ascii_chars", "text_chars", "non-ASCII / characters"),
    "curly_bracket_count": _count("curly_brackets", "opening and closing curly brackets"),
    "letter_entropy_bits": Signal(
        meaning="entropy of the ASCII letters without case, in bits a letter; English has about "
        "4.1, random letters 4.7, hexadecimal at most 2.6; 0 without letters",
        expression=c("letter_entropy_bits"),
    ),
    "vowel_fraction": _fraction("ascii_vowels", "ascii_letters", "a e i o u y / ASCII letters"),
    "consonant_run_fraction": _fraction(
        "consonant_run_letters",
        "ascii_letters",
        "ASCII letters in runs of five or more consonants / ASCII letters",
    ),
    "damped_consonant_run_fraction": _fraction(
        "consonant_run_letters",
        c("ascii_letters") + 200,
        "such letters / (ASCII letters + 200): one odd word in a short text weighs little",
    ),
}
_TOKENS = {
    "alphabetic_token_fraction": _fraction(
        "alphabetic_tokens", "tokens", "tokens with a letter / tokens"
    ),
    "alphabetic_clitic_token_fraction": _fraction(
        c("alphabetic_tokens") + c("clitics"),
        c("tokens") + c("clitics") - c("abbreviation_stops"),
        "the same with English clitics ('s, n't, 'll …) as tokens of their own, and no token for "
        "the full stop of an abbreviation",
    ),
    "distinct_token_fraction": _fraction("distinct_tokens", "tokens", "different tokens / tokens"),
    "distinct_stop_word_count": _count(
        "distinct_stop_words", "how many of the, be, to, of, and, that, have, with occur"
    ),
    "hashes_per_token": _mean("hashes", "tokens", "`#` characters / tokens"),
    "ellipses_per_token": _mean("ellipses", "tokens", "`...` and `…` / tokens"),
    "newlines_per_token": _mean("newlines", "tokens", "newlines / tokens"),
}
_LINES = {
    "bullet_line_fraction": _fraction("bullet_lines", "lines", "lines that begin with • or -"),
    "ellipsis_line_fraction": _fraction("ellipsis_lines", "lines", "lines that end in an ellipsis"),
    "terminal_line_fraction": _fraction(
        "terminal_lines", "nonblank_lines", "non-blank lines that end in terminal punctuation"
    ),
    "sentence_line_fraction": _fraction(
        "sentence_lines",
        "nonblank_lines",
        "non-blank lines that end in a mark that ends sentences: no ellipsis, no quotation mark",
    ),
    "short_line_fraction": _fraction(
        "short_lines", "nonblank_lines", "non-blank lines of at most 30 characters"
    ),
    "duplicate_line_fraction": _fraction(
        "duplicate_lines", "split_lines", "later copies of a line / lines (split at newline runs)"
    ),
    "duplicate_line_chars_fraction": _fraction(
        "duplicate_line_chars", "text_chars", "characters of such copies / characters"
    ),
    "duplicate_nonblank_line_chars_fraction": _fraction(
        "duplicate_nonblank_line_chars",
        c("text_chars") - c("newlines"),
        "characters of later copies of non-blank lines / characters without newlines",
    ),
    "duplicate_paragraph_fraction": _fraction(
        "duplicate_paragraphs", "paragraphs", "later copies of a paragraph / paragraphs"
    ),
    "duplicate_paragraph_chars_fraction": _fraction(
        "duplicate_paragraph_chars", "text_chars", "characters of such copies / characters"
    ),
    "boilerplate_line_fraction": Signal(
        meaning="non-blank lines that are menus, consent notices, account or sharing prompts",
        expression=c("fraction"),
        source="frame_lines",
    ),
}
_NGRAMS = {
    f"top_{n}gram_chars_fraction": _fraction(
        f"top_{n}gram_chars",
        "text_chars",
        f"characters of the most frequent {n}-gram, with spaces, times its count / characters",
    )
    for n in (2, 3, 4)
} | {
    f"duplicate_{n}gram_chars_fraction": _fraction(
        f"duplicate_{n}gram_chars",
        "text_chars",
        f"characters of {n}-grams seen before, scanned without overlap / characters",
    )
    for n in range(5, 11)
}
_CONTENT = {
    "compression_ratio": Signal(
        meaning="bytes after zlib level 1 / bytes; above 1 for very short texts, 0 if empty",
        expression=_ratio("compressed", "raw"),
        source="compression",
    ),
    "mojibake_fraction": Signal(
        meaning="characters of UTF-8 sequences read as Windows-1252 or Latin-1 / characters",
        expression=pl.when(c("text") == "")
        .then(0.0)
        .otherwise(mojibake_chars(c("text")) / c("text").str.len_chars()),
        source="text",
    ),
    "damped_latin_1_fraction": _fraction(
        "latin_1_chars",
        c("text_chars") + 100,
        "characters U+0080 to U+00FF / (characters + 100); at most 0.22 in any language, more in "
        "text of other scripts that was read as Latin-1 or Windows-1252",
    ),
    "markup_fraction": Signal(
        meaning="characters of tags, comments, scripts and styles / characters",
        expression=_ratio("markup", "chars").clip(0.0, 1.0),
        source="markup",
    ),
    "url_count": Signal(
        meaning="web addresses that begin with http://, https:// or www.",
        expression=c("text").str.count_matches(_URL),
        source="text",
        dtype=pl.Int64,
    ),
} | {
    f"pii_{kind}_count": _count(
        kind, f"places with personal data of the kind {kind}", "personal_data"
    )
    for kind in KINDS
}

_C4 = {
    name: _count(name, meaning, "c4")
    for name, meaning in {
        "c4_sentence_count": "sentences in the lines that the C4 line rules keep",
        "c4_kept_line_count": "lines that the C4 line rules keep",
        "c4_curly_line_count": "lines with `{` that end as a sentence does",
        "c4_lorem_ipsum_line_count": "lines with `lorem ipsum` that end as a sentence does",
    }.items()
}

SIGNALS: Mapping[str, Signal] = _SIZES | _CHARACTERS | _TOKENS | _LINES | _NGRAMS | _CONTENT | _C4
"""Every signal by name."""

if __name__ == "__main__":
    import sys

    sys.stdout.write(signals_page())
