"""The audit's table in other forms: one row a number, and one row an edited group."""

from __future__ import annotations

import polars as pl

_METRICS = ("keep_ratio", "removal_ratio", "odds_ratio")
_ADJUSTED = ("adjusted_removal_ratio", "adjusted_odds_ratio")
_TIDY = (
    *("step", "group_axis", "group", "metric", "value", "low", "high"),
    *("n", "q", "flag"),
)
_KEYS = ["step", "group_column", "group"]


def tidy(table: pl.DataFrame) -> pl.DataFrame:
    """`impact`'s table with one row a number.

    Returns:
        `step`, `group_axis`, `group`, `metric`, `value`, `low`, `high`, `n`, `q`, `flag`
        Boolean; `q` and `flag` belong to the (step, group). Metrics are those of the tested rows
        by name, of all others behind what sets them apart, as in `tokens removal_ratio`,
        `cumulative removal_ratio`, `cumulative tokens removal_ratio`, `touched removal_ratio`.
        Those that are undefined are left out.

    >>> from curate.audits import impact
    >>> verdicts = pl.DataFrame({"source": ["a"] * 50 + ["b"] * 50,
    ...                          "failed": [["s.r"]] * 20 + [[]] * 70 + [["s.r"]] * 10})
    >>> table = tidy(impact(verdicts, steps={"s": ["s.r"]}, group="source"))
    >>> table.filter(group="a")["metric"].to_list()[:4]
    ['keep_ratio', 'removal_ratio', 'odds_ratio', 'excess_removal']
    """
    tested = table.filter(population="marginal", weight="documents")
    verdict = tested.select(*_KEYS, "q", flag=pl.col("state") == "flag")
    rows = table.drop("q").with_row_index("place")
    rows = rows.join(verdict, on=_KEYS, how="left", maintain_order="left")
    # The plain name is that of the tested row; all others say what they are.
    words = [
        pl.when(pl.col(column) != usual).then(pl.col(column) + " ").otherwise(pl.lit(""))
        for column, usual in (("population", "marginal"), ("weight", "documents"))
    ]
    axis = pl.col("group_column").alias("group_axis")
    none = pl.lit(None, pl.Float64)
    parts = []
    for order, name in enumerate((*_METRICS, *_ADJUSTED, "excess_removal")):
        ends = [pl.col(f"{name}_{side}") for side in ("low", "high")]
        low, high = (none, none) if name == "excess_removal" else ends
        metric = pl.concat_str(*words, pl.lit(name)).alias("metric")
        numbers = [pl.col(name).alias("value"), low.alias("low"), high.alias("high")]
        keys = [pl.lit(order).alias("order"), axis, metric]
        parts.append(rows.select("place", "step", "group", "n", "q", "flag", *keys, *numbers))
    found = pl.concat(parts).filter(pl.col("value").is_not_null() & pl.col("value").is_not_nan())
    marginal = ~pl.col("metric").str.starts_with("cumulative")
    found = found.sort("step", "group_axis", "group", ~marginal, "place", "order")
    return found.select(_TIDY)


def edit_rows(table: pl.DataFrame) -> pl.DataFrame:
    """What steps that edit do to each group; no row where none does.

    Args:
        table: `impact`'s, with `losses`.

    Returns:
        `step`, `group_column`, `group`, `touched`, `touched_rest` (shares of documents),
        `touched_ratio`, `adjusted_touched_ratio`, `taken`, `taken_rest` (shares of tokens or
        bytes, where there are none of each text), `taken_ratio`, `adjusted_taken_ratio`.

    >>> from curate.audits import Losses, impact
    >>> frame = pl.DataFrame({"source": ["a", "b"] * 20, "cut": [0.5, 0.0, 0.0, 0.0] * 10})
    >>> found = impact(frame, steps={}, group="source", losses=Losses(columns={"mask": "cut"}))
    >>> edit_rows(found).select("group", "touched", "taken", "taken_rest").rows()
    [('a', 0.5, 0.25, 0.0), ('b', 0.0, 0.0, 0.25)]
    """
    marginal = table.filter(population="marginal")
    touched = marginal.filter(weight="touched")
    by = "tokens" if "tokens" in set(marginal["weight"]) else "documents"
    taken = marginal.filter(weight=by)
    return touched.select(*_KEYS, *_shares("touched")).join(
        taken.select(*_KEYS, *_shares("taken")), on=_KEYS, how="left", maintain_order="left"
    )


def _shares(name: str) -> list[pl.Expr]:
    return [
        (pl.col("removed") / pl.col("n")).alias(name),
        (pl.col("removed_rest") / pl.col("n_rest")).alias(f"{name}_rest"),
        pl.col("removal_ratio").alias(f"{name}_ratio"),
        pl.col("adjusted_removal_ratio").alias(f"adjusted_{name}_ratio"),
    ]
