"""Forms of scaling laws, all of them E + A / N^alpha + B / D^beta with some parts tied or missing.

N counts parameters, D training tokens. Written in logs, ln L is the log-sum-exp of
(a - alpha ln N, b - beta ln D, e); a form says how these five numbers follow from its free
parameters: theta = offset + mapping @ phi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from curate.arrays import Floats
from curate.errors import check_name

__all__ = ["FORMS", "LawForm", "law_form", "predicted_loss"]

_MISSING = -1000.0  # ln of a term that is not there


@dataclass(frozen=True, kw_only=True, slots=True)
class LawForm:
    """One form of the law.

    Attributes:
        name: Key in `FORMS`.
        formula: The law as one reads it.
        offset: The five numbers (a, b, e, alpha, beta) where all free parameters are 0.
        mapping: (5, k), what one unit of each free parameter adds to them.
        has_size: Whether N appears; likewise `has_data`, `has_floor`.
        tied: One exponent for N and D.
    """

    name: str
    formula: str
    offset: Floats
    mapping: Floats
    has_size: bool
    has_data: bool
    has_floor: bool
    tied: bool = False

    @property
    def free(self) -> int:
        """How many parameters the form fits."""
        return int(self.mapping.shape[1])


def _form(name: str, formula: str, parts: str, *, tied: bool = False) -> LawForm:
    has = {part: part in parts for part in "NDE"}
    wanted = (has["N"], has["D"], has["E"], has["N"], has["D"])
    offset = np.where(wanted, 0.0, [_MISSING, _MISSING, _MISSING, 0.0, 0.0])
    mapping = np.eye(5)[:, np.flatnonzero(wanted)]
    if tied:
        mapping = np.column_stack([mapping[:, :3], mapping[:, 3] + mapping[:, 4]])
    return LawForm(
        name=name,
        formula=formula,
        offset=offset,
        mapping=np.ascontiguousarray(mapping),
        has_size=has["N"],
        has_data=has["D"],
        has_floor=has["E"],
        tied=tied,
    )


#: chinchilla: Hoffmann et al. 2022 (arXiv 2203.15556), approach 3. overtraining: Gadre et al.
#: 2024 (arXiv 2403.08540), whose N^b and (M N)^b share the exponent b = -gamma.
FORMS: Mapping[str, LawForm] = MappingProxyType(
    {
        form.name: form
        for form in (
            _form("chinchilla", "E + A / N^α + B / D^β", "NDE"),
            _form("overtraining", "E + A / N^γ + B / D^γ", "NDE", tied=True),
            _form("data", "E + B / D^β", "DE"),
            _form("data_no_floor", "B / D^β", "D"),
            _form("size", "E + A / N^α", "NE"),
            _form("size_no_floor", "A / N^α", "N"),
        )
    }
)


def law_form(name: str) -> LawForm:
    """The form of this name.

    Raises:
        ConfigError: No such form.

    >>> law_form("data").formula
    'E + B / D^β'
    """
    check_name("law", name, FORMS)
    return FORMS[name]


def predicted_loss(parameters: Mapping[str, float], n_params: Floats, n_tokens: Floats) -> Floats:
    """Loss by E + A / N^alpha + B / D^beta at given parameters; what is not named is 0.

    Args:
        parameters: Any of `E, A, B, alpha, beta`.
        n_params: N, an array.
        n_tokens: D, an array.

    >>> chinchilla = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    >>> predicted_loss(chinchilla, np.array([70e9]), np.array([1.4e12])).round(3).tolist()
    [1.937]
    """
    get = {name: parameters.get(name, 0.0) for name in ("E", "A", "B", "alpha", "beta")}
    by_size = get["A"] * np.asarray(n_params, float) ** -get["alpha"]
    by_data = get["B"] * np.asarray(n_tokens, float) ** -get["beta"]
    return np.asarray(get["E"] + by_size + by_data)
