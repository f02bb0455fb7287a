"""How much of a corpus is kept as one bound of one rule moves, from the stored columns alone."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from curate.errors import ConfigError, check_name
from curate.rules import Rule, failing

__all__ = ["idle_rules", "named_rule", "spread", "sweep"]

# Bounds cut tails, so the tails are looked at more closely than the middle.
SHARES = (0, 0.005, 0.01, 0.02, 0.05, *(q / 10 for q in range(1, 10)), 0.95, 0.98, 0.99, 0.995, 1)
FEWEST_FOR_IDLE = 10_000  # documents; in fewer, a rule may be silent by chance


def sweep(
    columns: pl.DataFrame,
    rules: Sequence[Rule],
    *,
    rule: str,
    bound: str,
    values: Sequence[float],
) -> pl.DataFrame:
    """The retention curve of one bound, all other rules as they are.

    No text is read, and the rules are judged once: a document that another rule removes stays
    removed, and every other one leaves at the value where it crosses the bound.

    Args:
        columns: One row a document, with the columns that the rules read; rows with a `control`
            are left out.
        rules: All rules that are applied.
        rule: Name of the rule whose bound moves.
        bound: "min" or "max".
        values: The values to try.

    Returns:
        In the order of `values`: `value` Float64, `documents` and `kept` Int64, `share` Float64
        (kept / documents, 0 of none), and, if there is a column `words`, `tokens_kept` Int64.

    Raises:
        ConfigError: There is no such rule or bound.

    >>> rules = [Rule(name="a.words", signal="words", min=50)]
    >>> columns = pl.DataFrame({"words": [10, 30, 60, 80]})
    >>> sweep(columns, rules, rule="a.words", bound="min", values=[20, 70])["kept"].to_list()
    [3, 1]
    """
    moving = named_rule(rules, rule, bound)
    if moving.among is not None:
        raise ConfigError(f"rule {rule!r} names values (among): no curve can be drawn of them")
    if "control" in columns.columns:
        columns = columns.filter(pl.col("control").is_null())
    fixed = [r for r in rules if r.name != rule] + _other_bound(moving, bound)
    lost = failing(columns, fixed).select(pl.any_horizontal(pl.lit(False), pl.all())).to_series()
    weight = ["words"] if "words" in columns.columns else []
    moved = pl.col(moving.signal).cast(pl.Float64).fill_nan(None).alias("moved")
    passed = columns.filter(~lost).select(moved, *weight).drop_nulls("moved").sort("moved")
    places = [_place(passed["moved"], float(v), bound) for v in values]
    kept = [place if bound == "max" else passed.height - place for place in places]
    total = columns.height
    curve = pl.DataFrame(
        {
            "value": [float(value) for value in values],
            "documents": [total] * len(kept),
            "kept": kept,
            "share": [k / total if total else 0.0 for k in kept],
        },
        schema={"value": pl.Float64, "documents": pl.Int64, "kept": pl.Int64, "share": pl.Float64},
    )
    if not weight:
        return curve
    return curve.with_columns(_words_kept(passed["words"], places, bound))


def spread(column: pl.Series, rule: Rule, bound: str) -> list[float]:
    """Values of a bound worth trying: quantiles from end to end, and the present bound.

    Those beyond the rule's other bound, where nothing would be kept, are left out.

    >>> rule = Rule(name="a.words", signal="words", min=5, max=8)
    >>> spread(pl.Series([1, 2, None, 9]), rule, "min")
    [1.0, 2.0, 5.0]
    """
    values = column.drop_nulls().cast(pl.Float64).drop_nans()
    now, other = (rule.max, rule.min) if bound == "max" else (rule.min, rule.max)
    found = {values.quantile(q) for q in SHARES} | {now}
    sign = 1 if bound == "max" else -1
    inside = (v for v in found if v is not None and (other is None or sign * (v - other) >= 0))
    return sorted(map(float, inside))


def named_rule(rules: Sequence[Rule], name: str, bound: str) -> Rule:
    """The rule of this name, if it has such a bound.

    >>> rules = [Rule(name="a.words", signal="words", min=50)]
    >>> named_rule(rules, "a.words", "max").min
    50
    >>> named_rule(rules, "a", "words")
    Traceback (most recent call last):
    curate.errors.ConfigError: which bound of rule 'a.words'? write a.words.min or a.words.max
    """
    by_name = {rule.name: rule for rule in rules}
    whole = f"{name}.{bound}"
    if name not in by_name and whole in by_name:
        sides = ("among",) if by_name[whole].among else ("min", "max")
        written = " or ".join(f"{whole}.{side}" for side in sides)
        raise ConfigError(f"which bound of rule {whole!r}? write {written}")
    check_name("rule", name, by_name)
    allowed = ("min", "max") if by_name[name].among is None else ("among",)
    if bound not in allowed:
        raise ConfigError(f"rule {name!r} has no bound {bound!r}; allowed: {', '.join(allowed)}")
    return by_name[name]


def idle_rules(columns: pl.DataFrame, rules: Sequence[Rule]) -> list[str]:
    """Names of the rules that no document fails, if there are enough documents to say so.

    A rule that never fires is often a mistake: another unit, a column of another dialect.

    >>> rules = [Rule(name="a.words", signal="words", min=0)]
    >>> idle_rules(pl.DataFrame({"words": range(10_000)}), rules)
    ['a.words']
    >>> idle_rules(pl.DataFrame({"words": range(10)}), rules)
    []
    """
    if columns.height < FEWEST_FOR_IDLE or not rules:
        return []
    fired = failing(columns, rules).select(pl.all().any()).row(0, named=True)
    return [name for name, any_ in fired.items() if not any_]


def _other_bound(rule: Rule, bound: str) -> list[Rule]:
    """The moving rule with its other bound alone, if it has one."""
    low, high = (None, rule.max) if bound == "min" else (rule.min, None)
    if low is None and high is None:
        return []
    return [Rule(name=rule.name, signal=rule.signal, min=low, max=high)]


def _place(column: pl.Series, value: float, bound: str) -> int:
    """Documents below the value, or up to it where it is a max."""
    return column.search_sorted(value, "right" if bound == "max" else "left")


def _words_kept(words: pl.Series, places: Sequence[int], bound: str) -> pl.Series:
    below = [0, *words.fill_null(0).cast(pl.Int64).cum_sum()]
    kept = [below[p] if bound == "max" else below[-1] - below[p] for p in places]
    return pl.Series("tokens_kept", kept, pl.Int64)
