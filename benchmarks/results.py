"""Where benchmarks leave their tables: one section each of RESULTS.md, replaced by every run."""

from __future__ import annotations

from pathlib import Path

PATH = Path(__file__).parent / "RESULTS.md"


def write_section(title: str, text: str, path: Path = PATH) -> None:
    """Put a section in the place of its last form, or at the end."""
    old = path.read_text("utf-8") if path.exists() else "# Benchmark results\n"
    head, foot = f"## {title}\n", f"<!-- end: {title} -->\n"
    block = f"{head}\n{text.rstrip()}\n{foot}"
    start, end = old.find(head), old.find(foot)
    if start >= 0 and end < 0:
        raise SystemExit(f"{path} has a section {title!r} without its end; nothing was saved")
    if start >= 0:
        new = old[:start] + block + old[end + len(foot) :]
    else:
        new = old.rstrip() + "\n\n" + block
    path.write_text(new, "utf-8")
