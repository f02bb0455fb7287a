"""Words between gaps, and what counts of words all token views share; compiled.

The `whitespace` view reads the text itself, the `shingle` view its lower-case form with zeroed
separators (`curate.text.words.lower`). A round takes the words that lie whole in 64 bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._characters import LETTER, SPACE
from curate.text._ngram_kernel import I32, I64, U32, U64, Scalar
from curate.text._token_kernel import SYMBOL_KIND, U16, WORD_KIND, code_point
from curate.text.compiler import inlined, part
from curate.text.simd import count_ones, gap_masks, larger, load8, store8, trailing_zeros
from curate.text.words import hash_word

WORD_COUNTS = tuple(
    """
    tokens words word_chars longest_word_chars twice_median_word_chars alphabetic_tokens
    stop_words any_case_stop_words distinct_stop_words clitics abbreviation_stops
    ellipsis_words hash_words marked_words long_words sentence_marks
    """.split()  # noqa: SIM905 - a table of names
)
"""What `count_words` and `find_words` fill in, in order."""
_TOKENS, _WORDS, _CHARS, _LONGEST, _MEDIAN, _ALPHABETIC, _STOPS, _ANY_CASE = range(8)
_DISTINCT, _CLITICS, _ABBREVIATIONS, _ELLIPSES, _HASHES, _MARKED = range(8, 14)
_LONG, _SENTENCE_MARKS = range(14, 16)
SHORT_WORD_CHARS = 6  # Björnsson 1968: longer words are long

STOP, ANY_CASE, ELLIPSIS, FIRST_OF_DISTINCT = 1, 2, 4, 8  # marks of a known word
KNOWN_BITS = 10  # slots of the table of known words, as a power of two
LENGTHS = 256  # longer words share the last bin of the histogram
NUL_STAND_IN = 0xFF
_ZERO, _ONE, _ALL_BITS = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


@part
def count_words(
    tokens: Scalar,
    hashes: U64,
    sizes: U32,
    known: tuple[U64, NDArray[np.uint16], Scalar],
    lengths: I32,
    out: I64,
) -> None:
    """Fill in `WORD_COUNTS` from the tokens; `lengths` is room for a histogram.

    `known` is a perfect hash table of the words that rules name: keys, marks, multiplier.
    """
    keys, marks, multiplier = known
    for size in range(LENGTHS):
        lengths[size] = 0
    # Local sums: the compiler keeps them in registers, where `out` might overlap the arrays.
    found, words, characters, longest = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    alphabetic, clitics, marks_of_sentences = np.int64(0), np.int64(0), np.int64(0)
    stops, any_case, ellipses = np.int64(0), np.int64(0), np.int64(0)
    for t in range(np.uint64(tokens)):
        entry = np.int64(sizes[t])
        word = np.int64((entry & 3) != SYMBOL_KIND)
        chars = (entry >> 4) * word
        words += word
        characters += chars
        longest = larger(longest, chars)
        alphabetic += (entry >> 2) & word
        marks_of_sentences += (entry >> 2) & (1 - word)
        clitics += ((entry >> 3) & 1) << (32 * (1 - word))  # full stops in the upper half
        last = chars >= LENGTHS - 1
        lengths[np.uint64(LENGTHS - 1 if last else chars)] += np.int32(word)
        slot = (hashes[t] * multiplier) >> np.uint64(64 - KNOWN_BITS)
        mark = np.int64(marks[slot])
        if mark and keys[slot] == hashes[t]:
            found |= mark
            stops += mark & STOP
            any_case += (mark & ANY_CASE) != 0
            ellipses += (mark & ELLIPSIS) != 0
    out[_TOKENS], out[_WORDS], out[_CHARS], out[_LONGEST] = tokens, words, characters, longest
    out[_ALPHABETIC], out[_SENTENCE_MARKS] = alphabetic, marks_of_sentences
    for size in range(SHORT_WORD_CHARS + 1, LENGTHS):
        out[_LONG] += lengths[size]
    out[_CLITICS], out[_ABBREVIATIONS] = clitics & 0xFFFFFFFF, clitics >> 32
    out[_STOPS], out[_ANY_CASE], out[_ELLIPSES] = stops, any_case, ellipses
    out[_DISTINCT] = count_ones(np.uint64(found // FIRST_OF_DISTINCT))
    if out[_WORDS] > 0:
        low, high = (out[_WORDS] - 1) // 2, out[_WORDS] // 2
        out[_MEDIAN] = _at_rank(low, lengths, tokens, sizes) + _at_rank(
            high, lengths, tokens, sizes
        )


@part
def _at_rank(rank: Scalar, lengths: I32, tokens: Scalar, sizes: U32) -> Scalar:
    """Length of the word at a place of the order by length, counted from 0."""
    below = np.int64(0)
    for chars in range(LENGTHS - 1):
        below += lengths[chars]
        if below > rank:
            return np.int64(chars)
    least, most = np.int64(LENGTHS - 1), np.int64(0)
    for t in range(tokens):
        most = larger(most, np.int64(sizes[t] >> 4))
    while least < most:  # halve the lengths that are left: no sort of so few words
        middle = (least + most) // 2
        shorter = np.int64(0)
        for t in range(tokens):
            shorter += (np.int64(sizes[t] & 3) != SYMBOL_KIND) & (np.int64(sizes[t] >> 4) <= middle)
        least, most = (least, middle) if shorter > rank else (middle + 1, most)
    return least


@inlined
def _opens_ellipsis(base: Scalar, i: Scalar) -> Scalar:
    """`…` (E2 80 A6) at a place."""
    return load8(base, i) == 0xE2 and load8(base, i + 1) == 0x80 and load8(base, i + 2) == 0xA6


@part
def _has_ellipsis(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    for i in range(start, end - 2):  # noqa: SIM110 - compiled: no any()
        if _opens_ellipsis(base, i):
            return True
    return False


@part
def _has_letter(base: Scalar, start: Scalar, end: Scalar, flags: U16) -> Scalar:
    """Whether one of the characters from `start` on is a letter."""
    while start < end:
        if load8(base, start) == NUL_STAND_IN:
            start += 1
            continue
        code, width = code_point(base, start)
        if flags[code] & LETTER:
            return True
        start += width
    return False


@part
def _long_word(base: Scalar, start: Scalar, lowered: Scalar) -> Scalar:
    """End, characters and number of runs of `#` of a word of any length."""
    end, chars, runs = start, np.int64(0), np.int64(0)
    open_run = _ZERO
    while True:
        filled, unspaced, _letters, continued, _high, hashes = gap_masks(base + np.uint64(end))
        inside = filled if lowered else unspaced
        size = trailing_zeros(~inside)
        own = _ALL_BITS if size == 64 else (_ONE << np.uint64(size)) - _ONE
        chars += size - count_ones(continued & own)
        runs += count_ones(hashes & own & ~(hashes << _ONE | open_run))
        open_run = hashes >> np.uint64(63)
        end += size
        if size < 64:
            return end, chars, runs


@part
def find_words(
    base: Scalar, size: Scalar, lowered: Scalar, flags: U16, hashes: U64, sizes: U32, out: I64
) -> Scalar:
    """Hash each word and note its characters; returns their number.

    Args:
        base: The text; at least 64 gaps must follow it.
        size: Its bytes.
        lowered: Gaps are zeros (`shingle`), else ASCII white space (`whitespace`).
        flags: Character flags by code point.
        hashes: Filled in.
        sizes: Filled in: characters times 16, plus 4 if there is a letter, plus `WORD_KIND`.
        out: `WORD_COUNTS`, of which those about `#` and `…` are filled in.
    """
    count = np.int64(0)
    i: Scalar = np.int64(0)
    while i < size:
        filled, unspaced, letters, continued, high, signs = gap_masks(base + np.uint64(i))
        words = filled if lowered else unspaced
        starts = words & ~(words << _ONE)
        ends = ~words & (words << _ONE)
        for _ in range(count_ones(ends)):
            start, end = trailing_zeros(starts), trailing_zeros(ends)
            starts &= starts - _ONE
            ends &= ends - _ONE
            own = ((_ONE << np.uint64(end - start)) - _ONE) << np.uint64(start)
            chars = end - start - count_ones(continued & own)
            letter = np.int64((letters & own) != _ZERO)
            if (high | signs) & own:
                if not letter:
                    letter = np.int64(_has_letter(base, i + start, i + end, flags))
                if not lowered:
                    runs = count_ones(signs & own & ~(signs << _ONE))
                    dots = high & own and _has_ellipsis(base, i + start, i + end)
                    out[_HASHES] += runs > 0 or dots
                    out[_MARKED] += 2 * runs > chars
            hashes[count] = hash_word(base, i + start, end - start)
            sizes[count] = chars << 4 | letter << 2 | WORD_KIND
            count += 1
        rest = trailing_zeros(starts)
        if rest > 0:
            i += rest
            continue
        end, chars, runs = _long_word(base, i, lowered)
        letter = np.int64(_has_letter(base, i, end, flags))
        if not lowered:
            out[_HASHES] += runs > 0 or _has_ellipsis(base, i, end)
            out[_MARKED] += 2 * runs > chars
        hashes[count] = hash_word(base, i, end - i)
        sizes[count] = chars << 4 | letter << 2 | WORD_KIND
        count += 1
        i = end
    return count


@part
def has_zero(base: Scalar, size: Scalar) -> Scalar:
    """Whether a NUL stands in the text."""
    for at in range(0, size, 64):
        if gap_masks(base + np.uint64(at))[0] != _ALL_BITS and at + 64 <= size:
            return True
    for i in range(size - size % 64, size):  # noqa: SIM110 - compiled: no any()
        if load8(base, i) == 0:
            return True
    return False


@part
def prepare_words(base: Scalar, size: Scalar, flags: U16) -> None:
    """Put ASCII spaces in the place of other white space, byte for byte.

    NUL is a character of a word here, but hashes take zeros for the end of a word: it becomes a
    byte that no UTF-8 holds.
    """
    for at in range(0, size, 64):
        filled, _, _, continued, high, _ = gap_masks(base + np.uint64(at))
        places = (high & ~continued) | ~filled
        while places != _ZERO:
            i: Scalar = at + trailing_zeros(places)
            places &= places - _ONE
            if i >= size:
                break
            if load8(base, i) == 0:
                store8(base, i, NUL_STAND_IN)
                continue
            code, width = code_point(base, i)
            if flags[code] & SPACE:
                for j in range(i, i + width):
                    store8(base, j, 32)
