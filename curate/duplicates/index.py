"""A persistent index: a new batch is compared with everything that was added before.

Under the policy `earliest` a document's verdict depends on earlier documents alone, so batches
that are added one after the other leave the survivors of one run over all of them, however the
sequence was cut. The index keeps sketches of all documents, and of each survivor where its text
lies; no text is copied. It is a folder:

    index.json                 parameters, and the batches in order: what is not named is not there
    batch-00000/sketches.parquet   a row a document
    batch-00000/bands.parquet      pairs that share a band, by document number

Adding holds about 0.6 KB of memory for each document of the index.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.corpus import write_atomically
from curate.corpus.storage import write_bytes_atomically
from curate.duplicates.increment import Increment, Known, judge_increment
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.verification import Parts
from curate.errors import ConfigError, IntegrityError
from curate.text import SHINGLE_WORDS

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where the text of each document lies and its digest; empty where it does not stay."""

    path: pl.Series
    row: NDArray[np.int64]
    digest: pl.Series


def add_to_index(
    folder: Path,
    parts: Sequence[Path],
    *,
    near: NearDuplicates | None = None,
    failing: Sequence[str] = (),
) -> pl.DataFrame:
    """Judge a batch against an index, and add it as the index's last batch.

    Args:
        folder: The index; made if missing.
        parts: Parquet files with `id` and `text`, in document order. The files of survivors must
            stay where they are: their text is read again when a later batch has a likely copy.
        near: What counts as near; must be that of the index. By default it is, or for a new
            index 0.8 with 14 x 8 bands.
        failing: Ids of documents that fail some other rule and cannot survive.

    Returns:
        One row a document of the batch: `id`, `duplicate_of` String (null where it has no copy
        that stays), `kind` "exact" or "near", `jaccard` Float64, `stays` Boolean.

    Raises:
        ConfigError: The index was made with other parameters.
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
    known, header = _open(folder, near)
    files = [Path(path) for path in parts]
    increment = judge_increment(known, _reader(files), failing=failing)
    _save(folder, header, increment, _places_of(files, increment, folder))
    return increment.verdicts


def compare_with_index(
    folder: Path,
    parts: Parts,
    *,
    near: NearDuplicates | None = None,
    failing: Sequence[str] = (),
) -> Increment:
    """Judge documents against an index without adding them.

    Args:
        folder: An index.
        parts: Gives frames with `id` and `text`, anew each time it is called.
        near: As in `add_to_index`.
        failing: As in `add_to_index`.

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
    if not (folder / "index.json").exists():
        raise ConfigError(f"{folder} is no index of duplicates: it holds no index.json")
    return judge_increment(_open(folder, near)[0], parts, failing=failing)


def _reader(files: Sequence[Path]) -> Parts:
    return lambda: (pl.read_parquet(file, columns=["id", "text"]) for file in files)


def _open(folder: Path, near: NearDuplicates | None) -> tuple[Known, dict[str, Any]]:
    path = folder / "index.json"
    if not path.exists():
        near = near or NearDuplicates()
        header = {"parameters": _parameters(near), "near": _settings(near), "batches": []}
        frame, bands = _SKETCHES.to_frame(), _BANDS.to_frame()
    else:
        header = json.loads(path.read_text("utf-8"))
        _check_parameters(path, header["parameters"], near)
        near = NearDuplicates(**header["near"])
        folders = [folder / name for name in header["batches"]]
        frame = pl.concat([pl.read_parquet(batch / "sketches.parquet") for batch in folders])
        bands = pl.concat([pl.read_parquet(batch / "bands.parquet") for batch in folders])
    places = _Places(path=frame["path"], row=frame["row"].to_numpy(), digest=frame["text_digest"])
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
        ("row", pl.Int64()),
        ("text_digest", pl.Binary()),
    ]
)
_BANDS = pl.Schema({"earlier": pl.Int64(), "later": pl.Int64()})


def _places_of(files: Sequence[Path], increment: Increment, folder: Path) -> pl.DataFrame:
    """Where the text of each survivor lies, relative to the index."""
    frames, seen = [], 0
    stays = increment.verdicts["stays"]
    for file in files:
        part = pl.read_parquet(file, columns=["text"])
        mask = stays.slice(seen, part.height)
        digests = [
            _digest(text) if kept else None for text, kept in zip(part["text"], mask, strict=True)
        ]
        place = os.path.relpath(file, folder)
        frame = pl.DataFrame(
            {
                "path": pl.repeat(place, part.height, dtype=pl.String, eager=True),
                "row": np.arange(part.height),
                "text_digest": pl.Series(digests, dtype=pl.Binary),
            }
        )
        frames.append(frame)
        seen += part.height
    nothing = _SKETCHES.to_frame().select("path", "row", "text_digest")
    return pl.concat([nothing, *frames])


def _save(folder: Path, header: dict[str, Any], increment: Increment, places: pl.DataFrame) -> None:
    """Write the batch, then name it: a crash in between leaves the index as it was."""
    name = f"batch-{len(header['batches']):05}"
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
    header = {**header, "batches": [*header["batches"], name]}
    write_bytes_atomically(json.dumps(header, indent=1).encode(), folder / "index.json")


def _texts(
    folder: Path, ids: pl.Series, places: _Places, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], pl.Series]]:
    """Texts of documents of the index, read where they lie, file by file."""
    wanted = pl.DataFrame(
        {"number": rows, "path": places.path.gather(rows), "row": places.row[rows]}
    )
    for (path,), group in wanted.group_by("path", maintain_order=True):
        file = folder / str(path)
        if not file.exists():
            raise IntegrityError(f"the index {folder} points to {file}, which is gone")
        text = pl.read_parquet(file, columns=["text"])["text"]
        numbers = group["number"].to_numpy()
        if len(text) <= int(group["row"].max()):  # type: ignore[arg-type]
            raise IntegrityError(f"{file} has lost documents that the index {folder} points to")
        found = text.gather(group["row"])
        for number, one in zip(numbers.tolist(), found, strict=True):
            if _digest(one) != places.digest[number]:
                raise IntegrityError(
                    f"the text of {ids[number]!r} in {file} has changed since it was indexed"
                )
        yield numbers, found


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
