"""The command line: `curate run | demo | explain | what-if | sweep | …`.

Exit codes: 0 done, 1 a gate failed, 2 wrong usage or config, 3 input unreadable, 130 interrupted.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import curate
from curate.commands import COMMANDS
from curate.errors import ConfigError, CurateError, GateError, InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Clean a text corpus, and prove what the cleaning was worth.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"curate {curate.__version__}")
        raise typer.Exit


Version = typer.Option("--version", callback=_print_version, is_eager=True, help="Say it, end.")


@app.callback()
def _options(version: Annotated[bool, Version] = False) -> None: ...


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)

ConfigPath = Annotated[Path, typer.Argument(help="TOML config of the run.")]
RunPath = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Input = Annotated[str | None, typer.Option("--input", help="Sets input.path.")]
Reference = Annotated[str | None, typer.Option("--reference", help="Sets quality.reference.")]
Evaluation = Annotated[str | None, typer.Option("--evaluation", help="Sets measure.evaluation.")]
Output = Annotated[str | None, typer.Option("--output", help="Sets output.path.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, any number; e.g. seed=3.")
]
Against = Annotated[
    list[str] | None,
    typer.Option("--against", help="Index whose documents go, any number: duplicates.against."),
]
Index = Annotated[
    str | None, typer.Option("--index", help="The same, and what stays is added: duplicates.index.")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Threads; default: cores.")]


@app.command()
def run(
    config: ConfigPath,
    input: Input = None,
    reference: Reference = None,
    evaluation: Evaluation = None,
    output: Output = None,
    against: Against = None,
    index: Index = None,
    set: Assignments = None,
    workers: Workers = None,
) -> None:
    """Run a config from raw text to report."""
    overrides = _overrides(input, reference, evaluation, output, set)
    indexes = {"duplicates.against": against, "duplicates.index": index}
    overrides |= {key: value for key, value in indexes.items() if value}
    _execute(config, overrides, workers)


@app.command()
def audit(
    what: Annotated[
        Path, typer.Argument(help="File of documents or verdicts, folder of a run, or its config.")
    ],
    groups: Annotated[
        list[str] | None,
        typer.Option("--groups", help="Column of groups, any number; default: source."),
    ] = None,
    lexicons: Annotated[
        list[str] | None,
        typer.Option("--lexicons", help="identity, dialect, or a TOML file: groups in texts."),
    ] = None,
    scores: Annotated[
        list[str] | None, typer.Option("--scores", help="Numbers to compare between groups.")
    ] = None,
    topics: Annotated[int, typer.Option("--topics", help="Topics to look for; 0 = none.")] = 0,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rules", help="Rule set that judges a file's texts, any number."),
    ] = None,
    text: Annotated[str, typer.Option("--text", help="Column with a file's text.")] = "text",
    clean: Annotated[
        list[str] | None, typer.Option("--clean", help="Cleaning steps, audited as steps.")
    ] = None,
    cleaned: Annotated[
        str | None, typer.Option("--cleaned", help="Column with a file's text after cleaning.")
    ] = None,
    edits: Annotated[
        str | None, typer.Option("--edits", help="Parquet file with what cleaning changed.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", help="CSV or Parquet file for one row a number.")
    ] = None,
    input: Input = None,
    output: Output = None,
    set: Assignments = None,
) -> None:
    """Whom do steps hit? Of a file of documents, a run, or a config without experiment."""
    if what.suffix == ".toml":
        overrides = _overrides(input, None, None, output, set)
        _execute(what, overrides, None, without="measure")
        return
    if input or output or set:
        raise ConfigError("--input, --output and --set belong to a config; a file takes --rules …")
    from curate.run_audit import show_audit

    own = {"rules": rules, "clean": clean, "cleaned": cleaned, "edits": edits}
    asked = {"groups": groups, "lexicons": lexicons, "scores": scores, "topics": topics}
    show_audit(what, asked=asked, own=own | {"text": text}, table=table)


@app.command()
def measure(
    what: Annotated[Path, typer.Argument(help="TOML config of a run, or a finished run's folder.")],
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Time for it; what is not done then is left.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="A plan.json: what it did is done again.")
    ] = None,
    predict_larger: Annotated[
        bool, typer.Option("--predict-larger", help="Predict a larger experiment, run it, score.")
    ] = False,
    input: Input = None,
    reference: Reference = None,
    evaluation: Evaluation = None,
    output: Output = None,
    set: Assignments = None,
    workers: Workers = None,
) -> None:
    """Run the experiment; all that is already there is used as it is."""
    timed: dict[str, Any] = {}
    if minutes is not None and plan is not None:
        raise ConfigError("give --minutes or --plan: a plan is carried out whatever the time")
    if minutes is not None:
        timed = {"measure.minutes": minutes, "measure.stop": True, "measure.plan": False}
    if plan is not None:
        timed = {"measure.plan": str(plan), "measure.stop": False}
    overrides = timed | _overrides(input, reference, evaluation, output, set)
    if not what.exists():
        raise InputError(f"no run folder and no config file {str(what)!r}")
    if what.is_dir():
        from curate.remeasure import measure_run

        say = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
        line = partial(say.print, soft_wrap=True)
        measure_run(what, overrides=overrides, workers=workers, say=line, predict=predict_larger)
    else:
        _execute(what, {"measure.families": ["kneser_ney"], **overrides}, workers)


@app.command()
def demo(output: Output = None, set: Assignments = None, workers: Workers = None) -> None:
    """Run the packaged preset on text that every machine with Python has."""
    from curate.demo import demo_config

    overrides = _overrides(None, None, None, output, set)
    _execute(demo_config(Path(overrides.pop("output.path", "runs/demo"))), overrides, workers)


@app.command()
def explain(folder: RunPath, id: Annotated[str, typer.Argument(help="Document id.")]) -> None:
    """Say why one document left or stays, with the margin to each bound."""
    from curate.runs import open_run, quality_words_said

    run = open_run(folder)
    print(run.explain(id))
    if said := quality_words_said(run, id):
        print(f"  words that moved its quality most: {said}")


@app.command("what-if")
def what_if(
    folder: RunPath,
    bounds: Annotated[
        list[str] | None, typer.Argument(help="set.rule.min=value or set.rule.max=value")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="The same, as an option; any number.")
    ] = None,
) -> None:
    """Count whose fate changes under other bounds; nothing is measured again."""
    from curate.config import parse_assignment
    from curate.runs import open_run

    overrides: dict[str, dict[str, Any]] = {}
    for bound in [*(bounds or []), *(rule or [])]:
        key, value = parse_assignment(bound)
        name, _, side = key.rpartition(".")
        overrides.setdefault(name, {})[side] = value
    if not overrides:
        raise ConfigError("nothing is asked: give --rule set.rule.min=value")
    answer = open_run(folder).what_if(overrides)
    print("\n".join([str(answer), *answer.fates]))


@app.command()
def sweep(
    folder: RunPath,
    rule: Annotated[str, typer.Option("--rule", help="set.rule.min or set.rule.max")],
    values: Annotated[
        str | None,
        typer.Option("--values", help="a,b,c; default: the column's quantiles, end to end."),
    ] = None,
) -> None:
    """Show how many documents are kept as one bound moves, all else as it is."""
    from curate.runs import open_run

    name, _, bound = rule.rpartition(".")
    try:
        tried = [float(v) for v in values.split(",")] if values else []
    except ValueError:
        raise ConfigError(f"--values is {values!r}; allowed: numbers, as in 10,20,50") from None
    opened = open_run(folder)
    curve = opened.sweep(name, bound=bound, values=tried)
    rules = opened.config.rules
    if name.split(".")[0] in frozenset(rules.shown).difference(rules.sets):
        print(f"{name} is only shown by this run; here it is applied")
    print(f"Documents kept as {rule} moves, all else as it is; shares are of usable documents:")
    print(f"{'value':>12} {'documents':>12} {'share':>7} {'tokens':>14}")
    for row in curve.to_dicts():
        bar = "█" * round(40 * row["share"]) + ("  ◀ present bound" if row["present"] else "")
        kept, tokens = f"{row['kept']:,}", f"{row['tokens_kept']:,}"
        print(f"{row['value']:>12.6g} {kept:>12} {row['share']:>7.1%} {tokens:>14} {bar}")


@app.command()
def diff(folder: RunPath, other: RunPath) -> None:
    """List the documents whose verdict differs between two runs."""
    from curate.runs import difference_said, open_run

    print("\n".join(difference_said(open_run(folder), open_run(other))))


@app.command()
def scaling(
    points: Annotated[Path, typer.Argument(help="CSV or Parquet with one row a training run.")],
    n: Annotated[str, typer.Option("--n", help="Column of parameters.")] = "n_params",
    d: Annotated[str, typer.Option("--d", help="Column of training tokens.")] = "n_tokens",
    loss: Annotated[str, typer.Option("--loss", help="Column of losses.")] = "loss",
    arm: Annotated[str | None, typer.Option("--arm", help="Column of data sets.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Column of training runs.")] = None,
    form: Annotated[str, typer.Option("--form", help="Form of the law.")] = "chinchilla",
    reference: Annotated[
        str | None, typer.Option("--reference", help="Arm that the others are compared with.")
    ] = None,
    at_size: Annotated[
        float | None, typer.Option("--at-size", help="Parameters to read the law at.")
    ] = None,
    at_loss: Annotated[float | None, typer.Option("--at-loss", help="Loss to reach.")] = None,
    at_flops: Annotated[
        float | None, typer.Option("--at-flops", help="Compute budget to spend best.")
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Answer outside the measured range, marked.")
    ] = False,
    flops_per_second: Annotated[
        float, typer.Option("--flops-per-second", help="Peak of one device.")
    ] = 9.89e14,
    utilisation: Annotated[
        float, typer.Option("--utilisation", help="Share of the peak that training reaches.")
    ] = 0.4,
    price: Annotated[float, typer.Option("--price", help="Of one device hour.")] = 2.0,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write laws, costs and figures as a page.")
    ] = None,
) -> None:
    """Fit scaling laws to anyone's training runs and read them as tokens needed."""
    from curate.report.law_page import write_scaling_page
    from curate.report.terminal import print_table
    from curate.scaling import Columns, FitOptions, Questions, Rates, read_points, scaling_report

    rates = Rates(flops_per_second=flops_per_second, utilisation=utilisation, price_per_hour=price)
    questions = Questions(
        n_params=at_size,
        loss=at_loss,
        flops=at_flops,
        reference=reference,
        extrapolate=extrapolate,
        rates=rates,
    )
    found = scaling_report(
        read_points(points, Columns(n=n, d=d, loss=loss, arm=arm, run=run)),
        options=FitOptions(form=form),
        questions=questions,
    )
    for sentence in found.sentences:
        print(sentence)
    print_table(found.parameters)
    if html is not None:
        print(write_scaling_page(found, html, name=points.stem, reference=reference))


@app.command()
def report(folder: RunPath) -> None:
    """Write the report of a run folder again and print the summary."""
    from curate.report import write_report
    from curate.runs import open_run

    open_run(folder)
    write_report(folder)
    _print_summary(folder)


def main() -> None:
    """Entry point of the `curate` command; turns errors into messages and exit codes."""
    try:
        app()
    except CurateError as error:
        Console(stderr=True).print(
            f"curate: {error}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(error.exit_code)
    except Exception as error:  # the system, Arrow and Polars say it under different names
        if "No space left" not in str(error):
            raise
        sys.exit("curate: the disk is full; the same command goes on where it stopped")


def _execute(
    config: Any,  # noqa: ANN401
    overrides: dict[str, Any],
    workers: int | None,
    without: str | None = None,
) -> None:
    from curate.config import load_config
    from curate.pipeline import open_context, run_stages

    told = Console(stderr=True, highlight=False, markup=False)
    say = partial(told.print, style="dim", soft_wrap=True)
    context = open_context(load_config(config, overrides=overrides), workers=workers, say=say)
    try:
        run_stages(context, without=without)
    except KeyboardInterrupt:
        say("interrupted: what is finished stays; the same command goes on from there")
        raise
    except GateError:  # the tables stand and say why; after other errors they would be old ones
        if context.folder.file("report.json").exists():
            _print_summary(context.folder.root)
        raise
    _print_summary(context.folder.root)


def _print_summary(folder: Path) -> None:
    from curate.report import summary

    width = None if sys.stdout.isatty() else 100
    Console(width=width).print(summary(folder))


def _overrides(
    input: str | None,
    reference: str | None,
    evaluation: str | None,
    output: str | None,
    assignments: list[str] | None,
) -> dict[str, Any]:
    from curate.config import parse_assignment

    given = {
        "input.path": input,
        "quality.reference": reference,
        "measure.evaluation": None if evaluation is None else [evaluation],
        "output.path": output,
    }
    named = {key: value for key, value in given.items() if value is not None}
    return named | dict(parse_assignment(a) for a in assignments or [])


__all__ = ["ConfigError", "app", "main"]
