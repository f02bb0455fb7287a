"""Numbers of clusters."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import check_name


def cluster_codes(documents: pl.DataFrame, cluster: str | None) -> NDArray[np.int64]:
    """Number of each document's cluster; its own number where there are no clusters.

    Null is a cluster of its own.

    >>> cluster_codes(pl.DataFrame({"source": ["b", "a", "b"]}), "source").tolist()
    [1, 0, 1]
    """
    if cluster is None:
        return np.arange(documents.height)
    check_name("column", cluster, documents.columns)
    ranks = documents[cluster].cast(pl.String).rank("dense").fill_null(0).to_numpy()
    return np.unique(ranks, return_inverse=True)[1]
