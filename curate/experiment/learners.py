"""Kinds of models that are asked what they know by heart: one that counts, one that is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.arrays import Floats
from curate.ngram_model import NgramCounts, fit_discounts
from curate.proxies import Gpt

Tokens = NDArray[np.uint16]

__all__ = ["Learned", "Learner", "NgramLearner", "TransformerLearner"]


class Learned(Protocol):
    """A model that has read its texts."""

    def bits(self, documents: Sequence[Tokens]) -> list[Floats]:
        """Bits of every token of each document."""

    def completes(self, text: Tokens, prompt: int) -> bool:
        """Whether the likeliest token is the one that follows, from `prompt` tokens on.

        The boundary at the text's end is not asked for.
        """


class Learner(Protocol):
    """A kind of model, untrained."""

    @property
    def family(self) -> str:
        """Name in tables."""

    @property
    def size(self) -> str:
        """Name in tables."""

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""

    def learn(self, texts: Sequence[Tokens], plain: Sequence[Tokens], *, seed: int) -> Learned:
        """A model of `texts` in their order.

        Args:
            texts: What is read, repeats and planted texts included.
            plain: The same without these: what settings may be fitted to.
            seed: Of what is drawn at random.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class NgramLearner:
    """Kneser–Ney of one order.

    Attributes:
        order: Longest n-gram.
        vocabulary: Number of token ids.

    >>> NgramLearner(order=3).size
    'order3'
    """

    order: int = 5
    vocabulary: int = 1024

    @property
    def family(self) -> str:
        """Name in tables."""
        return "kneser_ney"

    @property
    def size(self) -> str:
        """Name in tables."""
        return f"order{self.order}"

    def learn(self, texts: Sequence[Tokens], plain: Sequence[Tokens], *, seed: int) -> Learned:
        """Counts of the texts; discounts of the text without its repeats. Nothing is drawn."""
        once, everything = np.concatenate(plain), np.concatenate(texts)
        counts = NgramCounts(order=self.order, vocabulary=self.vocabulary)
        counts.extend(everything, stop=len(everything))
        discounts = fit_discounts(once, self.order, [len(once)], vocabulary=self.vocabulary)[0]
        return _Counted(counts=counts, discounts=discounts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counted:
    """An n-gram model and the discounts that it scores with."""

    counts: NgramCounts
    discounts: Floats

    def bits(self, documents: Sequence[Tokens]) -> list[Floats]:
        flat, offsets = _joined(documents)
        bits = self.counts.token_bits(flat, offsets, discounts=self.discounts)
        return np.split(bits, offsets[1:-1])

    def completes(self, text: Tokens, prompt: int) -> bool:
        size, reach = self.counts.vocabulary, self.counts.order - 1
        for end in range(prompt, len(text) - 1):
            context = text[max(0, end - reach) : end]  # no n-gram looks further back
            options = np.tile(np.append(context, np.uint16(0)), (size, 1))
            options[:, -1] = np.arange(size)
            width = options.shape[1]
            offsets = np.arange(size + 1, dtype=np.int64) * width
            bits = self.counts.token_bits(options.ravel(), offsets, discounts=self.discounts)
            if int(bits[width - 1 :: width].argmin()) != int(text[end]):
                return False
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerLearner:
    """A small transformer; needs torch.

    Attributes:
        gpt: Settings and vocabulary.
        size: Of its sizes.

    >>> TransformerLearner(gpt=Gpt(vocabulary=64), size="width32").vocabulary
    64
    """

    gpt: Gpt
    size: str

    @property
    def family(self) -> str:
        """Name in tables."""
        return self.gpt.name

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return self.gpt.vocabulary

    def learn(self, texts: Sequence[Tokens], plain: Sequence[Tokens], *, seed: int) -> Learned:
        """One pass over the texts at the size's own rate; nothing is fitted to `plain`."""
        from curate.proxies import reading

        model = reading.trained(self.gpt, np.concatenate(texts), size=self.size, seed=seed)
        return _Trained(model=model)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trained:
    """A transformer."""

    model: Any  # curate.proxies.transformer.Model, whose module needs torch

    def bits(self, documents: Sequence[Tokens]) -> list[Floats]:
        from curate.proxies import reading

        flat, offsets = _joined(documents)
        return np.split(reading.expected_tokens(self.model, flat, offsets)[0], offsets[1:-1])

    def completes(self, text: Tokens, prompt: int) -> bool:
        from curate.proxies import reading

        likeliest = reading.expected_tokens(self.model, *_joined([text]))[1]
        return bool(likeliest[prompt:-1].all())


def _joined(documents: Sequence[Tokens]) -> tuple[Tokens, NDArray[np.int64]]:
    ends = np.cumsum([len(each) for each in documents])
    return np.concatenate(documents), np.concatenate([[0], ends]).astype(np.int64)
