"""Cost of a piece of work: CPU seconds always, energy where codecarbon is there."""

import sys
import types

import pytest

from curate import energy
from curate.energy import metered


class Tracker:
    """As codecarbon's offline tracker: started, stopped, then read."""

    started = 0

    def __init__(self, **settings):
        self.settings = settings
        self.final_emissions_data = None

    def start(self):
        Tracker.started += 1

    def stop(self):
        self.final_emissions_data = types.SimpleNamespace(energy_consumed=0.0021)


@pytest.fixture
def codecarbon(monkeypatch):
    module = types.ModuleType("codecarbon")
    module.OfflineEmissionsTracker = Tracker
    monkeypatch.setitem(sys.modules, "codecarbon", module)
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: name)


def test_energy_is_measured_only_where_it_is_asked_for(codecarbon):
    before = Tracker.started
    with metered() as unasked:
        pass
    with metered(energy=True) as asked:
        pass

    assert unasked.watt_hours is None
    assert asked.watt_hours == pytest.approx(2.1)
    assert Tracker.started == before + 1


def test_without_codecarbon_energy_is_unknown(monkeypatch):
    monkeypatch.setattr(energy.importlib.util, "find_spec", lambda name: None)
    with metered(energy=True) as cost:
        sum(range(200_000))

    assert cost.watt_hours is None
    assert cost.cpu_seconds > 0
