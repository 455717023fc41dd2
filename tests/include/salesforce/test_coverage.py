"""The watermark does not pass what is not committed yet; without getUpdated the lookback has to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from include.config.object_file import read_object_files
from include.salesforce.client import SalesforceClient
from include.salesforce.coverage import covered_until
from include.salesforce.errors import SourceUnavailable
from include.salesforce.read_plan import make_read_plan
from include.staging.manifest import ReadPlan
from local.org import faults
from local.org.faults import Answer, Fault
from local.org.handle import OrgHandle
from tests.include.salesforce.conftest import T0, T6, load, user_events, user_id, window

MakeClient = Callable[..., SalesforceClient]
USER = read_object_files()["user"]


def plan_of(client: SalesforceClient, *, end: datetime = T6) -> ReadPlan:
    return make_read_plan(client=client, object_file=USER, run_id="run", window=window(end=end))


def test_late_commits_hold_the_watermark_back(own_org: OrgHandle, client_of: MakeClient) -> None:
    late = {"at": "2026-01-05T02:30:40Z", "visible_at": "2026-01-05T08:00:00Z", "op": "insert", "object": "User"}
    load(own_org, *user_events(5), late | {"Id": user_id(9), "fields": {"Name": "late"}})
    client = client_of(own_org)
    assert covered_until(client, plan_of(client)) == T0 + timedelta(hours=2, minutes=30)
    own_org.set_clock(T6 + timedelta(hours=3))
    client = client_of(own_org)
    assert covered_until(client, plan_of(client)) == T6


def test_a_window_that_ends_after_the_orgs_clock_is_covered_up_to_it(own_org: OrgHandle, client_of: MakeClient) -> None:
    client = client_of(own_org)
    assert covered_until(client, plan_of(client, end=T6 + timedelta(minutes=5))) == T6
    within = T6 - timedelta(seconds=90)
    assert covered_until(client, plan_of(client, end=within)) == within


def test_what_is_older_than_getupdated_looks_back_is_covered(own_org: OrgHandle, client_of: MakeClient) -> None:
    client = client_of(own_org)
    old = plan_of(client, end=T6 - timedelta(days=40))
    own_org.set_faults([Fault(do=Answer(status=418), path=faults.UPDATED, times=None)])
    assert covered_until(client, old) == old.window.end
    assert own_org.faults_struck() == [0]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "INVALID_REPLICATION_DATE"), (403, "INSUFFICIENT_ACCESS"), (400, "EXCEEDED_ID_LIMIT"), (404, "NOT_FOUND")],
)
def test_without_getupdated_the_lookback_does(
    own_org: OrgHandle, client_of: MakeClient, caplog: pytest.LogCaptureFixture, status: int, code: str
) -> None:
    client = client_of(own_org)
    plan = plan_of(client)
    own_org.set_faults([Fault(do=Answer(status=status, code=code, message="no"), path=faults.UPDATED)])
    assert covered_until(client, plan) == T6
    assert f"{code}: no. Late commits are covered by the lookback alone." in caplog.text
    assert covered_until(client, plan.model_copy(update={"replicateable": False})) == T6


def test_an_org_that_is_down_is_not_without_getupdated(own_org: OrgHandle, client_of: MakeClient) -> None:
    client = client_of(own_org)
    client.sleep = lambda _: None
    plan = plan_of(client)
    own_org.set_faults([Fault(do=Answer(status=503), path=faults.UPDATED, times=None)])
    with pytest.raises(SourceUnavailable):
        covered_until(client, plan)
