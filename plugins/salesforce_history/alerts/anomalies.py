"""Telling of anomalies: one alert when one begins, which names all of the run; while they go on, a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from include.alerts.alert import Alert
from include.alerts.anomaly import Anomaly, has_begun
from include.config.environment import Environment
from include.config.object_file import ObjectFile
from salesforce_history.alerts.alerting import tell
from salesforce_history.links import run_link, runbook_link

log = logging.getLogger(__name__)

_ABOUT_COUNTS = (
    "Compare the number of records with Salesforce. If it is right there, correct expected_rows in the object file; if "
    "not, look at what was mass-created, purged or hidden from the integration user."
)
_ABOUT_QUALITY = (
    "Look at the records in quarantine and at the tests that warned (columns rows_quarantined, warned_tests and "
    "failed_tests of the run in sf_ops.pipeline_runs), and correct the records in Salesforce or the rules."
)


def tell_of_anomalies(
    anomalies: Sequence[Anomaly], row: Mapping[str, Any], *, object_file: ObjectFile, environment: Environment
) -> None:
    """Note a run's anomalies in its log; tell of all of them if one has begun.

    :param anomalies: of the run.
    :param row: the run's row.
    :param object_file: the object.
    :param environment: where.
    """
    for anomaly in anomalies:
        log.warning("NOTE: %s: %s", anomaly.kind.replace("_", " "), anomaly)
    if has_begun(anomalies):
        tell(anomaly_alert(anomalies, row, object_file=object_file, environment=environment), object_file=object_file)


def anomaly_alert(
    anomalies: Sequence[Anomaly], row: Mapping[str, Any], *, object_file: ObjectFile, environment: Environment
) -> Alert:
    """The alert of a run in which an anomaly has begun.

    :param anomalies: all of the run's, at least one.
    :param row: the run's row.
    :param object_file: the object.
    :param environment: where.
    """
    remedies = {_ABOUT_QUALITY if anomaly.kind == "low_quality" else _ABOUT_COUNTS for anomaly in anomalies}
    return Alert(
        kind="anomaly",
        key=f"anomaly:{environment.name}:{object_file.dag_id}:{row['run_id']}",
        environment=environment.name,
        object=object_file.object,
        dag_id=object_file.dag_id,
        run_id=row["run_id"],
        interval=(row["window_start"], row["window_end"]),
        headline=f"{' and '.join(dict.fromkeys(anomaly.found for anomaly in anomalies))}: out of range",
        error="; ".join(str(anomaly) for anomaly in anomalies),
        stakes=(
            f"the run was published, and readers see it: {row['rows_extracted'] or 0:,} rows read, "
            f"{row['rows_quarantined'] or 0:,} quarantined, {row['observations_logged'] or 0:,} observations logged."
        ),
        remedy=" ".join(sorted(remedies)),
        links={
            "run": run_link(object_file.dag_id, row["run_id"]),
            "runbook": runbook_link(environment, "anomaly"),
        },
        at=datetime.now(UTC),
    )
