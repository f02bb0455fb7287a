"""Tables that callers hand over: Polars as it is, pandas and Arrow converted, else an error."""

from __future__ import annotations

import polars as pl

from curate.errors import ConfigError

__all__ = ["polars_frame"]


def polars_frame(value: object, what: str = "documents") -> pl.DataFrame | pl.LazyFrame:
    """The same table as a Polars frame.

    Args:
        value: A Polars DataFrame or LazyFrame, a pandas DataFrame (its index is left out), or an
            Arrow table.
        what: What the table holds, for the message.

    Raises:
        ConfigError: It is no table.

    >>> polars_frame(["a text"])
    Traceback (most recent call last):
    curate.errors.ConfigError: documents: a list is no table; give a Polars DataFrame, e.g. ...
    """
    if isinstance(value, pl.DataFrame | pl.LazyFrame):
        return value
    home = type(value).__module__.partition(".")[0]
    if home == "pandas" and hasattr(value, "columns"):
        return pl.from_pandas(value)
    if home == "pyarrow":
        found = pl.from_arrow(value)
        if isinstance(found, pl.DataFrame):
            return found
    raise ConfigError(
        f"{what}: a {type(value).__name__} is no table; give a Polars DataFrame, "
        'e.g. pl.DataFrame({"text": texts})'
    )
