"""What the experiment is told."""

from __future__ import annotations

from dataclasses import dataclass

from curate.errors import ConfigError, check_name
from curate.proxies import FAMILIES

DEFAULT_ARMS = (
    "raw",
    "curated",
    "oracle",
    "leave_one_out",
    "random",
    "null",
    "calibrator",
    "fixed_pool",
)
# Defaults of earlier versions: run folders hold them, though nobody asked for these arms.
FORMER_DEFAULT_ARMS = (
    ("raw", "curated", "oracle", "leave_one_out", "random", "null", "calibrator"),
)
ARM_GROUPS = (*DEFAULT_ARMS, "only_one", "mixture", "inverse_quality", "degraded", "duplicated")
ARROW = " → "
# Families that can afford every contrast and every replicate, and learn repeats by heart.
LIGHT = ("kneser_ney",)
PRECISIONS = ("float32", "bfloat16", "auto")

__all__ = ["ARM_GROUPS", "ARROW", "DEFAULT_ARMS", "FORMER_DEFAULT_ARMS", "LIGHT", "MeasureConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureConfig:
    """The experiment of a run: what is compared, on which text, with which small models.

    Attributes:
        minutes: Time it may take on two cores. Budgets shrink to fit, by arithmetic from stated
            speeds, never by the clock: the same config gives the same plan on every machine.
        stop: Whether it must end on time, report included. Budgets are then planned by the speed
            that this machine has now; where that is too little, draws are fewer (not below 5), then
            other sizes and arms go, and the plan says so. Carried out again (`plan`), it gives the
            same tables.
        evaluation: Files of neutral text that neither side saw. Without any the headline is
            "cannot tell: no neutral evaluation set".
        evaluation_column: Column that names the evaluation set of a row; `None` = its file.
        evaluation_tokens: Tokens read of each evaluation set, a hash-drawn sample of documents.
        evaluation_document_bytes: Bytes read of each evaluation document, from its beginning.
        arms: Groups of arms; those whose masks are not given are left out ("oracle" where no
            truth is known, "fixed_pool" where no transformer is among the families, or the minutes
            have no room for it). By default the first eight of `ARM_GROUPS`.
        families: Kinds of proxy models, the first one carries the headline. One that is not
            installed, or that the minutes are too few for, is left out, and the plan says so.
        sizes: Their sizes; empty = all that the families have.
        primary_size: Size of the headline; `None` = "order3" where measured, else the first.
        budgets: Tokens of the smaller arm, rising; `None` = four doublings planned from the pool.
        replicates: Paired draws; `None` = as many as `detect` asks for (3 to 24). A transformer's
            are five at most, unless `budgets` are given.
        detect: Multiplier that is to be seen with 80 % power; the plan states what will be.
        reach: How far beyond D / (1 − r) the ladders of raw and of other noisy arms go, where r is
            the share of tokens that is left out. Text that hurts a great deal needs more than the
            default, else its multiplier is only said to be "≥ x".
        label: Boolean column of the documents (or one of 0 and 1): a linear classifier is trained
            on growing parts of each arm to predict it; see `curate.experiment.labelled_task`.
        memorisation: Whether to ask what a model of raw and of curated text knows by heart, one of
            each family: planted canaries, held-out gap, repeated readings. It comes on top of the
            minutes, unless these must be kept (`stop`).
        shapley: Whether to measure what each step adds over all orders of the steps: one arm for
            each coalition of steps, 14 of them for four.
        precision: Of the transformers' training: "float32", "bfloat16", or "auto", which times both
            for a second and takes what is faster at equal loss; then another run on another day
            may give other digits. `plan.json` says what was taken.
        vocabulary: Token ids of the run's own byte-pair encoding.
        headline: The one contrast that is tested without correction.
        plan: `plan.json` of an experiment on the same corpus: its sizes, budgets and finished draws
            are measured again, whatever the minutes, and give the same tables.

    >>> MeasureConfig().replicates
    8
    >>> MeasureConfig(arms=("raw", "curate"))
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: unknown arm 'curate'; did you mean 'curated'? known: calibrator, ...
    """

    minutes: float = 10.0
    stop: bool = False
    evaluation: tuple[str, ...] = ()
    evaluation_column: str | None = None
    evaluation_tokens: int = 60_000
    evaluation_document_bytes: int = 4_000
    arms: tuple[str, ...] = DEFAULT_ARMS
    families: tuple[str, ...] = ("kneser_ney",)
    sizes: tuple[str, ...] = ()
    primary_size: str | None = None
    budgets: tuple[int, ...] | None = None
    replicates: int | None = 8
    detect: float = 1.10
    reach: float = 2.25
    label: str | None = None
    memorisation: bool = False
    shapley: bool = False
    precision: str = "float32"
    vocabulary: int = 1024
    headline: str = f"raw{ARROW}curated"
    plan: str | None = None

    def __post_init__(self) -> None:
        for what, names, known in (
            ("arm", self.arms, ARM_GROUPS),
            ("proxy family", self.families, tuple(FAMILIES)),
            ("proxy size", self.sizes, _all_sizes()),
        ):
            for name in names:
                check_name(what, name, known)
        check_name("measure.precision", self.precision, PRECISIONS)
        if not self.families:
            raise ConfigError("measure.families is empty; at least one proxy family is needed")
        self._check_amounts()
        budgets = self.budgets or ()
        if any(b <= a for a, b in zip((0, *budgets), budgets, strict=False)):
            raise ConfigError(
                f"measure.budgets are {list(budgets)}; they must be positive and rise"
            )
        if ARROW not in self.headline:
            raise ConfigError(f"measure.headline is {self.headline!r}; write 'raw{ARROW}curated'")

    def _check_amounts(self) -> None:
        draws = 1 if self.replicates is None else self.replicates
        amounts = {
            "minutes": self.minutes,
            "replicates": draws,
            "evaluation_tokens": self.evaluation_tokens,
        }
        for name, amount in amounts.items():
            if amount > 0:
                continue
            raise ConfigError(f"measure.{name} is {amount}; it must be positive")
        if self.reach < 1.5:
            raise ConfigError(f"measure.reach is {self.reach}; below 1.5 results are clipped")
        if self.detect <= 1:
            raise ConfigError(f"measure.detect is {self.detect}; it must be above 1, e.g. 1.10")

    @property
    def reads_again(self) -> bool:
        """Whether a fixed pool is asked for and a family is there that can judge repeats."""
        return "fixed_pool" in self.arms and any(name not in LIGHT for name in self.families)

    def sizes_of(self, family: str) -> tuple[str, ...]:
        """Sizes to measure in a family, the primary one first."""
        known = FAMILIES[family].sizes
        chosen = tuple(s for s in self.sizes if s in known) or known
        first = self.primary_size or "order3"
        return tuple(sorted(chosen, key=lambda size: size != first))


def _all_sizes() -> tuple[str, ...]:
    return tuple(size for family in FAMILIES.values() for size in family.sizes)
