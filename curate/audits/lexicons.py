"""Groups that are found in text: word lists as TOML files, each with its id and digest.

A word list finds mentions, not people: "named" says that a document holds a term of the group.
Case and boundaries are flags of each entry; the match is a regular expression on whole words.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import ConfigError, InputError, check_name, unknown_name

NAMED, NOT_NAMED = "named", "not named"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Terms of one group.

    Attributes:
        axis: What the groups differ in, e.g. `gender`.
        group: Name of the group.
        terms: Words or phrases.
        language: Code of the terms' language.
        case: Whether upper and lower case differ.
        boundary: Whether a term must stand as a whole word.
        least: How many different terms a document must hold to count.
        source: Where the terms are from.
        licence: Of the terms.
    """

    axis: str
    group: str
    terms: tuple[str, ...]
    language: str = ""
    case: bool = False
    boundary: bool = True
    least: int = 1
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        where = f"lexicon entry {self.axis!r} / {self.group!r}"
        if not self.terms or not all(isinstance(t, str) and t.strip() for t in self.terms):
            raise ConfigError(f"{where}: terms must be words, and at least one is needed")
        if not 1 <= self.least <= len(self.terms):
            raise ConfigError(f"{where}: least is {self.least}; allowed: 1 to {len(self.terms)}")

    @property
    def pattern(self) -> str:
        """Regular expression of any term (Rust and Python agree on it)."""
        return _pattern(self.terms, case=self.case, boundary=self.boundary)

    @property
    def column(self) -> str:
        """Name of the group's column."""
        return f"{self.axis}: {self.group}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """A word list: what reports print of it is `id` and `sha256`, the file's digest."""

    id: str
    sha256: str
    entries: tuple[Entry, ...]

    def terms(self, group: str) -> tuple[str, ...]:
        """All terms of a group, over its entries.

        >>> load_lexicon("identity").terms("Jews")[:2]
        ('jew', 'jews')
        """
        found = [term for entry in self.entries if entry.group == group for term in entry.terms]
        if not found:
            known = [entry.group for entry in self.entries]
            raise ConfigError(unknown_name(f"group of {self.id}", group, known))
        return tuple(found)


def load_lexicon(name: str | Path) -> Lexicon:
    """Read a word list: a packaged one by name (`identity`, `dialect`), or a TOML file.

    The file has `id`, and `language`, `source`, `licence` for all entries or one each, and
    `[[entry]]` tables with the fields of `Entry` (`term = "x"` stands for `terms = ["x"]`).

    Raises:
        InputError: The file cannot be read.
        ConfigError: It holds something else than a word list.

    >>> lexicon = load_lexicon("identity")
    >>> lexicon.id, len(lexicon.sha256), lexicon.entries[0].column
    ('curate-identity-en-1', 64, 'gender: women')
    """
    raw, table = read_lexicon_file(name)
    common: dict[str, Any] = {k: table[k] for k in ("language", "source", "licence") if k in table}
    entries = table.get("entry", [])
    if not isinstance(table.get("id"), str) or not isinstance(entries, list) or not entries:
        raise ConfigError(f"lexicon {name}: 'id' and at least one [[entry]] are needed")
    known = tuple(Entry.__dataclass_fields__)
    made = []
    for place, given in enumerate(entries):
        fields: dict[str, Any] = common | dict(given)
        if "term" in fields:
            fields["terms"] = [fields.pop("term")]
        for key in fields:
            if key not in known:
                where = f"key of entry {place} of lexicon {name}"
                raise ConfigError(unknown_name(where, key, known))
        missing = [key for key in ("axis", "group", "terms") if key not in fields]
        if missing:
            raise ConfigError(f"lexicon {name}, entry {place}: {', '.join(missing)} missing")
        made.append(Entry(**(fields | {"terms": tuple(fields["terms"])})))
    return Lexicon(id=table["id"], sha256=hashlib.sha256(raw).hexdigest(), entries=tuple(made))


def read_lexicon_file(name: str | Path) -> tuple[bytes, dict[str, Any]]:
    """Bytes and parsed table of a packaged lexicon or a TOML file.

    >>> read_lexicon_file("dialect")[1]["id"]
    'curate-dialect-en-1'
    """
    folder = resources.files("curate") / "lexicons"
    packaged = {f.name.removesuffix(".toml"): f for f in folder.iterdir() if f.name[-5:] == ".toml"}
    if isinstance(name, str) and not name.endswith(".toml"):
        check_name("lexicon", name, packaged)
        raw = packaged[name].read_bytes()
    else:
        try:
            raw = Path(name).read_bytes()
        except OSError as error:
            raise InputError(f"lexicon {name}: {error.strerror}") from error
    try:
        return raw, tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"lexicon {name} is not TOML in UTF-8: {error}") from error


def add_lexicon_groups(
    documents: pl.DataFrame, lexicons: Sequence[Lexicon | str | Path] = ("identity",)
) -> pl.DataFrame:
    """Add one column a group, `axis: group`, whose values are `named` and `not named`.

    Args:
        documents: Frame with `text` String; further columns are kept.
        lexicons: Word lists, or what `load_lexicon` reads. Groups of one name are joined.

    >>> documents = pl.DataFrame({"text": ["Muslim women", "Shed and Caucasus"]})
    >>> found = add_lexicon_groups(documents)
    >>> found.select("gender: women", "religion: Muslims").rows()
    [('named', 'named'), ('not named', 'not named')]
    """
    loaded = [x if isinstance(x, Lexicon) else load_lexicon(x) for x in lexicons]
    columns: dict[str, pl.Expr] = {}
    for entry in (entry for lexicon in loaded for entry in lexicon.entries):
        found = holds(entry)
        columns[entry.column] = columns.get(entry.column, pl.lit(False)) | found
    named = {
        name: pl.when(found).then(pl.lit(NAMED)).otherwise(pl.lit(NOT_NAMED))
        for name, found in columns.items()
    }
    return documents.with_columns(**named)


def holds(entry: Entry) -> pl.Expr:
    """Whether the column `text` holds enough different terms of the entry.

    >>> entry = Entry(axis="a", group="b", terms=("wee", "aye"), least=2)
    >>> pl.DataFrame({"text": ["Aye, wee man", "wee wee"]}).select(held=holds(entry)).rows()
    [(True,), (False,)]
    """
    text = pl.col("text")
    if entry.least == 1:
        return text.str.contains(entry.pattern)
    found = text.str.extract_all(entry.pattern)
    if not entry.case:
        found = found.list.eval(pl.element().str.to_lowercase())
    return found.list.n_unique() >= entry.least


def _pattern(terms: Sequence[str], *, case: bool, boundary: bool) -> str:
    # The longest first: an alternation takes the first that fits.
    joined = "|".join(re.escape(t) for t in sorted(set(terms), key=lambda t: (-len(t), t)))
    joined = joined.replace(r"\ ", r"\s+").replace("'", "['’]")
    edge = r"\b" if boundary else ""
    return f"{'' if case else '(?i)'}{edge}(?:{joined}){edge}"
