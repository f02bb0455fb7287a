"""Compiled parts of the search for repeated passages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text.compiler import compiled
from curate.text.simd import load8
from curate.text.words import PADDING, U64, _decode, hash_grams, hash_words, longest, lower

U32 = np.uint32
View = tuple[NDArray[np.uint64], NDArray[np.int64]]
_SEPARATOR, _IGNORED, _ALONE = U32(0), U32(0xFFFFFFFF), U32(1 << 31)
_EMPTY = U64(0)


@compiled
def winnow(
    view: View,
    table: NDArray[np.uint32],
    multipliers: NDArray[np.uint64],
    window: int,
    out: tuple[NDArray[np.uint64], NDArray[np.int64]],
) -> int:
    """Fingerprints of each document: of `window` grams in a row the least, the last of equals.

    Two documents with `window + n - 1` words in common have a fingerprint in common
    (Schleimer, Wilkerson, Aiken 2003). Returns how many (hash, document) were written.
    """
    address, length = view
    hashes, documents = out
    most = longest(length)
    low = np.empty(2 * most + 64 + PADDING, np.uint8)
    words = np.empty(most // 2 + 1, np.uint64)
    grams = np.empty(most // 2 + 1, np.uint64)
    count = 0
    for d in range(length.shape[0]):
        size = lower(address[d], length[d], table, low)
        n = hash_words(low, size, words)
        if n < window + multipliers.shape[0] - 1:
            continue
        total = hash_grams(words, n, multipliers, grams)
        chosen = -1
        for end in range(window - 1, total):
            if chosen <= end - window:  # the least has left the window
                chosen = end - window + 1
                for i in range(chosen + 1, end + 1):
                    if grams[i] <= grams[chosen]:
                        chosen = i
            elif grams[end] <= grams[chosen]:
                chosen = end
            else:
                continue
            hashes[count] = grams[chosen]
            documents[count] = d
            count += 1
    return count


@compiled
def _find(keys: NDArray[np.uint64], key: np.uint64) -> int:
    """Slot of a key in an open-addressing table, or the empty slot where it belongs."""
    mask = keys.shape[0] - 1
    slot: int = np.int64((key * U64(0x9E3779B97F4A7C15)) >> U64(32)) & mask
    while keys[slot] != _EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def key_set(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """An open-addressing table of keys (0 stands for an empty slot and is left out)."""
    slots = 64
    while slots < 2 * keys.shape[0]:
        slots *= 2
    table = np.zeros(slots, np.uint64)
    for key in keys:
        table[_find(table, key)] = key
    return table


@compiled
def _grown(
    keys: NDArray[np.uint64], holders: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    more, values = np.zeros(2 * keys.shape[0], np.uint64), np.empty(2 * keys.shape[0], np.int64)
    for slot in range(keys.shape[0]):
        if keys[slot] != _EMPTY:
            place = _find(more, keys[slot])
            more[place] = keys[slot]
            values[place] = holders[slot]
    return more, values


@compiled
def word_places(
    address: int,
    size: int,
    table: NDArray[np.uint32],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> int:
    """First byte and end of each word in the original text, in the order of `hash_words`."""
    count, at, inside = 0, 0, False
    while at < size:
        code, step = _decode(address, at, size)
        entry = table[code] if code < table.shape[0] else _SEPARATOR
        if entry == _IGNORED:
            at += step
            continue
        if entry == _SEPARATOR:
            inside = False
        else:
            if not inside or entry & _ALONE:
                starts[count] = at
                count += 1
            ends[count - 1] = at + step
            inside = (entry & _ALONE) == 0
        at += step
    return count


@compiled
def find_repeats(
    view: View,
    rows: NDArray[np.int64],
    tables: tuple[NDArray[np.uint32], NDArray[np.uint64]],
    grams: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    seen: tuple[NDArray[np.uint64], NDArray[np.int64], int],
) -> tuple[NDArray[np.int64], tuple[NDArray[np.uint64], NDArray[np.int64], int]]:
    """Spans of words that stand intact in an earlier document: (row, start, end, words, holder).

    `seen` maps the windows that stand intact in earlier documents to the first of these; the
    windows of a document enter it once the document is done, and only those that no cut
    touches. So whatever is cut still stands whole somewhere, never in the document itself.
    """
    address, length = view
    table, repeated = tables
    short, wide = grams
    keys, holders, held = seen
    n, most = wide.shape[0], longest(length)
    low = np.empty(2 * most + 64 + PADDING, np.uint8)
    words = np.empty(most // 2 + 1, np.uint64)
    small, large = np.empty_like(words), np.empty_like(words)
    starts = np.empty(most + 1, np.int64)
    ends = np.empty(most + 1, np.int64)
    found = np.empty((64, 5), np.int64)
    spans = 0
    for d in range(length.shape[0]):
        size = lower(address[d], length[d], table, low)
        count = hash_words(low, size, words)
        if count < n:
            continue
        total = hash_grams(words, count, short, small)
        windows = hash_grams(words, count, wide, large)
        reach = np.full(count, -1, np.int64)  # the last repeated gram that starts up to here
        last = -1
        for i in range(total):
            if repeated[_find(repeated, small[i])] != _EMPTY:
                last = i
            reach[i] = last
        cut = np.zeros(count, np.bool_)
        holder = np.full(count, -1, np.int64)
        until = 0
        for i in range(windows):
            if reach[i + n - short.shape[0]] < i:
                continue
            slot = _find(keys, large[i])
            if keys[slot] != _EMPTY:
                for word in range(max(until, i), i + n):
                    cut[word] = True
                    holder[word] = holders[slot]
                until = i + n
        if until:
            word_places(address[d], length[d], table, starts, ends)
        i = 0
        while until and i < count:
            if not cut[i]:
                i += 1
                continue
            first = i
            while i < count and cut[i]:
                i += 1
            stop = ends[i - 1]
            limit = starts[i] if i < count else length[d]
            while stop < limit and load8(address[d], stop) != 10:
                stop += 1  # punctuation and spaces up to the next word or the end of the line
            if spans == found.shape[0]:
                found = np.concatenate((found, np.empty_like(found)))
            found[spans, 0], found[spans, 1], found[spans, 2] = rows[d], starts[first], stop
            found[spans, 3], found[spans, 4] = i - first, holder[first]
            spans += 1
        touched = -1
        for word in range(n - 1):
            if cut[word]:
                touched = word
        for i in range(windows):
            if cut[i + n - 1]:
                touched = i + n - 1
            if touched >= i or reach[i + n - short.shape[0]] < i:
                continue
            slot = _find(keys, large[i])
            if keys[slot] == _EMPTY and large[i] != _EMPTY:
                keys[slot] = large[i]
                holders[slot] = rows[d]
                held += 1
                if 2 * held > keys.shape[0]:
                    keys, holders = _grown(keys, holders)
    return found[:spans], (keys, holders, held)
