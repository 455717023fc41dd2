"""Which channels an alert goes to, and where each of them leads: the object file over the environment."""

from __future__ import annotations

from dataclasses import dataclass

from include.alerts.alert import Kind
from include.config.environment import PREFIX, Environment
from include.config.object_file import ObjectFile
from include.config.operating import CHANNELS, AlertRouting, Channel

SLA_KINDS: tuple[Kind, ...] = ("sla_missed", "sla_still_missed")

#: Where a channel's address is set: key of the object file's section `alerts`, which is the environment's as well.
_ADDRESS_KEYS: dict[Channel, str] = {"sns": "sns_topic_arn", "slack": "slack_conn_id", "email": "email_to"}


class ChannelWithoutAddress(ValueError):
    """An object file names a channel that leads nowhere. The message says which, and what to set."""


@dataclass(frozen=True)
class Route:
    """One way to the people.

    :param channel: which.
    :param conn_id: Airflow connection that it goes through.
    :param to: the topic's ARN, or the addresses; empty for Slack, whose connection is the address.
    """

    channel: Channel
    conn_id: str
    to: tuple[str, ...] = ()


def routes(kind: Kind, *, object_file: ObjectFile | None, environment: Environment) -> tuple[Route, ...]:
    """Where an alert goes; nowhere, if there is no address: then it is recorded only.

    Missed SLAs go to `sla_channels`. Where the file does not say which, that is SNS, and where SNS has no address,
    every channel that has one: better told elsewhere than not at all.

    :param kind: of the alert.
    :param object_file: whose section `alerts` holds; None: the environment alone.
    :param environment: its addresses, for those that the file does not give.
    :raises ChannelWithoutAddress: when the file names a channel that has no address.
    """
    routing = object_file.alerts if object_file else AlertRouting()
    addressed = {route.channel: route for route in _addressed(routing, environment)}
    key = "sla_channels" if kind in SLA_KINDS else "channels"
    wanted = getattr(routing, key)
    if wanted is not None and key in routing.model_fields_set:
        if missing := [channel for channel in wanted if channel not in addressed]:
            raise ChannelWithoutAddress(_explain(object_file, key, missing))
        return tuple(addressed[channel] for channel in wanted)
    found = tuple(addressed[channel] for channel in wanted or CHANNELS if channel in addressed)
    return found or tuple(addressed.values())


def check_routes(object_file: ObjectFile, environment: Environment) -> None:
    """Refuse an object file whose alerts would go nowhere, while the DAG is parsed.

    :param object_file: the object.
    :param environment: where it runs.
    :raises ChannelWithoutAddress: naming the file, the channels and what to set.
    """
    for kind in ("run_failed", SLA_KINDS[0]):
        routes(kind, object_file=object_file, environment=environment)


def _addressed(routing: AlertRouting, environment: Environment) -> list[Route]:
    found = []
    if topic := routing.sns_topic_arn or environment.sns_topic_arn:
        found.append(Route("sns", environment.aws_conn_id, (topic,)))
    if conn_id := routing.slack_conn_id or environment.slack_conn_id:
        found.append(Route("slack", conn_id))
    if addresses := routing.email_to or tuple(filter(None, environment.email_to.split(","))):
        found.append(Route("email", environment.smtp_conn_id, addresses))
    return found


def _explain(object_file: ObjectFile | None, key: str, missing: list[Channel]) -> str:
    name = f"{object_file.noun}.yml" if object_file else "the environment"
    remedies = "; ".join(
        f"for {channel} set alerts.{_ADDRESS_KEYS[channel]} there, or {PREFIX}{_ADDRESS_KEYS[channel].upper()} for "
        "every object"
        for channel in missing
    )
    return (
        f"{name}: alerts.{key} names {', '.join(missing)}, which has no address: nobody would be told. {remedies}; or "
        f"take it out of alerts.{key}."
    )
