"""How a plan is made: budgets, sizes and draws that fit into the minutes.

Budgets come from the sizes of the pool and from stated speeds, never from a clock: the same
inputs, config and seed give the same plan on every machine. What a family costs does not depend
on whether another one is installed, so neither do its tables.

Only where a run must end on time (`Means`) do the minutes count by the speed that this machine has
now, and what one family leaves goes to the next. Then the plan is what such a run must tell:
carried out again, it gives the same tables. Where time is short, first the top budget shrinks,
then draws are fewer (never below 5), then other sizes go, then evaluation text beyond 15,000 tokens
a set, then all arms but the headline's and the calibrator's. Transformers give up the pool that is
read again and again, and other sizes, before their budgets fall below seven tenths of the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from curate.errors import ConfigError
from curate.experiment.config import LIGHT, MeasureConfig
from curate.experiment.contrasts import Contrast, find_contrasts, tokens_of
from curate.experiment.cost import scored_tokens, stated_seconds
from curate.experiment.inputs import MeasureInputs
from curate.experiment.pace import Pace
from curate.experiment.plan import (
    CORES,
    FIRST_KINDS,
    TUNING_FACTORS,
    TUNING_TOKENS,
    FamilyPlan,
    Plan,
    corrected_for,
    held,
    measured,
    unheld,
)
from curate.experiment.power import OTHER_SPREAD, SPREADS, draws_needed
from curate.experiment.repeats import FEW_MINUTES, REPEATED, holds_text, unread
from curate.proxies import FAMILIES
from curate.scaling.crossed import MIN_REPLICATES

HEAVY_REPLICATES = 5  # of three the gate's 90 % interval is 1.8 times as wide
HEAVY_DOUBLINGS = 2
HEAVY_TOP = 100_000  # tokens of the smaller arm, where the minutes allow
HEAVY_LEAST = 40_000  # below it a transformer has too few steps to be limited by data
SHRUNK = 0.7  # budgets shrink this far before a size is given up
HEAVY_EVALUATION = 10_000  # tokens of each evaluation set: scoring is dear
# A's ladder beyond D / (1 − r), at most: tokens are dear too, but one reading in 192 lay
# beyond 1.5 by noise alone, and one of 32 is enough to silence a cell (docs/decisions/0024).
HEAVY_REACH = 2.25
USED = 0.85  # of the minutes; the rest is for encoding and interpolation
DOUBLINGS = 4
STEP = 1.5  # between rungs beyond the last budget
SMALLEST = 64  # tokens; below this no plan is worth making
# Tokens; draws, other sizes and arms go before budgets fall below it or a quarter of the most.
LIGHT_TOP = 100_000
LIGHT_EVALUATION = 15_000  # tokens of each set: at small budgets scoring is most of the work

__all__ = ["HEAVY_EVALUATION", "Means", "make_plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What there is for an experiment that must end on time.

    Attributes:
        seconds: By the wall, until training must be over; asked again where something was tried.
        pace: What this machine does for a family now; tried when it is asked for.
    """

    seconds: Callable[[], float]
    pace: Callable[[str], Pace]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """How much is given up for larger budgets."""

    sizes: tuple[str, ...]
    draws: int
    least: float  # the top budget may shrink this far
    only_first: bool = False
    evaluation: int | None = None  # tokens of each evaluation set; `None` = all
    again: bool = True  # one pool is read again and again, too


@dataclass(slots=True)
class _Purse:
    """Seconds of one core at stated speed that the next family may spend."""

    config: MeasureConfig
    inputs: MeasureInputs
    means: Means | None
    spent: float = 0.0  # seconds by the wall, promised to the families before
    capacity: float = 0.0  # of the family that was planned before

    def share(self, families: int) -> float:
        """An equal share of what is left, for one of so many families."""
        if self.means is None:
            return self.config.minutes * 60 * CORES * USED / len(self.config.families)
        left = self.means.seconds() - self.spent
        return max(left, 0.0) * self.capacity * USED / families

    def minutes_for(self, seconds: float, families: int) -> float:
        """Minutes that would give so many seconds to each family."""
        capacity = CORES if self.means is None else self.capacity
        missing = seconds - self.share(families)
        return self.config.minutes + missing * families / (60 * capacity * USED)

    def spend(self, seconds: float) -> None:
        """Take what a family's plan costs."""
        if self.means is not None:
            self.spent += seconds / (self.capacity * USED)


def make_plan(
    inputs: MeasureInputs, config: MeasureConfig, *, seed: int, means: Means | None = None
) -> Plan:
    """Plan arms and budgets from the pool's sizes and the minutes.

    A family that is not installed, or that the minutes are too few for, is left out.

    Args:
        inputs: The pool and the evaluation sets.
        config: What is wanted.
        seed: Of the draws.
        means: Time and speed of a run that must end on time; `None` = the config's minutes at
            stated speeds.

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
        evaluation_tokens=scored_tokens(inputs, None),
        left_out={},
        detect=config.detect,
    )
    families, left_out = _family_plans(draft, _Purse(config, inputs, means))
    refused = {name: why for name, why in left_out.items() if name in config.families}
    if means is not None and families and refused:
        # The time of a family that it is too short for is the others'.
        fewer = replace(config, families=tuple(families))
        families, left_out = _family_plans(draft, _Purse(fewer, inputs, means))
        left_out |= refused
    if not families:
        raise ConfigError("; ".join(f"proxy family {n!r} {why}" for n, why in left_out.items()))
    planned = replace(draft, families=families, left_out=left_out)
    if "fixed_pool" in config.arms and (why := unread(config, planned, inputs)):
        left_out[REPEATED] = why
    left_out |= dict.fromkeys(unheld(draft.contrasts, families), "has too little text to measure")
    return replace(draft, families=families, left_out=left_out)


def _family_plans(draft: Plan, purse: _Purse) -> tuple[dict[str, FamilyPlan], dict[str, str]]:
    """Plans by family, and what is left out: why."""
    families: dict[str, FamilyPlan] = {}
    left_out: dict[str, str] = {}
    for name in purse.config.families:
        planned = _family_plan(draft, name, purse)
        if isinstance(planned, str):
            left_out[name] = planned
        else:
            families[name] = planned
            purse.spend(planned.seconds)
            left_out |= _given_up(draft, purse.config, name, planned)
    return families, left_out


def _given_up(
    draft: Plan, config: MeasureConfig, family: str, planned: FamilyPlan
) -> dict[str, str]:
    """What the config asks of a family and the minutes are too few for."""
    why, found = FEW_MINUTES, {}
    if sizes := config.sizes_of(family)[len(planned.sizes) :]:
        found[f"{family} {', '.join(sizes)}"] = why
    wanted = _draws(draft, config, family)
    if planned.replicates < wanted:
        found[f"{wanted - planned.replicates} of {wanted} draws of {family}"] = why
    if family in LIGHT and (limit := planned.evaluation_limit):
        found[f"evaluation text of {family} beyond {limit:,} tokens a set"] = why
    if planned.only_first and any(c.kind not in FIRST_KINDS for c in draft.contrasts):
        found[f"all of {family} but the headline and its calibrator"] = why
    return found


def _family_plan(draft: Plan, family: str, purse: _Purse) -> FamilyPlan | str:
    """The plan of a family, or why it is left out."""
    config = purse.config
    limit = min(c.largest_budget for c in draft.contrasts if c.kind in FIRST_KINDS)
    if limit < SMALLEST:
        raise ConfigError(
            f"the smaller arm of {draft.contrasts[0].name} can be given {int(limit)} tokens; "
            f"at least {SMALLEST} are needed to measure anything"
        )
    if not FAMILIES[family].available():
        return "needs torch" if family == "gpt" else "is not installed"
    if config.budgets is None:
        return _on_time(draft, family, limit, purse)
    budgets = tuple(b for b in config.budgets if b <= limit)
    if not budgets:
        raise ConfigError(
            f"measure.budgets {list(config.budgets)}: the pool allows at most {int(limit)} tokens"
        )
    if purse.means is not None:
        purse.capacity = purse.means.pace(family).capacity
    offer = _Offer(sizes=config.sizes_of(family), draws=_draws(draft, config, family), least=0)
    return _attempt(draft, purse, family, budgets, offer)


def _on_time(draft: Plan, family: str, limit: float, purse: _Purse) -> FamilyPlan | str:
    """The plan at the speed that the machine has now, where that counts."""
    config = purse.config
    names = list(config.families)
    following = len([n for n in names[names.index(family) :] if FAMILIES[n].available()])
    families = len(names) if purse.means is None else following

    def planned() -> FamilyPlan | str:
        seconds = purse.share(families)
        plan = _within(draft, purse, family, limit, seconds)
        if plan.seconds <= seconds or family in LIGHT:
            return plan
        return f"needs minutes = {purse.minutes_for(plan.seconds, families):.2g} or more"

    if purse.means is not None:
        # A trial of a slow family costs time: none is made where it could not be afforded anyway.
        if purse.capacity and isinstance(guess := planned(), str):
            return guess
        purse.capacity = purse.means.pace(family).capacity
    return planned()


def _within(draft: Plan, purse: _Purse, family: str, limit: float, seconds: float) -> FamilyPlan:
    """The largest budgets that so many seconds pay for, by the first offer that fits."""
    light = family in LIGHT
    doublings = DOUBLINGS if light else HEAVY_DOUBLINGS
    top = limit if light else min(limit, HEAVY_TOP)
    for offer in _offers(draft, purse.config, family, top):
        plan = _attempt(draft, purse, family, _budgets(top, doublings), offer)
        while plan.seconds > seconds and plan.budgets[-1] * 0.9 >= offer.least:
            smaller = _budgets(plan.budgets[-1] * 0.9, doublings)
            plan = _attempt(draft, purse, family, smaller, offer)
        if plan.seconds <= seconds:
            break
    return plan


def _offers(draft: Plan, config: MeasureConfig, family: str, top: float) -> list[_Offer]:
    """What is tried in turn, the best first."""
    sizes, draws = config.sizes_of(family), _draws(draft, config, family)
    if family not in LIGHT:
        least = min(HEAVY_LEAST, top)
        # One size whose gate can open is worth more than two that cannot.
        # A pool read again and again is worth as much: each goes before budgets fall much.
        high = max(least, SHRUNK * top)
        return [
            _Offer(
                sizes=sizes[:n],
                draws=draws,
                least=least if n == 1 and not again else high,
                again=again,
            )
            for n in range(len(sizes), 0, -1)
            for again in ((True, False) if config.reads_again else (False,))
        ]
    few, floor, last = min(draws, MIN_REPLICATES), min(LIGHT_TOP, top / 4), 8 * SMALLEST
    return [
        _Offer(sizes=sizes, draws=draws, least=floor),
        _Offer(sizes=sizes, draws=few, least=floor),
        _Offer(sizes=sizes[:1], draws=few, least=floor),
        _Offer(sizes=sizes[:1], draws=few, least=floor, evaluation=LIGHT_EVALUATION),
        _Offer(
            sizes=sizes[:1], draws=few, least=last, only_first=True, evaluation=LIGHT_EVALUATION
        ),
    ]


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
    purse: _Purse,
    family: str,
    budgets: tuple[int, ...],
    offer: _Offer,
) -> FamilyPlan:
    light, sizes = family in LIGHT, offer.sizes
    limit = offer.evaluation if light else HEAVY_EVALUATION
    draft = replace(draft, evaluation_tokens=scored_tokens(purse.inputs, limit))
    if offer.only_first:
        first = tuple(c for c in draft.contrasts if c.kind in FIRST_KINDS)
        draft = replace(draft, contrasts=first)
    if not (offer.again and holds_text(purse.inputs, budgets, draft.share)):
        once = tuple(c for c in draft.contrasts if not c.repeats)
        draft = replace(draft, contrasts=once)
    ladders = {size: _ladders(draft, family, budgets, primary=size == sizes[0]) for size in sizes}
    seconds = sum(
        stated_seconds(family, size, rungs, draft.evaluation_tokens)
        for size, arms in ladders.items()
        for rungs in arms.values()
    )
    tunes = not light and any(c.kind == "calibrator" for c in draft.contrasts)
    tuning = sum(_tuning_seconds(family, size, budgets, draft) for size in sizes) if tunes else 0.0
    return FamilyPlan(
        sizes=sizes,
        replicates=offer.draws,
        budgets=budgets,
        ladders=ladders,
        seconds=seconds * offer.draws + tuning,
        evaluation_limit=limit,
        tuning_seconds=tuning,
        precision=purse.config.precision,
        only_first=offer.only_first,
    )


def _tuning_seconds(family: str, size: str, budgets: Sequence[int], draft: Plan) -> float:
    """Clean and diluted ladders at every rate tried, and four single budgets at the end."""
    scored = draft.evaluation_tokens * TUNING_TOKENS // HEAVY_EVALUATION
    clean = stated_seconds(family, size, budgets, scored)
    diluted = stated_seconds(family, size, [2 * n for n in budgets], scored)
    checks = 4 * stated_seconds(family, size, budgets[-1:], scored)
    return len(TUNING_FACTORS) * (clean + diluted) + checks


def _draws(draft: Plan, config: MeasureConfig, family: str) -> int:
    """As many as are asked for, or as the wanted multiplier needs in any comparison.

    A transformer's are few where minutes choose its budgets: a second size is worth more.
    """
    wanted = config.replicates
    if wanted is None:
        tests = corrected_for(draft.contrasts, family, primary=config.families[0])
        spread = SPREADS.get(family, OTHER_SPREAD)
        wanted = draws_needed(draft.detect, spread=spread, level=0.05 / max(1, tests))
    plenty = family in LIGHT or config.budgets is not None
    return wanted if plenty else min(wanted, HEAVY_REPLICATES)


def _ladders(
    draft: Plan, family: str, budgets: Sequence[int], *, primary: bool
) -> dict[str, tuple[int, ...]]:
    rungs: dict[str, set[int]] = {}
    for contrast in draft.contrasts:
        own = held(contrast, budgets)
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
