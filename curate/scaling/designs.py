"""Both designs of the experiment in plain words: equal tokens, and one pool.

Whether text is worth removing depends on what there is too little of. Where compute binds, text is
ample, both sides read as many tokens, and the multiplier says which side to read. Where data binds,
there is one pool and no other: its curated part is smaller, and harm says whether that part alone
does what the whole does, each read once. Whether reading it more often makes up for what is
missing, only models can say that do not learn repeats by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import polars as pl

from curate.scaling.words import POOL, arm_words, count_words, interval_words, model_words

Row = Mapping[str, Any]

EQUAL = {
    "worth": "train on {b}",
    "harms": "train on {a}",
    "no detectable effect": "which of the two is read makes no difference that was seen",
}
ONCE = {
    "what was removed hurt": "leave it out even where there is no other text",
    "what was removed still taught": "keep it where there is no other text",
    "cannot be told from empty": "leaving it out costs nothing that was seen",
}

EFFECTS = ("worth", "harms", "what was removed")

__all__ = ["design_sentences", "no_larger"]


def design_sentences(
    table: pl.DataFrame, verdict: Row, *, repeats: str = "", failed: Sequence[Row] = ()
) -> list[str]:
    """What a verdict means where compute binds and where data binds, a sentence a design.

    Args:
        table: Multipliers, by `decide`.
        verdict: The row that speaks: `contrast, family, size, n_tokens`.
        repeats: Why no pool was read again and again; empty = it was planned.
        failed: Rows of controls whose answer is 1 and that show an effect: none that is no larger
            is advised on.

    >>> fixed = {"contrast": "raw → curated", "arm_a": "raw", "arm_b": "curated", "n_tokens": 400,
    ...          "family": "kneser_ney", "size": "order3", "eval_set": "all", "beyond": None,
    ...          "bound": None, "decisive": True, "n_replicates": 8}
    >>> m = {"quantity": "multiplier", "estimate": 1.5, "low": 1.4, "high": 1.6}
    >>> h = {"quantity": "harm", "estimate": 0.9, "low": 0.8, "high": 0.95}
    >>> table = pl.DataFrame([fixed | m | {"conclusion": "worth"},
    ...                       fixed | h | {"conclusion": "what was removed still taught"}])
    >>> said = design_sentences(table, table.row(0, named=True), repeats="needs torch")
    >>> said[0]
    'Equal tokens, for where compute binds: at 400 curated tokens one does the work of 1.50
      [1.40, 1.60] raw tokens: train on curated tokens'
    >>> said[1].partition("binds: ")[2]
    'the curated tokens in a pool of 600 raw tokens are 0.90 [0.80, 0.95] times as many as do the
      work of the whole pool: what was removed still taught, keep it where there is no other text'
    >>> said[2]
    'Fixed pool read again and again: not measured; needs torch'
    """
    keys = ("contrast", "family", "size", "n_tokens")
    here = [pl.col(key).eq_missing(verdict[key]) for key in keys]
    rows = {row["quantity"]: row for row in _over_all(table, *here)}
    if verdict["family"] is None or "multiplier" not in rows:
        return []
    main = rows["multiplier"]
    return [_equal(main, failed), _once(main, rows.get("harm"), failed), _again(table, repeats)]


def _over_all(table: pl.DataFrame, *where: pl.Expr) -> list[dict[str, Any]]:
    return table.filter(*where, pl.col("eval_set") == "all").to_dicts()


def _equal(row: Row, failed: Sequence[Row]) -> str:
    a, b = arm_words(row["arm_a"]), arm_words(row["arm_b"])
    said = (
        f"Equal tokens, for where compute binds: at {count_words(row['n_tokens'])} {b} one does "
        f"the work of {interval_words(row)} {a}"
    )
    return f"{said}: {_meaning(row, EQUAL, failed).format(a=a, b=b)}"


def _once(main: Row, harm: Row | None, failed: Sequence[Row]) -> str:
    a, b = arm_words(main["arm_a"]), arm_words(main["arm_b"])
    name = "Fixed pool read once, for where data binds"
    if harm is None:
        return f"{name}: not measured, for {b} are no part of {a}"
    if main["estimate"] is None:
        return f"{name}: cannot tell, for {a} were read at too few budgets"
    if harm["estimate"] == harm["low"] == harm["high"] == 1:
        return f"{name}: nothing is left out, the two are the same text"
    pool = count_words(_three_digits(main["n_tokens"] * main["estimate"]))
    bound = main["bound"] or ""
    return (
        f"{name}: the {b} in a pool of {bound}{pool} {a} are {interval_words(harm)} times as many "
        f"as do the work of the whole pool: {_meaning(harm, ONCE, failed)}"
    )


def _three_digits(number: float) -> float:
    return float(f"{number:.3g}")


def _meaning(row: Row, advice: Mapping[str, str], failed: Sequence[Row]) -> str:
    """The conclusion with what to do about it; alone where it cannot tell."""
    conclusion = str(row["conclusion"])
    if (control := no_larger(row, failed)) is not None and conclusion.startswith(EFFECTS):
        return f"no advice, for so far from 1 is {control['contrast']}, which must be 1"
    for word, meaning in advice.items():
        if conclusion.startswith(word):
            return meaning if advice is EQUAL else f"{conclusion}, {meaning}"
    return conclusion


def no_larger(row: Row, failed: Sequence[Row]) -> Row | None:
    """The failed control of the same models that lies as far from 1 as an effect surely does.

    >>> effect = {"family": "f", "size": "s", "low": 1.02, "high": 1.07}
    >>> control = {"family": "f", "size": "s", "estimate": 1.05, "contrast": "raw → random"}
    >>> no_larger(effect, [control])["contrast"], no_larger(effect | {"low": 1.06}, [control])
    ('raw → random', None)
    """
    same = [c for c in failed if (c["family"], c["size"]) == (row["family"], row["size"])]
    if not same or row["low"] is None or row["high"] is None:
        return None
    largest = max(same, key=lambda control: abs(log(control["estimate"])))
    surely = min(abs(log(row["low"])), abs(log(row["high"])))
    return largest if surely <= abs(log(largest["estimate"])) else None


def _measured(row: Row) -> str:
    """Interval and conclusion; a conclusion that names the bound says it once."""
    shown = interval_words(row)
    return str(row["conclusion"]) if shown in row["conclusion"] else f"{shown}, {row['conclusion']}"


def _again(table: pl.DataFrame, repeats: str) -> str:
    name = "Fixed pool read again and again"
    pools = [
        row
        for row in _over_all(table, pl.col("arm_a").str.ends_with(POOL))
        if row["quantity"] == "multiplier"
    ]
    if not pools:
        why = repeats.removeprefix("as ") or "there was no time for it"
        return f"{name}: not measured; {why}"
    row = max(pools, key=lambda row: (row["decisive"], row["n_tokens"]))
    draws = f"{row['n_replicates']} paired draw{'s' * (row['n_replicates'] != 1)}"
    said = (
        f"{name}, by {model_words(row['family'], row['size'])} and {draws}: at "
        f"{count_words(row['n_tokens'])} tokens {_measured(row)}"
    )
    return f"{said}; {row['note']}" if row["note"] else said
