"""Other sources of a score: human labels, a scorer of one's own, a column that is there already."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from curate.errors import ConfigError
from curate.frames import polars_frame
from curate.quality._features import Texts, as_texts
from curate.quality.config import QualityConfig
from curate.quality.model import QualityModel, fit_quality

Scorer = Callable[[list[str]], Sequence[float]]

_BATCH_DOCUMENTS = 1_000


def fit_labels(
    documents: pl.DataFrame,
    *,
    label: str = "label",
    at_least: float | None = None,
    config: QualityConfig | None = None,
    seed: int = 17,
) -> QualityModel:
    """Learn quality from human labels: the labelled-good documents are the reference.

    Args:
        documents: `text`, the label, and where present `id`, `source`, `group`, `cluster_id`. A
            document without a label (null) is left out; one text with both labels is left out
            of the background.
        label: Column: Boolean, or a grade with `at_least`.
        at_least: Grades from here on are good, e.g. 3 of 0–5.
        config: As for `fit_quality`.
        seed: Of the samples and the folds.

    Returns:
        A model with evaluation, explanation and files like any other. Its probability is that
        of a corpus with half of each side.

    Raises:
        ConfigError: No such column, a column that is not Boolean without `at_least`, or fewer
            than 20 documents on one side.

    >>> frame = pl.DataFrame({"text": [f"{w} text {i}" for w in ("good", "bad") for i in range(20)],
    ...                       "grade": [4] * 20 + [1] * 20})
    >>> model = fit_labels(frame, label="grade", at_least=3)
    >>> good, bad = model.score(["good text", "bad text"])
    >>> good > bad
    True
    """
    good, bad = labelled_sides(documents, label=label, at_least=at_least)
    return fit_quality(good, bad, config=config, seed=seed)


def labelled_sides(
    documents: pl.DataFrame, *, label: str, at_least: float | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents that people called good, and those that they did not; null is neither.

    >>> frame = pl.DataFrame({"text": ["a", "b", "c"], "grade": [5, 1, None]})
    >>> [side["text"].to_list() for side in labelled_sides(frame, label="grade", at_least=3)]
    [['a'], ['b']]
    """
    if not isinstance(documents, pl.DataFrame):
        raise ConfigError(f"labelled documents are a {type(documents).__name__}, no DataFrame")
    if label not in documents.columns:
        raise ConfigError(f"no column {label!r} of labels; columns: {documents.columns}")
    kind = documents[label].dtype
    if at_least is None and kind != pl.Boolean:
        raise ConfigError(f"column {label!r} is {kind}; give at_least=…, the lowest good grade")
    if at_least is not None and not kind.is_numeric():
        raise ConfigError(f"column {label!r} is {kind}, but grades are numbers")
    good = pl.col(label) if at_least is None else pl.col(label) >= at_least
    return documents.filter(good).drop(label), documents.filter(~good).drop(label)


def load_scorer(name: str) -> Scorer:
    """The function that `"module:function"` names.

    Args:
        name: Module and function; the working folder is searched first.

    Raises:
        ConfigError: No such module or function; what failed is said.

    >>> load_scorer("math:sqrt")(4.0)
    2.0
    >>> load_scorer("math:root")
    Traceback (most recent call last):
      ...
    curate.errors.ConfigError: quality.scorer 'math:root': the module has no function 'root'
    """
    module, _, function = name.partition(":")
    with _working_folder():
        try:
            found = getattr(importlib.import_module(module), function, None)
        except ImportError as error:
            raise ConfigError(f"quality.scorer {name!r}: {error}") from error
    if not callable(found):
        raise ConfigError(f"quality.scorer {name!r}: the module has no function {function!r}")
    return cast("Scorer", found)


def scorer_file(name: str) -> Path | None:
    """The file that `"module:function"` is written in; None where there is none.

    >>> scorer_file("json:loads").name, scorer_file("no_such_module:f")
    ('__init__.py', None)
    """
    with _working_folder():
        try:
            found = importlib.util.find_spec(name.partition(":")[0])
        except (ImportError, ValueError):
            return None
    written = found is not None and found.has_location
    return Path(str(found.origin)) if found is not None and written else None


@contextmanager
def _working_folder() -> Iterator[None]:
    """The working folder first among those that modules are looked for in."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def apply_scorer(documents: Texts, scorer: Scorer | str) -> pl.Series:
    """Scores from a scorer of one's own, checked; Float32, named `quality`.

    Args:
        documents: A frame with `text`, a series, or a sequence of texts; for a column name a
            frame with that column.
        scorer: Called with lists of at most 1,000 texts, it returns one number a text, higher =
            better. Or the name of a numeric column, e.g. a score that the data set came with.

    Raises:
        ConfigError: No such column, another number of scores than texts, or a score that is
            missing, no number or not finite; the first such document is named.

    >>> apply_scorer(["ab", "c"], lambda texts: [len(t) for t in texts]).to_list()
    [2.0, 1.0]
    >>> apply_scorer(pl.DataFrame({"text": ["a"], "edu": [3.5]}), "edu").to_list()
    [3.5]
    """
    if isinstance(scorer, str):
        return _column(documents, scorer)
    texts = as_texts(documents).to_list()
    scores: list[float] = []
    for start in range(0, len(texts), _BATCH_DOCUMENTS):
        batch = texts[start : start + _BATCH_DOCUMENTS]
        try:
            found = [float(value) for value in scorer(batch)]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the scorer gave no list of numbers: {error}") from error
        if len(found) != len(batch):
            raise ConfigError(f"the scorer gave {len(found)} scores for {len(batch)} texts")
        scores += found
    return _checked(pl.Series("quality", scores, dtype=pl.Float32), "the scorer")


def _column(documents: Texts, name: str) -> pl.Series:
    if not isinstance(documents, pl.LazyFrame) and hasattr(documents, "columns"):
        documents = polars_frame(documents)
    if isinstance(documents, pl.LazyFrame):
        documents = documents.collect()
    if not isinstance(documents, pl.DataFrame) or name not in documents.columns:
        known = documents.columns if isinstance(documents, pl.DataFrame) else "none"
        raise ConfigError(f"no column {name!r} to take scores from; columns: {known}")
    if not documents[name].dtype.is_numeric():
        raise ConfigError(f"column {name!r} is {documents[name].dtype}, but scores are numbers")
    return _checked(documents[name].cast(pl.Float32).alias("quality"), f"column {name!r}")


def _checked(scores: pl.Series, origin: str) -> pl.Series:
    known = np.isfinite(scores.fill_null(float("nan")).to_numpy())
    if not known.all():
        row = int(np.argmin(known))
        raise ConfigError(f"{origin} has no finite score in row {row}: {scores[row]!r}")
    return scores
