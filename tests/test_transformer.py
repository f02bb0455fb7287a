"""The transformer's own passes against torch's, one model against many, killed against whole."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.errors import ConfigError
from curate.proxies import Evaluation, Gpt, GptSettings

pytest.importorskip("torch", reason="needs torch (the train extra), not found: skipped")

VOCABULARY = 48
SMALL = GptSettings(width=16, heads=2, context=16, batch_sequences=3, warm_up_steps=4)
TILED = replace(SMALL, width=32, context=32)  # products by tiles, where the processor has them
TOKENS = np.random.default_rng(1).integers(1, VOCABULARY, 6_000).astype(np.uint16)
EVALUATION = Evaluation(tokens=TOKENS[:50], offsets=np.array([0, 20, 50]), bytes=np.array([60, 90]))
BUDGETS = (960, 1_920, 3_840)


def tiles():
    from curate.proxies import _tile_kernel

    return _tile_kernel.usable(low=True)


needs_tiles = pytest.mark.skipif(not tiles(), reason="needs AVX-512 with bfloat16: skipped")


@pytest.fixture(autouse=True)
def one_thread():
    from curate.proxies import transformer

    with transformer.one_thread():
        yield


def course(tokens=TOKENS, *, seed, settings=SMALL):
    from curate.proxies import trunk

    starts = trunk.window_starts(BUDGETS, context=settings.context, seed=seed)
    return trunk.Course(tokens=tokens, budgets=BUDGETS, starts=starts, evaluation=EVALUATION)


# ── passes written by hand ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "vocabulary"),
    [
        (replace(SMALL, layers=1), 48),
        (replace(SMALL, layers=3), 48),
        (TILED, 48),
        (replace(TILED, width=96, context=64), 80),  # heads of 48, panels that are not full
        (replace(TILED, width=128), 50),  # heads of 64, a vocabulary that tiles do not fit
    ],
)
def test_gradients_are_those_that_torch_records(settings, vocabulary):
    """All parameters, gains off 1; the stack of one model is written in recorded operations."""
    import torch
    from torch.nn import functional

    from curate.proxies import _engine, batched, transformer

    model = transformer.start(settings, vocabulary=vocabulary, seed=3)
    model.flat += 0.1 * torch.randn(len(model.flat), generator=torch.Generator().manual_seed(1))
    twin = batched.stack(settings, vocabulary=vocabulary, seeds=[3])
    twin.flat.copy_(model.flat[None])
    inputs, targets = transformer.batch(TOKENS, np.array([0, 100, 40]), settings.context)

    found = batched.logits(twin, torch.from_numpy(inputs).view(1, 3, -1))
    loss = functional.cross_entropy(found[0], torch.from_numpy(targets))
    recorded = torch.autograd.grad(loss, list(twin.weights.values()))
    room = _engine.make_room(settings, shape=(3, settings.context))
    _engine.forward(room, model.weights, inputs)
    ours = _engine.backward(room, model.weights, model.gradients, inputs, targets)

    assert ours == pytest.approx(loss.item(), abs=1e-6)
    for name, wanted in zip(twin.weights, recorded, strict=True):
        torch.testing.assert_close(model.gradients[name], wanted[0], rtol=1e-4, atol=2e-6)


@needs_tiles
@pytest.mark.parametrize(("columns", "others"), [(16, 64), (48, 80), (160, 32), (64, 256)])
@pytest.mark.parametrize("low", [False, True])
def test_products_by_tiles_are_those_of_torch(low, columns, others):
    """Both directions and a weight's gradient, in panels that are full and that are not."""
    import torch

    from curate.proxies import _product_kernel as products

    def array(x):
        return (x.view(torch.uint16) if low else x).numpy()

    def panels(n, steps):
        return np.zeros((-(-n // 64), steps // (1 + low), 64), np.uint32 if low else np.float32)

    kind = torch.bfloat16 if low else torch.float32
    draw = torch.Generator().manual_seed(columns)
    x, weight, given = (
        torch.randn(size, generator=draw).to(kind)
        for size in ((96, others), (columns, others), (96, columns))
    )
    forward, backward = panels(columns, others), panels(others, columns)
    products.pack_transposed(array(weight), 0, forward)
    products.pack(array(weight), 0, backward)
    out, into = torch.empty(96, columns, dtype=kind), torch.empty(96, others, dtype=kind)
    gradient = torch.ones(columns, others)
    products.multiply(array(x), forward, array(out))
    products.multiply(array(given), backward, array(into))
    room = panels(columns, 32), panels(others, 32)
    products.weigh(array(given), array(x), gradient.numpy(), room)

    whole = [each.double() for each in (x, weight, given)]
    rounding, sums = 2**-8 if low else 1e-4, 1e-4  # at most 256 products of normal numbers
    for found, wanted, error in (
        (out, whole[0] @ whole[1].T, rounding),
        (into, whole[2] @ whole[1], rounding),
        (gradient, whole[2].T @ whole[0] + 1, sums),
    ):
        torch.testing.assert_close(found.double(), wanted, rtol=error, atol=error)


@needs_tiles
@pytest.mark.parametrize("low", [False, True])
def test_tiles_and_whole_products_make_the_same_step(low, monkeypatch):
    """Scores, loss and gradient; in bfloat16 as near to float32 as the whole products are."""
    from curate.proxies import _engine, _room, transformer

    def passes(*, low):
        room = _engine.make_room(TILED, shape=(3, 32), low=low)
        scores = _engine.forward(room, model.weights, inputs).float().clone()
        model.gradient.zero_()
        loss = _engine.backward(room, model.weights, model.gradients, inputs, targets)
        return room.tiled, scores, loss, model.gradient.clone()

    def off(one, other):
        return float((one - other).norm() / other.norm())

    model = transformer.start(TILED, vocabulary=VOCABULARY, seed=3)
    inputs, targets = transformer.batch(TOKENS, np.array([0, 100, 40]), 32)
    tiled = passes(low=low)
    monkeypatch.setattr(_room.tiles, "usable", lambda *, low: False)
    whole, full = passes(low=low), passes(low=False)

    assert [tiled[0], whole[0]] == [True, False]
    assert tiled[2] == pytest.approx(whole[2], abs=1e-2 if low else 1e-6)
    for one, other, exact in zip(tiled, whole, full, strict=True):
        if not isinstance(one, bool | float):
            assert off(one, exact) < (1.2 * off(other, exact) if low else 3e-6)


def test_no_position_sees_a_later_one():
    """Another token at the end changes no score before it."""
    import torch

    from curate.proxies import transformer

    model = transformer.start(TILED, vocabulary=VOCABULARY, seed=3)
    one = torch.from_numpy(TOKENS[:64].astype(np.int64)).view(2, 32)
    other = one.clone()
    other[:, 20] = (other[:, 20] + 1) % VOCABULARY
    first, second = (transformer.logits(model, ids).clone() for ids in (one, other))

    assert torch.equal(first[:, :20], second[:, :20])
    assert not torch.equal(first[:, 20:], second[:, 20:])


def test_bfloat16_learns_as_float32_does():
    """Another rounding in every step, the same loss in the end, within a hundredth."""
    from curate.proxies import transformer, trunk

    def last_loss(settings):
        chain = np.cumsum(TOKENS % 3).astype(np.uint16) % VOCABULARY
        model = transformer.start(settings, vocabulary=VOCABULARY, seed=1)
        ladder = trunk.Ladder(trunk=model)
        list(trunk.climb(course(chain, seed=1), ladder))
        return np.mean(ladder.losses[-1][-20:])

    low = last_loss(replace(SMALL, precision="bfloat16", peak_rate=5e-3))
    full = last_loss(replace(SMALL, peak_rate=5e-3))

    assert low != full
    assert low == pytest.approx(full, rel=0.01)


def test_products_are_the_same_without_one_dnn(monkeypatch):
    """Both kinds of float32 product, and a torch without the quicker one."""
    import torch

    from curate.proxies import _engine, _room, transformer

    def scores():
        room = _engine.make_room(SMALL, shape=(3, 16))
        found = _engine.forward(room, model.weights, TOKENS[:48].astype(np.int64))
        return room.quick, found.clone()

    model = transformer.start(SMALL, vocabulary=VOCABULARY, seed=3)
    _, quick = scores()
    monkeypatch.setattr(_room, "_quick", lambda: False)
    plain_kind, plain = scores()

    assert not plain_kind
    torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [SMALL, TILED], ids=["whole", "tiled"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_parts_of_a_step_are_the_step(precision, shape):
    """Three threads with a window each: the losses of one thread, and again the same bits."""
    from curate.proxies import transformer

    def trained(settings):
        model = transformer.start(settings, vocabulary=VOCABULARY, seed=1)
        for step in range(12):
            starts = np.array([0, 1, 2]) * shape.context + 48 * step
            transformer.train_step(model, TOKENS, starts, share=1.0)
        return model

    settings = replace(shape, precision=precision)
    whole, split, again = (trained(replace(settings, parts=n)) for n in (1, 3, 3))

    tolerance = 1e-5 if precision == "float32" else 2e-3
    np.testing.assert_allclose(split.losses, whole.losses, rtol=0, atol=tolerance)
    assert split.losses == again.losses
    assert split.flat.numpy().tobytes() == again.flat.numpy().tobytes()


@pytest.mark.parametrize("parts", [0, 2])
def test_parts_must_share_the_windows_evenly(parts):
    with pytest.raises(ConfigError, match=f"3 windows of a step cannot be shared by {parts} parts"):
        replace(SMALL, parts=parts)


# ── many models as one ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [SMALL, TILED], ids=["whole", "tiled"])
def test_models_trained_together_come_out_as_alone(settings):
    """Two arms and two seeds in one stack against four ladders: losses equal to 1e-4."""
    from curate.proxies import batched, transformer, trunk

    other = TOKENS[::-1].copy()
    courses = [course(t, seed=seed, settings=settings) for t in (TOKENS, other) for seed in (1, 2)]
    together = list(
        batched.climb_together(
            courses, settings, vocabulary=VOCABULARY, seeds=[1, 2, 1, 2], on="cpu"
        )
    )
    for k, (each, seed) in enumerate(zip(courses, [1, 2, 1, 2], strict=True)):
        model = transformer.start(settings, vocabulary=VOCABULARY, seed=seed)
        alone = list(trunk.climb(each, trunk.Ladder(trunk=model)))
        for one, many in zip(alone, together, strict=True):
            tokens = np.diff(EVALUATION.offsets)
            assert many[k].document_bits / tokens == pytest.approx(
                one.document_bits / tokens, abs=1e-4
            )
    assert together[0][0].document_bits.tolist() != together[0][1].document_bits.tolist()
    assert together[0][0].document_bits.tolist() != together[0][2].document_bits.tolist()


def test_three_sizes_two_arms_and_three_seeds_come_out_as_alone():
    """What a graphics processor is given, here: 18 models in three stacks, to 1e-4 nats a token."""
    worst = 0.0
    for width in (8, 16, 32):
        settings = replace(SMALL, width=width)
        family = Gpt(vocabulary=VOCABULARY, settings={"one": settings})
        arms = [arm for arm in (TOKENS, TOKENS[::-1].copy()) for _ in range(3)]
        seeds = [1, 2, 3] * 2
        asked = {"budgets": BUDGETS, "size": "one", "evaluation": EVALUATION}
        together = family.ladders(arms, seeds=seeds, **asked)
        for tokens, seed, points in zip(arms, seeds, together, strict=True):
            alone = list(family.ladder(tokens, seed=seed, **asked))
            assert [p.n_tokens for p in points] == [p.n_tokens for p in alone] == list(BUDGETS)
            for one, many in zip(alone, points, strict=True):
                gap = abs(one.document_bits - many.document_bits) / np.diff(EVALUATION.offsets)
                worst = max(worst, float(gap.max() * np.log(2)))

    print(f"18 models of three sizes, at most {worst:.1e} nats a token apart")
    assert worst < 1e-4


def test_a_stack_in_bfloat16_learns_as_in_float32():
    """Asked for, it is taken: other digits, the same loss in the end, within a hundredth."""
    from curate.proxies import batched

    def last_loss(precision):
        settings = replace(SMALL, precision=precision, peak_rate=5e-3)
        chain = np.cumsum(TOKENS % 3).astype(np.uint16) % VOCABULARY
        courses = [course(chain, seed=seed) for seed in (1, 2)]
        models = batched.stack(settings, vocabulary=VOCABULARY, seeds=[1, 2])
        steps = len(courses[0].starts) // settings.batch_sequences
        losses = [batched.train_step(models, courses, share=1.0) for _ in range(steps)]
        return np.mean(losses[-20:])

    low, full = last_loss("bfloat16"), last_loss("float32")
    assert low != full
    assert low == pytest.approx(full, rel=0.01)


def test_a_step_leaves_nothing_on_another_device():
    """On a device without numbers: a tensor that was forgotten here could not be added there."""
    import torch

    from curate.proxies import batched

    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2) + torch.ones(2, device="meta")
    models = batched.stack(SMALL, vocabulary=VOCABULARY, seeds=[1, 2], on="meta")
    shape = (2, SMALL.step_tokens)
    inputs, targets = (torch.zeros(shape, dtype=torch.long, device="meta") for _ in range(2))
    nats = batched._step(models, inputs, targets, 1.0)

    assert nats.device.type == "meta"
    assert nats.shape == (2,)


# ── killed and started again ─────────────────────────────────────────────────────────────────

CLIMB = """
import sys, time
from pathlib import Path
import test_transformer
from curate.proxies import trunk
if sys.argv[2] == "slowly":
    save = trunk.saver
    def often(path, digest, *, seconds):
        write = save(path, digest, seconds=0.0)
        def note(ladder):
            write(ladder)
            print(ladder.trunk.step, flush=True)
            time.sleep(0.02)
        return note
    trunk.saver = often
points = test_transformer.ladder(Path(sys.argv[1]))
"""


def ladder(folder):
    family = Gpt(vocabulary=VOCABULARY, settings={"small": SMALL}, checkpoints=folder)
    return list(family.ladder(TOKENS, budgets=BUDGETS, size="small", seed=5, evaluation=EVALUATION))


def stored(folder):
    (path,) = folder.glob("*.npz")
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


def killed(folder, *, after):
    """Train in a process that is killed once it has printed so many lines."""
    command = [sys.executable, "-c", CLIMB, str(folder), "slowly"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent) as process:
        for _ in range(after):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_ladder_goes_on_bit_by_bit(tmp_path):
    """Killed in the trunk, again in a branch, then finished: the losses of every step, the
    weights, both moments and the scores are those of a ladder that was never disturbed."""
    whole = ladder(tmp_path / "whole")
    for after in (9, 30):
        killed(tmp_path / "killed", after=after)
    left = stored(tmp_path / "killed")
    resumed = ladder(tmp_path / "killed")

    assert int(left["count"]) < len(BUDGETS)  # it was killed on the way
    assert int(left["trunk.step"]) > 9  # and had gone on from where it was killed before
    ours, theirs = stored(tmp_path / "killed"), stored(tmp_path / "whole")
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert ours[name].tobytes() == value.tobytes(), name
    for one, other in zip(resumed, whole, strict=True):
        assert one.document_bits.tobytes() == other.document_bits.tobytes()


def test_a_checkpoint_of_another_ladder_is_not_read(tmp_path):
    """Other tokens or another seed make another file; another digest inside is refused."""
    from curate.proxies import transformer, trunk

    model = transformer.start(SMALL, vocabulary=VOCABULARY, seed=1)
    one = course(seed=1)
    digest = one.digest(model, seed=1)
    assert digest != one.digest(model, seed=2)
    assert digest != replace(one, tokens=TOKENS[::-1].copy()).digest(model, seed=1)

    path = tmp_path / "a.npz"
    trunk.saver(path, digest, seconds=0.0)(trunk.Ladder(trunk=model))
    assert trunk.restore(trunk.Ladder(trunk=model), path, digest)
    assert not trunk.restore(trunk.Ladder(trunk=model), path, "another")


STEPS = """
import numpy as np
from curate.proxies import transformer
from curate.proxies.gpt import Gpt
settings = Gpt(vocabulary=256).settings["width32"]
model = transformer.start(settings, vocabulary=256, seed=0)
size = settings.batch_sequences * settings.context
tokens = np.random.default_rng(0).integers(1, 256, 3 * size).astype(np.uint16)
starts = np.arange(3 * settings.batch_sequences) * settings.context
with transformer.one_thread():
    for places in starts.reshape(3, -1):
        transformer.train_step(model, tokens, places, share=1.0)
print(model.flat.numpy().tobytes().hex())
"""


@pytest.mark.slow
def test_who_compiles_trains_the_same_as_who_finds_compiled_code(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", STEPS], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(2)
    )

    assert list(tmp_path.rglob("*.nbc"))
    assert len(first) > 1_000
    assert first == second
