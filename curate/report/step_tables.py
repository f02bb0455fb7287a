"""Each step's worth beside its price: tokens, documents lost, CPU seconds, energy, flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from curate.report.cells import headline_cell
from curate.report.numerals import NOTHING, count, interval, measured, percent, ratio
from curate.report.tables import RunTables

_WITHOUT, _ONLY = "without_", "only_"
_UNRESOLVED = "unresolved"

__all__ = ["step_rows"]


def step_rows(run: RunTables) -> pl.DataFrame:
    """One row a step: what it is worth and what it costs; columns in which nothing is said go.

    Returns:
        All String: `step`; `leave_one_out` and `alone`, its multipliers with intervals;
        `shapley`, the factor that it adds over all orders of the steps, with its part of the
        whole; `documents_lost` (all that enter it and do not leave it), `only_here`; `audit_flags`;
        `cpu_seconds` and `watt_hours` of the stage that does its work, which other steps may share.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> step_rows(read_run(Path(tempfile.mkdtemp()))).height
    0
    """
    steps = _steps(run)
    rows = [
        {
            "step": step,
            "leave_one_out": _multiplier(run, f"{_WITHOUT}{step}", first=True),
            "alone": _multiplier(run, f"{_ONLY}{step}", first=False),
            "shapley": _shapley(run, step),
            **_losses(run, step),
            "audit_flags": _flags(run, step),
            **_price(run, step, steps),
        }
        for step in steps
    ]
    table = pl.DataFrame(rows)
    said = [n for n in table.columns if not table[n].cast(pl.String).is_in(["", NOTHING]).all()]
    return table.select(said)


def _steps(run: RunTables) -> list[str]:
    """Steps in the order of the experiment's plan, else of the funnel."""
    found: list[str] = [] if run.shapley is None else run.shapley["step"].to_list()
    if run.multipliers is not None:
        for prefix, column in ((_WITHOUT, "arm_a"), (_ONLY, "arm_b")):
            arms = run.multipliers[column].unique(maintain_order=True).drop_nulls().to_list()
            found += [arm.removeprefix(prefix) for arm in arms if arm.startswith(prefix)]
    return list(dict.fromkeys(found))


def _multiplier(run: RunTables, arm: str, *, first: bool) -> str:
    cell = headline_cell(run.multipliers, run.runs)
    if run.multipliers is None or cell is None or "decisive" not in run.multipliers.columns:
        return NOTHING
    rows = run.multipliers.filter(
        pl.col("decisive"),
        pl.col("arm_a" if first else "arm_b") == arm,
        family=cell.family,
        size=cell.size,
        quantity="multiplier",
        eval_set="all",
    )
    for row in rows.iter_rows(named=True):
        return measured(row)
    return NOTHING


def _shapley(run: RunTables, step: str) -> str:
    if run.shapley is None:
        return NOTHING
    for row in run.shapley.filter(step=step).iter_rows(named=True):
        value = f"{ratio(row['value'])} {interval(row['low'], row['high'])}".strip()
        part = percent(row["share_of_total"]) if row["resolved"] else _UNRESOLVED
        return f"{value}, {part}"
    return NOTHING


def _losses(run: RunTables, step: str) -> dict[str, str]:
    if run.funnel is not None and {"documents_in", "documents_out"} <= set(run.funnel.columns):
        for row in run.funnel.filter(step=step).iter_rows(named=True):
            alone = row.get("documents_removed_only_here")
            return {
                "documents_lost": count(row["documents_in"] - row["documents_out"]),
                "only_here": count(alone),
            }
    return {"documents_lost": NOTHING, "only_here": NOTHING}


def _flags(run: RunTables, step: str) -> str:
    if run.impact is None or not {"step", "state"} <= set(run.impact.columns):
        return NOTHING
    own = run.impact.filter(step=step)
    return count(own.filter(state="flag").height) if own.height else NOTHING


def _price(run: RunTables, step: str, steps: list[str]) -> dict[str, str]:
    stages = {each: _stage(run, each) for each in steps}
    stage = stages[step]
    record: Mapping[str, Any] = run.manifest.get("stages", {}).get(stage, {})
    sharing = sum(other == stage for other in stages.values())
    shared = f" ({stage}{f', shared by {sharing}' if sharing > 1 else ''})"
    seconds, energy = record.get("cpu_seconds"), record.get("watt_hours")
    return {
        "cpu_seconds": f"{seconds:.1f}{shared}" if seconds else NOTHING,
        "watt_hours": f"{energy:.3f}{shared}" if energy else NOTHING,
    }


def _stage(run: RunTables, step: str) -> str:
    """The stage that does a step's work: rules read the signals that one stage measures."""
    if step.startswith("duplicates."):
        return "duplicates"
    if step in ("quality", "passages"):
        return step
    if run.rules is None or "name" not in run.rules.columns:
        return "annotate"
    sets = run.rules["name"].str.split(".").list.first().unique().to_list()
    return "annotate" if step in sets else "clean"
