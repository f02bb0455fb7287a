"""A ladder of decayed models from one trunk, which a killed process can climb on.

The trunk trains at constant rate after a short warm-up; at (1 − decay) of each budget a copy
branches off, sees the budget's last windows while its rate falls to zero, and is scored. The
trunk itself, whose rate never fell, is never scored.

A checkpoint holds everything that the rest of the ladder depends on: weights and both moments of
trunk and branch, their steps (the place in the data, whose order the seed alone decides: after
the first weights nothing is drawn), the losses so far, and the models scored. So a ladder that
was killed and goes on is the same, bit by bit.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.corpus import write_bytes_atomically
from curate.proxies import transformer
from curate.proxies.protocol import Evaluation, LadderPoint
from curate.proxies.transformer import Model

if TYPE_CHECKING:
    from curate.proxies.gpt import GptSettings

__all__ = [
    "Course",
    "Ladder",
    "branch_steps",
    "climb",
    "decayed",
    "restore",
    "saver",
    "window_starts",
]


@dataclass(kw_only=True, slots=True)
class Ladder:
    """A ladder under way.

    Attributes:
        trunk: The model at constant rate.
        branch: The decaying model, where one is under way.
        scored: Bits of the documents at the budgets passed so far.
        losses: Of the branches passed so far: every step's nats a token, trunk's steps included.
    """

    trunk: Model
    branch: Model | None = None
    scored: list[NDArray[np.float64]] = field(default_factory=list)
    losses: list[NDArray[np.float64]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a ladder is climbed on.

    Attributes:
        tokens: The whole training sequence.
        budgets: Tokens that each scored model has seen, rising.
        starts: Places of the windows, in the order of training.
        evaluation: Documents that models are scored on.
    """

    tokens: NDArray[np.uint16]
    budgets: Sequence[int]
    starts: NDArray[np.int64]
    evaluation: Evaluation

    def digest(self, model: Model, *, seed: int) -> str:
        """Of everything that decides the ladder, in hexadecimal."""
        import torch

        found = hashlib.blake2b(digest_size=16)
        told = (model.settings, model.vocabulary, tuple(self.budgets), seed, torch.__version__)
        found.update(repr(told).encode())
        for array in (self.tokens, self.evaluation.tokens, self.evaluation.offsets):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def window_starts(budgets: Sequence[int], *, context: int, seed: int) -> NDArray[np.int64]:
    """Places of the training windows, shuffled between one budget and the next.

    Every budget still holds its own prefix and nothing else, but no model ends its training on
    one long document: that alone made a model of 50,000 tokens worse by .25 bits a byte.

    >>> window_starts([4, 9], context=2, seed=3).tolist()
    [2, 0, 4, 6]
    """
    rng = np.random.default_rng([seed, 13])
    found, first = [], 0
    for budget in budgets:
        last = max(first, budget // context)
        found.append(rng.permutation(np.arange(first, last)))
        first = last
    starts: NDArray[np.int64] = np.concatenate(found).astype(np.int64) * context
    return starts


def climb(
    course: Course, ladder: Ladder, *, save: Callable[[Ladder], None] | None = None
) -> Iterator[LadderPoint]:
    """Train on from where the ladder is; give all its scored models, those passed before too.

    Args:
        course: What it is climbed on.
        ladder: Where it begins; changed in place.
        save: Called after every step and every scored model.
    """
    note = save or _nothing
    for place, budget in enumerate(course.budgets):
        if place == len(ladder.scored):
            with transformer.one_thread():
                branch = decayed(course, ladder, budget, note)
                ladder.scored.append(transformer.score(branch, course.evaluation))
            ladder.losses.append(np.array(branch.losses))
            ladder.branch = None
            note(ladder)
        yield LadderPoint(
            n_tokens=budget, n_params=ladder.trunk.n_params, document_bits=ladder.scored[place]
        )


def _nothing(_: Ladder) -> None:
    return None


def decayed(
    course: Course, ladder: Ladder, budget: int, note: Callable[[Ladder], None] = _nothing
) -> Model:
    """The model at a budget, its rate fallen to zero; the ladder's trunk goes as far as it must.

    Args:
        course: What it is climbed on.
        ladder: Where it begins; changed in place.
        budget: One of the course's.
        note: Called after every step.
    """
    steps, constant = branch_steps(ladder.trunk.settings, budget)
    while ladder.branch is None and ladder.trunk.step < constant:
        _step(course, ladder.trunk, 1.0)
        note(ladder)
    if ladder.branch is None:
        ladder.branch = transformer.copy(ladder.trunk)
    while ladder.branch.step < steps:
        _step(course, ladder.branch, (steps - ladder.branch.step) / (steps - constant))
        note(ladder)
    return ladder.branch


def branch_steps(settings: GptSettings, budget: int) -> tuple[int, int]:
    """Steps to a budget, and how many of them the trunk takes before its branch decays.

    >>> from curate.proxies.gpt import GptSettings
    >>> branch_steps(GptSettings(width=8, context=10, batch_sequences=1), 400)
    (40, 30)
    """
    steps = budget // settings.step_tokens
    return steps, steps - max(1, round(steps * settings.decay_fraction))


def _step(course: Course, model: Model, share: float) -> None:
    windows = model.settings.batch_sequences
    first = model.step * windows
    transformer.train_step(
        model, course.tokens, course.starts[first : first + windows], share=share
    )


def saver(path: Path, digest: str, *, seconds: float) -> Callable[[Ladder], None]:
    """A function that writes a ladder to `path`: at most once in `seconds`, and at its end.

    When it writes has no influence on what is trained.
    """
    last, scored = time.monotonic(), 0

    def save(ladder: Ladder) -> None:
        nonlocal last, scored
        fresh = len(ladder.scored) > scored
        if fresh or time.monotonic() - last >= seconds:
            write_bytes_atomically(_packed(ladder, digest), path)
            last, scored = time.monotonic(), len(ladder.scored)

    return save


def restore(ladder: Ladder, path: Path, digest: str) -> bool:
    """Bring a fresh ladder to where the checkpoint at `path` left it; whether there is one.

    One with another digest is of other tokens, settings or torch, and is not read.
    """
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["digest"]) != digest:
            return False
        _fill(ladder.trunk, stored, "trunk")
        if "branch.step" in stored:
            ladder.branch = transformer.copy(ladder.trunk)
            _fill(ladder.branch, stored, "branch")
        count = int(stored["count"])
        ladder.scored = [stored[f"scored.{i}"] for i in range(count)]
        ladder.losses = [stored[f"losses.{i}"] for i in range(count)]
    return True


def _packed(ladder: Ladder, digest: str) -> bytes:
    arrays: dict[str, Any] = {"digest": np.array(digest), "count": np.array(len(ladder.scored))}
    models = {"trunk": ladder.trunk} | ({"branch": ladder.branch} if ladder.branch else {})
    for name, model in models.items():
        arrays |= {
            f"{name}.flat": model.flat.numpy(),
            f"{name}.first": model.first,
            f"{name}.second": model.second,
            f"{name}.step": np.array(model.step),
            f"{name}.losses": np.array(model.losses),
        }
    for i, (bits, losses) in enumerate(zip(ladder.scored, ladder.losses, strict=True)):
        arrays |= {f"scored.{i}": bits, f"losses.{i}": losses}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _fill(model: Model, stored: Any, name: str) -> None:  # noqa: ANN401 - numpy's archive
    model.flat.numpy()[:] = stored[f"{name}.flat"]
    model.first[:], model.second[:] = stored[f"{name}.first"], stored[f"{name}.second"]
    model.step = int(stored[f"{name}.step"])
    model.losses = stored[f"{name}.losses"].tolist()
