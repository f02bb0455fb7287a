"""The audit's table in other forms: flags, one row a number, an edited group, a step."""

from __future__ import annotations

import polars as pl

from curate.audits.impact import MIN_EXPECTED_REMOVALS, MIN_RATIO
from curate.audits.lexicons import NAMED, NOT_NAMED

_METRICS = ("keep_ratio", "removal_ratio", "odds_ratio")
_ADJUSTED = ("adjusted_removal_ratio", "adjusted_odds_ratio")
_TIDY = (
    *("step", "group_axis", "group", "metric", "value", "low", "high"),
    *("n", "q", "flag", "state"),
)
_VERDICT = ["n", "q", "flag", "state"]
_KEYS = ["step", "group_column", "group"]
_ORDER = ("removal_ratio", "step", "group")
_UNTOLD = "not enough documents"
_LEAST = 10  # documents that a group has before its share is worth a look
_MUCH = (0.1, 2.0)  # more lost than elsewhere, as excess and as ratio, that is worth a word
_HARDEST = (
    *("step", "group_column", "groups", "group", "n", "lost", "lost_rest", "removal_ratio"),
    *("removal_ratio_low", "removal_ratio_high", "adjusted_removal_ratio", "adjusted_for"),
    *("smallest_detectable_ratio", "q", "state", "lacks"),
)


def strongest_first(table: pl.DataFrame) -> pl.DataFrame:
    """The flagged rows, the strongest first."""
    return table.filter(state="flag").sort(_ORDER, descending=[True, False, False])


def explained(rows: pl.DataFrame) -> pl.DataFrame:
    """The flagged rows whose harm mostly goes once like is compared with like.

    Their adjusted removal ratio lies below the least effect of a flag, and the logarithm of the
    ratio has at least halved. The harm is real; the group as such is not its reason.

    >>> rows = pl.DataFrame({"state": ["flag", "flag"], "removal_ratio": [1.6, 1.6],
    ...                      "adjusted_removal_ratio": [1.0, 1.5]})
    >>> explained(rows).height
    1
    """
    if "adjusted_removal_ratio" not in rows.columns:  # of a run from before there were any
        return rows.clear()
    adjusted = pl.col("adjusted_removal_ratio")
    halved = adjusted.log().abs() <= pl.col("removal_ratio").log().abs() / 2
    return rows.filter((pl.col("state") == "flag") & (adjusted < MIN_RATIO) & halved)


def hardest_hit(table: pl.DataFrame) -> pl.DataFrame:
    """Of each step and group column the group that loses most against the rest.

    Flags come first, then groups that lose more than the rest: those tested, those of ten
    documents and more, all others. Then the share lost counts, as it was seen. The columns of
    word lists (`axis: group`) stand as one column a axis, without those documents that hold no
    term.

    Args:
        table: `impact`'s.

    Returns:
        `step`, `group_column`, `groups` (how many there are), `group`, `n`, `lost`, `lost_rest`
        (shares), `removal_ratio`, `removal_ratio_low`, `removal_ratio_high`,
        `adjusted_removal_ratio`, `adjusted_for`, `smallest_detectable_ratio`, `q`, `state`,
        `lacks` (`documents` or `sources`, where no test was made); in the order of the
        steps. Steps that take nothing from anybody have no row.

    >>> from curate.audits import impact
    >>> verdicts = pl.DataFrame({"source": ["a"] * 50 + ["b"] * 50,
    ...                          "failed": [["s.r"]] * 20 + [[]] * 70 + [["s.r"]] * 10})
    >>> found = hardest_hit(impact(verdicts, steps={"s": ["s.r"]}, group="source"))
    >>> found.select("groups", "group", "lost", "lost_rest").rows()
    [(2, 'a', 0.4, 0.2)]
    """
    rows = table.filter(population="marginal", weight="documents").with_row_index("place")
    rows = _by_axis(rows.filter(pl.col("removed") + pl.col("removed_rest") > 0))
    keys = ["step", "group_column"]
    rows = rows.with_columns(
        groups=pl.len().over(keys),
        first=pl.col("place").min().over(keys),
        lost=pl.col("removed") / pl.col("n"),
        lost_rest=pl.col("removed_rest") / pl.col("n_rest"),
    ).with_columns(rank=_rank(), lacks=lacking())
    order = ["first", "rank", "lost", "place"]
    rows = rows.sort(order, descending=[False, False, True, False], nulls_last=True)
    rows = rows.unique(keys, keep="first", maintain_order=True)
    return rows.select(name for name in _HARDEST if name in rows.columns)


def _rank() -> pl.Expr:
    """How much a row of `hardest_hit` says; a ratio corrected for small counts says nothing."""
    less = pl.col("lost").fill_nan(0) <= pl.col("lost_rest").fill_nan(0)
    return (
        pl.when(pl.col("state") == "flag")
        .then(0)
        .when(less)
        .then(4)
        .when(pl.col("state") == "no flag")
        .then(1)
        .when(pl.col("n") >= _LEAST)
        .then(2)
        .otherwise(3)
    )


def lacking() -> pl.Expr:
    """What a row that was not judged lacks: `documents`, or `sources` (clusters); else null."""
    overall = (pl.col("removed") + pl.col("removed_rest")) / (pl.col("n") + pl.col("n_rest"))
    few = pl.min_horizontal("n", "n_rest") * overall.fill_nan(0) < MIN_EXPECTED_REMOVALS
    what = pl.when(few).then(pl.lit("documents")).otherwise(pl.lit("sources"))
    return pl.when(pl.col("state") == _UNTOLD).then(what)


def state_said() -> pl.Expr:
    """The state of a row, which of two things it lacks where it was not judged.

    >>> rows = pl.DataFrame({"state": ["not enough documents"] * 2, "n": [5, 50], "n_rest": 50,
    ...                      "removed": [5, 50], "removed_rest": 0})
    >>> rows.select(state_said())["state"].to_list()
    ['not enough documents', 'not enough sources']
    """
    few = lacking() == "sources"
    said = pl.when(few).then(pl.lit("not enough sources")).otherwise("state")
    return said.alias("state")


def unjudged(table: pl.DataFrame) -> pl.DataFrame:
    """Groups that no test judged and that lost far more than the rest, as it was seen.

    Groups of ten documents or more that lose twice what the rest loses and ten points more: a
    bound to name groups by, no test.

    Args:
        table: `impact`'s.

    Returns:
        `step`, `group_column`, `group`, `n`, `removed`, `lost`, `lost_rest` (shares),
        `lacks` (`documents` or `sources`), those that lost most first.

    >>> from curate.audits import impact
    >>> verdicts = pl.DataFrame({"source": ["a"] * 12 + ["b"] * 200,
    ...                          "failed": [["s.r"]] * 12 + [[]] * 200})
    >>> found = unjudged(impact(verdicts, steps={"s": ["s.r"]}, group="source"))
    >>> found.select("group", "removed", "lost_rest", "lacks").rows()
    [('a', 12, 0.0, 'documents')]
    """
    rows = table.filter(population="marginal", weight="documents", state=_UNTOLD)
    rows = rows.filter(pl.col("n") >= _LEAST, pl.col("group") != NOT_NAMED, pl.col("n_rest") > 0)
    rows = rows.select(
        *(*_KEYS, "n", "removed"),
        lost=pl.col("removed") / pl.col("n"),
        lost_rest=pl.col("removed_rest") / pl.col("n_rest"),
        lacks=lacking(),
    )
    excess, times = _MUCH
    far = pl.col("lost") >= pl.max_horizontal(
        pl.col("lost_rest") + excess, times * pl.col("lost_rest")
    )
    by = pl.col("lost") - pl.col("lost_rest")
    return rows.filter(far).sort(by, descending=True, maintain_order=True)


def _by_axis(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with all word lists of an axis as one column, of groups that texts name."""
    column, group = pl.col("group_column"), pl.col("group")
    listed = column.str.contains(": ", literal=True) & group.is_in([NAMED, NOT_NAMED])
    return rows.filter(~(listed & (group == NOT_NAMED))).with_columns(
        group_column=pl.when(listed).then(column.str.extract("^(.*?): ")).otherwise(column),
        group=pl.when(listed).then(column.str.extract("^.*?: (.*)$")).otherwise(group),
    )


def tidy(table: pl.DataFrame) -> pl.DataFrame:
    """`impact`'s table with one row a number.

    Returns:
        `step`, `group_axis`, `group`, `metric`, `value`, `low`, `high`, `n`, `q`, `flag`
        Boolean, `state` (of `state_said`); the last three belong to the (step, group), and `q`
        and `flag` are null where it was not tested. Metrics: those of the tested rows by name, of
        all others behind what sets them apart, as in `tokens removal_ratio`,
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
    judged = pl.col("state") != _UNTOLD
    flag = pl.when(judged).then(pl.col("state") == "flag")
    verdict = tested.select(*_KEYS, "q", state_said(), flag=flag)
    rows = table.drop("q", "state").with_row_index("place")
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
        parts.append(rows.select("place", "step", "group", *_VERDICT, *keys, *numbers))
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
