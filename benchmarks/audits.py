"""Speed of an audit from stored verdicts, and of exact WEAT: `python -m benchmarks.audits`.

One million documents × twelve steps × fifty groups, marginal and cumulative, by documents and
by tokens, with adjusted ratios. No peer audits steps, so there is none to compare with.
"""

import os
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.results import write_section
from curate.audits import impact, weat

N, STEPS, GROUPS = 1_000_000, 12, 50


def write_verdicts(path, *, n=N, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(STEPS)]
    hits = pl.DataFrame({name: rng.random(n) < 0.05 for name in names})
    lists = [pl.when(name).then(pl.lit(f"{name}.rule")) for name in names]
    copies = np.where(rng.random(n) < 0.2, rng.integers(0, n // 10, n), -1)
    hits.select(failed=pl.concat_list(lists).list.drop_nulls()).with_columns(
        source=pl.Series(rng.integers(0, GROUPS, n)).cast(pl.String),
        language=pl.Series(rng.integers(0, GROUPS, n)).cast(pl.String),
        words=pl.Series(rng.lognormal(6, 1, n).astype(int)),
        cluster_id=pl.Series([None if c < 0 else str(c) for c in copies], dtype=pl.String),
    ).write_parquet(path)


def time_of(work):
    """CPU and wall seconds of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def audit_rows():
    with tempfile.TemporaryDirectory() as folder:
        path, warm = Path(folder) / "verdicts.parquet", Path(folder) / "small.parquet"
        write_verdicts(warm, n=20_000)
        write_verdicts(path)
        steps = {f"s{i}": [f"s{i}.rule"] for i in range(STEPS)}
        call = {"steps": steps, "tokens": "words", "cluster": "source"}
        strata = ("words", "source", "language")
        impact(pl.scan_parquet(warm), group="source", strata=strata, **call)  # compiles
        for group, errors in (("source", "duplicate clusters"), ("language", "sources")):
            for adjusted in ((), strata):
                verdicts = pl.scan_parquet(path)
                work = partial(impact, verdicts, group=group, strata=adjusted, **call)
                kind = "crude and adjusted" if adjusted else "crude"
                yield f"by {group}, errors by {errors}, {kind}", *time_of(work)


def exact_weat():
    rng = np.random.default_rng(1)
    sets = [rng.normal(size=(8, 300)) for _ in range(4)]
    work = partial(weat, sets[0], sets[1], (sets[2], sets[3]))
    return f"exact WEAT, {work().partitions:,} partitions", *time_of(work)


def main():
    rows = [f"| {name} | {cpu:.1f} | {wall:.1f} |" for name, cpu, wall in audit_rows()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    name, cpu, wall = exact_weat()
    text = [
        f"`python -m benchmarks.audits` on {os.cpu_count()} cores; 1-minute load at the end"
        f" {os.getloadavg()[0]:.1f}. Marginal and cumulative, by documents and by tokens.",
        "",
        f"| audit of 1 M documents × {STEPS} steps × {GROUPS} groups | CPU s | wall s |",
        "|---|---|---|",
        *rows,
        f"| peak memory of the process, writing the verdicts included | {peak:.2f} GB | |",
        f"| {name} | {cpu:.3f} | {wall:.3f} |",
    ]
    print("\n".join(text))
    write_section("Audits", "\n".join(text))


if __name__ == "__main__":
    main()
