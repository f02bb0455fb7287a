"""Spike-in controls: documents whose right treatment is known, planted in every run.

Defects (`curate.defects`) must be caught, canaries (real text from the evaluation side) must be
kept. Controls are judged like every document and kept out of every fit, quantile, audit, guard,
arm and output; what they give is the scoreboard: how much of each defect the run caught, and how
much good text it threw away, with intervals.

The scoreboard also reads the truth of a corpus whose noise is declared, such as the demo's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from curate.defects import COPIES, DEFECTS, ORIGIN_WORDS
from curate.errors import ConfigError, IntegrityError
from curate.statistics import wilson
from curate.text import text_similarity

__all__ = [
    "CANARY_WORDS",
    "ControlsConfig",
    "control_counts",
    "inert_filler",
    "plant",
    "plant_defects",
    "scoreboard",
]

CANARY_WORDS = 100
"""Words that a canary must have: shorter good text fails length rules by their own definition."""

_CANARY_WEIGHT = 4  # a false-removal rate of 2 % needs more documents than a recall near 1
_FULL_FLOOR = 20
_FULL_CORPUS = 2_000
_NEAR = 0.8  # the usual threshold of near-duplicates

TRUTH_SCHEMA = pl.Schema(
    {"id": pl.String, "kind": pl.String, "origin": pl.String, "expected": pl.String}
    | {"similarity": pl.Float64}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlsConfig:
    """How many controls a run plants.

    Attributes:
        share: Controls as a share of the native documents, in [0, 0.2]; 0 plants none. Every
            kind gets at least 20 documents where the corpus has 2,000 or more, so a corpus of
            a few thousand documents gets more than this share.
    """

    share: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.2:
            raise ConfigError(
                f"controls.share is {self.share}; allowed: 0 to 0.2 (0 = no controls)"
            )


def control_counts(n_documents: int, *, share: float) -> dict[str, int]:
    """Number of planned controls per kind, canaries (four parts to one) last.

    The floor of 20 documents a kind shrinks in proportion below 2,000 documents, never below 1:
    the scoreboard's intervals are then as wide as so few documents deserve.

    >>> counts = control_counts(35_000, share=0.02)
    >>> counts["random_letters"], counts["canary"], sum(counts.values())
    (44, 175, 703)
    >>> set(control_counts(2_000, share=0.02).values()), control_counts(300, share=0.02)["canary"]
    ({20}, 3)
    """
    if share == 0 or n_documents == 0:
        return {}
    floor = max(1, round(_FULL_FLOOR * min(1.0, n_documents / _FULL_CORPUS)))
    part = share * n_documents / (len(DEFECTS) + _CANARY_WEIGHT)
    counts = {kind: max(floor, round(part)) for kind in DEFECTS}
    return counts | {"canary": max(floor, round(_CANARY_WEIGHT * part))}


def plant(
    documents: pl.DataFrame, canaries: pl.DataFrame | None, *, share: float, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make the controls of a run.

    Args:
        documents: Native documents: `id`, `text` (String); origins of copies are drawn from them,
            each at most once. Too few long ones: fewer controls of the kinds that need them.
        canaries: Known-good texts of the evaluation side (`id`, `text`); those below 100 words
            are passed over. `None`: no canaries.
        share: Controls as a share of the native documents.
        seed: The same documents, canaries and seed give the same controls.

    Returns:
        Controls (`id` = `control:<kind>:<n>`, `text`, `source` = "control", `control` = kind) and
        their truth (`id`, `kind`, `origin` null where made from nothing, `expected`
        "removed" | "kept" | "masked", `similarity` Float64: exact word-5-gram Jaccard to the
        origin for copies, else null). A near copy below a similarity of 0.8 is expected "kept":
        it is no near-duplicate by the usual threshold.

    >>> text = " ".join(f"w{i}" for i in range(200))
    >>> docs = pl.DataFrame({"id": list("abcdefgh"), "text": [text] * 8})
    >>> controls, truth = plant(docs, None, share=0.02, seed=1)
    >>> truth.filter(pl.col("kind") == "exact_copy").drop("origin").rows()
    [('control:exact_copy:0', 'exact_copy', 'removed', 1.0)]
    """
    counts = control_counts(documents.height, share=share)
    n_canaries = counts.pop("canary", 0)
    made = plant_defects(documents, counts, seed=seed)
    if canaries is not None and n_canaries:
        made = pl.concat([made, _canaries(canaries, n_canaries, seed=seed)])
    made = made.with_columns(
        pl.format("control:{}:{}", "kind", pl.int_range(pl.len()).over("kind")).alias("id"),
        _expected().alias("expected"),
    )
    controls = made.select(
        "id", "text", pl.lit("control").alias("source"), pl.col("kind").alias("control")
    )
    return controls, made.select(list(TRUTH_SCHEMA))


def plant_defects(
    documents: pl.DataFrame, amounts: Mapping[str, int], *, unit: str = "documents", seed: int
) -> pl.DataFrame:
    """Make noise documents: `kind`, `origin`, `text`, `similarity`, grouped by kind.

    Args:
        documents: Where origins come from: `id`, `text`. Each is used at most once over all
            kinds; where they run out, fewer documents are made.
        amounts: How much to make per kind of `curate.defects.DEFECTS`.
        unit: What amounts count: "documents", or "bytes" of UTF-8, met to within half of the
            last document (one is made at least).
        seed: Seed of the choice of origins and, per kind, of the making.

    >>> nothing = pl.DataFrame({"id": [], "text": []}, schema={"id": str, "text": str})
    >>> plant_defects(nothing, {"hex_dump": 2, "mojibake": 2}, seed=1)["kind"].to_list()
    ['hex_dump', 'hex_dump']
    """
    words = documents.get_column("text").str.count_matches(r"\S+").to_numpy()
    order = np.random.default_rng([seed, 100]).permutation(documents.height)
    frames = [pl.DataFrame(schema=_MADE)]
    # Kinds that need long documents choose first.
    for kind in sorted(amounts, key=lambda kind: -ORIGIN_WORDS.get(kind, 0)):
        rows = order[words[order] >= ORIGIN_WORDS[kind]] if kind in ORIGIN_WORDS else None
        made = _make(kind, amounts[kind], _origins(documents, rows), unit=unit, seed=seed)
        frames.append(made)
        if rows is not None:
            order = order[~np.isin(order, rows[: made.height])]
    made = pl.concat(frames)
    return made.with_columns(_similarity(made)).drop("origin_text")


def scoreboard(
    truth: pl.DataFrame, verdicts: pl.DataFrame, edits: pl.DataFrame, *, near: float = _NEAR
) -> pl.DataFrame:
    """What a run did to documents whose right treatment is known.

    Caught means: not kept. Personal data that `mask_pii` edited and mojibake that
    `repair_encoding` or `repair_mojibake` edited are caught too; and a copy is caught when it and
    its origin are not both kept, since of two equal documents it does not matter which one stays.
    (Boilerplate whose whole text was dropped is an empty document, which the length rules remove.)
    Near copies are scored in two rows, from the similarity `near` on and below it; only the first
    must be caught. Of the others, only those count as lost that went as duplicates: what other
    rules do to a copy they do to the text of its origin as well.

    Args:
        truth: `id`, `kind` (null = not scored), `origin`, `similarity`.
        verdicts: `id`, `kept`, optionally `failed` (without it every removal of a near copy counts
            as one for its likeness).
        edits: `id`, `step`, one row an edit.
        near: Least similarity of near-duplicates.

    Returns:
        One row a kind, what must be caught first: `kind`, `planted`, `caught` Int64, `recall`,
        `low`, `high` (95 % Wilson interval), `expected`. In rows with `expected` "kept", caught
        documents were lost, and `recall` is the false-removal rate.

    Raises:
        IntegrityError: A document of the truth has no verdict.

    >>> truth = pl.DataFrame({"id": ["x", "y"], "kind": ["hex_dump"] * 2, "origin": [None] * 2,
    ...     "similarity": [None] * 2}, schema_overrides={"origin": str, "similarity": float})
    >>> verdicts = pl.DataFrame({"id": ["x", "y"], "kept": [False, True]})
    >>> scoreboard(truth, verdicts, pl.DataFrame({"id": [], "step": []})).row(0)[:4]
    ('hex_dump', 2, 1, 0.5)
    """
    scored = truth.filter(pl.col("kind").is_not_null())
    joined = _with_verdicts(scored, verdicts, edits)
    spared = _expected(near) == "kept"
    joined = joined.with_columns(caught=pl.when(spared).then("lost").otherwise("caught"))
    counted = (
        joined.group_by(_row_label(near).alias("kind"), _expected(near).alias("expected"))
        .agg(pl.len().cast(pl.Int64).alias("planted"), pl.col("caught").sum().cast(pl.Int64))
        .sort(pl.col("expected") == "kept", "kind")
    )
    bounds = [wilson(k, n) for k, n in counted.select("caught", "planted").iter_rows()]
    return counted.select(
        "kind",
        "planted",
        "caught",
        (pl.col("caught") / pl.col("planted")).alias("recall"),
        pl.Series("low", [b[0] for b in bounds], pl.Float64),
        pl.Series("high", [b[1] for b in bounds], pl.Float64),
        "expected",
    )


def inert_filler(n_documents: int, *, seed: int) -> list[str]:
    r"""Text that teaches a model nothing and spoils nothing: the calibrator's filler.

    Real boilerplate is not inert: its words stand in the same contexts as those of good text
    and displace their successors. Half of the tokens being such pages, Kneser–Ney models need
    2.1 (order 5), 2.6 (order 3) to 10 (order 2) times the tokens for the same loss, where inert
    filler costs exactly 2. So the filler is made of the four ASCII information separators, in
    ever the same cycle: characters that no prose has, one token each, with contexts of their
    own (measured: 2.0 to 2.05 at orders 2, 3 and 5).

    Args:
        n_documents: How many to make, of 400 to 1,200 bytes each.
        seed: Seed of their lengths.

    >>> pages = inert_filler(3, seed=1)
    >>> sorted(set("".join(pages))), all(400 <= len(page) <= 1200 for page in pages)
    (['\x1c', '\x1d', '\x1e', '\x1f'], True)
    """
    rng = np.random.default_rng([seed, 101])
    cycle = "\x1c\x1d\x1e\x1f" * 300
    return [cycle[:n] for n in rng.integers(400, 1201, size=n_documents).tolist()]


_MADE = {"kind": pl.String, "origin": pl.String, "origin_text": pl.String, "text": pl.String}


def _make(
    kind: str,
    amount: int,
    origins: Iterator[tuple[str | None, str]],
    *,
    unit: str,
    seed: int,
) -> pl.DataFrame:
    rng = np.random.default_rng([seed, 200 + list(DEFECTS).index(kind)])
    made: list[tuple[str, str | None, str, str]] = []
    done = 0
    for origin, origin_text in origins:
        if done >= amount:
            break
        text = DEFECTS[kind](rng, origin_text)
        size = 1 if unit == "documents" else len(text.encode())
        if made and done + size / 2 > amount:
            break
        made.append((kind, origin, origin_text, text))
        done += size
    return pl.DataFrame(made, schema=_MADE, orient="row")


def _origins(
    documents: pl.DataFrame, rows: NDArray[np.int64] | None
) -> Iterator[tuple[str | None, str]]:
    if rows is None:
        yield from itertools.repeat((None, ""))
        return
    ids, texts = documents["id"], documents["text"]
    for row in rows.tolist():
        yield ids[row], texts[row]


def _canaries(canaries: pl.DataFrame, n: int, *, seed: int) -> pl.DataFrame:
    long = canaries.filter(pl.col("text").str.count_matches(r"\S+") >= CANARY_WORDS)
    rng: Generator = np.random.default_rng([seed, 102])
    rows = np.sort(rng.permutation(long.height)[:n])
    return long[rows].select(
        pl.lit("canary").alias("kind"),
        pl.col("id").cast(pl.String).alias("origin"),
        "text",
        pl.lit(None, pl.Float64).alias("similarity"),
    )


def _similarity(made: pl.DataFrame) -> pl.Series:
    """Exact Jaccard similarity of the copies to their origins, null for all else."""
    is_copy = made["kind"].is_in(COPIES)
    copies = made.filter(is_copy)
    found = text_similarity(copies["origin_text"], copies["text"])["jaccard"]
    similarity = pl.Series("similarity", [None] * made.height, pl.Float64)
    return similarity.scatter(is_copy.arg_true(), found)


def _with_verdicts(
    scored: pl.DataFrame, verdicts: pl.DataFrame, edits: pl.DataFrame
) -> pl.DataFrame:
    copied = pl.lit(True)
    if "failed" in verdicts.columns:
        copied = pl.col("failed").list.eval(pl.element().str.starts_with("duplicates.")).list.any()
    kept = verdicts.select(pl.col("id").cast(pl.String), "kept", as_copy=~pl.col("kept") & copied)
    joined = scored.join(kept, on="id", how="left", maintain_order="left").join(
        kept.select(pl.col("id").alias("origin"), pl.col("kept").alias("origin_kept")),
        on="origin",
        how="left",
        maintain_order="left",
    )
    if missing := joined.filter(pl.col("kept").is_null()).height:
        raise IntegrityError(f"{missing} of {joined.height} documents of the truth have no verdict")
    edited = {
        step: pl.col("id").is_in(
            edits.filter(pl.col("step") == step)["id"].cast(pl.String).implode()
        )
        for step in ("mask_pii", "repair_encoding", "repair_mojibake")
    }
    kind = pl.col("kind")
    return joined.with_columns(
        (
            ~pl.col("kept")
            | (kind.is_in(COPIES) & ~pl.col("origin_kept").fill_null(True))
            | ((kind == "personal_data") & edited["mask_pii"])
            | ((kind == "mojibake") & (edited["repair_encoding"] | edited["repair_mojibake"]))
        ).alias("caught"),
        pl.when(kind.is_in(COPIES)).then("as_copy").otherwise(~pl.col("kept")).alias("lost"),
    )


def _row_label(near: float) -> pl.Expr:
    edited = pl.col("kind").str.starts_with("near_copy")
    return (
        pl.when(edited & (pl.col("similarity") >= near))
        .then(pl.lit(f"near_copy, jaccard >= {near:g}"))
        .when(edited)
        .then(pl.lit(f"near_copy, jaccard < {near:g}"))
        .otherwise("kind")
    )


def _expected(near: float = _NEAR) -> pl.Expr:
    kind = pl.col("kind")
    distant = kind.str.starts_with("near_copy") & (pl.col("similarity") < near)
    return (
        pl.when((kind == "canary") | distant)
        .then(pl.lit("kept"))
        .when(kind == "personal_data")
        .then(pl.lit("masked"))
        .otherwise(pl.lit("removed"))
    )
