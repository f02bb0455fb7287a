"""Impact of every step on every group: who loses more than the rest of the corpus?

Reads verdicts, runs nothing again. Notable choices, and their price:

- The reference of a group is the rest of the corpus, not the best group: one harmed group
  makes innocents look favoured, so the share of the rest's removals that its largest group
  makes is printed beside every row.
- Only marginal, document-weighted rows carry a test, one per (step, group), all in one
  Benjamini–Hochberg family of harm: a group that loses less enters it with p = 1, because
  one harmed group makes all others look favoured, and those are no discoveries. Every other
  row has intervals and no verdict.
- With clusters (sources, duplicate clusters) the intervals speak of documents to come from
  such clusters; of this corpus alone the rates are a census and have no error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.audits._adjusted import SCHEMA, Step, adjusted_table, documents_of, step_rows
from curate.audits._cells import Layout, Population, Sums, lay_out, population, rates_by_group
from curate.audits._edited import Weighed, edited_rows
from curate.audits._work import Losses, Steps, Survivors, Work, weights_of, work_of
from curate.errors import ConfigError, check_name
from curate.statistics import (
    RateComparison,
    Sides,
    benjamini_hochberg,
    compare_rates,
    effective_sides,
    lean_quantile,
    odds_interval,
    smallest_detectable_ratio,
)

Weights = Mapping[str, tuple[Floats, Floats]]
Arrays = TypeVar("Arrays", Sums, Sides)

MIN_EXPECTED_REMOVALS = 10
MIN_RATIO = 1.25
MIN_EXCESS = 0.02
FLAG_Q = 0.05
MANY_GROUPS = 200
MISSING_GROUP = "(missing)"

_COLUMNS = (
    "step",
    "population",
    "weight",
    "group_column",
    "group",
    "n",
    "n_rest",
    "removed",
    "removed_rest",
    "keep_ratio",
    "keep_ratio_low",
    "keep_ratio_high",
    "removal_ratio",
    "removal_ratio_low",
    "removal_ratio_high",
    "excess_removal",
    "four_fifths",
    "p",
    "q",
    "smallest_detectable_ratio",
    "largest_group_share_of_rest_removals",
    "state",
    "odds_ratio",
    "odds_ratio_low",
    "odds_ratio_high",
    *SCHEMA,
)


_TESTED = (pl.col("population") == "marginal") & (pl.col("weight") == "documents")


def impact(  # noqa: PLR0913 - each names columns of one role
    verdicts: pl.DataFrame | pl.LazyFrame,
    *,
    steps: Steps,
    group: str | Sequence[str],
    tokens: str | None = None,
    cluster: str | None = None,
    strata: Sequence[str] = (),
    losses: Losses | None = None,
) -> pl.DataFrame:
    """Removal of each group by each step, against the rest of the corpus.

    Args:
        verdicts: `failed` (List[String], names of failed rules) and the columns named below;
            `control` (String), where present, takes planted documents out (not null).
        steps: Rules of each step, in the order of the steps. A document fails a step if it
            failed any of its rules.
        group: Column or columns to audit; null becomes the group `(missing)`. Several columns
            share one family of tests.
        tokens: Numeric column that weighs the documents (`words`, `text_chars`, tokens);
            `None` leaves the rows weighted by tokens out.
        cluster: Column within which documents are alike, e.g. `source`. A group column cannot
            be its own cluster, nor can a column of one value: documents are then clustered by
            `cluster_id` (null = alone) where that
            is present, else by document. `None` = every document by itself.
        strata: Columns that may explain a difference, e.g. `("words", "source", "language")`:
            numeric ones are cut at their quantiles, the values of others are strata. A group
            column is never its own stratum.
        losses: Steps that edit. What they "remove" of a document is the share of its text that
            they take; further rows of weight `touched` count the documents that they change.

    Returns:
        One row per group column, step, population (`marginal`: this step alone on all native
        documents; `cumulative`: on what the earlier steps left of them), weight and
        group. `n`, `n_rest`, `removed`, `removed_rest` Float64 (documents or tokens);
        `keep_ratio`, `removal_ratio` = rate of the group / rate of the rest with their 95 %
        score intervals (null where undefined or where clusters are too few to tell; an infinite
        end is unbounded);
        `excess_removal` difference of the rates, a fraction; `four_fifths` = the keep ratio
        lies below 0.8; `p` (two-sided, of any difference), `q` (of losing more), `state` on tested
        rows only. `state` is `"not enough documents"` below 10 expected removals on either
        side, or where sources are too few (`curate.statistics.effective_sides`: four whole ones
        of the group, or five that it is in, are enough), where p is null; `"flag"` if q < .05,
        the group loses more, the ratio is at least 1.25 and the excess at least .02, otherwise
        `"no flag"`, which means: no such harm was found, and `smallest_detectable_ratio` says
        which one would have been (80 % power, level .05).
        `odds_ratio`: crude, with the interval that inverts the same test. With `strata`, marginal
        rows by documents also carry Mantel–Haenszel `adjusted_removal_ratio` and
        `adjusted_odds_ratio` with 95 % intervals, `heterogeneity_p` (Breslow–Day),
        `adjusted_for` (the variables that were used), the number of `strata` and
        `informative_documents` (in strata where both sides and both fates occur). Strata are
        refined until the log odds ratio moves by less than .02 or fewer than 1,000 documents
        are informative; null = there is nothing left to compare. Of steps that edit, marginal
        rows by `touched` carry all of these. Those by tokens, and by documents of steps that
        edit, carry the ratio alone: parts of documents have no odds. Of more than 200 groups only
        those that could be tested are adjusted.

    Raises:
        ConfigError: A column is missing, no step is given, or no native document.

    >>> verdicts = pl.DataFrame({
    ...     "source": ["forum"] * 200 + ["books"] * 200,
    ...     "failed": [["a.short"]] * 80 + [[]] * 120 + [["a.short"]] * 20 + [[]] * 180,
    ... })
    >>> table = impact(verdicts, steps={"a": ["a.short"]}, group="source")
    >>> table.filter(population="marginal").select("group", "removal_ratio", "state").rows()
    [('books', 0.25, 'no flag'), ('forum', 4.0, 'flag')]
    """
    columns = [group] if isinstance(group, str) else list(group)
    losses = losses or Losses()
    if not steps and not losses.columns:
        raise ConfigError("steps is empty: an audit needs at least one step with its rules")
    judged = ["failed"] if steps else []
    frame = _native(verdicts, [*judged, *columns], [tokens, cluster, *strata, *losses.needed])
    if frame.is_empty():
        raise ConfigError("the verdicts hold no native document: nothing to audit")
    work, weights = work_of(frame, losses, steps), weights_of(frame, tokens, losses)
    variables, tables = list(dict.fromkeys(strata)), []
    for column in columns:
        labels = frame[column].cast(pl.String).fill_null(MISSING_GROUP)
        names, codes = labels.unique().sort(), _cluster_codes(frame, column, cluster)
        layout = lay_out(_codes(labels, names), codes)
        crude = _audit_column((column, names), layout, work, weights)
        others = frame.select(v for v in variables if v != column)
        alone = layout.clusters == layout.group.size
        within = None if alone else codes
        tables.append(_with_adjusted(crude, others, layout.group, within, (work, weights)))
    return _judged(pl.concat(tables))


def _native(
    verdicts: pl.DataFrame | pl.LazyFrame,
    groups: Sequence[str],
    others: Sequence[str | None],
) -> pl.DataFrame:
    """The columns an audit reads, of documents that are not planted."""
    frame = verdicts.lazy()
    known = frame.collect_schema().names()
    needed = list(dict.fromkeys(c for c in (*groups, *others) if c))
    for name in needed:
        check_name("column of the verdicts", name, known, listed="verdicts.columns")
    if "control" in known:
        frame = frame.filter(pl.col("control").is_null())
    extra = [c for c in ("cluster_id",) if c in known and c not in needed]
    return frame.select(*needed, *extra).collect()


def _audit_column(
    column: tuple[str, pl.Series],
    layout: Layout,
    work: Sequence[Work],
    weights: Weights,
) -> pl.DataFrame:
    """Crude rows of one group column: every step, population and weight, then group."""
    (name, names), keys, found = column, [], []
    everyone = {w: [population(layout, size) for size in both] for w, both in weights.items()}
    before = Survivors(layout.group.size)
    for w in work:
        for kind in ("marginal", "cumulative"):
            for weight, both in everyone.items():
                people, hit, touched = both[int(w.partial)], w.taken, w.touched
                if kind == "cumulative" and (left := before.left_for(w, weight)) is not None:
                    people = population(layout, people.weight * left)
                    hit, touched = before.taken_by(w), w.then_touched
                keys.append((w.step, kind, weight, name))
                found.append(_compare(layout, hit, people, partial=w.partial))
                if touched is not None and weight == "documents":
                    keys.append((w.step, kind, "touched", name))
                    found.append(_compare(layout, touched.astype(float), people, partial=False))
        before.pass_on(w)
    sums, sides = (_joined(parts) for parts in zip(*(f[:2] for f in found), strict=True))
    heads = pl.DataFrame(keys, schema=_COLUMNS[:4], orient="row")
    heads = heads.select(pl.all().repeat_by(len(names)).explode())
    groups = pl.concat([names.alias("group")] * len(keys))
    rows = _rows(sums, sides, np.concatenate([f[2] for f in found]))
    return pl.concat([heads.with_columns(groups), rows], how="horizontal")


def _compare(
    layout: Layout, hit: Floats, people: Population, *, partial: bool
) -> tuple[Sums, Sides, Floats]:
    """Rates on both sides with their effective sizes, and the larger dispersion."""
    sums, pair = rates_by_group(layout, hit * people.weight, people, partial=partial)
    dispersion = np.maximum(pair.dispersion, pair.dispersion_rest) * np.ones(layout.groups)
    return sums, effective_sides(pair, withhold=True), dispersion


def _with_adjusted(
    crude: pl.DataFrame,
    variables: pl.DataFrame,
    group: NDArray[np.int64],
    cluster: NDArray[np.int64] | None,
    work: tuple[Sequence[Work], Weights],
) -> pl.DataFrame:
    """Adjusted ratios beside the crude ones of marginal rows, as far as they are defined."""
    if not variables.width:
        empty = [pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA.items()]
        return crude.with_columns(empty)
    documents = documents_of(variables, group, variables.columns, cluster)
    weighed = {
        (name, partial): Weighed(documents, sizes[partial])
        for name, sizes in work[1].items()
        for partial in (False, True)
    }
    rows = []
    for w in work[0]:
        hit = w.taken > 0 if w.touched is None else w.touched
        step, counted = Step(documents, hit), "documents" if w.touched is None else "touched"
        asked = _worth_adjusting(crude, w.step)
        rows.append(_named(adjusted_table(step_rows(step, asked)), [(w.step, counted)], crude))
        for weight in work[1]:
            if w.partial or weight != counted:  # those counted whole have their own formula
                found = edited_rows(weighed[weight, w.partial], w.taken, step, asked)
                rows.append(_named(adjusted_table(found), [(w.step, weight)], crude))
    keys = ["step", "weight", "group"]
    marginal = pl.concat(rows).with_columns(population=pl.lit("marginal"))
    return crude.join(marginal, on=["population", *keys], how="left", maintain_order="left")


def _worth_adjusting(crude: pl.DataFrame, step: str) -> NDArray[np.bool_]:
    """The groups to adjust at a step: where there are very many, those that can be tested."""
    tests = crude.filter(_TESTED & (pl.col("step") == step))
    return (tests["enough"] | (tests.height <= MANY_GROUPS)).to_numpy()


def _named(
    rows: pl.DataFrame, pairs: Sequence[tuple[str, str]], crude: pl.DataFrame
) -> pl.DataFrame:
    """Rows of (step, weight), each with one of every group, in the order of the groups."""
    groups = crude["group"].unique(maintain_order=True)
    heads = pl.DataFrame(pairs, schema={"step": pl.String, "weight": pl.String}, orient="row")
    return heads.join(groups.to_frame(), how="cross", maintain_order="left_right").hstack(rows)


def _joined(parts: Sequence[Arrays]) -> Arrays:
    """Several named tuples of arrays as one, end to end: one bisection serves all rows."""
    return type(parts[0])(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _codes(labels: pl.Series, names: pl.Series) -> NDArray[np.int64]:
    return labels.replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()


def _cluster_codes(frame: pl.DataFrame, column: str, cluster: str | None) -> NDArray[np.int64]:
    # A column of one value (a file without sources) groups nothing: no cluster is known.
    if cluster is not None and cluster != column and frame[cluster].n_unique() < 2:
        cluster = column
    if cluster == column or cluster is None:
        cluster = "cluster_id" if "cluster_id" in frame.columns and cluster is not None else None
    alone = np.arange(frame.height)
    if cluster is None:
        return alone
    values = frame[cluster].cast(pl.String)
    named = values.is_not_null().to_numpy()
    names = values.drop_nulls().unique().sort()
    # Documents of no cluster first, each by itself: no two codes are left out or shared.
    codes = np.cumsum(~named) - 1
    codes[named] = (~named).sum() + _codes(values.drop_nulls(), names)
    return codes


def _rows(sums: Sums, sides: Sides, dispersion: Floats) -> pl.DataFrame:
    """One row a group: rates, ratios and their intervals, before the family is corrected."""
    removal = compare_rates(sides)
    keep = compare_rates(sides._replace(rate=1 - sides.rate, rate_rest=1 - sides.rate_rest))
    with np.errstate(divide="ignore", invalid="ignore"):
        overall = (sums.x + sums.x_rest) / (sums.n + sums.n_rest)
    # Parts of documents count as the wholes that would be as certain.
    expected = np.minimum(sums.n, sums.n_rest) * np.nan_to_num(overall) / dispersion
    enough = (expected >= MIN_EXPECTED_REMOVALS) & (removal.df > 0)
    quantile = lean_quantile(0.95, sides.df, sides.lean)
    errors = 1 / sides.size, 1 / sides.size_rest
    shrunk = (errors[0] + errors[1] - 2 * sides.covariance) / (errors[0] + errors[1])
    smallest = smallest_detectable_ratio(
        sides.rate_rest, (sides.size / shrunk, sides.size_rest / shrunk), quantile=quantile
    )
    columns: dict[str, Floats] = {
        "n": sums.n,
        "n_rest": sums.n_rest,
        "removed": sums.x,
        "removed_rest": sums.x_rest,
        **_ratio_columns("keep_ratio", keep),
        **_ratio_columns("removal_ratio", removal),
        "excess_removal": sides.rate - sides.rate_rest,
        **_odds_columns(sides),
        "p": np.where(enough, removal.p, np.nan),
        "smallest_detectable_ratio": smallest,
        "largest_group_share_of_rest_removals": sums.largest_other_share,
    }
    return pl.DataFrame(columns).fill_nan(None).with_columns(enough=pl.Series(enough))


def _ratio_columns(name: str, found: RateComparison) -> dict[str, Floats]:
    known = ~np.isnan(found.ratio) & (found.df > 0)
    ends = {f"{name}_low": found.low, f"{name}_high": found.high}
    return {name: found.ratio, **{k: np.where(known, v, np.nan) for k, v in ends.items()}}


def _odds_columns(sides: Sides) -> dict[str, Floats]:
    ratio, low, high = odds_interval(sides)
    low, high = (np.where(sides.df > 0, end, np.nan) for end in (low, high))
    return {"odds_ratio": ratio, "odds_ratio_low": low, "odds_ratio_high": high}


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds q over the one family of tests, and what each tested row says."""
    tested = rows.with_columns(p=pl.when(_TESTED).then("p"))
    # Where one group is harmed all others look favoured. That is no discovery of harm, and must
    # not raise the bar's height for innocents: such a row enters the family with p = 1.
    harm = pl.when(pl.col("excess_removal") > 0).then("p").when(pl.col("p") >= 0).then(1.0)
    q = benjamini_hochberg(tested.select(harm.fill_null(float("nan"))).to_series().to_numpy())
    harmed = (
        (pl.col("q") < FLAG_Q)
        & (pl.col("removal_ratio") >= MIN_RATIO)
        & (pl.col("excess_removal") >= MIN_EXCESS)
    )
    state = (
        pl.when(~_TESTED)
        .then(None)
        .when(~pl.col("enough"))
        .then(pl.lit("not enough documents"))
        .when(harmed)
        .then(pl.lit("flag"))
        .otherwise(pl.lit("no flag"))
    )
    counts = pl.col("n", "n_rest", "removed", "removed_rest").round().cast(pl.Int64)
    return (
        tested.with_columns(
            counts, pl.Series("q", q).fill_nan(None), four_fifths=pl.col("keep_ratio") < 0.8
        )
        .with_columns(state=state)
        .select(_COLUMNS)
    )
