"""Planted truth in small: what is empty, what hurts and what still teaches, on real docstrings."""

import ast
import random
import sysconfig
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import polars as pl
import pytest

from curate.controls import inert_filler
from curate.corpus import decontaminate
from curate.experiment import MeasureConfig, measure_inputs, run_experiment

CONFIG = MeasureConfig(
    arms=("raw", "curated"), sizes=("order3",), budgets=(15_000, 30_000), replicates=8
)


def docstrings():
    """Docstrings of the standard library, 200 characters and more."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                found += [text[:3_000]] if len(text) >= 200 else []
    return list(dict.fromkeys(found))


def shuffled_words(rng, text):
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def random_letters(rng, text):
    return " ".join(
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=len(word))) for word in text.split()
    )


def planted(kind, texts):
    rng = random.Random(4)
    if kind == "inert filler":
        return inert_filler(len(texts) * 4, seed=4)
    maker = {"shuffled words": shuffled_words, "random letters": random_letters}[kind]
    return [maker(rng, text) for text in texts]


def pages():
    """Pages of the language reference: two evaluation sets."""
    texts = [text for _, text in sorted(topics.items()) if len(text) > 1_000]
    return pl.DataFrame(
        {
            "id": [f"page-{i}" for i in range(len(texts))],
            "text": texts,
            "source": [f"reference-{i % 2}" for i in range(len(texts))],
        }
    )


def harm_of(kind, share):
    """Rows of harm when planted text of one kind is this share of the bytes."""
    texts = docstrings()
    good, origins = texts[::2], texts[1::2]
    room = sum(map(len, good)) * share / (1 - share)
    noise = []
    for text in planted(kind, origins * 3):
        if room <= 0:
            break
        noise.append(text)
        room -= len(text)
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(len(good) + len(noise))],
            "text": [*good, *noise],
            "curated": [True] * len(good) + [False] * len(noise),
        }
    )
    evaluation = pages()
    overlaps = decontaminate(frame.select("id", "text"), evaluation)["id"]
    frame = frame.filter(~pl.col("id").is_in(overlaps.implode()))
    inputs = measure_inputs(
        frame, evaluation=evaluation, filler=inert_filler(200, seed=1), config=CONFIG, seed=1
    )
    result = run_experiment(inputs, CONFIG, seed=1)
    rows = result.multipliers.filter(quantity="harm", eval_set="all")
    assert rows["reached"].all()
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_inert_text_is_empty_at_every_share(share):
    rows = harm_of("inert filler", share)

    assert (rows["low"] <= 1.08).all()
    assert (rows["high"] >= 0.93).all()


@pytest.mark.slow
def test_random_letters_hurt_and_shuffled_words_still_teach():
    assert (harm_of("random letters", 0.25)["low"] > 1).all()
    assert (harm_of("shuffled words", 0.25)["high"] < 1).all()


@pytest.mark.slow
def test_the_ladder_can_be_made_to_reach_what_hurts_most():
    """At half of random letters the default reach may end too early; a longer one does not."""
    texts = docstrings()
    good = texts[::2]
    noise = planted("random letters", (texts[1::2] * 3)[: len(good)])
    room = np.cumsum([len(text) for text in noise]) <= sum(map(len, good))
    noise = [text for text, fits in zip(noise, room, strict=True) if fits]
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(len(good) + len(noise))],
            "text": [*good, *noise],
            "curated": [True] * len(good) + [False] * len(noise),
        }
    )
    config = MeasureConfig(
        arms=("raw", "curated"), sizes=("order3",), budgets=(10_000,), replicates=4, reach=5.0
    )
    inputs = measure_inputs(
        frame, evaluation=pages(), filler=inert_filler(200, seed=1), config=config, seed=1
    )
    result = run_experiment(inputs, config, seed=1)
    row = result.multipliers.filter(quantity="multiplier", eval_set="all").row(0, named=True)

    assert row["reached"]
    assert row["low"] > 2
