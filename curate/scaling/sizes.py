"""Which model size is best at each token budget, from the runs themselves: no law needed."""

from __future__ import annotations

import polars as pl

from curate.statistics import t_interval

__all__ = ["best_sizes"]

_SCHEMA = {
    "family": pl.String,
    "n_tokens": pl.Int64,
    "size": pl.String,
    "loss": pl.Float64,
    "next_size": pl.String,
    "behind": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "conclusion": pl.String,
}


def best_sizes(runs: pl.DataFrame, *, arm: str, confidence: float = 0.95) -> pl.DataFrame:
    """The size with the lowest loss at every budget, and by how much it beats the next.

    Replicates of one number saw the same tokens, so sizes are compared in pairs. The intervals
    hold together over all rows (Bonferroni). They speak of other draws of the same corpus; that
    the two were picked by their losses makes them somewhat narrow.

    Args:
        runs: `arm, family, size, n_tokens, replicate, eval_set, loss`.
        arm: Which arm's runs.
        confidence: Level over all rows together.

    Returns:
        `family, n_tokens, size, loss` (bits per byte, mean over evaluation sets), `next_size,
        behind` (how much more loss it has), `low, high, conclusion`; one row a family and
        budget at which two sizes were trained on two or more common replicates.

    >>> runs = pl.DataFrame([
    ...     {"arm": "raw", "family": "gpt", "size": size, "n_tokens": 100, "replicate": r,
    ...      "eval_set": "e", "loss": loss + 0.01 * r}
    ...     for size, loss in (("s", 2.0), ("m", 2.5)) for r in range(3)])
    >>> best_sizes(runs, arm="raw").select("size", "next_size", "conclusion").rows()
    [('s', 'm', 's is best')]
    """
    keys = ["family", "n_tokens", "size", "replicate"]
    mine = runs.filter(arm=arm).group_by(keys).agg(pl.col("loss").sort().mean()).sort(keys)
    cells = [
        (family, tokens, cell.pivot("size", index="replicate", values="loss").drop_nulls())
        for (family, tokens), cell in mine.group_by("family", "n_tokens", maintain_order=True)
    ]
    usable = [cell for cell in cells if cell[2].height > 1 and cell[2].width > 2]
    level = 1 - (1 - confidence) / max(len(usable), 1)
    rows = [_row(family, tokens, wide, level) for family, tokens, wide in usable]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(family: object, tokens: object, wide: pl.DataFrame, level: float) -> dict[str, object]:
    losses = {name: wide[name].to_numpy() for name in wide.columns if name != "replicate"}
    best, second = sorted(losses, key=lambda name: (float(losses[name].mean()), name))[:2]
    behind = t_interval(losses[second] - losses[best], level)
    return {
        "family": family,
        "n_tokens": tokens,
        "size": best,
        "loss": float(losses[best].mean()),
        "next_size": second,
        "behind": behind.estimate,
        "low": behind.low,
        "high": behind.high,
        "conclusion": f"{best} is best" if behind.low > 0 else f"cannot tell from {second}",
    }
