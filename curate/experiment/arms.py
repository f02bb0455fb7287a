"""The arms of one replicate: which documents, in which order, as one sequence of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from curate.errors import ConfigError
from curate.experiment.contrasts import Contrast, text_of
from curate.experiment.inputs import MeasureInputs
from curate.experiment.order import even_order, find_levels
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
    source_held_order,
)

RECENT = 6  # orders that are kept: those of two replicates
# The null pair reads the two halves of an order of its own: each half has the corpus's shares.
SALTS = {"calibrator_clean": "calibrator", "null_a": "null", "null_b": "null"}
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
        pool: Raw tokens of the fixed pool, 0 = no arm reads one.
        levels: Groups that every prefix holds in their shares; see `find_levels`.
        recent: The last few orders, for arms of one replicate share theirs.
    """

    inputs: MeasureInputs
    hashes: Keys
    share: float
    seed: int
    pool: int = 0
    levels: tuple[Counts, ...] = ()
    recent: dict[tuple[int, str], Counts] = field(default_factory=dict)

    def order(self, replicate: int, *, salt: str = "order") -> Counts:
        """Draw order; the calibrator, random filters and the pooled sequence have own salts."""
        found = self.recent.get((replicate, salt))
        if found is not None:
            return found
        keys = draw_keys(self.hashes, seed=self.seed, replicate=replicate, salt=salt)
        found = even_order(keys, self.inputs.texts["raw"].lengths, self.levels)
        if len(self.recent) >= RECENT:
            self.recent.clear()
        self.recent[replicate, salt] = found
        return found

    def text(self, arm: str) -> Encoded:
        """The arm's version of every document."""
        return self.inputs.texts[arm if arm in self.inputs.texts else text_of(arm)]

    def mask(self, arm: str, replicate: int) -> Mask:
        """Documents of the arm; random filters are drawn anew for every replicate."""
        masks = self.inputs.masks
        if arm in ("random", "null_a", "null_b"):
            return self._random_mask(arm, replicate)
        if arm in ("raw", "raw_pool"):
            return self.inputs.native
        if arm == "curated_oracle":
            return masks["curated"] & masks["oracle"]
        return masks["curated" if arm.startswith(("calibrator", "curated_")) else arm]

    def same(self, arm: str, other: str) -> bool:
        """Whether two arms read the same text in the same order, in every replicate."""
        if _drawn_apart(arm) or _drawn_apart(other):
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
        native = self.inputs.native
        lengths = np.where(native, self.inputs.texts["raw"].lengths, 0)
        share = min(self.share, 1.0)
        if arm == "random":
            drawn = self.order(replicate, salt="random")
            return random_filter(drawn, lengths, share=share) & native
        pair = null_filters(self.order(replicate, salt="null"), lengths, share=share)
        return pair[arm == "null_b"] & native

    def tokens(self, arm: str, replicate: int, budget: int) -> Tokens:
        """The arm's sequence, up to `budget` tokens."""
        if arm == "calibrator_diluted":
            return self._diluted(replicate, budget).tokens
        if arm.endswith("_pool"):
            return self._passes(arm, replicate, budget)
        order = self.order(replicate, salt=SALTS.get(arm, "order"))
        if arm == "curated_mixture":
            order = self._mixed(order)
        return arm_tokens(order, self.mask(arm, replicate), self.text(arm), budget=budget)

    def _mixed(self, order: Counts) -> Counts:
        """Curated documents in raw's shares of the sources; those with nothing left are out."""
        sources = self.inputs.sources
        if sources is None:
            raise ConfigError("the mixture-held arm needs the documents' sources")
        sources = sources - min(int(sources.min(initial=0)), 0)  # -1, no source known, is one, too
        lengths = np.where(self.inputs.native, self.inputs.texts["raw"].lengths, 0)
        weights = np.bincount(sources, weights=lengths)
        kept = self.inputs.masks["curated"]
        drawn = order[kept[order]]
        shares, turn = weights / weights.sum(), int(self.hashes[drawn[0]])
        return source_held_order(drawn, self.text("curated"), sources, shares, turn=turn)

    def _passes(self, arm: str, replicate: int, budget: int) -> Tokens:
        """One pool again and again, each pass in an order of its own."""
        native, order = self.inputs.native, self.order(replicate)
        lengths = self.inputs.texts["raw"].lengths
        drawn = order[native[order]]
        inside = np.zeros(len(native), np.bool_)
        inside[drawn[np.cumsum(lengths[drawn]) <= self.pool]] = True
        mask = inside & self.mask(arm, replicate)
        once = int(self.text(arm).lengths[mask].sum())
        if once == 0:
            raise ConfigError(f"the fixed pool of {self.pool} tokens holds no text of {arm}")
        passes, left = [], budget
        while left > 0:
            passes.append(arm_tokens(order, mask, self.text(arm), budget=left))
            left -= once
            order = self.order(replicate, salt=f"pass {len(passes)}")
        return np.concatenate(passes)

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
        order = order[self.inputs.native[order]]
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
        if not contrast.shares_order:
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


def _drawn_apart(arm: str) -> bool:
    """Whether an arm has an order or documents of its own."""
    return arm.startswith(("random", "null_", "calibrator")) or arm.endswith(("_pool", "_mixture"))


def make_draws(inputs: MeasureInputs, *, share: float, seed: int, pool: int = 0) -> Draws:
    """Hash the ids once for all arms and replicates.

    >>> from curate.experiment.example import example_inputs
    >>> draws = make_draws(example_inputs(), share=0.5, seed=1)
    >>> raw, curated = (draws.tokens(arm, 0, 500) for arm in ("raw", "curated"))
    >>> len(raw), len(curated), bool((raw > 900).any()), bool((curated > 900).any())
    (500, 500, True, False)
    """
    return Draws(
        inputs=inputs,
        hashes=id_hashes(inputs.ids),
        share=share,
        seed=seed,
        pool=pool,
        levels=find_levels(inputs),
    )
