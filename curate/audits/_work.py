"""What steps take of documents: wholes by the rules that failed, parts by edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from curate.arrays import Bools, Floats

Steps = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """Steps that take parts of documents: they edit, and come before those that remove.

    Attributes:
        columns: Step → column with the share of the document's text that it takes, 0 to 1.
        touched: Step → Boolean column, whether it changed the document at all. Of steps that
            are not named, documents are touched of which it takes anything.
        weight: Numeric column with the size of the original text, for the rows by tokens.
        then: Step → column with the share of the whole text that it takes once the steps before
            it are made, for the cumulative rows. Of steps that are not named it is what they
            take by themselves, as far as it is left.
        then_touched: The same of `touched`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    touched: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None
    then: Mapping[str, str] = field(default_factory=dict)
    then_touched: Mapping[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> tuple[str | None, ...]:
        """All columns that are read."""
        named = (self.columns, self.touched, self.then, self.then_touched)
        return *(column for part in named for column in part.values()), self.weight


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One step: its share of every document, and of a step that edits, whom it touched.

    `then` and `then_touched` are the same once all earlier steps are made.
    """

    step: str
    taken: Floats
    then: Floats
    touched: Bools | None = None
    then_touched: Bools | None = None

    @property
    def partial(self) -> bool:
        """Whether it takes parts of documents."""
        return self.touched is not None


class Survivors:
    """What the earlier steps left: documents, and of each the share of its text."""

    def __init__(self, n: int) -> None:
        self._alive, self._left = np.ones(n), np.ones(n)

    def left_for(self, w: Work, weight: str) -> Floats | None:
        """What is left of each document for a step, by this weight; `None` = all of it."""
        left = self._alive
        if w.partial:
            left = self._left if weight == "tokens" else (self._left > 0).astype(np.float64)
        return left if w.partial or not left.all() else None

    def taken_by(self, w: Work) -> Floats:
        """The share that a step takes of what is left."""
        if not w.partial:
            return w.taken
        found = np.zeros_like(self._left)
        np.divide(np.minimum(w.then, self._left), self._left, out=found, where=self._left > 0)
        return found

    def pass_on(self, w: Work) -> None:
        """Take away what a step takes."""
        if w.partial:
            self._left = np.clip(self._left - w.then, 0.0, 1.0)
        else:
            self._alive = self._alive * (1.0 - w.taken)


def work_of(frame: pl.DataFrame, losses: Losses, steps: Steps) -> list[Work]:
    """Steps in order: those that edit, then those that remove."""
    found = []
    for step, name in losses.columns.items():
        taken = _numbers(frame, name)
        touched = _seen(frame, losses.touched.get(step), taken)
        then = _numbers(frame, losses.then[step]) if step in losses.then else taken
        named = losses.then_touched.get(step)
        later = touched if named is None and step not in losses.then else _seen(frame, named, then)
        found.append(Work(step=step, taken=taken, then=then, touched=touched, then_touched=later))
    return found + [Work(step=step, taken=hit, then=hit) for step, hit in _failed(frame, steps)]


def _seen(frame: pl.DataFrame, column: str | None, taken: Floats) -> Bools:
    """Whether a step changed each document: what a column says, or where it takes anything."""
    return taken > 0 if column is None else frame[column].fill_null(value=False).to_numpy()


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
