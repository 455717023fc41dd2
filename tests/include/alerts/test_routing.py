"""Where alerts go: the object file over the environment, and no channel that leads nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from include.alerts.routing import ChannelWithoutAddress, Route, check_routes, routes
from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files

USER = read_object_files()["user"]
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
OTHER = "arn:aws:sns:us-east-1:123456789012:user-alerts"
EVERYTHING = {"sns_topic_arn": TOPIC, "slack_conn_id": "slack_oncall", "email_to": "a@example.com,b@example.com"}


def environment(**addresses: str) -> Environment:
    return current_environment({f"SF_HISTORY_{name.upper()}": value for name, value in addresses.items()})


def user(**alerts: Any) -> ObjectFile:
    return ObjectFile.model_validate({**USER.model_dump(exclude={"alerts"}), "alerts": alerts})


def channels(found: tuple[Route, ...]) -> list[str]:
    return [route.channel for route in found]


def test_every_channel_that_has_an_address_by_default() -> None:
    assert routes("run_failed", object_file=USER, environment=environment()) == ()
    assert routes("run_failed", object_file=None, environment=environment(**EVERYTHING)) == (
        Route("sns", "aws_default", (TOPIC,)),
        Route("slack", "slack_oncall"),
        Route("email", "smtp_default", ("a@example.com", "b@example.com")),
    )


def test_an_object_has_addresses_of_its_own() -> None:
    mine = user(sns_topic_arn=OTHER, slack_conn_id="slack_user", email_to=["c@example.com"])
    found = routes("anomaly", object_file=mine, environment=environment(**EVERYTHING))
    assert [(route.conn_id, route.to) for route in found] == [
        ("aws_default", (OTHER,)),
        ("slack_user", ()),
        ("smtp_default", ("c@example.com",)),
    ]


def test_an_object_chooses_its_channels() -> None:
    mine, there = user(channels=["email"], sla_channels=["slack", "sns"]), environment(**EVERYTHING)
    assert channels(routes("run_failed", object_file=mine, environment=there)) == ["email"]
    assert channels(routes("sla_still_missed", object_file=mine, environment=there)) == ["slack", "sns"]
    assert channels(routes("run_failed", object_file=user(channels=[]), environment=there)) == []


def test_a_missed_sla_goes_to_sns_or_else_to_whoever_can_be_reached() -> None:
    assert channels(routes("sla_missed", object_file=USER, environment=environment(**EVERYTHING))) == ["sns"]
    only_mail = environment(email_to="a@example.com")
    assert channels(routes("sla_missed", object_file=USER, environment=only_mail)) == ["email"]


@pytest.mark.parametrize("key", ["channels", "sla_channels"])
def test_a_channel_that_leads_nowhere_is_refused_with_what_to_set(key: str) -> None:
    with pytest.raises(ChannelWithoutAddress) as refused:
        check_routes(user(**{key: ["slack", "sns"]}), environment(sns_topic_arn=TOPIC))
    assert str(refused.value) == (
        f"user.yml: alerts.{key} names slack, which has no address: nobody would be told. for slack set "
        "alerts.slack_conn_id there, or SF_HISTORY_SLACK_CONN_ID for every object; or take it out of "
        f"alerts.{key}."
    )
    check_routes(user(**{key: ["slack", "sns"]}), environment(**EVERYTHING))
    check_routes(USER, environment())
