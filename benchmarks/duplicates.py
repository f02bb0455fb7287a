"""Near-duplicates side by side with rensa, datasketch and datatrove.

`python -m benchmarks.duplicates` (`make bench-duplicates`) gives each peer a virtual
environment of its own in a temporary folder, runs all tools in turns on the same files, and
writes a table to benchmarks/RESULTS.md. Seconds are CPU seconds of all threads, so a figure is
MB a second and core; only ratios carry over to other machines.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from benchmarks.peers import environment
from benchmarks.results import write_section

HERE = Path(__file__).parent
CORPORA = HERE.parent.parent / "shared" / "corpora"
FILES = {"planted_dups": "planted_dups/docs.parquet", "mixed": "mixed/raw.parquet"}
PEERS = {
    "rensa": ["rensa==0.5.0"],
    "datasketch": ["datasketch==2.0.0", "xxhash"],
    "datatrove": ["datatrove[io,processing]==0.10.1", "spacy"],
}
# datatrove needs half a minute for 20 MB: on `mixed` it gets every fifth document, and the
# ratio is taken against our own run on the same documents.
ROUNDS = {"planted_dups": 3, "mixed": 2, "mixed, every 5th": 1}
BARS = [
    ("signature", "rensa", 25),
    ("signature", "datasketch", 45),
    ("pairs", "rensa", 8),
    ("end_to_end", "datatrove", 150),
]
TITLE = "Near-duplicates against the peers"


def run_once(python: str, tool: str, file: Path, folder: Path) -> dict:
    script = str(HERE / "duplicates_peers.py")
    # One BLAS or Polars thread more or less changes no CPU second of the peers; ours runs as is.
    done = subprocess.run(
        [python, script, tool, str(file), str(folder / tool)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)} if tool == "curate" else None,
    )
    if done.returncode:
        raise SystemExit(f"{tool} failed on {file}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def files(folder: Path) -> Iterator[tuple[str, Path, float]]:
    """Name, file and megabytes of text of each corpus."""
    for name, relative in FILES.items():
        yield name, CORPORA / relative, megabytes(CORPORA / relative)
    sample = folder / "sample.parquet"
    pl.read_parquet(CORPORA / FILES["mixed"]).gather_every(5).write_parquet(sample)
    yield "mixed, every 5th", sample, megabytes(sample)


def megabytes(file: Path) -> float:
    return pl.scan_parquet(file).select(pl.col("text").str.len_bytes().sum()).collect().item() / 1e6


def tools_for(name: str, pythons: dict[str, str]) -> list[str]:
    if name == "mixed":
        return [t for t in pythons if t != "datatrove"]
    if name == "mixed, every 5th":
        return [t for t in pythons if t in ("curate", "datatrove")]
    return list(pythons)


def f1(found: set[str]) -> float:
    """Documents in a cluster against documents with a true partner at Jaccard 0.8."""
    pairs = pl.read_parquet(CORPORA / "planted_dups/exact_pairs.parquet").filter(pl.col("J") >= 0.8)
    true = set(pairs["i"].cast(pl.String)) | set(pairs["j"].cast(pl.String))
    recall, precision = len(found & true) / len(true), len(found & true) / len(found)
    return 2 * precision * recall / (precision + recall)


def score(result: dict) -> str:
    if "rows" in result:  # datatrove names rows; ids of planted_dups are row numbers
        return f"{f1({str(row) for row in result['rows']}):.4f}"
    raw, close = f1(set(result["clustered"])), f1(set(result["close"]))
    return f"{raw:.4f}" if raw == close else f"{raw:.4f} ({close:.4f} by estimate ≥ .75)"


def measure(pythons: dict[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """Rows of the table of speeds, and of the table of ratios."""
    rows, ratios = [], []
    run_once(pythons["curate"], "curate", CORPORA / FILES["planted_dups"], folder)  # compiles
    for name, file, size in files(folder):
        results: dict[str, list[dict]] = {tool: [] for tool in tools_for(name, pythons)}
        for _ in range(ROUNDS[name]):
            for tool, runs in results.items():  # in turns, so that a busy minute hits all
                if tool != "datatrove" or not runs:
                    runs.append(run_once(pythons[tool], tool, file, folder))
                    print(name, tool, runs[-1]["seconds"], flush=True)
        speeds = {tool: medians(runs, size) for tool, runs in results.items()}
        for tool, runs in results.items():
            rss = max(run["rss_mb"] for run in runs)
            quality = score(runs[0]) if name == "planted_dups" else "–"
            cells = [f"{speeds[tool].get(k, 0):.3g}" for k in ("signature", "pairs", "end_to_end")]
            cells = ["–" if cell == "0" else cell for cell in cells]
            rows.append(f"| {name} | {tool} | {' | '.join(cells)} | {rss:.0f} | {quality} |")
        ratios += list(ratio_rows(name, speeds))
    return rows, ratios


def medians(runs: list[dict], size: float) -> dict[str, float]:
    return {
        stage: size / statistics.median(run["seconds"][stage] for run in runs)
        for stage in runs[0]["seconds"]
    }


def ratio_rows(name: str, speeds: dict[str, dict[str, float]]) -> Iterator[str]:
    for stage, peer, bar in BARS:
        theirs = speeds.get(peer, {}).get(stage)
        if theirs:
            ratio = speeds["curate"][stage] / theirs
            met = "met" if ratio >= bar else "missed"
            yield f"| {name} | {stage} | {peer} | {ratio:.1f} × | {bar} × | {met} |"


def table(rows: list[str], ratios: list[str], missing: list[str]) -> str:
    lines = [
        f"`python -m benchmarks.duplicates` on {platform.machine()}, {os.cpu_count()} cores.",
        "14 bands × 8 rows, word 5-grams; MB of UTF-8 text a CPU second, medians of "
        "runs in turns. *signature*: shingles and 112 permutations (ours with the 128-bit hash "
        "for exact copies); *pairs*: signature, LSH, and ours the exact verification; "
        "*end to end*: Parquet in, deduplicated files out. F1 of documents with a true partner.",
        "",
        "| corpus | tool | signature | pairs | end to end | peak RSS MB | F1 at 0.8 |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "| corpus | stage | against | ratio | bar | |",
        "|---|---|---|---|---|---|",
        *ratios,
        *([f"\nNot installed here: {', '.join(missing)}."] if missing else []),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    if not CORPORA.exists():
        raise SystemExit("needs ../shared/corpora, not found")
    with tempfile.TemporaryDirectory(prefix="bench-duplicates-") as name:
        folder = Path(name)
        found = {
            tool: environment(tool, [*wanted, "numpy", "polars"], folder)
            for tool, wanted in PEERS.items()
        }
        pythons = {"curate": sys.executable} | {t: p for t, p in found.items() if p}
        text = table(*measure(pythons, folder), [t for t, p in found.items() if not p])
    write_section(TITLE, text)
    print(text)


if __name__ == "__main__":
    main()
