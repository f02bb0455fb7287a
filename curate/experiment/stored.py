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
from curate.experiment.plan import FamilyPlan, Plan, make_plan

__all__ = ["settled_plan"]

SAME = ("seed", "curated_share_of_tokens", "evaluation_tokens", "contrasts")


def settled_plan(inputs: MeasureInputs, config: MeasureConfig, *, seed: int) -> Plan:
    """The plan of `measure.plan`, with the draws that were finished then; else a new one.

    Raises:
        ConfigError: The file is no plan, or one for another corpus, config or seed.

    >>> from curate.experiment.example import example_inputs
    >>> config = MeasureConfig(sizes=("order2",), arms=("calibrator",))
    >>> settled_plan(example_inputs(), config, seed=1).families["kneser_ney"].replicates
    8
    """
    if config.plan is None:
        return make_plan(inputs, config, seed=seed)
    stored = _read(Path(config.plan))
    fresh = make_plan(inputs, config, seed=seed)
    now = json.loads(json.dumps(fresh.to_dict()))
    for key in SAME:
        if stored[key] != now[key]:
            raise ConfigError(
                f"measure.plan {config.plan!r} was made for another experiment: its {key} is not "
                "that of this run"
            )
    done = stored.get("done", {})
    missing = [n for n in stored["families"] if n not in fresh.families and done.get(n) != 0]
    if missing:
        raise ConfigError(f"measure.plan {config.plan!r} needs {', '.join(missing)}: not available")
    families = {
        name: _family(each, fresh.families[name], done.get(name, each["replicates"]))
        for name, each in stored["families"].items()
        if name in fresh.families and done.get(name, 1) > 0
    }
    return replace(fresh, families=families)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"measure.plan {str(path)!r} cannot be read: {error}") from None
    lacks = [key for key in (*SAME, "families") if key not in found]
    if lacks:
        raise ConfigError(f"measure.plan {str(path)!r} is no plan: it lacks {', '.join(lacks)}")
    return dict(found)


def _family(stored: Mapping[str, Any], fresh: FamilyPlan, draws: int) -> FamilyPlan:
    """What was planned then, as far as it was done."""
    return replace(
        fresh,
        sizes=tuple(stored["sizes"]),
        budgets=tuple(stored["budgets"]),
        replicates=draws,
        ladders={
            size: {arm: tuple(rungs) for arm, rungs in arms.items()}
            for size, arms in stored["ladders"].items()
        },
        seconds=stored["planned_core_seconds"],
        tuning_seconds=stored["tuning_core_seconds"],
        evaluation_limit=stored["evaluation_tokens_of_each_set"],
    )
