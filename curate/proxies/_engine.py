"""Forward and backward passes of the transformer on one thread, written out by hand.

Matrix products and attention are torch's; all between them are compiled passes over rows
(`_transformer_kernel`). Nothing is recorded, so a step costs little beyond its products. In
bfloat16 only the operands of products are rounded: weights, sums over layers, normalisation,
attention and the optimiser stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.proxies import _transformer_kernel as kernels

if TYPE_CHECKING:
    from torch import Tensor

    from curate.proxies.gpt import GptSettings

Weights = dict[str, Any]
ROTARY_BASE = 10_000.0


@dataclass(kw_only=True, slots=True)
class Room:
    """Memory of the passes over batches of one shape, used again at every step.

    Attributes:
        settings: Of the model.
        shape: Windows and positions.
        low: Whether products are made in bfloat16.
        buffers: By name, those of layer 0 as `"0.joint"`.
        turned: Cosines and sines of the positions.
        attended: By layer, queries, keys and values, and what attention made of them: kept from
            the forward to the backward pass of a step.
        kept: Buffers as operands of products, rounded where these are made in bfloat16.
    """

    settings: GptSettings
    shape: tuple[int, int]
    low: bool
    buffers: dict[str, Tensor]
    turned: tuple[NDArray[np.float32], NDArray[np.float32]]
    attended: dict[int, tuple[Sequence[Tensor], Tensor]] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)

    def array(self, name: str) -> NDArray[np.float32]:
        """A buffer as a compiled pass takes it."""
        found: NDArray[np.float32] = self.buffers[name].numpy()
        return found

    def heads(self, name: str) -> Tensor:
        """A joint buffer as (windows, positions, 3, heads, width of a head)."""
        heads = self.settings.heads
        return self.buffers[name].view(*self.shape, 3, heads, self.settings.width // heads)


def make_room(
    settings: GptSettings, *, vocabulary: int, shape: tuple[int, int], low: bool = False
) -> Room:
    """Memory for batches of `shape` = (windows, positions)."""
    import torch

    width = settings.width
    sizes = {"start.unit": width, "start.inverse": 1, "last.unit": width, "last.inverse": 1}
    sizes |= {"last": width, "scores": vocabulary, "losses": 1}
    sizes |= dict.fromkeys(("stream", "stream_gradient", "normed_gradient"), width)
    sizes |= {"joint_gradient": 3 * width}
    for layer in range(settings.layers):
        for part in ("attention", "forward"):
            name = f"{layer}.{part}"
            sizes |= {name: width, f"{name}.unit": width, f"{name}.inverse": 1}
        sizes |= {f"{layer}.joint": 3 * width, f"{layer}.mixed": width}
        sizes |= {f"{layer}.positive": 4 * width, f"{layer}.squares": 4 * width}
    tokens = shape[0] * shape[1]
    buffers = {
        name: torch.empty(tokens) if columns == 1 else torch.empty(tokens, columns)
        for name, columns in sizes.items()
    }
    turned = turns(shape[1], width // settings.heads)
    return Room(settings=settings, shape=shape, low=low, buffers=buffers, turned=turned)


def turns(positions: int, head_width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of the rotary positions, shape (positions, head_width / 2).

    >>> [part.shape for part in turns(5, 8)]
    [(5, 4), (5, 4)]
    """
    speeds = ROTARY_BASE ** -np.arange(0, 1, 2 / head_width)
    angles = np.outer(np.arange(positions), speeds)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def forward(
    room: Room, weights: Weights, ids: NDArray[np.int64], *, training: bool = False
) -> Tensor:
    """Scores of the next token after every token of `ids`: shape (tokens, vocabulary).

    The result is a buffer of the room: the next pass writes over it. `training` keeps what
    `backward` needs of attention.
    """
    buffers, stream = room.buffers, room.buffers["stream"]
    embedding = weights["embedding"]
    kernels.embed(ids, embedding.numpy(), room.array("start.unit"), room.array("start.inverse"))
    stream.copy_(buffers["start.unit"])
    for layer in range(room.settings.layers):
        _attend(room, weights, layer, training)
        _normalise(room, weights, f"{layer}.forward")
        positive, squares = f"{layer}.positive", f"{layer}.squares"
        inner = _kept(room, f"{layer}.forward")
        _product(room, buffers[positive], inner, weights[f"{layer}.forward_in"].t())
        kernels.square_positive(room.array(positive), room.array(squares))
        _add_product(room, stream, _kept(room, squares), weights[f"{layer}.forward_out"].t())
    _normalise(room, weights, "last")
    _product(room, buffers["scores"], _kept(room, "last"), embedding.t())
    return buffers["scores"]


def _attend(room: Room, weights: Weights, layer: int, training: bool) -> None:
    import torch
    from torch.nn import functional

    buffers = room.buffers
    _normalise(room, weights, f"{layer}.attention")
    joint, mixed = f"{layer}.joint", buffers[f"{layer}.mixed"]
    into = weights[f"{layer}.attention_in"].t()
    _product(room, buffers[joint], _kept(room, f"{layer}.attention"), into)
    kernels.turn(room.heads(joint).numpy(), *room.turned)
    parts = [part.transpose(1, 2) for part in room.heads(joint).unbind(2)]
    with torch.set_grad_enabled(training):
        queries, keys, values = leaves = [part.requires_grad_(training) for part in parts]
        found = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    if training:
        room.attended[layer] = leaves, found
    mixed.view(*room.shape, room.settings.heads, -1).copy_(found.detach().transpose(1, 2))
    mixed = _kept(room, f"{layer}.mixed")
    _add_product(room, buffers["stream"], mixed, weights[f"{layer}.attention_out"].t())


def backward(
    room: Room,
    weights: Weights,
    gradients: Weights,
    ids: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> float:
    """Gradients of the mean loss, after `forward`; returns that loss in nats a token.

    Gradients must be 0 before and are added to. Scores are overwritten.
    """
    buffers, stream = room.buffers, room.buffers["stream_gradient"]
    embedding = weights["embedding"]
    losses, weight = room.array("losses"), np.float32(1 / len(targets))
    kernels.cross_entropy(room.array("scores"), targets, losses, weight)
    scores = _lowered(room, buffers["scores"])
    _product(room, gradients["embedding"], scores.t(), room.kept["last"])
    _product(room, buffers["normed_gradient"], scores, embedding)
    stream.zero_()
    _normalise_backward(room, weights, gradients, "last")
    for layer in reversed(range(room.settings.layers)):
        _feed_backward(room, weights, gradients, layer)
        _attend_backward(room, weights, gradients, layer)
    kernels.embed_backward(
        ids,
        stream.numpy(),
        room.array("start.unit"),
        room.array("start.inverse"),
        gradients["embedding"].numpy(),
    )
    return float(losses.mean(dtype=np.float64))


def _feed_backward(room: Room, weights: Weights, gradients: Weights, layer: int) -> None:
    buffers, stream = room.buffers, _lowered(room, room.buffers["stream_gradient"])
    squares = buffers[f"{layer}.squares"]
    out, into = f"{layer}.forward_out", f"{layer}.forward_in"
    _product(room, gradients[out], stream.t(), room.kept[f"{layer}.squares"])
    _product(room, squares, stream, weights[out])  # what it held is not needed again
    kernels.square_positive_backward(room.array(f"{layer}.positive"), squares.numpy())
    given = _lowered(room, squares)
    _product(room, gradients[into], given.t(), room.kept[f"{layer}.forward"])
    _product(room, buffers["normed_gradient"], given, weights[into])
    _normalise_backward(room, weights, gradients, f"{layer}.forward")


def _attend_backward(room: Room, weights: Weights, gradients: Weights, layer: int) -> None:
    import torch

    buffers, stream = room.buffers, _lowered(room, room.buffers["stream_gradient"])
    out, into = f"{layer}.attention_out", f"{layer}.attention_in"
    normed = buffers["normed_gradient"]
    _product(room, gradients[out], stream.t(), room.kept[f"{layer}.mixed"])
    _product(room, normed, stream, weights[out])
    given = normed.view(*room.shape, room.settings.heads, -1).transpose(1, 2)
    leaves, found = room.attended.pop(layer)
    parts = [part.contiguous().numpy() for part in torch.autograd.grad(found, leaves, given)]
    kernels.turn_back(tuple(parts), *room.turned, room.heads("joint_gradient").numpy())
    joint = _lowered(room, buffers["joint_gradient"])
    _product(room, gradients[into], joint.t(), room.kept[f"{layer}.attention"])
    _product(room, normed, joint, weights[into])
    _normalise_backward(room, weights, gradients, f"{layer}.attention")


def _normalise(room: Room, weights: Weights, name: str) -> None:
    kernels.normalise(
        room.array("stream"),
        weights[f"{name}_gain"].numpy(),
        room.array(f"{name}.unit"),
        room.array(f"{name}.inverse"),
        room.array(name),
    )


def _normalise_backward(room: Room, weights: Weights, gradients: Weights, name: str) -> None:
    kernels.normalise_backward(
        room.array("normed_gradient"),
        weights[f"{name}_gain"].numpy(),
        room.array(f"{name}.unit"),
        room.array(f"{name}.inverse"),
        room.array("stream_gradient"),
        gradients[f"{name}_gain"].numpy(),
    )


def _lowered(room: Room, x: Tensor) -> Tensor:
    """An operand as products take it: rounded once where it is used twice."""
    return x.bfloat16() if room.low else x


def _kept(room: Room, name: str) -> Tensor:
    """A buffer's numbers as an operand, for the backward pass too."""
    room.kept[name] = _lowered(room, room.buffers[name])
    return room.kept[name]


def _product(room: Room, out: Tensor, one: Tensor, other: Tensor) -> None:
    import torch

    if room.low:
        out.copy_(torch.mm(one.bfloat16(), other.bfloat16()))
    else:
        torch.mm(one, other, out=out)


def _add_product(room: Room, out: Tensor, one: Tensor, other: Tensor) -> None:
    import torch

    if room.low:
        out.add_(torch.mm(one.bfloat16(), other.bfloat16()))
    else:
        out.addmm_(one, other)
