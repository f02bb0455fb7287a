"""The ledger of a run, asked: one document's whole story, what-ifs, retention curves.

Every answer comes from the stored columns, pairs and edits. Texts are read only where members of
one very large cluster have to be compared that never were.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from curate.audits import audit_difference, impact
from curate.config import RunConfig
from curate.corpus import quarantined_rows
from curate.errors import ConfigError, InputError
from curate.judgement import stored_decision, stored_shown_rules
from curate.rules import Rule
from curate.run_folder import RunFolder
from curate.shards import comparison_in
from curate.sweeps import named_rule, spread, sweep
from curate.verdicts import Changes, Decision, decide, with_bounds

__all__ = ["Explanation", "WhatIf", "ask_what_if", "explain_document", "retention"]

_VERDICT = ("failed", "kept", "cluster_id", "duplicate_of", "jaccard")
_PAIRS_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One document's verdict, and all that the run knows about it.

    Attributes:
        document: The verdict row.
        rules: `rule, signal, value, min, max, margin, failed`; the margin is the distance to
            the nearest bound in the signal's unit, negative where the rule fails. Of rules that
            name values: `called`, the document's, and `among`, those that are kept; of bounds drawn
            from the corpus how (`min_from`, `max_from`).
        shown: The same for rule sets that are judged beside the verdict.
        edits: `step, places, bytes_removed, bytes_added`: what cleaning changed; no text.
        pairs: `other, kind, jaccard, containment, kept`: verified copies, the most alike first.
        repeated: Later rows of the input that have the same id, as the quarantine names them.
    """

    document: Mapping[str, Any]
    rules: pl.DataFrame
    shown: pl.DataFrame = field(default_factory=pl.DataFrame)
    edits: pl.DataFrame = field(default_factory=pl.DataFrame)
    pairs: pl.DataFrame = field(default_factory=pl.DataFrame)
    repeated: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        d = self.document
        planted = "" if d["control"] is None else f", planted as {d['control']}"
        fate = "kept" if d["kept"] else f"removed ({', '.join(d['failed'])})"
        lines = [f"{d['id']} ({d['source']}{planted}): {fate}", *_rule_lines(self.rules)]
        if d["duplicate_of"] is not None:
            lines.append(f"  ✗ duplicate of {d['duplicate_of']}, Jaccard {d['jaccard']:.3f}")
        if d.get("quality") is not None:
            lines.append(f"quality {d['quality']:.4g}")
        lines += [
            f"cleaned by {e['step']}: {e['places']:,} places, {e['bytes_removed']:,} bytes out, "
            f"{e['bytes_added']:,} in"
            for e in self.edits.to_dicts()
        ]
        if d["cluster_id"] is not None:
            lines.append(f"duplicate cluster {d['cluster_id']}")
        lines += [_pair_line(pair) for pair in self.pairs.to_dicts()]
        lines += [
            f"  row {r['row']} of {r['path']} has the same id: {r['reason']}, in quarantine"
            for r in self.repeated
        ]
        if self.shown.height:
            failed = self.shown.filter("failed")
            lines.append(f"shown only, not applied: {failed.height} of {self.shown.height} fail")
            lines += _rule_lines(failed)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def explain_document(folder: RunFolder, config: RunConfig, id: str) -> Explanation:
    """Why one document left or stays: every rule with value, bound and margin, edits, copies.

    Raises:
        InputError: The run has no document with this id.
    """
    part, row = _find(folder, "verdicts", id)
    if row is None:
        raise InputError(_never_judged(folder, id))
    rules = stored_decision(folder, config).rules
    beside = stored_shown_rules(folder)
    measured: dict[str, Any] = {}
    if beside:
        measured = _find(folder, "annotations", id)[1] or {}
    return Explanation(
        document=row,
        rules=_margins(rules, row),
        shown=_margins(beside, {**measured, "failed": None}),
        edits=_edits(folder, part, id),
        pairs=_pairs(folder, row),
        repeated=tuple(quarantined_rows(folder.parts("quarantine"), id)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """Verdicts under other bounds beside those of the run.

    Attributes:
        before: Verdicts of the run.
        after: Verdicts under the other bounds, duplicates resolved again.
        audit_before: Table of `impact` for the run; empty where no group is audited.
        audit_after: The same under the other bounds.
    """

    before: pl.DataFrame
    after: pl.DataFrame
    audit_before: pl.DataFrame
    audit_after: pl.DataFrame

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
        ConfigError: A rule that this run does not apply, or a bound that it does not have.
    """
    before = folder.table("verdicts")
    stored = stored_decision(folder, config)
    _refuse_shown(folder, stored, overrides if isinstance(overrides, Mapping) else ())
    decision = with_bounds(stored, overrides)
    pairs, compare = folder.read("duplicates/pairs.parquet"), comparison_in(folder, config)
    after = decide(before.drop(_VERDICT), pairs, decision, compare=compare)
    path = folder.file("audit/impact.parquet")
    audited = pl.read_parquet(path) if path.exists() else _audit(before, config, stored)
    return WhatIf(
        before=before,
        after=after,
        audit_before=audited,
        audit_after=_audit(after, config, decision),
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
        ConfigError: The run does not apply such a rule, or there is no such bound.
    """
    verdicts, decision = folder.table("verdicts"), stored_decision(folder, config)
    _refuse_shown(folder, decision, [rule])
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


def _refuse_shown(folder: RunFolder, decision: Decision, names: Iterable[str]) -> None:
    """A rule that the run only shows is known, and has no part in its verdicts: say that."""
    applied = {rule.name for rule in decision.rules}
    shown = {rule.name for rule in stored_shown_rules(folder)} - applied
    for name in names:
        if name in shown:
            raise ConfigError(
                f"rule {name!r} is only shown by this run (rules.shown), its bounds decide nothing;"
                " put its set into rules.sets and run again, which measures nothing twice"
            )


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


def _find(folder: RunFolder, table: str, id: str) -> tuple[str, dict[str, Any] | None]:
    """Name of the part that holds a document, and its row there."""
    for part in folder.parts(table):
        found = pl.scan_parquet(part).filter(pl.col("id") == id).collect()
        if found.height:
            return part.name, found.row(0, named=True)
    return "", None


def _never_judged(folder: RunFolder, id: str) -> str:
    """Why there is no verdict on a document: its row was quarantined, or no row has this id."""
    rows = quarantined_rows(folder.parts("quarantine"), id)
    if not rows:
        return f"no document {id!r} among the {_height(folder):,} of this run"
    said = "; ".join(f"row {r['row']} of {r['path']}: {r['reason']} ({r['detail']})" for r in rows)
    return f"{id!r} was never judged, it is in quarantine: {said}"


def _height(folder: RunFolder) -> int:
    parts = folder.parts("verdicts")
    return sum(pl.scan_parquet(p).select(pl.len()).collect().item() for p in parts)


def _edits(folder: RunFolder, part: str, id: str) -> pl.DataFrame:
    path = folder.file(f"edits/{part}")
    if not path.exists():
        return pl.DataFrame()
    own = pl.scan_parquet(path).filter(pl.col("id") == id)
    return (
        own.group_by("step", maintain_order=True)
        .agg(
            places=pl.len(),
            bytes_removed=(pl.col("end") - pl.col("start")).sum(),
            bytes_added=pl.col("replacement").str.len_bytes().sum(),
        )
        .collect()
    )


def _pairs(folder: RunFolder, row: Mapping[str, Any]) -> pl.DataFrame:
    """Verified pairs of a document; of near ones those of its exact class stand for it."""
    if row["cluster_id"] is None:
        return pl.DataFrame()
    a, b = pl.col("id_a"), pl.col("id_b")
    own = folder.read("duplicates/pairs.parquet").filter((a == row["id"]) | (b == row["id"]))
    other = pl.when(a == row["id"]).then(b).otherwise(a).alias("other")
    table = own.select(other, "kind", "jaccard", "containment")
    table = table.sort("jaccard", "other", descending=[True, False]).head(_PAIRS_SHOWN)
    wanted = table["other"].implode()
    fates = [
        pl.scan_parquet(p).filter(pl.col("id").is_in(wanted)).select(other="id", kept="kept")
        for p in folder.parts("verdicts")
    ]
    return table.join(pl.concat(fates).collect(), on="other", how="left", maintain_order="left")


def _margins(rules: Sequence[Rule], document: Mapping[str, Any]) -> pl.DataFrame:
    named: dict[str, Any] = {"called": pl.String, "among": pl.List(pl.String)}
    rows = [_margin(r, document) for r in rules]
    return pl.DataFrame(rows, schema_overrides=named if rows else {}, infer_schema_length=None)


def _margin(rule: Rule, document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get(rule.signal)
    value = None if found is None or rule.among is not None else float(found)
    gaps = []
    if value is not None and rule.min is not None:
        gaps.append(value - rule.min)
    if value is not None and rule.max is not None:
        gaps.append(rule.max - value)
    margin = min(gaps) if gaps else None
    named = document["failed"]
    out = margin is None or not margin >= 0
    if rule.among is not None:
        out = str(found) not in rule.among
    return {
        "rule": rule.name,
        "signal": rule.signal,
        "value": value,
        "min": rule.min,
        "max": rule.max,
        "margin": margin,
        "failed": out if named is None else rule.name in named,
        "called": None if found is None or rule.among is None else str(found),
        "among": rule.among,
        "min_from": rule.min_from,
        "max_from": rule.max_from,
    }


def _rule_lines(rules: pl.DataFrame) -> list[str]:
    if not rules.height:
        return []
    lines = []
    order = rules.sort(~pl.col("failed"), "margin", nulls_last=False, maintain_order=True)
    for row in order.to_dicts():
        mark = "✗" if row["failed"] else "✓"
        number = row["called"] if row["value"] is None else f"{row['value']:.4g}"
        value = "missing" if number is None else number
        margin = "" if row["margin"] is None else f", margin {row['margin']:+.4g}"
        lines.append(f"  {mark} {row['rule']}: {row['signal']} = {value}, {_bounds(row)}{margin}")
    return lines


def _pair_line(pair: Mapping[str, Any]) -> str:
    fate = {True: "kept", False: "removed", None: "unknown"}[pair["kept"]]
    return (
        f"  {pair['kind']} copy of {pair['other']} ({fate}): Jaccard {pair['jaccard']:.3f}, "
        f"containment {pair['containment']:.3f}"
    )


def _bounds(row: Mapping[str, Any]) -> str:
    said = []
    for side, sign in (("min", "≥"), ("max", "≤")):
        drawn = f" ({row[f'{side}_from']})" if row[f"{side}_from"] else ""
        said += [] if row[side] is None else [f"{sign} {row[side]:.4g}{drawn}"]
    return "allowed " + " and ".join([*said, *filter(None, [", ".join(row["among"] or ())])])
