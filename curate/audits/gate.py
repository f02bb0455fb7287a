"""The audit's config, its gate, and the result object of a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from curate.audits.impact import MIN_RATIO, impact
from curate.audits.scores import group_scores
from curate.errors import ConfigError, GateError
from curate.frames import polars_frame

POPULATION = (
    "Rates are a census of this corpus. Intervals, p and q speak of documents to come: from like"
    " sources or duplicate clusters where these are known, otherwise document by document."
)
STRATA = ("words", "source", "language")
_SHOWN = (
    *("step", "group_column", "group", "n", "removal_ratio", "excess_removal", "q"),
    *("adjusted_removal_ratio", "adjusted_for"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Harm that ends a run: all three conditions on one tested row of the audit.

    Attributes:
        removal_ratio: Smallest ratio of removal rates (group / rest) that counts.
        excess_removal: Smallest difference of removal rates, a fraction of documents.
        q: False discovery rate below which the row must lie.
    """

    removal_ratio: float = 1.25
    excess_removal: float = 0.02
    q: float = 0.01

    def __post_init__(self) -> None:
        if self.removal_ratio < 1:
            raise ConfigError(f"gate.removal_ratio is {self.removal_ratio}; allowed: 1 or more")
        for name in ("excess_removal", "q"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"gate.{name} is {getattr(self, name)}; allowed: 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """What is audited, and what is not allowed.

    Attributes:
        groups: Columns whose values are the groups, e.g. `["source", "language"]`.
        gate: Harm that makes the run fail; `None` only reports.
        strata: Columns that may explain a difference; those that the documents lack are left
            out, and a group column is never its own stratum.
        lexicons: Word lists whose groups are looked for in the original texts: packaged names
            (`identity`, `dialect`) or TOML files.
        topics: Number of topics to look for; 0 = none.
        scores: Numeric columns of the verdicts (signals, `quality`, carried columns) whose means
            are compared between groups, raw and curated.
    """

    groups: tuple[str, ...] = ("source",)
    lexicons: tuple[str, ...] = ()
    topics: int = 0
    scores: tuple[str, ...] = ()
    strata: tuple[str, ...] = STRATA
    gate: Gate | None = None


def forbidden_rows(table: pl.DataFrame, gate: Gate) -> pl.DataFrame:
    """The tested rows that meet all three conditions of a gate, in the columns people read.

    >>> table = pl.DataFrame({"q": [0.001, None], "removal_ratio": [3.0, 9.0],
    ...                       "excess_removal": [0.1, 0.5], "group": ["a", "b"]})
    >>> forbidden_rows(table, Gate())["group"].to_list()
    ['a']
    """
    harmed = _harmed(table, gate)
    return harmed.select([c for c in (*_SHOWN, "removed", "state") if c in harmed.columns])


def _harmed(table: pl.DataFrame, gate: Gate) -> pl.DataFrame:
    return table.filter(
        pl.col("q").is_not_null()
        & (pl.col("q") < gate.q)
        & (pl.col("removal_ratio") >= gate.removal_ratio)
        & (pl.col("excess_removal") >= gate.excess_removal)
    )


def check_gate(table: pl.DataFrame, gate: Gate) -> None:
    """Pass silently, or name every (step, group) that the gate forbids.

    Reads `q`, `removal_ratio`, `excess_removal` of the tested rows of `impact`'s table. Rows
    with too few documents have no `q` and pass: they are "cannot tell", not "fair".

    Raises:
        GateError: At least one row meets all three conditions.

    >>> verdicts = pl.DataFrame({
    ...     "source": ["forum"] * 1000 + ["books"] * 1000,
    ...     "failed": [["a.short"]] * 150 + [[]] * 850 + [["a.short"]] * 10 + [[]] * 990,
    ... })
    >>> table = impact(verdicts, steps={"a": ["a.short"]}, group="source")
    >>> check_gate(table, Gate())
    Traceback (most recent call last):
      ...
    curate.errors.GateError: bias gate: 1 of 2 tested (step, group) pairs ...
      a: source = 'forum' loses 15.0 % against 1.0 % of the rest (ratio 15.00, q = ...)
    """
    tested = table.filter(pl.col("q").is_not_null())
    harmed = _harmed(tested, gate)
    if harmed.is_empty():
        return
    lines = [
        f"  {row['step']}: {row['group_column']} = {row['group']!r} loses"
        f" {_percent(row['removed'] / row['n'])} against"
        f" {_percent(row['removed_rest'] / row['n_rest'])} of the rest"
        f" (ratio {row['removal_ratio']:.2f}, q = {row['q']:.2g})"
        for row in harmed.iter_rows(named=True)
    ]
    head = (
        f"bias gate: {harmed.height} of {tested.height} tested (step, group) pairs lose at least"
        f" {gate.removal_ratio:g} times and {_percent(gate.excess_removal)} more than the rest"
        f" at q < {gate.q:g}"
    )
    raise GateError("\n".join([head, *lines]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def explained(rows: pl.DataFrame) -> pl.DataFrame:
    """The flagged rows whose harm mostly goes once like is compared with like.

    Their adjusted removal ratio lies below the least effect of a flag, and the logarithm of the
    ratio has at least halved. The harm is real; the group as such is not its reason.

    >>> rows = pl.DataFrame({"state": ["flag", "flag"], "removal_ratio": [1.6, 1.6],
    ...                      "adjusted_removal_ratio": [1.0, 1.5]})
    >>> explained(rows).height
    1
    """
    adjusted = pl.col("adjusted_removal_ratio")
    halved = adjusted.log().abs() <= pl.col("removal_ratio").log().abs() / 2
    return rows.filter((pl.col("state") == "flag") & (adjusted < MIN_RATIO) & halved)


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit found: `table` is `impact`'s, `scores` that of `group_scores` if asked for."""

    table: pl.DataFrame
    scores: pl.DataFrame | None = None

    @property
    def flagged(self) -> pl.DataFrame:
        """The rows to worry about, the strongest first."""
        order = ["removal_ratio", "step", "group"]
        return self.table.filter(state="flag").sort(order, descending=[True, False, False])

    @property
    def sentence(self) -> str:
        """One sentence: what to worry about, and what cannot be told."""
        states = dict(self.table.drop_nulls("state").group_by("state").len().rows())
        tested = states.get("flag", 0) + states.get("no flag", 0)
        return (
            f"{states.get('flag', 0)} of {tested} tested (step, group) pairs lose clearly more"
            f" than the rest of the corpus{self._explanation()};"
            f" {states.get('not enough documents', 0)} have not enough documents to tell."
        )

    def _explanation(self) -> str:
        by = explained(self.flagged).group_by("adjusted_for").len().sort("adjusted_for").rows()
        return "".join(f" ({n} of them explained by {names})" for names, n in by)

    def _repr_html_(self) -> str:
        shown = self.flagged.select(_SHOWN)
        scores = "" if self.scores is None else self.scores._repr_html_()
        return f"<p>{self.sentence}</p>{shown._repr_html_()}{scores}<p>{POPULATION}</p>"


def audit(  # noqa: PLR0913 - each names columns of one role
    judged: pl.DataFrame | pl.LazyFrame,
    *,
    groups: str | Sequence[str] = ("source",),
    tokens: str | None = None,
    cluster: str | None = "source",
    strata: Sequence[str] = STRATA,
    scores: Sequence[str] = (),
) -> Audit:
    """Audit judged documents: which groups does each step take more from?

    Args:
        judged: A frame with `failed` (List[String] of `set.rule`), as `judge` gives it, and the
            group columns. Each rule set is one step, in order of first appearance by name.
        groups: Column or columns to audit.
        tokens: Numeric column that weighs documents, e.g. `text_chars`.
        cluster: Column within which documents are alike; ignored where it is missing.
        strata: Columns that may explain a difference; missing ones are ignored.
        scores: Numeric columns whose means are compared between groups, raw and curated.

    Raises:
        ConfigError: A column is missing, or no document failed any rule.

    >>> judged = pl.DataFrame({
    ...     "source": ["forum"] * 200 + ["books"] * 200,
    ...     "failed": [["a.short"]] * 80 + [[]] * 120 + [["a.short"]] * 20 + [[]] * 180,
    ... })
    >>> audit(judged, groups=["source"]).sentence.split(";")[0]
    '1 of 2 tested (step, group) pairs lose clearly more than the rest of the corpus'
    """
    named = [groups] if isinstance(groups, str) else list(groups)
    judged = polars_frame(judged, "judged documents")
    known = judged.lazy().collect_schema().names()
    if "failed" not in known:
        raise ConfigError("no column 'failed': judge the documents before the audit")
    wanted = (*named, tokens, cluster, *strata, *scores, "failed", "control", "cluster_id")
    # One pass over what may be a long lazy plan, and never the texts.
    columns = [c for c in dict.fromkeys(wanted) if c in known]
    frame = judged.lazy().select(columns).collect()
    steps: dict[str, list[str]] = {}
    for rule in frame["failed"].explode().drop_nulls().unique().sort():
        steps.setdefault(rule.split(".")[0], []).append(rule)
    if not steps:
        raise ConfigError("no document failed a rule: there is no removal to audit")
    within = cluster if cluster in frame.columns else None
    table = impact(
        frame,
        steps=steps,
        group=named,
        tokens=tokens,
        cluster=within,
        strata=[name for name in strata if name in frame.columns],
    )
    if not scores:
        return Audit(table)
    stays = frame.with_columns(kept=pl.col("failed").list.len() == 0)
    return Audit(table, group_scores(stays, scores, groups=named, cluster=within))
