"""Strata of an audit: from columns to codes, coarse to fine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Codes
from curate.statistics import Strata

#: Quantile bins of a numeric stratum column, one refinement after the other.
BINS = (5, 20, 80, 320, 1280)
# Up to so many possible cells a table of all of them is quicker than sorting the documents.
_DENSE = 1 << 23


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One way to stratify: code a document, and the cells (group, stratum) that hold any.

    Cells are sorted by group, then stratum; those of group g are `bounds[g]` to `bounds[g + 1]`.
    """

    name: str
    stratum: NDArray[np.int32]
    strata: int
    cell: NDArray[np.int32]
    cell_group: Codes
    cell_stratum: Codes
    groups: int
    bounds: Codes

    def of_group(self, g: int) -> slice:
        """The cells of one group."""
        return slice(int(self.bounds[g]), int(self.bounds[g + 1]))

    def tables(self, hit: NDArray[np.bool_], start: int = 0) -> Strata:
        """2×2 tables of every group against the rest of each stratum, from document `start`."""
        cell = self.cell[start:]
        n = np.bincount(cell, minlength=self.cell_group.size).astype(np.float64)
        x = np.bincount(cell[hit[start:]], minlength=n.size).astype(np.float64)
        rest_n, rest_x = (
            np.bincount(self.cell_stratum, v, self.strata)[self.cell_stratum] - v for v in (n, x)
        )
        return Strata(
            hit=x,
            missed=n - x,
            hit_rest=rest_x,
            missed_rest=rest_n - rest_x,
            owner=self.cell_group,
            comparisons=self.groups,
        )


def levels_of(
    frame: pl.DataFrame, group: Codes, variables: Sequence[str]
) -> Iterator[tuple[Level, ...]]:
    """Ways to stratify by ever fewer of the variables, each from coarse to fine.

    Numeric columns are cut at their quantiles; of all others each value is a stratum, null
    included. The last of the others is given up first.
    """
    numeric = [v for v in variables if frame[v].dtype.is_numeric()]
    others = [v for v in variables if v not in numeric]
    codes = {v: frame[v].cast(pl.String).rank("dense").fill_null(0).to_numpy() for v in others}
    binned = [
        {v: _quantile_codes(frame[v], bins) for v in numeric} for bins in (BINS if numeric else ())
    ]
    for kept in range(len(others), -1, -1):
        used = {v: codes[v].astype(np.int64) for v in others[:kept]}
        steps = [used | cut for cut in binned] if numeric else [used]
        if steps[0]:
            yield tuple(_level(group, list(parts.values()), " × ".join(parts)) for parts in steps)


def _quantile_codes(values: pl.Series, bins: int) -> Codes:
    """Bin of each value; equal values share one, null and NaN have one of their own."""
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.isfinite(numbers)
    if not known.any():
        return np.zeros(numbers.size, dtype=np.int64)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, bins) / bins, method="lower"))
    return np.where(known, np.searchsorted(edges, numbers, "right") + 1, 0)


def _level(group: Codes, parts: Sequence[Codes], name: str) -> Level:
    stratum = parts[0]
    for part in parts[1:]:
        stratum, _ = _compressed(stratum * (int(part.max()) + 1) + part)
    stratum, strata = _compressed(stratum)
    groups = int(group.max()) + 1
    keys = group * strata + stratum
    cell, _ = _compressed(keys)
    cells = int(cell.max()) + 1
    of_cell = np.empty(cells, dtype=np.int64)
    of_cell[cell] = keys
    return Level(
        name=name,
        stratum=stratum.astype(np.int32),
        strata=strata,
        cell=cell.astype(np.int32),
        cell_group=of_cell // strata,
        cell_stratum=of_cell % strata,
        groups=groups,
        bounds=np.searchsorted(of_cell // strata, np.arange(groups + 1)),
    )


def _compressed(codes: Codes) -> tuple[Codes, int]:
    """Codes renumbered without gaps, in the same order, and how many there are."""
    top = int(codes.max()) + 1
    if top > _DENSE:
        names, dense = np.unique(codes, return_inverse=True)
        return dense.astype(np.int64), names.size
    used = np.bincount(codes, minlength=top) > 0
    place = np.cumsum(used) - 1
    return place[codes], int(used.sum())
