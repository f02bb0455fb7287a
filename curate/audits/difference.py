"""Two audits side by side: which flags appeared, and which went."""

from __future__ import annotations

import polars as pl

_KEYS = ["step", "group_column", "group"]
_SIDES = ["state", "removal_ratio", "excess_removal", "q"]


def audit_difference(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows whose flag differs between two tables of `impact`.

    Args:
        before: Table of the first audit.
        after: Table of the second.

    Returns:
        One row a (step, group) that is flagged in exactly one of them: `step`, `group_column`,
        `group`, `change` (`"appeared"`, `"went"`), and `state`, `removal_ratio`,
        `excess_removal`, `q` of each side with the endings `_before` and `_after` (null where
        the pair was not audited). What appeared first, then by step, column and group.

    >>> from curate.audits import impact
    >>> def one(removed):
    ...     failed = [["a.x"]] * removed + [[]] * (200 - removed) + [["a.x"]] * 20 + [[]] * 180
    ...     frame = pl.DataFrame({"source": ["f"] * 200 + ["b"] * 200, "failed": failed})
    ...     return impact(frame, steps={"a": ["a.x"]}, group="source")
    >>> audit_difference(one(80), one(20)).select("group", "change").rows()
    [('f', 'went')]
    """
    sides = [
        table.filter(population="marginal", weight="documents").select(*_KEYS, *_SIDES)
        for table in (before, after)
    ]
    both = sides[0].join(sides[1], on=_KEYS, how="full", coalesce=True, suffix="_after")
    both = both.rename({name: f"{name}_before" for name in _SIDES})
    was, now = (pl.col(f"state_{side}").eq_missing("flag") for side in ("before", "after"))
    change = pl.when(now & ~was).then(pl.lit("appeared")).when(was & ~now).then(pl.lit("went"))
    names = [f"{name}_{side}" for name in _SIDES for side in ("before", "after")]
    return (
        both.with_columns(change=change)
        .drop_nulls("change")
        .select(*_KEYS, "change", *names)
        .sort("change", *_KEYS)
    )
