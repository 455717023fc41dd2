"""Athena and Trino by Airflow's connections: they run statements for the lake, cancelled if the task is stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook

from include.config.environment import Environment
from include.lake.sql_engine import Engine, EngineFailed

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

log = logging.getLogger(__name__)

POLL_SECONDS = 5
#: Types of Athena's results that are whole numbers; it tells every value as text.
_WHOLE = {"bigint", "integer", "int", "smallint", "tinyint"}


def sql_engine(environment: Environment) -> Engine | None:
    """The engine of an environment; None on a laptop. Nothing is connected before the first statement.

    :param environment: its `dbt_target` says which engine there is.
    """
    if environment.dbt_target == "athena":
        return Athena(environment)
    if environment.dbt_target == "trino":
        return Trino(environment)
    return None


class Athena:
    """Athena, by Airflow's hook.

    :param environment: names connection, workgroup and results.
    :param hook: default: of the AWS connection.
    :param poll_seconds: how often it is asked whether a statement has ended.
    """

    name = "athena"

    def __init__(
        self, environment: Environment, hook: AthenaHook | None = None, *, poll_seconds: int = POLL_SECONDS
    ) -> None:
        self.environment, self.poll_seconds, self._given = environment, poll_seconds, hook

    @cached_property
    def hook(self) -> AthenaHook:
        """Airflow's hook, made for the first statement."""
        return self._given or _athena_hook()(aws_conn_id=self.environment.aws_conn_id)

    def execute(self, statement: str, *, namespace: str, about: str) -> Sequence[Sequence[Any]]:
        """See `Engine`."""
        started = time.monotonic()
        query, reason = self.run(statement, namespace=namespace)
        if reason is not None:
            raise _failed(self.name, about, query, reason)
        log.info("%s: athena took %.1f s (query %s)", about, time.monotonic() - started, query)
        return self._rows(query) if statement.startswith("SELECT") else ()

    def run(self, statement: str, *, namespace: str) -> tuple[str, str | None]:
        """Run a statement to its end, or to the time that a statement may take.

        :param statement: SQL.
        :param namespace: where names without one belong.
        :return: Athena's id of it, and why it did not succeed; None if it did.
        """
        environment = self.environment
        results = {"OutputLocation": environment.query_results_uri} if environment.query_results_uri else {}
        query = self.hook.run_query(
            statement,
            query_context={"Database": namespace},
            result_configuration=results,
            workgroup=environment.athena_workgroup,
        )
        attempts = max(1, environment.statement_timeout_seconds // self.poll_seconds)
        try:
            state = self.hook.poll_query_status(query, max_polling_attempts=attempts, sleep_time=self.poll_seconds)
        except BaseException:  # the task is being stopped
            self.hook.stop_query(query)
            raise
        if state == "SUCCEEDED":
            return query, None
        if state not in _athena_hook().FAILURE_STATES:
            self.hook.stop_query(query)
            return query, f"it took longer than {environment.statement_timeout_seconds} s, and was cancelled"
        return query, self.hook.get_state_change_reason(query) or "it gave no reason"

    def _rows(self, query: str) -> list[list[Any]]:
        """What a SELECT has found; it is few rows."""
        found = self.hook.get_query_results(query) or {}
        told = found["ResultSet"]
        whole = [column["Type"] in _WHOLE for column in told["ResultSetMetadata"]["ColumnInfo"]]
        values = [[one.get("VarCharValue") for one in row["Data"]] for row in told["Rows"][1:]]
        return [
            [
                int(value) if is_whole and value is not None else value
                for value, is_whole in zip(row, whole, strict=True)
            ]
            for row in values
        ]


class Trino:
    """Trino, by a connection whose hook speaks DB-API.

    :param environment: names the connection.
    :param connection: default: of Airflow's connection.
    """

    name = "trino"

    def __init__(self, environment: Environment, connection: Any = None) -> None:
        self.environment, self.connection, self.ready = environment, connection, False

    def execute(self, statement: str, *, namespace: str, about: str) -> Sequence[Sequence[Any]]:
        """See `Engine`."""
        started = time.monotonic()
        cursor = self._connect().cursor()
        try:
            cursor.execute(statement)
            rows: list[list[Any]] = cursor.fetchall()
        except Exception as problem:
            # Whatever the driver raises: its classes are not ours to import.
            raise _failed(self.name, about, getattr(cursor, "query_id", None), str(problem)) from problem
        except BaseException:  # the task is being stopped
            cursor.cancel()
            raise
        log.info("%s: trino took %.1f s (query %s)", about, time.monotonic() - started, cursor.query_id)
        return rows if statement.startswith("SELECT") else ()

    def _connect(self) -> Any:
        if self.connection is None:
            hook: Any = BaseHook.get_hook(self.environment.trino_conn_id)
            self.connection = hook.get_conn()
        if not self.ready:
            seconds = self.environment.statement_timeout_seconds
            self.connection.cursor().execute(f"SET SESSION query_max_run_time = '{seconds:d}s'").fetchall()
            self.ready = True
        return self.connection


def _athena_hook() -> type[AthenaHook]:
    # Not at the top: operators import this module, and neither parsing nor a task that asks no engine is to load boto3.
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    return AthenaHook


def _failed(engine: str, about: str, query: str | None, reason: str) -> EngineFailed:
    return EngineFailed(
        f"{about}: {engine} did not finish query {query or 'that it never began'}: {reason}. Nothing was published, "
        "so nothing is lost, and readers see what they saw. The task's next attempt begins anew. If it says the same "
        "again, look at the engine's limits and at the role's rights on the raw tables; until then "
        "`upsert: {engine: worker}` in the object file does without the engine."
    )
