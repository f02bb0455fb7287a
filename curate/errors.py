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


MOST_LISTED = 25  # names that a message spells out


def unknown_name(what: str, name: str, known: Iterable[str], *, listed: str = "") -> str:
    """Message for a name that is not in a closed set, with the nearest known names.

    Args:
        what: What the name stands for, e.g. `"signal"`.
        name: The name that was given.
        known: All names that are allowed; of more than `MOST_LISTED` the nearest three are told.
        listed: Where all of them can be read.

    >>> unknown_name("signal", "text_char", ["text_chars", "digit_fraction"])
    "unknown signal 'text_char'; did you mean 'text_chars'? known: digit_fraction, text_chars"
    >>> unknown_name("word", "n12", [f"n{k}x" for k in range(40)], listed="words.txt")
    "unknown word 'n12'; did you mean 'n12x', 'n2x' or 'n1x'? all 40: words.txt"
    """
    names = sorted(set(known))
    many = len(names) > MOST_LISTED
    near = [repr(n) for n in get_close_matches(name, names, n=3 if many else 1)]
    hint = (
        f" did you mean {', '.join(near[:-1])}{' or ' * (len(near) > 1)}{near[-1]}?" if near else ""
    )
    told = f"known: {', '.join(names) or 'none'}"
    if many:
        told = f"all {len(names)}: {listed or ', '.join(names)}"
    return f"unknown {what} {name!r};{hint} {told}"


def check_name(what: str, name: str, known: Iterable[str], *, listed: str = "") -> None:
    """Refuse a name that is not in a closed set; arguments as of `unknown_name`.

    Raises:
        ConfigError: It is not.

    >>> check_name("signal", "text_chars", ["text_chars"])
    """
    names = list(known)
    if name not in names:
        raise ConfigError(unknown_name(what, name, names, listed=listed))
