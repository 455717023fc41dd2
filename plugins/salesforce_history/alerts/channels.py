"""Sending: one alert through SNS, Slack or e-mail, by the providers' notifiers and Airflow's Connections.

A notifier that is called renders its fields as templates; an error may hold `{{`. Its `notify` is called here instead,
which sends the texts as they are. They are imported when something is sent: every task imports this module, and the
notifiers bring boto3 and Slack's client.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.alerts.alert import Alert
from include.alerts.bounded import within
from include.alerts.routing import Route
from include.alerts.wording import one_line
from include.config.operating import Channel
from include.salesforce.redaction import hide

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

log = logging.getLogger(__name__)

#: How long a channel may take. Three of them, one after another, stay well below the 50 s after which Airflow ends a
#: DAG processor's callback. One after another, because a task's line to its supervisor has room for one.
SECONDS = 8.0
#: The largest message that SNS takes, in bytes, and a margin for how it is wrapped and escaped.
_SNS_BYTES = 262_144
#: Slack cuts a message after so many characters.
_SLACK_CHARACTERS = 39_000
_REASON = 200
_URL = re.compile(r"https?://\S+")


def send(alert: Alert, routes: Sequence[Route]) -> tuple[list[Channel], dict[str, str]]:
    """Send an alert through each channel. What is wrong with one of them is logged, and stops no other.

    :param alert: what to say.
    :param routes: where to.
    :return: the channels that took it; and those that did not, with the reason in one line without secrets.
    """
    delivered: list[Channel] = []
    failed: dict[str, str] = {}
    for route in routes:
        try:
            # Before its time begins to count: on a busy machine, boto3 alone takes seconds to import.
            notifier = resolve_name(_NOTIFIERS[route.channel])
            send_by = partial(_SENDERS[route.channel], alert, route, notifier)
            within(SECONDS, send_by, called=f"alert-{route.channel}")
        except Exception as problem:  # noqa: BLE001 - whatever it is, the other channels go on
            failed[route.channel] = _reason(problem, route)
            log.error("the alert %r did not go out by %s: %s", alert.subject, route.channel, failed[route.channel])
        else:
            delivered.append(route.channel)
    return delivered, failed


def _by_sns(alert: Alert, route: Route, notifier: type[SnsNotifier]) -> None:
    (topic,) = route.to
    notifier(
        aws_conn_id=route.conn_id,
        target_arn=topic,
        subject=alert.subject,
        message=_cut_for_sns(alert.text),
        message_attributes={"kind": alert.kind, "environment": alert.environment, "object": alert.object or "-"},
        region_name=topic.split(":")[3],
    ).notify({})


def _by_slack(alert: Alert, route: Route, notifier: type[SlackWebhookNotifier]) -> None:
    text = f"{alert.subject}\n{alert.text}"
    if len(text) > _SLACK_CHARACTERS:
        text = f"{text[:_SLACK_CHARACTERS]}\n(cut)"
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(letter, entity)
    notifier(
        slack_webhook_conn_id=route.conn_id, text=text, unfurl_links=False, unfurl_media=False, timeout=int(SECONDS)
    ).notify({})


def _by_email(alert: Alert, route: Route, notifier: type[SmtpNotifier]) -> None:
    body = "".join(f"<p>{_linked(line)}</p>\n" for line in alert.text.splitlines() if line)
    notifier(
        smtp_conn_id=route.conn_id,
        from_email=_sender(route.conn_id),
        to=list(route.to),
        subject=alert.subject,
        html_content=f"<html><body>\n{body}</body></html>\n",
    ).notify({})


_NOTIFIERS: Mapping[Channel, str] = {
    "sns": "airflow.providers.amazon.aws.notifications.sns:SnsNotifier",
    "slack": "airflow.providers.slack.notifications.slack_webhook:SlackWebhookNotifier",
    "email": "airflow.providers.smtp.notifications.smtp:SmtpNotifier",
}
_SENDERS: Mapping[Channel, Callable[[Alert, Route, Any], None]] = {
    "sns": _by_sns,
    "slack": _by_slack,
    "email": _by_email,
}


def _cut_for_sns(text: str) -> str:
    """As much of a text as SNS takes, once the hook has made JSON of it and SNS has taken that apart again."""
    if len(_as_json(text)) <= _SNS_BYTES:
        return text
    end = "\n(cut)"
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_as_json(text[:middle] + end)) <= _SNS_BYTES else (low, middle - 1)
    return text[:low] + end


def _as_json(text: str) -> str:
    return json.dumps({"default": text})


def _linked(line: str) -> str:
    """A line as HTML: what is no link is escaped, so that an error which looks like a tag arrives as it is."""
    parts, last = [], 0
    for found in _URL.finditer(line):
        link = html.escape(found.group(), quote=True)
        parts += [html.escape(line[last : found.start()]), f'<a href="{link}">{link}</a>']
        last = found.end()
    return "".join([*parts, html.escape(line[last:])])


def _sender(conn_id: str) -> str | None:
    """Who an e-mail is from; the notifier would render the address as a template if it looked it up itself."""
    return BaseHook.get_connection(conn_id).extra_dejson.get("from_email")


def _reason(problem: Exception, route: Route) -> str:
    if isinstance(problem, AirflowNotFoundException):
        return f"there is no Airflow connection {route.conn_id}"
    said = hide(str(problem), _secrets(route.conn_id))
    return one_line(f"{type(problem).__name__}: {said}", longest=_REASON)


def _secrets(conn_id: str) -> Iterator[str | None]:
    """What a connection holds that is nobody's business: a webhook's path, passwords, keys."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except Exception:  # noqa: BLE001 - then it holds nothing that could be told
        return
    yield connection.password
    yield from _texts(connection.extra_dejson)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not _HARMLESS.search(str(name)):
                yield from _texts(inner)
    elif isinstance(value, str):
        yield value


#: Keys of a connection's extra whose values may be told, because they are no secrets and explain what is wrong.
_HARMLESS = re.compile("endpoint|region|host|port|from_email|timeout|retry|disable|ssl|auth_type", re.IGNORECASE)
