r"""Counts of one document, by compiled passes over its UTF-8 bytes where they lie.

Every rule set reads these counts through the signals in `curate.signals`; no text is read twice.

**Tokens** (the *standard* view). White space and control characters separate tokens.

1. A *word* is a run of letters, numbers (categories L and N) and underscores.
2. Han and kana characters are words by themselves: their scripts write no spaces.
3. `. ' ’ @ & #` between two word characters belong to the word (`don't`, `os.path`, `x@y`),
   `, : /` only between two digits (`1,000`, `10:30`).
4. Marks and format characters (categories M and Cf) belong to the token before them; without
   one they begin a word.
5. Every other character is a symbol; a run of one and the same symbol is one token (`---`).

The *whitespace* view has the words of `str.split`, the *shingle* view those of
docs/tokenisation.md; both count them as `curate.signals.views` says.

**Lines** end at `\n` alone; a final newline opens no further line. A carriage return is white
space. A line is blank if it holds only white space. `split_lines` are the pieces between runs
of newlines (an empty piece stands before a leading and after a trailing newline), as the Gopher
repetition rules of datatrove split them. **Paragraphs** are the pieces between runs of two or
more newlines of the text without its outer white space. Duplicates are the copies after the
first one, compared as exact strings by a 64-bit hash (two of 10⁶ different lines collide with
probability 3e-8).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count, product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import check_name
from curate.text._characters import character_flags
from curate.text._line_kernel import TEXT_COUNTS
from curate.text._statistics_kernel import (
    STANDARD_COUNTS,
    VIEW_COUNTS,
    measure_text,
    measure_tokens,
    measure_words,
    stop_hash,
    table_slots,
)
from curate.text._token_kernel import PADDING
from curate.text._view_kernel import ANY_CASE, ELLIPSIS, FIRST_OF_DISTINCT, KNOWN_BITS, STOP
from curate.text.arrow import TextView, text_view
from curate.text.words import character_table

VIEWS = ("standard", "whitespace", "shingle")
"""Token views; the columns of all but the first begin with the name of their view."""
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
ABBREVIATIONS = (
    *("Mr", "Mrs", "Ms", "Dr", "St", "Jr", "Sr", "Prof", "Rev", "Gen", "Gov", "Sen", "Rep", "Mt"),
    *("Co", "Corp", "Inc", "Ltd", "Bros", "vs", "e.g", "i.e", "a.m", "p.m", "Ph.D"),
    *("Jan", "Feb", "Apr", "Aug", "Sept", "Oct", "Nov", "Dec"),
)
"""English words whose full stop is part of them; so are initials (one letter and a full stop)."""


ELLIPSIS_WORDS = ("...", "[...]", "…", "(...)", "[…]", "-»")
"""Words that stand for an ellipsis; only in the whitespace view are they words at all."""


def text_statistics(text: pl.Series, *, views: Sequence[str] = ("standard",)) -> pl.DataFrame:
    r"""One row a document, one column a count.

    The pass releases the GIL and allocates in proportion to the longest document.

    Args:
        text: String column without nulls; any valid Unicode, any length.
        views: Names of `VIEWS` whose tokens are counted.

    Returns:
        The columns `statistics_columns(views)`: Int64 counts, named by what they count (`*_chars`
        are characters, i.e. code points), and `letter_entropy_bits` Float64, the entropy of the
        ASCII letters without case (0 where there are none; at most log2 26 = 4.70). An empty text
        has one split line and zeros otherwise.

    Raises:
        ConfigError: The column is no String column, or a view is not known.
        InputError: The column holds nulls.

    >>> text_statistics(pl.Series(["Don't panic.\nDon't panic."])).select(
    ...     "text_chars", "tokens", "words", "lines", "duplicate_lines", "duplicate_line_chars"
    ... ).row(0)
    (25, 6, 4, 2, 1, 12)
    """
    view = text_view(text)
    names = statistics_columns(views)
    entropy = np.zeros(len(text), np.float64)
    counted = [column for table in _measure(view, views, entropy) for column in table.T]
    columns = dict(zip(names, counted, strict=False))  # entropy is the last name
    return pl.DataFrame(columns | {"letter_entropy_bits": entropy})


def _measure(
    view: TextView, views: Sequence[str], entropy: NDArray[np.float64]
) -> list[NDArray[np.int64]]:
    """The counts of the text and of each view, a row a document.

    Each table is an array of its own: a slice of a common one is contiguous if it has one row and
    not otherwise, and the kernels would be compiled for both; likewise for a table of letters that
    may be written.
    """
    place = (view.address, view.length, character_flags())
    slots = table_slots(int(view.length.max(initial=0)))
    found = [np.zeros((len(view), len(TEXT_COUNTS)), np.int64)]
    measure_text(*place, np.zeros(slots, np.uint64), found[0], entropy)
    for name in VIEWS:
        if name not in views:
            continue
        table = np.zeros(slots, np.uint64)
        width = len(STANDARD_COUNTS if name == "standard" else VIEW_COUNTS)
        found.append(np.zeros((len(view), width), np.int64))
        if name == "standard":
            measure_tokens(*place, _short_hashes(), _known_words(), table, found[-1])
        else:
            letters = character_table()[: None if name == "shingle" else 0]
            measure_words(*place, letters, _known_words(), table, found[-1])
    return found


def statistics_columns(views: Sequence[str] = ("standard",)) -> tuple[str, ...]:
    """The columns of `text_statistics`, in order.

    >>> statistics_columns(["whitespace"])[32:35]
    ('whitespace_tokens', 'whitespace_words', 'whitespace_word_chars')
    """
    for name in views:
        check_name("token view", name, VIEWS)
    standard = STANDARD_COUNTS if "standard" in views else ()
    further = [f"{view}_{name}" for view in VIEWS if view in views for name in VIEW_COUNTS]
    return (
        *TEXT_COUNTS,
        *standard,
        *(name for name in further if not name.startswith("standard_")),
        "letter_entropy_bits",
    )


def is_compiled() -> bool:
    """Whether the kernels of `text_statistics` are loaded or lie in Numba's cache.

    >>> isinstance(is_compiled(), bool)
    True
    """
    if measure_tokens.signatures:
        return True
    kept = Path(measure_tokens.stats.cache_path).glob("_statistics_kernel.measure_tokens-*.nbi")
    return any(kept)


@cache
def _short_hashes() -> NDArray[np.uint64]:
    return np.array([_hash(word) for word in ABBREVIATIONS], np.uint64)


@cache
def _known_words() -> tuple[NDArray[np.uint64], NDArray[np.uint16], np.uint64]:
    """A perfect hash table of the stop words in any case and of `ELLIPSIS_WORDS`."""
    marks: dict[str, int] = dict.fromkeys(ELLIPSIS_WORDS, ELLIPSIS)
    for i, word in enumerate(STOP_WORDS):
        marks |= dict.fromkeys(_cases(word), ANY_CASE)
        marks[word] = STOP | ANY_CASE | FIRST_OF_DISTINCT << i
    hashes = np.array([_hash(word) for word in marks], np.uint64)
    for attempt in count():
        multiplier = np.uint64((2 * attempt + 1) * 0x9E3779B97F4A7C15 % 2**64)
        slots = (hashes * multiplier) >> np.uint64(64 - KNOWN_BITS)
        if len(np.unique(slots)) == len(slots):
            break
    keys, table = np.zeros(1 << KNOWN_BITS, np.uint64), np.zeros(1 << KNOWN_BITS, np.uint16)
    keys[slots], table[slots] = hashes, list(marks.values())
    return keys, table, multiplier


def _cases(word: str) -> list[str]:
    return ["".join(letters) for letters in product(*((letter, letter.upper()) for letter in word))]


def _hash(word: str) -> np.uint64:
    raw = word.encode()
    return np.uint64(stop_hash(np.frombuffer(raw + bytes(PADDING), np.uint8), len(raw)))
