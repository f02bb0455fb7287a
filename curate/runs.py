"""A finished run: open it, explain a document, ask what if, compare two runs."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from curate.config import RunConfig, load_config
from curate.errors import ConfigError, InputError, unknown_name
from curate.judgement import stored_decision
from curate.pipeline import run_config
from curate.rules import Rule
from curate.run_folder import RunFolder
from curate.verdicts import Decision, decide


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder that has verdicts.

    Attributes:
        folder: The run folder.
        config: The config as it was resolved.
    """

    folder: RunFolder
    config: RunConfig

    @property
    def verdicts(self) -> pl.DataFrame:
        """One row a document, controls included: why it left, or that it stays."""
        return self.folder.table("verdicts")

    @property
    def curated(self) -> str:
        """Folder that `datasets.load_dataset` reads; configs `default` and `removed`."""
        return str(self.folder.file("curated"))

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder.file("report.html")

    @property
    def multipliers(self) -> pl.DataFrame:
        """Token multipliers with intervals; empty run without an experiment raises."""
        return self.folder.read("scaling/multipliers.parquet")

    @property
    def sentences(self) -> list[str]:
        """The verdict in words, headline first."""
        stored = self.folder.read_json("scaling/verdicts.json")
        return [v["sentence"] for v in stored] if stored else ["no experiment in this run"]

    def explain(self, id: str) -> Explanation:
        """Why one document left or stays: every rule with value, bound and margin.

        Raises:
            InputError: The run has no document with this id.
        """
        row = self.verdicts.filter(pl.col("id") == id)
        if row.is_empty():
            count = f"{self.verdicts.height:,} (planted controls included)"
            raise InputError(f"no document {id!r} among the {count} of this run")
        document = row.to_dicts()[0]
        rules = stored_decision(self.folder, self.config).rules
        return Explanation(
            document=document, rules=pl.DataFrame([_margin(r, document) for r in rules])
        )

    def what_if(self, overrides: Mapping[str, Mapping[str, float | None]]) -> WhatIf:
        """Judge again under other bounds; nothing is measured again.

        Args:
            overrides: Rule name → bounds to replace, e.g.
                `{"gopher_quality.word_count": {"min": 30}}`; `None` lifts a bound.

        Raises:
            ConfigError: A rule that this run does not apply, or a bound other than min and max.
        """
        before = self.verdicts
        decision = _overridden(stored_decision(self.folder, self.config), overrides)
        columns = before.drop("failed", "kept", "cluster_id", "duplicate_of", "jaccard")
        after = decide(columns, self.folder.read("duplicates/pairs.parquet"), decision)
        return WhatIf(before=before, after=after)

    def diff(self, other: Run) -> pl.DataFrame:
        """Native documents whose verdict differs from another run's: `id, failed, failed_other`.

        A document that only one of the runs has shows null for the other.
        """
        native = pl.col("control").is_null()
        mine, theirs = (
            r.verdicts.filter(native).select("id", "kept", "failed") for r in (self, other)
        )
        joined = mine.join(theirs, on="id", how="full", coalesce=True, suffix="_other")
        return joined.filter(pl.col("kept").ne_missing(pl.col("kept_other"))).sort("id")

    def __repr__(self) -> str:
        return f"Run({str(self.folder.root)!r}: {self.sentences[0]})"

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{html.escape(s)}</p>" for s in self.sentences)
        counts = self.verdicts.filter(pl.col("control").is_null())
        kept = counts.filter("kept").height
        return (
            f"<div><strong>{html.escape(str(self.folder.root))}</strong>: kept {kept:,} of "
            f"{counts.height:,} documents{sentences}</div>"
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """One document's verdict and how far it is from each bound.

    Attributes:
        document: The verdict row.
        rules: `rule, signal, value, min, max, margin, failed`; the margin is the distance to
            the nearest bound in the signal's unit, negative where the rule fails.
    """

    document: Mapping[str, Any]
    rules: pl.DataFrame

    def __str__(self) -> str:
        d = self.document
        head = f"{d['id']} ({d['source']}): " + ("kept" if d["kept"] else "removed")
        lines = [head]
        for row in self.rules.sort("margin", nulls_last=False).to_dicts():
            mark = "✗" if row["failed"] else "✓"
            value = "missing" if row["value"] is None else f"{row['value']:.4g}"
            margin = "" if row["margin"] is None else f", margin {row['margin']:+.4g}"
            lines.append(
                f"  {mark} {row['rule']}: {row['signal']} = {value}, {_bounds(row)}{margin}"
            )
        if d["duplicate_of"] is not None:
            lines.append(f"  ✗ duplicate of {d['duplicate_of']}, Jaccard {d['jaccard']:.3f}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Verdicts under other bounds beside those of the run."""

    before: pl.DataFrame
    after: pl.DataFrame

    @property
    def changed(self) -> pl.DataFrame:
        """Native documents whose fate changes: `id, kept, failed, failed_before`."""
        joined = self.after.select("id", "control", "kept", "failed").join(
            self.before.select("id", kept_before="kept", failed_before="failed"),
            on="id",
            how="inner",
            maintain_order="left",
        )
        native = joined.filter(pl.col("control").is_null()).drop("control")
        return native.filter(pl.col("kept") != pl.col("kept_before")).drop("kept_before")

    def __str__(self) -> str:
        gained = self.changed.filter("kept").height
        kept = self.before.filter(pl.col("kept") & pl.col("control").is_null()).height
        lost = self.changed.height - gained
        change = f"{gained:+,} kept, {lost:,} removed"
        return f"{kept:,} documents kept → {kept + gained - lost:,} ({change})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.changed.head(20)._repr_html_()}"


def open_run(path: str | Path) -> Run:
    """Open a finished run folder.

    Raises:
        InputError: The folder holds no run, or one without verdicts.

    >>> open_run("no/such/run")
    Traceback (most recent call last):
      ...
    curate.errors.InputError: 'no/such/run' holds no finished run: no config.toml
    """
    folder = RunFolder(Path(path))
    if not folder.file("config.toml").exists():
        raise InputError(f"{str(path)!r} holds no finished run: no config.toml")
    if not folder.parts("verdicts"):
        raise InputError(f"{str(path)!r} holds no finished run: no verdicts; run it again")
    config = load_config(folder.file("config.toml"))
    return Run(folder, replace(config, output=replace(config.output, path=str(path))))


def run(
    config: str | Path | Mapping[str, Any] | RunConfig,
    *,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    until: str | None = None,
) -> Run:
    r"""Run a config from raw input to report, here, without an orchestrator.

    Args:
        config: Path of a TOML config, a mapping of the same shape, or a `RunConfig`.
        overrides: Dotted keys to set on top, e.g. `{"output.path": "runs/try"}`.
        workers: Threads; the tables do not depend on their number. Default: one a core.
        until: Name of the last stage to run, e.g. `"audit"`; default: all.

    Raises:
        ConfigError: The config asks for something that cannot be done.
        InputError: The input cannot be read at all.
        GateError: The run ended with a result that the config does not allow.
        IntegrityError: The counts of the run do not reconcile.

    >>> import json, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = [{"id": str(i), "text": f"document number {i} says hello"} for i in range(3)]
    >>> _ = (folder / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    >>> done = run({
    ...     "input": {"path": str(folder / "a.jsonl")}, "output": {"path": str(folder / "run")},
    ...     "controls": {"share": 0.0},
    ... })
    >>> done.verdicts["kept"].to_list()
    [True, True, True]
    """
    context = run_config(config, overrides=overrides, workers=workers, until=until)
    return Run(context.folder, context.config)


def _overridden(
    decision: Decision, overrides: Mapping[str, Mapping[str, float | None]]
) -> Decision:
    names = [rule.name for rule in decision.rules]
    for name, bounds in overrides.items():
        if name not in names:
            raise ConfigError(
                f"{unknown_name('rule', name, names)} (a what-if moves bounds of rules; "
                "duplicates and cleaning need a run)"
            )
        if not isinstance(bounds, Mapping):
            raise ConfigError(f"bounds of rule {name!r} are {bounds!r}; write {{'min': 30}}")
        for bound in bounds:
            if bound not in ("min", "max"):
                raise ConfigError(f"rule {name!r} has no bound {bound!r}; allowed: min, max")
    changed = [(rule, overrides.get(rule.name, {})) for rule in decision.rules]
    # A rule without bounds is no rule: lifting its last bound takes it out.
    rules = [_rebounded(rule, bounds) for rule, bounds in changed if _bounded(rule, bounds)]
    return replace(decision, rules=tuple(rules))


def _rebounded(rule: Rule, bounds: Mapping[str, float | None]) -> Rule:
    return replace(rule, min=bounds.get("min", rule.min), max=bounds.get("max", rule.max))


def _bounded(rule: Rule, bounds: Mapping[str, float | None]) -> bool:
    low, high = bounds.get("min", rule.min), bounds.get("max", rule.max)
    return low is not None or high is not None


def _margin(rule: Rule, document: Mapping[str, Any]) -> dict[str, Any]:
    value = document[rule.signal]
    gaps = []
    if value is not None and rule.min is not None:
        gaps.append(value - rule.min)
    if value is not None and rule.max is not None:
        gaps.append(rule.max - value)
    return {
        "rule": rule.name,
        "signal": rule.signal,
        "value": None if value is None else float(value),
        "min": rule.min,
        "max": rule.max,
        "margin": float(min(gaps)) if gaps else None,
        "failed": rule.name in document["failed"],
    }


def _bounds(row: Mapping[str, Any]) -> str:
    low = "" if row["min"] is None else f"≥ {row['min']:.4g}"
    high = "" if row["max"] is None else f"≤ {row['max']:.4g}"
    return "allowed " + " and ".join(b for b in (low, high) if b)
