"""The audit of a finished run: as it was stored, or anew with other groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from curate.audit_stages import audit_of
from curate.audits import Audit, AuditConfig, load_lexicon
from curate.errors import ConfigError
from curate.file_audit import AuditedFile, word_list_said
from curate.runs import Run, open_run


def audited_run(
    path: str | Path,
    *,
    groups: Sequence[str] = (),
    lexicons: Sequence[str] = (),
    topics: int = 0,
    scores: Sequence[str] = (),
) -> AuditedFile:
    """The audit of a run folder; what is asked for stands instead of the run's own choice.

    Nothing is judged or written again. Planted documents do not count.

    Args:
        path: Folder of a run that has verdicts.
        groups: Columns of the documents or verdicts to audit.
        lexicons: Word lists whose groups are looked for in the original texts.
        topics: Number of topics to look for.
        scores: Numeric columns of the verdicts to compare.

    Raises:
        InputError: The folder holds no run.
        ConfigError: A column or word list is unknown, or the run took nothing away.
    """
    run = open_run(path)
    asked = {"groups": groups, "lexicons": lexicons, "topics": topics, "scores": scores}
    changes = {k: tuple(v) if isinstance(v, Sequence) else v for k, v in asked.items() if v}
    config = replace(run.config.audit, **changes)  # type: ignore[arg-type]
    found = _anew(run, config) if changes else _stored(run)
    if found is None:
        raise ConfigError(f"{path}: no step of this run took anything away: nothing to audit")
    native = run.verdicts.filter(pl.col("control").is_null())
    share = 100 * (1 - native["kept"].mean()) if native.height else 0.0  # type: ignore[operator]
    head = [f"{native.height:,} documents, judged by this run: {share:.1f} % of them go"]
    head += [word_list_said(load_lexicon(name)) for name in config.lexicons]
    first = run.folder.parts("documents")[0]
    known = pl.scan_parquet(first).collect_schema().names()
    columns = tuple(c for c in known if c not in ("text", "control"))
    return AuditedFile(found=found, head=tuple(head), columns=columns)


def _anew(run: Run, config: AuditConfig) -> Audit | None:
    return audit_of(run.folder, replace(run.config, audit=config))


def _stored(run: Run) -> Audit | None:
    """What the run wrote; `None` where it wrote none, which says that nothing was taken."""
    names = ("impact", "scores", "representation")
    files = [run.folder.file(f"audit/{name}.parquet") for name in names]
    if not files[0].exists():
        return _anew(run, run.config.audit)
    return Audit(*(pl.read_parquet(file) if file.exists() else None for file in files))  # type: ignore[arg-type]
