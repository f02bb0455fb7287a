r"""Signals that only one public implementation of the Gopher rules counts in this way.

They are measured where a rule of the run reads them, not in every run:

- `dolma_…`, `nemo_…`, `dclm_…`, `redpajama_…` lines and paragraphs: `curate.text.dialect_lines`;
- `redpajama` words: lower case, without ASCII punctuation, decomposed (NFD), between white space;
  its symbols and letters are counted over raw words (`\w+|[^\w\s]+`);
- `english` tokens: `curate.text.english_tokens`, for datatrove's word counts;
- `dclm` words: Unicode's word boundaries (UAX 29) where the word begins with a letter or a digit.
"""

from __future__ import annotations

import polars as pl

from curate.signals.languages import LANGUAGE_SIGNALS
from curate.signals.table import Signal, count, fraction, mean, ratio
from curate.text.dialect_lines import LINE_FRACTIONS, line_fractions
from curate.text.english_tokens import english_token_counts
from curate.text.line_corrections import line_correction_fraction
from curate.text.statistics import text_statistics

c = pl.col
_ASCII_PUNCTUATION = r"[!-/:-@\[-`{-~]"
_RAW_WORD = r"\w+|[^\w\s]+"
_RAW_WORD_WITH_LETTER = r"\w*[a-zA-Z]\w*"
# Letters and digits go on over one mark of those that UAX 29 joins between them.
_INSIDE = r"[\p{L}\p{M}\p{N}_\x{200d}]*"
_UNISEG_WORD = (
    rf"[\p{{L}}\p{{N}}]{_INSIDE}"
    rf"(?:['’.·:]\p{{L}}{_INSIDE}|[.,;'’]\p{{N}}{_INSIDE})*"
)
_MEANINGS = {
    "bullet_lines": "lines that begin with one of its bullets",
    "ellipsis_lines": "lines that end in one of its ellipses",
    "distinct_lines": "lines without their later copies / lines",
    "distinct_line_chars": "characters of lines without later copies / characters of lines",
    "distinct_paragraphs": "paragraphs without their later copies / paragraphs",
    "distinct_paragraph_chars": "characters of paragraphs without later copies / of paragraphs",
    "duplicate_lines": "repeated lines as it counts them",
    "duplicate_line_chars": "characters of repeated lines as it counts them",
    "duplicate_paragraphs": "repeated paragraphs as it counts them",
    "duplicate_paragraph_chars": "characters of repeated paragraphs as it counts them",
}


def redpajama_counts(text: pl.Series) -> pl.DataFrame:
    """Counts of the whitespace view on normalised text, and of raw words.

    >>> redpajama_counts(pl.Series(["Don't #stop, don't."])).select(
    ...     "whitespace_words", "raw_words", "symbols"
    ... ).row(0)
    (3, 10, 1)
    """
    lower = text.str.to_lowercase().str.replace_all(_ASCII_PUNCTUATION, "")
    counts = text_statistics(lower.str.normalize("NFD"), views=["whitespace"])
    return counts.with_columns(
        raw_words=text.str.count_matches(_RAW_WORD),
        raw_words_with_letter=text.str.count_matches(_RAW_WORD_WITH_LETTER),
        symbols=_occurrences(text, ("#", "...", "…")),
    )


def dclm_counts(text: pl.Series) -> pl.DataFrame:
    """Counts of the whitespace view on the words between Unicode's word boundaries.

    >>> dclm_counts(pl.Series(["Don't stop. 3.14, end-of-line . . ."])).select(
    ...     "whitespace_words", "split_words", "symbols"
    ... ).row(0)
    (6, 7, 1)
    """
    words = text.str.extract_all(_UNISEG_WORD).list.join(" ")
    counts = text_statistics(words, views=["whitespace"])
    return counts.with_columns(
        split_words=text.str.count_matches(r"\S+"),
        symbols=_occurrences(text, ("#", "...", ". . .", "…")),
    )


def _occurrences(text: pl.Series, marks: tuple[str, ...]) -> pl.Series:
    counts = [c("text").str.count_matches(mark, literal=True) for mark in marks]
    total = pl.sum_horizontal(counts).cast(pl.Int64).alias("n")
    return pl.DataFrame({"text": text}).select(total)["n"]


def _lines() -> dict[str, Signal]:
    found = {}
    for column in LINE_FRACTIONS:
        dialect, _, part = column.partition("_")
        name = f"{dialect}_{part.removesuffix('s')}_fraction".replace("char_", "chars_")
        found[name] = Signal(
            meaning=f"{dialect}: {_MEANINGS[part]}", expression=c(column), source="dialect_lines"
        )
    return found


def _redpajama() -> dict[str, Signal]:
    words, chars = c("whitespace_words"), c("whitespace_word_chars")
    source = "redpajama"
    found = {
        "redpajama_word_count": count(words, "RedPajama's normalised words", source),
        "mean_redpajama_word_chars": mean(chars, words, "their mean length", source),
        "symbols_per_redpajama_word": mean(
            "symbols", "raw_words", "`#`, `...` and `…` / RedPajama's raw words", source
        ),
        "alphabetic_redpajama_word_fraction": fraction(
            "raw_words_with_letter", "raw_words", "raw words with an ASCII letter / all", source
        ),
    }
    for n in (2, 3, 4):
        top = ratio(c(f"whitespace_top_{n}gram_bare_chars"), chars)
        repeats = c(f"whitespace_longest_top_{n}gram_bare_chars") > 0
        found[f"redpajama_top_{n}gram_chars_fraction"] = Signal(
            meaning=f"characters of the most frequent {n}-gram of these words times its count / "
            "characters of words, 0 unless it repeats",
            expression=pl.when(repeats).then(top).otherwise(0.0).clip(0.0, 1.0),
            source=source,
        )
    return found | _covered("redpajama")


def _dclm() -> dict[str, Signal]:
    words = c("whitespace_words")
    found = {
        "dclm_word_count": count(words, "DCLM's words: Unicode's word boundaries", "dclm"),
        "symbols_per_dclm_word": mean(
            "symbols", "split_words", "`#`, `...`, `. . .` and `…` / words between spaces", "dclm"
        ),
    }
    for n in (2, 3, 4):
        found[f"dclm_top_{n}gram_chars_fraction"] = fraction(
            c(f"whitespace_longest_top_{n}gram_bare_chars"),
            "whitespace_word_chars",
            f"the longest of the most frequent {n}-grams of DCLM's words, 0 unless it repeats",
            "dclm",
        )
    return found | _covered("dclm")


def _covered(source: str) -> dict[str, Signal]:
    return {
        f"{source}_covered_{n}gram_chars_fraction": fraction(
            c(f"whitespace_covered_{n}gram_chars"),
            "whitespace_word_chars",
            f"characters of {source}'s words in {n}-grams that occur twice / of all of them",
            source,
        )
        for n in range(5, 11)
    }


def _english() -> dict[str, Signal]:
    source = "english_tokens"
    return {
        "english_word_count": count(
            "words", "English tokens by spaCy's rules that are not all marks", source
        ),
        "mean_english_word_chars": mean("word_chars", "words", "their mean length", source),
        "alphabetic_english_token_fraction": fraction(
            "alphabetic", "tokens", "such tokens with a letter / all, marks included", source
        ),
    }


_REFINEDWEB = Signal(
    meaning="words in lines that RefinedWeb's corrections take out (shouted, numeric, counters, "
    "single words) / words",
    expression=c("fraction"),
    source="line_corrections",
)
DIALECT_SIGNALS = {
    **_lines(),
    **_redpajama(),
    **_dclm(),
    **_english(),
    "line_correction_word_fraction": _REFINEDWEB,
    **LANGUAGE_SIGNALS,
}
"""The signals of single implementations, papers and languages, by name."""
DIALECT_SOURCES = {
    "dialect_lines": line_fractions,
    "redpajama": redpajama_counts,
    "dclm": dclm_counts,
    "english_tokens": english_token_counts,
    "line_corrections": lambda text: pl.DataFrame({"fraction": line_correction_fraction(text)}),
}
"""The tables that they are read from."""
