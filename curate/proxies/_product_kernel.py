"""Matrix products by tiles: operands are packed so that each is read in the order of its bytes.

A packed operand has the shape (panels, steps, columns of a panel): steps lie along k, the
dimension that is summed over, and hold float32, or a pair of bfloat16 as uint32.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from curate.proxies._tile_kernel import step_down, tile, transpose

Operand = NDArray[Any]  # float32, or uint16 that holds bfloat16
Packed = NDArray[Any]  # float32, or uint32 that holds pairs
WIDE = 64  # columns of a panel
_PACKED_STEPS = 8  # of a panel before the next one's: rows that are read together
_BLOCK_ROWS = 64  # of a left operand, which stay close while all panels of the right one pass

_compiled = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
# What kernels call is inlined, so that its machine code exists once: of two copies, rounded
# differently under fastmath, a process that compiles may run another than one that loads the cache.
_part = numba.njit(fastmath=True, nogil=True, forceinline=True, error_model="numpy")


def pair(x: Any) -> Any:  # noqa: ANN401
    """Numbers of an array that make a step: 2 of bfloat16."""
    return 2 if x.dtype == np.uint16 else 1


def _along(x: Any, row: Any, first: Any, step: Any) -> Any:  # noqa: ANN401 - compiled by its overload
    """A step whose numbers lie side by side."""


@numba.njit(inline="always")
def joined(one: np.uint16, two: np.uint16) -> np.uint32:
    """Two bfloat16 as a pair."""
    return np.uint32(np.uint32(one) | np.uint32(np.uint32(two) << np.uint32(16)))


@overload(pair, strict=False)
def _pair_compiled(x: Any) -> Any:  # noqa: ANN401
    if isinstance(x.dtype, types.Integer):
        return lambda x: 2
    return lambda x: 1


@overload(_along, strict=False)
def _along_compiled(x: Any, row: Any, first: Any, step: Any) -> Any:  # noqa: ANN401
    if isinstance(x.dtype, types.Integer):
        return lambda x, row, first, step: joined(
            x[row, first + 2 * step], x[row, first + 2 * step + 1]
        )
    return lambda x, row, first, step: x[row, first + step]


@_compiled
def pack_panel(
    given: Operand, first: int, column: int, wide: int, out: Packed, steps: tuple[int, int]
) -> None:
    """Steps (from, to) of one panel: `wide` columns (a multiple of 16) from the given ones on."""
    columns, width = out.shape[1], given.shape[1]
    for step in range(steps[0], steps[1]):
        place = (first + step * pair(given)) * width + column
        for j in range(0, wide, 16):
            step_down(given, place + j, width, out, step * columns + j)


@_compiled
def pack(given: Operand, first: int, out: Packed) -> None:
    """Rows of `given` from `first` on, as many as `out` has steps for, k along its rows."""
    panels, steps, columns = out.shape
    for start in range(0, steps, _PACKED_STEPS):
        span = start, min(start + _PACKED_STEPS, steps)
        for panel in range(panels):
            wide = min(columns, given.shape[1] - panel * columns)
            pack_panel(given, first, panel * columns, wide, out[panel], span)


@_compiled
def pack_transposed(given: Operand, first: int, out: Packed) -> None:
    """Columns of `given` from `first` on, k along them; its rows, a multiple of 16, side by side.

    As many columns as `out` has steps for.
    """
    _, steps, columns = out.shape
    stride = given.shape[1]
    whole = steps - steps % 16
    for row in range(0, given.shape[0], 16):
        panel, column = row // columns, row % columns
        for step in range(0, whole, 16):
            at = (panel * steps + step) * columns + column
            place = row * stride + first + step * pair(given)
            transpose(given, place, stride, out, at, columns)
        for step in range(whole, steps):
            for j in range(16):
                out[panel, step, column + j] = _along(given, row + j, first, step)


@_compiled
def multiply(left: Operand, right: Packed, out: Operand) -> None:
    """`out` = left × right. Rows must be multiples of 4, columns of 16."""
    rows, width = out.shape
    steps = right.shape[1]
    stride, ahead = left.shape[1], pair(left)
    for block in range(0, rows, _BLOCK_ROWS):
        end = min(block + _BLOCK_ROWS, rows)
        for panel in range(right.shape[0]):
            column, b = panel * WIDE, panel * steps * WIDE
            wide = (width - column) // 16
            for i in range(block, end, 4):
                a, c = i * stride, i * width + column
                if wide >= 4:
                    tile(left, a, stride, ahead, right, b, WIDE, steps, out, c, width, 4, 0)
                elif wide == 3:
                    tile(left, a, stride, ahead, right, b, WIDE, steps, out, c, width, 3, 0)
                elif wide == 2:
                    tile(left, a, stride, ahead, right, b, WIDE, steps, out, c, width, 2, 0)
                else:
                    tile(left, a, stride, ahead, right, b, WIDE, steps, out, c, width, 1, 0)


@_compiled
def weigh(
    given: Operand, x: Operand, out: NDArray[np.float32], room: tuple[Packed, Packed]
) -> None:
    """`out` += transposed given × x; `room` is memory for both as panels of some rows.

    The larger of the two passes once over the smaller, which stays close.
    """
    left, right = room
    for first in range(0, given.shape[0], left.shape[1] * pair(given)):
        pack(given, first, left)
        pack(x, first, right)
        if len(left) > len(right):
            for one in range(len(left)):
                for other in range(len(right)):
                    _add_tiles(left[one], one * WIDE, right[other], other * WIDE, out)
        else:
            for other in range(len(right)):
                for one in range(len(left)):
                    _add_tiles(left[one], one * WIDE, right[other], other * WIDE, out)


@_part
def _add_tiles(
    left: Packed, row: int, right: Packed, column: int, out: NDArray[np.float32]
) -> None:
    """One panel's columns, as rows from `row` on, times another's."""
    steps, width = len(left), out.shape[1]
    wide = (width - column) // 16
    for i in range(0, min(WIDE, len(out) - row), 4):
        at = (row + i) * width + column
        if wide >= 4:
            tile(left, i, 1, WIDE, right, 0, WIDE, steps, out, at, width, 4, 1)
        elif wide == 3:
            tile(left, i, 1, WIDE, right, 0, WIDE, steps, out, at, width, 3, 1)
        elif wide == 2:
            tile(left, i, 1, WIDE, right, 0, WIDE, steps, out, at, width, 2, 1)
        else:
            tile(left, i, 1, WIDE, right, 0, WIDE, steps, out, at, width, 1, 1)
