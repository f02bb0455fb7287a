"""The transformer family: small decoder-only models, trained on a processor in seconds.

Needs torch (`pip install curate-corpus[train]`), which is imported when the first ladder starts.

Every scored model is a decayed branch of one trunk (`curate.proxies.trunk`). Documents are scored
with a fresh context each, in windows: a longer one is read in steps of half a context, so that
every token but the first ones sees at least half.

A model that lacks steps cannot tell good text from filler: keep the batch small, and give a cell a
say only if its calibrator admits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.proxies.protocol import Evaluation, LadderPoint, check_ladder, check_tokens

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GptSettings:
    """Shape and training of one size.

    Attributes:
        width: Numbers per token between layers; a multiple of twice the heads.
        layers: Blocks of attention and feed-forward.
        heads: Attention heads.
        context: Tokens of a window.
        batch_sequences: Windows of `context` tokens in one step.
        peak_rate: Learning rate between warm-up and decay.
        warm_up_steps: Steps of rising rate.
        decay_fraction: Share of a budget's steps in which the rate falls to zero.
        weight_decay: Decoupled (AdamW), on matrices and not on gains.
        clip_norm: Largest norm of a step's gradient.
        second_moment: AdamW's β2: how long squared gradients are remembered.
        precision: Of the operands of matrix products in training; models are scored in float32.
        parts: Threads that share the windows of a step. Their gradients are added in one order: the
            numbers depend on the parts, and not on how many threads a machine has.

    Raises:
        ConfigError: A number that cannot be.

    >>> GptSettings(width=32, heads=3)
    Traceback (most recent call last):
    curate.errors.ConfigError: width 32 must be a multiple of 2 × 3 heads
    """

    width: int
    layers: int = 2
    heads: int = 2
    context: int = 64
    batch_sequences: int = 4
    peak_rate: float = 2e-3
    warm_up_steps: int = 20
    decay_fraction: float = 0.25
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    second_moment: float = 0.99
    precision: Precision = "float32"
    parts: int = 1

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        counts = (self.width, self.layers, self.heads, self.context, self.batch_sequences)
        if min(counts) < 1 or self.context % 2:
            raise ConfigError(f"sizes must be positive and the context even, got {self}")
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width} must be a multiple of 2 × {self.heads} heads")
        if self.parts < 1 or self.batch_sequences % self.parts:
            raise ConfigError(
                f"{self.batch_sequences} windows of a step cannot be shared by {self.parts} parts"
            )
        if not (0 < self.decay_fraction < 1 and self.peak_rate > 0):
            raise ConfigError(f"decay_fraction must lie in (0, 1) and rates above 0, got {self}")

    @property
    def step_tokens(self) -> int:
        """Tokens of one optimiser step."""
        return self.context * self.batch_sequences


CHECKPOINT_SECONDS = 10.0

# Four short windows a step: of a single long one a step's gradient is one document's
# (docs/decisions/0018). Rates at which inert filler at one half cost a factor of two in trials; an
# experiment tries again around them, and its calibrator decides whether a cell has a say.
DEFAULT_SETTINGS: Mapping[str, GptSettings] = {
    "width32": GptSettings(width=32, heads=2, peak_rate=4e-3),
    "width64": GptSettings(width=64, heads=4, peak_rate=2e-3),
}


def available() -> bool:
    """Whether torch is installed (it is not imported for that).

    >>> available() in (True, False)
    True
    """
    return find_spec("torch") is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpt:
    """Small transformers; the same seed, tokens and machine give the same losses, bit by bit.

    Attributes:
        vocabulary: Number of token ids.
        checkpoints: Folder in which ladders under way are kept, so that a killed run goes on with
            the same numbers; `None` = nowhere.
        settings: By size.
        watch: Called after every step of `ladder`; what it raises ends the training.

    >>> Gpt().sizes
    ('width32', 'width64')
    """

    vocabulary: int = 1024
    checkpoints: Path | None = None
    settings: Mapping[str, GptSettings] = field(default_factory=lambda: DEFAULT_SETTINGS)
    watch: Callable[[], None] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Name in tables."""
        return "gpt"

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the sizes."""
        return tuple(self.settings)

    def available(self) -> bool:
        """Whether torch is installed."""
        return available()

    def prepare(
        self,
        pool: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        sizes: Sequence[str],
        vocabulary: int,
    ) -> Self:
        """The family with the run's vocabulary; nothing is fitted."""
        for size in sizes:
            check_ladder(pool, budgets=[1], size=size, sizes=self.sizes)
        return replace(self, vocabulary=vocabulary)

    def ladder(
        self,
        tokens: NDArray[np.uint16],
        *,
        budgets: Sequence[int],
        size: str,
        seed: int,
        evaluation: Evaluation,
    ) -> Iterator[LadderPoint]:
        """Train one trunk on `tokens` and score a decayed branch at each budget.

        `n_params` counts every trained number, the tied embedding once. A budget is trained in
        whole steps; less than one step of it is left over. Documents run on inside a training
        window, with the boundary token between them; windows between two budgets are shuffled.

        Raises:
            ConfigError: torch is missing, a bad ladder, or a budget below one step.
        """
        check_ladder(tokens, budgets=budgets, size=size, sizes=self.sizes)
        check_tokens(tokens, vocabulary=self.vocabulary)
        check_tokens(evaluation.tokens, vocabulary=self.vocabulary)
        settings = self.settings[size]
        if budgets[0] < settings.step_tokens:
            raise ConfigError(
                f"budget {budgets[0]} is less than one step of {settings.step_tokens} tokens"
            )
        if not available():
            raise ConfigError(
                "the gpt family needs torch: pip install 'curate-corpus[train]', "
                "or take families = ['kneser_ney']"
            )
        from curate.proxies import transformer, trunk

        starts = trunk.window_starts(budgets, context=settings.context, seed=seed)
        course = trunk.Course(tokens=tokens, budgets=budgets, starts=starts, evaluation=evaluation)
        model = transformer.start(settings, vocabulary=self.vocabulary, seed=seed)
        ladder, save = trunk.Ladder(trunk=model), None
        if self.checkpoints is not None:
            digest = course.digest(model, seed=seed)
            path = self.checkpoints / f"{digest}.npz"
            trunk.restore(ladder, path, digest)
            save = trunk.saver(path, digest, seconds=CHECKPOINT_SECONDS)

        def note(under_way: trunk.Ladder) -> None:
            if save is not None:
                save(under_way)
            if self.watch is not None:
                self.watch()

        yield from trunk.climb(course, ladder, save=note)

    def ladders(
        self,
        sequences: Sequence[NDArray[np.uint16]],
        *,
        budgets: Sequence[int],
        size: str,
        seeds: Sequence[int],
        evaluation: Evaluation,
    ) -> list[list[LadderPoint]]:
        """Several ladders of one size and the same budgets as one stack of models.

        On a graphics processor where there is one, else here. Losses are those of `ladder` but for
        rounding; bfloat16 rounds elsewhere. No checkpoints are written.

        Args:
            sequences: Training tokens of each.
            budgets: Of all of them.
            size: Of all of them.
            seeds: Of each.
            evaluation: Documents to score.
        """
        from curate.proxies import batched, trunk

        for tokens in sequences:
            check_ladder(tokens, budgets=budgets, size=size, sizes=self.sizes)
            check_tokens(tokens, vocabulary=self.vocabulary)
        settings = self.settings[size]
        courses = [
            trunk.Course(
                tokens=tokens,
                budgets=budgets,
                starts=trunk.window_starts(budgets, context=settings.context, seed=seed),
                evaluation=evaluation,
            )
            for tokens, seed in zip(sequences, seeds, strict=True)
        ]
        climbed = batched.climb_together(courses, settings, vocabulary=self.vocabulary, seeds=seeds)
        return [list(points) for points in zip(*climbed, strict=True)]
