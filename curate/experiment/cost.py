"""What ladders cost: tokens that are scored, and seconds of one core at stated speeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curate.experiment.config import LIGHT
from curate.experiment.inputs import MeasureInputs

# Tokens a second of one core: trained, scored. Below what a free machine does, so plans hold.
SPEEDS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("kneser_ney", "order2"): (1.2e7, 8e6),
    ("kneser_ney", "order3"): (6e6, 6e6),
    ("kneser_ney", "order5"): (1.8e6, 3e6),
    ("gpt", "width32"): (5.5e4, 1.6e5),
    ("gpt", "width64"): (2.8e4, 9e4),
}
OTHER_SPEED = (1e4, 3e4)
DECAYED = 0.25  # of each rung is trained twice: once in the trunk, once in its branch

__all__ = ["scored_tokens", "stated_seconds"]


def scored_tokens(inputs: MeasureInputs, limit: int | None) -> int:
    """Tokens that are scored at every rung; `limit` = at most so many of each set.

    >>> from curate.experiment.example import example_inputs
    >>> scored_tokens(example_inputs(), 500) < scored_tokens(example_inputs(), None)
    True
    """
    sets = [*inputs.evaluation.values(), *inputs.held_out.values()]
    return sum(int(each.encoded.offsets[each.first(limit)]) for each in sets)


def stated_seconds(family: str, size: str, rungs: Sequence[int], scored: int) -> float:
    """What one ladder takes on one core at stated speed, scoring so many tokens at each rung.

    Every rung of a transformer's is its last quarter once more.

    >>> stated_seconds("kneser_ney", "order3", [100_000, 600_000], 30_000)
    0.11
    """
    train, score = SPEEDS.get((family, size), OTHER_SPEED)
    read = rungs[-1] if family in LIGHT else rungs[-1] + DECAYED * sum(rungs[:-1])
    return read / train + len(rungs) * scored / score
