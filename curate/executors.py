"""`map(function, specs) -> results`: in this thread, or in several.

Results come in the order of the specs whatever the number of workers, so that the number of
workers never changes a result. Specs and results are small (paths, counts); tables travel as
files. The first error of a function, in spec order, is raised.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from curate.errors import ConfigError

POLL = 0.2  # seconds

Spec = TypeVar("Spec")
Result = TypeVar("Result")


class Executor(Protocol):
    """What every stage takes to do its shards."""

    def __call__(
        self, function: Callable[[Spec], Result], specs: Sequence[Spec], /
    ) -> list[Result]:
        """Results of `function` for all specs, in their order."""
        ...


def serial(function: Callable[[Spec], Result], specs: Sequence[Spec], /) -> list[Result]:
    """One spec after the other, here.

    >>> serial(len, ["a", "bc"])
    [1, 2]
    """
    return [function(spec) for spec in specs]


def threads(workers: int, *, at_stop: Callable[[], None] | None = None) -> Executor:
    """A map over `workers` threads: for work that releases the interpreter lock.

    After an error or an interrupt nothing more is begun, and what is under way is waited for;
    `at_stop` is called before that, e.g. to end it early.

    >>> threads(2)(len, ["a", "bc", ""])
    [1, 2, 0]
    """
    if workers < 1:
        raise ConfigError(f"workers is {workers}; allowed: 1 and more")
    return serial if workers == 1 else _Threads(workers, at_stop)


@dataclass(frozen=True, slots=True)
class _Threads:
    workers: int
    at_stop: Callable[[], None] | None = None

    def __call__(
        self, function: Callable[[Spec], Result], specs: Sequence[Spec], /
    ) -> list[Result]:
        pool = ThreadPoolExecutor(max_workers=self.workers)
        try:
            futures = [pool.submit(function, spec) for spec in specs]
            return [_result(future) for future in futures]
        except BaseException:
            if self.at_stop is not None:
                self.at_stop()
            raise
        finally:
            # After an error or an interrupt, what has not begun is not begun.
            pool.shutdown(wait=True, cancel_futures=True)


def threads_of(executor: Executor) -> int:
    """How many threads a map over threads has; 1 for any other.

    >>> threads_of(threads(3)), threads_of(serial)
    (3, 1)
    """
    return executor.workers if isinstance(executor, _Threads) else 1


def _result(future: Future[Result]) -> Result:
    """What a future comes to; a wait without end is not woken by Ctrl-C on every system."""
    while not future.done():
        wait([future], timeout=POLL)
    return future.result()


@contextmanager
def without_collections() -> Iterator[None]:
    """No garbage is collected meanwhile, for work whose many new objects stay or hold no cycles.

    >>> with without_collections():
    ...     gc.isenabled()
    False
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
