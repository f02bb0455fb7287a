"""Texts to tokens: the run's tokenizer, every version of every document, the evaluation sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from curate.errors import InputError
from curate.experiment import additions
from curate.experiment.coalitions import COALITION
from curate.experiment.config import MeasureConfig
from curate.experiment.inputs import MASKS, ONLY, WITHOUT, EvaluationSet, MeasureInputs
from curate.experiment.pieces import in_pieces
from curate.subsets import Counts, Encoded, draw_keys, id_hashes, replace_documents
from curate.tokens import Tokenizer, encode, train_tokenizer

TOKENIZER_BYTES = 8_000_000  # of raw text
# Read in windows of so many bytes, evenly over the corpus: whole documents of this volume are few,
# their own words become tokens, and multipliers follow (docs/decisions/0022).
WINDOW_BYTES = 1_000

__all__ = ["evaluation_sets", "measure_inputs"]


def measure_inputs(
    documents: pl.DataFrame,
    *,
    evaluation: pl.DataFrame | None,
    filler: Sequence[str],
    config: MeasureConfig,
    seed: int,
) -> MeasureInputs:
    """Train the run's tokenizer on raw text and encode everything once.

    Documents of more than 2,000 tokens come out in pieces; see `curate.experiment.pieces`.

    Args:
        documents: One row a document that no evaluation text overlaps: `id`, `text` String;
            `curated_text` String (after edits; null or absent = unchanged); `curated` and, where
            wanted, `oracle`, `without_<step>`, `only_<step>`, `inverse_quality`, `degraded`,
            `duplicated` Boolean: which documents stay; `native` Boolean: false marks documents
            of the arms that name them, which raw lacks; `cluster` String or Int64, null = in no
            duplicate cluster; `source` String; `removed_by` String, null = kept; `quality`
            Float64: for the arm of the worst documents. A column `<arm>_text` gives an arm its
            own text. All but the first two and `curated` are optional.
        evaluation: `id`, `text`, `source` (name of the set) String; `None` or empty = none.
        filler: Inert texts for the calibrator.
        config: Caps of the evaluation sets, vocabulary.
        seed: Of the run.

    Raises:
        InputError: A column is missing, or no document is given.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["low lower", "lowest low"],
    ...                       "curated": [True, False]})
    >>> found = measure_inputs(
    ...     frame, evaluation=None, filler=["menu"], config=MeasureConfig(), seed=1)
    >>> found.texts["raw"].lengths.shape, found.masks["curated"].tolist()
    ((2,), [True, False])
    """
    if missing := {"id", "text", "curated"} - set(documents.columns):
        raise InputError(f"documents of the experiment lack the columns {sorted(missing)}")
    if documents.height == 0:
        raise InputError("no documents are left for the experiment")
    own = documents.filter("native") if "native" in documents.columns else documents
    tokenizer = train_tokenizer(even_text(own), vocabulary=config.vocabulary)
    names = [n for n in documents.columns if n in MASKS or n.startswith((WITHOUT, ONLY, COALITION))]
    masks = [n for n in names if documents[n].dtype == pl.Boolean]
    raw = _encoded(tokenizer, documents["text"])
    inputs = MeasureInputs(
        ids=documents["id"].to_list(),
        texts={"raw": raw, **_versions(documents, tokenizer, raw)},
        masks={name: documents[name].to_numpy().astype(np.bool_) for name in masks},
        clusters=_clusters(documents),
        evaluation=evaluation_sets(evaluation, tokenizer, config=config, seed=seed),
        filler=_encoded(tokenizer, pl.Series(filler, dtype=pl.String)),
        vocabulary=tokenizer.vocabulary,
        tokenizer=tokenizer,
        sources=_numbers(documents, "source"),
        reasons=_numbers(documents, "removed_by"),
        text_bytes=_text_bytes(documents),
    )
    return _completed(inputs, documents, config, seed)


def _completed(
    inputs: MeasureInputs, documents: pl.DataFrame, config: MeasureConfig, seed: int
) -> MeasureInputs:
    """What the experiment adds by itself."""
    inputs = additions.hold_out(inputs, seed=seed)
    wanted = "inverse_quality" in config.arms and "inverse_quality" not in inputs.masks
    if wanted and "quality" in documents.columns:
        quality = documents["quality"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        worst = additions.worst_by_quality(inputs, quality)
        inputs = replace(inputs, masks={**inputs.masks, "inverse_quality": worst})
    return in_pieces(additions.with_controls(inputs, config.arms, seed=seed))


def _text_bytes(documents: pl.DataFrame) -> dict[str, Counts]:
    raw = documents["text"].str.len_bytes().cast(pl.Int64)
    curated = raw
    if "curated_text" in documents.columns:
        curated = documents["curated_text"].str.len_bytes().cast(pl.Int64).fill_null(raw)
    return {"raw": raw.to_numpy(), "curated": curated.to_numpy()}


def _encoded(tokenizer: Tokenizer, texts: pl.Series) -> Encoded:
    flat, offsets = encode(tokenizer, texts)
    return Encoded(flat=flat, offsets=offsets)


def even_text(
    documents: pl.DataFrame, *, limit: int = TOKENIZER_BYTES, window: int = WINDOW_BYTES
) -> list[str]:
    """Text to train the tokenizer on: all of a small corpus, of a large one windows of equal size.

    Documents are laid end to end in the order of their hashes, and a window is read at equal
    distances. So every source counts by its bytes, and no document by more than its own. Neither
    a seed nor the order of rows changes a byte: a tokenizer is a yardstick, and a corpus has one.

    Args:
        documents: `id`, `text` String.
        limit: Bytes to read in all.
        window: Bytes to read at a time; a character that an edge cuts in two is left out.

    >>> frame = pl.DataFrame({"id": ["a", "b"], "text": ["aaaaaaaa", "bbbb"]})
    >>> even_text(frame, limit=6, window=2)
    ['aa', 'aa', 'bb']
    """
    order = np.argsort(id_hashes(documents["id"]), kind="stable")
    texts = documents["text"].gather(order)
    sizes = texts.str.len_bytes().cast(pl.Int64).to_numpy()
    ends = np.cumsum(sizes)
    if sizes.sum() <= limit:
        return texts.to_list()
    starts = np.arange(limit // window) * int(ends[-1]) // (limit // window)
    first, last = (np.searchsorted(ends, at, side="right") for at in (starts, starts + window - 1))
    # What a window reads of each document that it touches.
    number = np.repeat(np.arange(len(starts)), last - first + 1)
    place = np.arange(len(number)) - np.searchsorted(number, number) + first[number]
    begins = (ends - sizes)[place]
    offset = np.maximum(starts[number] - begins, 0)
    length = np.minimum(starts[number] + window - begins, sizes[place]) - offset
    touched = texts.gather(place).cast(pl.Binary).to_frame("text")
    touched = touched.with_columns(window=number, offset=offset, length=length)
    read = touched.select("window", pl.col("text").bin.slice(pl.col("offset"), pl.col("length")))
    joined = read.group_by("window", maintain_order=True).agg("text")["text"]
    return [b"".join(pieces).decode(errors="ignore") for pieces in joined]


def _versions(documents: pl.DataFrame, tokenizer: Tokenizer, raw: Encoded) -> dict[str, Encoded]:
    """Encoded texts of other versions; only rows that differ from raw are encoded again.

    Arms with the same text share its tokens.
    """
    versions, known = {"curated": raw}, [(documents["text"], raw)]
    for column in documents.columns:
        if column == "text" or not column.endswith("_text"):
            continue
        texts = documents[column]
        twin = next((tokens for other, tokens in known if texts.equals(other)), None)
        if twin is None:
            changed = (texts != documents["text"]).fill_null(value=False)
            rows = np.flatnonzero(changed.to_numpy())
            edited = _encoded(tokenizer, texts.gather(rows))
            twin = replace_documents(raw, rows, edited)
            known.append((texts, twin))
        versions[column.removesuffix("_text")] = twin
    return versions


def _clusters(documents: pl.DataFrame) -> Counts:
    found = _numbers(documents, "cluster")
    return np.full(documents.height, -1, dtype=np.int64) if found is None else found


def _numbers(documents: pl.DataFrame, column: str) -> Counts | None:
    """Each value's rank among the values, from 0; −1 = null."""
    if column not in documents.columns:
        return None
    ranks = documents[column].rank("dense").cast(pl.Int64).fill_null(0) - 1
    return ranks.to_numpy().astype(np.int64)


def evaluation_sets(
    documents: pl.DataFrame | None, tokenizer: Tokenizer, *, config: MeasureConfig, seed: int
) -> dict[str, EvaluationSet]:
    """Encode a capped, hash-drawn sample of every evaluation set; sets sorted by name.

    Args:
        documents: `id`, `text`, `source` (name of the set).
        tokenizer: Of the run.
        config: `evaluation_tokens` a set, `evaluation_document_bytes` a document.
        seed: Of the run.

    >>> tokenizer = train_tokenizer(["low lower lowest"], vocabulary=258)
    >>> texts = pl.DataFrame({"id": ["a"], "text": ["lowest"], "source": ["reference"]})
    >>> sets = evaluation_sets(texts, tokenizer, config=MeasureConfig(), seed=1)
    >>> sets["reference"].bytes.tolist()
    [6]
    """
    if documents is None or documents.height == 0:
        return {}
    found = {}
    for name in documents["source"].unique().sort():
        rows = documents.filter((pl.col("source") == name) & (pl.col("text").str.len_bytes() > 0))
        found[str(name)] = _evaluation_set(rows, tokenizer, config, seed)
    return {name: each for name, each in found.items() if each.ids}


def _evaluation_set(
    rows: pl.DataFrame, tokenizer: Tokenizer, config: MeasureConfig, seed: int
) -> EvaluationSet:
    keys = draw_keys(id_hashes(rows["id"]), seed=seed, salt="evaluation")
    rows = rows[np.argsort(keys, kind="stable")]
    limit = config.evaluation_document_bytes
    # Decoding leaves out what remains of a character that the limit cuts in two.
    texts = pl.Series([t.encode()[:limit].decode(errors="ignore") for t in rows["text"]])
    encoded = _encoded(tokenizer, texts)
    n = int(np.searchsorted(encoded.offsets, config.evaluation_tokens))
    n = min(max(n, 1), rows.height)
    return EvaluationSet(
        ids=tuple(rows["id"][:n]),
        encoded=Encoded(flat=encoded.flat[: encoded.offsets[n]], offsets=encoded.offsets[: n + 1]),
        bytes=texts[:n].str.len_bytes().cast(pl.Int64).to_numpy(),
    )
