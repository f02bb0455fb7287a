"""The quality score on real text with known labels, beside simple baselines."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curate.quality import QualityConfig, fit_labels, fit_perplexity
from curate.statistics import auc_interval

SHARED = Path(__file__).parents[1].parent / "shared" / "corpora"
FOLDS = 5
QUICK = {"checks": False, "max_documents": 3_000, "folds": 3}


def read(name, file):
    path = SHARED / name / file
    if not path.exists():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    return pl.read_parquet(path)


def lix(text):
    """Words a sentence plus per cent of words of more than six letters (Björnsson 1968)."""
    words = re.findall(r"\w+", text)
    sentences = max(1, len(re.findall(r"[.!?]+", text)))
    return len(words) / sentences + 100 * np.mean([len(w) > 6 for w in words])


def out_of_fold_bits(documents, label):
    """Bits per byte under a model of the reference that holds no article of the document."""
    groups = np.unique(documents["group"].to_numpy(), return_inverse=True)[1] % FOLDS
    bits = np.empty(documents.height)
    for fold in range(FOLDS):
        scored = groups == fold
        model = fit_perplexity(documents.filter(pl.Series(~scored & label)), order=3)
        bits[scored] = model.score(documents.filter(pl.Series(scored))).to_numpy()
    return bits


@pytest.mark.slow
def test_reading_levels_are_told_better_than_by_simple_baselines():
    frame = read("quality_onestop", "docs.parquet").filter(pl.col("label") != "Int")
    frame = frame.with_columns(label=pl.col("label") == "Adv")
    label, group = frame["label"].to_numpy(), frame["group"].to_numpy()
    baselines = {
        "length": frame["text"].str.len_chars().to_numpy(),
        "readability": np.array([lix(text) for text in frame["text"]]),
        "perplexity": -out_of_fold_bits(frame, label),
    }
    found = {name: auc_interval(label, value, group) for name, value in baselines.items()}
    scores = {
        norm: fit_labels(frame, config=QualityConfig(norm=norm, **QUICK)).evaluate()
        for norm in ("unit", "share")
    }
    for name, estimate in found.items():
        print(f"{name}: {estimate.estimate:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]")
    for norm, evaluation in scores.items():
        print(norm, evaluation["auc"], evaluation["length"])

    best = max(estimate.estimate for estimate in found.values())
    assert scores["unit"]["auc"]["low"] > 0.95
    assert scores["share"]["auc"]["low"] > 0.92
    assert scores["share"]["auc"]["estimate"] > best
    assert scores["share"]["warnings"] == []


@pytest.mark.slow
def test_clickbait_is_told_from_headlines_in_grouped_folds():
    frame = read("quality_clickbait", "headlines.parquet")
    frame = frame.with_columns(label=pl.col("label") == 0, group=_first_words(frame["text"]))
    found = fit_labels(frame, config=QualityConfig(**QUICK)).evaluate()
    print(found["auc"], found["calibration_error"])

    assert found["auc"]["low"] > 0.98
    assert found["calibration_error"]["estimate"] < 0.03


def _first_words(texts):
    """Headlines that begin alike belong together: "21 Things …", "Which … Are You"."""
    return texts.str.to_lowercase().str.extract(r"^(\S+\s+\S+)").fill_null("").alias("group")


SENDER = re.compile(r"(?m)^From:[^\n]*?([\w.+-]+@[\w.-]+)")
SUBJECT = re.compile(r"(?m)^Subject:(.*)$")
ANSWER = re.compile(r"^(\s*(re|fwd?|aw)\s*(\[\d+\])?:|\s*\[[^\]]*\])*\s*")


def sender(mail):
    found = SENDER.search(mail)
    return found[1].lower() if found else mail[:80]


def thread(mail):
    found = SUBJECT.search(mail)
    return ANSWER.sub("", found[1].lower()).strip() if found else mail[:80]


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [sender, thread])
def test_spam_is_told_from_mail_of_unknown_senders_and_threads(held_out):
    """Only what was written counts: the headers name the mailing list."""
    truth = read("mixed", "raw_truth.parquet").filter(kind="mail_raw").select("id", "label")
    mails = read("mixed", "raw.parquet").join(truth, on="id", maintain_order="left")
    frame = mails.with_columns(
        label=pl.col("label") == "ham",
        group=pl.Series([held_out(mail) for mail in mails["text"]]),
        text=pl.Series([mail.split("\n\n", 1)[-1] for mail in mails["text"]]),
    )
    found = fit_labels(frame, config=QualityConfig(**QUICK)).evaluate()
    print(held_out.__name__, found["auc"], found["calibration_error"])

    assert found["auc"]["low"] > 0.95
