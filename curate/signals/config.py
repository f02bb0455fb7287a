"""What the signals of a run need beside the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curate.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalsConfig:
    """What is measured beside the signals of every run.

    Attributes:
        flagged_words: Path of a list of words, one a line, or a table of one path a language
            (`{ en = "en.txt" }`; py3langid, extra `language`, tells which list a text is searched
            with): measures `flagged_word_count` and `flagged_word_fraction`, which rules may bound.
    """

    flagged_words: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        given = self.flagged_words
        paths = given.values() if isinstance(given, Mapping) else [given or ""]
        if given == {} or not all(isinstance(path, str) for path in paths):
            raise ConfigError(
                f"signals.flagged_words is {given!r}; allowed: the path of a list, or a table of "
                'one path a language, e.g. { en = "en.txt" }'
            )

    @property
    def by_language(self) -> bool:
        """Whether the language of a text decides which list it is searched with.

        >>> SignalsConfig(flagged_words={"en": "en.txt"}).by_language
        True
        """
        return isinstance(self.flagged_words, Mapping)
