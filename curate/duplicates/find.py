"""Duplicates in one call, for a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.duplicates.index import compare_with_index
from curate.duplicates.pairs import DuplicatesConfig, find_pairs
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.settling import comparison, settle
from curate.duplicates.survivors import SURVIVOR_POLICIES
from curate.errors import ConfigError
from curate.frames import polars_frame

_PART_ROWS = 5_000  # of a LazyFrame, held at once
_DEFAULT = NearDuplicates()


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """The duplicates of a corpus.

    Attributes:
        pairs: The evidence: `id_a`, `id_b`, `kind`, `jaccard`, `containment`.
        removed: What the survivor policy removes: `id`, `kept_id`, `kind`, `jaccard`, in
            document order.
        documents: How many documents were compared.
    """

    pairs: pl.DataFrame
    removed: pl.DataFrame
    documents: int

    def _repr_html_(self) -> str:
        exact = (self.pairs["kind"] == "exact").sum()
        return (
            f"<p>{self.removed.height:,} of {self.documents:,} documents have a duplicate that "
            f"stays; {exact:,} exact and {self.pairs.height - exact:,} near pairs, all verified."
            f"</p>{self.removed._repr_html_()}"
        )


def find_duplicates(
    documents: pl.DataFrame | pl.LazyFrame,
    near: NearDuplicates | None = _DEFAULT,
    *,
    survivor: str = "longest",
    sources: tuple[str, ...] = (),
    against: str | Path | None = None,
) -> Duplicates:
    """Find exact and near duplicates and choose which documents stay.

    Args:
        documents: `id` String unique, `text` String without nulls; `control`, `source` and
            `quality` where the policy needs them. A LazyFrame is read in batches, its text is
            never in memory as a whole.
        near: Threshold and effort; by default Jaccard 0.8 of word 5-grams. None looks for exact
            duplicates only.
        survivor: `longest`, `best_quality`, `earliest` or `source_priority`.
        sources: Sources from the best to the worst, for `source_priority`.
        against: Folder of an index (see `add_to_index`): its survivors come first, and `kept_id`
            may name one of them. Needs `survivor="earliest"`; the index is not changed.

    Raises:
        ConfigError: A column is missing, an option is unknown, or the index has other parameters.
        InputError: An id occurs twice, or a text is null.

    >>> words = "a cluster of copies keeps one document and names it for all the others"
    >>> documents = pl.DataFrame({"id": ["a", "b", "c"], "text": [words, words + " too", "new"]})
    >>> find_duplicates(documents).removed.rows()
    [('a', 'b', 'near', 0.9090909090909091)]
    """
    config = DuplicatesConfig(near=near, survivor=survivor, sources=sources)
    documents = polars_frame(documents)
    _check_columns(documents.lazy(), survivor)
    if against is not None:
        return _against(documents, config, Path(against))
    pairs = find_pairs(lambda: _parts(documents), config)
    columns = _priority_columns(documents.lazy())
    compare = comparison(lambda: _parts(documents), near)
    resolved = settle(pairs, columns, survivor, sources=sources, compare=compare)
    removed = resolved.filter(pl.col("duplicate_of").is_not_null()).select(
        "id", "kind", "jaccard", kept_id="duplicate_of"
    )
    return Duplicates(
        pairs=pairs,
        removed=removed.select("id", "kept_id", "kind", "jaccard"),
        documents=columns.height,
    )


def _against(
    documents: pl.DataFrame | pl.LazyFrame, config: DuplicatesConfig, index: Path
) -> Duplicates:
    if config.survivor != "earliest" or config.near is None:
        raise ConfigError(
            "against compares with documents that stay: pass survivor='earliest', and a `near`"
        )
    found = compare_with_index(index, lambda: _parts(documents), near=config.near)
    removed = found.verdicts.filter(pl.col("duplicate_of").is_not_null())
    return Duplicates(
        pairs=found.pairs,
        removed=removed.select("id", "kind", "jaccard", kept_id="duplicate_of").select(
            "id", "kept_id", "kind", "jaccard"
        ),
        documents=found.verdicts.height,
    )


def _check_columns(documents: pl.LazyFrame, survivor: str) -> None:
    schema = documents.collect_schema()
    columns = schema.names()
    read = SURVIVOR_POLICIES[survivor]
    needed = ["id", "text", *([read] if read and survivor != "longest" else [])]
    missing = [column for column in needed if column not in columns]
    if missing:
        raise ConfigError(f"column {missing[0]!r} is missing; there are: {', '.join(columns)}")
    for name in ("id", "text"):
        if schema[name] not in (pl.String, pl.Null):
            raise ConfigError(
                f"column {name!r} is {schema[name]}; it must be text, e.g. by "
                f"pl.col({name!r}).cast(pl.String)"
            )


def _parts(documents: pl.DataFrame | pl.LazyFrame) -> Iterator[pl.DataFrame]:
    if isinstance(documents, pl.DataFrame):
        yield documents
        return
    yield from documents.select("id", "text").collect_batches(
        chunk_size=_PART_ROWS, maintain_order=True
    )


def _priority_columns(documents: pl.LazyFrame) -> pl.DataFrame:
    carried = [c for c in ("control", "source", "quality") if c in documents.collect_schema()]
    text_chars = pl.col("text").str.len_chars().cast(pl.Int64)
    return documents.select("id", *carried, text_chars=text_chars, eligible=pl.lit(True)).collect()
