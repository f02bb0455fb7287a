"""A finished run: open it, explain a document, ask what if, compare two runs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from curate.audits import audit_difference
from curate.config import RunConfig, load_config
from curate.errors import ConfigError, InputError
from curate.explanations import Explanation, explain_document
from curate.pipeline import run_config
from curate.run_folder import RunFolder
from curate.run_quality import RunQuality
from curate.what_ifs import WhatIf, ask_what_if, retention

_SHOWN = 20  # lines of a list on a terminal


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

    @property
    def quality(self) -> RunQuality:
        """The quality scores: how good they are, why a document or a group scored as it did.

        Raises:
            InputError: The run made no score.
        """
        if not self.folder.parts("quality"):
            raise InputError("this run made no quality score: [quality] asks for none")
        return RunQuality(self.folder, self.config)

    def explain(self, id: str) -> Explanation:
        """Why one document left or stays: every rule with value, bound and margin.

        Raises:
            InputError: The run has no document with this id.
        """
        return explain_document(self.folder, self.config, str(id))

    def what_if(self, overrides: Mapping[str, Mapping[str, Any]]) -> WhatIf:
        """Judge again under other bounds; nothing is measured again.

        Args:
            overrides: Rule name → bounds to replace, e.g.
                `{"gopher_quality.word_count": {"min": 30}}`; `None` lifts a bound.

        Raises:
            ConfigError: A rule that this run neither applies nor shows, or a bound other than min
                and max.
        """
        return ask_what_if(self.folder, self.config, overrides)

    def sweep(
        self, rule: str, *, bound: str | None = None, values: Sequence[float] = ()
    ) -> pl.DataFrame:
        """How many native documents are kept as one bound of one rule moves.

        Args:
            rule: `"set.rule"`, or with its bound `"set.rule.min"`.
            bound: `"min"` or `"max"`, where `rule` does not name it.
            values: The values to try; default: quantiles of the column from its smallest value
                to its largest, and the present bound.

        Returns:
            See `curate.what_ifs.retention`.

        Raises:
            ConfigError: The run neither applies nor shows such a rule, or it has no such bound.
        """
        if bound is None:
            rule, _, bound = rule.rpartition(".")
        return retention(self.folder, self.config, rule=rule, bound=bound, values=values)

    def diff(self, other: Run | str | Path) -> pl.DataFrame:
        """Native documents whose verdict differs from another run's: `id, failed, failed_other`.

        A document that only one of the runs has shows null for the other. The other run may be
        named by its folder.
        """
        other = other if isinstance(other, Run) else open_run(other)
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


def quality_words_said(run: Run, id: str) -> str:
    """The words that moved a document's quality score most; empty where no classifier scored it."""
    try:
        words = run.quality.explain(id, top=8)
    except (ConfigError, InputError):
        return ""  # a planted control, or no classifier
    moved = words.filter(pl.col("contribution").abs() >= 0.005)  # the rest would read +0.00
    said = [f"{term} {value:+.2f}" for term, value in moved["term", "contribution"].rows()]
    return ", ".join(said) or "none"


def difference_said(first: Run, second: Run) -> list[str]:
    """Which documents' verdicts and which flags of the audit differ, in lines for a terminal."""
    changes = first.diff(second)
    alone = [changes.filter(pl.col(name).is_null()).height for name in ("kept_other", "kept")]
    if sum(alone) == changes.height > 0 and not _shared(first, second):
        return [
            "The runs share no id: their documents cannot be compared (input.id names a column)"
        ]
    # Of what only one run has there is nothing to compare: counted, and listed last.
    changes = changes.sort(pl.any_horizontal(pl.col("kept", "kept_other").is_null()), "id")
    fates = [
        f"  {row['id']}: {_fate(row['failed'])} → {_fate(row['failed_other'])}"
        for row in changes.head(_SHOWN).to_dicts()
    ]
    only = f", of which {alone[0]:,} are only in the first run, {alone[1]:,} only in the second"
    head = f"{changes.height:,} documents differ{only * any(alone)}"
    lines = [head, *fates, *_more(changes)]
    tables = [r.folder.file("audit/impact.parquet") for r in (first, second)]
    if not all(table.exists() for table in tables):
        return lines
    flags = audit_difference(*(pl.read_parquet(table) for table in tables))
    said = [
        f"  {row['change']}: {row['step']} on {row['group_column']} {row['group']}"
        for row in flags.head(_SHOWN).to_dicts()
    ]
    return [*lines, f"{flags.height:,} audit flags differ", *said, *_more(flags)]


def _shared(first: Run, second: Run) -> bool:
    ids = [run.verdicts.filter(pl.col("control").is_null())["id"] for run in (first, second)]
    return bool(ids[0].is_in(ids[1].implode()).any())


def _more(rows: pl.DataFrame) -> list[str]:
    return [f"  … and {rows.height - _SHOWN:,} more"] if rows.height > _SHOWN else []


def _fate(failed: list[str] | None) -> str:
    if failed is None:
        return "absent"
    return ", ".join(failed) or "kept"


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
