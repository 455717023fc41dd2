"""A lake with runs of given rows into it, and its quarantine, for the tests of replays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog

from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.flow import Flow
from include.quality.listing import Entry, Listing, list_quarantine
from include.staging.manifest import ExtractionManifest, ReplayManifest, Window
from tests.include.quality.rows import FILE, NOON, user, user_id

STRICT = FILE.model_copy(update={"max_error_percent": 100.0})
RELAXED = STRICT.model_copy(update={"required": ("Id",)})
Staged = Callable[..., ExtractionManifest]


class Lake:
    """A lake, runs of given rows into it, and its quarantine."""

    def __init__(self, folder: Path, staged: Staged) -> None:
        self.environment = current_environment({"SF_HISTORY_LAKE": str(folder)})
        self.folder, self.staged = folder, staged
        folder.mkdir()
        self.catalog = SqlCatalog(
            "iceberg_default", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse"
        )

    def flow(self, object_file: ObjectFile = STRICT) -> Flow:
        return Flow(object_file=object_file, environment=self.environment, catalog=self.catalog)

    def run(
        self,
        *rows: dict[str, Any],
        hour: int,
        file: ObjectFile = STRICT,
        run_id: str | None = None,
        unread: tuple[str, ...] = (),
        org_id: str | None = None,
        attempt: int = 0,
    ) -> None:
        """validate and upsert_raw of a run whose window ends some hours after noon; the first one reads everything."""
        end = NOON + timedelta(hours=hour)
        start = None if hour == 0 else end - timedelta(hours=1)
        window = Window(start=start, end=end, kind="scheduled", full_refresh=start is None, reason="test")
        extraction = self.staged(*rows, run_id=run_id or f"{self.folder.name}_{hour}")
        fields = tuple(field for field in extraction.plan.fields if field.name not in unread)
        changed: dict[str, Any] = {"window": window, "fields": fields}
        plan = extraction.plan.model_copy(update=changed | ({"org_id": org_id} if org_id else {}))
        extracted_at = end + timedelta(minutes=1 + attempt)
        extraction = extraction.model_copy(update={"plan": plan, "extracted_at": extracted_at})
        flow = self.flow(file)
        flow.upsert(flow.validate(extraction))

    def replay(self, file: ObjectFile = RELAXED) -> ReplayManifest:
        return self.flow(file).replay_quarantine()

    def list(self, file: ObjectFile = RELAXED) -> Listing:
        return list_quarantine(catalog=self.catalog, object_file=file, environment=self.environment)

    def entry(self, file: ObjectFile = RELAXED) -> Entry:
        (entry,) = self.list(file).entries
        return entry

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows = self.catalog.load_table(f"sf_raw.{table}").scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: (row["id"] or "", str(row.get("_window_end")), str(row)))

    def log(self, *numbers: int) -> list[dict[str, Any]]:
        ids = {user_id(number) for number in numbers}
        return [row for row in self.rows("sf_user_changes") if not ids or row["id"] in ids]

    def metadata(self) -> list[str]:
        names = ("sf_user", "sf_user_changes", "sf_user_quarantine")
        return [self.catalog.load_table(f"sf_raw.{name}").metadata_location for name in names]


def at(hour: float, number: int = 1, **values: Any) -> dict[str, Any]:
    """A user that was touched some hours after noon."""
    moment = NOON + timedelta(hours=hour)
    return user(number, lastmodifieddate=moment, systemmodstamp=moment, **values)
