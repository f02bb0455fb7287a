"""Measured points of training runs: read from anyone's table, checked, centred for a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import ConfigError, InputError, check_name
from curate.frames import polars_frame
from curate.scaling._fit_kernel import Data

__all__ = ["Columns", "PointSet", "check_points", "point_set", "read_points"]

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
    ".jsonl": pl.read_ndjson,
}
_NUMBERS = ("n_params", "n_tokens", "loss")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Which column of a table holds what.

    Attributes:
        n: Parameters of the model.
        d: Training tokens.
        loss: Loss, > 0, in any unit (bits per byte, nats).
        arm: Name of the data set or recipe; None or absent: one arm.
        run: Training run; points of one run are dependent. None: the points of one arm and
            size (and `replicate`, where there is such a column) count as one run, the careful
            reading.
    """

    n: str = "n_params"
    d: str = "n_tokens"
    loss: str = "loss"
    arm: str | None = "arm"
    run: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PointSet:
    """Points as the fit takes them.

    Attributes:
        frame: `arm, n_params, n_tokens, loss, run`, sorted.
        arms: Names, in the order of the numbers in `data`.
        centre: Means of ln N and ln D that `data` is centred on.
        data: (ln N, ln D centred, ln loss, arm number, run number, keep).
        trunks: Number of runs.
    """

    frame: pl.DataFrame
    arms: tuple[str, ...]
    centre: tuple[float, float]
    data: Data
    trunks: int


def read_points(path: str | Path, columns: Columns | None = None) -> pl.DataFrame:
    r"""A table of points from a CSV, Parquet or JSON-lines file, checked by `check_points`.

    Raises:
        InputError: The file is not there, cannot be read, or holds bad values.
        ConfigError: A column is missing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "points.csv")
    ...     _ = file.write_text("params,tokens,loss\n1e6,1e8,3.5\n")
    ...     read_points(file, Columns(n="params", d="tokens")).columns
    ['arm', 'n_params', 'n_tokens', 'loss', 'run']
    """
    file = Path(path)
    if file.suffix not in _READERS:
        raise InputError(f"{file}: cannot read {file.suffix!r} files; use .csv, .parquet or .jsonl")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        frame = _READERS[file.suffix](file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return check_points(frame, columns)


def check_points(
    frame: pl.DataFrame | pl.LazyFrame, columns: Columns | None = None
) -> pl.DataFrame:
    """The points under their plain names, or an error that names the bad row.

    Returns:
        `arm` String, `n_params, n_tokens, loss` Float64, `run` String, sorted by all of them.

    Raises:
        ConfigError: A column is missing or not a number.
        InputError: A value is missing, not finite, or not positive.

    >>> check_points(pl.DataFrame({"n_params": [1e6], "n_tokens": [1e8], "loss": [-2.0]}))
    Traceback (most recent call last):
        ...
    curate.errors.InputError: row 0: loss is -2.0; it must be a positive, finite number
    """
    columns, table = columns or Columns(), polars_frame(frame, "points").lazy().collect()
    if not isinstance(columns, Columns):
        raise ConfigError(f"columns is {columns!r}; write Columns(n=..., d=..., loss=..., arm=...)")
    if table.is_empty():
        raise ConfigError("the table of points is empty")
    names = {"n_params": columns.n, "n_tokens": columns.d, "loss": columns.loss}
    for name in [*names.values(), *filter(None, [_arm_column(columns), columns.run])]:
        check_name("column", name, table.columns)
    for name in names.values():
        _check_numbers(table[name])
    has_arm = columns.arm is not None and columns.arm in table.columns
    arm = pl.col(columns.arm or "").cast(pl.String) if has_arm else pl.lit("all")
    numbers = [pl.col(name).cast(pl.Float64).alias(plain) for plain, name in names.items()]
    run = _run_name(table, columns).alias("run")
    picked = table.select(arm.fill_null("unknown").alias("arm"), *numbers, run)
    return picked.sort("arm", "n_params", "n_tokens", "run", "loss")


def _arm_column(columns: Columns) -> str | None:
    """The arm's column where it was asked for by name; the default may be absent."""
    return None if columns.arm == "arm" else columns.arm


def _check_numbers(column: pl.Series) -> None:
    if not column.dtype.is_numeric():
        words = column.cast(pl.String, strict=False)
        odd = words.cast(pl.Float64, strict=False).is_null().arg_true()
        seen = f", e.g. {words[int(odd[0])]!r} in row {odd[0]}" if len(odd) else ""
        raise ConfigError(f"column {column.name!r} must hold numbers, not {column.dtype}{seen}")
    values = column.cast(pl.Float64)
    bad = (values.is_null() | ~values.is_finite() | (values <= 0)).fill_null(True).arg_true()
    if len(bad):
        row = int(bad[0])
        raise InputError(
            f"row {row}: {column.name} is {column[row]}; it must be a positive, finite number"
        )


def _run_name(table: pl.DataFrame, columns: Columns) -> pl.Expr:
    if columns.run is not None:
        return pl.col(columns.run).cast(pl.String).fill_null("unknown")
    parts = [pl.col(columns.n).cast(pl.Float64).cast(pl.String)]
    if "replicate" in table.columns:
        parts.append(pl.lit(" replicate ") + pl.col("replicate").cast(pl.String).fill_null("?"))
    return pl.concat_str(parts)


def point_set(frame: pl.DataFrame, centre: tuple[float, float] | None = None) -> PointSet:
    """Checked points as arrays; runs of different arms are different runs.

    >>> frame = check_points(pl.DataFrame(
    ...     {"n_params": [1e6, 1e6, 4e6], "n_tokens": [1e8, 2e8, 1e8], "loss": [3.0, 2.8, 2.9]}))
    >>> point_set(frame).trunks
    2
    """
    arms = tuple(frame["arm"].unique().sort())
    log = [np.log(frame[name].to_numpy()) for name in _NUMBERS]
    middle = centre or (float(log[0].mean()), float(log[1].mean()))
    runs = frame.select(pl.struct("arm", "run").rank("dense")).to_series().to_numpy()
    arm = frame["arm"].replace_strict({name: i for i, name in enumerate(arms)}).to_numpy()
    keep: NDArray[np.bool_] = np.ones(frame.height, np.bool_)
    data = (
        log[0] - middle[0],
        log[1] - middle[1],
        log[2],
        arm.astype(np.int64),
        runs.astype(np.int64) - 1,
        keep,
    )
    return PointSet(
        frame=frame, arms=arms, centre=middle, data=data, trunks=int(runs.max(initial=0))
    )
