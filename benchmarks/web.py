"""The main job on a mixed crawl with known provenance, and whether another seed says the same.

`python -m benchmarks.web [--seed 18] [--runs runs] [--minutes 5]` runs `configs/web.toml` on the
corpus `mixed` of the test corpora; documents of clean provenance make the oracle arm. The run stays
in `RUNS/web-SEED`, and every other seed found there is compared with this one, see
`benchmarks.agreement`.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

import curate
from benchmarks.agreement import agreement
from benchmarks.results import write_section
from curate.config import load_config

HERE = Path(__file__).parent
CORPORA = HERE.parents[1] / "shared" / "corpora"
MOST = 20.0  # minutes that a run may take


def main() -> int:
    """Exit code 1 where another seed contradicts this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args()
    if not (CORPORA / "mixed").exists():
        print("needs ../shared/corpora/mixed, not found: skipped")
        return 0
    folder = asked.runs / f"web-{asked.seed}"
    started = time.perf_counter()
    run = curate.run(config(folder, asked.seed, asked.minutes))
    minutes = (time.perf_counter() - started) / 60
    found = sorted(asked.runs.glob("web-*/run/scaling/multipliers.parquet"))
    others = {p.parents[2].name: pl.read_parquet(p) for p in found if p.parents[2] != folder}
    compared = [agreement(name, multipliers(folder), table) for name, table in others.items()]
    title = f"Mixed crawl, seed {asked.seed}"
    write_section(title, "\n".join(section(run.multipliers, minutes, compared)))
    print(*run.sentences, *(c["said"] for c in compared), sep="\n")
    return 0 if all(c["agree"] for c in compared) else 1


def config(folder: Path, seed: int, minutes: float) -> Any:
    """The crawl's config with paths, the oracle's truth and a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = pl.read_parquet(CORPORA / "mixed" / "raw_truth.parquet")
    clean = pl.when(pl.col("prior") == "clean").then(None).otherwise("kind").alias("kind")
    truth.select("id", clean).write_parquet(folder / "truth.parquet")
    overrides = {
        "seed": seed,
        "truth": str(folder / "truth.parquet"),
        "input.path": str(CORPORA / "mixed" / "raw.parquet"),
        "quality.reference": str(CORPORA / "cc_c4_sample" / "c4.parquet"),
        "measure.evaluation": [str(CORPORA / "mixed" / "reference_eval.parquet")],
        "measure.minutes": minutes,
        "output.path": str(folder / "run"),
    }
    return load_config(HERE.parent / "configs" / "web.toml", overrides=overrides)


def multipliers(folder: Path) -> pl.DataFrame:
    """A run's table of multipliers."""
    return pl.read_parquet(folder / "run" / "scaling" / "multipliers.parquet")


def section(table: pl.DataFrame, minutes: float, compared: list[dict[str, Any]]) -> list[str]:
    """What was run, every contrast on every domain, and the other seeds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    keys = ["contrast", "family", "size", "n_tokens"]
    rows = table.filter(quantity="multiplier").join(
        table.filter("decisive").select(keys), on=keys, how="semi", maintain_order="left"
    )
    shown = [
        f"| {r['contrast']} | {r['family']} {r['size']}, {r['n_tokens']:,} | {r['eval_set']} | "
        f"{number(r)} | {r['conclusion']} | {r['conclusion_without_gate']} |"
        for r in rows.iter_rows(named=True)
    ]
    return [
        f"`python -m {__spec__.name if __spec__ else 'benchmarks.web'}"
        f"{' '.join(['', *sys.argv[1:]])}`: {minutes:.1f} minutes (at most {MOST:.0f} wanted), "
        f"{used.ru_utime + used.ru_stime:.0f} CPU seconds, {used.ru_maxrss / 1e6:.1f} GB peak, "
        f"{platform.machine()}, {os.cpu_count()} cores. Oracle: documents of clean provenance.",
        "",
        "| contrast | measured with | domain | multiplier | conclusion | without the gate |",
        "|---|---|---|---|---|---|",
        *shown,
        "",
        *(line for c in compared for line in (f"Against {c['said']}", "", *c["rows"], "")),
    ]


def number(row: dict[str, Any]) -> str:
    """An estimate with its interval, or a bound."""
    if row["estimate"] is None:
        return "?"
    if row["low"] is None:
        return f"{row['bound'] or ''} {row['estimate']:.2f}"
    return f"{row['estimate']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
