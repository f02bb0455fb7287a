"""A first config for somebody's own data, each guess with its reason as a comment."""

from __future__ import annotations

import glob
import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.config import OutputConfig, RunConfig, load_config, toml_value
from curate.controls import ControlsConfig
from curate.corpus import FirstRows, InputConfig, first_rows, write_bytes_atomically
from curate.duplicates import DuplicatesConfig, NearDuplicates
from curate.errors import ConfigError, InputError
from curate.experiment import MeasureConfig
from curate.front.guesses import Column, Guess, describe_columns, guess_id, guess_source, guess_text

__all__ = ["Start", "input_of", "start_config", "write_start"]

WIDTH = 98
APPLIED = ("web_safety",)  # fits any text; what the others would take is only shown
SHOWN = ("gopher_quality", "gopher_repetition", "fineweb")
SAVED = ("dataset_dict.json", "state.json")  # in a folder written by `save_to_disk`
LISTED = 12  # columns that a comment spells out


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A config that can be run, and what was guessed for it.

    Attributes:
        text: The TOML file.
        looked_at: What the guesses rest on, in words.
        guesses: Key of `[input]` → what was guessed.
    """

    text: str
    looked_at: str
    guesses: dict[str, Guess]


def input_of(
    data: Sequence[str], *, dataset: str | None = None, subset: str | None = None
) -> InputConfig:
    """The input that files, folders and globs stand for, or a dataset.

    Files that are all of one kind in their folder are written as a glob again: a shell has taken
    it apart. A folder that `datasets` saved is a dataset.

    Raises:
        ConfigError: Neither or both are given.
        InputError: Nothing is there.

    >>> input_of([], dataset="org/set", subset="en").subset
    'en'
    """
    if bool(data) == (dataset is not None):
        raise ConfigError("give files, a folder or a glob, or --dataset NAME (one of the two)")
    if dataset is not None:
        return InputConfig(dataset=dataset, subset=subset)
    if subset is not None:
        raise ConfigError("--subset belongs to --dataset")
    if len(data) == 1 and any((Path(data[0]) / name).is_file() for name in SAVED):
        return InputConfig(dataset=data[0])
    for path in data:
        if not Path(path).expanduser().exists() and not glob.has_magic(path):
            hint = f"; a dataset of the Hub is --dataset {path}" if path.count("/") == 1 else ""
            raise InputError(f"no such file or folder: {path!r}{hint}")
    return InputConfig(path=data[0] if len(data) == 1 else _as_glob(data))


def _as_glob(data: Sequence[str]) -> str | tuple[str, ...]:
    paths = [Path(path) for path in data]
    parents, endings = {p.parent for p in paths}, {"".join(p.suffixes[-2:]) for p in paths}
    if len(parents) == len(endings) == 1 and all(endings):
        pattern = parents.pop() / f"*{endings.pop()}"
        if sorted(glob.glob(str(pattern))) == sorted(map(str, paths)):  # noqa: PTH207
            return str(pattern)
    return tuple(data)


def start_config(config: InputConfig, *, output: str) -> Start:
    r"""Look at the data and write a config for it: guesses with reasons, defaults of the house.

    Args:
        config: Where the documents come from; columns that it names play no part.
        output: The run folder.

    Returns:
        Text that `load_config` takes.

    Raises:
        InputError: Nothing can be read, or no column holds text.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"body": "these are some words", "url": "a.org/1"}\n' * 3)
    >>> start = start_config(InputConfig(path=str(path)), output="runs/a")
    >>> start.guesses["text"].column, start.guesses["id"].column
    ('body', None)
    """
    found = first_rows(config)
    seed = RunConfig(input=config, output=OutputConfig(path=output)).seed
    columns = [] if found.formats == ("text",) else describe_columns(found)
    guesses = _text_files(found) if not columns else _guesses(found, columns)
    looked_at = _looked_at(found)
    sections = [
        ["# A first config: every value can be changed. All keys: curate config", f"seed = {seed}"],
        _input_section(found, guesses, looked_at, columns),
        _rules_section(),
        _duplicates_section(),
        _quality_section(columns),
        _measure_section(guesses),
        ["[output]", f"path = {toml_value(output)}"],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections) + "\n"
    load_config(tomllib.loads(text))  # a column's name may be one that a config refuses
    return Start(text=text, looked_at=looked_at, guesses=guesses)


def write_start(start: Start, path: Path, *, force: bool = False) -> None:
    """Write a first config; never over a file that is there, unless forced.

    Raises:
        ConfigError: The file is there, or its folder is not.

    >>> write_start(Start(text="", looked_at="", guesses={}), Path(__file__))
    Traceback (most recent call last):
    curate.errors.ConfigError: '...starter.py' is there already: --output FILE names another, ...
    """
    if path.exists() and not force:
        raise ConfigError(
            f"{str(path)!r} is there already: --output FILE names another, --force writes over it"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"{str(path)!r} cannot be written: no folder {str(path.parent)!r}")
    write_bytes_atomically(start.text.encode(), path)


def _guesses(found: FirstRows, columns: Sequence[Column]) -> dict[str, Guess]:
    where = found.names[0] if len(found.names) == 1 else found.config.path
    text = guess_text(columns, where=repr(where))
    assert text.column is not None
    id = guess_id(columns, text=text.column)
    taken = [text.column, id.column, "id"]
    return {
        "text": text,
        "id": id,
        "source": guess_source(columns, taken=taken, files=len(found.names)),
    }


def _text_files(found: FirstRows) -> dict[str, Guess]:
    """Of plain text files: one document a file, its folder is the source."""
    folders = {name.rpartition("/")[0] for name in found.names}
    sources = "all of them lie in one folder, so that they have one source"
    if len(folders) > 1:
        sources = f"the folder of a file is its source ({len(folders):,} folders)"
    return {
        "text": Guess(column=None, reason="each file is one document"),
        "id": Guess(column=None, reason="documents are called by their files"),
        "source": Guess(column=None, reason=sources),
    }


def _looked_at(found: FirstRows) -> str:
    kinds = " and ".join(found.formats)
    if found.config.dataset is not None:
        return f"the first {found.rows:,} rows of the dataset"
    of = f"{found.looked_at} of {len(found.names):,} files"
    if found.looked_at == len(found.names):
        of = f"{len(found.names)} file{'s' if len(found.names) > 1 else ''}"
    rows = "" if found.formats == ("text",) else f"{found.rows:,} rows of "
    broken = [f"{name} is broken: {why}" for name, why in found.problems.items()]
    bad = found.unreadable
    lost = [f"{bad:,} row{'s' if bad > 1 else ''} could not be read, for quarantine"] if bad else []
    return "; ".join([f"{rows}{of} ({kinds})", *lost, *_passed_over(found), *broken])


def _passed_over(found: FirstRows) -> list[str]:
    """How many files of a folder are no documents: of no known format, or texts beside data."""
    path = found.config.path
    if not isinstance(path, str) or not Path(path).expanduser().is_dir():
        return []
    root = Path(path).expanduser()
    below = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    known = set(found.names)
    others = [n for n in below if n not in known and not any(x[0] == "." for x in n.split("/"))]
    if not others:
        return []
    kinds = "file" if len(others) == 1 else "files"
    return [f"not read: {len(others):,} other {kinds} of the folder, e.g. {min(others)}"]


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _input_section(
    found: FirstRows, guesses: dict[str, Guess], looked_at: str, columns: Sequence[Column]
) -> list[str]:
    lines = ["[input]", *_comment(f"Looked at: {looked_at}.")]
    config = found.config
    for key in ("path", "dataset", "subset", "format"):
        value = getattr(config, key)
        if value is not None:
            value = list(value) if isinstance(value, tuple) else value
            lines.append(f"{key} = {toml_value(value)}")
    if config.dataset is not None:
        lines.append(f"split = {toml_value(config.split)}")
    for key, guess in guesses.items():
        lines += _guessed(key, guess)
    named = {guess.column for guess in guesses.values()}
    left = [f"{c.name} ({c.kind})" for c in columns if c.name not in named]
    if left:
        more = f" and {len(left) - LISTED} more" if len(left) > LISTED else ""
        lines += _comment(f"Carried along as they are: {', '.join(left[:LISTED])}{more}")
    return lines


def _guessed(key: str, guess: Guess) -> list[str]:
    """The comment of a guess, and its line; that of an id which is taken anyway is no more."""
    unsure = "" if guess.sure else " NOT SURE, please check."
    others = f" Could be instead: {', '.join(guess.others)}." if guess.others else ""
    if (key, guess.column) == ("id", "id"):
        return _comment(f"id: {guess.reason}; it is taken without being named.{others}")
    lines = _comment(f"{key}: {guess.reason}.{unsure}{others}")
    if guess.column is None:
        return lines
    return [*lines, f"{key} = {toml_value(guess.column)}"]


def _rules_section() -> list[str]:
    return [
        "[rules]",
        *_comment(
            "Applied: defects that no kind of text has. The others are made for English web pages "
            "of some length; a run shows what they would remove. Move them to sets where they fit. "
            "All sets: curate rules"
        ),
        f"sets = {toml_value(list(APPLIED))}",
        f"shown = {toml_value(list(SHOWN))}",
    ]


def _duplicates_section() -> list[str]:
    near, default = NearDuplicates(), DuplicatesConfig()
    values = {"jaccard": near.jaccard, "preset": near.preset}
    return [
        "[duplicates]",
        *_comment(
            f"Copies are removed from a similarity of {near.jaccard:g} on (shared word 5-grams, "
            "each pair compared); near = false keeps all but exact ones."
        ),
        f"near = {toml_value(values)}",
        f"survivor = {toml_value(default.survivor)}",
    ]


def _quality_section(columns: Sequence[Column]) -> list[str]:
    lines = [
        "[quality]",
        *_comment(
            "Texts of the quality that you wish, in a file of their own: every document is scored "
            "by its likeness to them, and none removed until min is set."
        ),
        '# reference = "good/*.parquet"',
    ]
    if labels := [c.name for c in columns if c.kind == "true/false"]:
        lines += [
            *_comment("Or labels of your own: a column of true and false."),
            f"# label = {toml_value(labels[0])}",
        ]
    return lines


def _measure_section(guesses: dict[str, Guess]) -> list[str]:
    default, column = MeasureConfig(), guesses["source"].column or "domain"
    return [
        *_comment(
            "The experiment: how many raw tokens is a curated one worth? It needs texts that no "
            "filter saw, held out before; then take the # off the next lines."
        ),
        "# [measure]",
        '# evaluation = ["held-out/*.parquet"]',
        *_comment("Where these files hold texts of several kinds, the column that tells them:"),
        f"# evaluation_column = {toml_value(column)}",
        f"# minutes = {default.minutes:g}",
        "",
        "[controls]",
        *_comment("Planted defects and good texts that score the run; in no output. 0 = none."),
        f"share = {toml_value(ControlsConfig().share)}",
    ]
