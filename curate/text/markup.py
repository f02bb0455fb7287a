"""Markup and mojibake in text, counted in one pass.

Markup is `<name …>`, `</name>`, `<!…>`, comments, and everything from `<script` or `<style` to the
next closing tag of either (or to the end of the text, where a page was cut). `a < b` and `<-` are
text. A tag of more than `LONGEST_TAG_CHARS` characters is text too. What mojibake is says
`curate.text.mojibake`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text._marks_kernel import count_marks
from curate.text.arrow import text_view
from curate.text.mojibake import TAIL

LONGEST_TAG_CHARS = 2000
_NAMES = tuple(np.frombuffer(name, np.uint8) for name in (b"script", b"style"))


def mark_counts(text: pl.Series) -> pl.DataFrame:
    r"""Characters of each document, and how many of them are markup or spoilt.

    Args:
        text: String column without nulls.

    Returns:
        `chars`, `markup`, `mojibake` Int64, one row a document.

    >>> page = "<p>One</p><script>if (a < b) f()</script>"
    >>> mark_counts(pl.Series([page, "a < b and c > d", "cafÃ©"])).rows()
    [(41, 38, 0), (15, 0, 0), (5, 0, 2)]
    """
    view = text_view(text)
    counts = np.zeros((len(text), 3), np.int64)
    count_marks(view.address, view.length, _NAMES, LONGEST_TAG_CHARS, _tail_table(), counts)
    return pl.DataFrame(counts, schema=["chars", "markup", "mojibake"])


@cache
def _tail_table() -> NDArray[np.uint8]:
    table = np.zeros(1 << 16, np.uint8)
    table[[ord(character) for character in TAIL]] = 1
    return table
