"""English tokens counted by compiled code; the rules stand in `curate.text.english_tokens`.

A piece of letters, with plain marks around them, is counted from the masks of 64 bytes. Every
other piece is decoded and cut by `curate.text._english_rules`. A test holds both against the
patterns on arbitrary text. Numba's cache watches only this file: after a change in a function that
it calls delete `curate/text/__pycache__/*.nb*`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._english_rules import DOT, PREFIX, QUOTE, SUFFIX, UNFOLDED, count_piece
from curate.text._ngram_kernel import I64, U64, Scalar
from curate.text._statistics_kernel import load_text
from curate.text._token_kernel import PADDING, U16, code_point
from curate.text._view_kernel import NUL_STAND_IN, prepare_words
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import (
    address_of,
    count_ones,
    gap_masks,
    load8,
    trailing_zeros,
    with_more_rows,
)
from curate.text.words import longest

COUNTS = ("tokens", "alphabetic", "words", "word_chars")
"""What `count_english` fills in, in order."""

_ZERO, _ONE = np.uint64(0), np.uint64(1)


@part
def _decode(
    base: Scalar, start: Scalar, end: Scalar, classes: U16, codes: I64, kinds: U16
) -> Scalar:
    """Code points and classes of a piece; returns their number, or -1 if case folds oddly."""
    count, i, odd = np.int64(0), start, np.int64(0)
    while i < end:
        code: Scalar = np.int64(load8(base, i))
        width: Scalar = np.int64(1)
        if code == NUL_STAND_IN:
            code = 0
        elif code >= 128:
            code, width = code_point(base, i)
        codes[count] = code
        kinds[count] = classes[code]
        odd |= np.int64(classes[code])
        count += 1
        i += width
    return -1 if odd & UNFOLDED else count


@inlined
def _may_be_form(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether letters may be `cannot`, `gonna`, `gotta` or end in `nt`."""
    last, before = load8(base, end - 1) | 32, load8(base, end - 2) | 32
    tail = ((last == 116) & ((before == 110) | (before == 111))) | (
        (last == 97) & ((before == 110) | (before == 116))
    )
    return tail & (end - start > 3)


@part
def _come_off(base: Scalar, start: Scalar, stop: Scalar, end: Scalar, classes: U16) -> Scalar:
    """Whether the marks after some letters come off one by one, whatever stands before them.

    A full stop does after a small letter where the letters are no short form: those of more than
    two letters begin with a capital, and have six at most.
    """
    dots = np.int64(0)
    for i in range(stop, end):
        mark = load8(base, i)
        dots += mark == DOT
        if mark == QUOTE or not (classes[mark] & SUFFIX or mark == DOT):
            return False
    if dots == 0:
        return True
    small = stop - start > 2 and load8(base, start) >= 97
    return dots == 1 and load8(base, stop - 1) >= 97 and (small or stop - start > 6)


@part
def _are_prefixes(base: Scalar, start: Scalar, end: Scalar, classes: U16) -> Scalar:
    """Whether all are marks that come off the front one by one; an apostrophe may open a form."""
    for i in range(start, end):
        mark = load8(base, i)
        if mark == QUOTE or mark >= 128 or not classes[mark] & PREFIX:
            return False
    return True


@part
def _count_plain(
    base: Scalar, start: Scalar, end: Scalar, letters: Scalar, classes: U16, out: I64
) -> Scalar:
    """Count a piece of letters with nothing but such marks around them, if it is one.

    `letters` is the mask of ASCII letters from its start on.
    """
    front = trailing_zeros(letters)
    core = start + front
    if core >= end:
        return False
    chars = trailing_zeros(~(letters >> np.uint64(front)))
    back = end - core - chars
    if _may_be_form(base, core, core + chars):
        return False
    if back > 0 and not _come_off(base, core, core + chars, end, classes):
        return False
    if front > 0 and not _are_prefixes(base, start, core, classes):
        return False
    out[0] += 1 + front + back
    out[1] += 1
    out[2] += 1
    out[3] += chars
    return True


@part
def _long_end(base: Scalar, end: Scalar) -> Scalar:
    """End of a piece of any length."""
    inside = np.int64(64)
    while inside == 64:
        inside = trailing_zeros(~gap_masks(base + np.uint64(end))[1])
        end += inside
    return end


@compiled
def count_english(
    address: U64,
    length: I64,
    flags: U16,
    classes: U16,
    forms: tuple[U64, U16],
    out: I64,
) -> NDArray[np.int64]:
    """Add `COUNTS` of each document; returns the pieces that are left to the patterns.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        flags: Character flags by code point.
        classes: Classes by code point.
        forms: Hashes of the forms, and their values.
        out: Zeros, a row a document.

    Returns:
        Rows of (document, first byte, end) of pieces with a character that folds to ASCII.
    """
    room = longest(length) + 2
    text = np.empty(room + PADDING, np.uint8)
    codes, kinds = np.empty(room, np.int64), np.empty(room, np.uint16)
    left = np.empty((16, 3), np.int64)
    rows, base = 0, address_of(text)
    for d in range(length.size):
        size = length[d]
        if not load_text(address[d], size, text, 32):
            prepare_words(base, size, flags)
        i: Scalar = np.int64(0)
        while i < size:
            _, unspaced, letters, _, _, _ = gap_masks(base + np.uint64(i))
            starts = unspaced & ~(unspaced << _ONE)
            ends = ~unspaced & (unspaced << _ONE)
            done = trailing_zeros(starts) > 0 or ends != _ZERO
            for _ in range(max(count_ones(ends), 1 - np.int64(done))):
                if done:
                    first, stop = trailing_zeros(starts), trailing_zeros(ends)
                    starts &= starts - _ONE
                    ends &= ends - _ONE
                    start, end = i + first, i + stop
                    if _count_plain(base, start, end, letters >> np.uint64(first), classes, out[d]):
                        continue
                else:  # the piece goes on beyond the block
                    start, end = i, _long_end(base, i)
                    i = end
                count = _decode(base, start, end, classes, codes, kinds)
                if count >= 0:
                    count_piece(codes, kinds, count, forms, out[d])
                    continue
                if rows == left.shape[0]:
                    left = with_more_rows(left)
                left[rows, 0], left[rows, 1], left[rows, 2] = d, start, end
                rows += 1
            if done:
                i += trailing_zeros(starts)
    return left[:rows]
