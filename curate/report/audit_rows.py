"""Rows of an audit as people read them, for the terminal and the page."""

from __future__ import annotations

from math import isfinite

import polars as pl

from curate.audits import NOT_NAMED, Audit, edit_rows
from curate.report.group_figures import audited
from curate.report.numerals import chance, count, interval, percent, ratio

__all__ = [
    "edited_groups",
    "flag_rows",
    "flagged",
    "flags_said",
    "left_rows",
    "quiet_rows",
    "score_rows",
]

_LEAST = 10  # documents of a group that was not judged


def flag_rows(found: Audit) -> pl.DataFrame:
    """The flags as people read them, strongest first.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [[], ["s.r"]] * 100})
    >>> from curate.audits import audit
    >>> flag_rows(audit(frame)).select("group", "lost", "rest").rows()
    [('b', '100.0 %', '0.0 %')]
    """
    shares = [pl.col("removed") / pl.col("n"), pl.col("removed_rest") / pl.col("n_rest")]
    return _read(found.flagged.with_columns(lost=shares[0], lost_rest=shares[1]))


def quiet_rows(found: Audit) -> pl.DataFrame:
    """Of each step and group column without a flag the group that loses most, if one loses more.

    >>> frame = pl.DataFrame({"source": ["a", "b"] * 100, "failed": [["s.r"], []] * 100})
    >>> from curate.audits import audit
    >>> quiet_rows(audit(frame)).height
    0
    """
    # A ratio corrected for two documents may say the opposite of what was seen.
    says = pl.col("lacks").is_null() | (pl.col("n") >= _LEAST)
    more = (pl.col("lost") > pl.col("lost_rest")) & (pl.col("removal_ratio") > 1)
    rows = found.hardest_hit.filter(pl.col("state") != "flag", says, more)
    seen = [
        ratio(row["smallest_detectable_ratio"])
        if row["lacks"] is None
        else f"too few {row['lacks']}"
        for row in rows.iter_rows(named=True)
    ]
    read = _read(rows)
    return read.drop("q").with_columns(pl.Series("seen from", seen)) if read.height else read


def score_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Scores of each group, those that differ most first.

    >>> from curate.audits import group_scores
    >>> frame = pl.DataFrame({"g": ["a", "b"] * 50, "tone": [1.0, 0.0] * 50})
    >>> score_rows(group_scores(frame, ["tone"], groups="g")).row(0)[:4]
    ('tone', 'g', 'a', '50')
    """
    keys = ["score", "group_column", "group"]
    scores = scores.filter(pl.col("group") != NOT_NAMED)
    parts = {name: scores.filter(corpus=name) for name in ("raw", "curated", "change")}
    said = {
        name: part.select(
            *keys,
            pl.Series(
                name,
                [
                    f"{ratio(r['difference'])} {interval(r['low'], r['high'])}".strip()
                    for r in part.iter_rows(named=True)
                ],
                dtype=pl.String,
            ),
        )
        for name, part in parts.items()
    }
    raw = parts["raw"].with_columns(n=pl.Series([count(n) for n in parts["raw"]["n"]]))
    table = raw.sort(pl.col("difference").abs(), descending=True, nulls_last=True)
    table = table.select(*keys, documents="n")
    for part in said.values():
        table = table.join(part, on=keys, how="left", maintain_order="left")
    return table.rename({"group_column": "column"})


def left_rows(representation: pl.DataFrame) -> pl.DataFrame:
    """Who is left, one row a column of groups; those of word lists are left out.

    >>> from curate.audits import representation_rows
    >>> frame = pl.DataFrame({"g": ["a", "a", "b", "b"], "kept": [True, True, True, False]})
    >>> left_rows(representation_rows(frame, ["g"])).row(0)
    ('g', '2', '2.00 → 1.89', '16.7 %', '0.14', 'b (50.0 %)')
    """
    rows = representation.filter(~pl.col("group_column").str.contains(": ", literal=True))
    return pl.DataFrame(
        [
            {
                "column": row["group_column"],
                "groups": count(row["groups"]),
                "effective number": f"{ratio(row['effective_raw'])} → "
                f"{ratio(row['effective_curated'])}",
                "share that moved": percent(row["total_variation"]),
                "Jensen–Shannon": ratio(row["jensen_shannon"]),
                "keeps least": f"{row['worst_group']} ({percent(row['worst_retention'])})",
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def _read(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the audit as text."""
    return pl.DataFrame(
        [
            {
                "step": row["step"],
                "column": row["group_column"],
                "group": row["group"],
                "documents": count(row["n"]),
                "lost": percent(row["lost"]),
                "rest": percent(row["lost_rest"]),
                "ratio": f"{ratio(row['removal_ratio'])} "
                f"{interval(row['removal_ratio_low'], row['removal_ratio_high'])}".strip(),
                "adjusted": _adjusted(row),
                "q": chance(row["q"]),
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def _adjusted(row: dict[str, object]) -> str:
    value = row.get("adjusted_removal_ratio")
    return (
        ""
        if not isinstance(value, float) or not isfinite(value)
        else f"{ratio(value)} ({row['adjusted_for']})"
    )


def flagged(impact: pl.DataFrame) -> pl.DataFrame:
    """The audit's flags, strongest first, as people read them.

    Returns:
        `step, column, group` String, `n` Int64, then as text the shares `removed` and
        `others`, `removal_ratio` with its 95 % interval, `q` and
        `largest_group_in_others`: the part of the others' removals that one group makes.

    >>> from curate.report.example import example_impact
    >>> flagged(example_impact()).select("group", "removed", "others", "removal_ratio").rows()
    [('news', '30.0 %', '10.0 %', '3.00 [2.00, 4.50]')]
    """
    rows = audited(impact).filter(pl.col("state") == "flag")
    rows = rows.sort(["removal_ratio", "step", "group"], descending=[True, False, False])
    return pl.DataFrame(
        [
            {
                "step": row["step"],
                "column": row["group_column"],
                "group": str(row["group"]),
                "n": row["n"],
                "removed": percent(row["removed"] / max(row["n"], 1)),
                "others": percent(row["removed_rest"] / max(row["n_rest"], 1)),
                "removal_ratio": f"{ratio(row['removal_ratio'])} "
                f"{interval(row['removal_ratio_low'], row['removal_ratio_high'])}",
                "q": chance(row["q"]),
                "largest_group_in_others": percent(row["largest_group_share_of_rest_removals"]),
            }
            for row in rows.iter_rows(named=True)
        ]
    )


def edited_groups(impact: pl.DataFrame) -> pl.DataFrame:
    """What steps that edit do to groups, the most touched first; empty where none does.

    Returns:
        `step, column, group`, then as text the shares of documents `touched` and of text `taken`,
        each in the group and in `others`, with the ratio once adjusted: at most twelve rows with
        ten touched documents or more.

    >>> from curate.report.example import example_impact
    >>> edited_groups(example_impact()).height
    0
    """
    if "adjusted_removal_ratio" not in impact.columns:
        return pl.DataFrame()
    enough = impact.filter(population="marginal", weight="touched").filter(
        pl.col("removed") >= 10, pl.col("removal_ratio").is_finite(), pl.col("group") != NOT_NAMED
    )
    keys = ["step", "group_column", "group"]
    rows = edit_rows(impact).join(enough, on=keys, how="semi", maintain_order="left")
    rows = rows.sort("touched_ratio", *keys, descending=[True, False, False, False])
    return pl.DataFrame(
        [
            {
                "step": row["step"],
                "column": row["group_column"],
                "group": str(row["group"]),
                "touched": percent(row["touched"]),
                "touched, others": percent(row["touched_rest"]),
                "adjusted ratio of touched": ratio(row["adjusted_touched_ratio"]),
                "taken": percent(row["taken"]),
                "taken, others": percent(row["taken_rest"]),
                "adjusted ratio of taken": ratio(row["adjusted_taken_ratio"]),
            }
            for row in rows.head(12).iter_rows(named=True)
        ]
    )


def flags_said(impact: pl.DataFrame | None) -> str:
    """How many tests flagged a group, in one sentence; pairs that were not judged are no tests.

    >>> flags_said(None)
    'not audited'
    """
    if impact is None:
        return "not audited"
    tests = audited(impact)
    flags = tests.filter(pl.col("state") == "flag").height
    thin = tests.filter(pl.col("state") == "not enough documents").height
    said = f"{count(flags)} flags" if flags != 1 else "1 flag"
    few = f"; {count(thin)} pairs not judged" if thin != 1 else "; 1 pair not judged"
    made = tests.height - thin
    tests_said = f"{count(made)} tests" if made != 1 else "1 test"
    return f"{said if flags else 'no flags'} in {tests_said}{few if thin else ''}"
