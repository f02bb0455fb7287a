"""The rules of English tokens for one piece, compiled; see `curate.text.english_tokens`.

A piece is a row of code points and a row of their classes. Each step is one of the patterns there.
"""

from __future__ import annotations

import numpy as np

from curate.text._ngram_kernel import I64, U64, Scalar
from curate.text._token_kernel import U16
from curate.text.compiler import inlined, part

# Classes of characters, as the patterns name them.
ALNUM, ALPHA, DECIMAL, NO_MARK = 1, 2, 4, 8  # [^\W_], a letter, \d, anything but P, S and C
PREFIX, SUFFIX, CURRENCY, ICON = 16, 32, 64, 128
BEFORE_STOP, CAPITAL, DOT_BEHIND, DOT_AHEAD = 256, 512, 1024, 2048
TOP_LEVEL, UNFOLDED = 4096, 8192  # [a-zß-öø-ÿ]; what only case folding makes an ASCII letter
FORM_END = 16384  # the last characters of all forms

FORM_BITS = 12  # slots of the table of forms, as a power of two
LONGEST_FORM = 13
ONE_TOKEN = 0x100  # value of a form that stays whole; else tokens, and 16 times those with letters
UNIT_END = 0x110000  # no code point
HASH_FACTOR = 0x9E3779B97F4A7C15
_FACTOR, _ONE, _ZERO = np.uint64(HASH_FACTOR), np.uint64(1), np.uint64(0)
DOT, QUOTE, _CURLY, _HYPHEN, _DASH, _LONG_DASH = 46, 39, 0x2019, 45, 0x2013, 0x2014


@part
def _lookup(key: Scalar, forms: tuple[U64, U16]) -> Scalar:
    """Value of a form, 0 if there is none."""
    keys, values = forms
    slot = np.int64(key >> np.uint64(64 - FORM_BITS))
    while keys[slot] != _ZERO and keys[slot] != key:
        slot = (slot + 1) & ((1 << FORM_BITS) - 1)
    return np.int64(values[slot])


@inlined
def _is_digit(code: Scalar) -> Scalar:
    return (code >= 48) & (code <= 57)


@part
def _form(codes: I64, kinds: U16, start: Scalar, end: Scalar, forms: tuple[U64, U16]) -> Scalar:
    """Value of a known form (`e.g.`, `don't`, `:)`), 0 if it is none."""
    size = end - start
    if size < 2 or size > LONGEST_FORM or not kinds[end - 1] & FORM_END:
        return 0
    last, before = codes[end - 1] | 32, codes[end - 2] | 32
    plain = np.int64(ALNUM)
    for i in range(start, end):
        plain &= np.int64(kinds[i])
    if plain:  # cannot gonna gotta, dont, 6pm
        if last == 116:
            if before != 110 and before != 111:
                return 0
        elif last == 97:
            if before != 110 and before != 116:
                return 0
        elif last != 109:
            return 0
    if size == 2 and codes[end - 1] == DOT:
        first = codes[start] | 32  # ä ö ü and ASCII letters in either case
        umlaut = (first == 0xE4) | (first == 0xF6) | (first == 0xFC)
        if umlaut | ((first >= 97) & (first <= 122)):
            return ONE_TOKEN
    raw, folded = _ONE, _ONE  # not zero, which a NUL would leave as it is
    for i in range(start, end):
        code: Scalar = codes[i]
        raw = (raw ^ np.uint64(code)) * _FACTOR
        raw ^= raw >> np.uint64(32)
        if code >= 65 and code <= 90:
            code = codes[i] + 32
        elif code == _CURLY:
            code = QUOTE
        folded = (folded ^ np.uint64(code)) * _FACTOR
        folded ^= folded >> np.uint64(32)
    value = _lookup(raw, forms)
    if value:
        return value
    value = _lookup(folded, forms)
    return value if value != ONE_TOKEN else 0


@part
def _count_token(kinds: U16, start: Scalar, end: Scalar, out: I64) -> None:
    seen = np.int64(0)
    for i in range(start, end):
        seen |= np.int64(kinds[i])
    word = np.int64((seen & NO_MARK) != 0)
    out[0] += 1
    out[1] += (seen & ALPHA) != 0
    out[2] += word
    out[3] += word * (end - start)


@part
def _prefix(codes: I64, kinds: U16, start: Scalar, end: Scalar) -> Scalar:
    """Characters that are taken off the front."""
    code = codes[start]
    if kinds[start] & PREFIX:
        return 1
    if code == DOT:
        i = start + 1
        while i < end and codes[i] == DOT:
            i += 1
        return i - start if i - start > 1 else 0
    if code == 43:  # +
        return 0 if start + 1 < end and _is_digit(codes[start + 1]) else 1
    if code == 85 and start + 2 < end and codes[start + 1] == 83 and codes[start + 2] == 36:
        return 3  # US$
    if (code == 65 or code == 67) and start + 1 < end and codes[start + 1] == 36:
        return 2  # A$, C$
    return 0


@part
def _ends_in_unit(codes: I64, start: Scalar, end: Scalar, forms: tuple[U64, U16]) -> Scalar:
    """Characters of the longest unit that a digit stands before, 0 if there is none.

    The table knows a unit by its characters and `UNIT_END`.
    """
    for size in range(min(4, end - start - 1), 0, -1):
        if _is_digit(codes[end - size - 1]):
            key = _ONE
            for i in range(end - size, end):
                key = (key ^ np.uint64(codes[i])) * _FACTOR
                key ^= key >> np.uint64(32)
            key = (key ^ np.uint64(UNIT_END)) * _FACTOR
            key ^= key >> np.uint64(32)
            if _lookup(key, forms):
                return size
    return 0


@part
def _suffix(codes: I64, kinds: U16, start: Scalar, end: Scalar, forms: tuple[U64, U16]) -> Scalar:
    """Characters that are taken off the back: the longest of what may be."""
    code, kind = codes[end - 1], np.int64(kinds[end - 1])
    several = end - start > 1
    before = codes[end - 2] if several else np.int64(0)
    if code == DOT:
        i = end - 1
        while i > start and codes[i - 1] == DOT:
            i -= 1
        if end - i > 1:
            return end - i
        if several and kinds[end - 2] & BEFORE_STOP:
            return 1
        both = end - start > 2 and np.int64(kinds[end - 2]) & np.int64(kinds[end - 3]) & CAPITAL
        return 1 if both else 0
    if (code == 115 or code == 83) and ((before == QUOTE) | (before == _CURLY)):
        return 2
    if kind & SUFFIX:
        return 1
    if several and _is_digit(before) and (code == 43 or kind & CURRENCY):
        return 1
    return _ends_in_unit(codes, start, end, forms)


@inlined
def _is_inside_label(codes: I64, kinds: U16, i: Scalar) -> Scalar:
    r"""`[\w-]`."""
    return (kinds[i] & ALNUM) != 0 or codes[i] == _HYPHEN or codes[i] == 95


@part
def _decimals(kinds: U16, start: Scalar, end: Scalar) -> Scalar:
    """End of the run of digits."""
    while start < end and kinds[start] & DECIMAL:
        start += 1
    return start


@part
def _is_tail(codes: I64, kinds: U16, i: Scalar, end: Scalar) -> Scalar:
    """A port or none, then a path or the end."""
    if i < end and codes[i] == 58:
        stop = _decimals(kinds, i + 1, end)
        if stop - i < 3 or stop - i > 6:
            return False
        i = stop
    return i == end or codes[i] == 47 or codes[i] == 63 or codes[i] == 35


@part
def _is_host(codes: I64, kinds: U16, start: Scalar, end: Scalar) -> Scalar:
    """A name with dots or four numbers, and what may follow."""
    i = start
    for group in range(4):
        stop = _decimals(kinds, i, end)
        if stop == i or stop - i > 3:
            break
        if group == 3:
            if _is_tail(codes, kinds, stop, end):
                return True
            break
        if stop == end or codes[stop] != DOT:
            break
        i = stop + 1
    label = start
    while True:
        i = label
        top = True
        while i < end and _is_inside_label(codes, kinds, i):
            top = top and (kinds[i] & TOP_LEVEL) != 0
            i += 1
        if i < end and codes[i] == DOT:
            if i == label or i - label > 64 or not (kinds[label] & kinds[i - 1] & ALNUM):
                return False
            label = i + 1
            continue
        size = i - label
        return label > start and top and 2 <= size <= 63 and _is_tail(codes, kinds, i, end)


@part
def _is_address(codes: I64, kinds: U16, start: Scalar, end: Scalar) -> Scalar:
    """A web or mail address: a host at the front, after `scheme://` or after an at sign."""
    if _is_host(codes, kinds, start, end):
        return True
    i = start
    while i < end and (_is_inside_label(codes, kinds, i) or codes[i] == 43 or codes[i] == DOT):
        i += 1
    if i - start > 1 and i + 3 < end and codes[i] == 58:
        slashes = codes[i + 1] == 47 and codes[i + 2] == 47
        if slashes and _is_host(codes, kinds, i + 3, end):
            return True
    for at in range(start + 1, end - 1):
        if codes[at] == 64 and _is_host(codes, kinds, at + 1, end):
            return True
    return False


@inlined
def _word_at(codes: I64, kinds: U16, i: Scalar, end: Scalar) -> Scalar:
    r"""`[^\W\d_]` at a place."""
    return i < end and kinds[i] & (ALNUM | DECIMAL) == ALNUM


@part
def _infix(codes: I64, kinds: U16, start: Scalar, i: Scalar, end: Scalar) -> Scalar:
    """Characters of the infix at a place, 0 if there is none."""
    code = codes[i]
    if code == DOT:
        stop = i + 1
        while stop < end and codes[stop] == DOT:
            stop += 1
        if stop - i > 1:
            return stop - i
        inside = i > start and i + 1 < end
        return 1 if inside and kinds[i - 1] & DOT_BEHIND and kinds[i + 1] & DOT_AHEAD else 0
    if kinds[i] & ICON or code == 0x2026:
        return 1
    if i == start or i + 1 == end:
        return 0
    before, after = codes[i - 1], codes[i + 1]
    sum_sign = (code == _HYPHEN) | (code == 43) | (code == 42) | (code == 94)
    if sum_sign and _is_digit(before) and (_is_digit(after) or after == _HYPHEN):
        return 1
    word = _word_at(codes, kinds, i + 1, end)
    if code == 44:
        return 1 if word and _word_at(codes, kinds, i - 1, end) else 0
    if not kinds[i - 1] & ALNUM:
        return 0
    if code == _HYPHEN and after == _HYPHEN:
        if _word_at(codes, kinds, i + 2, end):
            return 2
        if i + 2 < end and codes[i + 2] == _HYPHEN and _word_at(codes, kinds, i + 3, end):
            return 3
    if code == _LONG_DASH and after == _LONG_DASH and _word_at(codes, kinds, i + 2, end):
        return 2
    dash = (code == _HYPHEN) | (code == _DASH) | (code == _LONG_DASH) | (code == 126)
    sign = (code == 58) | (code == 60) | (code == 61) | (code == 62) | (code == 47)
    return 1 if word and (dash | sign) else 0


@part
def _count_middle(
    codes: I64, kinds: U16, start: Scalar, end: Scalar, form: Scalar, out: I64
) -> None:
    """Tokens of what is left between the marks."""
    if form > 0 and form != ONE_TOKEN:
        out[0] += form & 15
        out[1] += form >> 4
        out[2] += form & 15
        out[3] += end - start
        return
    seen, dots = np.int64(ALNUM), np.int64(0)
    for i in range(start, end):
        seen &= np.int64(kinds[i])
        dots += codes[i] == DOT
    if form == ONE_TOKEN or seen or (dots > 0 and _is_address(codes, kinds, start, end)):
        _count_token(kinds, start, end, out)
        return
    i = done = start
    while i < end:
        size = np.int64(0)
        if not kinds[i] & ALNUM:
            size = _infix(codes, kinds, start, i, end)
        if size == 0:
            i += 1
            continue
        if i > done:
            _count_token(kinds, done, i, out)
        _count_token(kinds, i, i + size, out)
        i += size
        done = i
    if done < end:
        _count_token(kinds, done, end, out)


@part
def count_piece(codes: I64, kinds: U16, end: Scalar, forms: tuple[U64, U16], out: I64) -> None:
    """Take marks off both sides as long as any is left, then cut what remains."""
    start, size = np.int64(0), np.int64(-1)
    form = _form(codes, kinds, start, end, forms)
    while start < end and end - start != size and form == 0:
        size = end - start
        front = _prefix(codes, kinds, start, end)
        if front > 0:
            _count_token(kinds, start, start + front, out)
            start += front
            form = _form(codes, kinds, start, end, forms)
            if form > 0 or start == end:
                break
        back = _suffix(codes, kinds, start, end, forms)
        if back > 0:
            _count_token(kinds, end - back, end, out)
            end -= back
        if end - start != size:
            form = _form(codes, kinds, start, end, forms)
    if start < end:
        _count_middle(codes, kinds, start, end, form, out)
