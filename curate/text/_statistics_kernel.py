"""The compiled pass behind `curate.text.statistics`; the slow twin lives in the tests.

Each document is copied once into a buffer with zeros after it and then read three times from the
cache: 64 characters at once (`_count_characters`), line by line (`_count_lines`), token by token
(`curate.text._token_kernel`), and once more for each further token view. Numba's cache watches
only this file: after a change in a kernel that it calls delete `curate/text/__pycache__/*.nb*`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._characters import DIGIT, LETTER, PUNCTUATION, SENTENCE_END, SPACE, TERMINAL, UPPER
from curate.text._ngram_kernel import (
    FURTHER_NGRAM_COUNTS,
    I64,
    NGRAM_COUNTS,
    U32,
    U64,
    Scalar,
    count_ngrams,
    insert,
    table_mask,
)
from curate.text._token_kernel import PADDING, U16, code_point, find_tokens, hash_bytes
from curate.text._view_kernel import (
    LENGTHS,
    WORD_COUNTS,
    count_words,
    find_words,
    has_zero,
    prepare_words,
)
from curate.text.simd import (
    add_letter_counts,
    address_of,
    character_masks,
    compiled,
    copy_block,
    count_ones,
    gap_masks,
    inlined,
    load8,
    part,
    trailing_zeros,
)
from curate.text.words import hash_word, longest, lower

TEXT_COUNTS = tuple(
    """
    text_bytes text_chars letter_chars upper_chars digit_chars space_chars punctuation_chars
    non_ascii_chars latin_1_chars newlines hashes ellipses curly_brackets ascii_letters
    ascii_vowels consonant_run_letters
    lines bullet_lines ellipsis_lines nonblank_lines terminal_lines
    sentence_lines short_lines
    duplicate_nonblank_line_chars split_lines duplicate_lines duplicate_line_chars
    paragraphs duplicate_paragraphs duplicate_paragraph_chars
    vowel_runs silent_es
    """.split()  # noqa: SIM905 - a table of names reads better than forty quoted ones
)
STANDARD_COUNTS = (*WORD_COUNTS, *NGRAM_COUNTS)
VIEW_COUNTS = (*STANDARD_COUNTS, *FURTHER_NGRAM_COUNTS)
"""The counts of a further token view, in order; those of the standard view stand before them."""
# The columns of TEXT_COUNTS as indices, in the same order.
_BYTES, _CHARS, _LETTERS, _UPPERS, _DIGITS, _SPACES, _PUNCTUATION, _NON_ASCII = range(8)
_LATIN_1, _NEWLINES, _HASHES, _ELLIPSES, _CURLY, _ASCII_LETTERS, _ASCII_VOWELS = range(8, 15)
_CONSONANT_RUNS, _LINES, _BULLETS, _ELLIPSIS_LINES, _NONBLANK, _TERMINALS = range(15, 21)
_SENTENCES, _SHORT, _DUP_NONBLANK_CHARS, _SPLIT_LINES, _DUP_LINES = range(21, 26)
_DUP_LINE_CHARS, _PARAGRAPHS, _DUP_PARAGRAPHS, _DUP_PARAGRAPH_CHARS = range(26, 30)
_VOWEL_RUNS, _SILENT_ES = range(30, 32)
_WORD = len(WORD_COUNTS)

SHORT_LINE_CHARS = 30  # FineWeb: a short line has at most 30 characters
_RUN_STARTS = 60  # of 64 bits those at which a run of five lies inside the 64
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_PARAGRAPH_SALT = np.uint64(0x165667B19E3779F9)
_PLACES = np.uint64(0xF0000000)  # the table is cleared before its 32-bit places run out


@compiled
def stop_hash(padded: NDArray[np.uint8], size: int) -> Scalar:
    """The token hash of one short word, as the kernel computes it; zeros follow the word."""
    return hash_word(address_of(padded), 0, size)


@part
def _load(address: Scalar, size: Scalar, text: NDArray[np.uint8], padding: Scalar) -> Scalar:
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


@inlined
def _chars(base: Scalar, start: Scalar, end: Scalar, ascii_only: Scalar) -> Scalar:
    chars = np.int64(end - start)
    if not ascii_only:
        for at in range(start, end, 64):
            continued = gap_masks(base + np.uint64(at))[3]
            rest = np.uint64(max(64 - (end - at), 0))
            chars -= count_ones(continued << rest)
    return chars


@inlined
def _before(base: Scalar, i: Scalar) -> Scalar:
    """Start of the character that ends before `i`."""
    i -= 1
    while load8(base, i) & 0xC0 == 0x80:
        i -= 1
    return i


@part
def _strip(base: Scalar, start: Scalar, end: Scalar, flags: U16) -> Scalar:
    """A stretch without the white space around it; start = end where it is all white space."""
    while start < end:
        code, width = code_point(base, start)
        if not flags[code] & SPACE:
            break
        start += width
    while end > start and flags[code_point(base, _before(base, end))[0]] & SPACE:
        end = _before(base, end)
    return start, end


@inlined
def _ends_in_ellipsis(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """`...` or `…` (E2 80 A6) at the end."""
    if end - start < 3:
        return False
    a, b, c = load8(base, end - 3), load8(base, end - 2), load8(base, end - 1)
    return (a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6)


@part
def _next_newline(base: Scalar, at: Scalar, size: Scalar) -> Scalar:
    while at < size:
        newline = character_masks(base + np.uint64(at))[7]
        if newline != _ZERO:
            return min(at + trailing_zeros(newline), size)
        at += 64
    return size


@part
def _count_lines(
    base: Scalar, size: Scalar, ascii_only: Scalar, flags: U16, table: U64, place: Scalar, out: I64
) -> None:
    """Lines, and the pieces between runs of newlines."""
    mask = table_mask(out[_NEWLINES] + 2)
    start: Scalar = np.int64(0)
    while start < size:
        end = _next_newline(base, start, size)
        out[_LINES] += 1
        first, last = _strip(base, start, end, flags)
        chars = _chars(base, start, end, ascii_only)
        copy = end > start and insert(table, mask, hash_bytes(base, start, end), 0, place) >= 0
        out[_SPLIT_LINES] += end > start
        out[_DUP_LINES] += copy
        out[_DUP_LINE_CHARS] += copy * chars
        if last > first:
            opening = code_point(base, first)[0]
            closing = code_point(base, _before(base, end))[0]
            out[_NONBLANK] += 1
            out[_BULLETS] += opening == 0x2022 or opening == 45
            out[_ELLIPSIS_LINES] += _ends_in_ellipsis(base, first, last)
            out[_TERMINALS] += (flags[closing] & TERMINAL) != 0
            out[_SENTENCES] += (flags[closing] & SENTENCE_END) != 0
            out[_SHORT] += chars <= SHORT_LINE_CHARS
            out[_DUP_NONBLANK_CHARS] += copy * chars
        start = end + 1
    # Splitting at runs of newlines leaves an empty piece where the text starts or ends with one.
    edges = np.int64(load8(base, 0) == 10) + np.int64(size > 0 and load8(base, size - 1) == 10)
    out[_SPLIT_LINES] += edges if size else 1
    out[_DUP_LINES] += edges == 2


@part
def _count_paragraphs(
    base: Scalar, size: Scalar, ascii_only: Scalar, flags: U16, table: U64, place: Scalar, out: I64
) -> None:
    """Pieces between runs of two or more newlines, within the text without outer white space."""
    mask = table_mask(out[_NEWLINES] + 2)
    start, stop = _strip(base, np.int64(0), size, flags)
    at = start
    while start < stop:
        end = _next_newline(base, at, stop)
        at = end + 1
        if end < stop and load8(base, at) != 10:
            continue
        out[_PARAGRAPHS] += 1
        key = hash_bytes(base, start, end) ^ _PARAGRAPH_SALT
        if insert(table, mask, key, 0, place) >= 0:
            out[_DUP_PARAGRAPHS] += 1
            out[_DUP_PARAGRAPH_CHARS] += _chars(base, start, end, ascii_only)
        while at < stop and load8(base, at) == 10:
            at += 1
        start = at


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
        ascii_only = _load(address[d], size, text, 0)
        row[_BYTES] = row[_CHARS] = size
        _count_characters(base, size, row)
        entropy[d] = _entropy_bits(base, size, letters, row[_ASCII_LETTERS])
        if not ascii_only:
            _count_others(base, size, flags, row)
        place = _with_room(table, place, 2)
        _count_lines(base, size, ascii_only, flags, table, place, row)
        _count_paragraphs(base, size, ascii_only, flags, table, place + _ONE, row)
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
        _load(address[d], length[d], text, 0)
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
        elif not _load(address[d], size, text, 32) or has_zero(base, size):
            prepare_words(base, size, flags)
        tokens = find_words(base, size, lowered.size > 0, flags, hashes, sizes, out[d])
        count_words(tokens, hashes, sizes, known, lengths, out[d])
        place = _with_room(table, place, 10 * tokens)
        place = count_ngrams(
            tokens, hashes, sizes, table, place, firsts, counts, live, ends, True, out[d, _WORD:]
        )
