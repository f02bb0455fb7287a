"""Forward and backward passes of the transformer on one thread, written out by hand.

Where processor and shape allow, matrix products and attention are made here by tiles
(`_product_kernel`, `_attention_kernel`), else they are torch's; all between them are compiled
passes over rows (`_transformer_kernel`). Nothing is recorded, so a step costs little beyond its
products. In bfloat16 what goes into products and comes out of them is rounded: weights and their
gradients, sums over layers, normalisation, exponentials, the loss and the optimiser stay float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.proxies import _attention_kernel as attention
from curate.proxies import _product_kernel as products
from curate.proxies import _transformer_kernel as kernels
from curate.proxies._room import Room, Weights, make_room, one_dnn, turns

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["backward", "forward", "make_room", "turns"]


def forward(room: Room, weights: Weights, ids: NDArray[np.int64]) -> Tensor:
    """Scores of the next token after every token of `ids`: shape (tokens, vocabulary).

    The next pass may write over the result, whose kind is that of products.
    """
    width = room.settings.width
    _take_weights(room, weights)
    unit, inverse = room.real("start.unit", room.tokens, width), room.real("start", room.tokens)
    stream = room.real("stream", room.tokens, width)
    kernels.embed(ids, *(room.array(x) for x in (weights["embedding"], unit, inverse, stream)))
    added = None
    for layer in range(room.settings.layers):
        normed = _normalise(room, weights, f"{layer}.attention", added)
        added = _attend(room, layer, normed)
        normed = _normalise(room, weights, f"{layer}.forward", added)
        inner = _product(room, f"{layer}.inner", normed, f"{layer}.forward_in")
        squares = room.operand(f"{layer}.squares", room.tokens, 4 * width)
        kernels.square_positive(room.array(inner), room.array(squares))
        added = _product(room, "added", squares, f"{layer}.forward_out")
    return _product(room, "scores", _normalise(room, weights, "last", added), "embedding")


def _take_weights(room: Room, weights: Weights) -> None:
    for name, weight in weights.items():
        if weight.ndim == 2 and room.low:
            room.operand(f"weight.{name}", *weight.shape).copy_(weight)
            room.operands[name] = room.buffers[f"weight.{name}"]
        elif weight.ndim == 2:
            room.operands[name] = weight
        if weight.ndim == 2 and _by_tiles(room, name):
            panels = _panels_of(room, f"{name}.forward", weight.shape)
            products.pack_transposed(room.array(room.operands[name]), 0, panels)


def _by_tiles(room: Room, name: str) -> bool:
    """Whether products with this weight are made by tiles: not of an odd vocabulary."""
    return room.tiled and room.operands[name].shape[0] % 16 == 0


def _panels_of(room: Room, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    """A right operand packed: so many columns, so many numbers along k."""
    return room.panels(name, columns=shape[0], steps=shape[1], wide=products.WIDE)


def _attend(room: Room, layer: int, normed: Tensor) -> Tensor:
    windows, heads, positions, width = room.blocks
    joint = _product(room, f"{layer}.joint", normed, f"{layer}.attention_in")
    mixed = room.operand(f"{layer}.mixed", room.tokens, heads * width)
    if room.tiled:
        logs = room.real(f"{layer}.logs", windows, heads, positions)
        rows = room.array(joint).reshape(windows, positions, -1)
        arrays = rows, room.array(mixed), room.array(logs)
        attention.attend(*arrays, room.turned, _attention_room(room))
    else:
        _attend_whole(room, layer, joint, mixed)
    return _product(room, "added", mixed, f"{layer}.attention_out")


def _attend_whole(room: Room, layer: int, joint: Tensor, mixed: Tensor) -> None:
    """Attention by batched products of whole squares."""
    import torch

    windows, heads, positions, width = room.blocks
    parts = room.operand(f"{layer}.parts", 3, *room.blocks)
    joint = joint.view(windows, positions, 3, heads, width)
    kernels.turn(room.array(joint), room.array(parts), *room.turned)
    queries, keys, values = parts.view(3, -1, positions, width)
    shares = room.operand(f"{layer}.shares", windows * heads, positions, positions)
    torch.bmm(queries, keys.mT, out=shares)
    kernels.attend(room.array(shares))
    found = room.operand("found", *room.blocks)
    torch.bmm(shares, values, out=found.view(-1, positions, width))
    kernels.swap(room.array(found), room.array(mixed.view(windows, positions, heads, width)))


def backward(
    room: Room,
    weights: Weights,
    gradients: Weights,
    ids: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> float:
    """Gradients of the room's share of the mean loss, after `forward`; that loss, nats a token.

    Gradients must be 0 before and are added to. Scores are overwritten.
    """
    scores, losses = room.buffers["scores"], room.real("losses", room.tokens).numpy()
    weight = np.float32(room.share / len(targets))
    for name, operand in room.operands.items():
        if _by_tiles(room, name):
            panels = _panels_of(room, f"{name}.backward", operand.shape[::-1])
            products.pack(room.array(operand), 0, panels)
    kernels.cross_entropy(room.array(scores), targets, losses, weight)
    stream = room.real("stream_gradient", room.tokens, room.settings.width).zero_()
    _weigh(room, gradients, "embedding", scores, room.buffers["last.normed"])
    given = _product_backward(room, "normed_gradient", scores, "embedding")
    _normalise_backward(room, weights, gradients, "last", given)
    for layer in reversed(range(room.settings.layers)):
        given = _feed_backward(room, gradients, layer)
        _normalise_backward(room, weights, gradients, f"{layer}.forward", given)
        given = _attend_backward(room, gradients, layer)
        _normalise_backward(room, weights, gradients, f"{layer}.attention", given)
    unit, inverse = room.buffers["start.unit"], room.buffers["start"]
    rest = (room.array(x) for x in (stream, unit, inverse, gradients["embedding"]))
    kernels.embed_backward(ids, *rest)
    return float(losses.mean(dtype=np.float64))


def _feed_backward(room: Room, gradients: Weights, layer: int) -> Tensor:
    stream, squares = _stream_gradient(room), room.buffers[f"{layer}.squares"]
    out, into = f"{layer}.forward_out", f"{layer}.forward_in"
    _weigh(room, gradients, out, stream, squares)
    given = _product_backward(room, "inner_gradient", stream, out)
    kernels.square_positive_backward(room.array(room.buffers[f"{layer}.inner"]), room.array(given))
    _weigh(room, gradients, into, given, room.buffers[f"{layer}.forward.normed"])
    return _product_backward(room, "normed_gradient", given, into)


def _attend_backward(room: Room, gradients: Weights, layer: int) -> Tensor:
    windows, heads, positions, width = room.blocks
    stream, out, into = _stream_gradient(room), f"{layer}.attention_out", f"{layer}.attention_in"
    _weigh(room, gradients, out, stream, room.buffers[f"{layer}.mixed"])
    mixed = _product_backward(room, "normed_gradient", stream, out)
    if room.tiled:
        joint, logs = room.buffers[f"{layer}.joint"], room.buffers[f"{layer}.logs"]
        rows = room.array(joint).reshape(windows, positions, -1)
        arrays = room.array(mixed), rows, room.array(logs)
        attention.attend_backward(*arrays, room.turned, _attention_room_backward(room))
    else:
        joint = room.operand("joint_gradient", room.tokens, 3 * heads * width)
        turned = room.array(joint.view(windows, positions, 3, heads, width))
        _attend_backward_whole(room, layer, mixed, turned)
    _weigh(room, gradients, into, joint, room.buffers[f"{layer}.attention.normed"])
    return _product_backward(room, "normed_gradient", joint, into)


def _attend_backward_whole(room: Room, layer: int, mixed: Tensor, turned: NDArray[Any]) -> None:
    """Attention's gradients by batched products of whole squares."""
    import torch

    windows, heads, positions, width = room.blocks
    found = room.operand("found", *room.blocks)
    kernels.swap(room.array(mixed.view(windows, positions, heads, width)), room.array(found))
    given = found.view(-1, positions, width)
    queries, keys, values = room.buffers[f"{layer}.parts"].view(3, -1, positions, width)
    shares = room.buffers[f"{layer}.shares"]
    scores = room.operand("shares_gradient", *shares.shape)
    parts = room.operand("parts_gradient", 3, *room.blocks)
    of_queries, of_keys, of_values = parts.view(3, -1, positions, width)
    torch.bmm(shares.mT, given, out=of_values)
    torch.bmm(given, values.mT, out=scores)
    kernels.attend_backward(room.array(shares), room.array(scores))
    torch.bmm(scores, keys, out=of_queries)
    torch.bmm(scores.mT, queries, out=of_keys)
    kernels.turn_back(room.array(parts), turned, *room.turned)


def _attention_room(room: Room) -> tuple[NDArray[Any], ...]:
    """Memory of `attention.attend`: keys and values packed, four rows of scores and shares."""
    _, _, positions, width = room.blocks
    keys = room.panels("keys_across", columns=positions, steps=width, wide=attention.KEYS)
    values = room.panels("values", columns=width, steps=positions, wide=width)
    shares = room.array(room.operand("shares", 4, positions))
    return keys, values, room.real("rows", 4, positions).numpy(), shares


def _attention_room_backward(room: Room) -> tuple[tuple[NDArray[Any], ...], ...]:
    """Memory of `attention.attend_backward`."""
    _, _, positions, width = room.blocks
    across = tuple(
        room.panels(name, columns=positions, steps=width, wide=attention.KEYS)
        for name in ("keys_across", "values_across")
    )
    down = tuple(
        room.panels(name, columns=width, steps=positions, wide=width)
        for name in ("keys", "queries", "gradients")
    )
    steps = tuple(
        room.panels(name, columns=positions, steps=positions, wide=attention.NARROW)
        for name in ("slopes_down", "shares_down")
    )
    rows = tuple(room.real(name, 4, positions).numpy() for name in ("rows", "rises"))
    outs = tuple(room.array(room.operand(name, 4, positions)) for name in ("shares", "slopes"))
    return across, down, steps, rows, outs


def _normalise(room: Room, weights: Weights, name: str, added: Tensor | None) -> Tensor:
    size = room.tokens, room.settings.width
    normed, unit = room.operand(f"{name}.normed", *size), room.real(f"{name}.unit", *size)
    inverse, gain = room.real(f"{name}.inverse", room.tokens), weights[f"{name}_gain"]
    found = None if added is None else room.array(added)
    rest = (room.array(x) for x in (gain, unit, inverse, normed))
    kernels.normalise(room.array(room.buffers["stream"]), found, *rest)
    return normed


def _normalise_backward(
    room: Room, weights: Weights, gradients: Weights, name: str, given: Tensor
) -> None:
    stream = room.buffers["stream_gradient"]
    gain, slope = weights[f"{name}_gain"], gradients[f"{name}_gain"]
    unit, inverse = room.buffers[f"{name}.unit"], room.buffers[f"{name}.inverse"]
    arrays = (room.array(x) for x in (given, gain, unit, inverse, stream, slope))
    rounded = room.array(room.operand("stream_operand", *stream.shape)) if room.low else None
    kernels.normalise_backward(*arrays, rounded)


def _stream_gradient(room: Room) -> Tensor:
    return room.buffers["stream_operand" if room.low else "stream_gradient"]


def _product(room: Room, name: str, x: Tensor, weight: str) -> Tensor:
    """X times the transposed weight: a buffer of that name."""
    other = room.operands[weight].t()
    if _by_tiles(room, weight):
        return _multiply(room, name, x, f"{weight}.forward", other.shape[1])
    return _times(room, name, x, other)


def _product_backward(room: Room, name: str, given: Tensor, weight: str) -> Tensor:
    """The gradient of `_product`'s input."""
    other = room.operands[weight]
    if _by_tiles(room, weight):
        return _multiply(room, name, given, f"{weight}.backward", other.shape[1])
    return _times(room, name, given, other)


def _multiply(room: Room, name: str, x: Tensor, packed: str, columns: int) -> Tensor:
    out = room.operand(name, len(x), columns)
    products.multiply(room.array(x), room.packed[packed], room.array(out))
    return out


def _times(room: Room, name: str, x: Tensor, other: Tensor) -> Tensor:
    import torch

    if room.quick and not room.low and not room.tiled:
        room.buffers[name] = one_dnn(x, other.t())
        return room.buffers[name]
    return torch.mm(x, other, out=room.operand(name, len(x), other.shape[1]))


def _weigh(room: Room, gradients: Weights, name: str, given: Tensor, x: Tensor) -> None:
    """The gradient of a weight: of the product of `x` with it, `given` that of the result."""
    import torch

    if _by_tiles(room, name):
        arrays = (room.array(each) for each in (given, x, gradients[name]))
        products.weigh(*arrays, _weigh_room(room, name))
    elif room.low:
        found = room.operand(f"gradient.{name}", *gradients[name].shape)
        gradients[name].copy_(torch.mm(given.t(), x, out=found))
    else:
        torch.mm(given.t(), x, out=gradients[name])


def _weigh_room(room: Room, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Memory for both operands of a weight's gradient, as many tokens at a time as divide all."""
    parts, most = room.tokens // attention.KEYS, 16 if room.low else 8
    rows = attention.KEYS * max(n for n in range(1, most + 1) if parts % n == 0)
    columns, others = room.operands[name].shape
    left = room.panels(f"left.{columns}", columns=columns, steps=rows, wide=products.WIDE)
    return left, room.panels(f"right.{others}", columns=others, steps=rows, wide=products.WIDE)
