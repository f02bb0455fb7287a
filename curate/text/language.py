"""The language of a text, by py3langid (Lui & Baldwin 2012), behind the extra `language`."""

from __future__ import annotations

from functools import cache
from typing import Any

import polars as pl

from curate.errors import ConfigError

LONGEST_CHARS = 10_000
"""A text is told by so many of its first characters."""


def languages(text: pl.Series) -> pl.DataFrame:
    """The likeliest of 97 languages of each text, and how likely.

    Args:
        text: String column without nulls.

    Returns:
        `language` String (ISO 639-1) and `language_score` Float64: its probability among the
        languages that the model knows. What a text without letters is called means nothing.

    Raises:
        ConfigError: py3langid is not installed.

    >>> languages(pl.Series([], dtype=pl.String)).columns
    ['language', 'language_score']
    """
    found = [_identifier().classify(start) for start in text.str.slice(0, LONGEST_CHARS)]
    schema = {"language": pl.String, "language_score": pl.Float64}
    rows = [(str(code), float(score)) for code, score in found]
    return pl.DataFrame(rows, schema=schema, orient="row")


@cache
def language_codes() -> tuple[str, ...]:
    """Codes of the languages that can be told, sorted.

    Raises:
        ConfigError: py3langid is not installed.
    """
    return tuple(sorted(map(str, _identifier().labels)))


@cache
def _identifier() -> Any:  # noqa: ANN401 - py3langid publishes no types
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as missing:
        raise ConfigError(
            "the signals 'language' and 'language_score' need py3langid, which is not installed: "
            "pip install 'curate-corpus[language]'"
        ) from missing
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
