"""Markup in text: tags, comments, and the scripts and styles between them.

What counts: `<name …>`, `</name>`, `<!…>`, and everything from `<script` or `<style` to its closing
tag (or to the end of the text, where a page was cut). `a < b` and `<-` are text. A tag of more than
`LONGEST_TAG_CHARS` characters is text too.
"""

from __future__ import annotations

import polars as pl

LONGEST_TAG_CHARS = 2000
_BODY = r"<(?:script|style)\b(?:[^<]|<[^/]|</[^s])*(?:</s(?:cript|tyle)\s*>|$)"
_TAG = rf"</?[a-z!][^<>]{{0,{LONGEST_TAG_CHARS}}}>"
MARKUP = rf"(?i)<!--(?:[^-]|-[^-])*-->|{_BODY}|{_TAG}"
"""Pattern of one piece of markup; the same for Python and for Polars."""


def markup_chars(text: pl.Series) -> pl.Series:
    r"""Characters of each document that belong to markup, UInt32.

    >>> page = "<p>One</p><script>if (a < b) f()</script>"
    >>> markup_chars(pl.Series([page, "a < b and c > d"])).to_list()
    [38, 0]
    """
    frame = pl.DataFrame({"text": text})
    some = frame.with_row_index("row").filter(pl.col("text").str.contains(r"<[/!A-Za-z]"))
    size = pl.col("text").str.len_chars()
    found = some.select(
        "row", chars=size - pl.col("text").str.replace_all(MARKUP, "").str.len_chars()
    )
    chars = pl.zeros(len(text), dtype=pl.UInt32, eager=True)
    return chars.scatter(found["row"], found["chars"]) if len(found) else chars
