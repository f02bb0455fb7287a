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

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.clean import apply_edits
from curate.corpus import file_digest, write_atomically
from curate.corpus.storage import write_bytes_atomically
from curate.duplicates.increment import Increment, Known, judge_increment
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.verification import Parts
from curate.errors import ConfigError, IntegrityError
from curate.text import SHINGLE_WORDS

_FORMAT = 2

#: A file of documents, or one with the file of edits that make its texts what was judged.
Shard = Path | tuple[Path, Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where the text of each document lies and its digest; empty where it does not stay."""

    path: pl.Series
    edits: pl.Series
    row: NDArray[np.int64]
    digest: pl.Series


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
    known, header = _open(folder, near, batch)
    if len(stored := _batches(folder)) > len(header["batches"]) + 1:
        raise ConfigError(
            f"batch {batch!r} of the index {folder} has later batches, which rest on it; build a "
            "new index to change it"
        )
    shards = [(part, None) if isinstance(part, str | Path) else part for part in parts]
    increment = judge_increment(known, _reader(shards), failing=failing)
    name = batch or f"{len(header['batches']):05}"
    _save(folder, (header, name), increment, _places_of(shards, increment, folder))
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
    return judge_increment(_open(folder, near, batch)[0], parts, failing=failing)


def index_state(folder: Path, *, batch: str | None = None) -> list[str]:
    """A digest of each batch of an index, those before a named one; empty where there is none.

    >>> index_state(Path("no-such-index"))
    []
    """
    return [each["digest"] for each in _before(_batches(folder), batch)]


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
    known, _ = _open(folder, None, None)
    wanted = np.flatnonzero(known.ids.is_in(ids.implode()).to_numpy() & known.stays)
    for numbers, text in known.read(wanted):
        yield pl.DataFrame({"id": known.ids.gather(numbers), "text": text})


def _check_there(folder: Path) -> None:
    if not (folder / "index.json").exists():
        raise ConfigError(f"{folder} is no index of duplicates: it holds no index.json")


def _batches(folder: Path) -> list[dict[str, str]]:
    """`name`, `folder` and `digest` of each batch, in order."""
    path = folder / "index.json"
    if not path.exists():
        return []
    stored: list[dict[str, str]] = json.loads(path.read_text("utf-8"))["batches"]
    return stored


def _before(batches: list[dict[str, str]], batch: str | None) -> list[dict[str, str]]:
    names = [each["name"] for each in batches]
    return batches[: names.index(batch)] if batch in names else batches


def _reader(shards: Sequence[tuple[Path, Path | None]]) -> Parts:
    return lambda: (_read(*shard) for shard in shards)


def _read(file: Path, edits: Path | None) -> pl.DataFrame:
    frame = pl.read_parquet(file, columns=["id", "text"])
    if edits is None:
        return frame
    return frame.with_columns(text=apply_edits(frame, pl.read_parquet(edits)))


def _open(
    folder: Path, near: NearDuplicates | None, batch: str | None
) -> tuple[Known, dict[str, Any]]:
    path = folder / "index.json"
    if not path.exists():
        near = near or NearDuplicates()
        header: dict[str, Any] = {"parameters": _parameters(near), "near": _settings(near)}
        header["batches"] = []
        frame, bands = _SKETCHES.to_frame(), _BANDS.to_frame()
    else:
        header = json.loads(path.read_text("utf-8"))
        _check_parameters(path, header["parameters"], near)
        near = NearDuplicates(**header["near"])
        batches = _before(header["batches"], batch)
        header = {**header, "batches": batches}
        folders = [folder / each["folder"] for each in batches]
        sketches = [pl.read_parquet(home / "sketches.parquet") for home in folders]
        frame = pl.concat([_SKETCHES.to_frame(), *sketches])
        bands = pl.concat(
            [_BANDS.to_frame(), *(pl.read_parquet(home / "bands.parquet") for home in folders)]
        )
    places = _Places(
        path=frame["path"],
        edits=frame["edits"],
        row=frame["row"].to_numpy(),
        digest=frame["text_digest"],
    )
    width = near.permutations
    signature = frame["signature"].cast(pl.Array(pl.UInt32, width)).to_numpy().reshape(-1, width)
    known = Known(
        near=near,
        ids=frame["id"],
        signature=signature,
        n_shingles=frame["n_shingles"].to_numpy(),
        words_hash=frame.select("words_hash_0", "words_hash_1").to_numpy().reshape(-1, 2),
        words_digest=frame["words_digest"],
        stays=frame["stays"].to_numpy(),
        band_pairs=(bands["earlier"].to_numpy(), bands["later"].to_numpy()),
        read=lambda rows: _texts(folder, frame["id"], places, rows),
    )
    return known, header


def _parameters(near: NearDuplicates) -> dict[str, Any]:
    """All that must agree, or sketches and verdicts of two batches cannot be compared."""
    return {
        "format": _FORMAT,
        "shingle_words": SHINGLE_WORDS,
        "jaccard": near.jaccard,
        "bands": near.bands,
        "rows": near.rows,
        "scheme": near.scheme,
        "seed": near.seed,
    }


def _settings(near: NearDuplicates) -> dict[str, Any]:
    if near.containment is not None or not near.verify:
        raise ConfigError("an index verifies by Jaccard: near.containment and verify = false fail")
    names = ("jaccard", "preset", "recall", "scheme", "seed")
    return {name: getattr(near, name) for name in names}


def _check_parameters(path: Path, stored: dict[str, Any], near: NearDuplicates | None) -> None:
    asked = _parameters(near or NearDuplicates())
    names = asked if near else ("format", "shingle_words")
    other = [
        f"{k} = {stored.get(k)!r}, not {asked[k]!r}" for k in names if stored.get(k) != asked[k]
    ]
    if other:
        raise ConfigError(f"the index {path.parent} was made with {'; '.join(other)}")


_SKETCHES = pl.Schema(
    [
        ("id", pl.String()),
        ("signature", pl.List(pl.UInt32())),
        ("n_shingles", pl.Int64()),
        ("words_hash_0", pl.UInt64()),
        ("words_hash_1", pl.UInt64()),
        ("words_digest", pl.Binary()),
        ("stays", pl.Boolean()),
        ("path", pl.String()),
        ("edits", pl.String()),
        ("row", pl.Int64()),
        ("text_digest", pl.Binary()),
    ]
)
_BANDS = pl.Schema({"earlier": pl.Int64(), "later": pl.Int64()})


def _places_of(
    shards: Sequence[tuple[Path, Path | None]], increment: Increment, folder: Path
) -> pl.DataFrame:
    """Where the text of each survivor lies, relative to the index."""
    frames, seen = [], 0
    stays = increment.verdicts["stays"]
    for file, edits in shards:
        part = _read(file, edits)
        mask = stays.slice(seen, part.height)
        digests = [
            _digest(text) if kept else None for text, kept in zip(part["text"], mask, strict=True)
        ]
        places = (None if p is None else os.path.relpath(p, folder) for p in (file, edits))
        path, changes = (pl.repeat(p, part.height, dtype=pl.String, eager=True) for p in places)
        frame = pl.DataFrame(
            {
                "path": path,
                "edits": changes,
                "row": np.arange(part.height),
                "text_digest": pl.Series(digests, dtype=pl.Binary),
            }
        )
        frames.append(frame)
        seen += part.height
    nothing = _SKETCHES.to_frame().select("path", "edits", "row", "text_digest")
    return pl.concat([nothing, *frames])


def _save(
    folder: Path, named: tuple[dict[str, Any], str], increment: Increment, places: pl.DataFrame
) -> None:
    """Write the batch, then list it: a crash in between leaves the index as it was."""
    header, batch = named
    taken = {each["folder"] for each in _batches(folder)}
    numbers = (f"batch-{number:05}" for number in count(len(header["batches"])))
    name = next(each for each in numbers if each not in taken)
    sketch = increment.sketch
    width = sketch.signature.shape[1]
    frame = pl.DataFrame(
        {
            "id": sketch.ids,
            "signature": pl.Series(sketch.signature, dtype=pl.Array(pl.UInt32, width)).cast(
                pl.List(pl.UInt32)
            ),
            "n_shingles": sketch.n_shingles,
            "words_hash_0": sketch.words_hash[:, 0],
            "words_hash_1": sketch.words_hash[:, 1],
            "words_digest": increment.words_digest,
            "stays": increment.verdicts["stays"],
        }
    )
    earlier, later = increment.band_pairs
    write_atomically(frame.hstack(places).cast(_SKETCHES), folder / name / "sketches.parquet")
    bands = pl.DataFrame({"earlier": earlier, "later": later}, schema=_BANDS)
    write_atomically(bands, folder / name / "bands.parquet")
    digest = file_digest(folder / name / "sketches.parquet")
    entry = {"name": batch, "folder": name, "digest": digest}
    header = {**header, "batches": [*header["batches"], entry]}
    write_bytes_atomically(json.dumps(header, indent=1).encode(), folder / "index.json")


def _texts(
    folder: Path, ids: pl.Series, places: _Places, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], pl.Series]]:
    """Texts of documents of the index, read where they lie, file by file."""
    wanted = pl.DataFrame(
        {
            "number": rows,
            "path": places.path.gather(rows),
            "edits": places.edits.gather(rows),
            "row": places.row[rows],
        }
    )
    for (path, edits), group in wanted.group_by("path", "edits", maintain_order=True):
        files = [None if p is None else folder / str(p) for p in (path, edits)]
        for file in files:
            if file is not None and not file.exists():
                raise IntegrityError(f"the index {folder} points to {file}, which is gone")
        numbers = group["number"].to_numpy()
        text = _rows_of(folder, files, group["row"])
        for number, one in zip(numbers.tolist(), text, strict=True):
            if _digest(one) != places.digest[number]:
                raise IntegrityError(
                    f"the text of {ids[number]!r} in {files[0]} has changed since it was indexed"
                )
        yield numbers, text


def _rows_of(folder: Path, files: Sequence[Path | None], rows: pl.Series) -> pl.Series:
    """Texts of some rows of a file, edited."""
    file, edits = files
    if file is None:
        raise IntegrityError(f"the index {folder} has lost the place of a survivor")
    frame = pl.read_parquet(file, columns=["id", "text"])
    if frame.height <= max(rows):
        raise IntegrityError(f"{file} has lost documents that the index {folder} points to")
    some = frame[rows]
    return some["text"] if edits is None else apply_edits(some, pl.read_parquet(edits))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
