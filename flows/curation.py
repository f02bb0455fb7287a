"""The curation run as a Prefect flow: each stage of `curate.pipeline` is one task.

One-off, from a laptop (Prefect 3 has no `prefect run`):

    python flows/curation.py configs/demo.toml

Scheduled: `prefect deploy --all` with the repository's `prefect.yaml`, or `flows/serve.py`.
Tasks take and return paths and names only; the tables lie in the run folder, and the folder's
manifest decides what a re-run has to do. Prefect adds names, retries, artifacts and schedules.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# A first start migrates a fresh database, which can take longer than Prefect's own limit.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

import polars as pl
from prefect import State, Task, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from curate.audits import forbidden_rows
from curate.config import load_config, parse_assignment, to_toml
from curate.errors import CurateError, GateError
from curate.pipeline import describe, open_context, run_stage
from curate.report import markdown
from curate.shards import Context
from curate.stage_order import STAGES


def worth_a_retry(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Not where the library itself says what is wrong: the same input fails the same way."""
    return not isinstance(state.result(raise_on_failure=False), CurateError)


@task(
    name="stage",
    task_run_name="{stage}",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=worth_a_retry,
    cache_policy=NO_CACHE,
)
def run_one_stage(stage: str, config: str) -> str:
    """Run one stage of the run that the config text describes; returns what it did."""
    import tomllib

    context = open_context(load_config(tomllib.loads(config)))
    try:
        ran = run_stage(stage, context)
    except GateError as error:
        publish_gate(context, error)
        raise
    summary = describe(stage, context, ran=ran)
    create_markdown_artifact(key=f"curate-{stage}", markdown=summary, description=stage)
    return summary


def publish_gate(context: Context, error: GateError) -> None:
    """The rows that the audit's gate forbids as a table, with what the gate said."""
    gate = context.config.audit.gate
    path = context.folder.file("audit/impact.parquet")
    rows = forbidden_rows(pl.read_parquet(path), gate) if gate and path.exists() else None
    create_table_artifact(
        key="curate-audit-gate",
        table=[] if rows is None else rows.to_dicts(),
        description=str(error),
    )


@flow(name="curation", flow_run_name="{config}")
def curation(config: str, overrides: dict[str, Any] | None = None) -> str:
    """Run every stage of a config in order.

    Args:
        config: Path of a TOML config.
        overrides: Dotted keys to set on top, e.g. `{"output.path": "runs/nightly"}`.

    Returns:
        Path of the HTML report.
    """
    logger = get_run_logger()
    resolved = load_config(config, overrides=overrides)
    for stage in STAGES:
        logger.info(run_one_stage(stage.name, to_toml(resolved)))
    folder = Path(resolved.output.path)
    create_markdown_artifact(key="curate-run", markdown=markdown(folder), description="verdict")
    return str(folder / "report.html")


def main() -> None:
    """Run the config that the command line names; what is wrong with it is said in one line."""
    if len(sys.argv) < 2:
        sys.exit("usage: python flows/curation.py CONFIG [key=value …]")
    try:
        overrides = dict(parse_assignment(a) for a in sys.argv[2:])
        load_config(sys.argv[1], overrides=overrides)  # before Prefect starts, which takes a while
        print(curation(sys.argv[1], overrides))
    except CurateError as error:
        print(f"curate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
