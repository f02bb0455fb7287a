"""Scaling curves compared: how many tokens of one corpus do the work of one of another."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import polars as pl

from curate.errors import ConfigError, check_name
from curate.scaling.agreement import agreement
from curate.scaling.conclusions import calibrator_vote, conclude, detectable
from curate.scaling.costs import Cost, Rates, training_cost
from curate.scaling.crossed import Summary, crossed_interval
from curate.scaling.curves import ArmCurve, Reading, arm_curve, read_curve
from curate.scaling.disagreement import disagreements
from curate.scaling.joint import JointLaw, fit_joint
from curate.scaling.law import FitOptions, ScalingLaw, fit_scaling_law
from curate.scaling.law_report import Questions, ScalingReport, run_points, scaling_report
from curate.scaling.laws import FORMS
from curate.scaling.multiplier import Cells, contrast_rows, multiplier_cells
from curate.scaling.points import Columns, check_points, read_points
from curate.scaling.prediction import PredictionCheck, check_prediction
from curate.scaling.readouts import (
    ReadOut,
    compute_optimal,
    gain_per_doubling,
    knee,
    law_multiplier,
    loss_at,
    tokens_needed,
)
from curate.scaling.repeats import RepeatLaw, fit_repeats
from curate.scaling.sentences import NO_EVALUATION, disagreement_sentences, sentences
from curate.scaling.sizes import best_sizes
from curate.scaling.verdict import MULTIPLIER_SCHEMA, decide

__all__ = [
    "FORMS",
    "MULTIPLIER_SCHEMA",
    "NO_EVALUATION",
    "ArmCurve",
    "Cells",
    "Columns",
    "Cost",
    "FitOptions",
    "JointLaw",
    "PredictionCheck",
    "Questions",
    "Rates",
    "ReadOut",
    "Reading",
    "RepeatLaw",
    "ScalingLaw",
    "ScalingReport",
    "Summary",
    "TokenMultiplier",
    "agreement",
    "arm_curve",
    "best_sizes",
    "calibrator_vote",
    "check_points",
    "check_prediction",
    "compute_optimal",
    "conclude",
    "contrast_rows",
    "crossed_interval",
    "decide",
    "detectable",
    "disagreement_sentences",
    "disagreements",
    "fit_joint",
    "fit_repeats",
    "fit_scaling_law",
    "gain_per_doubling",
    "knee",
    "law_multiplier",
    "loss_at",
    "multiplier_cells",
    "read_curve",
    "read_points",
    "run_points",
    "scaling_report",
    "sentences",
    "token_multiplier",
    "tokens_needed",
    "training_cost",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenMultiplier:
    """What one arm's tokens are worth in tokens of another.

    Attributes:
        table: One row an estimate, columns as `MULTIPLIER_SCHEMA`.
        verdicts: Sentences for each family and size, the headline first.
    """

    table: pl.DataFrame
    verdicts: tuple[str, ...]

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(text)}</p>" for text in self.verdicts)
        shown = self.table.filter(pl.col("quantity") == "multiplier").select(
            "family", "size", "n_tokens", "eval_set", "estimate", "low", "high", "conclusion"
        )
        return said + str(shown._repr_html_())


def token_multiplier(
    points: pl.DataFrame | pl.LazyFrame,
    *,
    curve: str = "raw",
    against: str = "curated",
    evaluation: pl.DataFrame | None = None,
) -> TokenMultiplier:
    """How many `curve` tokens do the work of one `against` token, at equal loss.

    No calibrator is asked: the caller vouches that the runs are limited by data. The first
    family and size in the table (by name) make the headline.

    Args:
        points: Tidy table of runs: `arm, family, size` String, `n_tokens` Int64 (budget),
            `replicate` Int32, `eval_set` String, `loss` Float64 (bits per byte); replicates of
            both arms with one number are taken as paired draws. `document_bits` List(Float64),
            where present with `evaluation`, adds the noise of the evaluation documents.
        curve: The arm whose curve is read: the "raw" side.
        against: The arm whose losses are looked up on it.
        evaluation: `eval_set` String and `bytes` Int64, one row an evaluation document in the
            order of `document_bits`.

    Raises:
        ConfigError: An arm is not in the table, or its runs are incomplete.

    >>> D = [1000 * 2**k for k in range(5)]
    >>> points = pl.DataFrame(
    ...     [{"arm": arm, "family": "f", "size": "s", "n_tokens": n, "replicate": r,
    ...       "eval_set": "e", "loss": 1.5 + (share * n) ** -0.3 + 0.0001 * r}
    ...      for arm, share in (("raw", 0.5), ("curated", 1.0)) for n in D for r in range(3)])
    >>> gain = token_multiplier(points)
    >>> gain.table.filter(pl.col("quantity") == "multiplier")["estimate"].round(2).to_list()[::2]
    [2.0, 2.0, 2.0, 2.0, 1.0]
    >>> gain.table["bound"].to_list()[-2:]
    ['≥', None]
    """
    frame = points.lazy().collect()
    _check_points(frame, (curve, against))
    both = frame.filter(pl.col("arm").is_in([curve, against]))
    name = f"{curve} → {against}"
    cells = both.select("family", "size").unique().sort("family", "size").rows()
    rows = []
    for family, size in cells:
        a = arm_curve(both, arm=curve, family=family, size=size, evaluation=evaluation)
        b = arm_curve(both, arm=against, family=family, size=size, evaluation=evaluation)
        _check_pair(a, b, f"family {family!r}, size {size!r}")
        fixed = {
            "contrast": name,
            "arm_a": curve,
            "arm_b": against,
            "family": family,
            "size": size,
            "kind": "headline",
            "note": None,
            "muted": None,
        }
        found = contrast_rows(multiplier_cells(a, b, b.budgets.tolist()))
        rows += [fixed | row for row in found]
    sources = both["eval_set"].n_unique()
    table = decide(rows, headline=name, primary=cells[0], sources=sources, gate=False)
    said = tuple(verdict["sentence"] for verdict in sentences(table))
    return TokenMultiplier(table=table, verdicts=said)


def _check_points(points: pl.DataFrame, arms: tuple[str, str]) -> None:
    needed = {"arm", "family", "size", "n_tokens", "replicate", "eval_set", "loss"}
    if missing := sorted(needed - set(points.columns)):
        raise ConfigError(f"the table of runs lacks the columns {', '.join(missing)}")
    known = points["arm"].unique().to_list()
    for arm in arms:
        check_name("arm", arm, known)


def _check_pair(a: ArmCurve, b: ArmCurve, where: str) -> None:
    if a.loss.shape[0] != b.loss.shape[0] or a.eval_sets != b.eval_sets:
        raise ConfigError(
            f"{where}: the arms differ in replicates ({a.loss.shape[0]} and {b.loss.shape[0]}) or "
            f"evaluation sets ({', '.join(a.eval_sets)} and {', '.join(b.eval_sets)})"
        )
    if not np.isfinite(a.loss).all() or not np.isfinite(b.loss).all():
        raise ConfigError(f"{where}: a loss is not finite")
