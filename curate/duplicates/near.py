"""Near-duplicate candidates: locality-sensitive hashing of MinHash signatures.

Two documents of Jaccard similarity J share at least one of `bands` bands of `rows` entries
with probability 1 - (1 - J^rows)^bands (Leskovec, Rajaraman, Ullman: Mining of Massive
Datasets, 3.4). What is found here is only a candidate; the sets of shingles decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from curate.duplicates.graph import components
from curate.errors import ConfigError, unknown_name
from curate.text.simd import compiled
from curate.text.words import U64

#: Name → (bands, rows). At J = 0.8 they miss 8 %, 0.05 % and 0.0005 % of pairs.
PRESETS = {
    "fineweb": (14, 8),  # FineWeb's own (Penedo et al., 2024)
    "balanced": (25, 6),
    "high_recall": (40, 6),
}

#: Earlier members of a bucket that a document is compared with. A template of a million
#: pages costs a million times this, not a million squared.
_CHAIN = 16

#: A group of likely copies up to this size is compared completely, so that whoever survives
#: is paired with all the others. In a larger one everybody is compared with its hubs, the
#: members that the survivor policy prefers. (By `best_quality`, which is not known yet when
#: pairs are found, hubs are the longest; such a group then keeps about two documents of 100.)
_COMPLETE = 128
_HUBS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """When two documents are near-duplicates, and how hard to look for them.

    Attributes:
        jaccard: Least exact Jaccard similarity of the sets of word 5-grams, in (0, 1].
        preset: `fineweb`, `balanced` or `high_recall`: bands and rows of the candidate search.
        seed: Of the permutations.

    >>> NearDuplicates(jaccard=0.8).permutations
    112
    """

    jaccard: float = 0.8
    preset: str = "fineweb"
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.jaccard <= 1:
            raise ConfigError(f"jaccard = {self.jaccard!r} is no similarity; allowed: (0, 1]")
        if self.preset not in PRESETS:
            raise ConfigError(unknown_name("preset", self.preset, PRESETS))
        if not 0 <= self.seed < 1 << 32:
            raise ConfigError(f"seed = {self.seed!r} is out of range; allowed: 0 to 2^32 - 1")

    @property
    def bands(self) -> int:
        """Parts of a signature, each of which can make a candidate."""
        return PRESETS[self.preset][0]

    @property
    def rows(self) -> int:
        """Signature entries a band."""
        return PRESETS[self.preset][1]

    @property
    def permutations(self) -> int:
        """Entries of a signature."""
        return self.bands * self.rows

    def candidate_probability(self, jaccard: float) -> float:
        """Probability that a pair of this similarity is compared at all.

        >>> near = NearDuplicates(preset="fineweb")
        >>> [round(near.candidate_probability(j), 3) for j in (0.5, 0.8, 0.9)]
        [0.053, 0.924, 1.0]
        """
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


def candidate_pairs(
    signature: NDArray[np.uint32],
    n_shingles: NDArray[np.int64],
    near: NearDuplicates,
    *,
    preference: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of documents that may reach the similarity asked for.

    Args:
        signature: (documents, near.permutations), in document order.
        n_shingles: Size of each document; one with 0 takes no part.
        near: Threshold and bands.
        preference: Smaller for a document that is likelier to survive; by default the longer.

    Returns:
        Earlier and later document of each pair, each pair once, in ascending order.

    >>> from curate.text import signatures
    >>> import polars as pl
    >>> near = NearDuplicates()
    >>> text = pl.Series(["one two three four five six"] * 2 + ["something else altogether"])
    >>> left, right = candidate_pairs(*signatures(text, permutations=112), near)
    >>> left.tolist(), right.tolist()
    ([0], [1])
    """
    documents = len(n_shingles)
    needed = _entries_needed(near)
    order = -n_shingles if preference is None else preference
    keys = np.empty(0, np.int64)
    for band in range(near.bands):
        found = _pairs_of_band(signature, n_shingles, (band * near.rows, near.rows), needed)
        keys = np.union1d(keys, found)  # a band mostly finds what an earlier one found
    likely = ceil(near.jaccard * near.permutations - 1e-9)
    more = _pairs_of_groups(signature, order, keys, (likely, needed))
    keys = np.union1d(keys, more)
    return keys // documents if documents else keys, keys % max(documents, 1)


def _entries_needed(near: NearDuplicates) -> int:
    """Equal entries below which a pair is not worth verifying: five standard errors low."""
    j, k = near.jaccard, near.permutations
    return max(1, ceil((j - 5 * sqrt(j * (1 - j) / k)) * k - 1e-9))


@compiled
def _agreement(signature: NDArray[np.uint32], a: int, b: int) -> int:
    """Equal entries of two signatures."""
    equal = 0
    for k in range(signature.shape[1]):
        equal += signature[a, k] == signature[b, k]
    return equal


@compiled
def _pairs_of_band(
    signature: NDArray[np.uint32],
    n_shingles: NDArray[np.int64],
    band: tuple[int, int],
    needed: int,
) -> NDArray[np.int64]:
    """Pairs (as earlier * documents + later) that share one band and agree well enough.

    An open-addressing table maps a band key to the last document of its bucket; `previous`
    chains to the one before. Documents enter in document order.
    """
    first, rows = band
    documents = signature.shape[0]
    slots = 1
    while slots < 2 * documents:
        slots *= 2
    last = np.full(slots, -1, np.int32)
    previous = np.full(documents, -1, np.int32)
    keys = np.empty(documents, np.uint64)
    pairs = np.empty(1024, np.int64)
    count = 0
    for document in range(documents):
        if n_shingles[document] == 0:
            continue
        key = U64(0x9E3779B97F4A7C15)
        for row in range(first, first + rows):
            key = (key ^ U64(signature[document, row])) * U64(0x9FB21C651E98DF25)
            key ^= key >> U64(32)
        keys[document] = key
        slot = np.int64(key & U64(slots - 1))
        while last[slot] >= 0 and keys[last[slot]] != key:
            slot = (slot + 1) & (slots - 1)
        other = np.int64(last[slot])
        previous[document] = other
        last[slot] = document
        for _ in range(_CHAIN):
            if other < 0:
                break
            if _agreement(signature, document, other) >= needed:
                if count == pairs.shape[0]:
                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                pairs[count] = other * documents + document
                count += 1
            other = np.int64(previous[other])
    return pairs[:count]


def _pairs_of_groups(
    signature: NDArray[np.uint32],
    preference: NDArray[np.float64] | NDArray[np.int64],
    keys: NDArray[np.int64],
    thresholds: tuple[int, int],
) -> NDArray[np.int64]:
    """Further pairs inside groups of likely copies, which chains and bands left out."""
    documents = len(preference)
    if len(keys) == 0:
        return keys
    likely, needed = thresholds
    left, right = keys // documents, keys % documents
    close = _all_agreements(signature, left, right) >= likely
    group = components(documents, left[close], right[close])
    members = np.flatnonzero(np.bincount(group, minlength=documents)[group] > 2)
    members = members[np.lexsort((members, preference[members], group[members]))]
    bounds = np.flatnonzero(np.diff(group[members], prepend=-1, append=-1))
    found: NDArray[np.int64] = _compare_groups(signature, members, bounds, needed)
    return found


@compiled
def _all_agreements(
    signature: NDArray[np.uint32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    agreements = np.empty(left.shape[0], np.int64)
    for pair in range(left.shape[0]):
        agreements[pair] = _agreement(signature, left[pair], right[pair])
    return agreements


@compiled
def _compare_groups(
    signature: NDArray[np.uint32],
    members: NDArray[np.int64],
    bounds: NDArray[np.int64],
    needed: int,
) -> NDArray[np.int64]:
    """Pairs within groups that lie one after the other in `members`, preferred members first."""
    documents = signature.shape[0]
    pairs = np.empty(1024, np.int64)
    count = 0
    for group in range(bounds.shape[0] - 1):
        begin, end = bounds[group], bounds[group + 1]
        hubs = end - begin if end - begin <= _COMPLETE else _HUBS
        for hub in range(begin, begin + hubs):
            for other in range(hub + 1, end):
                a, b = members[hub], members[other]
                if _agreement(signature, a, b) < needed:
                    continue
                if count == pairs.shape[0]:
                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                pairs[count] = min(a, b) * documents + max(a, b)
                count += 1
    return pairs[:count]
