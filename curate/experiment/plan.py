"""The plan: which arms meet, on which budgets; settled before anything is trained.

Budgets come from the sizes of the pool and from stated speeds, never from a clock: the same
inputs, config and seed give the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.errors import ConfigError, unknown_name
from curate.experiment.config import ARROW, MeasureConfig
from curate.experiment.inputs import WITHOUT, MeasureInputs

# Tokens a second of one core: trained, scored. Below what a free machine does, so plans hold.
SPEEDS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("kneser_ney", "order2"): (1.2e7, 8e6),
    ("kneser_ney", "order3"): (6e6, 6e6),
    ("kneser_ney", "order5"): (1.8e6, 3e6),
    ("gpt", "width32"): (3e4, 3e5),
    ("gpt", "width64"): (1.5e4, 1.5e5),
}
OTHER_SPEED = (1e4, 1e5)
LIGHT = ("kneser_ney",)  # families that can afford every contrast and every replicate
HEAVY_REPLICATES = 3
CORES = 2
USED = 0.85  # of the minutes; the rest is for encoding and interpolation
DOUBLINGS = 4
REACH = 1.5  # A's ladder goes on this far beyond D / (1 − r)
NULL_REACH = 3.0  # two disjoint draws differ far more than two paired ones
SMALLEST = 64  # tokens; below this no plan is worth making
HALF = 0.5  # the calibrator's share of filler

__all__ = ["Contrast", "FamilyPlan", "Plan", "make_plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Two arms that are compared.

    Attributes:
        arm_a: Whose curve is read (the larger one).
        arm_b: Whose losses are looked up on it.
        kind: "headline", "secondary", "control" or "calibrator".
        removed: Share r of A's tokens that B lacks.
        everywhere: Measured at all sizes, or only at the primary one.
        available: Tokens of A and of B in the pool.
    """

    arm_a: str
    arm_b: str
    kind: str
    removed: float
    everywhere: bool
    available: tuple[float, float]

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
        return NULL_REACH if self.arm_a == "null_a" else REACH


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyPlan:
    """What one family trains.

    Attributes:
        sizes: Primary size first.
        budgets: B's budgets.
        ladders: By size and arm, its rungs.
        replicates: Paired draws of every arm.
        seconds: Planned, of all cores together.
    """

    sizes: tuple[str, ...]
    replicates: int
    budgets: tuple[int, ...]
    ladders: Mapping[str, Mapping[str, tuple[int, ...]]]
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The whole experiment, before it starts.

    Attributes:
        seed: Of the draws.
        share: Tokens of curated over tokens of raw.
        contrasts: Headline first.
        families: By name.
        evaluation_tokens: Scored at every rung.
    """

    seed: int
    share: float
    contrasts: tuple[Contrast, ...]
    families: Mapping[str, FamilyPlan]
    evaluation_tokens: int

    def budgets_of(self, contrast: Contrast, family: str) -> tuple[int, ...]:
        """Budgets that the pool of this contrast can hold."""
        return _held(contrast, self.families[family].budgets)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `plan.json`."""
        return {
            "seed": self.seed,
            "curated_share_of_tokens": self.share,
            "evaluation_tokens": self.evaluation_tokens,
            "cores_assumed": CORES,
            "contrasts": [
                {
                    "contrast": c.name,
                    "kind": c.kind,
                    "removed_share": c.removed,
                    "tokens_a": int(c.available[0]),
                    "tokens_b": int(c.available[1]),
                }
                for c in self.contrasts
            ],
            "families": {
                name: {
                    "sizes": list(family.sizes),
                    "replicates": family.replicates,
                    "budgets": list(family.budgets),
                    "planned_core_seconds": round(family.seconds, 1),
                    "ladders": {
                        size: {arm: list(rungs) for arm, rungs in arms.items()}
                        for size, arms in family.ladders.items()
                    },
                }
                for name, family in self.families.items()
            },
        }


def make_plan(inputs: MeasureInputs, config: MeasureConfig, *, seed: int) -> Plan:
    """Plan arms and budgets from the pool's sizes and the minutes.

    Raises:
        ConfigError: The headline names arms that are not measured, or the pool is too small.

    >>> from curate.experiment.example import example_inputs
    >>> plan = make_plan(example_inputs(), MeasureConfig(sizes=("order2",)), seed=1)
    >>> plan.contrasts[0].name, len(plan.families["kneser_ney"].budgets)
    ('raw → curated', 4)
    """
    share = _tokens(inputs, "curated") / max(1, inputs.texts["raw"].flat.size)
    contrasts = _contrasts(inputs, config, share)
    scored = sum(each.encoded.flat.size for each in inputs.evaluation.values())
    draft = Plan(
        seed=seed,
        share=share,
        contrasts=contrasts,
        families={},
        evaluation_tokens=scored,
    )
    seconds = config.minutes * 60 * CORES * USED / len(config.families)
    families = {name: _family_plan(draft, config, name, seconds) for name in config.families}
    return Plan(
        seed=seed,
        share=share,
        contrasts=contrasts,
        families=families,
        evaluation_tokens=scored,
    )


def _tokens(inputs: MeasureInputs, arm: str, *, also: str | None = None) -> int:
    """Tokens of an arm; with `also`, only of the documents that this mask keeps too."""
    text = inputs.texts[arm if arm in inputs.texts else text_of(arm)]
    mask = np.ones(len(inputs.ids), np.bool_) if arm == "raw" else inputs.masks[arm].copy()
    if also is not None:
        mask &= inputs.masks[also]
    return int(text.lengths[mask].sum())


def text_of(arm: str) -> str:
    """The text version of an arm that brings none of its own.

    >>> text_of("without_mask_pii"), text_of("oracle")
    ('curated', 'raw')
    """
    return "curated" if arm.startswith(("curated", "calibrator", WITHOUT)) else "raw"


def _contrasts(inputs: MeasureInputs, config: MeasureConfig, share: float) -> tuple[Contrast, ...]:
    raw, curated = inputs.texts["raw"].flat.size, _tokens(inputs, "curated")
    if curated == 0:
        raise ConfigError("the curated arm has no tokens; nothing can be measured")
    found = [_contrast(("raw", "curated"), "secondary", (raw, curated), everywhere=True)]
    if "oracle" in config.arms and "oracle" in inputs.masks:
        oracle = _tokens(inputs, "oracle")
        both = int(
            inputs.texts["curated"].lengths[inputs.masks["oracle"] & inputs.masks["curated"]].sum()
        )
        found.append(_contrast(("raw", "oracle"), "secondary", (raw, oracle), everywhere=False))
        found.append(
            _contrast(("oracle", "curated_oracle"), "secondary", (oracle, both), everywhere=True)
        )
    if "leave_one_out" in config.arms:
        for arm in (name for name in inputs.masks if name.startswith(WITHOUT)):
            common = int(
                inputs.texts["curated"].lengths[inputs.masks[arm] & inputs.masks["curated"]].sum()
            )
            sizes = (_tokens(inputs, arm), common)
            found.append(_contrast((arm, "curated"), "secondary", sizes, everywhere=False))
    kept = min(share, 1.0) * raw * 0.99  # whole documents: a filter may end a little early
    if "random" in config.arms:
        found.append(_random_contrast(raw, kept, share))
    if "null" in config.arms:
        half = min(kept, 0.5 * raw * 0.99)
        found.append(_contrast(("null_a", "null_b"), "control", (half, half), everywhere=False))
    if "calibrator" in config.arms:
        pair = ("calibrator_diluted", "calibrator_clean")
        found.append(_contrast(pair, "calibrator", (curated / HALF, curated), everywhere=True))
    return _with_headline(found, config.headline)


def _random_contrast(raw: int, kept: float, share: float) -> Contrast:
    """Random filtering removes what curation removes: the two share their rungs on raw."""
    return Contrast(
        arm_a="raw",
        arm_b="random",
        kind="control",
        removed=max(0.0, 1 - share),
        everywhere=False,
        available=(raw, kept),
    )


def _contrast(
    arms: tuple[str, str], kind: str, available: tuple[float, float], *, everywhere: bool
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


def _with_headline(found: Sequence[Contrast], headline: str) -> tuple[Contrast, ...]:
    names = [c.name for c in found]
    if headline not in names:
        raise ConfigError(unknown_name("contrast measure.headline", headline, names))
    chosen = found[names.index(headline)]
    first = Contrast(
        arm_a=chosen.arm_a,
        arm_b=chosen.arm_b,
        kind="headline",
        removed=chosen.removed,
        everywhere=True,
        available=chosen.available,
    )
    return (first, *(c for c in found if c.name != headline))


def _held(contrast: Contrast, budgets: Sequence[int]) -> tuple[int, ...]:
    return tuple(b for b in budgets if b <= contrast.largest_budget)


def measured(contrast: Contrast, family: str, *, primary: bool) -> bool:
    """Whether a family measures a contrast at a size.

    >>> null = _contrast(("null_a", "null_b"), "control", (9, 9), everywhere=False)
    >>> measured(null, "kneser_ney", primary=True), measured(null, "kneser_ney", primary=False)
    (True, False)
    """
    if family not in LIGHT and contrast.kind not in ("headline", "calibrator"):
        return False
    return primary or contrast.everywhere


def _family_plan(draft: Plan, config: MeasureConfig, family: str, seconds: float) -> FamilyPlan:
    limit = min(c.largest_budget for c in draft.contrasts if c.kind in ("headline", "calibrator"))
    if limit < SMALLEST:
        raise ConfigError(
            f"the smaller arm of {draft.contrasts[0].name} can be given {int(limit)} tokens; "
            f"at least {SMALLEST} are needed to measure anything"
        )
    if config.budgets is None:
        plan = _attempt(draft, config, family, _budgets(limit))
        while plan.seconds > seconds and plan.budgets[-1] > 8 * SMALLEST:
            plan = _attempt(draft, config, family, _budgets(plan.budgets[-1] * 0.9))
        return plan
    budgets = tuple(b for b in config.budgets if b <= limit)
    if not budgets:
        raise ConfigError(
            f"measure.budgets {list(config.budgets)}: the pool allows at most {int(limit)} tokens"
        )
    return _attempt(draft, config, family, budgets)


def _budgets(top: float) -> tuple[int, ...]:
    """Doublings up to `top`, in thousands where there is room for them.

    >>> _budgets(850_000), _budgets(999)
    ((106000, 212000, 424000, 848000), (124, 248, 496, 992))
    """
    smallest = int(top) // 2 ** (DOUBLINGS - 1)
    if smallest >= 10_000:
        smallest = smallest // 1000 * 1000
    return tuple(smallest * 2**k for k in range(DOUBLINGS))


def _attempt(
    draft: Plan, config: MeasureConfig, family: str, budgets: tuple[int, ...]
) -> FamilyPlan:
    sizes = config.sizes_of(family)
    ladders = {size: _ladders(draft, family, budgets, primary=size == sizes[0]) for size in sizes}
    replicates = config.replicates
    if family not in LIGHT:
        replicates = min(replicates, HEAVY_REPLICATES)
    seconds = 0.0
    for size, arms in ladders.items():
        train, score = SPEEDS.get((family, size), OTHER_SPEED)
        for rungs in arms.values():
            seconds += rungs[-1] / train + len(rungs) * draft.evaluation_tokens / score
    return FamilyPlan(
        sizes=sizes,
        replicates=replicates,
        budgets=budgets,
        ladders=ladders,
        seconds=seconds * replicates,
    )


def _ladders(
    draft: Plan, family: str, budgets: Sequence[int], *, primary: bool
) -> dict[str, tuple[int, ...]]:
    rungs: dict[str, set[int]] = {}
    for contrast in draft.contrasts:
        own = _held(contrast, budgets)
        if own and measured(contrast, family, primary=primary):
            rungs.setdefault(contrast.arm_b, set()).update(own)
            rungs.setdefault(contrast.arm_a, set()).update(_curve_rungs(contrast, own))
    return {arm: tuple(sorted(found)) for arm, found in rungs.items()}


def _curve_rungs(contrast: Contrast, budgets: Sequence[int]) -> list[int]:
    """A's rungs: below B's first budget, at D, at D / (1 − r), and as far as it must reach."""
    grown = 1 / (1 - contrast.removed)
    rungs = [budgets[0] // 4, budgets[0] // 2, *budgets]
    if grown > 1.04:  # closer than this to the rung at D, another one adds nothing
        rungs += [round(b * grown) for b in budgets]
    if contrast.reach > 2:
        rungs.append(2 * budgets[-1])
    return [*rungs, int(contrast.reach * budgets[-1] * grown)]
