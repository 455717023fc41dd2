"""`make airflow`: Airflow's command line in the environment of `make up`."""

from __future__ import annotations

import os
import subprocess
import sys

from local.airflow_home import PROJECT, AirflowHome
from local.org.handle import OrgHandle, OrgNotRunning


def main() -> int:
    """Hand everything to `airflow`.

    :return: Airflow's exit code; 2 where `make up` does not run.
    """
    home = AirflowHome(PROJECT / ".local")
    try:
        org = OrgHandle(home.org)
        org.stats()
    except OrgNotRunning:
        print("nothing is running: start Airflow and the org with `make up` first", file=sys.stderr)
        return 2
    return subprocess.call(
        [sys.executable, "-m", "airflow", *sys.argv[1:]], env={**os.environ, **home.variables(org)}, cwd=PROJECT
    )


if __name__ == "__main__":
    sys.exit(main())
