"""What a run reads: the input config, and the files it stands for."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from curate.errors import ConfigError, CurateError, InputError, check_name

#: Suffixes of each format, before an optional `.gz` or `.zst` (not for Parquet).
FORMATS = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".json"),
    "csv": (".csv", ".tsv"),
    "text": (".txt", ".text", ".md", ".markdown", ".rst"),
}
COMPRESSIONS = (".gz", ".zst")
_KEY = re.compile(r"\binput\.(path|dataset|subset|split|streaming|format|text|id|source)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputConfig:
    """Where documents come from and which columns they use.

    Exactly one of `path` and `dataset` is given.

    Attributes:
        path: A file, a folder (every readable file below it, sorted by name), a glob, or a
            list of these. In a folder or glob, text files count only where there is no
            Parquet, JSONL or CSV beside them (a README is then not a document), or with
            `format = "text"`. Hidden files are left out.
        dataset: A Hugging Face dataset: a local folder (also one made by `save_to_disk`), or
            a name on the Hub.
        subset: Configuration of the dataset.
        split: Split of the dataset.
        streaming: Read the dataset without storing it first.
        format: `parquet`, `jsonl`, `csv` or `text`; by suffix where not given.
        text: Column with the text. A dotted name, e.g. `doc.content`, is a field of a nested
            column of Parquet, JSONL or a dataset, as are those of `id` and `source`; the other
            fields of that column become columns of their own (`doc.lang`).
        id: Column with the id; where not given, `id` if the row has one, else
            `<path relative to the input root>:<row>`. With a named column, a row without an
            id is quarantined.
        source: Column with the source; where not given, `source` if there is one, else the
            path relative to the input root (of text files: their folder).
        part_bytes: Text bytes of a part of the documents table.

    >>> InputConfig(path="a.jsonl").text
    'text'
    """

    path: str | tuple[str, ...] | None = None
    dataset: str | None = None
    subset: str | None = None
    split: str = "train"
    streaming: bool = False
    format: str | None = None
    text: str = "text"
    id: str | None = None
    source: str | None = None
    part_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        if (self.path is None) == (self.dataset is None):
            raise ConfigError("give exactly one of input.path and input.dataset")
        if self.dataset is None and (self.subset or self.streaming):
            raise ConfigError("input.subset and input.streaming belong to input.dataset")
        if self.format is not None:
            check_name("input.format", self.format, FORMATS)
        if self.text in (self.id, self.source):
            raise ConfigError(f"input.text is {self.text!r}, and so is input.id or input.source")
        if self.part_bytes < 1:
            raise ConfigError(f"input.part_bytes is {self.part_bytes}; allowed: 1 and more")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFile:
    """A file to read.

    Attributes:
        path: Where it is.
        name: Its path relative to the input root, with `/`; the same on every machine.
        format: One of `FORMATS`.
    """

    path: Path
    name: str
    format: str


def find_files(config: InputConfig) -> tuple[InputFile, ...]:
    """The files that `config.path` stands for, in reading order, each once.

    Folders and globs are sorted by relative path; the members of a tuple keep their order.
    The input root is the folder, the part of a glob before its first wildcard, or the folder
    of a single file; of several, the deepest folder above all of them.

    Raises:
        ConfigError: A named file has a suffix that no reader knows.
        InputError: Nothing is there, or nothing readable.

    >>> find_files(InputConfig(path="no/such/file.jsonl"))
    Traceback (most recent call last):
    curate.errors.InputError: input.path 'no/such/file.jsonl': no such file or folder...
    """
    patterns = (config.path,) if isinstance(config.path, str) else config.path or ()
    if not patterns:
        raise InputError("input.path is empty: name a file, a folder or a glob")
    found = [_expand(pattern, config.format) for pattern in patterns]
    root = Path(os.path.commonpath([root for root, _ in found]))
    paths = dict.fromkeys(path for _, paths in found for path in paths)
    return tuple(
        InputFile(
            path=path,
            name=path.relative_to(root).as_posix(),
            format=config.format or _named_format(path),
        )
        for path in paths
    )


def reads_below(config: InputConfig, folder: Path) -> str | None:
    """The member of `config.path` that reads what lies in a folder, if one does.

    >>> reads_below(InputConfig(path="data"), Path("data/run")), reads_below(
    ...     InputConfig(path=("a.csv", "data/*.parquet")), Path("data/run"))
    ('data', None)
    """
    patterns = (config.path,) if isinstance(config.path, str) else config.path or ()
    inside = folder.resolve()
    for pattern in (*patterns, *filter(None, [config.dataset])):
        path = Path(pattern).expanduser().absolute()
        if glob.has_magic(pattern) and not path.exists():
            root, wanted = _fixed_root(path), path.parts[len(_fixed_root(path).parts) :]
        else:
            root, wanted = path, ("**",)
        if not inside.is_relative_to(root.resolve()) or path.is_file():
            continue
        below = inside.relative_to(root.resolve())
        tables = (below / "rules.parquet", below / "documents" / "part-00000.parquet")
        if not _hidden(below) and any(_matches(table.parts, wanted) for table in tables):
            return pattern
    return None


@contextmanager
def keys_named(name: str) -> Iterator[None]:
    r"""Errors about the keys of an input are said of another table of the config, or of arguments.

    Args:
        name: The table's name, e.g. `quality.reference`; `""`: the keys are arguments of a call.

    >>> with keys_named("quality.reference"):
    ...     find_files(InputConfig(path="no/such/file.jsonl"))
    Traceback (most recent call last):
    curate.errors.InputError: quality.reference 'no/such/file.jsonl': no such file or ...
    """
    said = rf"{name}.\1" if name else r"\1="
    try:
        yield
    except CurateError as error:
        # Such a table may be written as its path alone.
        short = re.sub(r"\binput\.path(?= ['\"])", name, str(error)) if name else str(error)
        error.args = (_KEY.sub(said, short),)
        raise


def allowed_suffixes() -> str:
    """All suffixes that are read, for messages.

    >>> allowed_suffixes()
    '.parquet .pq .jsonl .ndjson ... .rst (all but Parquet also with .gz or .zst)'
    """
    names = " ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    return f"{names} (all but Parquet also with .gz or .zst)"


def suffix_of(path: Path) -> str:
    """The suffix that names the format, lower case, without a compression suffix.

    >>> suffix_of(Path("a/B.JSONL.gz")), suffix_of(Path("README"))
    ('.jsonl', '')
    """
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    return plain.suffix.lower()


def format_of(path: Path) -> str | None:
    """The format that a file's suffix names, one of `FORMATS`; `None` if it names none.

    >>> format_of(Path("a.jsonl.gz")), format_of(Path("README"))
    ('jsonl', None)
    """
    suffix = suffix_of(path)
    if path.suffix.lower() in COMPRESSIONS and suffix in FORMATS["parquet"]:
        return None
    return next((name for name, suffixes in FORMATS.items() if suffix in suffixes), None)


def _named_format(path: Path) -> str:
    name = format_of(path)
    if name is None:
        raise ConfigError(
            f"input file '{path}' has no known suffix; allowed: {allowed_suffixes()};"
            f" or set input.format to one of {', '.join(FORMATS)}"
        )
    return name


def _expand(pattern: str, wanted: str | None) -> tuple[Path, list[Path]]:
    """Input root and files of one member of `input.path`, both absolute."""
    path = Path(os.path.abspath(Path(pattern).expanduser()))  # noqa: PTH100 - keeps symlinks
    if path.is_dir():
        return path, _readable(path, path.rglob("*"), wanted, pattern)
    if path.exists():
        return path.parent, [path]
    if not glob.has_magic(pattern):
        raise InputError(f"input.path {pattern!r}: no such file or folder (looked at '{path}')")
    root = _fixed_root(path)
    # Path.glob would find no file for a closing `**`.
    matches = map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207
    return root, _readable(root, matches, wanted, pattern)


def _fixed_root(path: Path) -> Path:
    fixed = [part for part in path.parts]
    first = next(i for i, part in enumerate(fixed) if glob.has_magic(part))
    return Path(*fixed[:first])


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path fits a glob, both in parts; `**` stands for any number of folders."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _readable(root: Path, matches: Iterable[Path], wanted: str | None, pattern: str) -> list[Path]:
    files = [p for p in matches if p.is_file() and not _hidden(p.relative_to(root))]
    known = [p for p in files if format_of(p) is not None]
    if wanted is not None:
        chosen = [p for p in known if format_of(p) == wanted]
    else:
        data = [p for p in known if format_of(p) != "text"]
        chosen = data or known
    if not chosen:
        raise InputError(_nothing_readable(pattern, files, wanted))
    return sorted(chosen, key=lambda p: p.relative_to(root).parts)


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _nothing_readable(pattern: str, files: Sequence[Path], wanted: str | None) -> str:
    if not files:
        return f"input.path {pattern!r} matches no file"
    allowed = " ".join(FORMATS[wanted]) if wanted else allowed_suffixes()
    return f"input.path {pattern!r}: none of its {len(files)} files is readable; allowed: {allowed}"
