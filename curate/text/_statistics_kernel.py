"""The compiled pass behind `curate.text.statistics`; the slow twin lives in the tests.

Each document is copied into a buffer with zeros after it and read from the cache: 64 characters at
once (`_count_characters`), line by line (`curate.text._line_kernel`), token by token
(`curate.text._token_kernel`), and once more for each further view. Numba's cache watches only this
file: after a change in a kernel that it calls delete `curate/text/__pycache__/*.nb*`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._characters import DIGIT, LETTER, PUNCTUATION, SPACE, UPPER
from curate.text._line_kernel import (
    _ASCII_LETTERS,
    _ASCII_VOWELS,
    _BYTES,
    _CHARS,
    _CONSONANT_RUNS,
    _CURLY,
    _DIGITS,
    _ELLIPSES,
    _HASHES,
    _LATIN_1,
    _LETTERS,
    _NEWLINES,
    _NON_ASCII,
    _PUNCTUATION,
    _SILENT_ES,
    _SPACES,
    _UPPERS,
    _VOWEL_RUNS,
    count_lines,
    count_paragraphs,
)
from curate.text._ngram_kernel import (
    FURTHER_NGRAM_COUNTS,
    I64,
    NGRAM_COUNTS,
    U32,
    U64,
    Scalar,
    count_ngrams,
)
from curate.text._token_kernel import PADDING, U16, code_point, find_tokens
from curate.text._view_kernel import (
    LENGTHS,
    WORD_COUNTS,
    count_words,
    find_words,
    has_zero,
    prepare_words,
)
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import (
    add_letter_counts,
    address_of,
    character_masks,
    copy_block,
    count_ones,
    gap_masks,
    load8,
    trailing_zeros,
)
from curate.text.words import hash_word, longest, lower

STANDARD_COUNTS = (*WORD_COUNTS, *NGRAM_COUNTS)
VIEW_COUNTS = (*STANDARD_COUNTS, *FURTHER_NGRAM_COUNTS)
"""The counts of a further token view, in order; those of the standard view stand before them."""
_WORD = len(WORD_COUNTS)

_RUN_STARTS = 60  # of 64 bits those at which a run of five lies inside the 64
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_PLACES = np.uint64(0xF0000000)  # the table is cleared before its 32-bit places run out


@compiled
def stop_hash(padded: NDArray[np.uint8], size: int) -> Scalar:
    """The token hash of one short word, as the kernel computes it; zeros follow the word."""
    return hash_word(address_of(padded), np.int64(0), size)


@part
def load_text(address: Scalar, size: Scalar, text: NDArray[np.uint8], padding: Scalar) -> Scalar:
    """Copy a document into the buffer, padding after it; whether it is all ASCII."""
    target = address_of(text)
    whole = size - size % 64
    high = _ZERO
    for at in range(0, whole, 64):
        high |= copy_block(address + np.uint64(at), target + np.uint64(at))
    for i in range(whole, size):
        text[i] = load8(address, i)
        high |= np.uint64(text[i] >> 7)
    for i in range(size, size + PADDING):
        text[i] = padding
    return high == _ZERO


@part
def _count_characters(base: Scalar, size: Scalar, out: I64) -> None:
    """What 64 bytes at once can tell, and where they cannot, what their classes are."""
    dots_done = np.int64(0)
    run_open = _ZERO  # whether the run of consonants before this block is long enough already
    for at in range(0, size, _RUN_STARTS):
        masks = character_masks(base + np.uint64(at))
        own = (_ONE << np.uint64(_RUN_STARTS)) - _ONE
        letter, upper, vowel, digit, space, punctuation, dot, newline, continued = masks[:9]
        sign, curly, e = masks[9:]
        out[_ASCII_LETTERS] += count_ones(letter & own)
        out[_UPPERS] += count_ones(upper & own)
        out[_ASCII_VOWELS] += count_ones(vowel & own)
        out[_DIGITS] += count_ones(digit & own)
        out[_SPACES] += count_ones(space & own)
        out[_PUNCTUATION] += count_ones(punctuation & own)
        out[_NEWLINES] += count_ones(newline & own)
        out[_CHARS] -= count_ones(continued & own)
        out[_HASHES] += count_ones(sign & own)
        out[_CURLY] += count_ones(curly & own)
        out[_VOWEL_RUNS] += count_ones(vowel & ~(vowel >> _ONE) & own)
        silent = letter & (letter >> _ONE) & ((letter & ~vowel) >> np.uint64(2))
        silent &= (e >> np.uint64(3)) & (~letter >> np.uint64(4))
        out[_SILENT_ES] += count_ones(silent & own)
        run = letter & ~vowel
        run &= run >> _ONE
        run &= run >> np.uint64(2)
        run &= (letter & ~vowel) >> np.uint64(4)
        run &= own
        # A run of n >= 5 has n - 4 places at which five begin.
        out[_CONSONANT_RUNS] += count_ones(run) + 4 * count_ones(run & ~(run << _ONE | run_open))
        run_open = run >> np.uint64(_RUN_STARTS - 1)
        dots = dot & (dot >> _ONE) & (dot >> np.uint64(2)) & own
        while dots != _ZERO:
            start = at + trailing_zeros(dots)
            dots &= dots - _ONE
            if start >= dots_done:
                dots_done = start
                while load8(base, dots_done) == 46:
                    dots_done += 1
                out[_ELLIPSES] += (dots_done - start) // 3
    out[_LETTERS] += out[_ASCII_LETTERS]


@part
def _count_others(base: Scalar, size: Scalar, flags: U16, out: I64) -> None:
    """The classes of the characters that are not ASCII."""
    for at in range(0, size, 64):
        _, _, _, continued, high, _ = gap_masks(base + np.uint64(at))
        leads = high & ~continued
        while leads != _ZERO:
            code = code_point(base, at + trailing_zeros(leads))[0]
            leads &= leads - _ONE
            flag = flags[code]
            out[_NON_ASCII] += 1
            out[_LATIN_1] += code < 0x100
            out[_LETTERS] += (flag & LETTER) != 0
            out[_UPPERS] += (flag & UPPER) != 0
            out[_DIGITS] += (flag & DIGIT) != 0
            out[_SPACES] += (flag & SPACE) != 0
            out[_PUNCTUATION] += (flag & PUNCTUATION) != 0
            out[_ELLIPSES] += code == 0x2026


@part
def _entropy_bits(base: Scalar, size: Scalar, counts: I64, total: Scalar) -> float:
    """Entropy of the ASCII letters without case; `counts` is room for them."""
    for letter in range(26):
        counts[letter] = 0
    for at in range(0, size, 64):
        add_letter_counts(base + np.uint64(at), address_of(counts))
    bits = 0.0
    for letter in range(26):
        if counts[letter] > 0:
            share = counts[letter] / total
            bits -= share * np.log2(share)
    return bits


def table_slots(longest: int) -> int:
    """Slots of the table that `measure` needs for documents of so many bytes.

    >>> table_slots(1000)
    4096
    """
    slots = 64
    while slots < 4 * (longest + 4):
        slots *= 2
    return slots


@inlined
def _with_room(table: U64, place: Scalar, entries: Scalar) -> Scalar:
    """The place, or the first one of a cleared table where 32 bits would run out."""
    if place + np.uint64(entries) > _PLACES:
        for slot in range(table.size):
            table[slot] = _ZERO
        return _ONE
    return place


@compiled
def measure_text(
    address: U64,
    length: I64,
    flags: U16,
    table: U64,
    out: I64,
    entropy: NDArray[np.float64],
) -> None:
    """Fill in `TEXT_COUNTS` of each document, and the entropy of its ASCII letters in bits.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        flags: Character flags by code point.
        table: Zeros, `table_slots` of them: from NumPy, which leaves them to the system until
            they are touched.
        out: Zeros, a row a document.
        entropy: Shape (documents,); 0 without letters.
    """
    text = np.empty(longest(length) + PADDING, np.uint8)
    letters = np.empty(26, np.int64)
    base = address_of(text)
    place = _ONE
    for d in range(length.size):
        row, size = out[d], length[d]
        ascii_only = load_text(address[d], size, text, 0)
        row[_BYTES] = row[_CHARS] = size
        _count_characters(base, size, row)
        entropy[d] = _entropy_bits(base, size, letters, row[_ASCII_LETTERS])
        if not ascii_only:
            _count_others(base, size, flags, row)
        place = _with_room(table, place, np.int64(2))
        count_lines(base, size, ascii_only, flags, table, place, row)
        count_paragraphs(base, size, ascii_only, flags, table, place + _ONE, row)
        place += np.uint64(2)


@compiled
def measure_tokens(
    address: U64,
    length: I64,
    flags: U16,
    shorts: U64,
    known: tuple[U64, NDArray[np.uint16], Scalar],
    table: U64,
    out: I64,
) -> None:
    """Fill in `STANDARD_COUNTS` of each document.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        flags: Character flags by code point.
        shorts: Token hashes of the abbreviations.
        known: Table of the words that rules name: keys, marks, multiplier.
        table: As for `measure_text`.
        out: Zeros, a row a document.
    """
    room = longest(length) + 2
    text = np.empty(room + PADDING, np.uint8)
    base = address_of(text)
    hashes, ends = np.empty(room, np.uint64), np.empty(room, np.int64)
    sizes, lengths = np.empty(room, np.uint32), np.empty(LENGTHS, np.int32)
    firsts, counts = np.empty(room, np.int32), np.empty(room, np.int32)
    live = np.empty(room, np.int32)
    place = _ONE
    for d in range(length.size):
        load_text(address[d], length[d], text, 0)
        tokens = find_tokens(base, length[d], flags, shorts, hashes, sizes)
        count_words(tokens, hashes, sizes, known, lengths, out[d])
        place = _with_room(table, place, 10 * tokens)
        place = count_ngrams(
            tokens, hashes, sizes, table, place, firsts, counts, live, ends, False, out[d, _WORD:]
        )


@compiled
def measure_words(
    address: U64,
    length: I64,
    flags: U16,
    lowered: U32,
    known: tuple[U64, NDArray[np.uint16], Scalar],
    table: U64,
    out: I64,
) -> None:
    """Fill in `VIEW_COUNTS` of each document.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        flags: Character flags by code point.
        lowered: `curate.text.words.character_table` for the shingle view; empty for whitespace.
        known: Table of the words that rules name: keys, marks, multiplier.
        table: As for `measure_text`.
        out: Zeros, a row a document.
    """
    room = longest(length) + 2
    text = np.empty((2 * room if lowered.size else room) + 64 + PADDING, np.uint8)
    base = address_of(text)
    hashes, ends = np.empty(room, np.uint64), np.empty(room, np.int64)
    sizes, lengths = np.empty(room, np.uint32), np.empty(LENGTHS, np.int32)
    firsts, counts = np.empty(room, np.int32), np.empty(room, np.int32)
    live = np.empty(room, np.int32)
    place = _ONE
    for d in range(length.size):
        size = length[d]
        if lowered.size:
            size = lower(address[d], size, lowered, text)
        elif not load_text(address[d], size, text, 32) or has_zero(base, size):
            prepare_words(base, size, flags)
        tokens = find_words(base, size, lowered.size > 0, flags, hashes, sizes, out[d])
        count_words(tokens, hashes, sizes, known, lengths, out[d])
        place = _with_room(table, place, 10 * tokens)
        place = count_ngrams(
            tokens, hashes, sizes, table, place, firsts, counts, live, ends, True, out[d, _WORD:]
        )
