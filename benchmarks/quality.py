"""Quality scores side by side with DSIR's featuriser, fastText and scikit-learn's hashing.

`python -m benchmarks.quality` gives each peer a virtual environment of its own in a temporary
folder, runs all tools in turns on the same files, and writes a table to benchmarks/RESULTS.md.
Seconds are CPU seconds of all threads: documents a second and core. Only ratios carry over to
other machines. The task beside it: mail against spam, bodies only, senders held out.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from benchmarks.peers import environment
from benchmarks.results import write_section
from curate.statistics import auc_interval

HERE = Path(__file__).parent
MIXED = HERE.parent.parent / "shared" / "corpora" / "mixed"
PEERS = {
    "dsir": ["data-selection==1.0.3", "numpy<2"],
    "fasttext": ["fasttext-wheel==0.9.2", "numpy<2"],
}
OURS = ("curate", "curate_importance", "scikit_learn")
ROUNDS = 2
CHARS, SPEED_DOCUMENTS = 1_200, 8_000
BARS = [("dsir", 3.0), ("fasttext", 0.5), ("scikit_learn", 1.0)]
LEAST_SPEED = 8_000
TITLE = "Quality scores against the peers"
SENDER = re.compile(r"(?m)^From:[^\n]*?([\w.+-]+@[\w.-]+)")


def write_data(folder: Path) -> list[str]:
    """Mail for the task, texts of 1,200 characters for the speed; senders of the test."""
    truth = pl.read_parquet(MIXED / "raw_truth.parquet")
    raw = pl.read_parquet(MIXED / "raw.parquet")
    truth = truth.filter(kind="mail_raw").select("id", "label")
    mails = raw.join(truth, on="id", maintain_order="left")
    found = [SENDER.search(mail) for mail in mails["text"]]
    senders = [m[1].lower() if m else str(i) for i, m in enumerate(found)]
    table = mails.select(
        "id",
        text=pl.Series([mail.split("\n\n", 1)[-1] for mail in mails["text"]]),
        label=pl.col("label") == "ham",
        group=pl.Series(senders),
    )
    tested = table["group"].rank("dense") % 5 == 0
    table.filter(~tested).write_parquet(folder / "train.parquet")
    table.filter(tested).write_parquet(folder / "test.parquet")
    long = raw.filter(pl.col("text").str.len_bytes() >= CHARS).sort("id").head(SPEED_DOCUMENTS)
    long.select(pl.col("text").str.slice(0, CHARS)).write_parquet(folder / "speed.parquet")
    return table.filter(tested)["group"].to_list()


def measure(python: str, tool: str, folder: Path) -> dict[str, object]:
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    command = [python, str(HERE / "quality_peers.py"), tool, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise SystemExit(f"{tool} failed: {done.stderr[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(found: dict[str, list[dict[str, object]]], labels, groups) -> list[str]:
    """Markdown: one row a tool, then the ratios."""
    lines = [
        "| tool | documents a CPU second | fit, CPU seconds | AUC on unseen senders [95 %] |",
        "|---|---|---|---|",
    ]
    speeds = {}
    for tool, runs in found.items():
        speeds[tool] = statistics.median(float(run["speed"]) for run in runs)
        fit = statistics.median(float(run["fit"]) for run in runs)
        auc = auc_interval(labels, runs[0]["scores"], groups)
        said = f"{auc.estimate:.4f} [{auc.low:.4f}, {auc.high:.4f}]"
        lines.append(f"| {tool} | {speeds[tool]:,.0f} | {fit:.2f} | {said} |")
    met = "met" if speeds["curate"] >= LEAST_SPEED else "missed"
    lines += ["", "| curate against | ratio | bar | |", "|---|---|---|---|"]
    lines.append(f"| {LEAST_SPEED:,} documents a second | – | – | {met} |")
    for tool, bar in BARS:
        if tool in speeds:
            ratio = speeds["curate"] / speeds[tool]
            lines.append(
                f"| {tool} | {ratio:.1f} × | {bar:g} × | {'met' if ratio >= bar else 'missed'} |"
            )
    return lines


def main() -> int:
    """Exit code: 0, also where the data or a peer is missing (it says so)."""
    if not MIXED.exists():
        print("needs ../shared/corpora/mixed, not found: skipped")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups = write_data(folder)
        labels = pl.read_parquet(folder / "test.parquet")["label"].to_numpy()
        pythons: dict[str, str | None] = dict.fromkeys(OURS, sys.executable)
        pythons |= {t: environment(t, [*wanted, "polars"], folder) for t, wanted in PEERS.items()}
        found: dict[str, list[dict[str, object]]] = {t: [] for t, p in pythons.items() if p}
        for _ in range(ROUNDS):
            for tool, runs in found.items():
                runs.append(measure(str(pythons[tool]), tool, folder))
                print(tool, f"{runs[-1]['speed']:,.0f} documents a second", flush=True)
    head = (
        f"Command: `python -m benchmarks.quality`, {platform.machine()}, {os.cpu_count()} cores.\n"
        f"Texts of {CHARS:,} characters; medians of {ROUNDS} runs in turns. *curate* scores with "
        "digests and out-of-fold look-up; its fit makes five more fits out of fold. *dsir* is its "
        "featuriser and log ratio, *scikit_learn* HashingVectorizer with the same regression. The "
        "task: mail against spam, bodies only, a fifth of the senders held out."
    )
    text = "\n".join([head, "", *table(found, labels, groups)])
    write_section(TITLE, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
