"""The dataset card of a curated folder: YAML that the loader reads, then words for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# The loader takes the configs from here; without it a folder would be one config only.
_CONFIGS = {
    "kept": """\
- config_name: default
  default: true
  data_files:
  - split: train
    path: data/train-*.parquet
""",
    "removed": """\
- config_name: removed
  data_files:
  - split: removed
    path: removed/removed-*.parquet
""",
}

_USAGE = """\
```python
import datasets

kept = datasets.load_dataset("PATH/TO/THIS/FOLDER", split="train")
removed = datasets.load_dataset("PATH/TO/THIS/FOLDER", "removed", split="removed")
```"""

_COLUMNS = (
    "`data/` holds the documents that failed no rule, with their text as the cleaning steps left"
    " it. `removed/` holds all others with their original text, every rule they failed"
    " (`failed`), and for duplicates the document that stayed (`duplicate_of`). Documents that"
    " were planted to test the pipeline are in neither."
)


def render_card(facts: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """The text of `README.md`.

    Args:
        facts: `kept`, `removed` documents, `kept_bytes`, `removed_bytes`, and `reasons`
            (pairs of rule and number of documents).
        card: Sections, title → text, mapping, or list of mappings; `title` is the heading.

    >>> facts = {"kept": 1, "removed": 0, "kept_bytes": 5, "removed_bytes": 0, "reasons": []}
    >>> "# My corpus" in render_card(facts, {"title": "My corpus"})
    True
    """
    sections = [
        f"# {_cell(card.get('title', 'Curated corpus'))}",
        _COLUMNS,
        _USAGE,
        "## Counts",
        _counts(facts),
        "## Reasons",
        _reasons(facts["reasons"], facts["removed"]),
    ]
    for title, content in card.items():
        if title != "title":
            sections += [f"## {_cell(title)}", _content(content)]
    return f"{_header(facts)}\n" + "\n\n".join(sections) + "\n"


def _header(facts: Mapping[str, Any]) -> str:
    """YAML with the configs that have a row: `datasets` refuses to open an empty one."""
    configs = [config for name, config in _CONFIGS.items() if facts[name]]
    return "".join(["---\n", *(["configs:\n"] if configs else []), *configs, "---\n"])


def _counts(facts: Mapping[str, Any]) -> str:
    total = facts["kept"] + facts["removed"]
    rows = [
        (name, f"{facts[name]:,}", _share(facts[name], total), f"{facts[f'{name}_bytes']:,}")
        for name in ("kept", "removed")
    ]
    return _table(("", "documents", "share", "text bytes"), rows)


def _reasons(reasons: Sequence[tuple[str, int]], removed: int) -> str:
    if not reasons:
        return "No document was removed."
    rows = [(f"`{name}`", f"{n:,}", _share(n, removed)) for name, n in reasons]
    note = "A document can fail several rules; shares are of the removed documents."
    return f"{note}\n\n" + _table(("rule", "documents", "share"), rows)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _content(content: object) -> str:
    if isinstance(content, Mapping):
        return _table(("", ""), [(_cell(k), _cell(v)) for k, v in content.items()])
    if isinstance(content, Sequence) and not isinstance(content, str):
        if content and all(isinstance(row, Mapping) for row in content):
            names = list(dict.fromkeys(name for row in content for name in row))
            return _table(names, [[_cell(row.get(name, "")) for name in names] for row in content])
        return "\n".join(f"- {_cell(item)}" for item in content)
    return str(content)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    """One line, with nothing that would end a table cell or start HTML."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return text.replace("|", "\\|").replace("<", "&lt;")
