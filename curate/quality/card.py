"""The card of a fitted model: what it was made of, what it showed, what it must not be used for."""

from __future__ import annotations

from typing import Any

import polars as pl

from curate.quality.model import QualityModel

_FIGURES = ("auc", "average_precision", "precision", "recall", "f1", "brier", "calibration_error")
_LIMITS = (
    "The background is unlabelled: good documents in it count as background. A probability of "
    "0.5 means as typical of the one as of the other, not half good.",
    "Topic is not quality. A reference of few topics scores these topics.",
    "Probabilities are those of a corpus with half of each side, not of yours.",
    "Terms are hashed: two terms may share a weight. The tables of terms say which did here.",
    "The words that move the score are those of the languages of both sides; in another language "
    "it says little.",
)


def model_card(model: QualityModel, terms: pl.DataFrame | None = None) -> str:
    """Markdown: data, parameters, figures with intervals, warnings, terms, limits.

    Args:
        model: The fitted model.
        terms: From `model.terms(sample)`; left out where not given.

    >>> from curate.quality import fit_quality
    >>> model = fit_quality([f"good text {i}" for i in range(20)], [f"bad {i}" for i in range(20)])
    >>> print(model_card(model).splitlines()[0])
    # Quality model
    """
    found = model.evaluate()
    lines = ["# Quality model", "", *_data(found), "", *_parameters(model), ""]
    lines += ["## Figures on documents that the model had not seen", "", *_figures(found), ""]
    lines += [f"**Warning:** {sentence}." for sentence in found["warnings"]]
    if terms is not None:
        lines += ["", "## Strongest terms", "", *_terms(terms)]
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in _LIMITS)]
    return "\n".join(lines) + "\n"


def _data(found: dict[str, Any]) -> list[str]:
    rows = [
        f"| {side} | {found['documents'][side]:,} | {found['units'][side]:,} |"
        for side in ("reference", "background")
    ]
    return ["| side | documents | kept together in |", "|---|---|---|", *rows]


def _parameters(model: QualityModel) -> list[str]:
    shown = {k: v for k, v in model.facts.items() if k not in ("checked", "reference")}
    return [
        "Logistic regression on hashed words and word pairs, Platt-calibrated out of fold: "
        + ", ".join(f"{name} = {value}" for name, value in shown.items())
        + "."
    ]


def _figures(found: dict[str, Any]) -> list[str]:
    rows = [(name.replace("_", " "), found[name]) for name in _FIGURES]
    rows += [("AUC of length alone", found["length"]["auc_of_length_alone"])]
    rows += [("partial correlation with length", found["length"]["partial_correlation"])]
    if found.get("train_test"):
        rows += [("AUC of a plain split into train and test", found["train_test"])]
    said = [f"| {name} | {_said(value)} |" for name, value in rows]
    cut = f"Precision, recall and F1 at {found['cut']:g}; both sides weigh one half."
    return ["| figure | estimate [95 % interval] |", "|---|---|", *said, "", cut]


def _said(value: dict[str, float | None]) -> str:
    words = {k: "?" if v is None else f"{v:.3f}" for k, v in value.items()}
    return f"{words['estimate']} [{words['low']}, {words['high']}]"


def _terms(terms: pl.DataFrame) -> list[str]:
    rows = [
        f"| {term} | {weight:+.2f} | {documents:,} | {shared - 1} |"
        for term, weight, documents, shared in terms.select(
            "term", "weight", "documents", "terms_in_bucket"
        ).iter_rows()
    ]
    head = "| term | weight | documents | other terms in its bucket |"
    return [head, "|---|---|---|---|", *rows]
