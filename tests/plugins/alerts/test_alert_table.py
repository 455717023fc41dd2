"""Every case × every channel: told once, or silent. Real topic, mail server and webhook."""

from __future__ import annotations

import pytest

from include.alerts.alert import KINDS, Kind
from tests.plugins.alerts.cases import SLA, TABLE, Case
from tests.plugins.alerts.world import World
from tests.receivers import Receivers


@pytest.mark.parametrize(("case", "kinds"), TABLE, ids=[case.__name__ for case, _ in TABLE])
def test_each_channel_gets_it_once_or_is_silent(
    case: Case, kinds: list[Kind], world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    case(world, monkeypatch)
    got = receivers.all()
    told = [one.raw["MessageAttributes"]["kind"]["Value"] for one in got["sns"]]
    assert sorted(told) == sorted(kinds)  # a queue keeps no order
    subjects = [record.subject for record in sorted(world.alerts(), key=lambda record: record.opened_at)]
    for channel in ("slack", "email"):
        expected = [one for one, kind in zip(subjects, kinds, strict=True) if kind not in SLA]
        assert [one.subject for one in got[channel]] == expected, channel
    assert sorted(one.subject for one in got["sns"]) == sorted(subjects)
    assert [record.kind for record in world.alerts()] == kinds
    for record in world.alerts():
        assert record.told_at is not None
        assert record.channels == ("sns" if record.kind in SLA else "sns, slack, email")


def test_the_table_has_every_kind() -> None:
    assert {kind for _, kinds in TABLE for kind in kinds} == set(KINDS)
