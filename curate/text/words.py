"""Words, their hashes and their n-grams: the one tokenisation that all duplicates share.

docs/tokenisation.md defines it in words, with a slow Python twin and golden vectors; this
module is the fast form. A document becomes one buffer of lower-case bytes in which every
separator is zero, so all later steps only ask "zero or not".
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.text.arrow import TextView, text_view
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import (
    address_of,
    count_ones,
    load8,
    load64,
    lower_block,
    nonzero_mask,
    trailing_zeros,
)

#: Words a shingle; the contract of every similarity that the project reports.
SHINGLE_WORDS = 5

#: Zero bytes that must follow a lowered document: one 64-byte block plus two 8-byte loads.
PADDING = 80

U32, U64 = np.uint32, np.uint64
_SEPARATOR, _IGNORED, _ALONE = U32(0), U32(0xFFFFFFFF), U32(1 << 31)
_CODE_POINT = U32(0x1FFFFF)

#: Planes 0–3. Above them lie no letters: unassigned, tags, private use.
_TABLE_SIZE = 0x40000

#: Characters that change how text looks or joins, not what it says: soft hyphen, the
#: zero-width joiners, word joiner, byte order mark, variation selectors.
_INVISIBLE = (0xAD, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10))

#: Scripts written without spaces: each character is a word, or word 5-grams would not exist.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark and zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, 0x3FFFF),  # Han outside the basic plane
)

#: What `str.lower` alone would leave apart: dotted capital I (two characters) and final sigma.
_FOLDED = {0x130: ord("i"), 0x3C2: 0x3C3}


@cache
def character_table() -> NDArray[np.uint32]:
    """What becomes of each code point of planes 0–3, built from `unicodedata`.

    0 is a separator, 0xFFFFFFFF is dropped, anything else is the lower-case code point, with
    bit 31 set where the character is a word of its own.

    >>> table = character_table()
    >>> chr(table[ord("É")]), int(table[ord("-")]), chr(table[ord("語")] & 0x1FFFFF)
    ('é', 0, '語')
    """
    table = np.zeros(_TABLE_SIZE, np.uint32)
    for code in range(_TABLE_SIZE):
        character = chr(code)
        if unicodedata.category(character)[0] in "LMN" or character == "_":
            table[code] = _FOLDED.get(code) or ord(character.lower())
    for first, last in _UNSPACED:
        block = table[first : last + 1]
        block[block != _SEPARATOR] |= _ALONE
    table[list(_INVISIBLE)] = _IGNORED
    table.flags.writeable = False
    return table


@cache
def gram_multipliers(n: int) -> NDArray[np.uint64]:
    """The `n` odd 64-bit multipliers of an n-gram hash: SplitMix64 from seed 0, bit 0 set.

    >>> [hex(m) for m in gram_multipliers(2)]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f5']
    """
    if n < 1:
        raise ConfigError(f"n-grams of {n} words do not exist; n must be at least 1")
    state = np.arange(1, n + 1, dtype=np.uint64) * U64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> U64(27))) * U64(0x94D049BB133111EB)
    return (state ^ (state >> U64(31))) | U64(1)


def word_ngrams(text: pl.Series, *, n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """64-bit hashes of all word n-grams of each document, in reading order.

    Args:
        text: String series without nulls.
        n: Words a gram. A document of fewer words has one gram made of all its words; a
            document without words has none.

    Returns:
        The hashes of all documents one after the other, and `len(text) + 1` offsets.

    >>> grams, offsets = word_ngrams(pl.Series(["To be, or not", "to be? Or not!", "…"]), n=3)
    >>> offsets.tolist(), bool((grams[:2] == grams[2:]).all())
    ([0, 2, 4, 4], True)
    """
    view = text_view(text)
    flat = np.empty(most_words(view), np.uint64)
    offsets = np.zeros(len(view) + 1, np.int64)
    _all_grams(view.address, view.length, character_table(), gram_multipliers(n), (flat, offsets))
    return flat[: offsets[-1]], offsets


def word_sequences(text: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    r"""The words of each document as UTF-8, joined by single zero bytes.

    Two documents are exact duplicates if and only if these bytes are equal. A document
    without words gives a zero byte and its own bytes, so that it equals only itself.

    Returns:
        The bytes of all documents one after the other, and `len(text) + 1` offsets.

    >>> flat, offsets = word_sequences(pl.Series(["Hello,  World", "?"]))
    >>> flat.tobytes(), offsets.tolist()
    (b'hello\x00world\x00?', [0, 11, 13])
    """
    view = text_view(text)
    flat = np.empty(2 * int(view.length.sum()) + len(view) + 1, np.uint8)
    offsets = np.zeros(len(view) + 1, np.int64)
    _all_sequences(view.address, view.length, character_table(), (flat, offsets))
    return flat[: offsets[-1]], offsets


def split_words(text: str) -> list[str]:
    """The words of one text, as every duplicate decision sees them.

    >>> split_words("Ünïted STATES: snake_case, 3.14; 東京 🙂")
    ['ünïted', 'states', 'snake_case', '3', '14', '東', '京']
    """
    flat, _ = word_sequences(pl.Series([text]))
    sequence = flat.tobytes()
    return [] if sequence.startswith(b"\0") else sequence.decode().split("\0")


def most_words(view: TextView) -> int:
    """An upper bound of the words of all documents: each takes two bytes, the last one may not."""
    return int((view.length // 2 + 1).sum())


@part
def longest(length: NDArray[np.int64]) -> int:
    """The largest length, 0 for none."""
    most = 0
    for i in range(length.shape[0]):
        most = max(most, length[i])
    return most


@inlined
def _put(low: NDArray[np.uint8], at: int, code: np.uint32) -> int:
    """Write a code point as UTF-8; returns the position after it."""
    if code < 0x80:
        low[at] = np.uint8(code)
        return at + 1
    if code < 0x800:
        low[at] = np.uint8(0xC0 | (code >> 6))
    elif code < 0x10000:
        low[at] = np.uint8(0xE0 | (code >> 12))
        at += 1
        low[at] = np.uint8(0x80 | ((code >> 6) & 63))
    else:
        low[at] = np.uint8(0xF0 | (code >> 18))
        low[at + 1] = np.uint8(0x80 | ((code >> 12) & 63))
        at += 2
        low[at] = np.uint8(0x80 | ((code >> 6) & 63))
    low[at + 1] = np.uint8(0x80 | (code & 63))
    return at + 2


@inlined
def _decode(address: int, at: int, size: int) -> tuple[np.uint32, int]:
    """The code point at a position and its length in bytes; never reads past `size`."""
    first = U32(load8(address, at))
    if first < 0x80:
        return first, 1
    if first >= 0xF0 and at + 3 < size:
        second, third = U32(load8(address, at + 1) & 63), U32(load8(address, at + 2) & 63)
        fourth = U32(load8(address, at + 3) & 63)
        return U32((first & 7) << 18 | second << 12 | third << 6 | fourth), 4
    if first >= 0xE0 and at + 2 < size:
        second, third = U32(load8(address, at + 1) & 63), U32(load8(address, at + 2) & 63)
        return U32((first & 15) << 12 | second << 6 | third), 3
    if first >= 0xC0 and at + 1 < size:
        return U32((first & 31) << 6 | U32(load8(address, at + 1) & 63)), 2
    return U32(0), 1


@compiled
def lower(address: int, size: int, table: NDArray[np.uint32], low: NDArray[np.uint8]) -> int:
    """Write a document lower-case with zeroed separators; returns the bytes written.

    `low` holds at least `2 * size + 64 + PADDING` bytes: a character may double when it is
    lowered or set apart, and blocks are stored whole. The padding is written too.
    """
    target = address_of(low)
    read, written = 0, 0
    while read < size:
        if read + 64 <= size:
            wide = lower_block(address + U64(read), target + U64(written))
            ascii_bytes = trailing_zeros(wide)
            read += ascii_bytes
            written += ascii_bytes
            if ascii_bytes == 64:
                continue
        # A few characters one by one, then the 64-byte path has its chance again.
        stop = min(read + 32, size)
        while read < stop:
            code, step = _decode(address, read, size)
            read += step
            entry = table[code] if code < table.shape[0] else _SEPARATOR
            if entry == _IGNORED:
                continue
            if entry & _ALONE:
                low[written] = 0
                written = _put(low, written + 1, U32(entry & _CODE_POINT))
                low[written] = 0
                written += 1
            else:
                written = _put(low, written, entry)
    for i in range(PADDING):
        low[written + i] = 0
    return written


@inlined
def hash_word(base: int, start: int, size: int) -> np.uint64:
    """Hash of the bytes of one word; zero bytes must follow the buffer.

    Branch-light for the common word of up to sixteen bytes: two loads, masked by length.
    Padding by zeros is unambiguous because words hold none.
    """
    length = U64(size)
    first, second = load64(base, start), load64(base, start + 8)
    part = (U64(1) << ((length & U64(7)) << U64(3))) - U64(1)
    beyond8 = U64(0) - U64(length >= U64(8))
    beyond16 = U64(0) - U64(length >= U64(16))
    first &= part | beyond8
    second &= (part & beyond8) | beyond16
    h = (first ^ U64(0xA0761D6478BD642F)) * U64(0x9FB21C651E98DF25)
    h ^= h >> U64(32)
    h = (h ^ second) * U64(0xD6E8FEB86659FD93)
    at = 16
    while at < size:
        chunk = load64(base, start + at)
        if size - at < 8:
            chunk &= (U64(1) << (U64(size - at) << U64(3))) - U64(1)
        h ^= h >> U64(32)
        h = (h ^ chunk) * U64(0x9FB21C651E98DF25)
        at += 8
    mixed: np.uint64 = h ^ (h >> U64(31))
    return mixed


_WINDOW = 4096  # bytes whose word edges are held at once


@compiled
def hash_words(low: NDArray[np.uint8], size: int, hashes: NDArray[np.uint64]) -> int:
    """Hash every word of a lowered document in order; returns their number."""
    base = address_of(low)
    edges = np.empty(_WINDOW + 64, np.int64)  # alternately the start and the end of a word
    count, held, carry = 0, 0, U64(0)
    for window in range(0, size + 1, _WINDOW):
        for block in range(window, min(window + _WINDOW, size + 1), 64):
            mask = nonzero_mask(base + U64(block))
            flips = mask ^ ((mask << U64(1)) | carry)
            carry = mask >> U64(63)
            found = count_ones(flips)
            # Eight stores whether needed or not: the next block overwrites what is too much,
            # and a branch that would be mispredicted does not exist.
            for i in range(8):
                edges[held + i] = block + trailing_zeros(flips)
                flips &= flips - U64(1)
            if found > 8:
                for i in range(8, 16):
                    edges[held + i] = block + trailing_zeros(flips)
                    flips &= flips - U64(1)
            for i in range(16, found):
                edges[held + i] = block + trailing_zeros(flips)
                flips &= flips - U64(1)
            held += found
        for word in range(held >> 1):
            start = edges[2 * word]
            hashes[count + word] = hash_word(base, start, edges[2 * word + 1] - start)
        count += held >> 1
        if held & 1:
            edges[0] = edges[held - 1]
        held &= 1
    return int(count)


@compiled
def hash_grams(
    words: NDArray[np.uint64], count: int, multipliers: NDArray[np.uint64], out: NDArray[np.uint64]
) -> int:
    """Hash the n-grams of `count` word hashes; returns their number.

    Each position is a sum of products that needs no other position, so the loop vectorises;
    a rolling hash would not.
    """
    if count == 0:
        return 0
    n = min(count, multipliers.shape[0])
    grams: int = count - n + 1
    for i in range(grams):
        out[i] = words[i] * multipliers[0]
    for j in range(1, n):
        for i in range(grams):
            out[i] += words[i + j] * multipliers[j]
    for i in range(grams):
        out[i] ^= out[i] >> U64(32)
    return grams


@compiled
def _all_grams(
    address: NDArray[np.uint64],
    length: NDArray[np.int64],
    table: NDArray[np.uint32],
    multipliers: NDArray[np.uint64],
    out: tuple[NDArray[np.uint64], NDArray[np.int64]],
) -> None:
    flat, offsets = out
    most = longest(length)
    low = np.empty(2 * most + 64 + PADDING, np.uint8)
    words = np.empty(most // 2 + 1, np.uint64)
    for d in range(length.shape[0]):
        size = lower(address[d], length[d], table, low)
        count = hash_words(low, size, words)
        offsets[d + 1] = offsets[d] + hash_grams(words, count, multipliers, flat[offsets[d] :])


@compiled
def _all_sequences(
    address: NDArray[np.uint64],
    length: NDArray[np.int64],
    table: NDArray[np.uint32],
    out: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    flat, offsets = out
    low = np.empty(2 * longest(length) + 64 + PADDING, np.uint8)
    for d in range(length.shape[0]):
        size = lower(address[d], length[d], table, low)
        start = at = offsets[d]
        before = np.uint8(0)
        for i in range(size):  # no branch: the first zero behind a word is kept, and no other
            flat[at] = low[i]
            at += np.int64((low[i] | before) != 0)
            before = low[i]
        if at > start and before == 0:
            at -= 1
        if at == start:
            flat[at] = 0
            for i in range(length[d]):
                flat[at + 1 + i] = load8(address[d], i)
            at += 1 + length[d]
        offsets[d + 1] = at
