"""What CloudWatch is told, asked back from a real HTTP server of its API; and a CloudWatch that does not answer."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from include.config.environment import Environment, current_environment
from include.lake.run_log import SCHEMA
from include.lake.table_sizes import TableSize
from salesforce_history import metrics
from salesforce_history.metrics import RUN_METRICS, TABLE_METRICS, emit, metric_data

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
NAMESPACE = "SalesforceIcebergPipeline"
WHOSE = [{"Name": "environment", "Value": "production"}, {"Name": "object", "Value": "User"}]
ROW: dict[str, Any] = {
    "ingestion_seconds": 61.5,
    "rows_extracted": 141,
    "live_records": 4_999,
    "rows_quarantined": 3,
    "quality_score": 97.73,
    "versions_opened": 70,
    "versions_closed": 69,
    "versions_deleted": 1,
    "scd_success_rate": 95.0,
    "dbt_tests_failed": 0,
    "dbt_tests_warned": 1,
    "api_usage_percent": 12.5,
    "freshness_seconds": 14.4,
}
SIZES = [
    TableSize(
        table_name="sf_raw.sf_user",
        role="mirror",
        snapshots=4,
        manifests=2,
        data_files=1,
        delete_files=0,
        bytes=338_595,
        records=5_000,
        measured_at=datetime.now(UTC),
    ),
    TableSize(table_name="sf_ops.pipeline_runs", role="operations", snapshots=4, measured_at=datetime.now(UTC)),
]


def connect(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Environment:
    """An environment whose AWS is at an endpoint."""
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return current_environment({"SF_HISTORY_ENV": "production"})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloudwatch(endpoint: str) -> Any:
    return boto3.client(
        "cloudwatch",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def test_a_runs_numbers_arrive_with_their_units_and_dimensions(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, cloudwatch: Any
) -> None:
    environment = connect(monkeypatch, endpoint)
    assert emit(environment, metric_data(ROW, SIZES, environment="production", object_name="User"))
    listed = cloudwatch.list_metrics(Namespace=NAMESPACE)["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {*RUN_METRICS, *TABLE_METRICS}
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(minutes=10), "Period": 1200}
    for name, (column, unit) in RUN_METRICS.items():
        points = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE, MetricName=name, Dimensions=WHOSE, Statistics=["Sum"], **span
        )["Datapoints"]
        assert [(point["Sum"], point["Unit"]) for point in points] == [(float(ROW[column]), unit)], name
    table = [*WHOSE, {"Name": "table", "Value": "sf_raw.sf_user"}]
    for name, (column, unit) in TABLE_METRICS.items():
        points = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE, MetricName=name, Dimensions=table, Statistics=["Sum"], **span
        )["Datapoints"]
        assert [(point["Sum"], point["Unit"]) for point in points] == [(getattr(SIZES[0], column), unit)], name


def test_a_failed_run_tells_what_it_knows() -> None:
    row = {"rows_extracted": 0, "freshness_seconds": 90_000.0, "quality_score": None, "api_usage_percent": float("nan")}
    data = metric_data(row, [], environment="production", object_name="User")
    assert data == [
        {"MetricName": "RowsExtracted", "Dimensions": WHOSE, "Value": 0.0, "Unit": "Count"},
        {"MetricName": "FreshnessSeconds", "Dimensions": WHOSE, "Value": 90_000.0, "Unit": "Seconds"},
    ]


def test_a_laptop_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "http://127.0.0.1:9")
    data = metric_data(ROW, SIZES, environment="local", object_name="User")
    assert emit(current_environment({}), data) is False


@pytest.fixture
def deaf() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("how", ["refused", "deaf"])
def test_a_cloudwatch_that_does_not_answer_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, deaf: str, how: str
) -> None:
    monkeypatch.setattr(metrics, "_READ_SECONDS", 0.2)
    environment = connect(monkeypatch, deaf if how == "deaf" else "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, logger=metrics.__name__):
        assert emit(environment, metric_data(ROW, SIZES, environment="production", object_name="User")) is False
    (line,) = [record.getMessage() for record in caplog.records if record.name == metrics.__name__]
    assert "CloudWatch has not taken the run's metrics" in line


def test_one_call_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [SIZES[0]] * 6
    data = metric_data(ROW, tables, environment="production", object_name="User")
    assert len(data) == len(RUN_METRICS) + 6 * len(TABLE_METRICS) <= 1_000


def test_every_metric_and_every_column_is_in_the_docs() -> None:
    missing = [name for name in (*RUN_METRICS, *TABLE_METRICS, *SCHEMA.names) if f"`{name}`" not in DOCS]
    assert not missing, f"docs/metrics.md does not explain {', '.join(missing)}"
    assert {column for column, _ in RUN_METRICS.values()} <= set(SCHEMA.names)
