"""No personal value leaves the texts: not in tables, report, card, model or on the terminal."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from curate.config import load_config, to_toml

VALUES = {
    "email": "maria.gonzales@northmill-press.org",
    "ip": "81.203.17.44",
    "card": "4539 1488 0343 6467",
    "iban": "DE89 3704 0044 0532 0130 00",
    "phone": "+44 20 7946 0958",
    "secret": "AKIAIOSFODNN7EXAMPLQ",
}
RAW = ("documents", "quarantine")  # folders of input as it was read; quality/reference has one


@pytest.fixture(scope="module")
def texts(corpus):
    """Every third document holds values, at its start, so that excerpts would show them."""
    rows = corpus.drop("kind").head(150).with_row_index("row")
    told = " ".join(f"{name} {value}." for name, value in VALUES.items())
    first = pl.when(pl.col("row") % 3 == 0).then(pl.lit(told + " ")).otherwise(pl.lit(""))
    return rows.with_columns(text=first + pl.col("text")).drop("row")


def run(folder, texts, steps):
    texts.write_parquet(folder / "raw.parquet")
    texts.head(50).select("id", "text").write_parquet(folder / "good.parquet")
    values = {
        "input": {"path": str(folder / "raw.parquet")},
        "rules": {"sets": ["web_safety"], "add": {"long": {"signal": "text_chars", "min": 700}}},
        "clean": {"steps": steps},
        "quality": {"reference": str(folder / "good.parquet"), "min": 0.1},
        "duplicates": {"near": {"jaccard": 0.8, "preset": "high_recall"}},
        "controls": {"share": 0.05},
        "output": {"path": str(folder / "run"), "min_yield": 0.0},
    }
    (folder / "run.toml").write_text(to_toml(load_config(values)))
    command = [sys.executable, "-m", "curate", "run", str(folder / "run.toml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def spilled(root, *apart):
    """(file, kind) of every value that a file of the run holds."""
    found = []
    for path in sorted(p for p in Path(root).rglob("*") if p.is_file()):
        name = path.relative_to(root)
        if not set(name.parts) & set(apart):
            held = contents(path)
            found += [(str(name), kind) for kind, value in VALUES.items() if value in held]
    return found


def contents(path):
    if path.suffix == ".parquet":
        return repr(pl.read_parquet(path).to_dicts())
    return path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize(
    ("steps", "apart"), [(["mask_pii"], RAW), ([], (*RAW, "curated"))], ids=["masked", "left"]
)
def test_no_value_in_a_whole_run(tmp_path, texts, steps, apart):
    done = run(tmp_path, texts, steps)
    made = {p.relative_to(tmp_path / "run").parts[0] for p in (tmp_path / "run").rglob("*")}
    examples = pl.read_parquet(tmp_path / "run" / "examples.parquet")

    assert done.returncode == 0, done.stderr
    assert {"report.html", "quality", "duplicates", "curated", "audit"} <= made
    assert examples.filter(pl.col("excerpt").str.contains("email")).height > 0
    assert len(spilled(tmp_path / "run")) >= len(VALUES)  # the documents themselves
    assert spilled(tmp_path / "run", *apart) == []
    assert [v for v in VALUES.values() if v in done.stdout + done.stderr] == []
