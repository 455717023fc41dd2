"""The upsert by this worker: pyiceberg reads what it needs, and rewrites the files of the mirror that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from include.config.object_file import ObjectFile
from include.lake.copy_on_write import Merged, merge
from include.lake.mirror import Recovered, apply_log
from include.lake.observations import Observations, RunObservations, as_utc
from include.lake.tables import arrow_schema
from include.lake.watermark import STATE_PROPERTIES
from include.lake.writers import LoadedLake
from include.staging.manifest import ValidationManifest


@dataclass(frozen=True)
class _Found:
    lake: LoadedLake
    rows: Observations
    run_id: str
    file_bytes: int

    @property
    def logged(self) -> int:
        return self.rows.rows.num_rows

    @property
    def deleted(self) -> int:
        return self.rows.deleted

    @property
    def unchanged(self) -> int:
        return self.rows.unchanged

    @property
    def judged_absence(self) -> bool:
        return self.rows.judged_absence

    def append(self, last_look: Callable[[], None] | None) -> int | None:
        return self.lake.changes.append(self.rows.rows, run_id=self.run_id, last_look=last_look)

    def merge(self, properties: Mapping[str, str], last_look: Callable[[], None]) -> Merged:
        mirror = self.lake.mirror
        return merge(
            mirror,
            self.rows.mirror_rows(arrow_schema(mirror)),
            self.rows.placement,
            properties=properties,
            unmoved=STATE_PROPERTIES,
            snapshot_properties={"sf-history.run-id": self.run_id},
            last_look=last_look,
            file_bytes=self.file_bytes,
        )


@dataclass(frozen=True)
class ByWorker:
    """One upsert by this worker.

    :param object_file: the object.
    :param validation: what was accepted.
    """

    object_file: ObjectFile
    validation: ValidationManifest

    def apply_log(self, lake: LoadedLake) -> Recovered | None:
        """See `Writer`."""
        extraction = self.validation.extraction
        return apply_log(
            lake.mirror,
            lake.changes,
            lake.state,
            run_id=extraction.plan.run_id,
            extracted_at=as_utc(extraction.extracted_at),
            file_bytes=self.object_file.upsert.file_bytes,
        )

    def find(self, lake: LoadedLake) -> _Found:
        """See `Writer`."""
        rows = RunObservations(
            mirror=lake.mirror,
            changes=lake.changes,
            state=lake.state,
            object_file=self.object_file,
            validation=self.validation,
            erased=lake.erased,
        ).find()
        return _Found(lake, rows, self.validation.extraction.plan.run_id, self.object_file.upsert.file_bytes)

    def clear_away(self) -> None:
        """Nothing: what was written for a commit that failed is gone already."""
