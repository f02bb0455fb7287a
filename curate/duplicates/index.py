"""A persistent index: a new batch is compared with everything that was added before.

Under the policy `earliest` a document's verdict depends on earlier documents alone, so batches
that are added one after the other leave the survivors of one run over all of them, however the
sequence was cut. The index keeps sketches of all documents, and of each survivor where its text
lies; no text is copied. It is a folder:

    index.json                 parameters, and the batches in order: what is not listed is not there
    batch-00000/sketches.parquet   a row a document
    batch-00000/bands.parquet      pairs that share a band, by document number

Adding holds about 0.6 KB of memory for each document of the index.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from curate.duplicates._index_files import (
    batches_of,
    before,
    open_index,
    places_of,
    read_shard,
    save_batch,
)
from curate.duplicates.increment import Increment, judge_increment
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.verification import Parts
from curate.errors import ConfigError

#: A file of documents, or one with the file of edits that make its texts what was judged.
Shard = Path | tuple[Path, Path]


def add_to_index(
    folder: Path,
    parts: Sequence[Shard],
    *,
    near: NearDuplicates | None = None,
    failing: Sequence[str] = (),
    batch: str | None = None,
) -> pl.DataFrame:
    """Judge a batch against an index, and add it as the index's last batch.

    Args:
        folder: The index; made if missing.
        parts: Parquet files with `id` and `text`, in document order, each alone or with a file of
            edits (`curate.clean.EDIT_SCHEMA`) that are to be applied. The files of survivors must
            stay where they are: their text is read again when a later batch has a likely copy.
        near: What counts as near; must be that of the index. By default it is, or for a new
            index 0.8 with 14 x 8 bands.
        failing: Ids of documents that fail some other rule and cannot survive.
        batch: Name of the batch; by default its number. A last batch of this name is replaced.

    Returns:
        One row a document of the batch: `id`, `duplicate_of` String (null where it has no copy
        that stays), `kind` "exact" or "near", `jaccard` Float64, `stays` Boolean.

    Raises:
        ConfigError: The index was made with other parameters, or later batches rest on one of this
            name.
        InputError: An id occurs twice, in the batch or in the index.
        IntegrityError: A text that the index points to has changed or is gone.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, text in (("mon", "to be or not to be"), ("tue", "To be, or not to be?")):
    ...     pl.DataFrame({"id": [name], "text": [text]}).write_parquet(folder / f"{name}.parquet")
    >>> add_to_index(folder / "index", [folder / "mon.parquet"])["stays"].to_list()
    [True]
    >>> add_to_index(folder / "index", [folder / "tue.parquet"]).row(0)
    ('tue', 'mon', 'exact', 1.0, False)
    """
    known, header = open_index(folder, near, batch)
    if len(stored := batches_of(folder)) > len(header["batches"]) + 1:
        raise ConfigError(
            f"batch {batch!r} of the index {folder} has later batches, which rest on it; build a "
            "new index to change it"
        )
    shards = [(part, None) if isinstance(part, str | Path) else part for part in parts]
    increment = judge_increment(known, _reader(shards), failing=failing)
    name = batch or f"{len(header['batches']):05}"
    save_batch(folder, (header, name), increment, places_of(shards, increment, folder))
    for replaced in stored[len(header["batches"]) :]:
        shutil.rmtree(folder / replaced["folder"])
    return increment.verdicts


def compare_with_index(
    folder: Path,
    parts: Parts,
    *,
    near: NearDuplicates | None = None,
    failing: Sequence[str] = (),
    batch: str | None = None,
) -> Increment:
    """Judge documents against an index without adding them.

    Args:
        folder: An index.
        parts: Gives frames with `id` and `text`, anew each time it is called.
        near: As in `add_to_index`.
        failing: As in `add_to_index`.
        batch: Name of a batch of the index: it and all later ones count as not there.

    Returns:
        `verdicts` as `add_to_index` returns them, and the verified `pairs` behind them.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> frame = pl.DataFrame({"id": ["old"], "text": ["to be or not to be"]})
    >>> frame.write_parquet(folder / "old.parquet")
    >>> _ = add_to_index(folder / "index", [folder / "old.parquet"])
    >>> new = frame.with_columns(id=pl.lit("new"))
    >>> compare_with_index(folder / "index", lambda: [new]).pairs.row(0)
    ('old', 'new', 'exact', 1.0, 1.0)
    """
    _check_there(folder)
    return judge_increment(open_index(folder, near, batch)[0], parts, failing=failing)


def index_state(folder: Path, *, batch: str | None = None) -> list[str]:
    """A digest of each batch of an index, those before a named one; empty where there is none.

    >>> index_state(Path("no-such-index"))
    []
    """
    return [each["digest"] for each in before(batches_of(folder), batch)]


def index_parts(folder: Path, ids: pl.Series) -> Iterator[pl.DataFrame]:
    """`id`, `text` of those survivors of an index that are asked for, file by file.

    Raises:
        ConfigError: There is no index.
        IntegrityError: A text has changed or is gone.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> frame = pl.DataFrame({"id": ["old"], "text": ["to be or not to be"]})
    >>> frame.write_parquet(folder / "old.parquet")
    >>> _ = add_to_index(folder / "index", [folder / "old.parquet"])
    >>> [part.rows() for part in index_parts(folder / "index", pl.Series(["old", "other"]))]
    [[('old', 'to be or not to be')]]
    """
    _check_there(folder)
    known, _ = open_index(folder, None, None)
    wanted = np.flatnonzero(known.ids.is_in(ids.implode()).to_numpy() & known.stays)
    for numbers, text in known.read(wanted):
        yield pl.DataFrame({"id": known.ids.gather(numbers), "text": text})


def _check_there(folder: Path) -> None:
    if not (folder / "index.json").exists():
        raise ConfigError(f"{folder} is no index of duplicates: it holds no index.json")


def _reader(shards: Sequence[tuple[Path, Path | None]]) -> Parts:
    return lambda: (read_shard(*shard) for shard in shards)
