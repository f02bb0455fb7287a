"""Compiled counting and scoring of n-grams, written so that memory is asked for ahead of time.

Every n-gram is one place in a table far larger than any cache, and finding it is a wait for
memory. The keys of the next tokens are known beforehand, so the kernels work in blocks: first they
compute a block's keys and tell the processor which lines they will touch, then they touch them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from curate.arrays import Floats

BOUNDARY = 0

Tokens = NDArray[np.uint16]
Table = NDArray[np.uint32]  # open addressing, one row a slot; a zero key is an empty slot
Keys = NDArray[np.uint64]

# Columns of a table's row. Rows of the highest order stop after the count.
_LOW, _HIGH, _COUNT, _TOTAL, _ONES, _TWOS, _MORE = range(7)
TOP_COLUMNS, LOWER_COLUMNS = 4, 8
_FULL = 0.6  # a table grows when more of its slots are taken
START_SLOTS = 1 << 14
GOLDEN = 0x9E3779B97F4A7C15
_BLOCK = 32  # tokens whose rows are asked for together


class Tables(NamedTuple):
    """What the kernels work on.

    `lower` holds the n-grams below the highest order, each also as a context of what follows it;
    `top` those of the highest; `root`'s one row is the empty context. `used` counts the taken
    slots of the two. `histogram[k, c]` is the number of k-grams counted c times, c = 5 standing
    for five and more.
    """

    lower: Table
    top: Table
    root: Table
    used: NDArray[np.int64]
    histogram: NDArray[np.int64]
    base: np.uint64


Llvm = Any  # llvmlite and numba publish no types


@intrinsic
def _prefetch(_context: Llvm, array: Llvm, row: Llvm) -> tuple[Llvm, Callable[..., Llvm]]:
    """Ask for the cache line of a row of a table; nothing is read and nothing waits."""

    def codegen(context: Llvm, builder: Llvm, signature: Llvm, args: Llvm) -> Llvm:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        stride = cgutils.unpack_tuple(builder, struct.strides)[0]
        start = builder.ptrtoint(struct.data, ir.IntType(64))
        address = builder.add(start, builder.mul(args[1], stride))
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        # For writing, to stay in all caches, of data.
        flags = [ir.Constant(word, value) for value in (1, 3, 1)]
        builder.call(call, [builder.inttoptr(address, byte), *flags])
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@njit(nogil=True, cache=True)
def _place(table: Table, key: np.uint64) -> np.uint64:
    """Slot where the search for `key` begins."""
    mixed = key * np.uint64(GOLDEN)
    slot: np.uint64 = (mixed ^ (mixed >> np.uint64(32))) & np.uint64(table.shape[0] - 1)
    return slot


@njit(nogil=True, cache=True)
def _slot(table: Table, key: np.uint64) -> np.uint64:
    """Slot that holds `key`, or the empty one where it belongs."""
    mask = np.uint64(table.shape[0] - 1)
    low = np.uint32(key & np.uint64(0xFFFFFFFF))
    high = np.uint32(key >> np.uint64(32))
    slot: np.uint64 = _place(table, key)
    while (table[slot, _LOW] != low or table[slot, _HIGH] != high) and (
        table[slot, _LOW] != 0 or table[slot, _HIGH] != 0
    ):
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(nogil=True, cache=True)
def _claim(table: Table, key: np.uint64, used: NDArray[np.int64], which: int) -> np.uint64:
    """Slot of `key`, taken if it was empty."""
    slot: np.uint64 = _slot(table, key)
    if table[slot, _LOW] == 0 and table[slot, _HIGH] == 0:
        table[slot, _LOW] = np.uint32(key & np.uint64(0xFFFFFFFF))
        table[slot, _HIGH] = np.uint32(key >> np.uint64(32))
        used[which] += 1
    return slot


@njit(nogil=True, cache=True)
def rehash(old: Table, new: Table) -> None:
    for row in range(old.shape[0]):
        key = np.uint64(old[row, _LOW]) | (np.uint64(old[row, _HIGH]) << np.uint64(32))
        if key != 0:
            slot = _slot(new, key)
            for column in range(old.shape[1]):
                new[slot, column] = old[row, column]


@njit(nogil=True, cache=True)
def _note(table: Table, slot: np.uint64, before: int) -> None:
    """A follower of the context in `slot` went from `before` to `before + 1`."""
    table[slot, _TOTAL] += 1
    if before < 3:
        table[slot, _ONES + before] += 1
        if before > 0:
            table[slot, _ONES + before - 1] -= 1


@njit(nogil=True, cache=True)
def limit(table: Table, order: int) -> int:
    """Taken slots with which one more block of tokens may not find room."""
    return int(table.shape[0] * _FULL) - 2 * order * _BLOCK


@njit(nogil=True, cache=True)
def _keys_at(tokens: Tokens, position: int, first: int, base: np.uint64, keys: Keys) -> int:
    """Keys of the n-grams that end at `position`, by length; how long they get.

    What stands before `first` is the boundary, beyond which no n-gram reaches.
    """
    order = keys.shape[0] - 1
    if position < first:
        keys[1] = np.uint64(BOUNDARY + 1)
        return 1
    keys[1] = np.uint64(tokens[position]) + np.uint64(1)
    length, power, back = 1, np.uint64(1), position
    while length < order:
        back -= 1
        token = np.uint64(tokens[back]) if back >= first else np.uint64(BOUNDARY)
        power *= base
        keys[length + 1] = keys[length] + (token + np.uint64(1)) * power
        length += 1
        if token == BOUNDARY:
            break
    return length


@njit(nogil=True, cache=True)
def _ask(tables: Tables, keys: Keys, length: int) -> None:
    """Prefetch the rows of the n-grams that end at one token."""
    order = keys.shape[0] - 1
    for n in range(2, min(length, order - 1) + 1):
        _prefetch(tables.lower, _place(tables.lower, keys[n]))
    if length == order:
        _prefetch(tables.top, _place(tables.top, keys[order]))


@njit(nogil=True, cache=True)
def _add(tables: Tables, keys: Keys, contexts: Keys, length: int) -> None:
    """Count the longest n-gram that ends at one token, and the shorter ones as far as it is new.

    `contexts` are the keys of the token before: its n-gram of length n - 1 precedes the last token
    of this one of length n.
    """
    lower, top, root, used, histogram, _ = tables
    order = keys.shape[0] - 1
    while length > 0:
        if length == order:
            slot = _claim(top, keys[length], used, 1)
            before = top[slot, _COUNT]
            top[slot, _COUNT] = before + 1
        else:
            slot = _claim(lower, keys[length], used, 0)
            before = lower[slot, _COUNT]
            lower[slot, _COUNT] = before + 1
        if length == 1:
            _note(root, np.uint64(0), before)
        else:
            _note(lower, _claim(lower, contexts[length - 1], used, 0), before)
        histogram[length, min(before, 5)] -= 1
        histogram[length, min(before + 1, 5)] += 1
        if before > 0:
            break
        length -= 1


@njit(nogil=True, cache=True)
def count(tokens: Tokens, start: int, stop: int, tables: Tables) -> int:
    """Count `tokens[start:stop]`; the position reached, short of `stop` if a table is full."""
    order = len(tables.histogram) - 1
    lower_limit, top_limit = limit(tables.lower, order), limit(tables.top, order)
    keys = np.zeros((_BLOCK + 1, order + 1), np.uint64)  # row 0: the token before the block
    lengths = np.zeros(_BLOCK + 1, np.int64)
    position = start
    while position < stop:
        if tables.used[0] > lower_limit or tables.used[1] > top_limit:
            return position
        size = min(_BLOCK, stop - position)
        for i in range(size + 1):
            lengths[i] = _keys_at(tokens, position + i - 1, 0, tables.base, keys[i])
            if i > 0:
                _ask(tables, keys[i], lengths[i])
        for i in range(1, size + 1):
            _add(tables, keys[i], keys[i - 1], lengths[i])
        position += size
    return stop


@njit(nogil=True, cache=True)
def _mix(
    count: int, table: Table, slot: np.uint64, discounts: Floats, length: int, below: float
) -> float:
    """Discounted share of `count` in the context in `slot`, plus the freed mass times `below`."""
    freed = 0.0
    for rank in range(3):
        freed += discounts[length - 1, rank] * table[slot, _ONES + rank]
    kept = count - discounts[length - 1, min(count, 3) - 1] if count > 0 else 0.0
    probability: float = (kept + freed * below) / table[slot, _TOTAL]
    return probability


@njit(nogil=True, cache=True)
def _unigrams(tables: Tables, discounts: Floats, size: int) -> Floats:
    """Probability of each token without context."""
    probabilities = np.full(size, 1.0 / size)
    if tables.root[0, _TOTAL] > 0:
        for token in range(size):
            count = np.int64(tables.lower[_slot(tables.lower, np.uint64(token + 1)), _COUNT])
            probabilities[token] = _mix(count, tables.root, np.uint64(0), discounts, 1, 1.0 / size)
    return probabilities


@njit(nogil=True, cache=True)
def _probability(
    tables: Tables, discounts: Floats, keys: Keys, contexts: Keys, length: int, below: float
) -> float:
    """Probability of a token after its context, from its unigram probability `below`."""
    lower, top, order = tables.lower, tables.top, keys.shape[0] - 1
    probability = below
    for n in range(2, length + 1):
        slot = _slot(lower, contexts[n - 1])
        if lower[slot, _TOTAL] == 0:
            break  # an unseen context says nothing; every longer one is unseen too
        if n == order:
            seen = np.int64(top[_slot(top, keys[n]), _COUNT])
        else:
            seen = np.int64(lower[_slot(lower, keys[n]), _COUNT])
        probability = _mix(seen, lower, slot, discounts, n, probability)
    return probability


@njit(nogil=True, cache=True)
def token_bits(
    tokens: Tokens, offsets: NDArray[np.int64], tables: Tables, discounts: Floats, size: int
) -> Floats:
    """Bits of every token, each document with a fresh context."""
    order = len(discounts)
    unigrams = _unigrams(tables, discounts, size)
    bits = np.empty(len(tokens))
    keys = np.zeros((_BLOCK + 1, order + 1), np.uint64)
    lengths = np.zeros(_BLOCK + 1, np.int64)
    for document in range(len(offsets) - 1):
        first, end = offsets[document], offsets[document + 1]
        for start in range(first, end, _BLOCK):
            width = min(_BLOCK, end - start)
            for i in range(width + 1):
                lengths[i] = _keys_at(tokens, start + i - 1, first, tables.base, keys[i])
                _ask(tables, keys[i], lengths[i])
            for i in range(1, width + 1):
                below = unigrams[tokens[start + i - 1]]
                found = _probability(tables, discounts, keys[i], keys[i - 1], lengths[i], below)
                bits[start + i - 1] = -np.log2(found)
    return bits
