"""Where personal data may stand: at signs, long numbers, account numbers; a compiled sieve.

A *number* is a row of digit runs with at most `_GAP` of the characters ` .-()` between them. Only
numbers that are long enough, or that have three dots, are handed on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text.simd import (
    address_of,
    class_mask,
    compiled,
    inlined,
    load8,
    trailing_zeros,
    with_more_rows,
)

U64 = np.uint64
AT, ACCOUNT, DOTTED, LONG = 0, 1, 2, 3  # kinds of candidates
_GAP = 3
_FEWEST_DIGITS = 8
_DOTS = 3


@inlined
def _is_upper(byte: int) -> bool:
    return 65 <= byte <= 90


@inlined
def _is_word(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= (byte | 32) <= 122


@inlined
def _is_gap(byte: int) -> bool:
    """Space, brackets, hyphen or full stop."""
    return byte in (32, 40, 41, 45, 46)


@inlined
def _joins(address: int, end: int, start: int) -> bool:
    """Whether only a few separators stand between two runs of digits."""
    if start - end > _GAP:
        return False
    for i in range(end, start):  # noqa: SIM110 - compiled, and Numba knows no all()
        if not _is_gap(load8(address, i)):
            return False
    return True


@inlined
def _opens_account(address: int, size: int, at: int) -> bool:
    """Two capitals of their own before, and a second digit: `GB82`."""
    if at < 2 or at + 1 >= size or not 48 <= load8(address, at + 1) <= 57:
        return False
    if not (_is_upper(load8(address, at - 1)) and _is_upper(load8(address, at - 2))):
        return False
    return at == 2 or not _is_word(load8(address, at - 3))


@inlined
def _opens_domain(address: int, size: int, at: int) -> bool:
    """Whether a sign stands before a domain with a dot, or an address in brackets."""
    if at == 0 or at + 1 >= size:
        return False
    before = load8(address, at - 1)
    if before <= 32 or before == 46 or before >= 127:
        return False
    if load8(address, at + 1) == 91:
        return True
    i = at + 1
    while i < size and (_is_word(load8(address, i)) or load8(address, i) == 45):
        i += 1
    return at + 1 < i < size and load8(address, i) == 46


@inlined
def _put(found: NDArray[np.int64], row: int, cells: tuple[int, int, int, int]) -> None:
    """Cell by cell: to assign a row, Numba compiles the words of its error, for two seconds."""
    for i in range(4):
        found[row, i] = cells[i]


@compiled
def candidates(address: NDArray[np.uint64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of (document, kind, start, end), in the order of the text."""
    found = np.empty((1024, 4), np.int64)
    tail = np.zeros(64, np.uint8)
    count = 0
    for d in range(length.shape[0]):
        base, size = address[d], length[d]
        start, end, digits, dots = np.int64(-1), np.int64(-8), 0, 0
        for block in range(0, size, 64):
            source = base + U64(block)
            if block + 64 > size:
                for i in range(block, block + 64):
                    tail[i - block] = load8(base, i) if i < size else 0
                source = address_of(tail)
            digit_bits, at_bits = class_mask(source)
            while at_bits != 0 or digit_bits != 0:
                if count + 4 > found.shape[0]:
                    found = with_more_rows(found)
                if trailing_zeros(at_bits) < trailing_zeros(digit_bits):
                    at = block + trailing_zeros(at_bits)
                    at_bits &= at_bits - U64(1)
                    if _opens_domain(base, size, at):
                        _put(found, count, (d, AT, at, at + 1))
                        count += 1
                    continue
                first = trailing_zeros(digit_bits)
                run = trailing_zeros(~(digit_bits >> U64(first)))
                digit_bits = digit_bits & (digit_bits + (U64(1) << U64(first)))
                at = block + first
                if at > 0 and at == end:  # the run crosses into this block
                    pass
                elif start >= 0 and _joins(base, end, at):
                    dots += at - end == 1 and load8(base, end) == 46
                else:
                    if digits >= _FEWEST_DIGITS or dots >= _DOTS:
                        kind = DOTTED if dots >= _DOTS else LONG
                        _put(found, count, (d, kind, start, end))
                        count += 1
                    start, digits, dots = at, 0, 0
                if at != end and _opens_account(base, size, at):
                    _put(found, count, (d, ACCOUNT, at - 2, at))
                    count += 1
                digits += run
                end = at + run
        if digits >= _FEWEST_DIGITS or dots >= _DOTS:
            if count + 1 > found.shape[0]:
                found = with_more_rows(found)
            _put(found, count, (d, DOTTED if dots >= _DOTS else LONG, start, end))
            count += 1
    return found[:count]
