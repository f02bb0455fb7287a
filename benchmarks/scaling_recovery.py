"""Do the intervals of scaling laws hold? Simulated data sets; fills docs/statistics.md.

    python benchmarks/scaling_recovery.py --sets 2000

Laws of known parameters, three designs, independent and run-dependent noise; then two arms that
differ in a data factor or in the floor. About seven minutes on one core; every figure stands
beside the exact 99.9 % binomial band around its nominal level.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from curate.scaling._readout_kernel import MULTIPLIER
from curate.scaling.example import KNOWN
from curate.scaling.joint import fit_joint
from curate.scaling.law import PARAMETERS, FitOptions, ScalingLaw, few_runs, fit_points, known_well
from curate.scaling.laws import predicted_loss
from curate.scaling.points import check_points, point_set
from curate.scaling.readouts import _common, read_off
from curate.scaling.uncertainty import Quantity
from curate.statistics import Interval, binomial_band, wilson

ROOT = Path(__file__).parents[1]
MARKS = "<!-- scaling-recovery -->", "<!-- /scaling-recovery -->"
FACTOR = 1.5
DRAWS = 119  # 2.5 % of 120 is whole: the interval's level is exact


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    name: str
    sizes: int
    largest: float
    budgets: int = 8

    def grid(self):
        n = np.geomspace(4e7, self.largest, self.sizes)
        return np.repeat(n, self.budgets), np.tile(
            np.geomspace(1e9, 1e12, self.budgets), self.sizes
        )


DESIGNS = (
    Design(name="wide", sizes=10, largest=1.6e10),
    Design(name="medium", sizes=6, largest=4e9),
    Design(name="narrow", sizes=3, largest=4e8),
)
NOISES = {"independent": (0.004, 0.0), "trunk": (0.003, 0.003)}


PLAIN = {"arm": "raw", "factor": 1.0, "floor": 0.0}


def simulate(design, noise, stream, **planted):
    arm, factor, floor = (planted.get(k, v) for k, v in PLAIN.items())
    n, d = design.grid()
    point, trunk = NOISES[noise]
    run = (
        np.arange(len(n))
        if noise == "independent"
        else np.repeat(range(design.sizes), design.budgets)
    )
    shocks = trunk * stream.standard_normal(run.max() + 1)[run]
    shocks += point * stream.standard_normal(len(n))
    loss = predicted_loss(KNOWN | {"E": KNOWN["E"] + floor}, n, factor * d) * np.exp(shocks)
    frame = {"arm": arm, "n_params": n, "n_tokens": d, "loss": loss, "run": run.astype(str)}
    return pl.DataFrame(frame).sort("arm", "n_params", "n_tokens", "run", "loss")


TRUTH = {
    "E": math.log(KNOWN["E"]),
    "alpha": math.log(KNOWN["alpha"]),
    "beta": math.log(KNOWN["beta"]),
    "compute_optimal_exponent": math.log(KNOWN["beta"] / KNOWN["alpha"]),
    "multiplier": math.log(FACTOR),
}


def one_set(design, noise, number):
    """(quantity, covered, identified) of two arms fitted apart, and their multiplier."""
    stream = np.random.default_rng([number, design.sizes, noise == "trunk"])
    draws = 0 if noise == "trunk" and design.sizes < 8 else DRAWS
    n, d = design.grid()
    centre = float(np.log(n).mean()), float(np.log(d).mean())
    laws: list[ScalingLaw] = []
    for arm, factor in (("raw", 1.0), ("curated", FACTOR)):
        frame = simulate(design, noise, stream, arm=arm, factor=factor)
        options = FitOptions(draws=draws, seed=number)
        laws.append(fit_points(point_set(frame, centre), options=options))
    verdict = dict(laws[0].table.select("parameter", "identified").iter_rows())
    for name, what in PARAMETERS.items():
        yield name, covers(read_off(what, laws[0].evidence)[1], TRUTH[name]), verdict[name]
    place = (0.0, math.log(1e12 / 3) - centre[1])
    what = Quantity(code=MULTIPLIER, args=(0, 1, *place))
    ends = read_off(what, _common(*laws))[1]
    pinned = known_well(Interval(*np.exp(np.clip(ends, -700, 700))))
    told = pinned and not few_runs(laws[0].form, laws[0].evidence)
    yield "multiplier", covers(ends, TRUTH["multiplier"]), told


def covers(ends, truth):
    return bool(ends.low <= truth <= ends.high)


def recovery(sets, before=(), cells=None):
    rows = []
    for design in DESIGNS:
        for noise in NOISES:
            if cells and f"{design.name}:{noise}" not in cells:
                here = {"design": design.name, "noise": noise}
                rows += [row for row in before if here.items() <= row.items()]
                continue
            counts, began = Counter(), time.process_time()
            for number in range(sets):
                for name, covered, identified in one_set(design, noise, number):
                    counts[name, identified, covered] += 1
            seconds = time.process_time() - began
            print(f"{design.name} {noise}: {seconds:.0f} s of CPU", flush=True)
            for name in TRUTH:
                rows.append({"design": design.name, "noise": noise} | tally(counts, name))
                print("  ", rows[-1], flush=True)
    return rows


def tally(counts, name):
    known = sum(counts[name, True, covered] for covered in (True, False))
    total = known + sum(counts[name, False, covered] for covered in (True, False))
    covered, every = counts[name, True, True], counts[name, True, True] + counts[name, False, True]
    band = binomial_band(known, 0.95)
    return {
        "quantity": name,
        "sets": total,
        "identified": known / total,
        "coverage": covered / known if known else None,
        "band": [end / known for end in band] if known else None,
        "inside": bool(band[0] <= covered <= band[1]) if known else None,
        "coverage_of_all": every / total,
    }


def pooled(rows):
    """The same over all designs and noises, among printed numbers."""
    for name in TRUTH:
        mine = [row for row in rows if row["quantity"] == name]
        known = [round(row["sets"] * row["identified"]) for row in mine]
        pairs = list(zip(known, mine, strict=True))
        covered = sum(round(k * row["coverage"]) for k, row in pairs if k)
        n, sets = sum(known), sum(row["sets"] for row in mine)
        all_covered = sum(row["sets"] * row["coverage_of_all"] for row in mine)
        low, high = binomial_band(n, 0.95)
        yield {
            "design": "all",
            "noise": "both",
            "quantity": name,
            "sets": sets,
            "identified": n / sets,
            "coverage": covered / n,
            "band": [low / n, high / n],
            "inside": low <= covered <= high,
            "coverage_of_all": all_covered / sets,
        }


CAUSES = (
    ("wide", 1.0, 0.0),
    ("wide", 1.1, 0.0),
    ("wide", 1.5, 0.0),
    ("wide", 3.0, 0.0),
    ("medium", 1.1, 0.0),
    ("medium", 1.5, 0.0),
    ("wide", 1.0, -0.02),
    ("medium", 1.0, -0.02),
    ("medium", 1.0, -0.04),
)


def joint(sets):
    rows, by_name = [], {design.name: design for design in DESIGNS}
    for place, (name, factor, floor) in enumerate(CAUSES):
        causes, covered, began = Counter(), 0, time.process_time()
        used = sets if floor == 0 and name == "wide" else max(sets // 2, 1)
        for number in range(used):
            stream = np.random.default_rng([number, place, 7])
            design = by_name[name]
            both = [
                simulate(design, "trunk", stream, arm="curated", factor=factor, floor=floor),
                simulate(design, "trunk", stream, arm="raw"),
            ]
            points = check_points(pl.concat(both))
            plain = FitOptions(draws=0)
            found = fit_joint(points, reference="raw", other="curated", options=plain)
            causes[found.cause] += 1
            covered += found.factor[1] <= factor <= found.factor[2]
        band = binomial_band(used, 0.95)
        wrong = (
            causes["floor"] + causes["both"] if floor == 0 else causes["factor"] + causes["both"]
        )
        named = causes["floor"] + causes["factor"] + causes["both"]
        if factor == 1 and floor == 0:  # nothing to name
            wrong, named = named, used
        rows.append(
            {
                "design": name,
                "factor": factor,
                "floor": floor,
                "sets": used,
                "coverage": covered / used if floor == 0 else None,
                "band": [end / used for end in band],
                "causes": dict(causes),
                "wrong": wrong / max(named, 1),
                "wrong_high": wilson(wrong, max(named, 1)).high,
            }
        )
        print(rows[-1], f"{time.process_time() - began:.0f} s", flush=True)
    return rows


def as_text(result):
    lines = [
        "| design | noise | quantity | sets | identified | coverage among identified | 99.9 % band "
        "| coverage of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in [*result["recovery"], *pooled(result["recovery"])]:
        known = row["coverage"] is not None
        shown = f"{row['coverage']:.3f}{'' if row['inside'] else ' (outside)'}" if known else "–"
        band = "{:.3f}–{:.3f}".format(*row["band"]) if known else "–"
        lines.append(
            f"| {row['design']} | {row['noise']} | {row['quantity']} | {row['sets']:,} | "
            f"{100 * row['identified']:.1f} % | {shown} | {band} | {row['coverage_of_all']:.3f} |"
        )
    lines += [
        "",
        "| design | m planted | E moved by | sets | coverage of m | band | named the cause "
        "| wrong among named | unclear | no difference |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["joint"]:
        causes = row["causes"]
        named = causes.get("factor", 0) + causes.get("floor", 0) + causes.get("both", 0)
        covered = f"{row['coverage']:.3f}" if row["coverage"] is not None else "–"
        lines.append(
            f"| {row['design']} | {row['factor']} | {row['floor']} | {row['sets']:,} | {covered} | "
            "{:.3f}–{:.3f}".format(*row["band"])
            + f" | {named:,} | {100 * row['wrong']:.1f} % | {causes.get('unclear', 0):,} | "
            f"{causes.get('same', 0):,} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--only", choices=("recovery", "joint"))
    parser.add_argument("--cells", nargs="*", help="only these, as wide:trunk; others stay")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "scaling_recovery.json")
    options = parser.parse_args()
    result = json.loads(options.out.read_text()) if options.out.is_file() else {}
    began = time.process_time()
    if options.only in (None, "joint") and not options.cells:
        result["joint"] = joint(options.sets)
    if options.only in (None, "recovery"):
        before = result.get("recovery", ())
        result["recovery"] = recovery(options.sets, before, options.cells)
    print(f"{time.process_time() - began:.0f} s of CPU")
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if {"joint", "recovery"} <= result.keys():
        page = ROOT / "docs" / "statistics.md"
        text = page.read_text("utf-8") if page.is_file() else "\n".join(MARKS)
        head, rest = text.split(MARKS[0])
        tail = rest.split(MARKS[1])[1]
        page.write_text(f"{head}{MARKS[0]}\n{as_text(result)}\n{MARKS[1]}{tail}", "utf-8")


if __name__ == "__main__":
    main()
