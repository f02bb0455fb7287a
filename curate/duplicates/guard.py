"""A guard against removals that nobody meant."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import ConfigError, GateError


@dataclass(frozen=True, kw_only=True, slots=True)
class WipeOutGuard:
    """When removals as duplicates look like an accident.

    Attributes:
        source_share: Most of a source that may go as duplicates, in (0, 1].
        source_documents: Sources with fewer documents are not looked at.
        cluster_documents: Most documents of one cluster.

    >>> WipeOutGuard(source_share=1.5)
    Traceback (most recent call last):
    curate.errors.ConfigError: source_share = 1.5; allowed: (0, 1]
    """

    source_share: float = 0.9
    source_documents: int = 100
    cluster_documents: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.source_share <= 1:
            raise ConfigError(f"source_share = {self.source_share}; allowed: (0, 1]")
        for name in ("source_documents", "cluster_documents"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}; allowed: 1 or more")


def check_wipe_out(verdicts: pl.DataFrame, guard: WipeOutGuard) -> None:
    """Stop a run whose duplicates take a source, or hang together in one cluster.

    Args:
        verdicts: `source` String, `duplicate_of` String (null = no duplicate), `cluster_id`
            String; where there is a `control`, native documents alone count.
        guard: Limits.

    Raises:
        GateError: A limit is passed; the message names each source and cluster.

    >>> verdicts = pl.DataFrame({"source": "web", "duplicate_of": ["a"] * 150 + [None] * 9,
    ...                          "cluster_id": ["a"] * 151 + [None] * 8})
    >>> check_wipe_out(verdicts, WipeOutGuard())
    Traceback (most recent call last):
    curate.errors.GateError: duplicates look like an accident: source 'web' loses 94% of its
    159 documents, more than 90%
    """
    native = verdicts.filter(pl.col("control").is_null()) if "control" in verdicts else verdicts
    sources = native.group_by("source").agg(
        documents=pl.len(), share=pl.col("duplicate_of").is_not_null().mean()
    )
    lost = sources.filter(
        pl.col("documents") >= guard.source_documents, pl.col("share") > guard.source_share
    ).sort("source")
    clusters = native.drop_nulls("cluster_id").group_by("cluster_id").agg(documents=pl.len())
    large = clusters.filter(pl.col("documents") > guard.cluster_documents).sort("cluster_id")
    found = [
        f"source {source!r} loses {share:.0%} of its {documents:,} documents, "
        f"more than {guard.source_share:.0%}"
        for source, documents, share in lost.iter_rows()
    ] + [
        f"cluster {cluster!r} holds {documents:,} documents, more than {guard.cluster_documents:,}"
        for cluster, documents in large.iter_rows()
    ]
    if found:
        raise GateError(f"duplicates look like an accident: {'; '.join(found)}")
