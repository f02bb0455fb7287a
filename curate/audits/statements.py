"""An audit in other forms: one row a number, and the free-text fields of a data card."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from curate.audits.gate import POPULATION, Audit, explained
from curate.audits.lexicons import Lexicon

_METRICS = ("keep_ratio", "removal_ratio", "odds_ratio")
_ADJUSTED = ("adjusted_removal_ratio", "adjusted_odds_ratio")


def tidy(table: pl.DataFrame) -> pl.DataFrame:
    """The tested rows of `impact`'s table with one row a number.

    Returns:
        `step`, `group_axis`, `group`, `metric`, `value`, `low`, `high`, `n`, `q`, `flag`
        Boolean; `q` and `flag` belong to the (step, group). Metrics that are undefined are left
        out.

    >>> from curate.audits import impact
    >>> verdicts = pl.DataFrame({"source": ["a"] * 50 + ["b"] * 50,
    ...                          "failed": [["s.r"]] * 20 + [[]] * 70 + [["s.r"]] * 10})
    >>> tidy(impact(verdicts, steps={"s": ["s.r"]}, group="source")).height
    8
    """
    rows = table.filter(population="marginal", weight="documents")
    axis = pl.col("group_column").alias("group_axis")
    common: list[pl.Expr] = [pl.col("step"), axis, pl.col("group")]
    end = [pl.col("n"), pl.col("q"), (pl.col("state") == "flag").alias("flag")]
    parts = []
    for name in (*_METRICS, *_ADJUSTED):
        ends = [pl.col(f"{name}_{side}").alias(side) for side in ("low", "high")]
        metric = [pl.lit(name).alias("metric"), pl.col(name).alias("value")]
        parts.append(rows.select(*common, *metric, *ends, *end))
    none = pl.lit(None, pl.Float64)
    metric = [pl.lit("excess_removal").alias("metric"), pl.col("excess_removal").alias("value")]
    parts.append(rows.select(*common, *metric, none.alias("low"), none.alias("high"), *end))
    found = pl.concat(parts).drop_nulls("value")
    return found.sort("step", "group_axis", "group", maintain_order=True)


def responsible_ai_fields(found: Audit, lexicons: Sequence[Lexicon] = ()) -> dict[str, str]:
    """Fields of Croissant's responsible-AI vocabulary, filled from the audit's numbers.

    `rai:dataBiases` says what was found, `rai:dataLimitations` what cannot be told. Other
    fields are the author's: no number fills them.

    >>> from curate.audits import audit
    >>> judged = pl.DataFrame({"source": ["a"] * 200 + ["b"] * 200, "failed": [["s.r"]] * 80
    ...                        + [[]] * 120 + [["s.r"]] * 20 + [[]] * 180})
    >>> responsible_ai_fields(audit(judged))["rai:dataBiases"].split(". ")[1]
    "s removes 40.0 % of source = 'a' against 10.0 % of the rest."
    """
    harmed = [
        f"{row['step']} removes {100 * row['removed'] / row['n']:.1f} % of"
        f" {row['group_column']} = {row['group']!r} against"
        f" {100 * row['removed_rest'] / row['n_rest']:.1f} % of the rest"
        + (
            f" (once adjusted for {row['adjusted_for']}: {row['adjusted_removal_ratio']:.2f} times)"
            if row["adjusted_removal_ratio"]
            else ""
        )
        for row in found.flagged.iter_rows(named=True)
    ]
    by = explained(found.flagged).height
    few = found.table.filter(state="not enough documents")
    names = sorted({f"{c} = {g!r}" for c, g in few.select("group_column", "group").rows()})
    lists = "".join(f" Word list {x.id}, sha256 {x.sha256}." for x in lexicons)
    unknown = f" Too few documents to tell at some step: {', '.join(names[:20])}." if names else ""
    return {
        "rai:dataBiases": " ".join([found.sentence, *(f"{text}." for text in harmed)]),
        "rai:dataLimitations": f"{POPULATION}{unknown}{lists}"
        + (f" {by} flags shrink below the least effect once adjusted." if by else ""),
    }
