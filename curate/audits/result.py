"""What an audit found, and the audit of a frame."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.audits.edits import edited
from curate.audits.gate import STRATA
from curate.audits.impact import MIN_RATIO, impact
from curate.audits.scores import group_scores
from curate.audits.tables import edit_rows, tidy
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
_KEYS = ("step", "group_column", "group")
_ORDER = ("removal_ratio", "step", "group")


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


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit found: `table` is `impact`'s, `scores` that of `group_scores` if asked for."""

    table: pl.DataFrame
    scores: pl.DataFrame | None = None

    @property
    def flagged(self) -> pl.DataFrame:
        """The rows to worry about, the strongest first."""
        return self.table.filter(state="flag").sort(_ORDER, descending=[True, False, False])

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
    def sentence(self) -> str:
        """One sentence: what to worry about, and what cannot be told."""
        states = dict(self.table.drop_nulls("state").group_by("state").len().rows())
        tested = states.get("flag", 0) + states.get("no flag", 0)
        return (
            f"{states.get('flag', 0)} of {tested} tested (step, group) pairs lose clearly more"
            f" than the rest of the corpus{self._explanation()}{self._worst()};"
            f" {states.get('not enough documents', 0)} have not enough documents to tell"
            f"{self._missed()}."
        )

    def _worst(self) -> str:
        """The strongest flag, of those that nothing explains where there are any."""
        flagged = self.flagged
        left = flagged.join(explained(flagged), on=_KEYS, how="anti", maintain_order="left")
        rows = (left if left.height else flagged).head(1).to_dicts()
        parts = set(self.table.filter(weight="touched")["step"])
        return "".join(f", most of all {_removes(row, parts)}" for row in rows)

    def _missed(self) -> str:
        """What "no flag" could have overlooked."""
        quiet = self.table.filter(state="no flag")["smallest_detectable_ratio"]
        typical = quiet.filter(quiet.is_finite()).median()
        if not isinstance(typical, float):
            return ""
        return f", and a loss below {typical:.2f} times that of the rest would mostly go unseen"

    def _explanation(self) -> str:
        if "adjusted_for" not in self.table.columns:
            return ""
        by = explained(self.flagged).group_by("adjusted_for").len().sort("adjusted_for").rows()
        return "".join(f" ({n} of them explained by {names})" for names, n in by)

    def _repr_html_(self) -> str:
        shown = self.flagged.select(_SHOWN)
        edits = self.edits._repr_html_() if self.edits.height else ""
        scores = "" if self.scores is None else self.scores._repr_html_()
        tables = f"{shown._repr_html_()}{edits}{scores}"
        return f"<p>{html.escape(self.sentence)}</p>{tables}<p>{POPULATION}</p>"


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
            group columns. Each rule set is one step, in order of first appearance by name.
        groups: Column or columns to audit.
        tokens: Numeric column that weighs documents, e.g. `text_chars`.
        cluster: Column within which documents are alike; ignored where it is missing.
        strata: Columns that may explain a difference; missing ones are ignored.
        scores: Numeric columns whose means are compared between groups, raw and curated.
        edits: What cleaning changed, as `curate.clean.clean` gives it: each of its steps is
            audited before the rules, by what it takes of the column `text`; needs `id`.
        cleaned: Column with the text after cleaning, where `text` is that before: one step named
            `cleaning`.

    Raises:
        ConfigError: A column is missing, or no document failed any rule or was edited.

    >>> judged = pl.DataFrame({
    ...     "source": ["forum"] * 200 + ["books"] * 200,
    ...     "failed": [["a.short"]] * 80 + [[]] * 120 + [["a.short"]] * 20 + [[]] * 180,
    ... })
    >>> audit(judged, groups=["source"]).sentence.split(", most")[0]
    '1 of 2 tested (step, group) pairs lose clearly more than the rest of the corpus'
    """
    named = [groups] if isinstance(groups, str) else list(groups)
    lazy, losses = edited(polars_frame(judged, "judged documents").lazy(), edits, cleaned)
    known = lazy.collect_schema().names()
    if "failed" not in known and not losses.columns:
        raise ConfigError("no column 'failed': judge the documents before the audit")
    weight = tokens or losses.weight
    wanted = (*named, weight, cluster, *strata, *scores, *losses.needed, "failed")
    # One pass over what may be a long lazy plan, and never the texts.
    names = dict.fromkeys((*wanted, "control", "cluster_id"))
    frame = lazy.select([c for c in names if c in known]).collect()
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
    if not scores:
        return Audit(table)
    kept = pl.col("failed").list.len() == 0 if steps else pl.lit(value=True)
    stays = frame.with_columns(kept=kept)
    return Audit(table, group_scores(stays, scores, groups=named, cluster=within))


def _steps_of(frame: pl.DataFrame) -> dict[str, list[str]]:
    """Each rule set with those of its rules that anything failed."""
    steps: dict[str, list[str]] = {}
    if "failed" in frame.columns:
        for rule in frame["failed"].explode().drop_nulls().unique().sort():
            steps.setdefault(rule.split(".")[0], []).append(rule)
    return steps


def _removes(row: Mapping[str, Any], parts: set[str]) -> str:
    """What one flag says, in words; `parts` are the steps that take parts of texts."""
    whole = "of the texts of" if row["step"] in parts else "of"
    shares = row["removed"] / row["n"], row["removed_rest"] / row["n_rest"]
    return (
        f"{row['step']} takes {100 * shares[0]:.1f} % {whole} {row['group_column']} ="
        f" {row['group']!r} against {100 * shares[1]:.1f} % of the rest"
    )
