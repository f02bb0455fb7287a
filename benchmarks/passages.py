"""Repeated passages, lines and paragraphs, beside Dolma's paragraph deduplication.

`python -m benchmarks.passages` (`make bench-passages`). Dolma gets an environment of its own in a
temporary folder, or `BENCH_DOLMA_PYTHON` names the Python of one. Its paragraphs are lines, which
a Bloom filter knows again in one reading; ours are compared by 64-bit hashes in two readings, and
go through files. Seconds are CPU seconds of all threads without the start of the process.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

import polars as pl

from benchmarks.duplicates import CORPORA, FILES, megabytes
from benchmarks.peers import environment
from benchmarks.results import write_section

ROUNDS = 2
TITLE = "Repeated passages and lines"
KINDS = {
    "passages": "passages of 50 words",
    "line": "lines in 2 documents",
    "paragraph": "paragraphs in 2 documents",
}
DOLMA = (
    "--dedupe.paragraphs.attribute_name=dup --dedupe.skip_empty --no-bloom_filter.read_only "
    "--bloom_filter.estimated_doc_count=5000000 "
    "--bloom_filter.desired_false_positive_rate=0.00001 --processes=1"
)


def measured(command: list[str]) -> tuple[float, float, str]:
    """CPU seconds of all threads, peak MB and output of a process."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        words = out.read().decode(errors="replace")
    if status:
        raise SystemExit(f"{command[0]} failed:\n{words[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, words


def ours(kind: str, file: str, target: str) -> None:
    """Parquet in, a table of spans out; prints seconds and spans."""
    from curate.duplicates import find_passages, find_repeated_units

    def find(frame: pl.DataFrame) -> pl.DataFrame:
        if kind == "passages":
            return find_passages(lambda: frame.iter_slices(5_000))
        return find_repeated_units(lambda: frame.iter_slices(5_000), unit=kind)

    find(pl.DataFrame({"id": ["a", "b"], "text": ["one two " * 60] * 2}))  # loads compiled code
    started = process_time()
    frame = pl.read_parquet(file, columns=["id", "text"]).cast({"id": pl.String})
    spans = find(frame)
    spans.write_parquet(target)
    print(json.dumps({"seconds": process_time() - started, "spans": spans.height}))


def dolma(python: str, folder: Path, name: str) -> tuple[float, float, int]:
    """CPU seconds, peak MB and marked lines of one run over `folder/name`."""
    home = folder / name
    (home / "bloom.bin").unlink(missing_ok=True)
    tool = str(Path(python).with_name("dolma"))
    options = [f"--documents={home}/documents/*.jsonl.gz", f"--bloom_filter.file={home}/bloom.bin"]
    seconds, peak, _ = measured([tool, "dedupe", *options, *DOLMA.split()])
    marked = 0
    for path in (home / "attributes/dup").glob("*.gz"):
        with gzip.open(path, "rt") as rows:
            marked += sum(len(json.loads(row)["attributes"]["dup"]) for row in rows)
        path.unlink()
    return seconds, peak, marked


def as_jsonl(file: Path, home: Path) -> None:
    (home / "documents").mkdir(parents=True)
    frame = pl.read_parquet(file, columns=["id", "text"]).cast({"id": pl.String})
    with gzip.open(home / "documents/a.jsonl.gz", "wt", compresslevel=1) as out:
        for id, text in frame.iter_rows():
            out.write(json.dumps({"id": id, "text": text, "source": "x"}) + "\n")


def rows_of(corpus: str, folder: Path, python: str | None) -> list[str]:
    file = CORPORA / FILES[corpus]
    size = megabytes(file)
    runs: dict[str, list[tuple[float, float, int]]] = {words: [] for words in KINDS.values()}
    if python:
        as_jsonl(file, folder / corpus)
    for _ in range(ROUNDS):
        for kind, words in KINDS.items():
            script = [sys.executable, "-m", "benchmarks.passages"]
            _, peak, said = measured([*script, kind, str(file), str(folder / "spans.parquet")])
            found = json.loads(said.splitlines()[-1])
            runs[words].append((found["seconds"], peak, found["spans"]))
        if python:
            start, _, _ = dolma(python, folder, "nothing")
            seconds, peak, marked = dolma(python, folder, corpus)
            runs.setdefault("dolma, lines", []).append((seconds - start, peak, marked))
    rows = []
    for words, each in runs.items():
        seconds = statistics.median(run[0] for run in each)
        peak = max(run[1] for run in each)
        rows.append(f"| {corpus} | {words} | {size / seconds:.1f} | {peak:.0f} | {each[0][2]:,} |")
    return rows


def main() -> None:
    if not CORPORA.exists():
        raise SystemExit("needs ../shared/corpora, not found")
    with tempfile.TemporaryDirectory(prefix="bench-passages-") as name:
        folder = Path(name)
        python = environment("dolma", ["dolma==1.2.1"], folder)
        one = folder / "one.parquet"
        pl.DataFrame({"id": ["a"], "text": ["nothing"]}).write_parquet(one)
        as_jsonl(one, folder / "nothing")
        rows = [row for corpus in FILES for row in rows_of(corpus, folder, python)]
    text = "\n".join(
        [
            f"`python -m benchmarks.passages` on {platform.machine()}, {os.cpu_count()} cores: MB "
            "of text a CPU second, all threads, without the start of the process; medians of "
            f"{ROUNDS} runs in turns. Ours from Parquet to a table of spans, Dolma 1.2.1's "
            "paragraph dedupe (its paragraphs are lines; a Bloom filter of 64-bit hashes, which "
            "also marks what a document repeats of itself) from gzipped JSON lines to its "
            "attributes.",
            "",
            "| corpus | what | MB a second | peak RSS MB | spans |",
            "|---|---|---|---|---|",
            *rows,
            *([] if python else ["\nDolma could not be installed here; nothing was compared."]),
        ]
    )
    write_section(TITLE, text)
    print(text)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        ours(*sys.argv[1:])
    else:
        main()
