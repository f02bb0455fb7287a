"""Executors: spec order, the first error, and the same results for any number of workers."""

import threading
import time

import pytest

from curate.errors import ConfigError
from curate.executors import serial, threads


def square(n):
    return n * n


def slow_when_small(n):
    time.sleep(0.002 * (5 - n))
    return n


def fail_on_odd(n):
    if n % 2:
        raise ValueError(f"odd {n}")
    return n


@pytest.mark.parametrize("executor", [serial, threads(1), threads(2), threads(7)])
def test_results_come_in_the_order_of_the_specs(executor):
    assert executor(slow_when_small, list(range(5))) == [0, 1, 2, 3, 4]
    assert executor(square, []) == []


@pytest.mark.parametrize("executor", [serial, threads(3)])
def test_the_first_error_in_spec_order_is_raised(executor):
    with pytest.raises(ValueError, match="odd 1"):
        executor(fail_on_odd, [0, 1, 2, 3])


def test_threads_work_at_the_same_time():
    both = threading.Barrier(2, timeout=10)

    assert sorted(threads(2)(lambda _: both.wait(), [0, 1])) == [0, 1]


def test_after_an_error_what_has_not_begun_is_not_begun():
    begun = []

    def first_fails(n):
        begun.append(n)
        if n == 0:
            raise ValueError
        time.sleep(0.05)

    with pytest.raises(ValueError, match=r"^$"):
        threads(2)(first_fails, list(range(200)))
    assert len(begun) < 100


def test_what_is_under_way_can_be_told_to_end():
    """Before it is waited for: a job that would take a minute ends with the error of another."""
    begun, stopped = threading.Event(), threading.Event()

    def work(job):
        if job == 0:
            begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        assert stopped.wait(60)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threads(2, at_stop=stopped.set)(work, [0, 1])

    assert stopped.is_set()
    assert time.monotonic() - started < 30


def test_no_workers_are_no_executor():
    with pytest.raises(ConfigError, match="workers is 0; allowed: 1 and more"):
        threads(0)
