"""Case study: a word filter that removes dialect. Run: `python examples/dialect_filter.py`.

Forum posts are synthetic; a fifth is written in a dialect. One of three filters, a list of "bad
words", holds words that the dialect uses without malice. The audit finds the dialect by its own
word list, which knows nothing of the filter, names the filter as the responsible step, and its
gate would stop a run.
"""

import numpy as np
import polars as pl

from curate.audits import Audit, Gate, add_lexicon_groups, audit, check_gate

COLUMN = "dialect: African American English"
STANDARD = ("going to", "is not", "you all", "want to", "that", "no", "brother", "about to")
DIALECT = ("finna", "ain't", "y'all", "wanna", "dat", "nah", "bruh", "bouta")
TOPICS = (
    "the game",
    "my job",
    "the bus",
    "dinner",
    "school",
    "the new song",
    "rent",
    "the weather",
)
# Words of the "bad words" list: half of them are only dialect.
BAD_WORDS = ("damn", "bruh", "finna")


def make_posts(n: int, *, seed: int) -> pl.DataFrame:
    """Posts with `text`, `source`, `words` and `failed`: three filters, one of them biased."""
    rng = np.random.default_rng(seed)
    dialect = rng.random(n) < 0.2
    texts = []
    for i in range(n):
        vocabulary = DIALECT if dialect[i] else STANDARD
        chosen = rng.choice(len(vocabulary), 3, replace=False)
        parts = [f"{vocabulary[j]} {TOPICS[rng.integers(len(TOPICS))]}" for j in chosen]
        swearing = ["damn"] if rng.random() < 0.04 else []
        texts.append(" ".join([*parts, *swearing]))
    bad = rng.random(n) < 0.5
    failed = [
        [
            *(["length.short"] if rng.random() < 0.05 else []),
            *(["profanity.words"] if bad[i] and any(w in t.split() for w in BAD_WORDS) else []),
            *(["duplicates.near"] if rng.random() < 0.08 else []),
        ]
        for i, t in enumerate(texts)
    ]
    return pl.DataFrame(
        {"text": texts, "source": (rng.integers(0, 5, n)).astype(str), "failed": failed},
        schema_overrides={"failed": pl.List(pl.String)},
    ).with_columns(words=pl.col("text").str.count_matches(r"\S+"))


def audited(posts: pl.DataFrame) -> Audit:
    """The audit by dialect, as the word list finds it, and by source."""
    return audit(add_lexicon_groups(posts, ["dialect"]), groups=["source", COLUMN], cluster=None)


def stop_run(found: Audit) -> None:
    """Raise what would end a run."""
    check_gate(found.table, Gate())


if __name__ == "__main__":
    result = audited(make_posts(6_000, seed=1))
    print(result.sentence)  # noqa: T201 - an example prints
    print(result.flagged.select("step", "group_column", "group", "removal_ratio", "q"))  # noqa: T201
