"""Real text that every Python installation carries: documentation, read and never run.

Docstrings come from source files through `ast.parse`; no module is imported and no code runs.
READMEs, long descriptions and licences come from the files that distributions list in their
RECORD. Test code is left out: its docstrings describe tests, and it is a third of the parsing.
"""

from __future__ import annotations

import ast
import csv
import re
import sysconfig
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import polars as pl

from curate.errors import InputError
from curate.executors import without_collections

__all__ = [
    "MIN_CHARS",
    "STANDARD_LIBRARY",
    "Environment",
    "collect_documentation",
    "docstrings",
    "language_reference",
]

MIN_CHARS = 200
"""Shorter texts are passed over: they hold a signature and half a sentence."""

STANDARD_LIBRARY = "python"
"""The `source` of everything that comes with Python itself."""

_OWN_NAME = "curate-corpus"  # the project's own words would change the corpus with every commit
_TESTS = re.compile(r"^(tests?|idle_test|conftest\.py|test_.*\.py|.*_tests?\.py)$")
_VENDORED = re.compile(
    r"^(_?vendor(ed)?(_.*)?|_?third_?party|3rdparty|_?extern(als?)?|_?bundled)$", re.I
)
_README = re.compile(r"^readme[^/]*?(\.(md|rst|txt))?$", re.I)
_LICENCE = re.compile(r"^(un)?licen[cs]e|^copying|^notice", re.I)
_NO_TEXT = {".py", ".pyc", ".pyi", ".so", ".json", ".html", ".js", ".spdx"}
_SKIPPED_STANDARD = {"site-packages", "dist-packages", "lib-dynload", "pydoc_data", "__pycache__"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where an installation keeps its files.

    Attributes:
        standard_library: Folder of the standard library.
        packages: Folders of installed distributions; each holds `*.dist-info`.
    """

    standard_library: Path
    packages: tuple[Path, ...]

    @classmethod
    def running(cls) -> Environment:
        """The environment that this interpreter runs in.

        >>> (Environment.running().standard_library / "ast.py").exists()
        True
        """
        paths = sysconfig.get_paths()
        packages = dict.fromkeys(Path(paths[name]) for name in ("purelib", "platlib"))
        return cls(standard_library=Path(paths["stdlib"]), packages=tuple(packages))


_DOCUMENTED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class _File(NamedTuple):
    """A file to read: `name` is its path in the installation, the stem of document ids."""

    name: str
    path: Path
    source: str


def collect_documentation(
    environment: Environment, *, packages: Collection[str] | None = None
) -> pl.DataFrame:
    """All documentation of an environment, in a stable order; nothing is de-duplicated.

    Args:
        environment: Where to look.
        packages: Names of the distributions to read beside the standard library, lower case
            with hyphens; `None` = all.

    Returns:
        One row a text of at least 200 characters: `id` String (`numpy/ma/core.py:MaskedArray`,
        file path and qualified name; the second of two equal names ends in `#2`), `text`,
        `source` String (distribution name, "python" for the standard library), `kind` String
        ("docstring", "readme" or "licence"), `vendored` Boolean (inside a copy of somebody
        else's code). Ids hold no absolute path. Files that do not parse are passed over.

    >>> nothing = Environment(standard_library=Path("/nowhere"), packages=())
    >>> collect_documentation(nothing).columns
    ['id', 'text', 'source', 'kind', 'vendored']
    """
    rows: list[tuple[str, str, str, str, bool]] = []
    # Syntax trees hold no cycles: collecting garbage in between only costs time.
    with without_collections(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in other people's sources
        for file in [*_standard_files(environment), *_package_files(environment, packages)]:
            vendored = any(_VENDORED.match(part) for part in PurePosixPath(file.name).parts)
            for kind, name, text in _texts(file):
                rows.append((name, text, file.source, kind, vendored))
    columns = {"id": pl.String, "text": pl.String, "source": pl.String, "kind": pl.String}
    frame = pl.DataFrame(rows, schema=columns | {"vendored": pl.Boolean}, orient="row")
    repeat = pl.int_range(1, pl.len() + 1).over("id")
    numbered = pl.when(repeat > 1).then(pl.format("{}#{}", "id", repeat)).otherwise("id")
    return frame.with_columns(numbered.alias("id"))


def language_reference(environment: Environment) -> pl.DataFrame:
    """The Python language reference, one document a topic of at least 200 characters.

    Read from `pydoc_data/topics.py` as a literal; nothing is imported.

    Returns:
        `id` (`language_reference/<topic>`), `text`, `source` = "language_reference".

    Raises:
        InputError: The environment has no readable `pydoc_data/topics.py`.

    >>> topics = language_reference(Environment.running())
    >>> "language_reference/assert" in topics["id"]
    True
    """
    path = environment.standard_library / "pydoc_data" / "topics.py"
    try:
        body = ast.parse(path.read_bytes()).body
        topics = next(ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign))
    except (OSError, SyntaxError, ValueError, StopIteration) as error:
        raise InputError(
            f"no language reference in {str(path)!r} ({error}); some systems install it apart "
            "from Python: install the full standard library"
        ) from None
    rows = [(f"language_reference/{name}", text.strip()) for name, text in sorted(topics.items())]
    return pl.DataFrame(
        [row for row in rows if len(row[1]) >= MIN_CHARS],
        schema={"id": pl.String, "text": pl.String},
        orient="row",
    ).with_columns(pl.lit("language_reference").alias("source"))


def docstrings(source: bytes) -> list[tuple[str, str]]:
    r"""Qualified names and docstrings of the module ("" as name), classes and functions.

    The code is parsed, never run. Docstrings that are no valid Unicode are left out.

    Raises:
        SyntaxError, ValueError, RecursionError: The source does not parse.

    >>> docstrings(b'"Module."\nclass A:\n  def f(self): "Method."')
    [('', 'Module.'), ('A.f', 'Method.')]
    """
    tree = ast.parse(source)
    found = [("", ast.get_docstring(tree))]
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        prefix, node = stack.pop()
        inner: list[tuple[str, ast.AST]] = []
        for child in _statements(node):
            if isinstance(child, _DOCUMENTED):
                name = f"{prefix}.{child.name}" if prefix else child.name
                found.append((name, ast.get_docstring(child)))
                inner.append((name, child))
            elif hasattr(child, "body"):
                inner.append((prefix, child))
        stack.extend(reversed(inner))
    return [(name, text) for name, text in found if text and _is_unicode(text)]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for block in ("body", "orelse", "handlers", "finalbody"):
        yield from getattr(node, block, ())


def _standard_files(environment: Environment) -> Iterator[_File]:
    root = environment.standard_library
    for path in _walk(root):
        name = f"{STANDARD_LIBRARY}/{path.relative_to(root).as_posix()}"
        yield _File(name, path, STANDARD_LIBRARY)


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif path.name not in _SKIPPED_STANDARD and not path.name.startswith("config-"):
            yield from _walk(path)


def _package_files(environment: Environment, packages: Collection[str] | None) -> Iterator[_File]:
    """Files that distributions list as theirs; a file listed twice belongs to the first."""
    folders = [info for root in environment.packages for info in sorted(root.glob("*.dist-info"))]
    named = [(name, info) for info in folders if (name := _distribution_name(info))]
    seen = set()
    for source, info in sorted(named):
        if packages is not None and source not in packages:
            continue
        for name in sorted(_record(info)):
            path = info.parent / name
            if name not in seen and path.is_file():
                seen.add(name)
                yield _File(name, path, source)


def _distribution_name(info: Path) -> str | None:
    metadata = _read(info / "METADATA")
    name = message_from_string(metadata).get("Name") if metadata else None
    name = re.sub(r"[-_.]+", "-", name).lower() if name else None
    return None if name == _OWN_NAME else name


def _record(info: Path) -> list[str]:
    record = _read(info / "RECORD") or ""
    names = [row[0] for row in csv.reader(record.splitlines()) if row]
    return [n for n in names if not n.startswith(("..", "/")) and ":" not in n]


def _texts(file: _File) -> Iterator[tuple[str, str, str]]:
    """Kind, id and text of everything in a file that is documentation and long enough."""
    parts = PurePosixPath(file.name).parts
    if any(_TESTS.match(part) for part in parts):
        return
    for kind, name, text in _pieces(file, parts[-1]):
        if len(text) >= MIN_CHARS:
            yield kind, name, text


def _pieces(file: _File, last: str) -> Iterator[tuple[str, str, str]]:
    if last.endswith(".py"):
        for name, text in _file_docstrings(file.path):
            yield "docstring", f"{file.name}:{name}" if name else file.name, text
    elif last == "METADATA" and file.path.parent.suffix == ".dist-info":
        yield "readme", file.name, _long_description(_read(file.path) or "")
    elif _README.match(last):
        yield "readme", file.name, (_read(file.path) or "").strip()
    elif _LICENCE.match(last) and Path(last).suffix not in _NO_TEXT:
        yield "licence", file.name, (_read(file.path) or "").strip()


def _file_docstrings(path: Path) -> list[tuple[str, str]]:
    source = path.read_bytes()
    if not _may_document(source):
        return []
    try:
        return docstrings(source)
    except (SyntaxError, ValueError, RecursionError):
        return []  # templates, sources for other Python versions


def _may_document(source: bytes) -> bool:
    """Whether a triple-quoted string may be long enough; parsing the rest would take a third."""
    quoted = (part for mark in (b'"""', b"'''") for part in source.split(mark)[1::2])
    return any(len(part) >= MIN_CHARS for part in quoted)


def _long_description(metadata: str) -> str:
    message = message_from_string(metadata)
    body = message.get_payload()
    text = body if isinstance(body, str) and body.strip() else message.get("Description", "")
    # Old metadata indents the description's later lines by seven spaces and a bar.
    return re.sub(r"(?m)^ {7}\|", "", text).strip()


def _read(path: Path) -> str | None:
    """A file's UTF-8 text, or nothing where it is missing or in another encoding."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
