"""Speed of the text engine, and its verdicts beside datatrove's.

    python -m benchmarks.text                              # every group of signals, MB/s a core
    python -m benchmarks.text RAW.parquet                  # of other texts
    python -m benchmarks.text conformance RAW.parquet      # writes docs/conformance.md

`RAW.parquet` holds `id, text`. datatrove is installed into a virtual environment of its own in a
temporary folder (`--peer PYTHON` uses one that is there); without a network the script says so.
CPU seconds of one thread; the fastest of five runs of ours, interleaved with one of theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")
import polars as pl

from curate.rules import RulesConfig, judge, load_rules, required_columns
from curate.signals import SIGNALS, measure_signals

ROOT = Path(__file__).parents[1]
MIXED = ROOT.parent / "shared" / "corpora" / "mixed" / "raw.parquet"
PACKAGES = ("datatrove[processing]==0.10.1", "xxhash<4", "spacy", "pyarrow")
SETS = ("gopher_quality", "gopher_repetition", "fineweb")
APART = ("compression", "c4")  # groups that are no part of the total
SAMPLE_BYTES = 10_000_000
CAUSES = {
    "alphabetic_words": "spaCy keeps web addresses and some bracketed code as one token, "
    "so that it counts fewer symbols",
    "word_count": "tokens at the edge of 50",
    "mean_word_length": "web addresses are one long word for spaCy",
    "duplicate_5grams": "code and tables: other tokens, other n-grams",
    "sentences": "sentences are counted by their final marks, not by a sentence splitter",
    "top_4gram": "code and tables: other tokens, other n-grams",
}


def sample(path: str) -> pl.DataFrame:
    """A seeded sample of ten megabytes."""
    frame = pl.read_parquet(path, columns=["id", "text"]).sample(fraction=1, shuffle=True, seed=1)
    size = frame["text"].str.len_bytes().cum_sum()
    return frame.filter(size <= SAMPLE_BYTES)


def peer_python() -> str:
    """The interpreter of datatrove's environment, installed if need be."""
    if "--peer" in sys.argv:
        return sys.argv[sys.argv.index("--peer") + 1]
    folder = Path(tempfile.mkdtemp(prefix="datatrove-"))
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=False)
    if done.returncode:
        raise SystemExit("datatrove could not be installed: no comparison was made")
    return python


def peer(frame: pl.DataFrame, names: tuple[str, ...]) -> tuple[pl.DataFrame, dict[str, float]]:
    """Verdicts (empty = kept) and CPU seconds of datatrove's filters."""
    folder = Path(tempfile.mkdtemp())
    frame.select("id", "text").write_parquet(folder / "in.parquet")
    script = str(ROOT / "benchmarks" / "datatrove_peer.py")
    arguments = [str(folder / "in.parquet"), str(folder / "out.jsonl"), ",".join(names)]
    subprocess.run([peer_python(), script, *arguments], check=True)
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    return pl.DataFrame([json.loads(line) for line in lines[:-1]]), json.loads(lines[-1])


def seconds(frame: pl.DataFrame, names: list[str], repeats: int = 5) -> float:
    """CPU seconds of the fastest run."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        measure_signals(frame, names)
        best = min(best, time.process_time() - start)
    return best


def speed(path: str) -> None:
    """Print the table of speeds."""
    frame = sample(path)
    megabytes = frame["text"].str.len_bytes().sum() / 1e6
    groups: dict[str, list[str]] = {}
    for name, signal in SIGNALS.items():
        groups.setdefault(name if signal.source == "text" else signal.source, []).append(name)
    measure_signals(frame.head(5))
    total = seconds(frame, [n for n, signal in SIGNALS.items() if signal.source not in APART])
    print(f"{megabytes:.1f} MB, {frame.height:,} documents\n\n| signals | MB/s a core | share |")
    print("|---|---|---|")
    for group, names in groups.items():
        taken = seconds(frame, names)
        print(f"| {group} ({len(names)}) | {megabytes / taken:.0f} | {taken / total:.0%} |")
    print(f"| all but {', '.join(APART)} | {megabytes / total:.1f} | 100% |")
    _, theirs = peer(frame, SETS)
    ours = seconds(frame, groups["statistics"])
    for name, taken in theirs.items():
        print(f"| datatrove {name} | {megabytes / taken:.3f} | |")
    ratio = sum(theirs.values()) / ours
    print(f"\ndatatrove's three filters / fused statistics, same documents: {ratio:.0f} x")


def conformance(path: str) -> None:
    """Write docs/conformance.md."""
    frame = pl.read_parquet(path, columns=["id", "text"])
    sets = (*SETS, "c4")
    rules = load_rules(RulesConfig(sets=sets))
    measured = measure_signals(frame, required_columns(rules))
    theirs, _ = peer(frame, sets)
    lines, details = [], []
    for name in sets:
        own = judge(measured, [rule for rule in rules if rule.name.startswith(f"{name}.")])
        both = own.join(theirs.select("id", other=pl.col(name)), on="id", maintain_order="left")
        lines.append(_row(name, both))
        details += _differences(name, both)
    page = (ROOT / "docs" / "conformance.md.in").read_text(encoding="utf-8")
    page = page.replace("{documents}", f"{frame.height:,}")
    page = page.replace("{table}", "\n".join(lines)).replace("{differences}", "\n".join(details))
    (ROOT / "docs" / "conformance.md").write_text(page, encoding="utf-8")


def _row(name: str, both: pl.DataFrame) -> str:
    drop_ours, drop_theirs = ~both["kept"], both["other"] != ""
    agree = (drop_ours == drop_theirs).mean()
    p, q = drop_ours.mean(), drop_theirs.mean()
    by_chance = p * q + (1 - p) * (1 - q)
    kappa = (agree - by_chance) / (1 - by_chance)
    return f"| {name} | {agree:.2%} | {kappa:.3f} | {p:.1%} | {q:.1%} |"


def _differences(name: str, both: pl.DataFrame) -> list[str]:
    differ = both.filter(pl.col("kept") == (pl.col("other") != ""))
    first = differ.with_columns(first=pl.col("failed").list.first())
    counts = first.group_by("first", "other").len().sort("len", "first", "other", descending=True)
    rows = []
    for rule, other, n in counts.iter_rows():
        rows.append(
            f"| {name} | {rule or 'kept'} | {other or 'kept'} | {n} | "
            f"{CAUSES.get(str(rule).partition('.')[2], 'other tokens')} |"
        )
    return rows


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word.endswith(".parquet")] or [str(MIXED)]
    (conformance if "conformance" in sys.argv else speed)(words[0])
