"""One verdict a document: every failed rule, and who stays of each duplicate cluster.

The same function decides for the run, for each arm of the experiment and for every what-if;
only the rules and the kinds of duplicate pairs differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from curate.duplicates import Compare, DuplicatesConfig, settle
from curate.errors import ConfigError
from curate.rules import Rule, judge, moved
from curate.sweeps import named_rule

Bounds = Mapping[str, Any]
"""What a what-if asks of one rule: `{"min": 30}`; `None` lifts a bound."""
Changes = Mapping[str, Bounds]
"""Rule name → bounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What decides about a document.

    Attributes:
        rules: Interval rules in order; the quality cut is one of them.
        duplicates: Survivor policy, and which kinds of pairs count.
        kinds: Kinds of duplicate pairs that remove a document: `exact`, `near`, and `index` for
            those with documents of earlier batches, which always stay.
    """

    rules: tuple[Rule, ...]
    duplicates: DuplicatesConfig
    kinds: tuple[str, ...] = ("exact", "near")

    def without(self, step: str) -> Decision:
        """The same decision with one step left out: a rule set, or `duplicates.<kind>`."""
        return Decision(
            rules=tuple(r for r in self.rules if step_of(r.name) != step),
            duplicates=self.duplicates,
            kinds=tuple(k for k in self.kinds if f"duplicates.{k}" != step),
        )

    def steps(self) -> dict[str, list[str]]:
        """Step → names of its rules, in the order in which they are applied."""
        steps: dict[str, list[str]] = {}
        for rule in self.rules:
            steps.setdefault(step_of(rule.name), []).append(rule.name)
        return steps | {f"duplicates.{kind}": [f"duplicates.{kind}"] for kind in self.kinds}


def step_of(rule_name: str) -> str:
    """The step that a rule belongs to: its set, or the kind of duplicates.

    >>> step_of("gopher_quality.word_count"), step_of("duplicates.near")
    ('gopher_quality', 'duplicates.near')
    """
    return rule_name if rule_name.startswith("duplicates.") else rule_name.split(".")[0]


def decide(
    columns: pl.DataFrame,
    pairs: pl.DataFrame,
    decision: Decision,
    *,
    compare: Compare | None = None,
) -> pl.DataFrame:
    """Judge every document by every rule, then resolve the duplicate clusters.

    Survivors are chosen among the documents that fail no other rule; each document removed as a
    duplicate has a verified pair with the one that stays.

    Args:
        columns: `id`, `control`, the columns that the rules read, in document order.
        pairs: Verified pairs: `id_a`, `id_b`, `kind`, `jaccard`; of kind `index` at most one for
            each `id_b`.
        decision: Rules, survivor policy, kinds of pairs.
        compare: Verifies pairs of large clusters that were not stored; see
            `curate.duplicates.settle`.

    Returns:
        `columns` plus `failed` List[String] in rule order, `kept` Boolean, `cluster_id` String,
        `duplicate_of` String, `jaccard` Float32; same rows, same order.
    """
    judged = judge(columns, list(decision.rules))
    wanted = pairs.filter(pl.col("kind").is_in(decision.kinds))
    # Documents without a pair are in no cluster; most are. The others are put in place by row
    # numbers: on a million documents that is several times faster than joining all.
    nodes = pl.concat([wanted["id_a"], wanted["id_b"].alias("id_a")]).unique()
    rows = judged["id"].is_in(nodes.implode()).arg_true()
    paired = _resolved(judged[rows], wanted, decision, compare)
    place = _places(rows, judged.height)
    order = pl.int_range(judged.height, eager=True, dtype=pl.UInt32)
    order = order.scatter(rows, pl.int_range(len(rows), eager=True) + judged.height)
    return judged.with_columns(
        failed=pl.concat([judged["failed"], paired["failed"]]).gather(order),
        kept=judged["kept"].scatter(rows, paired["kept"]),
        cluster_id=paired["cluster_id"].gather(place),
        duplicate_of=paired["duplicate_of"].gather(place),
        jaccard=paired["jaccard"].gather(place),
    )


def _resolved(
    judged: pl.DataFrame, pairs: pl.DataFrame, decision: Decision, compare: Compare | None
) -> pl.DataFrame:
    """Verdicts of the documents that have pairs."""
    before = pairs.filter(pl.col("kind") == "index").select(
        id="id_b", known_as="id_a", known_jaccard="jaccard"
    )
    judged = judged.join(before, on="id", how="left", maintain_order="left")
    eligible = judged.with_columns(eligible=pl.col("kept") & pl.col("known_as").is_null())
    policy = decision.duplicates
    resolved = settle(
        pairs.filter(pl.col("kind") != "index"),
        eligible,
        policy.survivor,
        sources=policy.sources,
        compare=compare if "near" in decision.kinds else None,
    )
    joined = judged.join(
        resolved.select("id", "cluster_id", "duplicate_of", "kind", "jaccard"),
        on="id",
        how="left",
        maintain_order="left",
    )
    return joined.with_columns(
        failed=_with_reasons(),
        kept=pl.col("kept") & pl.coalesce("known_as", "duplicate_of").is_null(),
        duplicate_of=pl.coalesce("known_as", "duplicate_of"),
        jaccard=pl.coalesce("known_jaccard", "jaccard").cast(pl.Float32),
    )


def _places(rows: pl.Series, height: int) -> pl.Series:
    """For each of all rows its place among `rows`; null for the others."""
    empty = pl.Series([None], dtype=pl.UInt32).new_from_index(0, height)
    return empty.scatter(rows, pl.int_range(len(rows), eager=True, dtype=pl.UInt32))


def _with_reasons() -> pl.Expr:
    """`failed` with the kind of duplicate in this run, then that of an earlier batch."""
    own = pl.concat_list(pl.lit("duplicates.") + pl.col("kind"))
    failed = (
        pl.when(pl.col("duplicate_of").is_not_null())
        .then(pl.col("failed").list.concat(own))
        .otherwise("failed")
    )
    known = pl.concat_list(pl.lit("duplicates.index"))
    return (
        pl.when(pl.col("known_as").is_not_null()).then(failed.list.concat(known)).otherwise(failed)
    )


def with_bounds(decision: Decision, changes: Changes) -> Decision:
    """The same decision under other bounds; a rule whose last bound is lifted is left out.

    Raises:
        ConfigError: A rule that is not applied, or a bound that it does not have.

    >>> rules = (Rule(name="a.words", signal="words", min=50),)
    >>> decision = Decision(rules=rules, duplicates=DuplicatesConfig())
    >>> with_bounds(decision, {"a.words": {"min": 30}}).rules[0].min
    30
    >>> with_bounds(decision, {"a.words": {"min": None}}).rules
    ()
    """
    if not isinstance(changes, Mapping):
        raise ConfigError(f"a what-if is {changes!r}; write {{'set.rule': {{'min': 30}}}}")
    asked = {name: _checked(decision.rules, name, bounds) for name, bounds in changes.items()}
    rules = [(rule, asked.get(rule.name, {})) for rule in decision.rules]
    left = [moved(rule, bounds) for rule, bounds in rules if _bounded(rule, bounds)]
    return replace(decision, rules=tuple(left))


def _checked(rules: Sequence[Rule], name: str, bounds: Bounds) -> dict[str, Any]:
    if not isinstance(bounds, Mapping):
        raise ConfigError(f"bounds of rule {name!r} are {bounds!r}; write {{'min': 30}}")
    checked = {}
    for bound, value in bounds.items():
        try:
            named_rule(rules, name, bound)
        except ConfigError as error:
            raise ConfigError(
                f"{error} (a what-if moves bounds of rules; duplicates and cleaning need a run)"
            ) from None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if bound != "among" and value is not None and not number:
            raise ConfigError(f"{name}.{bound} is {value!r}; allowed: a number")
        values = isinstance(value, list | tuple) and bound == "among"
        checked[bound] = tuple(value) if values else value
    return checked


def _bounded(rule: Rule, bounds: Bounds) -> bool:
    return any(bounds.get(b, getattr(rule, b)) is not None for b in ("min", "max", "among"))


def removed_only_by(judged: pl.DataFrame, steps: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Native documents that each step alone removed: no other step failed them.

    >>> frame = pl.DataFrame({"failed": [["a.x", "a.y"], ["a.x", "b.z"], []]})
    >>> removed_only_by(frame, {"a": ["a.x", "a.y"], "b": ["b.z"]})
    {'a': 1, 'b': 0}
    """
    counts = {}
    for step, names in steps.items():
        other = pl.col("failed").list.set_difference(list(names)).list.len()
        only = (pl.col("failed").list.len() > 0) & (other == 0)
        counts[step] = judged.select(only.sum()).item()
    return counts
