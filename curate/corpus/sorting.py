"""A batch of input rows, sorted into documents and quarantine."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.corpus.batches import Batch
from curate.corpus.inputs import InputConfig
from curate.corpus.schema import (
    CONTROL,
    EMPTY_TEXT,
    EXCERPT_CHARS,
    ID,
    MISSING_TEXT,
    NULL_ID,
    NULL_TEXT,
    QUARANTINE_SCHEMA,
    REPEATED_ID,
    SOURCE,
    TEXT,
    TEXT_NOT_STRING,
    UNKNOWN_SOURCE,
    as_json_text,
    carried_names,
)


class SeenIds:
    """All ids of an input so far, sixteen bytes each.

    Ids are kept as 128-bit hashes in sorted runs; runs of like size are merged, so that there
    are few of them. Two different ids of a billion collide with probability below 1e-20.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def repeated(self, ids: pl.Series) -> pl.Series:
        """Which ids were there before, earlier in `ids` or in an earlier call.

        >>> seen = SeenIds()
        >>> seen.repeated(pl.Series(["a", "b", "a"])).to_list()
        [False, False, True]
        >>> seen.repeated(pl.Series(["c", "b"])).to_list()
        [False, True]
        """
        hashes = np.empty((len(ids), 2), dtype=np.uint64)
        hashes[:, 0], hashes[:, 1] = ids.hash(1).to_numpy(), ids.hash(2).to_numpy()
        found = ~ids.is_first_distinct().to_numpy()
        for run in self._runs:
            found |= _among(hashes, run)
        self._keep(hashes[~found])
        return pl.Series("repeated", found)

    def _keep(self, hashes: NDArray[np.uint64]) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(hashes):
            hashes = np.concatenate([self._runs.pop(), hashes])
        self._runs.append(hashes[np.lexsort((hashes[:, 1], hashes[:, 0]))])


def _among(hashes: NDArray[np.uint64], run: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows of `hashes` are rows of `run`, which is sorted."""
    first = np.searchsorted(run[:, 0], hashes[:, 0], side="left")
    last = np.searchsorted(run[:, 0], hashes[:, 0], side="right")
    found = np.zeros(len(hashes), dtype=bool)
    # Equal first halves of different ids are rare; a loop over the candidates is short.
    while (open_ := (first < last) & ~found).any():
        found[open_] = run[first[open_], 1] == hashes[open_, 1]
        first += 1
    return found


def sort_batch(
    batch: Batch, config: InputConfig, seen: SeenIds
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents and quarantine rows of a batch, each in input order.

    A row's first problem counts, in this order: its text, its id, an id that was there before.
    An id counts as used only by a row that became a document.

    Args:
        batch: Rows of the input.
        config: Which columns are text, id and source.
        seen: The ids of earlier batches; those of this batch's documents are added.

    >>> from curate.corpus.batches import one_file
    >>> rows = pl.DataFrame({"text": ["good", "", None]})
    >>> batch = one_file("a.csv", [1, 2, 3], rows)
    >>> documents, rejects = sort_batch(batch, InputConfig(path="a.csv"), SeenIds())
    >>> documents["id"].to_list(), rejects["reason"].to_list()
    (['a.csv:1'], ['empty text', 'null text'])
    """
    if not len(batch.rows):
        return pl.DataFrame(), batch.rejects
    roles = _roles(batch.frame.columns, config)
    text, reason = _text(batch.frame, config.text)
    ids = _ids(batch, roles.get(ID), named=config.id is not None)
    rows = pl.DataFrame([batch.paths, batch.rows, ids, text, _source(batch, roles), reason])
    rows = rows.with_columns(reason=pl.coalesce("reason", _when(pl.col(ID).is_null(), NULL_ID)))
    repeated = np.zeros(rows.height, dtype=bool)
    usable = rows["reason"].is_null()
    repeated[usable.to_numpy()] = seen.repeated(ids.filter(usable)).to_numpy()
    rows = rows.with_columns(reason=pl.coalesce("reason", _when(pl.lit(repeated), REPEATED_ID)))
    good = rows["reason"].is_null()
    rejects = _rejects(rows.filter(~good), config, batch)
    return _documents(rows, batch.frame, good, roles), rejects


def _when(condition: pl.Expr, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason))


def _roles(columns: list[str], config: InputConfig) -> dict[str, str]:
    """Which input column feeds `text`, `id` and `source`; absent columns are left out."""
    wanted = {TEXT: config.text, ID: config.id or ID, SOURCE: config.source or SOURCE}
    free = [name for name in columns if name != config.text]
    return {
        role: name for role, name in wanted.items() if name in (columns if role == TEXT else free)
    }


def _text(frame: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series]:
    """The text column, and why a row of it cannot be used (null = it can)."""
    if name not in frame.columns:
        return _constant(TEXT, None, frame.height), _constant("reason", MISSING_TEXT, frame.height)
    column = frame[name].alias(TEXT)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    null = pl.when(pl.col(TEXT).is_null()).then(pl.lit(NULL_TEXT))
    if column.dtype != pl.String:
        why = pl.DataFrame(column).select(reason=null.otherwise(pl.lit(TEXT_NOT_STRING)))
        return _constant(TEXT, None, frame.height), why["reason"]
    empty = null.when(pl.col(TEXT) == "").then(pl.lit(EMPTY_TEXT))
    return column, pl.DataFrame(column).select(reason=empty)["reason"]


def _constant(name: str, value: str | None, height: int) -> pl.Series:
    return pl.Series(name, [value], dtype=pl.String).new_from_index(0, height)


def _ids(batch: Batch, column: str | None, *, named: bool) -> pl.Series:
    """Ids as String; null where a column is named and the row has none in it."""
    if column is None:
        given = _constant(ID, None, len(batch.rows))
    else:
        given = _as_string(batch.frame[column]).alias(ID)
    table = pl.DataFrame([given, batch.paths, batch.rows])
    own = pl.when(pl.col(ID) != "").then(pl.col(ID))
    made = pl.concat_str("path", pl.lit(":"), pl.col("row").cast(pl.String))
    return table.select(own if named else pl.coalesce(own, made).alias(ID))[ID]


def _as_string(column: pl.Series) -> pl.Series:
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return as_json_text(column)
    return column.cast(pl.String)


def _source(batch: Batch, roles: dict[str, str]) -> pl.Series:
    if SOURCE in roles:
        given = _as_string(batch.frame[roles[SOURCE]]).alias(SOURCE)
        blank = pl.when(pl.col(SOURCE) != "").then(pl.col(SOURCE))
        return pl.DataFrame(given).select(blank.fill_null(UNKNOWN_SOURCE))[SOURCE]
    if not batch.folders:
        return batch.paths.alias(SOURCE)
    # Each text file is a document of its own: its folder is what groups it with others.
    folder = batch.paths.str.extract(r"^(.*)/[^/]*$")
    return folder.fill_null(UNKNOWN_SOURCE).alias(SOURCE)


def _documents(
    rows: pl.DataFrame, frame: pl.DataFrame, good: pl.Series, roles: dict[str, str]
) -> pl.DataFrame:
    carried = carried_names(frame.columns, roles)
    documents = rows.select(ID, TEXT, SOURCE, pl.lit(None, pl.String).alias(CONTROL))
    further = frame.select(pl.col(name).alias(new) for name, new in carried.items())
    return documents.hstack(further).filter(good) if carried else documents.filter(good)


def _rejects(rows: pl.DataFrame, config: InputConfig, batch: Batch) -> pl.DataFrame:
    """Quarantine rows of `rows`, with those that the reader already found."""
    frame = batch.frame
    kind = frame.schema.get(config.text, "absent")
    details = {
        NULL_TEXT: f"{config.text!r} is null",
        MISSING_TEXT: f"no {config.text!r}; columns: {', '.join(frame.columns) or 'none'}",
        TEXT_NOT_STRING: f"{config.text!r} is {kind}",
        EMPTY_TEXT: f"{config.text!r} holds no character",
        NULL_ID: f"no {config.id!r}",
    }
    detail = pl.col("reason").replace_strict(details, default=None, return_dtype=pl.String)
    found = rows.select(
        "path",
        "row",
        "reason",
        detail=detail.fill_null(pl.concat_str(pl.lit("id "), ID)),
        raw=pl.col(TEXT).str.slice(0, EXCERPT_CHARS),
        id=ID,
    )
    both = pl.concat([batch.rejects, found]).select(list(QUARANTINE_SCHEMA))
    return both.sort("path", "row", nulls_last=True, maintain_order=True)
