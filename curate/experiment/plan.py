"""The plan: which arms meet, on which budgets; settled before anything is trained.

Budgets come from the sizes of the pool and from stated speeds, never from a clock: the same
inputs, config and seed give the same plan on every machine. What a family costs does not depend
on whether another one is installed, so neither do its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import ConfigError
from curate.experiment.config import MeasureConfig
from curate.experiment.contrasts import Contrast, find_contrasts, tokens_of
from curate.experiment.inputs import MeasureInputs
from curate.experiment.power import (
    OTHER_SPREAD,
    SPREADS,
    Design,
    draws_needed,
    power,
    smallest_detectable,
)
from curate.proxies import FAMILIES

# Tokens a second of one core: trained, scored. Below what a free machine does, so plans hold.
SPEEDS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("kneser_ney", "order2"): (1.2e7, 8e6),
    ("kneser_ney", "order3"): (6e6, 6e6),
    ("kneser_ney", "order5"): (1.8e6, 3e6),
    ("gpt", "width32"): (5.5e4, 1.6e5),
    ("gpt", "width64"): (2.8e4, 9e4),
}
OTHER_SPEED = (1e4, 3e4)
LIGHT = ("kneser_ney",)  # families that can afford every contrast and every replicate
HEAVY_REPLICATES = 5  # of three the gate's 90 % interval is 1.8 times as wide
HEAVY_DOUBLINGS = 2
HEAVY_TOP = 100_000  # tokens of the smaller arm, where the minutes allow
HEAVY_LEAST = 40_000  # below it a transformer has too few steps to be limited by data
SHRUNK = 0.7  # budgets shrink this far before a size is given up
HEAVY_EVALUATION = 10_000  # tokens of each evaluation set: scoring is dear
# A's ladder beyond D / (1 − r), at most: tokens are dear too, but one reading in a hundred lies
# beyond 1.5 by noise alone, and one of 32 is enough to silence a cell (docs/decisions/0024).
HEAVY_REACH = 2.25
TUNING_FACTORS = (0.5, 1.0, 2.0)  # of a size's stated rate
TUNING_TOKENS = 5_000  # of each evaluation set, scored in trials
DECAYED = 0.25  # of each rung is trained twice: once in the trunk, once in its branch
CORES = 2
USED = 0.85  # of the minutes; the rest is for encoding and interpolation
DOUBLINGS = 4
STEP = 1.5  # between rungs beyond the last budget
POOL_PASSES = 4
SMALLEST = 64  # tokens; below this no plan is worth making

__all__ = ["Contrast", "FamilyPlan", "Plan", "make_plan", "measured"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyPlan:
    """What one family trains.

    Attributes:
        sizes: Primary size first.
        budgets: B's budgets.
        ladders: By size and arm, its rungs.
        replicates: Paired draws of every arm.
        seconds: Planned, of all cores together.
        evaluation_limit: Tokens scored of each evaluation set; `None` = all of them.
        tuning_seconds: Of them, for choosing rates on draws of their own; 0 = nothing is chosen.
        precision: As the config asks, "auto" included; of transformers only.
    """

    sizes: tuple[str, ...]
    replicates: int
    budgets: tuple[int, ...]
    ladders: Mapping[str, Mapping[str, tuple[int, ...]]]
    seconds: float
    evaluation_limit: int | None = None
    tuning_seconds: float = 0.0
    precision: str = "float32"

    @property
    def pool_tokens(self) -> int:
        """Raw tokens of a fixed pool, of which the top budget makes several passes."""
        return self.budgets[-1] // POOL_PASSES

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sizes": list(self.sizes),
            "replicates": self.replicates,
            "budgets": list(self.budgets),
            "planned_core_seconds": round(self.seconds, 1),
            "tuning_core_seconds": round(self.tuning_seconds, 1),
            "evaluation_tokens_of_each_set": self.evaluation_limit,
            "ladders": {
                size: {arm: list(rungs) for arm, rungs in arms.items()}
                for size, arms in self.ladders.items()
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The whole experiment, before it starts.

    Attributes:
        seed: Of the draws.
        share: Tokens of curated over tokens of raw.
        contrasts: Headline first.
        families: By name.
        evaluation_tokens: Scored at every rung.
        left_out: Families that the config names and this run does without: why.
        detect: Multiplier that the config wants to see.
    """

    seed: int
    share: float
    contrasts: tuple[Contrast, ...]
    families: Mapping[str, FamilyPlan]
    evaluation_tokens: int
    left_out: Mapping[str, str]
    detect: float

    @property
    def pool_tokens(self) -> int:
        """Raw tokens of the fixed pool, 0 where none is read."""
        if not any(c.repeats for c in self.contrasts):
            return 0
        return max(f.pool_tokens for f in self.families.values())

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
            "left_out": [f"left out: {name} {why}" for name, why in self.left_out.items()],
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
            "power": {name: self._power(name) for name in self.families},
            "families": {name: family.to_dict() for name, family in self.families.items()},
        }

    def _power(self, family: str) -> dict[str, Any]:
        """What the headline and the strictest secondary contrast can see, said beforehand."""
        secondary = [c for c in self.contrasts if c.kind == "secondary"]
        tests = {"headline": 1, "strictest secondary contrast": max(1, len(secondary))}
        spread = SPREADS.get(family, OTHER_SPREAD)
        found: dict[str, Any] = {"assumed_spread_of_ln_m": spread, "wanted": self.detect}
        for name, count in tests.items():
            draws = self.families[family].replicates
            design = Design(draws=draws, spread=spread, level=0.05 / count)
            seen = smallest_detectable(design)
            found[name] = {
                "level": design.level,
                "power_at_wanted": round(power(self.detect, design), 3),
                "seen_with_80_percent_power": round(seen, 3) if seen < 1e3 else None,
            }
        return found


def make_plan(inputs: MeasureInputs, config: MeasureConfig, *, seed: int) -> Plan:
    """Plan arms and budgets from the pool's sizes and the minutes.

    A family that is not installed, or that the minutes are too few for, is left out.

    Raises:
        ConfigError: The headline names arms that are not measured, no family is left, or the
            pool is too small.

    >>> from curate.experiment.example import example_inputs
    >>> plan = make_plan(example_inputs(), MeasureConfig(sizes=("order2",)), seed=1)
    >>> plan.contrasts[0].name, len(plan.families["kneser_ney"].budgets)
    ('raw → curated', 4)
    """
    share = tokens_of(inputs, "curated") / max(1, tokens_of(inputs, "raw"))
    draft = Plan(
        seed=seed,
        share=share,
        contrasts=find_contrasts(inputs, config, share),
        families={},
        evaluation_tokens=_scored(inputs, None),
        left_out={},
        detect=config.detect,
    )
    families: dict[str, FamilyPlan] = {}
    left_out: dict[str, str] = {}
    for name in config.families:
        planned = _family_plan(draft, config, name, inputs)
        if isinstance(planned, str):
            left_out[name] = planned
        else:
            families[name] = planned
    if not families:
        raise ConfigError("; ".join(f"proxy family {n!r} {why}" for n, why in left_out.items()))
    return replace(draft, families=families, left_out=left_out)


def _scored(inputs: MeasureInputs, limit: int | None) -> int:
    """Tokens that are scored at every rung."""
    sets = [*inputs.evaluation.values(), *inputs.held_out.values()]
    return sum(int(each.encoded.offsets[each.first(limit)]) for each in sets)


def _held(contrast: Contrast, budgets: Sequence[int]) -> tuple[int, ...]:
    return tuple(b for b in budgets if b <= contrast.largest_budget)


def measured(contrast: Contrast, family: str, *, primary: bool) -> bool:
    """Whether a family measures a contrast at a size.

    >>> from curate.experiment.example import example_inputs
    >>> found = find_contrasts(example_inputs(), MeasureConfig(arms=("null",)), 0.6)
    >>> [measured(found[1], "kneser_ney", primary=primary) for primary in (True, False)]
    [True, False]
    """
    if contrast.repeats:
        return primary and family not in LIGHT
    if family not in LIGHT and contrast.kind not in ("headline", "calibrator"):
        return False
    return primary or contrast.everywhere


def _family_plan(
    draft: Plan, config: MeasureConfig, family: str, inputs: MeasureInputs
) -> FamilyPlan | str:
    """The plan of a family, or why it is left out."""
    limit = min(c.largest_budget for c in draft.contrasts if c.kind in ("headline", "calibrator"))
    if limit < SMALLEST:
        raise ConfigError(
            f"the smaller arm of {draft.contrasts[0].name} can be given {int(limit)} tokens; "
            f"at least {SMALLEST} are needed to measure anything"
        )
    if not FAMILIES[family].available():
        return "needs torch" if family == "gpt" else "is not installed"
    if family not in LIGHT:
        draft = replace(draft, evaluation_tokens=_scored(inputs, HEAVY_EVALUATION))
    if config.budgets is None:
        return _within_minutes(draft, config, family, limit)
    budgets = tuple(b for b in config.budgets if b <= limit)
    if not budgets:
        raise ConfigError(
            f"measure.budgets {list(config.budgets)}: the pool allows at most {int(limit)} tokens"
        )
    return _attempt(draft, config, family, budgets, config.sizes_of(family))


def _within_minutes(
    draft: Plan, config: MeasureConfig, family: str, limit: float
) -> FamilyPlan | str:
    """The largest budgets that the family's share of the minutes pays for."""
    seconds = config.minutes * 60 * CORES * USED / len(config.families)
    light = family in LIGHT
    least, doublings = (
        (8 * SMALLEST, DOUBLINGS) if light else (min(HEAVY_LEAST, limit), HEAVY_DOUBLINGS)
    )
    top = limit if light else min(limit, HEAVY_TOP)
    sizes = config.sizes_of(family)
    while True:
        plan = _attempt(draft, config, family, _budgets(top, doublings), sizes)
        # One size whose gate can open is worth more than two that cannot.
        floor = least if len(sizes) == 1 or light else max(least, SHRUNK * top)
        while plan.seconds > seconds and plan.budgets[-1] * 0.9 >= floor:
            smaller = _budgets(plan.budgets[-1] * 0.9, doublings)
            plan = _attempt(draft, config, family, smaller, sizes)
        if plan.seconds <= seconds or light:
            return plan
        if len(sizes) == 1:
            minutes = plan.seconds * len(config.families) / (60 * CORES * USED)
            return f"needs minutes = {minutes:.2g} or more"
        sizes = sizes[:-1]


def _budgets(top: float, doublings: int = DOUBLINGS) -> tuple[int, ...]:
    """Doublings up to `top`, in thousands where there is room for them.

    >>> _budgets(850_000), _budgets(999)
    ((106000, 212000, 424000, 848000), (124, 248, 496, 992))
    """
    smallest = int(top) // 2 ** (doublings - 1)
    if smallest >= 10_000:
        smallest = smallest // 1000 * 1000
    return tuple(smallest * 2**k for k in range(doublings))


def _attempt(
    draft: Plan,
    config: MeasureConfig,
    family: str,
    budgets: tuple[int, ...],
    sizes: tuple[str, ...],
) -> FamilyPlan:
    light = family in LIGHT
    ladders = {size: _ladders(draft, family, budgets, primary=size == sizes[0]) for size in sizes}
    replicates = _replicates(draft, config, family)
    seconds = sum(
        _seconds(family, size, rungs, draft.evaluation_tokens)
        for size, arms in ladders.items()
        for rungs in arms.values()
    )
    tunes = not light and any(c.kind == "calibrator" for c in draft.contrasts)
    tuning = sum(_tuning_seconds(family, size, budgets, draft) for size in sizes) if tunes else 0.0
    return FamilyPlan(
        sizes=sizes,
        replicates=replicates,
        budgets=budgets,
        ladders=ladders,
        seconds=seconds * replicates + tuning,
        evaluation_limit=None if light else HEAVY_EVALUATION,
        tuning_seconds=tuning,
        precision=config.precision,
    )


def _seconds(family: str, size: str, rungs: Sequence[int], scored: int) -> float:
    """Of one ladder; every rung of a transformer's is its last quarter once more."""
    train, score = SPEEDS.get((family, size), OTHER_SPEED)
    read = rungs[-1] if family in LIGHT else rungs[-1] + DECAYED * sum(rungs[:-1])
    return read / train + len(rungs) * scored / score


def _tuning_seconds(family: str, size: str, budgets: Sequence[int], draft: Plan) -> float:
    """Clean and diluted ladders at every rate tried, and four single budgets at the end."""
    scored = draft.evaluation_tokens * TUNING_TOKENS // HEAVY_EVALUATION
    clean = _seconds(family, size, budgets, scored)
    diluted = _seconds(family, size, [2 * n for n in budgets], scored)
    checks = 4 * _seconds(family, size, budgets[-1:], scored)
    return len(TUNING_FACTORS) * (clean + diluted) + checks


def _replicates(draft: Plan, config: MeasureConfig, family: str) -> int:
    """As many as are asked for, or as the wanted multiplier needs at the strictest level."""
    wanted = config.replicates
    if wanted is None:
        tests = max(1, sum(c.kind == "secondary" for c in draft.contrasts))
        spread = SPREADS.get(family, OTHER_SPREAD)
        wanted = draws_needed(draft.detect, spread=spread, level=0.05 / tests)
    return wanted if family in LIGHT else min(wanted, HEAVY_REPLICATES)


def _ladders(
    draft: Plan, family: str, budgets: Sequence[int], *, primary: bool
) -> dict[str, tuple[int, ...]]:
    rungs: dict[str, set[int]] = {}
    for contrast in draft.contrasts:
        own = _held(contrast, budgets)
        if own and measured(contrast, family, primary=primary):
            rungs.setdefault(contrast.arm_b, set()).update(own)
            rungs.setdefault(contrast.arm_a, set()).update(_curve_rungs(contrast, own, family))
    lowest = 0 if family in LIGHT else budgets[0] // 2  # a short ladder's first rungs are unused
    return {arm: tuple(sorted(r for r in found if r >= lowest)) for arm, found in rungs.items()}


def _curve_rungs(contrast: Contrast, budgets: Sequence[int], family: str) -> list[int]:
    """A's rungs: below B's first budget, at D, at D / (1 − r), and as far as it must reach."""
    grown = 1 / (1 - contrast.removed)
    reach = contrast.reach if family in LIGHT else min(contrast.reach, HEAVY_REACH)
    rungs = [budgets[0] // 4, budgets[0] // 2, *budgets]
    if grown > 1.04:  # closer than this to the rung at D, another one adds nothing
        rungs += [round(b * grown) for b in budgets]
    factor = STEP
    while factor < reach / 1.2:
        rungs.append(round(factor * grown * budgets[-1]))
        factor *= STEP
    return [*rungs, int(reach * budgets[-1] * grown)]
