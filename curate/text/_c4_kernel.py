r"""The C4 rules about one line, compiled; `curate.text.c4` says what they are.

Most lines are told by their last byte; the others are searched 64 bytes at once for the
marks that end sentences and for pairs of letters that only few words have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._characters import DIGIT
from curate.text._line_tools import line_end, load_padded, stripped, white_space
from curate.text._token_kernel import PADDING, U16, U64, Scalar, code_point
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import address_of, larger, line_masks, load8, trailing_zeros
from curate.text.words import longest

I64 = NDArray[np.int64]
KEPT, LOREM, CURLY = 1, 2, 4  # what is said of a line, as bits
FEWEST_WORDS, LONGEST_WORD_CHARS = 3, 1000
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_FULL_STOP, _OPEN, _CLOSE, _BRACE = 46, 91, 93, 123
_SHORTS = np.array(
    [
        int.from_bytes(word.encode(), "little")
        for word in ("Mr", "Ms", "Dr", "St", "Jr", "Sr", "Co", "vs", "Mrs", "Inc", "e.g", "i.e")
    ]
    + [int.from_bytes(b"Prof", "little")],
    np.int64,
)
"""Abbreviations as numbers; a single capital is one too."""
_WANTED = (
    *(b"javascript", b"lorem ip", b"privacy policy", b"cookie policy"),
    *(b"uses cookies", b"use of cookies", b"use cookies", b"terms of use"),
)
_PHRASES = np.zeros((len(_WANTED), 16), np.uint8)
for _row, _phrase in enumerate(_WANTED):
    _PHRASES[_row, : len(_phrase)] = np.frombuffer(_phrase, np.uint8)


@inlined
def _lowered(byte: Scalar) -> Scalar:
    return byte | 32 if 65 <= byte <= 90 else byte


@part
def _says(base: Scalar, start: Scalar, end: Scalar, at: Scalar, row: Scalar) -> Scalar:
    """Whether the line has one of the phrases at a place, in either case."""
    if at < start:
        return False
    for i in range(_PHRASES.shape[1]):
        if _PHRASES[row, i] == 0:
            return True
        if at + i >= end or _lowered(load8(base, at + i)) != _PHRASES[row, i]:
            return False
    return True


@part
def _has_words(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether a line has the fewest words that one has to have."""
    words, inside = 0, False
    while start < end and words < FEWEST_WORDS:
        width = white_space(base, start)
        words += width == 0 and not inside
        inside = width == 0
        start += larger(width, 1)
    return words >= FEWEST_WORDS


@part
def _has_long_word(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether a word of the line is too long."""
    blocks = 0  # of 64 bytes without ASCII white space, one after the other
    for at in range(start, end, 64):
        blocks = blocks + 1 if line_masks(base + np.uint64(at))[1] == _ZERO else 0
        if 64 * (blocks + 2) > LONGEST_WORD_CHARS:
            break
    if 64 * (blocks + 2) <= LONGEST_WORD_CHARS:
        return False
    chars = 0
    while start < end:
        width = white_space(base, start)
        chars = 0 if width else chars + (load8(base, start) & 0xC0 != 0x80)
        if chars > LONGEST_WORD_CHARS:
            return True
        start += larger(width, 1)
    return False


@part
def _ends_well(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Whether a line ends as a sentence or a quotation does, and in no ellipsis."""
    if end <= start:
        return False
    last = load8(base, end - 1)
    if last == _FULL_STOP:
        dots = end - start >= 3 and load8(base, end - 2) == _FULL_STOP
        return not (dots and load8(base, end - 3) == _FULL_STOP)
    return last == 33 or last == 34 or last == 39 or last == 63


@part
def _citation_end(base: Scalar, end: Scalar, at: Scalar, flags: U16, words: Scalar) -> Scalar:
    """End of the citation mark that a bracket opens, -1 if it opens none."""
    for row in range(2):
        size = 6 if row == 0 else 17
        if at + size <= end:
            same = True
            for i in range(size):
                same = same and load8(base, at + i) == words[row, i]
            if same:
                return at + size
    at += 1
    while at < end:
        code, width = code_point(base, at)
        if not flags[code] & DIGIT:
            return at + 1 if code == _CLOSE else -1
        at += width
    return -1


_MARKS = np.zeros((2, 17), np.uint8)
_MARKS[0, :6] = np.frombuffer(b"[edit]", np.uint8)
_MARKS[1] = np.frombuffer(b"[citation needed]", np.uint8)


@part
def _without_citations(
    base: Scalar, start: Scalar, end: Scalar, flags: U16, plain: NDArray[np.uint8]
) -> Scalar:
    """Copy a line without its citation marks, zeros behind it; returns its bytes."""
    size = 0
    while start < end:
        byte = load8(base, start)
        if byte == _OPEN:
            behind = _citation_end(base, end, start, flags, _MARKS)
            if behind >= 0:
                start = behind
                continue
        plain[size] = byte
        size += 1
        start += 1
    for i in range(PADDING):
        plain[size + i] = 0
    return size


@inlined
def _is_word(byte: Scalar) -> Scalar:
    return 97 <= byte | 32 <= 122 or 48 <= byte <= 57 or byte == 95


@part
def _is_short(base: Scalar, start: Scalar, stop: Scalar) -> Scalar:
    """Whether an abbreviation or a single capital stands before a full stop."""
    packed = np.int64(0)
    for size in range(1, 5):
        at = stop - size
        if at < start:
            return False
        packed = packed << 8 | np.int64(load8(base, at))
        if at > start and _is_word(load8(base, at - 1)):
            continue
        if size == 1 and 65 <= packed <= 90:
            return True
        for i in range(_SHORTS.size):
            if _SHORTS[i] == packed:
                return True
    return False


@part
def _closes_sentence(base: Scalar, start: Scalar, end: Scalar, at: Scalar) -> Scalar:
    """Whether a sentence ends with the marks that begin at a place."""
    mark = at
    while at < end:
        byte = load8(base, at)
        if byte != 33 and byte != _FULL_STOP and byte != 63:
            break
        at += 1
    alone = at == mark + 1 and load8(base, mark) == _FULL_STOP
    while at < end:
        byte = load8(base, at)
        if byte == 34 or byte == 39 or byte == 41 or byte == _CLOSE:
            at += 1
        elif byte == 0xE2 and load8(base, at + 1) == 0x80 and load8(base, at + 2) | 4 == 0x9D:
            at += 3
        else:
            break
        alone = False
    if at >= end:
        return True
    return white_space(base, at) > 0 and not (alone and _is_short(base, start, mark))


@part
def _said(base: Scalar, start: Scalar, end: Scalar, at: Scalar) -> Scalar:
    """What the words around a rare pair of letters say: bits KEPT (unwanted here), LOREM, CURLY."""
    second = load8(base, at + 1) | 32
    if second == 112:  # ip
        if _says(base, start, end, at - 7, np.int64(0)):
            return KEPT | CURLY
        if _says(base, start, end, at - 6, np.int64(1)):
            long = load8(base, at + 2) == 0xC5 and load8(base, at + 3) == 0xBF  # the long s
            after = at + 4 if long else at + 3
            s = long or load8(base, at + 2) | 32 == 115
            um = load8(base, after) | 32 == 117 and load8(base, after + 1) | 32 == 109
            return LOREM if s and um and after + 2 <= end else 0
        long = at >= start + 8 and load8(base, at - 4) == 0xC5 and load8(base, at - 3) == 0xBF
        if long and load8(base, at + 2) | 32 == 116 and at + 3 <= end:
            same = True
            for i in range(4):
                same = same and load8(base, at - 8 + i) | 32 == _PHRASES[0, i]
            for i in range(2):
                same = same and load8(base, at - 2 + i) | 32 == _PHRASES[0, 5 + i]
            return CURLY if same else 0
        return 0
    if second == 121:  # cy
        return KEPT if _says(base, start, end, at - 5, np.int64(2)) else 0
    if second == 115:  # ms
        return KEPT if _says(base, start, end, at - 3, np.int64(7)) else 0
    unwanted = _says(base, start, end, at - 3, np.int64(3))  # ki
    unwanted = unwanted or _says(base, start, end, at - 8, np.int64(4))
    unwanted = unwanted or _says(base, start, end, at - 10, np.int64(5))
    unwanted = unwanted or _says(base, start, end, at - 7, np.int64(6))
    return KEPT if unwanted else 0


@part
def _judge(base: Scalar, start: Scalar, end: Scalar) -> Scalar:
    """Bits and sentences of a line that ends as one does."""
    said, curly, sentences = 0, False, 0
    marked = _ZERO  # whether a mark stood before this block
    for at in range(start, end, 64):
        _, _, marks, rare, braces, _ = line_masks(base + np.uint64(at))
        rest = end - at
        if rest < 64:
            own = (_ONE << np.uint64(rest)) - _ONE
            marks &= own
            rare &= own
            braces &= own
        curly = curly or braces != _ZERO
        first = marks & ~(marks << _ONE | marked)
        marked = marks >> np.uint64(63)
        while first != _ZERO:
            sentences += _closes_sentence(base, start, end, at + trailing_zeros(first))
            first &= first - _ONE
        while rare != _ZERO:
            said |= _said(base, start, end, at + trailing_zeros(rare))
            rare &= rare - _ONE
    kept = said & KEPT == 0
    bits = (KEPT if kept else 0) | said & LOREM
    bits |= CURLY if curly and said & CURLY == 0 else 0
    return bits, larger(sentences, 1) if kept else 0


@part
def _judge_line(
    base: Scalar, start: Scalar, end: Scalar, flags: U16, plain: NDArray[np.uint8]
) -> Scalar:
    """Bits and sentences of any line."""
    start, end = stripped(base, start, end)
    if end <= start:
        return 0, 0
    if load8(base, end - 1) != _CLOSE and not _ends_well(base, start, end):
        return 0, 0
    if not _has_words(base, start, end):
        return 0, 0
    if end - start > LONGEST_WORD_CHARS and _has_long_word(base, start, end):
        return 0, 0
    opened = False
    for at in range(start, end, 64):
        brackets = line_masks(base + np.uint64(at))[5]
        if end - at < 64:
            brackets &= (_ONE << np.uint64(end - at)) - _ONE
        opened = opened or brackets != _ZERO
    if opened:
        end = _without_citations(base, start, end, flags, plain)
        base, start = address_of(plain), np.int64(0)
    if not _ends_well(base, start, end):
        return 0, 0
    return _judge(base, start, end)


@compiled
def judge_lines(address: U64, length: I64, flags: U16, counts: I64, lines: I64) -> None:
    """Say what the rules say of each line.

    Args:
        address: Address of the UTF-8 bytes of each document.
        length: Its length in bytes.
        flags: Character flags by code point.
        counts: Zeros, a row a document: sentences, lines kept, with a brace, with lorem ipsum.
        lines: Room for document, start, end, bits and sentences of each line; or no rows.
    """
    text = np.empty(longest(length) + PADDING, np.uint8)
    plain = np.empty(text.size, np.uint8)
    row = 0
    for d in range(length.size):
        size = length[d]
        base = load_padded(address[d], size, text)
        start = np.int64(0)
        while start <= size:
            end = line_end(base, start, size)
            bits, sentences = _judge_line(base, start, end, flags, plain)
            counts[d, 0] += sentences
            counts[d, 1] += bits & KEPT
            counts[d, 2] += bits & CURLY != 0
            counts[d, 3] += bits & LOREM != 0
            if row < lines.shape[0]:
                lines[row, 0], lines[row, 1], lines[row, 2] = d, start, end
                lines[row, 3], lines[row, 4] = bits, sentences
                row += 1
            start = end + 1
