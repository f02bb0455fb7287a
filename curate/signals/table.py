"""Which numbers there are: each signal's meaning, the table it is read from, and its expression."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.text.personal_data import KINDS
from curate.text.urls import URL

c = pl.col


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """One number of a document.

    Attributes:
        meaning: What it is, in one line, for the generated page.
        expression: Polars expression over the columns of `source`.
        source: The table that is computed from the text first, by `curate.signals.measuring`.
        dtype: Float64, Int64, or String (what a document is called, not how much of it there is).
    """

    meaning: str
    expression: pl.Expr
    source: str = "statistics"
    dtype: type[pl.Float64] | type[pl.Int64] | type[pl.String] = pl.Float64


Figure = str | pl.Expr
"""A column of the table that a signal is read from, or an expression over its columns."""


_UNITS = {"_fraction": "share, 0 to 1", "_bits": "bits", "_ratio": "ratio", "_score": "score"}
_UNITS |= {"_chars": "characters", "_bytes": "bytes", "_count": "count"}
_COUNTED = ("tokens", "words", "lines", "paragraphs")


def signal_unit(name: str) -> str:
    """The unit that a signal's name ends in, in words.

    >>> [signal_unit(name) for name in ("mean_word_chars", "digit_fraction", "hashes_per_token")]
    ['characters', 'share, 0 to 1', 'per token']
    """
    if name == "language":
        return "code"
    if name in _COUNTED:
        return "count"
    if "_per_" in name:
        return "per " + name.partition("_per_")[2].replace("_", " ")
    return next((words for end, words in _UNITS.items() if name.endswith(end)), "")


def ratio(numerator: Figure, denominator: Figure) -> pl.Expr:
    """One figure by another; nothing by nothing is 0."""
    above, below = (c(x) if isinstance(x, str) else x for x in (numerator, denominator))
    return pl.when(below > 0).then(above / below).otherwise(0.0)


def fraction(
    numerator: Figure, denominator: Figure, meaning: str, source: str = "statistics"
) -> Signal:
    """A share; n-grams that overlap themselves can cover more than the text, hence the cap."""
    share = ratio(numerator, denominator).clip(0.0, 1.0)
    return Signal(meaning=meaning, expression=share, source=source)


def mean(
    numerator: Figure, denominator: Figure, meaning: str, source: str = "statistics"
) -> Signal:
    """A quotient that may pass 1."""
    return Signal(meaning=meaning, expression=ratio(numerator, denominator), source=source)


def count(figure: Figure, meaning: str, source: str = "statistics") -> Signal:
    """A whole number."""
    expression = c(figure) if isinstance(figure, str) else figure
    return Signal(meaning=meaning, expression=expression, dtype=pl.Int64, source=source)


_SIZES = {
    "text_bytes": count("text_bytes", "bytes of the UTF-8 text"),
    "text_chars": count("text_chars", "characters (code points)"),
    "tokens": count("tokens", "tokens: words and symbols"),
    "words": count("words", "tokens that are no symbols"),
    "lines": count("lines", "lines, blank ones included"),
    "paragraphs": count("paragraphs", "pieces between empty lines"),
    "longest_word_chars": count("longest_word_chars", "characters of the longest word"),
    "mean_word_chars": mean("word_chars", "words", "mean length of the words"),
    "mean_clitic_word_chars": mean(
        "word_chars", c("words") + c("clitics"), "the same with English clitics as words"
    ),
    "clitic_word_count": count(
        c("words") + c("clitics"), "words, English clitics ones of their own"
    ),
    "median_word_chars": mean(
        "twice_median_word_chars", pl.lit(2), "median length of the words; halves are possible"
    ),
    "mean_line_chars": mean("text_chars", "lines", "characters per line"),
}
_CHARACTERS = {
    "letter_fraction": fraction("letter_chars", "text_chars", "letters / characters"),
    "upper_fraction": fraction("upper_chars", "letter_chars", "upper-case letters / letters"),
    "digit_fraction": fraction("digit_chars", "text_chars", "decimal digits / characters"),
    "punctuation_fraction": fraction(
        "punctuation_chars", "text_chars", "punctuation and symbols / characters"
    ),
    "space_fraction": fraction("space_chars", "text_chars", "white space / characters"),
    "non_ascii_fraction": fraction("non_ascii_chars", "text_chars", "non-ASCII / characters"),
    "curly_bracket_count": count("curly_brackets", "opening and closing curly brackets"),
    "letter_entropy_bits": Signal(
        meaning="entropy of the ASCII letters without case, in bits a letter; English has about "
        "4.1, random letters 4.7, hexadecimal at most 2.6; 0 without letters",
        expression=c("letter_entropy_bits"),
    ),
    "vowel_fraction": fraction("ascii_vowels", "ascii_letters", "a e i o u y / ASCII letters"),
    "consonant_run_fraction": fraction(
        "consonant_run_letters",
        "ascii_letters",
        "ASCII letters in runs of five or more consonants / ASCII letters",
    ),
    "damped_consonant_run_fraction": fraction(
        "consonant_run_letters",
        c("ascii_letters") + 200,
        "such letters / (ASCII letters + 200): one odd word in a short text weighs little",
    ),
}
_TOKENS = {
    "alphabetic_token_fraction": fraction(
        "alphabetic_tokens", "tokens", "tokens with a letter / tokens"
    ),
    "alphabetic_clitic_token_fraction": fraction(
        c("alphabetic_tokens") + c("clitics"),
        c("tokens") + c("clitics") - c("abbreviation_stops"),
        "the same with English clitics ('s, n't, 'll …) as tokens of their own, and no token for "
        "the full stop of an abbreviation",
    ),
    "distinct_token_fraction": fraction("distinct_tokens", "tokens", "different tokens / tokens"),
    "distinct_stop_word_count": count(
        "distinct_stop_words", "how many of the, be, to, of, and, that, have, with occur"
    ),
    "hashes_per_token": mean("hashes", "tokens", "`#` characters / tokens"),
    "ellipses_per_token": mean("ellipses", "tokens", "`...` and `…` / tokens"),
    "newlines_per_token": mean("newlines", "tokens", "newlines / tokens"),
}
_SENTENCES = pl.max_horizontal(c("sentence_marks") - c("abbreviation_stops"), pl.lit(1))
_SYLLABLES = pl.max_horizontal(c("vowel_runs") - c("silent_es"), "words")
_READABILITY = {
    "sentence_count": count(
        pl.when(c("words") > 0).then(_SENTENCES).otherwise(0),
        "marks that end sentences, without the full stops of abbreviations; at least 1 with words",
    ),
    "long_word_fraction": fraction(
        "long_words", "words", "words of more than 6 characters / words"
    ),
    "lix_score": Signal(
        meaning="LIX (Björnsson 1968): words per sentence plus the percentage of long words; below "
        "30 easy, above 60 hard; 0 without words",
        expression=ratio("words", _SENTENCES) + 100 * ratio("long_words", "words"),
    ),
    "flesch_score": Signal(
        meaning="Flesch reading ease of English (Flesch 1948), 206.835 - 1.015 words per sentence "
        "- 84.6 syllables per word, cut at 0 and 121; syllables are runs of vowels without silent "
        "e, at least one a word; 0 without words",
        expression=pl.when(c("words") > 0)
        .then(206.835 - 1.015 * ratio("words", _SENTENCES) - 84.6 * ratio(_SYLLABLES, "words"))
        .otherwise(0.0)
        .clip(0.0, 121.0),
    ),
}
_LINES = {
    "bullet_line_fraction": fraction("bullet_lines", "lines", "lines that begin with • or -"),
    "ellipsis_line_fraction": fraction("ellipsis_lines", "lines", "lines that end in an ellipsis"),
    "terminal_line_fraction": fraction(
        "terminal_lines", "nonblank_lines", "non-blank lines that end in terminal punctuation"
    ),
    "sentence_line_fraction": fraction(
        "sentence_lines",
        "nonblank_lines",
        "non-blank lines that end in a mark that ends sentences: no ellipsis, no quotation mark",
    ),
    "short_line_fraction": fraction(
        "short_lines", "nonblank_lines", "non-blank lines of at most 30 characters"
    ),
    "duplicate_line_fraction": fraction(
        "duplicate_lines", "split_lines", "later copies of a line / lines (split at newline runs)"
    ),
    "duplicate_line_chars_fraction": fraction(
        "duplicate_line_chars", "text_chars", "characters of such copies / characters"
    ),
    "duplicate_nonblank_line_chars_fraction": fraction(
        "duplicate_nonblank_line_chars",
        c("text_chars") - c("newlines"),
        "characters of later copies of non-blank lines / characters without newlines",
    ),
    "duplicate_paragraph_fraction": fraction(
        "duplicate_paragraphs", "paragraphs", "later copies of a paragraph / paragraphs"
    ),
    "duplicate_paragraph_chars_fraction": fraction(
        "duplicate_paragraph_chars", "text_chars", "characters of such copies / characters"
    ),
    "boilerplate_line_fraction": Signal(
        meaning="non-blank lines that are menus, consent notices, account or sharing prompts",
        expression=c("fraction"),
        source="frame_lines",
    ),
}
_NGRAMS = {
    f"top_{n}gram_chars_fraction": fraction(
        f"top_{n}gram_chars",
        "text_chars",
        f"characters of the most frequent {n}-gram, with spaces, times its count / characters",
    )
    for n in (2, 3, 4)
} | {
    f"duplicate_{n}gram_chars_fraction": fraction(
        f"duplicate_{n}gram_chars",
        "text_chars",
        f"characters of {n}-grams seen before, scanned without overlap / characters",
    )
    for n in range(5, 11)
}
_CONTENT = {
    "compression_ratio": Signal(
        meaning="bytes after zlib level 1 / bytes; above 1 for very short texts, 0 if empty",
        expression=ratio("compressed", "raw"),
        source="compression",
    ),
    "mojibake_fraction": fraction(
        "mojibake",
        "chars",
        "characters of UTF-8 sequences read as Windows-1252 or Latin-1 / characters",
        "marks",
    ),
    "damped_latin_1_fraction": fraction(
        "latin_1_chars",
        c("text_chars") + 100,
        "characters U+0080 to U+00FF / (characters + 100); at most 0.22 in any language, more in "
        "text of other scripts that was read as Latin-1 or Windows-1252",
    ),
    "markup_fraction": fraction(
        "markup", "chars", "characters of tags, comments, scripts and styles / characters", "marks"
    ),
    "code_line_fraction": fraction(
        c("text").str.count_matches(r"[;{}][ \t\r]*(?:\n|$)"),
        c("text").str.count_matches("\n", literal=True) + 1,
        "lines that end in `;`, `{` or `}` / lines: program code and style sheets",
        "text",
    ),
    "lorem_ipsum_count": Signal(
        meaning="places that say lorem ipsum, in any case",
        expression=c("text").str.count_matches("(?i)lorem[ \u00a0]+ipsum"),
        source="text",
        dtype=pl.Int64,
    ),
    "url_count": Signal(
        meaning="web addresses that begin with http://, https:// or www.",
        expression=c("text").str.count_matches(URL),
        source="text",
        dtype=pl.Int64,
    ),
} | {
    f"pii_{kind}_count": count(
        kind, f"places with personal data of the kind {kind}", "personal_data"
    )
    for kind in KINDS
}

_C4 = {
    name: count(name, meaning, "c4")
    for name, meaning in {
        "c4_sentence_count": "sentences in the lines that the C4 line rules keep",
        "c4_kept_line_count": "lines that the C4 line rules keep",
        "c4_curly_line_count": "lines with `{` that end as a sentence does",
        "c4_lorem_ipsum_line_count": "lines with `lorem ipsum` that end as a sentence does",
    }.items()
}

LANGUAGE_SIGNALS = {
    "language": Signal(
        meaning="the likeliest of 97 languages by py3langid (extra `language`), ISO 639-1, from "
        "the first 10,000 characters; measured only where a rule or the audit reads it",
        expression=c("language"),
        source="language",
        dtype=pl.String,
    ),
    "language_score": Signal(
        meaning="its probability among them",
        expression=c("language_score"),
        source="language",
    ),
}
"""What needs an extra, by name."""

FLAGGED_SIGNALS = {
    "flagged_word_count": count(
        "flagged",
        "places that hold a word of the list `signals.flagged_words`; measured where there is one",
        "flagged_words",
    ),
    "flagged_word_fraction": fraction(
        "flagged", "words", "such places / words of the text", "flagged_words"
    ),
}
"""What needs a list of the user's, by name."""

TEXT_SIGNALS = _SIZES | _CHARACTERS | _TOKENS | _READABILITY | _LINES | _NGRAMS | _CONTENT | _C4
"""Every signal but those of further token views, by name."""
