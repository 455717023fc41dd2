"""Build dbt/target/manifest.json, from which Cosmos draws the DAGs: no dbt is started while a DAG is parsed."""

from __future__ import annotations

import os
import sys

from dbt.cli.main import dbtRunner

from local.airflow_home import PROJECT


def main() -> int:
    """Parse the dbt project for the laptop's target.

    :return: 0, or 1 with dbt's own error on the terminal.
    """
    os.environ.setdefault("SF_HISTORY_LAKE", str(PROJECT / ".local" / "lake"))
    os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    project = str(PROJECT / "dbt")
    result = dbtRunner().invoke(["--quiet", "parse", "--project-dir", project, "--profiles-dir", project])
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
