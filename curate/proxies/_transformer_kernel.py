"""Compiled passes of a training step between its matrix products: each reads its rows once.

All arrays are float32 and contiguous; a row is a token. Gradients are added to where they go
unless a docstring says otherwise. One thread, sums in one order.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
Ids = NDArray[np.int64]

EPSILON = np.float32(np.finfo(np.float32).eps)
_LOG2E, _LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_POWERS = tuple(
    np.float32(c) for c in (0.5, 1.6666667e-1, 4.1666668e-2, 8.333334e-3, 1.3888889e-3, 1.984127e-4)
)
_compiled = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")


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
def embed(ids: Ids, table: Numbers, unit: Numbers, inverse: Numbers) -> None:
    """Rows of the table, brought to norm: into `unit`; what they were multiplied by: `inverse`."""
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
def normalise(x: Numbers, gain: Numbers, unit: Numbers, inverse: Numbers, out: Numbers) -> None:
    """RMSNorm: `unit` = x over its root mean square, `out` = unit × gain."""
    width = x.shape[1]
    for n in range(len(x)):
        total = np.float32(0.0)
        for i in range(width):
            total += x[n, i] * x[n, i]
        scale = np.float32(1.0) / np.sqrt(total / np.float32(width) + EPSILON)
        inverse[n] = scale
        for i in range(width):
            unit[n, i] = x[n, i] * scale
            out[n, i] = unit[n, i] * gain[i]


@_compiled
def normalise_backward(
    given: Numbers,
    gain: Numbers,
    unit: Numbers,
    inverse: Numbers,
    x_gradient: Numbers,
    gain_gradient: Numbers,
) -> None:
    """Gradients of RMSNorm, added to those of x and of the gain."""
    width = given.shape[1]
    for n in range(len(given)):
        dot = np.float32(0.0)
        for i in range(width):
            part = given[n, i] * unit[n, i]
            gain_gradient[i] += part
            dot += part * gain[i]
        dot /= np.float32(width)
        scale = inverse[n]
        for i in range(width):
            x_gradient[n, i] += scale * (given[n, i] * gain[i] - unit[n, i] * dot)


@_compiled
def turn(joint: Numbers, cosines: Numbers, sines: Numbers) -> None:
    """Rotary positions, in place: queries and keys of `joint` (windows, T, 3, heads, width)."""
    windows, positions, _, heads, width = joint.shape
    half = width // 2
    for w in range(windows):
        for t in range(positions):
            for part in range(2):
                for h in range(heads):
                    row = joint[w, t, part, h]
                    for i in range(half):
                        one, two = row[i], row[half + i]
                        row[i] = one * cosines[t, i] - two * sines[t, i]
                        row[half + i] = two * cosines[t, i] + one * sines[t, i]


@_compiled
def turn_back(parts: tuple[Numbers, ...], cosines: Numbers, sines: Numbers, joint: Numbers) -> None:
    """Gradients of turned queries, keys, and of values into `joint`, laid out as in `turn`."""
    windows, positions, _, heads, width = joint.shape
    half = width // 2
    for w in range(windows):
        for t in range(positions):
            for h in range(heads):
                for part in range(2):
                    given, row = parts[part][w, h, t], joint[w, t, part, h]
                    for i in range(half):
                        one, two = given[i], given[half + i]
                        row[i] = one * cosines[t, i] + two * sines[t, i]
                        row[half + i] = two * cosines[t, i] - one * sines[t, i]
                given, row = parts[2][w, h, t], joint[w, t, 2, h]
                for i in range(width):
                    row[i] = given[i]


@_compiled
def square_positive(x: Numbers, out: Numbers) -> None:
    """X becomes its positive part, `out` the square of it."""
    for n in range(len(x)):
        for i in range(x.shape[1]):
            positive = max(x[n, i], np.float32(0.0))
            x[n, i] = positive
            out[n, i] = positive * positive


@_compiled
def square_positive_backward(positive: Numbers, given: Numbers) -> None:
    """The gradient of the squares becomes that of what was squared, in place."""
    for n in range(len(given)):
        for i in range(given.shape[1]):
            given[n, i] *= np.float32(2.0) * positive[n, i]


@_compiled
def cross_entropy(scores: Numbers, targets: Ids, losses: Numbers, weight: np.float32) -> None:
    """Nats of every token into `losses`; scores become `weight` times their gradient, in place."""
    vocabulary = scores.shape[1]
    for n in range(len(targets)):
        row, target = scores[n], targets[n]
        top = row[0]
        for i in range(vocabulary):
            top = max(top, row[i])
        aim = row[target] - top
        total = np.float32(0.0)
        for i in range(vocabulary):
            share = _exp(row[i] - top)
            row[i] = share
            total += share
        losses[n] = np.log(total) - aim
        scale = weight / total
        for i in range(vocabulary):
            row[i] *= scale
        row[target] -= weight


@_compiled
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
    norm, steps taken before).
    """
    rate, beta1, beta2, decay, largest, step = rates
    total = 0.0
    for i in range(len(gradient)):
        total += np.float64(gradient[i] * gradient[i])
    norm = np.sqrt(total)
    clip = np.float32(largest / norm if norm > largest else 1.0)
    warm = np.float32(np.sqrt(1 - beta2 ** (step + 1)))
    pace = np.float32(rate / (1 - beta1 ** (step + 1)))
    factors = (np.float32(beta1), np.float32(beta2), np.float32(1 - beta1), np.float32(1 - beta2))
    for begin, end, kept in ((0, matrices, 1 - decay), (matrices, len(flat), 1.0)):
        numbers = (clip, warm, pace, np.float32(kept))
        span = slice(begin, end)
        _adam_span(flat[span], gradient[span], first[span], second[span], numbers, factors)
