"""What a run found, in words and short tables: shared by page, JSON twin and terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.report.audit_rows import flags_said
from curate.report.cells import Cell
from curate.report.figure import total
from curate.report.numerals import count, level, measured, percent, short
from curate.report.tables import RunTables

__all__ = [
    "MISSING",
    "Sentence",
    "Tile",
    "funnel_shares",
    "kept_said",
    "sentences",
    "tiles",
    "verdict_rows",
]

UNMEASURED = "What the curation was worth is unknown: nothing was measured."
CLEAN_ALONE = "oracle → curated_oracle"
_NAMES = {
    "raw → curated": "the corpus as it was read",
    CLEAN_ALONE: "its clean text alone, known noise taken out",
}

MISSING = {
    "worth": (
        "Nothing was measured: the config of this run has no [measure] table, or its measure "
        "stage did not finish."
    ),
    "funnel": "There is no funnel: the run ended before its verdicts were finished.",
    "reasons": "There are no verdicts in this run folder, so no reasons can be counted.",
    "duplicates": "No duplicates were looked for, or their stage did not finish here.",
    "controls": (
        "No known defects were planted in this run ([controls] share = 0), so how many of them "
        "the rules would have caught is unknown."
    ),
    "groups": (
        "No audit was made: it needs at least one column in [audit] groups, and its stage did "
        "not run or did not finish here. Whom the removals hit is unknown."
    ),
    "quality": (
        "No quality score was made: [quality] names no reference, label, column or scorer."
    ),
    "examples": "No examples of removed text were stored in this run folder.",
    "rules": "The thresholds of the rules were not stored in this run folder.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A verdict: what it is about, the sentence with its interval, its word, and more.

    `beside` are its doubts, and what it means where compute binds and where data binds. `claim`
    and `scope` are the sentence without and within its closing parenthesis, which names what was
    measured; `without_gate` is the sentence that the calibrator held back.
    """

    name: str
    sentence: str
    conclusion: str
    detail: str = ""
    without_gate: str = ""
    beside: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        """The sentence without its scope."""
        return self.sentence.removesuffix(self._closing()).rstrip()

    @property
    def scope(self) -> str:
        """What was measured: family, size, budget, sources, draws; may be empty."""
        return self._closing().strip(" ().")

    def _closing(self) -> str:
        bare = self.sentence.rstrip(".")
        place = self.sentence.rfind(" (")
        return self.sentence[place:] if bare.endswith(")") and place > 0 else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One key figure at the head of the page."""

    label: str
    value: str
    detail: str


def sentences(run: RunTables) -> tuple[Sentence, ...]:
    """The verdicts of a run in order; one that says so where there is none.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> sentences(read_run(Path(tempfile.mkdtemp())))[0].conclusion
    'not measured'
    """
    stored = [found for found in run.verdicts if found.get("sentence")]
    if stored:
        return tuple(map(_sentence, _heads(stored)))
    if run.multipliers is None:
        return (Sentence(name="", sentence=UNMEASURED, conclusion="not measured"),)
    rows = run.multipliers.filter("headline", pl.col("quantity") == "multiplier").head(1)
    for row in rows.iter_rows(named=True):
        words = f"{row['contrast']}: {measured(row)}"
        return (Sentence(name="", sentence=f"{words}.", conclusion=str(row["conclusion"])),)
    words = "No contrast reached a budget at which all arms can be compared."
    return (Sentence(name="", sentence=words, conclusion="cannot tell"),)


def _heads(stored: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The headline, and the same question put to the clean text alone where truth is known."""
    first = next((found for found in stored if found.get("headline", True)), stored[0])
    measured = [first.get(key) for key in ("family", "size")]
    beside = [
        found
        for found in stored
        if found is not first
        and ("name" in found or found.get("contrast") == CLEAN_ALONE)
        and [found.get(key) for key in ("family", "size")] == measured
    ]
    return [first, *beside]


def _sentence(found: Mapping[str, Any]) -> Sentence:
    contrast = str(found.get("contrast") or "")
    held_back = str(found.get("sentence_without_gate") or "")
    return Sentence(
        name=str(found.get("name") or _NAMES.get(contrast, contrast)),
        sentence=str(found["sentence"]),
        conclusion=str(found.get("conclusion") or ""),
        detail=str(found.get("detail") or ""),
        without_gate="" if held_back == found["sentence"] else held_back,
        beside=tuple(map(str, [*(found.get("doubts") or ()), *(found.get("designs") or ())])),
    )


def kept_said(run: RunTables) -> str:
    """How many documents stay, and which rule took most; empty where nothing was judged.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> kept_said(read_run(Path(tempfile.mkdtemp())))
    ''
    """
    if run.funnel is None:
        return ""
    read, left = run.funnel["documents_in"][0], run.funnel["documents_out"][-1]
    usable = run.funnel["documents_out"][0]
    said = f"{_unusable_said(run, read, usable)}{count(left)} of {count(read)} documents kept"
    if read:
        rest = f"; {percent(left / usable)} of the {count(usable)} usable" if usable < read else ""
        said += f" ({percent(left / read)}{rest})"
    if run.reasons is not None and run.reasons.height:
        reason, documents, _ = run.reasons.row(0)
        said += f"; most removed by {reason} ({count(documents)})"
    if run.quarantine is not None and run.quarantine.height:
        said += f"; not usable: {_reasons_said(run.quarantine)}"
    return said + _broken_said(run.manifest) + "."


def _unusable_said(run: RunTables, read: int, usable: int) -> str:
    """A warning where most rows went to quarantine: then an input or a column is not what it was.

    It stands before all else: what is said of the rest is said of a small part of the data.
    """
    if 2 * usable >= read:
        return ""
    main = "" if run.quarantine is None else _reasons_said(run.quarantine.head(1))
    return (
        f"WARNING: {percent(1 - usable / read)} of the rows went to quarantine, most of them as "
        f"{main or 'unusable'}: does [input] name the right files and columns? "
    )


def _broken_said(manifest: Mapping[str, Any]) -> str:
    """Files that were read in part or not at all: what they held beyond that is in no count."""
    facts = manifest.get("stages", {}).get("documents", {}).get("facts", {})
    names = [str(name) for name, _ in facts.get("broken_files", ())]
    more = f" and {count(len(names) - 3)} more" if len(names) > 3 else ""
    return f"; broken, read in part or not at all: {', '.join(names[:3])}{more}" if names else ""


def _reasons_said(quarantine: pl.DataFrame) -> str:
    """The most frequent reasons of the quarantine with their counts."""
    listed = [f"{count(rows)} × {reason}" for reason, rows in quarantine.head(3).rows()]
    more = quarantine.height - len(listed)
    return ", ".join(listed) + (f" and {more} other reason" + "s" * (more > 1)) * (more > 0)


def funnel_shares(funnel: pl.DataFrame) -> dict[str, float]:
    """Share that is left at the end, of `documents`, `tokens` and `bytes` where counted.

    >>> frame = pl.DataFrame({"documents_in": [10, 10], "documents_out": [10, 7],
    ...                       "tokens_in": [None, 90], "tokens_out": [None, 81]})
    >>> funnel_shares(frame)
    {'documents': 0.7, 'tokens': 0.9}
    """
    shares = {}
    for unit in ("documents", "tokens", "bytes"):
        if f"{unit}_in" not in funnel.columns:
            continue
        entered = funnel[f"{unit}_in"].drop_nulls()
        left = funnel[f"{unit}_out"].drop_nulls()
        if len(entered) and entered[0]:
            shares[unit] = left[-1] / entered[0]
    return shares


def tiles(run: RunTables) -> list[Tile]:
    """The key figures at the head of the page; what is absent has no tile.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> tiles(read_run(Path(tempfile.mkdtemp())))
    []
    """
    found: list[Tile] = []
    if run.funnel is not None:
        shares = funnel_shares(run.funnel)
        read, left = run.funnel["documents_in"][0], run.funnel["documents_out"][-1]
        kept = percent(shares.get("documents"))
        found.append(
            Tile(label="documents kept", value=kept, detail=f"{count(left)} of {count(read)}")
        )
        if "tokens" in shares:
            tokens = run.funnel["tokens_out"].drop_nulls()[-1]
            detail = f"{short(tokens)} left"
            found.append(Tile(label="words kept", value=percent(shares["tokens"]), detail=detail))
    if run.scoreboard is not None:
        found.append(_controls_tile(run.scoreboard))
    if run.impact is not None:
        value, _, detail = flags_said(run.impact).partition(" in ")
        found.append(Tile(label="audit", value=value, detail=f"in {detail}"))
    return found


def verdict_rows(multipliers: pl.DataFrame) -> pl.DataFrame:
    """Every contrast at the budget that speaks for it, with its word.

    Returns:
        `contrast`, `measured_with`, `tokens`, `multiplier` with its interval, `level`,
        `conclusion`, `note`, `without_the_calibrator`: the word without that gate, or "same";
        all String.
        Columns in which nothing is said are left out.

    >>> from curate.report.example import example_multipliers
    >>> verdict_rows(example_multipliers()).select("multiplier", "conclusion").rows()
    [('1.50 [1.40, 1.60]', 'worth')]
    """
    listed = (
        _speaking(multipliers).sort("headline", descending=True, maintain_order=True).to_dicts()
    )
    table = pl.DataFrame(
        [
            {
                "contrast": row["contrast"],
                "measured_with": Cell.of(row).model(),
                "tokens": short(row["n_tokens"]),
                "multiplier": measured(row),
                "level": level(row["confidence"]),
                "conclusion": row["conclusion"],
                "note": row.get("note"),
                "without_the_calibrator": _ungated(row),
            }
            for row in listed
        ]
    )
    said = [
        name for name in table.columns if table[name].cast(pl.String).fill_null("").ne("").any()
    ]
    return table.select(said)


def _speaking(multipliers: pl.DataFrame) -> pl.DataFrame:
    """The row of each contrast and model that decides, or that of its largest budget."""
    rows = multipliers.filter(pl.col("quantity") == "multiplier", pl.col("eval_set") == "all")
    if "decisive" not in rows.columns:
        return rows.filter("headline")
    keys = ["contrast", "family", "size"]
    placed = rows.with_row_index("place").with_columns(pl.col("place").min().over(keys))
    last = placed.sort("decisive", "n_tokens", maintain_order=True).unique(keys, keep="last")
    return last.sort("place").drop("place")


def _ungated(row: Mapping[str, Any]) -> str | None:
    """The word without the calibrator's gate; "same" where the gate changed nothing."""
    word = row.get("conclusion_without_gate")
    return "same" if word is not None and word == row["conclusion"] else word


def _controls_tile(scoreboard: pl.DataFrame) -> Tile:
    defects = scoreboard.filter(pl.col("expected") != "kept")
    good = scoreboard.filter(pl.col("kind") == "canary")
    share = total(defects["caught"]) / max(total(defects["planted"]), 1)
    lost = f"{count(total(good['caught']))} of {count(total(good['planted']))} canaries lost"
    return Tile(
        label="planted defects caught",
        value=percent(share),
        detail=lost if good.height else f"{count(total(scoreboard['planted']))} planted",
    )
