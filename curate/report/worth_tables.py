"""Tables beside the verdict: the plan's promise, arms on sets, families against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.cells import Cell
from curate.report.html import table_html
from curate.report.numerals import count, interval, percent, ratio
from curate.report.step_tables import step_rows
from curate.report.tables import RunTables
from curate.scaling import agreement, disagreements

_OWN = " (the corpus's own)"

__all__ = [
    "agreement_rows",
    "disagreement_rows",
    "labelled_rows",
    "matrix_rows",
    "memory_rows",
    "power_rows",
    "worth_tables",
]


def worth_tables(run: RunTables) -> list[tuple[str, Markup]]:
    """Folded tables of the experiment, those that there are: (title, table).

    >>> import tempfile
    >>> from pathlib import Path
    >>> from curate.report.tables import read_run
    >>> worth_tables(read_run(Path(tempfile.mkdtemp())))
    []
    """
    found = []
    steps = step_rows(run)
    if steps.width > 1:
        title = "What each step is worth, and what it costs"
        found.append((title, table_html(steps, numbers=steps.columns[1:])))
    if run.plan.get("power"):
        rows = power_rows(run.plan)
        right: tuple[str, ...] = ("draws", "error_rate", "chance_to_see", "seen_in_4_of_5")
        title = "What the plan could see before anything was trained"
        found.append((title, table_html(rows, numbers=right)))
    if run.matrix is not None:
        rows = matrix_rows(run.matrix)
        title = "Bits per byte of every arm on every evaluation set"
        found.append((title, table_html(rows, numbers=rows.columns[2:])))
    if run.labelled is not None:
        title = "A classifier of the documents' labels, trained on each arm"
        rows = labelled_rows(run.labelled)
        found.append((title, table_html(rows, numbers=rows.columns[2:])))
    if run.memorisation is not None:
        title = "What a model of each arm knows by heart"
        rows = memory_rows(run.memorisation)
        found.append((title, table_html(rows, numbers=rows.columns[3:])))
    if run.multipliers is not None:
        found += _between_models(run.multipliers)
    return found


def _between_models(multipliers: pl.DataFrame) -> list[tuple[str, Markup]]:
    found = []
    signs, amounts = agreement_rows(multipliers), disagreement_rows(multipliers)
    if signs.height:
        right = ("decision_accuracy", "rank_correlation")
        found.append(("Do families and sizes agree?", table_html(signs, numbers=right)))
    if amounts.height:
        title = "Do kinds of models measure the same?"
        found.append((title, table_html(amounts, numbers=amounts.columns[2:5])))
    return found


def power_rows(plan: Mapping[str, Any]) -> pl.DataFrame:
    """What a plan promised to see: one row a family and test.

    Returns:
        `family`, `comparison`, `draws`, `error_rate` (divided by the number of comparisons),
        `chance_to_see` the wanted multiplier, `seen_in_4_of_5` experiments; all String.

    >>> test = {"level": .05, "power_at_wanted": .61, "seen_with_80_percent_power": 1.13}
    >>> plan = {"power": {"kneser_ney": {"assumed_spread_of_ln_m": .1, "wanted": 1.1,
    ...                                  "headline": test}},
    ...         "families": {"kneser_ney": {"replicates": 8}}}
    >>> power_rows(plan).rows()
    [('kneser_ney', 'headline', '8', '5.0 %', '1.10 in 61.0 %', '1.13')]
    """
    return pl.DataFrame(
        [
            {
                "family": family,
                "comparison": test,
                "draws": count(plan["families"][family]["replicates"]),
                "error_rate": percent(found["level"]),
                "chance_to_see": f"{ratio(promised['wanted'])} in "
                f"{percent(found['power_at_wanted'])}",
                "seen_in_4_of_5": ratio(found["seen_with_80_percent_power"]),
            }
            for family, promised in plan["power"].items()
            for test, found in promised.items()
            if isinstance(found, Mapping)
        ]
    )


def matrix_rows(matrix: pl.DataFrame) -> pl.DataFrame:
    """Arms down, evaluation sets across; mean loss with its 95 % interval over draws.

    Returns:
        `model` (family, size, budget), `arm`, and one column an evaluation set, neutral ones
        first; those held out of the corpus itself say so. All String.

    >>> matrix = pl.DataFrame({"family": "kneser_ney", "size": "order3", "n_tokens": 1000,
    ...     "arm": "raw", "eval_set": ["own", "web"], "neutral": [False, True],
    ...     "loss": [2.0, 2.5], "low": [1.9, 2.4], "high": [2.1, 2.6]})
    >>> matrix_rows(matrix).rows()
    [('Kneser–Ney order 3, 1 k tokens', 'raw', '2.500 [2.40, 2.60]', '2.000 [1.90, 2.10]')]
    """
    sets = matrix.select("eval_set", "neutral").unique()
    sets = sets.sort("neutral", "eval_set", descending=[True, False])
    names = {s: s if neutral else f"{s}{_OWN}" for s, neutral in sets.rows()}
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in matrix.sort("family", "size", "arm").iter_rows(named=True):
        key = Cell.of(row).words(), row["arm"]
        shown = f"{row['loss']:.3f} {interval(row['low'], row['high'])}".strip()
        rows.setdefault(key, {})[names[row["eval_set"]]] = shown
    schema = dict.fromkeys(("model", "arm", *names.values()), pl.String)
    cells = [{"model": model, "arm": arm, **found} for (model, arm), found in rows.items()]
    return pl.DataFrame(cells, schema=schema)


def labelled_rows(labelled: pl.DataFrame) -> pl.DataFrame:
    """Figures of the labelled task: arms and held-out sets down, figures across; all String.

    >>> row = {"arm": "raw", "n_documents": 1600, "eval_set": "held_out_raw", "figure": "auc",
    ...        "estimate": 0.91, "low": 0.88, "high": 0.94}
    >>> labelled_rows(pl.DataFrame([row])).rows()
    [('raw', 'held_out_raw', '1,600', '0.910 [0.88, 0.94]')]
    """
    rows: dict[tuple[str, str, int], dict[str, str]] = {}
    for row in labelled.iter_rows(named=True):
        key = row["arm"], row["eval_set"], row["n_documents"]
        shown = f"{row['estimate']:.3f} {interval(row['low'], row['high'])}".strip()
        rows.setdefault(key, {})[row["figure"]] = shown
    return pl.DataFrame(
        [
            {"arm": arm, "judged_on": name, "training_documents": count(n), **figures}
            for (arm, name, n), figures in rows.items()
        ]
    )


def memory_rows(memory: pl.DataFrame) -> pl.DataFrame:
    """Canaries by how often they were planted, gaps by how often the text was read; all String.

    >>> row = {"arm": "raw", "family": "gpt", "size": "width32", "n_tokens": 80_000, "n": 12,
    ...        "what": "extracted", "amount": 4, "estimate": 0.5, "low": 0.25, "high": 0.75}
    >>> memory_rows(pl.DataFrame([row])).row(0)
    ('GPT width 32, 80 k tokens', 'raw', 'canaries extracted', '4', '12', '0.50 [0.25, 0.75]')
    """
    words = {
        "extracted": "canaries extracted",
        "exposure": "exposure of canaries, bits (10 at most, 1.4 by chance)",
        "gap": "held-out minus training text, bits a token",
    }
    return pl.DataFrame(
        [
            {
                "model": Cell.of(row).words(),
                "arm": row["arm"],
                "what": words[row["what"]],
                "copies_or_readings": count(row["amount"]),
                "n": count(row["n"]),
                "value": f"{row['estimate']:.2f} {interval(row['low'], row['high'])}".strip(),
            }
            for row in memory.iter_rows(named=True)
        ]
    )


def agreement_rows(multipliers: pl.DataFrame) -> pl.DataFrame:
    """Decision accuracy between families and sizes, as people read it.

    >>> from curate.report.example import example_multipliers
    >>> agreement_rows(example_multipliers()).height
    0
    """
    rows = [
        {
            "first": _model(row["first"]),
            "second": _model(row["second"]),
            "decision_accuracy": f"{count(row['same_sign'])} of {count(row['contrasts'])} "
            f"{interval(row['low'], row['high'])}",
            "rank_correlation": ratio(row["rank_correlation"]),
            "contradictions": row["contradictions"],
        }
        for row in agreement(multipliers).iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def disagreement_rows(multipliers: pl.DataFrame) -> pl.DataFrame:
    """What models of different families say of one comparison, and whether they surely differ.

    >>> from curate.report.example import example_multipliers
    >>> disagreement_rows(example_multipliers()).height
    0
    """
    rows = []
    for row in disagreements(multipliers).iter_rows(named=True):
        shown = {}
        for side in ("first", "second"):
            family, _, size = row[side].rpartition(" ")
            cell = Cell(family=family, size=size, n_tokens=row[f"{side}_tokens"])
            estimate = ratio(row[f"{side}_estimate"])
            ends = interval(row[f"{side}_low"], row[f"{side}_high"])
            shown[side] = f"{estimate} {ends} ({cell.words()})"
        rows.append(
            {
                "contrast": row["contrast"],
                "quantity": row["quantity"],
                **shown,
                "ratio": f"{ratio(row['ratio'])} {interval(row['ratio_low'], row['ratio_high'])}",
                "verdict": "disagree" if row["disagree"] else "no disagreement seen",
            }
        )
    return pl.DataFrame(rows)


def _model(name: str) -> str:
    family, _, size = name.rpartition(" ")
    return Cell(family=family, size=size, n_tokens=None).model()
