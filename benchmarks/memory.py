"""Peak memory of ingestion, signals and verdicts, of an input and of one ten times as large.

    python -m benchmarks.memory

Each run is a process of its own over texts made up for it; what counts is its peak resident set,
as Linux keeps it for a program (`VmHWM`): `getrusage` would begin with the peak of the parent.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.results import write_section

ROOT = Path(__file__).parents[1]
PART_BYTES = 4_000_000
HEAD = """Command: `python -m benchmarks.memory`. Ingestion, the signals of three rule sets and the
verdicts, each run a process of its own over made-up JSON lines."""
SIZES = {"small": 20_000_000, "ten times": 200_000_000}
RUN = """
import sys
from pathlib import Path
import polars as pl
from curate.corpus import InputConfig, ingest
from curate.rules import RulesConfig, judge, load_rules, required_columns
from curate.signals import measure_signals

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
done = ingest(InputConfig(path=str(source), part_bytes=int(sys.argv[3])), folder)
rules = load_rules(RulesConfig(sets=("gopher_quality", "gopher_repetition", "fineweb")))
names = required_columns(rules)
kept = 0
for part in done.parts:
    judged = judge(measure_signals(pl.read_parquet(part), names).drop("text"), rules)
    kept += judged["kept"].sum()
print(done.documents, len(done.parts), kept)
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
"""


def write_texts(path: Path, size: int, *, seed: int) -> None:
    """JSON lines of made-up documents of one to twenty thousand characters, so many bytes."""
    rng = np.random.default_rng(seed)
    words = np.array(
        ["".join(rng.choice(list("etaoinshrdlu"), n)) for n in rng.integers(1, 11, 5000)]
    )
    written = 0
    with path.open("w", encoding="utf-8") as out:
        while written < size:
            sizes = rng.integers(1_000, 20_000, 200) // 6
            texts = [
                ". ".join(" ".join(rng.choice(words, 12)) for _ in range(n // 12)) for n in sizes
            ]
            written += sum(map(len, texts))
            out.write(pl.DataFrame({"text": texts}).write_ndjson())


def peak(size: int, *, seed: int = 1) -> tuple[str, float]:
    """What a run says of its input, and its peak in MB."""
    with tempfile.TemporaryDirectory() as name:
        source, folder = Path(name) / "texts.jsonl", Path(name) / "run"
        write_texts(source, size, seed=seed)
        arguments = [sys.executable, "-c", RUN, str(source), str(folder), str(PART_BYTES)]
        done = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True)
    said, megabytes = done.stdout.splitlines()[-2:]
    return said, float(megabytes)


def memory_table(sizes: dict[str, int] = SIZES) -> str:
    """One row an input."""
    rows = [
        "| input | documents, parts, kept | peak MB |",
        "|---|---|---|",
    ]
    peaks = {name: peak(size) for name, size in sizes.items()}
    for name, size in sizes.items():
        said, megabytes = peaks[name]
        rows.append(
            f"| {name}: {size / 1e6:.0f} MB | {', '.join(said.split())} | {megabytes:.0f} |"
        )
    first, last = (
        peaks[name][1] for name in (min(sizes, key=sizes.get), max(sizes, key=sizes.get))
    )
    growth = last / first - 1
    return "\n".join(
        [*rows, "", f"Ten times the input: **{growth:+.1%}** at the peak (bar: +10 %)."]
    )


if __name__ == "__main__":
    table = memory_table()
    write_section("Peak memory", f"{HEAD}\n\n{table}\n")
    print(table)
