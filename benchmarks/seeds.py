"""Whether the stated errors of multipliers hold on real text: seed against seed, and coverage.

`python -m benchmarks.seeds RUN [--budget 1214000] [--title NAME]` takes the verdicts of a finished
run as they are and measures them anew in a copy: with six seeds of eight draws, from tokens to
multipliers, and once with 24 draws. Seeds are 1 to 6, and 7. Two questions:

- Do seeds differ by more than their errors say? The variance between seeds over the mean squared
  error, and how many pairs of seeds agree as two runs should (`benchmarks.agreement`).
- Do intervals of eight draws cover? The 24 draws and the evaluation documents of one seed stand for
  the population: 1,000 experiments take eight draws and as many documents, with replacement, and
  their intervals are held against the multiplier of the whole, beside Student's. The same
  experiments, two by two, say how often seeds that differ by chance alone agree.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from benchmarks.agreement import AGREE, NULL, WITHIN, apart, shared_cells
from benchmarks.results import write_section
from curate.experiment.touched import FEWEST
from curate.remeasure import measure_run
from curate.scaling import Summary, arm_curve, contrast_rows, multiplier_cells
from curate.scaling.curves import ArmCurve
from curate.statistics import binomial_band

SEEDS, MANY_SEED = range(1, 7), 7
DRAWS, MANY = 8, 24
EXPERIMENTS = 1_000
ARMS = ("raw", "curated", "leave_one_out", "random", "null")
BUDGET = 1_214_000
NOTHING = 2e-3  # contrasts whose ln m never strays further (a step that edits nothing) are left out
KEYS = ("contrast", "eval_set")
ENDS = ("low", "high", "student_low", "student_high")
SOURCES = {"estimate": "log_estimate"}
Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Curves of all arms over many draws and documents, and the contrasts that are read off them.

    Attributes:
        curves: By arm.
        sizes: Bytes of each document, by evaluation set.
        contrasts: Name, arm A, arm B.
        budget: Tokens of the smaller arm.
        few: Contrasts that sit in too few documents for eight draws: no verdict is told.
    """

    curves: dict[str, ArmCurve]
    sizes: tuple[Rows, ...]
    contrasts: tuple[tuple[str, str, str], ...]
    budget: int
    few: tuple[str, ...]


def main() -> None:
    """Measure, resample, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--title", default="mixed crawl")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        shutil.copytree(asked.run, folder)
        tables = [measured(folder, seed, DRAWS, asked.budget) for seed in SEEDS]
        measured(folder, MANY_SEED, MANY, asked.budget)
        world = read_world(folder, asked.budget)
    whole = estimates(world, *everything(world))
    taken = [experiment(world, number) for number in range(EXPERIMENTS)]
    lines = [
        *head(asked.title, asked.budget),
        *between_lines(tables),
        *agreement_lines(tables, taken),
        *coverage_lines(taken, whole, world.few),
    ]
    write_section(f"Seeds and coverage, {asked.title}", "\n".join(lines))
    print(*lines, sep="\n")


def measured(folder: Path, seed: int, draws: int, budget: int) -> pl.DataFrame:
    """The run's table of multipliers, measured anew with another seed."""
    changes = {
        "seed": seed,
        "measure.arms": list(ARMS),
        "measure.families": ["kneser_ney"],
        "measure.sizes": ["order3"],
        "measure.memorisation": False,
        "measure.shapley": False,
        "measure.stop": False,
        "measure.budgets": [budget],
        "measure.replicates": draws,
    }
    measure_run(folder, overrides=changes, say=lambda line: None)
    table = pl.read_parquet(folder / "scaling" / "multipliers.parquet")
    return table.filter(quantity="multiplier")


def read_world(folder: Path, budget: int) -> World:
    """What was measured last, document by document."""
    table = pl.read_parquet(folder / "scaling" / "multipliers.parquet")
    evaluation = pl.read_parquet(folder / "proxies" / "evaluation.parquet")
    runs = pl.read_parquet(folder / "proxies" / "runs.parquet").drop("n_params")
    losses = pl.read_parquet(folder / "proxies" / "losses.parquet")
    keys = [name for name in runs.columns if name != "loss"]
    points = losses.join(runs, on=keys, maintain_order="left")
    points = points.filter(pl.col("eval_set").is_in(evaluation["eval_set"].unique().implode()))
    contrasts = table.select("contrast", "arm_a", "arm_b").unique(maintain_order=True)
    curves = {
        arm: arm_curve(points, arm=arm, family="kneser_ney", size="order3", evaluation=evaluation)
        for arm in sorted({*contrasts["arm_a"], *contrasts["arm_b"]})
    }
    sets = next(iter(curves.values())).eval_sets
    numbers = table.filter(n_tokens=budget, eval_set="all", quantity="multiplier")
    few = numbers.filter(pl.col("effective_documents").is_between(0, FEWEST / DRAWS, "none"))
    sizes = tuple(evaluation.filter(eval_set=name)["bytes"].to_numpy() for name in sets)
    return World(
        curves=curves,
        sizes=sizes,
        contrasts=tuple(contrasts.rows()),
        budget=budget,
        few=tuple(few["contrast"]),
    )


def everything(world: World) -> tuple[Rows, list[Rows]]:
    """All draws and all documents."""
    return np.arange(MANY), [np.arange(len(sizes)) for sizes in world.sizes]


def experiment(world: World, number: int) -> pl.DataFrame:
    """Estimates from eight of the draws and as many documents, with replacement."""
    rng = np.random.default_rng([17, number])
    documents = [rng.integers(len(sizes), size=len(sizes)) for sizes in world.sizes]
    return estimates(world, rng.integers(MANY, size=DRAWS), documents)


def estimates(world: World, draws: Rows, documents: list[Rows]) -> pl.DataFrame:
    """Every contrast on every set and over all of them, as the product makes its intervals."""
    curves = {arm: _drawn(curve, world, draws, documents) for arm, curve in world.curves.items()}
    rows = []
    for name, arm_a, arm_b in world.contrasts:
        cells = multiplier_cells(curves[arm_a], curves[arm_b], [world.budget])
        found = contrast_rows(cells)
        rows += [row | {"contrast": name} for row in found if row["quantity"] == "multiplier"]
    ends = pl.DataFrame([_ends(row) for row in rows], schema=list(ENDS), orient="row")
    kept = (*KEYS, "log_estimate", "standard_error", "reached")
    table = pl.DataFrame([{name: row[name] for name in kept} for row in rows])
    return table.with_columns(estimate=pl.col("log_estimate").exp()).hstack(ends)


def _ends(row: dict[str, object]) -> tuple[float, ...]:
    """The product's interval, and Student's from the same errors."""
    named = {field.name: row[SOURCES.get(field.name, field.name)] for field in fields(Summary)}
    found = Summary(**named)
    return *found.interval(), *replace(found, skewness=0.0).interval()


def _drawn(curve: ArmCurve, world: World, draws: Rows, documents: list[Rows]) -> ArmCurve:
    bits = tuple(b[draws][:, :, rows] for b, rows in zip(curve.bits, documents, strict=True))
    sizes = [int(each[rows].sum()) for each, rows in zip(world.sizes, documents, strict=True)]
    loss = np.stack([b.sum(axis=2) / n for b, n in zip(bits, sizes, strict=True)], axis=1)
    return replace(curve, loss=loss, bits=bits, bytes=tuple(sizes))


def head(name: str, budget: int) -> list[str]:
    """What was run."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [
        f"`python -m benchmarks.seeds`, verdicts of the {name}: "
        f"{used.ru_utime + used.ru_stime:.0f} CPU seconds, {platform.machine()}, "
        f"{os.cpu_count()} cores. Kneser–Ney order 3, {budget:,} tokens of the smaller arm.",
        "",
    ]


def between_lines(tables: list[pl.DataFrame]) -> list[str]:
    """Variance between seeds over the mean squared error: 1 where errors say all there is."""
    columns = [*KEYS, "estimate", "standard_error", "reached"]
    stacked = pl.concat([table.select(columns) for table in tables])
    found = _with_error(stacked.with_columns(ln=pl.col("estimate").log()))
    ratios = found.group_by(KEYS, maintain_order=True).agg(
        mean=pl.col("ln").mean().exp(),
        between=pl.col("ln").std(),
        stated=(pl.col("standard_error") ** 2).mean().sqrt(),
    )
    ratios = ratios.with_columns(ratio=(pl.col("between") / pl.col("stated")) ** 2)
    freedom = len(tables) - 1
    low, high = stats.chi2.ppf([0.0005, 0.9995], freedom) / freedom
    outside = ratios.filter((pl.col("ratio") < low) | (pl.col("ratio") > high)).height
    rows = [
        f"| {r['contrast']} | {r['eval_set']} | {r['mean']:.3f} | {r['between']:.4f} | "
        f"{r['stated']:.4f} | {r['ratio']:.2f} |"
        for r in ratios.iter_rows(named=True)
    ]
    return [
        f"**Between {len(tables)} seeds** of {DRAWS} draws (evaluation documents, held-out "
        f"documents, discounts and draws of their own): variance between seeds over mean squared "
        f"stated error, median {ratios['ratio'].median():.2f}, mean {ratios['ratio'].mean():.2f}; "
        f"{outside} of {ratios.height} outside the 99.9 % band of one estimate "
        f"[{low:.2f}, {high:.2f}].",
        "",
        "| contrast | domain | multiplier | ln m: between seeds | stated error | ratio |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _with_error(table: pl.DataFrame) -> pl.DataFrame:
    """Without estimates that some experiment did not reach, and those that never stray."""
    kept = pl.col("reached").all() & (pl.col("ln").abs().max() > NOTHING)
    return table.filter(kept.over(KEYS))


def agreement_lines(tables: list[pl.DataFrame], taken: list[pl.DataFrame]) -> list[str]:
    """How many pairs agree, of seeds and of experiments that differ by chance alone."""
    pairs = [(a, b) for number, a in enumerate(tables) for b in tables[:number]]
    seen = np.array([_share(shared_cells(a, b)) for a, b in pairs])
    chance = np.array(
        [
            _share(
                a.join(b, on=KEYS).filter("reached", "reached_right", pl.col("contrast") != NULL)
            )
            for a, b in zip(taken[::2], taken[1::2], strict=True)
        ]
    )
    return [
        f"**Agreement.** Of {len(pairs)} pairs of seeds {int((seen >= AGREE).sum())} have at least "
        f"{100 * AGREE:.0f} % of their estimates within two joint errors; on average "
        f"{100 * seen.mean():.0f} % of the estimates are. Of {len(chance)} pairs of experiments "
        f"that differ by chance alone {100 * (chance >= AGREE).mean():.0f} % reach that, with "
        f"{100 * chance.mean():.0f} % of the estimates on average.",
        "",
    ]


def _share(both: pl.DataFrame) -> float:
    """Of estimates within two joint errors."""
    return float((apart(both)["z"] <= WITHIN).mean())


def coverage_lines(
    taken: list[pl.DataFrame], whole: pl.DataFrame, few: tuple[str, ...]
) -> list[str]:
    """How often the 95 % intervals hold the multiplier of the whole."""
    stacked = pl.concat(taken).with_columns(ln="log_estimate")
    true = whole.select(*KEYS, true="log_estimate")
    found = _with_error(stacked).join(true, on=KEYS, maintain_order="left")
    width = pl.col("high") - pl.col("low")
    covered = found.group_by(KEYS, maintain_order=True).agg(
        covered=pl.col("true").is_between("low", "high").mean(),
        student=pl.col("true").is_between("student_low", "student_high").mean(),
        wider=(width / (pl.col("student_high") - pl.col("student_low"))).median(),
    )
    told = covered.filter(~pl.col("contrast").is_in(few))
    lines = [
        f"**Coverage** of 95 % intervals from {DRAWS} draws, {EXPERIMENTS:,} experiments each, "
        f"over the {covered.height} estimates that every experiment reached: "
        f"{_held(covered, 'covered')}. Student's intervals from the same errors hold "
        f"{_held(covered, 'student')}; the former are {covered['wider'].median():.2f} times as "
        f"wide (median; {covered['wider'].min():.2f} to {covered['wider'].max():.2f}).",
    ]
    if told.height < covered.height:
        lines.append(
            f"Without what sits in too few documents for a verdict ({', '.join(few)}): "
            f"{_held(told, 'covered')}."
        )
    return lines


def _held(table: pl.DataFrame, column: str) -> str:
    """Mean coverage and what lies outside the band."""
    low, high = (n / EXPERIMENTS for n in binomial_band(EXPERIMENTS, 0.95))
    below = table.filter(pl.col(column) < low)
    above = table.filter(pl.col(column) > high)
    names = [f"{r['contrast']} on {r['eval_set']} {r[column]:.3f}" for r in below.to_dicts()]
    said = f" ({'; '.join(names)})" if names else ""
    return (
        f"{table[column].mean():.3f} on average, {below.height} of {table.height} below the 99.9 % "
        f"band {low:.3f} to {high:.3f}{said}, {above.height} above"
    )


if __name__ == "__main__":
    main()
