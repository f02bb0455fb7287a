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
    # Most lines are no candidates: what costs more is asked of the others alone.
    marks = lines["line"].str.contains("[", literal=True).arg_true()
    plain = lines["line"].gather(marks).str.replace_all(CITATION, "")
    whole = lines["line"]
    lines = lines.with_columns(line=whole.clone().scatter(marks, plain) if len(marks) else whole)
    rows = lines.select(_is_sentence(whole)).to_series().arg_true()
    judged = lines[rows].select(_of_candidates())
    columns = ["document", "start", "end"]
    for name in ("lorem_ipsum", "kept", "curly_bracket", "sentences"):
        none = pl.repeat(0, lines.height, dtype=judged.schema[name], eager=True)
        values = none.scatter(rows, judged[name]) if len(rows) else none
        lines = lines.with_columns(values.alias(name))
        columns.append(name)
    return lines.select(columns)


def _of_candidates() -> list[pl.Expr]:
    """What the rules say of lines that end as a sentence does."""
    line = c("line").str
    kept = ~line.contains_any(_UNWANTED, ascii_case_insensitive=True)
    ends = line.count_matches(_SENTENCE_END).cast(pl.Int64)
    sentences = (ends - line.count_matches(_ABBREVIATION).cast(pl.Int64)).clip(1)
    return [
        kept.alias("kept"),
        line.contains("(?i)lorem ipsum").alias("lorem_ipsum"),
        (line.contains("{", literal=True) & ~line.contains("(?i)javascript")).alias(
            "curly_bracket"
        ),
        pl.when(kept).then(sentences).otherwise(0).alias("sentences"),
    ]


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


def _is_sentence(whole: pl.Series) -> pl.Expr:
    """Whether a line has words of natural length and ends as a sentence does.

    Args:
        whole: The lines before citation marks were taken out.
    """
    long = (whole.str.len_chars() > LONGEST_WORD_CHARS).arg_true()
    longest = whole.gather(long).str.extract_all(r"\S+").list.eval(pl.element().str.len_chars())
    too_long = pl.repeat(False, len(whole), dtype=pl.Boolean, eager=True)
    if len(long):
        too_long = too_long.scatter(
            long, (longest.list.max() > LONGEST_WORD_CHARS).fill_null(False)
        )
    ends = c("line").str.contains(r"""[.?!"']$""") & ~c("line").str.ends_with("...")
    words = whole.str.contains(rf"\S(?:\s+\S+){{{FEWEST_WORDS - 1}}}")
    return ends & words & ~too_long
