"""Counterfactual texts: words of one group exchanged for the other's, and back again.

Swapping twice gives every text back. English pronouns do not pair off, "her" stands for both
"his" and "him", so the next word decides, by a closed list and without a tagger. Where the
answer could not be undone ("told him stories" would become "told her stories", which reads as
"his"), the word is left as it is. The price: such words stay unswapped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.audits._pronouns import judged_alike, noun_phrase_follows
from curate.audits.lexicons import read_lexicon_file
from curate.errors import ConfigError

_PRONOUNS = ("her", "him", "his", "hers")
_NEXT = re.compile(r"\s+([^\W\d_]+(?:['’][^\W\d_]+)?)")
_BEFORE = re.compile(r"([^\W\d_]+)\s+$")


@dataclass(frozen=True, kw_only=True)
class Swaps:
    """Pairs of words that are exchanged; report `id` and `sha256`.

    Attributes:
        id: Name of the list.
        sha256: Digest of its file.
        first: Name of the group of each pair's first word.
        second: Name of the group of the second words.
        pairs: Lower-case words, none of them twice.
        pronouns: Whether her, him, his and hers are exchanged as well.
    """

    id: str
    sha256: str
    first: str
    second: str
    pairs: tuple[tuple[str, str], ...]
    pronouns: bool = True

    def __post_init__(self) -> None:
        seen: set[str] = set(_PRONOUNS if self.pronouns else ())
        for word in (word for pair in self.pairs for word in pair):
            if word in seen or word != word.lower():
                raise ConfigError(
                    f"swaps {self.id}: {word!r} stands twice or has capitals; a word that is in"
                    " two pairs could not be swapped back"
                )
            seen.add(word)
        for word, other in (*self.pairs, *(pair[::-1] for pair in self.pairs)):
            if self.pronouns and not judged_alike(word, other):
                raise ConfigError(
                    f"swaps {self.id}: {word!r} tells what a pronoun before or after it means,"
                    f" {other!r} does not; exchanging them could not be undone"
                )

    @cached_property
    def partner(self) -> Mapping[str, str]:
        """Each word's partner, in both directions."""
        there = dict(self.pairs)
        return there | {second: first for first, second in self.pairs}

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any word of the list, standing alone."""
        words = sorted(
            {*self.partner, *(_PRONOUNS if self.pronouns else ())}, key=lambda w: -len(w)
        )
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)

    @cached_property
    def firsts(self) -> frozenset[str]:
        """Words of the first group."""
        own = ("her", "hers") if self.pronouns else ()
        return frozenset([*(first for first, _ in self.pairs), *own])


def load_swaps(name: str | Path = "gender_swaps", names: Sequence[tuple[str, str]] = ()) -> Swaps:
    """Read a list of swaps, packaged or a TOML file, and add pairs of names.

    Args:
        name: Packaged list, or a file with `id`, `first`, `second` and `pairs`.
        names: Further pairs (first group's, second group's), e.g. given names.

    >>> load_swaps(names=[("Anna", "Paul")]).partner["paul"]
    'anna'
    """
    raw, table = read_lexicon_file(name)
    missing = [key for key in ("id", "first", "second", "pairs") if key not in table]
    if missing:
        raise ConfigError(f"swaps {name}: {', '.join(missing)} missing")
    given = [(str(a).lower(), str(b).lower()) for a, b in [*table["pairs"], *names]]
    return Swaps(
        id=table["id"],
        sha256=hashlib.sha256(raw).hexdigest(),
        first=table["first"],
        second=table["second"],
        pairs=tuple(given),
        pronouns=table.get("language", "en") == "en" and table.get("axis", "gender") == "gender",
    )


def swap(text: str, swaps: Swaps | None = None) -> str:
    """The text with the two groups exchanged; swapping twice gives the text back.

    Case is kept where it is lower, Title or UPPER; other spellings are left alone.

    >>> swap("She saw her brother. HIS sister gave him her book; the book is hers.")
    'He saw his sister. HER brother gave her his book; the book is his.'
    """
    swaps = swaps or load_swaps()
    return swaps.pattern.sub(lambda match: _exchanged(match, swaps), text)


def swap_all(texts: Sequence[str] | pl.Series, swaps: Swaps | None = None) -> list[str]:
    """`swap` for many texts.

    >>> swap_all(["her", "no one"])
    ['him', 'no one']
    """
    swaps = swaps or load_swaps()
    return [swap(text, swaps) for text in texts]


def leaning(texts: Sequence[str] | pl.Series, swaps: Swaps | None = None) -> NDArray[np.int64]:
    """Words of the first group less words of the second, one number a text.

    >>> leaning(["she and he", "her sister", "him"]).tolist()
    [0, 2, -1]
    """
    swaps = swaps or load_swaps()
    found = ([m.lower() in swaps.firsts for m in swaps.pattern.findall(text)] for text in texts)
    return np.array([2 * sum(words) - len(words) for words in found], dtype=np.int64)


def _exchanged(match: re.Match[str], swaps: Swaps) -> str:
    word = match.group()
    lower = word.lower()
    if lower not in swaps.partner and lower not in _PRONOUNS:
        return word  # such as "ſhe", which a case-blind pattern takes for "she"
    other = swaps.partner.get(lower) or _pronoun(lower, match)
    if word == lower:
        return other
    if word == lower.upper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word == lower.capitalize() else word


def _pronoun(word: str, match: re.Match[str]) -> str:
    possessive = _possessive(match)
    if word == "her":
        return "his" if possessive else "him"
    if word == "his":
        return "her" if possessive else "hers"
    if possessive:
        return word
    return "her" if word == "him" else "his"


def _possessive(match: re.Match[str]) -> bool:
    """Whether the words around say that a noun phrase follows; the same before and after."""
    text = match.string
    after = _NEXT.match(text, match.end())
    before = _BEFORE.search(text, max(0, match.start() - 40), match.start())
    words = [found.group(1).lower() if found else "" for found in (before, after)]
    return noun_phrase_follows(words[0], words[1])
