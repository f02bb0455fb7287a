r"""Signals of the token views `whitespace` and `shingle`, as dialects of rule sets need them.

Public implementations of the same rules count different words and different repetitions. A word
of the *whitespace* view is what stands between white space (`str.split`: Dolma, NeMo Curator,
DCLM); a word of the *shingle* view is a lower-case `\w+` as docs/tokenisation.md defines it
(close to RedPajama's normalised words and to DCLM's segmented ones). Of a repeated n-gram count:

- `top`: the most frequent n-gram, the first of several; `longest_top`: the longest of several,
  and nothing unless it repeats; times its count;
- `duplicate`: n-grams seen before, scanned without overlap (datatrove);
- `repeated`: all occurrences of n-grams that occur twice, as a share of all n-grams (Dolma);
- `covered`: words that stand in an n-gram that occurs twice, each once (DCLM, RedPajama);
- `later`: words in later occurrences, each once, with the spaces between them (NeMo Curator).
"""

from __future__ import annotations

import polars as pl

from curate.signals.table import Signal, count, fraction, mean

c = pl.col
_DUPLICATES = range(5, 11)


def _words(view: str) -> dict[str, Signal]:
    words, chars = c(f"{view}_words"), c(f"{view}_word_chars")
    return {
        f"{view}_word_count": count(words, f"words of the {view} view", view),
        f"{view}_word_chars": count(chars, "characters of these words", view),
        f"longest_{view}_word_chars": count(
            f"{view}_longest_word_chars", "characters of the longest of them", view
        ),
        f"mean_{view}_word_chars": mean(chars, words, "their mean length", view),
        f"median_{view}_word_chars": mean(
            c(f"{view}_twice_median_word_chars"), pl.lit(2), "their median length", view
        ),
        f"alphabetic_{view}_word_fraction": fraction(
            c(f"{view}_alphabetic_tokens"), words, "words with a letter / words", view
        ),
        f"distinct_{view}_word_fraction": fraction(
            c(f"{view}_distinct_tokens"), words, "different words / words", view
        ),
        f"{view}_stop_word_count": count(
            f"{view}_stop_words", "the, be, to, of, and, that, have, with: occurrences", view
        ),
        f"distinct_{view}_stop_word_count": count(
            f"{view}_distinct_stop_words", "how many different ones of these occur", view
        ),
        f"hashes_per_{view}_word": mean("hashes", words, "`#` characters / words", view),
        f"ellipses_per_{view}_word": mean("ellipses", words, "`...` and `…` / words", view),
        f"newlines_per_{view}_word": mean("newlines", words, "newlines / words", view),
    }


def _signs(view: str) -> dict[str, Signal]:
    """What only words with their punctuation can tell."""
    words = c(f"{view}_words")
    return {
        f"any_case_{view}_stop_word_count": count(
            f"{view}_any_case_stop_words", "the same stop words in upper or lower case", view
        ),
        f"hash_{view}_word_fraction": fraction(
            c(f"{view}_hash_words"), words, "words with `#` or `…` / words (Dolma)", view
        ),
        f"mark_{view}_word_fraction": fraction(
            c(f"{view}_ellipsis_words") + c(f"{view}_marked_words"),
            words,
            "words that are `...`, `[...]`, `…`, `(...)`, `[…]` or `-»`, or whose runs of `#` "
            "outnumber half of their characters / words (NeMo Curator)",
            view,
        ),
    }


def _tops(view: str) -> dict[str, Signal]:
    """Top 2- to 4-grams."""
    chars = c(f"{view}_word_chars")
    found: dict[str, Signal] = {}
    for n in (2, 3, 4):
        found[f"{view}_top_{n}gram_chars_fraction"] = fraction(
            c(f"{view}_top_{n}gram_chars"),
            "text_chars",
            f"characters of the most frequent {n}-gram, with spaces, times its count / characters",
            view,
        )
        found[f"{view}_top_{n}gram_bare_chars_fraction"] = fraction(
            c(f"{view}_top_{n}gram_bare_chars"),
            chars,
            "the same without spaces / characters of words (Dolma, RedPajama)",
            view,
        )
        found[f"{view}_longest_top_{n}gram_bare_chars_fraction"] = fraction(
            c(f"{view}_longest_top_{n}gram_bare_chars"),
            chars,
            "the same of the longest of the most frequent ones, 0 unless it repeats (DCLM)",
            view,
        )
    return found


def _duplicates(view: str) -> dict[str, Signal]:
    """Repeated 5- to 10-grams by each way of counting."""
    ways = {
        "duplicate": ("text_chars", "{n}-grams seen before, scanned without overlap / characters"),
        "repeated": (
            f"{view}_all_{{n}}gram_chars",
            "all occurrences of {n}-grams that occur twice / characters of all {n}-grams (Dolma)",
        ),
        "covered": (
            f"{view}_word_chars",
            "words in {n}-grams that occur twice / characters of words (DCLM, RedPajama)",
        ),
        "later": (
            "text_chars",
            "later occurrences of {n}-grams with their spaces / characters (NeMo Curator)",
        ),
    }
    found = {
        f"{view}_later_2gram_chars_fraction": fraction(
            c(f"{view}_later_2gram_chars"),
            "text_chars",
            "characters of later occurrences of 2-grams with their spaces / characters",
            view,
        )
    }
    for way, (denominator, meaning) in ways.items():
        for n in _DUPLICATES:
            found[f"{view}_{way}_{n}gram_chars_fraction"] = fraction(
                c(f"{view}_{way}_{n}gram_chars"),
                denominator.format(n=n),
                f"characters of {meaning.format(n=n)}",
                view,
            )
    return found


VIEW_SIGNALS = (
    _words("whitespace")
    | _signs("whitespace")
    | _tops("whitespace")
    | _duplicates("whitespace")
    | _words("shingle")
    | _tops("shingle")
    | _duplicates("shingle")
)
"""The signals of both further token views, by name."""
