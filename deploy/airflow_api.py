"""Airflow's REST API on MWAA, through AWS: no web login, no token of our own."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.problem import DeployFailed, error_code, explained

_REFUSED = ("RestApiClientException", "RestApiServerException")


class AirflowRefused(DeployFailed):
    """Airflow has answered, and would not.

    :param status: of its answer.
    :param what: what happened.
    :param remedy: what to do.
    """

    def __init__(self, status: object, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.status = status


class AirflowApi:
    """The API of one environment.

    :param account: where it is.
    :param environment: name of the MWAA environment.
    """

    def __init__(self, account: Account, environment: str) -> None:
        self._client = account.client("mwaa")
        self._environment = environment

    def ensure_pool(self, name: str, slots: int, description: str) -> bool:
        """Make a pool, unless there is one: whoever has changed its slots meant it.

        :param name: of the pool.
        :param slots: how many tasks it lets run at once.
        :param description: what it is for.
        :return: whether it was made.
        """
        if self.has_pool(name):
            return False
        self._must(
            "POST", "/pools", {"name": name, "slots": slots, "description": description, "include_deferred": False}
        )
        return True

    def has_pool(self, name: str) -> bool:
        """Whether there is a pool.

        :param name: of the pool.
        """
        return self._ask("GET", f"/pools/{_part(name)}") is not None

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """A DAG; None where Airflow does not know it (yet).

        :param dag_id: its id.
        """
        return self._ask("GET", f"/dags/{_part(dag_id)}")

    def import_errors(self) -> list[str]:
        """What DAG files could not be imported, and why: its last line."""
        found = self._must("GET", "/importErrors").get("import_errors", [])
        return [f"{error['filename']}: {str(error['stack_trace']).strip().splitlines()[-1]}" for error in found]

    def switch_on(self, dag_id: str) -> bool:
        """Unpause a DAG.

        :param dag_id: its id.
        :return: whether it was paused.
        """
        if not (self.dag(dag_id) or {}).get("is_paused"):
            return False
        self._must("PATCH", f"/dags/{_part(dag_id)}", {"is_paused": False})
        return True

    def trigger(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Start a run that goes on from the watermark.

        :param dag_id: of the DAG.
        :param run_id: what to call it.
        """
        path = f"/dags/{_part(dag_id)}/dagRuns"
        try:
            return self._must("POST", path, {"dag_run_id": run_id, "logical_date": None})
        except AirflowRefused as refused:
            # The answer to a first attempt was lost, and boto3 has asked again: the run of that name is there.
            if refused.status != HTTPStatus.CONFLICT:
                raise
            return self.run(dag_id, run_id)

    def runs(self, dag_id: str, *, most: int = 20) -> list[dict[str, Any]]:
        """The last runs of a DAG, the newest first.

        :param dag_id: of the DAG.
        :param most: how many.
        """
        query = {"order_by": "-run_after", "limit": most}
        found: list[dict[str, Any]] = self._must("GET", f"/dags/{_part(dag_id)}/dagRuns", query=query)["dag_runs"]
        return found

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run.

        :param dag_id: of the DAG.
        :param run_id: of the run.
        """
        return self._must("GET", f"/dags/{_part(dag_id)}/dagRuns/{_part(run_id)}")

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """The states of a run's tasks.

        :param dag_id: of the DAG.
        :param run_id: of the run.
        """
        path = f"/dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/taskInstances"
        found = self._must("GET", path, query={"limit": 100})["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def _must(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        found = self._ask(method, path, body, query=query)
        if found is None:
            raise DeployFailed(
                f"Airflow on {self._environment} knows no {path} ({method}).",
                "If the environment has just been made, wait a minute, then run the same command again.",
            )
        return found

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        given: dict[str, Any] = {"Name": self._environment, "Method": method, "Path": path}
        if body is not None:
            given["Body"] = dict(body)
        if query is not None:
            given["QueryParameters"] = dict(query)
        with explained(f"asking Airflow on {self._environment} ({method} {path})"):
            try:
                return dict(self._client.invoke_rest_api(**given).get("RestApiResponse") or {})
            except ClientError as error:
                if error_code(error) not in _REFUSED:
                    raise
                status = error.response.get("RestApiStatusCode")
                if status == 404:
                    return None
                said = error.response.get("RestApiResponse") or {}
                detail = said.get("detail", said) if isinstance(said, dict) else said
                raise AirflowRefused(
                    status,
                    f"Airflow on {self._environment} answered {status} to {method} {path}: {detail}",
                    "Its web server's log group says more. 403: this identity needs airflow:InvokeRestApi on the "
                    "environment with the role Admin. Then run the same command again.",
                ) from error


def _part(name: str) -> str:
    return quote(name, safe="")
