"""Everything that a table of points says, in one go: laws, read-outs, two arms, predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape

import polars as pl

from curate.errors import ConfigError
from curate.scaling.costs import Rates, cost_sentence, cost_table
from curate.scaling.joint import JointLaw, fit_joint
from curate.scaling.law import FitOptions, ScalingLaw, fit_points
from curate.scaling.points import Columns, check_points, point_set
from curate.scaling.prediction import PredictionCheck, check_prediction
from curate.scaling.readouts import (
    ReadOut,
    compute_optimal,
    exponent_shifts,
    gain_per_doubling,
    knee,
    law_multiplier,
    read_out_table,
    tokens_needed,
)

__all__ = [
    "Questions",
    "ScalingReport",
    "run_points",
    "scaling_report",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """What to read off; where None, a place inside the measured range is chosen.

    Attributes:
        n_params: Model size of the read-outs; default the largest.
        loss: Loss to reach; default what the reference arm reaches there with at most half
            its largest budget, rounded up to two decimals.
        flops: Compute budget; default the geometric middle of the measured 6 N D.
        threshold: Share of the loss per doubling below which more data stops paying.
        reference: The arm the others are compared with; default "raw", else the first.
        extrapolate: Also answer outside the measured range, marked.
        rates: What compute costs.
    """

    n_params: float | None = None
    loss: float | None = None
    flops: float | None = None
    threshold: float = 0.005
    reference: str | None = None
    extrapolate: bool = False
    rates: Rates = field(default_factory=Rates)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalingReport:
    """What a table of points says.

    Attributes:
        laws: One fitted law an arm, where one could be fitted.
        problems: Why not, for the other arms: `arm` -> "cannot tell: ...".
        parameters: All laws' parameters: `arm` and the columns of `ScalingLaw.table`.
        read_outs: `quantity, arm, at, estimate, low, high, method, extrapolation, note`.
        costs: What reaching `Questions.loss` costs with each arm (`cost_table`).
        joint: The reference against every other arm, under one law.
        prediction: Smaller sizes against the largest; None with fewer than four sizes.
        outliers: Points six robust standard deviations off: `arm, n_params, n_tokens, ...`.
        sentences: What may be said, most important first.
    """

    laws: tuple[ScalingLaw, ...]
    problems: dict[str, str]
    parameters: pl.DataFrame
    read_outs: pl.DataFrame
    costs: pl.DataFrame
    joint: tuple[JointLaw, ...]
    prediction: PredictionCheck | None
    outliers: pl.DataFrame
    sentences: tuple[str, ...]

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(text)}</p>" for text in self.sentences)
        return f"{said}{self.parameters._repr_html_()}{self.read_outs._repr_html_()}"


def scaling_report(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    columns: Columns | None = None,
    options: FitOptions | None = None,
    questions: Questions | None = None,
) -> ScalingReport:
    """Fit a law to every arm of a table of points and read off what it says.

    Args:
        frame: One row a point; see `Columns`.
        columns: Names of the columns.
        options: Form of the law, confidence, draws, seed.
        questions: What to read off.

    Returns:
        Numbers with intervals; where the points cannot carry one (one size only, three
        points), "cannot tell" and why, never a number.

    Raises:
        ConfigError: A column is missing, or the reference arm.
        InputError: A value is missing, not finite or not positive.

    >>> from curate.scaling.example import example_arms
    >>> said = scaling_report(example_arms(), options=FitOptions(draws=39, confidence=0.9))
    >>> sorted(law.arm for law in said.laws), len(said.joint)
    (['curated', 'raw'], 1)
    >>> three = example_arms().head(3)
    >>> scaling_report(three).sentences[0]
    "cannot tell: arm 'curated': 3 points cannot carry E + A / N^α + B / D^β; at least 7 are needed"
    """
    options, questions = options or FitOptions(), questions or Questions()
    points = check_points(frame, columns)
    arms = points["arm"].unique().sort().to_list()
    reference = _reference(arms, questions.reference)
    laws, problems = _laws(points, arms, options)
    read = _read_outs(laws, reference, questions)
    others = [arm for arm in laws if arm != reference and reference in laws]
    costs = _costs(laws, read, questions.rates)
    joint, apart = _joint(points, (reference, others), options)
    prediction = _prediction(points.filter(pl.col("arm").is_in(list(laws))), options.form)
    return ScalingReport(
        laws=tuple(laws.values()),
        problems=problems,
        parameters=_stacked([law.table for law in laws.values()], list(laws)),
        read_outs=read_out_table(read),
        costs=costs,
        joint=tuple(joint),
        prediction=prediction,
        outliers=_stacked([law.outliers for law in laws.values()], list(laws)),
        sentences=_sentences(
            [*problems.values(), *apart], joint, read, (cost_sentence(costs), prediction)
        ),
    )


def _reference(arms: list[str], wanted: str | None) -> str:
    if not arms:
        raise ConfigError("the table of points is empty")
    if wanted is not None and wanted not in arms:
        raise ConfigError(f"no points of the reference arm {wanted!r}; arms: {', '.join(arms)}")
    return wanted or ("raw" if "raw" in arms else arms[0])


def _laws(
    points: pl.DataFrame, arms: list[str], options: FitOptions
) -> tuple[dict[str, ScalingLaw], dict[str, str]]:
    laws, problems = {}, {}
    for arm in arms:
        try:
            laws[arm] = fit_points(point_set(points.filter(arm=arm)), options=options)
        except ConfigError as error:
            problems[arm] = f"cannot tell: {error}"
    return laws, problems


def _joint(
    points: pl.DataFrame, arms: tuple[str, list[str]], options: FitOptions
) -> tuple[list[JointLaw], list[str]]:
    """The pairs that can be compared, and why others cannot."""
    reference, others = arms
    found, apart = [], []
    for arm in others:
        try:
            found.append(fit_joint(points, reference=reference, other=arm, options=options))
        except ConfigError as error:
            apart.append(f"{reference} → {arm}: cannot tell: {error}")
    return found, apart


def _prediction(points: pl.DataFrame, form: str) -> PredictionCheck | None:
    if form in ("data", "data_no_floor"):
        return None
    try:
        return check_prediction(points, form=form)
    except ConfigError:
        return None


def _stacked(tables: list[pl.DataFrame], arms: list[str]) -> pl.DataFrame:
    named = [
        table.select(pl.lit(arm).alias("arm"), pl.all())
        for table, arm in zip(tables, arms, strict=True)
    ]
    return pl.concat(named) if named else pl.DataFrame({"arm": []}, schema={"arm": pl.String})


def _base(laws: dict[str, ScalingLaw], reference: str) -> ScalingLaw:
    return laws.get(reference) or next(iter(laws.values()))


def _size(laws: dict[str, ScalingLaw], reference: str, questions: Questions) -> float:
    return questions.n_params or _top(_base(laws, reference), "n_params")


def _read_outs(laws: dict[str, ScalingLaw], reference: str, questions: Questions) -> list[ReadOut]:
    if not laws:
        return []
    base, size = _base(laws, reference), _size(laws, reference, questions)
    if not base.form.has_data:
        return []
    loss = questions.loss or _default_loss(base, size)
    found = []
    for law in laws.values():
        found += _of_one(law, (size, loss), questions)
    for arm, law in laws.items():
        if reference in laws and arm != reference:
            tokens = _top(law, "n_tokens") / 4  # the reference must be able to follow
            found.append(
                law_multiplier(
                    laws[reference],
                    law,
                    n_params=size,
                    n_tokens=tokens,
                    extrapolate=questions.extrapolate,
                )
            )
            found += exponent_shifts(laws[reference], law)
    return found


def _costs(laws: dict[str, ScalingLaw], read: list[ReadOut], rates: Rates) -> pl.DataFrame:
    """Cost of the tokens needed; nothing where the law knows no model size."""
    sized = {arm for arm, law in laws.items() if law.form.has_size}
    return cost_table([row for row in read if row.arm in sized], rates=rates)


def _of_one(law: ScalingLaw, at: tuple[float, float], questions: Questions) -> list[ReadOut]:
    size, loss = at
    extrapolate = questions.extrapolate
    found = [
        tokens_needed(law, loss=loss, n_params=size, extrapolate=extrapolate),
        gain_per_doubling(law, n_params=size, n_tokens=_top(law, "n_tokens") / 2),
        knee(law, n_params=size, threshold=questions.threshold),
    ]
    if law.form.has_size:
        flops = questions.flops or _middle_flops(law)
        found += compute_optimal(law, flops=flops, extrapolate=extrapolate)
    return found


def _top(law: ScalingLaw, name: str) -> float:
    return float(law.points.frame[name].to_numpy().max())


def _default_loss(law: ScalingLaw, size: float) -> float:
    nearest = law.points.frame.sort((pl.col("n_params") / size).log().abs(), "n_tokens")
    same = nearest.filter(n_params=nearest["n_params"][0])
    within = same.filter(pl.col("n_tokens") <= _top(law, "n_tokens") / 2)
    best = (within if within.height else same)["loss"].to_numpy().min()
    return math.ceil(100 * float(best)) / 100


def _middle_flops(law: ScalingLaw) -> float:
    n0, d0 = law.points.centre
    return 6 * math.exp(n0 + d0)


def _sentences(
    problems: list[str],
    joint: list[JointLaw],
    read: list[ReadOut],
    last: tuple[str | None, PredictionCheck | None],
) -> tuple[str, ...]:
    cost, prediction = last
    said = [*problems, *(pair.sentence for pair in joint)]
    said += [_in_words(row) for row in read]
    said += [cost] if cost else []
    return tuple([*said, *([prediction.sentence] if prediction else [])])


def _in_words(row: ReadOut) -> str:
    head = f"{row.arm}: {row.quantity} at {row.at}"
    if row.estimate is None:
        return f"{head}: {row.note}"
    tail = f" ({row.note})" if row.note else ""
    return f"{head}: {row.estimate:.3g} [{row.low:.3g}, {row.high:.3g}]{tail}"


def run_points(runs: pl.DataFrame, *, family: str, size: str | None = None) -> pl.DataFrame:
    """Points of one proxy family from a table of runs: the mean loss over evaluation sets.

    The budgets of one replicate are nested draws, hence dependent: a replicate of a size counts
    as one training run. Where the parameters of a size grow with its data (n-grams), they
    are no size to fit: every point gets the size's median.

    Args:
        runs: `arm, family, size, n_params, n_tokens, replicate, eval_set, loss`.
        family: Which family; its `size`s together, or one.
        size: One size; None takes all.

    Returns:
        `arm, n_params, n_tokens, replicate, loss`, as `scaling_report` takes it.

    >>> runs = pl.DataFrame({"arm": "raw", "family": "gpt", "size": "s", "n_params": 5,
    ...     "n_tokens": 100, "replicate": 0, "eval_set": ["a", "b"], "loss": [2.0, 3.0]})
    >>> run_points(runs, family="gpt")["loss"].to_list()
    [2.5]
    """
    mine = runs.filter(family=family) if size is None else runs.filter(family=family, size=size)
    sized = mine.with_columns(n_params=pl.col("n_params").median().over("size"))
    keys = ["arm", "n_params", "n_tokens", "replicate"]
    return sized.group_by(keys).agg(pl.col("loss").sort().mean()).sort(keys)
