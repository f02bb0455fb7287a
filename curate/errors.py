"""Every error that Curate raises on purpose.

CurateError
├── ConfigError       wrong usage or config                         (exit code 2)
├── InputError        input that cannot be read at all              (exit code 3)
├── GateError         a gate failed: bias, wipe-out, yield          (exit code 1)
└── IntegrityError    the product's own books do not balance        (exit code 1)

A message says what is wrong, which value, where, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CurateError(Exception):
    """Root of the errors above; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(CurateError):
    """A config, an argument or a call asks for something that cannot be done."""

    exit_code = 2


class InputError(CurateError):
    """An input as a whole cannot be read; single bad rows are quarantined instead."""

    exit_code = 3


class GateError(CurateError):
    """A run ended with a result that its config does not allow."""


class IntegrityError(CurateError):
    """Counts or digests that must agree do not; nothing further is written."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Message for a name that is not in a closed set, with the nearest known name.

    Args:
        what: What the name stands for, e.g. `"signal"`.
        name: The name that was given.
        known: All names that are allowed.

    >>> unknown_name("signal", "text_char", ["text_chars", "digit_fraction"])
    "unknown signal 'text_char'; did you mean 'text_chars'? known: digit_fraction, text_chars"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r};{hint} known: {', '.join(names) or 'none'}"
