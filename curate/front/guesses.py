"""Which columns of unknown data are text, id and source: guessed by name and content, with reasons.

A guess is written down for somebody who knows the data: what spoke for it, and what else it could
be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.corpus import FirstRows
from curate.errors import InputError

__all__ = ["Column", "Guess", "describe_columns", "guess_id", "guess_source", "guess_text"]

TEXT_NAMES = ("text", "content", "body", "raw_content", "maintext", "article", "document")
ID_NAMES = (
    *("id", "_id", "doc_id", "docid", "document_id", "uid", "uuid", "guid", "record_id"),
    *("warc_record_id", "key", "hash", "sha256", "sha1", "md5", "digest", "url", "uri", "link"),
    *("path", "filename", "file_name"),
)
SOURCE_NAMES = (
    *("source", "domain", "site", "host", "subset", "dataset", "publisher", "origin", "corpus"),
    *("collection", "category", "section", "topic", "genre", "language", "lang"),
)
A_TENTH = 0.1  # of the longest column: a column named as a text is one from there on
ALIKE = 0.5  # of the chosen column: another one as long as this may have been meant
SOME_TENS, LIKELY = 100, 50  # groups at most; of columns that are not called like a source
FEWEST_A_GROUP = 5  # rows; where groups are fewer, they are not compared but listed
FEW_ROWS = 50  # in which groups are small for want of rows
_WORDS = re.compile(r"[^\W\d_]+\W+[^\W\d_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What the rows looked at say of a column.

    Attributes:
        name: Dotted where it is a field of a nested one.
        kind: "text", "words" (single ones: names, codes, addresses), "numbers", "true/false",
            "a list", "an object", "dates", "bytes", "empty" or "mixed".
        rows: How many were looked at.
        present: Of them hold a value.
        chars: Mean length over all rows, of strings.
        groups: Different values.
        lacking: Files of which no row has a value.
    """

    name: str
    kind: str
    rows: int
    present: int
    chars: float
    groups: int
    lacking: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """The name without what it is nested in, lower case."""
        return self.name.rpartition(".")[2].lower()

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.groups == self.present == self.rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A column for a key of `[input]`.

    Attributes:
        column: `None` = none is fit, or none is needed.
        reason: Why, in words; a sentence of a comment.
        sure: Whether nothing else was likely.
        others: Columns that it could be instead.
    """

    column: str | None
    reason: str
    sure: bool = True
    others: tuple[str, ...] = ()


def describe_columns(found: FirstRows) -> list[Column]:
    """What the rows looked at say of each column, in the order of the input.

    >>> from curate.corpus import InputConfig
    >>> columns = {"body": ["a few words", "and more"], "n": ["1", "2"]}
    >>> rows = FirstRows(config=InputConfig(path="a"), names=("a",), looked_at=1,
    ...                  formats=("csv",), rows=2, columns=columns)
    >>> [(column.name, column.kind) for column in describe_columns(rows)]
    [('body', 'text'), ('n', 'numbers')]
    """
    return [_described(name, values, found.files) for name, values in found.columns.items()]


def _described(name: str, values: Sequence[Any], files: Sequence[str] = ()) -> Column:
    there = [value for value in values if value is not None and value != ""]
    strings = [value for value in there if isinstance(value, str)]
    having = {file for file, value in zip(files, values, strict=False) if value}
    return Column(
        name=name,
        kind=_kind(there, strings),
        rows=len(values),
        present=len(there),
        chars=sum(map(len, strings)) / max(len(values), 1),
        groups=len({repr(value) for value in there}),
        lacking=tuple(file for file in dict.fromkeys(files) if file not in having),
    )


_KINDS = {bool: "true/false", int: "numbers", float: "numbers", list: "a list", dict: "an object"}


def _kind(there: Sequence[Any], strings: Sequence[str]) -> str:
    if not there:
        return "empty"
    if len(strings) == len(there):
        if all(_is_number(value) for value in strings):
            return "numbers"
        texts = sum(_reads_like_text(value) for value in strings)
        return "text" if texts >= len(strings) / 2 else "words"
    kinds = {_KINDS.get(type(value), type(value).__name__) for value in there}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _reads_like_text(value: str) -> bool:
    """Two words, or letters of a script that may put no space between them; no written list."""
    head = value[:2_000].strip()
    if head[:1] + value.strip()[-1:] in ("[]", "{}"):
        return False
    apart = _WORDS.search(head) is not None and any(mark.isspace() for mark in head)
    return apart or any(mark.isalpha() and mark > "\u02ff" for mark in head)


def guess_text(columns: Sequence[Column], *, where: str) -> Guess:
    """The column with the text: the longest one of words, unless another is named as a text.

    Args:
        columns: Of the rows looked at.
        where: What the rows are of, for the message.

    Raises:
        InputError: No column holds text; columns and their kinds are named.

    >>> guess_text([_described("n", [1, 2])], where="a.jsonl")
    Traceback (most recent call last):
    curate.errors.InputError: no column of a.jsonl holds text; its columns: n (numbers). ...
    """
    fit = [c for c in columns if c.kind == "text" or (c.last in TEXT_NAMES and c.kind == "words")]
    if not fit:
        raise InputError(_no_text(columns, where))
    longest = max(fit, key=lambda column: column.chars)
    named = [c for c in fit if c.last in TEXT_NAMES and c.chars >= A_TENTH * longest.chars]
    chosen = min(named, key=lambda c: TEXT_NAMES.index(c.last)) if named else longest
    alike = [c for c in fit if c is not chosen and c.chars >= ALIKE * chosen.chars]
    others = sorted((c for c in fit if c is not chosen), key=lambda c: -c.chars)
    how = "the longest column of text" if chosen is longest else "named as a text"
    reason = f"{how}, {chosen.chars:,.0f} characters a row"
    if missing := chosen.rows - chosen.present:
        reason += f"; {missing:,} of {chosen.rows:,} rows have none and go to quarantine"
    if chosen.lacking:
        reason += f"; no row of {', '.join(chosen.lacking)} has it: leave such files out"
    said = tuple(f"{c.name} ({c.chars:,.0f} characters)" for c in others[:4])
    return Guess(column=chosen.name, reason=reason, sure=not (alike or chosen.lacking), others=said)


def _no_text(columns: Sequence[Column], where: str) -> str:
    named = ", ".join(f"{c.name} ({c.kind})" for c in columns[:30])
    more = f" and {len(columns) - 30} more" if len(columns) > 30 else ""
    lists = any(c.kind == "a list" for c in columns)
    hint = "; texts in lists (e.g. of messages) must be joined into one first" if lists else ""
    return (
        f"no column of {where} holds text; its columns: {named or 'none'}{more}. Needed is a "
        f"column of strings with words, or a field of a nested one{hint}"
    )


def guess_id(columns: Sequence[Column], *, text: str) -> Guess:
    """The column that names documents: unique, and called like one.

    A column that is only unique among some rows is no more than an alternative: were it to repeat
    further on, rows would be lost.

    >>> rows = [_described("url", ["a.org/1", "a.org/2"]), _described("text", ["a b", "c d"])]
    >>> guess_id(rows, text="text").column
    'url'
    """
    free = [c for c in columns if c.name != text]
    unique = [c for c in free if c.unique and c.kind in ("words", "numbers", "text")]
    named = sorted((c for c in unique if _id_rank(c) is not None), key=_id_order)
    plain = next((c for c in free if c.name == "id"), None)
    others = tuple(c.name for c in (named[1:] if named else unique) if c.kind != "text")[:4]
    if named:
        reason = f"unique in the {named[0].rows:,} rows looked at, and called like an id"
        return Guess(column=named[0].name, reason=reason, others=others)
    if plain is not None and plain.groups < plain.present:
        reason = (
            f"id repeats: {plain.groups:,} different ones in {plain.present:,} rows. It is taken "
            "all the same, and of rows with one id only the first becomes a document"
        )
        return Guess(column=None, reason=reason, sure=False, others=others)
    if plain is not None:
        reason = "id is taken where a row has one; the others are called <file>:<row>"
        return Guess(column=None, reason=reason, others=others)
    called = [c for c in free if _id_rank(c) is not None and c.groups < c.present]
    said = [
        f"values of {c.name} repeat: {c.present - c.groups:,} of {c.rows:,} rows" for c in called
    ]
    reason = ", ".join(said[:3]) or "no unique column is called like an id"
    reason += "; documents are called <file>:<row>"
    return Guess(column=None, reason=reason, others=others)


def _id_rank(column: Column) -> int | None:
    if column.last in ID_NAMES:
        return ID_NAMES.index(column.last)
    return len(ID_NAMES) if column.last.endswith(("_id", "_key", "_hash", "_uuid")) else None


def _is_key(column: Column) -> bool:
    """Whether a column is called like one that names other rows."""
    return _id_rank(column) is not None or column.last.startswith("id_")


def _id_order(column: Column) -> tuple[int, int]:
    rank = _id_rank(column)
    return (len(ID_NAMES) if rank is None else rank, column.name.count("."))


def guess_source(columns: Sequence[Column], *, taken: Sequence[str | None], files: int) -> Guess:
    """The column whose values are compared by the audit: some tens of groups of many rows.

    Args:
        columns: Of the rows looked at.
        taken: Columns that are text and id.
        files: How many files the input has: they are the sources where no column is.

    >>> sites = _described("site", ["a.org", "b.org"] * 20)
    >>> guess_source([sites], taken=["text"], files=1).reason
    '2 groups in the 40 rows looked at, and called like a source'
    """
    free = [c for c in columns if c.name not in taken and c.kind in ("words", "text", "numbers")]
    fit = [c for c in free if _is_grouping(c)]
    named = sorted((c for c in fit if c.last in SOURCE_NAMES), key=_source_order)
    called = [c for c in fit if c.kind == "words" and c not in named and not _is_key(c)]
    rest = sorted(called, key=lambda column: (column.groups > LIKELY, -column.groups))
    chosen = next(iter((*named, *rest)), None)
    others = tuple(f"{c.name} ({c.groups} groups)" for c in (*named, *rest)[1:5])
    if chosen is None:
        return _no_source(free, files)
    reason = f"{chosen.groups:,} groups in the {chosen.rows:,} rows looked at"
    reason += ", and called like a source" if named else "; chosen by content alone"
    return Guess(column=chosen.name, reason=reason, sure=bool(named), others=others)


def _is_grouping(column: Column) -> bool:
    each = FEWEST_A_GROUP if column.rows > FEW_ROWS else 2
    return 2 <= column.groups <= SOME_TENS and column.groups * each <= column.present


def _source_order(column: Column) -> tuple[int, int]:
    return SOURCE_NAMES.index(column.last), column.name.count(".")


def _no_source(free: Sequence[Column], files: int) -> Guess:
    """Why nothing groups the rows, and what the house takes then."""
    called = [c for c in free if c.last in SOURCE_NAMES]
    why = "; ".join(_unfit(c) for c in called) or "no column has some tens of groups"
    own = next((c for c in called if c.name == "source"), None)
    if own is not None:
        return Guess(column=None, reason=f"{why}. It is taken all the same", sure=own.groups < 2)
    if files > 1:
        return Guess(column=None, reason=f"{why}: each of the {files:,} files is a source")
    reason = f"{why}: all documents have one source, and the audit nothing to compare"
    return Guess(column=None, reason=reason)


def _unfit(column: Column) -> str:
    if column.groups < 2:
        return f"{column.name} has {column.groups} group in the rows looked at"
    return f"{column.name} has {column.groups:,} groups in {column.present:,} rows, too many"
