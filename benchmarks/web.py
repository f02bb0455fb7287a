"""The main job on a mixed crawl with known provenance, and whether another seed says the same.

`python -m benchmarks.web [--seed 18] [--runs runs] [--minutes 5]` runs `configs/web.toml` on the
corpus `mixed` of the test corpora; documents of clean provenance make the oracle arm. The run stays
in `RUNS/web-SEED`, and every other seed found there is compared with this one: estimates of a
contrast and evaluation set agree where they differ by at most two joint standard errors.
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
from benchmarks.results import write_section
from curate.config import load_config

HERE = Path(__file__).parent
CORPORA = HERE.parents[1] / "shared" / "corpora"
MOST = 20.0  # minutes that a run may take
AGREE = 0.9  # of the arms


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
    others = {p.name: tests(p) for p in sorted(asked.runs.glob("web-*")) if p.name != folder.name}
    compared = [compare(name, tests(folder), table) for name, table in others.items()]
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


def tests(folder: Path) -> pl.DataFrame:
    """What each contrast says on each evaluation set, at the budget that speaks for it."""
    table = pl.read_parquet(folder / "run" / "scaling" / "multipliers.parquet")
    keys = ["contrast", "family", "size", "n_tokens"]
    speaking = table.filter("decisive").select(keys)
    return table.filter(quantity="multiplier").join(speaking, on=keys, how="semi")


def compare(name: str, mine: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, Any]:
    """Agreement of two seeds over all contrasts and sets that both reached."""
    keys = ["contrast", "family", "size", "eval_set"]
    both = mine.filter("reached").join(theirs.filter("reached"), on=keys)
    both = both.filter(pl.col("contrast") != "null_a → null_b")
    apart = (pl.col("estimate").log() - pl.col("estimate_right").log()).abs()
    joint = (pl.col("standard_error") ** 2 + pl.col("standard_error_right") ** 2).sqrt()
    within = int(both.select((apart <= 2 * joint + 1e-12).sum()).item())
    words = pl.concat_list("conclusion_without_gate", "conclusion_without_gate_right")
    turned = both.filter(words.list.contains("worth") & words.list.contains("harms"))
    share = within / max(both.height, 1)
    said = (
        f"{name}: {within} of {both.height} estimates within two joint standard errors "
        f"({100 * share:.0f} %, at least {100 * AGREE:.0f} % wanted); {turned.height} go from "
        "worth to harms (none allowed)."
    )
    return {"said": said, "agree": share >= AGREE and turned.is_empty()}


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
        *(f"Against {c['said']}" for c in compared),
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
