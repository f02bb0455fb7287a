"""Canaries that were planted often come out; those that were not do not."""

import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.experiment import MEMORY_SCHEMA, memorisation
from curate.experiment.additions import hold_out
from curate.experiment.example import example_inputs
from curate.experiment.learners import NgramLearner, TransformerLearner
from curate.experiment.memorisation import COPIES, EPOCHS
from curate.proxies import Gpt, GptSettings


def documents(n, rng, vocabulary=200):
    weights = 1 / np.arange(1, vocabulary)
    draws = rng.choice(np.arange(1, vocabulary), (n, 60), p=weights / weights.sum())
    return [np.append(row, 0).astype(np.uint16) for row in draws]


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(3)
    learner = NgramLearner(order=4, vocabulary=256)
    return memorisation(documents(400, rng), documents(60, rng), learner=learner)


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


def test_each_arm_is_held_against_its_own_kind_and_repeats_fit_no_discounts(monkeypatch):
    """Raw against raw: else noise would look forgotten. Copies in raw would mislead discounts."""
    room = sys.modules["curate.experiment.memorisation"]
    clusters = np.where(np.arange(3_000) % 10 == 0, 0, -1)
    inputs = hold_out(replace(example_inputs(3_000), clusters=np.arange(3_000)), seed=1)
    inputs = replace(inputs, clusters=clusters)
    asked = []

    def watched(documents, held_out, *, plain, **_):
        asked.append((documents, held_out, plain))
        return pl.DataFrame(schema=dict(MEMORY_SCHEMA))

    monkeypatch.setattr(room, "memorisation", watched)
    room.memory_of_arms(inputs, seed=1)
    raw, curated = asked

    for (_, held_out, _), name in zip(asked, ("held_out_raw", "held_out_curated"), strict=True):
        assert len(held_out) == len(inputs.held_out[name].ids)
    assert len(raw[1]) != len(curated[1])
    assert all(np.array_equal(a, b) for a, b in zip(raw[2], curated[2], strict=True))
    copies = int((inputs.native & (clusters == 0)).sum())
    assert len(raw[2]) == len(raw[0]) - copies + 1


def test_nothing_to_compare_is_refused():
    with pytest.raises(ConfigError, match="needs training documents and held-out documents"):
        memorisation([], [])


def test_a_transformer_has_seen_what_it_cannot_yet_recite():
    """Exposure tells what was planted long before extraction does; nothing else is told."""
    pytest.importorskip("torch", reason="needs torch (the train extra), not found: skipped")
    rng = np.random.default_rng(3)
    learner = TransformerLearner(gpt=Gpt(vocabulary=256), size="width32")
    found = memorisation(documents(150, rng), documents(40, rng), learner=learner)
    chance, often = (row(found, "exposure", copies) for copies in (0, 64))

    assert chance["low"] <= np.log2(np.e) <= chance["high"]
    assert row(found, "extracted", 0)["estimate"] == 0
    assert often["low"] > chance["high"]
    assert found.select("family", "size").unique().rows() == [("gpt", "width32")]
    gaps = [row(found, "gap", epochs)["estimate"] for epochs in EPOCHS]
    assert gaps == sorted(gaps)


def test_tokens_read_one_by_one_add_up_to_the_score():
    """Bits of a document's tokens are its bits; more than half of all chance is the most."""
    pytest.importorskip("torch", reason="needs torch (the train extra), not found: skipped")
    from curate.proxies import Evaluation, reading, transformer

    rng = np.random.default_rng(5)
    texts = [np.tile(rng.integers(1, 30, 6), 25).astype(np.uint16) for _ in range(20)]
    flat, offsets = np.concatenate(texts), np.arange(21) * 150
    settings = GptSettings(width=16, context=32, batch_sequences=2, peak_rate=1e-2)
    family = Gpt(vocabulary=32, settings={"small": settings})
    model = reading.trained(family, flat, size="small", seed=1)
    bits, likeliest = reading.expected_tokens(model, flat, offsets)
    scored = Evaluation(tokens=flat, offsets=offsets, bytes=np.ones(20, np.int64))

    sums = np.add.reduceat(bits, offsets[:-1])
    assert sums == pytest.approx(transformer.score(model, scored), rel=1e-6)
    assert likeliest[bits < 1].all()  # more than half of all chance: nothing else can have more
    assert 0 < likeliest.mean() < 1
    assert not likeliest[bits > 5].any()  # less than one in 32 is below the average of all
