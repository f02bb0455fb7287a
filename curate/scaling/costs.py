"""What tokens cost: FLOPs, device hours and money at the user's rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from curate.errors import ConfigError
from curate.scaling.readouts import ReadOut

__all__ = ["Cost", "Rates", "cost_sentence", "cost_table", "training_cost"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What compute costs where you are.

    Attributes:
        flops_per_second: Peak of one device, e.g. 9.89e14 (one H100, dense bf16).
        utilisation: Share of the peak that training reaches.
        price_per_hour: Of one device, in your currency.
    """

    flops_per_second: float = 9.89e14
    utilisation: float = 0.4
    price_per_hour: float = 2.0

    def __post_init__(self) -> None:
        if self.flops_per_second <= 0 or not 0 < self.utilisation <= 1 or self.price_per_hour < 0:
            raise ConfigError(f"{self}: flops_per_second > 0, 0 < utilisation <= 1, price >= 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """FLOPs (6 N D), device hours and money of one training run."""

    flops: float
    hours: float
    money: float


def training_cost(n_params: float, n_tokens: float, rates: Rates | None = None) -> Cost:
    """What training a model of this size on so many tokens costs, at 6 N D FLOPs.

    >>> cost = training_cost(1e9, 2e10)
    >>> f"{cost.flops:.2g} FLOPs, {cost.hours:.0f} hours, {cost.money:.0f}"
    '1.2e+20 FLOPs, 84 hours, 169'
    """
    rates = rates or Rates()
    flops = 6 * n_params * n_tokens
    hours = flops / (rates.flops_per_second * rates.utilisation) / 3600
    return Cost(flops=flops, hours=hours, money=hours * rates.price_per_hour)


def cost_table(read: Sequence[ReadOut], *, rates: Rates | None = None) -> pl.DataFrame:
    """What reaching the loss costs with each arm, with the interval of its tokens.

    Args:
        read: Read-outs; those of `tokens_needed` that have a number count.
        rates: What compute costs.

    Returns:
        `arm, at, n_params, n_tokens, flops, flops_low, flops_high, hours, hours_low, hours_high,
        money, money_low, money_high`, Float64 but the first two.

    >>> from curate.scaling.example import example_law
    >>> from curate.scaling.readouts import tokens_needed
    >>> found = tokens_needed(example_law(), loss=2.5, n_params=1e9)
    >>> cost_table([found]).select("arm", "at").rows()
    [('curated', '1e+09 parameters, loss 2.5')]
    """
    rows: list[dict[str, object]] = [
        {"arm": row.arm, "at": row.at, "n_params": row.n_params, "n_tokens": row.estimate}
        | _costed(row, rates)
        for row in read
        if row.quantity == "tokens needed" and row.estimate is not None
    ]
    words = {"arm": pl.String, "at": pl.String}
    numbers = ["n_params", "n_tokens", *(f"{name}{end}" for name in _KINDS for end in _ENDS)]
    return pl.DataFrame(rows, schema=words | dict.fromkeys(numbers, pl.Float64))


_KINDS = ("flops", "hours", "money")
_ENDS = ("", "_low", "_high")


def _costed(row: ReadOut, rates: Rates | None) -> dict[str, object]:
    size = row.n_params or 0.0
    tokens = dict(zip(_ENDS, (row.estimate, row.low, row.high), strict=True))
    costs = {end: training_cost(size, value or 0.0, rates) for end, value in tokens.items()}
    return {f"{kind}{end}": getattr(costs[end], kind) for kind in _KINDS for end in _ENDS}


def cost_sentence(costs: pl.DataFrame) -> str | None:
    """The table in words; None where it is empty.

    >>> row = {"arm": "raw", "at": "loss 2.5", "flops": 1.2e20, "hours": 84.3, "money": 168.6,
    ...        "money_low": 150.0, "money_high": 190.0}
    >>> cost_sentence(pl.DataFrame([row]))
    'Cost at loss 2.5: raw 1.2e+20 FLOPs, 84.3 hours, 169 [150, 190] in your currency.'
    """
    if costs.is_empty():
        return None
    said = [
        f"{row['arm']} {row['flops']:.2g} FLOPs, {row['hours']:.3g} hours, {row['money']:.3g} "
        f"[{row['money_low']:.3g}, {row['money_high']:.3g}]"
        for row in costs.iter_rows(named=True)
    ]
    return f"Cost at {costs['at'][0]}: {'; '.join(said)} in your currency."
