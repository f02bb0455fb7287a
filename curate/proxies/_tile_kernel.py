"""Matrix products in registers, for processors with AVX-512: what LLVM's vectoriser does not make.

A tile is four rows of a product, 16 to 64 columns wide, summed over k in float32. Its left
operand is read number by number (any strides), its right one in vectors. With bfloat16 a "number"
is a pair of neighbours along k in 32 bits, which one instruction multiplies and sums: AVX512-BF16.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROWS, LANES = 4, 16

_REAL, _WHOLE, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_REALS, _WHOLES = ir.VectorType(_REAL, LANES), ir.VectorType(_WHOLE, LANES)


class _Bfloat(ir.Type):  # type: ignore[misc] # llvmlite is untyped
    """LLVM's bfloat, which llvmlite does not name."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat)

    def __hash__(self) -> int:
        return hash(_Bfloat)


_PAIRS, _ROUNDED = ir.VectorType(_Bfloat(), 2 * LANES), ir.VectorType(_Bfloat(), LANES)


@cache
def usable(*, low: bool) -> bool:
    """Whether this processor has the instructions (bfloat16's if `low`) and numba may use them."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES or numba.config.DISABLE_JIT:
        return False
    found = binding.get_host_cpu_features()
    wanted = ("avx512f", "avx512bw", "avx512vl", *(("avx512bf16",) if low else ()))
    return all(found.get(name, False) for name in wanted)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:  # noqa: ANN401
    """Address of an element of a contiguous array, as a whole number."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.ptrtoint(builder.gep(data, [at]), _LONG)


def _at(builder: Any, address: Any, kind: Any) -> Any:  # noqa: ANN401
    return builder.inttoptr(address, kind.as_pointer())


def _spread(builder: Any, number: Any) -> Any:  # noqa: ANN401
    """One number in all lanes."""
    nothing = ir.Constant(_REALS, ir.Undefined)
    one = builder.insert_element(nothing, number, _WHOLE(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_WHOLES, [0] * LANES))


def _summed(builder: Any, low: bool, one: Any, other: Any, total: Any) -> Any:  # noqa: ANN401
    if not low:
        kind = ir.FunctionType(_REALS, [_REALS] * 3)
        made = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32")
        return builder.call(made, [one, other, total])
    kind = ir.FunctionType(_REALS, [_REALS, _PAIRS, _PAIRS])
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    made = cgutils.get_or_insert_function(builder.module, kind, name)
    pairs = (builder.bitcast(x, _PAIRS) for x in (one, other))
    return builder.call(made, [total, *pairs])


def _strides(builder: Any, stride: Any, kind: Any) -> list[Any]:  # noqa: ANN401
    """Bytes to each of a tile's rows."""
    size = _LONG(kind.dtype.bitwidth // 8)
    return [builder.mul(builder.mul(stride, size), _LONG(i)) for i in range(ROWS)]


def _loop(
    builder: Any,  # noqa: ANN401
    low: bool,
    vectors: int,
    left: tuple[Any, list[Any], Any],
    right: tuple[Any, Any],
    count: Any,  # noqa: ANN401
) -> list[Any]:
    """Sums over `count` > 0 steps along k; left = (address, bytes to rows, bytes a step)."""
    before, loop = builder.block, builder.append_basic_block("tile")
    after = builder.append_basic_block("tiled")
    builder.branch(loop)
    builder.position_at_end(loop)
    step, here, there = (builder.phi(_LONG) for _ in range(3))
    for phi, first in ((step, _LONG(0)), (here, left[0]), (there, right[0])):
        phi.add_incoming(first, before)
    totals = [builder.phi(_REALS) for _ in range(ROWS * vectors)]
    for phi in totals:
        phi.add_incoming(ir.Constant(_REALS, [0.0] * LANES), before)
    others = [
        builder.load(_at(builder, builder.add(there, _LONG(4 * LANES * j)), _REALS), align=4)
        for j in range(vectors)
    ]
    sums = []
    for i in range(ROWS):
        place = _at(builder, builder.add(here, left[1][i]), _REAL)
        one = _spread(builder, builder.load(place, align=4))
        for j in range(vectors):
            sums.append(_summed(builder, low, one, others[j], totals[i * vectors + j]))
    for phi, found in zip(totals, sums, strict=True):
        phi.add_incoming(found, loop)
    done = builder.add(step, _LONG(1))
    for phi, found in (
        (step, done),
        (here, builder.add(here, left[2])),
        (there, builder.add(there, right[1])),
    ):
        phi.add_incoming(found, loop)
    builder.cbranch(builder.icmp_signed("<", done, count), loop, after)
    builder.position_at_end(after)
    return sums


def _fetch(builder: Any, starts: list[Any], vectors: int) -> None:  # noqa: ANN401
    """Bring what will be added to close while the sums are made."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _WHOLE, _WHOLE, _WHOLE])
    made = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    for start in starts:
        for j in range(vectors):
            place = builder.inttoptr(builder.add(start, _LONG(4 * LANES * j)), byte)
            builder.call(made, [place, _WHOLE(1), _WHOLE(3), _WHOLE(1)])


def _store(builder: Any, kind: Any, sums: Sequence[Any], starts: list[Any], *, add: bool) -> None:  # noqa: ANN401
    low = kind.dtype.bitwidth == 16
    vector, size = (_ROUNDED, 2 * LANES) if low else (_REALS, 4 * LANES)
    vectors = len(sums) // ROWS
    for place, found in enumerate(sums):
        start = builder.add(starts[place // vectors], _LONG(place % vectors * size))
        to, kept = _at(builder, start, vector), found
        if add:
            kept = builder.fadd(kept, builder.load(to, align=4))
        if low:
            kept = builder.fptrunc(kept, _ROUNDED)
        builder.store(kept, to, align=2)


@intrinsic(prefer_literal=True)
def tile(
    typing: Any,  # noqa: ANN401
    left: Any,  # noqa: ANN401
    left_at: Any,  # noqa: ANN401
    row_stride: Any,  # noqa: ANN401
    step_stride: Any,  # noqa: ANN401
    right: Any,  # noqa: ANN401
    right_at: Any,  # noqa: ANN401
    right_stride: Any,  # noqa: ANN401
    count: Any,  # noqa: ANN401
    out: Any,  # noqa: ANN401
    out_at: Any,  # noqa: ANN401
    out_stride: Any,  # noqa: ANN401
    vectors: Any,  # noqa: ANN401
    add: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Four rows of `left` times `count` > 0 rows of `right`, into `out` or (`add`) added to it.

    All arrays are contiguous; places and strides count elements of each. `left` holds float32, or
    bfloat16 (uint16, a step is a pair; uint32 holds pairs); `right` float32 or pairs in uint32;
    `out` float32 or (not added to) bfloat16. `vectors` (of 16 columns) and `add` are literals.
    """
    low, wide = left.dtype.bitwidth != 32 or left.dtype != types.float32, vectors.literal_value
    added = bool(add.literal_value)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ANN401
        size = _LONG(left.dtype.bitwidth // 8)
        a = _place(context, builder, left, given[0], given[1])
        b = _place(context, builder, right, given[4], given[5])
        rows = _strides(builder, given[2], left)
        step = builder.mul(given[3], size)
        b_step = builder.mul(given[6], _LONG(4))
        c = _place(context, builder, out, given[8], given[9])
        starts = [builder.add(c, each) for each in _strides(builder, given[10], out)]
        if added:
            _fetch(builder, starts, wide)
        sums = _loop(builder, low, wide, (a, rows, step), (b, b_step), given[7])
        _store(builder, out, sums, starts, add=added)
        return context.get_dummy_value()

    places = [types.intp] * 3
    kinds = [left, *places, right, types.intp, types.intp, types.intp, out, types.intp, types.intp]
    return types.void(*kinds, vectors, add), build


@intrinsic
def transpose(
    typing: Any,  # noqa: ANN401
    given: Any,  # noqa: ANN401
    given_at: Any,  # noqa: ANN401
    given_stride: Any,  # noqa: ANN401
    out: Any,  # noqa: ANN401
    out_at: Any,  # noqa: ANN401
    out_stride: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """16 × 16 numbers of 32 bits from rows to columns; places and strides in elements."""

    def build(context: Any, builder: Any, signature: Any, asked: Any) -> Any:  # noqa: ANN401
        def row(kind: Any, i: int, array: Any, at: Any, stride: Any) -> Any:  # noqa: ANN401
            place = builder.add(at, builder.mul(stride, _LONG(i)))
            return _at(builder, _place(context, builder, kind, array, place), _WHOLES)

        rows = [builder.load(row(given, i, *asked[:3]), align=2) for i in range(LANES)]
        for half in (8, 4, 2, 1):
            for i in range(LANES):
                if i & half:
                    continue
                one, two = rows[i], rows[i + half]
                low = [j if not j & half else LANES + j - half for j in range(LANES)]
                high = [j + half if not j & half else LANES + j for j in range(LANES)]
                rows[i] = builder.shuffle_vector(one, two, ir.Constant(_WHOLES, low))
                rows[i + half] = builder.shuffle_vector(one, two, ir.Constant(_WHOLES, high))
        for i in range(LANES):
            builder.store(rows[i], row(out, i, *asked[3:]), align=4)
        return context.get_dummy_value()

    places = [types.intp] * 2
    return types.void(given, *places, out, *places), build


@intrinsic
def step_down(
    typing: Any,  # noqa: ANN401
    given: Any,  # noqa: ANN401
    given_at: Any,  # noqa: ANN401
    stride: Any,  # noqa: ANN401
    out: Any,  # noqa: ANN401
    out_at: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """16 columns of one step of k: a row's numbers, of bfloat16 paired with the next row's."""

    def build(context: Any, builder: Any, signature: Any, asked: Any) -> Any:  # noqa: ANN401
        def load(at: Any, kind: Any) -> Any:  # noqa: ANN401
            place = _at(builder, _place(context, builder, given, asked[0], at), kind)
            return builder.load(place, align=2)

        if given.dtype.bitwidth == 32:
            found = load(asked[1], _WHOLES)
        else:
            halves = ir.VectorType(ir.IntType(16), LANES)
            one, two = (
                builder.zext(load(at, halves), _WHOLES)
                for at in (asked[1], builder.add(asked[1], asked[2]))
            )
            found = builder.or_(one, builder.shl(two, ir.Constant(_WHOLES, [16] * LANES)))
        to = _at(builder, _place(context, builder, out, asked[3], asked[4]), _WHOLES)
        builder.store(found, to, align=4)
        return context.get_dummy_value()

    return types.void(given, types.intp, types.intp, out, types.intp), build
