"""Channels that are broken, silent, missing or chosen, and a lake that hangs."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

from include.config.object_file import ObjectFile
from salesforce_history.alerts import alerting, channels
from salesforce_history.alerts import recovery as recovery_module
from salesforce_history.alerts.alerting import tell
from tests.plugins.alerts.world import CHANNELS, USER, World, alert
from tests.receivers import Receivers, black_hole, mail_connection, slack_connection


def _broken(channel: str, receivers: Receivers, patch: pytest.MonkeyPatch) -> None:
    if channel == "sns":
        patch.setenv("SF_HISTORY_SNS_TOPIC_ARN", f"{receivers.topic_arn}-gone")
    elif channel == "slack":
        receivers.webhook.status = 403
    else:
        patch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mail_connection(1))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_broken_channel_hides_no_other_and_is_recorded(
    channel: str, world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _broken(channel, receivers, monkeypatch)
    world.fails(world.run(1))
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {name: int(name != channel) for name in CHANNELS}
    (record,) = world.alerts()
    assert record.failed_channels is not None
    assert record.failed_channels.startswith(f"{channel}: ")
    assert "\n" not in record.failed_channels
    assert record.channels == ", ".join(name for name in CHANNELS if name != channel)
    assert f"did not go out by {channel}" in caplog.text


def test_a_channel_that_is_silent_holds_up_neither_the_run_nor_the_others(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salesforce_history.alerts.channels.SECONDS", 5.0)
    with black_hole() as port:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ONCALL", slack_connection(f"http://127.0.0.1:{port}"))
        world.fails(world.run(1))
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {"sns": 1, "slack": 0, "email": 1}
    assert world.alerts()[0].failed_channels == "slack: GaveUpWaiting: no answer within 5 s"


def test_a_connection_that_is_missing_is_named(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SLACK_ONCALL")
    world.fails(world.run(1))
    assert world.alerts()[0].failed_channels == "slack: there is no Airflow connection slack_oncall"


def test_what_reached_nobody_is_sent_again_until_it_does(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for channel in CHANNELS:
            _broken(channel, receivers, patch)
        world.fails(world.run(1))
        assert (world.alerts()[0].told_at, world.alerts()[0].attempts) == (None, 1)
    receivers.webhook.status = 200
    for minutes in (6, 11):
        world.watch(monkeypatch, after=timedelta(minutes=minutes))
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)
    assert (world.alerts()[0].channels, world.alerts()[0].attempts) == ("sns, slack, email", 2)


def test_a_lake_that_cannot_be_reached_does_not_hide_its_own_failure(
    no_lake: None, receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    assert tell(alert("run_failed"), object_file=USER)
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)
    assert "is sent without having been recorded" in caplog.text


def test_a_laptop_without_addresses_records_and_logs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.fails(world.run(1))
    (record,) = world.alerts()
    assert (record.channels, record.failed_channels) == ("log", None)
    assert "[local] User: extract failed: CredentialsRefused" in caplog.text


def test_an_object_chooses_its_channels_and_addresses(world: World, receivers: Receivers) -> None:
    chosen = ObjectFile.model_validate(
        {**USER.model_dump(), "alerts": {"channels": ["email"], "email_to": ["a@example.com", "b@example.com"]}}
    )
    tell(alert("anomaly"), object_file=chosen)
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {"sns": 0, "slack": 0, "email": 1}
    assert got["email"][0].raw["To"] == "a@example.com, b@example.com"


def test_a_text_too_long_for_sns_is_cut_and_goes_out(world: World, receivers: Receivers) -> None:
    tell(alert("anomaly", error="é€😀\n" * 100_000), object_file=USER)
    got = receivers.all()
    assert [len(found) for found in got.values()] == [1, 1, 1]
    assert got["sns"][0].text.endswith("\n(cut)")
    assert len(json.dumps({"default": got["sns"][0].text})) <= 262_144
    assert got["slack"][0].text.endswith("\n(cut)")


def test_what_a_callback_may_wait_for_stays_below_what_airflow_gives_it() -> None:
    sending = alerting._CLAIM_SECONDS + len(CHANNELS) * channels.SECONDS + alerting._RECORD_SECONDS
    assert recovery_module._LAKE_SECONDS + sending < 50


def test_a_lake_that_hangs_does_not_hold_up_the_end_of_a_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    never = threading.Event()
    monkeypatch.setattr(recovery_module, "_LAKE_SECONDS", 0.05)
    monkeypatch.setattr(recovery_module, "open_failures", lambda *_, **__: never.wait(30) or [])
    world.run_succeeds(world.run(1))
    never.set()
    assert "GaveUpWaiting: no answer within 0.05 s" in caplog.text
