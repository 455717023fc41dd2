"""Amazon MWAA on loopback: its API (GetEnvironment, InvokeRestApi) over what moto's CloudFormation has made.

**It runs no Airflow.** It says which DAGs the bundle in the scripts bucket would give, keeps pools, and lets a
triggered run pass through the pipeline's tasks, one a look, without doing anything. So what asks MWAA can be tried;
what MWAA does cannot. `tests/packaging` runs the bundle in a real Airflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

#: How many looks at an environment find it at work.
LOOKS = 2
ACCOUNT = "123456789012"
_TASKS = ("check_source", "extract", "validate", "upsert_raw", "take_turn", "dbt_scd2", "publish_metrics")
_FILES = ("PluginsS3Path", "RequirementsS3Path", "StartupScriptS3Path")

Reply = tuple[int, dict[str, Any]]


class Environment:
    """An environment.

    :param given: properties of the resource.
    :param arn: its ARN.
    :param webserver: host of Airflow's UI, where nobody answers.
    """

    def __init__(self, given: Mapping[str, Any], *, arn: str, webserver: str) -> None:
        self.given, self.arn, self.webserver = dict(given), arn, webserver
        self.status, self.error = "CREATING", ""
        self.looks = 0
        self.pools: dict[str, dict[str, Any]] = {"default_pool": {"name": "default_pool", "slots": 128}}
        self.unpaused: set[str] = set()
        self.runs: dict[str, dict[str, dict[str, Any]]] = {}
        #: What is to go wrong: `import_errors` (list of text), `failing_task` (its name).
        self.faults: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.given["Name"])

    def change(self, given: Mapping[str, Any]) -> None:
        """Take other properties.

        :param given: all of them.
        """
        self.given, self.status, self.looks = dict(given), "UPDATING", 0

    def described(self) -> dict[str, Any]:
        """What GetEnvironment answers. After some looks what went on has ended."""
        self.looks += 1
        if self.looks > LOOKS and self.status in ("CREATING", "UPDATING"):
            self.status = "AVAILABLE"
        error = {"Error": {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": self.error}} if self.error else {}
        kept = ("AirflowVersion", "EnvironmentClass", "DagS3Path", "SourceBucketArn", "ExecutionRoleArn", *_FILES)
        return {
            "Name": self.name,
            "Status": self.status,
            "Arn": self.arn,
            "WebserverUrl": self.webserver,
            **{name: self.given[name] for name in kept if name in self.given},
            "LastUpdate": {"Status": "FAILED" if self.error else "SUCCESS", **error},
        }

    def asked(self, method: str, path: str, body: Mapping[str, Any], query: Mapping[str, Any]) -> Reply:
        """What Airflow's REST API answers.

        :param method: GET, POST or PATCH.
        :param path: below /api/v2.
        :param body: of the request.
        :param query: of the request.
        """
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match method, parts:
            case "GET", ["pools", name]:
                return self._found(self.pools.get(name))
            case "POST", ["pools"]:
                self.pools[str(body["name"])] = dict(body)
                return 201, dict(body)
            case "GET", ["importErrors"]:
                errors = [{"filename": "dags", "stack_trace": text} for text in self.faults.get("import_errors", [])]
                return 200, {"import_errors": errors, "total_entries": len(errors)}
            case _, ["dags", dag, *rest] if dag in self._dags():
                return self._dag(method, dag, rest, body, query)
        return 404, {"detail": f"{method} {path} was not found"}

    def _dag(  # noqa: PLR0911 one a route
        self, method: str, dag: str, rest: list[str], body: Mapping[str, Any], query: Mapping[str, Any]
    ) -> Reply:
        runs = self.runs.setdefault(dag, {})
        match method, rest:
            case "GET", []:
                return 200, {"dag_id": dag, "is_paused": dag not in self.unpaused}
            case "PATCH", []:
                (self.unpaused.discard if body["is_paused"] else self.unpaused.add)(dag)
                return 200, {"dag_id": dag, "is_paused": body["is_paused"]}
            case "GET", ["dagRuns"]:
                newest = list(reversed(runs.values()))[: int(query.get("limit", 50))]
                return 200, {"dag_runs": newest, "total_entries": len(runs)}
            case "POST", ["dagRuns"] if "logical_date" not in body:
                return 422, {"detail": [{"loc": ["body", "logical_date"], "msg": "Field required"}]}
            case "POST", ["dagRuns"]:
                run = {"dag_run_id": body["dag_run_id"], "dag_id": dag, "state": "queued", "tasks": {}}
                if runs.setdefault(body["dag_run_id"], run) is not run:
                    return 409, {"detail": f"{body['dag_run_id']} exists already"}
                return 200, self._shown(run)
            case "GET", ["dagRuns", run_id] if run_id in runs:
                self._go_on(dag, runs[run_id])
                return 200, self._shown(runs[run_id])
            case "GET", ["dagRuns", run_id, "taskInstances"] if run_id in runs:
                tasks = runs[run_id]["tasks"].items()
                return 200, {"task_instances": [{"task_id": task, "state": state} for task, state in tasks]}
        return 404, {"detail": f"{method} /dags/{dag}/{'/'.join(rest)} was not found"}

    def _go_on(self, dag: str, run: dict[str, Any]) -> None:
        """One task more, if the DAG is switched on."""
        if run["state"] not in ("queued", "running") or dag not in self.unpaused:
            return
        task = _TASKS[len(run["tasks"])]
        failed = task == self.faults.get("failing_task")
        run["tasks"][task] = "failed" if failed else "success"
        done = len(run["tasks"]) == len(_TASKS)
        run["state"] = "failed" if failed else "success" if done else "running"

    def _dags(self) -> set[str]:
        if self.faults.get("import_errors"):
            return set()
        return {f"sf_{name}_pipeline" for name in _objects(str(self.given["SourceBucketArn"]).rpartition(":")[2])}

    @staticmethod
    def _shown(run: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in run.items() if name != "tasks"}

    @staticmethod
    def _found(what: dict[str, Any] | None) -> Reply:
        return (200, what) if what is not None else (404, {"detail": "not found"})


#: The environments there are, by name.
ENVIRONMENTS: dict[str, Environment] = {}


def answer(method: str, path: str, body: Mapping[str, Any]) -> Reply:
    """What MWAA's API answers.

    :param method: of the request.
    :param path: of the request.
    :param body: of the request.
    """
    kind, _, name = path.strip("/").partition("/")
    if method == "GET" and kind == "environments" and not name:
        return 200, {"Environments": list(ENVIRONMENTS)}
    environment = ENVIRONMENTS.get(unquote(name))
    if environment is None:
        return 404, {"__type": "ResourceNotFoundException", "message": f"Environment {name} not found"}
    if method == "GET" and kind == "environments":
        return 200, {"Environment": environment.described()}
    if method == "POST" and kind == "restapi":
        status, said = environment.asked(
            body["Method"], body["Path"], body.get("Body") or {}, body.get("QueryParameters") or {}
        )
        wrapped = {"RestApiStatusCode": status, "RestApiResponse": said}
        return (200, wrapped) if status < 400 else (400, {"__type": "RestApiClientException", **wrapped})
    return 400, {"__type": "ValidationException", "message": f"{method} {path} is not played by this stand-in"}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The API over WSGI.

    :param environ: of the request.
    :param start_response: WSGI's.
    """
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = json.loads(environ["wsgi.input"].read(length) or b"{}") if length else {}
    status, said = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    headers = [("Content-Type", "application/json")]
    if "__type" in said:
        headers.append(("x-amzn-ErrorType", said["__type"]))
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [json.dumps(said).encode()]


def _objects(bucket: str) -> list[str]:
    """Names of the object files in a bundle, which the DAGs are made from."""
    from moto.s3.models import s3_backends

    there = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
    keys = [] if there is None else list(there.keys)
    return [found[1] for key in keys if (found := re.fullmatch(r"dags/include/objects/([a-z_]+)\.yml", key))]
