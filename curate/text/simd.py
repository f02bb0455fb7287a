"""The few machine words that the text kernels are built from.

Each intrinsic below becomes one or a handful of LLVM instructions. The 64-byte
vectors are plain LLVM IR, so the same source runs as AVX-512, AVX2, SSE or NEON.

Numba keys cached code by the file that defines a function, not by the files it
calls into: after editing this module delete `curate/text/__pycache__/*.nb*`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from curate.text.compiler import maker

Llvm = Any  # llvmlite and numba publish no types

_I1, _I8, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
_BLOCK = ir.VectorType(_I8, 64)

_Codegen = tuple[Llvm, Callable[..., Llvm]]


def _all(value: int) -> Llvm:
    """A 64-byte vector with the same byte everywhere."""
    return ir.Constant(_BLOCK, [value & 255] * 64)


def _load_block(builder: Llvm, address: Llvm) -> Llvm:
    block = builder.load(builder.inttoptr(address, _BLOCK.as_pointer()))
    block.align = 1
    return block


@intrinsic
def trailing_zeros(_context: Llvm, word: Llvm) -> _Codegen:
    """Number of zero bits below the lowest set bit of a uint64 (64 for 0)."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        return builder.cttz(args[0], ir.Constant(_I1, 0))

    return types.int64(types.uint64), codegen


@intrinsic
def count_ones(_context: Llvm, word: Llvm) -> _Codegen:
    """Number of set bits of a uint64."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


def _chosen(sign: str) -> _Codegen:
    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        return builder.select(builder.icmp_signed(sign, *args), *args)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def larger(_context: Llvm, first: Llvm, second: Llvm) -> _Codegen:
    """The larger of two int64; Numba compiles `max` anew for each pair of types."""
    return _chosen(">")


@intrinsic
def smaller(_context: Llvm, first: Llvm, second: Llvm) -> _Codegen:
    """The smaller of two int64."""
    return _chosen("<")


@intrinsic
def load8(_context: Llvm, address: Llvm, offset: Llvm) -> _Codegen:
    """The byte at `address + offset`; the caller holds the memory alive and in range."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        return builder.load(builder.inttoptr(builder.add(*args), _I8.as_pointer()))

    return types.uint8(types.uint64, types.int64), codegen


@intrinsic
def store8(_context: Llvm, address: Llvm, offset: Llvm, value: Llvm) -> _Codegen:
    """Put a byte at `address + offset`."""

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        byte = builder.trunc(args[2], _I8)
        builder.store(byte, builder.inttoptr(builder.add(args[0], args[1]), _I8.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, types.int64), codegen


@intrinsic
def load64(_context: Llvm, address: Llvm, offset: Llvm) -> _Codegen:
    """The eight bytes at `address + offset` as a uint64, unaligned, native byte order."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        value = builder.load(builder.inttoptr(builder.add(*args), _I64.as_pointer()))
        value.align = 1
        return value

    return types.uint64(types.uint64, types.int64), codegen


@intrinsic
def address_of(_context: Llvm, array: Llvm) -> _Codegen:
    """Address of the first element of an array; keep the array alive while using it."""

    def codegen(context: Llvm, builder: Llvm, signature: Llvm, args: Llvm) -> Llvm:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.ptrtoint(struct.data, _I64)

    return types.uint64(array), codegen


@intrinsic
def lower_block(_context: Llvm, source: Llvm, target: Llvm) -> _Codegen:
    """Copy 64 bytes, ASCII letters lowered, every ASCII byte outside `[A-Za-z0-9_]` zeroed.

    Returns a bit mask of the bytes >= 0x80; what it writes for those is meaningless.
    """

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        upper = builder.icmp_unsigned("<", builder.sub(block, _all(ord("A"))), _all(26))
        lowered = builder.select(upper, builder.or_(block, _all(32)), block)
        letter = builder.icmp_unsigned("<", builder.sub(lowered, _all(ord("a"))), _all(26))
        digit = builder.icmp_unsigned("<", builder.sub(block, _all(ord("0"))), _all(10))
        underscore = builder.icmp_unsigned("==", block, _all(ord("_")))
        word = builder.or_(builder.or_(letter, digit), underscore)
        pointer = builder.inttoptr(args[1], _BLOCK.as_pointer())
        builder.store(builder.select(word, lowered, _all(0)), pointer).align = 1
        return builder.bitcast(builder.icmp_signed("<", block, _all(0)), _I64)

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def nonzero_mask(_context: Llvm, source: Llvm) -> _Codegen:
    """Bit i is set where byte i of the 64 bytes at `source` is not zero."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        return builder.bitcast(builder.icmp_unsigned("!=", block, _all(0)), _I64)

    return types.uint64(types.uint64), codegen


def _between(builder: Llvm, block: Llvm, first: int, last: int) -> Llvm:
    shifted = builder.sub(block, _all(first))
    return builder.icmp_unsigned("<=", shifted, _all(last - first))


def _equals(builder: Llvm, block: Llvm, character: str) -> Llvm:
    return builder.icmp_unsigned("==", block, _all(ord(character)))


def _one_of(builder: Llvm, block: Llvm, characters: str) -> Llvm:
    found = _equals(builder, block, characters[0])
    for character in characters[1:]:
        found = builder.or_(found, _equals(builder, block, character))
    return found


@intrinsic
def mark_masks(_context: Llvm, source: Llvm) -> _Codegen:
    """Of the 64 bytes at `source`: `<`, the lead byte of `À` to `ÿ`, and bytes 0x80-0xBF."""
    result = types.UniTuple(types.uint64, 3)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        masks = (
            _equals(builder, block, "<"),
            builder.icmp_unsigned("==", block, _all(0xC3)),
            builder.icmp_signed("<", block, _all(-64)),
        )
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


@intrinsic
def line_masks(_context: Llvm, source: Llvm) -> _Codegen:
    r"""Of the 64 bytes at `source` what lines are judged by; the byte behind them is read too.

    In order: newlines, ASCII white space, `. ? !`, the beginnings of `ip`, `cy`, `ms` and `ki` in
    either case, `{`, and `[`.
    """
    result = types.UniTuple(types.uint64, 6)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        low = builder.or_(block, _all(32))
        following = _load_block(builder, builder.add(args[0], ir.Constant(_I64, 1)))
        following = builder.or_(following, _all(32))
        rare = _pair(builder, low, following, "ip")
        for pair in ("cy", "ms", "ki"):
            rare = builder.or_(rare, _pair(builder, low, following, pair))
        masks = (
            _equals(builder, block, "\n"),
            builder.or_(_between(builder, block, 9, 13), _equals(builder, block, " ")),
            _one_of(builder, block, ".?!"),
            rare,
            _equals(builder, block, "{"),
            _equals(builder, block, "["),
        )
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


@intrinsic
def candidate_masks(_context: Llvm, source: Llvm) -> _Codegen:
    """Of the 64 bytes at `source` what personal data begins with; three bytes more are read.

    In order: ASCII digits, `@`, and places at which the mark of a key may begin or go on: `gh?_`,
    `npm_`, `hf_`, `b_pa`, `glpa`, `xox`, `k_li`, `KEY-`, `A?IA`, `AIza`.
    """
    result = types.UniTuple(types.uint64, 3)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        blocks = [
            _load_block(builder, builder.add(args[0], ir.Constant(_I64, i))) for i in range(4)
        ]
        secret = _all_of(builder, blocks, "gh?_")
        for mark in ("npm_", "hf_", "b_pa", "glpa", "xox", "k_li", "KEY-", "A?IA", "AIza"):
            secret = builder.or_(secret, _all_of(builder, blocks, mark))
        masks = (_between(builder, blocks[0], 48, 57), _equals(builder, blocks[0], "@"), secret)
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


def _all_of(builder: Llvm, blocks: list[Llvm], mark: str) -> Llvm:
    """Where a mark stands; `?` is any byte, but not the first."""
    found = _equals(builder, blocks[0], mark[0])
    for block, character in zip(blocks[1:], mark[1:], strict=False):
        if character != "?":
            found = builder.and_(found, _equals(builder, block, character))
    return found


def _pair(builder: Llvm, block: Llvm, following: Llvm, letters: str) -> Llvm:
    first, second = _equals(builder, block, letters[0]), _equals(builder, following, letters[1])
    return builder.and_(first, second)


@intrinsic
def copy_block(_context: Llvm, source: Llvm, target: Llvm) -> _Codegen:
    """Copy 64 bytes; returns a bit mask of the bytes >= 0x80."""

    def codegen(_c: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        builder.store(block, builder.inttoptr(args[1], _BLOCK.as_pointer())).align = 1
        return builder.bitcast(builder.icmp_signed("<", block, _all(0)), _I64)

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def token_masks(_context: Llvm, source: Llvm) -> _Codegen:
    """Of the 64 bytes at `source`, nine bit masks that tell ASCII tokens apart.

    In order: word characters, letters, digits, marks that join words (`. ' @ & #`), marks that
    join digits (`, : /`), white space and control characters, bytes that equal the next one,
    apostrophes, and bytes >= 0x80.
    """
    result = types.UniTuple(types.uint64, 9)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        following = _load_block(builder, builder.add(args[0], ir.Constant(_I64, 1)))
        letter = _between(builder, builder.or_(block, _all(32)), ord("a"), ord("z"))
        digit = _between(builder, block, ord("0"), ord("9"))
        gap = builder.or_(_between(builder, block, 0, 32), _equals(builder, block, "\x7f"))
        masks = (
            builder.or_(builder.or_(letter, digit), _equals(builder, block, "_")),
            letter,
            digit,
            _one_of(builder, block, ".'@&#"),
            _one_of(builder, block, ",:/"),
            gap,
            builder.icmp_unsigned("==", block, following),
            _equals(builder, block, "'"),
            builder.icmp_signed("<", block, _all(0)),
        )
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


@intrinsic
def gap_masks(_context: Llvm, source: Llvm) -> _Codegen:
    """Of the 64 bytes at `source`, six bit masks for tokens between gaps.

    In order: bytes that are not zero, bytes that are no ASCII white space, ASCII letters, bytes
    that continue a character (0x80-0xBF), bytes >= 0x80, and `#`.
    """
    result = types.UniTuple(types.uint64, 6)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        space = builder.or_(_between(builder, block, 9, 13), _between(builder, block, 28, 32))
        masks = (
            builder.icmp_unsigned("!=", block, _all(0)),
            builder.not_(space),
            _between(builder, builder.or_(block, _all(32)), ord("a"), ord("z")),
            builder.icmp_signed("<", block, _all(-64)),
            builder.icmp_signed("<", block, _all(0)),
            _equals(builder, block, "#"),
        )
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


@intrinsic
def character_masks(_context: Llvm, source: Llvm) -> _Codegen:
    r"""Of the 64 bytes at `source`, twelve bit masks.

    In order: ASCII letters, capitals, vowels, digits, white space, punctuation and symbols, full
    stops, newlines, the bytes that continue a character (0x80-0xBF), `#`, `{` with `}`, and `e`.
    """
    result = types.UniTuple(types.uint64, 12)

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        low = builder.or_(block, _all(32))
        letter = _between(builder, low, ord("a"), ord("z"))
        vowel = _one_of(builder, low, "aeiouy")
        digit = _between(builder, block, ord("0"), ord("9"))
        space = builder.or_(_between(builder, block, 9, 13), _between(builder, block, 28, 32))
        visible = _between(builder, block, 33, 126)
        masks = (
            letter,
            _between(builder, block, ord("A"), ord("Z")),
            vowel,
            digit,
            space,
            builder.and_(visible, builder.not_(builder.or_(letter, digit))),
            _equals(builder, block, "."),
            _equals(builder, block, "\n"),
            builder.icmp_signed("<", block, _all(-64)),
            _equals(builder, block, "#"),
            _one_of(builder, block, "{}"),
            _equals(builder, low, "e"),
        )
        bits = [builder.bitcast(mask, _I64) for mask in masks]
        return context.make_tuple(builder, result, bits)

    return result(types.uint64), codegen


@intrinsic
def add_letter_counts(_context: Llvm, source: Llvm, counts: Llvm) -> _Codegen:
    """Add how often each ASCII letter, in either case, stands in the 64 bytes at `source`.

    `counts` is the address of 26 int64.
    """

    def codegen(context: Llvm, builder: Llvm, _s: Llvm, args: Llvm) -> Llvm:
        block = _load_block(builder, args[0])
        low = builder.or_(block, _all(32))
        first = builder.inttoptr(args[1], _I64.as_pointer())
        masks = [_equals(builder, low, chr(code)) for code in range(97, 123)]
        for i, mask in enumerate(masks):
            place = builder.gep(first, [ir.Constant(_I64, i)])
            found = builder.ctpop(builder.bitcast(mask, _I64))
            builder.store(builder.add(builder.load(place), found), place)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), codegen


@maker
def with_more_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A copy with room for twice as many rows.

    Cell by cell: to assign a slice, Numba compiles the words of its error, for three seconds.
    """
    grown = np.empty((2 * rows.shape[0], rows.shape[1]), np.int64)
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            grown[row, column] = rows[row, column]
    return grown
