"""Our rule sets in the dialects of three peers, beside the peers themselves on the same documents.

    python -m benchmarks.conformance             # writes docs/conformance.md
    python -m benchmarks.conformance --peers F   # environments F/datatrove, F/dolma, F/nemo
    python -m benchmarks.conformance --verdicts F  # F/<peer>.jsonl of an earlier run

Each peer is installed into an environment of its own in a temporary folder, the three run side by
side. Of NeMo Curator only the files are taken (`pip download --no-deps`): its package imports Ray
and CUDA libraries, its filters do not need them. The documents: English prose of the mixed crawl.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import polars as pl

from curate.rules import Rule, RulesConfig, judge, load_rules, required_columns
from curate.signals import measure_signals

ROOT = Path(__file__).parents[1]
MIXED = ROOT.parent / "shared" / "corpora" / "mixed"
PROSE = ("book_passage", "c4", "blog", "web_page_full_text")
PACKAGES = {
    "datatrove": ("datatrove[processing]==0.10.1", "xxhash<4", "spacy", "py3langid"),
    "dolma": ("dolma==1.2.1",),
    "nemo": ("regex", "loguru"),
}
NEMO = "nemo-curator==1.4.0"
GOPHER = ("gopher_quality", "gopher_repetition")
SETS = {"datatrove": (*GOPHER, "fineweb", "c4"), "dolma": GOPHER, "nemo": GOPHER}
CAUSES = {
    "datatrove": {
        "gopher_quality": "forms on spaCy's list of exceptions that ours leaves out",
        "gopher_repetition": "spaCy's tokens in code, tables and addresses, hence other n-grams",
        "c4": "datatrove splits sentences by spaCy's rules, we count final marks",
    },
    "nemo": {
        "gopher_repetition": "of several most frequent n-grams NeMo takes any, and finds it only "
        "where its words stand one space apart",
    },
}
OTHER = "not explained"


def main() -> None:
    """Run the peers, compare, write the page."""
    documents = candidates()
    theirs = earlier() if "--verdicts" in sys.argv else run_peers(documents)
    for table in theirs.values():
        documents = documents.filter(pl.col("id").is_in(table["id"].implode()))
    if "datatrove" in theirs:
        english = theirs["datatrove"].filter(language="en")["id"].implode()
        pages = pl.col("kind") == "web_page_full_text"
        documents = documents.filter(~pages | pl.col("id").is_in(english))
    page = (ROOT / "docs" / "conformance.md.in").read_text(encoding="utf-8")
    sections = [section(peer, documents, table) for peer, table in theirs.items()]
    missing = [f"{peer} could not be installed: not compared." for peer in PACKAGES.keys() - theirs]
    page = page.replace("{documents}", f"{documents.height:,}")
    page = page.replace("{sections}", "\n\n".join([*sections, *missing]))
    (ROOT / "docs" / "conformance.md").write_text(page, encoding="utf-8")
    print(page)


def candidates() -> pl.DataFrame:
    """Texts of the kinds of prose, `id, text, kind`."""
    if not MIXED.exists():
        raise SystemExit("needs ../shared/corpora/mixed, not found")
    kinds = pl.read_parquet(MIXED / "raw_truth.parquet", columns=["id", "kind"])
    texts = pl.read_parquet(MIXED / "raw.parquet", columns=["id", "text"])
    joined = texts.join(kinds, on="id", maintain_order="left")
    return joined.filter(pl.col("kind").is_in(PROSE))


def run_peers(documents: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Peer → `id, failed`, and `language` from datatrove's environment; absent = not installed."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        documents.select("id", "text").write_ndjson(folder / "texts.jsonl")
        running = {}
        for peer in PACKAGES:
            command = environment(peer, folder)
            if command is not None:
                script = str(ROOT / "benchmarks" / f"conformance_{peer}.py")
                files = [str(folder / "texts.jsonl"), str(folder / f"{peer}.jsonl")]
                variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": command[1]}
                running[peer] = subprocess.Popen([command[0], script, *files], env=variables)
        return {
            peer: pl.read_ndjson(folder / f"{peer}.jsonl")
            for peer, process in running.items()
            if process.wait() == 0
        }


def earlier() -> dict[str, pl.DataFrame]:
    """What the peers said in an earlier run."""
    folder = Path(sys.argv[sys.argv.index("--verdicts") + 1])
    files = {peer: folder / f"{peer}.jsonl" for peer in PACKAGES}
    return {peer: pl.read_ndjson(path) for peer, path in files.items() if path.exists()}


def environment(peer: str, folder: Path) -> tuple[str, str] | None:
    """Interpreter and module path of a peer's environment; None where it cannot be made."""
    if "--peers" in sys.argv:
        home = Path(sys.argv[sys.argv.index("--peers") + 1])
        return str(home / peer / "bin" / "python"), str(home / "files" / peer)
    venv.create(folder / peer, with_pip=True)
    python = str(folder / peer / "bin" / "python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", *PACKAGES[peer]], check=False).returncode
    files = folder / "files" / peer
    if peer == "nemo" and not done:
        download = [*pip, "download", "--no-deps", "--dest", str(folder), NEMO]
        done = subprocess.run(download, check=False).returncode
        for wheel in folder.glob("nemo_curator-*.whl"):
            zipfile.ZipFile(wheel).extractall(files)
    return None if done else (python, str(files))


def section(peer: str, documents: pl.DataFrame, theirs: pl.DataFrame) -> str:
    """One peer: verdicts of whole sets, then rule by rule, then every difference."""
    rules = load_rules(RulesConfig(sets=SETS[peer], dialect=peer))
    frame = measure_signals(documents, required_columns(rules))
    other = theirs.select("id", other="failed")
    both = judge(frame, rules).join(other, on="id", how="left", maintain_order="left")
    columns = f"| rule | same verdict | kappa | we drop | {peer} drops |\n|---|---|---|---|---|"
    head = f"## {peer}\n\n{columns}"
    lines = [_row(f"**{name}**", *_set_drops(both, name)) for name in SETS[peer]]
    lines += [_row(rule.name, *_rule_drops(both, rule)) for rule in rules if rule_known(peer, rule)]
    listed = [line for name in SETS[peer] for line in _differences(peer, both, name, rules)]
    table = ["| set | document | we | they | our figure | cause |", "|---|---|---|---|---|---|"]
    told = "\n".join([*table, *listed]) if listed else "None."
    return "\n".join([head, *lines]) + f"\n\n### Every difference from {peer}\n\n{told}"


def rule_known(peer: str, rule: Rule) -> bool:
    """Whether the peer has this rule by itself: the other side of NeMo's short texts has not."""
    return not rule.name.startswith("c4.") and not (
        peer == "nemo" and rule.name.endswith("ngram_words")
    )


def _set_drops(both: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series]:
    """Who drops each document by any rule of a set."""
    own = pl.element().str.starts_with(f"{name}.")
    sides = both.select(
        ours=pl.col("failed").list.eval(own).list.any(),
        theirs=pl.col("other").list.eval(own).list.any(),
    ).fill_null(False)
    return sides["ours"], sides["theirs"]


def _rule_drops(both: pl.DataFrame, rule: Rule) -> tuple[pl.Series, pl.Series]:
    sides = [both[side].list.contains(rule.name).fill_null(False) for side in ("failed", "other")]
    return sides[0], sides[1]


def _row(name: str, ours: pl.Series, theirs: pl.Series) -> str:
    agree = float((ours == theirs).mean() or 0.0)  # type: ignore[arg-type]
    p, q = float(ours.mean() or 0.0), float(theirs.mean() or 0.0)  # type: ignore[arg-type]
    chance = p * q + (1 - p) * (1 - q)
    kappa = "–" if chance == 1 else f"{(agree - chance) / (1 - chance):.3f}"
    return f"| {name} | {agree:.2%} | {kappa} | {p:.2%} | {q:.2%} |"


def _differences(peer: str, both: pl.DataFrame, name: str, rules: list[Rule]) -> list[str]:
    """One line a document whose verdict by a set differs."""
    ours, theirs = _set_drops(both, name)
    cause = CAUSES.get(peer, {}).get(name, OTHER)
    lines = []
    for row in both.filter(ours != theirs).to_dicts():
        we = [f.partition(".")[2] for f in row["failed"] if f.startswith(f"{name}.")]
        they = [f.partition(".")[2] for f in row["other"] if f.startswith(f"{name}.")]
        first = next((r for r in rules if r.name == f"{name}.{(we or they or ['-'])[0]}"), None)
        figure = "" if first is None else f"{row[first.signal]:.4g}"
        shown = [", ".join(side) or "kept" for side in (we, they if they or we else ["dropped"])]
        lines.append(
            f"| {name} | {row['id']} ({row['kind']}) | {shown[0]} | {shown[1]} | "
            f"{figure} | {cause} |"
        )
    return lines


if __name__ == "__main__":
    main()
