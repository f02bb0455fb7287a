"""Millions of synthetic signatures: banded, grouped and clustered through files.

`python -m benchmarks.duplicates_scale [MILLIONS]` (20 by default; 9 GB of temporary disk for
these). One document in ten is a near copy of an earlier one, with 85 % of its signature.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl

from benchmarks.results import write_section
from curate.duplicates import NearDuplicates, find_pairs
from curate.duplicates.graph import components
from curate.duplicates.near import candidate_pairs
from curate.duplicates.shuffle import shuffled_pairs_of_bands

CHUNK = 100_000
MEMORY_BYTES = 400_000_000
STATE_DOCUMENTS = 1_000_000
COPIED = 0.1
KEPT = 0.85


def write_signatures(path: Path, documents: int, width: int) -> int:
    """Random signatures; returns how many are copies of one in the same chunk."""
    rng = np.random.Generator(np.random.SFC64(1))
    copies = 0
    with path.open("wb") as file:
        for _ in range(0, documents, CHUNK):
            values = rng.integers(0, 1 << 32, (CHUNK, width), dtype=np.uint32)
            half = CHUNK // 2
            later = half + rng.choice(half, int(CHUNK * COPIED), replace=False)
            earlier = rng.choice(half, len(later), replace=False)
            same = rng.random((len(later), width)) < KEPT
            values[later] = np.where(same, values[earlier], values[later])
            copies += len(later)
            values.tofile(file)
    return copies


def own_memory_mb() -> float:
    """Peak memory that is the process's own; pages of mapped files belong to the system."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def state_bytes(documents: int) -> float:
    """Peak memory a document that a search in memory adds, text apart: ids of 40 characters."""

    def parts(count: int) -> Iterator[pl.DataFrame]:
        for start in range(0, count, 10_000):
            row = pl.int_range(start, min(start + 10_000, count), eager=True)
            words = {str(k): (row.hash(seed=k) % 50_000).cast(pl.String) for k in range(30)}
            ids = pl.select(pl.lit("https://example.org/") + row.cast(pl.String).str.zfill(20))
            text = pl.DataFrame(words).select(pl.concat_str(pl.all(), separator=" "))
            yield pl.DataFrame({"id": ids.to_series(), "text": text.to_series()})

    find_pairs(lambda: parts(10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    find_pairs(lambda: parts(documents))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / documents


def main() -> None:
    state = state_bytes(STATE_DOCUMENTS)
    documents = int(float(sys.argv[1] if len(sys.argv) > 1 else 20) * 1e6)
    near = NearDuplicates()
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        folder = Path(name)
        path = folder / "signatures.u32"
        copies = write_signatures(path, documents, near.permutations)
        cpu, wall = process_time(), perf_counter()
        signature = np.memmap(path, np.uint32, mode="r").reshape(documents, near.permutations)
        sizes = np.ones(documents, np.int64)
        keys = shuffled_pairs_of_bands(
            signature, sizes, near, folder=folder, memory_bytes=MEMORY_BYTES
        )
        banded = process_time() - cpu
        left, right = candidate_pairs(signature, sizes, near, band_pairs=keys)
        cluster = components(documents, left, right)
        clustered = int((cluster != np.arange(documents)).sum())
        cpu, wall = process_time() - cpu, perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    expected = near.candidate_probability(KEPT)
    text = (
        f"`python -m benchmarks.duplicates_scale {documents / 1e6:g}`: {documents:,} synthetic "
        f"signatures of 112 entries ({documents * 448 / 1e9:.1f} GB on disk), {copies:,} of them "
        f"near copies of another, in buckets of {MEMORY_BYTES // 10**6} MB.\n\n"
        "| stage | |\n|---|---|\n"
        f"| banded and grouped | {banded:.0f} CPU seconds |\n"
        f"| with leaders and components | {cpu:.0f} CPU seconds, {wall:.0f} s |\n"
        f"| peak memory, mapped pages counted | {peak:,.0f} MB |\n"
        f"| in memory instead, {STATE_DOCUMENTS:,} short texts: bytes a document at the peak | "
        f"{state:,.0f} (bar: 600, {'met' if state <= 600 else 'missed'}) |\n"
        f"| own memory at the end | {own_memory_mb():,.0f} MB |\n"
        f"| documents joined to an earlier one | {clustered:,} = {clustered / copies:.1%} of the "
        f"copies; the curve of bands promises {expected:.1%} |\n"
    )
    write_section("Duplicates out of core", text)
    print(text)


if __name__ == "__main__":
    main()
