"""Makers of crawl noise: seeded functions from a random generator and a text to a text.

The same makers serve the spike-in controls of every run and the demo's raw input. Each kind is
one entry of `DEFECTS`; kinds in `ORIGIN_WORDS` are made from a real document and say how many
words it must have, the others ignore the text they are given.

Personal data comes only from ranges reserved for documentation: example.com/.org/.net mail,
192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and 2001:db8::/32, 555-01xx telephones, the payment
networks' published test card numbers, and example IBANs of the registry. No real person is named.
"""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

Maker = Callable[[Generator, str], str]

__all__ = ["COPIES", "DEFECTS", "ORIGIN_WORDS", "Maker", "edit_words"]


def exact_copy(rng: Generator, text: str) -> str:
    """The text itself, byte for byte.

    >>> exact_copy(np.random.default_rng(1), "as it was")
    'as it was'
    """
    return text


def edit_words(rng: Generator, text: str, *, share: float) -> str:
    """Replace, delete or insert words at random places; white space between words stays.

    Args:
        rng: Source of randomness.
        text: Text with at least one word (a run of non-space characters).
        share: Share of the words that are edited, in (0, 1]; at least one word is. New words are
            words of the same text, so that its vocabulary stays natural.

    >>> edit_words(np.random.default_rng(1), "one two three four", share=0.25)
    'one two three three four'
    """
    pieces = re.split(r"(\s+)", text)
    words = [i for i, piece in enumerate(pieces) if piece and not piece.isspace()]
    n = max(1, round(share * len(words)))
    places = rng.choice(words, size=min(n, len(words)), replace=False)
    vocabulary = [pieces[i] for i in words]
    for place in places:
        new = _pick(rng, vocabulary)
        kind = rng.integers(3)
        if kind == 0:
            pieces[place] = new if new != pieces[place] else pieces[place] + "s"
        elif kind == 1:
            pieces[place] = ""
        else:
            pieces[place] += f" {new}"
    return "".join(pieces)


def random_letters(rng: Generator, text: str = "") -> str:
    """Sentences of "words" of random letters, with the lengths that words and texts have.

    >>> random_letters(np.random.default_rng(1))[:40]
    'Yokn aqgo kpcjqt jas nrelwwi qcvgi zowft'
    """
    remaining = int(np.clip(rng.lognormal(4.8, 0.6), 50, 1000))
    page = ""
    while remaining > 0:
        lengths = 1 + rng.poisson(3.9, size=int(rng.integers(6, 22)))
        letters = "".join(map(chr, rng.integers(97, 123, size=int(lengths.sum()))))
        ends = np.cumsum(lengths)
        words = [letters[a:b] for a, b in zip(ends - lengths, ends, strict=True)]
        page += " ".join(words).capitalize() + (".\n\n" if rng.random() < 0.15 else ". ")
        remaining -= len(words)
    return page.strip()


def base64_dump(rng: Generator, text: str = "") -> str:
    """Random bytes as base64, in lines of 64 or 76 characters or in one.

    >>> len(set(base64_dump(np.random.default_rng(1)))) <= 66
    True
    """
    data = base64.b64encode(rng.bytes(_dump_bytes(rng))).decode("ascii")
    width = int(rng.choice([64, 76, len(data)]))
    return "\n".join(data[i : i + width] for i in range(0, len(data), width))


def hex_dump(rng: Generator, text: str = "") -> str:
    r"""Random bytes in hexadecimal: with offsets, in pairs, or plain lines.

    >>> set(hex_dump(np.random.default_rng(1))) <= set("0123456789abcdef: \n")
    True
    """
    data = rng.bytes(_dump_bytes(rng) // 2)
    rows = [data[i : i + 16] for i in range(0, len(data), 16)]
    style = int(rng.integers(3))
    if style == 0:
        return "\n".join(f"{16 * i:08x}: {row.hex(' ', 2)}" for i, row in enumerate(rows))
    return "\n".join(row.hex(" ") if style == 1 else row.hex() for row in rows)


def navigation(rng: Generator, text: str = "") -> str:
    """One page of menus, teasers, consent banner and footer, without an article.

    The phrases of eight site styles stand in `presets/boilerplate.toml`.

    >>> page = navigation(np.random.default_rng(1))
    >>> len(page) > 200, "{" in page
    (True, False)
    """
    phrases = _phrases()
    style = phrases["styles"][_pick(rng, sorted(phrases["styles"]))]
    values = {"site": _pick(rng, phrases["sites"])}
    separator = _pick(rng, phrases["separators"])
    menu = separator.join(_some(rng, style["menu"], 6, 14))
    blocks = [
        _some(rng, phrases["consent"]["lines"], 3, 8),
        [menu],
        _some(rng, style["lines"], 5, 12),
        _some(rng, phrases["footer"]["lines"], 5, 12),
    ]
    if rng.random() < 0.5:
        blocks = [*blocks[1:], blocks[0]]  # a consent banner stands first or last in the markup
    if rng.random() < 0.4:
        blocks.insert(3, [menu])
    return "\n".join(_fill(rng, line, values) for block in blocks for line in block)


def repeated_lines(rng: Generator, text: str) -> str:
    r"""Two lines of a real document, then one of its longest (or 500 characters of it) 20–80 times.

    >>> page = repeated_lines(np.random.default_rng(1), "a short line\nthe longest line of it")
    >>> page.count("the longest line of it") >= 20
    True
    """
    lines = [line for line in text.splitlines() if line.strip()]
    long = sorted(lines, key=lambda line: -len(line.strip()))[:5]
    line = _pick(rng, long)[:500]
    return "\n".join([*lines[:2], *[line] * int(rng.integers(20, 81))])


def repeated_paragraphs(rng: Generator, text: str) -> str:
    r"""A document's opening, then one of its paragraphs (or 1,500 characters of it) 5–20 times.

    >>> text = "Opening words.\n\nA paragraph that is long enough to be repeated."
    >>> repeated_paragraphs(np.random.default_rng(1), text).count("A paragraph") >= 5
    True
    """
    paragraphs = [p for p in re.split(r"\n\s*\n", text) if p.strip()]
    long = sorted(paragraphs, key=lambda p: -len(p))[:3]
    paragraph = _pick(rng, long)[:1500]
    return "\n\n".join([paragraphs[0][:1500], *[paragraph] * int(rng.integers(5, 21))])


def mojibake(rng: Generator, text: str) -> str:
    r"""The text's UTF-8 read as Windows-1252 or Latin-1, once or twice.

    A text without typographic characters first gets quotes, dashes and accents, since plain
    ASCII survives every wrong decoding.

    >>> "â" in mojibake(np.random.default_rng(1), "it's a word, isn't it?")
    True
    """
    if sum(ord(c) > 127 for c in text) < max(4, len(text) // 100):
        text = _typographic(rng, text)
    table = _windows_1252() if rng.random() < 0.7 else {}
    for _ in range(2 if rng.random() < 0.2 else 1):
        text = text.encode("utf-8").decode("latin-1").translate(table)
    return text


def personal_data(rng: Generator, text: str = "") -> str:
    """A contact list or an order log of invented people; documentation ranges only.

    >>> "@example." in personal_data(np.random.default_rng(1))
    True
    """
    make = _contact if rng.random() < 0.5 else _order
    entries = [make(rng) for _ in range(int(rng.integers(4, 13)))]
    heading = _pick(
        rng, ["Contact list", "Customer records", "Support queue", "Orders of the week"]
    )
    return "\n\n".join([heading, *entries])


DEFECTS: Mapping[str, Maker] = {
    "exact_copy": exact_copy,
    "near_copy_1": partial(edit_words, share=0.01),
    "near_copy_2": partial(edit_words, share=0.02),
    "near_copy_5": partial(edit_words, share=0.05),
    "random_letters": random_letters,
    "base64_dump": base64_dump,
    "hex_dump": hex_dump,
    "navigation": navigation,
    "repeated_lines": repeated_lines,
    "repeated_paragraphs": repeated_paragraphs,
    "mojibake": mojibake,
    "personal_data": personal_data,
}
"""Every kind of defect and its maker."""

ORIGIN_WORDS: Mapping[str, int] = {
    "exact_copy": 50,
    # Below 150 words one edited word alone moves the Jaccard similarity by several points.
    "near_copy_1": 150,
    "near_copy_2": 150,
    "near_copy_5": 150,
    "repeated_lines": 50,
    "repeated_paragraphs": 50,
    "mojibake": 50,
}
"""Kinds made from a real document, with the words it must have."""

COPIES = ("exact_copy", "near_copy_1", "near_copy_2", "near_copy_5")
"""Kinds whose similarity to their origin is known."""

_NAMES = (
    "Alice",
    "Bob",
    "Carol",
    "Dave",
    "Erin",
    "Frank",
    "Grace",
    "Heidi",
    "Ivan",
    "Judy",
    "Mallory",
)
_FAMILIES = ("Example", "Sample", "Placeholder", "Specimen", "Testcase", "Demo")
_MAIL = ("example.com", "example.org", "example.net")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_CARDS = (
    "4111 1111 1111 1111",
    "5555 5555 5555 4444",
    "3782 822463 10005",
    "6011 1111 1111 1117",
    "4012 8888 8888 1881",
)
_IBANS = (
    "GB82 WEST 1234 5698 7654 32",
    "DE89 3704 0044 0532 0130 00",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NL91 ABNA 0417 1643 00",
)
_AREAS = ("202", "212", "303", "415", "617", "808")


def _pick(rng: Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _some(rng: Generator, items: Sequence[str], low: int, high: int) -> list[str]:
    n = min(len(items), int(rng.integers(low, high + 1)))
    return [items[i] for i in rng.choice(len(items), size=n, replace=False)]


def _fill(rng: Generator, line: str, values: Mapping[str, str]) -> str:
    line = line.replace("{site}", values["site"]).replace("{year}", str(rng.integers(2009, 2026)))
    while "{n}" in line:
        line = line.replace("{n}", str(rng.integers(2, 100)), 1)
    return line


def _dump_bytes(rng: Generator) -> int:
    return int(np.clip(rng.lognormal(6.4, 0.6), 200, 6000))


@cache
def _phrases() -> dict[str, Any]:
    path = Path(__file__).with_name("presets") / "boilerplate.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _windows_1252() -> dict[int, str]:
    """Latin-1 code points 80–9F as Windows-1252 shows them; its five holes stay as they are."""
    table = {}
    for byte in range(0x80, 0xA0):
        try:
            table[byte] = bytes([byte]).decode("cp1252")
        except UnicodeDecodeError:
            table[byte] = chr(byte)
    return table


def _typographic(rng: Generator, text: str) -> str:
    text = re.sub(r"\"([^\"\n]*)\"", "“\\1”", text).replace("'", "’").replace(" - ", " – ")
    accents = {"e": "é", "a": "à", "o": "ö", "u": "ü", "n": "ñ", "c": "ç"}
    letters = list(text)
    places = [i for i, c in enumerate(letters) if c in accents]
    for i in rng.permutation(len(places))[: max(4, len(letters) // 60)]:
        letters[places[i]] = accents[letters[places[i]]]
    return "".join(letters)


def _person(rng: Generator) -> tuple[str, str]:
    first, family = _pick(rng, _NAMES), _pick(rng, _FAMILIES)
    mail = f"{first}.{family}{rng.integers(1, 100)}@{_pick(rng, _MAIL)}".lower()
    return f"{first} {family}", mail


def _phone(rng: Generator) -> str:
    area, last = _pick(rng, _AREAS), f"555-01{rng.integers(100):02d}"
    return _pick(rng, [f"({area}) {last}", f"{area}-{last}", f"+1 {area} {last}"])


def _address(rng: Generator) -> str:
    return f"{_pick(rng, _NETWORKS)}.{rng.integers(1, 255)}"


def _contact(rng: Generator) -> str:
    name, mail = _person(rng)
    return (
        f"Name: {name}\nE-mail: {mail}\nPhone: {_phone(rng)}\n"
        f"Last login from {_address(rng)}, account {_pick(rng, _IBANS)}"
    )


def _order(rng: Generator) -> str:
    name, mail = _person(rng)
    return (
        f"Order {rng.integers(10_000, 99_999)} was placed by {name} ({mail}) from {_address(rng)}. "
        f"It was paid with card {_pick(rng, _CARDS)}, and the customer asked us to call "
        f"{_phone(rng)} before the delivery. A refund would go to {_pick(rng, _IBANS)}."
    )
