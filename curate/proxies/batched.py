"""Many transformers of one size trained as one: arms × seeds on a graphics processor.

A model of a hundred thousand parameters leaves such a processor idle between its many small
operations; K of them, their weights stacked in a leading dimension, cost hardly more than one.
The models share nothing: every one has its own tokens, weights, clipping and losses, and comes out
as it would alone, up to rounding (1e-4 nats). On a processor without such a device the passes of
`_engine`, one model after the other, are faster.

Everything is written once more here in torch's own operations with recorded gradients: that is
what the passes written by hand are tested against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.proxies import _engine as engine
from curate.proxies import transformer
from curate.proxies.protocol import LadderPoint
from curate.proxies.trunk import Course, branch_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from curate.proxies.gpt import GptSettings

__all__ = ["Stack", "climb_together", "device", "stack"]


@dataclass(kw_only=True, slots=True)
class Stack:
    """K models in training.

    Attributes:
        settings: Of all of them.
        vocabulary: Number of token ids.
        flat: All parameters, shape (K, parameters).
        gradient: Likewise, of the last step.
        first: AdamW's mean of gradients.
        second: AdamW's mean of squared gradients.
        weights: Views into `flat` by name, shape (K, …).
        gradients: Views into `gradient` by name.
        step: Steps taken.
    """

    settings: GptSettings
    vocabulary: int
    flat: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]
    step: int = 0

    @property
    def n_models(self) -> int:
        """K."""
        return int(self.flat.shape[0])


def device() -> str:
    """`"cuda"` where torch has one, else `"cpu"`.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> device() in ("cuda", "cpu")
    True
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def stack(
    settings: GptSettings, *, vocabulary: int, seeds: Sequence[int], on: str = "cpu"
) -> Stack:
    """Untrained models, each as `transformer.start` makes it from its seed.

    >>> import pytest; _ = pytest.importorskip("torch")
    >>> from curate.proxies.gpt import GptSettings
    >>> stack(GptSettings(width=8, layers=1), vocabulary=16, seeds=[0, 1]).flat.shape
    torch.Size([2, 920])
    """
    import torch

    starts = [transformer.start(settings, vocabulary=vocabulary, seed=seed) for seed in seeds]
    flat = torch.stack([model.flat for model in starts]).to(on)
    return _assemble(settings, vocabulary, flat)


def _assemble(settings: GptSettings, vocabulary: int, flat: Tensor) -> Stack:
    import torch

    gradient = torch.zeros_like(flat)
    parts = transformer.shapes(settings, vocabulary=vocabulary)
    weights = {name: view.requires_grad_() for name, view in _views(flat, parts).items()}
    return Stack(
        settings=settings,
        vocabulary=vocabulary,
        flat=flat,
        gradient=gradient,
        first=torch.zeros_like(flat),
        second=torch.zeros_like(flat),
        weights=weights,
        gradients=_views(gradient, parts),
    )


def _views(flat: Tensor, parts: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    found, at = {}, 0
    for name, shape in parts.items():
        end = at + int(np.prod(shape))
        found[name] = flat[:, at:end].view(len(flat), *shape).detach()
        at = end
    return found


def _copy(models: Stack) -> Stack:
    twin = _assemble(models.settings, models.vocabulary, models.flat.clone())
    twin.first.copy_(models.first)
    twin.second.copy_(models.second)
    twin.step = models.step
    return twin


def logits(models: Stack, ids: Tensor) -> Tensor:
    """Scores of the next token: ids (K, windows, positions) → (K, windows × positions, V)."""
    import torch
    from torch.nn import functional

    weights, width = models.weights, (models.settings.width,)
    count, windows, positions = ids.shape
    turned = [
        torch.from_numpy(part).to(ids.device)
        for part in engine.turns(positions, models.settings.width // models.settings.heads)
    ]
    each = torch.arange(count, device=ids.device)[:, None]
    stream = functional.rms_norm(weights["embedding"][each, ids.view(count, -1)], width)
    for layer in range(models.settings.layers):
        normed = functional.rms_norm(stream, width) * weights[f"{layer}.attention_gain"][:, None]
        joint = normed @ weights[f"{layer}.attention_in"].mT
        joint = joint.view(count * windows, positions, 3, models.settings.heads, -1)
        mixed = _attention(joint, turned).reshape(count, windows * positions, -1)
        stream = stream + mixed @ weights[f"{layer}.attention_out"].mT
        normed = functional.rms_norm(stream, width) * weights[f"{layer}.forward_gain"][:, None]
        inner = (normed @ weights[f"{layer}.forward_in"].mT).relu().square()
        stream = stream + inner @ weights[f"{layer}.forward_out"].mT
    last = functional.rms_norm(stream, width) * weights["last_gain"][:, None]
    return last @ weights["embedding"].mT


def _attention(joint: Tensor, turned: Sequence[Tensor]) -> Tensor:
    """(windows, positions, 3, heads, width) → (windows, positions, heads, width)."""
    import torch
    from torch.nn import functional

    cosines, sines = (part[:, None] for part in turned)

    def turn(x: Tensor) -> Tensor:
        one, two = x.chunk(2, -1)
        return torch.cat([one * cosines - two * sines, two * cosines + one * sines], -1)

    queries, keys, values = joint.unbind(2)
    parts = [part.transpose(1, 2) for part in (turn(queries), turn(keys), values)]
    found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
    return found.transpose(1, 2)


def climb_together(
    courses: Sequence[Course],
    settings: GptSettings,
    *,
    vocabulary: int,
    seeds: Sequence[int],
    on: str | None = None,
) -> Iterator[list[LadderPoint]]:
    """Climb ladders of one size with the same budgets at once; one list of models a budget.

    Args:
        courses: One a model: its tokens and windows; budgets and evaluation are the same for all.
        settings: Shape and training.
        vocabulary: Number of token ids.
        seeds: One a model.
        on: Device; `None` = the graphics processor where there is one.
    """
    models = stack(settings, vocabulary=vocabulary, seeds=seeds, on=on or device())
    for budget in courses[0].budgets:
        steps, constant = branch_steps(settings, budget)
        while models.step < constant:
            train_step(models, courses, share=1.0)
        branch = _copy(models)
        while branch.step < steps:
            train_step(branch, courses, share=(steps - branch.step) / (steps - constant))
        yield [
            LadderPoint(n_tokens=budget, n_params=int(branch.flat.shape[1]), document_bits=bits)
            for bits in _score(branch, courses[0])
        ]


def train_step(models: Stack, courses: Sequence[Course], *, share: float) -> NDArray[np.float64]:
    """One step of every model on its own windows; nats a token of each, before it."""
    import torch

    settings, where = models.settings, models.flat.device
    first = models.step * settings.batch_sequences
    window = slice(first, first + settings.batch_sequences)
    pairs = [transformer.batch(c.tokens, c.starts[window], settings.context) for c in courses]
    inputs, targets = (
        torch.from_numpy(np.stack(part)).to(where) for part in zip(*pairs, strict=True)
    )
    nats = _step(models, inputs, targets, share)
    losses: NDArray[np.float64] = nats.cpu().double().numpy()
    return losses


def _step(models: Stack, inputs: Tensor, targets: Tensor, share: float) -> Tensor:
    """All of a step that happens on the device; nats a token of each model, before it."""
    import torch
    from torch.nn import functional

    settings, kind = models.settings, models.flat.device.type
    shape = (models.n_models, settings.batch_sequences, settings.context)
    low = settings.precision == "bfloat16"  # of products: sums and the loss stay in float32
    with torch.autocast(kind, torch.bfloat16, enabled=True) if low else nullcontext():
        found = logits(models, inputs.view(shape))
    nats = functional.cross_entropy(found.float().mT, targets, reduction="none").mean(1)
    found_gradients = torch.autograd.grad(nats.sum(), list(models.weights.values()))
    for name, part in zip(models.weights, found_gradients, strict=True):
        models.gradients[name].copy_(part)
    _adam(models, share)
    return nats.detach()


def _adam(models: Stack, share: float) -> None:
    """AdamW as in `_transformer_kernel.adam`, every model's gradient clipped by its own norm."""
    import torch

    settings = models.settings
    models.step += 1
    beta1, beta2 = transformer.FIRST_MOMENT, settings.second_moment
    warmth = min(1.0, models.step / settings.warm_up_steps)
    rate = settings.peak_rate * share * warmth
    norms = torch.linalg.vector_norm(models.gradient, dim=1, keepdim=True)
    models.gradient.mul_((settings.clip_norm / norms).clamp(max=1.0))
    models.first.lerp_(models.gradient, 1 - beta1)
    models.second.mul_(beta2).addcmul_(models.gradient, models.gradient, value=1 - beta2)
    spread = (models.second.sqrt() / (1 - beta2**models.step) ** 0.5).add_(1e-8)
    matrices = sum(w[0].numel() for w in models.weights.values() if w.ndim == 3)
    models.flat[:, :matrices].mul_(1 - rate * settings.weight_decay)
    models.flat.addcdiv_(models.first, spread, value=-rate / (1 - beta1**models.step))


def _score(models: Stack, course: Course) -> NDArray[np.float64]:
    """Bits of each document, shape (K, documents), as `transformer.score` reads them."""
    import torch

    evaluation, context = course.evaluation, models.settings.context
    totals = np.zeros((models.n_models, len(evaluation.bytes)))
    with torch.no_grad():
        for rows in transformer.batches(transformer.windows(evaluation.offsets, context)):
            inputs, targets = transformer.padded(evaluation.tokens, rows)
            ids = torch.from_numpy(inputs).to(models.flat.device)
            wanted = torch.from_numpy(targets).to(models.flat.device)
            shares = logits(models, ids.expand(models.n_models, *ids.shape)).log_softmax(-1)
            aims = wanted.view(1, -1, 1).expand(models.n_models, -1, 1)
            nats = -shares.gather(-1, aims).view(models.n_models, *ids.shape).cpu().numpy()
            for row, (document, _, start, stop, skipped) in enumerate(rows):
                part = nats[:, row, skipped : stop - start]
                totals[:, document] += part.sum(1, dtype=np.float64)
    return np.divide(totals, np.log(2.0))
