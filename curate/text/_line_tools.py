"""Lines of one document, compiled: where they end, and the white space around them.

A document is copied into a buffer with zeros behind it, so that 64 bytes may be read at every
place. White space is what Unicode calls so, as in patterns. No slice or tuple is assigned to in
kernels: Numba would compile the wording of an error for it, which takes a second or two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._token_kernel import PADDING, Scalar
from curate.text.compiler import part
from curate.text.simd import address_of, copy_block, line_masks, load8, smaller, trailing_zeros

_ZERO = np.uint64(0)


@part
def load_padded(address: Scalar, size: Scalar, text: NDArray[np.uint8]) -> Scalar:
    """Copy a document, zeros behind it; returns where the copy lies."""
    target = address_of(text)
    whole = size - size % 64
    for at in range(0, whole, 64):
        copy_block(address + np.uint64(at), target + np.uint64(at))
    for i in range(whole, size):
        text[i] = load8(address, i)
    for i in range(size, size + PADDING):
        text[i] = 0
    return target


@part
def line_end(base: Scalar, at: Scalar, size: Scalar) -> Scalar:
    """Where the line ends that goes on at a place."""
    while at < size:
        newlines = line_masks(base + np.uint64(at))[0]
        if newlines != _ZERO:
            return smaller(at + trailing_zeros(newlines), size)
        at += 64
    return size


@part
def white_space(base: Scalar, at: Scalar) -> Scalar:
    """Bytes of the white space at a place, 0 if something else stands there."""
    byte = load8(base, at)
    if byte < 0xC2:
        return np.int64(byte == 32 or 9 <= byte <= 13)
    if byte > 0xE3:
        return np.int64(0)
    rest = np.int64(load8(base, at + 1)) << 8 | np.int64(load8(base, at + 2))
    if byte == 0xC2:
        return np.int64(2 if rest >> 8 == 0x85 or rest >> 8 == 0xA0 else 0)
    general = 0x8080 <= rest <= 0x808A or rest == 0x80A8 or rest == 0x80A9 or rest == 0x80AF
    found = byte == 0xE2 and (general or rest == 0x819F)
    found = found or (byte == 0xE1 and rest == 0x9A80) or (byte == 0xE3 and rest == 0x8080)
    return np.int64(3 if found else 0)


@part
def stripped(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """A line without the white space around it."""
    while start < end:
        width = white_space(base, start)
        if width == 0:
            break
        start += width
    while end > start:
        last = end - 1
        while load8(base, last) & 0xC0 == 0x80:
            last -= 1
        if white_space(base, last) == 0:
            break
        end = last
    return start, end
