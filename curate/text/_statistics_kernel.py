"""The compiled pass behind `curate.text.statistics`; the slow twin lives in the tests.

Everything a document needs is read in one walk over its UTF-8 bytes (`_scan`): tokens, lines,
paragraphs, characters. The n-gram figures then come from the tokens' hashes (`_ngrams`).
All compiled functions are in this one file because Numba's cache watches only the file of the
function that is called.
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
    PUNCTUATION,
    SINGLE,
    SPACE,
    TERMINAL,
    UPPER,
    WORD,
)

# Numba infers the types of scalars; what Python would hold in their place is no matter.
Scalar = Any
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

COUNTS = tuple(
    """
    text_bytes text_chars letter_chars upper_chars digit_chars space_chars punctuation_chars
    non_ascii_chars newlines hashes ellipses curly_brackets ascii_letters ascii_vowels
    consonant_run_letters
    tokens words word_chars longest_word_chars alphabetic_tokens distinct_tokens
    distinct_stop_words
    lines bullet_lines ellipsis_lines nonblank_lines terminal_lines short_lines
    duplicate_nonblank_line_chars split_lines duplicate_lines duplicate_line_chars
    paragraphs duplicate_paragraphs duplicate_paragraph_chars
    top_2gram_chars top_3gram_chars top_4gram_chars
    duplicate_5gram_chars duplicate_6gram_chars duplicate_7gram_chars duplicate_8gram_chars
    duplicate_9gram_chars duplicate_10gram_chars
    """.split()  # noqa: SIM905 - a table of names reads better than forty quoted ones
)
# The same columns as indices, in the same order.
_BYTES, _CHARS, _LETTERS, _UPPERS, _DIGITS, _SPACES, _PUNCTUATION = range(7)
_NON_ASCII, _NEWLINES, _HASHES, _ELLIPSES, _CURLY, _ASCII_LETTERS, _ASCII_VOWELS = range(7, 14)
_CONSONANT_RUNS, _TOKENS, _WORDS, _WORD_CHARS, _LONGEST, _ALPHABETIC = range(14, 20)
_DISTINCT, _STOP, _LINES, _BULLETS, _ELLIPSIS_LINES, _NONBLANK = range(20, 26)
_TERMINALS, _SHORT, _DUP_NONBLANK_CHARS, _SPLIT_LINES, _DUP_LINES = range(26, 31)
_DUP_LINE_CHARS, _PARAGRAPHS, _DUP_PARAGRAPHS, _DUP_PARAGRAPH_CHARS, _TOP_2 = range(31, 36)
_DUP_5 = _TOP_2 + 3

SHORT_LINE_CHARS = 30  # FineWeb: a short line has at most 30 characters
CONSONANT_RUN = 5  # letters; "https" is the only common English run of this length
_VOWELS = np.uint64(sum(1 << (ord(c) - ord("a")) for c in "aeiouy"))
_K0 = np.uint64(0x9E3779B97F4A7C15)
_K1 = np.uint64(0xC2B2AE3D27D4EB4F)
_SEED = np.uint64(0x27D4EB2F165667C5)
_PARAGRAPH_SALT = np.uint64(0x165667B19E3779F9)
_U1, _U29, _U32 = np.uint64(1), np.uint64(29), np.uint64(32)


@njit(inline="always")
def _mix(hash_: Scalar, value: Scalar) -> Scalar:
    """One step of a byte- or character-wise hash; bijective in `hash_` for a given value."""
    hash_ = (hash_ ^ np.uint64(value)) * _K0
    return hash_ ^ (hash_ >> _U29)


@njit(inline="always")
def _code_point(data: U8, i: Scalar) -> Scalar:
    """Code point and byte length of the character at `i`; the bytes are valid UTF-8."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 31) << 6 | np.int64(data[i + 1] & 63), 2
    if b < 0xF0:
        return (b & 15) << 12 | np.int64(data[i + 1] & 63) << 6 | np.int64(data[i + 2] & 63), 3
    return (
        (b & 7) << 18
        | np.int64(data[i + 1] & 63) << 12
        | np.int64(data[i + 2] & 63) << 6
        | np.int64(data[i + 3] & 63)
    ), 4


@njit(inline="always")
def _insert(
    keys: U64, places: I64, mask: Scalar, key: Scalar, base: Scalar, place: Scalar
) -> Scalar:
    """Place at which `key` was inserted first, or -1 if it is new (then inserted at `place`).

    A slot whose stored place lies below `base` is empty: nothing is cleared between documents.
    """
    slot = np.int64(((key * _K1) >> _U32) & mask)
    while places[slot] >= base:
        if keys[slot] == key:
            return places[slot] - base
        slot = np.int64(np.uint64(slot + 1) & mask)
    keys[slot] = key
    places[slot] = base + place
    return np.int64(-1)


@njit(inline="always")
def _table_mask(entries: Scalar) -> Scalar:
    size = np.int64(64)
    while size < 2 * entries:
        size *= 2
    return np.uint64(size - 1)


@njit(nogil=True, cache=True)
def stop_hash(data: U8) -> Scalar:
    """The token hash of one short UTF-8 word, as the kernel computes it."""
    hash_ = _SEED
    i = 0
    while i < data.size:
        code, width = _code_point(data, i)
        hash_ = _mix(hash_, code)
        i += width
    return hash_


@njit(nogil=True)
def _stripped_end(data: U8, low: Scalar, high: Scalar, flags: U16) -> Scalar:
    """End of the text without its trailing white space, in bytes."""
    while high > low:
        i = high - 1
        while data[i] & 0xC0 == 0x80:
            i -= 1
        code, _ = _code_point(data, i)
        if not flags[code] & SPACE:
            return high
        high = i
    return high


@njit(nogil=True)
def _count_ascii(ascii_counts: I64, flags: U16, out: I64) -> None:
    """Add what follows from how often each ASCII character occurs."""
    out[_CHARS] += out[_NON_ASCII]
    for code in range(128):
        n, flag = ascii_counts[code], flags[code]
        out[_CHARS] += n
        out[_LETTERS] += n * ((flag & LETTER) != 0)
        out[_ASCII_LETTERS] += n * ((flag & LETTER) != 0)
        out[_UPPERS] += n * ((flag & UPPER) != 0)
        out[_DIGITS] += n * ((flag & DIGIT) != 0)
        out[_SPACES] += n * ((flag & SPACE) != 0)
        out[_PUNCTUATION] += n * ((flag & PUNCTUATION) != 0)
        if flag & LETTER and (_VOWELS >> np.uint64((code | 32) - 97)) & _U1:
            out[_ASCII_VOWELS] += n
    out[_HASHES] = ascii_counts[35]
    out[_CURLY] = ascii_counts[123] + ascii_counts[125]


@njit(nogil=True)
def _entropy_bits(ascii_counts: I64, total: Scalar) -> float:
    """Entropy of the ASCII letters without case."""
    bits = 0.0
    for code in range(65, 91):
        n = ascii_counts[code] + ascii_counts[code + 32]
        if n > 0:
            bits -= n / total * np.log2(n / total)
    return bits


@njit(nogil=True)
def _scan(
    data: U8,
    low: Scalar,
    high: Scalar,
    flags: U16,
    stops: U64,
    keys: U64,
    places: I64,
    base: Scalar,
    hashes: U64,
    sizes: I64,
    ascii_counts: I64,
    out: I64,
) -> Scalar:
    """Everything but the n-grams; returns the number of tokens written to hashes and sizes."""
    n_newlines = 0
    for k in range(low, high):
        n_newlines += data[k] == 10
    mask = _table_mask(2 * n_newlines + 4)
    end = _stripped_end(data, low, high, flags)
    ascii_counts[:] = 0

    tokens = np.int64(0)
    first: Scalar = 0  # character of the line that is no white space
    joins: Scalar = False
    line_chars: Scalar = 0
    kind = 0  # of the open token: 0 none, 1 word, 2 symbols, 3 one ideograph
    token_hash, token_chars, token_alphabetic = _SEED, np.int64(0), False
    symbol = np.int64(-1)
    stop_words = np.int64(0)
    last: Scalar = 0  # flags of the previous character
    last_code = np.int64(-1)
    dots = np.int64(0)  # length of the run of full stops that ends here
    run = np.int64(0)  # of consonants

    line_hash, blank = _SEED, True
    ends_in_ellipsis: Scalar = False
    gap, paragraph_open = np.int64(0), False
    par_hash, par_chars = _SEED, np.int64(0)

    i: Scalar = low
    while i <= high:
        at_end = i == high
        code, width = (np.int64(10), 1) if at_end else _code_point(data, i)
        flag = np.int64(flags[code])

        # --- the open token: does it go on with this character?
        joins = kind != 0 and not at_end and (flag & EXTEND) != 0
        if joins or at_end:
            pass
        elif kind == 1 and flag & WORD:
            joins = (flag & SINGLE) == 0
        elif kind == 1 and flag & (INNER | NUMERIC_INNER) and i + width < high:
            following = np.int64(flags[_code_point(data, i + width)[0]])
            if flag & INNER:
                joins = (last & (WORD | EXTEND)) != 0 and following & (WORD | SINGLE) == WORD
            else:
                joins = (last & DIGIT) != 0 and (following & DIGIT) != 0
        elif kind == 2:
            joins = code == symbol
        if kind != 0 and not joins:
            hashes[tokens] = token_hash
            sizes[tokens] = token_chars
            tokens += 1
            out[_ALPHABETIC] += token_alphabetic
            if kind != 2:
                out[_WORDS] += 1
                out[_WORD_CHARS] += token_chars
                out[_LONGEST] = max(out[_LONGEST], token_chars)
                if token_chars <= 4:
                    for s in range(stops.size):
                        if stops[s] == token_hash:
                            stop_words |= 1 << s
            kind = 0
        if at_end and (i == low or last_code == 10):
            break  # neither an empty text nor a final newline opens a line

        # --- the line
        if code == 10:
            out[_LINES] += 1
            if first == 0x2022 or first == 45:
                out[_BULLETS] += 1
            out[_ELLIPSIS_LINES] += ends_in_ellipsis
            out[_NONBLANK] += not blank
            if not blank:
                out[_TERMINALS] += (last & TERMINAL) != 0
                out[_SHORT] += line_chars <= SHORT_LINE_CHARS
            if line_chars:
                out[_SPLIT_LINES] += 1
                if _insert(keys, places, mask, line_hash, base, 0) >= 0:
                    out[_DUP_LINES] += 1
                    out[_DUP_LINE_CHARS] += line_chars
                    if not blank:
                        out[_DUP_NONBLANK_CHARS] += line_chars
            line_hash, line_chars, blank, first = _SEED, 0, True, 0
            ends_in_ellipsis = False
        else:
            line_hash = _mix(line_hash, code)
            line_chars += 1
        if at_end:
            break

        # --- the paragraph: text between runs of two or more newlines, within the stripped text
        if i < end and (paragraph_open or not flag & SPACE):
            if code == 10:
                gap += 1
            else:
                if gap >= 2:
                    out[_PARAGRAPHS] += 1
                    if _insert(keys, places, mask, par_hash ^ _PARAGRAPH_SALT, base, 0) >= 0:
                        out[_DUP_PARAGRAPHS] += 1
                        out[_DUP_PARAGRAPH_CHARS] += par_chars
                    par_hash, par_chars = _SEED, np.int64(0)
                elif gap == 1:
                    par_hash = _mix(par_hash, 10)
                    par_chars += 1
                gap = np.int64(0)
                paragraph_open = True
                par_hash = _mix(par_hash, code)
                par_chars += 1

        # --- the character
        if width == 1:
            ascii_counts[code] += 1
        else:
            out[_NON_ASCII] += 1
            out[_LETTERS] += (flag & LETTER) != 0
            out[_UPPERS] += (flag & UPPER) != 0
            out[_DIGITS] += (flag & DIGIT) != 0
            out[_SPACES] += (flag & SPACE) != 0
            out[_PUNCTUATION] += (flag & PUNCTUATION) != 0
            out[_ELLIPSES] += code == 0x2026
        if code == 46:
            dots += 1
            out[_ELLIPSES] += dots % 3 == 0
        else:
            dots = np.int64(0)
        if flag & SPACE == 0:
            if blank:
                first = code
            blank = False
            ends_in_ellipsis = dots >= 3 or code == 0x2026
        if flag & LETTER and code < 128:
            if (_VOWELS >> np.uint64((code | 32) - 97)) & _U1:
                run = np.int64(0)
            else:
                run += 1
                if run >= CONSONANT_RUN:
                    out[_CONSONANT_RUNS] += CONSONANT_RUN if run == CONSONANT_RUN else 1
        else:
            run = np.int64(0)

        # --- the token that this character opens or continues
        if joins:
            token_hash = _mix(token_hash, code)
            token_chars += 1
            token_alphabetic = token_alphabetic or (flag & LETTER) != 0
        elif not flag & (SPACE | CONTROL):
            kind = 1
            if flag & SINGLE:
                kind = 3
            elif not flag & (WORD | EXTEND):
                kind = 2
                symbol = code
            token_hash = _mix(_SEED, code)
            token_chars = np.int64(1)
            token_alphabetic = (flag & LETTER) != 0
        last = flag
        last_code = code
        i += width

    out[_BYTES] = high - low
    out[_NEWLINES] = n_newlines
    out[_TOKENS] = tokens
    _count_ascii(ascii_counts, flags, out)
    for s in range(stops.size):
        out[_STOP] += (stop_words >> s) & 1
    # Splitting at runs of newlines leaves an empty piece where the text starts or ends with one.
    if high == low:
        out[_SPLIT_LINES] = 1
    else:
        edges = np.int64(data[low] == 10) + np.int64(data[high - 1] == 10)
        out[_SPLIT_LINES] += edges
        out[_DUP_LINES] += edges == 2
    if paragraph_open:
        out[_PARAGRAPHS] += 1
        if _insert(keys, places, mask, par_hash ^ _PARAGRAPH_SALT, base, 0) >= 0:
            out[_DUP_PARAGRAPHS] += 1
            out[_DUP_PARAGRAPH_CHARS] += par_chars
    return tokens


@njit(nogil=True)
def _ngrams(
    tokens: Scalar,
    hashes: U64,
    sizes: I64,
    keys: U64,
    places: I64,
    base: Scalar,
    grams: U64,
    counts: I64,
    live: I64,
    ends: I64,
    out: I64,
) -> Scalar:
    """Top 2- to 4-grams and duplicated 5- to 10-grams, in characters; returns the next base.

    An (n+1)-gram repeats only where its leading n-gram repeats, so each order looks only at the
    positions that the order before left alive.
    """
    ends[0] = 0
    for t in range(tokens):
        ends[t + 1] = ends[t] + sizes[t]
        grams[t] = _SEED
        live[t] = t
    alive = tokens
    mask = _table_mask(tokens)
    for n in range(1, 11):
        best, best_at = np.int64(1), np.int64(0)
        kept = np.int64(0)
        distinct = np.int64(0)
        for q in range(alive):
            i: Scalar = live[q]
            if i + n > tokens:
                break
            gram = _mix(grams[i] * _K1, hashes[i + n - 1])
            grams[i] = gram
            first = _insert(keys, places, mask, gram, base, i)
            if first < 0:
                counts[i] = 1
                distinct += 1
            else:
                counts[first] += 1
                counts[i] = 0
                if counts[first] > best or (counts[first] == best and first < best_at):
                    best, best_at = np.int64(counts[first]), first
        if n == 1:
            out[_DISTINCT] = distinct
        elif n <= 4 and tokens >= n:
            out[_TOP_2 + n - 2] = best * (ends[best_at + n] - ends[best_at] + n - 1)
        # A position lives on if its n-gram occurs twice or more.
        for q in range(alive):
            i = live[q]
            if i + n > tokens:
                break
            if counts[i] != 1:
                live[kept] = i
                kept += 1
        alive = kept
        base += tokens
        if n >= 5:
            repeated = np.int64(0)
            free: Scalar = 0
            for q in range(alive):
                i = live[q]
                if i >= free and _insert(keys, places, mask, grams[i], base, i) >= 0:
                    repeated += ends[i + n] - ends[i]
                    free = i + n
            out[_DUP_5 + n - 5] = repeated
            base += tokens
    return base


@njit(nogil=True, cache=True)
def measure(
    data: U8,
    offsets: I64,
    flags: U16,
    stops: U64,
    out: I64,
    entropy: NDArray[np.float64],
) -> None:
    """Fill one row of `out` (columns as in COUNTS) and of `entropy` for each document.

    Args:
        data: UTF-8 bytes of all documents.
        offsets: Document d is `data[offsets[d]:offsets[d + 1]]`.
        flags: Character flags by code point.
        stops: Token hashes of the stop words.
        out: Zeros, shape (documents, len(COUNTS)).
        entropy: Shape (documents,): entropy of the ASCII letters in bits, 0 without letters.
    """
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    room = longest + 2
    slots = np.int64(_table_mask(2 * room + 4)) + 1
    keys, places = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    hashes, grams = np.zeros(room, np.uint64), np.zeros(room, np.uint64)
    sizes, ends = np.zeros(room, np.int64), np.zeros(room + 1, np.int64)
    counts, live = np.zeros(room, np.int64), np.zeros(room, np.int64)
    ascii_counts = np.zeros(128, np.int64)
    base = np.int64(1)
    for d in range(offsets.size - 1):
        row = out[d]
        low, high = offsets[d], offsets[d + 1]
        tokens = _scan(
            data, low, high, flags, stops, keys, places, base, hashes, sizes, ascii_counts, row
        )
        base += 1
        base = _ngrams(tokens, hashes, sizes, keys, places, base, grams, counts, live, ends, row)
        entropy[d] = _entropy_bits(ascii_counts, row[_ASCII_LETTERS])
