"""The files of an index of duplicates: sketches and places of documents, batch by batch."""

from __future__ import annotations

import hashlib
import json
import os
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
from curate.duplicates.increment import Increment, Known
from curate.duplicates.settings import NearDuplicates
from curate.errors import ConfigError, IntegrityError
from curate.text import SHINGLE_WORDS

__all__ = ["batches_of", "before", "open_index", "places_of", "read_shard", "save_batch"]

_FORMAT = 2
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where the text of each document lies and its digest; empty where it does not stay."""

    path: pl.Series
    edits: pl.Series
    row: NDArray[np.int64]
    digest: pl.Series


def open_index(
    folder: Path, near: NearDuplicates | None, batch: str | None
) -> tuple[Known, dict[str, Any]]:
    """What an index knows before a batch, and its header; a new header where there is no index.

    Args:
        folder: The index.
        near: As it must have been made, or how a new one is; `None` = as it is, or the default.
        batch: Name of a batch; it and all later ones count as not there. `None` = all count.

    Raises:
        ConfigError: The index was made with other parameters.
    """
    path = folder / "index.json"
    if path.exists():
        header = json.loads(path.read_text("utf-8"))
        _check_parameters(path, header["parameters"], near)
        near = NearDuplicates(**header["near"])
        header = {**header, "batches": before(header["batches"], batch)}
    else:
        near = near or NearDuplicates()
        header = {"parameters": _parameters(near), "near": _settings(near), "batches": []}
    homes = [folder / each["folder"] for each in header["batches"]]
    sketches = [pl.read_parquet(home / "sketches.parquet") for home in homes]
    bands = [pl.read_parquet(home / "bands.parquet") for home in homes]
    return _known(
        folder,
        near,
        pl.concat([_SKETCHES.to_frame(), *sketches]),
        pl.concat([_BANDS.to_frame(), *bands]),
    ), header


def _known(folder: Path, near: NearDuplicates, frame: pl.DataFrame, bands: pl.DataFrame) -> Known:
    width = near.permutations
    places = _Places(
        path=frame["path"],
        edits=frame["edits"],
        row=frame["row"].to_numpy(),
        digest=frame["text_digest"],
    )
    return Known(
        near=near,
        ids=frame["id"],
        signature=frame["signature"].cast(pl.Array(pl.UInt32, width)).to_numpy().reshape(-1, width),
        n_shingles=frame["n_shingles"].to_numpy(),
        words_hash=frame.select("words_hash_0", "words_hash_1").to_numpy().reshape(-1, 2),
        words_digest=frame["words_digest"],
        stays=frame["stays"].to_numpy(),
        band_pairs=(bands["earlier"].to_numpy(), bands["later"].to_numpy()),
        read=lambda rows: _texts(folder, frame["id"], places, rows),
    )


def batches_of(folder: Path) -> list[dict[str, str]]:
    """`name`, `folder` and `digest` of each batch, in order."""
    path = folder / "index.json"
    if not path.exists():
        return []
    stored: list[dict[str, str]] = json.loads(path.read_text("utf-8"))["batches"]
    return stored


def before(batches: list[dict[str, str]], batch: str | None) -> list[dict[str, str]]:
    """The batches before a named one; all of them where there is none of this name."""
    names = [each["name"] for each in batches]
    return batches[: names.index(batch)] if batch in names else batches


def read_shard(file: Path, edits: Path | None) -> pl.DataFrame:
    """`id` and `text` of a file, with the edits of another one applied."""
    frame = pl.read_parquet(file, columns=["id", "text"])
    if edits is None:
        return frame
    return frame.with_columns(text=apply_edits(frame, pl.read_parquet(edits)))


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


def places_of(
    shards: Sequence[tuple[Path, Path | None]], increment: Increment, folder: Path
) -> pl.DataFrame:
    """Where the text of each survivor lies, relative to the index."""
    frames, seen = [], 0
    stays = increment.verdicts["stays"]
    for file, edits in shards:
        part = read_shard(file, edits)
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


def save_batch(
    folder: Path, named: tuple[dict[str, Any], str], increment: Increment, places: pl.DataFrame
) -> None:
    """Write the batch, then list it: a crash in between leaves the index as it was."""
    header, batch = named
    taken = {each["folder"] for each in batches_of(folder)}
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
