"""The C4 rules (Raffel et al. 2020, JMLR 21/140, section 2.2) as datatrove 0.10 reads them.

A line goes if it has a word of more than 1,000 characters, ends in no terminal mark (`. ? ! " '`)
or in `...`, has fewer than three words, or names JavaScript or a policy. Of what stays, `{` or
"lorem ipsum" condemns the document, and so do fewer than five sentences. The order matters: a
brace in a line that goes anyway condemns nothing.
"""

from __future__ import annotations

import polars as pl

LONGEST_WORD_CHARS = 1000
FEWEST_WORDS = 3
CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
_UNWANTED = [
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
]
_SENTENCE_END = r"""[.?!]+["'”’)\]]*(?:\s|$)"""
_ABBREVIATION = r"(?-u:\b)(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|Co|Inc|vs|e\.g|i\.e|[A-Z])\.\s"

c = pl.col


def c4_lines(text: pl.Series) -> pl.DataFrame:
    r"""Every line with what the rules say of it.

    Args:
        text: String column without nulls.

    Returns:
        `document` UInt32 (row of `text`), `start` and `end` Int64 (bytes, the newline excluded),
        `kept`, `lorem_ipsum` and `curly_bracket` Boolean, `sentences` Int64 (0 of a line that
        goes), in the order of the text.

    >>> c4_lines(pl.Series(["Home\nThis line stays. It has two.\nWe use cookies on it."])).select(
    ...     "kept", "sentences"
    ... ).rows()
    [(False, 0), (True, 2), (False, 0)]
    """
    lines = (
        pl.DataFrame({"document": pl.int_range(len(text), dtype=pl.UInt32, eager=True)})
        .with_columns(line=text.str.split("\n"))
        .explode("line")
        .with_columns(size=c("line").str.len_bytes().cast(pl.Int64))
        .with_columns(end=(c("size") + 1).cum_sum().over("document") - 1)
        .with_columns(start=c("end") - c("size"), line=c("line").str.strip_chars())
    )
    lines = lines.with_columns(line=c("line").str.replace_all(CITATION, ""), whole=c("line"))
    judged = lines.with_columns(candidate=_is_sentence()).with_columns(
        lorem_ipsum=c("candidate") & c("line").str.contains("(?i)lorem ipsum"),
        unwanted=c("line").str.contains_any(_UNWANTED, ascii_case_insensitive=True),
    )
    kept = c("candidate") & ~c("unwanted")
    ends = c("line").str.count_matches(_SENTENCE_END).cast(pl.Int64)
    sentences = (ends - c("line").str.count_matches(_ABBREVIATION).cast(pl.Int64)).clip(1)
    return judged.select(
        "document",
        "start",
        "end",
        "lorem_ipsum",
        kept=kept,
        curly_bracket=c("candidate")
        & c("line").str.contains("{", literal=True)
        & ~c("line").str.contains("(?i)javascript"),
        sentences=pl.when(kept).then(sentences).otherwise(0),
    )


def c4_counts(text: pl.Series) -> pl.DataFrame:
    r"""Figures of each document, for the rules about documents.

    Returns:
        One row a document: `c4_sentence_count`, `c4_kept_line_count`, `c4_curly_line_count` and
        `c4_lorem_ipsum_line_count`, Int64.

    >>> c4_counts(pl.Series(["Only this one stays.\nHome", ""])).rows()
    [(1, 1, 0, 0), (0, 0, 0, 0)]
    """
    counts = (
        c4_lines(text)
        .group_by("document", maintain_order=True)
        .agg(
            c4_sentence_count=c("sentences").sum(),
            c4_kept_line_count=c("kept").sum(),
            c4_curly_line_count=c("curly_bracket").sum(),
            c4_lorem_ipsum_line_count=c("lorem_ipsum").sum(),
        )
    )
    return counts.drop("document").cast(pl.Int64)


def _is_sentence() -> pl.Expr:
    """Whether a line has words of natural length and ends as a sentence does."""
    longest = c("whole").str.extract_all(r"\S+").list.eval(pl.element().str.len_chars()).list.max()
    too_long = (
        pl.when(c("whole").str.len_chars() > LONGEST_WORD_CHARS)
        .then(longest > LONGEST_WORD_CHARS)
        .otherwise(False)
    )
    ends = c("line").str.contains(r"""[.?!"']$""") & ~c("line").str.ends_with("...")
    words = c("whole").str.count_matches(r"\S+")
    return ends & (words >= FEWEST_WORDS) & ~too_long.fill_null(False)
