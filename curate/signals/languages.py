"""Stop words of languages, counted where a rule of the run reads them.

The lists are those of huggingface/fineweb-2, `configs/<language>_<script>.yml`: the most frequent
words of the language's Wikipedia. A word that ends in an apostrophe stands before another word.
"""

from __future__ import annotations

import polars as pl

from curate.signals.table import Signal, count

STOP_WORDS = {
    "fra": "de la le et à en l' des du les est d' un une il dans par au",
    "deu": "der und die in von im den des mit das er dem als wurde für",
    "spa": "de la en el y a que del los se por un con una las su",
    "ita": "di e il la in a del che è della un per nel l' con da i una",
    "por": "de a e o em do da que um no uma com para na é foi",
    "rus": "в и на с года по году из был к не от что за для его как а он также до после",
}
"""Language by ISO 639-3 code → its stop words."""
_EDGE = r"[^\p{L}\p{M}\p{N}]"


def _occurs(word: str) -> pl.Expr:
    """Whether a word stands in the text, between characters that are no part of words."""
    bare = word.removesuffix("'")
    after = "['’]" if bare != word else rf"(?:$|{_EDGE})"
    return pl.col("text").str.contains(rf"(?:^|{_EDGE}){bare}{after}").cast(pl.Int64)


LANGUAGE_SIGNALS: dict[str, Signal] = {
    f"distinct_{code}_stop_word_count": count(
        pl.sum_horizontal([_occurs(word) for word in words.split()]),
        f"how many different stop words of FineWeb-2 for `{code}` occur, case-sensitive",
        "text",
    )
    for code, words in STOP_WORDS.items()
}
"""One signal a language, by name."""
