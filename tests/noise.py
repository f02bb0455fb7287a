"""Noise of simulated experiments: draws and documents, shared by neighbouring budgets."""

import numpy as np

from curate.scaling import Cells

SETS, DOCUMENTS = 4, 60


def simulated(rng, *, means, budgets, noise):
    """Cells of a contrast whose true ln m are `means`.

    Args:
        rng: Source of the noise.
        means: One for each budget.
        budgets: At least as many.
        noise: Draws; spread of ln m between them; standard error from the documents; correlation
            of the noise at neighbouring budgets; whether it leans, upwards where the spread is
            positive.
    """
    draws, spread, documents, common, lean = noise
    own = documents / np.sqrt(DOCUMENTS / SETS)

    def added(shape):
        return noisy(rng, (*shape, len(means)), common=common, lean=lean)

    log_m = np.repeat((means + spread * added((draws,)))[:, None], SETS, axis=1)
    tables = []
    for s in range(SETS):
        each = own * (added((DOCUMENTS,)) + added((draws, DOCUMENTS)) / 2)
        log_m[:, s] += each.sum(axis=1)
        tables.append(np.swapaxes(each - each.mean(axis=1, keepdims=True), 1, 2))
    return Cells(
        budgets=np.array(budgets[: len(means)]),
        eval_sets=tuple(f"e{s}" for s in range(SETS)),
        log_m=log_m,
        side=np.zeros(log_m.shape, np.int8),
        influence=tuple(tables),
    )


def noisy(rng, shape, *, common, lean):
    """Noise of variance 1 that goes on from budget to budget with the correlation `common`."""
    fresh = rng.exponential(1, shape) - 1 if lean else rng.standard_normal(shape)
    for k in range(1, shape[-1]):
        fresh[..., k] = common * fresh[..., k - 1] + np.sqrt(1 - common**2) * fresh[..., k]
    return fresh
