"""CloudWatch: the numbers of a run, in one call. A CloudWatch that does not answer never fails a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.config.environment import Environment

if TYPE_CHECKING:
    from include.lake.table_sizes import TableSize

log = logging.getLogger(__name__)

#: Metric → column of `sf_ops.pipeline_runs`, unit. docs/metrics.md explains each.
RUN_METRICS: Mapping[str, tuple[str, str]] = {
    "IngestionDuration": ("ingestion_seconds", "Seconds"),
    "RowsExtracted": ("rows_extracted", "Count"),
    "RecordCount": ("live_records", "Count"),
    "QuarantinedRecords": ("rows_quarantined", "Count"),
    "DataQualityScore": ("quality_score", "Percent"),
    "ScdVersionsNew": ("versions_opened", "Count"),
    "ScdVersionsClosed": ("versions_closed", "Count"),
    "ScdVersionsDeleted": ("versions_deleted", "Count"),
    "ScdSuccessRate": ("scd_success_rate", "Percent"),
    "DbtTestFailures": ("dbt_tests_failed", "Count"),
    "DbtTestWarnings": ("dbt_tests_warned", "Count"),
    "ApiUsagePercentage": ("api_usage_percent", "Percent"),
    "FreshnessSeconds": ("freshness_seconds", "Seconds"),
}
#: Metric → number of `sf_ops.table_sizes`, unit.
TABLE_METRICS: Mapping[str, tuple[str, str]] = {
    "TableSnapshots": ("snapshots", "Count"),
    "TableManifests": ("manifests", "Count"),
    "TableDataFiles": ("data_files", "Count"),
    "TableDeleteFiles": ("delete_files", "Count"),
    "TableBytes": ("bytes", "Bytes"),
}

_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 10, 2


def metric_data(
    row: Mapping[str, Any], sizes: Sequence[TableSize], *, environment: str, object_name: str
) -> list[dict[str, Any]]:
    """What is sent: every number that is known. A run that failed early knows few.

    :param row: the run's row.
    :param sizes: the object's tables; those of `sf_ops` are not its own, and stay out.
    :param environment: dimension `environment`.
    :param object_name: dimension `object`.
    """
    whose = [{"Name": "environment", "Value": environment}, {"Name": "object", "Value": object_name}]
    data = [_datum(name, row.get(column), unit, whose) for name, (column, unit) in RUN_METRICS.items()]
    for size in sizes:
        if size.role != "operations":
            of_table = [*whose, {"Name": "table", "Value": size.table_name}]
            data += [_datum(name, getattr(size, key), unit, of_table) for name, (key, unit) in TABLE_METRICS.items()]
    return [datum for datum in data if datum]


def emit(environment: Environment, data: Sequence[Mapping[str, Any]]) -> bool:
    """Send them in one call. Some forty metrics are far from what CloudWatch takes in one (1,000 metrics, 1 MB).

    :param environment: it names the CloudWatch namespace and the AWS connection; without a namespace nothing is sent.
    :param data: from `metric_data`.
    :return: whether CloudWatch has taken them.
    """
    if not environment.metrics_namespace or not data:
        return False
    # Not at the top: whoever parses DAGs, or has no CloudWatch, need not wait for boto3.
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    patience = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    try:
        hook: Any = AwsBaseHook(aws_conn_id=environment.aws_conn_id, client_type="cloudwatch", config=patience)
        hook.conn.put_metric_data(Namespace=environment.metrics_namespace, MetricData=list(data))
    except Exception as problem:  # noqa: BLE001 whatever is wrong with it, the run has published
        log.warning(
            "CloudWatch has not taken the run's metrics (%s: %s); sf_ops.pipeline_runs has them.",
            type(problem).__name__,
            problem,
        )
        return False
    log.info("%d metrics sent to CloudWatch, namespace %s", len(data), environment.metrics_namespace)
    return True


def _datum(name: str, value: float | None, unit: str, dimensions: list[dict[str, str]]) -> dict[str, Any] | None:
    if value is None or not math.isfinite(value):
        return None
    return {"MetricName": name, "Dimensions": dimensions, "Value": float(value), "Unit": unit}
