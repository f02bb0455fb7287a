"""Keys that meet: rows (key, document) go through Parquet buckets, so memory stays bounded.

A bucket is a range of keys. Rows of all parts of one bucket are read together, sorted by key,
and whoever shares a key stands side by side. A cluster runs the same files: parts are written
anywhere, buckets are read anywhere, and a lost file is made again alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.near import CHAIN, agreements_in_turns, entries_needed
from curate.duplicates.pages import let_go
from curate.duplicates.settings import NearDuplicates
from curate.text.compiler import compiled
from curate.text.words import U64

#: Rows in memory cost their 16 bytes about five times over while a bucket is sorted.
_BYTES_PER_ROW = 80
_MOST_BUCKETS = 4096
_CHUNK_ROWS = 1 << 20  # keys that are sorted and written at once


def write_buckets(
    chunks: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], folder: Path, *, buckets: int
) -> int:
    """Spread rows over `folder/bucket=NNNN/part-SSSSS.parquet` by the leading bits of the key.

    Args:
        chunks: Keys and document numbers, both of the same length; documents ascend from chunk
            to chunk.
        folder: Where the buckets go; made if missing.
        buckets: A power of two.

    Returns:
        Rows written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> keys = np.array([5, 1 << 63, 5], np.uint64)
    >>> write_buckets([(keys, np.array([0, 1, 2]))], folder, buckets=2)
    3
    >>> [(k.tolist(), d.tolist()) for k, d in read_buckets(folder)]
    [([5, 5], [0, 2]), ([9223372036854775808], [1])]
    """
    shift = U64(64 - max(buckets.bit_length() - 1, 1))
    written = 0
    for number, (keys, documents) in enumerate(chunks):
        order = np.argsort(keys)  # by vector instructions, hence not stable: see read_buckets
        keys, documents = keys[order], documents[order]
        edges = np.searchsorted(keys >> shift, np.arange(buckets + 1, dtype=np.uint64))
        edges[-1] = len(keys)
        for bucket in np.flatnonzero(np.diff(edges)):
            start, end = edges[bucket], edges[bucket + 1]
            path = folder / f"bucket={bucket:04}" / f"part-{number:05}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = pl.DataFrame({"key": keys[start:end], "document": documents[start:end]})
            rows.write_parquet(path, compression="uncompressed", statistics=False)
        written += len(keys)
    return written


def read_buckets(folder: Path) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Keys (sorted) and documents (ascending within a key) of each bucket, one after the other.

    >>> list(read_buckets(Path("/nonexistent")))
    []
    """
    for bucket in sorted(folder.glob("bucket=*")):
        rows = pl.read_parquet(sorted(bucket.glob("*.parquet")), hive_partitioning=False)
        keys, documents = rows["key"].to_numpy(), rows["document"].to_numpy()
        del rows
        order = np.argsort(keys)
        keys, documents = keys[order], documents[order]
        _sort_within(keys, documents)
        yield keys, documents


def buckets_for(rows: int, memory_bytes: int) -> int:
    """The least power of two of buckets of which one fits into the memory.

    >>> buckets_for(10**9, 2 * 10**9)
    64
    """
    buckets = 2
    while buckets < _MOST_BUCKETS and rows * _BYTES_PER_ROW > memory_bytes * buckets:
        buckets *= 2
    return buckets


def shuffled_pairs_of_bands(
    signature: NDArray[np.uint32],
    n_shingles: NDArray[np.int64],
    near: NearDuplicates,
    *,
    folder: Path,
    memory_bytes: int,
) -> NDArray[np.int64]:
    """What `pairs_of_bands` finds, with the bands in files and the signatures in a mapped one.

    Args:
        signature: (documents, near.permutations), in document order, e.g. a memory map.
        n_shingles: Size of each document; one with 0 takes no part.
        near: Threshold and bands.
        folder: An empty folder for the buckets.
        memory_bytes: What one bucket may take.

    >>> import tempfile
    >>> values = np.tile(np.arange(112, dtype=np.uint32), (3, 1))
    >>> folder = Path(tempfile.mkdtemp())
    >>> ones = np.ones(3, np.int64)
    >>> shuffled_pairs_of_bands(
    ...     values, ones, NearDuplicates(), folder=folder, memory_bytes=10**6
    ... ).tolist()
    [1, 2, 5]
    """
    documents, needed = len(n_shingles), entries_needed(near)
    buckets = buckets_for(documents * near.bands, memory_bytes)
    write_buckets(_band_keys(signature, n_shingles, near), folder / "bands", buckets=buckets)
    found = pending = np.empty(0, np.int64)
    for keys, members in read_buckets(folder / "bands"):
        # A pair meets in several buckets: gathered first, its signatures are read once, and
        # those of the earlier documents in the order of the file.
        pending = np.union1d(pending, _pairs_of_runs(keys, members, documents))
        if pending.nbytes * 4 > memory_bytes:
            found = np.union1d(found, _close(signature, pending, needed))
            pending = pending[:0]
    return np.union1d(found, _close(signature, pending, needed))


def _band_keys(
    signature: NDArray[np.uint32], n_shingles: NDArray[np.int64], near: NearDuplicates
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    step = max(1, _CHUNK_ROWS * 4 // near.bands)
    for start in range(0, len(n_shingles), step):
        rows = start + np.flatnonzero(n_shingles[start : start + step])
        # Copied out of the map, so that its pages can be let go.
        keys = _keys_of(np.array(signature[start : start + step]), rows - start, near.rows)
        let_go(signature)
        yield keys.ravel(), np.repeat(rows, near.bands)


@compiled
def _keys_of(
    signature: NDArray[np.uint32], documents: NDArray[np.int64], rows: int
) -> NDArray[np.uint64]:
    """One 64-bit key for each band of each document; bands never share a key by their place."""
    bands = signature.shape[1] // rows
    keys = np.empty((documents.shape[0], bands), np.uint64)
    for i in range(documents.shape[0]):
        for band in range(bands):
            key = U64(0x9E3779B97F4A7C15) + U64(band)
            for row in range(band * rows, (band + 1) * rows):
                key = (key ^ U64(signature[documents[i], row])) * U64(0x9FB21C651E98DF25)
                key ^= key >> U64(32)
            keys[i, band] = key * U64(0xD6E8FEB86659FD93)
    return keys


@compiled
def _sort_within(keys: NDArray[np.uint64], documents: NDArray[np.int64]) -> None:
    """Sort the documents of each run of equal keys."""
    begin = 0
    for i in range(1, keys.shape[0] + 1):
        if i == keys.shape[0] or keys[i] != keys[begin]:
            if i - begin > 1:
                documents[begin:i] = np.sort(documents[begin:i])
            begin = i


@compiled
def _pairs_of_runs(
    keys: NDArray[np.uint64], members: NDArray[np.int64], documents: int
) -> NDArray[np.int64]:
    """Each member of a run with the members right before it, as the table in memory has it."""
    pairs = np.empty(1024, np.int64)
    count, begin = 0, 0
    for i in range(1, keys.shape[0]):
        if keys[i] != keys[i - 1]:
            begin = i
        for j in range(max(begin, i - CHAIN), i):
            if count == pairs.shape[0]:
                pairs = np.concatenate((pairs, np.empty_like(pairs)))
            pairs[count] = members[j] * documents + members[i]
            count += 1
    return pairs[:count]


def _close(
    signature: NDArray[np.uint32], pairs: NDArray[np.int64], needed: int
) -> NDArray[np.int64]:
    """Pairs whose signatures agree well enough."""
    documents = len(signature)
    equal = agreements_in_turns(signature, pairs // documents, pairs % documents)
    return pairs[equal >= needed]
