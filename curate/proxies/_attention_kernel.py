"""Causal attention by tiles, one head of one window after the other: only what is visible.

A head's rows stay close to the processor from its queries to what it mixes. Against batched
products of whole squares this halves the products and leaves no pass over memory between them.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from curate.proxies._product_kernel import pack_panel, pack_transposed, pair
from curate.proxies._tile_kernel import step_down, tile
from curate.proxies._transformer_kernel import _exp, _kept, _larger, _read

Numbers = NDArray[np.float32]
Operand = NDArray[Any]  # float32, or uint16 that holds bfloat16
Packed = NDArray[Any]  # float32, or uint32 that holds pairs
BackwardRoom = tuple[
    tuple[Packed, Packed],
    tuple[Packed, Packed, Packed],
    tuple[Packed, Packed],
    tuple[Numbers, Numbers],
    tuple[Operand, Operand],
]
KEYS = 32  # columns of a tile of scores: positions are a multiple of it
NARROW = 16  # columns of a panel of slopes or shares by steps of their rows

_compiled = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
# What kernels call is inlined, so that its machine code exists once: of two copies, rounded
# differently under fastmath, a process that compiles may run another than one that loads the cache.
_part = numba.njit(fastmath=True, nogil=True, forceinline=True, error_model="numpy")


@numba.njit(fastmath=True, nogil=True, inline="always", error_model="numpy")
def _times(
    left: Operand,
    place: tuple[int, int, int],
    right: Packed,
    right_at: int,
    steps: int,
    out: Operand,
    out_at: int,
    stride: int,
) -> None:
    """Four rows of `left` = (place, row stride, step stride) times 16, 32, 48 or 64 columns."""
    at, rows, ahead = place
    wide = right.shape[-1]
    if wide == 32:
        tile(left, at, rows, ahead, right, right_at, 32, steps, out, out_at, stride, 2, 0)
    elif wide == 16:
        tile(left, at, rows, ahead, right, right_at, 16, steps, out, out_at, stride, 1, 0)
    elif wide == 48:
        tile(left, at, rows, ahead, right, right_at, 48, steps, out, out_at, stride, 3, 0)
    else:
        tile(left, at, rows, ahead, right, right_at, 64, steps, out, out_at, stride, 4, 0)


@_part
def _turn(rows: Operand, heads: int, turned: tuple[Numbers, Numbers], back: bool) -> None:
    """Queries and keys of a window's rows take their positions, in place, or give them `back`.

    A row holds all heads' queries, then their keys, then their values. Queries are divided by the
    root of their width as well.
    """
    cosines, sines = turned
    half = cosines.shape[1]
    scale = np.float32(1.0 / np.sqrt(np.float32(2 * half)))
    sign = np.float32(-1.0 if back else 1.0)
    for t in range(len(rows)):
        for k in range(2 * heads):
            at, factor = k * 2 * half, scale if k < heads else np.float32(1.0)
            for i in range(half):
                cosine, sine = cosines[t, i] * factor, sines[t, i] * factor * sign
                one, two = _read(rows[t, at + i]), _read(rows[t, at + half + i])
                rows[t, at + i] = _kept(rows, one * cosine - two * sine)
                rows[t, at + half + i] = _kept(rows, two * cosine + one * sine)


@_part
def _share(scores: Numbers, first: int, shares: Operand, logs: Numbers) -> None:
    """Four rows of scores, of positions from `first` on, become shares of what each sees.

    `logs` gets the logarithm of each row's sum, by which `_share_again` finds the shares.
    """
    end = (first // KEYS + 1) * KEYS
    for r in range(4):
        seen = first + r + 1
        top = scores[r, 0]
        for i in range(end):
            top = _larger(top, scores[r, i] if i < seen else np.float32(-1e30))
        total = np.float32(0.0)
        for i in range(end):
            share = _exp(scores[r, i] - top)
            share = share if i < seen else np.float32(0.0)
            scores[r, i] = share
            total += share
        scale = np.float32(1.0) / total
        logs[first + r] = top + np.log(total)
        for i in range(end):
            shares[r, i] = _kept(shares, scores[r, i] * scale)


@_part
def _share_backward(
    scores: Numbers, logs: Numbers, first: int, given: Numbers, outs: tuple[Operand, Operand]
) -> None:
    """Four rows of shares, once more from their scores, and gradients of these."""
    shares, slopes = outs
    end = (first // KEYS + 1) * KEYS
    for r in range(4):
        seen, log = first + r + 1, logs[first + r]
        dot = np.float32(0.0)
        for i in range(end):
            share = _exp(min(scores[r, i] - log, np.float32(0.0)))
            share = share if i < seen else np.float32(0.0)
            scores[r, i] = share
            dot += share * given[r, i]
        for i in range(end):
            shares[r, i] = _kept(shares, scores[r, i])
            slopes[r, i] = _kept(slopes, scores[r, i] * (given[r, i] - dot))


@_compiled
def attend(
    joint: Operand,
    mixed: Operand,
    logs: Numbers,
    turned: tuple[Numbers, Numbers],
    room: tuple[Packed, Packed, Numbers, Operand],
) -> None:
    """What each position takes from those up to itself.

    Args:
        joint: Queries, keys and values of all heads: (windows, positions, 3 × heads × width).
            Queries and keys are turned in place, queries scaled.
        mixed: Gets (windows × positions, heads × width).
        logs: Gets the logarithm of every row's sum: (windows, heads, positions).
        turned: Cosines and sines of the positions.
        room: Memory for packed keys and values, and four rows of scores and shares.
    """
    windows, heads, positions = logs.shape
    keys, values, scores, shares = room
    ahead, steps, width = pair(joint), keys.shape[1], values.shape[2]
    stride, all_steps = heads * width, (0, positions // ahead)
    for w in range(windows):
        rows = joint[w]
        _turn(rows, heads, turned, False)
        for h in range(heads):
            query = h * width
            pack_transposed(rows, query + stride, keys)
            pack_panel(rows, 0, query + 2 * stride, width, values[0], all_steps)
            for i in range(0, positions, 4):
                at = i * 3 * stride + query, 3 * stride, ahead
                for k in range(i // KEYS + 1):
                    _times(rows, at, keys, k * steps * KEYS, steps, scores, k * KEYS, positions)
                _share(scores, i, shares, logs[w, h])
                place, count = (w * positions + i) * stride + query, (i + 4) // ahead
                _times(shares, (0, positions, ahead), values, 0, count, mixed, place, stride)


@_part
def _gather_down(rows: Operand, first: int, out: Packed) -> None:
    """Four rows become steps of their columns: (columns / 16, steps, 16)."""
    steps, positions = out.shape[1], rows.shape[1]
    for r in range(0, 4, pair(rows)):
        step = (first + r) // pair(rows)
        for j in range(0, first + 4, NARROW):
            place = (j // NARROW * steps + step) * NARROW
            step_down(rows, r * positions + j, positions, out, place)


@_part
def _of_keys_and_values(
    downs: tuple[Packed, Packed],
    rights: tuple[Packed, Packed],
    rows: Operand,
    columns: tuple[int, int],
) -> None:
    """Gradients of keys and values: what all later positions give to each."""
    positions, stride = rows.shape
    steps, width = downs[0].shape[1], rights[0].shape[2]
    for i in range(0, positions, 4):
        first = i // pair(rows)
        at = (i // NARROW * steps + first) * NARROW + i % NARROW, 1, NARROW
        for k in range(2):
            out = i * stride + columns[k]
            _times(downs[k], at, rights[k], first * width, steps - first, rows, out, stride)


@_compiled
def attend_backward(
    given: Operand,
    joint: Operand,
    logs: Numbers,
    turned: tuple[Numbers, Numbers],
    room: BackwardRoom,
) -> None:
    """Queries, keys and values in `joint` become their gradients, from that of what was mixed.

    `room` is memory for keys and values across, keys, queries and gradients down; for slopes and
    shares by steps of their rows; and for four rows of scores, gradients, shares and slopes.
    """
    windows, heads, positions = logs.shape
    across, down, (slopes_down, shares_down), (scores, rises), outs = room
    keys_across, values_across = across
    keys, queries, gradients = down
    ahead, steps, width = pair(joint), keys_across.shape[1], keys.shape[2]
    stride, all_steps = heads * width, (0, positions // ahead)
    for w in range(windows):
        rows = joint[w]
        for h in range(heads):
            query = h * width
            key, value = query + stride, query + 2 * stride
            pack_transposed(rows, key, keys_across)
            pack_transposed(rows, value, values_across)
            pack_panel(rows, 0, key, width, keys[0], all_steps)
            pack_panel(rows, 0, query, width, queries[0], all_steps)
            pack_panel(given, w * positions, query, width, gradients[0], all_steps)
            for i in range(0, positions, 4):
                one = i * 3 * stride + query, 3 * stride, ahead
                two = (w * positions + i) * stride + query, stride, ahead
                for k in range(i // KEYS + 1):
                    at = k * steps * KEYS
                    _times(rows, one, keys_across, at, steps, scores, k * KEYS, positions)
                    _times(given, two, values_across, at, steps, rises, k * KEYS, positions)
                _share_backward(scores, logs[w, h], i, rises, outs)
                _gather_down(outs[0], i, shares_down)
                _gather_down(outs[1], i, slopes_down)
                left, count = (0, positions, ahead), (i + 4) // ahead
                _times(outs[1], left, keys, 0, count, rows, one[0], 3 * stride)
            _of_keys_and_values(
                (slopes_down, shares_down), (queries, gradients), rows, (key, value)
            )
        _turn(rows, heads, turned, True)
