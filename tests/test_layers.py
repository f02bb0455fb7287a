"""The house's import directions: every module imports only from the layers below its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lowest first; rooms that share a line never import each other.
LAYERS = [
    ("errors", "arrays"),
    (
        "statistics",
        "executors",
        "text",
        "progress",
        "frames",
        "_ngram_kernel",
        "energy",
        "tracking",
    ),
    ("ngram_model", "tokens", "defects"),
    ("corpus",),
    ("controls", "clean", "signals", "bounds", "rule_tables"),
    ("rules", "duplicates", "quality", "audits", "subsets", "proxies", "scaling"),
    ("sweeps",),
    ("experiment", "verdicts", "file_audit"),
    ("report",),
    ("config",),
    ("run_folder", "asked"),
    ("shards",),
    ("judgement",),
    ("measure", "scoring"),
    ("audit_stages",),
    ("stages", "duplicate_stages", "run_quality"),
    ("outside",),
    ("preflight",),
    ("stage_order",),
    ("pipeline",),
    ("explanations", "what_ifs"),
    ("runs", "remeasure", "config_reference", "front"),
    ("run_audit",),
    ("demo",),
    ("__init__",),
    ("commands",),
    ("cli",),
    ("__main__",),
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
LAZY = {"torch", "datasets", "sklearn", "prefect", "mlflow", "tensorboard", "codecarbon"}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "curate").parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> list[str]:
    rooms = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = (
                [f"curate.{alias.name}" for alias in node.names]
                if node.module == "curate"
                else [node.module]
            )
        else:
            continue
        rooms += [name.split(".")[1] for name in names if name.startswith("curate.")]
    return rooms


def imported_libraries(nodes):
    return {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


MODULES = sorted((ROOT / "curate").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    """A module imports from its own room or from a lower layer, and never a sibling room."""
    room = room_of(path)
    assert room in RANK, f"{room!r} stands in no layer: add it to LAYERS"

    upward = [r for r in imported_rooms(ast.parse(path.read_text("utf-8"))) if r in RANK]
    upward = [r for r in upward if r != room and RANK[r] >= RANK[room]]

    assert upward == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_are_imported_lazily(path):
    """torch, datasets, scikit-learn are imported inside functions; prefect nowhere."""
    tree = ast.parse(path.read_text("utf-8"))

    assert imported_libraries(tree.body) & LAZY == set()
    assert "prefect" not in imported_libraries(ast.walk(tree))
