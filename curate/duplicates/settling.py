"""Survivors of large clusters: pairs that were not stored are verified once they matter.

Of a document's near pairs only the nearest are stored. Two documents that both have as many as
are stored may be a pair that is not among them; where both would stay, their words are compared
then. A cluster of n copies costs a multiple of n, whoever of them is eligible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl

from curate.duplicates.settings import NearDuplicates
from curate.duplicates.survivors import preference_order, resolve
from curate.duplicates.verification import PAIRS_SCHEMA, Parts
from curate.errors import IntegrityError
from curate.text import shingle_sets, similarities

#: Near pairs that are stored of each document.
NEAREST = 32

#: Survivors of a cluster that worse members are compared with in each round: 31 in all at most.
#: Mostly the first one has them all. What is not compared is no pair and stays.
_ROUNDS = (1, 2, 4, 8, 16)

#: From `id_a`, `id_b` to those of the pairs that are near-duplicates, as `PAIRS_SCHEMA`.
Compare = Callable[[pl.DataFrame], pl.DataFrame]


def nearest_pairs(pairs: pl.DataFrame, most: int = NEAREST) -> pl.DataFrame:
    """Pairs without the near ones that are among the nearest of neither document.

    Args:
        pairs: `PAIRS_SCHEMA`, sorted by `id_a`, `id_b`; those that are not near all stay.
        most: Near pairs of a document that are kept; ties go to the earlier row.

    >>> pairs = pl.DataFrame({"id_a": ["a", "a", "b"], "id_b": ["b", "c", "c"], "kind": "near",
    ...                       "jaccard": [0.9, 0.8, 0.85], "containment": 0.9})
    >>> nearest_pairs(pairs, 1).select("id_a", "id_b").rows()
    [('a', 'b'), ('b', 'c')]
    """
    numbered = pairs.with_row_index("row")
    near = numbered.filter(pl.col("kind") == "near")
    ends = pl.concat([near.select("row", "jaccard", id=end) for end in ("id_a", "id_b")])
    if ends.is_empty() or ends["id"].value_counts()["count"].max() <= most:  # type: ignore[operator]
        return pairs
    ends = ends.sort("id", "jaccard", "row", descending=[False, True, False])
    first = ends.group_by("id", maintain_order=True).head(most)
    kept = (pl.col("kind") != "near") | pl.col("row").is_in(first["row"].unique().implode())
    return numbered.filter(kept).drop("row")


def settle(
    pairs: pl.DataFrame,
    eligible: pl.DataFrame,
    priority: str = "longest",
    *,
    sources: Sequence[str] = (),
    compare: Compare | None = None,
) -> pl.DataFrame:
    """What `resolve` gives once pairs that were not stored are verified where they matter.

    Args:
        pairs: As in `resolve`.
        eligible: As in `resolve`.
        priority: As in `resolve`.
        sources: As in `resolve`.
        compare: Verifies pairs; see `comparison`. Without it the stored pairs decide.

    >>> pairs = pl.DataFrame({"id_a": ["a"], "id_b": ["b"], "kind": ["near"], "jaccard": [0.9]})
    >>> documents = pl.DataFrame({"id": ["a", "b"], "eligible": [True, True]})
    >>> settle(pairs, documents, "earliest")["duplicate_of"].to_list()
    [None, 'a']
    """
    resolved = resolve(pairs, eligible, priority, sources=sources)
    full = _full(pairs)
    if compare is None or full.is_empty():
        return resolved
    order = preference_order(eligible, priority, sources)
    done = pl.Series("id", [], pl.String)
    for best in _ROUNDS:
        heads, unknown = _unknown((pairs, resolved), (full, order), done, best)
        if heads.is_empty():
            break
        done = pl.concat([done, heads])
        if unknown.height:
            pairs = pl.concat([pairs, compare(unknown).select(pairs.columns)])
            resolved = resolve(pairs, eligible, priority, sources=sources)
    return resolved


def _full(pairs: pl.DataFrame) -> pl.Series:
    """Documents of which pairs may be missing: those with as many as are stored."""
    near = pairs.filter(pl.col("kind") == "near")
    counts = pl.concat([near["id_a"], near["id_b"].alias("id_a")]).value_counts()
    return counts.filter(pl.col("count") >= NEAREST)["id_a"]


def _unknown(
    found: tuple[pl.DataFrame, pl.DataFrame],
    documents: tuple[pl.Series, pl.Series],
    done: pl.Series,
    best: int,
) -> tuple[pl.Series, pl.DataFrame]:
    """The next best that stay of each cluster; their pairs with worse members of it.

    Left out are members that a survivor compared before has as a copy, and pairs that are known.
    """
    (pairs, resolved), (full, order) = found, documents
    members = resolved.with_columns(order=order, row=pl.int_range(pl.len())).filter(
        pl.col("order").is_not_null(), pl.col("id").is_in(full.implode())
    )
    stays = members.filter(pl.col("duplicate_of").is_null()).sort("order")
    several = stays.filter(pl.len().over("cluster_id") > 1)
    fresh = several.filter(~pl.col("id").is_in(done.implode()))
    heads = fresh.group_by("cluster_id", maintain_order=True).head(best)
    known = pairs.select("id_a", "id_b")
    turned = known.select(id_a="id_b", id_b="id_a")
    covered = pl.concat([known, turned]).filter(pl.col("id_a").is_in(done.implode()))["id_b"]
    tails = members.filter(~pl.col("id").is_in(pl.concat([covered, done.alias("id_b")]).implode()))
    both = heads.join(tails, on="cluster_id", suffix="_other").filter(
        pl.col("order") < pl.col("order_other")
    )
    first = pl.col("row") < pl.col("row_other")
    unknown = both.select(
        id_a=pl.when(first).then("id").otherwise("id_other"),
        id_b=pl.when(first).then("id_other").otherwise("id"),
    ).join(known, on=["id_a", "id_b"], how="anti")
    return heads["id"], unknown.sort("id_a", "id_b")


def comparison(parts: Parts, near: NearDuplicates | None) -> Compare | None:
    """Verifies pairs of documents by their words, as the search does.

    Args:
        parts: Gives frames with `id` and `text`, anew each time it is called.
        near: Thresholds; None where there are no near pairs to verify.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["a b c d e f g h", "a b c d e f g h i"]})
    >>> compare = comparison(lambda: [frame], NearDuplicates())
    >>> compare(pl.DataFrame({"id_a": ["a"], "id_b": ["b"]})).row(0)
    ('a', 'b', 'near', 0.8, 1.0)
    """
    if near is None or not near.verify:
        return None
    return partial(_compare, parts, near)


def _compare(parts: Parts, near: NearDuplicates, pairs: pl.DataFrame) -> pl.DataFrame:
    wanted = pl.concat([pairs["id_a"], pairs["id_b"].alias("id_a")]).unique().implode()
    ids, flats, sizes = [], [np.empty(0, np.uint64)], [np.zeros(1, np.int64)]
    for part in parts():
        some = part.filter(pl.col("id").is_in(wanted))
        flat, offsets = shingle_sets(some["text"])
        ids.append(some["id"])
        flats.append(flat)
        sizes.append(np.diff(offsets))
    place = pl.DataFrame({"id": pl.concat(ids)}).with_row_index("place")
    left, right = (
        pairs.select(id=end).join(place, on="id", how="left", maintain_order="left")["place"]
        for end in ("id_a", "id_b")
    )
    if left.null_count() or right.null_count():
        raise IntegrityError("a document of a duplicate pair is not among the parts")
    jaccard, containment = similarities(
        np.concatenate(flats),
        np.cumsum(np.concatenate(sizes)),
        left.cast(pl.Int64).to_numpy(),
        right.cast(pl.Int64).to_numpy(),
    )
    measured = pairs.select("id_a", "id_b").with_columns(
        pl.lit("near").alias("kind"),
        pl.Series("jaccard", jaccard),
        pl.Series("containment", containment),
    )
    enough = pl.col("jaccard") >= near.jaccard
    if near.containment is not None:
        enough |= pl.col("containment") >= near.containment
    return measured.filter(enough).cast(PAIRS_SCHEMA)
