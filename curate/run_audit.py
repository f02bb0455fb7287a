"""The audit of a finished run: as it was stored, or anew with other groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from curate.audit_stages import audit_of
from curate.audits import Audit, AuditConfig, load_lexicon
from curate.errors import ConfigError, InputError
from curate.file_audit import (
    AuditedFile,
    FileAudit,
    audited_file,
    check_table,
    split_lexicons,
    split_names,
    word_list_said,
    write_table,
)
from curate.report.audit_terminal import print_audit
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
    first = run.folder.parts("documents")[0]
    known = pl.scan_parquet(first).collect_schema().names()
    columns = tuple(c for c in known if c not in ("text", "control"))
    for name in {"groups", "scores"} & set(changes):
        changes[name] = split_names(asked[name], (*known, *run.verdicts.columns))  # type: ignore[arg-type]
    if lexicons:
        changes["lexicons"] = split_lexicons(lexicons)
    config = replace(run.config.audit, **changes)  # type: ignore[arg-type]
    found = _anew(run, config) if changes else _stored(run)
    if found is None:
        raise ConfigError(f"{path}: no step of this run took anything away: nothing to audit")
    native = run.verdicts.filter(pl.col("control").is_null())
    share = 100 * (1 - native["kept"].mean()) if native.height else 0.0  # type: ignore[operator]
    head = [f"{native.height:,} documents, judged by this run: {share:.1f} % of them go"]
    head += [word_list_said(load_lexicon(name)) for name in config.lexicons]
    return AuditedFile(found=found, head=tuple(head), columns=columns)


def show_audit(
    what: Path,
    *,
    asked: Mapping[str, Any],
    own: Mapping[str, Any],
    table: Path | None = None,
) -> None:
    """Audit a file or the folder of a run, and print what was found.

    Args:
        what: File of documents or verdicts, or folder of a run.
        asked: `groups`, `lexicons`, `scores`, `topics`; what is empty is left as it is.
        own: What only a file can be asked, by the names of `FileAudit`.
        table: Where to write one row a number.

    Raises:
        ConfigError: A run is asked what belongs to a file, or a name is unknown.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "verdicts.parquet"
    >>> pl.DataFrame({"source": ["a", "b"] * 100, "kept": [True, False] * 100}).write_parquet(path)
    >>> show_audit(path, asked={}, own={})
    200 documents, judged by the file's own column 'kept': 50.0 % of them go
    ...
    """
    if table is not None:
        check_table(table)
    asked, own = _given(asked), _given(own)
    if (what / "manifest.json").exists():
        if only := [name for name in own if name != "text"]:
            raise ConfigError(f"{what} is a run, which is judged: --{only[0]} belongs to a file")
        done = audited_run(what, **asked)
    else:
        done = _file(what, FileAudit(**asked, **own))
    print_audit(done.found, head=done.head, hint=done.columns)
    if table is not None:
        write_table(done.found.tidy, table)
        print(f"\n{table}: one row a number")  # noqa: T201 - the command's answer


def _file(what: Path, config: FileAudit) -> AuditedFile:
    try:
        return audited_file(what, config)
    except InputError as error:  # as the command line writes it
        said = re.sub(r"\bpath= ", "", str(error)).replace(" text= names", " --text names")
        raise InputError(said) from None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, lists as tuples."""
    kept = {name: value for name, value in values.items() if value}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}


def _anew(run: Run, config: AuditConfig) -> Audit | None:
    return audit_of(run.folder, replace(run.config, audit=config))


def _stored(run: Run) -> Audit | None:
    """What the run wrote; `None` where it wrote none, which says that nothing was taken."""
    names = ("impact", "scores", "representation")
    files = [run.folder.file(f"audit/{name}.parquet") for name in names]
    if not files[0].exists():
        return _anew(run, run.config.audit)
    return Audit(*(pl.read_parquet(file) if file.exists() else None for file in files))  # type: ignore[arg-type]
