"""What a config asks for that the input, an extra or a file cannot give: said before any work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import polars as pl

from curate import outside
from curate.asked import judged_columns, read_signals, word_list_digests
from curate.config import RunConfig
from curate.corpus import InputConfig, absent_columns
from curate.errors import ConfigError, unknown_name
from curate.experiment import check_plan
from curate.rules import OTHER_COLUMNS, load_rules
from curate.signals import DEFAULT_SIGNALS, LANGUAGE_SIGNALS, SIGNALS
from curate.text.language import language_codes

__all__ = ["check", "check_cleaning", "check_columns", "check_languages", "check_rules"]

_MADE = ("failed", "kept", "cluster_id", "duplicate_of", "jaccard", "evaluation_ngrams")
_SIGNALS_FOR = {"groups": ("language",), "scores": DEFAULT_SIGNALS, "add": DEFAULT_SIGNALS}


def check(config: RunConfig, *, finished: bool = False) -> None:
    """Everything that can be known to fail before any work; of a finished run not its inputs.

    Raises:
        ConfigError: A rule set, a word list, a column or a language is not known, a stored plan
            is of another experiment, or the output lies among the input.
        InputError: A file is not there.

    >>> from curate.config import load_config
    >>> check(load_config({"input": {"path": "a"}, "output": {"path": "b"}}), finished=True)
    """
    check_rules(config)
    check_cleaning(config)
    outside.lexicon_digests(config)
    outside.check_survivor(config)
    if config.measure is not None:
        check_plan(config.measure, seed=config.seed)
    if not finished:
        outside.check_output(config)
        outside.check_files(config)
        check_columns(config)
        check_languages(config)
        word_list_digests(config)


def check_rules(config: RunConfig) -> None:
    """Whether every rule can be read; columns of the corpus that they name are checked elsewhere.

    Raises:
        ConfigError: A set, a rule or a key is not known, or a rule keeps nothing.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}}
    >>> check_rules(load_config(values | {"rules": {"add": {"long": {"signal": "words"}}}}))
    Traceback (most recent call last):
    curate.errors.ConfigError: rule 'own.long' has neither min nor max nor among
    """
    rules = config.rules
    named = pl.DataFrame(schema={name: pl.Float64 for _, name in _rule_columns(config)})
    load_rules(replace(rules, sets=(*rules.sets, *rules.shown)), named)


def check_cleaning(config: RunConfig) -> None:
    """Whether what the cleaning steps need is installed.

    Raises:
        ConfigError: `repair_mojibake` without ftfy.

    >>> from curate.config import load_config
    >>> check_cleaning(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    """
    if "repair_mojibake" in config.clean.steps and find_spec("ftfy") is None:
        raise ConfigError(
            "the cleaning step 'repair_mojibake' needs ftfy: pip install 'curate-corpus[repair]'"
        )


def check_languages(config: RunConfig) -> None:
    """Whether languages can be told, and whether those that are named are known.

    Raises:
        ConfigError: py3langid is not installed, or a code is none of its languages.

    >>> from curate.config import load_config
    >>> check_languages(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    """
    flagged = config.signals.flagged_words
    lists = list(flagged) if config.signals.by_language and isinstance(flagged, dict) else []
    wanted = [name for name in read_signals(config) if name in LANGUAGE_SIGNALS]
    if not wanted and not lists:
        return
    if find_spec("py3langid") is None:
        said = f"the signal {wanted[0]!r}" if wanted else "a list of flagged words for a language"
        raise ConfigError(f"{said} needs py3langid: pip install 'curate-corpus[language]'")
    named = (("rules.languages", config.rules.languages), ("signals.flagged_words", lists))
    for key, codes in named:
        for code in codes:
            if code not in language_codes():
                listed = "ISO 639-1, e.g. en, de, zh"
                said = unknown_name("language", code, language_codes(), listed=listed)
                raise ConfigError(f"{key}: {said}")


def check_columns(config: RunConfig) -> None:
    """Whether the columns that the config names will be there.

    Raises:
        ConfigError: A column that neither the input nor any stage makes.
        InputError: An input file is not there.

    >>> import tempfile
    >>> from curate.config import load_config
    >>> path = tempfile.mkdtemp() + "/a.csv"
    >>> _ = open(path, "w").write("text,site")
    >>> values = {"input": {"path": path}, "output": {"path": "b"}}
    >>> check_columns(load_config(values | {"audit": {"groups": ["sites"]}}))
    Traceback (most recent call last):
    curate.errors.ConfigError: audit.groups: unknown column 'sites'; did you mean 'site'? ...
    """
    made = {*SIGNALS, *OTHER_COLUMNS, *config.quality.columns, *_MADE}
    asked = [(k, n) for k, n in (*judged_columns(config), *_rule_columns(config)) if n not in made]
    quality, measure = config.quality, config.measure
    if quality.column is not None:
        asked.append(("quality.column", quality.column))
    if measure is not None and measure.label is not None:
        asked.append(("measure.label", measure.label))
    if quality.label is not None and quality.reference is None:
        asked.append(("quality.label", quality.label))
    _check(config.input, asked)
    texts = quality.reference
    if quality.label is not None and texts is not None:
        files = texts if isinstance(texts, InputConfig) else InputConfig(path=texts)
        _check(files, [("quality.label", quality.label)])


def _check(config: InputConfig, asked: list[tuple[str, str]]) -> None:
    absent, found = absent_columns(config, [name for _, name in asked])
    for key, name in asked:
        if name in absent:
            known = [*found, *_SIGNALS_FOR.get(key.split(".")[1], ())]
            if name in (role := {config.id: "id", config.source: "source"}):
                raise ConfigError(
                    f"{key}: the column {name!r} is called {role[name]!r} in the documents, "
                    f"as input.{role[name]} says: write {role[name]!r}"
                )
            listed = f"columns of the input ({', '.join(found)}), signals (docs/signals.md)"
            raise ConfigError(f"{key}: {unknown_name('column', name, known, listed=listed)}")


def _rule_columns(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Columns that rules of the config's own read."""
    for rule, table in config.rules.add.items():
        if isinstance(table, dict) and isinstance(table.get("signal"), str):
            yield f"rules.add.{rule}", table["signal"]
