"""Two texts side by side: where they differ, with the words around it."""

from __future__ import annotations

from difflib import SequenceMatcher

_CONTEXT = 8  # words shown on either side of a difference
_MOST_WORDS = 2_000  # of what lies between the common beginning and end: a diff is quadratic
_GAP = "…"


def side_by_side(removed: str, kept: str) -> list[tuple[bool, str, str]]:
    """Passages of two texts, in order: those that differ and what stands around them.

    Texts are compared by their words as white space divides them. Of what lies between the
    common beginning and the common end 2,000 words of each text are compared, and "…" ends a
    side that was cut there or in a long common passage.

    Returns:
        (differs, removed, kept) for each passage; where it does not differ both sides are equal.
        No passage at all where the texts are equal.

    >>> side_by_side("it was a dark and stormy night", "it was a bright and stormy night")
    [(False, 'it was a', 'it was a'), (True, 'dark', 'bright'),
     (False, 'and stormy night', 'and stormy night')]
    """
    one, other = removed.split(), kept.split()
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    middle = one[head : len(one) - tail], other[head : len(other) - tail]
    if not middle[0] and not middle[1]:
        return []
    passages = [_same(one[:head], begins=True)]
    passages += _differences(middle[0][:_MOST_WORDS], middle[1][:_MOST_WORDS])
    if max(map(len, middle)) > _MOST_WORDS:
        passages.append((False, _GAP, _GAP))
    else:
        passages.append(_same(one[len(one) - tail :], ends=True))
    return [passage for passage in passages if passage[1] or passage[2]]


def _common(one: list[str], other: list[str]) -> int:
    """How many words the two begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _differences(one: list[str], other: list[str]) -> list[tuple[bool, str, str]]:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return [
        _same(one[a:b]) if tag == "equal" else (True, " ".join(one[a:b]), " ".join(other[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
    ]


def _same(words: list[str], *, begins: bool = False, ends: bool = False) -> tuple[bool, str, str]:
    """A common passage, shortened to the words next to the differences."""
    before = [] if begins else words[:_CONTEXT]
    after = [] if ends else words[-_CONTEXT:]
    if len(words) > len(before) + len(after):
        words = [*before, _GAP, *after]
    text = " ".join(words)
    return False, text, text
