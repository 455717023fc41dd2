"""An environment: where the lake is, how its databases are named, which engine runs dbt.

Four are known (local, development, staging, production). Every value can be overridden by an environment variable
`SF_HISTORY_<NAME>`; nothing is read before `current_environment()` is called, so importing this module does no I/O.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from include.config.cron import is_cron
from include.config.durations import Span

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PREFIX = "SF_HISTORY_"

EnvironmentName = Literal["local", "development", "staging", "production"]
ENVIRONMENTS: tuple[EnvironmentName, ...] = get_args(EnvironmentName)

_NAMESPACE = r"^[a-z][a-z0-9_]{0,60}$"
_TOPIC = r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256})?$"
_ADDRESSES = r"^([^@\s,<>]+@[^@\s,<>]+(,[^@\s,<>]+@[^@\s,<>]+)*)?$"
_STORED = r"^([A-Za-z0-9/_+=.@:-]{1,512})?$"
_QUEUE = r"^(https?://[^\s{}]+(\{table\}[^\s{}]*)?)?$"
_IN_WORDS = {
    _QUEUE: "is the URL of an SQS queue, such as https://sqs.us-east-1.amazonaws.com/123456789012/sf-changes; "
    "{table} in it makes it a queue an object",
    _NAMESPACE: "are lower-case letters, digits and underscores, beginning with a letter, at most 61",
    _TOPIC: "is the ARN of an SNS topic, such as arn:aws:sns:us-east-1:123456789012:sf-user-pipeline-alerts",
    _STORED: "is a name or an ARN in AWS Secrets Manager, such as salesforce/production/credentials",
    _ADDRESSES: "are e-mail addresses, separated by commas without spaces",
}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class UnknownEnvironment(ValueError):
    """The environment is not one of those that exist, or one of its values is wrong."""


class Environment(BaseModel):
    """One environment's names.

    :param name: one of `ENVIRONMENTS`; from `SF_HISTORY_ENV`, default local.
    :param raw_namespace: Iceberg namespace (Glue database) of mirror, changes log and quarantine.
    :param curated_namespace: namespace of the dimensions and of the ledger.
    :param operations_namespace: namespace of the table of runs.
    :param lake: laptop only: the folder that holds catalog, warehouse, staged files and DuckDB's views.
    :param staging_uri: where extracted Parquet is staged between tasks: a folder or `s3://bucket/prefix`.
    :param salesforce_conn_id: Airflow connection of the org.
    :param salesforce_secret: secret in AWS Secrets Manager that stands in for that connection; empty: none does.
    :param iceberg_conn_id: Airflow connection of the Iceberg catalog.
    :param dbt_target: target of dbt/profiles.yml.
    :param dbt_execution: how Cosmos runs dbt: `local` (one dbt call a task, works everywhere) or `watcher` (one dbt
        build a run, which the model tasks watch; needs a scheduler).
    :param dbt_executable: path of a dbt in another virtualenv (MWAA); empty: dbt runs inside the worker's Python.
    :param dbt_pool: Airflow pool of the dbt tasks. On a laptop it has one slot, because DuckDB's file has one writer.
    :param retry_delay_seconds: wait before a task's first retry; each later one waits twice as long.
    :param max_api_usage_percentage: share of the org's daily API requests in use over which a task waits, 0-100.
    :param api_usage_recheck_seconds: how long it waits until it looks again.
    :param api_usage_patience_seconds: how long it waits altogether; then it fails.
    :param turn_recheck_seconds: how often it is looked whether the run has ended that another run waits for.
    :param dbt_project: folder of the dbt project.
    :param salesforce_pool: Airflow pool of the tasks that ask Salesforce: it bounds the load on the org across objects.
    :param aws_conn_id: Airflow connection for SNS, CloudWatch, SQS and Athena; without one, the worker's own role.
    :param sns_topic_arn: topic of the alerts; empty: SNS is not used.
    :param slack_conn_id: Airflow connection of a Slack incoming webhook; empty: Slack is not used.
    :param smtp_conn_id: Airflow connection of the mail server.
    :param email_to: who gets e-mail, separated by commas; empty: e-mail is not used.
    :param escalation_seconds: how long a failure may stay unresolved until it is told again.
    :param docs_url: where docs/ can be read; the alerts link to the runbook there.
    :param metrics_namespace: CloudWatch namespace; empty: metrics go to `sf_ops` only.
    :param watch_schedule: cron expression, UTC: how often unresolved failures are looked for.
    :param upkeep_schedule: cron expression, UTC, of `lakehouse_maintenance`.
    :param change_queue_url: URL of an SQS queue whose messages start the pipelines; empty: the schedule alone does.
    :param athena_workgroup: Athena workgroup of dbt, of the upserts, and of the upkeep's OPTIMIZE and VACUUM.
    :param trino_conn_id: Airflow connection of Trino, for upkeep and upserts where dbt's target is trino.
    :param statement_timeout_seconds: how long Athena or Trino may take for one statement of an upsert or of the upkeep.
    :param query_results_uri: where Athena leaves its results, for their retention; empty: not looked after here.
    :param keep_query_results: how long Athena's results stay, such as `7d`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EnvironmentName
    raw_namespace: str = Field(pattern=_NAMESPACE)
    curated_namespace: str = Field(pattern=_NAMESPACE)
    operations_namespace: str = Field(pattern=_NAMESPACE)
    lake: Path
    staging_uri: str
    salesforce_conn_id: str = "salesforce_default"
    salesforce_secret: str = Field(default="", pattern=_STORED)
    iceberg_conn_id: str = "iceberg_default"
    dbt_target: Literal["local", "trino", "athena"]
    dbt_execution: Literal["local", "watcher"] = "local"
    dbt_executable: str = ""
    dbt_pool: str = "default_pool"
    retry_delay_seconds: int = Field(default=60, ge=1)
    max_api_usage_percentage: float = Field(default=80, ge=0, le=100)
    api_usage_recheck_seconds: int = Field(default=900, ge=1)
    api_usage_patience_seconds: int = Field(default=24 * 60 * 60, ge=0)
    turn_recheck_seconds: int = Field(default=30, ge=1)
    dbt_project: Path = PROJECT_ROOT / "dbt"
    salesforce_pool: str = "salesforce"
    aws_conn_id: str = "aws_default"
    sns_topic_arn: str = Field(default="", pattern=_TOPIC)
    slack_conn_id: str = ""
    smtp_conn_id: str = "smtp_default"
    email_to: str = Field(default="", pattern=_ADDRESSES)
    escalation_seconds: int = Field(default=1800, ge=1)
    docs_url: str = "docs"
    metrics_namespace: str = ""
    watch_schedule: str = "*/5 * * * *"
    upkeep_schedule: str = "30 3 * * 6"
    change_queue_url: str = Field(default="", pattern=_QUEUE)
    athena_workgroup: str = "primary"
    trino_conn_id: str = "trino_default"
    statement_timeout_seconds: int = Field(default=4 * 60 * 60, ge=1)
    query_results_uri: str = ""
    keep_query_results: Span = timedelta(days=7)

    @field_validator("*", mode="before")
    @classmethod
    def _one_line_of_text(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.isprintable():
            raise ValueError("allowed is one line of text without control or invisible characters")
        return value

    @field_validator("watch_schedule", "upkeep_schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        if not is_cron(value):
            raise ValueError("allowed is a cron expression of five parts that comes due, such as 30 3 * * 6 (UTC)")
        return value

    @field_validator("staging_uri", "query_results_uri")
    @classmethod
    def _below_a_bucket(cls, value: str) -> str:
        if "://" in value and not value.startswith("file://") and not value.partition("://")[2].partition("/")[2]:
            raise ValueError(
                "allowed is a folder below a bucket, such as s3://my-bucket/salesforce: no bucket is listed"
            )
        return value

    @field_validator(
        "retry_delay_seconds",
        "max_api_usage_percentage",
        "api_usage_recheck_seconds",
        "api_usage_patience_seconds",
        "escalation_seconds",
        "statement_timeout_seconds",
        mode="before",
    )
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise ValueError("allowed is a number such as 60")
        return value

    def dbt_variables(self) -> dict[str, str]:
        """Environment variables that dbt/profiles.yml and the dbt project read.

        They are part of each dbt task, and so of the DAG: a folder of the laptop's lake says nothing in the cloud, and
        there it would be another one for each DAG processor.
        """
        engine = {
            "local": {f"{PREFIX}LAKE": str(self.lake)},
            "trino": {},
            "athena": {f"{PREFIX}ATHENA_WORKGROUP": self.athena_workgroup},
        }
        return {
            f"{PREFIX}RAW_NAMESPACE": self.raw_namespace,
            f"{PREFIX}CURATED_NAMESPACE": self.curated_namespace,
            **engine[self.dbt_target],
        }


def current_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """The environment this process runs in.

    :param variables: where to read from; default: the process's environment variables.
    :raises UnknownEnvironment: naming the variable, its value and what is allowed.
    """
    given = os.environ if variables is None else variables
    name = given.get(f"{PREFIX}ENV") or "local"
    if name not in ENVIRONMENTS:
        raise UnknownEnvironment(f"{PREFIX}ENV is {name!r:.120}; allowed are {', '.join(ENVIRONMENTS)}")
    overrides = {
        field: given[f"{PREFIX}{field.upper()}"]
        for field in Environment.model_fields
        if field != "name" and given.get(f"{PREFIX}{field.upper()}")
    }
    try:
        return Environment.model_validate({**_defaults(name, overrides.get("lake")), **overrides})
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{str(problem['loc'][0]).upper()} is {problem['input']!r:.120}: {_allowed(problem)}"
            for problem in error.errors(include_url=False)
        )
        raise UnknownEnvironment(problems) from error


def _allowed(problem: ErrorDetails) -> str:
    if problem["type"] == "string_pattern_mismatch":
        return f"allowed {_IN_WORDS[problem['ctx']['pattern']]}"
    return problem["msg"].removeprefix("Value error, ")


def _defaults(name: str, lake: str | None) -> dict[str, Any]:
    folder = Path(lake) if lake else PROJECT_ROOT / ".local" / "lake"
    if name == "local":
        return {
            "name": name,
            "raw_namespace": "sf_raw",
            "curated_namespace": "sf_curated",
            "operations_namespace": "sf_ops",
            "lake": folder,
            "staging_uri": str(folder / "staging"),
            "dbt_target": "local",
            "dbt_pool": "dbt",
        }
    suffix = "prod" if name == "production" else name
    return {
        "name": name,
        "raw_namespace": f"sf_raw_{suffix}",
        "curated_namespace": f"sf_curated_{suffix}",
        "operations_namespace": f"sf_ops_{suffix}",
        "lake": folder,
        "staging_uri": f"s3://lumata-lakehouse-{suffix}-staging/salesforce",
        "salesforce_secret": f"salesforce/{name}/credentials",
        "dbt_target": "athena",
        "dbt_pool": "athena",
        "metrics_namespace": "SalesforceIcebergPipeline",
        "athena_workgroup": f"sf-history-{name}",
        "query_results_uri": f"s3://lumata-lakehouse-{suffix}-athena-results/queries",
    }
