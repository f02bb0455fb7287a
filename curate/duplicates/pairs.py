"""All verified duplicate pairs of a corpus that is given part by part.

Sketches (a signature, a shingle count and a hash of the words) stay in memory, text does not:
it is read again to verify, and then only of documents that may have a duplicate. What is found
does not depend on how the documents are split into parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.exact import first_of_class, word_digests
from curate.duplicates.graph import components
from curate.duplicates.near import NearDuplicates, candidate_pairs
from curate.duplicates.survivors import SURVIVOR_POLICIES, preference
from curate.errors import ConfigError, InputError, IntegrityError, unknown_name
from curate.text import Sketch, shingle_sets, similarities, sketch

Parts = Callable[[], Iterable[pl.DataFrame]]

#: The table of verified pairs.
PAIRS_SCHEMA = pl.Schema(
    {
        "id_a": pl.String,
        "id_b": pl.String,
        "kind": pl.String,
        "jaccard": pl.Float64,
        "containment": pl.Float64,
    }
)

#: Shingle hashes held at once while verifying (1 GB); what needs more is verified in turns.
_SHINGLES_HELD = 1 << 27


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatesConfig:
    """Which duplicates are looked for, and who survives.

    Attributes:
        exact: Find documents with equal word sequences. Without it they are still found as
            near-duplicates of similarity 1, where `near` is given.
        near: Near-duplicates; None looks for none.
        survivor: Policy among the members of a cluster that fail no other rule: `longest`
            (`text_chars`), `best_quality` (`quality`), `earliest` (document order) or
            `source_priority` (`source`, by its place in `sources`).
        sources: Sources from the best to the worst, for `source_priority`; others follow.

    >>> DuplicatesConfig(survivor="newest")
    Traceback (most recent call last):
    curate.errors.ConfigError: unknown survivor policy 'newest'; did you mean 'longest'? ...
    """

    exact: bool = True
    near: NearDuplicates | None = field(default_factory=NearDuplicates)
    survivor: str = "longest"
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.survivor not in SURVIVOR_POLICIES:
            raise ConfigError(unknown_name("survivor policy", self.survivor, SURVIVOR_POLICIES))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Corpus:
    """What the first pass remembers; `preference` is smaller for a likelier survivor."""

    ids: pl.Series
    sketch: Sketch
    preference: NDArray[np.float64]


def find_pairs(parts: Parts, config: DuplicatesConfig | None = None) -> pl.DataFrame:
    """Every verified pair of exact or near duplicates.

    Args:
        parts: Gives the documents anew each time it is called, as frames with `id` and `text`
            (and `source` or `quality` where the survivor policy reads it) in document order. It
            is called once for the sketches, once to verify copies and near candidates, and
            again where these do not fit into memory.
        config: What to look for; by default exact duplicates and near-duplicates at 0.8.

    Returns:
        `id_a`, `id_b` String (a is earlier in document order), `kind` "exact" or "near",
        `jaccard` Float64, `containment` Float64 (|A∩B| / min(|A|, |B|)), sorted by `id_a`,
        `id_b`. Exact classes are stars around their first document; near pairs are stored
        between the first documents of two classes and hold for all their members.

    Raises:
        InputError: An id occurs twice.
        IntegrityError: The parts differ between two calls.

    >>> copy = "the quick brown fox jumps over the lazy dog and runs away from the old cat"
    >>> texts = [copy, copy.title() + "!", copy + " today"]
    >>> documents = pl.DataFrame({"id": ["a", "b", "c"], "text": texts})
    >>> find_pairs(lambda: [documents]).rows()
    [('a', 'b', 'exact', 1.0, 1.0), ('a', 'c', 'near', 0.9230769230769231, 1.0)]
    """
    config = config or DuplicatesConfig()
    near = config.near
    corpus = _sketch_parts(parts, config)
    documents = len(corpus.ids)
    first = first_of_class(corpus.sketch.words_hash) if config.exact else np.arange(documents)
    left = right = np.empty(0, np.int64)
    if near:
        alone = np.where(first == np.arange(documents), corpus.sketch.n_shingles, 0)
        np.minimum.at(corpus.preference, first, corpus.preference)
        left, right = candidate_pairs(
            corpus.sketch.signature, alone, near, preference=corpus.preference
        )
    pairs = _verified_pairs(parts, corpus, first, (left, right))
    if near:
        pairs = pairs.filter((pl.col("kind") == "exact") | (pl.col("jaccard") >= near.jaccard))
    return pairs.sort("id_a", "id_b")


def _sketch_parts(parts: Parts, config: DuplicatesConfig) -> _Corpus:
    near = config.near
    permutations, seed = (near.permutations, near.seed) if near else (0, 1)
    ids, order = [pl.Series("id", [], pl.String)], [np.empty(0)]
    signature = np.empty((0, permutations), np.uint32)
    n_shingles, words_hash = [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)]
    for part in parts():
        piece = sketch(part["text"], permutations=permutations, seed=seed)
        ids.append(part["id"].alias("id"))
        order.append(_preference(part, config))
        n_shingles.append(piece.n_shingles)
        words_hash.append(piece.words_hash)
        # Grown in place: joining a list of arrays at the end would hold all of it twice.
        rows = len(signature)
        signature.resize((rows + part.height, permutations), refcheck=False)
        signature[rows:] = piece.signature
    return _Corpus(
        ids=_unique(pl.concat(ids)),
        sketch=Sketch(
            signature=signature,
            n_shingles=np.concatenate(n_shingles),
            words_hash=np.concatenate(words_hash),
        ),
        preference=np.concatenate(order),
    )


def _preference(part: pl.DataFrame, config: DuplicatesConfig) -> NDArray[np.float64]:
    """Who is likelier to survive, as far as it is known here: by length, if by nothing else."""
    known = part.with_columns(text_chars=pl.col("text").str.len_chars())
    read = SURVIVOR_POLICIES[config.survivor]
    policy = config.survivor if read is None or read in known.columns else "longest"
    key = preference(policy, config.sources).cast(pl.Float64).fill_null(np.inf)
    return known.select(pl.repeat(0.0, pl.len()) + key).to_series().to_numpy()


def _unique(ids: pl.Series) -> pl.Series:
    if ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated())[0]
        raise InputError(f"id {repeated!r} occurs more than once, but ids must be unique")
    return ids


def _read_again(
    parts: Parts, wanted: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], pl.Series]]:
    """Document numbers and text of the wanted documents, part by part."""
    seen = 0
    for part in parts():
        rows = np.flatnonzero(wanted[seen : seen + part.height])
        if len(rows):
            yield rows + seen, part["text"].gather(rows)
        seen += part.height
    if seen != len(wanted):
        raise IntegrityError(f"the parts held {len(wanted)} documents and then {seen}")


@dataclass(slots=True)
class _Classes:
    """Exact classes on their way from equal hashes to equal words.

    A member whose hash collided but whose words differ is left out and stays.
    """

    first: NDArray[np.int64]
    digests: dict[int, bytes] = field(default_factory=dict)
    members: list[int] = field(default_factory=list)

    def wanted(self) -> NDArray[np.bool_]:
        """Documents of classes of more than one."""
        mask = self.first != np.arange(len(self.first))
        mask[self.first[mask]] = True
        return mask

    def add(self, rows: NDArray[np.int64], text: pl.Series) -> None:
        """Compare documents, given in document order, with the first of their classes."""
        for row, digest in zip(rows.tolist(), word_digests(text), strict=True):
            if self.digests.setdefault(int(self.first[row]), digest) == digest:
                self.members.append(row)

    def pairs(self, ids: pl.Series) -> pl.DataFrame:
        """Stars of the classes."""
        right = np.array(self.members, np.int64)
        right = right[self.first[right] != right]
        ones = np.ones(len(right))
        return _pairs_frame(ids, "exact", (self.first[right], right), (ones, ones))


def _verified_pairs(
    parts: Parts,
    corpus: _Corpus,
    first: NDArray[np.int64],
    candidates: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> pl.DataFrame:
    """Exact and near pairs by the words themselves, in as few readings as memory allows."""
    left, right = candidates
    classes = _Classes(first=first)
    turns = list(_turns(left, right, corpus.sketch.n_shingles))
    members = classes.wanted()
    if not turns and not members.any():
        return PAIRS_SCHEMA.to_frame()
    frames = []
    for turn in turns or [np.empty(0, np.int64)]:
        ends = (left[turn], right[turn])
        frames.append(_near_pairs(parts, corpus.ids, ends, (classes, members)))
        members = np.zeros_like(members)  # the first reading has settled the classes
    return pl.concat([classes.pairs(corpus.ids), *frames])


def _turns(
    left: NDArray[np.int64], right: NDArray[np.int64], n_shingles: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Numbers of candidate pairs in turns whose shingles fit into memory together.

    Documents that are linked by candidates stay in one turn, so no set is built twice.
    """
    if len(left) == 0:
        return
    group = components(len(n_shingles), left, right)
    involved = np.zeros(len(n_shingles), np.bool_)
    involved[left] = involved[right] = True
    cost = np.bincount(group[involved], n_shingles[involved], minlength=len(group))
    turn_of = ((np.cumsum(cost) - cost) // _SHINGLES_HELD)[group[left]]
    for turn in np.unique(turn_of):
        yield np.flatnonzero(turn_of == turn)


def _near_pairs(
    parts: Parts,
    ids: pl.Series,
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    exact: tuple[_Classes, NDArray[np.bool_]],
) -> pl.DataFrame:
    """Candidates with their exact similarity; members of classes are compared on the way."""
    classes, members = exact
    shingled = np.zeros(len(ids), np.bool_)
    shingled[ends[0]] = shingled[ends[1]] = True
    place = np.cumsum(shingled) - 1
    flats, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for rows, text in _read_again(parts, shingled | members):
        flat, offsets = shingle_sets(text.filter(pl.Series(shingled[rows])))
        flats.append(flat)
        sizes.append(np.diff(offsets))
        classes.add(rows[members[rows]], text.filter(pl.Series(members[rows])))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
    similarity = similarities(np.concatenate(flats), offsets, place[ends[0]], place[ends[1]])
    return _pairs_frame(ids, "near", ends, similarity)


def _pairs_frame(
    ids: pl.Series,
    kind: str,
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    similarity: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id_a": ids.gather(ends[0]),
            "id_b": ids.gather(ends[1]),
            "kind": pl.repeat(kind, len(ends[0]), dtype=pl.String, eager=True),
            "jaccard": similarity[0],
            "containment": similarity[1],
        },
        schema=PAIRS_SCHEMA,
    )
