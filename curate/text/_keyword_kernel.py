"""Which words a line holds, compiled; see `curate.text.keywords`.

The first three bytes of a word tell most words apart from those that are looked for. Only a line
with a rare one, or that begins as a line of words that stand alone does, is read word by word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._line_tools import load_padded, white_space
from curate.text._token_kernel import PADDING, U64, Scalar
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import (
    address_of,
    line_masks,
    load64,
    lower_block,
    nonzero_mask,
    smaller,
    trailing_zeros,
)
from curate.text.words import hash_word, longest

I64 = NDArray[np.int64]
SLOTS, SLOT_SHIFT = 1 << 11, 53  # the slot is the top of the hash
PREFIX_BYTES, PREFIX_SHIFT = 3, 51
PREFIX_MULTIPLIER = 0x9E3779B97F4A7C15
RARE, ALONE = 1, 2  # whose first bytes they may be
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_ALONE = np.uint64(1 << 63)


@part
def _word_marks(base: Scalar, start: Scalar, end: Scalar, keys: U64, marks: U64) -> Scalar:
    """Classes of a word as bits."""
    hash_ = hash_word(base, start, end - start)
    slot = np.int64(hash_ >> np.uint64(SLOT_SHIFT))
    while marks[slot] != _ZERO and keys[slot] != hash_:
        slot = (slot + 1) & (SLOTS - 1)
    return marks[slot]


@part
def _line_marks(
    base: Scalar, start: Scalar, end: Scalar, alone: Scalar, keys: U64, marks: U64
) -> Scalar:
    """Classes of all words of a line, and the last bit if every word may stand alone.

    Args:
        base: Address of the lowered document.
        start: Where the line begins.
        end: Where it ends; words end there too.
        alone: Nothing but the last bit is asked for.
        keys: Word hash of each slot.
        marks: Its classes.
    """
    found, every, word = _ZERO, _ALONE, np.int64(-1)
    carry = _ZERO
    for at in range(start, end + 1, 64):
        mask = nonzero_mask(base + np.uint64(at))
        flips = mask ^ ((mask << _ONE) | carry)
        carry = mask >> np.uint64(63)
        while flips != _ZERO:
            edge = at + trailing_zeros(flips)
            flips &= flips - _ONE
            if edge > end or (word < 0 and edge == end):
                break
            if word < 0:
                word = edge
                continue
            own = _word_marks(base, word, edge, keys, marks)
            word = np.int64(-1)
            found |= own
            every &= own
            if alone and every == _ZERO:
                return _ZERO
    return found & ~_ALONE | every if found != _ZERO else _ZERO


@inlined
def _prefix(base: Scalar, at: Scalar, prefixes: NDArray[np.uint8]) -> Scalar:
    """Whether a word of a kind may begin at a place."""
    first = load64(base, at) & np.uint64((1 << 8 * PREFIX_BYTES) - 1)
    return prefixes[(first * np.uint64(PREFIX_MULTIPLIER)) >> np.uint64(PREFIX_SHIFT)]


@part
def _rare_words(
    base: Scalar,
    size: Scalar,
    keys: U64,
    marks: U64,
    rare: Scalar,
    prefixes: NDArray[np.uint8],
    places: I64,
) -> None:
    """Where rare words begin, and a place behind the document."""
    count, carry = 0, _ZERO
    for at in range(0, size, 64):
        mask = nonzero_mask(base + np.uint64(at))
        starts = mask & ~((mask << _ONE) | carry)
        carry = mask >> np.uint64(63)
        while starts != _ZERO:
            place = at + trailing_zeros(starts)
            starts &= starts - _ONE
            if _prefix(base, place, prefixes) & RARE:
                size_of_word = trailing_zeros(~nonzero_mask(base + np.uint64(place)))
                own = _word_marks(base, place, place + size_of_word, keys, marks)
                if own & rare != _ZERO:
                    places[count] = place
                    count += 1
    places[count] = size + 1


@part
def _is_solid(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether anything but white space stands in a line."""
    while start < end:
        width = white_space(base, start)
        if width == 0:
            return True
        start += width
    return False


@part
def _passes(
    base: Scalar,
    start: Scalar,
    end: Scalar,
    rare: Scalar,
    keys: U64,
    marks: U64,
    needs: U64,
    prefixes: NDArray[np.uint8],
    low: NDArray[np.uint8],
) -> Scalar:
    """Whether a line holds a combination or consists of words that stand alone."""
    if not rare:
        while start < end and low[start] == 0:
            start += 1
        if start == end or _prefix(base, start, prefixes) & ALONE == 0:
            return False
    found = _line_marks(base, start, end, not rare, keys, marks)
    if found & _ALONE != _ZERO:
        return True
    if rare:
        for i in range(needs.size):
            if needs[i] & ~found == _ZERO:
                return True
    return False


@compiled
def find_lines(
    address: U64,
    length: I64,
    keys: U64,
    marks: U64,
    needs: U64,
    rare: Scalar,
    prefixes: NDArray[np.uint8],
    limit: int,
    solid: I64,
    found: I64,
) -> int:
    """Fill in (document, start, end) of the lines that pass, as far as there is room.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        keys: As in `Keywords`, and so `marks`, `needs`, `rare` and `prefixes`.
        marks: See there.
        needs: See there.
        rare: See there.
        prefixes: See there.
        limit: Most bytes of a line that may pass.
        solid: Zeros; non-blank lines of each document.
        found: Room for so many lines.

    Returns:
        How many lines pass.
    """
    most = longest(length)
    text, low = np.empty(most + PADDING, np.uint8), np.empty(most + 64 + PADDING, np.uint8)
    places = np.empty(most // 2 + 2, np.int64)
    base = address_of(low)
    count = 0
    for d in range(length.size):
        size = length[d]
        raw = load_padded(address[d], size, text)
        for at in range(0, size + 1, 64):
            lower_block(raw + np.uint64(at), base + np.uint64(at))
        for i in range(size, size + 64 + PADDING):
            low[i] = 0
        _rare_words(base, size, keys, marks, rare, prefixes, places)
        word, start = 0, np.int64(0)
        newlines, at = line_masks(raw)[0], 0
        while start < size:
            while newlines == _ZERO and at < size:
                at += 64
                newlines = line_masks(raw + np.uint64(at))[0] if at < size else _ZERO
            end = smaller(at + trailing_zeros(newlines), size)
            newlines &= newlines - _ONE
            if low[start] != 0 or _is_solid(raw, start, end):
                solid[d] += 1
                if end - start <= limit and _passes(
                    base, start, end, places[word] < end, keys, marks, needs, prefixes, low
                ):
                    if count < found.shape[0]:
                        found[count, 0], found[count, 1], found[count, 2] = d, start, end
                    count += 1
            while places[word] < end:
                word += 1
            start = end + 1
    return count
