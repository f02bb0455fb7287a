"""Arms of the experiment: which documents a proxy model reads, in which order, how many tokens.

Notable choices, and their price:

- The draw order of a replicate is a 64-bit hash of (seed, replicate, id), which the experiment
  spreads evenly over groups of documents, and every arm of that replicate is this one order,
  filtered. So a filtered arm and its parent share their
  documents: paired draws, which make a loss difference 5 to 10 times tighter than separate
  draws do. The price: arms of one replicate are dependent, and must be compared as pairs.
- Nothing depends on row order, on the number of workers, or on which other arms exist.
- Random filters, the null pair and the inert filler are drawn again in every replicate, each
  in an order of its own.
- Draws are without replacement; a pool that is too small gives a shorter sequence, never a
  repeated one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigError

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Keys = NDArray[np.uint64]
Tokens = NDArray[np.uint16]
Weights = NDArray[np.float64]

__all__ = [
    "Encoded",
    "arm_tokens",
    "dilute",
    "draw_keys",
    "draw_order",
    "first_of_cluster",
    "id_hashes",
    "null_filters",
    "pool_mask",
    "prefix_tokens",
    "random_filter",
    "repeat_rate",
    "replace_documents",
    "source_held_order",
    "token_slice",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """Token sequences of documents, one after the other; encoded once, read by every arm.

    Attributes:
        flat: Tokens of all documents, UInt16.
        offsets: Document i is `flat[offsets[i]:offsets[i + 1]]`; one entry more than documents.

    >>> encoded = Encoded(flat=np.array([7, 8, 0, 9, 0], np.uint16), offsets=np.array([0, 3, 5]))
    >>> encoded.lengths.tolist()
    [3, 2]
    """

    flat: Tokens
    offsets: Counts

    @property
    def lengths(self) -> Counts:
        """Tokens of each document."""
        return np.diff(self.offsets)


def id_hashes(ids: Iterable[str]) -> Keys:
    """64-bit hashes of document ids (BLAKE2b); the same on every machine.

    >>> id_hashes(["a", "b"]).tolist() == id_hashes(["b", "a"])[::-1].tolist()
    True
    """
    digests = b"".join(hashlib.blake2b(i.encode(), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def draw_keys(hashes: Keys, *, seed: int, replicate: int = 0, salt: str = "order") -> Keys:
    """Uniform 64-bit keys of (seed, replicate, salt, id): a new shuffle for each of these.

    The mixer is the finaliser of splitmix64 (Steele, Lea & Flood 2014), applied twice.

    Args:
        hashes: Of the ids, by `id_hashes`.
        seed: Of the run.
        replicate: Number of the draw.
        salt: What is drawn; another salt is an independent draw.

    >>> hashes = id_hashes(["a", "b", "c"])
    >>> keys = draw_keys(hashes, seed=1)
    >>> bool((keys == draw_keys(hashes, seed=1)).all())
    True
    >>> bool((keys == draw_keys(hashes, seed=1, salt="other")).any())
    False
    """
    stream = hashlib.blake2b(f"{seed}/{replicate}/{salt}".encode(), digest_size=8).digest()
    offset = np.uint64(int.from_bytes(stream, "little"))
    return _mix(_mix(hashes ^ offset) + offset)


def _mix(x: Keys) -> Keys:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def draw_order(ids: Sequence[str] | Keys, *, seed: int, replicate: int) -> Counts:
    """Row numbers in the draw order of one replicate.

    Args:
        ids: Document ids, or their `id_hashes` (the same result, faster when repeated).
        seed: Of the run.
        replicate: Number of the draw.

    >>> ids = ["a", "b", "c", "d"]
    >>> order = draw_order(ids, seed=1, replicate=0)
    >>> turned = draw_order(ids[::-1], seed=1, replicate=0)
    >>> [ids[i] for i in order] == [ids[::-1][i] for i in turned]
    True
    """
    hashes = ids if isinstance(ids, np.ndarray) else id_hashes(ids)
    return np.argsort(draw_keys(hashes, seed=seed, replicate=replicate), kind="stable")


def pool_mask(hashes: Keys, lengths: Counts, *, limit: int, seed: int) -> Mask:
    """Documents of a hash-drawn pool of at least `limit` tokens (all, where there are fewer).

    A large corpus is encoded only as far as the experiment can read it. Lengths may be in any
    unit (characters, bytes) if `limit` is in the same.

    >>> mask = pool_mask(id_hashes(map(str, range(100))), np.full(100, 10), limit=200, seed=1)
    >>> int(mask.sum())
    20
    """
    keys = draw_keys(hashes, seed=seed, salt="pool")
    return token_slice(keys, lengths, start=0, stop=limit)


def token_slice(keys: Keys, lengths: Counts, *, start: float, stop: float) -> Mask:
    """Documents whose cumulative tokens before them, in key order, lie in [start, stop).

    >>> token_slice(np.array([3, 1, 2], np.uint64), np.array([5, 5, 5]), start=0, stop=6).tolist()
    [False, True, True]
    """
    order = np.argsort(keys, kind="stable")
    before = np.cumsum(lengths[order]) - lengths[order]
    mask = np.zeros(len(keys), dtype=np.bool_)
    mask[order[(before >= start) & (before < stop)]] = True
    return mask


def random_filter(order: Counts, lengths: Counts, *, share: float) -> Mask:
    """Documents that a random filter keeps: `share` of the tokens, the first ones of a draw order.

    >>> order = draw_order(list(map(str, range(1000))), seed=1, replicate=0)
    >>> random_filter(order, np.full(1000, 5), share=0.6).mean()
    np.float64(0.6)
    """
    stop = _checked(share) * float(lengths.sum())
    return token_slice(_ranks(order), lengths, start=0, stop=stop)


def null_filters(order: Counts, lengths: Counts, *, share: float) -> tuple[Mask, Mask]:
    """Two disjoint random filters of the same share of tokens; half each where share > 1/2.

    >>> order = draw_order(list(map(str, range(1000))), seed=1, replicate=0)
    >>> a, b = null_filters(order, np.full(1000, 5), share=0.4)
    >>> a.mean(), b.mean(), bool((a & b).any())
    (np.float64(0.4), np.float64(0.4), False)
    """
    ranks = _ranks(order)
    size = min(_checked(share), 0.5) * float(lengths.sum())
    first = token_slice(ranks, lengths, start=0, stop=size)
    return first, token_slice(ranks, lengths, start=size, stop=2 * size)


def _ranks(order: Counts) -> Keys:
    """Place of every row in an order."""
    ranks = np.empty(len(order), np.uint64)
    ranks[order] = np.arange(len(order), dtype=np.uint64)
    return ranks


def _checked(share: float) -> float:
    if not 0 < share <= 1:
        raise ConfigError(f"a random filter that keeps {share} of the tokens; allowed: (0, 1]")
    return share


def arm_tokens(order: Counts, mask: Mask, encoded: Encoded, *, budget: int) -> Tokens:
    """First `budget` tokens of the kept documents in draw order; fewer where they end.

    Args:
        order: Row numbers, by `draw_order`.
        mask: Documents of the arm.
        encoded: The arm's version of every document.
        budget: In tokens.

    >>> encoded = Encoded(flat=np.arange(6, dtype=np.uint16), offsets=np.array([0, 2, 4, 6]))
    >>> arm_tokens(np.array([2, 0, 1]), np.array([True, False, True]), encoded, budget=3).tolist()
    [4, 5, 0]
    """
    drawn = order[mask[order]]
    needed = int(np.searchsorted(np.cumsum(encoded.lengths[drawn]), budget)) + 1
    return _gather([(encoded, i) for i in drawn[:needed]], budget)


def _gather(documents: Iterable[tuple[Encoded, np.int64]], budget: int) -> Tokens:
    pieces = [e.flat[e.offsets[i] : e.offsets[i + 1]] for e, i in documents]
    return np.concatenate(pieces)[:budget] if pieces else np.zeros(0, dtype=np.uint16)


def source_held_order(
    drawn: Counts, encoded: Encoded, sources: Counts, weights: Weights, *, turn: int = 0
) -> Counts:
    """The same documents in an order whose every prefix has given shares of the sources.

    Within a source the order stays. A document's place is the tokens of its source so far (up to
    a random point of its own) over the source's weight; a source that ends leaves a gap.

    Args:
        drawn: Rows of the arm's documents in draw order.
        encoded: Their tokens.
        sources: Number of every document's source.
        weights: Wanted share of tokens of each source; where it is 0 nothing is drawn.
        turn: What decides where in its first document each source begins.

    >>> encoded = Encoded(flat=np.zeros(8, np.uint16), offsets=np.arange(0, 9, 2))
    >>> drawn, sources = np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1])
    >>> source_held_order(drawn, encoded, sources, np.array([0.5, 0.5])).tolist()
    [2, 0, 3, 1]
    """
    groups = sources[drawn]
    drawn = drawn[weights[groups] > 0]
    groups, lengths = sources[drawn], encoded.lengths[drawn]
    order = np.argsort(groups, kind="stable")
    running = np.cumsum(lengths[order])
    first = np.concatenate([[True], np.diff(groups[order]) != 0])
    base = np.maximum.accumulate(np.where(first, running - lengths[order], 0))
    # One point a source, the same for all of its documents: even a source of one document
    # then stands anywhere with equal chance.
    points = _mix(np.arange(len(weights), dtype=np.uint64) + np.uint64(turn))
    shift = points[groups[order]] / 2.0**64 * lengths[order]
    before = running - lengths[order] - base
    place = np.empty(len(drawn))
    place[order] = (before + shift) / weights[groups[order]]
    return np.asarray(drawn[np.argsort(place, kind="stable")])


def prefix_tokens(
    order: Counts, longer: tuple[Mask, Encoded], shorter: tuple[Mask, Encoded]
) -> tuple[Counts, Counts]:
    """How many tokens of the shorter arm the longer arm's prefixes hold.

    For a longer arm A and an arm B nested in it: after each document of A's sequence, the
    tokens of A so far, and the tokens, in B's version, of those documents that B keeps. Both
    start at 0; interpolate linearly between.

    >>> encoded = Encoded(flat=np.arange(6, dtype=np.uint16), offsets=np.array([0, 2, 4, 6]))
    >>> everything, some = np.array([True, True, True]), np.array([True, False, True])
    >>> a, b = prefix_tokens(np.array([1, 2, 0]), (everything, encoded), (some, encoded))
    >>> a.tolist(), b.tolist()
    ([0, 2, 4, 6], [0, 0, 2, 4])
    """
    (mask_a, encoded_a), (mask_b, encoded_b) = longer, shorter
    drawn = order[mask_a[order]]
    return _running(encoded_a.lengths[drawn]), _running(encoded_b.lengths[drawn] * mask_b[drawn])


def _running(lengths: Counts) -> Counts:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diluted:
    """A sequence with inert filler between its documents.

    Attributes:
        tokens: The diluted sequence.
        total: Its tokens after each document, from 0.
        clean: Tokens among these that are no filler.
    """

    tokens: Tokens
    total: Counts
    clean: Counts


def dilute(drawn: Counts, encoded: Encoded, filler: Encoded, *, keys: Keys, budget: int) -> Diluted:
    """Interleave inert filler so that it is half of the tokens of every prefix.

    Filler documents follow their keys and begin again where they run out: repeated filler is
    as empty as new filler. At the level of single documents the halves alternate.

    Args:
        drawn: Row numbers of the clean documents, in draw order.
        encoded: Their tokens.
        filler: Inert documents.
        keys: Draw keys of the filler documents.
        budget: Tokens wanted in all.

    >>> clean = Encoded(flat=np.full(6, 5, np.uint16), offsets=np.array([0, 2, 4, 6]))
    >>> empty = Encoded(flat=np.full(2, 9, np.uint16), offsets=np.array([0, 2]))
    >>> found = dilute(np.arange(3), clean, empty, keys=np.zeros(1, np.uint64), budget=8)
    >>> found.tokens.tolist(), found.clean.tolist()
    ([5, 5, 9, 9, 5, 5, 9, 9], [0, 2, 2, 4, 4])
    """
    if filler.flat.size == 0:
        raise ConfigError("no filler tokens: the calibrator needs inert documents")
    lengths = encoded.lengths[drawn]
    drawn = drawn[: int(np.searchsorted(np.cumsum(lengths), budget)) + 1]
    wanted = int(encoded.lengths[drawn].sum())
    cycles = -(-wanted // int(filler.flat.size))
    inert = np.tile(np.argsort(keys, kind="stable"), cycles)
    sizes = np.concatenate([encoded.lengths[drawn], filler.lengths[inert]])
    is_clean = np.arange(sizes.size) < drawn.size
    starts = np.concatenate(
        [_running(encoded.lengths[drawn])[:-1], _running(filler.lengths[inert])[:-1]]
    )
    # A stable sort by start puts a clean document before the filler that begins at its place.
    merged = np.argsort(starts, kind="stable")
    merged = merged[: int(np.searchsorted(np.cumsum(sizes[merged]), budget)) + 1]
    rows = np.concatenate([drawn, inert])
    tokens = _gather(((encoded if is_clean[i] else filler, rows[i]) for i in merged), budget)
    sizes, is_clean = sizes[merged], is_clean[merged]
    return Diluted(tokens=tokens, total=_running(sizes), clean=_running(sizes * is_clean))


def first_of_cluster(order: Counts, clusters: Counts) -> Mask:
    """Documents that are not a repeat of one drawn earlier; by row.

    Args:
        order: Draw order, of the whole pool or of one arm.
        clusters: Number of each document's duplicate cluster, −1 = in none.

    >>> first_of_cluster(np.array([2, 1, 0]), np.array([4, -1, 4])).tolist()
    [False, True, True]
    """
    ordered = clusters[order]
    _, first = np.unique(ordered, return_index=True)
    fresh = ordered < 0
    fresh[first] = True
    mask = np.zeros(len(clusters), dtype=np.bool_)
    mask[order] = fresh
    return mask


def repeat_rate(order: Counts, mask: Mask, encoded: Encoded, *, fresh: Mask, budget: int) -> float:
    """Share of the tokens of an arm's prefix that repeat a document drawn before it.

    Args:
        order: Draw order.
        mask: Documents of the arm.
        encoded: Their tokens.
        fresh: By `first_of_cluster` of the same order, within the arm.
        budget: Length of the prefix in tokens.

    >>> encoded = Encoded(flat=np.zeros(6, np.uint16), offsets=np.array([0, 2, 4, 6]))
    >>> fresh = np.array([False, True, True])
    >>> repeat_rate(np.array([2, 1, 0]), np.ones(3, bool), encoded, fresh=fresh, budget=4)
    0.0
    """
    total, unique = prefix_tokens(order, (mask, encoded), (mask & fresh, encoded))
    read = min(budget, int(total[-1]))
    return 1 - float(np.interp(read, total, unique)) / read if read else 0.0


def replace_documents(encoded: Encoded, rows: Counts, edited: Encoded) -> Encoded:
    """The same documents with some replaced: only edited texts have to be encoded again.

    Args:
        encoded: Every document.
        rows: Row numbers that are replaced, ascending.
        edited: Their new tokens, in the order of `rows`.

    >>> old = Encoded(flat=np.arange(4, dtype=np.uint16), offsets=np.array([0, 2, 4]))
    >>> new = Encoded(flat=np.array([9], np.uint16), offsets=np.array([0, 1]))
    >>> replace_documents(old, np.array([0]), new).flat.tolist()
    [9, 2, 3]
    """
    lengths = encoded.lengths.copy()
    lengths[rows] = edited.lengths
    offsets = _running(lengths)
    flat = np.empty(int(offsets[-1]), dtype=np.uint16)
    is_edited = np.zeros(len(lengths), dtype=np.bool_)
    is_edited[rows] = True
    flat[np.repeat(is_edited, lengths)] = edited.flat
    flat[np.repeat(~is_edited, lengths)] = encoded.flat[np.repeat(~is_edited, encoded.lengths)]
    return Encoded(flat=flat, offsets=offsets)
