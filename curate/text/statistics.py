r"""Counts of one document, all of them from one compiled pass over its UTF-8 bytes.

Every rule set reads these counts through the signals in `curate.signals`; no text is read twice.

**Tokens** (the *standard* view). White space and control characters separate tokens.

1. A *word* is a run of letters, numbers (categories L and N) and underscores.
2. Han and kana characters are words by themselves: their scripts write no spaces.
3. `. ' ’ @ & #` between two word characters belong to the word (`don't`, `os.path`, `x@y`),
   `, : /` only between two digits (`1,000`, `10:30`).
4. Marks and format characters (categories M and Cf) belong to the token before them; without
   one they begin a word.
5. Every other character is a symbol; a run of one and the same symbol is one token (`---`).

**Lines** end at `\n` alone; a final newline opens no further line. A carriage return is white
space. A line is blank if it holds only white space. `split_lines` are the pieces between runs
of newlines (an empty piece stands before a leading and after a trailing newline), as the Gopher
repetition rules of datatrove split them. **Paragraphs** are the pieces between runs of two or
more newlines of the text without its outer white space. Duplicates are the copies after the
first one, compared as exact strings by a 64-bit hash (two of 10⁶ different lines collide with
probability 3e-8).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text._characters import character_flags
from curate.text._statistics_kernel import COUNTS, measure, stop_hash
from curate.text._token_kernel import PADDING
from curate.text.arrow import text_view

STATISTICS = (*COUNTS, "letter_entropy_bits")
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
ABBREVIATIONS = (
    *("Mr", "Mrs", "Ms", "Dr", "St", "Jr", "Sr", "Prof", "Rev", "Gen", "Gov", "Sen", "Rep", "Mt"),
    *("Co", "Corp", "Inc", "Ltd", "Bros", "vs", "e.g", "i.e", "a.m", "p.m", "Ph.D"),
    *("Jan", "Feb", "Apr", "Aug", "Sept", "Oct", "Nov", "Dec"),
)
"""English words whose full stop is part of them; so are initials (one letter and a full stop)."""


def text_statistics(text: pl.Series) -> pl.DataFrame:
    r"""One row a document, one column a count.

    The pass releases the GIL and allocates in proportion to the longest document.

    Args:
        text: String column without nulls; any valid Unicode, any length.

    Returns:
        The columns `STATISTICS`: Int64 counts, named by what they count (`*_chars` are
        characters, i.e. code points), and `letter_entropy_bits` Float64, the entropy of the
        ASCII letters without case (0 where there are none; at most log2 26 = 4.70). Lengths of
        n-grams: `top_*` with one space between tokens, `duplicate_*` without, as datatrove
        counts them. An empty text has one split line and zeros otherwise.

    Raises:
        InputError: The column holds nulls or is no String column.

    >>> text_statistics(pl.Series(["Don't panic.\nDon't panic."])).select(
    ...     "text_chars", "tokens", "words", "lines", "duplicate_lines", "duplicate_line_chars"
    ... ).row(0)
    (25, 6, 4, 2, 1, 12)
    """
    view = text_view(text)
    counts = np.zeros((len(text), len(COUNTS)), np.int64)
    entropy = np.zeros(len(text), np.float64)
    measure(view.address, view.length, character_flags(), _stop_hashes(), counts, entropy)
    columns = {name: counts[:, i] for i, name in enumerate(COUNTS)}
    return pl.DataFrame(columns | {"letter_entropy_bits": entropy})


@cache
def _stop_hashes() -> NDArray[np.uint64]:
    words = (*STOP_WORDS, *ABBREVIATIONS)
    padded = [np.frombuffer(word.encode() + bytes(PADDING), np.uint8) for word in words]
    hashes = [stop_hash(word, len(word) - PADDING) for word in padded]
    return np.array(hashes, np.uint64)
