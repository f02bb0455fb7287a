"""The word for one estimate: worth, harms, no detectable effect, cannot tell.

- An interval ends where A's ladder ends: it shows nothing beyond. `beyond` says so.
- Where a draw's loss lies beyond the ladder there is no interval; its rungs are tested instead
  (`curate.scaling.rungs`), and where they tell the multiplier from 1 that is the word.
- "No detectable effect" names the multiplier that this design sees with 80 % power.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from curate.scaling.crossed import MIN_REPLICATES, Summary
from curate.scaling.rungs import rung_bounds
from curate.statistics import skewed_quantiles, t_quantile

Row = Mapping[str, Any]

BAND = (0.8, 1.2)  # the calibrator's ln m / ln 2
LARGEST_DETECTABLE = 1.5  # a design that would miss a multiplier of 1.5 cannot say "no effect"
# A factor that small models never show; where no ladder is known, half an interval of that width is
# none.
WIDEST = 100.0
ONE_DRAW = "cannot tell: one paired draw gives no interval"
TOO_WIDE = "cannot tell: the draws differ too much"
UNSEEN = "cannot tell: the draws differ too much for any multiplier that these budgets can show"
LEVELS = {"headline": 0.95, "secondary": 0.95, "control": 0.95, "calibrator": 0.90}

__all__ = [
    "LEVELS",
    "calibrator_vote",
    "conclude",
    "detectable",
    "ends_of",
    "is_test",
    "summary_of",
    "word_of",
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
    'cannot tell: the draws differ too much for any multiplier that these budgets can show'
    """
    low, high = found.interval(confidence)
    if found.standard_error == 0 == found.estimate:
        return "no detectable effect (both arms hold the same text)"
    if not np.isfinite(high):
        return ONE_DRAW
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


def summary_of(row: Row) -> Summary:
    """Mean, error, degrees of freedom and skewness of a row by `contrast_rows`."""
    return Summary(
        estimate=row["log_estimate"],
        standard_error=row["standard_error"],
        degrees_of_freedom=row["degrees_of_freedom"],
        skewness=row["skewness"],
    )


def ends_of(row: Row, confidence: float) -> tuple[float | None, float | None, str | None]:
    """Both ends, not beyond the ladder's, and which of them are beyond it ("low", "high", "both").

    Where a draw is not reached, the ends are rungs that are told from the multiplier; null where
    none is, as where an interval is too wide for the name.
    """
    low, high = _logs(row, confidence)
    ladder = row.get("ladder")
    wide = not np.isfinite(high) or (ladder is None and high - low > 2 * np.log(WIDEST))
    if (wide and row["reached"]) or not (np.isfinite(low) or np.isfinite(high)):
        return None, None, None
    least, most = ladder or (low, high)
    beyond = {(True, True): "both", (True, False): "low", (False, True): "high"}
    ends = float(np.exp(max(low, least))), float(np.exp(min(high, most)))
    return *ends, beyond.get((bool(low < least), bool(high > most)))


def _logs(row: Row, confidence: float) -> tuple[float, float]:
    if row["reached"]:
        return summary_of(row).interval(confidence)
    return rung_bounds(row["trials"], confidence)


def word_of(row: Row, confidence: float, vote: str | None) -> str:
    """What a row says at this level; `vote` is its cell's calibrator's."""
    if row["kind"] == "calibrator" and is_test(row) and row["reached"]:
        return vote or "inconclusive"
    # What keeps a multiplier from saying anything keeps harm and slope from it: all are read at
    # one loss. Dilution is settled by the draws.
    if row["quantity"] != "dilution" and row["muted"]:
        return str(row["muted"])
    if not row["reached"]:
        return _bounded_word(row, confidence)
    if row["quantity"] == "multiplier":
        return _multiplier_word(row, confidence)
    found = summary_of(row)
    word = _side_word(row, ends := found.interval(confidence))
    if not np.isfinite(ends[1]):
        return ONE_DRAW
    # Absence of evidence is told only where a sizeable effect would have been seen.
    unseen = row["quantity"] == "harm" and detectable(found, confidence) > LARGEST_DETECTABLE
    return TOO_WIDE if unseen and ends[0] <= 0 <= ends[1] else word


def is_test(row: Row) -> bool:
    """Whether the row is a multiplier over all neutral sets: what a contrast is judged by."""
    return bool(row["quantity"] == "multiplier" and row["eval_set"] == "all")


def _bounded_word(row: Row, confidence: float) -> str:
    """What a ladder that is too short still says: on which side of 1."""
    low, high = ends = rung_bounds(row["trials"], confidence)
    spoken = row["kind"] != "calibrator"
    if spoken and row["quantity"] == "multiplier" and (low >= 0 or high <= 0):
        return "worth" if low >= 0 else "harms"
    if spoken and row["quantity"] == "harm" and (low > 0 or high < 0):
        return _side_word(row, ends)
    if row["bound"] == "?":
        return "cannot tell: the budgets of the other arm are too few on both sides"
    bound = f"{row['bound']} {np.exp(row['log_estimate']):.2f}"
    return f"cannot tell: {bound}, beyond the budgets of the other arm"


def _multiplier_word(row: Row, confidence: float) -> str:
    ladder = row.get("ladder")
    largest = WIDEST if ladder is None else float(np.exp(ladder[1]))
    word = conclude(summary_of(row), confidence, largest)
    few = 1 < row["n_replicates"] < MIN_REPLICATES
    return (
        f"cannot tell: {row['n_replicates']} draws are too few" if few and word == UNSEEN else word
    )


def _side_word(row: Row, ends: tuple[float, float]) -> str:
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
    if ends[0] > 0:
        return above
    return below if ends[1] < 0 else neither
