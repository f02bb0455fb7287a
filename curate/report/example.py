"""Small invented tables of a run, for the examples in this room's documentation."""

from __future__ import annotations

import polars as pl

__all__ = ["example_impact", "example_multipliers", "example_runs"]

_BUDGETS = (100_000, 200_000)


def example_runs() -> pl.DataFrame:
    """Proxy runs of two arms: two budgets, two replicates, one evaluation set.

    >>> example_runs().height
    8
    """
    rows = [
        (arm, "kneser_ney", "order2", budget, replicate, "manual", 2 + gain + replicate / 100)
        for arm, gain in (("raw", 0.1), ("curated", 0.0))
        for budget in _BUDGETS
        for replicate in (0, 1)
    ]
    names = ("arm", "family", "size", "n_tokens", "replicate", "eval_set", "loss")
    return pl.DataFrame(rows, schema=names, orient="row")


def example_multipliers() -> pl.DataFrame:
    """Multipliers of one contrast: two budgets, all sets and two sets; harm at the larger one.

    >>> example_multipliers().filter("headline")["estimate"].to_list()
    [1.5]
    """
    sets = ("all", "manual", "tutorial")
    keys = [("multiplier", budget, name) for budget in _BUDGETS for name in sets]
    keys += [(quantity, _BUDGETS[1], "all") for quantity in ("harm", "dilution")]
    frame = pl.DataFrame(keys, schema=("quantity", "n_tokens", "eval_set"), orient="row")
    last = (pl.col("n_tokens") == _BUDGETS[1]) & (pl.col("eval_set") == "all")
    return frame.with_columns(
        contrast=pl.lit("raw → curated"),
        arm_a=pl.lit("raw"),
        arm_b=pl.lit("curated"),
        family=pl.lit("kneser_ney"),
        size=pl.lit("order2"),
        estimate=pl.lit(1.5),
        low=pl.lit(1.4),
        high=pl.lit(1.6),
        confidence=pl.lit(0.95),
        n_replicates=pl.lit(2),
        reached=pl.lit(True),
        admitted=pl.lit(True),
        headline=last & (pl.col("quantity") == "multiplier"),
        conclusion=pl.lit("worth"),
    )


def example_impact() -> pl.DataFrame:
    """The audit of one step on two sources, one of them flagged.

    >>> example_impact().select("group", "state").rows()
    [('news', 'flag'), ('wiki', 'no flag')]
    """
    rows = [("news", 3.0, 30, "flag"), ("wiki", 0.33, 10, "no flag")]
    frame = pl.DataFrame(rows, schema=("group", "removal_ratio", "removed", "state"), orient="row")
    return frame.with_columns(
        step=pl.lit("gopher_quality"),
        population=pl.lit("marginal"),
        weight=pl.lit("documents"),
        group_column=pl.lit("source"),
        n=pl.lit(100),
        n_rest=pl.lit(100),
        removed_rest=40 - pl.col("removed"),
        removal_ratio_low=pl.col("removal_ratio") / 1.5,
        removal_ratio_high=pl.col("removal_ratio") * 1.5,
        q=pl.lit(0.001),
        smallest_detectable_ratio=pl.lit(1.3),
        largest_group_share_of_rest_removals=pl.lit(1.0),
    )
