"""What other bounds would change: what-ifs, and retention curves of one bound.

Every answer comes from the stored columns and pairs. Texts are read only where members of one
very large cluster have to be compared that never were.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from curate.audits import audit_difference, impact
from curate.config import RunConfig
from curate.judgement import stored_decision, stored_shown_rules
from curate.rules import Rule
from curate.run_folder import RunFolder
from curate.shards import comparison_in, signal_columns
from curate.sweeps import named_rule, spread, sweep
from curate.verdicts import Changes, Decision, decide, with_bounds

__all__ = ["WhatIf", "ask_what_if", "retention"]

_VERDICT = ("failed", "kept", "cluster_id", "duplicate_of", "jaccard")


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """Verdicts under other bounds beside those of the run.

    Attributes:
        before: Verdicts of the run.
        after: Verdicts under the other bounds, duplicates resolved again.
        audit_before: Table of `impact` for the run; empty where no group is audited.
        audit_after: The same under the other bounds.
        assumed: Rules that the run only shows, applied after and not before.
    """

    before: pl.DataFrame
    after: pl.DataFrame
    audit_before: pl.DataFrame
    audit_after: pl.DataFrame
    assumed: tuple[str, ...] = ()

    @property
    def changed(self) -> pl.DataFrame:
        """Native documents whose fate changes: `id, kept, failed, failed_before`."""
        both = self.after.select("id", "control", "kept", "failed").with_columns(
            kept_before=self.before["kept"], failed_before=self.before["failed"]
        )
        differ = pl.col("control").is_null() & (pl.col("kept") != pl.col("kept_before"))
        return both.filter(differ).drop("control", "kept_before")

    @property
    def fates(self) -> list[str]:
        """The first ten documents whose fate changes, removed ones first, in lines for people."""
        rows = self.changed.sort("kept", maintain_order=True)
        lines = [
            f"  {'kept' if r['kept'] else 'removed (' + ', '.join(r['failed']) + ')'}: {r['id']}"
            for r in rows.head(10).to_dicts()
        ]
        return lines + [f"  … and {rows.height - 10:,} more"] * (rows.height > 10)

    @property
    def counts(self) -> pl.DataFrame:
        """Of native documents: `what` ("documents", "tokens"), kept `before` and `after`."""
        sides = [_kept(self.before), _kept(self.after)]
        names = ("documents", "tokens")
        return pl.DataFrame({"what": names, "before": sides[0], "after": sides[1]})

    @property
    def flags(self) -> pl.DataFrame:
        """Audit flags that appear or go; see `curate.audits.audit_difference`."""
        if not self.audit_before.height or not self.audit_after.height:
            return pl.DataFrame()
        return audit_difference(self.audit_before, self.audit_after)

    def __str__(self) -> str:
        native = self.after["control"].is_null()
        gained = (native & self.after["kept"] & ~self.before["kept"]).sum()
        lost = (native & ~self.after["kept"] & self.before["kept"]).sum()
        (_, documents, documents_after), (_, tokens, tokens_after) = self.counts.rows()
        lines = [
            *(f"{name} is only shown by this run; here it is applied" for name in self.assumed),
            f"{documents:,} documents kept → {documents_after:,} "
            f"({gained:+,} kept, {lost:,} removed)",
            f"{tokens:,} tokens kept → {tokens_after:,} ({tokens_after - tokens:+,})",
        ]
        if self.audit_before.height:
            numbers = [t.filter(state="flag").height for t in (self.audit_before, self.audit_after)]
            lines.append(f"audit flags: {numbers[0]:,} → {numbers[1]:,}")
            lines += [
                f"  {row['change']}: {row['step']} on {row['group_column']} {row['group']}"
                for row in self.flags.to_dicts()
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>{self.changed.head(20)._repr_html_()}"


def ask_what_if(
    folder: RunFolder,
    config: RunConfig,
    overrides: Changes,
) -> WhatIf:
    """Judge again under other bounds; nothing is measured again.

    Raises:
        ConfigError: A rule that this run neither applies nor shows, or a bound that it has not.
    """
    before, stored = folder.table("verdicts"), stored_decision(folder, config)
    shown = _shown_among(folder, stored, overrides if isinstance(overrides, Mapping) else ())
    columns = _with_signals(folder, before.drop(_VERDICT), shown)
    decision = with_bounds(replace(stored, rules=(*stored.rules, *shown)), overrides)
    pairs, compare = folder.read("duplicates/pairs.parquet"), comparison_in(folder, config)
    after = decide(columns, pairs, decision, compare=compare)
    path = folder.file("audit/impact.parquet")
    audited = pl.read_parquet(path) if path.exists() else _audit(before, config, stored)
    return WhatIf(
        before=before,
        after=after,
        audit_before=audited,
        audit_after=_audit(after, config, decision),
        assumed=tuple(rule.name for rule in shown),
    )


def retention(
    folder: RunFolder,
    config: RunConfig,
    *,
    rule: str,
    bound: str,
    values: Sequence[float] = (),
) -> pl.DataFrame:
    """The retention curve of one bound, survivors of duplicate clusters chosen anew at each value.

    Documents without a verified pair are counted by `curate.sweeps.sweep`; those with one are
    judged anew at each value.

    Returns:
        As `curate.sweeps.sweep`: `value, documents, kept, share, tokens_kept`, native documents;
        and `present` Boolean: whether this is the bound of the run. Without `values`, quantiles
        of the column from its smallest value to its largest, the present bound among them.

    Raises:
        ConfigError: The run neither applies nor shows such a rule, or it has no such bound.
    """
    decision = stored_decision(folder, config)
    shown = _shown_among(folder, decision, [rule])
    decision = replace(decision, rules=(*decision.rules, *shown))
    verdicts = _with_signals(folder, folder.table("verdicts"), shown)
    moving = named_rule(decision.rules, rule, bound)
    native = verdicts.filter(pl.col("control").is_null())
    now = {"min": moving.min, "max": moving.max}.get(bound)
    tried = list(values) or ([] if moving.among else spread(native[moving.signal], moving, bound))
    known = pl.col("failed").list.contains("duplicates.index")
    tied = pl.col("cluster_id").is_not_null() | known
    alone = native.filter(~tied)
    curve = sweep(alone, decision.rules, rule=rule, bound=bound, values=tried)
    pairs = folder.read("duplicates/pairs.parquet")
    paired, compare = verdicts.filter(tied).drop(_VERDICT), comparison_in(folder, config)
    changed = [with_bounds(decision, {rule: {bound: float(v)}}) for v in tried]
    counts = [_kept(decide(paired, pairs, each, compare=compare)) for each in changed]
    total = native.height
    added = pl.DataFrame(counts, schema={"k": pl.Int64, "t": pl.Int64}, orient="row")
    return curve.with_columns(
        documents=pl.lit(total, pl.Int64),
        kept=pl.col("kept") + added["k"],
        share=(pl.col("kept") + added["k"]) / max(total, 1),
        tokens_kept=pl.col("tokens_kept") + added["t"],
        present=pl.Series([value == now for value in tried], dtype=pl.Boolean),
    )


def _shown_among(folder: RunFolder, decision: Decision, names: Iterable[str]) -> list[Rule]:
    """Rules of these names that the run only shows: they are asked about as if it applied them."""
    applied, asked = {rule.name for rule in decision.rules}, set(names)
    shown = [rule for rule in stored_shown_rules(folder) if rule.name not in applied]
    return [rule for rule in shown if rule.name in asked]


def _with_signals(folder: RunFolder, columns: pl.DataFrame, rules: list[Rule]) -> pl.DataFrame:
    """The columns that further rules read, beside those that verdicts are stored with."""
    absent = {rule.signal for rule in rules} - set(columns.columns)
    if not absent:
        return columns
    signals = signal_columns(folder).select("id", *sorted(absent))
    return columns.join(signals, on="id", how="left", maintain_order="left")


def _audit(verdicts: pl.DataFrame, config: RunConfig, decision: Decision) -> pl.DataFrame:
    """The crude rows by documents; strata and weights by tokens change no flag."""
    steps = decision.steps()
    if not config.audit.groups or not steps or not verdicts["control"].is_null().any():
        return pl.DataFrame()
    groups = list(config.audit.groups)
    return impact(verdicts, steps=steps, group=groups, cluster="source")


def _kept(verdicts: pl.DataFrame) -> list[int]:
    kept = verdicts["kept"] & verdicts["control"].is_null()
    return [int(kept.sum()), int(verdicts["words"].filter(kept).sum())]
