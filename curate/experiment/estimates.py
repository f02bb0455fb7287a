"""Losses of all arms → multipliers of all contrasts, with what must be said beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.experiment.arms import Draws
from curate.experiment.coalitions import STEP_SCHEMA, coalition_steps, shapley_rows
from curate.experiment.contrasts import COPIES, PASSES, Contrast
from curate.experiment.plan import Plan, measured
from curate.experiment.touched import documents_a_draw, few_documents
from curate.scaling import (
    MULTIPLIER_SCHEMA,
    Cells,
    arm_curve,
    contrast_rows,
    decide,
    multiplier_cells,
)
from curate.scaling.crossover import crossover_row, find_crossover

FEW = 0.05  # of the pool: below this repeats hardly meet, and nothing can be said of them
CROSSOVER = "crossover"
UNVOUCHED = "the calibrator does not admit all budgets around it"
MOST_COVERED = 0.9  # of the pool by one draw: beyond it draws are too alike to tell its variance


__all__ = ["estimate", "step_values"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """What estimates are made from."""

    draws: Draws
    plan: Plan
    losses: pl.DataFrame
    evaluation: pl.DataFrame


def estimate(
    draws: Draws, plan: Plan, losses: pl.DataFrame, evaluation: pl.DataFrame
) -> pl.DataFrame:
    """The table of multipliers, columns as `curate.scaling.MULTIPLIER_SCHEMA`.

    Args:
        draws: Arms of every replicate: how many of B's tokens A's prefixes hold.
        plan: Contrasts and budgets.
        losses: Tidy runs with `document_bits`.
        evaluation: `eval_set`, `id`, `bytes` of the documents behind these.
    """
    data = _Measured(draws=draws, plan=plan, losses=losses, evaluation=evaluation)
    rows: list[dict[str, Any]] = []
    for family, planned in plan.families.items():
        for size in planned.sizes:
            for contrast in plan.contrasts:
                spoken = contrast.kind != "coalition"
                if spoken and measured(contrast, family, primary=size == planned.sizes[0]):
                    rows += _contrast_estimates(data, contrast, family, size)
    first, sources = next(iter(plan.families)), len(draws.inputs.evaluation)
    table = decide(
        [row for row in rows if row["quantity"] != CROSSOVER],
        headline=plan.contrasts[0].name,
        primary=(first, plan.families[first].sizes[0]),
        sources=sources,
    )
    crossovers = [row | {"n_sources": sources} for row in rows if row["quantity"] == CROSSOVER]
    return _with_crossovers(table, crossovers)


def _with_crossovers(table: pl.DataFrame, crossovers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The table with rows of crossovers, which stand in the notes of their contrasts as well.

    As any verdict, a crossover counts where the calibrator admits the budgets that it lies between.
    """
    found = []
    for row in crossovers:
        own = [pl.col(key) == row[key] for key in ("contrast", "family", "size")]
        said, vouched = row["conclusion_without_gate"], True
        if row["low"] is not None:
            cells = table.filter(*own, quantity="multiplier", eval_set="all").sort("n_tokens")
            vouched = bool(_around(cells, row)["admitted"].fill_null(value=False).all())
        note = said if vouched else f"{said} ({UNVOUCHED})"
        noted = pl.concat_str("note", pl.lit(f": {note}"))
        table = table.with_columns(note=pl.when(*own).then(noted).otherwise("note"))
        gated = said if vouched or said.startswith("cannot tell") else f"cannot tell: {UNVOUCHED}"
        found.append({**dict.fromkeys(MULTIPLIER_SCHEMA), **row, "conclusion": gated})
    return pl.concat([table, pl.DataFrame(found, schema=dict(MULTIPLIER_SCHEMA))])


def _around(cells: pl.DataFrame, row: Mapping[str, Any]) -> pl.DataFrame:
    """Cells from the last budget at or below a crossover's set to the first at or above it."""
    budgets = cells["n_tokens"].to_numpy()
    # Ends of the set that are budgets come back from logarithms.
    first = int(np.searchsorted(budgets, row["low"] * (1 + 1e-9), side="right")) - 1
    last = int(np.searchsorted(budgets, row["high"] * (1 - 1e-9)))
    return cells.slice(max(first, 0), last - max(first, 0) + 1)


def _contrast_estimates(
    data: _Measured, contrast: Contrast, family: str, size: str
) -> list[dict[str, Any]]:
    read = _cells(data, contrast, family, size)
    if read is None:
        return []
    cells, top = read
    replicates = range(cells.log_m.shape[0])
    prefixes = None
    if data.draws.nested(contrast):
        prefixes = [data.draws.prefixes(contrast, r, top) for r in replicates]
    fixed = {
        "contrast": contrast.name,
        "arm_a": contrast.arm_a,
        "arm_b": contrast.arm_b,
        "family": family,
        "size": size,
        "kind": contrast.kind,
    }
    rows = [fixed | row for row in contrast_rows(cells, prefixes=prefixes)]
    if contrast.repeats:
        crossed = find_crossover(cells)
        note = _pool_said(data.draws, rows)
        rows = [row | {"note": note, "muted": None} for row in rows]
        return [*rows, fixed | {"note": note} | crossover_row(crossed)]
    rows = _annotate(data.draws, contrast, rows, replicates)
    return _counted(data.draws, contrast, cells, rows)


def _counted(
    draws: Draws, contrast: Contrast, cells: Cells, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows with the number of documents behind them, muted where these are too few."""
    apart = contrast.arm_a.startswith("calibrator") or not contrast.shares_order
    spoken = contrast.kind in ("headline", "secondary")
    if apart or not spoken or draws.same(contrast.arm_a, contrast.arm_b):
        return rows
    read = dict(zip(cells.budgets.tolist(), _read(cells).tolist(), strict=True))
    replicates = len(cells.log_m)
    found = documents_a_draw(draws, contrast, replicates=replicates, read=read)
    return [_with_number(row, found.get(row["n_tokens"]), replicates) for row in rows]


def _with_number(row: dict[str, Any], number: float | None, replicates: int) -> dict[str, Any]:
    few = None if number is None else few_documents(number, replicates)
    return row | {"effective_documents": number, "muted": row["muted"] or few}


def _read(cells: Cells) -> Floats:
    """Tokens of A that do the work of each of B's budgets, on average."""
    return np.asarray(np.exp(cells.log_m.mean(axis=(0, 1))) * cells.budgets)


def _cells(data: _Measured, contrast: Contrast, family: str, size: str) -> tuple[Cells, int] | None:
    """Ln m of a contrast on the draws that both arms have, and how far A's ladder goes.

    `None` where no budget fits its pool, or where the time was over before both were trained.
    """
    budgets = data.plan.budgets_of(contrast, family)
    if not budgets:
        return None
    arms = (contrast.arm_a, contrast.arm_b)
    losses = data.losses.filter(pl.col("arm").is_in(arms), family=family, size=size)
    drawn = losses.group_by("arm").agg(pl.col("replicate").n_unique())
    if drawn.height < len(set(arms)):
        return None  # there was no time for one of them
    losses = losses.filter(pl.col("replicate") < drawn["replicate"].min())
    a, b = (
        arm_curve(losses, arm=arm, family=family, size=size, evaluation=data.evaluation)
        for arm in arms
    )
    held = [budget for budget in budgets if budget in b.budgets]
    cells = multiplier_cells(a, b, held)
    return replace(cells, shared=_shared(cells, contrast, data.draws)), int(a.budgets[-1])


def _shared(cells: Cells, contrast: Contrast, draws: Draws) -> Floats | None:
    """What draws have in common beyond the corpus: a pool that is a sample of it.

    Draws of n of a pool's N tokens vary as 1/n − 1/N, pools drawn from C tokens as 1/N − 1/C; in
    units of the former that is n / (N − n) · (1 − N/C). Halves of one pool differ by none of it.
    """
    beyond = 1 - draws.inputs.pool_share
    if beyond <= 0 or contrast.arm_b in ("random", "null_b"):
        return None
    available = np.maximum(np.array(contrast.available), 1)
    drawn = np.stack([_read(cells), cells.budgets])
    if contrast.repeats:  # read again and again, a pool is no more than it is
        available = available / PASSES
        drawn = np.minimum(drawn, draws.pool * np.array([[1.0], [draws.share]]))
    covered = np.minimum((drawn / available[:, None]).max(axis=0), MOST_COVERED)
    return np.asarray(covered / (1 - covered) * beyond)


def step_values(
    draws: Draws, plan: Plan, losses: pl.DataFrame, evaluation: pl.DataFrame
) -> pl.DataFrame:
    """Shapley values of the steps by the first family's primary size, as `STEP_SCHEMA`.

    Empty where no coalitions were measured, or where no budget is reached by all of them.
    """
    data = _Measured(draws=draws, plan=plan, losses=losses, evaluation=evaluation)
    family = next(iter(plan.families))
    size = plan.families[family].sizes[0]
    cells, steps = {}, []
    for contrast in plan.contrasts:
        if contrast.kind == "coalition":
            chosen = coalition_steps(contrast.arm_b)
            steps += [step for step in chosen if step not in steps]
            cells[frozenset(chosen)] = _cells(data, contrast, family, size)
    whole = next(c for c in plan.contrasts if (c.arm_a, c.arm_b) == ("raw", "curated"))
    cells[frozenset(steps)] = _cells(data, whole, family, size)
    read = {chosen: found[0] for chosen, found in cells.items() if found is not None}
    if len(steps) < 2 or len(read) < len(cells):
        return pl.DataFrame(schema=dict(STEP_SCHEMA))
    rows = shapley_rows(_common(read), steps, seed=plan.seed)
    fixed = {"family": family, "size": size}
    noted = [row | fixed | {"note": _copies_note(draws, row, whole)} for row in rows]
    return pl.DataFrame(noted, schema=dict(STEP_SCHEMA))


def _common(cells: Mapping[frozenset[str], Cells]) -> dict[frozenset[str], Cells]:
    """The budgets and the draws that all coalitions were measured at."""
    shared = set.intersection(*({int(n) for n in c.budgets} for c in cells.values()))
    draws = min(len(each.log_m) for each in cells.values())
    found = {}
    for chosen, each in cells.items():
        at = np.flatnonzero(np.isin(each.budgets, sorted(shared)))
        found[chosen] = replace(
            each,
            budgets=each.budgets[at],
            log_m=each.log_m[:draws, :, at],
            side=each.side[:draws, :, at],
            influence=tuple(table[:draws, at] for table in each.influence),
            shared=None if each.shared is None else each.shared[at],
            ladder=None if each.ladder is None else each.ladder[at],
        )
    return found


def _copies_note(draws: Draws, row: Mapping[str, Any], whole: Contrast) -> str | None:
    if not str(row["step"]).startswith(COPIES):
        return None
    share = row["n_tokens"] / max(whole.available[0], 1)
    rate = draws.repeats("raw", 0, row["n_tokens"])
    return (
        f"budget is {share:.1%} of the pool; {rate:.2%} of raw's prefix repeats earlier documents; "
        "an n-gram model cannot judge copies"
    )


def _annotate(
    draws: Draws, contrast: Contrast, rows: list[dict[str, Any]], replicates: range
) -> list[dict[str, Any]]:
    """Notes; and where a step removes duplicates, why its cells may say nothing."""
    if not contrast.about_copies:
        return [row | {"note": None, "muted": None} for row in rows]
    notes = {}
    for n in {row["n_tokens"] for row in rows} - {None}:
        said = "repeated passages are not counted"
        if not contrast.cuts:
            rate = np.mean([draws.repeats(contrast.arm_a, r, n) for r in replicates])
            said = f"{float(rate):.2%} of the prefix repeats earlier text"
        notes[n] = n / contrast.available[0], said
    return [row | _duplicate_note(row, notes) for row in rows]


def _duplicate_note(
    row: dict[str, Any], notes: dict[int, tuple[float, str]]
) -> dict[str, str | None]:
    by_heart = "cannot tell: an n-gram model cannot judge repeated text"
    if row["n_tokens"] is None:
        return {"note": None, "muted": by_heart if row["family"] == "kneser_ney" else None}
    share, said = notes[row["n_tokens"]]
    note = f"budget is {share:.1%} of the pool; {said}"
    if share <= FEW:
        return {
            "note": note,
            "muted": "cannot tell: at this budget copies hardly meet",
        }
    if row["family"] == "kneser_ney":
        return {"note": note, "muted": by_heart}
    return {"note": note, "muted": None}


def _pool_said(draws: Draws, rows: list[dict[str, Any]]) -> str:
    """How large the pool is, and how often it is read for the largest budget."""
    most = max((row["n_tokens"] or 0 for row in rows), default=0)
    whole = most / max(draws.pool, 1)
    part = whole / max(draws.share, 1e-9)
    return (
        f"fixed pool of {draws.pool:,} raw tokens; {most:,} tokens are {whole:.1f} readings of it "
        f"and {part:.1f} of its curated part"
    )
