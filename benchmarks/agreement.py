"""Whether two runs of the same experiment say the same: rule by rule, at the same budgets.

A multiplier depends on its budget, so two runs are compared at the largest budget that both reached
in full. The budgets of two plans may differ by a few tokens in a thousand; they are matched by
their place on the ladder. The null pair is left out: its two halves have no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

AGREE = 0.9  # of the estimates
WITHIN = 2.0  # joint standard errors
CELL = ("contrast", "family", "size")
NULL = "null_a → null_b"
_SHOWN = ("n_tokens", "estimate", "standard_error")

__all__ = ["AGREE", "agreement", "apart", "shared_cells"]


def agreement(name: str, mine: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, Any]:
    """Two tables of multipliers compared, in figures and in words.

    Returns:
        `agree` (at least 90 % within two joint standard errors and no conclusion turned), `share`,
        `said`, and `rows`, a Markdown table of the estimates that lie further apart.
    """
    both = apart(shared_cells(mine, theirs))
    outside = both.filter(pl.col("z") > WITHIN)
    words = pl.concat_list("conclusion_without_gate", "conclusion_without_gate_right")
    turned = both.filter(words.list.contains("worth") & words.list.contains("harms")).height
    within = both.height - outside.height
    share = within / max(both.height, 1)
    speaking = apart(_speaking(mine, theirs))
    own = speaking.filter(pl.col("z") <= WITHIN).height
    said = (
        f"{name}: at the largest budget that both reached, {within} of {both.height} estimates lie "
        f"within two joint standard errors ({100 * share:.0f} %, at least {100 * AGREE:.0f} % "
        f"wanted); {turned} go from worth to harms (none allowed). With each seed at the budget "
        f"that speaks for it, which may be two budgets (so it was counted before): {own} of "
        f"{speaking.height}."
    )
    agree = bool(share >= AGREE and turned == 0 and both.height > 0)
    return {"said": said, "agree": agree, "share": share, "rows": _listed(outside)}


def shared_cells(mine: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Multipliers of both runs side by side, at the largest rung that both reached on all sets."""
    keys = [*CELL, "eval_set", "rung"]
    both = _rungs(mine).join(_rungs(theirs), on=keys)
    both = both.filter(pl.col("reached") & pl.col("reached_right"))
    tops = both.filter(eval_set="all").group_by(*CELL).agg(pl.col("rung").max())
    return both.join(tops, on=[*CELL, "rung"], how="semi").sort(*CELL, "eval_set")


def _speaking(mine: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """The same at the budget that each run's own verdict rests on."""
    keys = [*CELL, "n_tokens"]
    tables = []
    for table in (mine, theirs):
        spoken = table.filter("decisive").select(keys)
        tables.append(_rungs(table).join(spoken, on=keys, how="semi").filter("reached"))
    return tables[0].join(tables[1], on=[*CELL, "eval_set"])


def _rungs(table: pl.DataFrame) -> pl.DataFrame:
    place = pl.col("n_tokens").rank("dense").over("family", "size")
    rows = table.filter((pl.col("quantity") == "multiplier") & (pl.col("contrast") != NULL))
    return rows.with_columns(rung=place)


def apart(both: pl.DataFrame) -> pl.DataFrame:
    """Adds `z`: by how many joint standard errors of ln m two estimates differ."""
    by = (pl.col("estimate").log() - pl.col("estimate_right").log()).abs()
    joint = (pl.col("standard_error") ** 2 + pl.col("standard_error_right") ** 2).sqrt()
    # The same text twice has no error at all, and rounding is no difference.
    return both.with_columns(z=pl.when(by <= 1e-12).then(0.0).otherwise(by / joint))


def _listed(outside: pl.DataFrame) -> Sequence[str]:
    if outside.is_empty():
        return []
    head = [
        "| further apart | domain | here: tokens, multiplier (± of ln) | there | joint errors |"
    ]
    return [*head, "|---|---|---|---|---|", *map(_row, outside.iter_rows(named=True))]


def _row(row: Mapping[str, Any]) -> str:
    numbers = ([row[f"{k}{side}"] for k in _SHOWN] for side in ("", "_right"))
    sides = [f"{n:,}, {estimate:.2f} (± {error:.3f})" for n, estimate, error in numbers]
    what = f"{row['contrast']}, {row['size']}"
    return f"| {what} | {row['eval_set']} | {' | '.join(sides)} | {row['z']:.1f} |"
