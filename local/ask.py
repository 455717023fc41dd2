"""`make validate-schema`, `extraction-stats`, `quarantine`: the plugin's questions, on the laptop's lake and org."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from local.airflow_home import PROJECT, AirflowHome
from local.org.handle import OrgHandle, OrgNotRunning, start_org


def ask(arguments: list[str], *, root: Path = PROJECT / ".local") -> int:
    """Ask over the org that runs; where none runs, over one started for the question.

    :param arguments: of the question.
    :param root: the laptop's folder.
    :return: the exit code of the question.
    """
    home = AirflowHome(root)
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
        from salesforce_history.ask.questions import main as answer

        return answer(arguments)


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1:]))
