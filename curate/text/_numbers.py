"""Where personal data may stand: at signs, long numbers, account numbers; a compiled sieve.

E-mail addresses are found whole, as the pattern of `curate.text.personal_data` has them, except
those with an address literal (`a@[192.0.2.1]`).

A *number* is a row of digit runs with at most `_GAP` of the characters ` .-()` between them. Only
numbers that are long enough for a card, that hold four runs between full stops as an address does,
or that stand behind a plus sign or hold runs of 3, 3 and 4 digits as a telephone number does, are
handed on; and whole texts in which the first bytes of a known key stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text._line_tools import load_padded
from curate.text._token_kernel import PADDING, Scalar
from curate.text.compiler import compiled, inlined, part
from curate.text.simd import candidate_masks, load8, trailing_zeros
from curate.text.words import longest

U64 = np.uint64
ZERO, ONE = U64(0), U64(1)
_KINDS: tuple[Scalar, ...] = tuple(np.int64(kind) for kind in range(6))  # of candidates
AT, ACCOUNT, DOTTED, LONG, WHOLE, LITERAL = _KINDS
_NONE: Scalar = np.int64(0)  # typed as the kinds are, so that functions are compiled once
_GAP = 3
FEWEST_PHONE_DIGITS, FEWEST_CARD_DIGITS = 8, 13
LONGEST_LOCAL, LONGEST_LABEL = 64, 63  # RFC 5321, 4.5.3.1.1; RFC 1035, 2.3.4
_LOCAL_BYTES = [b for b in range(33, 127) if chr(b) not in '"(),:;<>@[\\]']
LOCAL_LOW = U64(sum(1 << b for b in _LOCAL_BYTES if b < 64))
LOCAL_HIGH = U64(sum(1 << b - 64 for b in _LOCAL_BYTES if b >= 64))
DOTS, OCTETS, OCTET_DIGITS = 3, 4, 3


@inlined
def _is_upper(byte: int) -> bool:
    return 65 <= byte <= 90


@inlined
def _is_word(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= (byte | 32) <= 122


@inlined
def _is_gap(byte: int) -> bool:
    """Space, brackets, hyphen or full stop."""
    return byte == 32 or byte == 40 or byte == 41 or byte == 45 or byte == 46


@inlined
def _joins(address: int, end: int, start: int) -> bool:
    """Whether only a few separators stand between two runs of digits."""
    if start - end > _GAP:
        return False
    for i in range(end, start):  # noqa: SIM110 - compiled, and Numba knows no all()
        if not _is_gap(load8(address, i)):
            return False
    return True


@inlined
def _opens_account(address: int, size: int, at: int) -> bool:
    """Two capitals of their own before, and a second digit: `GB82`."""
    if at < 2 or at + 1 >= size or not 48 <= load8(address, at + 1) <= 57:
        return False
    if not (_is_upper(load8(address, at - 1)) and _is_upper(load8(address, at - 2))):
        return False
    return at == 2 or not _is_word(load8(address, at - 3))


@part
def _local_start(base: Scalar, at: Scalar) -> Scalar:
    """Where the words before an at sign begin, `a.b+c`; -1 if there are none or too many."""
    start, last = at, 46
    while start > 0 and at - start <= LONGEST_LOCAL:
        byte = load8(base, start - 1)
        bits = LOCAL_LOW if byte < 64 else LOCAL_HIGH
        if byte >= 128 or (bits >> U64(byte & 63)) & ONE == ZERO or (byte == 46 and last == 46):
            break
        last = byte
        start -= 1
    start += start < at and load8(base, start) == 46
    while start < at:
        byte, before = load8(base, start), load8(base, start - 1) if start > 0 else 32
        word = _is_word(byte) or byte == 95
        if byte != 46 and before < 128 and word != (_is_word(before) or before == 95):
            return start if at - start <= LONGEST_LOCAL else -1
        start += 1
    return -1


@part
def _domain_end(base: Scalar, at: Scalar) -> Scalar:
    """Where the domain behind an at sign ends; -1 if it is none with a full stop inside."""
    end, labels = np.int64(-1), 0
    i = at
    while True:
        i += 1
        start = i
        while _is_word(load8(base, i)) or load8(base, i) == 45:
            i += 1
        hyphen = i == start or load8(base, start) == 45 or load8(base, i - 1) == 45
        if hyphen or i - start > LONGEST_LABEL:
            return end
        labels += 1
        if labels > 1 and load8(base, i) < 128:
            end = i
        if load8(base, i) != 46:
            return end


@part
def _kind(
    base: Scalar, start: Scalar, digits: Scalar, dots: Scalar, address: Scalar, phone: Scalar
) -> Scalar:
    """What a number may be; -1 if it is nothing."""
    phone = phone or (start > 0 and load8(base, start - 1) == 43)
    phone = phone and digits >= FEWEST_PHONE_DIGITS
    if dots >= DOTS:
        return DOTTED if address or phone else -1
    return LONG if phone or digits >= FEWEST_CARD_DIGITS else -1


@part
def _put(
    found: NDArray[np.int64], count: Scalar, d: Scalar, kind: Scalar, start: Scalar, end: Scalar
) -> Scalar:
    """Add a candidate if there is room; returns how many there are."""
    if kind < 0:
        return count
    if count < found.shape[0]:
        found[count, 0], found[count, 1] = d, kind
        found[count, 2], found[count, 3] = start, end
    return count + 1


@compiled
def candidates(
    address: NDArray[np.uint64], length: NDArray[np.int64], found: NDArray[np.int64]
) -> Scalar:
    """Fill in (document, kind, start, end), in the order of the text, as far as there is room.

    Returns:
        How many candidates there are.
    """
    text = np.empty(longest(length) + PADDING, np.uint8)
    count = _NONE
    for d in range(length.shape[0]):
        size = length[d]
        base = load_padded(address[d], size, text)
        start, end, digits, dots = np.int64(-1), np.int64(-8), _NONE, _NONE
        # The lengths of the last three runs of digits, and how many of at most three digits
        # stand between single full stops up to the last one but one.
        older, old, run, octets = 0, 0, 0, 0
        dotted, ip, phone, secret = False, False, False, False
        for block in range(0, size + 1, 64):
            digit_bits, at_bits, secret_bits = candidate_masks(base + U64(block))
            secret = secret or secret_bits != ZERO
            while at_bits != ZERO or digit_bits != ZERO:
                if trailing_zeros(at_bits) < trailing_zeros(digit_bits):
                    at = block + trailing_zeros(at_bits)
                    at_bits &= at_bits - ONE
                    if load8(base, at + 1) == 91:
                        count = _put(found, count, d, LITERAL, at, at + 1)
                        continue
                    stop = _domain_end(base, at)
                    if stop >= 0:
                        start_of_local = _local_start(base, at)
                        kind = AT if start_of_local >= 0 else -1
                        count = _put(found, count, d, kind, start_of_local, stop)
                    continue
                first = trailing_zeros(digit_bits)
                more = trailing_zeros(~(digit_bits >> U64(first)))
                digit_bits = digit_bits & (digit_bits + (ONE << U64(first)))
                at = block + first
                if at > 0 and at == end:  # the run crosses into this block
                    run += more
                    digits += more
                    end = at + more
                    continue
                octets = (octets if dotted else 0) + 1 if 0 < run <= OCTET_DIGITS else 0
                ip = ip or octets >= OCTETS
                phone = phone or (older == 3 and old == 3 and run == 4)
                dotted = at - end == 1 and load8(base, end) == 46
                if start >= 0 and _joins(base, end, at):
                    dots += dotted
                    older, old = old, run
                else:
                    kind = _kind(base, start, digits, dots, ip, phone)
                    count = _put(found, count, d, kind, start, end)
                    start, digits, dots, older, old = at, 0, 0, 0, 0
                    dotted, ip, phone = False, False, False
                if _opens_account(base, size, at):
                    count = _put(found, count, d, ACCOUNT, at - 2, at)
                run = more
                digits += more
                end = at + more
        octets = (octets if dotted else 0) + 1 if 0 < run <= OCTET_DIGITS else 0
        ip = ip or octets >= OCTETS
        phone = phone or (older == 3 and old == 3 and run == 4)
        count = _put(found, count, d, _kind(base, start, digits, dots, ip, phone), start, end)
        if secret:
            count = _put(found, count, d, WHOLE, _NONE, size)
    return count
