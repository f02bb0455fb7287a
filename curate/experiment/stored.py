"""A plan that was carried out before, to be carried out again: the same tables, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.errors import ConfigError
from curate.experiment.config import MeasureConfig
from curate.experiment.inputs import MeasureInputs
from curate.experiment.plan import FamilyPlan, Plan
from curate.experiment.planner import Means, make_plan
from curate.proxies import FAMILIES

__all__ = ["check_plan", "read_plan", "settled_plan"]

SAME = ("seed", "curated_share_of_tokens", "evaluation_tokens", "contrasts")


def settled_plan(
    inputs: MeasureInputs, config: MeasureConfig, *, seed: int, means: Means | None = None
) -> Plan:
    """The plan of `measure.plan`, with the draws that were finished then; else a new one.

    Raises:
        ConfigError: The file is no plan, or one for another corpus, config or seed.

    >>> from curate.experiment.example import example_inputs
    >>> config = MeasureConfig(sizes=("order2",), arms=("calibrator",))
    >>> settled_plan(example_inputs(), config, seed=1).families["kneser_ney"].replicates
    8
    """
    if config.plan is None:
        return make_plan(inputs, config, seed=seed, means=means)
    stored = read_plan(Path(config.plan))
    fresh = make_plan(inputs, config, seed=seed)
    now = json.loads(json.dumps(fresh.to_dict()))
    for key in SAME:
        if stored[key] != now[key]:
            raise ConfigError(
                f"measure.plan {config.plan!r} was made for another experiment: its {key} is not "
                "that of this run"
            )
    done = stored.get("done", {})
    parts = stored.get("done_by_part", {})
    order = stored.get("families_in_order", config.families)
    names = sorted(stored["families"], key=lambda n: [*order, n].index(n))
    wanted = [name for name in names if done.get(name, 1) > 0]
    missing = [n for n in wanted if not FAMILIES[n].available()]
    if missing:
        raise ConfigError(f"measure.plan {config.plan!r} needs {', '.join(missing)}: not available")
    families = {
        name: _family(stored["families"][name], done.get(name), parts.get(name, {}), config)
        for name in wanted
    }
    for name, tuned in stored.get("tuning", {}).items():
        if name in families:
            families[name] = replace(families[name], precisions=tuned.get("precision", {}))
    return replace(fresh, families=families, left_out={})


def check_plan(config: MeasureConfig, *, seed: int) -> None:
    """Refuse a stored plan that cannot be of this experiment, before anything is read.

    Raises:
        ConfigError: The file is no plan, or one of another seed or of other budgets.

    >>> check_plan(MeasureConfig(), seed=1)
    """
    if config.plan is None:
        return
    stored = read_plan(Path(config.plan))
    if stored["seed"] != seed:
        raise ConfigError(
            f"measure.plan {config.plan!r} was made for another experiment: its seed is "
            f"{stored['seed']}, that of this run {seed}"
        )
    for name, family in stored["families"].items():
        other = [] if config.budgets is None else sorted({*family["budgets"]} - {*config.budgets})
        if other:
            raise ConfigError(
                f"measure.plan {config.plan!r} was made for other budgets: {name} has {other}, "
                f"measure.budgets are {list(config.budgets or ())}"
            )


def read_plan(path: Path) -> dict[str, Any]:
    """A `plan.json` as it was written.

    Raises:
        ConfigError: The file cannot be read or is no plan.

    >>> read_plan(Path("nowhere.json"))
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: measure.plan 'nowhere.json' cannot be read: ...
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"measure.plan {str(path)!r} cannot be read: {error}") from None
    lacks = [key for key in (*SAME, "families") if key not in found]
    if lacks:
        raise ConfigError(f"measure.plan {str(path)!r} is no plan: it lacks {', '.join(lacks)}")
    return dict(found)


def _family(
    stored: Mapping[str, Any], done: int | None, parts: Mapping[str, int], config: MeasureConfig
) -> FamilyPlan:
    """What was planned then, as far as it was done."""
    planned = stored["replicates"]
    most = max(parts.values(), default=planned if done is None else done)
    tuning = stored["tuning_core_seconds"]
    seconds = (stored["planned_core_seconds"] - tuning) * most / max(planned, 1) + tuning
    return FamilyPlan(
        sizes=tuple(stored["sizes"]),
        budgets=tuple(stored["budgets"]),
        replicates=most,
        draws={part: n for part, n in parts.items() if n < most},
        only_first=stored.get("only_headline_and_calibrator", False),
        precision=config.precision,
        ladders={
            size: {arm: tuple(rungs) for arm, rungs in arms.items()}
            for size, arms in stored["ladders"].items()
        },
        seconds=seconds,
        tuning_seconds=tuning,
        evaluation_limit=stored["evaluation_tokens_of_each_set"],
    )
