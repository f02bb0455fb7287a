"""The experiment of a run that is there already, once more: with other minutes, arms or families.

What came before it, documents to verdicts, is used as it is, even where the input has moved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from curate.config import RunConfig, load_config
from curate.corpus import write_atomically, write_bytes_atomically
from curate.errors import ConfigError, InputError
from curate.experiment import (
    DEFAULT_ARMS,
    FORMER_DEFAULT_ARMS,
    MeasureConfig,
    done_sentences,
    plan_sentences,
    predictions,
    score_predictions,
    transfer_said,
)
from curate.measure import CHECKPOINTS
from curate.pipeline import open_context, run_stage
from curate.progress import Say
from curate.run_folder import Manifest, RunFolder
from curate.scaling import FitOptions, agreement, scaling_report
from curate.scaling.example import example_points
from curate.scaling.words import model_words
from curate.shards import Context
from curate.stage_order import BY_NAME, STAGES

PREDICTIONS, SCORES = "transfer/predictions.parquet", "transfer/scores.parquet"
HEADINGS = {
    "headline": "The same with other models, where it differs from the first in parentheses:",
    "secondary": "Other comparisons, where they differ from the verdict in parentheses:",
    "control": "Controls, whose answer is known:",
    "calibrator": "Controls, whose answer is known:",
}
TABLES = ("proxies/plan.json", "scaling/multipliers.parquet", "scaling/matrix.parquet")
FEWEST_DRAWS = 9
NOTICED = 5.0  # seconds of silence

__all__ = ["measure_run"]


def measure_run(
    folder: Path | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    workers: int | None = None,
    say: Say = print,
    predict: bool = False,
) -> Context:
    """Measure in an existing run folder; its tables of the experiment and its report are replaced.

    Says the plan and what it can see, how far it is, every verdict, planned against done, and
    where the tables are.

    With `measure.stop` all of it fits into the minutes, report included: `experiment.planner`.

    Args:
        folder: Run folder with verdicts.
        overrides: Dotted keys to set in the run's config, e.g. `{"measure.minutes": 5}`.
        workers: Threads; `None` = cores.
        say: Takes each line.
        predict: Whether what stands there is taken as a small experiment: its predictions for
            larger budgets and other families are written to `transfer/` first, and scored after.

    Raises:
        InputError: There are no verdicts in the folder.
        ConfigError: Neither the run nor the overrides name evaluation files.

    >>> measure_run("no-such-run")
    Traceback (most recent call last):
      ...
    curate.errors.InputError: no run with verdicts in 'no-such-run'; make one with `curate run`
    """
    began = time.monotonic()
    root = Path(folder)
    before, config, measure = _configs(root, overrides or {}, predict=predict, say=say)
    stored = root / "config.toml"
    resolved = stored.read_bytes()
    try:
        context = open_context(config, workers=workers, say=say, finished=True)
        if measure.stop:
            context = replace(context, deadline=began + 60 * measure.minutes)
            _compile(say)
        _complete(context, anew=_evaluation(config) != _evaluation_read(context, before))
        ran = _measure(context, say, predict=predict)
    except BaseException as error:
        write_bytes_atomically(resolved, stored)  # what was asked for in vain is not the run's
        if isinstance(error, KeyboardInterrupt):
            say(_interrupted(root))
        raise
    try:
        if predict:
            _score(context)
        run_stage("report", context)
    except KeyboardInterrupt:
        say(
            "Interrupted: all tables of this measurement are finished, its page is not; "
            f"`curate report {root}` writes it"
        )
        raise
    _tell(context, say, seconds=time.monotonic() - began if ran else None)
    return context


def _configs(
    root: Path, overrides: Mapping[str, Any], *, predict: bool, say: Say
) -> tuple[RunConfig, RunConfig, MeasureConfig]:
    """The config of the run, the one that is asked for, and its table of the experiment."""
    stored = root / "config.toml"
    record = Manifest(RunFolder(root)).stages.get("verdicts") if stored.is_file() else None
    if record is None or not record.done:
        raise InputError(f"no run with verdicts in {str(root)!r}; make one with `curate run`")
    before = load_config(stored)
    asked = {**(_larger(before) if predict else {}), **overrides, "output.path": str(root)}
    config = load_config(stored, overrides=asked)
    if _nobody_asked(config, overrides):
        config = load_config(stored, overrides=asked | {"measure.arms": list(DEFAULT_ARMS)})
    if config.measure is None or not config.measure.evaluation:
        raise ConfigError(
            "this run names no evaluation files; give text that neither side saw with --evaluation"
        )
    _say_arms(before, config.measure, say)
    return before, config, config.measure


def _nobody_asked(config: RunConfig, overrides: Mapping[str, Any]) -> bool:
    """Whether the arms are the default of an earlier version, which its run folder holds."""
    measure = config.measure
    if measure is None or measure.plan is not None or "measure.arms" in overrides:
        return False
    return measure.arms in FORMER_DEFAULT_ARMS


def _say_arms(before: RunConfig, config: MeasureConfig, say: Say) -> None:
    """What today's default adds to the arms that an earlier version's stands for."""
    stored = before.measure.arms if before.measure else config.arms
    if stored in FORMER_DEFAULT_ARMS and config.arms == DEFAULT_ARMS:
        added = ", ".join(arm for arm in config.arms if arm not in stored)
        held = ", ".join(f'"{arm}"' for arm in stored)
        say(
            f"Arms: this folder holds the default of an earlier version; today's adds {added} "
            f"(--set 'measure.arms=[{held}]' keeps to the earlier)"
        )


def _compile(say: Say) -> None:
    """Have the report's fits compiled before the plan, which has what is left of the minutes.

    On a new machine that takes half a minute of a free core, else next to nothing.
    """
    line = "report: compiles its fits, once on this machine, in about half a minute"
    notice = threading.Timer(NOTICED, say, [line])
    notice.start()
    try:
        points = example_points(sizes=1)
        scaling_report(points, options=FitOptions(form="data", draws=FEWEST_DRAWS))
    finally:
        notice.cancel()


def _interrupted(root: Path) -> str:
    """What an interrupted measuring leaves, and how to go on."""
    record = Manifest(RunFolder(root)).stages.get("measure")
    kept = "nothing was measured before, all else in the folder is as it was"
    if record is not None and record.done:
        kept = "tables and report of the measurement before are as they were"
    ladders = len(list((root / CHECKPOINTS).glob("*.npz")))
    begun = f"; {ladders} ladders of transformers go on where they were" if ladders else ""
    return f"Interrupted: {kept}. The same command measures anew{begun}"


def _measure(context: Context, say: Say, *, predict: bool) -> bool:
    """Whether it was measured now."""
    if predict:
        _predict(context, say)
    ran = run_stage("measure", context, keep=True)
    if not ran:
        say(
            "Measured before with these settings; the tables are as they were. Other --minutes "
            "measure anew."
        )
        say("\n".join(plan_sentences(context.folder.read_json("proxies/plan.json"))))
    return ran


def _evaluation(config: RunConfig) -> tuple[object, ...]:
    measure = config.measure or MeasureConfig()
    return measure.evaluation, measure.evaluation_column


def _evaluation_read(context: Context, before: RunConfig) -> tuple[object, ...]:
    """What the text under `evaluation/` was read from, which the config need not say.

    After an interrupt the config is that of the measurement before again, the text is not. A
    folder of an earlier version does not say what it was read from: what its config names.
    """
    record = context.manifest.stages.get("evaluation")
    facts = record.facts if record is not None else {}
    if "files" not in facts:
        return _evaluation(before)
    return tuple(facts["files"]), facts.get("column")


def _complete(context: Context, *, anew: bool) -> None:
    """Run what the experiment and the report read and the folder lacks, e.g. an older run's.

    With other evaluation files, these are read and overlaps with them looked for again.
    """
    if anew:
        _forget(context, "evaluation", "contamination")
    needed = {*BY_NAME["measure"].after, *BY_NAME["report"].after} - {"measure"}
    for stage in STAGES:
        record = context.manifest.stages.get(stage.name)
        if stage.name in needed and (record is None or not record.done):
            run_stage(stage.name, context)


def _forget(context: Context, *names: str) -> None:
    """Drop what stages made, all before one is done again: an interrupt between leaves no half."""
    with context.folder.alone():
        for name in names:
            context.manifest.begin(name, key="", homes=BY_NAME[name].homes)


def _larger(config: RunConfig) -> dict[str, Any]:
    """Four times the minutes and no old plan, unless the caller says otherwise."""
    if config.measure is None:
        return {}
    return {"measure.minutes": 4 * config.measure.minutes, "measure.plan": False}


def _predict(context: Context, say: Say) -> None:
    """What is measured now, and what it says of larger budgets, written before these are trained.

    Raises:
        InputError: Nothing was measured yet.
    """
    path = context.folder.file("scaling/multipliers.parquet")
    small = predictions(pl.read_parquet(path)) if path.exists() else pl.DataFrame()
    if small.is_empty():
        raise InputError(
            "nothing to predict from: measure first with few minutes, e.g. --minutes 1"
        )
    write_atomically(small, context.folder.file(PREDICTIONS))
    say(f"Predictions of {small.height} contrasts written to {context.folder.file(PREDICTIONS)}")


def _score(context: Context) -> None:
    folder = context.folder
    after = folder.read("scaling/multipliers.parquet")
    scores = score_predictions(folder.read(PREDICTIONS), after)
    write_atomically(scores, folder.file(SCORES))


def _tell(context: Context, say: Say, *, seconds: float | None) -> None:
    folder = context.folder
    if seconds is None:  # it was measured before
        seconds = context.manifest.stages["measure"].seconds
    _tell_verdicts(folder.read_json("scaling/verdicts.json") or [], say)
    for row in agreement(folder.read("scaling/multipliers.parquet")).iter_rows(named=True):
        say(
            f"Agreement of {_model(row['first'])} and {_model(row['second'])}: the same side in "
            f"{row['same_sign']} of {row['contrasts']} contrasts "
            f"[{row['low']:.2f}, {row['high']:.2f}]"
        )
    if folder.file(SCORES).exists():
        scores = folder.read(SCORES)
        lines = transfer_said(scores) or [
            "nothing larger was measured than what was predicted from"
        ]
        say("Carried over: " + "\n  ".join(lines))
    plan = folder.read_json("proxies/plan.json") or {}
    if pool := plan.get("pool"):
        say(
            f"Pool: {pool['pool_documents']:,} documents; {pool['contaminated_documents']:,} more "
            "overlap an evaluation set and are in no arm, "
            f"{pool['contaminated_kept']:,} of them curated"
        )
    for line in done_sentences(plan, seconds=seconds):
        say(line)
    say("Tables, and the page to open:")
    for name in (*TABLES, "report.html"):
        say(f"  {folder.file(name)}")


def _model(name: str) -> str:
    family, _, size = name.rpartition(" ")
    return model_words(family, size)


def _tell_verdicts(verdicts: Sequence[Mapping[str, Any]], say: Say) -> None:
    """Each with the gate, and without it where that makes a difference."""
    first = _first(verdicts)
    sentence = first["sentence"] if first else "cannot tell: the headline was not measured"
    for line in _told(first) if first else [f"Verdict: {sentence}"]:
        say(line)
    heading = ""
    for verdict in verdicts:
        if verdict is first:
            continue
        own = HEADINGS[verdict["kind"]]
        if own != heading:
            heading = own
            say(heading)
        for line in _told(verdict, beside=sentence):
            say(line)
    if all(v["sentence_without_gate"] == v["sentence"] for v in verdicts):
        say("Without the calibrator's gate every verdict is the same.")


def _first(verdicts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The headline; where no cell of it can speak, the first that says so.

    >>> silent = {"kind": "headline", "headline": False, "conclusion": "cannot tell: one draw"}
    >>> _first([silent | {"conclusion": "worth"}, silent])["conclusion"]
    'cannot tell: one draw'
    """
    silent = (
        v for v in verdicts if v["kind"] == "headline" and v["conclusion"].startswith("cannot tell")
    )
    return next((v for v in verdicts if v["headline"]), None) or next(silent, None)


def _told(verdict: Mapping[str, Any], *, beside: str | None = None) -> list[str]:
    """A verdict, and what is said with it; shortened where it stands `beside` the first one's."""
    sentence, ungated = verdict["sentence"], verdict["sentence_without_gate"]
    more = [f"without the calibrator's gate: {ungated}"] if ungated != sentence else []
    more += [*verdict.get("designs", ()), *filter(None, [verdict.get("note")])]
    if beside is not None:
        return [f"  {_shortened(sentence, beside)}", *(f"    {line}" for line in more)]
    more += filter(None, [verdict["detail"]])
    return [f"Verdict: {sentence}", *(f"    {line}" for line in more)]


def _shortened(sentence: str, first: str) -> str:
    """A sentence without what the parentheses at its end have in common with the first one's.

    >>> _shortened("One does 2 (GPT, 9 tokens, 3 draws)", "One does 1 (GPT, 8 tokens, 3 draws)")
    'One does 2 (9 tokens)'
    """
    claim, _, scope = sentence.rpartition(" (")
    common = _parts(first.rpartition(" (")[2])
    own = [part for part in _parts(scope) if part not in common]
    return f"{claim} ({', '.join(own)})" if own else claim


def _parts(scope: str) -> list[str]:
    return scope.removesuffix(")").replace("; ", ", ").split(", ")
