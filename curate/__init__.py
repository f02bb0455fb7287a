"""Curate: clean a text corpus, and prove what the cleaning was worth.

Frames in, frames out: every function takes a Polars DataFrame or LazyFrame. Names are imported
when they are first used, so that `import curate` is quick and none drags in what it does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.audits import audit
    from curate.corpus import scan_corpus
    from curate.duplicates import NearDuplicates, find_duplicates
    from curate.errors import CurateError
    from curate.quality import fit_quality
    from curate.rules import Rule, judge
    from curate.runs import Run, open_run, run
    from curate.scaling import fit_scaling_law, token_multiplier
    from curate.signals import measure_signals

__version__ = "0.1.0"

_HOMES = {
    "audit": "curate.audits",
    "CurateError": "curate.errors",
    "find_duplicates": "curate.duplicates",
    "fit_quality": "curate.quality",
    "fit_scaling_law": "curate.scaling",
    "judge": "curate.rules",
    "measure_signals": "curate.signals",
    "NearDuplicates": "curate.duplicates",
    "open_run": "curate.runs",
    "Rule": "curate.rules",
    "Run": "curate.runs",
    "run": "curate.runs",
    "scan_corpus": "curate.corpus",
    "token_multiplier": "curate.scaling",
}

__all__ = [
    "CurateError",
    "NearDuplicates",
    "Rule",
    "Run",
    "audit",
    "find_duplicates",
    "fit_quality",
    "fit_scaling_law",
    "judge",
    "measure_signals",
    "open_run",
    "run",
    "scan_corpus",
    "token_multiplier",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module 'curate' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
