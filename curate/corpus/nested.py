"""Dotted names of columns: `doc.content` is the field `content` of the column `doc`.

A column that a dotted name reaches into is split: its fields become columns `doc.<field>`, and the
column itself goes, so that no text is carried twice. A column that is itself called `doc.content`
comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from curate.corpus.inputs import InputConfig

__all__ = ["nested_names", "reaches", "split_record", "split_table"]


def nested_names(config: InputConfig) -> tuple[str, ...]:
    """The dotted names among the columns that a config names.

    >>> nested_names(InputConfig(path="a", text="doc.content", source="site"))
    ('doc.content',)
    """
    named = (config.text, config.id, config.source)
    return tuple(name for name in named if name and "." in name)


def reaches(name: str, paths: Iterable[str]) -> bool:
    """Whether splitting columns for some dotted names may make a column of this name too.

    >>> reaches("doc.lang", ["doc.content"]), reaches("meta.lang", ["doc.content"])
    (True, False)
    """
    parent = name.rpartition(".")[0]
    return bool(parent) and any(path.startswith(f"{parent}.") for path in paths)


def split_record(record: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """A JSON object with the objects that dotted names reach into split.

    >>> split_record({"doc": {"content": "a", "lang": "en"}, "n": 1}, ["doc.content"])
    {'doc.content': 'a', 'doc.lang': 'en', 'n': 1}
    """
    for path in paths:
        for head in _heads(path):
            if path in record or not isinstance(record.get(head), dict):
                continue
            fields = {f"{head}.{key}": value for key, value in record[head].items()}
            split: dict[str, Any] = {}
            for key, value in record.items():
                split |= fields if key == head else {key: value}
            record = split
    return record


def split_table(table: pa.Table, paths: Iterable[str]) -> pa.Table:
    """An Arrow table with the struct columns that dotted names reach into split.

    >>> rows = pa.table({"doc": [{"content": "a", "lang": "en"}, None]})
    >>> split_table(rows, ["doc.content"]).to_pydict()
    {'doc.content': ['a', None], 'doc.lang': ['en', None]}
    """
    for path in paths:
        for head in _heads(path):
            names = table.column_names
            if path in names or head not in names:
                continue
            place = names.index(head)
            kind = table.schema.field(place).type
            if not pa.types.is_struct(kind):
                continue
            fields = zip(kind, table.column(place).flatten(), strict=True)
            table = table.remove_column(place)
            for shift, (field, values) in enumerate(fields):
                table = table.add_column(place + shift, f"{head}.{field.name}", values)
    return table


def _heads(path: str) -> Iterator[str]:
    """`a`, `a.b` of `a.b.c`."""
    parts = path.split(".")
    for depth in range(1, len(parts)):
        yield ".".join(parts[:depth])
