"""The overview: a card an object. Can the data be trusted, and what did the last runs do?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from include.alerts.alert import FAILURES, Kind
from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.alert_log import TABLE as ALERTS
from include.lake.alert_log import read_lines
from include.lake.run_log import TABLE as RUNS
from include.lake.run_log import read_runs
from include.lake.watermark import read_lake_state
from include.page.answers import PageProblem, moment
from include.page.columns import Columns
from include.page.freshness import freshness
from include.page.lake import ObjectLake
from include.page.links import Links
from include.page.snapshot_cache import SnapshotCache
from include.page.table_reading import TablePlan
from include.quality.quarantine_table import count_waiting, find_quarantine

#: Runs of a chart, and alerts of a list.
MOST_RUNS = 120
MOST_ALERTS = 20

#: Alerts that say that a deadline was missed. The escalation of one is no other deadline.
_LATE: tuple[Kind, ...] = ("sla_missed",)
_RUN_COLUMNS = (
    "run_id", "object", "state", "kind", "finished_at", "error", "recorded_at", "window_end", "versions_opened",
    "versions_closed", "versions_deleted", "rows_quarantined", "live_records", "records", "versions", "quality_score",
    "api_usage_percent", "anomalies", "watermark",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Works out the overview of a lake.

    :param catalog: the Iceberg catalog.
    :param environment: names the tables.
    :param links: where a person clicks.
    :param cache: what earlier requests have worked out.
    :param now: the moment of the request.
    :param worded: what is said of a problem of one object's tables.
    """

    catalog: Catalog
    environment: Environment
    links: Links
    cache: SnapshotCache
    now: datetime
    worded: Callable[[Exception], PageProblem]

    def objects(self, object_files: Sequence[ObjectFile]) -> list[dict[str, Any]]:
        """The cards.

        :param object_files: of the objects, in order.
        """
        runs, alerts = self._runs(), self._alerts()
        return [self._card(one, _of(runs, one), _of(alerts, one)) for one in object_files]

    def _card(self, object_file: ObjectFile, runs: pa.Table, alerts: pa.Table) -> dict[str, Any]:
        lake = ObjectLake(self.catalog, object_file, self.environment)
        # Oldest first, and there may be many years of them.
        rows = runs.slice(max(0, runs.num_rows - MOST_RUNS)).to_pylist()
        published = runs.filter(pc.equal(runs["state"], "success"))
        expected = object_file.expected_rows
        card: dict[str, Any] = {
            "noun": object_file.noun,
            "object": object_file.object,
            "dag_id": object_file.dag_id,
            "dag_url": self.links.dag(object_file.dag_id),
            "tracked": [object_file.dimension_column(name) for name in object_file.tracked],
            "schedule": object_file.schedule,
            "last_run": self._last_run(object_file, rows[-1]) if rows else None,
            "quality_score": _newest(runs, "quality_score"),
            "api_usage_percent": _newest(runs, "api_usage_percent"),
            "expected": {
                "typical": expected.typical,
                "minimum": expected.minimum,
                "maximum": expected.maximum,
                "deviation_percent": expected.alert_deviation_percent,
            }
            if expected
            else None,
            "runs": [self._run(object_file, row) for row in rows],
            "deadlines_missed": self._told(alerts, _LATE)[:MOST_ALERTS],
            "open_failures": [one for one in self._told(alerts, FAILURES) if one["resolved_at"] is None],
            "quarantined": None,
            "problem": None,
        }
        watermark = pc.max(published["watermark"]).as_py()
        card |= dict.fromkeys(("current_records", "live_records", "deleted_records", "versions"), 0)
        try:
            if watermark is None:
                watermark = read_lake_state(self.catalog, lake.tables).watermark
            card |= self._counts(lake, published)
            card["quarantined"] = self._quarantined(lake)
        except Exception as problem:  # noqa: BLE001  (it is told on this card, and hides no other)
            card["problem"] = self.worded(problem).as_dict()
        found = freshness(watermark=watermark, cron=object_file.cron, now=self.now)
        card["freshness"] = {
            "state": found.state,
            "age_seconds": _seconds(found.age),
            "allowed_seconds": _seconds(found.allowed),
            "late_by_seconds": _seconds(found.late_by),
            "watermark": moment(found.watermark),
        }
        return card

    def _counts(self, lake: ObjectLake, published: pa.Table) -> dict[str, int]:
        """From the last published run; where none is on record, by counting."""
        last = published.slice(published.num_rows - 1).to_pylist()[0] if published.num_rows else None
        if last is not None and last["versions"] is not None and last["live_records"] is not None:
            return _counted(last["records"], last["live_records"], last["versions"])
        table = lake.dimension()
        if table is None:
            return {}

        def count() -> tuple[int, int, int]:
            key = Columns(lake.object_file).identity
            plan = TablePlan.of(table, self.cache, key=key)
            current = live = versions = 0
            for rows in plan.read(["is_current", "is_deleted"]):
                there = pc.and_not(rows["is_current"], rows["is_deleted"])
                current += pc.sum(rows["is_current"]).as_py() or 0
                live += pc.sum(there).as_py() or 0
                versions += rows.num_rows
            return current, live, versions

        return _counted(*self.cache.of(table, "counts", count, size=lambda _: 200))

    def _quarantined(self, lake: ObjectLake) -> int:
        table = find_quarantine(self.catalog, lake.tables.quarantine)
        if table is None:
            return 0
        return self.cache.of(table, "waiting", lambda: count_waiting(table), size=lambda _: 100)

    def _runs(self) -> pa.Table:
        namespace = self.environment.operations_namespace
        return self._cached(
            f"{namespace}.{RUNS}",
            lambda: read_runs(self.catalog, namespace, columns=_RUN_COLUMNS),
        )

    def _alerts(self) -> pa.Table:
        namespace = self.environment.operations_namespace
        return self._cached(f"{namespace}.{ALERTS}", lambda: read_lines(self.catalog, namespace, (*_LATE, *FAILURES)))

    def _cached(self, identifier: str, read: Any) -> pa.Table:
        if not self.catalog.table_exists(identifier):
            return read()
        table = self.catalog.load_table(identifier)
        found: pa.Table = self.cache.of(table, "rows", read, size=lambda rows: rows.nbytes)
        return found

    def _last_run(self, object_file: ObjectFile, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_id": row["run_id"],
            "state": row["state"],
            "kind": row["kind"],
            "finished_at": moment(row["finished_at"] or row["recorded_at"]),
            "error": row["error"],
            "url": self.links.run(object_file.dag_id, row["run_id"]),
        }

    def _run(self, object_file: ObjectFile, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "run_id": row["run_id"],
            "url": self.links.run(object_file.dag_id, row["run_id"]),
            "state": row["state"],
            "recorded_at": moment(row["recorded_at"]),
            "window_end": moment(row["window_end"]),
            "opened": row["versions_opened"],
            "closed": row["versions_closed"],
            "deleted": row["versions_deleted"],
            "quarantined": row["rows_quarantined"],
            "live_records": row["live_records"],
            "quality_score": row["quality_score"],
            "anomalies": row["anomalies"],
        }

    def _told(self, alerts: pa.Table, kinds: Sequence[str]) -> list[dict[str, Any]]:
        rows = alerts.filter(pc.is_in(alerts["kind"], value_set=pa.array(kinds))).to_pylist()
        return [
            {
                "subject": row["subject"],
                "opened_at": moment(row["opened_at"]),
                "resolved_at": moment(row["resolved_at"]),
                "run_id": row["run_id"],
                "url": self.links.run(row["dag_id"], row["run_id"]) if row["run_id"] else None,
            }
            for row in reversed(rows)
        ]


def _of(rows: pa.Table, object_file: ObjectFile) -> pa.Table:
    return rows.filter(pc.equal(rows["object"], object_file.object))


def _newest(runs: pa.Table, name: str) -> Any:
    known = runs[name].drop_null()
    return known[-1].as_py() if len(known) else None


def _counted(current: int, live: int, versions: int) -> dict[str, int]:
    return {
        "current_records": current,
        "live_records": live,
        "deleted_records": current - live,
        "versions": versions,
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)
