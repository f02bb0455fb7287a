"""What a run is told about quality: whose texts, which scores, where they cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.corpus import InputConfig
from curate.errors import ConfigError, check_name
from curate.quality._arguments import check_numbers
from curate.quality._features import NORMS
from curate.quality.selection import SelectionConfig

MIN_DOCUMENTS = 20  # of either side
#: Score → the column that it fills.
SCORES: Mapping[str, str] = {
    "classifier": "quality",
    "column": "quality",
    "scorer": "quality",
    "perplexity": "bits_per_byte",
    "importance": "importance",
}
COMBINATIONS = ("mean_of_ranks",)
_FITTED = ("min", "bits", "folds", "max_documents", "max_chars", "norm", "checks")

Texts = str | tuple[str, ...] | InputConfig
_TEXTS: tuple[type, ...] = (str, tuple, InputConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityConfig:
    """How quality is learned, and where it cuts.

    Attributes:
        reference: Texts of the wished quality: a path, paths, or a table like `[input]` (so that
            a Hugging Face dataset or other column names will do); `None` = nothing to learn from.
        background: Texts that the reference is told from, alike: hard negatives. `None` = the
            native documents of the run.
        label: Column of human labels, Boolean or with `at_least` a grade: labelled-good documents
            are the reference, labelled-bad ones the background. A column of the input, or of
            `reference` where that is set. Documents without a label are scored only.
        at_least: Grades from here on are good.
        column: A numeric column of the input that already holds a score.
        scorer: `"module:function"`, called with lists of texts, giving one number a text, higher
            = better. The module is looked for in the working folder too.
        scores: Scores to make, of `SCORES`: `classifier`, `column` or `scorer` fill the column
            `quality` (one of them at most), `perplexity` the columns `bits_per_byte` (lower =
            better) and `perplexity_bucket` (head, middle, tail), `importance` the column
            `importance`. Empty = the one that the keys above ask for.
        combined: `"mean_of_ranks"` adds the column `mean_rank` of all scores.
        min: Documents scoring below it in `quality` fail the rule `quality.score`, in [0, 1]
            (any number where the score is your own); `None` only scores.
        select: Which share of the documents a score selects; the others fail the rule
            `quality.select`.
        bits: The vocabulary has 2**bits buckets.
        folds: Parts for out-of-fold scores.
        max_documents: Largest sample of either side, drawn by a seeded hash of the ids.
        max_chars: A longer document is fitted on its first so many characters; all of it is
            scored.
        norm: `unit`: count vectors of length 1. `share`: shares of terms; a long document then
            has no larger decision value than a short one of the same words, where `unit` lets
            it grow with the root of the number of different terms.
        checks: Fit the learning curve, the plain train and test figure and that of whole sources
            held out too (up to two fits more for each fold).

    >>> QualityConfig(reference="good.parquet").wanted
    ('classifier',)
    >>> both = QualityConfig(reference="good.parquet", scores=("classifier", "importance"))
    >>> both.columns
    ('quality', 'importance')
    """

    reference: Texts | None = None
    background: Texts | None = None
    label: str | None = None
    at_least: float | None = None
    column: str | None = None
    scorer: str | None = None
    scores: tuple[str, ...] = ()
    combined: str | None = None
    min: float | None = None
    select: SelectionConfig | None = None
    bits: int = 18
    folds: int = 5
    max_documents: int = 6_000
    max_chars: int = 10_000
    norm: str = "unit"
    checks: bool = True

    def __post_init__(self) -> None:
        numbers = ("at_least", "min", "bits", "folds", "max_documents", "max_chars")
        check_numbers(self, "quality", numbers)
        sides = [(name, _TEXTS) for name in ("reference", "background")]
        for name, kinds in (("select", (SelectionConfig,)), *sides):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                raise ConfigError(f"quality.{name} is {value!r} ({type(value).__name__})")
        self._check_scores()
        self._check_sources()
        self._check_sizes()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The scores that are made."""
        if self.scores:
            return self.scores
        learned = self.reference is not None or self.label is not None
        asked = (("classifier", learned), ("column", self.column), ("scorer", self.scorer))
        return tuple(name for name, value in asked if value)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that they fill, the combined one included."""
        combined = ("mean_rank",) if self.combined else ()
        return tuple(SCORES[name] for name in self.wanted) + combined

    @property
    def main(self) -> str:
        """The column that is shown first: `quality` where it is made."""
        return next((c for c in self.columns if c == "quality"), (*self.columns, "quality")[0])

    def fitted(self) -> dict[str, Any]:
        """What a fitted classifier depends on, and its cut."""
        return {name: getattr(self, name) for name in _FITTED}

    def _check_scores(self) -> None:
        for name in self.scores:
            check_name("score in quality.scores", name, SCORES)
        if self.combined is not None:
            check_name("quality.combined", self.combined, COMBINATIONS)
        own = [name for name in self.wanted if SCORES[name] == "quality"]
        if len(own) > 1:
            raise ConfigError(
                f"quality asks for the scores {' and '.join(own)}, but the column quality holds "
                "one: name the wished ones in quality.scores"
            )
        if len(set(self.wanted)) < len(self.wanted):
            raise ConfigError(f"quality.scores names a score twice: {list(self.scores)}")
        if self.combined is not None and len(self.wanted) < 2:
            raise ConfigError(
                f"quality.combined = {self.combined!r} needs two scores or more; "
                f"quality.scores are {list(self.wanted)}"
            )

    def _check_sources(self) -> None:
        learned = self.reference is not None or self.label is not None
        for name in self.wanted:
            given = getattr(self, name) if name in ("column", "scorer") else learned or None
            if given is None:
                key = name if name in ("column", "scorer") else "reference (or label)"
                raise ConfigError(f"the score {name!r} of quality.scores needs quality.{key}")
        if self.scorer is not None and not all(self.scorer.partition(":")):
            raise ConfigError(f"quality.scorer is {self.scorer!r}; write 'module:function'")
        if self.at_least is not None and self.label is None:
            raise ConfigError("quality.at_least is a grade of quality.label, which is not set")
        if self.background is not None and (self.reference is None or self.label is not None):
            raise ConfigError(
                "quality.background are texts to tell quality.reference from; it needs that, and "
                "no quality.label"
            )

    def _check_sizes(self) -> None:
        own = {"column", "scorer"} & set(self.wanted)
        if self.min is not None and not own and not 0 <= self.min <= 1:
            raise ConfigError(f"quality.min is {self.min}; allowed: 0 to 1")
        check_name("quality.norm", self.norm, NORMS)
        for name, low, high in (("bits", 10, 24), ("folds", 2, 50), ("max_chars", 1, 10**9)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"quality.{name} is {getattr(self, name)}; allowed: {low}-{high}")
        if self.max_documents < MIN_DOCUMENTS:
            raise ConfigError(
                f"quality.max_documents is {self.max_documents}; allowed: {MIN_DOCUMENTS} or more"
            )
        if self.wanted and self.select is not None:
            check_name("quality.select.score", self.select.score, self.columns)
