"""The second design: one pool of text that is read again and again."""

from __future__ import annotations

from collections.abc import Sequence

from curate.experiment.config import LIGHT, MeasureConfig
from curate.experiment.inputs import MeasureInputs
from curate.experiment.plan import POOL_PASSES, Plan
from curate.proxies import FAMILIES

REPEATED = "a fixed pool read again and again"
DOCUMENTS = 2  # as long as the longest: a pool with less curated text than these may hold none
FEW_MINUTES = "as the minutes are too few"

__all__ = ["FEW_MINUTES", "REPEATED", "holds_text", "unread"]


def holds_text(inputs: MeasureInputs, budgets: Sequence[int], share: float) -> bool:
    """Whether the pool of such budgets is sure to hold curated text to read again.

    Args:
        inputs: The corpus.
        budgets: Of the family that reads the pool.
        share: Of the tokens that curation keeps.

    >>> from curate.experiment.example import example_inputs
    >>> [holds_text(example_inputs(), [n], 0.6) for n in (100, 100_000)]
    [False, True]
    """
    longest = int(inputs.texts["raw"].lengths.max(initial=0))
    return min(share, 1.0) * (budgets[-1] // POOL_PASSES) >= DOCUMENTS * longest


def unread(config: MeasureConfig, plan: Plan, inputs: MeasureInputs) -> str:
    r"""Why no pool is read again and again; empty where one is.

    Args:
        config: Arms and families that are wanted.
        plan: With its families, and why others are left out.
        inputs: The corpus.

    >>> from curate.experiment.example import example_inputs
    >>> nothing = Plan(seed=1, share=0.6, contrasts=(), families={}, evaluation_tokens=0,
    ...                left_out={}, detect=1.1)
    >>> unread(MeasureConfig(), nothing, example_inputs())
    'needs a transformer, as n-gram models learn repeats by heart: add gpt to measure.families'
    >>> unread(MeasureConfig(arms=("calibrator",)), nothing, example_inputs())
    'measure.arms does not name fixed_pool; --set \'measure.arms=["calibrator", ...]\' does'
    """
    if "fixed_pool" not in config.arms:
        named = ", ".join(f'"{arm}"' for arm in (*config.arms, "fixed_pool"))
        return f"measure.arms does not name fixed_pool; --set 'measure.arms=[{named}]' does"
    able = [name for name in config.families if name not in LIGHT]
    if not able:
        return (
            "needs a transformer, as n-gram models learn repeats by heart: add gpt to "
            "measure.families"
        )
    if plan.pool_tokens:
        return ""
    if not any(FAMILIES[name].available() for name in able):
        return "needs torch"
    if refused := [name for name in able if name in plan.left_out]:
        return f"needs {refused[0]}, which {plan.left_out[refused[0]]}"
    planned = [plan.families[name].budgets for name in able if name in plan.families]
    if planned and not any(holds_text(inputs, budgets, plan.share) for budgets in planned):
        return "as a pool of these budgets may hold no curated text"
    return FEW_MINUTES
