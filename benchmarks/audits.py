"""Speed of an audit from stored verdicts, and of exact WEAT: `python -m benchmarks.audits`.

One million documents × twelve steps × fifty groups, marginal and cumulative, by documents and
by tokens, with adjusted ratios. No peer audits steps, so there is none to compare with.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

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


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "verdicts.parquet"
        write_verdicts(Path(folder) / "small.parquet", n=20_000)
        write_verdicts(path)
        steps = {f"s{i}": [f"s{i}.rule"] for i in range(STEPS)}
        call = {"steps": steps, "tokens": "words", "cluster": "source"}
        strata = ("words", "source", "language")
        small = pl.scan_parquet(Path(folder) / "small.parquet")
        impact(small, group="source", strata=strata, **call)  # compiles
        print("| audit of 1 M documents × 12 steps × 50 groups | CPU s | wall s |")
        print("|---|---|---|")
        for group, errors in (("source", "duplicate clusters"), ("language", "sources")):
            for adjusted in ((), strata):
                cpu, wall = time.process_time(), time.perf_counter()
                impact(pl.scan_parquet(path), group=group, strata=adjusted, **call)
                took = time.process_time() - cpu, time.perf_counter() - wall
                kind = "crude and adjusted" if adjusted else "crude"
                print(f"| by {group}, errors by {errors}, {kind} | {took[0]:.1f} | {took[1]:.1f} |")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"| peak memory of the process, writing the verdicts included | {peak:.2f} GB | |")
    rng = np.random.default_rng(1)
    sets = [rng.normal(size=(8, 300)) for _ in range(4)]
    weat(sets[0], sets[1], (sets[2], sets[3]))
    cpu, wall = time.process_time(), time.perf_counter()
    tried = weat(sets[0], sets[1], (sets[2], sets[3])).partitions
    took = time.process_time() - cpu, time.perf_counter() - wall
    print(f"| exact WEAT, {tried:,} partitions | {took[0]:.3f} | {took[1]:.3f} |")


if __name__ == "__main__":
    main()
