"""The C4 rules (Raffel et al. 2020, JMLR 21/140, section 2.2) as datatrove 0.10 reads them.

A line goes if it has a word of more than 1,000 characters, ends in no terminal mark (`. ? ! " '`)
or in `...`, has fewer than three words, or names JavaScript or a policy. Of what stays, `{` or
"lorem ipsum" condemns the document, and so do fewer than five sentences. The order matters: a
brace in a line that goes anyway condemns nothing.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text._c4_kernel import CURLY, KEPT, LOREM, judge_lines
from curate.text._characters import character_flags
from curate.text.arrow import text_view

CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
"""Pattern of a citation mark."""
_COUNTS = (
    "c4_sentence_count",
    "c4_kept_line_count",
    "c4_curly_line_count",
    "c4_lorem_ipsum_line_count",
)


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
    lines = _judged(text, rows=int(text.str.count_matches("\n", literal=True).sum()) + len(text))[1]
    bits = lines[:, 3]
    return pl.DataFrame(
        {
            "document": pl.Series(lines[:, 0], dtype=pl.UInt32),
            "start": lines[:, 1],
            "end": lines[:, 2],
            "lorem_ipsum": bits & LOREM != 0,
            "kept": bits & KEPT != 0,
            "curly_bracket": bits & CURLY != 0,
            "sentences": lines[:, 4],
        }
    )


def c4_counts(text: pl.Series) -> pl.DataFrame:
    r"""Figures of each document, for the rules about documents.

    Returns:
        One row a document: `c4_sentence_count`, `c4_kept_line_count`, `c4_curly_line_count` and
        `c4_lorem_ipsum_line_count`, Int64.

    >>> c4_counts(pl.Series(["Only this one stays.\nHome", ""])).rows()
    [(1, 1, 0, 0), (0, 0, 0, 0)]
    """
    return pl.DataFrame(_judged(text, rows=0)[0], schema=_COUNTS)


def _judged(text: pl.Series, *, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Figures of each document, and of each line as far as there are rows for them."""
    view = text_view(text)
    counts = np.zeros((len(text), len(_COUNTS)), np.int64)
    lines = np.empty((rows, 5), np.int64)
    judge_lines(view.address, view.length, character_flags(), counts, lines)
    return counts, lines
