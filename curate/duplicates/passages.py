"""Passages, lines and paragraphs that occur in several documents.

A repeated passage is a run of at least `words` words that stands, word for word, in an earlier
document; a repeated line or paragraph stands in at least so many documents. The first copy
stays, later ones can be cut (`passage_edits`) or counted. Everything goes by 64-bit hashes: of a
billion distinct passages about one in twenty runs confuses a single pair.

Both searches read the documents twice. In between, fingerprints go through files in a temporary
folder: of a passage of 50 words about every thirteenth word has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.clean import EDIT_SCHEMA
from curate.duplicates._passage_kernel import find_repeats, key_set, winnow
from curate.duplicates.shuffle import buckets_for, read_buckets, write_buckets
from curate.duplicates.verification import Parts, read_again
from curate.errors import ConfigError, InputError, check_name
from curate.text import text_view
from curate.text.words import character_table, gram_multipliers, most_words

PASSAGES_SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "words": pl.Int64(),
        "kept_in": pl.String(),
    }
)
"""A row a span: byte offsets into the text, its words, and the document whose copy stays."""

#: Unit → what separates two of them.
UNITS = {"line": "\n", "paragraph": "\n\n"}
#: What is done about later copies.
ACTIONS = ("cut", "flag")
_MEMORY = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PassagesConfig:
    """What counts as repeated.

    Attributes:
        words: Least words of a repeated passage, 10 or more.
        memory_mb: About how much memory the search may use for fingerprints.
        action: `cut` takes later copies out of the published text; `flag` only counts them.

    >>> PassagesConfig(words=3)
    Traceback (most recent call last):
    curate.errors.ConfigError: words = 3; allowed: 10 or more
    """

    words: int = 50
    memory_mb: int = 1_000
    action: str = "cut"

    def __post_init__(self) -> None:
        _check_action(self.action)
        for name, least in (("words", 10), ("memory_mb", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} = {getattr(self, name)}; allowed: {least} or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedUnits:
    """Which lines or paragraphs count as boilerplate.

    Attributes:
        documents: Least documents that hold it, 2 or more.
        min_chars: Least characters of it.
        action: `cut` takes all but the first copy out of the published text; `flag` counts them.

    >>> RepeatedUnits(action="drop")
    Traceback (most recent call last):
    curate.errors.ConfigError: unknown action 'drop'; known: cut, flag
    """

    documents: int = 10
    min_chars: int = 20
    action: str = "cut"

    def __post_init__(self) -> None:
        _check_action(self.action)
        if self.documents < 2 or self.min_chars < 1:
            raise ConfigError(
                f"documents = {self.documents}, min_chars = {self.min_chars}; allowed: 2 or more "
                "documents, 1 or more characters"
            )


def _check_action(action: str) -> None:
    check_name("action", action, ACTIONS)


def find_passages(parts: Parts, config: PassagesConfig | None = None) -> pl.DataFrame:
    """Spans that stand word for word in an earlier document.

    Documents are taken in order. A span is made of windows of `words` words each of which stands
    in an earlier document, and intact there, i.e. untouched by the spans of that document; so
    when all spans are cut, each of these windows still stands somewhere. What a document repeats
    of itself is no passage.

    Args:
        parts: Gives frames with `id` and `text` in document order, anew each time it is called.
        config: Least words; by default 50.

    Returns:
        `PASSAGES_SCHEMA`, in document order, then by start. Spans of one document do not overlap.
        A span begins with its first word and ends before the next word or line.

    Raises:
        InputError: An id occurs twice.

    >>> line = " ".join(f"word{i}" for i in range(12))
    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": [line, f"See: {line}. End"]})
    >>> find_passages(lambda: [frame], PassagesConfig(words=10)).row(0)
    ('b', 5, 80, 12, 'a')
    """
    config = config or PassagesConfig()
    ids = _ids(parts)
    with TemporaryDirectory(prefix="curate-passages-") as name:
        repeated, wanted = _repeated_fingerprints(parts, config, Path(name), len(ids))
    seen = (np.zeros(1024, np.uint64), np.empty(1024, np.int64), 0)
    tables = (character_table(), key_set(repeated))
    short = gram_multipliers(config.words // 2)
    grams = (short, gram_multipliers(config.words))
    spans = [np.empty((0, 5), np.int64)]
    for rows, text in read_again(parts, wanted):
        view = text_view(text)
        found, seen = find_repeats((view.address, view.length), rows, tables, grams, seen)
        spans.append(found)
    return _passages(np.concatenate(spans), ids)


def _ids(parts: Parts) -> pl.Series:
    ids = pl.concat([pl.Series("id", [], pl.String), *(p["id"].alias("id") for p in parts())])
    if ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated())[0]
        raise InputError(f"id {repeated!r} occurs more than once, but ids must be unique")
    return ids


def _passages(spans: NDArray[np.int64], ids: pl.Series) -> pl.DataFrame:
    row, start, end, words, holder = spans.T
    columns = {"id": ids.gather(row), "start": start, "end": end, "words": words}
    return pl.DataFrame({**columns, "kept_in": ids.gather(holder)}, schema=PASSAGES_SCHEMA)


def _repeated_fingerprints(
    parts: Parts, config: PassagesConfig, folder: Path, documents: int
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Fingerprints that several documents have, and which documents these are."""
    # Sized by a guess of 100 fingerprints a document: buckets are files, not promises.
    buckets = buckets_for(documents * 100, config.memory_mb * 10**6)
    write_buckets(_fingerprints(parts, config.words), folder, buckets=buckets)
    wanted, repeated = np.zeros(documents, np.bool_), [np.empty(0, np.uint64)]
    for keys, members in read_buckets(folder):
        first, last = _runs(keys)
        several = members[first] != members[last]
        repeated.append(keys[first[several]])
        wanted[members[np.repeat(several, last - first + 1)]] = True
    return np.concatenate(repeated), wanted


def _runs(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last place of each run of equal keys."""
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return first, np.append(first[1:], len(keys)) - 1


def _fingerprints(
    parts: Parts, words: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    short, seen = words // 2, 0
    for part in parts():
        view = text_view(part["text"])
        room = most_words(view)
        hashes, documents = np.empty(room, np.uint64), np.empty(room, np.int64)
        count = winnow(
            (view.address, view.length),
            character_table(),
            gram_multipliers(short),
            words - short + 1,
            (hashes, documents),
        )
        yield hashes[:count], documents[:count] + seen
        seen += part.height


def passage_edits(
    passages: pl.DataFrame, *, before: pl.DataFrame | None = None, step: str = "cut_passages"
) -> pl.DataFrame:
    """Cuts of spans, as edits of a last cleaning step.

    Signals are measured before these cuts; they do not see them.

    Args:
        passages: `id`, `start`, `end` of spans that do not overlap within a document.
        before: Edits of earlier steps, which win where they overlap: what is left of a span
            around them is cut.
        step: Name of the step.

    Returns:
        `curate.clean.EDIT_SCHEMA`, in the order of `passages`.

    >>> spans = pl.DataFrame({"id": ["a"], "start": [5], "end": [30]})
    >>> mask = pl.DataFrame({"id": ["a"], "step": "mask_pii", "start": [10], "end": [16],
    ...                      "replacement": ["<IP>"]})
    >>> passage_edits(spans, before=mask).select("start", "end").rows()
    [(5, 10), (16, 30)]
    """
    spans = [(i, a, b) for i, a, b in passages.select("id", "start", "end").iter_rows()]
    if before is not None:
        touched = before.filter(pl.col("id").is_in(passages["id"].implode()))
        others: dict[str, list[tuple[int, int]]] = {}
        for document, start, end in touched.select("id", "start", "end").sort("start").iter_rows():
            others.setdefault(document, []).append((start, end))
        spans = [s for span in spans for s in _around(span, others.get(span[0], []))]
    schema = {"id": pl.String, "start": pl.Int64, "end": pl.Int64}
    frame = pl.DataFrame(spans, schema=schema, orient="row")
    return frame.with_columns(step=pl.lit(step), replacement=pl.lit("")).select(*EDIT_SCHEMA)


def _around(
    span: tuple[str, int, int], others: list[tuple[int, int]]
) -> Iterator[tuple[str, int, int]]:
    document, at, end = span
    for start, stop in others:
        if stop <= at or start >= end:
            continue
        if start > at:
            yield document, at, start
        at = max(at, stop)
    if at < end:
        yield document, at, end


def find_repeated_units(
    parts: Parts,
    *,
    unit: str = "line",
    documents: int = 2,
    min_chars: int = 1,
) -> pl.DataFrame:
    r"""Lines or paragraphs that stand in several documents, all but those of the first.

    Two are the same if they agree without white space at both ends and without case.

    Args:
        parts: Gives frames with `id` and `text` in document order, anew each time it is called.
        unit: `line` (between newlines) or `paragraph` (between empty lines).
        documents: Least documents that hold it.
        min_chars: Least characters; blank ones never count.

    Returns:
        `PASSAGES_SCHEMA`, as `find_passages` returns it; a span takes the separator behind it.

    Raises:
        ConfigError: An unknown unit, or fewer than two documents.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["Home\nFirst.", "Second.\nhome \nEnd"]})
    >>> find_repeated_units(lambda: [frame]).rows()
    [('b', 8, 14, 1, 'a')]
    """
    check_name("unit", unit, UNITS)
    if documents < 2:
        raise ConfigError(f"documents = {documents}; a repetition needs at least 2")
    ids = _ids(parts)
    least = max(1, min_chars)
    with TemporaryDirectory(prefix="curate-units-") as name:
        chunks = (
            (frame["key"].to_numpy(), frame["document"].to_numpy())
            for frame in _units(parts, unit, least)
        )
        buckets = buckets_for(len(ids) * 100, _MEMORY)
        write_buckets(chunks, Path(name), buckets=buckets)
        common = _common(Path(name), documents)
    frames = [_repeats(frame, common) for frame in _units(parts, unit, least)]
    spans = pl.concat([*frames, _NO_REPEATS.to_frame()]).select(*_NO_REPEATS)
    return _passages(spans.to_numpy().astype(np.int64), ids)


_NO_REPEATS = pl.Schema(
    [(name, pl.Int64()) for name in ("document", "start", "end", "words", "first")]
)


def _units(parts: Parts, unit: str, least: int) -> Iterator[pl.DataFrame]:
    """`document`, `key`, `start`, `end`, `words` of each line or paragraph that counts."""
    separator, seen = UNITS[unit], 0
    content = pl.col("unit").str.strip_chars().str.to_lowercase()
    after = pl.col("unit").str.len_bytes().cast(pl.Int64) + len(separator)
    for part in parts():
        rows = pl.int_range(seen, seen + part.height, dtype=pl.Int64, eager=True)
        size = part["text"].str.len_bytes().cast(pl.Int64)
        frame = pl.DataFrame(
            {"document": rows, "size": size, "unit": part["text"].str.split(separator)}
        )
        units = frame.explode("unit").with_columns(
            end=after.cum_sum().over("document"), content=content
        )
        yield units.filter(pl.col("content").str.len_chars() >= least).select(
            "document",
            key=pl.col("content").hash(seed=1),
            start=pl.col("end") - after,
            end=pl.min_horizontal("end", "size"),
            words=pl.col("content").str.count_matches(r"\s+").cast(pl.Int64) + 1,
        )
        seen += part.height


def _common(folder: Path, documents: int) -> pl.DataFrame:
    """`key` UInt64 that enough documents hold, and the `first` of them."""
    frames = [pl.DataFrame(schema={"key": pl.UInt64, "first": pl.Int64})]
    for keys, members in read_buckets(folder):
        frame = pl.DataFrame({"key": keys, "document": members})
        counted = frame.group_by("key").agg(
            held=pl.col("document").n_unique(), first=pl.col("document").min()
        )
        frames.append(counted.filter(pl.col("held") >= documents).select("key", "first"))
    return pl.concat(frames)


def _repeats(units: pl.DataFrame, common: pl.DataFrame) -> pl.DataFrame:
    joined = units.join(common, on="key", how="inner", maintain_order="left")
    return joined.filter(pl.col("document") != pl.col("first")).select(*_NO_REPEATS)
