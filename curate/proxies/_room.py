"""Memory of the transformer's passes: buffers by name, and how products are made in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.proxies import _attention_kernel as attention
from curate.proxies import _product_kernel as products
from curate.proxies import _tile_kernel as tiles

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
        turned: Cosines and sines of the positions.
        share: Of the whole step's loss, where others read the rest of its windows.
        buffers: By name, those of layer 0 as `"0.joint"`; made when first asked for.
        operands: Weights as products take them: rounded where these are made in bfloat16.
        quick: Whether float32 products are oneDNN's: a tenth faster than BLAS where torch has it.
        tiled: Whether products are made here, by tiles, instead: where processor and shape allow.
        packed: What tiles read: by name, made when first asked for.
        arrays: Buffers, weights and gradients as compiled passes take them: a look costs 20 µs.
    """

    settings: GptSettings
    shape: tuple[int, int]
    low: bool
    turned: tuple[NDArray[np.float32], NDArray[np.float32]]
    quick: bool
    share: float = 1.0
    buffers: dict[str, Tensor] = field(default_factory=dict)
    operands: Weights = field(default_factory=dict)
    tiled: bool = False
    packed: dict[str, NDArray[Any]] = field(default_factory=dict)
    arrays: dict[int, tuple[Tensor, NDArray[Any]]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of a batch."""
        return self.shape[0] * self.shape[1]

    @property
    def blocks(self) -> tuple[int, int, int, int]:
        """Windows, heads, positions and width of a head."""
        heads = self.settings.heads
        return self.shape[0], heads, self.shape[1], self.settings.width // heads

    def real(self, name: str, *sizes: int) -> Tensor:
        """A float32 buffer."""
        import torch

        if name not in self.buffers:
            self.buffers[name] = torch.empty(sizes)
        return self.buffers[name]

    def operand(self, name: str, *sizes: int) -> Tensor:
        """A buffer that goes into products or comes out of them."""
        import torch

        if name not in self.buffers:
            kind = torch.bfloat16 if self.low else torch.float32
            self.buffers[name] = torch.empty(sizes, dtype=kind)
        return self.buffers[name]

    def array(self, x: Tensor) -> NDArray[Any]:
        """What compiled passes take: bfloat16 as its bits. Kept where buffers stay the same."""
        if not self.tiled:
            return _array(x)
        kept = self.arrays.get(id(x))
        if kept is None:
            kept = self.arrays[id(x)] = x, _array(x)
        return kept[1]

    def panels(self, name: str, *, columns: int, steps: int, wide: int) -> NDArray[Any]:
        """Memory for a packed operand: so many numbers along k, in panels so wide."""
        if name not in self.packed:
            sizes = -(-columns // wide), steps // (2 if self.low else 1), wide
            self.packed[name] = np.zeros(sizes, np.uint32 if self.low else np.float32)
        return self.packed[name]


def make_room(
    settings: GptSettings, *, shape: tuple[int, int], low: bool = False, share: float = 1.0
) -> Room:
    """Memory for batches of `shape` = (windows, positions)."""
    turned = turns(shape[1], settings.width // settings.heads)
    room = Room(settings=settings, shape=shape, low=low, turned=turned, quick=_quick(), share=share)
    room.tiled = tiles.usable(low=low) and _fits(settings, shape)
    return room


def _fits(settings: GptSettings, shape: tuple[int, int]) -> bool:
    """Whether tiles come out even."""
    head = settings.width // settings.heads
    return head % 16 == 0 and head <= products.WIDE and shape[1] % attention.KEYS == 0


@cache
def _quick() -> bool:
    """Whether torch has oneDNN's linear operation, which is undocumented, as called here."""
    import torch

    try:
        found = one_dnn(torch.ones(1, 2), torch.ones(3, 2))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found == 2).all())


def one_dnn(x: Tensor, weight: Tensor) -> Tensor:
    """X times the transposed weight, by an operation that torch does not document."""
    import torch

    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return found


def turns(positions: int, head_width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of the rotary positions, shape (positions, head_width / 2).

    >>> [part.shape for part in turns(5, 8)]
    [(5, 4), (5, 4)]
    """
    speeds = ROTARY_BASE ** -np.arange(0, 1, 2 / head_width)
    angles = np.outer(np.arange(positions), speeds)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _array(x: Tensor) -> NDArray[Any]:
    """A buffer as a compiled pass takes it: bfloat16 as its bits."""
    import torch

    found: NDArray[Any] = (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
    return found
