"""Tokens of one document and their n-grams, compiled; see `curate.text.statistics`.

A document lies in a buffer with `PADDING` zero bytes after it, so that 64 bytes may be read at
every place of it. A token is found in one step where 64 bytes at once tell its end, and character
by character where it is anything but an ASCII word before white space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from curate.text._characters import (
    CONTROL,
    DIGIT,
    EXTEND,
    INNER,
    LETTER,
    NUMERIC_INNER,
    SINGLE,
    SPACE,
    WORD,
)
from curate.text.simd import inlined, load8, load64, trailing_zeros, word_masks
from curate.text.words import hash_word

# Numba infers the types of scalars; what Python would hold in their place is no matter.
Scalar = Any
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

PADDING = 80
LONGEST_N = 10
N_STOP_WORDS = 8  # of the words that kernels know by hash; abbreviations follow
WORD_KIND, SYMBOL_KIND, SINGLE_KIND = 1, 2, 3
_ZERO, _ONE, _LOW, _K0 = (np.uint64(x) for x in (0, 1, 0xFFFFFFFF, 0x9E3779B97F4A7C15))
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


@njit(nogil=True)
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


@njit(nogil=True)
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
def _ends_word(base: Scalar, at: Scalar, flags: U16) -> Scalar:
    """Whether a word of ASCII characters surely ends before `at`; the byte there is none."""
    b, following = np.int64(load8(base, at)), np.int64(load8(base, at + 1))
    if b >= 0x80:
        return False
    inner = (flags[b] & (INNER | NUMERIC_INNER)) != 0
    return not inner or (following < 0x80 and not flags[following] & WORD)


@inlined
def _is_short(size: Scalar, hash_: Scalar, stops: U64) -> Scalar:
    """Whether a full stop after this word is part of it: `Mr.`, `e.g.`, an initial."""
    if size >> 4 == 1:
        return size & 4 != 0
    for s in range(N_STOP_WORDS, stops.size):  # noqa: SIM110 - compiled: no any()
        if stops[s] == hash_:
            return True
    return False


@njit(nogil=True)
def find_tokens(
    base: Scalar, size: Scalar, flags: U16, stops: U64, hashes: U64, sizes: U32
) -> Scalar:
    """Hash each token and note its characters; returns their number.

    `sizes` holds the characters times 16, plus 8 if the token ends in an English clitic or is the
    full stop of an abbreviation, plus 4 if it has a letter, plus the kind.
    """
    count = np.int64(0)
    word_end = np.int64(-1)  # of the last token, if it was a word
    i: Scalar = np.int64(0)
    while i < size:
        b = np.int64(load8(base, i))
        if b < 0x80 and flags[b] & (SPACE | CONTROL):
            i += 1
            continue
        words, letters = word_masks(base + np.uint64(i))
        run = trailing_zeros(~words)
        if 0 < run < 64 and _ends_word(base, i + run, flags):
            end = i + run
            letter = letters & ((_ONE << np.uint64(run)) - _ONE) != _ZERO
            sizes[count] = run << 4 | np.int64(letter) << 2 | WORD_KIND
        elif b < 0x80 and run == 0 and load8(base, i + 1) != b and load8(base, i + 1) < 0x80:
            end = i + 1
            sizes[count] = 1 << 4 | SYMBOL_KIND
        else:
            if b >= 0x80 and flags[code_point(base, i)[0]] & (SPACE | CONTROL):
                i += code_point(base, i)[1]
                continue
            end, chars, kind, has_letter = _slow_token(base, size, i, flags)
            clitic = np.int64(kind == WORD_KIND and _ends_in_clitic(base, i, end))
            sizes[count] = chars << 4 | clitic << 3 | np.int64(has_letter) << 2 | kind
        hashes[count] = hash_word(base, i, end - i)
        if b == 46 and i == word_end and end == i + 1:
            sizes[count] |= np.uint32(_is_short(sizes[count - 1], hashes[count - 1], stops)) << 3
        word_end = end if sizes[count] & 3 == WORD_KIND else np.int64(-1)
        count += 1
        i = end
    return count


@inlined
def hash_bytes(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Hash of a stretch of bytes, eight at a time; its length is part of it."""
    hash_ = np.uint64(end - start) * _K0 + _ONE
    i = start
    while i + 8 <= end:
        hash_ = (hash_ ^ load64(base, i)) * _K0
        hash_ ^= hash_ >> _U29
        i += 8
    if i < end:
        part = load64(base, i) & ((_ONE << np.uint64(8 * (end - i))) - _ONE)
        hash_ = (hash_ ^ part) * _K0
        hash_ ^= hash_ >> _U29
    hash_ *= _K0
    return hash_ ^ (hash_ >> _U32)


@inlined
def insert(table: U64, mask: Scalar, key: Scalar, place: Scalar, base: Scalar) -> Scalar:
    """Place at which `key` was inserted first, or -1 if it is new (then inserted at `place`).

    A slot holds 32 bits of the key and a place counted from the first document on; one below
    `base` is stale, so that nothing is cleared between documents. `key` is well mixed.
    """
    tag = key & ~_LOW
    slot = key & mask
    while True:
        entry = table[slot]
        if (entry & _LOW) < base:
            table[slot] = tag | (base + np.uint64(place))
            return np.int64(-1)
        if entry & ~_LOW == tag:
            return np.int64((entry & _LOW) - base)
        slot = (slot + _ONE) & mask


@inlined
def table_mask(entries: Scalar) -> Scalar:
    """Slots of a table for so many entries, less one; at most half of them get used."""
    size = np.int64(64)
    while size < 2 * entries:
        size *= 2
    return np.uint64(size - 1)


@njit(nogil=True)
def count_ngrams(
    tokens: Scalar,
    hashes: U64,
    sizes: U32,
    table: U64,
    base: Scalar,
    grams: U64,
    counts: I32,
    live: I32,
    ends: I64,
    out: I64,
) -> Scalar:
    """Distinct tokens, top 2- to 4-grams, duplicated 5- to 10-grams; returns the next base.

    `out` takes ten figures. An n-gram repeats only where the (n-1)-grams at its first and at its
    second token repeat, so each order looks only at positions that the order before left alive.
    `counts[i]` is how often the n-gram that first stands at i occurs; 0 where it is a copy.
    """
    ends[0] = 0
    for t in range(tokens):
        ends[t + 1] = ends[t] + np.int64(sizes[t] >> 4)
        grams[t] = hashes[t]
        live[t] = t
    alive = tokens
    mask = table_mask(tokens)
    for n in range(1, LONGEST_N + 1):
        best, best_at = np.int64(1), np.int64(0)
        distinct = np.int64(0)
        asked = np.int64(0)
        for q in range(alive):
            i: Scalar = np.int64(live[q])
            if i + n > tokens:
                break
            if n > 1:
                # The next position of the list tells whether the rest of the n-gram repeats.
                if q + 1 == alive or live[q + 1] != i + 1:
                    continue
                gram = (grams[i] ^ (grams[i] >> _U29)) * _K0 + hashes[i + n - 1]
                gram ^= gram >> _U32
                grams[i] = gram * _K0
            key = grams[i] ^ (grams[i] >> _U32)
            live[asked] = i
            asked += 1
            first = insert(table, mask, key, i, base)
            if first < 0:
                counts[i] = 1
                distinct += 1
            else:
                counts[first] += 1
                counts[i] = 0
                if counts[first] > best or (counts[first] == best and first < best_at):
                    best, best_at = np.int64(counts[first]), first
        base += np.uint64(tokens)
        if n == 1:
            out[0] = distinct
        elif n <= 4 and tokens >= n:
            out[n - 1] = best * (ends[best_at + n] - ends[best_at] + n - 1)
        alive = np.int64(0)
        for q in range(asked):  # a position lives on if its n-gram occurs twice or more
            i = np.int64(live[q])
            live[alive] = i
            alive += counts[i] != 1
        if n >= 5 and alive:
            out[n - 1] = _duplicated(n, alive, live, grams, table, mask, base, ends)
            base += np.uint64(tokens)
    return base


@njit(nogil=True)
def _duplicated(
    n: Scalar,
    alive: Scalar,
    live: I32,
    grams: U64,
    table: U64,
    mask: Scalar,
    base: Scalar,
    ends: I64,
) -> Scalar:
    """Characters of n-grams seen before, scanned without overlap."""
    chars, free = np.int64(0), np.int64(0)
    for q in range(alive):
        i: Scalar = np.int64(live[q])
        key = grams[i] ^ (grams[i] >> _U32)
        if i >= free and insert(table, mask, key, i, base) >= 0:
            chars += ends[i + n] - ends[i]
            free = i + n
    return chars
