"""Serve the curation flow on a schedule from this process, without a work pool.

    python flows/serve.py configs/web.toml --cron "0 3 * * *"

Schedules need a running server (`prefect server start`, and `PREFECT_API_URL` in the environment):
a temporary one has no scheduler. The schedule lives as long as the process; for one that outlives
it use `prefect deploy --all`.
"""

from __future__ import annotations

import argparse

from flows.curation import curation


def main() -> None:
    """Parse the command line and serve until stopped."""
    parser = argparse.ArgumentParser(description="Serve the curation flow on a schedule.")
    parser.add_argument("config", help="path of a TOML config")
    parser.add_argument("--cron", default="0 3 * * *", help="cron expression (default: 3 a.m.)")
    parser.add_argument("--name", default="nightly", help="name of the deployment")
    arguments = parser.parse_args()
    curation.serve(
        name=arguments.name, cron=arguments.cron, parameters={"config": arguments.config}
    )


if __name__ == "__main__":
    main()
