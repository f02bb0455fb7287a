"""The curated folder described in Croissant 1.0 (JSON-LD), with its responsible-AI fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.corpus.storage import file_digest, write_bytes_atomically

RAI = "http://mlcommons.org/croissant/RAI/1.0"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "includes": "cr:includes",
    "md5": "cr:md5",
    "recordSet": "cr:recordSet",
    "repeated": "cr:repeated",
    "source": "cr:source",
}
_SPLITS = {"train": "data", "removed": "removed"}


def write_croissant(folder: Path, parts: Sequence[Path], fields: Mapping[str, str]) -> Path:
    """Write `croissant.json` beside the card: files with digests, columns, and `rai:` fields.

    Args:
        folder: The curated folder.
        parts: Its parquet files; those without a row are left out.
        fields: Texts of the responsible-AI vocabulary, `rai:…` → text.

    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> (home / "data").mkdir()
    >>> part = home / "data" / "train-00000-of-00001.parquet"
    >>> pl.DataFrame({"id": ["a"], "text": ["b"]}).write_parquet(part)
    >>> found = json.loads(write_croissant(home, [part], {"rai:dataBiases": "none"}).read_text())
    >>> found["rai:dataBiases"], [f["name"] for f in found["recordSet"][0]["field"]]
    ('none', ['id', 'text'])
    """
    there = [p for p in parts if pl.scan_parquet(p).select(pl.len()).collect().item()]
    splits = {name: [p for p in there if p.parent.name == home] for name, home in _SPLITS.items()}
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", RAI],
        "name": "curated-corpus",
        "description": "Kept and removed documents of a curated corpus; see README.md.",
        "distribution": [
            *(_file(folder, path) for path in there),
            *(_file_set(name) for name, files in splits.items() if files),
        ],
        "recordSet": [_records(name, files[0]) for name, files in splits.items() if files],
        **fields,
    }
    path = folder / "croissant.json"
    text = json.dumps(described, indent=2, ensure_ascii=False)
    write_bytes_atomically(text.encode(), path)
    return path


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": file_digest(path),
    }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "encodingFormat": "application/x-parquet",
        "includes": f"{_SPLITS[split]}/{split}-*.parquet",
    }


def _records(split: str, part: Path) -> dict[str, Any]:
    """Columns of one split."""
    schema = pl.scan_parquet(part).collect_schema()
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "field": [_column(split, name, dtype) for name, dtype in schema.items()],
    }


def _column(split: str, column: str, dtype: pl.DataType) -> dict[str, Any]:
    inner = dtype.inner if isinstance(dtype, pl.List) else dtype
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{split}/{column}",
        "name": column,
        "dataType": _kind(inner),
        "source": {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": column}},
    }
    return found | {"repeated": True} if isinstance(dtype, pl.List) else found


def _kind(dtype: Any) -> str:  # noqa: ANN401 - polars types are classes or instances
    if dtype == pl.Boolean:
        return "sc:Boolean"
    if dtype.is_numeric():
        return "sc:Integer" if dtype.is_integer() else "sc:Float"
    return "sc:Text"
