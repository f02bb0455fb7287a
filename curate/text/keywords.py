"""Lines in which one of a few words stands: the sieve before patterns that cost more.

A pass over the bytes at memory speed instead of a regular expression over every line. Words are
runs of ASCII letters, digits and underscores, compared without case; every other byte separates,
so that `français` holds the words `fran` and `ais`. A sieve may let too much through, never too
little.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text.arrow import text_view
from curate.text.simd import (
    address_of,
    compiled,
    load8,
    lower_block,
    nonzero_mask,
    trailing_zeros,
    with_more_rows,
)
from curate.text.words import PADDING, hash_word, longest

U64 = np.uint64
_ANYWHERE, _FIRST = 1, 2  # where in its line a word has to stand
_SLOTS = 1 << 12
_SLOT_BITS = U64(52)  # the slot is the top of the hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Keywords:
    """A set of words as a table for the kernel.

    Attributes:
        keys: Word hash of each slot.
        places: Where the word of a slot has to stand; 0 = empty slot.
    """

    keys: NDArray[np.uint64]
    places: NDArray[np.uint8]


def keywords(anywhere: Iterable[str], *, first: Iterable[str] = ()) -> Keywords:
    """A table of words, for `lines_with`.

    Args:
        anywhere: Lower-case ASCII words that count wherever they stand.
        first: Words that count only where no other word stands before them in the line.

    >>> int((keywords(["cookies"], first=["home", "login"]).places > 0).sum())
    3
    """
    keys, places = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
    for words, place in ((anywhere, _ANYWHERE), (first, _FIRST)):
        for word in words:
            padded = np.frombuffer(word.encode() + bytes(PADDING), np.uint8)
            hash_ = hash_one(padded, len(word))
            slot = int(hash_ >> _SLOT_BITS)
            while places[slot] and keys[slot] != hash_:
                slot = (slot + 1) % _SLOTS
            keys[slot] = hash_
            places[slot] |= place
    return Keywords(keys=keys, places=places)


def lines_with(text: pl.Series, words: Keywords, *, longest_bytes: int) -> pl.DataFrame:
    r"""Every line that holds one of the words, in the order of the text.

    Args:
        text: String column without nulls.
        words: From `keywords`.
        longest_bytes: Longer lines are left out.

    Returns:
        `document` UInt32 (row of `text`), `start` Int64 (byte offset), `line` String.

    >>> text = pl.Series(["We use COOKIES.\nNo home here.", "- Home\n"])
    >>> lines_with(text, keywords(["cookies"], first=["home"]), longest_bytes=99).rows()
    [(0, 0, 'We use COOKIES.'), (1, 0, '- Home')]
    """
    view = text_view(text)
    found = _find(view.address, view.length, words.keys, words.places, longest_bytes)
    document, start, end = found[:, 0], found[:, 1], found[:, 2]
    spans = {"text": text.gather(document), "start": start, "size": end - start}
    line = pl.col("text").cast(pl.Binary).bin.slice(pl.col("start"), pl.col("size"))
    return pl.DataFrame(spans).select(
        pl.Series("document", document, pl.UInt32), "start", line=line.cast(pl.String)
    )


@compiled
def hash_one(padded: NDArray[np.uint8], size: int) -> int:
    """The hash of one word, as the kernels compute it; zeros follow the word."""
    hash_: int = hash_word(address_of(padded), 0, size)
    return hash_


@compiled
def _lower_ascii(address: int, size: int, low: NDArray[np.uint8]) -> None:
    """Write a document lower-case, byte for byte, with everything but ASCII words zeroed."""
    target = address_of(low)
    whole = size - size % 64
    for at in range(0, whole, 64):
        lower_block(address + U64(at), target + U64(at))
    for i in range(whole, size):
        low[i] = load8(address, i)
    for i in range(size, size + PADDING):
        low[i] = 0
    if whole < size:
        lower_block(target + U64(whole), target + U64(whole))


@compiled
def _line_of(
    address: int, size: int, word: int, low: NDArray[np.uint8], limit: int
) -> tuple[int, int, bool]:
    """Start and end of the line around a word, and whether the word is its first."""
    start, first = word, True
    while start > 0 and word - start <= limit and load8(address, start - 1) != 10:
        start -= 1
        first = first and low[start] == 0
    end = word
    while end < size and end - start <= limit and load8(address, end) != 10:
        end += 1
    return start, end, first


@compiled
def _find(
    address: NDArray[np.uint64],
    length: NDArray[np.int64],
    keys: NDArray[np.uint64],
    places: NDArray[np.uint8],
    limit: int,
) -> NDArray[np.int64]:
    """Rows of (document, start, end)."""
    low = np.empty(longest(length) + 64 + PADDING, np.uint8)
    base = address_of(low)
    edges = np.empty(256, np.int64)
    found = np.empty((1024, 3), np.int64)
    count = 0
    for d in range(length.shape[0]):
        size = length[d]
        _lower_ascii(address[d], size, low)
        done, held, carry = np.int64(-1), 0, U64(0)
        for block in range(0, size + 1, 64):
            mask = nonzero_mask(base + U64(block))
            flips = mask ^ ((mask << U64(1)) | carry)
            carry = mask >> U64(63)
            while flips != 0:
                edges[held] = block + trailing_zeros(flips)
                flips &= flips - U64(1)
                held += 1
            for word in range(held >> 1):
                start = edges[2 * word]
                hash_ = hash_word(base, start, edges[2 * word + 1] - start)
                slot = np.int64(hash_ >> _SLOT_BITS)
                while places[slot] != 0 and keys[slot] != hash_:
                    slot = (slot + 1) % _SLOTS
                if places[slot] == 0 or start < done:
                    continue
                low_end, end, first = _line_of(address[d], size, start, low, limit)
                if not (places[slot] & _ANYWHERE or first) or end - low_end > limit:
                    continue
                if count == found.shape[0]:
                    found = with_more_rows(found)
                found[count, 0], found[count, 1], found[count, 2] = d, low_end, end
                count += 1
                done = end
            if held & 1:
                edges[0] = edges[held - 1]
            held &= 1
    return found[:count]
