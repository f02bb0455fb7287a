"""From estimates to words: intervals at their level, the calibrator's gate, four verdicts.

- One headline contrast is tested at 5 %. Holm's procedure over all other contrasts gives each
  its own level, and every interval of that contrast is drawn at it. Arms whose answer is 1 (null
  pair, random filter) are a family of their own; other controls keep 95 %, the calibrator 90 %.
- A cell (family, size, budget) votes only if its calibrator, text diluted to one half with
  inert filler, is measured as such: the 90 % interval of ln m / ln 2 lies within [.8, 1.2].
  Each conclusion stands beside the one that the gate would have let pass.
- The words are "worth", "harms", "no detectable effect (≥ x would have been seen)" and
  "cannot tell"; x is the multiplier that this design sees with 80 % power.
- A cell speaks that every draw reaches; where there is none, one that is told from 1 by A's rungs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from curate.scaling.conclusions import (
    LEVELS,
    calibrator_vote,
    ends_of,
    is_test,
    summary_of,
    word_of,
)
from curate.scaling.multiplier import SLOPE_MOMENTS
from curate.scaling.rungs import p_of_one
from curate.scaling.words import is_null
from curate.statistics import holm_levels, skewed_p

Row = Mapping[str, Any]
Cell = tuple[str, str, int]
_Rank = tuple[bool, bool, int]  # admitted, reached, tokens

# Of rows that say nothing of it.
UNKNOWN: Row = {
    "skewness": 0.0,
    "effective_documents": None,
    "trials": (),
    **dict.fromkeys(SLOPE_MOMENTS),
}
ALPHA = 0.05  # of a family of tests together

MULTIPLIER_SCHEMA: Mapping[str, Any] = {
    "contrast": pl.String,
    "kind": pl.String,
    "arm_a": pl.String,
    "arm_b": pl.String,
    "family": pl.String,
    "size": pl.String,
    "n_tokens": pl.Int64,
    "eval_set": pl.String,
    "quantity": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "beyond": pl.String,
    "standard_error": pl.Float64,
    "degrees_of_freedom": pl.Float64,
    "skewness": pl.Float64,
    **dict.fromkeys(SLOPE_MOMENTS, pl.Float64),
    "effective_documents": pl.Float64,
    "confidence": pl.Float64,
    "n_replicates": pl.Int64,
    "n_sources": pl.Int64,
    "reached": pl.Boolean,
    "bound": pl.String,
    "admitted": pl.Boolean,
    "decisive": pl.Boolean,
    "headline": pl.Boolean,
    "conclusion": pl.String,
    "conclusion_without_gate": pl.String,
    "note": pl.String,
}

__all__ = ["MULTIPLIER_SCHEMA", "decide"]


def decide(
    rows: Iterable[Row],
    *,
    headline: str,
    primary: tuple[str, str],
    sources: int,
    gate: bool = True,
) -> pl.DataFrame:
    """Estimates of all contrasts → the table of multipliers with intervals and conclusions.

    Args:
        rows: By `contrast_rows`, with `contrast, arm_a, arm_b, family, size`, `kind`
            ("headline", "secondary", "control", "calibrator"), `note`, and `muted`: why this
            contrast may say nothing, or null; `effective_documents`, where known.
        headline: Name of the headline contrast.
        primary: Family and size in which contrasts are tested; the others are descriptive.
        sources: Number of neutral evaluation sources.
        gate: Whether cells need the calibrator's admission to vote.

    Returns:
        One row an estimate, columns as `MULTIPLIER_SCHEMA`. `estimate, low, high` are on the
        natural scale (the slope: factor on m per doubling of the budget), `standard_error` is
        that of the logarithm. An end of the interval beyond what A's ladder can show is the end
        of that ladder, and `beyond` says which: "low", "high" or "both", else null. `decisive`
        marks each contrast's cell that speaks: the largest admitted budget that all replicates
        reach on all neutral sets, or, where there is none, that A's rungs tell from 1: its ends
        are rungs then and its estimate is a bound; `headline` is the decisive cell of the headline
        contrast in the primary family and size.
    """
    listed = [{**UNKNOWN, **row} for row in rows]
    votes = _votes(listed)
    judged = _judged(listed, votes if gate else None)
    levels = _levels(listed, judged, primary)
    done = [_finish(row, votes, judged, levels) for row in listed]
    for row in done:
        row["n_sources"] = sources if row["eval_set"] == "all" else 1
        row["headline"] = (
            row["decisive"] and row["contrast"] == headline and _cell(row)[:2] == primary
        )
    _mark_disagreement(done)
    for row in done:
        row["conclusion"] = _gated(row, votes, gate)
    return pl.DataFrame(
        [{k: row[k] for k in MULTIPLIER_SCHEMA} for row in done], schema=dict(MULTIPLIER_SCHEMA)
    )


def _cell(row: Row) -> Cell:
    return row["family"], row["size"], row["n_tokens"]


def _votes(rows: Sequence[Row]) -> dict[Cell, str]:
    votes = {}
    for row in rows:
        if row["kind"] == "calibrator" and is_test(row):
            vote = calibrator_vote(summary_of(row)) if row["reached"] else "inconclusive"
            votes[_cell(row)] = vote
    return votes


def _judged(rows: Sequence[Row], votes: Mapping[Cell, str] | None) -> dict[tuple[str, ...], int]:
    """Budget that is judged for each (contrast, family, size); admitted ones go first."""
    reached: dict[tuple[str, ...], tuple[_Rank, Row]] = {}
    best: dict[tuple[str, ...], tuple[_Rank, Row]] = {}
    for row in filter(is_test, rows):
        key = (row["contrast"], row["family"], row["size"])
        exempt = row["kind"] in ("control", "calibrator")
        votes_here = votes is None or exempt or votes.get(_cell(row)) == "admitted"
        found = (votes_here, row["reached"], row["n_tokens"]), row
        best[key] = max(best.get(key, found), found, key=itemgetter(0))
        if row["reached"]:
            reached[key] = max(reached.get(key, found), found, key=itemgetter(0))
    # Only the largest budget may speak by its rungs: to look for one that tells would find one.
    told = {key: found for key, found in best.items() if _told(found[1])}
    return {key: row["n_tokens"] for key, (_, row) in (best | reached | told).items()}


def _told(row: Row) -> bool:
    """Whether rungs tell the multiplier from 1 at the level of a single test, if need be."""
    return row["reached"] or word_of(row, LEVELS[row["kind"]], None) in ("worth", "harms")


def _levels(
    rows: Sequence[Row], judged: Mapping[tuple[str, ...], int], primary: tuple[str, str]
) -> dict[str, dict[str, float]]:
    """Confidence of each contrast by Holm over the judged cells of those it is tested with."""
    tested: dict[str, dict[str, float]] = {"secondary": {}, "null": {}}
    for row in rows:
        key = (row["contrast"], row["family"], row["size"])
        speaks = is_test(row) and judged.get(key) == row["n_tokens"] and key[1:] == primary
        if speaks and _tested_with(row) in tested:
            tested[_tested_with(row)][row["contrast"]] = _p_value(row)
    return {
        kind: dict(zip(p, map(float, holm_levels(list(p.values()), ALPHA)), strict=True))
        for kind, p in tested.items()
        if p
    }


def _tested_with(row: Row) -> str:
    return "null" if is_null(row) else str(row["kind"])


def _p_value(row: Row) -> float:
    if not row["reached"]:
        return p_of_one(row["trials"])
    error, df = row["standard_error"], row["degrees_of_freedom"]
    if np.isnan(error) or df <= 0 or row["log_estimate"] == 0:
        return 1.0
    if error == 0:
        return 0.0
    return skewed_p(row["log_estimate"] / error, df, row["skewness"])


def _finish(
    row: dict[str, Any],
    votes: Mapping[Cell, str],
    judged: Mapping[tuple[str, ...], int],
    levels: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    mates = levels.get(_tested_with(row), {})
    # Reached nowhere: the strictest level of those that were.
    strictest = max(mates.values(), default=LEVELS[row["kind"]])
    confidence = mates.get(row["contrast"], strictest)
    low, high, beyond = ends_of(row, confidence)
    key = (row["contrast"], row["family"], row["size"])
    vote = votes.get(_cell(row))
    known = row["bound"] != "?" and np.isfinite(row["log_estimate"])
    return row | {
        "estimate": float(np.exp(row["log_estimate"])) if known else None,
        "low": low,
        "high": high,
        "beyond": beyond,
        "confidence": confidence,
        "admitted": {"admitted": True, "refused": False}.get(vote or ""),
        "decisive": is_test(row) and judged.get(key) == row["n_tokens"] and _told(row),
        "conclusion_without_gate": word_of(row, confidence, vote),
    }


def _mark_disagreement(rows: Sequence[dict[str, Any]]) -> None:
    """Where evaluation sets differ in sign, the mean over them has no verdict of its own."""
    words: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in rows:
        if row["quantity"] == "multiplier" and row["eval_set"] != "all":
            found = words.setdefault((row["contrast"], *_cell(row)), {})
            found.setdefault(row["conclusion_without_gate"], []).append(row["eval_set"])
    for row in rows:
        found = words.get((row["contrast"], *_cell(row)), {})
        told = row["reached"] or row["conclusion_without_gate"] in ("worth", "harms")
        if is_test(row) and told and {"worth", "harms"} <= set(found):
            parts = [f"{word} on {', '.join(found[word])}" for word in ("worth", "harms")]
            row["conclusion_without_gate"] = f"no single answer: {'; '.join(parts)}"


def _gated(row: Row, votes: Mapping[Cell, str], gate: bool) -> str:
    word = str(row["conclusion_without_gate"])
    exempt = row["kind"] in ("control", "calibrator") or row["quantity"] == "slope_per_doubling"
    if not gate or exempt or word.startswith("cannot tell"):
        return word
    vote = votes.get(_cell(row))
    if vote == "admitted":
        return word
    reasons = {
        None: "no calibrator was measured at this budget",
        "refused": "this model is not limited by data alone, as the calibrator shows",
        "inconclusive": "the calibrator is not sure enough; more draws are needed",
    }
    return f"cannot tell: {reasons[vote]}"
