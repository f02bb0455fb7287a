"""A plan in words: what will be trained, what it can see, and afterwards what was done of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.experiment.plan import HEAD, OTHER_TESTS, OTHERS
from curate.progress import spelled

NAMES = {"kneser_ney": "Kneser–Ney", "gpt": "GPT"}

__all__ = ["done_sentences", "pace_sentence", "plan_sentences"]


def plan_sentences(plan: Mapping[str, Any]) -> list[str]:
    """What an experiment is about to do and what it will be able to see.

    Args:
        plan: As in `plan.json`.

    >>> test = {"level": 0.05, "power_at_wanted": 0.61, "seen_with_80_percent_power": 1.13}
    >>> family = {"sizes": ["order3"], "replicates": 8, "budgets": [100, 200],
    ...           "planned_core_seconds": 90.0, "ladders": {"order3": {"raw": [200]}}}
    >>> plan = {"contrasts": [{"contrast": "raw → curated"}], "left_out": [], "cores_assumed": 3,
    ...         "power": {"kneser_ney": {"wanted": 1.1, "headline": test,
    ...                                  "assumed_spread_of_ln_m": 0.1}},
    ...         "families": {"kneser_ney": family}}
    >>> for line in plan_sentences(plan): print(line)
    Plan: 1 comparison, the first is raw → curated
      Kneser–Ney order3: 8 paired draws, budgets of 100 to 200 tokens, about 30 s on 3 free cores
        headline: a multiplier of 1.13 is seen in 4 of 5 such experiments, 1.10 in 61 %, if draws
        differ by 10 % as on corpora that were tried
        designs: equal tokens; a fixed pool read once
    """
    contrasts = plan["contrasts"]
    count = _counted(len(contrasts), "comparison")
    lines = [f"Plan: {count}, the first is {contrasts[0]['contrast']}"]
    for name, family in plan["families"].items():
        took = _expected(plan, name)
        budgets = family["budgets"]
        lines.append(
            f"  {NAMES.get(name, name)} {', '.join(family['sizes'])}: "
            f"{_counted(family['replicates'], 'paired draw')}, {_budgets(budgets)}, about {took}"
        )
        lines += [f"    {line}" for line in [*_promises(plan["power"][name]), _designs(family)]]
    return lines + [f"  {line}" for line in plan["left_out"]]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _budgets(budgets: Sequence[int]) -> str:
    """The first and the last, or the only one.

    >>> _budgets([6_000]), _budgets([100, 200])
    ('a budget of 6,000 tokens', 'budgets of 100 to 200 tokens')
    """
    if budgets[0] == budgets[-1]:
        return f"a budget of {budgets[0]:,} tokens"
    return f"budgets of {budgets[0]:,} to {budgets[-1]:,} tokens"


def _designs(family: Mapping[str, Any]) -> str:
    """What the figures will speak of: text without end, one pool, one pool again and again."""
    said = "designs: equal tokens; a fixed pool read once"
    if pool := family.get("pool_tokens_read_again"):
        said += f"; a fixed pool of {pool:,} raw tokens read again and again"
    return said


def _expected(plan: Mapping[str, Any], name: str) -> str:
    """How long a family's part will take: on this machine where it was tried."""
    seconds, cores = plan["families"][name]["planned_core_seconds"], plan["cores_assumed"]
    tried = plan.get("machine", {}).get(name, {}).get("planned_core_seconds_per_second")
    if tried is None:
        return f"{spelled(seconds / cores)} on {cores} free cores"
    return f"{spelled(seconds / tried)} as busy as this machine is"


def _promises(power: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, test in power.items():
        if not isinstance(test, Mapping):
            continue
        seen = test["seen_with_80_percent_power"]
        sees = "no multiplier" if seen is None else f"a multiplier of {seen:.2f}"
        if seen is None and not test["power_at_wanted"]:
            lines.append(f"{_test(name, test)}: one draw shows no multiplier for sure")
            continue
        lines.append(
            f"{_test(name, test)}: {sees} is seen in 4 of 5 such experiments, "
            f"{power['wanted']:.2f} in {100 * test['power_at_wanted']:.0f} %"
        )
    spread = power.get("assumed_spread_of_ln_m")
    if lines and spread:  # small budgets and uneven corpora have more
        lines[0] += f", if draws differ by {100 * spread:.0f} % as on corpora that were tried"
    return lines


def _test(name: str, test: Mapping[str, Any]) -> str:
    """What is compared, in words; more comparisons make each of them stricter.

    >>> _test("other comparisons", {"comparisons": 7})
    'any other comparison, after correcting for 7 of them'
    """
    number = test.get("comparisons", 1)
    if name != OTHER_TESTS:
        return name
    corrected = f", after correcting for {number} of them" if number > 1 else ""
    return f"any other comparison{corrected}"


def done_sentences(plan: Mapping[str, Any], *, seconds: float | None = None) -> list[str]:
    """Planned against done.

    Args:
        plan: As in `plan.json` after the run.
        seconds: That the run took, by the wall; `None` = not known.

    >>> plan = {"families": {"gpt": {"replicates": 3, "budgets": [1000]}}, "done": {"gpt": 2}}
    >>> done_sentences(plan, seconds=71)
    ['Done: GPT 2 of 3 planned draws, in 1 min 11 s; the time was over']
    >>> plan["done_by_part"] = {"gpt": {"headline and calibrator": 2, "width64": 1}}
    >>> done_sentences(plan)[1:]
    ['  GPT width64: 1 of 3']
    """
    if not plan.get("families"):
        return []
    done = plan.get("done", {})
    parts, short = [], False
    for name, family in plan["families"].items():
        draws = done.get(name, family["replicates"])
        short = short or draws < family["replicates"]
        parts.append(f"{NAMES.get(name, name)} {draws} of {family['replicates']} planned draws")
    took = "" if seconds is None else f", in {spelled(seconds)}"
    fewer = _shortened(plan)
    over = "; the time was over" if short or fewer else ""
    return [f"Done: {', '.join(parts)}{took}{over}", *fewer]


def _shortened(plan: Mapping[str, Any]) -> list[str]:
    """Parts of a plan of which fewer draws were done than of the headline's arms."""
    lines, alone = [], len(plan["families"]) == 1
    for name, parts in plan.get("done_by_part", {}).items():
        family = plan["families"][name]
        for part, draws in parts.items():
            if part != HEAD and draws < family["replicates"]:
                own = "" if alone and part == OTHERS else f"{NAMES.get(name, name)} "
                lines.append(f"  {own}{part}: {draws} of {family['replicates']}")
    return lines


def pace_sentence(name: str, pace: Mapping[str, Any]) -> str:
    """What was tried on the machine for a family.

    >>> rates = {"1 job on 1 thread each": 60_000, "2 jobs on 1 thread each": 100_000}
    >>> pace_sentence("gpt", {"jobs_at_once": 2, "tokens_per_second": rates})
    'Machine: GPT reads 60,000 tokens a second (1 job on 1 thread each) or 100,000 (2 jobs on 1
      thread each); jobs at once: 2'
    """
    tried = [f"{n:,} ({layout})" for layout, n in pace["tokens_per_second"].items()]
    first, *others = tried
    said = " or ".join([first.replace(" (", " tokens a second (", 1), *others])
    return f"Machine: {NAMES.get(name, name)} reads {said}; jobs at once: {pace['jobs_at_once']}"
