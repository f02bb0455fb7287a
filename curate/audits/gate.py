"""The audit's config, and its gate."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import ConfigError, GateError

STRATA = ("words", "source", "language")
_SHOWN = (
    *("step", "group_column", "group", "n", "removal_ratio", "excess_removal", "q"),
    *("adjusted_removal_ratio", "adjusted_for"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Harm that ends a run: all three conditions on one tested row of the audit.

    Attributes:
        removal_ratio: Smallest ratio of removal rates (group / rest) that counts.
        excess_removal: Smallest difference of removal rates, a fraction of documents.
        q: False discovery rate below which the row must lie.
    """

    removal_ratio: float = 1.25
    excess_removal: float = 0.02
    q: float = 0.01

    def __post_init__(self) -> None:
        if self.removal_ratio < 1:
            raise ConfigError(f"gate.removal_ratio is {self.removal_ratio}; allowed: 1 or more")
        for name in ("excess_removal", "q"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"gate.{name} is {getattr(self, name)}; allowed: 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """What is audited, and what is not allowed.

    Attributes:
        groups: Columns whose values are the groups, e.g. `["source", "language"]`.
        gate: Harm that makes the run fail; `None` only reports.
        strata: Columns that may explain a difference; those that the documents lack are left
            out, and a group column is never its own stratum.
        lexicons: Word lists whose groups are looked for in the original texts: packaged names
            (`identity`, `dialect`) or TOML files.
        topics: Number of topics to look for; 0 = none.
        scores: Numeric columns of the verdicts (signals, `quality`, carried columns) whose means
            are compared between groups, raw and curated.
    """

    groups: tuple[str, ...] = ("source",)
    lexicons: tuple[str, ...] = ()
    topics: int = 0
    scores: tuple[str, ...] = ()
    strata: tuple[str, ...] = STRATA
    gate: Gate | None = None


def forbidden_rows(table: pl.DataFrame, gate: Gate) -> pl.DataFrame:
    """The tested rows that meet all three conditions of a gate, in the columns people read.

    >>> table = pl.DataFrame({"q": [0.001, None], "removal_ratio": [3.0, 9.0],
    ...                       "excess_removal": [0.1, 0.5], "group": ["a", "b"]})
    >>> forbidden_rows(table, Gate())["group"].to_list()
    ['a']
    """
    harmed = _harmed(table, gate)
    return harmed.select([c for c in (*_SHOWN, "removed", "state") if c in harmed.columns])


def _harmed(table: pl.DataFrame, gate: Gate) -> pl.DataFrame:
    return table.filter(
        pl.col("q").is_not_null()
        & (pl.col("q") < gate.q)
        & (pl.col("removal_ratio") >= gate.removal_ratio)
        & (pl.col("excess_removal") >= gate.excess_removal)
    )


def check_gate(table: pl.DataFrame, gate: Gate) -> None:
    """Pass silently, or name every (step, group) that the gate forbids.

    Reads `q`, `removal_ratio`, `excess_removal` of the tested rows of `impact`'s table. Rows
    with too few documents have no `q` and pass: they are "cannot tell", not "fair".

    Raises:
        GateError: At least one row meets all three conditions.

    >>> from curate.audits import impact
    >>> verdicts = pl.DataFrame({
    ...     "source": ["forum"] * 1000 + ["books"] * 1000,
    ...     "failed": [["a.short"]] * 150 + [[]] * 850 + [["a.short"]] * 10 + [[]] * 990,
    ... })
    >>> table = impact(verdicts, steps={"a": ["a.short"]}, group="source")
    >>> check_gate(table, Gate())
    Traceback (most recent call last):
      ...
    curate.errors.GateError: bias gate: 1 of 2 tested (step, group) pairs ...
      a: source = 'forum' loses 15.0 % against 1.0 % of the rest (ratio 15.00, q = ...)
    """
    tested = table.filter(pl.col("q").is_not_null())
    harmed = _harmed(tested, gate)
    if harmed.is_empty():
        return
    lines = [
        f"  {row['step']}: {row['group_column']} = {row['group']!r} loses"
        f" {_percent(row['removed'] / row['n'])} against"
        f" {_percent(row['removed_rest'] / row['n_rest'])} of the rest"
        f" (ratio {row['removal_ratio']:.2f}, q = {row['q']:.2g})"
        for row in harmed.iter_rows(named=True)
    ]
    head = (
        f"bias gate: {harmed.height} of {tested.height} tested (step, group) pairs lose at least"
        f" {gate.removal_ratio:g} times and {_percent(gate.excess_removal)} more than the rest"
        f" at q < {gate.q:g}"
    )
    raise GateError("\n".join([head, *lines]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
