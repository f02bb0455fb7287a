"""Planted truth: text of known worth mixed into documentation, measured by Kneser–Ney proxies.

`python -m benchmarks.proxies [CORPUS]` reads a demo corpus (default: builds one in a temporary
folder), mixes planted documents into a part of its documentation at shares f of the tokens, and
asks the experiment what taking them out again is worth: `raw → curated`, order 3, paired draws.
Inert text must cost 1 / (1 − f) and nothing else (harm 1). The same runs say what pairing the draws
is worth, and copies of documents what a duplicate is worth near and far from the whole pool.
"""

from __future__ import annotations

import base64
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import Generator

from benchmarks.pairing import Spread, pairing_lines
from benchmarks.repeats import repeat_lines
from benchmarks.results import write_section
from curate.controls import inert_filler
from curate.corpus import decontaminate
from curate.defects import DEFECTS
from curate.demo import build_demo_corpus
from curate.executors import threads
from curate.experiment import (
    ExperimentResult,
    MeasureConfig,
    MeasureInputs,
    measure_inputs,
    run_experiment,
)
from curate.subsets import draw_keys, id_hashes

LANGUAGES = Path(__file__).parents[1].parent / "shared" / "corpora" / "multi_lingua"
TITLE = "Planted truth"
CLEAN_BYTES = 3_000_000
SHARES = (0.1, 0.25, 0.5)
BUDGETS = (50_000, 100_000)
DRAWS = 20
INERT_FACTOR = 8  # its bytes make few tokens
REACH = {0.5: 5.0}  # beyond D / (1 − f): random letters at f = .5 multiply by more than 4
CONFIG = MeasureConfig(
    arms=("raw", "curated"),
    sizes=("order3",),
    budgets=BUDGETS,
    replicates=DRAWS,
    evaluation_tokens=10_000,
)


def shuffled_words(rng: Generator, text: str) -> str:
    """The text's words in random order."""
    words = text.split()
    return " ".join(words[i] for i in rng.permutation(len(words)))


def base64_text(rng: Generator, text: str) -> str:
    """As many random bytes as the text has, in base64."""
    return base64.b64encode(rng.bytes(len(text) * 3 // 4)).decode()


def random_letters(rng: Generator, text: str) -> str:
    """Random letters in words as long as the text's."""
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    return " ".join(rng.choice(letters, len(w)).tobytes().decode() for w in text.split()[:400] if w)


def inert(rng: Generator, text: str) -> str:
    """The calibrator's filler."""
    return inert_filler(1, seed=int(rng.integers(1 << 30)))[0]


def other_language(rng: Generator, text: str) -> str:
    """A document in one of 70 languages other than English."""
    return str(rng.choice(np.array(foreign_texts(), dtype=object)))


@cache
def foreign_texts() -> list[str]:
    """Sentences in languages other than English; none where the corpus is not there."""
    path = LANGUAGES / "docs.parquet"
    if not path.exists():
        return []
    english = pl.col("lang").str.to_lowercase().is_in(["en", "eng", "english"])
    return pl.read_parquet(path).filter(~english)["text"].to_list()


PLANTED: dict[str, Callable[[Generator, str], str]] = {
    "inert filler": inert,
    "shuffled words": shuffled_words,
    "random letters": random_letters,
    "base64": base64_text,
    "other languages": other_language,
    "mojibake": DEFECTS["mojibake"],
}


def main() -> None:
    """Measure, print, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        if len(sys.argv) == 1:
            build_demo_corpus(corpus)
        clean, origins, evaluation = documents(corpus)
    rows, spreads = [], []
    for kind, maker in PLANTED.items():
        if maker is other_language and not foreign_texts():
            print("other languages: needs ../shared/corpora/multi_lingua, not found: skipped")
            continue
        size = CLEAN_BYTES * (INERT_FACTOR if maker is inert else 1)
        inputs = encoded(clean, planted(maker, origins, size), evaluation)
        shares = SHARES if rows else (0.0, *SHARES)
        for share in shares:
            result = measured(with_share(inputs, share), share)
            rows.append(row(kind if share else "nothing", result))
            print(rows[-1], flush=True)
            if share:
                spreads.append(Spread.of(f"{kind}, f = {share}", result, BUDGETS[-1]))
    repeats = repeat_lines(inputs, draws=DRAWS)
    write_section(TITLE, text_of(rows, pairing_lines(spreads), repeats))


def documents(corpus: Path) -> tuple[pl.DataFrame, list[str], pl.DataFrame]:
    """Clean documents of the pool, texts that are in no arm to plant from, evaluation sets."""
    files = sorted((corpus / "evaluation").glob("*.parquet"))
    sets = [pl.read_parquet(f).select("id", "text", source=pl.lit(f.stem)) for f in files]
    evaluation = pl.concat(sets)
    truth = pl.read_parquet(corpus / "truth.parquet").filter(pl.col("kind").is_null())
    clean = pl.read_parquet(corpus / "raw.parquet").join(truth, on="id", how="semi")
    overlaps = decontaminate(clean.select("id", "text"), evaluation)["id"]
    clean = clean.filter(~pl.col("id").is_in(overlaps.implode())).select("id", "text")
    clean = clean[np.argsort(draw_keys(id_hashes(clean["id"]), seed=1, salt="benchmark"))]
    ends = clean["text"].str.len_bytes().cum_sum()
    pool = clean.filter(ends <= CLEAN_BYTES)
    return pool, clean.filter(ends > CLEAN_BYTES)["text"].to_list(), evaluation


def planted(maker: Callable[[Generator, str], str], origins: list[str], n_bytes: int) -> list[str]:
    """Texts of one kind, as many bytes as the clean ones have."""
    rng, made, size = np.random.default_rng(3), [], 0
    while size < n_bytes:
        text = maker(rng, origins[len(made) % len(origins)][:6_000])
        made.append(text)
        size += len(text)
    return made


def encoded(clean: pl.DataFrame, texts: list[str], evaluation: pl.DataFrame) -> MeasureInputs:
    """Clean and planted documents; `curated` marks the clean ones."""
    noise = pl.DataFrame({"id": [f"planted-{i}" for i in range(len(texts))], "text": texts})
    frame = pl.concat(
        [
            clean.with_columns(curated=pl.lit(value=True)),
            noise.with_columns(curated=pl.lit(value=False)),
        ]
    )
    filler = inert_filler(400, seed=1)
    return measure_inputs(frame, evaluation=evaluation, filler=filler, config=CONFIG, seed=1)


def with_share(inputs: MeasureInputs, share: float) -> MeasureInputs:
    """Only so many of the planted documents that they are this share of the tokens."""
    lengths, clean = inputs.texts["raw"].lengths, inputs.masks["curated"]
    wanted = float(lengths[clean].sum()) * share / (1 - share)
    chosen = np.cumsum(np.where(clean | ~inputs.native, 0, lengths)) <= wanted
    native = inputs.native & (clean | chosen)
    return replace(inputs, masks={**inputs.masks, "native": native}, held_out={})


def measured(inputs: MeasureInputs, share: float) -> ExperimentResult:
    """The experiment, with a ladder that reaches what this share may do."""
    config = replace(CONFIG, reach=REACH.get(share, CONFIG.reach))
    return run_experiment(inputs, config, seed=1, executor=threads(1))


def row(kind: str, result: ExperimentResult) -> str:
    """One line of the table."""
    f = result.plan["contrasts"][0]["removed_share"]
    found = [
        one_cell(result.multipliers, n, quantity)
        for n in BUDGETS
        for quantity in ("multiplier", "harm")
    ]
    return f"| {kind} | {f:.2f} | {1 / (1 - f):.2f} | {' | '.join(found)} |"


def one_cell(table: pl.DataFrame, budget: int, quantity: str) -> str:
    """An estimate with its 95 % interval."""
    found = table.filter(n_tokens=budget, quantity=quantity, eval_set="all").row(0, named=True)
    if found["low"] is None:
        return f"{found['bound']} {found['estimate']:.2f}"
    return f"{found['estimate']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def text_of(rows: list[str], *further: list[str]) -> str:
    """The section: what was run, the table, and what else the same runs say."""
    budgets = [f"m at {n // 1000} k | harm at {n // 1000} k" for n in BUDGETS]
    head = f"| planted | f of tokens | 1/(1 − f) | {' | '.join(budgets)} |"
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines = [
        f"`python -m benchmarks.proxies`: {used.ru_utime + used.ru_stime:.0f} CPU seconds on "
        f"{platform.machine()}, {os.cpu_count()} cores. Documentation of installed packages "
        f"({CLEAN_BYTES // 10**6} MB) with planted text, Kneser–Ney order 3, {DRAWS} paired "
        "draws, mean of 4 neutral sets, 95 % intervals; m is what one clean token does in tokens "
        "of the mixture, harm what the planted text costs beyond its room (1 = empty, above 1 = "
        "it hurts, below 1 = it teaches).",
        "",
        head,
        "|---" * (head.count("|") - 1) + "|",
        *rows,
    ]
    for part in further:
        lines += ["", *part]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
