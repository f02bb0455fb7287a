"""Every proxy family keeps the protocol; the transformer learns, sees no future, is repeatable."""

import ast
import random
import sysconfig
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import polars as pl
import pytest

from curate.errors import ConfigError
from curate.proxies import FAMILIES, Evaluation, Gpt, GptSettings, KneserNey
from curate.tokens import encode, train_tokenizer

TINY = Gpt(
    vocabulary=32,
    settings={
        "tiny": GptSettings(
            width=16, context=32, batch_sequences=1, peak_rate=1e-2, warm_up_steps=5
        )
    },
)
needs_torch = pytest.mark.skipif(
    not TINY.available(), reason="needs torch (the train extra), not found: skipped"
)
WITH_TORCH = pytest.param(TINY, id="gpt", marks=needs_torch)


def chain(n_tokens, seed):
    """A source with something to learn: each of 31 tokens has four likely followers."""
    rng = np.random.default_rng(0)
    followers = rng.integers(1, 32, (32, 4))
    rng = np.random.default_rng(seed)
    tokens = [1]
    for pick, stops in zip(rng.integers(0, 4, n_tokens), rng.random(n_tokens), strict=True):
        tokens.append(0 if stops < 0.02 else int(followers[tokens[-1], pick]))
    return np.array(tokens[1:], np.uint16)


def split_at_boundaries(tokens):
    """An evaluation of the whole documents in a stream."""
    ends = np.flatnonzero(tokens == 0) + 1
    offsets = np.concatenate([[0], ends])
    return Evaluation(tokens=tokens[: ends[-1]], offsets=offsets, bytes=3 * np.diff(offsets))


TRAIN, EVALUATION = chain(12_000, 1), split_at_boundaries(chain(3000, 2))
BUDGETS = (600, 3000, 12_000)


def climb(family, **changes):
    size = family.sizes[0]
    family = family.prepare(TRAIN, budgets=BUDGETS, sizes=[size], vocabulary=32)
    arguments = {"budgets": BUDGETS, "size": size, "seed": 3, "evaluation": EVALUATION} | changes
    return list(family.ladder(TRAIN, **arguments))


@pytest.mark.parametrize("family", [KneserNey(), WITH_TORCH])
def test_a_ladder_has_a_scored_model_for_each_budget(family):
    """In order; the bits of every document; better with more tokens; nearing the source's two
    bits a token (and the rare boundary)."""
    points = climb(family)
    losses = [p.document_bits.sum() / len(EVALUATION.tokens) for p in points]

    assert [p.n_tokens for p in points] == list(BUDGETS)
    assert {len(p.document_bits) for p in points} == {len(EVALUATION.bytes)}
    assert losses[0] > losses[1] + 0.1
    assert 2.0 < losses[-1] < 2.6
    assert all(p.n_params > 0 for p in points)


@pytest.mark.parametrize("family", [KneserNey(), WITH_TORCH])
def test_the_same_call_gives_the_same_bits(family):
    """Bit by bit; and a rung does not depend on the rungs above it."""
    points = climb(family)
    again = climb(family)
    lower = climb(family, budgets=BUDGETS[:2])

    for one, other in zip(points, again, strict=True):
        np.testing.assert_array_equal(one.document_bits, other.document_bits)
    np.testing.assert_array_equal(points[1].document_bits, lower[1].document_bits)


@pytest.mark.parametrize("family", [KneserNey(), WITH_TORCH])
def test_documents_are_scored_apart(family):
    """A document costs the same whatever stands before it."""
    first, second = EVALUATION.offsets[3], EVALUATION.offsets[5]
    part = Evaluation(
        tokens=EVALUATION.tokens[first:second],
        offsets=EVALUATION.offsets[3:6] - first,
        bytes=EVALUATION.bytes[3:5],
    )

    found = climb(family, budgets=BUDGETS[:1], evaluation=part)[0].document_bits

    whole = climb(family, budgets=BUDGETS[:1])[0].document_bits[3:5]
    np.testing.assert_allclose(found, whole, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "order9"}, "unknown proxy size 'order9'.*known: "),
        ({"budgets": []}, "must be positive and rise"),
        ({"budgets": [3000, 3000]}, "must be positive and rise"),
        ({"budgets": [0, 10]}, "must be positive and rise"),
        ({"budgets": [3000, 13_000]}, "13000 tokens but the arm has only 12000"),
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_refused(family, changes, message):
    """Before any work, by every family alike."""
    with pytest.raises(ConfigError, match=message):
        climb(family, **changes)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_stand_under_their_names(name):
    assert FAMILIES[name].name == name


def test_tokens_outside_the_vocabulary_are_refused():
    """Compiled code would read beyond its tables."""
    with pytest.raises(ConfigError, match="outside the vocabulary of 8"):
        KneserNey().prepare(TRAIN, budgets=[10], sizes=["order2"], vocabulary=8)


def test_kneser_ney_asks_for_shared_discounts():
    """It never falls back to an arm's own."""
    family = KneserNey().prepare(TRAIN, budgets=[1000], sizes=["order2"], vocabulary=32)

    with pytest.raises(ConfigError, match=r"order2 at budgets \[2000\]: call prepare"):
        list(
            family.ladder(TRAIN, budgets=[1000, 2000], size="order2", seed=0, evaluation=EVALUATION)
        )


def test_bits_of_documents_are_sums():
    """Also of a document without tokens."""
    evaluation = Evaluation(
        tokens=np.array([1, 2, 0], np.uint16),
        offsets=np.array([0, 2, 2, 3]),
        bytes=np.array([4, 0, 2]),
    )
    sums = evaluation.document_sums(np.array([1.0, 2.0, 4.0]))

    assert sums.tolist() == [3.0, 0.0, 4.0]
    assert evaluation.bits_per_byte(sums) == pytest.approx(7 / 6)


def test_offsets_must_fit():
    with pytest.raises(ConfigError, match="2 offsets ending at 5"):
        Evaluation(
            tokens=np.zeros(4, np.uint16), offsets=np.array([0, 5]), bytes=np.array([1], np.int64)
        )


@pytest.fixture
def one_thread():
    """A few hundred tiny steps on all cores would mostly wait for one another."""
    from curate.proxies import transformer

    with transformer.one_thread():
        yield


@needs_torch
def test_a_budget_below_one_step_is_refused():
    with pytest.raises(ConfigError, match="less than one step of 32 tokens"):
        climb(TINY, budgets=[31])


@needs_torch
def test_the_loss_falls_while_training(one_thread):
    """The constant part of the trunk learns too, not only the decay."""
    from curate.proxies import transformer

    model = transformer.start(TINY.settings["tiny"], vocabulary=32, seed=0)
    starts = np.arange(300) * 32
    losses = [
        transformer.train_step(model, TRAIN, starts[i : i + 1], share=1.0) for i in range(300)
    ]

    assert losses[0] == pytest.approx(np.log(32), rel=0.05)  # it begins by knowing nothing
    assert np.mean(losses[-50:]) < 0.7 * np.mean(losses[:5])


@needs_torch
def test_seeds_differ():
    one, other = climb(TINY, budgets=[3000], seed=1), climb(TINY, budgets=[3000], seed=2)

    assert one[0].document_bits.tolist() != other[0].document_bits.tolist()


@needs_torch
def test_the_future_changes_nothing_before_it(one_thread):
    """Another token at a place leaves all earlier logits as they are, and not the later ones."""
    import torch

    from curate.proxies import transformer

    model = transformer.start(TINY.settings["tiny"], vocabulary=32, seed=0)
    tokens = torch.from_numpy(TRAIN[:32].astype(np.int64))[None]
    changed = tokens.clone()
    changed[0, 20] = (tokens[0, 20] + 1) % 32
    before, after = transformer.logits(model, tokens)[0], transformer.logits(model, changed)[0]

    torch.testing.assert_close(before[:20], after[:20], rtol=0, atol=1e-6)
    assert (before[20:] - after[20:]).abs().amax(-1).min() > 1e-4


@needs_torch
def test_position_is_relative():
    """Rotary positions: attention alone sees order, and a shift of the whole window none."""
    from curate.proxies import _engine
    from curate.proxies._transformer_kernel import turn

    rng = np.random.default_rng(1)
    joint = np.empty((1, 40, 3, 1, 8), np.float32)
    joint[:] = rng.normal(size=(3, 1, 8)).astype(np.float32)  # the same at all places
    parts = np.empty((3, 1, 1, 40, 8), np.float32)
    turn(joint, parts, *_engine.turns(40, 8))
    products = parts[0, 0, 0] @ parts[1, 0, 0].T

    assert products[3, 1] == pytest.approx(products[30, 28], rel=1e-4, abs=1e-5)
    assert abs(products[3, 1] - products[30, 1]) > 0.01


@needs_torch
@pytest.mark.parametrize("length", [1, 31, 32, 33, 48, 49, 200])
def test_long_documents_are_read_in_windows(one_thread, length):
    """Each token counts once and sees at least half a context, or all there is before it."""
    import torch

    from curate.proxies import transformer

    model = transformer.start(TINY.settings["tiny"], vocabulary=32, seed=0)
    document = TRAIN[:length]
    one = Evaluation(
        tokens=document, offsets=np.array([0, length]), bytes=np.array([length], np.int64)
    )
    inputs = np.concatenate([[0], document[:-1]]).astype(np.int64)
    wanted = 0.0
    for at in range(length):
        # The window that first holds this token: windows of 32 that begin every 16.
        begin = 0 if at < 32 else (at - 16) // 16 * 16
        window = torch.from_numpy(inputs[begin : at + 1])[None]
        shares = transformer.logits(model, window)[0, -1].log_softmax(-1)
        wanted -= shares[int(document[at])].item() / np.log(2)

    assert transformer.score(model, one)[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 20, "heads": 3}, "multiple of 2 × 3 heads"),
        ({"layers": 0}, "must be positive"),
        ({"context": 33}, "context even"),
        ({"decay_fraction": 1.0}, "decay_fraction must lie in"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(GptSettings(width=32), **changes)


def docstrings():
    """Docstrings of the standard library, 200 characters and more."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                found += [text] if len(text) >= 200 else []
    random.Random(0).shuffle(found)
    return found


def diluted(documents, rng):
    """The documents in their order, an equal number of tokens of navigation text between them."""
    words = ["Home", "About", "Contact", "Login", "Products", "Blog", "Help", "Search", "Cookies"]
    text = [" | ".join(rng.choices(words, k=rng.randint(20, 90))) for _ in range(4000)]
    return documents + text


class Calibrator:
    """Curated text against the same diluted to one half: a sound proxy finds a multiplier of 2."""

    budgets = (50_000, 100_000)
    raw_budgets = (50_000, 75_000, 100_000, 150_000, 200_000, 300_000)

    def __init__(self):
        good, rng = docstrings(), random.Random(1)
        tokenizer = train_tokenizer(diluted(good, rng)[:: len(good) // 400 or 1])
        filler = pl.Series(diluted([], rng))
        pages = pl.Series([page[:2000] for _, page in sorted(topics.items())][:30])
        tokens, offsets = encode(tokenizer, pages)
        lengths = pages.str.len_bytes().to_numpy().astype(np.int64)
        self.evaluation = Evaluation(tokens=tokens, offsets=offsets, bytes=lengths)
        self.curated, good_ends = encode(tokenizer, pl.Series(good))
        empty, empty_ends = encode(tokenizer, filler)
        pieces, used = [], 0
        for start, end in pairwise(good_ends):
            stop = empty_ends[np.searchsorted(empty_ends, start)]
            pieces += [empty[used:stop], self.curated[start:end]]
            used = stop
        self.raw = np.concatenate(pieces)

    def multipliers(self, family, size):
        """Tokens of diluted text per token of curated text at the loss of each budget."""
        wanted = sorted({*self.budgets, *self.raw_budgets})
        family = family.prepare(self.curated, budgets=wanted, sizes=[size], vocabulary=1024)
        curves = [
            [
                self.evaluation.bits_per_byte(point.document_bits)
                for point in family.ladder(
                    tokens, budgets=budgets, size=size, seed=5, evaluation=self.evaluation
                )
            ]
            for tokens, budgets in ((self.curated, self.budgets), (self.raw, self.raw_budgets))
        ]
        falling = np.minimum.accumulate(curves[1])
        needed = np.interp(-np.array(curves[0]), -falling, np.log(self.raw_budgets))
        return np.exp(needed) / self.budgets


@pytest.fixture(scope="module")
def calibrator():
    return Calibrator()


@pytest.mark.parametrize("size", ["order3", "order5"])
def test_the_calibrator_admits_kneser_ney(calibrator, size):
    """Inert filler at one half costs a factor of two, at each budget within the gate's band."""
    found = calibrator.multipliers(KneserNey(), size)

    assert (np.abs(np.log2(found) - 1) < 0.2).all(), found


@needs_torch
@pytest.mark.slow
def test_the_calibrator_refuses_a_huge_batch(calibrator):
    """With 128 windows a step a budget has a dozen steps: the model is short of steps, filler
    buys some, and it seems to cost little. With four windows a step it costs what it should."""
    settings = FAMILIES["gpt"].settings["width32"]
    huge = replace(settings, batch_sequences=128, peak_rate=4e-3)
    sizes = {"small_batch": settings, "huge_batch": huge}
    family = Gpt(settings=sizes)

    small = np.log2(calibrator.multipliers(family, "small_batch"))
    huge = np.log2(calibrator.multipliers(family, "huge_batch"))

    assert huge.mean() < 0.5  # far outside the gate's [0.8, 1.2]: no vote
    assert 0.6 < small.mean() < 1.4  # admitted, or inconclusive with one draw
