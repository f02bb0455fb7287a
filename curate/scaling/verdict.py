"""From estimates to words: intervals at their level, the calibrator's gate, four verdicts.

- One headline contrast is tested at 5 %. Holm's procedure over all other contrasts gives each
  its own level, and every interval of that contrast is drawn at it. Arms whose answer is 1 (null
  pair, random filter) are a family of their own; other controls keep 95 %, the calibrator 90 %.
- A cell (family, size, budget) votes only if its calibrator, text diluted to one half with
  inert filler, is measured as such: the 90 % interval of ln m / ln 2 lies within [.8, 1.2].
  Each conclusion stands beside the one that the gate would have let pass.
- The words are "worth", "harms", "no detectable effect (≥ x would have been seen)" and
  "cannot tell"; x is the multiplier that this design sees with 80 % power.
- An interval ends where A's ladder ends: it shows nothing beyond. `beyond` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from curate.scaling.multiplier import MIN_REPLICATES, Summary
from curate.scaling.words import is_null
from curate.statistics import holm_levels, skewed_p, skewed_quantiles, t_quantile

Row = Mapping[str, Any]
Cell = tuple[str, str, int]

BAND = (0.8, 1.2)  # the calibrator's ln m / ln 2
LARGEST_DETECTABLE = 1.5  # a design that would miss a multiplier of 1.5 cannot say "no effect"
# A factor that small models never show; where no ladder is known, half an interval of that width is
# none.
WIDEST = 100.0
UNSEEN = "cannot tell: the draws differ too much for anything that the ladder can show"
UNKNOWN: Row = {"skewness": 0.0, "effective_documents": None}  # of rows that say nothing of it
ALPHA = 0.05  # of a family of tests together
LEVELS = {"headline": 0.95, "secondary": 0.95, "control": 0.95, "calibrator": 0.90}

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

__all__ = [
    "MULTIPLIER_SCHEMA",
    "calibrator_vote",
    "conclude",
    "decide",
    "detectable",
]


def calibrator_vote(found: Summary) -> str:
    """What a calibrator cell says: `"admitted"`, `"refused"` or `"inconclusive"`.

    Args:
        found: Mean of ln m, text against the same text diluted to one half.

    >>> for log_m, se in ((0.69, 0.01), (0.1, 0.01), (0.69, 0.3)):
    ...     calibrator_vote(Summary(estimate=log_m, standard_error=se, degrees_of_freedom=7))
    'admitted'
    'refused'
    'inconclusive'
    """
    low, high = (end / np.log(2) for end in found.interval(LEVELS["calibrator"]))
    if low >= BAND[0] and high <= BAND[1]:
        return "admitted"
    return "refused" if high < BAND[0] or low > BAND[1] else "inconclusive"


def detectable(found: Summary, confidence: float = 0.95) -> float:
    """Multiplier above 1 that a test with these errors of ln m sees with 80 % power.

    >>> round(detectable(Summary(estimate=0.0, standard_error=0.03, degrees_of_freedom=7)), 3)
    1.103
    """
    df = found.degrees_of_freedom
    below, _ = skewed_quantiles(confidence, df, found.skewness)
    log = (below + float(t_quantile(0.6, df))) * found.standard_error
    return float(np.exp(log)) if log < np.log(WIDEST) else float("inf")


def conclude(found: Summary, confidence: float = 0.95, largest: float = WIDEST) -> str:
    """The word for one reached cell.

    Args:
        found: Mean of ln m, its standard error NaN where one replicate gives none.
        confidence: Of the interval.
        largest: Multiplier that the ladder can show; what is larger would not have been seen.

    >>> def said(log_m, error, largest=100.0):
    ...     cell = Summary(estimate=log_m, standard_error=error, degrees_of_freedom=7)
    ...     return conclude(cell, largest=largest)
    >>> said(0.4, 0.05), said(-0.4, 0.05)
    ('worth', 'harms')
    >>> said(0.01, 0.02)
    'no detectable effect (≥ 1.07 would have been seen)'
    >>> said(0.1, 0.4)
    'cannot tell: only a multiplier of ≥ 3.68 would have been seen'
    >>> said(0.1, 0.4, largest=2.5)
    'cannot tell: the draws differ too much for anything that the ladder can show'
    """
    low, high = found.interval(confidence)
    if found.standard_error == 0 == found.estimate:
        return "no detectable effect (both arms hold the same text)"
    if not np.isfinite(high):
        return "cannot tell: one paired draw gives no interval"
    if low > 0:
        return "worth"
    if high < 0:
        return "harms"
    seen = detectable(found, confidence)
    if seen <= LARGEST_DETECTABLE:
        return f"no detectable effect (≥ {_rounded(seen)} would have been seen)"
    if seen < largest:
        return f"cannot tell: only a multiplier of ≥ {seen:.2f} would have been seen"
    return UNSEEN


def _rounded(multiplier: float) -> str:
    """Two decimals, or as many as tell it from 1.

    >>> _rounded(1.0712), _rounded(1.00031), _rounded(1.0)
    ('1.07', '1.0003', '1.00')
    """
    decimals = 2
    while decimals < 6 and round(multiplier, decimals) == 1 < multiplier:
        decimals += 1
    return f"{multiplier:.{decimals}f}"


def _summary(row: Row) -> Summary:
    return Summary(
        estimate=row["log_estimate"],
        standard_error=row["standard_error"],
        degrees_of_freedom=row["degrees_of_freedom"],
        skewness=row["skewness"],
    )


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
        reach on all neutral sets; `headline` is the decisive cell of the headline contrast in the
        primary family and size.
    """
    listed = [{**UNKNOWN, **row} for row in rows]
    votes = _votes(listed)
    decisive = _decisive(listed, votes if gate else None)
    levels = _levels(listed, decisive, primary)
    done = [_finish(row, votes, decisive, levels) for row in listed]
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


def _is_test(row: Row) -> bool:
    """Whether the row is a multiplier over all neutral sets: what a contrast is judged by."""
    return bool(row["quantity"] == "multiplier" and row["eval_set"] == "all")


def _votes(rows: Sequence[Row]) -> dict[Cell, str]:
    votes = {}
    for row in rows:
        if row["kind"] == "calibrator" and _is_test(row):
            vote = calibrator_vote(_summary(row)) if row["reached"] else "inconclusive"
            votes[_cell(row)] = vote
    return votes


def _decisive(rows: Sequence[Row], votes: Mapping[Cell, str] | None) -> dict[tuple[str, ...], int]:
    """Budget that speaks for each (contrast, family, size); admitted ones go first."""
    best: dict[tuple[str, ...], tuple[bool, int]] = {}
    for row in rows:
        if _is_test(row) and row["reached"]:
            key = (row["contrast"], row["family"], row["size"])
            exempt = row["kind"] in ("control", "calibrator")
            votes_here = votes is None or exempt or votes.get(_cell(row)) == "admitted"
            rank = (votes_here, row["n_tokens"])
            best[key] = max(best.get(key, rank), rank)
    return {key: budget for key, (_, budget) in best.items()}


def _levels(
    rows: Sequence[Row], decisive: Mapping[tuple[str, ...], int], primary: tuple[str, str]
) -> dict[str, dict[str, float]]:
    """Confidence of each contrast by Holm over the decisive cells of those it is tested with."""
    tested: dict[str, dict[str, float]] = {"secondary": {}, "null": {}}
    for row in rows:
        key = (row["contrast"], row["family"], row["size"])
        speaks = _is_test(row) and decisive.get(key) == row["n_tokens"] and key[1:] == primary
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
    error, df = row["standard_error"], row["degrees_of_freedom"]
    if np.isnan(error) or df <= 0 or row["log_estimate"] == 0:
        return 1.0
    if error == 0:
        return 0.0
    return skewed_p(row["log_estimate"] / error, df, row["skewness"])


def _finish(
    row: dict[str, Any],
    votes: Mapping[Cell, str],
    decisive: Mapping[tuple[str, ...], int],
    levels: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    mates = levels.get(_tested_with(row), {})
    # Reached nowhere: the strictest level of those that were.
    strictest = max(mates.values(), default=LEVELS[row["kind"]])
    confidence = mates.get(row["contrast"], strictest)
    low, high, beyond = _interval(row, confidence)
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
        "decisive": _is_test(row) and decisive.get(key) == row["n_tokens"],
        "conclusion_without_gate": _word(row, confidence, vote),
    }


def _interval(row: Row, confidence: float) -> tuple[float | None, float | None, str | None]:
    """Both ends, not beyond the ladder's, and which of them are beyond it."""
    low, high = _summary(row).interval(confidence)
    ladder = row.get("ladder")
    wide = not np.isfinite(high) or (ladder is None and high - low > 2 * np.log(WIDEST))
    if not row["reached"] or wide:
        return None, None, None
    least, most = ladder or (low, high)
    beyond = {(True, True): "both", (True, False): "low", (False, True): "high"}
    ends = float(np.exp(max(low, least))), float(np.exp(min(high, most)))
    return *ends, beyond.get((bool(low < least), bool(high > most)))


def _word(row: Row, confidence: float, vote: str | None) -> str:
    if not row["reached"]:
        if row["bound"] == "?":
            return "cannot tell: the other arm's ladder is too short on both sides"
        return f"cannot tell: {row['bound']} {np.exp(row['log_estimate']):.2f}, ladder too short"
    if row["kind"] == "calibrator" and _is_test(row):
        return vote or "inconclusive"
    if row["quantity"] == "multiplier":
        return row["muted"] or _multiplier_word(row, confidence)
    return _side_word(row, confidence)


def _multiplier_word(row: Row, confidence: float) -> str:
    ladder = row.get("ladder")
    largest = WIDEST if ladder is None else float(np.exp(ladder[1]))
    word = conclude(_summary(row), confidence, largest)
    few = 1 < row["n_replicates"] < MIN_REPLICATES
    return (
        f"cannot tell: {row['n_replicates']} draws are too few" if few and word == UNSEEN else word
    )


def _side_word(row: Row, confidence: float) -> str:
    above, below, neither = {
        "harm": (
            "what was removed hurt",
            "what was removed still taught",
            "cannot be told from empty",
        ),
        "dilution": (
            "removed text took room",
            "removed text took no room",
            "no detectable dilution",
        ),
        "slope_per_doubling": (
            "rises with the budget",
            "falls with the budget",
            "no detectable trend",
        ),
    }[row["quantity"]]
    low, high = _summary(row).interval(confidence)
    if low > 0:
        return above
    return below if high < 0 else neither


def _mark_disagreement(rows: Sequence[dict[str, Any]]) -> None:
    """Where evaluation sets differ in sign, the mean over them has no verdict of its own."""
    words: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in rows:
        if row["quantity"] == "multiplier" and row["eval_set"] != "all":
            found = words.setdefault((row["contrast"], *_cell(row)), {})
            found.setdefault(row["conclusion_without_gate"], []).append(row["eval_set"])
    for row in rows:
        found = words.get((row["contrast"], *_cell(row)), {})
        if _is_test(row) and row["reached"] and {"worth", "harms"} <= set(found):
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
        None: "no calibrator vouches for this cell",
        "refused": "not limited by data (refused by the calibrator)",
        "inconclusive": "the calibrator is inconclusive; more draws are needed",
    }
    return f"cannot tell: {reasons[vote]}"
