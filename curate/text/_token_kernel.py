"""Tokens of one document, compiled; see `curate.text.statistics`.

A document lies in a buffer with `PADDING` zero bytes after it, so that 64 bytes may be read at
every place of it. A token is found in one step where 64 bytes at once tell its end, and character
by character where it is anything but an ASCII word before white space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.text._characters import (
    CONTROL,
    DIGIT,
    EXTEND,
    INNER,
    LETTER,
    NUMERIC_INNER,
    SENTENCE_END,
    SINGLE,
    SPACE,
    WORD,
)
from curate.text.compiler import inlined, part
from curate.text.simd import count_ones, larger, load8, load64, smaller, token_masks, trailing_zeros
from curate.text.words import hash_word

# Numba infers the types of scalars; what Python would hold in their place is no matter.
Scalar = Any
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

PADDING = 80
LONGEST_SHORT_CHARS = 4  # of an abbreviation, without its full stop
WORD_KIND, SYMBOL_KIND, SINGLE_KIND = 1, 2, 3
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_K0, _K1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_U29, _U32 = np.uint64(29), np.uint64(32)


@inlined
def code_point(base: Scalar, i: Scalar) -> Scalar:
    """Code point and byte length of the character at `i`; the bytes are valid UTF-8."""
    b = np.int64(load8(base, i))
    if b < 0x80:
        return b, 1
    second = np.int64(load8(base, i + 1) & 63)
    if b < 0xE0:
        return (b & 31) << 6 | second, 2
    third = np.int64(load8(base, i + 2) & 63)
    if b < 0xF0:
        return (b & 15) << 12 | second << 6 | third, 3
    return (b & 7) << 18 | second << 12 | third << 6 | np.int64(load8(base, i + 3) & 63), 4


@part
def _slow_token(base: Scalar, size: Scalar, at: Scalar, flags: U16) -> Scalar:
    """End, characters, kind and `has a letter` of the token at `at`, by the rules one by one."""
    code, width = code_point(base, at)
    flag = np.int64(flags[code])
    kind = WORD_KIND
    if flag & SINGLE:
        kind = SINGLE_KIND
    elif not flag & (WORD | EXTEND):
        kind = SYMBOL_KIND
    symbol, chars, letter, last = code, 1, (flag & LETTER) != 0, flag
    i = at + width
    while i < size:
        code, width = code_point(base, i)
        flag = np.int64(flags[code])
        joins = (flag & EXTEND) != 0
        if not joins and kind == SYMBOL_KIND:
            joins = code == symbol
        elif not joins and kind == WORD_KIND:
            if flag & WORD:
                joins = (flag & SINGLE) == 0
            elif flag & (INNER | NUMERIC_INNER) and i + width < size:
                following = np.int64(flags[code_point(base, i + width)[0]])
                if flag & INNER:
                    joins = (last & (WORD | EXTEND)) != 0 and following & (WORD | SINGLE) == WORD
                else:
                    joins = (last & DIGIT) != 0 and (following & DIGIT) != 0
        if not joins:
            break
        chars += 1
        letter = letter or (flag & LETTER) != 0
        last = flag
        i += width
    return i, chars, kind, letter


@inlined
def _apostrophe_at(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Bytes of the apostrophe (`'` or `’`, E2 80 99) that ends before `end`; 0 = there is none."""
    if end - start >= 2 and load8(base, end - 1) == 39:
        return 1
    if end - start >= 4 and load8(base, end - 1) == 0x99 and load8(base, end - 2) == 0x80:
        return 3 if load8(base, end - 3) == 0xE2 else 0
    return 0


@part
def _ends_in_clitic(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether a word ends in 's 'd 'm 'll 're 've or n't, without regard to case."""
    last, before = load8(base, end - 1) | 32, load8(base, end - 2) | 32
    one = _apostrophe_at(base, start, end - 1)
    if one:
        if last == 116:  # t
            mark = end - 1 - one
            return mark - start >= 2 and load8(base, mark - 1) | 32 == 110
        return last == 115 or last == 100 or last == 109
    if not _apostrophe_at(base, start, end - 2):
        return False
    return (before == 108 and last == 108) or ((before == 114 or before == 118) and last == 101)


@inlined
def _is_short(size: Scalar, hash_: Scalar, shorts: U64) -> Scalar:
    """Whether a full stop after this word is part of it: `Mr.`, `e.g.`, an initial."""
    if size >> 4 == 1:
        return size & 4 != 0
    if size >> 4 > LONGEST_SHORT_CHARS:
        return False
    for s in range(shorts.size):  # noqa: SIM110 - compiled: no any()
        if shorts[s] == hash_:
            return True
    return False


@inlined
def _edges(source: Scalar) -> Scalar:
    """Of 64 bytes from a token's edge on: masks of words, letters, apostrophes, starts, ends.

    Ends are those that are sure: what ends before an unknown character may end beyond it. The
    last figure is how many bytes are ASCII.
    """
    words, letters, digits, inner, numeric, gaps, twins, quotes, high = token_masks(source)
    joined = inner & (words << _ONE) & (words >> _ONE)
    joined |= numeric & (digits << _ONE) & (digits >> _ONE)
    words |= joined
    symbols = ~(words | gaps | high)
    same = symbols & ((symbols & twins) << _ONE)
    starts = (words & ~(words << _ONE)) | (symbols & ~same)
    ends = (~words & (words << _ONE)) | ((symbols << _ONE) & ~same)
    known = trailing_zeros(high)
    last = np.uint64(larger(known - 1, 0))
    unsure = ((inner | numeric) >> last) & _ONE
    sure = larger(known - np.int64(unsure), 1)  # bit 0 ends nothing
    ends &= (_ONE << np.uint64(sure - 1)) * np.uint64(2) - _ONE
    return words, letters, quotes, starts, ends, known


@part
def find_tokens(
    base: Scalar, size: Scalar, flags: U16, shorts: U64, hashes: U64, sizes: U32
) -> Scalar:
    """Hash each token and note its characters; returns their number.

    `sizes` holds the characters times 16, plus 8 if the token ends in an English clitic or is the
    full stop of an abbreviation, plus 4 if it has a letter or, for symbols, ends a sentence, plus
    the kind. Each round starts at the
    edge of a token and takes the tokens whose ends 64 bytes tell for sure; where they tell none,
    one token is read by the rules.
    """
    count = np.int64(0)
    word_end = np.int64(-1)  # of the last token, if it was a word
    i: Scalar = np.int64(0)
    while i < size:
        words, letters, quotes, starts, ends, known = _edges(base + np.uint64(i))
        if known > 0:
            for _ in range(count_ones(ends)):
                start, end = trailing_zeros(starts), trailing_zeros(ends)
                starts &= starts - _ONE
                ends &= ends - _ONE
                chars = end - start
                own = ((_ONE << np.uint64(chars)) - _ONE) << np.uint64(start)
                kind = SYMBOL_KIND - np.int64((words >> np.uint64(start)) & _ONE)
                entry = chars << 4 | np.int64((letters & own) != _ZERO) << 2 | kind
                hash_ = hash_word(base, i + start, chars)
                if kind == WORD_KIND:
                    if quotes & own & words and _ends_in_clitic(base, i + start, i + end):
                        entry |= 8
                    word_end = i + end
                else:
                    mark = load8(base, i + start)
                    entry |= np.int64((mark == 46) | (mark == 33) | (mark == 63)) << 2
                    if mark == 46 and (i + start == word_end) & (chars == 1):
                        short = _is_short(sizes[count - 1], hashes[count - 1], shorts)
                        entry |= np.int64(short) << 3
                hashes[count] = hash_
                sizes[count] = entry
                count += 1
            rest = smaller(trailing_zeros(starts), known)
            if rest > 0:
                i += rest
                continue
        code, width = code_point(base, i)
        if flags[code] & (SPACE | CONTROL):
            i += width
            continue
        end, chars, kind, has_letter = _slow_token(base, size, i, flags)
        if kind == SYMBOL_KIND:
            has_letter = (flags[code] & SENTENCE_END) != 0
        clitic = np.int64(kind == WORD_KIND and _ends_in_clitic(base, i, end))
        hashes[count] = hash_word(base, i, end - i)
        sizes[count] = chars << 4 | clitic << 3 | np.int64(has_letter) << 2 | kind
        if code == 46 and i == word_end and end == i + 1:
            sizes[count] |= np.uint32(_is_short(sizes[count - 1], hashes[count - 1], shorts)) << 3
        word_end = end if kind == WORD_KIND else np.int64(-1)
        count += 1
        i = end
    return count


@inlined
def hash_bytes(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Hash of a stretch of bytes, twice eight at a time; its length is part of it."""
    hash_ = np.uint64(end - start) * _K0 + _ONE
    other = _K1
    i = start
    while i + 16 <= end:
        hash_ = (hash_ ^ load64(base, i)) * _K0
        other = (other ^ load64(base, i + 8)) * _K1
        hash_ ^= hash_ >> _U29
        other ^= other >> _U32
        i += 16
    if i + 8 <= end:
        hash_ = (hash_ ^ load64(base, i)) * _K0
        hash_ ^= hash_ >> _U29
        i += 8
    if i < end:
        part = load64(base, i) & ((_ONE << np.uint64(8 * (end - i))) - _ONE)
        other = (other ^ part) * _K1
        other ^= other >> _U32
    hash_ = (hash_ ^ (other * _K0)) * _K1
    return hash_ ^ (hash_ >> _U32)
