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
from numpy.typing import ArrayLike, NDArray

from curate.audits.remedies import REMEDIES, Remedy, weights_of
from curate.audits.swaps import Swaps, leaning, load_swaps, swap_all
from curate.errors import ConfigError, unknown_name
from curate.statistics import Estimate, auc_interval, holm, t_interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
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
        seed: Of the cut into parts.
    """

    group: str
    audited: str
    label: str = "label"
    parts: int = 10
    swaps: Swaps | None = None
    remedy: Remedy = "none"
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
        directional: Wang & Russakovsky (2021), group → decision.
        replicates: One row a part with the same quantities.
        groups: Rates of the decisions per group, all parts pooled (`group_metrics`).
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
    rng = np.random.default_rng(design.seed)
    part = rng.permutation(documents.height) % design.parts
    judged = [
        _judge_part(documents.filter(pl.Series(part == k)), design) for k in range(design.parts)
    ]
    rows = pl.DataFrame([row for row, _ in judged])
    means = {name: t_interval(rows[name].to_numpy()) for name in rows.columns}
    p = _two_sided(means, ("log_selection_ratio", "swap_shift"))
    pooled = pl.concat([table for _, table in judged])
    return ClassifierAudit(
        label_ratio=_natural(means["log_label_ratio"]),
        selection_ratio=_natural(means["log_selection_ratio"]),
        swap_shift=means["swap_shift"],
        amplification=means["amplification"],
        directional=means["directional"],
        replicates=rows,
        groups=group_metrics(pooled["label"], pooled["decision"], pooled["group"], pooled["score"]),
        p=dict(zip(("selection_ratio", "swap_shift"), holm(p), strict=True)),
    )


def _check(documents: pl.DataFrame, design: ClassifierDesign) -> None:
    for name in ("text", design.group, design.label):
        if name not in documents.columns:
            raise ConfigError(unknown_name("column", name, documents.columns))
    groups = documents[design.group].cast(pl.String).unique().drop_nulls().to_list()
    if design.audited not in groups or len(groups) < 2:
        raise ConfigError(unknown_name(f"value of {design.group}", design.audited, groups))
    if design.remedy not in REMEDIES:
        raise ConfigError(unknown_name("remedy", design.remedy, REMEDIES))
    if design.parts < 2 or documents.height < 50 * design.parts:
        raise ConfigError(
            f"{documents.height} documents in {design.parts} parts; at least 2 parts of 50 needed"
        )


def _judge_part(
    documents: pl.DataFrame, design: ClassifierDesign
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
        "amplification": zhao_amplification(label[1], decision, own[1]),
        "directional": directional_amplification(label[1], decision, own[1]),
    }
    judged = {"label": label[1], "decision": decision, "score": scores}
    return row, pl.DataFrame({"group": test[design.group].cast(pl.String), **judged})


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


def zhao_amplification(label: ArrayLike, decision: ArrayLike, group: ArrayLike) -> float:
    """Mean bias amplification over the groups that the label favours (Zhao et al. 2017).

    b(g) = share of the selected that are of group g; a group is favoured where its b among the
    labels exceeds 1 / groups; the result is the mean growth of b from labels to decisions.

    >>> zhao_amplification([1, 1, 1, 1], [1, 1, 0, 0], ["m", "m", "m", "f"])
    0.25
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    codes = np.unique(np.asarray(group), return_inverse=True)[1]
    groups = int(codes.max()) + 1
    with np.errstate(invalid="ignore"):
        before, after = (np.bincount(codes[v], minlength=groups) / v.sum() for v in (y, d))
    favoured = before > 1 / groups
    return float((after - before)[favoured].mean()) if favoured.any() else 0.0


def directional_amplification(label: ArrayLike, decision: ArrayLike, group: ArrayLike) -> float:
    """Amplification from group to decision (Wang & Russakovsky 2021), for both outcomes.

    Mean over groups a and outcomes t of Δ where P(a, t) > P(a) P(t), of −Δ elsewhere, with
    Δ = P(decision = t | a) − P(label = t | a).

    >>> round(directional_amplification([1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]), 3)
    0.25
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    groups = np.asarray(group)
    found = []
    for a in np.unique(groups):
        own = groups == a
        for outcome in (True, False):
            more = (own & (y == outcome)).mean() > own.mean() * (y == outcome).mean()
            change = (d[own] == outcome).mean() - (y[own] == outcome).mean()
            found.append(change if more else -change)
    return float(np.mean(found))


def group_metrics(
    label: ArrayLike, decision: ArrayLike, group: ArrayLike, score: ArrayLike | None = None
) -> pl.DataFrame:
    """Rates of a classifier per group, sorted by group.

    Returns:
        `group`, `n`, `label_rate`, `selection_rate`, `precision`, `recall`,
        `false_positive_rate`, `false_omission_rate`, `f1`, `auc` (null without scores); null
        where undefined.

    >>> group_metrics([1, 0, 1, 0], [1, 1, 0, 0], ["a", "a", "b", "b"]).select(
    ...     "group", "selection_rate", "recall").rows()
    [('a', 1.0, 1.0), ('b', 0.0, 0.0)]
    """
    y, d = (np.asarray(v, dtype=bool) for v in (label, decision))
    groups = np.asarray(group).astype(str)
    scores = None if score is None else np.asarray(score, dtype=np.float64)
    rows = []
    for name in np.unique(groups):
        own = groups == name
        area = auc_interval(y[own], scores[own]).estimate if scores is not None else float("nan")
        rows.append({"group": str(name), **_rates(y[own], d[own]), "auc": area})
    return pl.DataFrame(rows).with_columns(pl.col(pl.Float64).fill_nan(None))


def _rates(y: Bools, d: Bools) -> dict[str, float]:
    true, false = int((y & d).sum()), int((~y & d).sum())
    missed, right = int((y & ~d).sum()), int((~y & ~d).sum())

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return {
        "n": y.size,
        "label_rate": share(true + missed, y.size),
        "selection_rate": share(true + false, y.size),
        "precision": share(true, true + false),
        "recall": share(true, true + missed),
        "false_positive_rate": share(false, false + right),
        "false_negative_rate": share(missed, true + missed),
        "false_omission_rate": share(missed, missed + right),
        "false_discovery_rate": share(false, true + false),
        "f1": share(2 * true, 2 * true + false + missed),
    }
