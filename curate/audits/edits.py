"""Steps that edit, as columns of an audit: the share of each text that they take."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from curate.audits._work import Losses
from curate.errors import ConfigError

SIZE = "original_bytes"
CLEANING = "cleaning"
_EDITS = ("id", "step", "start", "end", "replacement")


def losses_of(steps: Sequence[str]) -> Losses:
    """The columns that `add_losses` gives a frame, for `impact`.

    >>> losses_of(["mask_pii"]).columns
    {'mask_pii': 'taken by mask_pii'}
    """
    return Losses(
        columns={step: f"taken by {step}" for step in steps},
        touched={step: f"touched by {step}" for step in steps},
        weight=SIZE,
    )


def add_losses(documents: pl.DataFrame, edits: pl.DataFrame, steps: Sequence[str]) -> pl.DataFrame:
    """Documents with what each step takes of them by itself.

    Args:
        documents: `id` String unique, `text` String: the original texts.
        edits: `id`, `step`, `start`, `end` (bytes of the original text), `replacement`, as
            `curate.clean.clean` gives them. Rows of other documents are ignored.
        steps: Steps to look for, in order.

    Returns:
        `documents` and `original_bytes` Float64; per step `taken by STEP` Float64, the bytes that
        are gone / the bytes of the text, 0 to 1, and `touched by STEP` Boolean.

    >>> edits = pl.DataFrame({"id": ["a"], "step": ["mask"], "start": [0], "end": [5],
    ...                       "replacement": [""]})
    >>> documents = pl.DataFrame({"id": ["a", "b"], "text": ["0123456789", "no"]})
    >>> add_losses(documents, edits, ["mask"])["taken by mask"].to_list()
    [0.5, 0.0]
    """
    found = documents.with_columns(pl.col("text").str.len_bytes().cast(pl.Float64).alias(SIZE))
    cut = pl.col("end") - pl.col("start") - pl.col("replacement").str.len_bytes()
    rows = edits.select("id", "step", cut=cut.clip(lower_bound=0))
    for step in steps:
        taken, touched = f"taken by {step}", f"touched by {step}"
        own = rows.filter(pl.col("step") == step).group_by("id").agg(pl.col("cut").sum())
        own = own.select("id", pl.col("cut").alias(taken), pl.lit(value=True).alias(touched))
        found = found.join(own, on="id", how="left", maintain_order="left").with_columns(
            (pl.col(taken).fill_null(0) / pl.col(SIZE)).fill_nan(0.0).clip(0.0, 1.0),
            pl.col(touched).fill_null(value=False),
        )
    return found


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
