"""Which arms meet: every contrast of an experiment, with the tokens that its two sides have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curate.errors import ConfigError, check_name
from curate.experiment.coalitions import COALITION
from curate.experiment.config import ARROW, MeasureConfig
from curate.experiment.inputs import ONLY, WITHOUT, MeasureInputs
from curate.experiment.order import held_tokens

REACH = 1.5  # A's ladder goes on this far beyond D / (1 − r)
# Noise that hurts costs more than its share, and a calibrator that measures 2.5 in one draw is no
# reason to measure nothing; further still, budgets shrink.
NOISY_REACH = 2.25
NULL_REACH = 3.0  # two disjoint draws differ far more than two paired ones
HALF = 0.5  # the calibrator's share of filler
DRIFT = 0.02  # of the mixture-held arm's tokens may stand in the wrong source
PASSES = 8  # over a fixed pool, at most
CUTS = ("cut_lines", "cut_paragraphs", "cut_passages")
COPIES = ("duplicate", *CUTS)  # how the names of steps begin that take repeats out
WHOLE = 0.99  # filters keep whole documents, and may end a little early

__all__ = ["Contrast", "find_contrasts", "text_of", "tokens_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Two arms that are compared.

    Attributes:
        arm_a: Whose curve is read (the larger one).
        arm_b: Whose losses are looked up on it.
        kind: "headline", "secondary", "control", "calibrator", or "coalition": measured for the
            values of steps alone, with no verdict of its own.
        removed: Share r of A's tokens that B lacks.
        everywhere: Measured at all sizes, or only at the primary one.
        available: Tokens of A and of B in the pool.
        noisy_reach: `measure.reach`, for arms whose noise may hurt.
    """

    arm_a: str
    arm_b: str
    kind: str
    removed: float
    everywhere: bool
    available: tuple[float, float]
    noisy_reach: float = NOISY_REACH

    @property
    def name(self) -> str:
        """As in tables: "raw → curated"."""
        return f"{self.arm_a}{ARROW}{self.arm_b}"

    @property
    def largest_budget(self) -> float:
        """B's largest budget at which A's ladder still reaches as far as it must."""
        a, b = self.available
        return min(b, a * (1 - self.removed) / self.reach)

    @property
    def reach(self) -> float:
        """How far A's ladder goes on beyond D / (1 − r)."""
        if self.arm_a == "null_a":
            return NULL_REACH
        known = self.kind == "control" and self.arm_a != "degraded"
        noisy = self.arm_a in ("raw", "degraded", "calibrator_diluted") and not known
        return self.noisy_reach if noisy else REACH

    @property
    def repeats(self) -> bool:
        """Whether the arms go over their text again: no n-gram model can judge that."""
        return self.arm_a.endswith("_pool")

    @property
    def about_copies(self) -> bool:
        """Whether the arms differ in copies: by a step alone or left out, or planted."""
        return any(step.startswith(COPIES) for step in self._steps)

    @property
    def cuts(self) -> bool:
        """Whether these copies are passages, which are not counted."""
        return any(step in CUTS for step in self._steps)

    @property
    def _steps(self) -> list[str]:
        return [arm.removeprefix(WITHOUT).removeprefix(ONLY) for arm in (self.arm_a, self.arm_b)]

    @property
    def shares_order(self) -> bool:
        """Whether B is A's sequence with documents left out."""
        return not (self.repeats or self.arm_a == "null_a" or self.arm_b == "curated_mixture")


def tokens_of(inputs: MeasureInputs, arm: str, *, also: str | None = None) -> int:
    """Tokens of an arm; with `also`, only of the documents that this mask keeps too.

    >>> from curate.experiment.example import example_inputs
    >>> inputs = example_inputs()
    >>> tokens_of(inputs, "curated") < tokens_of(inputs, "raw")
    True
    """
    text = inputs.texts[arm if arm in inputs.texts else text_of(arm)]
    mask = inputs.native if arm == "raw" else inputs.masks[arm]
    if also is not None:
        mask = mask & inputs.masks[also]
    return int(text.lengths[mask].sum())


def text_of(arm: str) -> str:
    """The text version of an arm that brings none of its own.

    >>> text_of("without_mask_pii"), text_of("oracle")
    ('curated', 'raw')
    """
    edited = ("curated", "calibrator", "degraded", "duplicated", WITHOUT)
    return "curated" if arm.startswith(edited) else "raw"


def find_contrasts(
    inputs: MeasureInputs, config: MeasureConfig, share: float
) -> tuple[Contrast, ...]:
    """All contrasts of the wanted arm groups, the headline first.

    Args:
        inputs: Masks and texts.
        config: Arm groups, headline.
        share: Tokens that curation keeps.

    Raises:
        ConfigError: The curated arm is empty, or the headline names arms that are not measured.

    >>> from curate.experiment.example import example_inputs
    >>> config = MeasureConfig(arms=("random", "calibrator"))
    >>> [c.name for c in find_contrasts(example_inputs(), config, 0.6)]
    ['raw → curated', 'raw → random', 'calibrator_diluted → calibrator_clean']
    """
    if tokens_of(inputs, "curated") == 0:
        raise ConfigError("the curated arm has no tokens; nothing can be measured")
    found = [
        replace(contrast, noisy_reach=config.reach)
        for contrast in (*_of_curation(inputs, config), *_of_controls(inputs, config, share))
    ]
    names = [c.name for c in found]
    check_name("contrast measure.headline", config.headline, names)
    first = replace(found[names.index(config.headline)], kind="headline", everywhere=True)
    return (first, *(c for c in found if c.name != config.headline))


def _of_curation(inputs: MeasureInputs, config: MeasureConfig) -> Iterator[Contrast]:
    raw, curated = tokens_of(inputs, "raw"), tokens_of(inputs, "curated")
    yield _contrast(("raw", "curated"), (raw, curated), everywhere=True)
    if "oracle" in config.arms and "oracle" in inputs.masks:
        oracle, both = tokens_of(inputs, "oracle"), tokens_of(inputs, "curated", also="oracle")
        yield _contrast(("raw", "oracle"), (raw, oracle))
        yield _contrast(("oracle", "curated_oracle"), (oracle, both), everywhere=True)
    yield from _of_steps(inputs, config, raw)
    if "mixture" in config.arms and inputs.sources is not None:
        mixed = _contrast(("raw", "curated_mixture"), (raw, curated * WHOLE))
        yield replace(mixed, available=(raw, _tokens_in_mixture(inputs)))
    if config.reads_again:
        yield _contrast(("raw_pool", "curated_pool"), (PASSES * raw, PASSES * curated))


def _tokens_in_mixture(inputs: MeasureInputs) -> float:
    """Curated tokens that have raw's shares of the sources; then the first ones have ended."""
    assert inputs.sources is not None
    # From 0 on: -1 says that no source is known, which is one, too.
    sources = inputs.sources + 1
    arms = (("raw", inputs.native), ("curated", inputs.masks["curated"]))
    raw, kept = (
        np.bincount(sources, weights=np.where(mask, inputs.texts[name].lengths, 0))
        for name, mask in arms
    )
    return WHOLE * held_tokens(kept.astype(np.float64), raw / max(raw.sum(), 1), off=DRIFT)


def _of_steps(inputs: MeasureInputs, config: MeasureConfig, raw: int) -> Iterator[Contrast]:
    if "leave_one_out" in config.arms:
        for arm in _named(inputs, WITHOUT):
            common = tokens_of(inputs, "curated", also=arm)
            yield _contrast((arm, "curated"), (tokens_of(inputs, arm), common))
    if "only_one" in config.arms:
        for arm in _named(inputs, ONLY):
            yield _contrast(("raw", arm), (raw, tokens_of(inputs, arm)))
    for arm in _named(inputs, COALITION):
        yield _contrast(("raw", arm), (raw, tokens_of(inputs, arm)), kind="coalition")


def _of_controls(inputs: MeasureInputs, config: MeasureConfig, share: float) -> Iterator[Contrast]:
    raw, curated = tokens_of(inputs, "raw"), tokens_of(inputs, "curated")
    for arm in ("degraded", "duplicated"):
        if arm in config.arms and arm in inputs.masks:
            yield _contrast((arm, "curated"), (tokens_of(inputs, arm), curated), kind="control")
    if "inverse_quality" in config.arms and "inverse_quality" in inputs.masks:
        worst = tokens_of(inputs, "inverse_quality")
        yield _contrast(("raw", "inverse_quality"), (raw, worst), kind="control")
    kept = min(share, 1.0) * raw * WHOLE
    if "random" in config.arms:
        # It removes what curation removes: the two share their rungs on raw.
        random = _contrast(("raw", "random"), (raw, kept), kind="control")
        yield replace(random, removed=max(0.0, 1 - share))
    if "null" in config.arms:
        half = min(kept, 0.5 * raw * WHOLE)
        yield _contrast(("null_a", "null_b"), (half, half), kind="control")
    if "calibrator" in config.arms:
        pair = ("calibrator_diluted", "calibrator_clean")
        yield _contrast(pair, (curated / HALF, curated), kind="calibrator", everywhere=True)


def _named(inputs: MeasureInputs, prefix: str) -> Sequence[str]:
    return [name for name in inputs.masks if name.startswith(prefix)]


def _contrast(
    arms: tuple[str, str],
    available: tuple[float, float],
    *,
    kind: str = "secondary",
    everywhere: bool = False,
) -> Contrast:
    # The null pair is disjoint: neither side lacks what the other has.
    removed = 0.0 if arms[0] == "null_a" else max(0.0, 1 - available[1] / max(available[0], 1))
    return Contrast(
        arm_a=arms[0],
        arm_b=arms[1],
        kind=kind,
        removed=removed,
        everywhere=everywhere,
        available=available,
    )
