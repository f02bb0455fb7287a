"""From columns to reasons: a rule is an interval over one column, or a set of its values.

A document fails a rule if the value lies outside `[min, max]`, bounds included in what is kept,
or is none of those that the rule names; null and NaN fail every rule. Rule sets are TOML files in
`curate/rulesets/`, each number with its source. A bound may be drawn from the corpus itself
(`Bound`); it is then resolved on the native documents and written out as a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeVar, cast

import numpy as np
import polars as pl

from curate.bounds import Bound, bound_of
from curate.errors import ConfigError, check_name, unknown_name
from curate.frames import polars_frame
from curate.rule_tables import (
    DIALECTS,
    RULE_SETS,
    check_keys,
    override_of,
    set_tables,
    with_overrides,
)
from curate.signals import DEFAULT_SIGNALS, SIGNALS, SIGNALS_PAGE, measure_signals

__all__ = [
    "DIALECTS",
    "RULE_SETS",
    "Bound",
    "Rule",
    "RulesConfig",
    "extra_signals",
    "failing",
    "judge",
    "load_rules",
    "moved",
    "override_rules",
    "required_columns",
    "rule_signals",
]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_SCORES = ("quality", "quality_rank", "bits_per_byte", "importance", "mean_rank")
OTHER_COLUMNS = _SCORES  # made by later stages, not by a signal
OWN_SET = "own"  # the set of the rules that a config adds
LANGUAGE_SET = "language"  # the set of the rules that a config's languages make


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """An interval over one column, ends included; or the values of it that are kept.

    Attributes:
        name: `set.rule`.
        signal: The column.
        min: Smallest value that is kept; None = no lower bound.
        max: Largest value that is kept; None = no upper bound.
        source: Where the numbers come from.
        among: Instead of bounds: the values that are kept, e.g. codes of languages.
        min_from: How the lower bound was drawn from the corpus; empty = it was given.
        max_from: The same of the upper bound.
    """

    name: str
    signal: str
    min: float | None = None
    max: float | None = None
    source: str = ""
    among: tuple[str, ...] | None = None
    min_from: str = ""
    max_from: str = ""

    def __post_init__(self) -> None:
        bounds = [b for b in (self.min, self.max) if b is not None]
        if self.among is not None:
            self._check_values(bounds)
            return
        if not bounds:
            raise ConfigError(f"rule {self.name!r} has neither min nor max nor among")
        if any(math.isnan(b) for b in bounds) or bounds[0] > bounds[-1]:
            raise ConfigError(f"rule {self.name!r} keeps nothing: min {self.min}, max {self.max}")

    def _check_values(self, bounds: Sequence[float]) -> None:
        if bounds:
            raise ConfigError(f"rule {self.name!r} names values (among): it has no min or max")
        sound = isinstance(self.among, tuple) and len(self.among) > 0
        if not sound or not all(isinstance(value, str) for value in self.among or ()):
            raise ConfigError(
                f"rule {self.name!r}: among is {self.among!r}; allowed: a list of texts, "
                'e.g. ["en", "de"]'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RulesConfig:
    """Which rules decide.

    Attributes:
        sets: Names of rule sets (`RULE_SETS`) or paths of TOML files of the same form.
        dialect: Whose reading of the published rules is meant: `DIALECTS`.
        override: `"set.rule"` → `{min, max, among, enabled}`, on top of the sets.
        add: Name → `{signal, min, max, among, source}`: rules of your own, named `own.<name>`;
            `among` lists the values of a text column that are kept; docs/signals.md lists the
            signals.
        shown: Sets that are judged beside the verdict and never applied.
        languages: Codes (ISO 639-1, e.g. `["en", "de"]`) of the languages that are kept, as
            py3langid tells them (extra `language`): the first step, rule `language.code`.
        min_language_score: Smallest probability of the told language that is kept, in [0, 1]:
            rule `language.score`.
    """

    sets: tuple[str, ...] = ()
    dialect: str = "datatrove"
    override: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, Any] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    min_language_score: float | None = None

    def __post_init__(self) -> None:
        check_name("rules.dialect", self.dialect, DIALECTS)
        score = self.min_language_score
        if score is not None and not 0 <= score <= 1:
            raise ConfigError(f"rules.min_language_score is {score}; allowed: 0 to 1")


def load_rules(config: RulesConfig, columns: pl.DataFrame | None = None) -> list[Rule]:
    """The rules of a config: its languages, the sets in their order, then its own.

    Args:
        config: Sets, overrides and own rules.
        columns: The signal columns of the corpus, for bounds that are drawn from it; rows with a
            `control` are left out. Without it, or with fewer than `FEWEST_NATIVE` native rows,
            such bounds take the loosest value that their rule allows.

    Raises:
        ConfigError: A set, key or column is not known, or a rule keeps nothing.

    >>> rules = load_rules(RulesConfig(sets=("fineweb",)))
    >>> rules[0].name, rules[0].signal, rules[0].min
    ('fineweb.terminal_punctuation', 'sentence_line_fraction', 0.12)
    """
    known = [*SIGNALS, *OTHER_COLUMNS, *([] if columns is None else columns.columns)]
    tables = with_overrides(_tables(config), config.override)
    native = _native(columns)
    return [_rule(name, table, known, native) for name, table in tables.items()]


def required_columns(rules: Iterable[Rule]) -> list[str]:
    """The columns that rules read, each once, in rule order.

    >>> required_columns(load_rules(RulesConfig(sets=("fineweb",))))[0]
    'sentence_line_fraction'
    """
    return list(dict.fromkeys(rule.signal for rule in rules))


def extra_signals(config: RulesConfig) -> list[str]:
    """Signals that these rules read and that are not measured by default, each once.

    >>> extra_signals(RulesConfig(sets=("gopher_repetition",), dialect="dolma"))[0]
    'dolma_duplicate_line_fraction'
    >>> extra_signals(RulesConfig(sets=("gopher_repetition",)))
    []
    """
    return [name for name in rule_signals(config) if name not in DEFAULT_SIGNALS]


def rule_signals(config: RulesConfig) -> list[str]:
    """Signals that these rules read, each once.

    >>> rule_signals(RulesConfig(sets=("fineweb",)))[0]
    'sentence_line_fraction'
    """
    tables = _tables(replace(config, sets=(*config.sets, *config.shown)))
    signals = [str(table.get("signal")) for table in tables.values()]
    return [name for name in dict.fromkeys(signals) if name in SIGNALS]


def override_rules(rules: Sequence[Rule], override: Mapping[str, Any]) -> list[Rule]:
    """The same rules with other numbers, for what-ifs; text and columns are not touched.

    Args:
        rules: Resolved rules.
        override: `"set.rule"` → `{min, max, among, enabled}`; `enabled = False` leaves a rule
            out.

    >>> rules = [Rule(name="a.words", signal="words", min=50)]
    >>> override_rules(rules, {"a.words": {"min": 30}})[0].min
    30
    >>> override_rules(rules, {"a.words": {"enabled": False}})
    []
    """
    changed = {rule.name: rule for rule in rules}
    for name, values in override.items():
        asked = override_of(name, values, [rule.name for rule in rules])
        if isinstance(asked.get("among"), list):
            asked["among"] = tuple(asked["among"])
        if asked.pop("enabled", True):
            changed[name] = moved(changed[name], asked)
        else:
            del changed[name]
    return list(changed.values())


def moved(rule: Rule, bounds: Mapping[str, Any]) -> Rule:
    """A rule with other bounds; what was drawn from the corpus is then given.

    >>> moved(Rule(name="a.w", signal="words", min=5, min_from="5th percentile"), {"min": 9})
    Rule(name='a.w', signal='words', min=9, max=None, source='', among=None, min_from='', ...
    """
    given = {f"{side}_from": "" for side in ("min", "max") if side in bounds}
    return replace(rule, **{**given, **bounds})


def judge(frame: Frame, rules: Sequence[str | Rule]) -> Frame:
    """Add every failed rule of each document, and whether it is kept.

    Args:
        frame: The columns that the rules read; rows keep their order. Signals that are not
            there are measured here where there is a column `text`.
        rules: Rules, or names or paths of rule sets.

    Returns:
        The frame plus `failed` List[String] (in rule order, empty = kept) and `kept` Boolean.

    Raises:
        ConfigError: A rule reads a column that the frame does not have.

    >>> frame = pl.DataFrame({"words": [10, 60, None]})
    >>> judge(frame, [Rule(name="a.words", signal="words", min=50)])["failed"].to_list()
    [['a.words'], [], ['a.words']]
    """
    frame, resolved = _resolved(frame, rules)
    groups = [resolved[i : i + _BITS] for i in range(0, len(resolved), _BITS)] or [[]]
    lists = [_failed_names(group) for group in groups]
    failed = reduce(lambda a, b: a.list.concat(b), lists)
    return frame.with_columns(failed=failed).with_columns(kept=pl.col("failed").list.len() == 0)


def failing(frame: Frame, rules: Sequence[str | Rule]) -> Frame:
    """One Boolean column a rule, named as the rule: true = the document fails it.

    >>> frame = pl.DataFrame({"words": [10, 60]})
    >>> failing(frame, [Rule(name="a.words", signal="words", min=50)])["a.words"].to_list()
    [True, False]
    """
    frame, resolved = _resolved(frame, rules)
    return frame.select(_violation(rule).alias(rule.name) for rule in resolved)


_BITS = 60  # rules whose verdicts fit into one integer


def _failed_names(rules: Sequence[Rule]) -> pl.Expr:
    """Names of the failed rules; documents that fail the same ones share one list."""
    bits = [_violation(r).cast(pl.UInt64) * (1 << i) for i, r in enumerate(rules)]
    code = reduce(lambda a, b: a | b, bits, pl.lit(0, pl.UInt64))
    names = [rule.name for rule in rules]

    def unpack(codes: pl.Series) -> pl.Series:
        kinds, place = np.unique(codes.to_numpy(), return_inverse=True)
        lists = [[n for i, n in enumerate(names) if kind >> i & 1] for kind in kinds.tolist()]
        return pl.Series(lists, dtype=pl.List(pl.String)).gather(place)

    if not rules:
        return pl.lit(pl.Series([[]], dtype=pl.List(pl.String))).first()
    return code.map_batches(unpack, return_dtype=pl.List(pl.String), is_elementwise=True)


def _violation(rule: Rule) -> pl.Expr:
    value = pl.col(rule.signal)
    if rule.among is not None:
        return value.cast(pl.String).is_in(list(rule.among)).not_().fill_null(True)
    inside = []
    if rule.min is not None:
        inside.append(value >= rule.min)
    if rule.max is not None:
        inside.append(value <= rule.max)
    # NaN counts as larger than every number in Polars, so that a min alone would keep it.
    inside.append(value.cast(pl.Float64).is_not_nan())
    return reduce(lambda a, b: a & b, inside).not_().fill_null(True)


def _resolved(frame: Frame, rules: Sequence[str | Rule]) -> tuple[Frame, list[Rule]]:
    """The frame with the signals that these rules read, and the rules."""
    frame = cast("Frame", polars_frame(frame))
    columns = frame.collect_schema().names()
    given = [rules] if isinstance(rules, str) else list(rules)
    if "text" in columns:
        written = [
            [r] if isinstance(r, Rule) else load_rules(RulesConfig(sets=(r,))) for r in given
        ]
        read = required_columns(rule for several in written for rule in several)
        # Before bounds that the corpus gives are resolved: they look at these columns.
        missing = [name for name in read if name in SIGNALS and name not in columns]
        frame = measure_signals(frame, missing) if missing else frame
        columns += missing
    resolved: list[Rule] = []
    for rule in given:
        resolved += [rule] if isinstance(rule, Rule) else _load_set(frame, rule, columns)
    for rule in resolved:
        if rule.signal not in columns:
            message = unknown_name("column", rule.signal, columns, listed=SIGNALS_PAGE)
            hint = "; a column 'text' is needed to measure it" if rule.signal in SIGNALS else ""
            raise ConfigError(f"rule {rule.name!r} reads an {message}{hint}")
    return frame, resolved


def _load_set(frame: pl.DataFrame | pl.LazyFrame, name: str, columns: list[str]) -> list[Rule]:
    config = RulesConfig(sets=(name,))
    wanted = {*required_columns(load_rules(config)), "control"}
    table = frame.lazy().select([c for c in columns if c in wanted]).collect()
    return load_rules(config, table)


def _tables(config: RulesConfig) -> dict[str, dict[str, Any]]:
    """Every rule of the config as it is written, by `set.rule`."""
    tables = _language_tables(config) | set_tables(config.sets, config.dialect)
    for rule, table in config.add.items():
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"rules.add.{rule} is {table!r}; allowed: a table with signal, min, max, among"
            )
        source = {"source": "added by the config"}
        tables[f"{OWN_SET}.{rule}"] = {"path": f"rules.add.{rule}", **source, **table}
    return tables


def _language_tables(config: RulesConfig) -> dict[str, dict[str, Any]]:
    """The step that the config's languages make, before all other rules."""
    code = {"signal": "language", "among": list(config.languages)}
    score = {"signal": "language_score", "min": config.min_language_score}
    tables: dict[str, dict[str, Any]] = {}
    if config.languages:
        tables[f"{LANGUAGE_SET}.code"] = {"path": "rules.languages", **code}
    if config.min_language_score is not None:
        tables[f"{LANGUAGE_SET}.score"] = {"path": "rules.min_language_score", **score}
    return {name: {"source": "asked by the config", **table} for name, table in tables.items()}


def _rule(
    name: str, table: Mapping[str, Any], known: Sequence[str], native: pl.DataFrame | None
) -> Rule:
    where = table["path"]
    check_keys(table, ("path", "signal", "min", "max", "among", "source"), where)
    signal = str(table.get("signal"))
    if signal not in known:
        raise ConfigError(f"{where}: {unknown_name('signal', signal, known, listed=SIGNALS_PAGE)}")
    values = native[signal] if native is not None and signal in native.columns else pl.Series([])
    bounds: dict[str, Any] = {}
    for side in (side for side in ("min", "max") if side in table):
        bounds |= _number(table[side], values, side=side, where=where)
    _check_kind(signal, table, where)
    among = table.get("among")
    values_kept = tuple(among) if isinstance(among, list) else among
    origin = table.get("source", "")
    return Rule(name=name, signal=signal, source=origin, among=values_kept, **bounds)


def _check_kind(signal: str, table: Mapping[str, Any], where: str) -> None:
    """Bounds are asked of numbers, values of text; columns of the corpus are known later."""
    if signal in SIGNALS and (SIGNALS[signal].dtype is pl.String) != ("among" in table):
        wanted = "among" if "among" not in table else "min and max"
        raise ConfigError(f"{where}: signal {signal!r} is bounded by {wanted}")


def _number(value: object, values: pl.Series, *, side: str, where: str) -> dict[str, Any]:
    """A bound, and where it was drawn from the corpus how."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {side: float(value)}
    if not isinstance(value, Mapping):
        allowed = "a number, or a table with fence, quantile or sigma"
        raise ConfigError(f"{where}: {side} is {value!r}; allowed: {allowed}")
    try:
        number, words = bound_of(value).drawn(values, upper=side == "max")
    except ConfigError as error:
        raise ConfigError(f"{where}: {side}: {error}") from None
    return {side: number, f"{side}_from": words}


def _native(columns: pl.DataFrame | None) -> pl.DataFrame | None:
    if columns is None or "control" not in columns.columns:
        return columns
    return columns.filter(pl.col("control").is_null())
