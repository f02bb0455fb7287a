"""Lines and paragraphs of one document, compiled; see `curate.text.statistics`."""

from __future__ import annotations

import numpy as np

from curate.text._characters import SENTENCE_END, SPACE, TERMINAL
from curate.text._ngram_kernel import I64, U64, Scalar, insert, table_mask
from curate.text._token_kernel import U16, code_point, hash_bytes
from curate.text.compiler import inlined, part
from curate.text.simd import (
    character_masks,
    count_ones,
    gap_masks,
    larger,
    load8,
    smaller,
    trailing_zeros,
)

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
# The columns of TEXT_COUNTS as indices, in the same order.
_BYTES, _CHARS, _LETTERS, _UPPERS, _DIGITS, _SPACES, _PUNCTUATION, _NON_ASCII = range(8)
_LATIN_1, _NEWLINES, _HASHES, _ELLIPSES, _CURLY, _ASCII_LETTERS, _ASCII_VOWELS = range(8, 15)
_CONSONANT_RUNS, _LINES, _BULLETS, _ELLIPSIS_LINES, _NONBLANK, _TERMINALS = range(15, 21)
_SENTENCES, _SHORT, _DUP_NONBLANK_CHARS, _SPLIT_LINES, _DUP_LINES = range(21, 26)
_DUP_LINE_CHARS, _PARAGRAPHS, _DUP_PARAGRAPHS, _DUP_PARAGRAPH_CHARS = range(26, 30)
_VOWEL_RUNS, _SILENT_ES = range(30, 32)

SHORT_LINE_CHARS = 30  # FineWeb: a short line has at most 30 characters
_ZERO = np.uint64(0)
_PARAGRAPH_SALT = np.uint64(0x165667B19E3779F9)


@inlined
def _chars(base: Scalar, start: Scalar, end: Scalar, ascii_only: Scalar) -> Scalar:
    chars = np.int64(end - start)
    if not ascii_only:
        for at in range(start, end, 64):
            continued = gap_masks(base + np.uint64(at))[3]
            rest = np.uint64(larger(64 - (end - at), 0))
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
            return smaller(at + trailing_zeros(newline), size)
        at += 64
    return size


@part
def count_lines(
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
def count_paragraphs(
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
