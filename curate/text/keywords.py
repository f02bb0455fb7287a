"""Lines that hold some words together: the sieve before patterns that cost more.

A pass over the bytes at memory speed instead of a regular expression over every line. Words are
runs of ASCII letters, digits and underscores, compared without case; every other byte separates,
so that `français` holds the words `fran` and `ais`. A sieve may let too much through, never too
little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.text._keyword_kernel import (
    ALONE,
    PREFIX_BYTES,
    PREFIX_MULTIPLIER,
    PREFIX_SHIFT,
    RARE,
    SLOT_SHIFT,
    SLOTS,
    find_lines,
)
from curate.text.arrow import text_view

_LONGEST_WORD = 16  # bytes; the kernel's hash has two steps up to here
_MOST_CLASSES = 63  # one bit each; the last bit says that a word may stand in a line of its own
_ALONE = 1 << 63
_ALL_BITS = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Keywords:
    """Words and their combinations as tables for the kernel.

    Attributes:
        keys: Word hash of each slot.
        marks: Classes of the word of a slot as bits; 0 = empty slot.
        needs: Classes that one line has to hold, for each combination.
        rare: The first class of each combination, together.
        prefixes: Which kinds of words have first bytes of a hash: the rarest ones of combinations,
            and those that stand alone.
    """

    keys: NDArray[np.uint64]
    marks: NDArray[np.uint64]
    needs: NDArray[np.uint64]
    rare: np.uint64
    prefixes: NDArray[np.uint8]


def keywords(
    combinations: Iterable[str], *, first: Sequence[str] = (), further: Sequence[str] = ()
) -> Keywords:
    """Tables of words, for `lines_with`.

    Args:
        combinations: Sets of words, separated by ` & `, of each of which a line holds one; the
            rarest first. The words of a set are separated by `|`. Lower-case ASCII.
        first: Words that lines consist of and begin with.
        further: Words that such lines may go on with.

    >>> [int(need) for need in keywords(["cookie|cookies", "sign & up", "sign & in"]).needs]
    [1, 6, 10]
    """
    classes: dict[str, int] = {}
    marks: dict[str, int] = dict.fromkeys([*first, *further], _ALONE)
    needs, rare = [], 0
    prefixes = np.zeros(1 << 64 - PREFIX_SHIFT, np.uint8)
    prefixes[[_prefix(word) for word in first]] = ALONE
    for combination in combinations:
        sets = [words.split("|") for words in combination.split(" & ")]
        bits = [classes.setdefault("|".join(words), 1 << len(classes)) for words in sets]
        for words, bit in zip(sets, bits, strict=True):
            marks |= {word: marks.get(word, 0) | bit for word in words}
        needs.append(sum(bits))
        rare |= bits[0]
        prefixes[[_prefix(word) for word in sets[0]]] |= RARE
    if len(classes) > _MOST_CLASSES:
        raise ConfigError(f"{len(classes)} sets of words; at most {_MOST_CLASSES} fit")
    keys, table = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.uint64)
    for word, classes_of_word in marks.items():
        hash_ = word_hash(word)
        slot = hash_ >> SLOT_SHIFT
        while table[slot]:
            slot = (slot + 1) % SLOTS
        keys[slot], table[slot] = hash_, classes_of_word
    return Keywords(
        keys=keys,
        marks=table,
        needs=np.array(needs, np.uint64),
        rare=np.uint64(rare),
        prefixes=prefixes,
    )


def _prefix(word: str) -> int:
    """Where the table of prefixes has a word; shorter ones have zeros behind them."""
    first = int.from_bytes(word.encode()[:PREFIX_BYTES], "little")
    return (first * PREFIX_MULTIPLIER & _ALL_BITS) >> PREFIX_SHIFT


def lines_with(
    text: pl.Series, words: Keywords, *, longest_bytes: int
) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    r"""Every line that holds a combination of words, or consists of words that stand alone.

    Args:
        text: String column without nulls.
        words: From `keywords`.
        longest_bytes: Longer lines are left out.

    Returns:
        `document` UInt32 (row of `text`), `start` Int64 (byte offset), `line` String, in the order
        of the text; and the non-blank lines of each document, long ones included.

    >>> text = pl.Series(["We use COOKIES.\nNo home here.", "- Home\n"])
    >>> lines, solid = lines_with(text, keywords(["cookies"], first=["home"]), longest_bytes=99)
    >>> lines.rows(), solid.tolist()
    ([(0, 0, 'We use COOKIES.'), (1, 0, '- Home')], [2, 1])
    """
    view = text_view(text)
    tables = (words.keys, words.marks, words.needs, words.rare, words.prefixes)
    count, room = 1, 0
    while count > room:
        room = max(count, int(view.length.sum()) // 512)
        found, solid = np.empty((room, 3), np.int64), np.zeros(len(text), np.int64)
        count = find_lines(view.address, view.length, *tables, longest_bytes, solid, found)
    found = found[:count]
    document, start, end = found[:, 0], found[:, 1], found[:, 2]
    spans = {"text": text.gather(document), "start": start, "size": end - start}
    line = pl.col("text").cast(pl.Binary).bin.slice(pl.col("start"), pl.col("size"))
    lines = pl.DataFrame(spans).select(
        pl.Series("document", document, pl.UInt32), "start", line=line.cast(pl.String)
    )
    return lines, solid


def word_hash(word: str) -> int:
    """The hash of one word as `curate.text.words.hash_word` computes it.

    >>> hex(word_hash("home"))
    '0xccb5585119d88c3c'
    """
    raw = word.encode()
    if len(raw) > _LONGEST_WORD:
        raise ConfigError(f"the word {word!r} is longer than {_LONGEST_WORD} bytes")
    first, second = (int.from_bytes(raw[at : at + 8], "little") for at in (0, 8))
    hash_ = (first ^ 0xA0761D6478BD642F) * 0x9FB21C651E98DF25 & _ALL_BITS
    hash_ = ((hash_ ^ hash_ >> 32) ^ second) * 0xD6E8FEB86659FD93 & _ALL_BITS
    return hash_ ^ hash_ >> 31
