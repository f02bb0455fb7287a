"""What the experiment reads: encoded documents, masks of the arms, evaluation sets, filler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.proxies import Evaluation
from curate.subsets import Counts, Encoded, Mask
from curate.tokens import Tokenizer

MIN_DOCUMENTS = 8  # of each evaluation set, whatever a family can afford
WITHOUT, ONLY = "without_", "only_"
MASKS = ("native", "curated", "oracle", "inverse_quality", "degraded", "duplicated")

__all__ = ["EvaluationSet", "MeasureInputs", "merged_evaluation"]


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

    def first(self, tokens: int | None) -> int:
        """How many documents a family reads that is given so many tokens of the set.

        Documents stand in the order of their draw, so the first ones are a sample.
        """
        if tokens is None:
            return len(self.ids)
        n = int(np.searchsorted(self.encoded.offsets, tokens, side="right")) - 1
        return min(max(n, MIN_DOCUMENTS), len(self.ids))


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureInputs:
    """All that an experiment reads; native documents only, evaluation overlaps taken out.

    Attributes:
        ids: Of the documents of the pool.
        texts: "raw" and "curated" tokens of every document, in the order of `ids`; an arm's own
            version under the arm's name.
        masks: "curated", and where wanted "oracle", "without_<step>", "only_<step>",
            "inverse_quality", "degraded" and "duplicated": which documents stay. "native", where
            given, marks the documents that raw holds; all others are in the arms that name them.
        clusters: Number of each document's duplicate cluster, −1 = in none.
        evaluation: Neutral evaluation sets by name.
        filler: Inert documents for the calibrator.
        vocabulary: Number of token ids.
        tokenizer: What encoded the texts; `None` where the caller had tokens already.
        sources: Number of each document's source, for the mixture-held arm.
        reasons: Number of what removed each document (any number where nothing did), for the order
            of draws; `None` = not known.
        held_out: Documents of the pool that no arm holds: "held_out_raw", "held_out_curated".
        text_bytes: UTF-8 bytes of every document, "raw" and "curated"; `None` = three a token.
        pool_share: Share of the corpus's text that these documents are.
    """

    ids: Sequence[str]
    texts: Mapping[str, Encoded]
    masks: Mapping[str, Mask]
    clusters: Counts
    evaluation: Mapping[str, EvaluationSet]
    filler: Encoded
    vocabulary: int = 1024
    tokenizer: Tokenizer | None = None
    sources: Counts | None = None
    reasons: Counts | None = None
    held_out: Mapping[str, EvaluationSet] = field(default_factory=dict)
    text_bytes: Mapping[str, Counts] | None = None
    pool_share: float = 1.0

    @property
    def native(self) -> Mask:
        """Documents that raw holds."""
        return self.masks.get("native", np.ones(len(self.ids), np.bool_))

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


def merged_evaluation(inputs: MeasureInputs, limit: int | None = None) -> Evaluation:
    """All evaluation sets in one, those held out of the pool last: scored in a single pass.

    Args:
        inputs: Sets.
        limit: Tokens of each set, for families that cannot afford all of them.

    >>> from types import SimpleNamespace
    >>> encoded = Encoded(flat=np.array([5, 0], np.uint16), offsets=np.array([0, 2]))
    >>> one = EvaluationSet(ids=("a",), encoded=encoded, bytes=np.array([3]))
    >>> inputs = SimpleNamespace(evaluation={"x": one}, held_out={"y": one}, vocabulary=8)
    >>> merged_evaluation(inputs).offsets.tolist()
    [0, 2, 4]
    """
    sets = [*inputs.evaluation.values(), *inputs.held_out.values()]
    counts = [each.first(limit) for each in sets]
    pairs = list(zip(sets, counts, strict=True))
    lengths = np.concatenate([each.encoded.lengths[:n] for each, n in pairs])
    return Evaluation(
        tokens=np.concatenate([e.encoded.flat[: e.encoded.offsets[n]] for e, n in pairs]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        bytes=np.concatenate([each.bytes[:n] for each, n in pairs]).astype(np.int64),
    )
