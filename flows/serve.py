"""Serve the curation flow on a schedule from this process, without a work pool.

    python flows/serve.py configs/web.toml --cron "0 3 * * *"

Schedules need a running server (`prefect server start`, and `PREFECT_API_URL` in the environment):
a temporary one has no scheduler. The schedule lives as long as the process; for one that outlives
it use `prefect deploy --all`.
"""

from __future__ import annotations

import argparse
import sys

from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import get_current_settings

from curate.config import load_config
from curate.errors import CurateError
from curate.preflight import check
from flows.curation import curation

NO_SERVER = (
    "PREFECT_API_URL is not set: the temporary server that is started now has no scheduler, so "
    "that nothing will run by itself. Start `prefect server start` and set "
    "PREFECT_API_URL=http://127.0.0.1:4200/api"
)


def main() -> None:
    """Parse the command line and serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve the curation flow on a schedule.")
    parser.add_argument("config", help="path of a TOML config")
    parser.add_argument("--cron", default="0 3 * * *", help="cron expression (default: 3 a.m.)")
    parser.add_argument("--name", default="nightly", help="name of the deployment")
    arguments = parser.parse_args()
    try:
        check(load_config(arguments.config), finished=True)  # the input may come later
        CronSchedule(cron=arguments.cron)
    except CurateError as error:
        parser.exit(error.exit_code, f"curate: {error}\n")
    except ValueError:
        parser.exit(2, f"curate: --cron {arguments.cron!r} is no cron expression\n")
    if get_current_settings().api.url is None:
        print(NO_SERVER, file=sys.stderr)
    curation.serve(
        name=arguments.name, cron=arguments.cron, parameters={"config": arguments.config}
    )


if __name__ == "__main__":
    main()
