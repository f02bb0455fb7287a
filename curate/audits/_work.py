"""What steps take of documents: wholes by the rules that failed, parts by edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Steps = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """Steps that take parts of documents: they edit, and come before those that remove.

    Attributes:
        columns: Step → column with the share of the document's text that it takes, 0 to 1.
        touched: Step → Boolean column, whether it changed the document at all. Of steps that
            are not named, documents are touched of which it takes anything.
        weight: Numeric column with the size of the original text, for the rows by tokens.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    touched: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None

    @property
    def needed(self) -> tuple[str | None, ...]:
        """All columns that are read."""
        return *self.columns.values(), *self.touched.values(), self.weight


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One step: its share of every document, and of a step that edits, whom it touched."""

    step: str
    taken: Floats
    touched: Bools | None = None

    @property
    def partial(self) -> bool:
        """Whether it takes parts of documents."""
        return self.touched is not None


def work_of(frame: pl.DataFrame, losses: Losses, steps: Steps) -> list[Work]:
    """Steps in order: those that edit, then those that remove."""
    found = []
    for step, name in losses.columns.items():
        taken = _numbers(frame, name)
        seen = losses.touched.get(step)
        touched = taken > 0 if seen is None else frame[seen].fill_null(value=False).to_numpy()
        found.append(Work(step=step, taken=taken, touched=touched))
    return found + [Work(step=step, taken=hit) for step, hit in _failed(frame, steps)]


def weights_of(
    frame: pl.DataFrame, tokens: str | None, losses: Losses
) -> dict[str, tuple[Floats, Floats]]:
    """Weights of the documents: for steps that remove, and for steps that edit."""
    alike = np.ones(frame.height)
    if tokens is None:
        return {"documents": (alike, alike)}
    sizes = _numbers(frame, tokens)
    original = _numbers(frame, losses.weight) if losses.weight else sizes
    return {"documents": (alike, alike), "tokens": (sizes, original)}


def _numbers(frame: pl.DataFrame, column: str) -> Floats:
    return frame[column].cast(pl.Float64).fill_null(0.0).to_numpy()


def _failed(frame: pl.DataFrame, steps: Steps) -> list[tuple[str, Floats]]:
    """For each step whether each document failed it: 1 or 0."""
    if not steps:
        return []
    reasons = frame.select(pl.int_range(pl.len()).alias("row"), rule="failed").explode("rule")
    reasons = reasons.drop_nulls("rule")
    rows, rules = reasons["row"].to_numpy(), reasons["rule"]
    found = []
    for step, names in steps.items():
        hit = np.zeros(frame.height)
        hit[rows[rules.is_in(list(names)).to_numpy()]] = 1.0
        found.append((step, hit))
    return found
