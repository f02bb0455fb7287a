"""What speaks for removals and what against: texts compared anew, samples, other seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from curate.duplicates.pairs import DuplicatesConfig, find_pairs
from curate.duplicates.settings import NearDuplicates
from curate.duplicates.settling import comparison, settle
from curate.duplicates.verification import Parts
from curate.errors import ConfigError, IntegrityError
from curate.statistics import wilson
from curate.text import split_words, text_similarity

_SHOWN_WORDS = 20
_AT_ONCE = 20_000
_DEFAULT = NearDuplicates()


def removal_evidence(
    parts: Parts, removed: pl.DataFrame, *, at_once: int = _AT_ONCE
) -> pl.DataFrame:
    """Both texts behind each removal, compared anew.

    Args:
        parts: Gives frames with `id` and `text`, anew each time it is called.
        removed: `id` and `kept_id` String (or `duplicate_of`); further columns are carried.
        at_once: Rows that are held in memory with both texts; the parts are read once for each
            turn of so many.

    Returns:
        The rows of `removed` with `jaccard`, `containment` Float64 recomputed from the texts,
        `new_words` Int64 (distinct words of the removed text that the kept one has not) and
        `new_words_shown` List[String] (the first 20 of them).

    Raises:
        IntegrityError: A document is not among the parts.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one two three", "One two four"]})
    >>> removed = pl.DataFrame({"id": ["b"], "kept_id": ["a"]})
    >>> removal_evidence(lambda: [frame], removed).row(0)
    ('b', 'a', 0.0, 0.0, 1, ['four'])
    """
    pairs = removed.rename({"duplicate_of": "kept_id"} if "duplicate_of" in removed.columns else {})
    turns = pairs.iter_slices(at_once) if pairs.height else [pairs]
    return pl.concat([_compared(parts, turn) for turn in turns])


def _compared(parts: Parts, pairs: pl.DataFrame) -> pl.DataFrame:
    texts = texts_of(parts, pl.concat([pairs["id"], pairs["kept_id"].alias("id")]).unique())
    gone, kept = (
        pairs.select(id=column).join(texts, on="id", how="left", maintain_order="left")["text"]
        for column in ("id", "kept_id")
    )
    new = [_new_words(a, b) for a, b in zip(gone, kept, strict=True)]
    return pairs.drop("jaccard", "containment", strict=False).with_columns(
        *text_similarity(gone, kept),
        pl.Series("new_words", [len(words) for words in new], pl.Int64),
        pl.Series("new_words_shown", [w[:_SHOWN_WORDS] for w in new], pl.List(pl.String)),
    )


def texts_of(parts: Parts, ids: pl.Series) -> pl.DataFrame:
    """`id` and `text` of some documents, in document order.

    Raises:
        IntegrityError: A document is not among the parts.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one", "two"]})
    >>> texts_of(lambda: [frame], pl.Series(["b"])).rows()
    [('b', 'two')]
    """
    wanted = ids.implode()
    found = [part.select("id", "text").filter(pl.col("id").is_in(wanted)) for part in parts()]
    texts = pl.concat([pl.DataFrame(schema={"id": pl.String, "text": pl.String}), *found])
    missing = ids.filter(~ids.is_in(texts["id"].implode())).sort()
    if len(missing):
        raise IntegrityError(f"document {missing[0]!r} of a removal is not among the parts")
    return texts


def _new_words(removed: str, kept: str) -> list[str]:
    there = set(split_words(kept))
    return list(dict.fromkeys(word for word in split_words(removed) if word not in there))


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseRemovals:
    """Share of removals whose two texts are below the threshold, in a random sample.

    Attributes:
        sampled: Removals looked at.
        false: Of these, the ones below the threshold.
        rate: Their share; NaN where nothing was sampled.
        low: Lower end of the Wilson interval of the share in all removals.
        high: Upper end.
        confidence: Of the interval.
    """

    sampled: int
    false: int
    rate: float
    low: float
    high: float
    confidence: float


def false_removal_rate(
    parts: Parts,
    removed: pl.DataFrame,
    *,
    near: NearDuplicates = _DEFAULT,
    sample: int = 500,
    seed: int = 1,
) -> FalseRemovals:
    r"""Recompute a random sample of removals by a count that shares no code with the search.

    Words are Python's lower-cased `\w+` runs and shingles are tuples, not hashes. Where the
    scripts of a corpus are written without spaces the two kinds of words differ, and this count
    is the coarser one.

    Args:
        parts: Gives frames with `id` and `text`, anew each time it is called.
        removed: `id`, `kept_id` (or `duplicate_of`), and `kind`, of which "exact" counts as true
            if the words are the same.
        near: Thresholds of the search.
        sample: Most removals to look at.
        seed: Of the sample.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one two three", "One, two, three"]})
    >>> removed = pl.DataFrame({"id": ["b"], "kept_id": ["a"], "kind": ["exact"]})
    >>> result = false_removal_rate(lambda: [frame], removed)
    >>> result.sampled, result.false, round(result.high, 2)
    (1, 0, 0.79)
    """
    pairs = removed.rename({"duplicate_of": "kept_id"} if "duplicate_of" in removed.columns else {})
    pairs = pairs.sort("id")
    if pairs.height > sample:
        rows = np.random.default_rng(seed).choice(pairs.height, sample, replace=False)
        pairs = pairs[np.sort(rows)]
    ids = pl.concat([pairs["id"], pairs["kept_id"].alias("id")]).unique()
    texts = dict(texts_of(parts, ids).iter_rows())
    false = sum(
        not _slow_match(texts[gone], texts[kept], near)
        for gone, kept in pairs.select("id", "kept_id").iter_rows()
    )
    low, high = wilson(false, pairs.height) if pairs.height else (0.0, 1.0)
    rate = false / pairs.height if pairs.height else float("nan")
    return FalseRemovals(
        sampled=pairs.height, false=false, rate=rate, low=low, high=high, confidence=0.95
    )


def _slow_match(one: str, other: str, near: NearDuplicates) -> bool:
    a, b = _shingles(one), _shingles(other)
    if not a or not b:
        return one == other
    shared = len(a & b)
    contained = near.containment is not None and shared >= near.containment * min(len(a), len(b))
    return contained or shared >= near.jaccard * len(a | b)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


def seed_stability(
    parts: Parts,
    config: DuplicatesConfig,
    *,
    seeds: Sequence[int] = (2,),
    eligible: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """How many removals another seed of the permutations would have changed.

    Args:
        parts: Gives frames with `id`, `text` and what the policy reads, anew each time.
        config: The search; its own seed is what the others are compared with.
        seeds: Other seeds; each costs one more search.
        eligible: What `resolve` is given, where documents can fail other rules. By default
            none does.

    Returns:
        A row a seed: `seed`, `removed` Int64 (with that seed), `only_first`, `only_other` Int64
        (removed with one of the two alone), `moved` Float64 (both, as a share of the removals
        with the config's seed; 0 where there are none).

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["one two three", "One, two, three"]})
    >>> seed_stability(lambda: [frame], DuplicatesConfig()).row(0)
    (2, 1, 0, 0, 0.0)
    """
    if config.near is None:
        raise ConfigError("seed_stability needs near-duplicates: exact ones have no seed")
    known = _all_eligible(parts) if eligible is None else eligible
    first = _removed(parts, config, known)
    rows = []
    for seed in seeds:
        other = _removed(parts, replace(config, near=replace(config.near, seed=seed)), known)
        alone = len(first - other), len(other - first)
        rows.append((seed, len(other), *alone, sum(alone) / max(len(first), 1)))
    schema = {
        "seed": pl.Int64,
        "removed": pl.Int64,
        "only_first": pl.Int64,
        "only_other": pl.Int64,
        "moved": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _all_eligible(parts: Parts) -> pl.DataFrame:
    text_chars = pl.col("text").str.len_chars()
    found = [part.with_columns(text_chars=text_chars).drop("text") for part in parts()]
    nothing = pl.DataFrame(schema={"id": pl.String, "text_chars": pl.UInt32})
    known = pl.concat(found) if found else nothing
    return known.with_columns(eligible=pl.lit(value=True))


def _removed(parts: Parts, config: DuplicatesConfig, eligible: pl.DataFrame) -> set[str]:
    pairs = find_pairs(parts, config)
    compare = comparison(parts, config.near)
    resolved = settle(pairs, eligible, config.survivor, sources=config.sources, compare=compare)
    return set(resolved.drop_nulls("duplicate_of")["id"])
