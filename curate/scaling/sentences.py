"""Verdicts as sentences: what was measured, how sure it is, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from curate.scaling.crossed import MIN_SOURCES
from curate.scaling.designs import design_sentences, no_larger
from curate.scaling.disagreement import disagreements
from curate.scaling.words import arm_words, count_words, interval_words, is_null, model_words

KINDS = ("headline", "secondary", "control", "calibrator")
KEYS = (
    *("contrast", "kind", "family", "size", "n_tokens", "headline", "estimate", "low", "high"),
    *("beyond", "conclusion", "note"),
)
WHAT = {"harm": "what was removed costs", "multiplier": "the multiplier is"}
NO_EVALUATION = "cannot tell: no neutral evaluation set"

__all__ = ["disagreement_sentences", "sentences"]


def sentences(table: pl.DataFrame, *, repeats: str = "") -> list[dict[str, Any]]:
    """One verdict for each contrast, family and size: the headline first.

    Args:
        table: Multipliers, by `decide`.
        repeats: Why no pool was read again and again; empty = it was planned.

    Returns:
        Mappings with `contrast, kind, family, size, n_tokens, headline`, `estimate, low, high,
        beyond` (natural scale, null where not reached), `conclusion`, `note`, `sentence` (with the
        gate), `conclusion_without_gate`, `sentence_without_gate`, and `detail`: the slope, harm and
        dilution, or an empty text. The headline also has `doubts`: controls that failed and other
        kinds of models that disagree; and `designs`: what it means where compute binds and where
        data binds, by `design_sentences`. An effect no larger than what a control shows whose
        answer is 1 is said beside it, and no advice is given on it.
    """
    tests = table.filter((pl.col("quantity") == "multiplier") & (pl.col("eval_set") == "all"))
    spoken = [
        (
            _speaking(rows, pl.col("decisive")),
            _speaking(rows, pl.col("reached"), pl.col("low").is_not_null()),
        )
        for _, rows in tests.group_by("contrast", "family", "size", maintain_order=True)
    ]
    failed = [gated for gated, _ in spoken if _failed(gated, gated["conclusion"])]
    found = []
    for gated, ungated in spoken:
        verdict = {key: gated[key] for key in KEYS}
        verdict["sentence"] = _sentence(gated, gated["conclusion"], failed)
        word = ungated["conclusion_without_gate"]
        verdict["conclusion_without_gate"] = word
        verdict["sentence_without_gate"] = _sentence(ungated, word, failed)
        verdict["detail"] = _detail(table, gated)
        if verdict["headline"]:
            others = disagreement_sentences(table, contrast=verdict["contrast"])
            verdict["doubts"] = [*(_sentence(row, row["conclusion"]) for row in failed), *others]
            verdict["designs"] = design_sentences(table, verdict, repeats=repeats, failed=failed)
        found.append(verdict)
    return sorted(found, key=lambda v: (not v["headline"], KINDS.index(v["kind"])))


def disagreement_sentences(table: pl.DataFrame, *, contrast: str | None = None) -> list[str]:
    """One sentence for every two kinds of models that surely say different things.

    Args:
        table: Multipliers, by `decide`.
        contrast: Of which comparison; `None` = all of them.

    >>> row = {"kind": "headline", "contrast": "raw → curated", "quantity": "harm",
    ...        "eval_set": "all", "n_tokens": 50_000, "reached": True, "admitted": True,
    ...        "standard_error": 0.01, "degrees_of_freedom": 7.0}
    >>> mine = {"family": "kneser_ney", "size": "order3", "estimate": 2.0, "low": 1.9, "high": 2.1}
    >>> other = {"family": "gpt", "size": "width32", "estimate": 1.05, "low": 1.0, "high": 1.1}
    >>> table = pl.DataFrame([row | mine, row | other])
    >>> disagreement_sentences(table)[0].partition(": ")[0]
    'Kinds of models disagree on raw → curated'
    """
    rows = disagreements(table).filter("disagree")
    if contrast is not None:
        rows = rows.filter(contrast=contrast)
    return [_disagreement(row) for row in rows.iter_rows(named=True)]


def _disagreement(row: Mapping[str, Any]) -> str:
    room = " times its room" if row["quantity"] == "harm" else ""
    said = []
    for side in ("first", "second"):
        shown = {"bound": None} | {k: row[f"{side}_{k}"] for k in ("estimate", "low", "high")}
        budget = f"{count_words(row[f'{side}_tokens'])} tokens"
        said.append(
            (f"{model_words(*_split(row[side]))} at {budget}", f"{interval_words(shown)}{room}")
        )
    ratio = {"estimate": row["ratio"], "low": row["ratio_low"], "high": row["ratio_high"]}
    (first, one), (second, two) = said
    return (
        f"Kinds of models disagree on {row['contrast']}: {WHAT[row['quantity']]} {one} by {first}, "
        f"{two} by {second}, a ratio of {interval_words(ratio)}; read the worth with the kind "
        "beside it"
    )


def _split(name: str) -> tuple[str, str]:
    family, _, size = name.rpartition(" ")
    return family, size


def _failed(row: Mapping[str, Any], conclusion: str) -> bool:
    """Whether arms that are worth the same show an effect.

    >>> _failed({"kind": "control", "arm_b": "random"}, "worth")
    True
    >>> _failed({"kind": "control", "arm_b": "inverse_quality"}, "harms")
    False
    """
    return is_null(row) and conclusion in ("worth", "harms")


def _speaking(rows: pl.DataFrame, *flags: pl.Expr) -> dict[str, Any]:
    """The row at the largest budget that bears the flags, the first of them before all."""
    return rows.sort(*flags, "n_tokens").row(-1, named=True)


def _sentence(
    row: Mapping[str, Any], conclusion: str, failed: Sequence[Mapping[str, Any]] = ()
) -> str:
    a, b = arm_words(row["arm_a"]), arm_words(row["arm_b"])
    seen = f"{interval_words(row)} {a}"
    if row["kind"] == "calibrator":
        text = f"Calibrator {conclusion}: half filler, true value 2, measures {interval_words(row)}"
    elif _failed(row, conclusion):
        text = (
            f"Control failed: {row['contrast']} must be 1 and measures {interval_words(row)}; "
            "effects of that size are not to be believed from these draws"
        )
    elif conclusion == "worth":
        text = f"One {_one(b)} does the work of {seen} on text that neither side saw"
    elif conclusion == "harms":
        text = f"One {_one(b)} does the work of only {seen} on text that neither side saw"
    elif conclusion.startswith("no detectable effect"):
        text = f"{_capital(conclusion)}: one {_one(b)} does the work of {seen}"
    else:
        measured = f"; measured {interval_words(row)}" if row["low"] is not None else ""
        text = f"{row['contrast']}: {conclusion}{measured}"
    doubted = conclusion in ("worth", "harms") and row["kind"] in ("headline", "secondary")
    if doubted and (control := no_larger(row, failed)) is not None:
        text += f", but so far from 1 is {control['contrast']}, which must be 1"
    return f"{text} ({_where(row)})" if row["family"] else text


def _where(row: Mapping[str, Any]) -> str:
    parts = [
        model_words(row["family"], row["size"]),
        f"{count_words(row['n_tokens'])} tokens",
        f"{row['n_sources']} evaluation source{'s' * (row['n_sources'] != 1)}",
        f"{row['n_replicates']} paired draw{'s' * (row['n_replicates'] != 1)}",
    ]
    conditional = "; conditional on these sources" if row["n_sources"] < MIN_SOURCES else ""
    usual = row["low"] is None or abs(row["confidence"] - 0.95) < 1e-9
    level = "" if usual else f", {_level(row['confidence'])} interval"
    return ", ".join(parts) + level + conditional


def _detail(table: pl.DataFrame, row: Mapping[str, Any]) -> str:
    same = table.filter(
        (pl.col("contrast") == row["contrast"])
        & pl.col("family").eq_missing(row["family"])
        & pl.col("size").eq_missing(row["size"])
        & (pl.col("eval_set") == "all")
    )
    parts = []
    for quantity in ("dilution", "harm", "slope_per_doubling"):
        here = same.filter(
            (pl.col("quantity") == quantity)
            & (pl.col("n_tokens").is_null() | pl.col("n_tokens").eq_missing(row["n_tokens"]))
        )
        if here.height:
            found = here.row(0, named=True)
            label = "factor per doubling" if quantity == "slope_per_doubling" else quantity
            parts.append(f"{label} {interval_words(found)}: {found['conclusion_without_gate']}")
    return "; ".join(parts)


def _level(confidence: float) -> str:
    """A confidence level with as many digits as it has, two at most.

    >>> _level(0.9875), _level(0.90), _level(0.99166)
    ('98.75 %', '90 %', '99.17 %')
    """
    return f"{100 * confidence:.2f}".rstrip("0").rstrip(".") + " %"


def _one(tokens: str) -> str:
    return tokens.replace("tokens", "token", 1)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
