"""A small decoder-only transformer on one thread: rotary positions, RMSNorm, tied embeddings.

All parameters lie in one flat buffer, and so do their gradients and the optimiser's moments: a
step ends in two passes over them, and a checkpoint is three arrays.

Two choices matter much when there are only some hundred steps. Embeddings are brought to norm
before the first block (else its output drowns them: 3.06 against 2.71 bits a byte after 200,000
tokens at width 64), and the last gain begins at 4, so that logits can spread early (2.66).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.errors import ConfigError
from curate.proxies import _engine as engine
from curate.proxies import _transformer_kernel as kernels
from curate.proxies.protocol import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from curate.proxies._room import Room
    from curate.proxies.gpt import GptSettings

BOUNDARY = 0
FIRST_MOMENT = 0.9  # AdamW's β1
_SCORED_TOKENS = 4096  # tokens of one scoring batch, padding included

__all__ = [
    "BOUNDARY",
    "FIRST_MOMENT",
    "Model",
    "batch",
    "batches",
    "copy",
    "logits",
    "one_thread",
    "padded",
    "score",
    "shapes",
    "start",
    "train_step",
    "windows",
]


@dataclass(kw_only=True, slots=True)
class Part:
    """What one thread of a training step works with.

    Attributes:
        room: Its memory.
        gradient: Of its windows; the first part's is the model's own.
        gradients: Views into it by name.
    """

    room: Room
    gradient: Tensor
    gradients: dict[str, Tensor]


@dataclass(kw_only=True, slots=True)
class Model:
    """A model in training.

    Attributes:
        settings: Its size and training.
        vocabulary: Number of token ids.
        flat: All parameters, matrices before gains.
        gradient: Of all of them; 0 between two steps.
        first: AdamW's mean of gradients.
        second: AdamW's mean of squared gradients.
        weights: Views into `flat` by name.
        gradients: Views into `gradient` by name.
        step: Steps taken.
        losses: Of all steps so far, nats a token.
        parts: Memory of a training step's parts and their gradients, made at the first one.
    """

    settings: GptSettings
    vocabulary: int
    flat: Tensor
    gradient: Tensor
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]
    step: int = 0
    losses: list[float] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def n_params(self) -> int:
        """Trained numbers, the tied embedding once."""
        return int(self.flat.numel())

    @property
    def n_matrices(self) -> int:
        """Numbers in matrices: those that weight decay acts on."""
        return sum(int(w.numel()) for w in self.weights.values() if w.ndim == 2)


def shapes(settings: GptSettings, *, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, matrices before gains.

    >>> from curate.proxies.gpt import GptSettings
    >>> list(shapes(GptSettings(width=8, layers=1), vocabulary=16).values())
    [(16, 8), (24, 8), (8, 8), (32, 8), (8, 32), (8,), (8,), (8,)]
    """
    width, layers = settings.width, range(settings.layers)
    matrices: dict[str, tuple[int, ...]] = {"embedding": (vocabulary, width)}
    for layer in layers:
        matrices |= {
            f"{layer}.attention_in": (3 * width, width),
            f"{layer}.attention_out": (width, width),
            f"{layer}.forward_in": (4 * width, width),
            f"{layer}.forward_out": (width, 4 * width),
        }
    gains = [f"{layer}.{part}_gain" for layer in layers for part in ("attention", "forward")]
    return matrices | {name: (width,) for name in [*gains, "last_gain"]}


def start(settings: GptSettings, *, vocabulary: int, seed: int) -> Model:
    """An untrained model; the seed draws its initial weights and nothing else.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> from curate.proxies.gpt import GptSettings
    >>> start(GptSettings(width=8, layers=1), vocabulary=16, seed=0).n_params
    920
    """
    import torch

    parts = shapes(settings, vocabulary=vocabulary)
    generator = torch.Generator().manual_seed(seed)
    flat = torch.empty(sum(int(np.prod(shape)) for shape in parts.values()))
    model = _assemble(settings, vocabulary, flat)
    residual = (2 * settings.layers) ** -0.5  # keeps the sum over blocks at one block's size
    with torch.no_grad():
        for name, weight in model.weights.items():
            if name.endswith("gain"):
                weight.fill_(4.0 if name == "last_gain" else 1.0)
            elif name == "embedding":
                weight.normal_(0.0, 0.02, generator=generator)
            else:
                scale = weight.shape[1] ** -0.5 * (residual if name.endswith("out") else 1.0)
                weight.normal_(0.0, scale, generator=generator)
    return model


def _assemble(settings: GptSettings, vocabulary: int, flat: Tensor) -> Model:
    """A model whose weights and gradients are views into two flat buffers."""
    import torch

    gradient = torch.zeros_like(flat)
    parts = shapes(settings, vocabulary=vocabulary)
    return Model(
        settings=settings,
        vocabulary=vocabulary,
        flat=flat,
        gradient=gradient,
        first=np.zeros(flat.numel(), np.float32),
        second=np.zeros(flat.numel(), np.float32),
        weights=_views(flat, parts),
        gradients=_views(gradient, parts),
    )


def _views(flat: Tensor, parts: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    found, at = {}, 0
    for name, shape in parts.items():
        end = at + int(np.prod(shape))
        found[name] = flat[at:end].view(shape)
        at = end
    return found


def copy(model: Model) -> Model:
    """A model of its own in the same state; it makes its own room."""
    twin = _assemble(model.settings, model.vocabulary, model.flat.clone())
    twin.first[:], twin.second[:] = model.first, model.second
    twin.step, twin.losses = model.step, list(model.losses)
    return twin


def logits(model: Model, inputs: Tensor) -> Tensor:
    """Scores of the next token at every position.

    Args:
        model: The model.
        inputs: Token ids, shape (windows, positions).

    Returns:
        Shape (windows, positions, vocabulary).

    >>> import pytest; torch = pytest.importorskip("torch")
    >>> from curate.proxies.gpt import GptSettings
    >>> model = start(GptSettings(width=8, layers=1), vocabulary=16, seed=0)
    >>> tuple(logits(model, torch.zeros(2, 5, dtype=torch.long)).shape)
    (2, 5, 16)
    """
    shape = (int(inputs.shape[0]), int(inputs.shape[1]))
    room = engine.make_room(model.settings, shape=shape)
    found = engine.forward(room, model.weights, inputs.reshape(-1).numpy())
    return found.view(*shape, model.vocabulary)


def batch(
    tokens: NDArray[np.uint16], starts: NDArray[np.int64], context: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of the windows at `starts`; the first input is what stands before.

    >>> inputs, targets = batch(np.array([5, 6, 7, 8], np.uint16), np.array([2, 0]), 2)
    >>> inputs.tolist(), targets.tolist()
    ([6, 7, 0, 5], [7, 8, 5, 6])
    """
    places = starts[:, None] + np.arange(context)
    inputs = np.where(places > 0, tokens[places - 1], BOUNDARY)
    return inputs.ravel().astype(np.int64), tokens[places].ravel().astype(np.int64)


def train_step(
    model: Model, tokens: NDArray[np.uint16], starts: NDArray[np.int64], *, share: float
) -> float:
    """One step on the windows at `starts`, at `share` of the peak rate; nats a token before it."""
    settings = model.settings
    if len(starts) != settings.batch_sequences:
        raise ConfigError(
            f"{len(starts)} windows for a step; the model's settings say {settings.batch_sequences}"
        )
    inputs, targets = batch(tokens, starts, settings.context)
    loss = _passes(model, inputs, targets)
    norm = float(np.sqrt(sum(_on_each(model, lambda k: _gathered(model, k)))))
    rate = settings.peak_rate * share * min(1.0, (model.step + 1) / settings.warm_up_steps)
    decay = rate * settings.weight_decay
    rates = rate, FIRST_MOMENT, settings.second_moment, decay, settings.clip_norm, norm
    _on_each(model, lambda k: _moved(model, k, (*rates, float(model.step))))
    model.step += 1
    model.losses.append(loss)
    return loss


def _passes(model: Model, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
    """Forward and backward, each part of the windows on its own thread; nats a token."""
    if not model.parts:
        model.parts = [_part(model, first=k == 0) for k in range(model.settings.parts)]
    count = len(model.parts)

    def passes(k: int) -> float:
        part, span = model.parts[k], slice(k * len(inputs) // count, (k + 1) * len(inputs) // count)
        engine.forward(part.room, model.weights, inputs[span])
        given = part.room, model.weights, part.gradients, inputs[span], targets[span]
        return engine.backward(*given)

    if count == 1:
        return passes(0)
    with one_thread():
        return sum(_on_each(model, passes)) / count


def _on_each(model: Model, work: Callable[[int], float]) -> list[float]:
    """What `work` gives for every part, each on its own thread, in their order."""
    count = len(model.parts)
    rest = [_helpers(count - 1).submit(work, k) for k in range(1, count)]
    return [work(0), *(found.result() for found in rest)]


def _span(model: Model, k: int) -> slice:
    """The parameters whose gradients part `k` gathers, and which it moves."""
    size, count = model.n_params, len(model.parts)
    return slice(k * size // count, (k + 1) * size // count)


def _gathered(model: Model, k: int) -> float:
    """All parts' gradients are added to the first one's; the sum of their squares."""
    span = _span(model, k)
    gradient = model.gradient.numpy()[span]
    for part in model.parts[1:]:
        kernels.gather(gradient, part.gradient.numpy()[span])
    return float(kernels.square_sum(gradient))


def _moved(model: Model, k: int, rates: tuple[float, ...]) -> float:
    """AdamW's step; gives nothing."""
    span = _span(model, k)
    arrays = model.flat.numpy(), model.gradient.numpy(), model.first, model.second
    matrices = min(max(model.n_matrices - span.start, 0), span.stop - span.start)
    kernels.adam(*(array[span] for array in arrays), matrices, rates)
    return 0.0


def _part(model: Model, *, first: bool) -> Part:
    import torch

    settings = model.settings
    shape = (settings.batch_sequences // settings.parts, settings.context)
    low, share = settings.precision == "bfloat16", 1 / settings.parts
    room = engine.make_room(settings, shape=shape, low=low, share=share)
    gradient = model.gradient if first else torch.zeros_like(model.gradient)
    parts = shapes(settings, vocabulary=model.vocabulary)
    return Part(room=room, gradient=gradient, gradients=_views(gradient, parts))


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    """Threads beside the calling one, each with one thread of torch's."""
    import torch

    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


def score(model: Model, evaluation: Evaluation) -> NDArray[np.float64]:
    """Bits of each document, its boundary included, each with a fresh context.

    A document begins after a boundary token. One longer than the context is read in windows that
    move by half of it; each token counts once, in the first window that holds it.
    """
    import torch

    found = windows(evaluation.offsets, model.settings.context)
    totals = np.zeros(len(evaluation.bytes))
    with one_thread(), torch.no_grad():
        for rows in batches(found):
            inputs, targets = padded(evaluation.tokens, rows)
            shares = logits(model, torch.from_numpy(inputs)).log_softmax(-1)
            nats = -shares.gather(-1, torch.from_numpy(targets)[..., None])[..., 0].numpy()
            for row, (document, _, start, stop, skipped) in zip(nats, rows, strict=True):
                totals[document] += row[skipped : stop - start].sum(dtype=np.float64)
    return np.divide(totals, np.log(2.0))


def windows(offsets: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Rows (document, its start, first target, end of targets, targets counted before)."""
    rows = []
    for document, (first, end) in enumerate(pairwise(offsets)):
        start, counted = int(first), int(first)
        while counted < end:
            stop = min(start + context, int(end))
            rows.append((document, int(first), start, stop, counted - start))
            counted = stop
            start += context // 2
    return np.array(rows, np.int64).reshape(-1, 5)


def batches(windows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Windows of like length together, so that little is padded."""
    lengths = windows[:, 3] - windows[:, 2]
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        count = max(1, _SCORED_TOKENS // int(lengths[order[0]]))
        yield windows[order[:count]]
        order = order[count:]


def padded(
    tokens: NDArray[np.uint16], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets of windows, filled up at their ends, where nothing is read."""
    shape = (len(rows), int((rows[:, 3] - rows[:, 2]).max()))
    inputs, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (_, first, start, stop, _) in enumerate(rows):
        targets[row, : stop - start] = tokens[start:stop]
        inputs[row, 1 : stop - start] = tokens[start : stop - 1]
        inputs[row, 0] = tokens[start - 1] if start > first else BOUNDARY
    return inputs, targets


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for this thread's torch, so that sums have one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
