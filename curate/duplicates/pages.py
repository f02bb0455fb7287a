"""Signatures that lie in a mapped file: looked at a few pages at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Look-ups between two hand-backs. One touches a page, and the system may map the fifteen beside
#: it as well: at most 64 KB a look-up, a quarter of a gigabyte in all.
_LOOKUPS = 1 << 12


def mapping_of(values: NDArray[np.uint32]) -> mmap.mmap | None:
    """The mapped file behind an array; None for one in memory.

    >>> mapping_of(np.zeros(3, np.uint32)) is None
    True
    """
    owner = values
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        if owner.base is None:
            return None
        owner = owner.base
    found = getattr(owner, "_mmap", None)
    return found if isinstance(found, mmap.mmap) else None


def let_go(values: NDArray[np.uint32]) -> None:
    """Hand the pages of a memory map back to the system; a plain array is left alone.

    >>> let_go(np.zeros(3, np.uint32))
    """
    mapped = mapping_of(values)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def turns(values: NDArray[np.uint32], lookups: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of steps after each of which the pages of `values` are handed back.

    Args:
        values: Signatures; in memory all steps are one range.
        lookups: Rows that each step looks up, at most.

    >>> list(turns(np.zeros(3, np.uint32), np.array([5, 5])))
    [(0, 2)]
    """
    steps = len(lookups)
    if mapping_of(values) is None:
        yield 0, steps
        return
    turn = np.cumsum(lookups) // _LOOKUPS
    bounds = np.flatnonzero(np.diff(turn, prepend=-1, append=-1))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield begin, end
        let_go(values)
