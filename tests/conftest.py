"""Texts that the tests make themselves: a small vocabulary, sentences, documents with defects."""

import os

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Linear algebra on one thread a process. Polars keeps its threads: they are what could
    # disturb the order of rows, and tests are there to see it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
import pytest

SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
    "we",
    "xi",
    "yo",
    "zu",
]


def vocabulary(rng, size=2000):
    """Words of one to four syllables, all different."""
    words = {}
    while len(words) < size:
        words["".join(rng.choice(SYLLABLES, rng.integers(1, 5)))] = None
    return list(words)


def prose(rng, words, n_words):
    """Sentences of 6 to 16 words drawn by Zipf's law, four sentences a paragraph."""
    weights = 1 / np.arange(2, len(words) + 2)
    drawn = list(rng.choice(words, size=n_words, p=weights / weights.sum()))
    sentences, start = [], 0
    while start < n_words:
        length = int(rng.integers(6, 17))
        sentence = " ".join(drawn[start : start + length])
        sentences.append(sentence[:1].upper() + sentence[1:] + ".")
        start += length
    paragraphs = [" ".join(sentences[i : i + 4]) for i in range(0, len(sentences), 4)]
    return "\n\n".join(paragraphs)


def small_corpus(n=300, seed=1):
    """`id, text, source, kind`: prose of five sites; copies, letter soup and repeated lines."""
    rng = np.random.default_rng(seed)
    words = vocabulary(rng)
    rows = []
    for i in range(n):
        rows.append(
            (f"doc-{i:04d}", prose(rng, words, int(rng.integers(60, 220))), f"site-{i % 5}", None)
        )
    for i in range(n // 15):
        rows.append((f"copy-{i:03d}", rows[i * 3][1], f"site-{i % 5}", "exact_copy"))
        near = rows[i * 3 + 1][1].split(" ")
        near[len(near) // 2] = "zzyx"
        rows.append((f"near-{i:03d}", " ".join(near), f"site-{i % 5}", "near_copy"))
        soup = " ".join(
            "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(3, 10)))
            for _ in range(120)
        )
        rows.append((f"soup-{i:03d}", soup, f"site-{i % 5}", "random_letters"))
        line = prose(rng, words, 12).replace("\n\n", " ")
        rows.append((f"lines-{i:03d}", "\n".join([line] * 30), f"site-{i % 5}", "repeated_lines"))
    order = rng.permutation(len(rows))
    return pl.DataFrame(
        [rows[i] for i in order], schema=["id", "text", "source", "kind"], orient="row"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files with slow tests first: of two processes none is left alone with a long one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def corpus():
    return small_corpus()
