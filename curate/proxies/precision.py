"""Which precision trains faster on this machine, and whether it learns as well."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from curate.proxies import transformer
from curate.proxies.gpt import GptSettings, Precision

GAIN = 1.1  # less is not worth another rounding
AS_GOOD = 1.005  # losses after the trial, one over the other
STEPS, TURNS = 40, 8

__all__ = ["faster_precision"]


def faster_precision(settings: GptSettings, *, vocabulary: int) -> Precision:
    """bfloat16 where it is 1.1 times as fast on this machine and its loss as low, else float32.

    Both train in turn on the same made-up text for about a second. The answer depends on the
    machine and on its load: write it down with what was trained by it.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> settings = GptSettings(width=8, layers=1, context=8, batch_sequences=1)
    >>> faster_precision(settings, vocabulary=16) in ("float32", "bfloat16")
    True
    """
    kinds: tuple[Precision, Precision] = ("float32", "bfloat16")
    models = {
        kind: transformer.start(replace(settings, precision=kind), vocabulary=vocabulary, seed=0)
        for kind in kinds
    }
    tokens = _made_up(vocabulary, STEPS * settings.step_tokens)
    starts = np.arange(STEPS * settings.batch_sequences) * settings.context
    seconds = dict.fromkeys(kinds, float("inf"))
    with transformer.one_thread():
        for turn in range(TURNS):
            for kind in kinds:
                steps = range(turn * STEPS // TURNS, (turn + 1) * STEPS // TURNS)
                began = perf_counter()
                for step in steps:
                    places = slice(*(settings.batch_sequences * s for s in (step, step + 1)))
                    transformer.train_step(models[kind], tokens, starts[places], share=1.0)
                seconds[kind] = min(seconds[kind], perf_counter() - began)
    losses = {kind: np.mean(model.losses[-STEPS // 4 :]) for kind, model in models.items()}
    faster = seconds["float32"] > GAIN * seconds["bfloat16"]
    return "bfloat16" if faster and losses["bfloat16"] < AS_GOOD * losses["float32"] else "float32"


def _made_up(vocabulary: int, n: int) -> np.ndarray:
    """Tokens with something to learn: each has four likely followers."""
    rng = np.random.default_rng(0)
    followers = rng.integers(1, vocabulary, (vocabulary, 4))
    tokens = np.ones(n, np.uint16)
    for place, pick in enumerate(rng.integers(0, 4, n - 1)):
        tokens[place + 1] = followers[tokens[place], pick]
    return tokens
