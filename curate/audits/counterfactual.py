"""Does a score change when only the group does? Swapped texts, any scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from curate.audits.swaps import Swaps, leaning, load_swaps, swap_all
from curate.errors import ConfigError
from curate.statistics import (
    Estimate,
    Interval,
    SignTest,
    clustered_share,
    equivalence_p,
    mean_shift,
    sign_test,
)

Scorer = Callable[[list[str]], ArrayLike]


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapTest:
    """What swapping the groups does to a score.

    Attributes:
        documents: Documents that the swap changes.
        shift: Mean of (score with the first group's words − score with the second's) over the
            documents that lean to one group; its interval is clustered where clusters were given.
        signs: Exact sign test of the same differences; clusters, where given, have one vote each.
        flips: Share of changed documents whose verdict at the threshold changes; NaN without a
            threshold.
        flips_range: Its 95 % interval (Wilson's, on effective counts where clusters were given).
        kept_only_as_first: Changed documents that pass the threshold only with the first
            group's words.
        kept_only_as_second: Those that pass only with the second's.
        equivalent_p: p of a mean shift outside ± margin (two one-sided tests); NaN without one.
        table: `text_index`, `score`, `swapped_score`, `leaning`, `difference`, one row a
            changed document; `difference` is null where a document leans to neither group.
        swaps: Id and digest of the list of pairs.
    """

    documents: int
    shift: Estimate
    signs: SignTest
    flips: float
    flips_range: Interval
    kept_only_as_first: int
    kept_only_as_second: int
    equivalent_p: float
    table: pl.DataFrame
    swaps: str

    @property
    def sentence(self) -> str:
        """One sentence on what was found.

        >>> swap_test(lambda texts: [0.5 for _ in texts], ["she", "his"]).sentence
        'No change found: swapping shifts the score by +0 [+0, +0] in 2 documents (p = 1).'
        """
        found, shift = self.shift, self.shift
        clear = found.low > 0 or found.high < 0
        said = "The score depends on the group" if clear else "No change found"
        return (
            f"{said}: swapping shifts the score by {shift.estimate:+.3g}"
            f" [{shift.low:+.3g}, {shift.high:+.3g}] in {self.documents:,} documents"
            f" (p = {self.signs.p:.2g})."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SwapDesign:
    """How a swap test judges.

    Attributes:
        swaps: Pairs of words; the packaged women's and men's words by default.
        threshold: Score from which a document is kept.
        margin: Largest mean shift that would not matter, in units of the score.
        cluster: One name a text, within which texts are alike; `None` = each by itself.
    """

    swaps: Swaps | None = None
    threshold: float | None = None
    margin: float | None = None
    cluster: Sequence[Any] | None = None


def swap_test(
    score: Scorer, texts: Sequence[str] | pl.Series, design: SwapDesign | None = None
) -> SwapTest:
    """Score every text that names a group, and its counterfactual twin.

    Args:
        score: Any function from a list of texts to as many numbers, e.g.
            `lambda texts: model.score(pl.DataFrame({"text": texts}))`.
        texts: Documents; those that the swap leaves as they are do not count.
        design: Pairs of words, threshold, margin and clusters.

    Raises:
        ConfigError: The scorer gives another number of scores than texts.

    >>> texts = ["She wrote code."] * 6 + ["He wrote code."] * 6
    >>> found = swap_test(lambda t: [0.4 if x[0] == "S" else 0.6 for x in t], texts,
    ...                   SwapDesign(threshold=0.5))
    >>> round(found.shift.estimate, 3), found.signs.negative, found.flips
    (-0.2, 12, 1.0)
    """
    design = design or SwapDesign()
    swaps = design.swaps or load_swaps()
    before = list(texts)
    after = swap_all(before, swaps)
    rows = np.array([i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b], int)
    scores = _scores(score, [before[i] for i in rows], [after[i] for i in rows])
    lean = np.sign(leaning([before[i] for i in rows], swaps))
    difference = (scores[0] - scores[1]) * lean
    leans = lean != 0
    cluster = None if design.cluster is None else np.asarray(design.cluster)[rows[leans]]
    shift = mean_shift(difference[leans], cluster)
    changed = None if design.cluster is None else np.asarray(design.cluster)[rows]
    flips = _flips(scores, lean, design.threshold, changed)
    return SwapTest(
        documents=rows.size,
        shift=shift,
        signs=sign_test(difference[leans], cluster),
        **flips,
        equivalent_p=equivalence_p(shift, design.margin) if design.margin else float("nan"),
        table=_table(rows, scores, lean, difference),
        swaps=f"{swaps.id} {swaps.sha256}",
    )


def _scores(
    score: Scorer, before: list[str], after: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # One call, so that a scorer that scales within a batch sees both alike.
    found = np.asarray(score(before + after) if before else [], dtype=np.float64).ravel()
    if found.size != 2 * len(before):
        raise ConfigError(f"the scorer gave {found.size} scores for {2 * len(before)} texts")
    return found[: len(before)], found[len(before) :]


def _flips(
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    lean: NDArray[np.int64],
    threshold: float | None,
    cluster: NDArray[Any] | None,
) -> dict[str, Any]:
    if threshold is None:
        nothing = Interval(float("nan"), float("nan"))
        return {
            "flips": float("nan"),
            "flips_range": nothing,
            "kept_only_as_first": 0,
            "kept_only_as_second": 0,
        }
    kept, kept_swapped = (s >= threshold for s in scores)
    changed = kept != kept_swapped
    as_first = np.where(lean > 0, kept, kept_swapped)
    leans = changed & (lean != 0)
    found = clustered_share(changed, cluster)
    return {
        "flips": found.estimate,
        "flips_range": Interval(found.low, found.high),
        "kept_only_as_first": int((leans & as_first).sum()),
        "kept_only_as_second": int((leans & ~as_first).sum()),
    }


def _table(
    rows: NDArray[np.int64],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    lean: NDArray[np.int64],
    difference: NDArray[np.float64],
) -> pl.DataFrame:
    oriented = pl.Series(np.where(lean != 0, difference, np.nan)).fill_nan(None)
    return pl.DataFrame(
        {
            "text_index": rows,
            "score": scores[0],
            "swapped_score": scores[1],
            "leaning": lean,
            "difference": oriented,
        }
    )
