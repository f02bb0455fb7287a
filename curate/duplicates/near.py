"""Near-duplicate candidates: locality-sensitive hashing of MinHash signatures.

Two documents of Jaccard similarity J share at least one of `bands` bands of `rows` entries
with probability 1 - (1 - J^rows)^bands (Leskovec, Rajaraman, Ullman: Mining of Massive
Datasets, 3.4). What is found here is only a candidate; the sets of shingles decide.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from curate.duplicates.graph import components
from curate.duplicates.pages import turns
from curate.duplicates.settings import NearDuplicates
from curate.text.compiler import compiled
from curate.text.words import U64

#: Earlier members of a bucket that a document is compared with. A template of a million
#: pages costs a million times this, not a million squared.
CHAIN = 16

#: A group of likely copies up to this size is compared completely, so that whoever survives
#: is paired with all the others. In a larger one everybody is compared with its hubs, the
#: members that the survivor policy prefers. (By `best_quality`, which is not known yet when
#: pairs are found, hubs are the longest; such a group then keeps about two documents of 100.)
_COMPLETE = 128
_HUBS = 32

#: Earliest partners that a document remembers, where the earliest survives. Whoever finds the
#: document later is compared with these as well.
_LEADERS = 16


def candidate_pairs(
    signature: NDArray[np.uint32],
    n_shingles: NDArray[np.int64],
    near: NearDuplicates,
    *,
    preference: NDArray[np.float64] | None = None,
    band_pairs: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of documents that may reach the similarity asked for.

    Args:
        signature: (documents, near.permutations), in document order.
        n_shingles: Size of each document; one with 0 takes no part.
        near: Threshold and bands.
        preference: Smaller for a document that is likelier to survive. By default the earlier
            one is, and then the pairs among the first documents do not depend on later ones.
        band_pairs: What `pairs_of_bands` gives, where it is known already.

    Returns:
        Earlier and later document of each pair, each pair once, in ascending order.

    >>> from curate.text import sketch
    >>> import polars as pl
    >>> near = NearDuplicates()
    >>> text = pl.Series(["one two three four five six"] * 2 + ["something else altogether"])
    >>> made = sketch(text, permutations=112)
    >>> left, right = candidate_pairs(made.signature, made.n_shingles, near)
    >>> left.tolist(), right.tolist()
    ([0], [1])
    """
    documents = len(n_shingles)
    needed = entries_needed(near)
    keys = pairs_of_bands(signature, n_shingles, near) if band_pairs is None else band_pairs
    if preference is None:
        more = _pairs_with_leaders(signature, keys, needed)
    else:
        likely = ceil(near.jaccard * near.permutations - 1e-9)
        more = _pairs_of_groups(signature, preference, keys, (likely, needed))
    keys = np.union1d(keys, more)
    left, right = keys // documents if documents else keys, keys % max(documents, 1)
    return (left, right) if preference is not None else _few_earlier(signature, left, right)


def pairs_of_bands(
    signature: NDArray[np.uint32],
    n_shingles: NDArray[np.int64],
    near: NearDuplicates,
    *,
    known: int = 0,
) -> NDArray[np.int64]:
    """Pairs that share a band and agree well enough, as earlier * documents + later, sorted.

    Args:
        signature: (documents, near.permutations), in document order.
        n_shingles: Size of each document; one with 0 takes no part.
        near: Threshold and bands.
        known: Pairs among the first `known` documents are left out.

    >>> values = np.array([[1, 2], [1, 2], [3, 2]], np.uint32)
    >>> near = NearDuplicates(jaccard=0.1, preset="fineweb")
    >>> pairs_of_bands(np.tile(values, 56), np.ones(3, np.int64), near).tolist()
    [1]
    """
    needed = entries_needed(near)
    keys = np.empty(0, np.int64)
    for band in range(near.bands):
        place = (band * near.rows, near.rows)
        found = _pairs_of_band(signature, n_shingles, place, (needed, known))
        keys = np.union1d(keys, found)  # a band mostly finds what an earlier one found
    return keys


def entries_needed(near: NearDuplicates) -> int:
    """Equal entries below which a pair is not worth verifying: five standard errors low.

    One is enough where containment counts, which says little about similarity, and where
    nothing is verified.

    >>> entries_needed(NearDuplicates()), entries_needed(NearDuplicates(verify=False))
    (69, 1)
    """
    if near.containment is not None or not near.verify:
        return 1
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
    limits: tuple[int, int],
) -> NDArray[np.int64]:
    """Pairs (as earlier * documents + later) that share one band and agree well enough.

    An open-addressing table maps a band key to the last document of its bucket; `previous`
    chains to the one before. Documents enter in document order.
    """
    first, rows = band
    needed, known = limits
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
        for _ in range(CHAIN if document >= known else 0):
            if other < 0:
                break
            if _agreement(signature, document, other) >= needed:
                if count == pairs.shape[0]:
                    pairs = np.concatenate((pairs, np.empty_like(pairs)))
                pairs[count] = other * documents + document
                count += 1
            other = np.int64(previous[other])
    return pairs[:count]


def _few_earlier(
    signature: NDArray[np.uint32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each document the pairs with 16 of the earliest and 16 of the most similar earlier ones.

    Earlier documents alone decide which these are, as in the rest of this search.
    """
    partners = np.bincount(right, minlength=1)[right]
    many = np.flatnonzero(partners > 2 * _LEADERS)
    if len(many) == 0:
        return left, right
    equal = agreements_in_turns(signature, left[many], right[many])
    kept = partners <= 2 * _LEADERS
    for order in (
        np.lexsort((left[many], right[many])),
        np.lexsort((left[many], -equal, right[many])),
    ):
        later = right[many][order]
        begin = np.flatnonzero(np.diff(later, prepend=-1))
        place = np.arange(len(later)) - np.repeat(begin, np.diff(begin, append=len(later)))
        kept[many[order[place < _LEADERS]]] = True
    return left[kept], right[kept]


def _pairs_with_leaders(
    signature: NDArray[np.uint32], keys: NDArray[np.int64], needed: int
) -> NDArray[np.int64]:
    """Further pairs of each document with the earliest partners of its partners.

    Only earlier documents are looked at, so a document's pairs never depend on later ones:
    what batches find one after the other is what one run over all finds.
    """
    documents = signature.shape[0]
    if len(keys) == 0:
        return keys
    left, right = keys // documents, keys % documents
    order = np.lexsort((left, right))
    involved = np.zeros(documents, np.bool_)
    involved[left] = involved[right] = True
    place = np.cumsum(involved) - 1
    rows = np.flatnonzero(involved)
    left, right = place[left[order]], place[right[order]]
    leaders = np.full((len(rows), _LEADERS), -1, np.int32)
    first = np.flatnonzero(np.diff(right, prepend=-1, append=-1))  # edges of each later document
    pairs = [np.empty(0, np.int64)]
    for begin, end in turns(signature, np.diff(first) * (_LEADERS + 1)):
        edges = slice(first[begin], first[end])
        found = _compare_leaders(signature, rows, (left[edges], right[edges]), (leaders, needed))
        pairs.append(found)
    return np.concatenate(pairs)


@compiled
def _compare_leaders(
    signature: NDArray[np.uint32],
    rows: NDArray[np.int64],
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    state: tuple[NDArray[np.int32], int],
) -> NDArray[np.int64]:
    """Pairs of rows; `ends` number them, sorted by the later end, then by the earlier.

    Leaders of the rows are read and written: later edges go on where earlier ones stopped.
    """
    left, right = ends
    leaders, needed = state
    documents = signature.shape[0]
    pairs = np.empty(1024, np.int64)
    count, begin = 0, 0
    while begin < right.shape[0]:
        end = begin
        while end < right.shape[0] and right[end] == right[begin]:
            end += 1
        later = right[begin]
        reached = np.empty((end - begin) * (_LEADERS + 1), np.int64)
        size = 0
        for edge in range(begin, end):
            reached[size] = left[edge]
            size += 1
            for k in range(_LEADERS):
                if leaders[left[edge], k] < 0:
                    break
                reached[size] = leaders[left[edge], k]
                size += 1
        reached = np.sort(reached[:size])
        held = 0
        for i in range(size):
            other = reached[i]
            if i > 0 and other == reached[i - 1]:
                continue
            if _agreement(signature, rows[other], rows[later]) < needed:
                continue
            if count == pairs.shape[0]:
                pairs = np.concatenate((pairs, np.empty_like(pairs)))
            pairs[count] = rows[other] * documents + rows[later]
            count += 1
            if held < _LEADERS:
                leaders[later, held] = other
                held += 1
        begin = end
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
    close = agreements_in_turns(signature, left, right) >= likely
    group = components(documents, left[close], right[close])
    members = np.flatnonzero(np.bincount(group, minlength=documents)[group] > 2)
    members = members[np.lexsort((members, preference[members], group[members]))]
    bounds = np.flatnonzero(np.diff(group[members], prepend=-1, append=-1))
    pairs = [np.empty(0, np.int64)]
    for begin, end in turns(signature, np.diff(bounds)):
        pairs.append(_compare_groups(signature, members, bounds[begin : end + 1], needed))
    return np.concatenate(pairs)


def agreements_in_turns(
    signature: NDArray[np.uint32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What `agreements` counts, with few pages of a mapped file in memory at any time.

    >>> values = np.array([[1, 2], [1, 3]], np.uint32)
    >>> agreements_in_turns(values, np.array([0]), np.array([1])).tolist()
    [1]
    """
    counts = [np.empty(0, np.int64)]
    for begin, end in turns(signature, np.full(len(left), 2)):
        counts.append(agreements(signature, left[begin:end], right[begin:end]))
    return np.concatenate(counts)


@compiled
def agreements(
    signature: NDArray[np.uint32], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Equal entries of each pair of signatures.

    >>> values = np.array([[1, 2], [1, 3]], np.uint32)
    >>> agreements(values, np.array([0]), np.array([1])).tolist()
    [1]
    """
    counts = np.empty(left.shape[0], np.int64)
    for pair in range(left.shape[0]):
        counts[pair] = _agreement(signature, left[pair], right[pair])
    return counts


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
