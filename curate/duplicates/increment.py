"""Judging a batch of documents against the survivors of earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.exact import first_of_class, word_digests
from curate.duplicates.near import candidate_pairs, pairs_of_bands
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.sketches import CorpusSketch, sketch_parts
from curate.duplicates.survivors import resolve
from curate.duplicates.verification import PAIRS_SCHEMA, Ends, Parts, pairs_frame, read_again
from curate.errors import InputError
from curate.text import shingle_sets, similarities


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of earlier documents, in their order.

    Attributes:
        near: Parameters of all batches.
        ids: Their ids.
        signature: (documents, permutations).
        n_shingles: Shingles of each.
        words_hash: (documents, 2).
        words_digest: Binary; what settles equality of words.
        stays: Whether it survived.
        band_pairs: Earlier and later document of all pairs that share a band.
        read: From document numbers of survivors to their texts.
    """

    near: NearDuplicates
    ids: pl.Series
    signature: NDArray[np.uint32]
    n_shingles: NDArray[np.int64]
    words_hash: NDArray[np.uint64]
    words_digest: pl.Series
    stays: NDArray[np.bool_]
    band_pairs: Ends
    read: Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], pl.Series]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Increment:
    """A judged batch.

    Attributes:
        verdicts: `id`, `duplicate_of`, `kind`, `jaccard`, `stays`, in document order.
        pairs: The verified pairs that the verdicts rest on.
        sketch: Sketches of the batch.
        words_digest: Binary, digest of the words of each document.
        band_pairs: New pairs that share a band, numbered from the first document of all batches.
    """

    verdicts: pl.DataFrame
    pairs: pl.DataFrame
    sketch: CorpusSketch
    words_digest: pl.Series
    band_pairs: Ends


@dataclass(frozen=True, kw_only=True, slots=True)
class _Classes:
    """Exact classes of known and new documents together.

    Attributes:
        of: Smallest document of the class of each document, itself where its words differ from
            those of a document with the same hash.
        alone: Whether the document stands for its class in the search.
        member: A new document of the class, -1 for none.
        keeper: The known document of the class that stays, -1 for none.
    """

    of: NDArray[np.int64]
    alone: NDArray[np.bool_]
    member: NDArray[np.int64]
    keeper: NDArray[np.int64]


def judge_increment(known: Known, parts: Parts, *, failing: Sequence[str] = ()) -> Increment:
    """Choose the survivors of new documents, those already known first.

    A new document stays unless it has a verified pair with one that stays and is earlier.

    Args:
        known: Earlier documents.
        parts: Gives the new ones anew each time it is called.
        failing: Ids that cannot survive.

    Raises:
        InputError: An id occurs twice.
    """
    digests: list[bytes] = []
    new = sketch_parts(_with_digests(parts(), digests), known.near)
    _check_new(known.ids, new.ids)
    words_digest = pl.Series("words_digest", digests, dtype=pl.Binary)
    classes = _classes(known, new, words_digest)
    sizes = np.concatenate([known.n_shingles, new.n_shingles]) * classes.alone
    ends, band_pairs = _candidates(known, new, sizes)
    pairs = _pairs(known, new, parts, (classes, ends))
    return Increment(
        verdicts=_verdicts(known, new, classes, (pairs, failing)),
        pairs=pairs,
        sketch=new,
        words_digest=words_digest,
        band_pairs=band_pairs,
    )


def _with_digests(parts: Iterable[pl.DataFrame], digests: list[bytes]) -> Iterator[pl.DataFrame]:
    for part in parts:
        digests += word_digests(part["text"])
        yield part


def _check_new(known: pl.Series, new: pl.Series) -> None:
    repeated = new.filter(new.is_in(known.implode()))
    if len(repeated):
        raise InputError(
            f"id {repeated[0]!r} is in the index already, as are {len(repeated) - 1:,} others of "
            "this batch; ids must be unique. Documents without a column for them (input.id) are "
            "called <file>:<row>: give each batch's files names of their own"
        )


def _classes(known: Known, new: CorpusSketch, words_digest: pl.Series) -> _Classes:
    old, every = len(known.ids), len(known.ids) + len(new.ids)
    first = first_of_class(np.concatenate([known.words_hash, new.words_hash]))
    digest = pl.concat([known.words_digest, words_digest])
    equal = (digest.gather(first) == digest).to_numpy()
    row = np.arange(every)
    of = np.where(equal, first, row)
    member, keeper = np.full(every, -1), np.full(every, -1)
    member[of[old:][::-1]] = row[old:][::-1]  # the first new member is written last
    stays = np.flatnonzero(known.stays)
    keeper[of[stays]] = stays
    return _Classes(of=of, alone=first == row, member=member, keeper=keeper)


def _candidates(known: Known, new: CorpusSketch, sizes: NDArray[np.int64]) -> tuple[Ends, Ends]:
    """All candidates of known and new documents; and the new pairs that share a band."""
    signature = np.concatenate([known.signature, new.signature])
    old, every = len(known.ids), max(len(sizes), 1)
    fresh = pairs_of_bands(signature, sizes, known.near, known=old)
    stored = known.band_pairs[0] * every + known.band_pairs[1]
    ends = candidate_pairs(signature, sizes, known.near, band_pairs=np.union1d(stored, fresh))
    return ends, (fresh // every, fresh % every)


def _pairs(
    known: Known, new: CorpusSketch, parts: Parts, search: tuple[_Classes, Ends]
) -> pl.DataFrame:
    """Pairs that can decide about a new document, near ones verified."""
    classes, (left, right) = search
    ids = pl.concat([known.ids, new.ids.alias(known.ids.name)])
    open_class = (classes.member >= 0) & (classes.keeper < 0)
    present = (classes.member >= 0) | (classes.keeper >= 0)
    use = (open_class[left] | open_class[right]) & present[left] & present[right]
    left, right = left[use], right[use]
    flat, offsets, place = _sets(known, parts, classes, np.union1d(left, right))
    similarity = similarities(flat, offsets, place[left], place[right])
    near = pairs_frame(ids, "near", (left, right), similarity)
    near = near.filter(pl.col("jaccard") >= known.near.jaccard)
    exact = pairs_frame(ids, "exact", *_stars(classes, len(known.ids), np.union1d(left, right)))
    return pl.concat([PAIRS_SCHEMA.to_frame(), exact, near]).sort("id_a", "id_b")


def _stars(
    classes: _Classes, old: int, compared: NDArray[np.int64]
) -> tuple[Ends, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """First document and new members of each class; and its survivor, where that is not first."""
    touched = np.union1d(np.flatnonzero(classes.member >= 0), compared)
    keepers = classes.keeper[touched]
    later = np.concatenate([keepers[keepers >= 0], np.arange(old, len(classes.of))])
    later = later[classes.of[later] != later]
    ones = np.ones(len(later))
    return (classes.of[later], later), (ones, ones)


def _sets(
    known: Known, parts: Parts, classes: _Classes, wanted: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Shingles of classes: from a new member where there is one, else from the one that stays."""
    old = len(known.ids)
    member = classes.member[wanted]
    fresh = np.zeros(len(classes.of) - old, np.bool_)
    fresh[member[member >= 0] - old] = True
    kept = np.sort(classes.keeper[wanted[member < 0]])
    place = np.full(len(classes.of), -1)
    flats, sizes, count = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    texts = ((rows + old, text) for rows, text in read_again(parts, fresh))
    for rows, text in (*texts, *known.read(kept)) if len(wanted) else ():
        flat, offsets = shingle_sets(text)
        flats.append(flat)
        sizes.append(np.diff(offsets))
        place[classes.of[rows]] = np.arange(count, count + len(rows))
        count += len(rows)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
    return np.concatenate(flats), bounds, place


def _verdicts(
    known: Known,
    new: CorpusSketch,
    classes: _Classes,
    judged: tuple[pl.DataFrame, Sequence[str]],
) -> pl.DataFrame:
    pairs, failing = judged
    named = pl.concat([pairs["id_a"].alias("id"), pairs["id_b"].alias("id")]).implode()
    survivors = known.ids.filter(pl.Series(known.stays, dtype=pl.Boolean))
    before = survivors.filter(survivors.is_in(named)).alias("id").to_frame()
    fails = pl.col("id").is_in(list(failing))
    documents = pl.concat(
        [before.with_columns(eligible=True), new.ids.to_frame().select("id", eligible=~fails)]
    )
    resolved = resolve(pairs, documents, "earliest").tail(len(new.ids))
    stays = documents["eligible"].tail(len(new.ids)) & resolved["duplicate_of"].is_null()
    return resolved.select("id", "duplicate_of", "kind", "jaccard").with_columns(stays=stays)
