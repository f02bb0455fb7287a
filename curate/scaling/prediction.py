"""Does the law predict? Fits on the smaller models against the largest, beside simple rivals.

A law is only worth its trouble where it beats what needs no law: carrying the loss of the largest
fitted model on along a straight line in ln N, and ranking arms at one small size (the single-scale
ranking that DataDecide, arXiv 2504.11393, found no law to beat).
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import combinations

import numpy as np
import polars as pl

from curate.arrays import Floats
from curate.errors import ConfigError
from curate.scaling.fitting import fit_form
from curate.scaling.laws import LawForm, law_form, predicted_loss
from curate.scaling.points import PointSet, point_set
from curate.statistics import wilson

__all__ = ["PredictionCheck", "check_prediction"]

_LEAST_SIZES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionCheck:
    """How well the smaller models foretell the largest.

    Attributes:
        errors: `arm, n_params, n_tokens, loss, by_law, by_line, at_one_size`: the points of the
            largest size, predicted from all smaller ones, by a straight line in ln N through
            the last two, and the loss of the last one itself.
        summary: `method, mean_relative_error, largest_relative_error`, a row each for "law" and
            "line"; with several arms `pairs, right, low, high`: pairs of arms at one budget
            that the method ranks as the largest size does ("one size" ranks by the largest
            fitted size alone).
        sentence: What may be said.
    """

    errors: pl.DataFrame
    summary: pl.DataFrame
    sentence: str

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{self.summary._repr_html_()}"


def check_prediction(points: pl.DataFrame, *, form: str = "chinchilla") -> PredictionCheck:
    """Predict the largest size of every arm from its smaller ones.

    Args:
        points: Checked points (`check_points`), one or several arms.
        form: Form of the law.

    Raises:
        ConfigError: No arm has four sizes.

    >>> from curate.scaling.example import example_arms
    >>> found = check_prediction(example_arms())
    >>> found.summary.filter(method="law")["mean_relative_error"].item() < 0.02
    True
    """
    tables = [
        _predicted(arm, law_form(form))
        for _, arm in points.sort("arm", "n_params", "n_tokens").group_by(
            "arm", maintain_order=True
        )
        if arm["n_params"].n_unique() >= _LEAST_SIZES
    ]
    if not tables:
        raise ConfigError(
            f"no arm has {_LEAST_SIZES} sizes; the smaller ones cannot be asked about the largest"
        )
    errors = pl.concat(tables)
    summary = _summary(errors)
    return PredictionCheck(errors=errors, summary=summary, sentence=_sentence(summary))


def _predicted(arm: pl.DataFrame, form: LawForm) -> pl.DataFrame:
    largest = arm["n_params"].max()
    held, seen = arm.filter(n_params=largest), arm.filter(pl.col("n_params") != largest)
    n, d = held["n_params"].to_numpy(), held["n_tokens"].to_numpy()
    by_law = predicted_loss(_coefficients(point_set(seen), form), n, d)
    line, small = _by_line(seen, held)
    columns = {"by_law": by_law, "by_line": line, "at_one_size": small}
    return held.select("arm", "n_params", "n_tokens", "loss").with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in columns.items()
    )


def _coefficients(points: PointSet, form: LawForm) -> dict[str, float]:
    phi = fit_form(points, form).phi
    a, b, e, alpha, beta = form.offset + form.mapping @ phi
    n0, d0 = points.centre
    logs = {"E": e, "A": a + alpha * n0, "B": b + beta * d0}
    return {name: float(np.exp(value)) for name, value in logs.items()} | {
        "alpha": float(alpha),
        "beta": float(beta),
    }


def _by_line(seen: pl.DataFrame, held: pl.DataFrame) -> tuple[Floats, Floats]:
    """Straight line in (ln N, ln L) through the two largest fitted sizes, and the last alone."""
    sizes = seen["n_params"].unique().sort()[-2:]
    at = held["n_tokens"].to_numpy()
    before, last = (_read(seen.filter(n_params=size), at) for size in sizes)
    steps = np.log([*sizes, held["n_params"][0]])
    share = (steps[2] - steps[0]) / (steps[1] - steps[0])
    return np.exp(before + share * (last - before)), np.exp(last)


def _read(run: pl.DataFrame, tokens: Floats) -> Floats:
    """Log loss of one size at these budgets, interpolated; NaN outside."""
    mean = run.group_by("n_tokens").agg(pl.col("loss").log().mean()).sort("n_tokens")
    x = np.log(mean["n_tokens"].to_numpy())
    y = mean["loss"].to_numpy()
    return np.asarray(np.interp(np.log(tokens), x, y, left=np.nan, right=np.nan))


def _summary(errors: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for method, column in (("law", "by_law"), ("line", "by_line"), ("one size", "at_one_size")):
        known = errors.filter(pl.col(column).is_not_null())
        off = (known[column] / known["loss"] - 1).abs()
        right, pairs = _ranked(known, column)
        ends = wilson(right, pairs)
        rows.append(
            {
                "method": method,
                "points": known.height,
                "mean_relative_error": off.mean() if method != "one size" else None,
                "largest_relative_error": off.max() if method != "one size" else None,
                "pairs": pairs,
                "right": right,
                "low": ends.low if pairs else None,
                "high": ends.high if pairs else None,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64})


def _ranked(known: pl.DataFrame, column: str) -> tuple[int, int]:
    """Pairs of arms at one size and budget that a method ranks as the losses do."""
    right = pairs = 0
    means = known.group_by("n_params", "n_tokens", "arm").agg(pl.col("loss", column).mean())
    for _, cell in means.sort("arm").group_by("n_params", "n_tokens"):
        for a, b in combinations(cell.iter_rows(named=True), 2):
            pairs += 1
            right += (a["loss"] < b["loss"]) == (a[column] < b[column])
    return right, pairs


def _sentence(summary: pl.DataFrame) -> str:
    law, line, one = summary.iter_rows(named=True)
    if law["mean_relative_error"] is None:
        return "Nothing to predict."
    said = (
        f"The largest size is predicted within {100 * law['mean_relative_error']:.2g} % by the law"
    )
    if line["mean_relative_error"] is not None:
        said += f", {100 * line['mean_relative_error']:.2g} % by a straight line"
    if law["pairs"]:
        said += (
            f"; of {law['pairs']} pairs of arms the law ranks {law['right']} rightly, the largest "
            f"fitted size alone {one['right']} of {one['pairs']}"
        )
    return said + "."
