"""The real pipeline behind its two doors: staged batches go into the upsert, dbt builds the history."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from include.config.object_file import read_object_files
from include.lake.names import RawTables
from include.lake.upsert import upsert
from include.staging.manifest import (
    ExtractionManifest,
    ExtractionStats,
    FieldPlan,
    ReadPlan,
    UpsertManifest,
    ValidationManifest,
)
from include.staging.manifest import Window as PlannedWindow
from include.staging.store import write_parquet
from tests.engines.engines import Engine, failures
from tests.oracle.reads import Batch
from tests.oracle.shapes import DATES, Row, Shape

ORG = "00D000000000001AAA"
_STATS = ExtractionStats.of_staged(0)


class Pipeline:
    """One lake of one object, from accepted rows to the dimension.

    :param engine: has the lake, and runs dbt.
    :param shape: the object.
    """

    def __init__(self, engine: Engine, shape: Shape) -> None:
        self.shape, self.engine = shape, engine
        self.object_file = read_object_files()[shape.noun]
        self.environment, self.catalog = engine.environment, engine.catalog
        self.tables = RawTables.of(self.object_file, self.environment)
        self._staged = itertools.count(1)

    def deliver(self, batch: Batch) -> UpsertManifest:
        """Stage a batch's rows and upsert them."""
        return upsert(self.catalog, self.object_file, self.environment, self._manifest(batch))

    def build(self, *flags: str) -> None:
        """Bring the dimension up to date, audited by the critical tests."""
        result = self.engine.dbt(
            "build", "--select", f"tag:sf_{self.shape.noun}",
            "--exclude", "resource_type:snapshot", "resource_type:unit_test", "sf_raw.*", *flags,
        )  # fmt: skip
        assert result.success, failures(result)

    def dimension(self) -> list[dict[str, Any]]:
        """Rows of the published dimension."""
        return self._rows(f"{self.environment.curated_namespace}.dim_sf_{self.shape.noun}_scd")

    def mirror(self) -> Mapping[str, Row]:
        """Rows of the mirror by Id; no Id may be there twice."""
        rows = self._rows(self.tables.mirror)
        found = {row["id"]: row for row in rows}
        assert len(found) == len(rows), "an Id is in the mirror twice"
        return found

    def break_one_row(self, *, gone: bool) -> None:
        """Damage one row of the dimension behind dbt's back."""
        table = self.catalog.load_table(f"{self.environment.curated_namespace}.dim_sf_{self.shape.noun}_scd")
        rows = table.scan().to_arrow()
        first, others = rows.to_pylist()[:1], rows.slice(1)
        broken = [] if gone else [{**first[0], "name": "somebody else"}]
        table.overwrite(pa.concat_tables([others, pa.Table.from_pylist(broken, rows.schema)]))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return self.engine.rows(table).to_pylist()

    def _manifest(self, batch: Batch) -> ValidationManifest:
        folder = self.engine.folder / "staging" / str(next(self._staged))
        columns = self.object_file.columns
        assert set(columns) == set(self.shape.columns)
        schema = pa.schema([(name, self._type(name)) for name in columns])
        rows = pa.Table.from_pylist([{name: row[name] for name in columns} for row in batch.rows], schema)
        ids = pa.table({"id": pa.array(batch.present, pa.string())})
        window = batch.window
        fields = tuple(
            FieldPlan(name=name, column=name, salesforce_type=kind, column_type=kind)
            for name in columns
            if name not in batch.unread and (name != "isdeleted" or self.shape.soft_deletes)
            for kind in [self._kind(name)]
        )
        plan = ReadPlan(
            noun=self.shape.noun,
            object=self.shape.object,
            org_id=ORG,
            run_id=batch.run_id,
            window=PlannedWindow(
                start=window.start, end=window.end, kind="scheduled", full_refresh=window.full_refresh, reason="test"
            ),
            fields=fields,
            absent=tuple(sorted(batch.unread)),
            has_is_deleted=self.shape.soft_deletes,
            cursor="SystemModstamp",
            api="rest",
            estimated_rows=len(batch.rows),
            planned_at=window.end,
        )
        return ValidationManifest(
            extraction=ExtractionManifest(plan=plan, extracted_at=batch.extracted_at, files=(), stats=_STATS),
            files=tuple(write_parquet(str(folder), [rows], schema, "accepted")),
            present_files=tuple(write_parquet(str(folder), [ids], ids.schema, "present")),
            accepted=len(batch.rows),
            rejected=len(batch.present),
            superseded=0,
            reasons={},
            warnings=(),
        )

    def _kind(self, column: str) -> str:
        if column in DATES:
            return "timestamptz"
        return "boolean" if column.startswith("is") else "string"

    def _type(self, column: str) -> pa.DataType:
        return {"timestamptz": pa.timestamp("us", tz="UTC"), "boolean": pa.bool_(), "string": pa.string()}[
            self._kind(column)
        ]
