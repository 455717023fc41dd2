"""An org over TLS, the steps of a run, and dbt on what they leave: the whole pipeline but for Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from include.config.object_file import ObjectFile, read_object_files
from include.salesforce.window import RunRequest
from include.staging.manifest import Api
from local.faults.bench import Bench
from local.org.handle import OrgHandle
from tests.oracle.compare import differences, mirror_differences, report
from tests.oracle.history_model import dimension
from tests.oracle.reads import Lake
from tests.oracle.shapes import Shape

PROJECT = Path(__file__).resolve().parents[2]
SIX_HOURS = timedelta(hours=6)

#: Fields that the hostile worlds' users have besides the usual ones, one of each type.
FURTHER: tuple[dict[str, Any], ...] = (
    {"name": "Long__c", "type": "textarea", "length": 131_072, "filterable": False, "sortable": False},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
    {"name": "Money__c", "type": "currency"},
    {"name": "Ratio__c", "type": "double"},
    {"name": "Share__c", "type": "percent"},
    {"name": "Whole__c", "type": "int"},
    {"name": "Flag__c", "type": "boolean"},
    {"name": "Mentor__c", "type": "reference", "length": 18, "referenceTo": ["User"]},
    {"name": "Mail__c", "type": "email", "length": 80},
    {"name": "Multi__c", "type": "multipicklist", "length": 4099},
)


def wide_users() -> ObjectFile:
    """The object file of users with a field of every type, in small batches."""
    user = read_object_files()["user"]
    fields = (*user.fields, *(field["name"] for field in FURTHER))
    document = user.model_dump(exclude_unset=True) | {"fields": fields, "batch_size": 200}
    return ObjectFile.model_validate(document)


def widen(org: OrgHandle, *, division: int = 131_072) -> None:
    """Give an org's users those fields, and room for long texts in Division."""
    for field in FURTHER:
        org.change_schema("add", "User", field)
    for name, length in (("Division", division), ("Audit_Phase__c", 4099), ("Name", 400)):
        org.change_schema("alter", "User", {"name": name, "length": length})


def happens(org: OrgHandle, path: Path, events: Iterable[Mapping[str, Any]]) -> None:
    """Load events into an org."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    org.load_events(path)


def ending_at(end: datetime, *, full_refresh: bool = False) -> RunRequest:
    """The scheduled run of the interval that ends then; or a manual full refresh."""
    if full_refresh:
        return RunRequest(kind="manual", run_after=end, logical_date=end, full_refresh=True)
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - SIX_HOURS, end))


class WholeLake:
    """A lake that runs fill and dbt builds on. SF_HISTORY_LAKE must be its folder while dbt builds."""

    def __init__(self, org: OrgHandle, folder: Path, parsed: Manifest, *, api: Api, object_file: ObjectFile) -> None:
        self.org, self.folder, self.object_file = org, folder, object_file
        self.bench = Bench(org, folder, api=api, object_file=object_file)
        self._dbt = dbtRunner(manifest=parsed)

    def run(self, end: datetime, *, full_refresh: bool = False) -> None:
        """Let the clock reach a run's end, and run it."""
        self.org.set_clock(end)
        self.bench.run(ending_at(end, full_refresh=full_refresh))

    def build(self) -> None:
        """Bring the dimension up to date, audited."""
        result = self._dbt.invoke(
            [
                "build", "--select", f"tag:{self.object_file.table}",
                "--exclude", "resource_type:unit_test", "sf_raw.*",
                "--project-dir", str(PROJECT / "dbt"),
                "--profiles-dir", str(PROJECT / "dbt"),
                "--target", "local",
                "--target-path", str(self.folder / "target"),
                "--log-path", str(self.folder / "target"),
                "--quiet",
            ]
        )  # fmt: skip
        assert result.success, (
            [(one.node.name, one.message) for one in result.result.results if str(one.status) in {"error", "fail"}]
            if result.result
            else result.exception
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows."""
        return self.bench.flow.catalog.load_table(table).scan().to_arrow().to_pylist()

    def mirror(self) -> dict[str, dict[str, Any]]:
        """The mirror by Id; no Id may be there twice."""
        rows = self.rows(self.bench.flow.tables.mirror)
        found = {row["id"]: row for row in rows}
        assert len(found) == len(rows), "an Id is in the mirror twice"
        return found

    def log(self) -> list[dict[str, Any]]:
        """The changes log."""
        return self.rows(self.bench.flow.tables.changes)

    def dimension(self) -> list[dict[str, Any]]:
        """The dimension."""
        return self.rows(f"{self.bench.flow.environment.curated_namespace}.{self.object_file.dimension}")

    def assert_is(self, expected: Lake, shape: Shape) -> int:
        """Mirror, log and dimension are the oracle's.

        :return: rows compared.
        """
        found = differences(shape, self.dimension(), dimension(expected.log))
        assert not found, f"dimension: {report(found)}"
        last = {record: known[-1].observed for record, known in expected.log.by_record().items()}
        found = mirror_differences(shape, self.mirror(), expected.log.mirror(), last)
        assert not found, f"mirror: {report(found, first=12)}"
        are = sorted(_observation(shape, row) for row in self.log())
        should = sorted(
            _observation(shape, {**one.values, "_change": one.change, "_window_end": one.window_end})
            for known in expected.log.by_record().values()
            for one in known
        )
        assert are == should, "the log differs"
        return len(dimension(expected.log)) + len(last) + len(should)


def _observation(shape: Shape, row: Mapping[str, Any]) -> tuple[str, ...]:
    values = (row[name] for name in (*shape.columns, "_change", "_window_end"))
    return tuple(repr(None if value == "" else _utc(value)) for value in values)


def _utc(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else value
