"""Token by token: what a trained transformer expects, for questions that sums do not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.proxies import transformer, trunk
from curate.proxies.protocol import Evaluation, check_ladder, check_tokens
from curate.proxies.transformer import Model

if TYPE_CHECKING:
    from curate.proxies.gpt import Gpt

__all__ = ["expected_tokens", "trained"]


def trained(family: Gpt, tokens: NDArray[np.uint16], *, size: str, seed: int) -> Model:
    """The decayed model that has read all of `tokens` once: the top of a ladder of one rung.

    Windows are shuffled over the whole sequence. No checkpoint is written.

    Args:
        family: Settings and vocabulary.
        tokens: Training sequence, at least one step of it.
        size: Of the family's.
        seed: Of the first weights and the order of the windows.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> from curate.proxies.gpt import Gpt, GptSettings
    >>> small = GptSettings(width=8, layers=1, context=8, batch_sequences=1)
    >>> family = Gpt(vocabulary=16, settings={"small": small})
    >>> trained(family, np.ones(64, np.uint16), size="small", seed=1).step
    8
    """
    budgets, settings = [len(tokens)], family.settings[size]
    check_ladder(tokens, budgets=budgets, size=size, sizes=family.sizes)
    check_tokens(tokens, vocabulary=family.vocabulary)
    nothing = Evaluation(
        tokens=np.zeros(0, np.uint16), offsets=np.zeros(1, np.int64), bytes=np.zeros(0, np.int64)
    )
    starts = trunk.window_starts(budgets, context=settings.context, seed=seed)
    course = trunk.Course(tokens=tokens, budgets=budgets, starts=starts, evaluation=nothing)
    model = transformer.start(settings, vocabulary=family.vocabulary, seed=seed)
    with transformer.one_thread():
        return trunk.decayed(course, trunk.Ladder(trunk=model), budgets[0])


def expected_tokens(
    model: Model, tokens: NDArray[np.uint16], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Bits of every token of documents, and whether it was the likeliest of all tokens there.

    Each document has a fresh context; windows are those of `transformer.score`.

    Args:
        model: A trained one.
        tokens: Documents, one after the other.
        offsets: Their starts and the end of the last.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> from curate.proxies.gpt import GptSettings
    >>> model = transformer.start(GptSettings(width=8, layers=1), vocabulary=16, seed=0)
    >>> bits, likeliest = expected_tokens(model, np.array([3, 0], np.uint16), np.array([0, 2]))
    >>> bits.round(0).tolist(), likeliest.shape
    ([4.0, 4.0], (2,))
    """
    import torch

    bits, likeliest = np.zeros(len(tokens)), np.zeros(len(tokens), np.bool_)
    found = transformer.windows(offsets, model.settings.context)
    with transformer.one_thread(), torch.no_grad():
        for rows in transformer.batches(found):
            inputs, targets = transformer.padded(tokens, rows)
            shares = transformer.logits(model, torch.from_numpy(inputs)).log_softmax(-1)
            nats = -shares.gather(-1, torch.from_numpy(targets)[..., None])[..., 0].numpy()
            hits = shares.argmax(-1).numpy() == targets
            for row, (_, _, start, stop, skipped) in enumerate(rows):
                place, part = slice(start + skipped, stop), slice(skipped, stop - start)
                bits[place] = nats[row, part] / np.log(2.0)
                likeliest[place] = hits[row, part]
    return bits, likeliest
