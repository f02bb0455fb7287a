"""Canaries that were planted often come out; those that were not do not."""

import numpy as np
import pytest

from curate.errors import ConfigError
from curate.experiment import memorisation
from curate.experiment.memorisation import COPIES, EPOCHS


def documents(n, rng, vocabulary=200):
    weights = 1 / np.arange(1, vocabulary)
    draws = rng.choice(np.arange(1, vocabulary), (n, 60), p=weights / weights.sum())
    return [np.append(row, 0).astype(np.uint16) for row in draws]


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(3)
    return memorisation(documents(400, rng), documents(60, rng), order=4, vocabulary=256)


def row(found, what, amount):
    return found.filter(what=what, amount=amount).row(0, named=True)


def test_what_was_read_often_is_known_by_heart(found):
    """A canary of random tokens is unique: already one reading makes it the likeliest."""
    assert row(found, "extracted", 0)["estimate"] == 0
    assert row(found, "extracted", 64)["estimate"] == 1
    rates = [row(found, "extracted", copies)["estimate"] for copies in (0, *COPIES)]
    assert rates == sorted(rates)


def test_exposure_of_what_was_never_planted_is_that_of_chance(found):
    """The rank of a random text among random texts: log2(e) bits on average."""
    chance = row(found, "exposure", 0)

    assert chance["low"] <= np.log2(np.e) <= chance["high"]
    assert row(found, "exposure", 64)["estimate"] == pytest.approx(10)


def test_the_gap_to_held_out_text_grows_with_every_reading(found):
    gaps = [row(found, "gap", epochs)["estimate"] for epochs in EPOCHS]

    assert gaps == sorted(gaps)
    assert row(found, "gap", 1)["low"] > 0


def test_nothing_to_compare_is_refused():
    with pytest.raises(ConfigError, match="needs training documents and held-out documents"):
        memorisation([], [])
