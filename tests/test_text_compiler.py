"""Kernels say the same whichever way they are compiled."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import polars as pl
import pytest

from curate.text import compiler
from curate.text._pipeline import KernelCompiler, PartCompiler


def _ways(version: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(numba, "__version__", version)
    return runpy.run_path(compiler.__file__)


def _kernel(ways: dict[str, Any]) -> Callable[..., int]:
    """A kernel with a part that is called from another part, tuples, and an array of its own."""

    def halves(x: int) -> tuple[int, int]:
        return x // 2, x - x // 2

    inner = ways["inlined"](halves)

    def larger(x: int) -> int:
        return max(inner(x)[1], 1)

    outer = ways["part"](larger)

    def total(values: np.ndarray[Any, np.dtype[np.int64]]) -> int:
        seen = np.zeros(values.size, np.int64)
        for i in range(values.size):
            seen[i] = outer(values[i]) + inner(values[i])[0]
        every = 0
        for i in range(seen.size):
            every += seen[i]
        return every

    return numba.njit(**ways["_kernel"])(total)  # as `compiled`, but kept on no disk


@pytest.mark.parametrize("version", ["0.68.1", "0.99.0"])
def test_one_result_whichever_way(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _kernel(_ways(version, monkeypatch))
    assert kernel(np.array([0, 1, 2, 9, -4])) == 1 + 1 + 2 + 9 + (-2 + 1)


def test_only_versions_whose_inside_is_known_go_the_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, other = _ways("0.68.1", monkeypatch), _ways("0.99.0", monkeypatch)
    assert known["_kernel"]["pipeline_class"] is KernelCompiler
    assert known["_part"]["pipeline_class"] is PartCompiler
    assert "pipeline_class" not in other["_kernel"] | other["_part"]


def test_what_kernels_allocate_is_freed() -> None:
    """Numba frees an array where its last use is marked: a step of the pipeline."""
    from numba.core.runtime import _nrt_python as runtime  # what counts allocations

    from curate.signals import measure_signals
    from curate.text.minhash import sketch
    from curate.text.words import word_ngrams

    def work() -> None:
        texts = pl.Series("text", ["To be, or not to be.\n\nTo be.", "", "x" * 9_000] * 20)
        measure_signals(texts.to_frame())
        sketch(texts, permutations=16)
        word_ngrams(texts, n=2)

    work()
    runtime.memsys_enable_stats()
    made, freed = runtime.memsys_get_stats_alloc(), runtime.memsys_get_stats_free()
    work()
    made, freed = (
        runtime.memsys_get_stats_alloc() - made,
        runtime.memsys_get_stats_free() - freed,
    )
    runtime.memsys_disable_stats()

    assert made > 100
    assert made == freed
