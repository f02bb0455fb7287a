"""The quality scores of a finished run: how good they are, why a document, why a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.audits import SwapDesign, Swaps, SwapTest, swap_test
from curate.config import RunConfig
from curate.errors import InputError
from curate.quality import QualityModel, load_quality, quality_keep_rates
from curate.run_folder import RunFolder
from curate.scoring import group_table
from curate.shards import cleaned, native_parts


@dataclass(frozen=True, slots=True)
class RunQuality:
    """What a run knows about its scores; `run.quality` makes one.

    Attributes:
        folder: The run folder.
        config: The config of the run.
    """

    folder: RunFolder
    config: RunConfig

    @property
    def scores(self) -> pl.DataFrame:
        """`id` and one column a score, every document, controls included."""
        return self.folder.table("quality")

    @property
    def evaluation(self) -> dict[str, Any]:
        """Figures of the fitted classifier with intervals; see `evaluate_scores`."""
        return dict(self.folder.read_json("quality/evaluation.json") or self._no_classifier())

    @property
    def model(self) -> QualityModel:
        """The fitted classifier."""
        return load_quality(self.folder.file("quality/model"))

    @property
    def terms(self) -> pl.DataFrame:
        """The strongest words of the classifier; see `top_terms`."""
        return self.folder.read("quality/terms.parquet")

    @property
    def sources(self) -> pl.DataFrame:
        """Spread of the score per source; see `source_scores`."""
        return self.folder.read("quality/sources.parquet")

    @property
    def deciles(self) -> pl.DataFrame:
        """Texts at each tenth of the score; see `decile_examples`."""
        return self.folder.read("quality/deciles.parquet")

    @property
    def agreement(self) -> pl.DataFrame:
        """Rank correlation and overlap of the top of each pair of scores; see `agreement`."""
        return self.folder.read("quality/agreement.parquet")

    def explain(self, id: str, *, top: int = 20) -> pl.DataFrame:
        """The words that moved one document's score most, with what each of them adds.

        Raises:
            InputError: The run has no such document, or no fitted classifier.
        """
        model = self.model
        for part in native_parts(self.folder):
            found = cleaned(part, self.folder.file(f"edits/{part.name}")).filter(id=id)
            if not found.is_empty():
                return model.explain(found["text"][0], top=top)
        raise InputError(f"no native document {id!r} in this run")

    def words(self, group: str = "source") -> pl.DataFrame:
        """Which words cost each group its score, beside what the quality rules keep of it.

        Args:
            group: Column of the verdicts, e.g. one of `audit.groups`.

        Returns:
            `group`, `documents`, `keep_rate`, and of `group_contributions` `term`, `difference`,
            `mean_difference`, `shares_bucket_with`; no word that fewer than five documents hold.

        Raises:
            InputError: No such column, one group only, or no fitted classifier.
        """
        verdicts = self.folder.table("verdicts")
        if group not in verdicts.columns:
            raise InputError(f"no column {group!r}; verdicts have: {', '.join(verdicts.columns)}")
        words = group_table(self.folder, verdicts, self.model, group, seed=self.config.seed)
        if words is None:
            raise InputError(f"column {group!r} has one group only; there is no other to compare")
        rates = quality_keep_rates(verdicts, group)
        joined = words.drop("group_column").join(
            rates, on="group", how="left", maintain_order="left"
        )
        return joined.select("group", "documents", "keep_rate", pl.exclude(rates.columns))

    def swap_test(
        self, *, swaps: Swaps | None = None, margin: float = 0.01, most: int = 20_000
    ) -> SwapTest:
        """Whether the classifier's score changes when only a group's words do.

        Texts are those of native documents as cleaning leaves them, evenly spread over the run,
        in clusters by source. A text and its twin are both scored by the whole classifier, also
        where the run's own score of the text is out of fold. `quality.min` is the threshold.

        Args:
            swaps: Pairs of words; women's and men's by default.
            margin: Largest mean shift that would not matter.
            most: Documents to look at.

        Raises:
            InputError: No fitted classifier.
        """
        if not self.folder.file("quality/model").exists():
            self._no_classifier()
        model, parts = self.model, native_parts(self.folder)
        texts = pl.concat(
            cleaned(part, self.folder.file(f"edits/{part.name}")).select("text", "source")
            for part in parts
        )
        texts = texts.gather_every(max(1, -(-texts.height // most)))
        sources = texts["source"] if texts["source"].n_unique() > 1 else None
        design = SwapDesign(
            swaps=swaps,
            threshold=self.config.quality.min,
            margin=margin,
            cluster=None if sources is None else sources.to_list(),
        )
        return swap_test(
            lambda held: model.calibration(model.decision(held)), texts["text"], design
        )

    def _no_classifier(self) -> dict[str, Any]:
        raise InputError("this run fitted no classifier: quality.reference and label are not set")

    def __repr__(self) -> str:
        columns = ", ".join(name for name in self.scores.columns if name != "id")
        return f"RunQuality({str(self.folder.root)!r}: {columns})"
