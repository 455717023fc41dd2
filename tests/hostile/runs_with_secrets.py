"""Real DAG runs with secrets planted in the connection, Airflow logging at DEBUG: a process of its own for the scan.

python runs_with_secrets.py ROOT REPORT: everything that is written lies below ROOT; REPORT holds the outcomes and the
session tokens that the org gave out.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from local.airflow_home import AirflowHome
from local.faults.world import write_world
from local.org.faults import LOGIN, QUERY, Fault
from local.org.faults import Echo as Repeat
from local.org.handle import OrgHandle, start_org
from local.progress import output_to

SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)
KINDS = ("client_credentials", "password", "jwt")


def connection(org: OrgHandle, kind: str) -> dict[str, Any]:
    """A connection that holds the secret itself, and not the path of a file with it."""
    found = org.connection(kind)
    if kind == "jwt":
        key = Path(found["extra"].pop("private_key_file_path")).read_text(encoding="utf-8")
        found["extra"]["private_key"] = key
    return found


def plans(kind: str) -> dict[str, list[Fault]]:
    """What goes wrong in which run."""
    style: Literal["soap", "oauth"] = "soap" if kind == "password" else "oauth"
    refused = Repeat(status=500 if style == "soap" else 400, style=style)
    return {
        "login refused, echoed": [Fault(do=refused, path=LOGIN, times=None)],
        "read refused, echoed": [Fault(do=Repeat(status=403), path=QUERY, lacks="COUNT()", times=None)],
        "calm": [],
    }


def main(root: Path, report: Path) -> None:
    """Make the runs."""
    root.mkdir(parents=True, exist_ok=True)
    home = AirflowHome(root)
    write_world(root / "world.jsonl")
    with start_org(home.org) as org:
        org.load_events(root / "world.jsonl")
        debug = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "DEBUG"}
        debug["SF_HISTORY_RETRY_DELAY_SECONDS"] = "1"
        variables = home.variables(org, extra=debug)
        os.environ.update(variables)
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
        outcomes: dict[str, str] = {}
        tokens: set[str] = set()
        with output_to(home.logs / "run.log"):
            home.prepare(variables, fresh=True)
            from airflow.dag_processing.dagbag import DagBag

            from local.warm import warm_up

            warm_up()
            dag = DagBag(dag_folder=variables["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False).dags[
                "sf_user_pipeline"
            ]
            number = 0
            for kind in KINDS:
                os.environ["AIRFLOW_CONN_SALESFORCE_DEFAULT"] = json.dumps(connection(org, kind))
                for what, faults in plans(kind).items():
                    if kind != KINDS[0] and what == "calm":
                        # A whole run of another kind would show nothing that its refused ones do not.
                        continue
                    number += 1
                    end = SIX + timedelta(hours=number)
                    org.set_clock(end)
                    org.set_faults(faults)
                    run: Any = dag.test(logical_date=end, run_after=end)
                    state = str(getattr(run.state, "value", run.state))
                    outcomes[f"{kind}: {what}"] = state
                    with sqlite3.connect(f"file:{org.home.database}?mode=ro", uri=True) as database:
                        tokens |= {token for (token,) in database.execute("SELECT token FROM sessions")}
        report.write_text(json.dumps({"outcomes": outcomes, "tokens": sorted(tokens)}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
