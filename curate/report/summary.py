"""The end of a run on the terminal, and the same as Markdown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curate.audits import Audit
from curate.report.audit_rows import flagged, flags_said
from curate.report.cells import treatment
from curate.report.duplicate_section import false_removals_said, removals_said
from curate.report.findings import MISSING, Sentence, kept_said, sentences, verdict_rows
from curate.report.group_figures import audited
from curate.report.numerals import NOTHING, count, interval, measured, percent, short
from curate.report.tables import RunTables, read_run

__all__ = ["markdown", "summary"]

GREEDY = 0.5  # share of the documents that fail one rule
FEWEST_FOR_GREEDY = 20  # documents
CANARIES_LOST = 0.1  # share of known-good documents; what a filter costs on any text stays below
Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
_STYLES = {"worth": "bold green", "harms": "bold red"}


def summary(run_folder: Path | str) -> RenderableType:
    """What was kept, funnel, controls, flags, verdicts and the report's path, for a rich console.

    The answer stands at both ends: how many stay in the first line, what that was worth in the
    last ones, where a terminal shows it.

    At most 100 columns wide; plain text in a pipe. What a run did not make is said.

    Raises:
        InputError: There is no such folder.

    >>> import tempfile
    >>> from rich.console import Console
    >>> Console(width=100).print(summary(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    There is no funnel: the run ended before its verdicts were finished.
    ...
    """
    folder = Path(run_folder)
    run = read_run(folder)
    parts: list[RenderableType] = []
    if said := kept_said(run):
        parts.append(Text(f"{said}\n", style="bold"))
    parts.append(_table("Funnel", _funnel_rows(run), MISSING["funnel"]))
    parts.append(_table("Planted controls", _control_rows(run.scoreboard), MISSING["controls"]))
    if run.declared is not None:
        parts.append(_table("The input's declared noise", _control_rows(run.declared), ""))
    parts.append(_table(f"Audit: {flags_said(run.impact)}", _flag_rows(run), _no_flags(run)))
    parts += [Text(f"{said}\n", style="yellow") for said in _unjudged_said(run)]
    parts += [Text(f"{said}\n") for said in _duplicates_said(run)]
    warnings = [*_greedy_said(run), *_canaries_said(run), *_unmasked_said(run), *_idle_said(run)]
    parts += [Text(f"Warning: {said}\n", style="yellow") for said in warnings]
    if (contrasts := _contrast_rows(run)) is not None:
        parts.append(_table("What each change is worth by itself", contrasts, ""))
    if (sets := _set_rows(run)) is not None:
        parts.append(_table("The first verdict on each evaluation set", sets, ""))
    parts += [Text(f"Experiment: {said}\n") for said in run.plan.get("left_out", ())]
    parts += [_verdict(found) for found in sentences(run)]
    if run.multipliers is None and run.funnel is not None:
        asked = f"curate measure {folder} --evaluation FILES"
        parts.append(Text(f"  {asked} measures it, on text that neither side saw", style="dim"))
    parts += [Text(f"\n{said}", style="bold red") for said in _failed_controls(run)]
    page = folder / "report.html"
    parts.append(Text.assemble("\n", ("Report  ", "bold"), str(page)))
    return Group(*parts)


def markdown(run_folder: Path | str) -> str:
    """The summary as Markdown, e.g. for an orchestrator's artifact; verdicts come first.

    Raises:
        InputError: There is no such folder.

    >>> import tempfile
    >>> print(markdown(tempfile.mkdtemp()).splitlines()[0])
    ## Verdict
    """
    folder = Path(run_folder)
    run = read_run(folder)
    verdicts = [
        "- "
        + _escaped(f"{found.name}: " if found.name else "")
        + f"**{_escaped(found.sentence)}**"
        + "".join(f"\n  - {_escaped(said)}" for said in found.beside)
        for found in sentences(run)
    ]
    kept = kept_said(run)
    blocks = [
        "## Verdict\n\n" + "\n".join(verdicts) + (f"\n\n{_escaped(kept)}" if kept else ""),
        "## Funnel\n\n" + _pipe_table(_funnel_rows(run), MISSING["funnel"]),
        "## Planted controls\n\n" + _pipe_table(_control_rows(run.scoreboard), MISSING["controls"]),
        f"## Audit: {flags_said(run.impact)}\n\n" + _pipe_table(_flag_rows(run), _no_flags(run)),
        f"Report: `{folder / 'report.html'}`",
    ]
    rules_said = [*_greedy_said(run), *_canaries_said(run), *_unmasked_said(run), *_idle_said(run)]
    blocks[2:2] = [f"## Rules\n\n{_escaped(said)}" for said in rules_said]
    blocks[2:2] = [f"## Duplicates\n\n{said}" for said in _duplicates_said(run)]
    blocks[-1:-1] = [_escaped(said) for said in _unjudged_said(run)]
    if (sets := _set_rows(run)) is not None:
        blocks.insert(1, "## The verdict on each evaluation set\n\n" + _pipe_table(sets, ""))
    return "\n\n".join(blocks) + "\n"


def _failed_controls(run: RunTables) -> list[str]:
    """Sentences of controls that show an effect where there is none."""
    failed = [v for v in run.verdicts if v.get("kind") == "control"]
    return [v["sentence"] for v in failed if v["conclusion"] in ("worth", "harms")]


def _duplicates_said(run: RunTables) -> list[str]:
    """Removals as duplicates and their false-removal rate; nothing where none were looked for."""
    if run.duplicates.evidence is None:
        return []
    found = run.duplicates.evidence
    return [" ".join(filter(None, (removals_said(found), false_removals_said(found))))]


def _idle_said(run: RunTables) -> list[str]:
    """Rules that no document failed, where there were enough documents to say so."""
    if run.rules is None or "idle" not in run.rules.columns:
        return []
    idle = run.rules.filter("idle")["name"].to_list()
    if not idle:
        return []
    return [
        f"no document failed {', '.join(idle)}. A rule that never fires often reads another "
        "column, or another unit, than was meant."
    ]


def _greedy_said(run: RunTables) -> list[str]:
    """Rules that most documents fail: the set was made for another kind of text, or language."""
    if run.reasons is None or run.rules is None or run.native < FEWEST_FOR_GREEDY:
        return []
    most = run.reasons.filter(pl.col("documents") > GREEDY * run.native)
    rules = run.rules.unique("name", keep="first", maintain_order=True)  # a set is also shown
    rows = most.join(rules, left_on="reason", right_on="name", maintain_order="left").to_dicts()
    if not rows:
        return []
    listed = ", ".join(
        f"{row['reason']} ({percent(row['documents'] / run.native)})" for row in rows[:3]
    )
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    english = any("english" in row["signal"] or "stop_word" in row["signal"] for row in rows)
    said = (
        f"most documents fail {listed}{more}: such a bound does not fit this text. `curate sweep` "
        "shows what it costs, [rules.override] moves it."
    )
    words = " It counts English words; for other languages see the sets fineweb2_*, web_safety."
    return [said + words * english]


def _canaries_said(run: RunTables) -> list[str]:
    """That the rules remove text known to be good, where the interval leaves no doubt of it."""
    if run.scoreboard is None:
        return []
    rows = run.scoreboard.filter(pl.col("kind") == "canary", pl.col("low") > CANARIES_LOST)
    return [
        f"{count(row['caught'])} of {count(row['planted'])} known-good documents (canaries) were "
        "removed: the rules do not fit this kind of text. `curate sweep` shows what a bound costs."
        for row in rows.to_dicts()
    ]


def _unmasked_said(run: RunTables) -> list[str]:
    """What masks personal data, where controls that hold some stayed and nothing masks it."""
    if run.scoreboard is None:
        return []
    steps = tomllib.loads(run.config).get("clean", {}).get("steps", [])
    rows = run.scoreboard.filter(kind="personal_data").filter(pl.col("caught") < pl.col("planted"))
    return [
        f"{count(row['planted'] - row['caught'])} of {count(row['planted'])} planted texts with "
        "personal data stay as they are: the cleaning step mask_pii masks it (clean.steps)."
        for row in rows.to_dicts()
        if "mask_pii" not in steps
    ]


def _no_flags(run: RunTables) -> str:
    if run.impact is None:
        return MISSING["groups"]
    tests = audited(run.impact)
    if tests.height and (tests["state"] == "not enough documents").all():
        hint = " Name columns of fewer, larger groups in audit.groups (a domain, not a URL)."
        lost = tests.filter(pl.col("removed") + pl.col("removed_rest") > 0).height
        return Audit(run.impact).sentence + hint * bool(lost)
    thin = tests.filter(pl.col("state") == "not enough documents").height
    if not thin:
        return "No group was flagged."
    told = count(tests.height - thin)
    return f"No group was flagged in {told} tests; {count(thin)} more were not judged."


def _unjudged_said(run: RunTables) -> list[str]:
    """Groups that lost far more than the rest and that the audit could not judge."""
    said = "" if run.impact is None else Audit(run.impact).unjudged
    return [said] if said else []


def _funnel_rows(run: RunTables) -> Rows | None:
    if run.funnel is None:
        return None
    header = (
        "step",
        "documents\nin",
        "out",
        "words\nin",
        "out",
        "bytes\nin",
        "out",
        "only by\nthis step",
    )
    rows: list[tuple[str, ...]] = [
        (
            row["step"],
            count(row["documents_in"]),
            count(row["documents_out"]),
            short(row["tokens_in"]),
            short(row["tokens_out"]),
            short(row["bytes_in"], "B"),
            short(row["bytes_out"], "B"),
            count(row["documents_removed_only_here"]),
        )
        for row in run.funnel.iter_rows(named=True)
    ]
    return header, rows


def _control_rows(board: pl.DataFrame | None) -> Rows | None:
    if board is None:
        return None
    header = ("kind", "n", "what happened", "share", "95 % interval", "expected")
    rows: list[tuple[str, ...]] = [
        (
            row["kind"].replace("_", " "),
            count(row["planted"]),
            f"{count(row['caught'])} " + ("wrongly removed" if lost(row) else "caught"),
            percent(row["recall"]),
            interval(row["low"], row["high"]) or NOTHING,
            treatment(row["expected"]),
        )
        for row in board.iter_rows(named=True)
    ]
    return header, rows


def lost(row: dict[str, Any]) -> bool:
    """Whether a row of the scoreboard counts documents that ought to have stayed.

    >>> lost({"expected": "kept"}), lost({"expected": "removed"})
    (True, False)
    """
    return bool(row["expected"] == "kept")


def _contrast_rows(run: RunTables) -> Rows | None:
    """What each step and control was worth by itself; None without an experiment."""
    if run.multipliers is None:
        return None
    found = verdict_rows(run.multipliers)
    wanted = ("contrast", "measured_with", "multiplier", "level", "conclusion")
    columns = [name for name in wanted if name in found]
    if found.is_empty() or len(columns) < len(wanted):
        return None
    rows = found.select(pl.col(columns).cast(pl.String).fill_null(NOTHING)).rows()
    header = ("contrast (first → second)", "measured with", "multiplier", "level", "conclusion")
    return header, rows


def _set_rows(run: RunTables) -> Rows | None:
    """The headline on each evaluation set by itself; None where there is no headline."""
    if run.multipliers is None:
        return None
    keys = ["contrast", "family", "size", "n_tokens", "quantity"]
    head = run.multipliers.filter("headline", pl.col("n_tokens").is_not_null()).select(keys)
    found = run.multipliers.join(head.unique(), on=keys, how="semi", maintain_order="left")
    found = found.filter(pl.col("quantity") == "multiplier", pl.col("eval_set") != "all")
    if found.is_empty():
        return None
    header = ("evaluation set", "multiplier", "conclusion")
    rows: list[tuple[str, ...]] = [
        (
            row["eval_set"],
            measured(row),
            row["conclusion"],
        )
        for row in found.iter_rows(named=True)
    ]
    return header, rows


def _flag_rows(run: RunTables) -> Rows | None:
    found = pl.DataFrame() if run.impact is None else flagged(run.impact)
    if found.is_empty():
        return None
    header = ("step", "group", "n", "removed", "others", "removal ratio", "q")
    columns = ("step", "group", "n", "removed", "others", "removal_ratio", "q")
    rows = found.select(pl.col(columns).cast(pl.String)).rows()
    return header, rows


def _table(title: str, content: Rows | None, absent: str) -> RenderableType:
    if content is None:
        return Text(f"{absent}\n")
    header, rows = content
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, name in enumerate(header):
        words = place == 0 or name in ("group", "expected", "conclusion", "measured with")
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(table, Text(""))


def _verdict(found: Sentence) -> Text:
    style = _STYLES.get(found.conclusion.split(" ")[0], "bold")
    name = f"Verdict, {found.name}  " if found.name else "Verdict  "
    beside = "".join(f"\n  {said}" for said in found.beside)
    return Text.assemble((name, "bold"), (found.sentence, style), beside)


def _pipe_table(content: Rows | None, absent: str) -> str:
    if content is None:
        return absent
    header, rows = content
    lines = [header, tuple("---" if place == 0 else "--:" for place in range(len(header))), *rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(words: str) -> str:
    """Text from documents must not become a table cell's end, a tag or a line of its own."""
    plain = words.replace("\n", " ").replace("|", "\\|")
    return plain.replace("<", "&lt;").replace(">", "&gt;")
