"""Who survives of each cluster of duplicates: a pure function of the verified pairs.

A cluster is a connected component of the pairs, and a chain A~B~C joins documents that have
little in common. So a cluster only gives a name and a size; a document is removed for one
reason alone: it has a verified pair with a document that stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.graph import components
from curate.errors import ConfigError, InputError, check_name
from curate.text.compiler import compiled

#: Policy → the column that it reads (None: document order is enough).
SURVIVOR_POLICIES: dict[str, str | None] = {
    "longest": "text_chars",
    "best_quality": "quality",
    "earliest": None,
    "source_priority": "source",
}

_NOBODY = np.iinfo(np.int64).max  # the rank of a document that cannot survive


@dataclass(frozen=True, kw_only=True, slots=True)
class _Graph:
    """Verified pairs by the numbers of their documents.

    Attributes:
        ids: Ids of the documents asked about in document order, then of those that only the
            pairs name.
        class_of: Smallest document of the exact class of each document.
        cluster_of: Smallest document of the component of each document.
        left: One class of each near pair.
        right: The other class.
        jaccard: Similarity of each near pair.
    """

    ids: pl.Series
    class_of: NDArray[np.int64]
    cluster_of: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    jaccard: NDArray[np.float64]


def clusters(pairs: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """The cluster of each document: connected components of all pairs given.

    Args:
        pairs: `id_a`, `id_b`, `kind`, `jaccard`, as `find_pairs` gives them.
        ids: Ids of the documents asked about.

    Returns:
        `id`, `cluster_id` String (the smallest id of the component), `cluster_size` Int64, in
        the order of `ids`; both null for a document without pairs. Documents that only
        `pairs` name count as members.

    >>> pairs = pl.DataFrame({"id_a": ["x", "b"], "id_b": ["b", "a"],
    ...                       "kind": ["near", "near"], "jaccard": [0.9, 0.8]})
    >>> clusters(pairs, pl.Series(["x", "b", "z", "a"])).rows()
    [('x', 'a', 3), ('b', 'a', 3), ('z', None, None), ('a', 'a', 3)]
    """
    graph = _graph(pairs, ids)
    return _named_clusters(graph).head(len(ids))


def resolve(
    pairs: pl.DataFrame,
    eligible: pl.DataFrame,
    priority: str = "longest",
    *,
    sources: Sequence[str] = (),
) -> pl.DataFrame:
    """Choose the survivors of every cluster and name the duplicates of each.

    Eligible documents are taken from the best to the worst: native ones before controls, then
    by the policy, then in document order. Each stays unless it has a pair with one that stays
    already. Then every other document, eligible or not, that has a pair with one that stays is
    its duplicate; of several, the most similar is named, of equals the best. No native
    document is ever the duplicate of a control, and controls neither join nor name clusters of
    native ones, so they change no native verdict.

    All members of an exact class have a pair with each other, and a near pair between two
    documents holds for all members of their classes. Where `pairs` were filtered to near ones,
    the classes are unknown: their later members have no pairs and stay.

    Args:
        pairs: `id_a`, `id_b`, `kind`, `jaccard`, as `find_pairs` gives them; any subset of the
            kinds. A document that only pairs name belongs to its cluster but cannot survive.
        eligible: One row a document in document order: `id`, `eligible` Boolean (fails no
            other rule), the column that the policy reads, optionally `control` String.
        priority: `longest` (greatest `text_chars`), `best_quality` (greatest `quality`),
            `earliest` (document order) or `source_priority` (`source`, by its place in
            `sources`). Null and NaN come last.
        sources: Sources from the best to the worst; unlisted ones follow.

    Returns:
        Same rows, same order: `id`, `cluster_id` String, `cluster_size` Int64 (null without
        pairs), `duplicate_of` String, `kind` String and `jaccard` Float64 of the pair with the
        document that stays (null where the document stays).

    Raises:
        ConfigError: An unknown policy, or a column that it reads is missing.
        InputError: An id occurs twice.

    >>> pairs = pl.DataFrame({"id_a": ["long", "long"], "id_b": ["copy", "more"],
    ...                       "kind": ["exact", "near"], "jaccard": [1.0, 0.9]})
    >>> documents = pl.DataFrame({"id": ["long", "copy", "more"], "text_chars": [90, 90, 95]})
    >>> resolve(pairs, documents.with_columns(eligible=True))["duplicate_of"].to_list()
    ['more', 'more', None]
    >>> eligible = pl.Series("eligible", [True, True, False])
    >>> resolve(pairs, documents.with_columns(eligible))["duplicate_of"].to_list()
    [None, 'long', 'long']
    """
    _check(eligible, priority)
    graph = _graph(pairs, eligible["id"])
    rank = _ranks(eligible, priority, sources, nodes=len(graph.ids))
    native = np.zeros(len(graph.ids), np.bool_)
    native[: eligible.height] = _is_native(eligible)
    target, jaccard = _targets(graph, rank, native)
    removed = target >= 0
    exact = graph.class_of[target] == graph.class_of
    ids = graph.ids.gather(np.where(removed, target, 0))
    verdict = pl.DataFrame(
        {
            "duplicate_of": ids,
            "kind": pl.Series(np.where(exact, "exact", "near"), dtype=pl.String),
            "jaccard": jaccard,
        }
    )
    masked = verdict.select(pl.when(pl.lit(pl.Series(removed))).then(pl.all()))
    named = _native_clusters(pairs, eligible, _named_clusters(graph).head(eligible.height))
    return pl.concat([named, masked.head(eligible.height)], how="horizontal")


def _native_clusters(
    pairs: pl.DataFrame, eligible: pl.DataFrame, whole: pl.DataFrame
) -> pl.DataFrame:
    """Native documents are joined by native documents alone: controls change no name or size."""
    native = pl.Series(_is_native(eligible))
    if native.all():
        return whole
    controls = eligible["id"].filter(~native).cast(pl.String).implode()
    apart = pairs.filter(~pl.col("id_a").is_in(controls), ~pl.col("id_b").is_in(controls))
    own = clusters(apart, eligible["id"])
    return own.select(
        "id",
        *(
            pl.when(pl.lit(native)).then(pl.col(name)).otherwise(whole[name]).alias(name)
            for name in ("cluster_id", "cluster_size")
        ),
    )


def _check(eligible: pl.DataFrame, priority: str) -> None:
    check_name("survivor policy", priority, SURVIVOR_POLICIES)
    needed = ["id", "eligible"]
    column = SURVIVOR_POLICIES[priority]
    missing = [c for c in (*needed, *([column] if column else [])) if c not in eligible.columns]
    if missing:
        raise ConfigError(
            f"survivor policy {priority!r} reads column {missing[0]!r}; "
            f"there are: {', '.join(eligible.columns)}"
        )


def _graph(pairs: pl.DataFrame, ids: pl.Series) -> _Graph:
    every = _every_id(pairs, ids)
    numbers = pl.DataFrame({"id": every, "number": np.arange(len(every))})
    left, right = (_numbers(pairs[column], numbers) for column in ("id_a", "id_b"))
    exact = (pairs["kind"] == "exact").to_numpy()
    class_of = components(len(every), left[exact], right[exact])
    return _Graph(
        ids=every,
        class_of=class_of,
        cluster_of=components(len(every), left, right),
        left=class_of[left[~exact]],
        right=class_of[right[~exact]],
        jaccard=pairs["jaccard"].to_numpy()[~exact],
    )


def _every_id(pairs: pl.DataFrame, ids: pl.Series) -> pl.Series:
    if ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated())[0]
        raise InputError(f"id {repeated!r} occurs more than once, but ids must be unique")
    named = pl.concat([pairs["id_a"].alias("id"), pairs["id_b"].alias("id")]).unique()
    others = named.filter(~named.is_in(ids.implode())).sort()
    return pl.concat([ids.alias("id").cast(pl.String), others])


def _numbers(ids: pl.Series, numbers: pl.DataFrame) -> NDArray[np.int64]:
    joined = ids.alias("id").to_frame().join(numbers, on="id", how="left", maintain_order="left")
    return joined["number"].to_numpy().astype(np.int64)


def _named_clusters(graph: _Graph) -> pl.DataFrame:
    frame = pl.DataFrame({"id": graph.ids, "cluster": graph.cluster_of})
    smallest = pl.col("id").min().over("cluster")
    size = pl.len().over("cluster").cast(pl.Int64)
    several = pl.len().over("cluster") > 1
    return frame.select(
        "id",
        cluster_id=pl.when(several).then(smallest),
        cluster_size=pl.when(several).then(size),
    )


def _is_native(eligible: pl.DataFrame) -> NDArray[np.bool_]:
    if "control" not in eligible.columns:
        return np.ones(eligible.height, np.bool_)
    return eligible["control"].is_null().to_numpy()


def _ranks(
    eligible: pl.DataFrame, priority: str, sources: Sequence[str], *, nodes: int
) -> NDArray[np.int64]:
    """Place of each document in the order of preference; _NOBODY where it cannot survive."""
    rank = np.full(nodes, _NOBODY)
    order = preference_order(eligible, priority, sources)
    rank[: len(order)] = order.fill_null(_NOBODY).to_numpy()
    return rank


def preference_order(eligible: pl.DataFrame, priority: str, sources: Sequence[str]) -> pl.Series:
    """Place of each document among those that can survive, the best first; null where it cannot.

    >>> frame = pl.DataFrame({"eligible": [True, False, True], "text_chars": [5, 9, 7]})
    >>> preference_order(frame, "longest", ()).to_list()
    [1, None, 0]
    """
    best_first = eligible.select(
        "eligible",
        control=pl.lit(pl.Series(~_is_native(eligible))),
        preference=preference(priority, sources),
        row=pl.int_range(pl.len()),
    ).filter("eligible")
    order = best_first.sort("control", "preference", "row", nulls_last=True).select(
        "row", place=pl.int_range(pl.len(), dtype=pl.Int64)
    )
    rows = eligible.select(row=pl.int_range(pl.len()))
    return rows.join(order, on="row", how="left", maintain_order="left")["place"]


def preference(priority: str, sources: Sequence[str]) -> pl.Expr:
    """A key that is smaller for a document that the policy prefers; null comes last.

    >>> frame = pl.DataFrame({"source": ["web", "books", "mail"]})
    >>> frame.select(preference("source_priority", ["books", "web"])).to_series().to_list()
    [1, 0, None]
    """
    column = SURVIVOR_POLICIES[priority]
    if column is None:
        return pl.lit(0)
    if priority == "source_priority":
        places = {source: place for place, source in enumerate(dict.fromkeys(sources))}
        return pl.col(column).replace_strict(places, default=None, return_dtype=pl.Int64)
    return -pl.col(column).cast(pl.Float64).fill_nan(None)


def _targets(
    graph: _Graph, rank: NDArray[np.int64], native: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each document the one that stays in its place and their similarity; -1 for none."""
    nodes = len(graph.ids)
    best = np.full(nodes, _NOBODY)
    np.minimum.at(best, graph.class_of, rank)
    document_at = np.full(nodes, -1)
    document_at[rank[rank != _NOBODY]] = np.flatnonzero(rank != _NOBODY)
    keeper = _keepers(best, document_at, _neighbours(nodes, graph.left, graph.right))
    any_kept = _most_similar(graph, keeper, rank)
    native_keeper = np.where((keeper >= 0) & native[keeper], keeper, -1)
    native_kept = _most_similar(graph, native_keeper, rank)
    target, jaccard = (
        np.where(native, of_native[graph.class_of], of_any[graph.class_of])
        for of_native, of_any in zip(native_kept, any_kept, strict=True)
    )
    stays = target == np.arange(nodes)
    return np.where(stays, -1, target), jaccard


def _neighbours(
    nodes: int, left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours of all nodes one after the other, and where those of each node begin."""
    one, other = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.argsort(one, kind="stable")
    begins = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(one, minlength=nodes), out=begins[1:])
    return other[order], begins


def _keepers(
    best: NDArray[np.int64],
    document_at: NDArray[np.int64],
    neighbours: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """The document that stays of each class, or -1.

    Only the best eligible document of a class can stay; classes are taken in the order of
    theirs, and a class with a neighbour that stays has none.
    """
    order = np.argsort(best, kind="stable")
    order = order[best[order] != _NOBODY]
    kept = _greedy(order, *neighbours)
    return np.where(kept, document_at[np.where(kept, best, 0)], -1)


@compiled
def _greedy(
    order: NDArray[np.int64], neighbour: NDArray[np.int64], begins: NDArray[np.int64]
) -> NDArray[np.bool_]:
    kept = np.zeros(begins.shape[0] - 1, np.bool_)
    for node in order:
        free = True
        for i in range(begins[node], begins[node + 1]):
            if kept[neighbour[i]]:
                free = False
                break
        kept[node] = free
    return kept


def _most_similar(
    graph: _Graph, keeper: NDArray[np.int64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each class the most similar document that stays, and its similarity.

    That of its own class has similarity 1; then the near neighbours, ties by rank.
    """
    target = keeper.copy()
    similarity = np.where(keeper >= 0, 1.0, 0.0)
    one = np.concatenate([graph.left, graph.right])
    other = keeper[np.concatenate([graph.right, graph.left])]
    jaccard = np.concatenate([graph.jaccard, graph.jaccard])
    usable = (other >= 0) & (target[one] < 0)
    one, other, jaccard = one[usable], other[usable], jaccard[usable]
    order = np.lexsort((-rank[other], jaccard, one))  # the best of each class comes last
    target[one[order]] = other[order]
    similarity[one[order]] = jaccard[order]
    return target, similarity
