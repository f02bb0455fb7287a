"""What the experiment reads: encoded documents, masks of the arms, evaluation sets, filler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import InputError
from curate.experiment.config import MeasureConfig
from curate.proxies import Evaluation
from curate.subsets import (
    Counts,
    Encoded,
    Mask,
    draw_keys,
    id_hashes,
    pool_mask,
    replace_documents,
)
from curate.tokens import Tokenizer, encode, train_tokenizer

TOKENIZER_BYTES = 8_000_000  # of raw text, hash-drawn; more does not change 1,024 ids
WITHOUT = "without_"

__all__ = ["EvaluationSet", "MeasureInputs", "evaluation_sets", "measure_inputs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSet:
    """Encoded documents of one evaluation source.

    Attributes:
        ids: Of the documents.
        encoded: Their tokens, each document ended by the boundary token.
        bytes: UTF-8 bytes of each.
    """

    ids: tuple[str, ...]
    encoded: Encoded
    bytes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureInputs:
    """All that an experiment reads; native documents only, evaluation overlaps taken out.

    Attributes:
        ids: Of the documents of the pool.
        texts: "raw" and "curated" tokens of every document, in the order of `ids`; an arm's own
            version under the arm's name.
        masks: "curated", and where wanted "oracle" and "without_<step>": which documents stay.
        clusters: Number of each document's duplicate cluster, −1 = in none.
        evaluation: Neutral evaluation sets by name.
        filler: Inert documents for the calibrator.
        vocabulary: Number of token ids.
        tokenizer: What encoded the texts; `None` where the caller had tokens already.
    """

    ids: Sequence[str]
    texts: Mapping[str, Encoded]
    masks: Mapping[str, Mask]
    clusters: Counts
    evaluation: Mapping[str, EvaluationSet]
    filler: Encoded
    vocabulary: int = 1024
    tokenizer: Tokenizer | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        lengths = {f"text {k!r}": len(v.offsets) - 1 for k, v in self.texts.items()}
        lengths |= {f"mask {k!r}": len(v) for k, v in self.masks.items()}
        lengths["clusters"] = len(self.clusters)
        for name, length in lengths.items():
            if length != n:
                raise InputError(f"{name} has {length} documents, the pool has {n}")
        if missing := {"raw", "curated"} - set(self.texts) or {"curated"} - set(self.masks):
            raise InputError(f"the experiment lacks {', '.join(sorted(missing))}")


def measure_inputs(
    documents: pl.DataFrame,
    *,
    evaluation: pl.DataFrame | None,
    filler: Sequence[str],
    config: MeasureConfig,
    seed: int,
) -> MeasureInputs:
    """Train the run's tokenizer on raw text and encode everything once.

    Args:
        documents: One row a native document that no evaluation text overlaps: `id`, `text`
            String; `curated_text` String (after edits; null or absent = unchanged); `curated`
            and, where wanted, `oracle` and `without_<step>` Boolean: which documents stay;
            `cluster` String or Int64, null = in no duplicate cluster (optional). A column
            `<arm>_text` gives an arm its own text.
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
    tokenizer = _tokenizer(documents, config.vocabulary, seed)
    names = [n for n in documents.columns if n in ("curated", "oracle") or n.startswith(WITHOUT)]
    masks = [n for n in names if documents[n].dtype == pl.Boolean]
    raw = _encoded(tokenizer, documents["text"])
    return MeasureInputs(
        ids=documents["id"].to_list(),
        texts={"raw": raw, **_versions(documents, tokenizer, raw)},
        masks={name: documents[name].to_numpy().astype(np.bool_) for name in masks},
        clusters=_clusters(documents),
        evaluation=evaluation_sets(evaluation, tokenizer, config=config, seed=seed),
        filler=_encoded(tokenizer, pl.Series(filler, dtype=pl.String)),
        vocabulary=tokenizer.vocabulary,
        tokenizer=tokenizer,
    )


def _encoded(tokenizer: Tokenizer, texts: pl.Series) -> Encoded:
    flat, offsets = encode(tokenizer, texts)
    return Encoded(flat=flat, offsets=offsets)


def _tokenizer(documents: pl.DataFrame, vocabulary: int, seed: int) -> Tokenizer:
    """Trained on a hash-drawn sample in hash order: the order of rows does not matter."""
    hashes = id_hashes(documents["id"])
    lengths = documents["text"].str.len_bytes().cast(pl.Int64).to_numpy()
    mask = pool_mask(hashes, lengths, limit=TOKENIZER_BYTES, seed=seed)
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(hashes[rows], kind="stable")]
    return train_tokenizer(documents["text"].gather(rows).to_list(), vocabulary=vocabulary)


def _versions(documents: pl.DataFrame, tokenizer: Tokenizer, raw: Encoded) -> dict[str, Encoded]:
    """Encoded texts of other versions; only rows that differ from raw are encoded again."""
    versions = {"curated": raw}
    for column in documents.columns:
        if column == "text" or not column.endswith("_text"):
            continue
        changed = (documents[column] != documents["text"]).fill_null(value=False)
        rows = np.flatnonzero(changed.to_numpy())
        edited = _encoded(tokenizer, documents[column].gather(rows))
        versions[column.removesuffix("_text")] = replace_documents(raw, rows, edited)
    return versions


def _clusters(documents: pl.DataFrame) -> Counts:
    if "cluster" not in documents.columns:
        return np.full(documents.height, -1, dtype=np.int64)
    ranks = documents["cluster"].rank("dense").cast(pl.Int64).fill_null(-1)
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


def merged_evaluation(inputs: MeasureInputs) -> Evaluation:
    """All evaluation sets in one: a ladder scores them in a single pass.

    >>> from types import SimpleNamespace
    >>> encoded = Encoded(flat=np.array([5, 0], np.uint16), offsets=np.array([0, 2]))
    >>> one = EvaluationSet(ids=("a",), encoded=encoded, bytes=np.array([3]))
    >>> inputs = SimpleNamespace(evaluation={"x": one, "y": one}, vocabulary=8)
    >>> merged_evaluation(inputs).offsets.tolist()
    [0, 2, 4]
    """
    sets = list(inputs.evaluation.values())
    lengths = np.concatenate([each.encoded.lengths for each in sets])
    return Evaluation(
        tokens=np.concatenate([each.encoded.flat for each in sets]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        bytes=np.concatenate([each.bytes for each in sets]).astype(np.int64),
    )
