"""Progress for people who read lines: how far, how long still, and never past the end unsaid."""

import threading

import pytest

from curate import progress as module
from curate.progress import at_work, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "is_interactive", lambda: False)
    return now


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (None, "measure: 25 % done, about 3 min 0 s left"),
        (600.0, "measure: 25 % done, about 3 min 0 s left"),
        (100.0, "measure: 25 % done, stops in 40 s"),
        (50.0, "measure: 25 % done, the time is over; what was begun is finished"),
    ],
)
def test_a_line_says_how_long_it_still_takes(clock, until, said):
    told = []
    with progress("measure", total=8, unit="step", say=told.append, until=until) as advance:
        clock[0] = 60.0
        advance(2)

    assert told == [said]


def test_a_silent_call_is_said_to_be_at_work(monkeypatch):
    """Ever more seldom, and no more once it is done."""
    monkeypatch.setattr(module, "EVERY", 0.01)
    told, two = [], threading.Event()

    def take(line):
        told.append(line)
        if len(told) == 2:
            two.set()

    with at_work("quality", take):
        assert two.wait(30)

    assert set(told) == {"quality: at work for 0 s"}
    assert [t.name for t in threading.enumerate() if "keep_saying" in t.name] == []


def test_nobody_guesses_from_a_hundredth(clock):
    """What is prepared before the first unit would make a guess of hours."""
    told = []
    with progress("measure", total=100, unit="step", say=told.append) as advance:
        clock[0] = 60.0
        advance(1)
        clock[0] = 80.0
        advance(9)

    assert told == ["measure: 1 % done", "measure: 10 % done, about 12 min 0 s left"]


def test_lines_are_few(clock):
    """At most one in fifteen seconds, and none when all is done."""
    told = []
    with progress("measure", total=100, unit="step", say=told.append) as advance:
        for second in range(1, 101):
            clock[0] = float(second)
            advance(1)

    assert len(told) == 6


def test_nobody_watches_nobody_is_told(clock, capsys):
    with progress("measure", total=2, unit="step") as advance:
        clock[0] = 60.0
        advance(1)

    assert capsys.readouterr() == ("", "")
