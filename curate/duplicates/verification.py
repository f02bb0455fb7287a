"""Candidates against the words themselves: what of them is a pair, and how similar it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.exact import word_digests
from curate.duplicates.graph import components
from curate.duplicates.sketches import CorpusSketch
from curate.errors import IntegrityError
from curate.text import shingle_sets, similarities

Parts = Callable[[], Iterable[pl.DataFrame]]
Ends = tuple[NDArray[np.int64], NDArray[np.int64]]

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


def verified_pairs(
    parts: Parts,
    corpus: CorpusSketch,
    first: NDArray[np.int64],
    candidates: Ends,
) -> pl.DataFrame:
    """Exact and near pairs by the words themselves, in as few readings as memory allows.

    Args:
        parts: Gives the documents anew each time it is called.
        corpus: Their sketches.
        first: First document of the class of each, by its hash.
        candidates: Earlier and later documents that may be near-duplicates.

    Returns:
        `PAIRS_SCHEMA`: exact stars, then candidates with their similarity, however small.

    >>> from curate.duplicates.sketches import sketch_parts
    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one two", "One. Two."]})
    >>> corpus, nothing = sketch_parts([frame], None), np.empty(0, np.int64)
    >>> verified_pairs(lambda: [frame], corpus, np.array([0, 0]), (nothing, nothing)).rows()
    [('a', 'b', 'exact', 1.0, 1.0)]
    """
    left, right = candidates
    classes = _Classes(first=first)
    turns = list(_turns(left, right, corpus.n_shingles))
    members = classes.wanted()
    if not turns and not members.any():
        return PAIRS_SCHEMA.to_frame()
    frames = []
    for turn in turns or [np.empty(0, np.int64)]:
        ends = (left[turn], right[turn])
        frames.append(_near_pairs(parts, corpus.ids, ends, (classes, members)))
        members = np.zeros_like(members)  # the first reading has settled the classes
    return pl.concat([classes.pairs(corpus.ids), *frames])


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
        mask: NDArray[np.bool_] = self.first != np.arange(len(self.first))
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
        return pairs_frame(ids, "exact", (self.first[right], right), (ones, ones))


def read_again(
    parts: Parts, wanted: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], pl.Series]]:
    """Document numbers and text of the wanted documents, part by part.

    Raises:
        IntegrityError: The parts hold another number of documents than before.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one", "two"]})
    >>> [(r.tolist(), t.to_list()) for r, t in read_again(lambda: [frame], np.array([False, True]))]
    [([1], ['two'])]
    """
    seen = 0
    for part in parts():
        rows = np.flatnonzero(wanted[seen : seen + part.height])
        if len(rows):
            yield rows + seen, part["text"].gather(rows)
        seen += part.height
    if seen != len(wanted):
        raise IntegrityError(f"the parts held {len(wanted)} documents and then {seen}")


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
    ends: Ends,
    exact: tuple[_Classes, NDArray[np.bool_]],
) -> pl.DataFrame:
    """Candidates with their exact similarity; members of classes are compared on the way."""
    classes, members = exact
    shingled = np.zeros(len(ids), np.bool_)
    shingled[ends[0]] = shingled[ends[1]] = True
    place = np.cumsum(shingled) - 1
    flats, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for rows, text in read_again(parts, shingled | members):
        flat, offsets = shingle_sets(text.filter(pl.Series(shingled[rows])))
        flats.append(flat)
        sizes.append(np.diff(offsets))
        classes.add(rows[members[rows]], text.filter(pl.Series(members[rows])))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
    similarity = similarities(np.concatenate(flats), offsets, place[ends[0]], place[ends[1]])
    return pairs_frame(ids, "near", ends, similarity)


def pairs_frame(
    ids: pl.Series,
    kind: str,
    ends: Ends,
    similarity: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> pl.DataFrame:
    """Pairs of one kind as a table.

    >>> ends, ones = (np.array([0]), np.array([1])), np.ones(1)
    >>> pairs_frame(pl.Series(["a", "b"]), "near", ends, (ones, ones)).row(0)
    ('a', 'b', 'near', 1.0, 1.0)
    """
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
