"""Planted truth with transformers: does the gate open, and do signs agree with Kneser–Ney?

`python -m benchmarks.planted_gpt [CORPUS]` reads a demo corpus (default: builds one in a temporary
folder). The calibrator and planted inert filler are measured at two sizes, random letters and
shuffled words at the first; half of the tokens are planted, rates are chosen on draws of their
own. Beside each stands Kneser–Ney of order 3 on the same text. Kinds of text are measured by two
processes where there are two cores, one thread each.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks import proxies
from benchmarks.results import write_section
from curate.demo import build_demo_corpus
from curate.executors import serial
from curate.experiment import ExperimentResult, MeasureConfig, run_experiment
from curate.scaling import disagreement_sentences

HERE = Path(__file__).parent
TITLE = "Planted truth with transformers"
SHARE = 0.5
BUDGETS = (50_000, 100_000)
FIRST = MeasureConfig(
    arms=("raw", "curated", "calibrator"),
    families=("gpt", "kneser_ney"),
    sizes=("width32", "width64", "order3"),
    budgets=BUDGETS,
    replicates=8,
)
# Random letters cost Kneser–Ney more than four tokens each; transformers stop at their own reach.
OTHERS = replace(FIRST, arms=("raw", "curated"), sizes=("width32", "order3"), reach=5.0)
KINDS = {"inert filler": FIRST, "random letters": OTHERS, "shuffled words": OTHERS}


def main() -> None:
    """Measure, print, and write the tables."""
    started = time.monotonic()
    workers = min(2, len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        if len(sys.argv) == 1:
            build_demo_corpus(corpus)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
            found = list(processes.map(measured, KINDS, [corpus] * len(KINDS)))
    parts = tuple([line for part in found for line in part[k]] for k in range(3))
    write(parts, wall=time.monotonic() - started, used=cpu_seconds())


def measured(kind: str, corpus: Path) -> tuple[list[str], list[str], list[str]]:
    """Lines of the gate and of the planted truth for one kind of text, and what families say."""
    clean, origins, evaluation = proxies.documents(corpus)
    size = proxies.CLEAN_BYTES * (proxies.INERT_FACTOR if kind == "inert filler" else 1)
    texts = proxies.planted(proxies.PLANTED[kind], origins, size)
    inputs = proxies.with_share(proxies.encoded(clean, texts, evaluation), SHARE)
    result = run_experiment(inputs, KINDS[kind], seed=1, executor=serial)
    said = [f"- {kind}: {each}." for each in disagreement_sentences(result.multipliers)]
    found = gate_rows(result), planted_rows(kind, result), said
    print("\n".join(line for part in found for line in part), flush=True)
    return found


def cpu_seconds() -> float:
    """Of this process and of those that it started and saw end."""
    return sum(os.times()[:4])


def gate_rows(result: ExperimentResult) -> list[str]:
    """The calibrator's multiplier in every cell of the transformers, 90 %, and its vote."""
    table = result.multipliers.filter(kind="calibrator", quantity="multiplier", eval_set="all")
    chosen = {
        each["size"]: each["chosen_rate"]
        for each in result.plan["tuning"].get("gpt", {}).get("rates", ())
    }
    found = []
    for row in table.filter(family="gpt").sort("size", "n_tokens").iter_rows(named=True):
        vote = {True: "admitted", False: "refused", None: "inconclusive"}[row["admitted"]]
        rate = f"{chosen.get(row['size'], float('nan')):.3g}"
        cell = f"{row['size']} | {rate} | {row['n_tokens'] // 1000} k"
        found.append(f"| {cell} | {interval(row)} | {vote} |")
    return found


def planted_rows(kind: str, result: ExperimentResult) -> list[str]:
    """Multiplier and harm of both families."""
    table = result.multipliers.filter(contrast="raw → curated", eval_set="all")
    cells = table.select("family", "size", "n_tokens").unique().drop_nulls()
    found = []
    for family, size, n in cells.sort("family", "size", "n_tokens").iter_rows():
        m, harm = (
            table.filter(family=family, size=size, n_tokens=n, quantity=quantity)
            for quantity in ("multiplier", "harm")
        )
        shown = [interval(each.row(0, named=True)) if each.height else "–" for each in (m, harm)]
        found.append(f"| {kind} | {size} | {n // 1000} k | {shown[0]} | {shown[1]} |")
    return found


def interval(row: dict[str, object]) -> str:
    """An estimate with its interval, or its bound."""
    if row["low"] is None:
        return f"{row['bound']} {row['estimate']:.2f}"
    return f"{row['estimate']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def write(parts: tuple[list[str], ...], *, wall: float, used: float) -> None:
    """Replace this benchmark's section of the results."""
    gate, rows, said = parts
    text = "\n".join(
        [
            f"`python -m benchmarks.planted_gpt`: {wall:.0f} s on {os.cpu_count()} cores, "
            f"{used:.0f} CPU seconds, 1-minute load at the end {os.getloadavg()[0]:.1f}. "
            "Documentation of installed packages "
            f"({proxies.CLEAN_BYTES // 10**6} MB), half of the tokens planted, "
            f"{FIRST.replicates} paired draws, mean of 4 neutral sets. The calibrator costs 2.00 "
            "where a cell is limited by data; it has a say where its 90 % interval lies in "
            "[1.74, 2.30]. Rates were chosen on a draw "
            "of their own.",
            "",
            "| size | rate | budget | calibrator's multiplier | vote |",
            "|---|---|---|---|---|",
            *gate,
            "",
            "Multiplier and harm (1 = empty, above 1 = it hurts, below 1 = it teaches), 95 % "
            "intervals:",
            "",
            "| planted | size | budget | multiplier | harm |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "What the run says of it beside its headline:",
            "",
            *(said or ["- nothing: no two kinds of models surely differ by more than a tenth."]),
        ]
    )
    write_section(TITLE, text)


if __name__ == "__main__":
    main()
