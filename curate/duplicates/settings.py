"""When two documents are near-duplicates, and how hard they are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, log1p

from curate.errors import ConfigError, check_name
from curate.text import SCHEMES

#: Name → (bands, rows). At J = 0.8 they miss 8 %, 0.05 % and 0.0005 % of pairs.
PRESETS = {
    "fineweb": (14, 8),  # FineWeb's own (Penedo et al., 2024)
    "balanced": (25, 6),
    "high_recall": (40, 6),
}

_KEY = "duplicates.near."

#: Longest signature that `choose_bands` proposes: 2 KB a document.
_MOST_PERMUTATIONS = 512


@cache
def choose_bands(jaccard: float, recall: float) -> tuple[int, int]:
    """The most selective bands and rows that find a pair at the threshold with this recall.

    A pair of similarity J shares one of b bands of r rows with probability 1 - (1 - J^r)^b.
    More rows mean fewer false candidates and need more bands; the most rows that fit into 512
    permutations are taken.

    Args:
        jaccard: Similarity of the pair, in (0, 1].
        recall: Least probability that such a pair is compared, in (0, 1).

    Raises:
        ConfigError: No signature of 512 entries reaches this recall.

    >>> choose_bands(0.8, 0.999), choose_bands(0.5, 0.9)
    ((48, 9), (73, 5))
    """
    best = None
    for rows in range(1, 33):
        chance = jaccard**rows
        bands = ceil(log1p(-recall) / log1p(-chance) - 1e-9) if chance < 1 else 1
        if bands * rows <= _MOST_PERMUTATIONS:
            best = bands, rows
    if best is None:
        raise ConfigError(
            f"no {_MOST_PERMUTATIONS} permutations find pairs of Jaccard {jaccard} with recall "
            f"{recall}; ask for less of either"
        )
    return best


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """When two documents are near-duplicates, and how hard to look for them.

    Attributes:
        jaccard: Least exact Jaccard similarity of the sets of word 5-grams, in (0, 1].
        preset: `fineweb`, `balanced` or `high_recall`: bands and rows of the candidate search.
        recall: Choose bands and rows so that a pair at the threshold is compared with this
            probability, in place of the preset.
        containment: Also take a pair of which at least this share of the smaller document is
            in the larger one. Candidates are those of the Jaccard search, so that a short
            excerpt of a long document is found with little probability. Needs the survivor
            policy `longest`: under others the larger document could go.
        scheme: `affine32` (datasketch's permutations) or `one_permutation` (one hash a shingle:
            a little faster and more accurate, not datasketch's).
        verify: Compare the documents themselves. Without it every candidate counts, with the
            similarity that signatures estimate, as other tools have it: distinct documents on
            one template are then removed. Only for comparisons.
        seed: Of the permutations.

    >>> NearDuplicates(jaccard=0.8).permutations
    112
    >>> NearDuplicates(jaccard=0.8, recall=0.99).bands
    41
    """

    jaccard: float = 0.8
    preset: str = "fineweb"
    recall: float | None = None
    containment: float | None = None
    scheme: str = "affine32"
    verify: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("jaccard", "containment"):
            value = getattr(self, name)
            number = isinstance(value, int | float)
            if value is not None and not (number and 0 < value <= 1):
                raise ConfigError(f"{_KEY}{name} = {value!r} is no similarity; allowed: (0, 1]")
        check_name(f"{_KEY}preset", self.preset, PRESETS)
        check_name(f"{_KEY}scheme", self.scheme, SCHEMES)
        if self.recall is not None and not 0 < self.recall < 1:
            raise ConfigError(f"{_KEY}recall = {self.recall!r} is no probability; allowed: (0, 1)")
        if not 0 <= self.seed < 1 << 32:
            raise ConfigError(f"{_KEY}seed = {self.seed!r} is out of range; allowed: 0 to 2^32 - 1")
        self._shape()  # fails here rather than in the middle of a run

    def _shape(self) -> tuple[int, int]:
        if self.recall is None:
            return PRESETS[self.preset]
        return choose_bands(self.jaccard, self.recall)

    @property
    def bands(self) -> int:
        """Parts of a signature, each of which can make a candidate."""
        return self._shape()[0]

    @property
    def rows(self) -> int:
        """Signature entries a band."""
        return self._shape()[1]

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


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceConfig:
    """What is looked at again once the removals are known.

    Attributes:
        sample: Removals of a random sample that are counted anew, for the false-removal rate.
        shown: Removals whose two texts the report shows side by side.
        other_seeds: Seeds of the permutations with which the search is made again, to say how
            many removals hang on the seed. Each costs one more search; none are made by default.

    >>> EvidenceConfig(sample=-1)
    Traceback (most recent call last):
    curate.errors.ConfigError: duplicates.evidence.sample = -1; allowed: 0 or more
    """

    sample: int = 500
    shown: int = 5
    other_seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sample", "shown"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"duplicates.evidence.{name} = {getattr(self, name)}; allowed: 0 or more"
                )
        for seed in self.other_seeds:
            if not 0 <= seed < 1 << 32:
                raise ConfigError(
                    f"duplicates.evidence.other_seeds names {seed}; allowed: 0 to 2^32 - 1"
                )
