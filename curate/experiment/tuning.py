"""The learning rate of every size, chosen on draws of its own before anything is compared.

Inert filler at one half must cost a factor of two: the model that read 2 D diluted tokens must be
as good as the one that read D clean ones. At too low a rate filler buys steps, and the diluted
model is better; at too high a rate every filler window makes the next real step too large, and it
is worse. Between the two lies the rate at which the cell is limited by data. It is looked for here,
on the calibrator alone and on a draw that no verdict sees; the gate then judges on the verdict's
own draws whether it was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from curate.executors import Executor
from curate.experiment.arms import Draws
from curate.experiment.inputs import merged_evaluation
from curate.experiment.plan import TUNING_FACTORS, TUNING_TOKENS, FamilyPlan
from curate.proxies import Evaluation, Gpt
from curate.proxies.gpt import Precision
from curate.subsets import Tokens

TUNING_DRAW = 1_000_003  # a replicate of its own, far from those of the verdicts

__all__ = ["Trial", "choose_rate", "low_rate_check", "tune_rates", "with_precision"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One rate, tried.

    Attributes:
        size: Of the model.
        rate: Peak learning rate.
        clean: Loss after D clean tokens, bits a byte, mean over budgets.
        diluted: Loss after 2 D diluted tokens.
    """

    size: str
    rate: float
    clean: float
    diluted: float

    @property
    def gap(self) -> float:
        """By how much filler did worse than nothing; rises with the rate, 0 is wanted."""
        return self.diluted - self.clean


def tune_rates(
    family: Gpt, draws: Draws, planned: FamilyPlan, executor: Executor
) -> tuple[Gpt, list[dict[str, Any]]]:
    """The family with each size's rate as the calibrator wants it, and the trials behind it.

    Args:
        family: Its settings' rates are the middle of what is tried.
        draws: The pool; a draw of its own is taken from it.
        planned: Sizes and budgets.
        executor: Map over trials.
    """
    evaluation = merged_evaluation(draws.inputs, TUNING_TOKENS)
    asked = [(size, factor) for size in planned.sizes for factor in TUNING_FACTORS]

    def attempt(one: tuple[str, float]) -> Trial:
        size, factor = one
        rate = family.settings[size].peak_rate * factor
        tried = _with_rates(family, {size: rate})
        clean, diluted = (
            _loss(tried, size, draws.tokens(arm, TUNING_DRAW, budgets[-1]), budgets, evaluation)
            for arm, budgets in (
                ("calibrator_clean", planned.budgets),
                ("calibrator_diluted", [2 * n for n in planned.budgets]),
            )
        )
        return Trial(size=size, rate=rate, clean=clean, diluted=diluted)

    trials = executor(attempt, asked)
    rates = {
        size: choose_rate([trial for trial in trials if trial.size == size])
        for size in planned.sizes
    }
    table = [
        {"size": t.size, "rate": t.rate, "clean": round(t.clean, 4), "diluted": round(t.diluted, 4)}
        | {"chosen_rate": rates[t.size]}
        for t in trials
    ]
    return _with_rates(family, rates), table


def with_precision(family: Gpt, planned: FamilyPlan) -> tuple[Gpt, dict[str, str]]:
    """The family with the planned precision at every size, and what "auto" came to.

    A plan that is carried out again takes what "auto" came to then: a second timing on a busier
    machine may say otherwise, and then no digit would be the same.
    """
    from curate.proxies.precision import faster_precision

    settings = dict(family.settings)
    for size in planned.sizes:
        each = settings[size]
        asked = planned.precisions.get(size, planned.precision)
        precision: Precision = "bfloat16" if asked == "bfloat16" else "float32"
        if asked == "auto":
            precision = faster_precision(each, vocabulary=family.vocabulary)
        settings[size] = replace(each, precision=precision)
    taken = {size: settings[size].precision for size in planned.sizes}
    return replace(family, settings=settings), dict(taken)


def choose_rate(trials: Sequence[Trial]) -> float:
    """The rate at which filler costs what it should: between the two trials around it.

    Where all trials lie on one side it is the one that comes nearest.

    >>> low = Trial(size="s", rate=0.001, clean=3.0, diluted=2.9)
    >>> high = Trial(size="s", rate=0.004, clean=2.9, diluted=3.0)
    >>> round(choose_rate([low, high]), 6), choose_rate([low])
    (0.002, 0.001)
    """
    rising = sorted(trials, key=lambda trial: trial.rate)
    for low, high in pairwise(rising):
        if low.gap <= 0 < high.gap:
            share = low.gap / (low.gap - high.gap)
            return float(f"{low.rate * (high.rate / low.rate) ** share:.3g}")
    return min(rising, key=lambda trial: abs(trial.gap)).rate


def low_rate_check(
    family: Gpt, draws: Draws, planned: FamilyPlan, executor: Executor
) -> list[dict[str, Any]]:
    """Raw against curated at equal tokens, once at the rate and once at a tenth of it.

    Rankings that hold at one rate only are no rankings of data. One draw of its own and the
    primary size: `rate`, `raw` and `curated` loss in bits a byte. No verdict is made from it.
    """
    size, budget = planned.sizes[0], planned.budgets[-1]
    evaluation = merged_evaluation(draws.inputs, TUNING_TOKENS)
    peak = family.settings[size].peak_rate
    asked = [(rate, arm) for rate in (peak, peak / 10) for arm in ("raw", "curated")]

    def attempt(one: tuple[float, str]) -> float:
        rate, arm = one
        tokens = draws.tokens(arm, TUNING_DRAW, budget)
        return _loss(_with_rates(family, {size: rate}), size, tokens, [len(tokens)], evaluation)

    losses = [round(loss, 4) for loss in executor(attempt, asked)]
    return [
        {"size": size, "n_tokens": budget, "rate": rate, "raw": raw, "curated": curated}
        for rate, raw, curated in zip((peak, peak / 10), losses[::2], losses[1::2], strict=True)
    ]


def _with_rates(family: Gpt, rates: Mapping[str, float]) -> Gpt:
    settings = {
        size: replace(each, peak_rate=rates.get(size, each.peak_rate))
        for size, each in family.settings.items()
    }
    return replace(family, settings=settings)


def _loss(
    family: Gpt, size: str, tokens: Tokens, budgets: Sequence[int], evaluation: Evaluation
) -> float:
    """Mean over budgets, bits a byte."""
    points = family.ladder(
        tokens, budgets=budgets, size=size, seed=TUNING_DRAW, evaluation=evaluation
    )
    return float(np.mean([evaluation.bits_per_byte(point.document_bits) for point in points]))
