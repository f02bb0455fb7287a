"""Speed of the text engine beside datatrove's filters, its start, and its memory.

    python -m benchmarks.text                              # writes its section of RESULTS.md
    python -m benchmarks.text RAW.parquet                  # of other texts, printed only

Samples of ten megabytes, seeded, of the mixed crawl and of the demo's corpus. datatrove goes
into a virtual environment of its own in a temporary folder (`--peer PYTHON` uses one that is
there); without a network the script says so. CPU seconds of one thread, the fastest run of each
group. datatrove, at half a megabyte a second, sees the first documents of the sample up to
`PEER_BYTES`, once, in pieces, each a process. Ours are timed on all of these documents, in one
batch, as parts of a corpus are: before, between and after the pieces. What counts is the median of
these turns, each the fastest of five runs. Starts are seconds of fresh processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from functools import cache
from pathlib import Path
from statistics import median

os.environ.setdefault("POLARS_MAX_THREADS", "1")
import numpy as np
import polars as pl

from benchmarks.memory import memory_table
from benchmarks.results import write_section
from curate.audits import load_lexicon
from curate.demo import build_demo_corpus
from curate.rules import RulesConfig, load_rules, required_columns
from curate.signals import SIGNALS, measure_signals
from curate.signals.dialects import DIALECT_SIGNALS, DIALECT_SOURCES
from curate.text.flagged_words import WordLists, flagged_words

ROOT = Path(__file__).parents[1]
MIXED = ROOT.parent / "shared" / "corpora" / "mixed" / "raw.parquet"
PACKAGES = ("datatrove[processing]==0.10.1", "xxhash<4", "spacy", "pyarrow")
SETS = ("gopher_quality", "gopher_repetition", "fineweb")
APART = ("compression", "language")  # groups that are no part of the total
OUTSIDE = ("language",)  # a model behind an extra
PIECES = 3
SAMPLE_BYTES = 10_000_000
PEER_BYTES = 2_000_000
BAR_SPEED, BAR_RATIO, BAR_FIRST, BAR_START = 25, 250, 12, 1.5


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


def peer(
    frame: pl.DataFrame, names: tuple[str, ...], python: str
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Verdicts (empty = kept) and CPU seconds of datatrove's filters."""
    folder = Path(tempfile.mkdtemp())
    frame.select("id", "text").write_parquet(folder / "in.parquet")
    script = str(ROOT / "benchmarks" / "datatrove_peer.py")
    arguments = [str(folder / "in.parquet"), str(folder / "out.jsonl"), ",".join(names)]
    subprocess.run([python, script, *arguments], check=True)
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    return pl.DataFrame([json.loads(line) for line in lines[:-1]]), json.loads(lines[-1])


@cache
def flagged_list() -> WordLists:
    """A list of words as long as those that people flag: the terms of the packaged word list."""
    terms = {term for entry in load_lexicon("identity").entries for term in entry.terms}
    order = sorted(terms, key=lambda term: (-len(term), term))
    return WordLists(words={"": tuple(order)}, sha256={})


def seconds(frame: pl.DataFrame, names: list[str], repeats: int = 5) -> float:
    """CPU seconds of the fastest run."""
    best, lists = float("inf"), flagged_list()
    for _ in range(repeats):
        start = time.process_time()
        if all(name.startswith("flagged_") for name in names):  # without the words they share
            flagged_words(frame["text"], lists)
        else:
            measure_signals(frame, names, flagged=lists)
        best = min(best, time.process_time() - start)
    return best


def groups() -> dict[str, list[str]]:
    """Signals by the pass over the text that they come from."""
    found: dict[str, list[str]] = {}
    for name, signal in SIGNALS.items():
        if signal.source in OUTSIDE:
            continue
        found.setdefault(name if signal.source == "text" else signal.source, []).append(name)
    return found


def group_rows(frame: pl.DataFrame, size: float) -> list[str]:
    """The table of speeds: each group, and the total of those that the bar is about."""
    own = {g: names for g, names in groups().items() if g not in (*APART, *DIALECT_SOURCES)}
    own = {g: names for g, names in own.items() if not set(names) & set(DIALECT_SIGNALS)}
    total = seconds(frame, [name for names in own.values() for name in names])
    rows = ["| signals | ms a MB | MB/s a core | share |", "|---|---|---|---|"]
    for group, names in groups().items():
        taken = seconds(frame, names, 5 if group in own else 1)
        share = f"{taken / total:.0%}" if group in own else "apart"
        figures = f"{1000 * taken / size:.1f} | {size / taken:.0f} | {share}"
        rows.append(f"| {group} ({len(names)}) | {figures} |")
    count = sum(map(len, own.values()))
    rows.append(f"| together ({count}) | {1000 * total / size:.1f} | {size / total:.1f} | 100% |")
    return [
        *rows,
        "",
        f"Together: **{size / total:.1f} MB/s** (bar: {BAR_SPEED} MB/s, "
        f"{met(size / total >= BAR_SPEED)}). Apart are compression and what is measured only where "
        "a rule of one implementation or language reads it.",
    ]


def met(holds: bool) -> str:
    """The word for a bar."""
    return "met" if holds else "not met"


def against_datatrove(frame: pl.DataFrame, python: str) -> list[str]:
    """Their three filters and our fused counts on the same pieces, in turns."""
    names = groups()["statistics"]
    read = required_columns(load_rules(RulesConfig(sets=SETS)))
    frame = frame.filter(frame["text"].str.len_bytes().cum_sum() <= PEER_BYTES)
    size = frame["text"].str.len_bytes().sum() / 1e6
    ours, exact, theirs = [seconds(frame, names)], [], dict.fromkeys(SETS, 0.0)
    for piece in frame.iter_slices(-(-frame.height // PIECES)):
        for name, taken in peer(piece, SETS, python)[1].items():
            theirs[name] += taken
        ours.append(seconds(frame, names))
        exact.append(seconds(frame, read, 3))
    ratio, exact_ratio = (sum(theirs.values()) / median(each) for each in (ours, exact))
    rows = [f"| on {size:.1f} MB, {frame.height:,} documents | MB/s a core |", "|---|---|"]
    rows += [f"| datatrove {name} | {size / taken:.3f} |" for name, taken in theirs.items()]
    rows.append(f"| datatrove, the three together | {size / sum(theirs.values()):.3f} |")
    rows.append(f"| fused counts for all three | {size / median(ours):.0f} |")
    rows.append(
        "| the columns that these sets read with `dialect = datatrove` | "
        f"{size / median(exact):.0f} |"
    )
    return [
        *rows,
        "",
        f"Fused counts / datatrove's three filters: **{ratio:.0f} ×** (bar: {BAR_RATIO} ×, "
        f"{met(ratio >= BAR_RATIO)}); with the English words by spaCy's rules that the dialect "
        f"reads as well: {exact_ratio:.0f} ×.",
    ]


START = """
import time
start = time.perf_counter(), time.process_time()
import polars as pl
from curate.signals import measure_signals
measure_signals(pl.DataFrame({"text": ["One line."]}))
print(time.perf_counter() - start[0], time.process_time() - start[1])
"""


def starts() -> list[str]:
    """Seconds of a fresh process that measures one text: nothing compiled yet, then all cached.

    Three caches, each empty at first: the median of the first starts and of those after them.
    """
    rows = ["| start of a process, one text measured | wall s | CPU s |", "|---|---|---|"]
    caches = [os.environ | {"NUMBA_CACHE_DIR": tempfile.mkdtemp()} for _ in range(3)]
    taken = np.array([[_start(cache) for _ in range(2)] for cache in caches])
    (first_wall, first_cpu), (wall, cpu) = np.median(taken, axis=0)
    first, later = met(first_cpu <= BAR_FIRST), met(wall <= BAR_START)
    rows.append(
        f"| nothing compiled (bar: {BAR_FIRST} CPU s, {first}) | {first_wall:.2f} "
        f"| {first_cpu:.2f} |"
    )
    rows.append(f"| compiled before (bar: {BAR_START} s, {later}) | {wall:.2f} | {cpu:.2f} |")
    return rows


def _start(environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    command = [sys.executable, "-c", START]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    wall, cpu = (float(x) for x in done.stdout.split())
    return wall, cpu


def demo_corpus() -> str:
    """The demo's corpus, built from the documentation of this installation."""
    folder = Path(tempfile.mkdtemp())
    build_demo_corpus(folder)
    return str(folder / "raw.parquet")


def speed(sources: dict[str, str]) -> str:
    """The section of RESULTS.md."""
    names = [name for group in groups().values() for name in group]
    measure_signals(pl.DataFrame({"text": ["compiled before"]}), names, flagged=flagged_list())
    python = peer_python()
    parts = [f"`python -m benchmarks.text`, {os.cpu_count()} cores, one thread, CPU seconds."]
    for name, path in sources.items():
        frame = sample(path)
        size = frame["text"].str.len_bytes().sum() / 1e6
        parts.append(f"### {name}: {size:.1f} MB, {frame.height:,} documents")
        parts.append("\n".join(against_datatrove(frame, python)))
        parts.append("\n".join(group_rows(frame, size)))
        print("\n\n".join(parts[-3:]), flush=True)
    parts.append("\n".join(starts()))
    parts.append(memory_table())
    return "\n\n".join(parts)


def main() -> None:
    paths = [word for word in sys.argv[1:] if word.endswith(".parquet")]
    if paths:
        print(speed({"these texts": paths[0]}))
    else:
        text = speed({"mixed": str(MIXED), "demo corpus": demo_corpus()})
        write_section("Signals and fused statistics", text)
        print(text)


if __name__ == "__main__":
    main()
