"""Text where it already lies: addresses and lengths of the strings of a Polars series.

Polars stores strings as Arrow `string_view`: sixteen bytes a row, `int32 length`, then
either up to twelve bytes of text, or a prefix, the number of a data buffer and an offset
into it. Kernels read these bytes in place; nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ConfigError, InputError, IntegrityError
from curate.text.compiler import compiled


@dataclass(frozen=True, kw_only=True, slots=True)
class TextView:
    """Where each string of a series lies.

    Attributes:
        address: Address of the first byte of each string; UTF-8, not terminated.
        length: Length of each string in bytes.
        owner: What keeps the memory alive. Hold the view for as long as a kernel reads
            its addresses.
    """

    address: NDArray[np.uint64]
    length: NDArray[np.int64]
    owner: object

    def __len__(self) -> int:
        return len(self.length)


def text_view(text: pl.Series) -> TextView:
    """Addresses of the strings of a series, without copying them.

    Args:
        text: A String series; slices and several chunks are fine.

    Raises:
        ConfigError: The series is not of dtype String.
        InputError: A row is null. Null text belongs into the quarantine, not here.
        IntegrityError: A row points outside its data buffer.

    >>> view = text_view(pl.Series(["short", "longer than twelve bytes", ""]))
    >>> view.length.tolist()
    [5, 24, 0]
    """
    _check(text)
    array = text.to_arrow(compat_level=pl.CompatLevel.newest())
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    views = [_chunk_view(chunk) for chunk in chunks]
    return TextView(
        address=np.concatenate([address for address, _ in views] or [np.empty(0, np.uint64)]),
        length=np.concatenate([length for _, length in views] or [np.empty(0, np.int64)]),
        owner=(text, array),
    )


def _check(text: pl.Series) -> None:
    if text.dtype != pl.String:
        raise ConfigError(f"column {text.name!r} is {text.dtype}, but text must be String")
    if text.null_count():
        row = text.is_null().arg_max()
        raise InputError(f"column {text.name!r} is null in row {row}, but text must not be null")


def _chunk_view(chunk: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    _validity, views, *data = chunk.buffers()
    rows = len(chunk)
    address, length = np.empty(rows, np.uint64), np.empty(rows, np.int64)
    if rows == 0:
        return address, length
    fields = np.frombuffer(views, np.int32).reshape(-1, 4)[chunk.offset : chunk.offset + rows]
    starts = np.array([buffer.address for buffer in data], np.uint64)
    sizes = np.array([buffer.size for buffer in data], np.int64)
    bad_row = _locate(fields, (starts, sizes), (address, length))
    if bad_row >= 0:
        raise IntegrityError(f"row {bad_row} of an Arrow string_view points outside its buffer")
    return address, length


@compiled
def _locate(
    fields: NDArray[np.int32],
    data: tuple[NDArray[np.uint64], NDArray[np.int64]],
    out: tuple[NDArray[np.uint64], NDArray[np.int64]],
) -> int:
    """Fill addresses and lengths; returns the first row that cannot be, or -1."""
    starts, sizes = data
    address, length = out
    inline = fields.ctypes.data
    for row in range(fields.shape[0]):
        size = np.int64(fields[row, 0])
        length[row] = size
        if 0 <= size <= 12:
            address[row] = np.uint64(inline) + np.uint64(16 * row + 4)
            continue
        buffer, offset = np.int64(fields[row, 2]), np.int64(fields[row, 3])
        if size < 0 or not 0 <= buffer < starts.shape[0] or offset < 0:
            return row
        if offset + size > sizes[buffer]:
            return row
        address[row] = starts[buffer] + np.uint64(offset)
    return -1
