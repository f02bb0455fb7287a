"""One document's whole story: every rule with value, bound and margin, its edits, its copies.

Every answer comes from the stored columns, pairs and edits; no text is read.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from curate.config import RunConfig
from curate.corpus import quarantined_rows
from curate.errors import InputError
from curate.judgement import stored_decision, stored_shown_rules
from curate.rules import Rule
from curate.run_folder import RunFolder

__all__ = ["Explanation", "explain_document"]

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
        ids = folder.table("verdicts").filter(pl.col("control").is_null())["id"]
        example = f"; an id of them is {ids[0]!r}" if len(ids) else ""
        return f"no document {id!r} among the {len(ids):,} of this run{example}"
    said = "; ".join(f"row {r['row']} of {r['path']}: {r['reason']} ({r['detail']})" for r in rows)
    return f"{id!r} was never judged, it is in quarantine: {said}"


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
