"""A what-if on the stored columns of a million documents, timed from the folder to the answer.

    python -m benchmarks.what_if                 # writes its section of benchmarks/RESULTS.md
    python -m benchmarks.what_if 100000          # fewer documents, printed only

The run folder is synthetic: columns as the web rules read them, a tenth of the documents in
near-duplicate pairs, two audited groups. The answer is compared, row by row, with judging
everything anew under the changed rules, and a sweep of twenty values is timed beside it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.results import write_section
from curate.audits import impact
from curate.config import load_config, to_toml
from curate.judgement import decision_for, write_rules
from curate.rules import override_rules
from curate.run_folder import RunFolder
from curate.runs import open_run
from curate.signals import SIGNALS
from curate.verdicts import Decision, decide

DOCUMENTS = 1_000_000
PART = 250_000
RULE = "gopher_quality.word_count"
CONFIG = {
    "input": {"path": "synthetic"},
    "rules": {"sets": ["gopher_quality", "gopher_repetition", "fineweb"]},
    "audit": {"groups": ["source", "language"]},
    "output": {"path": "."},
}


def main() -> None:
    """Make the folder, ask, compare, write the section."""
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        decision, columns, pairs = make_run(folder, documents)
        asked = {RULE: {"min": 30}}
        open_run(name).what_if({RULE: {"min": 31}})  # compiles once
        rows = [("what-if: documents, tokens and audit flags", *timed(name, asked))]
        rows.append(("sweep: retention at 20 values", *timed_sweep(name)))
        anew = decide(columns, pairs, changed(decision, asked))
        answer = open_run(name).what_if(asked)
        verdict = ["id", "failed", "kept", "duplicate_of"]
        same = answer.after.select(verdict).equals(anew.select(verdict))
    head = (
        f"{documents:,} documents, {len(decision.rules)} rules, {pairs.height:,} duplicate pairs, "
        "44 audited groups; from opening the folder to the answer, best of three."
    )
    text = page(head, rows, same=same, answer=str(answer))
    print(text)
    if documents == DOCUMENTS:
        write_section("What-if on a million documents", text)
    if not same:
        raise SystemExit("the what-if differs from judging anew")


def make_run(folder: RunFolder, documents: int) -> tuple[Decision, pl.DataFrame, pl.DataFrame]:
    """A finished run's tables: config, rules, pairs, verdicts."""
    config = load_config(CONFIG)
    folder.file("config.toml").write_text(to_toml(config), encoding="utf-8")
    columns = synthetic_columns(documents)
    decision = decision_for(config, columns)
    pairs = near_pairs(columns["id"])
    folder.file("duplicates").mkdir()
    pairs.write_parquet(folder.file("duplicates/pairs.parquet"))
    table = decide(columns, pairs, decision)
    folder.file("verdicts").mkdir()
    for i, start in enumerate(range(0, documents, PART)):
        table.slice(start, PART).write_parquet(folder.file(f"verdicts/part-{i:05}.parquet"))
    write_rules(folder, decision.rules, shown=())
    groups, steps = list(config.audit.groups), decision.steps()
    folder.file("audit").mkdir()
    audited = impact(table, steps=steps, group=groups, tokens="words", cluster="source")
    audited.write_parquet(folder.file("audit/impact.parquet"))
    return decision, columns, pairs


def synthetic_columns(documents: int) -> pl.DataFrame:
    """Signals that lie around the bounds, so that every rule removes some."""
    rng = np.random.default_rng(5)
    decision = decision_for(load_config(CONFIG), pl.DataFrame({"words": [1]}))
    columns: dict[str, object] = {
        "id": [f"document-{i:07}" for i in range(documents)],
        "source": rng.choice([f"host-{i:02}" for i in range(40)], documents),
        "language": rng.choice(["en", "de", "fr", "sw"], documents, p=[0.6, 0.2, 0.15, 0.05]),
        "control": pl.Series([None] * documents, dtype=pl.String),
    }
    words = np.exp(rng.normal(5.5, 1.2, documents)).astype(np.int64)
    # One language writes short, so that a bound on words flags it.
    words = np.where(columns["language"] == "sw", words // 2, words)
    columns |= {"words": words, "text_chars": words * 6, "text_bytes": words * 6}
    for rule in decision.rules:
        whole = SIGNALS[rule.signal].dtype is pl.Int64
        columns[rule.signal] = _around(rng, rule.min, rule.max, documents, whole=whole)
    columns[next(r.signal for r in decision.rules if r.name == RULE)] = words
    return pl.DataFrame(columns)


def _around(
    rng: np.random.Generator, low: float | None, high: float | None, n: int, *, whole: bool
) -> np.ndarray:
    """Values of which about three in a hundred lie outside the bounds."""
    if low is not None and high is None:
        values = low * np.exp(rng.exponential(1.0, n) - 0.03)
    else:
        values = (high or 0.0) * np.exp(0.03 - rng.exponential(1.0, n))
        values = np.maximum(values, low or 0.0)
    return np.ceil(values).astype(np.int64) if whole else values


def near_pairs(ids: pl.Series) -> pl.DataFrame:
    """A tenth of the documents in pairs with their neighbours, some of them in chains."""
    rng = np.random.default_rng(6)
    first = np.sort(rng.choice(len(ids) - 1, len(ids) // 20, replace=False))
    similarity = rng.uniform(0.8, 1.0, len(first))
    return pl.DataFrame(
        {
            "id_a": ids.gather(first),
            "id_b": ids.gather(first + 1),
            "kind": ["near"] * len(first),
            "jaccard": similarity,
            "containment": similarity,
        }
    )


def changed(decision: Decision, asked: dict[str, dict[str, float]]) -> Decision:
    """The decision under other bounds, made without the code that is timed."""
    rules = tuple(override_rules(decision.rules, asked))
    return Decision(rules=rules, duplicates=decision.duplicates, kinds=decision.kinds)


def timed(folder: str, asked: dict[str, dict[str, float]]) -> tuple[float, float]:
    """Wall and CPU seconds from opening the folder to the printed answer; best of three."""
    return _best(lambda: str(open_run(folder).what_if(asked)))


def timed_sweep(folder: str) -> tuple[float, float]:
    """The same for a sweep."""
    values = [float(v) for v in range(10, 410, 20)]
    return _best(lambda: open_run(folder).sweep(RULE, bound="min", values=values))


def _best(work: object) -> tuple[float, float]:
    taken = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        work()  # type: ignore[operator]
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(taken)


def page(head: str, rows: list[tuple[str, float, float]], *, same: bool, answer: str) -> str:
    """The section as Markdown."""
    lines = [head, "", "| question | wall seconds | CPU seconds |", "|---|---|---|"]
    lines += [f"| {name} | {wall:.2f} | {cpu:.2f} |" for name, wall, cpu in rows]
    verdict = "equal to" if same else "**different from**"
    lines += ["", f"The verdicts are {verdict} judging everything anew, row by row.", ""]
    return "\n".join([*lines, "```", answer, "```"])


if __name__ == "__main__":
    main()
