"""A small decoder-only transformer on one thread: rotary positions, RMSNorm, tied embeddings.

All parameters lie in one flat buffer, and so do their gradients: clipping and the optimiser are a
handful of operations a step, which is what counts at widths where a step takes milliseconds.

Two choices matter much when there are only some hundred steps. Embeddings are brought to norm
before the first block (else its output drowns them: 3.06 against 2.71 bits a byte after 200,000
tokens at width 64), and the last gain begins at 4, so that logits can spread early (2.66).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.proxies.protocol import Evaluation

if TYPE_CHECKING:
    from torch import Tensor

    from curate.proxies.gpt import GptSettings

BOUNDARY = 0
_SCORED_TOKENS = 8192  # tokens of one scoring batch, padding included


@dataclass(kw_only=True, slots=True)
class Model:
    """A model in training.

    Attributes:
        settings: Its size and training.
        vocabulary: Number of token ids.
        flat: All parameters, matrices before gains.
        weights: The same numbers by name, as leaves of the gradient.
        optimiser: AdamW over `flat`.
        step: Steps taken.
    """

    settings: GptSettings
    vocabulary: int
    flat: Tensor
    weights: dict[str, Tensor]
    optimiser: Any
    gradient: Tensor
    step: int = 0

    @property
    def n_params(self) -> int:
        """Trained numbers, the tied embedding once."""
        return int(self.flat.numel())


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
    weights, at, decayed = {}, 0, 0
    for name, shape in shapes(settings, vocabulary=vocabulary).items():
        end = at + int(np.prod(shape))
        weights[name] = flat[at:end].view(shape).detach().requires_grad_()
        weights[name].grad = gradient[at:end].view(shape)
        at = end
        decayed = end if len(shape) == 2 else decayed
    parts = [flat[:decayed].detach(), flat[decayed:].detach()]
    parts[0].grad, parts[1].grad = gradient[:decayed], gradient[decayed:]
    groups = [
        {"params": [parts[0]], "weight_decay": settings.weight_decay},
        {"params": [parts[1]], "weight_decay": 0.0},
    ]
    return Model(
        settings=settings,
        vocabulary=vocabulary,
        flat=flat,
        weights=weights,
        optimiser=torch.optim.AdamW(groups, betas=(0.9, settings.second_moment), fused=True),
        gradient=gradient,
    )


def _copy(model: Model) -> Model:
    copy = _assemble(model.settings, model.vocabulary, model.flat.clone())
    copy.optimiser.load_state_dict(deepcopy(model.optimiser.state_dict()))
    copy.step = model.step
    return copy


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
    from torch.nn import functional

    weights, shape = model.weights, (model.settings.width,)
    turns = _turns(inputs.shape[1], shape[0] // model.settings.heads)
    hidden = functional.rms_norm(functional.embedding(inputs, weights["embedding"]), shape)
    for layer in range(model.settings.layers):
        normed = functional.rms_norm(hidden, shape, weights[f"{layer}.attention_gain"])
        hidden = hidden + _attention(model, layer, normed, turns)
        normed = functional.rms_norm(hidden, shape, weights[f"{layer}.forward_gain"])
        inner = functional.linear(normed, weights[f"{layer}.forward_in"]).relu().square()
        hidden = hidden + functional.linear(inner, weights[f"{layer}.forward_out"])
    hidden = functional.rms_norm(hidden, shape, weights["last_gain"])
    return functional.linear(hidden, weights["embedding"])


def _turns(positions: int, head_width: int) -> Tensor:
    """Rotary positions as complex numbers of length 1, shape (positions, head_width / 2)."""
    import torch

    speeds = 10_000.0 ** -torch.arange(0, 1, 2 / head_width)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), speeds)
    return torch.polar(torch.ones_like(angles), angles)


def _attention(model: Model, layer: int, normed: Tensor, turns: Tensor) -> Tensor:
    import torch
    from torch.nn import functional

    windows, positions, width = normed.shape
    heads = model.settings.heads
    joint = functional.linear(normed, model.weights[f"{layer}.attention_in"])
    joint = joint.view(windows, positions, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    pairs = torch.view_as_complex(joint[:2].unflatten(-1, (-1, 2)).contiguous())
    queries, keys = torch.view_as_real(pairs * turns).flatten(-2)
    mixed = functional.scaled_dot_product_attention(queries, keys, joint[2], is_causal=True)
    mixed = mixed.transpose(1, 2).reshape(windows, positions, width)
    return functional.linear(mixed, model.weights[f"{layer}.attention_out"])


def climb(trunk: Model, tokens: NDArray[np.uint16], *, budget: int) -> Model:
    """Train the trunk on to where `budget`'s decay begins; give its decayed branch.

    Args:
        trunk: The model, which goes on at constant rate; not yet past that point.
        tokens: The whole training sequence.
        budget: Tokens that the branch has seen in the end.
    """
    settings = trunk.settings
    steps = budget // settings.step_tokens
    constant = steps - max(1, round(steps * settings.decay_fraction))
    with _one_thread():
        while trunk.step < constant:
            _train_step(trunk, tokens, share=1.0)
        branch = _copy(trunk)
        while branch.step < steps:
            _train_step(branch, tokens, share=(steps - branch.step) / (steps - constant))
    return branch


def _train_step(model: Model, tokens: NDArray[np.uint16], *, share: float) -> float:
    """One step at `share` of the peak rate; its loss in nats a token."""
    import torch
    from torch.nn import functional

    settings = model.settings
    first = model.step * settings.step_tokens
    targets = tokens[first : first + settings.step_tokens].astype(np.int64)
    before = tokens[first - 1] if first else BOUNDARY
    inputs = np.concatenate([[before], targets[:-1]])
    window = (settings.batch_sequences, settings.context)
    found = logits(model, torch.from_numpy(inputs).view(window))
    loss = functional.cross_entropy(found.flatten(0, 1), torch.from_numpy(targets))
    loss.backward()
    norm = float(torch.linalg.vector_norm(model.gradient))
    if norm > settings.clip_norm:
        model.gradient.mul_(settings.clip_norm / norm)
    warmth = min(1.0, (model.step + 1) / settings.warm_up_steps)
    for group in model.optimiser.param_groups:
        group["lr"] = settings.peak_rate * share * warmth
    model.optimiser.step()
    model.gradient.zero_()
    model.step += 1
    return float(loss.detach())


def score(model: Model, evaluation: Evaluation) -> NDArray[np.float64]:
    """Bits of each document, its boundary included, each with a fresh context.

    A document begins after a boundary token. One longer than the context is read in windows that
    move by half of it; each token counts once, in the first window that holds it.
    """
    import torch

    windows = _windows(evaluation.offsets, model.settings.context)
    totals = np.zeros(len(evaluation.bytes))
    with _one_thread(), torch.no_grad():
        for rows in _batches(windows):
            inputs, targets = _padded(evaluation.tokens, rows)
            shares = logits(model, torch.from_numpy(inputs)).log_softmax(-1)
            nats = -shares.gather(-1, torch.from_numpy(targets)[..., None])[..., 0].numpy()
            for row, (document, _, start, stop, skipped) in zip(nats, rows, strict=True):
                totals[document] += row[skipped : stop - start].sum(dtype=np.float64)
    return np.divide(totals, np.log(2.0))


def _windows(offsets: NDArray[np.int64], context: int) -> NDArray[np.int64]:
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


def _batches(windows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Windows of like length together, so that little is padded."""
    lengths = windows[:, 3] - windows[:, 2]
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        count = max(1, _SCORED_TOKENS // int(lengths[order[0]]))
        yield windows[order[:count]]
        order = order[count:]


def _padded(
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
def _one_thread() -> Iterator[None]:
    """One thread for this thread's torch, so that sums have one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
