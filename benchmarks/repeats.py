"""What a duplicate is worth to an n-gram model, by how much of the pool has been read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from curate.experiment import MeasureInputs
from curate.experiment.inputs import merged_evaluation
from curate.proxies import Evaluation, KneserNey
from curate.scaling.curves import read_curve
from curate.statistics import t_interval
from curate.subsets import draw_keys, id_hashes

COPIES = 4  # of every third document: half of all tokens are repeats
EVERY = 3
SHARES = (
    0.0125,
    0.025,
    0.05,
    0.125,
    0.25,
    0.375,
)  # of the raw pool, read by the arm without copies
FINE = 1.25  # between rungs of the arm with copies

Tokens = NDArray[np.uint16]


def repeat_lines(inputs: MeasureInputs, *, draws: int) -> list[str]:
    """Two tables: iso-token by budget over pool, and one fixed pool read once and again.

    Args:
        inputs: Their clean documents are used, a third of them written out four times.
        draws: Orders of the documents.
    """
    evaluation = merged_evaluation(inputs)
    found = [_draw(inputs, evaluation, replicate) for replicate in range(draws)]
    rows = []
    for k, share in enumerate(SHARES):
        values = np.array([log_m[k] for log_m, _, _ in found])
        rows.append(f"| {100 * share:.2f} % | {_m(values, most=1 / share)} |")
    uneven, even = (np.array([each[k] for each in found]) for k in (1, 2))
    return [
        f"**Duplicates.** Every third document stands {COPIES} times: half of raw's tokens are "
        "repeats. Iso-token m of the text without copies, by its budget over the raw pool, "
        f"{draws} draws; 2.00 is what copies cost that teach nothing.",
        "",
        "| budget / pool | m [95 %] |",
        "|---|---|",
        *rows,
        "",
        "Fixed pool, raw read once against the same text without copies read as often as gives "
        f"equal tokens: the loss differs by {_percent(even)} where every document stands twice (a "
        f"tie), and by {_percent(uneven)} where every third stands {COPIES} times and weighs more "
        "for it. Verdicts about repeats are left to transformers.",
    ]


def _m(values: NDArray[np.float64], *, most: float) -> str:
    """The mean; draws whose loss the whole pool does not reach count as the ladder's end."""
    missed = np.isnan(values)
    if missed.any():
        least = np.exp(np.where(missed, np.log(most), values).mean())
        return f"≥ {least:.2f}, {missed.sum()} of {values.size} draws beyond the pool"
    found = t_interval(values)
    return f"{np.exp(values.mean()):.2f} [{np.exp(found.low):.2f}, {np.exp(found.high):.2f}]"


def _percent(values: NDArray[np.float64]) -> str:
    found = t_interval(values)
    return f"{values.mean():+.2f} % [{found.low:+.2f}, {found.high:+.2f}]"


def _draw(
    inputs: MeasureInputs, evaluation: Evaluation, replicate: int
) -> tuple[list[float], float, float]:
    """ln m at each share of the pool (NaN = not reached); differences in fixed pools in %."""
    rows = np.flatnonzero(inputs.masks["curated"])
    copied = np.concatenate([rows, *([rows[::EVERY]] * (COPIES - 1))])
    raw = _sequence(inputs, copied, replicate)
    once = _sequence(inputs, rows, replicate)
    again = np.concatenate([once, _sequence(inputs, rows, replicate + 1_000)])
    doubled = _sequence(inputs, np.concatenate([rows, rows]), replicate)
    budgets = [round(share * len(raw)) for share in SHARES]
    steps = 1 + round(np.log(2 / SHARES[0]) / np.log(FINE))
    fine = np.geomspace(budgets[0] / 2, len(raw), num=steps).round().astype(int)
    rungs = sorted({*fine.tolist(), *budgets, len(raw)})
    equal = min(len(raw), len(again))
    family = _with_discounts(once, sorted({*rungs, equal, len(again)}), inputs.vocabulary)
    curve = _losses(family, raw, rungs, evaluation)
    losses = _losses(family, once, budgets, evaluation)
    uneven = [_losses(family, tokens, [equal], evaluation)[0] for tokens in (raw, again)]
    even = [_losses(family, tokens, [len(again)], evaluation)[0] for tokens in (doubled, again)]
    log_m = []
    for budget, loss in zip(budgets, losses, strict=True):
        reading = read_curve(np.log(rungs), curve, loss)
        log_m.append(reading.position - np.log(budget) if reading.side == 0 else np.nan)
    return log_m, 100 * (uneven[1] / uneven[0] - 1), 100 * (even[1] / even[0] - 1)


def _with_discounts(tokens: Tokens, budgets: list[int], vocabulary: int) -> KneserNey:
    """Shared discounts, those of the middle budget at all of them."""
    family = KneserNey().prepare(tokens, budgets=budgets, sizes=["order3"], vocabulary=vocabulary)
    middle = family.discounts["order3", budgets[len(budgets) // 2]]
    return replace(family, discounts=dict.fromkeys(family.discounts, middle))


def _sequence(inputs: MeasureInputs, rows: NDArray[np.int64], replicate: int) -> Tokens:
    """The documents in an order of their own; each copy stands apart from the others."""
    names = id_hashes(f"{row} {place}" for place, row in enumerate(rows.tolist()))
    order = np.argsort(draw_keys(names, seed=1, replicate=replicate), kind="stable")
    text = inputs.texts["curated"]
    return np.concatenate([text.flat[text.offsets[i] : text.offsets[i + 1]] for i in rows[order]])


def _losses(
    family: KneserNey, tokens: Tokens, budgets: list[int], evaluation: Evaluation
) -> NDArray[np.float64]:
    points = family.ladder(tokens, budgets=budgets, size="order3", seed=0, evaluation=evaluation)
    return np.array([evaluation.bits_per_byte(point.document_bits) for point in points])
