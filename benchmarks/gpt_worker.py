"""One side of `benchmarks.gpt`, in a process of its own: reads requests, trains, answers.

Runs in the project's environment ("ours") and in one of its own that has transformers ("theirs");
so it imports what it needs by name. A line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

LAYERS, POSITIONS, VOCABULARY, HEAD = 2, 128, 1024, 32
Request = dict[str, Any]
Step = Callable[[Any, Any, float], float]  # inputs, targets, rate → loss

torch: Any = importlib.import_module("torch")


def serve() -> None:
    """Answer requests until there are none."""
    sides = {"ours": Ours, "theirs": Theirs}
    models: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        asked = ("width", "low", "windows", "compiled", "threads")
        key = json.dumps({k: request.get(k) for k in asked})
        if request["do"] == "forget":
            models.clear()
            answer: Request = {}
        elif request["do"] == "peak":
            answer = {"flops": peak(low=request["low"])}
        elif request["do"] == "learn":
            answer = learn(sides[sys.argv[1]](request), request)
        else:
            fresh = key not in models
            if fresh:
                models[key] = sides[sys.argv[1]](request)
            answer = speed(models[key], request, fresh=fresh)
        print(json.dumps(answer), flush=True)


class Ours:
    """The project's transformer."""

    def __init__(self, request: Request) -> None:
        gpt = importlib.import_module("curate.proxies.gpt")
        self.passes = importlib.import_module("curate.proxies.transformer")
        width = request["width"]
        self.settings = gpt.GptSettings(
            width=width,
            layers=LAYERS,
            heads=width // HEAD,
            context=POSITIONS,
            batch_sequences=request["windows"],
            precision="bfloat16" if request["low"] else "float32",
            parts=request["threads"],
            peak_rate=request.get("rate", 1e-3),
            warm_up_steps=1,
        )
        self.model = self.passes.start(self.settings, vocabulary=VOCABULARY, seed=0)

    def step(self, tokens: Any, starts: Any, share: float) -> float:
        found: float = self.passes.train_step(self.model, tokens, starts, share=share)
        return found

    def nats(self, inputs: Any) -> Any:
        return self.passes.logits(self.model, inputs)


class Theirs:
    """GPT-2 of Hugging Face transformers, trained as its documentation shows, without dropout."""

    def __init__(self, request: Request) -> None:
        peer = importlib.import_module("transformers")
        peer.logging.set_verbosity_error()
        torch.manual_seed(0)
        width = request["width"]
        config = peer.GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=width,
            n_layer=LAYERS,
            n_head=width // HEAD,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            bos_token_id=0,
            eos_token_id=0,
        )
        self.low, self.rate = request["low"], request.get("rate", 1e-3)
        self.model = peer.GPT2LMHeadModel(config)
        self.call = torch.compile(self.model) if request.get("compiled") else self.model
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.99), weight_decay=0.1, fused=True
        )

    def step(self, tokens: Any, starts: Any, share: float) -> float:
        inputs, targets = pairs(tokens, starts)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            scores = self.call(input_ids=inputs).logits
        loss = torch.nn.functional.cross_entropy(scores.float().flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * share
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    def nats(self, inputs: Any) -> Any:
        return self.model(input_ids=inputs).logits


def pairs(tokens: Any, starts: Any) -> tuple[Any, Any]:
    """Inputs and targets of windows; the input before the first token is 0."""
    places = starts[:, None] + np.arange(POSITIONS)
    inputs = np.where(places > 0, tokens[places - 1], 0)
    return torch.from_numpy(inputs.astype(np.int64)), torch.from_numpy(
        tokens[places].astype(np.int64)
    )


def speed(side: Any, request: Request, *, fresh: bool) -> Request:
    """Tokens a second and a CPU second; 0 where it cannot be compiled on this machine."""
    try:
        if fresh:
            time_steps(side, request, 2)  # what is made or compiled once
        return time_steps(side, request, request["steps"])
    except Exception as error:  # the compiler's own kinds of error differ by version
        if not request.get("compiled"):
            raise
        print(f"torch.compile failed: {error}", file=sys.stderr)
        return {"wall": 0.0, "cpu": 0.0}


def time_steps(side: Any, request: Request, steps: int) -> Request:
    """Tokens a second by the wall and a CPU second, over so many steps on random tokens."""
    windows = request["windows"]
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, POSITIONS * 64).astype(np.uint16)
    starts = np.arange(windows) * POSITIONS
    started, cpu_started = perf_counter(), process_time()
    for _ in range(steps):
        side.step(tokens, starts, 0.1)
    done = steps * windows * POSITIONS
    wall, cpu = perf_counter() - started, process_time() - cpu_started
    return {"wall": done / wall, "cpu": done / cpu}


def peak(*, low: bool) -> float:
    """Most floating-point operations a second of a square matrix product, best of many.

    Of three sizes; in float32 by BLAS and by oneDNN, whichever is faster.
    """
    kind = torch.bfloat16 if low else torch.float32
    products = [torch.mm]
    if not low and torch.backends.mkldnn.is_available():
        linear = torch.ops.mkldnn._linear_pointwise
        products.append(lambda one, other: linear(one, other, None, "none", [], ""))
    found = 0.0
    for n, product in itertools.product((256, 512, 1024), products):
        one, other = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
        for _ in range(2 + 20 * 256 // n):
            started = perf_counter()
            product(one, other)
            found = max(found, 2 * n**3 / (perf_counter() - started))
    return found


def learn(side: Any, request: Request) -> Request:
    """Train over a file of tokens, the last quarter with falling rate; held-out nats a token."""
    with np.load(Path(request["path"])) as stored:
        train, held_out = stored["train"], stored["held_out"]
    windows = request["windows"]
    order = np.random.default_rng(1).permutation(len(train) // POSITIONS) * POSITIONS
    steps = len(order) // windows
    decay = steps // 4
    for step in range(steps):
        share = min(1.0, (step + 1) / 20, (steps - step) / decay)
        side.step(train, order[step * windows : (step + 1) * windows], share)
    starts = np.arange(len(held_out) // POSITIONS) * POSITIONS
    inputs, targets = pairs(held_out, starts)
    with torch.no_grad():
        scores = side.nats(inputs).float()
    loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
    return {"nats": float(loss), "tokens": steps * windows * POSITIONS}


if __name__ == "__main__":
    serve()
