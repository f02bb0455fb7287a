"""Text to edits: every cleaning step says which bytes of the original text it would replace.

A step reads the original text alone, so that steps do not depend on each other: the cleaned text
is the original plus the edits, merged in step order. Where an edit overlaps one of an earlier
step (or an earlier one of its own), it is not applied; it stays in the table, since it counts
again when the earlier step is left out. Leaving a step out is `apply_edits` on the other rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from curate.errors import ConfigError, IntegrityError, check_name
from curate.text.boilerplate import frame_lines
from curate.text.c4 import CITATION, c4_lines
from curate.text.mixed_mojibake import mixed_repairs
from curate.text.mojibake import MOJIBAKE, repairs
from curate.text.personal_data import find_personal_data
from curate.text.spans import Span, add_disjoint
from curate.text.urls import URL

__all__ = ["CLEANERS", "EDIT_SCHEMA", "CleanConfig", "apply_edits", "clean"]

EDIT_SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "step": pl.String(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "replacement": pl.String(),
    }
)
"""Columns of an edits table; `start` and `end` are byte offsets into the original UTF-8 text."""

_SPANS = pl.Schema(
    {"document": pl.UInt32(), "start": pl.Int64(), "end": pl.Int64(), "replacement": pl.String()}
)
"""What a cleaner returns; `document` is the row."""

Cleaner = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanConfig:
    """Which cleaning steps are made.

    Attributes:
        steps: Steps in the order in which their edits are merged, of: `CLEANERS`. Nothing is
            changed unless it is asked for.
    """

    steps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_steps(self.steps)


def clean(documents: pl.DataFrame, steps: Sequence[str]) -> pl.DataFrame:
    """The edits of all steps.

    Args:
        documents: `id` String unique, `text` String without nulls.
        steps: Names of `CLEANERS`, in merging order.

    Returns:
        `EDIT_SCHEMA`, in document order, then step order, then start. Edits of one step do not
        overlap; spans lie inside the text and on character boundaries.

    Raises:
        ConfigError: A step is not known or given twice.

    >>> documents = pl.DataFrame({"id": ["a"], "text": ["Ask ann@site.org."]})
    >>> clean(documents, ["mask_pii"]).row(0)
    ('a', 'mask_pii', 4, 16, '<EMAIL>')
    """
    _check_steps(steps)
    tables = [
        CLEANERS[step](documents).with_columns(step=pl.lit(step), order=pl.lit(i))
        for i, step in enumerate(steps)
    ]
    if not tables:
        return pl.DataFrame(schema=EDIT_SCHEMA)
    edits = pl.concat(tables).sort("document", "order", "start", maintain_order=True)
    ids = documents.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("document"), "id")
    named = edits.join(ids, on="document", how="left", maintain_order="left")
    return named.select(*EDIT_SCHEMA).cast(EDIT_SCHEMA)


def apply_edits(documents: pl.DataFrame, edits: pl.DataFrame) -> pl.Series:
    """The text with the edits applied; documents without edits are untouched.

    Args:
        documents: `id`, `text`: the original text.
        edits: `EDIT_SCHEMA`, in merging order within each document; rows of other documents are
            ignored. Of two that overlap the first one counts.

    Returns:
        `text` String, in the order of the documents.

    Raises:
        IntegrityError: A span lies outside its document or cuts a character.

    >>> documents = pl.DataFrame({"id": ["a", "b"], "text": ["Ask ann@site.org.", "No one."]})
    >>> apply_edits(documents, clean(documents, ["mask_pii"])).to_list()
    ['Ask <EMAIL>.', 'No one.']
    """
    rows = documents.select("id", "text").with_row_index("row")
    wanted = edits.join(rows.select("id", "row"), on="id", how="inner", maintain_order="left")
    spans: dict[int, list[tuple[str, int, int, str]]] = {}
    for row, *span in wanted.select("row", "step", "start", "end", "replacement").iter_rows():
        spans.setdefault(row, []).append(tuple(span))
    texts = rows.filter(pl.col("row").is_in(list(spans)))
    changed = [
        (row, _edited(text, spans[row], document)) for row, document, text in texts.iter_rows()
    ]
    new = pl.DataFrame(changed, schema={"row": rows["row"].dtype, "new": pl.String}, orient="row")
    joined = rows.join(new, on="row", how="left", maintain_order="left")
    return joined.select(pl.coalesce("new", "text").alias("text"))["text"]


def mask_pii(documents: pl.DataFrame) -> pl.DataFrame:
    """Put a typed placeholder for each e-mail address, IP, phone, card and account number.

    Args:
        documents: `text` String without nulls.

    Returns:
        `document` UInt32 (row), `start`, `end`, `replacement`.

    >>> mask_pii(pl.DataFrame({"text": ["8.8.8.8"]})).row(0)
    (0, 0, 7, '<IP>')
    """
    found = find_personal_data(documents["text"])
    token = pl.lit("<") + pl.col("kind").str.to_uppercase() + pl.lit(">")
    return found.select("document", "start", "end", replacement=token)


def drop_boilerplate_lines(documents: pl.DataFrame) -> pl.DataFrame:
    r"""Take out the lines that are consent notices, prompts, or menus of three entries or more.

    A line goes with its newline; one that is last in the text has none.

    >>> drop_boilerplate_lines(pl.DataFrame({"text": ["Home | Shop | Login\nText."]})).row(0)
    (0, 0, 20, '')
    """
    lines = frame_lines(documents["text"]).filter("removable")
    sizes = documents.select(
        document=pl.int_range(pl.len(), dtype=pl.UInt32), size=pl.col("text").str.len_bytes()
    )
    end = pl.col("start") + pl.col("line").str.len_bytes() + 1
    return lines.join(sizes, on="document", how="left", maintain_order="left").select(
        "document",
        "start",
        end=pl.min_horizontal(end, "size").cast(pl.Int64),
        replacement=pl.lit(""),
    )


def repair_encoding(documents: pl.DataFrame) -> pl.DataFrame:
    """Undo UTF-8 that was read as Windows-1252 or Latin-1, once or several times.

    Spans are runs of non-ASCII characters that map back to valid UTF-8; a document is repaired
    only if at least half of its runs do. Spans rather than the whole document are replaced, so
    that other steps can edit the rest of it.

    >>> repair_encoding(pl.DataFrame({"text": ["cafÃ©"]})).row(0)
    (0, 3, 7, 'é')
    """
    rows: list[tuple[int, int, int, str]] = []
    suspects = documents["text"].str.contains(MOJIBAKE).arg_true().to_list()
    for document in suspects:
        text = documents["text"][document].encode()
        rows += [(document, start, end, new) for start, end, new in repairs(text)]
    return pl.DataFrame(rows, schema=_SPANS, orient="row")


def repair_mojibake(documents: pl.DataFrame) -> pl.DataFrame:
    """Undo mojibake of any code page in lines that ftfy (extra `repair`) calls bad.

    Spans are the words that change. A line that would stay bad or lose a character is left as it
    is; so is a text of ASCII alone. See `curate.text.mixed_mojibake`.

    Raises:
        ConfigError: ftfy is not installed.

    >>> repair_mojibake(pl.DataFrame({"text": ["plain"]})).height
    0
    """
    rows: list[tuple[int, int, int, str]] = []
    for document in documents["text"].str.contains(r"[^\x00-\x7f]").arg_true().to_list():
        found = mixed_repairs(documents["text"][document])
        rows += [(document, start, end, new) for start, end, new in found]
    return pl.DataFrame(rows, schema=_SPANS, orient="row")


def keep_c4_lines(documents: pl.DataFrame) -> pl.DataFrame:
    r"""Take out the lines that the C4 line rules drop, with their newlines.

    >>> keep_c4_lines(pl.DataFrame({"text": ["Home\nThis line stays here."]})).row(0)
    (0, 0, 5, '')
    """
    sizes = documents.select(
        document=pl.int_range(pl.len(), dtype=pl.UInt32),
        size=pl.col("text").str.len_bytes().cast(pl.Int64),
    )
    lines = c4_lines(documents["text"]).filter(~pl.col("kept"))
    joined = lines.join(sizes, on="document", how="left", maintain_order="left")
    end = pl.min_horizontal(pl.col("end") + 1, "size")
    return joined.select("document", "start", end=end, replacement=pl.lit("")).filter(
        pl.col("start") < pl.col("end")
    )


def strip_citations(documents: pl.DataFrame) -> pl.DataFrame:
    """Take out the marks `[1]`, `[]`, `[edit]` and `[citation needed]`, as C4 does.

    >>> strip_citations(pl.DataFrame({"text": ["It boils.[12]"]})).row(0)
    (0, 9, 13, '')
    """
    rows: list[tuple[int, int, int, str]] = []
    for document in documents["text"].str.contains(CITATION).arg_true().to_list():
        raw = documents["text"][document].encode()
        rows += [(document, *m.span(), "") for m in re.finditer(CITATION.encode(), raw)]
    return pl.DataFrame(rows, schema=_SPANS, orient="row")


def strip_urls(documents: pl.DataFrame) -> pl.DataFrame:
    """Take out web addresses, as the signal `url_count` counts them; their surroundings stay.

    >>> strip_urls(pl.DataFrame({"text": ["See http://a.org/b?c=d now."]})).row(0)
    (0, 4, 22, '')
    """
    rows: list[tuple[int, int, int, str]] = []
    for document in documents["text"].str.contains(URL).arg_true().to_list():
        text = documents["text"][document]
        for match in re.finditer(URL, text):
            start = len(text[: match.start()].encode())
            rows.append((document, start, start + len(match[0].encode()), ""))
    return pl.DataFrame(rows, schema=_SPANS, orient="row")


CLEANERS: Mapping[str, Cleaner] = {
    "repair_encoding": repair_encoding,
    "repair_mojibake": repair_mojibake,
    "drop_boilerplate_lines": drop_boilerplate_lines,
    "keep_c4_lines": keep_c4_lines,
    "strip_citations": strip_citations,
    "strip_urls": strip_urls,
    "mask_pii": mask_pii,
}
"""Every cleaning step by name."""


def _check_steps(steps: Sequence[str]) -> None:
    for i, step in enumerate(steps):
        check_name("cleaning step", step, CLEANERS)
        if step in steps[:i]:
            raise ConfigError(f"cleaning step {step!r} is given twice")


def _edited(text: str, spans: Sequence[tuple[str, int, int, str]], document: str) -> str:
    raw = text.encode()
    kept: list[Span] = []
    for step, start, end, replacement in spans:
        if not (0 <= start <= end <= len(raw)) or _cuts(raw, start) or _cuts(raw, end):
            raise IntegrityError(
                f"edit {start}:{end} of step {step!r} does not fit document {document!r} of "
                f"{len(raw)} bytes: the edits belong to another text"
            )
        add_disjoint(kept, (start, end, replacement))
    pieces, at = [], 0
    for start, end, replacement in kept:
        pieces += [raw[at:start], replacement.encode()]
        at = end
    return b"".join([*pieces, raw[at:]]).decode()


def _cuts(raw: bytes, at: int) -> bool:
    return at < len(raw) and raw[at] & 0xC0 == 0x80
