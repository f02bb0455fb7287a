"""Steps that edit, as columns of an audit: the share of each text that they take."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from curate.audits._work import Losses
from curate.errors import ConfigError
from curate.text.spans import Span, add_disjoint

SIZE = "original_bytes"
CLEANING = "cleaning"
_EDITS = ("id", "step", "start", "end", "replacement")


def losses_of(steps: Sequence[str]) -> Losses:
    """The columns that `add_losses` gives a frame, for `impact`.

    >>> losses_of(["mask_pii"]).columns
    {'mask_pii': 'taken by mask_pii'}
    """
    later = steps if len(steps) > 1 else ()  # one step alone has none before it
    return Losses(
        columns={step: f"taken by {step}" for step in steps},
        touched={step: f"touched by {step}" for step in steps},
        weight=SIZE,
        then={step: f"then taken by {step}" for step in later},
        then_touched={step: f"then touched by {step}" for step in later},
    )


def add_losses(documents: pl.DataFrame, edits: pl.DataFrame, steps: Sequence[str]) -> pl.DataFrame:
    """Documents with what each step takes of them by itself, and once earlier steps are made.

    Args:
        documents: `id` String unique, `text` String: the original texts.
        edits: `id`, `step`, `start`, `end` (bytes of the original text), `replacement`, in the
            order in which they are made, as `curate.clean.clean` gives them. Rows of other
            documents are ignored.
        steps: Steps to look for, in order.

    Returns:
        `documents` and `original_bytes` Float64; per step `taken by STEP` Float64, the bytes that
        are gone / the bytes of the text, 0 to 1, and `touched by STEP` Boolean. Of several steps
        also `then taken by STEP`, `then touched by STEP`: by those edits that overlap none that
        was made before.

    >>> edits = pl.DataFrame({"id": ["a", "a"], "step": ["cut", "mask"], "start": [0, 4],
    ...                       "end": [5, 6], "replacement": ["", ""]})
    >>> documents = pl.DataFrame({"id": ["a", "b"], "text": ["0123456789", "no"]})
    >>> found = add_losses(documents, edits, ["cut", "mask"])
    >>> found.select("taken by cut", "taken by mask", "then taken by mask").row(0)
    (0.5, 0.2, 0.0)
    """
    found = documents.with_columns(pl.col("text").str.len_bytes().cast(pl.Float64).alias(SIZE))
    names = losses_of(steps)
    tables = [(edits, names.columns, names.touched)]
    if names.then:
        tables.append((_made(edits), names.then, names.then_touched))
    for table, taken, touched in tables:
        cut = pl.col("end") - pl.col("start") - pl.col("replacement").str.len_bytes()
        rows = table.select("id", "step", cut=cut.clip(lower_bound=0))
        for step in steps:
            found = _joined(found, rows.filter(step=step), (taken[step], touched[step]))
    return found


def _joined(documents: pl.DataFrame, rows: pl.DataFrame, names: tuple[str, str]) -> pl.DataFrame:
    """Documents with the share that the edits of one step take, and whether there are any."""
    taken, touched = names
    own = rows.group_by("id").agg(pl.col("cut").sum().alias(taken))
    own = own.with_columns(pl.lit(value=True).alias(touched))
    return documents.join(own, on="id", how="left", maintain_order="left").with_columns(
        (pl.col(taken).fill_null(0) / pl.col(SIZE)).fill_nan(0.0).clip(0.0, 1.0),
        pl.col(touched).fill_null(value=False),
    )


def _made(edits: pl.DataFrame) -> pl.DataFrame:
    """The edits that are made where all are: of two that overlap the first one counts."""
    rows = edits.with_row_index("place")
    sorted_rows = rows.sort("id", "start", "end")
    reach = pl.col("end").cum_max().shift(1).over("id")
    tangled = sorted_rows.filter(reach > pl.col("start")).select(pl.col("id").unique())
    some = rows.join(tangled, on="id", how="semi").sort("place")
    kept: dict[str, list[Span]] = {}
    dropped = [
        place
        for place, name, start, end in some.select("place", "id", "start", "end").iter_rows()
        if not add_disjoint(kept.setdefault(name, []), (start, end, ""))
    ]
    gone = pl.Series("place", dropped, dtype=pl.UInt32)
    return rows.filter(~pl.col("place").is_in(gone.implode())).drop("place")


def edited(
    judged: pl.LazyFrame, edits: pl.DataFrame | None, cleaned: str | None
) -> tuple[pl.LazyFrame, Losses]:
    """A frame with the columns of its losses, from a table of edits or a second text column."""
    known = judged.collect_schema().names()
    if edits is None and cleaned is None:
        return judged, Losses()
    if edits is not None and cleaned is not None:
        raise ConfigError("edits and cleaned both say what cleaning changed: give one")
    if cleaned is not None:
        _check(("text", cleaned), known, "judged documents")
        return judged.with_columns(_between(cleaned)), losses_of([CLEANING])
    assert edits is not None
    _check(("id", "text"), known, "judged documents")
    _check(_EDITS, edits.columns, "edits")
    steps = edits["step"].unique(maintain_order=True).to_list()
    found = add_losses(judged.select("id", "text").collect(), edits, steps).drop("text")
    if found["id"].n_unique() < found.height:
        raise ConfigError("ids of the judged documents repeat: edits cannot be told apart")
    others = [name for name in known if name not in found.columns or name == "id"]
    joined = judged.select(others).join(found.lazy(), on="id", how="left", maintain_order="left")
    return joined, losses_of(steps)


def _between(cleaned: str) -> list[pl.Expr]:
    """What one text column lacks of `text`: fewer bytes are bytes taken."""
    before = pl.col("text").str.len_bytes().cast(pl.Float64)
    after = pl.col(cleaned).fill_null("").str.len_bytes()
    share = ((before - after) / before).fill_nan(0.0).clip(0.0, 1.0)
    changed = pl.col("text").ne_missing(pl.col(cleaned))
    names = losses_of([CLEANING])
    return [
        before.alias(SIZE),
        share.alias(names.columns[CLEANING]),
        changed.alias(names.touched[CLEANING]),
    ]


def _check(needed: Sequence[str], known: Sequence[str], what: str) -> None:
    missing = [name for name in needed if name not in known]
    if missing:
        raise ConfigError(f"no column {missing[0]!r} in the {what}; they have: {', '.join(known)}")
