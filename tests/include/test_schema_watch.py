"""check_source over a real org: drift is told once and carried in the plan; a crash repeats it rather than loses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.lake.known_fields import read_known_fields
from include.salesforce.errors import FieldMissing, SourceUnavailable
from include.staging.manifest import ReadPlan
from local.faults.bench import RUNS, Bench, numbered_run
from local.org.faults import QUERY, Answer, Fault
from local.org.handle import OrgHandle, start_org

NEW = (
    "User has fields that it did not have before: Team__c (picklist). user.yml does not list them, so they are not "
    "read. List those whose history is to be kept."
)


class Source:
    """An org, a lake, and check_source between them."""

    def __init__(self, org: OrgHandle, folder: Path) -> None:
        self.org, self.bench = org, Bench(org, folder / "lake", api="rest")
        self.describes = 0

    def check(self, number: int = 1) -> ReadPlan:
        self.org.set_clock(RUNS[number])
        client = self.bench.client(self.org.connection())
        asked = client.get_json

        def counted(path: str, **options: Any) -> Any:
            self.describes += path.endswith("/describe")
            return asked(path, **options)

        client.get_json = counted  # type: ignore[method-assign]
        return self.bench.flow.check_source(client, numbered_run(number), run_id=f"run_{number}")

    def add_team(self) -> None:
        self.org.change_schema("add", "User", {"name": "Team__c", "type": "picklist"})

    def known(self) -> dict[str, str]:
        flow = self.bench.flow
        fields = read_known_fields(flow.catalog, flow.environment.operations_namespace, "User")
        return {known.field: known.state for known in fields.values()}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with start_org(tmp_path / "org") as org:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        yield Source(org, tmp_path)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_what_is_new_is_logged_and_carried_in_the_plan_once(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    assert source.check().drift == ()
    source.add_team()
    plan = source.check(2)
    assert plan.drift == (NEW,)
    assert ReadPlan.model_validate(plan.model_dump(mode="json")) == plan
    assert source.check(2).drift == ()
    assert warnings(caplog) == [NEW]
    assert source.describes == 3


def test_a_check_that_dies_before_its_plan_tells_it_again(source: Source) -> None:
    source.check()
    source.add_team()
    source.org.set_faults([Fault(do=Answer(status=503, message="Down"), path=QUERY, times=None)])
    with pytest.raises(SourceUnavailable):
        source.check(2)
    assert "Team__c" not in source.known()
    source.org.clear_faults()
    assert source.check(2).drift == (NEW,)


def test_a_check_that_a_field_stops_has_told_the_rest(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    source.check()
    source.add_team()
    source.org.change_schema("hide", "User", {"name": "Division"})
    for _ in range(2):
        with pytest.raises(FieldMissing, match=r"User\.Division \(tracked\)"):
            source.check(2)
    assert warnings(caplog) == [NEW]
    assert (source.known()["Division"], source.known()["Team__c"]) == ("gone", "there")
