"""What one section of the page holds; the template only lays it out."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from curate.report.figure import Figure

__all__ = ["Example", "Section"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """Removed texts of one reason: (id, source, excerpt) each."""

    reason: str
    texts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section: a lead sentence, tables above and below figures, folded, examples.

    `missing` says why something that belongs here is not there.
    """

    key: str
    title: str
    lead: str = ""
    missing: str = ""
    tables: tuple[Markup, ...] = ()
    figures: tuple[Figure, ...] = ()
    below: tuple[Markup, ...] = ()
    folded: tuple[tuple[str, Markup], ...] = ()
    examples: tuple[Example, ...] = ()
