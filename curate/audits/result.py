"""What an audit found, and the audit of a frame."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from curate.audits._checked import (
    HIDDEN,
    OPTIONAL,
    check_groups,
    check_names,
    check_numbers,
    check_sizes,
    with_reasons,
)
from curate.audits._sentences import said, unjudged_said
from curate.audits.edits import edited
from curate.audits.gate import STRATA
from curate.audits.impact import impact
from curate.audits.representation import representation_rows
from curate.audits.scores import group_scores
from curate.audits.tables import edit_rows, hardest_hit, strongest_first, tidy
from curate.errors import ConfigError
from curate.frames import polars_frame

POPULATION = (
    "Rates are a census of this corpus. Intervals, p and q speak of documents to come: from like"
    " sources or duplicate clusters where these are known, otherwise document by document."
)
_SHOWN = (
    *("step", "group_column", "group", "n", "removal_ratio", "excess_removal", "q"),
    *("adjusted_removal_ratio", "adjusted_for"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Audit:
    """What the audit found.

    Attributes:
        table: `impact`'s.
        scores: That of `group_scores`, if it was asked for.
        representation: That of `representation_rows`: what is left of the groups.
    """

    table: pl.DataFrame
    scores: pl.DataFrame | None = None
    representation: pl.DataFrame | None = None

    @property
    def flagged(self) -> pl.DataFrame:
        """The rows to worry about, the strongest first."""
        return strongest_first(self.table)

    @property
    def tidy(self) -> pl.DataFrame:
        """One row a number, as `curate.audits.tidy` gives it."""
        return tidy(self.table)

    @property
    def edits(self) -> pl.DataFrame:
        """What steps that edit do to each group, against the rest; shares are fractions.

        `touched`, `touched_rest` of documents, `taken`, `taken_rest` of bytes (of each text's
        share where the audit weighs no tokens), both ratios crude and adjusted.
        """
        return edit_rows(self.table)

    @property
    def hardest_hit(self) -> pl.DataFrame:
        """Of each step the group that loses most, as `curate.audits.hardest_hit` gives it."""
        return hardest_hit(self.table)

    @property
    def sentence(self) -> str:
        """One sentence: what to worry about, and what cannot be told."""
        return said(self.table)

    @property
    def unjudged(self) -> str:
        """Groups that lost far more than the rest and could not be tested; empty: none."""
        return unjudged_said(self.table)

    def __repr__(self) -> str:
        said = "\n".join(filter(None, (self.sentence, self.unjudged)))
        return f"Audit: {said}\n{self.hardest_hit}"

    def _repr_html_(self) -> str:
        flags, edits = self.flagged.select(_SHOWN), self.edits
        tables = {
            "Flags": flags,
            "Of each step the group that loses most": self.hardest_hit,
            "What edits take": edits,
            "Scores": self.scores,
            "Who is left": self.representation,
        }
        shown = "".join(
            f"<h4>{title}</h4>{table._repr_html_()}"
            for title, table in tables.items()
            if table is not None and table.height
        )
        said = "".join(f"<p>{html.escape(s)}</p>" for s in (self.sentence, self.unjudged) if s)
        return f"{said}{shown}<p>{POPULATION}</p>"


def audit(  # noqa: PLR0913 - each names columns of one role
    judged: pl.DataFrame | pl.LazyFrame,
    *,
    groups: str | Sequence[str] = ("source",),
    tokens: str | None = None,
    cluster: str | None = "source",
    strata: Sequence[str] = STRATA,
    scores: Sequence[str] = (),
    edits: pl.DataFrame | None = None,
    cleaned: str | None = None,
) -> Audit:
    """Audit judged documents: which groups does each step take more from?

    Args:
        judged: A frame with `failed` (List[String] of `set.rule`), as `judge` gives it, and the
            group columns. Each rule set is one step, in the order of their names. With a Boolean
            `kept` instead there is one step, `verdict`.
        groups: Column or columns to audit.
        tokens: Numeric column that weighs documents, e.g. `text_chars`.
        cluster: Column within which documents are alike; that of the default may be missing.
        strata: Columns that may explain a difference; those of the default may be missing.
        scores: Numeric columns whose means are compared between groups, raw and curated.
        edits: What cleaning changed, as `curate.clean.clean` gives it: each of its steps is
            audited before the rules, by what it takes of the column `text`; needs `id`.
        cleaned: Column with the text after cleaning, where `text` is that before: one step named
            `cleaning`.

    Raises:
        ConfigError: A column is missing or of a kind that cannot serve, a group column is
            different in most documents, or no document failed any rule or was edited.

    >>> judged = pl.DataFrame({
    ...     "source": ["forum"] * 200 + ["books"] * 200,
    ...     "failed": [["a.short"]] * 80 + [[]] * 120 + [["a.short"]] * 20 + [[]] * 180,
    ... })
    >>> audit(judged, groups=["source"]).sentence.split(", most")[0]
    '1 of 2 tested (step, group) pairs lose clearly more than the rest of the corpus'
    """
    named = list(dict.fromkeys([groups] if isinstance(groups, str) else groups))
    lazy = polars_frame(judged, "judged documents").lazy()
    schema = lazy.collect_schema()
    _check(schema, named, {"weight": tokens, "cluster": cluster}, strata, scores)
    lazy, losses = edited(with_reasons(lazy, schema), edits, cleaned)
    known = lazy.collect_schema().names()
    if "failed" not in known and not losses.columns:
        raise ConfigError(
            "no column 'failed' (lists of reasons) or 'kept': judge the documents before the audit"
            ", e.g. by two rule sets: curate.judge(frame, ['gopher_quality', 'fineweb'])"
        )
    weight = tokens or losses.weight
    wanted = (*named, weight, cluster, *strata, *scores, *losses.needed, "failed")
    # One pass over what may be a long lazy plan, and never the texts.
    names = dict.fromkeys((*wanted, "control", "cluster_id"))
    frame = lazy.select([c for c in names if c in known]).collect()
    check_sizes(frame, named)
    steps = _steps_of(frame)
    if (
        not steps
        and not frame.select(
            pl.any_horizontal(pl.lit(value=False), *losses.touched.values()).any()
        ).item()
    ):
        raise ConfigError("no document failed a rule or was edited: there is nothing to audit")
    within = cluster if cluster in frame.columns else None
    table = impact(
        frame,
        steps=steps,
        group=named,
        tokens=weight,
        cluster=within,
        strata=[name for name in strata if name in frame.columns],
        losses=losses,
    )
    stays = frame.with_columns(kept=pl.col("failed").list.len() == 0 if steps else pl.lit(True))
    found = group_scores(stays, scores, groups=named, cluster=within) if scores else None
    return Audit(table, found, representation_rows(stays, named) if steps else None)


def _check(
    schema: pl.Schema,
    groups: Sequence[str],
    named: Mapping[str, str | None],
    strata: Sequence[str],
    scores: Sequence[str],
) -> None:
    """Refuse names that the documents have not, but for those that are asked for by default."""
    check_groups(groups, schema, hide=HIDDEN)
    roles: dict[str, Sequence[str | None]] = {
        "weight": [named["weight"]],
        "cluster column": [c for c in [named["cluster"]] if c not in OPTIONAL],
        "stratum": [c for c in strata if c not in OPTIONAL],
        "score": scores,
    }
    for role, columns in roles.items():
        check_names(role, columns, schema, hide=HIDDEN)
    check_numbers("weight", [named["weight"]], schema)
    check_numbers("score", scores, schema)


def _steps_of(frame: pl.DataFrame) -> dict[str, list[str]]:
    """Each rule set with those of its rules that anything failed."""
    steps: dict[str, list[str]] = {}
    if "failed" in frame.columns:
        for rule in frame["failed"].explode().drop_nulls().unique().sort():
            steps.setdefault(rule.split(".")[0], []).append(rule)
    return steps
