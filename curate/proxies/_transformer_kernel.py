"""Compiled passes of a training step between its matrix products: each reads its rows once.

Arrays are contiguous; a row is a token. Sums, weights and gains are float32. Operands of matrix
products are too, or bfloat16, which numpy holds as uint16: they are widened where they are read
and rounded to nearest where they are written. Gradients are added to where they go unless a
docstring says otherwise. One thread, sums in one order.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
Operand = NDArray[Any]  # float32, or uint16 that holds bfloat16
Ids = NDArray[np.int64]

EPSILON = np.float32(np.finfo(np.float32).eps)
_LOG2E, _LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_POWERS = tuple(
    np.float32(c) for c in (0.5, 1.6666667e-1, 4.1666668e-2, 8.333334e-3, 1.3888889e-3, 1.984127e-4)
)
_compiled = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
# What kernels call is inlined, so that its machine code exists once: of two copies, rounded
# differently under fastmath, a process that compiles may run another than one that loads the cache.
_part = numba.njit(fastmath=True, nogil=True, forceinline=True, error_model="numpy")


@intrinsic
def _widened(typing: Any, x: Any) -> Any:  # noqa: ANN401 - numba's own types
    """A bfloat16 as float32, in 32-bit lanes (numba would take 64 for the shift)."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ANN401
        whole, real = (context.get_value_type(kind) for kind in (types.uint32, types.float32))
        bits = builder.shl(builder.zext(given[0], whole), whole(16))
        return builder.bitcast(bits, real)

    return types.float32(types.uint16), build


@intrinsic
def _rounded(typing: Any, x: Any) -> Any:  # noqa: ANN401 - numba's own types
    """The bfloat16 nearest to a float32, ties to even; not for NaN."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ANN401
        whole, half = (context.get_value_type(kind) for kind in (types.uint32, types.uint16))
        bits = builder.bitcast(given[0], whole)
        odd = builder.and_(builder.lshr(bits, whole(16)), whole(1))
        bits = builder.add(bits, builder.add(odd, whole(0x7FFF)))
        return builder.trunc(builder.lshr(bits, whole(16)), half)

    return types.uint16(types.float32), build


@intrinsic
def _larger(typing: Any, x: Any, y: Any) -> Any:  # noqa: ANN401 - numba's own types
    """The larger number; not for NaN. Over a row it vectorises, which `max` does not."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ANN401
        above = builder.fcmp_ordered(">", given[0], given[1], flags=("fast",))
        return builder.select(above, given[0], given[1], flags=("fast",))

    return types.float32(types.float32, types.float32), build


def _read(x: Any) -> Any:  # noqa: ANN401
    """A number of an operand as float32."""
    return x


def _kept(like: Any, x: Any) -> Any:  # noqa: ANN401 - compiled by its overload
    """A float32 as the array `like` holds its numbers."""
    return x


@overload(_read, strict=False)
def _read_compiled(x: Any) -> Any:  # noqa: ANN401
    if isinstance(x, types.Integer):
        return lambda x: _widened(x)
    return lambda x: x


@overload(_kept, strict=False)
def _kept_compiled(like: Any, x: Any) -> Any:  # noqa: ANN401
    if isinstance(like.dtype, types.Integer):
        return lambda like, x: _rounded(np.float32(x))
    return lambda like, x: x


@numba.njit(fastmath=True, nogil=True, inline="always", error_model="numpy")
def _exp(x: np.float32) -> np.float32:
    """Exp of a number that is not positive, to 2e-7; vectorises, unlike the C library's."""
    x = max(x, np.float32(-87.0))
    whole = np.floor(x * _LOG2E + np.float32(0.5))
    y = x - whole * _LN2
    c2, c3, c4, c5, c6, c7 = _POWERS
    series = y * y * (c2 + y * (c3 + y * (c4 + y * (c5 + y * (c6 + y * c7)))))
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    found: np.float32 = (np.float32(1.0) + y + series) * power.view(np.float32)
    return found


@_compiled
def embed(ids: Ids, table: Numbers, unit: Numbers, inverse: Numbers, stream: Numbers) -> None:
    """Rows of the table, brought to norm, into `unit` and `stream`; their factors: `inverse`."""
    width = table.shape[1]
    for n in range(len(ids)):
        row = table[ids[n]]
        total = np.float32(0.0)
        for i in range(width):
            total += row[i] * row[i]
        scale = np.float32(1.0) / np.sqrt(total / np.float32(width) + EPSILON)
        inverse[n] = scale
        for i in range(width):
            unit[n, i] = row[i] * scale
            stream[n, i] = row[i] * scale


@_compiled
def embed_backward(
    ids: Ids, given: Numbers, unit: Numbers, inverse: Numbers, table_gradient: Numbers
) -> None:
    """Gradient of the rows before they were brought to norm, added to the table's."""
    width = given.shape[1]
    for n in range(len(ids)):
        dot = np.float32(0.0)
        for i in range(width):
            dot += given[n, i] * unit[n, i]
        dot /= np.float32(width)
        row, scale = table_gradient[ids[n]], inverse[n]
        for i in range(width):
            row[i] += scale * (given[n, i] - unit[n, i] * dot)


@_compiled
def normalise(
    stream: Numbers,
    added: Operand | None,
    gain: Numbers,
    unit: Numbers,
    inverse: Numbers,
    out: Operand,
) -> None:
    """What a block made is added to the stream; then RMSNorm.

    `unit` = stream over its root mean square, `out` = unit × gain.
    """
    width = stream.shape[1]
    for n in range(len(stream)):
        row = stream[n]
        if added is not None:
            for i in range(width):
                row[i] += _read(added[n, i])
        total = np.float32(0.0)
        for i in range(width):
            total += row[i] * row[i]
        scale = np.float32(1.0) / np.sqrt(total / np.float32(width) + EPSILON)
        inverse[n] = scale
        for i in range(width):
            part = row[i] * scale
            unit[n, i] = part
            out[n, i] = _kept(out, part * gain[i])


@_compiled
def normalise_backward(
    given: Operand,
    gain: Numbers,
    unit: Numbers,
    inverse: Numbers,
    x_gradient: Numbers,
    gain_gradient: Numbers,
    operand: Operand | None,
) -> None:
    """Gradients of RMSNorm, added to those of x and of the gain; x's once more as an operand."""
    width = given.shape[1]
    for n in range(len(given)):
        dot = np.float32(0.0)
        for i in range(width):
            part = _read(given[n, i]) * unit[n, i]
            gain_gradient[i] += part
            dot += part * gain[i]
        dot /= np.float32(width)
        scale = inverse[n]
        for i in range(width):
            x_gradient[n, i] += scale * (_read(given[n, i]) * gain[i] - unit[n, i] * dot)
        if operand is not None:
            for i in range(width):
                operand[n, i] = _kept(operand, x_gradient[n, i])


@_compiled
def turn(joint: Operand, parts: Operand, cosines: Numbers, sines: Numbers) -> None:
    """Rotary positions: (windows, T, 3, heads, width) → (3, windows, heads, T, width).

    Queries are divided by the root of their width as well.
    """
    windows, positions, _, heads, width = joint.shape
    half = width // 2
    for w in range(windows):
        for t in range(positions):
            for part in range(2):
                scale = np.float32(1.0 if part else 1.0 / np.sqrt(width))
                for h in range(heads):
                    row, out = joint[w, t, part, h], parts[part, w, h, t]
                    for i in range(half):
                        one, two = _read(row[i]) * scale, _read(row[half + i]) * scale
                        out[i] = _kept(out, one * cosines[t, i] - two * sines[t, i])
                        out[half + i] = _kept(out, two * cosines[t, i] + one * sines[t, i])
            for h in range(heads):
                row, out = joint[w, t, 2, h], parts[2, w, h, t]
                for i in range(width):
                    out[i] = row[i]


@_compiled
def turn_back(parts: Operand, joint: Operand, cosines: Numbers, sines: Numbers) -> None:
    """Gradients of what `turn` made into those of what it was given."""
    windows, positions, _, heads, width = joint.shape
    half = width // 2
    for w in range(windows):
        for t in range(positions):
            for part in range(2):
                scale = np.float32(1.0 if part else 1.0 / np.sqrt(width))
                for h in range(heads):
                    given, row = parts[part, w, h, t], joint[w, t, part, h]
                    for i in range(half):
                        one, two = _read(given[i]) * scale, _read(given[half + i]) * scale
                        row[i] = _kept(row, one * cosines[t, i] + two * sines[t, i])
                        row[half + i] = _kept(row, two * cosines[t, i] - one * sines[t, i])
            for h in range(heads):
                given, row = parts[2, w, h, t], joint[w, t, 2, h]
                for i in range(width):
                    row[i] = given[i]


@_compiled
def swap(given: Operand, out: Operand) -> None:
    """(windows, a, b, width) → (windows, b, a, width)."""
    windows, first, second, width = given.shape
    for w in range(windows):
        for a in range(first):
            for b in range(second):
                row, to = given[w, a, b], out[w, b, a]
                for i in range(width):
                    to[i] = row[i]


@_compiled
def attend(scores: Operand) -> None:
    """Scores (…, T, T) become what each position takes from those up to itself, in place."""
    blocks, positions, _ = scores.shape
    shares = np.empty(positions, np.float32)
    for b in range(blocks):
        for t in range(positions):
            row = scores[b, t]
            top = _read(row[0])
            for i in range(t + 1):
                shares[i] = _read(row[i])
                top = _larger(top, shares[i])
            total = np.float32(0.0)
            for i in range(t + 1):
                share = _exp(shares[i] - top)
                shares[i] = share
                total += share
            scale = np.float32(1.0) / total
            for i in range(t + 1):
                row[i] = _kept(row, shares[i] * scale)
            row[t + 1 :] = 0


@_compiled
def attend_backward(shares: Operand, given: Operand) -> None:
    """The gradient of shares becomes that of scores, in place."""
    blocks, positions, _ = shares.shape
    for b in range(blocks):
        for t in range(positions):
            row, gradient = shares[b, t], given[b, t]
            dot = np.float32(0.0)
            for i in range(t + 1):
                dot += _read(row[i]) * _read(gradient[i])
            for i in range(t + 1):
                gradient[i] = _kept(gradient, _read(row[i]) * (_read(gradient[i]) - dot))
            gradient[t + 1 :] = 0


@_compiled
def square_positive(x: Operand, out: Operand) -> None:
    """The square of the positive part of `x`."""
    for n in range(len(x)):
        for i in range(x.shape[1]):
            positive = max(_read(x[n, i]), np.float32(0.0))
            out[n, i] = _kept(out, positive * positive)


@_compiled
def square_positive_backward(x: Operand, given: Operand) -> None:
    """The gradient of the squares becomes that of what was squared, in place."""
    for n in range(len(given)):
        for i in range(given.shape[1]):
            positive = max(_read(x[n, i]), np.float32(0.0))
            given[n, i] = _kept(given, np.float32(2.0) * positive * _read(given[n, i]))


@_compiled
def cross_entropy(scores: Operand, targets: Ids, losses: Numbers, weight: np.float32) -> None:
    """Nats of every token into `losses`; scores become `weight` times their gradient, in place."""
    vocabulary = scores.shape[1]
    shares = np.empty(vocabulary, np.float32)
    for n in range(len(targets)):
        row, target = scores[n], targets[n]
        top = _read(row[0])
        for i in range(vocabulary):
            shares[i] = _read(row[i])
            top = _larger(top, shares[i])
        aim = shares[target] - top
        total = np.float32(0.0)
        for i in range(vocabulary):
            share = _exp(shares[i] - top)
            shares[i] = share
            total += share
        losses[n] = np.log(total) - aim
        scale = weight / total
        shares[target] -= total
        for i in range(vocabulary):
            row[i] = _kept(row, shares[i] * scale)


@_part
def _adam_span(
    flat: Numbers,
    gradient: Numbers,
    first: Numbers,
    second: Numbers,
    numbers: tuple[np.float32, ...],
    factors: tuple[np.float32, ...],
) -> None:
    clip, warm, pace, kept = numbers
    b1, b2, c1, c2 = factors
    for i in range(len(flat)):
        g = gradient[i] * clip
        first[i] = b1 * first[i] + c1 * g
        second[i] = b2 * second[i] + c2 * g * g
        step = pace * first[i] / (np.sqrt(second[i]) / warm + np.float32(1e-8))
        flat[i] = flat[i] * kept - step
        gradient[i] = np.float32(0.0)


@_compiled
def gather(gradient: Numbers, part: Numbers) -> None:
    """A part's gradient is added to the first one's, and set to 0."""
    for i in range(len(gradient)):
        gradient[i] += part[i]
        part[i] = np.float32(0.0)


@_compiled
def square_sum(gradient: Numbers) -> float:
    """The sum of the squares of all numbers."""
    total = 0.0
    for i in range(len(gradient)):
        total += np.float64(gradient[i] * gradient[i])
    return total


@_compiled
def adam(
    flat: Numbers,
    gradient: Numbers,
    first: Numbers,
    second: Numbers,
    matrices: int,
    rates: tuple[float, ...],
) -> None:
    """One AdamW step with the gradient's norm clipped; the gradient is set to 0.

    Decay acts on the first `matrices` numbers; `rates` = (rate, β1, β2, decay × rate, largest
    norm, norm, steps taken before).
    """
    rate, beta1, beta2, decay, largest, norm, step = rates
    clip = np.float32(largest / norm if norm > largest else 1.0)
    warm = np.float32(np.sqrt(1 - beta2 ** (step + 1)))
    pace = np.float32(rate / (1 - beta1 ** (step + 1)))
    factors = (np.float32(beta1), np.float32(beta2), np.float32(1 - beta1), np.float32(1 - beta2))
    for begin, end, kept in ((0, matrices, 1 - decay), (matrices, len(flat), 1.0)):
        numbers = (clip, warm, pace, np.float32(kept))
        span = slice(begin, end)
        _adam_span(flat[span], gradient[span], first[span], second[span], numbers, factors)
