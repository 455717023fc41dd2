"""`make validate-schema`, `extraction-stats`, `quarantine`: the plugin's questions, on the laptop's lake and org."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from local.airflow_home import PROJECT, AirflowHome
from local.org.handle import OrgHandle, OrgNotRunning, start_org


def main() -> int:
    """Ask over the org that runs; where none runs, over one started for the question.

    :return: the exit code of the question.
    """
    home = AirflowHome(PROJECT / ".local")
    with ExitStack() as stack:
        try:
            org = OrgHandle(home.org)
            org.stats()
        except OrgNotRunning:
            org = stack.enter_context(start_org(home=home.org))
        variables = home.variables(org)
        os.environ.update(variables)
        # Airflow logs to stdout, where only the answer belongs.
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
        home.prepare(variables, fresh=False)
        from salesforce_history.ask import main as ask

        return ask(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
