"""All verified duplicate pairs of a corpus that is given part by part.

Sketches (a signature, a shingle count and a hash of the words) stay in memory or go to a
temporary folder, text does not: it is read again to verify, and then only of documents that may
have a duplicate. What is found does not depend on how the documents are split into parts.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.duplicates.exact import first_of_class
from curate.duplicates.guard import WipeOutGuard
from curate.duplicates.near import agreements_in_turns, candidate_pairs
from curate.duplicates.passages import PassagesConfig, RepeatedUnits
from curate.duplicates.settings import EvidenceConfig, NearDuplicates
from curate.duplicates.settling import nearest_pairs
from curate.duplicates.shuffle import shuffled_pairs_of_bands
from curate.duplicates.sketches import CorpusSketch, sketch_parts
from curate.duplicates.survivors import SURVIVOR_POLICIES
from curate.duplicates.verification import PAIRS_SCHEMA, Ends, Parts, pairs_frame, verified_pairs
from curate.errors import ConfigError, check_name

__all__ = ["PAIRS_SCHEMA", "DuplicatesConfig", "find_pairs"]


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
        memory_mb: About how much memory, in megabytes, the candidate search may use beside a
            hundred bytes a document: signatures and bands then go through files in a temporary
            folder. None keeps them in memory, 0.6 KB a document. The result is the same.
        guard: When removals look like an accident and the run fails; None never does.
        evidence: What is looked at again once the removals are known.
        passages: Passages of kept documents that stand in earlier ones; None looks for none.
        lines: Lines that many kept documents hold.
        paragraphs: Paragraphs that many kept documents hold.
        against: Folders of indexes; documents go that one of their survivors already has.
        index: Folder of one more index of this kind, to which a run adds its own survivors once
            its report is written; made if missing.

    >>> DuplicatesConfig(survivor="newest")
    Traceback (most recent call last):
    curate.errors.ConfigError: unknown survivor policy 'newest'; did you mean 'longest'? ...
    """

    exact: bool = True
    near: NearDuplicates | None = field(default_factory=NearDuplicates)
    survivor: str = "longest"
    sources: tuple[str, ...] = ()
    memory_mb: int | None = None
    guard: WipeOutGuard | None = field(default_factory=WipeOutGuard)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    passages: PassagesConfig | None = None
    lines: RepeatedUnits | None = None
    paragraphs: RepeatedUnits | None = None
    against: tuple[str, ...] = ()
    index: str | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of pairs that remove a document: `exact`, `near`, and `index` for earlier batches.

        >>> DuplicatesConfig(near=None).kinds
        ('exact',)
        """
        asked = {
            "exact": self.exact,
            "near": self.near is not None,
            "index": bool(self.against) or self.index is not None,
        }
        return tuple(kind for kind, wanted in asked.items() if wanted)

    @property
    def cuts(self) -> tuple[str, ...]:
        """Last cleaning steps, which take repeated passages out of the published text."""
        kinds = {"lines": self.lines, "paragraphs": self.paragraphs, "passages": self.passages}
        return tuple(f"cut_{k}" for k, own in kinds.items() if own and own.action == "cut")

    def __post_init__(self) -> None:
        check_name("survivor policy", self.survivor, SURVIVOR_POLICIES)
        if self.memory_mb is not None and self.memory_mb < 1:
            raise ConfigError(f"memory_mb = {self.memory_mb!r}; allowed: 1 or more, or nothing")
        near = self.near
        if "index" in self.kinds and (near is None or near.containment or not near.verify):
            raise ConfigError(
                "duplicates.against and duplicates.index need duplicates.near, verified by Jaccard"
            )
        contained = near is not None and near.containment is not None
        if contained and self.survivor != "longest":
            raise ConfigError(
                f"near.containment needs survivor = 'longest'; with {self.survivor!r} the larger "
                "of two documents could be removed for the smaller"
            )


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
        between the first documents of two classes and hold for all their members. Of a document
        the 32 nearest are stored; under `earliest` those with 16 of the earliest and 16 of the
        most similar earlier documents at most. `settle` verifies others where they matter.

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
    spill = config.near is not None and config.memory_mb is not None
    with TemporaryDirectory(prefix="curate-duplicates-") if spill else nullcontext() as name:
        pairs = _find_pairs(parts, config, Path(name) if name else None)
    pairs = pairs.sort("id_a", "id_b")
    limited = config.survivor != "earliest" and (config.near is None or config.near.verify)
    return nearest_pairs(pairs) if limited else pairs


def _find_pairs(parts: Parts, config: DuplicatesConfig, folder: Path | None) -> pl.DataFrame:
    corpus = sketch_parts(
        parts(), config.near, survivor=config.survivor, sources=config.sources, folder=folder
    )
    documents = len(corpus.ids)
    first = first_of_class(corpus.words_hash) if config.exact else np.arange(documents)
    if not config.near:
        nothing = np.empty(0, np.int64)
        return verified_pairs(parts, corpus, first, (nothing, nothing))
    candidates = _candidates(corpus, first, config, folder)
    if not config.near.verify:
        classes = verified_pairs(parts, corpus, first, (candidates[0][:0], candidates[1][:0]))
        return classes.vstack(_estimated_pairs(corpus, candidates))
    return _similar(verified_pairs(parts, corpus, first, candidates), config.near)


def _candidates(
    corpus: CorpusSketch, first: NDArray[np.int64], config: DuplicatesConfig, folder: Path | None
) -> Ends:
    """Candidates between first documents of classes."""
    near, preference = config.near or NearDuplicates(), corpus.preference
    alone = np.where(first == np.arange(len(first)), corpus.n_shingles, 0)
    if preference is not None:
        np.minimum.at(preference, first, preference)
    shuffled = None
    if folder and config.memory_mb:
        shuffled = shuffled_pairs_of_bands(
            corpus.signature, alone, near, folder=folder, memory_bytes=config.memory_mb * 10**6
        )
    return candidate_pairs(
        corpus.signature, alone, near, preference=preference, band_pairs=shuffled
    )


def _similar(pairs: pl.DataFrame, near: NearDuplicates) -> pl.DataFrame:
    wanted = (pl.col("kind") == "exact") | (pl.col("jaccard") >= near.jaccard)
    if near.containment is not None:
        wanted |= pl.col("containment") >= near.containment
    return pairs.filter(wanted)


def _estimated_pairs(corpus: CorpusSketch, ends: Ends) -> pl.DataFrame:
    """Candidates as they are, with what their signatures and sizes say of them."""
    jaccard = agreements_in_turns(corpus.signature, *ends) / max(corpus.signature.shape[1], 1)
    sizes = corpus.n_shingles
    shared = jaccard / (1 + jaccard) * (sizes[ends[0]] + sizes[ends[1]])
    smaller = np.minimum(sizes[ends[0]], sizes[ends[1]])
    containment = np.clip(shared / np.maximum(smaller, 1), 0, 1)
    return pairs_frame(corpus.ids, "near", ends, (jaccard, containment))
