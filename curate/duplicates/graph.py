"""Connected components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.text.compiler import compiled


@compiled
def components(nodes: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest node of the component of each node, in nearly linear time.

    The smaller root always becomes the parent, so the result depends on the edges alone and
    not on their order.

    Args:
        nodes: Number of nodes.
        left: One end of each edge.
        right: The other end.

    >>> components(5, np.array([3, 1]), np.array([4, 3])).tolist()
    [0, 1, 2, 1, 1]
    """
    parent = np.arange(nodes)
    for edge in range(left.shape[0]):
        a, b = left[edge], right[edge]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for node in range(nodes):  # a parent is smaller than its child, so it is final already
        parent[node] = parent[parent[node]]
    return parent
