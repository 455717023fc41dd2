"""Telling people: an alert goes out once, through every channel that it is routed to.

Claim the key in `sf_ops.alerts`, send, write down who was reached. Where the lake cannot be asked, the alert goes out
all the same: told twice is better than never. One that was claimed and reached nobody is sent again by the watch
(watch.py).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog

from include.alerts.alert import Alert
from include.alerts.bounded import within
from include.alerts.routing import Route, routes
from include.alerts.wording import one_line
from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile
from include.lake.alert_log import claim, record_attempt
from salesforce_history.alerts.channels import send
from salesforce_history.connections import lake_catalog

log = logging.getLogger(__name__)

#: How long the lake may take to answer, before and after sending. With what the channels may take (channels.py) and
#: the question what is open (recovery.py), it stays below the 50 s that a callback has.
_CLAIM_SECONDS = 8.0
_RECORD_SECONDS = 6.0
#: What stands for a channel in `sf_ops.alerts` where there is none: the alert is in the task's log.
NOWHERE = "log"


def tell(alert: Alert, *, object_file: ObjectFile | None) -> bool:
    """Tell of something, once for each key. Never raises: a channel that is broken is told of in the log.

    :param alert: what to say.
    :param object_file: whose routing holds; None: the environment's.
    :return: whether it was told by this call, rather than by an earlier one.
    """
    try:
        return _tell(alert, object_file)
    except Exception:
        log.exception("the alert %r could not be told", alert.subject)
        return False


def tell_again(alert: Alert, *, object_file: ObjectFile | None) -> None:
    """Send what was claimed before and reached nobody.

    :param alert: as it was claimed.
    :param object_file: whose routing holds; None: the environment's.
    """
    environment = current_environment()
    _deliver(alert, object_file, environment, recorded=True)


def _tell(alert: Alert, object_file: ObjectFile | None) -> bool:
    environment = current_environment()
    claimed = _claim(alert, environment)
    if claimed is False:
        log.info("told before: %s", alert.subject)
        return False
    log.warning("%s\n%s", alert.subject, alert.text)
    _deliver(alert, object_file, environment, recorded=bool(claimed))
    return True


def _claim(alert: Alert, environment: Environment) -> bool | None:
    """Whether the alert is ours to tell; None where nobody knows."""

    def ask() -> bool:
        return claim(_catalog(environment), environment.operations_namespace, alert, at=datetime.now(UTC))

    try:
        return within(_CLAIM_SECONDS, ask, called="alert-claim")
    except Exception as problem:  # noqa: BLE001 - the lake may be what the alert is about
        log.error(
            "the alert %r is sent without having been recorded in sf_ops.alerts, so it may come twice: %s: %s",
            alert.subject,
            type(problem).__name__,
            one_line(str(problem)),
        )
        return None


def _deliver(alert: Alert, object_file: ObjectFile | None, environment: Environment, *, recorded: bool) -> None:
    ways = _routes(alert, object_file, environment)
    delivered, failed = send(alert, ways)
    reached: list[str] = list(delivered) if ways else [NOWHERE]
    if not recorded:
        return

    def record() -> None:
        record_attempt(
            _catalog(environment),
            environment.operations_namespace,
            alert.key,
            at=datetime.now(UTC),
            delivered=reached,
            failed=failed,
        )

    try:
        within(_RECORD_SECONDS, record, called="alert-record")
    except Exception as problem:  # noqa: BLE001 - it has been told
        log.error(
            "it is not recorded that the alert %r was told, so it may come twice: %s: %s",
            alert.subject,
            type(problem).__name__,
            one_line(str(problem)),
        )


def _routes(alert: Alert, object_file: ObjectFile | None, environment: Environment) -> tuple[Route, ...]:
    """Refused while the DAG is parsed; should it have changed since, every address there is gets the alert."""
    try:
        return routes(alert.kind, object_file=object_file, environment=environment)
    except ValueError as problem:
        log.error("%s", problem)
        return routes(alert.kind, object_file=None, environment=environment)


def _catalog(environment: Environment) -> Catalog:
    return lake_catalog(environment.iceberg_conn_id)
