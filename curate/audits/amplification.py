"""What a classifier trained on the corpus does with groups, and whether it adds to the labels.

The labelled documents are cut into disjoint parts; each trains its own small classifier on one
share of itself and judges the other. Parts share no document, so a t interval over them holds
what one interval over seeds of the same data misses: the luck of the corpus itself. The price:
each classifier sees only its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.arrays import Bools, Floats
from curate.audits._codes import cluster_codes
from curate.audits.metrics import (
    Reference,
    directional_amplification,
    group_metrics,
    zhao_amplification,
)
from curate.audits.remedies import REMEDIES, Remedy, weights_of
from curate.audits.swaps import Swaps, leaning, load_swaps, swap_all
from curate.errors import ConfigError, check_name, unknown_name
from curate.statistics import Estimate, auc_interval, blocks, holm, t_interval

_TOKEN = r"[^\W\d_][\w'’+]*"
_TRAINED = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierDesign:
    """What is trained and compared.

    Attributes:
        group: Column of groups.
        audited: The group whose selection is compared with all others'.
        label: Boolean column: selected or not.
        parts: Disjoint parts of the corpus, each a replicate.
        swaps: Pairs of words of the swap effect; women's and men's by default.
        remedy: Weights to train with: `"none"`, `"reweigh"` (label and group independent over
            all documents) or `"reweigh_alike"` (among documents that say the same).
        cluster: Column within which documents are alike, e.g. `source`: parts are then made of
            whole clusters. `None` = every document by itself.
        seed: Of the cut into parts.
    """

    group: str
    audited: str
    label: str = "label"
    parts: int = 10
    swaps: Swaps | None = None
    remedy: Remedy = "none"
    cluster: str | None = None
    seed: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierAudit:
    """What the classifiers did.

    Attributes:
        label_ratio: Rate of the label in the audited group / in the others.
        selection_ratio: The same of the classifiers' decisions.
        swap_shift: Mean change of the score (logit) when the first group's words stand instead
            of the second's; positive favours the first group.
        amplification: Zhao et al. (2017): selected share of the favoured group, beyond labels.
        directional: Wang & Russakovsky (2021), group → decision. Of both, the labels of all
            other parts say which group is favoured: those of the same part would make a gap by
            chance look as if the classifier had taken it back.
        replicates: One row a part with the same quantities.
        groups: Rates of the decisions per group, all parts pooled (`group_metrics`), with the
            parts as clusters: what one classifier decides is of one make. `auc` is the mean over
            the parts' own, with a t interval: scores of two classifiers have no common order.
            Null in fewer than two parts that hold both labels.
        p: Holm-adjusted p of "ratio is not 1" and of "swap shift is not 0".
    """

    label_ratio: Estimate
    selection_ratio: Estimate
    swap_shift: Estimate
    amplification: Estimate
    directional: Estimate
    replicates: pl.DataFrame
    groups: pl.DataFrame
    p: Mapping[str, float]

    @property
    def flagged(self) -> bool:
        """Whether either test finds the group treated differently, at 5 % for both together."""
        return min(self.p.values()) < 0.05


def audit_classifier(documents: pl.DataFrame, design: ClassifierDesign) -> ClassifierAudit:
    """Train small classifiers on labelled documents, and compare what they do to a group.

    Logistic regression on words (document counts, L2). Ratios are averaged as logarithms.

    Args:
        documents: Frame with `text` String and the columns that `design` names.
        design: Group, label, parts.

    Raises:
        ConfigError: A column or the group is missing, or a part is too small to train on.

    >>> texts = ["she codes", "he codes", "she rests", "he rests"] * 50
    >>> documents = pl.DataFrame({"text": texts, "group": ["w", "m"] * 100,
    ...                           "label": [False, True, False, False] * 50})
    >>> design = ClassifierDesign(group="group", audited="w", parts=2)
    >>> audit_classifier(documents, design).swap_shift.estimate < 0
    True
    """
    _check(documents, design)
    part = _parts(documents, design)
    label = documents[design.label].cast(pl.Boolean).to_numpy()
    own = (documents[design.group].cast(pl.String) == design.audited).to_numpy()
    judged = [
        _judge_part(
            documents.filter(pl.Series(part == k)), design, (label[part != k], own[part != k])
        )
        for k in range(design.parts)
    ]
    rows = pl.DataFrame([row for row, _ in judged])
    means = {name: t_interval(rows[name].to_numpy()) for name in rows.columns}
    p = _two_sided(means, ("log_selection_ratio", "swap_shift"))
    pooled = pl.concat([table.with_columns(part=pl.lit(k)) for k, (_, table) in enumerate(judged)])
    columns = [pooled[name] for name in ("label", "decision", "group")]
    return ClassifierAudit(
        label_ratio=_natural(means["log_label_ratio"]),
        selection_ratio=_natural(means["log_selection_ratio"]),
        swap_shift=means["swap_shift"],
        amplification=means["amplification"],
        directional=means["directional"],
        replicates=rows,
        groups=_ranked_by_part(group_metrics(*columns, cluster=pooled["part"].to_numpy()), pooled),
        p=dict(zip(("selection_ratio", "swap_shift"), holm(p), strict=True)),
    )


def _parts(documents: pl.DataFrame, design: ClassifierDesign) -> NDArray[np.int64]:
    """Part of each document: whole clusters, in random order, the largest rests first."""
    rng = np.random.default_rng(design.seed)
    if design.cluster is None:
        return np.asarray(rng.permutation(documents.height) % design.parts)
    codes = cluster_codes(documents, design.cluster)
    mixed = rng.permutation(int(codes.max()) + 1)
    return blocks(mixed[codes], most=design.parts)


def _check(documents: pl.DataFrame, design: ClassifierDesign) -> None:
    cluster = [design.cluster] if design.cluster else []
    for name in ("text", design.group, design.label, *cluster):
        check_name("column", name, documents.columns)
    groups = documents[design.group].cast(pl.String).unique().drop_nulls().to_list()
    if design.audited not in groups or len(groups) < 2:
        raise ConfigError(unknown_name(f"value of {design.group}", design.audited, groups))
    check_name("remedy", design.remedy, REMEDIES)
    if design.parts < 2 or documents.height < 50 * design.parts:
        raise ConfigError(
            f"{documents.height} documents in {design.parts} parts; at least 2 parts of 50 needed"
        )
    if design.cluster and documents[design.cluster].n_unique() < design.parts:
        raise ConfigError(f"{design.parts} parts need as many values of {design.cluster}")


def _judge_part(
    documents: pl.DataFrame, design: ClassifierDesign, others: Reference
) -> tuple[dict[str, float], pl.DataFrame]:
    cut = int(_TRAINED * documents.height)
    train, test = documents[:cut], documents[cut:]
    own = [(d[design.group].cast(pl.String) == design.audited).to_numpy() for d in (train, test)]
    label = [d[design.label].cast(pl.Boolean).to_numpy() for d in (train, test)]
    score = _fit(train["text"].to_list(), label[0], own[0], design.remedy)
    texts = test["text"].to_list()
    scores = score(texts)
    decision = scores > 0
    swaps = design.swaps or load_swaps()
    lean = np.sign(leaning(texts, swaps))
    shift = ((scores - score(swap_all(texts, swaps))) * lean)[lean != 0]
    row = {
        "log_label_ratio": _log_ratio(label[1], own[1]),
        "log_selection_ratio": _log_ratio(decision, own[1]),
        "swap_shift": float(shift.mean()) if shift.size else 0.0,
        "amplification": zhao_amplification(label[1], decision, own[1], others),
        "directional": directional_amplification(label[1], decision, own[1], others),
    }
    judged = {"label": label[1], "decision": decision, "score": scores}
    return row, pl.DataFrame({"group": test[design.group].cast(pl.String), **judged})


def _ranked_by_part(groups: pl.DataFrame, pooled: pl.DataFrame) -> pl.DataFrame:
    """Group rows with the mean of each part's area under its own classifier's ROC curve."""
    ends = []
    for name in groups["group"]:
        own = pooled.filter(pl.col("group") == name).partition_by("part", maintain_order=True)
        areas = np.array([auc_interval(part["label"], part["score"]).estimate for part in own])
        known = areas[~np.isnan(areas)]
        mean = t_interval(known) if known.size > 1 else None
        ends.append(
            (mean.estimate, max(mean.low, 0.0), min(mean.high, 1.0)) if mean else (None,) * 3
        )
    columns = zip(("auc", "auc_low", "auc_high"), zip(*ends, strict=True), strict=True)
    return groups.with_columns(pl.Series(name, found, pl.Float64) for name, found in columns)


def _fit(texts: list[str], label: Bools, own: Bools, remedy: Remedy) -> Any:  # noqa: ANN401
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    if label.all() or not label.any():
        raise ConfigError("a part of the corpus holds only one label: nothing can be trained")
    counter = CountVectorizer(token_pattern=_TOKEN, binary=True, min_df=2)
    counts = counter.fit_transform(texts)
    weight = weights_of(remedy, own, label, counts)
    model = LogisticRegression(max_iter=500).fit(counts, label, weight)
    return lambda given: np.asarray(model.decision_function(counter.transform(given)))


def _log_ratio(selected: Bools, own: Bools) -> float:
    """Log ratio of two rates, ½ added to counts: parts are small."""
    counts = [(selected[side].sum() + 0.5, side.sum() + 0.5) for side in (own, ~own)]
    return float(np.log(counts[0][0] / counts[0][1]) - np.log(counts[1][0] / counts[1][1]))


def _natural(log: Estimate) -> Estimate:
    return Estimate(
        estimate=float(np.exp(log.estimate)),
        low=float(np.exp(log.low)),
        high=float(np.exp(log.high)),
        standard_error=log.standard_error,
        degrees_of_freedom=log.degrees_of_freedom,
    )


def _two_sided(means: Mapping[str, Estimate], names: tuple[str, ...]) -> Floats:
    from scipy.special import stdtr

    found = [means[name] for name in names]
    sizes = [abs(m.estimate) / m.standard_error if m.standard_error > 0 else 0.0 for m in found]
    return np.array(
        [2 * stdtr(m.degrees_of_freedom, -z) for m, z in zip(found, sizes, strict=True)]
    )
