"""Repeated n-grams of one document, compiled; every counting rule that is in use at once.

A table is shared by all orders and all documents and never cleared: a slot holds 32 bits of a key
and a place that only grows, and a place below the current base is stale. Loops are written without
branches that depend on the text (a word is new or known as good as at random): slots that are
stale and slots that match are left by the same way out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.text.compiler import inlined, part
from curate.text.simd import larger, smaller

# Numba infers the types of scalars; what Python would hold in their place is no matter.
Scalar = Any
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

TOP_ORDERS = (2, 3, 4)
DUPLICATE_ORDERS = tuple(range(5, 11))
NGRAM_COUNTS = (
    "distinct_tokens",
    *(f"top_{n}gram_chars" for n in TOP_ORDERS),
    *(f"top_{n}gram_bare_chars" for n in TOP_ORDERS),
    *(f"longest_top_{n}gram_bare_chars" for n in TOP_ORDERS),
    *(f"duplicate_{n}gram_chars" for n in DUPLICATE_ORDERS),
)
FURTHER_NGRAM_COUNTS = (
    *(f"repeated_{n}gram_chars" for n in DUPLICATE_ORDERS),
    *(f"all_{n}gram_chars" for n in DUPLICATE_ORDERS),
    *(f"covered_{n}gram_chars" for n in DUPLICATE_ORDERS),
    *(f"later_{n}gram_chars" for n in DUPLICATE_ORDERS),
    "later_2gram_chars",
)
"""What `count_ngrams` fills in, in order, the further ones where `every_way` is asked for."""

_TOP, _BARE, _LONGEST, _SCANNED = 1, 4, 7, 10
_REPEATED, _ALL, _COVERED, _LATER, _LATER_2 = 16, 22, 28, 34, 40
_ONE, _LOW, _K0 = np.uint64(1), np.uint64(0xFFFFFFFF), np.uint64(0x9E3779B97F4A7C15)
_U29, _U32 = np.uint64(29), np.uint64(32)


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
def _first(table: U64, mask: Scalar, key: Scalar, place: Scalar, base: Scalar) -> Scalar:
    """Where `key` stood first, which is `place` if it is new; without a branch on which of both."""
    tag = key & ~_LOW
    slot = key & mask
    entry = table[slot]
    while ((entry & _LOW) >= base) & ((entry ^ tag) > _LOW):
        slot = (slot + _ONE) & mask
        entry = table[slot]
    own = base + np.uint64(place)
    found = own if (entry & _LOW) < base else entry & _LOW
    table[slot] = tag | found
    return found - base


@inlined
def table_mask(entries: Scalar) -> Scalar:
    """Slots of a table for so many entries, less one; at most a quarter of them get used."""
    size = np.int64(64)
    while size < 4 * entries:
        size *= 2
    return np.uint64(size - 1)


@part
def count_ngrams(
    tokens: Scalar,
    hashes: U64,
    sizes: U32,
    table: U64,
    base: Scalar,
    firsts: I32,
    counts: I32,
    live: I32,
    ends: I64,
    every_way: Scalar,
    out: I64,
) -> Scalar:
    """Fill in the counts above (zeros before); returns the next base of the table.

    `sizes` holds the characters of each token times 16. An n-gram repeats only where the
    (n-1)-grams at its first and at its second token repeat, so each order looks only at positions
    that the order before left alive. `firsts[i]` is where the n-gram at i stands first, `counts[i]`
    how often the n-gram that first stands at i occurs; 0 where it is a copy.
    """
    alive, base = _tokens_that_repeat(
        tokens, hashes, sizes, table, base, firsts, counts, live, ends, out
    )
    mask = table_mask(alive)
    for n in TOP_ORDERS:
        asked = _candidates(alive, live)
        _find_firsts(n, asked, live, hashes, firsts, counts, table, mask, base)
        base += np.uint64(tokens)
        best, best_at = np.int64(1), np.int64(0)
        alive = np.int64(0)
        for q in range(asked):  # a position lives on if its n-gram occurs twice or more
            at = np.uint64(live[q])
            live[alive] = at
            alive += counts[at] != 1
            if counts[at] > best:
                best, best_at = np.int64(counts[at]), np.int64(at)
        if tokens >= n:
            _top(n, best, best_at, alive, live, counts, ends, out)
        if n == 2 and every_way:
            out[_LATER_2] = _later(n, alive, live, firsts, ends)
    for n in DUPLICATE_ORDERS:
        if every_way and tokens >= n:
            out[_ALL + n - 5] = _all_chars(n, tokens, ends)
        if alive == 0:
            continue
        asked = _candidates(alive, live)
        _find_firsts(n, asked, live, hashes, firsts, counts, table, mask, base)
        base += np.uint64(tokens)
        alive = _scan(n, asked, live, firsts, counts, ends, out)
        if every_way:
            _cover(n, alive, live, ends, out)
            out[_LATER + n - 5] = _later(n, alive, live, firsts, ends)
    return base


@part
def _find_firsts(
    n: Scalar,
    asked: Scalar,
    live: I32,
    hashes: U64,
    firsts: I32,
    counts: I32,
    table: U64,
    mask: Scalar,
    base: Scalar,
) -> None:
    """Where the n-gram at each position of the list stands first, and how often it occurs.

    Long repeats go on as they did where the shorter n-gram stood first; where they do not, the
    pair of that place and of the last token tells the n-gram. Two tokens rarely go on alike.
    """
    back = np.uint64(n - 1)
    for q in range(asked):
        i: Scalar = np.uint64(live[q])
        last = hashes[i + back]
        first = np.uint64(firsts[i])
        if n == 2 or hashes[first + back] != last:
            gram = (last ^ (first << _U32)) * _K0
            gram = (gram ^ (gram >> _U29)) * _K0
            first = _first(table, mask, gram ^ (gram >> _U32), i, base)
        copy = np.int32(first != i)
        firsts[i] = first
        counts[i] = 1 - copy
        counts[first] += copy


@part
def _tokens_that_repeat(
    tokens: Scalar,
    hashes: U64,
    sizes: U32,
    table: U64,
    base: Scalar,
    firsts: I32,
    counts: I32,
    live: I32,
    ends: I64,
    out: I64,
) -> Scalar:
    """List the positions of tokens that occur twice; returns their number and the next base."""
    mask = table_mask(tokens)
    characters, distinct = np.int64(0), np.int64(0)
    ends[0] = 0
    for t in range(np.uint64(tokens)):
        characters += np.int64(sizes[t] >> 4)
        ends[t + np.uint64(1)] = characters
        first = _first(table, mask, hashes[t] ^ (hashes[t] >> _U32), t, base)
        copy = np.int32(first != t)
        firsts[t] = first
        counts[t] = 1 - copy
        counts[first] += copy
        distinct += 1 - copy
    out[0] = distinct
    alive = np.int64(0)
    for t in range(np.uint64(tokens)):
        live[alive] = t
        alive += counts[t] != 1
    return alive, base + np.uint64(tokens)


@part
def _candidates(alive: Scalar, live: I32) -> Scalar:
    """Keep the positions of the list whose neighbour is in it too; returns their number."""
    live[alive] = -1
    asked = np.int64(0)
    for q in range(alive):
        i: Scalar = live[q]
        live[asked] = i
        asked += live[q + 1] == i + 1
    return asked


@part
def _top(
    n: Scalar,
    best: Scalar,
    best_at: Scalar,
    alive: Scalar,
    live: I32,
    counts: I32,
    ends: I64,
    out: I64,
) -> None:
    """The most frequent n-gram: the first of several; if it repeats, the longest of several."""
    chars = ends[best_at + n] - ends[best_at]
    out[_TOP + n - 2] = best * (chars + n - 1)
    out[_BARE + n - 2] = best * chars
    if best > 1:
        longest = np.int64(0)
        for q in range(alive):
            if counts[live[q]] == best:
                longest = larger(longest, ends[live[q] + n] - ends[live[q]])
        out[_LONGEST + n - 2] = best * longest


@part
def _all_chars(n: Scalar, tokens: Scalar, ends: I64) -> Scalar:
    """Characters of all n-grams together: each sum of neighbours but those at the edges cancels."""
    chars = np.int64(0)
    for t in range(n):
        chars += ends[tokens - t] - ends[t]
    return chars


@part
def _scan(
    n: Scalar, asked: Scalar, live: I32, firsts: I32, counts: I32, ends: I64, out: I64
) -> Scalar:
    """Keep the positions whose n-gram occurs twice; count n-grams seen before, without overlap.

    What the scan has seen is noted in `counts`, by a sign, once that is no longer needed.
    """
    alive, chars, free = np.int64(0), np.int64(0), np.int64(0)
    for q in range(asked):
        i: Scalar = np.int64(live[q])
        if counts[i] == 1:
            continue
        live[alive] = i
        alive += 1
        if i >= free:
            first = np.uint64(firsts[i])
            if counts[first] < 0:
                chars += ends[i + n] - ends[i]
                free = i + n
            counts[first] = -1
    out[_SCANNED + n - 5] = chars
    return alive


@part
def _cover(n: Scalar, alive: Scalar, live: I32, ends: I64, out: I64) -> None:
    """Characters of n-grams that occur twice: of each n-gram, and of each token once."""
    every, covered, done = np.int64(0), np.int64(0), np.int64(0)
    for q in range(alive):
        i: Scalar = np.int64(live[q])
        every += ends[i + n] - ends[i]
        covered += ends[i + n] - ends[larger(i, done)]
        done = i + n
    out[_REPEATED + n - 5] = every
    out[_COVERED + n - 5] = covered


@part
def _later(n: Scalar, alive: Scalar, live: I32, firsts: I32, ends: I64) -> Scalar:
    """Characters of tokens in later occurrences, each once, and of the spaces between them."""
    chars, done = np.int64(0), np.int64(0)
    for q in range(alive):
        i: Scalar = np.int64(live[q])
        if firsts[i] != i:
            start = larger(i, done)
            chars += ends[i + n] - ends[start] + smaller(i + n - start, n - 1)
            done = i + n
    return chars
