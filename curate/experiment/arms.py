"""The arms of one replicate: which documents, in which order, as one sequence of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.experiment.inputs import MeasureInputs
from curate.experiment.plan import Contrast, text_of
from curate.subsets import (
    Counts,
    Diluted,
    Encoded,
    Keys,
    Mask,
    Tokens,
    arm_tokens,
    dilute,
    draw_keys,
    first_of_cluster,
    id_hashes,
    null_filters,
    prefix_tokens,
    random_filter,
    repeat_rate,
)

STRICT = 0.005  # of B's tokens may lie outside A where the two count as nested

__all__ = ["Draws", "make_draws"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """Everything that the arms of a run are drawn from.

    Attributes:
        inputs: Documents, masks, texts.
        hashes: Of the ids.
        share: Tokens that curation keeps: what random filters keep too.
        seed: Of the run.
    """

    inputs: MeasureInputs
    hashes: Keys
    share: float
    seed: int

    def order(self, replicate: int, *, salt: str = "order") -> Counts:
        """Draw order; the calibrator and the pooled sequence have their own salts."""
        keys = draw_keys(self.hashes, seed=self.seed, replicate=replicate, salt=salt)
        return np.argsort(keys, kind="stable")

    def text(self, arm: str) -> Encoded:
        """The arm's version of every document."""
        return self.inputs.texts[arm if arm in self.inputs.texts else text_of(arm)]

    def mask(self, arm: str, replicate: int) -> Mask:
        """Documents of the arm; random filters are drawn anew for every replicate."""
        masks = self.inputs.masks
        if arm in ("random", "null_a", "null_b"):
            return self._random_mask(arm, replicate)
        if arm == "raw":
            return np.ones(len(self.hashes), np.bool_)
        if arm == "curated_oracle":
            return masks["curated"] & masks["oracle"]
        return masks["curated" if arm.startswith("calibrator") else arm]

    def same(self, arm: str, other: str) -> bool:
        """Whether two arms read the same text in the same order, in every replicate."""
        drawn_apart = ("random", "null_", "calibrator")
        if arm.startswith(drawn_apart) or other.startswith(drawn_apart):
            return False
        mask = self.mask(arm, 0)
        if not np.array_equal(mask, self.mask(other, 0)):
            return False
        one, two = self.text(arm), self.text(other)
        if one is two:
            return True
        if not np.array_equal(one.lengths[mask], two.lengths[mask]):
            return False
        rows, everything = np.flatnonzero(mask), int(one.flat.size + two.flat.size)
        return np.array_equal(
            arm_tokens(rows, mask, one, budget=everything),
            arm_tokens(rows, mask, two, budget=everything),
        )

    def _random_mask(self, arm: str, replicate: int) -> Mask:
        lengths = self.inputs.texts["raw"].lengths
        share = min(self.share, 1.0)
        if arm == "random":
            return random_filter(
                self.hashes, lengths, share=share, seed=self.seed, replicate=replicate
            )
        pair = null_filters(self.hashes, lengths, share=share, seed=self.seed, replicate=replicate)
        return pair[arm == "null_b"]

    def tokens(self, arm: str, replicate: int, budget: int) -> Tokens:
        """The arm's sequence, up to `budget` tokens."""
        if arm == "calibrator_diluted":
            return self._diluted(replicate, budget).tokens
        salt = "calibrator" if arm == "calibrator_clean" else "order"
        order = self.order(replicate, salt=salt)
        return arm_tokens(order, self.mask(arm, replicate), self.text(arm), budget=budget)

    def _diluted(self, replicate: int, budget: int) -> Diluted:
        order = self.order(replicate, salt="calibrator")
        drawn = order[self.mask("calibrator_clean", replicate)[order]]
        filler = self.inputs.filler
        numbers = id_hashes(str(i) for i in range(len(filler.offsets) - 1))
        keys = draw_keys(numbers, seed=self.seed, replicate=replicate, salt="filler")
        return dilute(drawn, self.text("curated"), filler, keys=keys, budget=budget)

    def pooled(self, budget: int) -> Tokens:
        """Raw text without repeats, in an order of its own: what all arms share."""
        order = self.order(0, salt="pooled")
        fresh = first_of_cluster(order, self.inputs.clusters)
        return arm_tokens(order, fresh, self.inputs.texts["raw"], budget=budget)

    def prefixes(self, contrast: Contrast, replicate: int, budget: int) -> tuple[Counts, Counts]:
        """Tokens of A so far, and B's tokens of the same documents, document by document."""
        if contrast.kind == "calibrator":
            diluted = self._diluted(replicate, budget)
            return diluted.total, diluted.clean
        a = self.mask(contrast.arm_a, replicate), self.text(contrast.arm_a)
        b = self.mask(contrast.arm_b, replicate), self.text(contrast.arm_b)
        return prefix_tokens(self.order(replicate), a, b)

    def nested(self, contrast: Contrast) -> bool:
        """Whether A holds (all but .5 % of the tokens of) B's documents."""
        if contrast.arm_a == "null_a":
            return False
        b = self.mask(contrast.arm_b, 0)
        lengths = self.text(contrast.arm_b).lengths
        outside = lengths[b & ~self.mask(contrast.arm_a, 0)].sum()
        return bool(outside <= STRICT * lengths[b].sum())

    def repeats(self, arm: str, replicate: int, budget: int) -> float:
        """Share of the first `budget` tokens that repeat a document drawn before."""
        order, mask = self.order(replicate), self.mask(arm, replicate)
        fresh = first_of_cluster(order[mask[order]], self.inputs.clusters)
        return repeat_rate(order, mask, self.text(arm), fresh=fresh, budget=budget)


def make_draws(inputs: MeasureInputs, *, share: float, seed: int) -> Draws:
    """Hash the ids once for all arms and replicates.

    >>> from curate.experiment.example import example_inputs
    >>> draws = make_draws(example_inputs(), share=0.5, seed=1)
    >>> raw, curated = (draws.tokens(arm, 0, 500) for arm in ("raw", "curated"))
    >>> len(raw), len(curated), bool((raw > 900).any()), bool((curated > 900).any())
    (500, 500, True, False)
    """
    return Draws(inputs=inputs, hashes=id_hashes(inputs.ids), share=share, seed=seed)
