"""Characters of markup and of mojibake, found by the byte that opens them; compiled.

Texts are read where they lie. Whole blocks of 64 bytes are searched at once; the last bytes of a
text are copied first, since nothing may be read behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.text.compiler import compiled, inlined, part
from curate.text.simd import address_of, count_ones, load8, mark_masks, smaller, trailing_zeros
from curate.text.words import _decode

Scalar = Any
Names = tuple[NDArray[np.uint8], ...]
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_LESS, _GREATER, _SLASH, _BANG, _DASH = 60, 62, 47, 33, 45


@inlined
def _is_name(b: Scalar) -> Scalar:
    """An ASCII letter, digit or underscore."""
    return 97 <= b | 32 <= 122 or 48 <= b <= 57 or b == 95


@inlined
def _byte(base: Scalar, size: Scalar, at: Scalar) -> Scalar:
    """The byte at a place, 0 behind the text."""
    return np.int64(load8(base, at)) if at < size else np.int64(0)


@part
def _is_at(base: Scalar, size: Scalar, at: Scalar, word: NDArray[np.uint8]) -> Scalar:
    """Whether a lower-case word stands at a place, in either case, and ends there."""
    for i in range(word.size):
        if _byte(base, size, at + i) | 32 != word[i]:
            return False
    return not _is_name(_byte(base, size, at + word.size))


@part
def _comment_end(base: Scalar, size: Scalar, at: Scalar) -> Scalar:
    """End of the first `-->` from a place on; -1 if there is none."""
    for i in range(at, size - 2):
        dashes = load8(base, i) == _DASH and load8(base, i + 1) == _DASH
        if dashes and load8(base, i + 2) == _GREATER:
            return i + 3
    return -1


@part
def _body_end(base: Scalar, size: Scalar, at: Scalar, names: Names) -> Scalar:
    """End of the first closing tag of a script or style; the end of the text if there is none."""
    for i in range(at, size - 1):
        if load8(base, i) != _LESS or load8(base, i + 1) != _SLASH:
            continue
        for name in names:
            if not _is_at(base, size, i + 2, name):
                continue
            end = i + 2 + name.size
            while _byte(base, size, end) == 32 or 9 <= _byte(base, size, end) <= 13:
                end += 1
            if _byte(base, size, end) == _GREATER:
                return end + 1
    return size


@part
def _tag_end(base: Scalar, size: Scalar, at: Scalar, longest: Scalar) -> Scalar:
    """End of the tag whose `<` stands before a place; -1 if it is none."""
    at += _byte(base, size, at) == _SLASH
    b = _byte(base, size, at)
    if not (97 <= b | 32 <= 122 or b == _BANG):
        return -1
    chars = -1
    while at < size and chars <= longest:
        b = load8(base, at)
        if b == _GREATER:
            return at + 1
        if b == _LESS:
            return -1
        chars += b & 0xC0 != 0x80
        at += 1
    return -1


@inlined
def _opens_comment(base: Scalar, size: Scalar, at: Scalar) -> Scalar:
    dashes = _byte(base, size, at + 2) == _DASH and _byte(base, size, at + 3) == _DASH
    return _byte(base, size, at + 1) == _BANG and dashes


@part
def _element_end(base: Scalar, size: Scalar, at: Scalar, names: Names, longest: Scalar) -> Scalar:
    """End of the script, style or tag that a `<` opens; -1 if it opens none."""
    for name in names:
        if _is_at(base, size, at + 1, name):
            return _body_end(base, size, at + 1 + name.size, names)
    return _tag_end(base, size, at + 1, longest)


@part
def _spoilt_end(base: Scalar, size: Scalar, at: Scalar, tail: NDArray[np.uint8]) -> Scalar:
    """End of the spoilt character whose first one is `À` to `ÿ` at a place; -1 if it is sound."""
    code = 0xC0 | (_byte(base, size, at + 1) & 63)
    if code < 0xC2 or code > 0xF4:
        return -1
    i = at + 2
    for _ in range(1 + (code >= 0xE0) + (code >= 0xF0)):
        if i >= size:
            return -1
        following, width = _decode(base, i, size)
        if following >= tail.size or not tail[following]:
            return -1
        i += width
    return i


@part
def _blocks(base: Scalar, size: Scalar, at: Scalar, last: NDArray[np.uint8]) -> Scalar:
    """Address of 64 bytes of the text from `at` on, of a copy with zeros if it ends before."""
    if at + 64 <= size:
        return base + np.uint64(at)
    for i in range(64):
        last[i] = _byte(base, size, at + i)
    return address_of(last)


@compiled
def count_marks(
    address: NDArray[np.uint64],
    length: NDArray[np.int64],
    names: Names,
    longest: int,
    tail: NDArray[np.uint8],
    out: NDArray[np.int64],
) -> None:
    """Fill in characters, those of markup, and those of spoilt sequences, a row a document.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        names: Elements that are markup up to their closing tags, of one length or another.
        longest: Most characters of a tag.
        tail: By code point whether a character stands for one of the bytes 80-BF.
        out: Zeros, shape (documents, 3).
    """
    last = np.empty(64, np.uint8)
    for d in range(length.size):
        base, size = address[d], length[d]
        markup_to, spoilt_to = np.int64(0), np.int64(0)
        hopeful = True
        for block in range(0, size, 64):
            source = _blocks(base, size, block, last)
            opens, leads, continued = mark_masks(source)
            out[d, 0] += smaller(size - block, 64) - count_ones(continued)
            while opens != _ZERO:
                at = block + trailing_zeros(opens)
                opens &= opens - _ONE
                if at < markup_to:
                    continue
                end = np.int64(-1)
                if hopeful and _opens_comment(base, size, at):
                    end = _comment_end(base, size, at + 4)
                    hopeful = end >= 0  # if none ends here, none ends further on
                if end < 0:
                    end = _element_end(base, size, at, names, longest)
                if end >= 0:
                    markup_to = end
                    out[d, 1] += _chars(base, at, end)
            while leads != _ZERO:
                at = block + trailing_zeros(leads)
                leads &= leads - _ONE
                if at < spoilt_to:
                    continue
                end = _spoilt_end(base, size, at, tail)
                if end >= 0:
                    spoilt_to = end
                    out[d, 2] += _chars(base, at, end)


@part
def _chars(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    chars = np.int64(0)
    for i in range(start, end):
        chars += load8(base, i) & 0xC0 != 0x80
    return chars
