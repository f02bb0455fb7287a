"""Training speed of the transformer against Hugging Face transformers' GPT-2 of the same shape.

`python -m benchmarks.gpt [ENVIRONMENT]` makes an environment with torch and transformers in a
temporary folder (or takes the one named) and lets both sides train in turn, in processes of their
own: at equal settings (8 windows of 128 tokens, one thread, float32 and bfloat16), and each at the
best that it has (precision, threads, windows a step, and for the peer `torch.compile`). Then both
learn the standard library's documentation, each at the better of two rates.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from itertools import product
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.gpt_worker import LAYERS, POSITIONS, VOCABULARY
from benchmarks.planted_gpt import replace_section
from curate.tokens import encode, train_tokenizer

TITLE = "Transformers: speed"
PACKAGES = ("torch==2.13.0+cpu", "transformers==5.23.0", "numpy")
WIDTHS = (64, 128, 256)
ROUNDS, SECONDS = 6, 0.5  # best of so many turns of about so long
LEARNT, LEARN_WIDTH, LEARN_WINDOWS = 200_000, 64, 2
RATES = {"ours": (2e-3, 4e-3), "theirs": (2e-3, 4e-3)}
Setting = dict[str, Any]
EQUAL: Setting = {"threads": 1, "windows": 8}
TRIED_WINDOWS = (8, 16, 32, 64)


class Side:
    """One process that trains on request."""

    def __init__(self, python: str, name: str, folder: str) -> None:
        self.name = name
        code = "import sys; sys.path[:0] = [{!r}]; import benchmarks.gpt_worker as w; w.serve()"
        root = str(Path(__file__).parents[1])
        self.process = subprocess.Popen(
            [python, "-c", code.format(root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": folder},  # nothing compiled before
        )

    def ask(self, **request: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"threads": 1} | request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def speed(self, width: int, setting: Setting, *, seconds: float = SECONDS) -> dict[str, float]:
        """Tokens a second by the wall ("wall") and a CPU second ("cpu") in one turn."""
        guess = 2e6 / width / (setting["windows"] * POSITIONS)  # steps a second, roughly
        steps = max(2, round(guess * seconds))
        return self.ask(do="time", width=width, steps=steps, **setting)


def main() -> None:
    """Measure, print, and write the section."""
    with tempfile.TemporaryDirectory() as folder:
        python = environment(Path(sys.argv[1] if len(sys.argv) > 1 else folder))
        sides = Side(sys.executable, "ours", folder), Side(python, "theirs", folder)
        peaks = {
            (low, threads): max(
                sides[0].ask(do="peak", low=low, threads=threads)["flops"] for _ in range(3)
            )
            for low, threads in product((False, True), threads_here())
        }
        rows = []
        for width in WIDTHS:
            equal = [("equal", (EQUAL | {"low": low},) * 2) for low in (False, True)]
            for mode, settings in (*equal, ("best", best(sides, width))):
                rows.append(compared(sides, width, mode, settings, peaks))
                print(rows[-1], flush=True)
            for side in sides:
                side.ask(do="forget")
        losses = learnt(sides, Path(folder))
        print(losses, flush=True)
    write(rows, losses, peaks)


def environment(folder: Path) -> str:
    """A Python that has the peer; made where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(install, check=True)
    return str(python)


def threads_here() -> tuple[int, ...]:
    """One thread, and one a core."""
    return (1, os.cpu_count() or 1) if (os.cpu_count() or 1) > 1 else (1,)


def best(sides: tuple[Side, Side], width: int) -> tuple[Setting, Setting]:
    """The fastest setting of each side, by short trials."""
    tried = [
        {"low": low, "threads": threads, "windows": windows}
        for low, threads, windows in product((False, True), threads_here(), TRIED_WINDOWS)
    ]
    found = []
    for side in sides:
        fastest = max(tried, key=lambda setting: trial(side, width, setting))
        if side.name == "theirs":
            compiled = fastest | {"compiled": True}
            fastest = max((fastest, compiled), key=lambda setting: trial(side, width, setting))
        found.append(fastest)
    return found[0], found[1]


def trial(side: Side, width: int, setting: Setting) -> float:
    found = max(side.speed(width, setting, seconds=SECONDS / 3)["wall"] for _ in range(3))
    if not setting.get("compiled"):
        side.ask(do="forget")  # memory of a dozen settings
    return found


def compared(
    sides: tuple[Side, Side],
    width: int,
    mode: str,
    settings: tuple[Setting, Setting],
    peaks: dict[tuple[bool, int], float],
) -> str:
    """A line of the table: the two sides in turn, the best turn of each."""
    turns: list[list[dict[str, float]]] = [[], []]
    for _ in range(ROUNDS):
        for k, side in enumerate(sides):
            turns[k].append(side.speed(width, settings[k]))
    speeds = [max(turn["wall"] for turn in found) for found in turns]
    shares = [
        speed * flops(width) / peaks[setting["low"], setting["threads"]]
        for speed, setting in zip(speeds, settings, strict=True)
    ]
    shown = [
        f"{spelled(setting)} | {speed:,.0f} ({share:.0%})"
        for setting, speed, share in zip(settings, speeds, shares, strict=True)
    ]
    by_cpu = median(ours["cpu"] / theirs["cpu"] for ours, theirs in zip(*turns, strict=True))
    size, ratio = f"{12 * LAYERS * width**2 / 1e6:.2f} M", speeds[0] / speeds[1]
    return f"| {size} | {mode} | {' | '.join(shown)} | **{ratio:.2f}** | {by_cpu:.2f} |"


def flops(width: int) -> float:
    """Of a training step, a token: six a parameter in products, and causal attention's."""
    return 6 * (12 * LAYERS * width**2 + VOCABULARY * width) + 6 * LAYERS * POSITIONS * width


def spelled(setting: Setting) -> str:
    kind = "bf16" if setting["low"] else "fp32"
    compiled = ", compiled" if setting.get("compiled") else ""
    return f"{kind}, {setting['threads']} thr., {setting['windows']} × {POSITIONS}{compiled}"


def learnt(sides: tuple[Side, Side], folder: Path) -> list[str]:
    """Held-out loss after the same tokens, each side at the better of its rates."""
    path = folder / "tokens.npz"
    np.savez(path, **documentation())
    found = []
    for side, low in product(sides, (False, True)):
        asked = {"low": low, "width": LEARN_WIDTH, "windows": LEARN_WINDOWS, "path": str(path)}
        losses = {
            rate: side.ask(do="learn", rate=rate, **asked)["nats"] for rate in RATES[side.name]
        }
        rate = min(losses, key=lambda each: losses[each])
        kind = "bfloat16" if low else "float32"
        found.append(f"{side.name} {losses[rate]:.3f} in {kind} (rate {rate:g})")
    return found


def documentation() -> dict[str, np.ndarray]:
    """Tokens: docstrings of the standard library to learn, the language's help pages held out."""
    texts = [*docstrings()]
    order = np.random.default_rng(0).permutation(len(texts))
    tokenizer = train_tokenizer([texts[i] for i in order[:1500]], vocabulary=VOCABULARY)
    train = encode(tokenizer, pl.Series([texts[i] for i in order]))[0][:LEARNT]
    held_out = encode(tokenizer, pl.Series([text for _, text in sorted(topics.items())]))[0]
    return {"train": train, "held_out": held_out[: 200 * POSITIONS]}


def docstrings() -> list[str]:
    """Longer docstrings of the standard library, in the order of its files."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                found += [text] if text and len(text) >= 200 else []
    return found


def write(rows: list[str], losses: list[str], peaks: dict[tuple[bool, int], float]) -> None:
    """Replace this benchmark's section of the results."""
    shown = ", ".join(
        f"{'bf16' if low else 'fp32'} on {threads}: {value / 1e9:.0f} Gflop/s"
        for (low, threads), value in peaks.items()
    )
    text = "\n".join(
        [
            f"## {TITLE}",
            "",
            f"`python -m benchmarks.gpt`: training steps against {PACKAGES[1]}'s GPT-2 of the same "
            f"width and {LAYERS} layers, vocabulary {VOCABULARY}, fused AdamW, no dropout; tokens "
            f"a second by the wall, best of {ROUNDS} turns each, taken alternately (share of the "
            f"matrix-product peak measured in the same run: {shown}). *Best*: the fastest of both "
            f"precisions, one thread or all, {TRIED_WINDOWS} windows a step, and for GPT-2 that "
            "setting compiled; ours splits a step's windows over threads. Last column: median "
            "ratio of tokens a CPU second of neighbouring turns, which load disturbs less.",
            "",
            "| non-embedding | | ours at | tokens/s | GPT-2 at | tokens/s | ratio | a CPU second |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Held-out loss after {LEARNT:,} tokens of documentation, width {LEARN_WIDTH}, nats a "
            f"token, each at the better of two rates (of {RATES['ours']}, chosen on that loss): "
            f"{'; '.join(losses)}.",
            f"<!-- end: {TITLE} -->",
            "",
        ]
    )
    replace_section(TITLE, text)


if __name__ == "__main__":
    main()
