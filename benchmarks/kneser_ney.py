"""Speed of the n-gram model, what a ladder costs beyond its top, and its loss beside KenLM's.

`python -m benchmarks.kneser_ney [CORPUS [LMPLZ]]` reads a demo corpus (default: builds one in a
temporary folder). KenLM's `lmplz` is built from its release on PyPI with Boost from Debian's
packages, unpacked in a temporary folder, unless its path is given; where that fails the
section says so. Seconds are CPU seconds, the best of some turns.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.results import write_section
from curate.demo import build_demo_corpus
from curate.ngram_model import NgramCounts, fit_discounts
from curate.proxies import Evaluation, KneserNey
from curate.subsets import draw_keys, id_hashes
from curate.tokens import encode, train_tokenizer

TITLE = "Kneser–Ney: speed, ladder, KenLM"
VOCABULARY = 1024
TOP = 3_200_000
BUDGETS = [TOP >> k for k in (4, 3, 2, 1, 0)]
TURNS = 3
KENLM_TOKENS = 800_000
KENLM = "kenlm==0.3.0"
BOOST = "1.74"
PARTS = ("", "program-options", "thread", "system", "test", "atomic", "chrono", "date-time")

Tokens = NDArray[np.uint16]
Encoded = tuple[Tokens, NDArray[np.int64]]


def main() -> None:
    """Measure, print, and write the section."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        if len(sys.argv) == 1:
            build_demo_corpus(corpus)
        train, test, sizes = texts(corpus)
        lines = [*speed_lines(train[0]), "", *ladder_lines(train[0], test, sizes), ""]
        lines.append(kenlm_line(train, test, sizes, Path(folder)))
    print("\n".join(lines))
    head = f"`python -m benchmarks.kneser_ney` on {platform.machine()}, {os.cpu_count()} cores, "
    head += f"best of {TURNS} turns; documentation of installed packages, {VOCABULARY:,} token ids."
    write_section(TITLE, "\n".join([head, "", *lines]))


def texts(corpus: Path) -> tuple[Encoded, Encoded, NDArray[np.int64]]:
    """Training documents in a drawn order, evaluation documents, and bytes of the latter."""
    truth = pl.read_parquet(corpus / "truth.parquet").filter(pl.col("kind").is_null())
    clean = pl.read_parquet(corpus / "raw.parquet").join(truth, on="id", how="semi")
    clean = clean[np.argsort(draw_keys(id_hashes(clean["id"]), seed=1))]
    held = pl.read_parquet(sorted((corpus / "evaluation").glob("*.parquet"))[0]).head(150)
    tokenizer = train_tokenizer(clean["text"].head(3_000).to_list(), vocabulary=VOCABULARY)
    sizes = held["text"].str.len_bytes().cast(pl.Int64).to_numpy()
    return encode(tokenizer, clean["text"]), encode(tokenizer, held["text"]), sizes


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def counted(tokens: Tokens, order: int, n: int) -> NgramCounts:
    """An n-gram table of the first n tokens."""
    counts = NgramCounts(order=order, vocabulary=VOCABULARY)
    counts.extend(tokens, stop=n)
    return counts


def speed_lines(tokens: Tokens) -> list[str]:
    """Tokens a CPU second at orders 3 and 5."""
    rows = ["| order | tokens | M tokens a CPU second | aim |", "|---|---|---|---|"]
    for order, aim in ((3, 5.0), (5, 2.5)):
        counted(tokens, order, 1_000)  # compiled before the clock starts
        for n in (TOP // 4, TOP):
            work = partial(counted, tokens, order, min(n, len(tokens)))
            best = min(cpu_seconds(work) for _ in range(TURNS))
            rows.append(f"| {order} | {n:,} | {n / best / 1e6:.1f} | ≥ {aim} |")
    return rows


def ladder_lines(tokens: Tokens, test: Encoded, sizes: NDArray[np.int64]) -> list[str]:
    """What five budgets cost against the top alone, scoring included."""
    evaluation = Evaluation(tokens=test[0], offsets=test[1], bytes=sizes)
    budgets = [n for n in BUDGETS if n <= len(tokens)]
    rows = ["| order | five budgets against the top alone | aim |", "|---|---|---|"]
    for size in ("order3", "order5"):
        family = KneserNey().prepare(
            tokens[: budgets[-1]], budgets=budgets, sizes=[size], vocabulary=VOCABULARY
        )

        def climb(rungs: list[int], family: KneserNey = family, size: str = size) -> None:
            list(family.ladder(tokens, budgets=rungs, size=size, seed=0, evaluation=evaluation))

        times = [
            (cpu_seconds(lambda: climb(budgets)), cpu_seconds(lambda: climb(budgets[-1:])))
            for _ in range(TURNS)
        ]
        ratio = min(t[0] for t in times) / min(t[1] for t in times)
        rows.append(f"| {size.removeprefix('order')} | {ratio:.2f} × | ≤ 1.6 × |")
    scored = f"{len(test[0]):,} tokens are scored at each budget."
    return [*rows, "", scored]


def kenlm_line(train: Encoded, test: Encoded, sizes: NDArray[np.int64], folder: Path) -> str:
    """Bits per byte beside those of KenLM's own estimate of the same tokens at order 5."""
    stop = int(np.searchsorted(train[1], KENLM_TOKENS))
    tokens, offsets = train[0][: train[1][stop]], train[1][: stop + 1]
    counts = counted(tokens, 5, len(tokens))
    discounts = fit_discounts(tokens, 5, [len(tokens)], vocabulary=VOCABULARY)[0]
    ours = counts.token_bits(test[0], test[1], discounts=discounts).sum() / sizes.sum()
    try:
        lmplz = Path(sys.argv[2]) if len(sys.argv) > 2 else built_lmplz(folder / "kenlm")
        theirs, seconds = kenlm_bits(lmplz, (tokens, offsets), test, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"KenLM could not be built here ({error}); ours: {ours:.4f} bits per byte."
    bits = theirs / float(sizes.sum())
    own = cpu_seconds(lambda: counted(tokens, 5, len(tokens)))
    return (
        f"**KenLM** 0.3.0 `lmplz`, order 5, the same {len(tokens):,} tokens, each with its own "
        f"discounts by the same rule: {bits:.4f} bits per byte, curate {ours:.4f} "
        f"({100 * (ours / bits - 1):+.2f} %, aim at most +0.5 %). CPU seconds to count and "
        f"estimate: lmplz {seconds:.1f} (to a text file), curate {own:.1f} (in memory)."
    )


def built_lmplz(folder: Path) -> Path:
    """`lmplz` from the source distribution, with Boost unpacked beside it."""
    folder.mkdir()

    def call(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:")
    call(*pip, "--no-build-isolation", KENLM)
    names = [f"libboost{'-' + p if p else ''}{BOOST}-dev" for p in PARTS]
    call("apt-get", "download", *names)
    for package in folder.glob("*.deb"):
        call("dpkg", "-x", package.name, "boost")
    call("tar", "xzf", next(folder.glob("kenlm-*.tar.gz")).name)
    source = next(path for path in folder.glob("kenlm-*") if path.is_dir())
    flags = ("-DBoost_USE_STATIC_LIBS=ON", "-DCMAKE_POLICY_VERSION_MINIMUM=3.5")
    boost = f"-DBOOST_ROOT={folder / 'boost' / 'usr'}"
    call("cmake", "-S", source.name, "-B", "build", boost, *flags, "-DCMAKE_BUILD_TYPE=Release")
    call("cmake", "--build", "build", "--target", "lmplz", "-j", str(os.cpu_count()))
    return folder / "build" / "bin" / "lmplz"


def kenlm_bits(lmplz: Path, train: Encoded, test: Encoded, folder: Path) -> tuple[float, float]:
    """Bits of the evaluation text by KenLM's estimate, and its CPU seconds."""
    before = os.times()
    command = [str(lmplz), "-o", "5", "-S", "1G", "-T", str(folder), "--vocab_estimate", "2000"]
    made = subprocess.run(
        command, input="\n".join(spelled(*train)).encode(), check=True, capture_output=True
    )
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    grams = read_arpa(made.stdout.decode())
    return sum(bits_of(grams, words.split()) for words in spelled(*test)), seconds


def spelled(tokens: Tokens, offsets: NDArray[np.int64]) -> list[str]:
    """Each document as a line of words, without the boundary token that ends it."""
    names = np.array([f"t{i}" for i in range(VOCABULARY)], dtype=object)
    spans = zip(offsets[:-1], offsets[1:] - 1, strict=True)
    return [" ".join(names[tokens[start:end]]) for start, end in spans]


def read_arpa(text: str) -> dict[str, tuple[float, float]]:
    """N-gram → log10 of its probability and of its back-off weight."""
    found = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) > 1:
            found[parts[1]] = float(parts[0]), float(parts[2]) if len(parts) > 2 else 0.0
    return found


def bits_of(grams: dict[str, tuple[float, float]], words: list[str]) -> float:
    """Bits of one document with its end."""
    history, total = ["<s>"], 0.0
    for word in [*words, "</s>"]:
        total += log10_probability(grams, history[-4:], word)
        history.append(word)
    return -total * math.log2(10)


def log10_probability(
    grams: dict[str, tuple[float, float]], context: list[str], word: str
) -> float:
    """By the longest n-gram that is there, with the back-off of the contexts passed over."""
    off = 0.0
    while context:
        found = grams.get(" ".join([*context, word]))
        if found is not None:
            return off + found[0]
        off += grams.get(" ".join(context), (0.0, 0.0))[1]
        context = context[1:]
    return off + grams.get(word, grams["<unk>"])[0]


if __name__ == "__main__":
    main()
