"""The plan: which arms meet, on which budgets; settled before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.experiment.config import LIGHT
from curate.experiment.contrasts import Contrast
from curate.experiment.power import OTHER_SPREAD, SPREADS, Design, power, smallest_detectable

CORES = 2
POOL_PASSES = 4
TUNING_FACTORS = (0.5, 1.0, 2.0)  # of a size's stated rate
TUNING_TOKENS = 5_000  # of each evaluation set, scored in trials
LARGEST_PROMISE = 10.0  # a multiplier that is seen only beyond it is no promise
# What is worked off first. Other sizes are parts too; each has as many draws as there was time for.
HEAD, OTHERS = "headline and calibrator", "other arms"
FIRST_KINDS = ("headline", "calibrator")

OTHER_TESTS = "other comparisons"

__all__ = [
    "HEAD",
    "OTHERS",
    "OTHER_TESTS",
    "Contrast",
    "FamilyPlan",
    "Plan",
    "corrected_for",
    "held",
    "measured",
    "unheld",
]


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
        precisions: By size, what an earlier run of this plan took; empty = as `precision` says.
        only_first: Whether the minutes are too few for more than the headline and the calibrator.
        draws: Of the parts of which fewer than `replicates` are made, see `Plan.part`.
    """

    sizes: tuple[str, ...]
    replicates: int
    budgets: tuple[int, ...]
    ladders: Mapping[str, Mapping[str, tuple[int, ...]]]
    seconds: float
    evaluation_limit: int | None = None
    tuning_seconds: float = 0.0
    precision: str = "float32"
    only_first: bool = False
    draws: Mapping[str, int] = field(default_factory=dict)
    precisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def pool_tokens(self) -> int:
        """Raw tokens of a fixed pool, of which the top budget makes several passes; 0 = none."""
        again = any(arm.endswith("_pool") for arms in self.ladders.values() for arm in arms)
        return self.budgets[-1] // POOL_PASSES if again else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sizes": list(self.sizes),
            "replicates": self.replicates,
            "budgets": list(self.budgets),
            "planned_core_seconds": round(self.seconds, 1),
            "tuning_core_seconds": round(self.tuning_seconds, 1),
            "evaluation_tokens_of_each_set": self.evaluation_limit,
            "only_headline_and_calibrator": self.only_first,
            "pool_tokens_read_again": self.pool_tokens,
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
        return max((family.pool_tokens for family in self.families.values()), default=0)

    def budgets_of(self, contrast: Contrast, family: str) -> tuple[int, ...]:
        """Budgets that the pool of this contrast can hold."""
        return held(contrast, self.families[family].budgets)

    def part(self, family: str, size: str, arm: str) -> str:
        """What an arm belongs to: what time is for first, the rest of the first size, or a size."""
        if size != self.families[family].sizes[0]:
            return size
        first = {a for c in self.contrasts if c.kind in FIRST_KINDS for a in (c.arm_a, c.arm_b)}
        return HEAD if arm in first else OTHERS

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
            # Mappings are written with sorted keys; the first family carries the headline.
            "families_in_order": list(self.families),
        }

    def _power(self, family: str) -> dict[str, Any]:
        """What the headline and any other comparison can see, said beforehand."""
        others = corrected_for(self.contrasts, family, primary=next(iter(self.families)))
        tests = {"headline": 1} | ({OTHER_TESTS: others} if others else {})
        spread = SPREADS.get(family, OTHER_SPREAD)
        found: dict[str, Any] = {"assumed_spread_of_ln_m": spread, "wanted": self.detect}
        for name, count in tests.items():
            draws = self.families[family].replicates
            design = Design(draws=draws, spread=spread, level=0.05 / count)
            seen = smallest_detectable(design)
            found[name] = {
                "comparisons": count,
                "level": design.level,
                "power_at_wanted": round(power(self.detect, design), 3),
                "seen_with_80_percent_power": round(seen, 3) if seen < LARGEST_PROMISE else None,
            }
        return found


def held(contrast: Contrast, budgets: Sequence[int]) -> tuple[int, ...]:
    """The budgets that the pool of a contrast can hold.

    >>> from curate.experiment.config import MeasureConfig
    >>> from curate.experiment.contrasts import find_contrasts
    >>> from curate.experiment.example import example_inputs
    >>> found = find_contrasts(example_inputs(), MeasureConfig(arms=()), 0.6)
    >>> held(found[0], [1_000, 10**9])
    (1000,)
    """
    return tuple(b for b in budgets if b <= contrast.largest_budget)


def corrected_for(contrasts: Sequence[Contrast], family: str, *, primary: str) -> int:
    """Number of comparisons that a family's secondary ones are corrected for, 0 if it has none.

    Holm's procedure is over those of the primary family, whose levels all others take, and begins
    with an error rate of 5 % over their number. A primary family without any corrects nothing.

    >>> from curate.experiment.config import MeasureConfig
    >>> from curate.experiment.contrasts import find_contrasts
    >>> from curate.experiment.example import example_inputs
    >>> config = MeasureConfig(arms=("fixed_pool",), families=("kneser_ney", "gpt"))
    >>> found = find_contrasts(example_inputs(), config, 0.6)
    >>> [corrected_for(found, name, primary="kneser_ney") for name in ("kneser_ney", "gpt")]
    [0, 1]
    """
    counts = {
        name: sum(c.kind == "secondary" and measured(c, name, primary=True) for c in contrasts)
        for name in (primary, family)
    }
    return counts[family] and (counts[primary] or counts[family])


def measured(contrast: Contrast, family: str, *, primary: bool) -> bool:
    """Whether a family measures a contrast at a size.

    >>> from curate.experiment.config import MeasureConfig
    >>> from curate.experiment.contrasts import find_contrasts
    >>> from curate.experiment.example import example_inputs
    >>> found = find_contrasts(example_inputs(), MeasureConfig(arms=("null",)), 0.6)
    >>> [measured(found[1], "kneser_ney", primary=primary) for primary in (True, False)]
    [True, False]
    """
    if contrast.repeats:
        return primary and family not in LIGHT
    if family not in LIGHT and contrast.kind not in FIRST_KINDS:
        return False
    return primary or contrast.everywhere


def unheld(contrasts: Sequence[Contrast], families: Mapping[str, FamilyPlan]) -> list[str]:
    """Comparisons that are wanted and whose arms have too little text for any planned budget.

    >>> from curate.experiment.config import MeasureConfig
    >>> from curate.experiment.contrasts import find_contrasts
    >>> from curate.experiment.example import example_inputs
    >>> found = find_contrasts(example_inputs(), MeasureConfig(arms=("null",)), 0.6)
    >>> plan = FamilyPlan(sizes=(), replicates=3, budgets=(5_000,), ladders={}, seconds=1.0)
    >>> unheld(found, {"kneser_ney": plan})
    ['null_a → null_b']
    """
    names = []
    for contrast in contrasts:
        able = [f for name, f in families.items() if measured(contrast, name, primary=True)]
        spoken = contrast.kind != "coalition" and not contrast.repeats
        if able and spoken and not any(held(contrast, f.budgets) for f in able):
            names.append(contrast.name)
    return names
