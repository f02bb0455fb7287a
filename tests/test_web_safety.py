"""The rule set for mixed crawls: every genre and language keeps its texts, defects go."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from curate.defects import DEFECTS, ORIGIN_WORDS
from curate.rules import RulesConfig, judge, load_rules, required_columns
from curate.signals import measure_signals

CORPORA = Path(__file__).parents[1].parent / "shared" / "corpora"
RULES = load_rules(RulesConfig(sets=("web_safety",)))
DEFECT_KINDS = [
    "random_letters",
    "base64_dump",
    "hex_dump",
    "navigation",
    "repeated_lines",
    "repeated_paragraphs",
    "mojibake",
]


def corpus_file(name):
    if not (CORPORA / name).exists():
        pytest.skip(f"needs ../shared/corpora/{name}, not found: skipped")
    return CORPORA / name


def judged(frame):
    return judge(measure_signals(frame, required_columns(RULES)), RULES)


def lost(frame, group):
    share = judged(frame).group_by(group).agg(pl.len(), lost=(~pl.col("kept")).sum())
    return {row[group]: (row["lost"], row["len"]) for row in share.iter_rows(named=True)}


def test_every_genre_keeps_its_texts_and_defects_go():
    raw = pl.read_parquet(corpus_file("mixed/raw.parquet"), columns=["id", "text"])
    truth = pl.read_parquet(corpus_file("mixed/raw_truth.parquet"), columns=["id", "kind"])
    sample = raw.join(truth, on="id", maintain_order="left").sort("kind", "id").gather_every(5)
    counts = lost(sample, "kind")

    for kind in ("book_passage", "c4", "blog", "pep", "licence", "headline", "tweet"):
        n_lost, n = counts[kind]
        assert n_lost <= binom.ppf(0.999, n, 0.01), kind
    for kind, least in (("lockfile", 0.90), ("mojibake", 0.70), ("raw_html", 0.90)):
        n_lost, n = counts[kind]
        assert n_lost >= binom.ppf(0.001, n, least), kind


def test_every_language_keeps_its_texts():
    sentences = pl.read_parquet(corpus_file("multi_lingua/docs.parquet")).gather_every(2)
    counts = lost(sentences, "lang")

    assert len(counts) == 75
    for language, (n_lost, n) in counts.items():
        assert n_lost <= binom.ppf(0.9999, n, 0.01), language


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_planted_defects_go(kind):
    rng = np.random.default_rng(len(kind))
    words = [f"word{i % 97}" if i % 3 else "and" for i in range(1000)]
    origin = "\n\n".join(
        " ".join(rng.permutation(words)[:60]) + f" café number {i}." for i in range(8)
    )
    assert len(origin.split()) >= max(ORIGIN_WORDS.values())
    texts = pl.DataFrame({"text": [DEFECTS[kind](rng, origin) for _ in range(60)]})

    assert (~judged(texts)["kept"]).mean() >= 0.9


@pytest.mark.parametrize(
    "text",
    [
        "lmfao pssst",
        "Grrrr!!! 😀😀😀",
        "东京的天气很好。",
        "สวัสดีชาวโลก",
        "Ẹ káàárọ̀",
        "Now £1,299.99 - 20% off the old price",
    ],
)
def test_short_texts_stay(text):
    assert judged(pl.DataFrame({"text": [text]}))["failed"].to_list() == [[]]


@pytest.mark.parametrize("text", ["", " \n", "!!! ???"])
def test_a_text_without_words_goes(text):
    assert "web_safety.words" in judged(pl.DataFrame({"text": [text]}))["failed"][0]
