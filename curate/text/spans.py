"""Spans that must not overlap."""

from __future__ import annotations

from bisect import bisect_left, insort

Span = tuple[int, int, str]
"""Start, end (both in bytes, end excluded), and what the span stands for."""


def add_disjoint(spans: list[Span], span: Span) -> bool:
    """Put a span into a sorted list unless it overlaps one that is there.

    Args:
        spans: Sorted, disjoint; changed in place.
        span: The new one.

    Returns:
        Whether it was put in.

    >>> spans = [(4, 9, "a")]
    >>> add_disjoint(spans, (8, 12, "b")), add_disjoint(spans, (9, 12, "c")), spans
    (False, True, [(4, 9, 'a'), (9, 12, 'c')])
    """
    start, end, _ = span
    at = bisect_left(spans, span)
    if at > 0 and spans[at - 1][1] > start:
        return False
    if at < len(spans) and spans[at][0] < end:
        return False
    insort(spans, span)
    return True
