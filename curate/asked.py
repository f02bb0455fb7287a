"""Which signals a run measures beyond those of every run, and what they depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curate.config import RunConfig
from curate.rules import extra_signals
from curate.signals import DEFAULT_SIGNALS, FLAGGED_SIGNALS, SIGNALS
from curate.text.flagged_words import load_word_lists

__all__ = ["audited_signals", "judged_columns", "measured", "read_signals", "word_list_digests"]


def read_signals(config: RunConfig) -> list[str]:
    """Signals that rules or word lists of the config ask for beyond those of every run.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}}
    >>> read_signals(load_config(values | {"rules": {"languages": ["en"]}}))
    ['language']
    """
    flagged = FLAGGED_SIGNALS if config.signals.flagged_words else ()
    return list(dict.fromkeys([*extra_signals(config.rules), *flagged]))


def audited_signals(config: RunConfig) -> list[str]:
    """Signals that only the audit or a selection names; columns of the corpus go before them.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}}
    >>> audited_signals(load_config(values | {"audit": {"groups": ["source", "language"]}}))
    ['language']
    """
    known = {*DEFAULT_SIGNALS, *read_signals(config)}
    named = [name for _, name in judged_columns(config)]
    return [n for n in dict.fromkeys(named) if n in SIGNALS and n not in known]


def word_list_digests(config: RunConfig) -> dict[str, str]:
    """Language, or `any`, → sha256 of the list of flagged words.

    >>> from curate.config import load_config
    >>> word_list_digests(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    {}
    """
    source = config.signals.flagged_words
    if source is None:
        return {}
    return {code or "any": digest for code, digest in load_word_lists(source).sha256.items()}


def measured(config: RunConfig) -> list[Any] | None:
    """What the measured columns depend on beside the text.

    >>> from curate.config import load_config
    >>> measured(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    """
    found = [read_signals(config), audited_signals(config), word_list_digests(config)]
    return found if any(found) else None


def judged_columns(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Columns that the verdict table must carry for audit and selection: key of the config, name.

    >>> from curate.config import load_config
    >>> list(judged_columns(load_config({"input": {"path": "a"}, "output": {"path": "b"}})))
    [('audit.groups', 'source')]
    """
    for name in config.audit.groups:
        yield "audit.groups", name
    for name in config.audit.scores:
        yield "audit.scores", name
    select = config.quality.select
    if select is not None and select.within is not None:
        yield "quality.select.within", select.within
